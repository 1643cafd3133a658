//! What the scorer remembers over a restart, and over a batch that came to nothing.

use std::time::Duration;

use changegate_simulator::{LoadGenerator, Source};
use changegate_telemetry::{Clock as _, SystemClock};
use changegate_tests::{Config, Moment, Proxy, Rule, Served, Site, until};
use rdkafka::consumer::Consumer as _;

const TOPIC: &str = "restart.aws";
const PART: u64 = 3_000;

/// A stream of records that can be sent in parts.
struct Feed {
    topic: &'static str,
    load: LoadGenerator,
    sent: u64,
    start_ms: i64,
}

impl Feed {
    fn new(topic: &'static str) -> Self {
        Self {
            topic,
            load: LoadGenerator::of(7, 1_500, &[Source::AwsCloudtrail]),
            sent: 0,
            start_ms: SystemClock.now().millis() - 20 * 3_600_000,
        }
    }

    /// Steps of record time are crossed on the way, so that peers and tenant count too.
    fn send(&mut self, site: &Site, records: u64) {
        let mut sender = site.sender();
        for _ in 0..records {
            let time = self.start_ms + self.sent as i64 * 4_000;
            self.sent += 1;
            let record = self.load.next(time);
            sender
                .send(self.topic, Some(record.key), &[], record.value, time)
                .expect("the broker takes it");
        }
        sender
            .finish(changegate_tests::PATIENCE)
            .expect("all are durable");
    }
}

fn config(site: &Site, name: &str, topic: &str) -> Config {
    Config::new(site, name, &[(topic, "aws.cloudtrail", 1)])
        .with("batch.rows", "500")
        .with("batch.block", "100")
        .with("state.snapshot_interval", "\"1s\"")
        .with("state.learn_back_records", "0")
        .with("decision.learning_period", "\"0h\"")
        .with("decision.approve_from", "30.0")
}

fn read_all(site: &Site, config: &Config, program: &mut Served) {
    let looker = site.looker(&config.group);
    until("everything is read", || {
        program.check();
        site.is_done(&looker, &config.partitions()).then_some(())
    });
}

/// Differences in score, risk, decision or who asks, by position.
fn differences(site: &Site, name: &str, reference: &str) -> [u64; 3] {
    let ledger = site.database(name);
    let facts = "offset, child, content_hash, score_raw, risk, decision, approval, features";
    site.numbers(
        &ledger,
        &format!(
            "SELECT count(), uniqExact(risk), countIf(sides != 2) FROM (SELECT {facts}, count() AS sides FROM \
             (SELECT {facts} FROM {name}.v_changes UNION ALL SELECT {facts} FROM {reference}.v_changes) GROUP BY {facts})"
        ),
    )
}

/// Reads the topic once more, undisturbed, into the database `<name>_reference`, and holds that each row is the same.
fn assert_as_undisturbed(site: &Site, name: &str, topic: &'static str, rows_min: u64) {
    let other = format!("{name}_reference");
    let reference = config(site, &other, topic);
    let mut program = reference.serve(site);
    read_all(site, &reference, &mut program);
    assert!(program.terminate().0.success());
    let [rows, risks, different] = differences(site, name, &other);
    println!("  {name}: {rows} rows, {risks} different risks, {different} differ from an undisturbed run");
    assert!(rows >= rows_min && risks > 10, "{rows} rows, {risks} risks");
    assert_eq!(different, 0);
}

pub(crate) fn a_restart_scores_as_if_there_had_been_none(site: &Site) {
    let restarted = config(site, "restart", TOPIC);
    restarted.create_topics(site);
    site.create_topics(&[("restart_reference.approval", 1)]);
    site.database("restart");
    site.database("restart_reference");
    let mut feed = Feed::new(TOPIC);

    // A clean end, and a start that reads on.
    feed.send(site, PART);
    let mut program = restarted.serve(site);
    read_all(site, &restarted, &mut program);
    assert!(program.terminate().0.success());
    let snapshot = site.folder().join("restart-state/memory.snapshot");
    let written = |path: &std::path::Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let first = written(&snapshot);
    assert!(first.is_some(), "the clean end left {}", snapshot.display());
    feed.send(site, PART);
    let mut program = restarted.serve(site);
    read_all(site, &restarted, &mut program);
    // A snapshot while it runs, records after it, and a kill: the gap is read again.
    until("a snapshot while it runs", || {
        program.check();
        (written(&snapshot) != first).then_some(())
    });
    let kept = std::fs::read(&snapshot).expect("it is there");
    feed.send(site, PART);
    read_all(site, &restarted, &mut program);
    program.kill();
    // As if the kill had come before the next one.
    std::fs::write(&snapshot, kept).expect("it is put back");
    feed.send(site, PART);
    let mut program = restarted.serve(site);
    read_all(site, &restarted, &mut program);
    assert!(
        program
            .log()
            .contains("reading again what the scorer does not know")
    );
    assert!(program.terminate().0.success());

    assert_as_undisturbed(site, "restart", TOPIC, 4 * PART);
}

