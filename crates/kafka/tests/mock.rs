//! Against librdkafka's mock cluster: one process, no broker.

use std::time::{Duration, Instant};

use changegate_kafka::{Consumer, Sender, Settings, Snapshots};
use changegate_pipeline::fence::{Doubt, Fence, Spans};
use changegate_pipeline::ledger::BatchId;
use changegate_pipeline::log::{CommitOffset, Log, Message, Rebalance, TopicPartition};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

const PATIENCE: Duration = Duration::from_secs(30);

fn settings(cluster: &MockCluster<'_, DefaultProducerContext>) -> Settings {
    Settings {
        bootstrap: cluster.bootstrap_servers(),
        group: "stream".into(),
        session_timeout: Duration::from_secs(6),
        max_poll_interval: Duration::from_secs(300),
        record_bytes_max: 1 << 20,
        properties: Vec::new(),
    }
}

/// Polls until the group has given partitions.
fn joined(consumer: &Consumer) -> Vec<TopicPartition> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        consumer.poll(Duration::from_millis(50)).unwrap();
        match consumer.take_rebalance() {
            Some(Rebalance::Assign(partitions)) => return partitions,
            Some(other) => panic!("expected an assignment, got {other:?}"),
            None => assert!(Instant::now() < deadline, "no assignment within {PATIENCE:?}"),
        }
    }
}

#[test]
fn records_come_in_and_a_fence_comes_back_whole() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("raw", 1, 1).unwrap();
    let settings = settings(&cluster);
    let mut sender = Sender::new(&settings).unwrap();
    for number in 0..3u8 {
        let headers: [(&str, &[u8]); 1] = [("x-event", b"push")];
        sender
            .send("raw", Some(b"key"), &headers, &[number], 1_795_507_200_000)
            .unwrap();
    }
    sender.finish(PATIENCE).unwrap();

    let consumer = Consumer::join(&settings, "worker-0", &["raw"]).unwrap();
    let partitions = joined(&consumer);
    assert_eq!(partitions.len(), 1);
    assert_eq!(
        consumer.committed(&partitions).unwrap(),
        [None],
        "a new group has no commit"
    );
    let range = consumer.watermarks(&partitions[0]).unwrap();
    assert_eq!((range.from, range.to), (0, 3));
    consumer.assign(&[(partitions[0].clone(), 1)]).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut read = Vec::new();
    while read.len() < 2 {
        assert!(Instant::now() < deadline, "only {read:?} came");
        let Some(message) = consumer.poll(Duration::from_millis(50)).unwrap() else {
            continue;
        };
        let mut headers = Vec::new();
        message.headers(&mut |name, value| headers.push((name.to_owned(), value.to_vec())));
        assert_eq!(headers, [("x-event".to_owned(), b"push".to_vec())]);
        assert_eq!(message.key(), Some(b"key".as_slice()));
        assert_eq!(message.time().unwrap().millis(), 1_795_507_200_000);
        read.push((message.offset(), message.value().unwrap().to_vec()));
    }
    assert_eq!(read, [(1, vec![1]), (2, vec![2])], "the start is ours to say");

    let fence = Fence {
        batch: BatchId(77),
        incarnation: 2,
        end: 3,
        records: 2,
        open: Spans::default(),
        doubt: Doubt::default(),
    };
    let offset = |metadata: String| {
        [CommitOffset {
            partition: partitions[0].clone(),
            offset: 1,
            metadata,
        }]
    };
    consumer.commit(&offset(fence.to_string())).unwrap();
    let committed = consumer.committed(&partitions).unwrap().remove(0).unwrap();
    assert_eq!(
        (committed.offset, Fence::parse(&committed.metadata)),
        (1, Some(fence))
    );
    consumer.commit(&offset(String::new())).unwrap();
    let closed = consumer.committed(&partitions).unwrap().remove(0).unwrap();
    assert_eq!((closed.offset, Fence::parse(&closed.metadata)), (1, None));
}

