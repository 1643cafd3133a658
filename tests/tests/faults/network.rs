//! A bad network between the program and ClickHouse: answers that are swallowed, resets with half a block sent, black
//! holes, one byte a second.

use changegate_pipeline::Ledger as _;
use changegate_tests::{Config, Dice, Fault, Feed, Proxy, Site, size};

const SEED: u64 = 0x5eed_0002;
const TOPICS: [(&str, &str, i32); 2] = [
    ("network.aws", "aws.cloudtrail", 2),
    ("network.k8s", "kubernetes.audit", 2),
];

fn config(site: &Site, name: &str) -> Config {
    Config::new(site, name, &TOPICS)
        .with("kafka.workers", "2")
        .with("batch.rows", "100")
        .with("batch.block", "50")
        .with("clickhouse.send_timeout", "\"2s\"")
        .with("clickhouse.backoff_min", "\"10ms\"")
        .with("decision.approve_from", "20.0")
        .with("decision.learning_period", "\"0h\"")
        .with("decision.budget_per_hour", "1000000")
        .with("decision.approval_max_age", "\"240h\"")
}

/// Each fault so often, and as many inserts that pass, in an order that the seed gives.
fn shuffled(faults: &[(Fault, usize)]) -> Vec<Option<Fault>> {
    let mut all: Vec<Option<Fault>> = faults
        .iter()
        .flat_map(|(fault, count)| std::iter::repeat_n(Some(*fault), *count))
        .collect();
    all.resize(all.len() * 2, None);
    let mut dice = Dice(SEED);
    for at in (1..all.len()).rev() {
        all.swap(at, dice.below(at as u64 + 1) as usize);
    }
    all
}

pub(crate) fn a_bad_network_loses_and_doubles_nothing(site: &Site) {
    // Of holes and slow lines half are in the body, half in the answer.
    let (cut, stuck) = size((40, 2), (1_000, 50));
    let faults = [
        (Fault::AnswerSwallowed, cut),
        (Fault::Reset, cut),
        (Fault::HoleInBody, stuck),
        (Fault::HoleInAnswer, stuck),
        (Fault::SlowBody, stuck),
        (Fault::SlowAnswer, stuck),
    ];
    let proxy = Proxy::start(site.clickhouse.http_port());
    let mut struck = config(site, "network");
    struck.clickhouse = proxy.url();
    struck.create_topics(site);
    let ledger = site.database("network");
    let mut feed = Feed::new(SEED, &struck);
    // Faults and inserts that pass come to as many sends; a batch has two inserts at the least, and each fault one
    // send more.
    feed.send(site, size(6_000, 150_000));
    proxy.strike(shuffled(&faults));
    let mut program = struck.serve(site);
    site.read_to_the_end(&struck, &mut program);
    let memory = program.memory_mib_max();
    assert!(program.terminate().0.success());
    println!(
        "  {} records, {} events, {memory} MiB at most",
        feed.records, feed.events
    );
    let counts = proxy.struck();
    for (fault, due) in faults {
        let count = counts.get(&fault).copied().unwrap_or_default();
        println!("  {fault:?}: {count}");
        assert_eq!(count as usize, due, "{fault:?}");
    }
    // The hourly check.
    let copies = site.ledger("network").settle_copies(None);
    let copies = copies.expect("the ledger answers");
    site.assert_sent(&ledger, &struck);
    site.reference(&config(site, "network_reference"));

    site.assert_same_rows(&ledger, "network", "network_reference");
    let [second, late] = site.numbers(
        &ledger,
        "SELECT countIf(why IN ('late_insert', 'identical')), countIf(attempt > 1) FROM network.superseded",
    );
    println!(
        "  {second} second copies ({late} of later attempts), {} of them found by the last check",
        copies.late_inserts + copies.identical
    );
}
