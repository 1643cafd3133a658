//! What is normalized in one place and scored in another becomes the same rows as in one place.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bumpalo::Bump;
use changegate_approval::{AskRules, Asker};
use changegate_normalize::{Child, Environments, Normalizer, RecordLimits};
use changegate_normalize::{TenantSettings, TopicSettings, source_names};
use changegate_pipeline::batch::Batch;
use changegate_pipeline::hop::{Hop, Reader};
use changegate_pipeline::judge::{BlockContext, BlockRecord, Refusals};
use changegate_pipeline::ledger::BatchId;
use changegate_pipeline::log::TopicPartition;
use changegate_pipeline::outgoing::{Kind, Outgoing};
use changegate_pipeline::part::{Part, Shard};
use changegate_pipeline::rows::{ChangeRow, RawRow, RejectedRow, SupersededRow};
use changegate_pipeline::{Encoder, Judge, Normalize, Now, ReadTo, Recent, Rules, Scorer, Topic, Work};
use changegate_policy::Thresholds;
use changegate_simulator::{LoadGenerator, header_pairs};
use changegate_types::{ChangeEvent, Position, RawRecord, RiskScore, Score, TimeMicros, Versions};
use proptest::prelude::*;

/// 2026-11-24T08:00:00Z
const NOW: TimeMicros = TimeMicros(1_795_507_200_000_000);
const HOP: &str = "changegate.change.v1";

/// Rows in words, without what a row has only behind the hop.
#[derive(Default)]
struct Words(Rc<RefCell<[Vec<String>; 4]>>);

impl Words {
    fn put(&self, table: usize, words: String, out: &mut Vec<u8>) -> usize {
        self.0.borrow_mut()[table].push(words);
        out.push(1);
        out.len() - 1
    }
}

impl Encoder for Words {
    fn change(&self, row: &ChangeRow<'_>, out: &mut Vec<u8>) -> usize {
        let mut event = row.decided.event.clone();
        // The stream's marks and the event's are one column.
        event.marks = event.marks.union(row.marks);
        let decided = changegate_types::DecidedChange {
            event: &event,
            ..*row.decided
        };
        let row = ChangeRow {
            decided: &decided,
            marks: event.marks,
            hop: None,
            ..*row
        };
        self.put(0, format!("{row:?}"), out)
    }

    fn rejected(&self, row: &RejectedRow<'_>, out: &mut Vec<u8>) -> usize {
        self.put(1, format!("{row:?}"), out)
    }

    fn superseded(&self, row: &SupersededRow<'_>, out: &mut Vec<u8>) -> usize {
        self.put(2, format!("{row:?}"), out)
    }

    fn record(&self, row: &RawRow<'_>, out: &mut Vec<u8>) -> usize {
        self.put(3, format!("{row:?}"), out)
    }
}

/// A score that comes of the event alone.
struct ById(Shard);

