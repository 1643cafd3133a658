//! `kill -9` at named moments of a tick, over and over.

use std::collections::BTreeMap;
use std::time::Duration;

use changegate_pipeline::Ledger as _;
use changegate_simulator::{LoadGenerator, Source, header_pairs};
use changegate_telemetry::{Clock as _, SystemClock};
use changegate_tests::{Config, Dice, Moment, Proxy, Rule, Site, size, until};

const SEED: u64 = 0x5eed_0001;
const ROWS_MAX: u64 = 2_000;
const TOPICS: [(&str, &str, i32); 3] = [
    ("kill.aws", "aws.cloudtrail", 2),
    ("kill.k8s", "kubernetes.audit", 2),
    ("kill.github", "github.webhook", 1),
];
/// One record in so many is damaged, so that every batch has dead letters.
const DAMAGED_ONE_IN: u64 = 40;

/// Every moment at which the ledger can be caught, then at random.
const MOMENTS: [(&str, Moment); 12] = [
    ("changes", Moment::BeforeSend),
    ("raw_records", Moment::Answered),
    ("changes", Moment::HalfSent),
    ("rejected", Moment::Unanswered),
    ("changes", Moment::Unanswered),
    ("raw_records", Moment::BeforeSend),
    ("changes", Moment::Held),
    ("raw_records", Moment::HalfSent),
    ("rejected", Moment::BeforeSend),
    ("changes", Moment::Answered),
    ("raw_records", Moment::Unanswered),
    ("raw_records", Moment::Held),
];

fn send_events(site: &Site, least: u64) -> u64 {
    let sources = [
        Source::AwsCloudtrail,
        Source::KubernetesAudit,
        Source::GithubWebhook,
    ];
    let mut load = LoadGenerator::of(SEED, 2_000, &sources);
    let mut sender = site.sender();
    let (mut events, mut records) = (0, 0);
    // Over some hours, so that every life sees steps of record time pass and the learning phase end.
    let start_ms = SystemClock.now().millis() - 6 * 3_600_000;
    while events < least {
        let time = start_ms + records as i64 * 200;
        let record = load.next(time);
        let topic = TOPICS.iter().find(|(_, source, _)| *source == record.source);
        let (topic, ..) = topic.expect("only these sources are asked for");
        let headers = header_pairs(record.headers);
        let damaged = records % DAMAGED_ONE_IN == 7;
        let value = if damaged {
            &record.value[..record.value.len() / 2]
        } else {
            record.value
        };
        events += if damaged { 1 } else { u64::from(record.children) };
        records += 1;
        sender
            .send(topic, Some(record.key), &headers, value, time)
            .expect("the broker takes it");
    }
    sender
        .finish(changegate_tests::PATIENCE)
        .expect("all are durable");
    records
}

fn config(site: &Site, name: &str) -> Config {
    Config::new(site, name, &TOPICS)
        .with("batch.rows", "1500")
        .with("batch.block", "250")
        // Everything asks that can, so that requests are part of what is compared.
        .with("decision.approve_from", "20.0")
        .with("decision.learning_period", "\"1h\"")
        .with("decision.budget_per_hour", "1000000")
        // No life lasts long enough for a snapshot; learning everything again with each shows nothing more.
        .with("state.learn_back_records", "1000")
}

/// What is waited for after an answer, before the kill.
#[derive(Clone, Copy, Debug)]
enum After {
    AtOnce,
    Request,
    Commit,
}

const AFTER: [After; 3] = [After::AtOnce, After::Request, After::Commit];

/// What was seen on the way.
#[derive(Default)]
struct Counts {
    fences_open: usize,
    late: u32,
    by_moment: BTreeMap<String, u32>,
}

