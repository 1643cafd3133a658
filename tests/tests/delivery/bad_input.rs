//! What may stand in a topic, and what comes of it: the stream goes on, and nothing is lost without a word.

use std::collections::BTreeMap;

use changegate_telemetry::{Clock as _, SystemClock};
use changegate_tests::{Config, PATIENCE, Site, produce, until};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

const TOPIC: &str = "bad_input.raw";
const DEAD_LETTERS: &str = "bad_input.raw.dead";
const DECISIONS: &str = "bad_input.decision";
const LIMIT: usize = 64 << 10;
/// Alone it is more than the dead-letter topic takes.
const LARGE_HEADER: &str = "a header larger than the limit";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYnotakey01";

/// How a record must end.
enum Ends {
    /// In `rejected` with this code, and where the fault is.
    Rejected(&'static str, Option<u32>),
    /// As a change that carries these marks.
    Change(&'static [&'static str]),
    /// Skipped for this reason.
    Skipped(&'static str),
}

fn event(more: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"IAMUser","userName":"ada","arn":"arn:aws:iam::111122223333:user/ada"}},"eventTime":"2026-03-04T05:06:07Z","eventSource":"iam.amazonaws.com","eventName":"CreateUser","awsRegion":"eu-west-1","eventID":"e-1"{more}}}"#
    )
}