impl Scorer for ById {
    fn score<'a>(
        &mut self,
        _: usize,
        _: &'a Bump,
        events: &[(&'a ChangeEvent<'a>, TimeMicros)],
        out: &mut Vec<Option<Score<'a>>>,
    ) {
        out.extend(events.iter().map(|(event, time)| {
            Some(Score {
                risk: RiskScore::new((event.event_uid.0 % 100) as f32),
                extrapolated: false,
                raw: time.0 as f32,
                stratum: "all",
                learning: false,
                features: &[],
                reasons: &[],
            })
        }));
    }

    fn learn(&mut self, _: usize, _: &Bump, _: &[(&ChangeEvent<'_>, TimeMicros)]) {}

    fn shard(&mut self, _: &TopicPartition) -> Shard {
        self.0.clone()
    }

    fn learn_from(&mut self, place: ReadTo<'_>) -> i64 {
        place.next
    }

    fn read_to(&mut self, _: ReadTo<'_>, _: bool) {}
}

/// One process with all its partitions.
struct Stage {
    judge: Judge<Reader, ById, Words>,
    parts: Vec<Part>,
    rows: Rc<RefCell<[Vec<String>; 4]>>,
}

impl Stage {
    fn new(work: Work, bytes_max: usize) -> Self {
        let rules = AskRules {
            approval_max_age_micros: i64::MAX,
            learning_approve_from: 0.0,
            budget_per_hour: 1_000_000,
        };
        let shard = Shard {
            number: 0,
            recent: Arc::new(Recent::new(1 << 16)),
            asker: Arc::new(Mutex::new(Asker::new(rules, 1 << 16))),
        };
        let topics: Vec<Topic<Reader>> = match work {
            Work::Score => vec![topic(HOP, Reader::Hop)],
            Work::Whole | Work::Normalize(_) => source_names()
                .map(|source| topic(source, Reader::Source(Box::new(normalizer(source, bytes_max)))))
                .collect(),
        };
        let parts = topics.iter().enumerate().map(|(index, topic)| {
            let partition = TopicPartition {
                topic: topic.name.clone(),
                partition: 3,
            };
            Part {
                incarnation: 2,
                learn_below: i64::MIN,
                ..Part::new(partition, index, shard.clone())
            }
        });
        let parts = parts.collect();
        let words = Words::default();
        let rows = Rc::clone(&words.0);
        Self {
            judge: Judge {
                topics,
                scorer: ById(shard),
                encoder: words,
                rules: Rules {
                    thresholds: Thresholds::default(),
                    versions: Versions::default(),
                    approval_topic: "approval".into(),
                    decision_topic: Some("decisions".into()),
                    work,
                },
            },
            parts,
            rows,
        }
    }

    /// Reads one record; what is to be sent.
    fn read(&mut self, topic: usize, record: RawRecord<'_>, time_cut: bool) -> Vec<Outgoing> {
        let arena = Bump::new();
        let mut batch = Batch::with_id(BatchId(7));
        let raw = RawRecord {
            position: Position {
                topic: &self.judge.topics[topic].name.clone(),
                incarnation: 2,
                partition: 3,
                offset: self.parts[topic].next,
            },
            ..record
        };
        let block = [BlockRecord {
            part: topic as u32,
            raw,
            time_cut,
        }];
        let context = BlockContext {
            replays: &Default::default(),
            refused: &Refusals::new(),
            under_way: &[],
            fresh_under_way: &[],
            now: Now {
                wall: NOW,
                up: Duration::from_secs(1),
            },
        };
        self.judge
            .block(&arena, &block, &context, &mut self.parts, &mut batch)
            .expect("one life");
        self.parts[topic].shard.recent.keep(batch.fresh_mut(0));
        batch.outgoing
    }
}

fn topic(name: &str, normalizer: Reader) -> Topic<Reader> {
    Topic {
        name: name.to_owned(),
        dead_letter_topic: format!("{name}.dlq"),
        source: name.to_owned(),
        tenant_uid: "acme".to_owned(),
        normalizer,
    }
}

fn normalizer(source: &str, bytes_max: usize) -> Normalizer {
    let topic = TopicSettings {
        source: source.to_owned(),
        cluster: "eu1".to_owned(),
        // Both kinds of children cross the hop.
        store_reads: source != "kubernetes.audit",
        limits: RecordLimits {
            bytes: bytes_max,
            ..RecordLimits::default()
        },
    };
    let tenant = TenantSettings {
        uid: "acme".to_owned(),
        mask_key: b"a key for tests only".to_vec(),
        secret_names: Vec::new(),
        secret_patterns: Vec::new(),
        ticket_patterns: Vec::new(),
        environments: Environments::new(&[]).expect("no rules"),
    };
    Normalizer::new(topic, tenant).expect("a known source")
}

fn hop(bytes_max: usize) -> Work {
    Work::Normalize(Hop {
        topic: HOP.to_owned(),
        bytes_max,
    })
}

fn of_kind(messages: Vec<Outgoing>, kind: Kind) -> Vec<Outgoing> {
    messages
        .into_iter()
        .filter(|message| message.kind == kind)
        .collect()
}

/// What the reader of the hop reads of a message.
fn deliver(stage: &mut Stage, message: &Outgoing) -> Vec<Outgoing> {
    let headers: Vec<(&str, &[u8])> = message
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect();
    let record = RawRecord {
        kafka_time: message.time.expect("the time of the raw record"),
        key: message.key.as_deref(),
        headers: &headers,
        ..RawRecord::of_no_topic(message.value.as_deref().expect("a value"), TimeMicros(0))
    };
    stage.read(0, record, false)
}

#[test]
fn the_same_rows_and_messages_with_a_hop_and_without() {
    let (mut whole, mut normalize, mut score) = (
        Stage::new(Work::Whole, 1 << 20),
        Stage::new(hop(1 << 20), 1 << 20),
        Stage::new(Work::Score, 1 << 20),
    );
    let mut load = LoadGenerator::new(11, 3_000);
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let mut children = Vec::new();
    for number in 0..6_000 {
        let time = TimeMicros(NOW.0 - (6_000 - number) * 1_000_000);
        let record = load.next(time.millis());
        let topic = source_names()
            .position(|source| source == record.source)
            .expect("a known source");
        let pairs = header_pairs(record.headers);
        // Some are damaged, some have a time that was not believed.
        let length = if number % 50 == 7 {
            record.value.len() / 2
        } else {
            record.value.len()
        };
        let raw = RawRecord {
            key: Some(record.key),
            headers: &pairs,
            ..RawRecord::of_no_topic(&record.value[..length], time)
        };
        let time_cut = number % 31 == 0;
        // Now and then its sender sends it twice.
        for _ in 0..1 + u32::from(number % 40 == 3) {
            expected.extend(whole.read(topic, raw, time_cut));
            for message in normalize.read(topic, raw, time_cut) {
                if message.kind == Kind::Child {
                    found.extend(deliver(&mut score, &message));
                    children.push(message);
                } else {
                    found.push(message);
                }
            }
        }
    }
    let (whole, normalized) = (whole.rows.borrow(), normalize.rows.borrow());
    assert!(whole[0].len() > 3_000 && whole[1].len() > 50, "a fair sample");
    {
        let scored = score.rows.borrow();
        assert_eq!(scored[0].len(), whole[0].len());
        for (scored, whole) in scored[0].iter().zip(&whole[0]) {
            assert_eq!(scored, whole);
        }
        assert_eq!(
            scored[2], whole[2],
            "copies are known, and stand where their raw records do"
        );
        assert_eq!(
            scored[3].len(),
            children.len(),
            "each record of the hop has its row"
        );
        assert!(scored[1].is_empty());
    }
    assert!(normalized[0].is_empty());
    assert_eq!(normalized[1], whole[1]);
    assert_eq!(normalized[3], whole[3], "outcomes of raw records");
    // Requests, decisions and dead letters, in whatever order.
    let sorted = |mut messages: Vec<Outgoing>| {
        messages.sort_by(|a, b| (&a.topic, &a.key, &a.value).cmp(&(&b.topic, &b.key, &b.value)));
        messages
    };
    assert!(!of_kind(expected.clone(), Kind::Request).is_empty());
    assert_eq!(sorted(found), sorted(expected));

    // Whoever died before it committed has a successor that sends all of it again.
    let before = score.rows.borrow()[0].len();
    for message in &children {
        assert_eq!(deliver(&mut score, message), [], "a repeat asks nothing");
    }
    let rows = score.rows.borrow();
    assert_eq!(rows[0].len(), before, "no row twice");
    assert_eq!(rows[3].len(), 2 * children.len());
    assert!(rows[3].last().is_some_and(|row| row.contains("written: 0")));
}

#[test]
fn a_child_that_the_hop_does_not_take_is_dead_lettered() {
    let mut normalize = Stage::new(hop(600), 1 << 20);
    let mut load = LoadGenerator::cloudtrail(5, 10);
    let record = load.next(NOW.millis());
    let raw = RawRecord::of_no_topic(record.value, NOW);
    let topic = source_names()
        .position(|source| source == record.source)
        .expect("a known source");
    let sent = normalize.read(topic, raw, false);
    assert!(
        sent.iter().all(|message| message.kind == Kind::DeadLetter),
        "{sent:?}"
    );
    assert!(!sent.is_empty());
    assert!(normalize.rows.borrow()[1][0].contains("TooLarge"));
}

/// What the reader of the hop makes of bytes.
fn read(value: &[u8]) -> (usize, bool) {
    let arena = Bump::new();
    let read = Reader::Hop.record(&arena, &RawRecord::of_no_topic(value, NOW));
    let is_rejected = matches!(read.children, [Child::Reject(_)]);
    assert_eq!(read.children.len(), 1);
    assert_eq!(read.origin.is_some(), !is_rejected);
    (read.children.len(), is_rejected)
}

fn message() -> Vec<u8> {
    let mut normalize = Stage::new(hop(1 << 20), 1 << 20);
    let mut load = LoadGenerator::cloudtrail(5, 10);
    let record = load.next(NOW.millis());
    let topic = source_names()
        .position(|source| source == record.source)
        .expect("a known source");
    let sent = normalize.read(topic, RawRecord::of_no_topic(record.value, NOW), false);
    of_kind(sent, Kind::Child).remove(0).value.expect("a value")
}

proptest! {
    #[test]
    fn foreign_bytes_are_rejected_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read(&bytes);
    }

    #[test]
    fn damaged_records_never_panic(
        cut in any::<prop::sample::Index>(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut bytes = message();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        read(&bytes);
    }

    #[test]
    fn fields_of_a_later_version_are_passed_over(field in 100u32..10_000, text in ".{0,40}") {
        let mut bytes = message();
        let key = u64::from(field) << 3 | 2;
        bytes.extend([key as u8 | 0x80, (key >> 7) as u8 | 0x80, (key >> 14) as u8]);
        bytes.push(text.len() as u8 & 0x7f);
        bytes.extend(&text.as_bytes()[..text.len() & 0x7f]);
        prop_assert_eq!(read(&bytes), (1, false));
    }
}
