//! The pipeline's log over a real broker: what the mock cluster cannot show.

use std::time::{Duration, Instant};

use changegate_kafka::Consumer;
use changegate_pipeline::fence::{Doubt, Fence, METADATA_BYTES_MAX, Spans};
use changegate_pipeline::ledger::BatchId;
use changegate_pipeline::log::{CommitError, CommitOffset, Log, LogError, Rebalance, TopicPartition};
use changegate_tests::{PATIENCE, Site, counts, send_cloudtrail, small};

const POLL: Duration = Duration::from_millis(20);

fn next(consumer: &Consumer) -> Option<Rebalance> {
    let polled = consumer.poll(POLL);
    assert!(
        polled.is_ok_and(|message| message.is_none()),
        "nothing was assigned yet"
    );
    consumer.take_rebalance()
}

/// Polls until the group has given partitions. `others` stay members meanwhile.
#[track_caller]
fn joined(consumer: &Consumer, others: &[&Consumer]) -> Vec<TopicPartition> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match next(consumer) {
            Some(Rebalance::Assign(partitions)) => return partitions,
            Some(other) => panic!("expected an assignment, got {other:?}"),
            None => assert!(Instant::now() < deadline, "no assignment"),
        }
        for other in others {
            // What they are told is looked at later.
            let _ = other.poll(Duration::ZERO);
        }
    }
}

fn at(partition: &TopicPartition, offset: i64, metadata: impl Into<String>) -> CommitOffset {
    CommitOffset {
        partition: partition.clone(),
        offset,
        metadata: metadata.into(),
    }
}

fn start(consumer: &Consumer, partitions: &[TopicPartition]) {
    let starts: Vec<_> = partitions
        .iter()
        .map(|partition| (partition.clone(), 0))
        .collect();
    consumer.assign(&starts).expect("the partitions are ours");
}

pub(crate) fn a_fence_comes_back_whole_and_a_ghost_cannot_commit(site: &Site) {
    site.create_topics(&[("fence.raw", 1)]);
    let settings = site.kafka_settings("fence");
    let first = Consumer::join(&settings, "member", &["fence.raw"]).expect("it joins");
    let partitions = joined(&first, &[]);
    start(&first, &partitions);
    let fence = Fence {
        batch: BatchId(u64::MAX),
        incarnation: u32::MAX,
        end: i64::MAX,
        records: u32::MAX,
        open: Spans::default(),
        doubt: Doubt::default(),
    };
    // A later version may say more, up to what the broker keeps.
    let mut metadata = format!("{fence} later=");
    metadata.extend(std::iter::repeat_n('x', METADATA_BYTES_MAX - metadata.len()));
    first
        .commit(&[at(&partitions[0], 5, &metadata)])
        .expect("it fits");
    let refused = first.commit(&[at(&partitions[0], 5, format!("{metadata}x"))]);
    let Err(CommitError::Wait(reason)) = refused else {
        panic!("a byte more than the broker keeps: {refused:?}")
    };
    assert!(reason.contains("OffsetMetadataTooLarge"), "{reason}");

    // The same name again, as after a restart: its predecessor is a ghost from here on.
    let second = Consumer::join(&settings, "member", &["fence.raw"]).expect("it joins");
    let again = joined(&second, &[]);
    assert_eq!(again, partitions);
    let committed = second
        .committed(&again)
        .expect("the coordinator answers")
        .remove(0);
    let committed = committed.expect("the fence");
    assert_eq!((committed.offset, &committed.metadata), (5, &metadata));
    assert_eq!(Fence::parse(&committed.metadata), Some(fence));
    start(&second, &again);
    let ghost = first.commit(&[at(&partitions[0], 9, "")]);
    assert!(
        matches!(ghost, Err(CommitError::Member(LogError::Replaced(_)))),
        "{ghost:?}"
    );
    second.commit(&[at(&again[0], 7, "")]).expect("the successor may");
    let closed = second
        .committed(&again)
        .expect("the coordinator answers")
        .remove(0);
    assert_eq!(
        closed.map(|closed| (closed.offset, closed.metadata)),
        Some((7, String::new()))
    );
}