/// Each row of the table that the main job promises, with what it gets.
fn cases() -> Vec<(&'static str, Option<Vec<u8>>, Ends)> {
    let text = |text: String| Some(text.into_bytes());
    let good = |id: &str| event("").replace("e-1", id);
    let utf16: Vec<u8> = good("utf16").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut invalid = good("latin1").into_bytes();
    let at = good("latin1").find("ada").unwrap_or_default();
    invalid[at] = 0xe4;
    let half = good("half");
    let half = &half[..half.len() / 2];
    vec![
        ("good", text(good("good")), Ends::Change(&["unknown_environment"])),
        ("not JSON", text("{broken".into()), Ends::Rejected("not_json", Some(1))),
        ("words", text("hello".into()), Ends::Rejected("not_json", Some(0))),
        ("no bytes", Some(Vec::new()), Ends::Rejected("truncated_json", Some(0))),
        ("UTF-16", Some(utf16), Ends::Rejected("not_json", Some(1))),
        ("Latin-1", Some(invalid), Ends::Rejected("invalid_utf8", Some(at as u32))),
        ("cut off", text(half.into()), Ends::Rejected("truncated_json", Some(half.len() as u32))),
        ("nesting bomb", text("[".repeat(50_000)), Ends::Rejected("too_deep", None)),
        (
            "nesting bomb within an event",
            text(event(&format!(r#","requestParameters":{}{}"#, r#"{"a":"#.repeat(5_000), "}".repeat(5_000)))),
            Ends::Rejected("too_deep", None),
        ),
        (
            "larger than the limit",
            text(event(&format!(r#","requestParameters":{{"a":"{}"}}"#, "a".repeat(300_000)))),
            Ends::Rejected("too_large", None),
        ),
        (
            "cut off, with a secret in it",
            text(format!(r#"{{"responseElements":{{"accessKey":{{"secretAccessKey":"{SECRET}","accessKeyId":"AKIAIOSFODNN7EXAMPLE""#)),
            Ends::Rejected("truncated_json", None),
        ),
        (LARGE_HEADER, text("{broken".into()), Ends::Rejected("not_json", Some(1))),
        (
            "duplicate key",
            text(event(r#","eventName":"DeleteUser""#).replace("e-1", "twice")),
            Ends::Change(&["duplicate_key"]),
        ),
        ("wrong type", text(good("type").replace(r#""eu-west-1""#, r#"{"a":[7]}"#)), Ends::Change(&["wrong_type"])),
        (
            "number out of range",
            text(event(r#","errorCode":1e999"#).replace("e-1", "number")),
            Ends::Change(&[]),
        ),
        ("no id", text(event("").replace(r#""eventID":"e-1""#, r#""a":1"#)), Ends::Change(&["uid_from_content"])),
        (
            "no actor",
            text(r#"{"eventTime":"2026-03-04T05:06:07Z","eventSource":"iam.amazonaws.com","eventName":"CreateUser","eventID":"actor"}"#.into()),
            Ends::Change(&["missing_actor"]),
        ),
        (
            "no time",
            text(good("time").replace(r#""eventTime":"2026-03-04T05:06:07Z","#, "")),
            Ends::Change(&["missing_time"]),
        ),
        (
            "far future",
            text(good("2199").replace("2026-03-04T05:06:07Z", "2199-12-31T23:59:59Z")),
            Ends::Change(&["time_out_of_range"]),
        ),
        (
            "beyond what can be stored",
            text(good("2399").replace("2026-03-04T05:06:07Z", "2399-12-31T23:59:59Z")),
            Ends::Change(&["time_out_of_range"]),
        ),
        (
            "far past",
            text(good("past").replace("2026-03-04T05:06:07Z", "1601-01-01T00:00:00Z")),
            Ends::Change(&["time_out_of_range"]),
        ),
        ("no value", None, Ends::Skipped("tombstone")),
        (
            "unknown version",
            text(good("version").replace("1.11", "9.99")),
            Ends::Change(&["unknown_version"]),
        ),
        (
            "unknown operation of an unknown service",
            text(good("unknown").replace("CreateUser", "FrobnicateGizmo").replace("iam.amazonaws", "gizmo.amazonaws")),
            Ends::Change(&[]),
        ),
        ("nothing in it", text(r#"{"Records":[]}"#.into()), Ends::Skipped("empty_envelope")),
        ("last", text(good("last")), Ends::Change(&[])),
    ]
}

fn send(site: &Site, cases: &[(&'static str, Option<Vec<u8>>, Ends)]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", site.kafka.bootstrap())
        .set("message.max.bytes", "1000000")
        .create()
        .expect("a producer");
    for (name, value, _) in cases {
        let mut record = BaseRecord::to(TOPIC)
            .key(*name)
            .timestamp(SystemClock.now().millis());
        if let Some(value) = value {
            record = record.payload(value);
        }
        if *name == LARGE_HEADER {
            record = record.headers(OwnedHeaders::new().insert(Header {
                key: "x-large",
                value: Some(&vec![b'x'; 300_000]),
            }));
        }
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("there is room");
    }
    producer.flush(PATIENCE).expect("all are durable");
}

pub(crate) fn bad_input_ends_where_the_user_is_told(site: &Site) {
    let config = Config::new(site, "bad_input", &[(TOPIC, "aws.cloudtrail", 1)])
        .with("kafka.raw_record_bytes_max", format!("\"{}KiB\"", LIMIT >> 10))
        .with("dead_letters.suffix", "\".dead\"")
        .with("decision.publish_decisions", "true")
        .with("decision.decision_topic", format!("{DECISIONS:?}"));
    config.create_topics(site);
    site.create_topics(&[(DECISIONS, 1), (DEAD_LETTERS, 1)]);
    let ledger = site.database("bad_input");
    let cases = cases();
    send(site, &cases);
    // Besides the table: what no client library for Rust would send.
    let odd = event("").replace("e-1", "odd");
    let header = (b"\xff\xfe".as_slice(), b"value".as_slice());
    produce(
        &site.kafka.bootstrap(),
        TOPIC,
        header,
        odd.as_bytes(),
        SystemClock.now().millis(),
    );
    let mut program = config.serve(site);
    let looker = site.looker("bad_input");
    until("everything is read", || {
        program.check();
        site.is_done(&looker, &config.partitions()).then_some(())
    });

    let told = "SELECT offset, concat('rejected ', code, ' ', toString(at_byte)) FROM bad_input.v_rejected \
                UNION ALL SELECT offset, concat('change ', arrayStringConcat(marks, ' ')) FROM bad_input.v_changes \
                UNION ALL SELECT offset, concat('skipped ', arrayStringConcat(mapKeys(skipped), ' ')) FROM bad_input.v_raw_records \
                WHERE notEmpty(skipped)";
    let mut ends: BTreeMap<u64, String> = BTreeMap::new();
    for row in site.rows(&ledger, told) {
        let offset = row[0].parse().expect("an offset");
        let before = ends.insert(offset, row[1].clone());
        assert_eq!(before, None, "two ends of record {offset}: {}", row[1]);
    }
    let odd = ends.remove(&(cases.len() as u64));
    assert!(
        odd.is_some_and(|end| end.starts_with("change ")),
        "a header name that is no text"
    );
    assert_eq!(ends.len(), cases.len(), "every record has one end: {ends:?}");
    let mut dead = 0;
    for (offset, (name, _, expected)) in (0..).zip(&cases) {
        let end = &ends[&offset];
        let right = match expected {
            Ends::Rejected(code, at) => {
                dead += 1;
                match at {
                    Some(at) => *end == format!("rejected {code} {at}"),
                    None => end.starts_with(&format!("rejected {code} ")),
                }
            }
            Ends::Change(marks) => {
                let mut words = end.split(' ');
                words.next() == Some("change") && {
                    let found: Vec<&str> = words.collect();
                    marks.iter().all(|mark| found.contains(mark))
                }
            }
            Ends::Skipped(reason) => *end == format!("skipped {reason}"),
        };
        assert!(right, "{name}: {end}");
    }

    let letters = site.messages(DEAD_LETTERS);
    assert_eq!(letters.len(), dead);
    for letter in &letters {
        let name = &letter.key;
        let (_, sent, _) = cases
            .iter()
            .find(|(own, ..)| own == name)
            .expect("the original key");
        let sent = sent.as_deref().unwrap_or_default();
        assert_eq!(letter.value.is_empty(), sent.is_empty(), "{name}");
        match name.as_str() {
            "cut off, with a secret in it" => {}
            "larger than the limit" => {
                // The topic takes less than the raw topic gave.
                assert_eq!(letter.header("changegate.error.cut_from"), sent.len().to_string());
                assert!(letter.value.len() > LIMIT / 2 && sent.starts_with(&letter.value));
            }
            _ => assert!(letter.value == sent, "the bytes of {name} as they came"),
        }
        let left_out = letter.header("changegate.error.headers_left_out");
        assert_eq!(left_out, if name == LARGE_HEADER { "1" } else { "" }, "{name}");
        assert!(!String::from_utf8_lossy(&letter.value).contains(SECRET), "{name}");
    }
    let [kept, largest] = site.numbers(
        &ledger,
        &format!(
            "SELECT countIf(position(bytes, '{SECRET}') > 0), max(length(bytes)) FROM bad_input.rejected"
        ),
    );
    assert_eq!(kept, 0);
    assert!(
        largest > 300_000,
        "the ledger keeps the whole of it, not {largest} bytes"
    );
    let [last, actions] = site.numbers(
        &ledger,
        "SELECT countIf(native_uid = 'last'), countIf(native_uid = 'twice' AND api_operation = 'DeleteUser') FROM bad_input.v_changes",
    );
    assert_eq!(
        [last, actions],
        [1, 1],
        "the stream goes on, and the last of two values counts"
    );
    let [decided] = site.numbers(
        &ledger,
        "SELECT countIf(is_change AND NOT has(marks, 'redelivery')) FROM bad_input.v_changes",
    );
    let decisions = site.messages(DECISIONS);
    assert_eq!(decisions.len() as u64, decided);
    for decision in &decisions {
        assert_eq!(decision.header("ce_type"), "dev.changegate.decision.made.v1");
        assert_eq!(decision.header("ce_subject"), decision.key);
    }
    let [read, missing] = site.numbers(
        &ledger,
        "SELECT sum(read), sum(abs(missing)) FROM bad_input.v_conservation",
    );
    assert_eq!([read, missing], [cases.len() as u64 + 1, 0]);
    assert!(!program.log().contains(SECRET));
    let (status, _) = program.terminate();
    assert!(status.success(), "{status}");
}
