//! What the scorer remembers over a restart.

use changegate_simulator::{LoadGenerator, Source};
use changegate_telemetry::{Clock as _, SystemClock};
use changegate_tests::{Config, Served, Site, until};

const TOPIC: (&str, &str, i32) = ("restart.aws", "aws.cloudtrail", 1);
const PART: u64 = 3_000;

/// A stream of records that can be sent in parts.
struct Feed {
    load: LoadGenerator,
    sent: u64,
    start_ms: i64,
}

impl Feed {
    fn new() -> Self {
        Self {
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
                .send(TOPIC.0, Some(record.key), &[], record.value, time)
                .expect("the broker takes it");
        }
        sender
            .finish(changegate_tests::PATIENCE)
            .expect("all are durable");
    }
}

fn config(site: &Site, name: &str) -> Config {
    Config::new(site, name, &[TOPIC])
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
fn differences(site: &Site, name: &str) -> [u64; 3] {
    let ledger = site.database(name);
    let facts = "offset, child, content_hash, score_raw, risk, decision, approval, features";
    site.numbers(
        &ledger,
        &format!(
            "SELECT count(), uniqExact(risk), countIf(sides != 2) FROM (SELECT {facts}, count() AS sides FROM \
             (SELECT {facts} FROM {name}.v_changes UNION ALL SELECT {facts} FROM restart_reference.v_changes) GROUP BY {facts})"
        ),
    )
}

pub(crate) fn a_restart_scores_as_if_there_had_been_none(site: &Site) {
    let restarted = config(site, "restart");
    restarted.create_topics(site);
    site.create_topics(&[("restart_reference.approval", 1)]);
    site.database("restart");
    site.database("restart_reference");
    let mut feed = Feed::new();

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

    let reference = config(site, "restart_reference");
    let mut program = reference.serve(site);
    read_all(site, &reference, &mut program);
    assert!(program.terminate().0.success());
    let [rows, risks, different] = differences(site, "restart");
    println!(
        "  {rows} rows after two restarts and a kill, {risks} different risks, {different} differ from no restart"
    );
    assert!(rows >= 4 * PART && risks > 10, "{rows} rows, {risks} risks");
    assert_eq!(different, 0);
}

pub(crate) fn a_snapshot_that_cannot_be_taken_is_said_and_left(site: &Site) {
    let config = config(site, "refused").with("state.learn_back_records", "100000");
    let topic = TOPIC.0;
    site.create_topics(&[("refused.approval", 1), (topic, 1), (&format!("{topic}.dlq"), 1)]);
    site.database("refused");
    Feed::new().send(site, 500);
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