pub(crate) fn a_name_that_was_given_away_is_taken_back_once(site: &Site) {
    // Long enough for both processes to lose the name to each other within it.
    let mut config = small(site, "named")
        .with("kafka.session_timeout", "\"30s\"")
        .with("http.listen", "\"127.0.0.1:0\"");
    config.create_topics(site);
    site.database("named");
    send_cloudtrail(site, "named.raw", 1, 500);
    let mut program = config.serve(site);
    site.read_to_the_end(&config, &mut program);
    let members = site.members(&site.looker("named"), "named");
    let [member] = members.as_slice() else {
        panic!("one worker: {members:?}")
    };
    // The group puts a random UUID behind it.
    let name = &member[..member.len() - "-00000000-0000-0000-0000-000000000000".len()];

    // As when the group's answer to a member is lost: nobody is there who has heard it.
    let settings = site.kafka_settings("named");
    let unheard = Consumer::join(&settings, name, &["named.raw"]).expect("it joins");
    joined(&unheard, &[]);
    drop(unheard);
    send_cloudtrail(site, "named.raw", 2, 500);
    site.read_to_the_end(&config, &mut program);
    let log = program.log();
    let times = log.matches("has given this member's name away").count();
    assert_eq!(times, 1, "it was given away once:\n{log}");
    let (_, metrics) = program.get("/metrics");
    assert!(
        metrics.contains("changegate_rebalances_total{kind=\"lost\"} 1\n"),
        "its partitions were lost in between:\n{metrics}"
    );

    // Another process under the name, which stays.
    config = config.with("state.dir", format!("{:?}", site.folder().join("named-2-state")));
    let mut other = config.serve(site);
    assert!(!program.ended().success());
    let log = other.log();
    assert!(
        log.contains("another process runs under this member's name"),
        "{log}"
    );
    send_cloudtrail(site, "named.raw", 3, 500);
    site.read_to_the_end(&config, &mut other);
    assert_eq!(counts(site, &config), [1_500, 1_500, 0, 0]);
    assert!(other.terminate().0.success());
}

pub(crate) fn a_revoked_member_drains_before_its_successor_starts(site: &Site) {
    site.create_topics(&[("drain.raw", 2)]);
    let settings = site.kafka_settings("drain");
    let old = Consumer::join(&settings, "old", &["drain.raw"]).expect("it joins");
    let all = joined(&old, &[]);
    assert_eq!(all.len(), 2);
    start(&old, &all);
    let fence = Fence {
        batch: BatchId(1),
        incarnation: 0,
        end: 4,
        records: 4,
        open: Spans::default(),
        doubt: Doubt::default(),
    };
    let fences: Vec<_> = all
        .iter()
        .map(|partition| at(partition, 0, fence.to_string()))
        .collect();
    old.commit(&fences).expect("the fences");
    let new = Consumer::join(&settings, "new", &["drain.raw"]).expect("it joins");
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert_eq!(next(&new), None, "nobody has given anything back");
        match next(&old) {
            Some(Rebalance::Revoke { lost: false }) => break,
            None => assert!(Instant::now() < deadline, "no revoke"),
            other => panic!("expected a revoke, got {other:?}"),
        }
    }
    // While the batch is finished, its member is still one, and nobody else has the partitions.
    for _ in 0..50 {
        assert_eq!(next(&new), None, "the old member is not done");
        assert_eq!(next(&old), None);
    }
    let closes: Vec<_> = all.iter().map(|partition| at(partition, 4, "")).collect();
    old.commit(&closes).expect("the closing commit of a drain");
    old.unassign().expect("all is given back");
    let own = joined(&new, &[&old]);
    assert_eq!(own.len(), 1, "one each: {own:?}");
    let committed = new.committed(&own).expect("the coordinator answers").remove(0);
    assert_eq!(
        committed.map(|committed| (committed.offset, committed.metadata)),
        Some((4, String::new())),
        "the successor finds the batch closed"
    );
}