pub(crate) fn a_batch_that_came_to_nothing_has_taught_nothing(site: &Site) {
    const TOPIC: &str = "dropped.aws";
    let proxy = Proxy::start(site.clickhouse.http_port());
    let mut dropped = config(site, "dropped", TOPIC)
        .with("batch.drain_deadline", "\"500ms\"")
        .with("state.snapshot_interval", "\"1h\"");
    dropped.clickhouse = proxy.url();
    dropped.create_topics(site);
    site.create_topics(&[("dropped_reference.approval", 1)]);
    site.database("dropped");
    site.database("dropped_reference");
    let mut feed = Feed::new(TOPIC);
    feed.send(site, PART);
    let mut program = dropped.serve(site);
    read_all(site, &dropped, &mut program);
    assert!(program.terminate().0.success(), "it leaves a snapshot");
    let mut program = dropped.serve(site);
    for times in 1..3 {
        // Some of what follows the snapshot is committed, the next batch is being written, and one more was read.
        proxy.arm(Rule {
            table: "changes",
            moment: Moment::BeforeSend,
            nth: 3,
        });
        feed.send(site, PART);
        until("an insert is under way", || {
            program.check();
            proxy.reached().then_some(())
        });
        // Somebody else wants the partition: it must be given back, and the insert does not end in time.
        let rival = site.looker(&dropped.group);
        rival.subscribe(&[TOPIC]).expect("a subscription");
        until("the batch is dropped", || {
            program.check();
            // Whatever the rival is handed, it does nothing with it.
            let _ = rival.poll(Duration::from_millis(20));
            let said = program.log().matches("leaving with the fence open").count();
            (said == times).then_some(())
        });
        drop(rival);
        proxy.cut();
        read_all(site, &dropped, &mut program);
    }
    let log = program.log();
    assert_eq!(
        log.matches("it goes back to its last snapshot").count(),
        2,
        "{log}"
    );
    assert!(program.terminate().0.success());

    assert_as_undisturbed(site, "dropped", TOPIC, 3 * PART);
}

pub(crate) fn a_snapshot_that_cannot_be_taken_is_said_and_left(site: &Site) {
    const TOPIC: &str = "refused.aws";
    let config = config(site, "refused", TOPIC).with("state.learn_back_records", "100000");
    config.create_topics(site);
    site.database("refused");
    Feed::new(TOPIC).send(site, 500);
    let folder = site.folder().join("refused-state");
    std::fs::create_dir_all(&folder).expect("a folder");
    let snapshot = folder.join("memory.snapshot");
    std::fs::write(&snapshot, b"not a snapshot").expect("it is written");
    let mut program = config.serve(site);
    read_all(site, &config, &mut program);
    let log = program.log();
    assert!(
        log.contains("snapshot not taken") && log.contains("its checksum differs"),
        "{log}"
    );
    assert!(program.terminate().0.success());
    // The clean end has left a good one; of another group it is refused, too.
    let good = std::fs::read(&snapshot).expect("a snapshot");
    let other = Config {
        group: "refused_other".into(),
        instance: "refused_other".into(),
        ..config
    };
    let folder = site.folder().join("refused_other-state");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("memory.snapshot"), good).expect("it is written");
    let mut program = other.serve(site);
    read_all(site, &other, &mut program);
    let log = program.log();
    assert!(log.contains("it is of consumer group refused,"), "{log}");
    assert!(program.terminate().0.success());
}
