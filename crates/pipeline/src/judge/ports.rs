//! What the judge needs of others: someone who reads records, and someone who scores changes.

use bumpalo::Bump;
use changegate_normalize::NormalizedRecord;
use changegate_types::{ChangeEvent, RawRecord, Score, TimeMicros};

use crate::ledger::Operation;
use crate::log::TopicPartition;
use crate::part::Shard;

/// Makes changes of records.
pub trait Normalize {
    /// What the record came to. Never fails: what cannot be read is a child that is rejected.
    fn record<'a>(&self, arena: &'a Bump, record: &RawRecord<'a>) -> NormalizedRecord<'a>;

    /// The headers to keep, secrets masked. The default blanks the values of names that carry secrets by nature.
    fn headers<'a>(&self, arena: &'a Bump, record: &RawRecord<'a>) -> &'a [(&'a str, &'a [u8])] {
        if !record.headers.iter().any(|(name, _)| carries_secret(name)) {
            return record.headers;
        }
        let masked = |(name, value): &(&'a str, &'a [u8])| {
            (
                *name,
                if carries_secret(name) {
                    b"masked".as_slice()
                } else {
                    *value
                },
            )
        };
        arena.alloc_slice_fill_iter(record.headers.iter().map(masked))
    }
}

fn carries_secret(name: &str) -> bool {
    const PARTS: [&str; 6] = [
        "authorization",
        "cookie",
        "token",
        "secret",
        "password",
        "signature",
    ];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}

/// Scores changes and learns from them, in the order given; each shard for itself.
pub trait Scorer {
    /// Scores each event by what was learned before it, then learns from it. One answer per event; `None`: it could
    /// not be scored. The time is Kafka's, which drives the state's clock.
    fn score<'a>(
        &mut self,
        shard: usize,
        arena: &'a Bump,
        events: &[(&'a ChangeEvent<'a>, TimeMicros)],
        out: &mut Vec<Option<Score<'a>>>,
    );

    /// Learns only.
    fn learn(&mut self, shard: usize, arena: &Bump, events: &[(&ChangeEvent<'_>, TimeMicros)]);

    /// The partitions that will be read from now on: what is remembered of others alone is of no use any more.
    fn assigned(&mut self, partitions: &[TopicPartition]) {
        let _ = partitions;
    }

    /// The shard that the events of a partition belong to, asked before anything of the partition is read.
    fn shard(&mut self, partition: &TopicPartition) -> Shard;

    /// Where reading is to begin, so that the scorer is shown what it has not learned yet: it knows everything of the
    /// partition below this offset. Of a partition that it knows nothing of it begins at the offset given, and notes so.
    fn learn_from(&mut self, place: ReadTo<'_>) -> i64;

    /// What happened to what it knows since it was last asked, for `operations`: a learning phase is over.
    fn news(&mut self) -> Vec<Operation> {
        Vec::new()
    }

    /// Tells how far the partition was handed to this scorer. A worker tells it when it stands still and when it lets go
    /// of a partition. `durable`: all of it is committed, so that a snapshot may hold it. Not durable: it was learned from
    /// batches that are dropped. Their records will be read again, so before anything else is scored, what was learned
    /// must be put back to what is committed, and all workers that share it must [start over](crate::Worker::start_over).
    fn read_to(&mut self, place: ReadTo<'_>, durable: bool);
}

/// How far a partition was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadTo<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Incarnation.
    pub incarnation: u32,
    /// Partition.
    pub partition: i32,
    /// The next offset.
    pub next: i64,
}
