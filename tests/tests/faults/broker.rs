//! The broker dies and comes back, over and over, while requests, decisions and dead letters go out.

use std::collections::{BTreeMap, BTreeSet};

use changegate_tests::{Config, Dice, Feed, Message, Site, change_of, size, until};

const SEED: u64 = 0x5eed_0005;
const TOPIC: (&str, &str, i32) = ("broker.raw", "aws.cloudtrail", 2);
const DECISIONS: &str = "broker.decision";
/// Each time the broker comes back there is so much more to do.
const EACH: u64 = 3_000;

/// Which row a request or decision names: topic, incarnation, partition, offset, child.
fn row(message: &Message) -> String {
    let body: serde_json::Value = serde_json::from_slice(&message.value).expect("JSON");
    let row = &body["row"];
    let parts = ["topic", "incarnation", "partition", "offset", "child"].map(|name| row[name].to_string());
    parts.join(" ").replace('"', "")
}

/// Repeats of what one row says, and other rows' messages under a key that was used. A row's repeats are equal byte for byte.
fn repeats(messages: &[Message], what: &str) -> [usize; 2] {
    let (mut by_row, mut keys) = (BTreeMap::new(), BTreeSet::new());
    let (mut same, mut other) = (0, 0);
    for message in messages {
        let is_new_key = keys.insert(&message.key);
        match by_row.insert(row(message), &message.value) {
            Some(before) => {
                assert_eq!(before, &message.value, "{what} of one row");
                same += 1;
            }
            None => other += usize::from(!is_new_key),
        }
    }
    [same, other]
}

pub(crate) fn a_broker_that_dies_loses_no_request(_: &Site) {
    let kills = size(3, 20);
    // Engines of its own: the other bars need theirs all the time.
    let mut site = Site::start(&["broker"]);
    let config = Config::new(&site, "broker", &[TOPIC])
        .with("batch.rows", "500")
        .with("batch.block", "100")
        .with("decision.approve_from", "20.0")
        .with("decision.learning_period", "\"1h\"")
        .with("decision.budget_per_hour", "1000000")
        .with("decision.publish_decisions", "true")
        .with("decision.decision_topic", format!("{DECISIONS:?}"))
        // Shorter than the broker is away: each time the partitions are lost, and started on again when it is back.
        .with("kafka.session_timeout", "\"3s\"")
        // The library's own longest wait between two attempts is 10 s.
        .with("kafka.properties", "{ \"reconnect.backoff.max.ms\" = 500 }");
    config.create_topics(&site);
    site.create_topics(&[(DECISIONS, 1)]);
    let ledger = site.database("broker");
    let mut dice = Dice(SEED);
    // Some hours of record time, in which the learning phase ends, and all of them past.
    let mut feed = Feed::new(SEED, &config).since(8, size(2_000, 300));
    let mut program = config.serve(&site);
    let mut open = 0;
    for kill in 0..kills {
        let looker = site.looker("broker");
        let before = site.end_of(&looker, DECISIONS, 0);
        feed.send(&site, EACH);
        // Somewhere in the middle of what was sent: about every fourth record is decided on.
        let due = before + 1 + dice.below(EACH / 8) as i64;
        until(&format!("kill {kill}: {due} decisions"), || {
            program.check();
            let is_read = site.is_done(&looker, &config.partitions());
            (is_read || site.end_of(&looker, DECISIONS, 0) >= due).then_some(())
        });
        let committed = site.committed(&looker, &config.partitions());
        open += usize::from(committed.iter().any(|committed| !committed.metadata.is_empty()));
        site.kafka.kill().expect("it dies");
        site.kafka.restart().expect("it comes back");
    }
    site.read_to_the_end(&config, &mut program);
    let (status, _) = program.terminate();
    assert!(status.success(), "SIGTERM: {status}");

    let sent = feed.records;
    let [records, missing, doubled] = site.numbers(
        &ledger,
        "SELECT (SELECT count() FROM broker.v_raw_records), (SELECT sum(abs(missing)) FROM broker.v_conservation), \
         (SELECT count() FROM (SELECT 1 FROM broker.v_changes GROUP BY topic, incarnation, partition, offset, child HAVING count() > 1))",
    );
    println!(
        "  {kills} kills of the broker (seed {SEED:#x}), {open} with an open fence just before; {sent} records sent, \
         {records} there, {missing} children missing, {doubled} doubled"
    );
    let texts = |sql: &str| -> BTreeSet<String> { site.rows(&ledger, sql).into_iter().flatten().collect() };
    let requests = site.messages(&config.approval_topic);
    let asked = texts("SELECT change_uid FROM broker.v_changes WHERE approval IN ('asked', 'grouped')");
    let [same, other] = repeats(&requests, "requests");
    // A reader that keeps the first per id.
    let first: BTreeSet<String> = requests.iter().map(|request| change_of(&request.value)).collect();
    println!(
        "  requests: {} for {} changes that ask; {same} repeats of a row, {other} from another row",
        first.len(),
        asked.len()
    );
    let decisions = site.messages(DECISIONS);
    let [same, other] = repeats(&decisions, "decisions");
    let said: BTreeSet<String> = decisions.iter().map(row).collect();
    let decided = texts(
        "SELECT concat(topic, ' ', toString(incarnation), ' ', toString(partition), ' ', toString(offset), ' ', toString(child)) \
         FROM broker.v_changes WHERE NOT hasAny(rules, ['not_a_change', 'redelivery'])",
    );
    println!(
        "  decisions: {} said of {} rows; {same} repeats of a row, {other} more of a change; {} lost",
        said.len(),
        decided.len(),
        decided.difference(&said).count()
    );
    assert_eq!([records, missing, doubled], [sent, 0, 0]);
    assert!(!asked.is_empty() && !decided.is_empty(), "else nothing is proven");
    assert_eq!(first, asked, "requests");
    assert_eq!(said, decided, "decisions");
}