fn kill_and_restart(site: &Site, config: &Config, proxy: &Proxy, kills: usize) -> Counts {
    let mut dice = Dice(SEED);
    let mut counts = Counts::default();
    let looker = site.looker(&config.group);
    let partitions = config.partitions();
    let mut program = config.serve(site);
    for kill in 0..kills {
        let (table, moment) = match MOMENTS.get(kill) {
            Some(moment) => *moment,
            None => MOMENTS[dice.below(MOMENTS.len() as u64) as usize],
        };
        let nth = 1 + dice.below(2) as u32;
        proxy.arm(Rule { table, moment, nth });
        until(&format!("kill {kill}: {table} {moment:?}, number {nth}"), || {
            program.check();
            proxy.reached().then_some(())
        });
        if moment == Moment::Answered {
            // What follows an answer: more inserts, sends, the commit that closes the batch and opens the next.
            let before = (
                site.end_of(&looker, &config.approval_topic, 0),
                site.committed(&looker, &partitions),
            );
            let what = AFTER[dice.below(AFTER.len() as u64) as usize];
            until(&format!("kill {kill}: {what:?}"), || {
                program.check();
                let due = match what {
                    After::AtOnce => true,
                    After::Request => site.end_of(&looker, &config.approval_topic, 0) > before.0,
                    After::Commit => site.committed(&looker, &partitions) != before.1,
                };
                due.then_some(())
            });
        }
        program.kill();
        let before = site.committed(&looker, &partitions);
        let is_open = before.iter().any(|committed| !committed.metadata.is_empty());
        counts.fences_open += usize::from(is_open);
        *counts.by_moment.entry(format!("{table} {moment:?}")).or_default() += 1;
        if moment != Moment::Held {
            proxy.cut();
        }
        program = config.serve(site);
        if moment == Moment::Held {
            // What left the dead process arrives when its successor has long read back and gone on.
            until("the successor passes what is held", || {
                program.check();
                let now = site.committed(&looker, &partitions);
                let passed = now.iter().zip(&before).any(|(now, before)| {
                    !before.metadata.is_empty() && now.offset > before.offset && now.offset.is_some()
                });
                passed.then_some(())
            });
            proxy.send_on();
            counts.late += 1;
        }
    }
    site.read_to_the_end(config, &mut program);
    let (status, took) = program.terminate();
    assert!(status.success(), "SIGTERM: {status}");
    assert!(took < Duration::from_secs(10), "SIGTERM took {took:?}");
    counts
}

pub(crate) fn killed_over_and_over_nothing_is_lost_doubled_or_altered(site: &Site) {
    let (least, kills) = size((100_000, 25), (1_000_000, 200));
    let proxy = Proxy::start(site.clickhouse.http_port());
    let mut killed = config(site, "kill");
    killed.clickhouse = proxy.url();
    killed.create_topics(site);
    let untouched = config(site, "kill_reference");
    let ledger = site.database("kill");
    let records = send_events(site, least);
    let counts = kill_and_restart(site, &killed, &proxy, kills);
    // Before the reference run, which sends to the same dead-letter topics.
    site.assert_sent(&ledger, &killed);
    site.reference(&untouched);
    // The hourly check.
    let copies = site
        .ledger("kill")
        .settle_copies(None)
        .expect("the ledger answers");

    let [events, batches, rows_max] = site.numbers(
        &ledger,
        "SELECT (SELECT sum(read) FROM kill.v_conservation), count(), max(rows) FROM \
         (SELECT batch_id, count() AS rows FROM kill.changes GROUP BY batch_id)",
    );
    println!("  {records} records, {events} events, {batches} batches of at most {rows_max} rows");
    println!(
        "  {kills} kills (seed {SEED:#x}), {} of them while a fence was open; {} inserts of dead processes landed late",
        counts.fences_open, counts.late
    );
    let moments: Vec<String> = counts
        .by_moment
        .iter()
        .map(|(moment, count)| format!("{moment} {count}"))
        .collect();
    println!("  killed at: {}", moments.join(", "));
    assert!(events >= least, "{events}");
    assert!(rows_max <= ROWS_MAX, "{rows_max}");
    assert!(counts.fences_open * 100 >= kills * 60, "{}", counts.fences_open);

    site.assert_same_rows(&ledger, "kill", "kill_reference");
    let [superseded, late, identical] = site.numbers(
        &ledger,
        "SELECT count(), countIf(why = 'late_insert'), countIf(why = 'identical') FROM kill.superseded",
    );
    println!(
        "  superseded: {superseded} second copies ({late} late, {identical} identical), {} of them found by the last check",
        copies.late_inserts + copies.identical
    );
}
