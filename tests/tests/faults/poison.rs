//! Bad records among good ones: each is dead-lettered with its bytes, none keeps a good one from its row, and the limits
//! that stop a bad roll-out do when they are set.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use changegate_pipeline::outgoing::header;
use changegate_simulator::{LoadGenerator, Source};
use changegate_telemetry::{Clock as _, SystemClock};
use changegate_tests::{Config, PATIENCE, Site, size, until};
use flate2::Compression;
use flate2::write::GzEncoder;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

const SEED: u64 = 0x5eed_0007;
const SOURCE: &str = "aws.cloudtrail";
/// The largest record of the raw topics; 64 KiB more are read and sent on.
const LIMIT: usize = 16 << 10;
const TOO_LARGE: &str = "too large";
const PACKED: &str = "words in gzip";
/// One record in so many is bad.
const ONE_IN: u64 = 100;

fn event(id: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"IAMUser","userName":"ada","arn":"arn:aws:iam::111122223333:user/ada"}},"eventTime":"2026-03-04T05:06:07Z","eventSource":"iam.amazonaws.com","eventName":"CreateUser","awsRegion":"eu-west-1","eventID":"{id}"}}"#
    )
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn words(id: &str) -> String {
    format!("hello {id}")
}

type Kind = (&'static str, fn(&str) -> Vec<u8>);

/// What may be wrong with a record.
const KINDS: [Kind; 28] = [
    ("words", |id| words(id).into()),
    ("log line", |id| {
        format!("<134>1 relay-7 shipper: {}", event(id)).into()
    }),
    ("error page", |id| {
        format!("<html><body>502 {id}</body></html>").into()
    }),
    ("open brace", |id| format!("{{broken {id}").into()),
    ("no bytes", |_| Vec::new()),
    ("white space", |_| b" \n\t ".to_vec()),
    ("zeros", |_| vec![0; 200]),
    ("another codec", |id| {
        [b"\0\0\0\0\x07\x02\x10", id.as_bytes()].concat()
    }),
    ("UTF-16", |id| {
        event(id).encode_utf16().flat_map(u16::to_le_bytes).collect()
    }),
    ("Latin-1", |id| {
        let mut bytes = event(id).into_bytes();
        let at = event(id).find("ada").unwrap_or_default();
        bytes[at] = 0xe4;
        bytes
    }),
    ("cut in half", |id| {
        event(id).as_bytes()[..event(id).len() / 2].to_vec()
    }),
    ("last byte lost", |id| {
        event(id).as_bytes()[..event(id).len() - 1].to_vec()
    }),
    ("one brace too many", |id| (event(id) + "}").into()),
    ("words behind it", |id| (event(id) + " end").into()),
    ("brackets", |_| b"[".repeat(1_000)),
    ("nested deep", |id| {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(500), "}".repeat(500));
        event(id).replace(r#""eu-west-1""#, &deep).into()
    }),
    (TOO_LARGE, |id| {
        event(id)
            .replace("eu-west-1", &"x".repeat(LIMIT + (70 << 10)))
            .into()
    }),
    ("not a number", |id| {
        event(id).replace(r#""eu-west-1""#, "NaN").into()
    }),
    ("leading zero", |id| {
        event(id).replace(r#""eu-west-1""#, "01").into()
    }),
    ("single quotes", |id| event(id).replace('"', "'").into()),
    ("comment", |id| {
        event(id).replace(r#""eu-west-1""#, "/* none */ 1").into()
    }),
    ("comma at the end", |id| event(id).replace('}', ",}").into()),
    ("no colon", |id| {
        event(id).replace("\"awsRegion\":", "\"awsRegion\"").into()
    }),
    ("line break in a text", |id| {
        event(id).replace("eu-west-1", "eu\nwest").into()
    }),
    ("bad escape", |id| event(id).replace("eu-west-1", r"\x41").into()),
    ("half a gzip", |id| {
        let packed = gzip(event(id).as_bytes());
        packed[..packed.len() / 2].to_vec()
    }),
    (PACKED, |id| gzip(words(id).as_bytes())),
    ("another document", |id| format!(r#"{{"hello":"{id}"}}"#).into()),
];

/// The bad record of this number.
fn bad(number: u64) -> Vec<u8> {
    KINDS[number as usize % KINDS.len()].1(&format!("bad-{number}"))
}

fn config(site: &Site, name: &str, topic: &str) -> Config {
    Config::new(site, name, &[(topic, SOURCE, 4)])
        .with("kafka.raw_record_bytes_max", format!("\"{}KiB\"", LIMIT >> 10))
        // A static member that has ended stays in the group so long.
        .with("kafka.session_timeout", "\"3s\"")
}

/// The same good records to both topics, and to the first one the bad ones.
fn send(site: &Site, poisoned: &str, clean: &str, good: u64) -> u64 {
    let mut load = LoadGenerator::of(SEED, 2_000, &[Source::AwsCloudtrail]);
    let mut sender = site.sender();
    let start_ms = SystemClock.now().millis() - 4 * 86_400_000;
    let mut bads = 0;
    for number in 0..good {
        let time = start_ms + number as i64 * 200;
        if number % (ONE_IN - 1) == 7 {
            let key = format!("bad-{bads}");
            sender
                .send(poisoned, Some(key.as_bytes()), &[], &bad(bads), time)
                .expect("the broker takes it");
            bads += 1;
        }
        let record = load.next(time);
        for topic in [poisoned, clean] {
            sender
                .send(topic, Some(record.key), &[], record.value, time)
                .expect("the broker takes it");
        }
    }
    sender.finish(PATIENCE).expect("all are durable");
    bads
}

/// Records a second, from the first commit to the end.
fn rate(site: &Site, config: &Config) -> f64 {
    site.database(&config.database);
    let (looker, partitions) = (site.looker(&config.group), config.partitions());
    let read = || -> i64 {
        let committed = site.committed(&looker, &partitions);
        committed
            .iter()
            .map(|committed| committed.offset.unwrap_or(0))
            .sum()
    };
    let mut program = config.serve(site);
    let first = until("the first commit", || {
        program.check();
        Some(read()).filter(|read| *read > 0)
    });
    let started = Instant::now();
    site.read_to_the_end(config, &mut program);
    let took = started.elapsed().max(Duration::from_millis(1));
    let rate = (read() - first) as f64 / took.as_secs_f64();
    let memory = program.memory_mib_max();
    assert!(program.terminate().0.success());
    println!("  {}: {rate:.0} records/s, {memory} MiB at most", config.group);
    rate
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

pub(crate) fn poison_is_dead_lettered_and_good_records_are_not(site: &Site) {
    const ROUNDS: [(&str, &str); 3] = [
        ("poison", "poison_clean"),
        ("poison_1", "poison_clean_1"),
        ("poison_2", "poison_clean_2"),
    ];
    let (good, rounds) = size((25_000, 1), (990_000, 3));
    let (poisoned, clean) = ("poison.raw", "poison.clean");
    site.create_topics(&[
        (poisoned, 4),
        (clean, 4),
        ("poison.raw.dlq", 4),
        ("poison.clean.dlq", 1),
    ]);
    let ledger = site.database("poison");
    let bads = send(site, poisoned, clean, good);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for (round, (own, reference)) in ROUNDS.iter().take(rounds).enumerate() {
        let (own, reference) = (config(site, own, poisoned), config(site, reference, clean));
        site.create_topics(&[(&own.approval_topic, 1), (&reference.approval_topic, 1)]);
        with.push(rate(site, &own));
        if round == 0 {
            check_letters(site, poisoned, bads);
        }
        without.push(rate(site, &reference));
    }
    let (with, without) = (median(&mut with), median(&mut without));
    let drop = 1.0 - with / without;
    println!(
        "  {with:.0} records/s with poison, {without:.0} without: a drop of {:.1} %",
        drop * 100.0
    );

    let [records, rejected, missing, codes, lost, other] = site.numbers(
        &ledger,
        "SELECT (SELECT count() FROM poison.v_raw_records), (SELECT count() FROM poison.v_rejected), \
         (SELECT sum(abs(missing)) FROM poison.v_conservation), (SELECT uniqExact(code) FROM poison.v_rejected), \
         countIf(known < due), countIf(known > due) FROM (SELECT event_uid, content_hash, countIf(side = 1) AS known, \
         countIf(side = 0) AS due FROM (SELECT event_uid, content_hash, 0 AS side FROM poison_clean.v_changes UNION ALL \
         SELECT event_uid, content_hash, 1 AS side FROM poison.v_changes) GROUP BY event_uid, content_hash)",
    );
    println!(
        "  {records} records, {bads} bad ones of {} kinds: {rejected} rejected under {codes} codes, {lost} good ones lost, \
         {other} too many, {missing} missing",
        KINDS.len()
    );
    assert_eq!([records, rejected, missing], [good + bads, bads, 0]);
    assert_eq!([lost, other], [0, 0]);
    assert!(codes >= 7, "{codes}");
    assert!(size(true, drop <= 0.1), "a drop of {drop}");
}

/// Each bad record has one dead letter and one row, both with its bytes.
fn check_letters(site: &Site, topic: &str, bads: u64) {
    let ledger = site.database("poison");
    let mut letters: BTreeMap<String, Vec<(Vec<u8>, String)>> = BTreeMap::new();
    for letter in site.messages(&format!("{topic}.dlq")) {
        assert!(
            !letter.header(header::OFFSET).is_empty(),
            "it says where it came from"
        );
        let cut_from = letter.header("changegate.error.cut_from").to_owned();
        let of_key = letters.entry(letter.key).or_default();
        of_key.push((letter.value, cut_from));
    }
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let sql = "SELECT k.key, hex(r.bytes) FROM poison.rejected AS r INNER JOIN \
               (SELECT topic, incarnation, partition, offset, assumeNotNull(key) AS key FROM poison.raw_records \
                WHERE notEmpty(dead_lettered)) AS k USING (topic, incarnation, partition, offset)";
    for row in site.rows(&ledger, sql) {
        rows.entry(row[0].clone()).or_default().push(row[1].clone());
    }
    for number in 0..bads {
        let (key, bytes) = (format!("bad-{number}"), bad(number));
        let kind = KINDS[number as usize % KINDS.len()].0;
        // What is packed is kept as it is read.
        let bytes = if kind == PACKED { words(&key).into() } else { bytes };
        let letter = letters.remove(&key).unwrap_or_default();
        assert_eq!(letter.len(), 1, "letters of {key}, {kind}");
        if kind == TOO_LARGE {
            // Neither does its topic take it whole; the letter says so, and the row has all of it.
            assert!(bytes.starts_with(&letter[0].0) && letter[0].1 == bytes.len().to_string());
        } else {
            assert!(
                letter[0].0 == bytes,
                "the letter of {key} holds its bytes: {kind}"
            );
        }
        let row = rows.remove(&key).unwrap_or_default();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        assert!(row == [hex], "one row of {key} with its bytes: {kind}");
    }
    assert!(letters.is_empty() && rows.is_empty(), "of good records");
}

fn assert_stopped(site: &Site, config: &Config, said: &str) {
    let mut program = config.serve(site);
    let status = program.ended();
    let log = program.log();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(
        log.contains(said) && log.contains("more likely a bad roll-out"),
        "{log}"
    );
    let ledger = site.database(&config.database);
    assert_eq!(site.unsaved(&ledger, config), 0, "positions beyond what is saved");
}

pub(crate) fn poison_beyond_a_limit_stops_the_stream(site: &Site) {
    let (poisoned, clean) = ("limits.raw", "limits.clean");
    site.create_topics(&[
        (poisoned, 4),
        (clean, 4),
        ("limits.raw.dlq", 1),
        ("limits.approval", 1),
    ]);
    let ledger = site.database("limits");
    let bads = send(site, poisoned, clean, 12_000);
    let free = config(site, "limits", poisoned).with("batch.rows", "1000");
    let share = free
        .clone()
        .with("dead_letters.share_max", "0.005")
        .with("dead_letters.share_records", "4000");
    assert_stopped(site, &share, "dead_letters.share_max = 0.005");
    // Within the limits it goes on, from where it was stopped.
    let wide = free
        .with("dead_letters.share_max", "0.02")
        .with("dead_letters.share_records", "4000")
        .with("dead_letters.run_max", "50");
    let mut program = wide.serve(site);
    site.read_to_the_end(&wide, &mut program);
    assert!(program.terminate().0.success());
    let [records, rejected, missing] = site.numbers(
        &ledger,
        "SELECT (SELECT count() FROM limits.v_raw_records), (SELECT count() FROM limits.v_rejected), \
         (SELECT sum(abs(missing)) FROM limits.v_conservation)",
    );
    println!("  stopped by the share; then {records} records, {rejected} rejected, {missing} missing");
    assert_eq!([records, rejected, missing], [12_000 + bads, bads, 0]);
}

pub(crate) fn poison_in_one_partition_blocks_no_other(site: &Site) {
    const GOOD: u64 = 5_000;
    let topic = "wall.raw";
    let config = Config {
        topics: vec![(topic.to_owned(), SOURCE, 2)],
        ..config(site, "wall", topic)
    };
    let config = config.with("batch.rows", "1000");
    config.create_topics(site);
    let ledger = site.database("wall");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", site.kafka.bootstrap())
        .create()
        .expect("a producer");
    let send = |partition: i32, value: &[u8]| {
        let record = BaseRecord::<(), _>::to(topic)
            .partition(partition)
            .timestamp(SystemClock.now().millis())
            .payload(value);
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("there is room");
    };
    let (mut poison, mut left) = (0, 0);
    let mut pour = |records: u64| {
        for _ in 0..records {
            send(0, &bad(poison));
            poison += 1;
        }
        producer.flush(PATIENCE).expect("all are durable");
        poison
    };
    pour(5_000);
    (0..GOOD).for_each(|number| send(1, event(&format!("good-{number}")).as_bytes()));
    producer.flush(PATIENCE).expect("all are durable");
    let started = Instant::now();
    let mut program = config.serve(site);
    let looker = site.looker(&config.group);
    let mut poured = 0;
    until("the good partition is read while poison keeps coming", || {
        program.check();
        poured = pour(200);
        let committed = site.committed(&looker, &config.partitions());
        let at = |partition: i32| {
            let own = committed
                .iter()
                .find(|committed| committed.partition == partition);
            own.and_then(|committed| committed.offset).unwrap_or(0)
        };
        left = poured - at(0) as u64;
        (at(1) as u64 == GOOD).then_some(())
    });
    let took = started.elapsed();
    site.read_to_the_end(&config, &mut program);
    println!(
        "  the good ones took {:.1} s, all of it {:.1} s",
        took.as_secs_f32(),
        started.elapsed().as_secs_f32()
    );
    assert!(program.terminate().0.success());
    let [changes, rejected, missing] = site.numbers(
        &ledger,
        "SELECT (SELECT count() FROM wall.v_changes), (SELECT count() FROM wall.v_rejected), \
         (SELECT sum(abs(missing)) FROM wall.v_conservation)",
    );
    println!(
        "  {changes} good records through beside {rejected} bad ones of another partition, {left} of which were still to come"
    );
    assert_eq!([changes, rejected, missing], [GOOD, poured, 0]);

    // The same partition under a limit: it says which one, and that the run was of one partition alone.
    let limited = Config {
        group: "wall_limited".into(),
        instance: "wall_limited".into(),
        // What a ledger has is judged no more.
        database: "limits".into(),
        ..config.with("dead_letters.run_max", "2000")
    };
    site.database("limits");
    let mut program = limited.serve(site);
    let status = program.ended();
    let log = program.log();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(
        log.contains("dead_letters.run_max = 2000") && log.contains("wall.raw/0 at offset"),
        "{log}"
    );
}

pub(crate) fn poison_that_clickhouse_refuses_is_found_row_by_row(site: &Site) {
    const RECORDS: u64 = 2_000;
    let topic = "halves.raw";
    let config = Config::new(site, "halves", &[(topic, SOURCE, 1)]).with("batch.rows", "1000");
    config.create_topics(site);
    let ledger = site.database("halves");
    site.wait(ledger.execute(
        "ALTER TABLE halves.changes ADD CONSTRAINT refused CHECK NOT startsWith(native_uid, 'refused')",
    ))
    .expect("the table takes it");
    let mut sender = site.sender();
    let time = SystemClock.now().millis();
    // Alone, next to one another, and amid the children of one record.
    let envelope = |number: u64| {
        let of = |word: &str| event(&format!("{word}-{number}"));
        format!(
            r#"{{"Records":[{},{},{}]}}"#,
            of("first"),
            of("refused"),
            of("last")
        )
    };
    let value = |number: u64| match number {
        300 | 301 | 1_700 => event(&format!("refused-{number}")),
        900 => envelope(number),
        _ => event(&format!("good-{number}")),
    };
    for number in 0..RECORDS {
        let key = number.to_string();
        sender
            .send(topic, Some(key.as_bytes()), &[], value(number).as_bytes(), time)
            .expect("the broker takes it");
    }
    sender.finish(PATIENCE).expect("all are durable");
    let mut program = config.serve(site);
    site.read_to_the_end(&config, &mut program);
    assert!(program.terminate().0.success());

    let rejected = site.rows(
        &ledger,
        "SELECT offset, child, code FROM halves.v_rejected ORDER BY offset, child",
    );
    assert_eq!(
        rejected,
        [("300", "0"), ("301", "0"), ("900", "1"), ("1700", "0")].map(|(offset, child)| [
            offset,
            child,
            "row_refused"
        ])
    );
    let mut letters = site.messages(&format!("{topic}.dlq"));
    letters.sort_by_key(|letter| letter.key.parse::<u64>().ok());
    let keys: Vec<&str> = letters.iter().map(|letter| letter.key.as_str()).collect();
    assert_eq!(keys, ["300", "301", "900", "1700"]);
    for letter in &letters {
        let sent = value(letter.key.parse().expect("a number"));
        assert_eq!(
            String::from_utf8_lossy(&letter.value),
            sent,
            "the record as it came"
        );
    }
    let [changes, refused, missing, neighbours, records] = site.numbers(
        &ledger,
        "SELECT count(), countIf(startsWith(native_uid, 'refused')), \
         (SELECT sum(abs(missing)) FROM halves.v_conservation), countIf(offset = 900), \
         (SELECT count() FROM halves.v_raw_records) FROM halves.v_changes",
    );
    println!(
        "  {} rows refused one by one, {changes} others written, {neighbours} of them beside a refused child, {missing} missing",
        rejected.len()
    );
    assert_eq!(
        [changes, refused, missing, neighbours, records],
        [RECORDS - 4 + 2, 0, 0, 2, RECORDS]
    );
}