#[test]
fn a_single_record_is_shown_by_its_offset() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("raw", 1, 1).unwrap();
    let settings = settings(&cluster);
    let mut sender = Sender::new(&settings).unwrap();
    for number in 0..3u8 {
        sender.send("raw", None, &[], &[number], 0).unwrap();
    }
    sender.finish(PATIENCE).unwrap();
    let consumer = Consumer::join(&settings, "worker-0", &["raw"]).unwrap();
    let partition = TopicPartition {
        topic: "raw".into(),
        partition: 0,
    };
    let mut value = None;
    let mut show = |record: &changegate_types::RawRecord<'_>| value = record.value.map(<[u8]>::to_vec);
    assert!(consumer.fetch(&partition, 1, &mut show).unwrap());
    assert!(
        !consumer.fetch(&partition, 3, &mut show).unwrap(),
        "nothing is held there"
    );
    assert_eq!(value, Some(vec![1]));
}

#[test]
fn records_and_snapshots_are_read_as_soon_as_the_brokers_are_back() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("raw", 1, 1).unwrap();
    cluster.create_topic("state", 1, 1).unwrap();
    let settings = Settings {
        properties: ["reconnect.backoff.ms", "reconnect.backoff.max.ms"]
            .map(|name| (name.to_owned(), "50".to_owned()))
            .into(),
        ..settings(&cluster)
    };
    let mut sender = Sender::new(&settings).unwrap();
    sender.send("raw", None, &[], b"value", 0).unwrap();
    sender.finish(PATIENCE).unwrap();
    let consumer = Consumer::join(&settings, "worker-0", &["raw"]).unwrap();
    let partitions = joined(&consumer);
    let mut shown = 0;
    assert!(consumer.fetch(&partitions[0], 0, &mut |_| shown += 1).unwrap());
    let snapshots = Snapshots::new(&settings, "state").unwrap();
    snapshots.store(0, 1, b"learned", PATIENCE).unwrap();
    let stored = Some((1, b"learned".to_vec()));
    assert_eq!(snapshots.load(0, PATIENCE).unwrap(), stored);

    cluster.broker_down(1).unwrap();
    // Each attempt to connect is told, also to readers that listen only while they ask.
    let deadline = Instant::now() + PATIENCE;
    let mut faults = 0;
    while faults < 10 {
        assert!(Instant::now() < deadline, "{faults} faults were told");
        faults += u32::from(consumer.poll(Duration::from_millis(50)).is_err());
    }
    cluster.broker_up(1).unwrap();
    assert!(consumer.fetch(&partitions[0], 0, &mut |_| shown += 1).unwrap());
    assert_eq!(shown, 2);
    assert_eq!(snapshots.load(0, PATIENCE).unwrap(), stored);
}

#[test]
fn a_snapshot_that_the_brokers_refuse_is_not_stored() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("state", 2, 1).unwrap();
    let snapshots = Snapshots::new(&settings(&cluster), "state").unwrap();
    let bytes = vec![7; 1_500_000];
    snapshots.store(1, 4, &bytes, PATIENCE).unwrap();
    assert_eq!(snapshots.load(1, PATIENCE).unwrap(), Some((4, bytes.clone())));
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    cluster.request_errors(RDKafkaApiKey::Produce, &[too_large]);
    let refused = snapshots.store(1, 5, b"refused", PATIENCE);
    let error = refused.expect_err("the broker refuses it").to_string();
    assert!(error.contains("state/1"), "{error}");
    assert_eq!(snapshots.load(1, PATIENCE).unwrap(), Some((4, bytes)));
    // What came of one is not taken for what came of another.
    snapshots.store(1, 6, b"next", PATIENCE).unwrap();
    assert_eq!(snapshots.load(1, PATIENCE).unwrap(), Some((6, b"next".to_vec())));
}
