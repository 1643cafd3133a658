mod announce;
mod change;
mod fate;
mod lessons;
mod ports;
mod settle;
mod stats;

use std::collections::HashMap;

use bumpalo::Bump;
use changegate_normalize::NormalizedRecord;
use changegate_policy::Thresholds;
use changegate_types::{RawRecord, Versions};

use self::fate::{At, Fate, Mode, mode};
use self::lessons::Lessons;
use self::settle::Found;
use crate::batch::Batch;
use crate::clock::Now;
use crate::hop::Hop;
use crate::ledger::Operation;
use crate::part::Part;
use crate::recent::{Fresh, Place};
use crate::replay::Replay;
use crate::rows::Encoder;

pub use ports::{Normalize, ReadTo, Scorer};
pub use stats::{BlockStats, RejectAt, TopicStats};

/// A topic and how its records are read.
#[derive(Debug)]
pub struct Topic<N> {
    /// Name.
    pub name: String,
    /// Where its dead letters go.
    pub dead_letter_topic: String,
    /// `aws.cloudtrail`, …
    pub source: String,
    /// Whose records.
    pub tenant_uid: String,
    /// Reads them.
    pub normalizer: N,
}

/// What the judge is set to.
#[derive(Debug)]
pub struct Rules {
    /// Risk points to decisions.
    pub thresholds: Thresholds,
    /// What decisions are made with.
    pub versions: Versions,
    /// Topic of approval requests.
    pub approval_topic: String,
    /// Topic of decisions, where they are published.
    pub decision_topic: Option<String>,
    /// What part of the work is ours.
    pub work: Work,
}

/// What part of the work a worker does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// All of it.
    Whole,
    /// Records to children, which go to the hop.
    Normalize(Hop),
    /// Records of the hop to scored rows.
    Score,
}

/// A record of a block.
#[derive(Clone, Copy, Debug)]
pub struct BlockRecord<'a> {
    /// Which of the worker's partitions.
    pub part: u32,
    /// The record, with the Kafka time to go by.
    pub raw: RawRecord<'a>,
    /// The time was cut.
    pub time_cut: bool,
}

/// A child that the ledger refused, found by halving.
pub type Refusals = HashMap<(u32, i64, u32), String>;

/// By what a block is judged, beside the rules.
#[derive(Clone, Copy, Debug)]
pub struct BlockContext<'c> {
    /// What was looked up for the replayed records of the block, by index.
    pub replays: &'c HashMap<usize, Replay>,
    /// Children that the ledger refused.
    pub refused: &'c Refusals,
    /// Children of replayed records in the batch that is being written.
    pub under_way: &'c [Place],
    /// Originals in the batch that is being written, by shard.
    pub fresh_under_way: &'c [Fresh],
    /// The moment.
    pub now: Now,
}

/// A position holds another record than the ledger says: the topic was deleted and made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherLife {
    /// Which of the worker's partitions.
    pub part: u32,
    /// Where it showed.
    pub offset: i64,
}

/// Turns blocks of records into rows, requests and dead letters.
#[derive(Debug)]
pub struct Judge<N, S, E> {
    /// Topics by index.
    pub topics: Vec<Topic<N>>,
    /// Scores.
    pub scorer: S,
    /// Encodes.
    pub encoder: E,
    /// Settings.
    pub rules: Rules,
}

/// A record whose children have their fates: those from `first` on, up to the first of the next record.
struct Judged<'a> {
    normalized: NormalizedRecord<'a>,
    mode: Mode,
    first: usize,
}

impl<N: Normalize, S: Scorer, E: Encoder> Judge<N, S, E> {
    /// Adds a block to the batch.
    ///
    /// # Errors
    /// [`OtherLife`]: the batch is spoilt and must be dropped, and the partition started again.
    pub fn block<'a>(
        &mut self,
        arena: &'a Bump,
        records: &[BlockRecord<'a>],
        context: &BlockContext<'_>,
        parts: &mut [Part],
        batch: &mut Batch,
    ) -> Result<BlockStats, OtherLife> {
        let (replays, now) = (context.replays, context.now);
        let mut stats = BlockStats::default();
        let mut judged: Vec<Judged<'a>> = Vec::with_capacity(records.len());
        let mut fates: Vec<Fate<'a>> = Vec::with_capacity(records.len());
        let mut lessons = Lessons::new(records.len());
        for (index, record) in records.iter().enumerate() {
            let part = &mut parts[record.part as usize];
            let normalized = self.topics[part.topic].normalizer.record(arena, &record.raw);
            let mode = mode(part, record, &normalized)?;
            let first = fates.len();
            let replay = replays.get(&index);
            let passes = normalized.origin.is_none_or(|origin| part.passed.pass(&origin))
                // A dead letter of the hop itself, which never passed though others behind it did.
                || replay.is_some_and(|replay| replay.place.topic == record.raw.position.topic);
            for (child, what) in normalized.children.iter().enumerate() {
                let at = At {
                    part,
                    record,
                    normalized: &normalized,
                    replay,
                    mode,
                    passes,
                    child: child as u32,
                };
                fates.push(self.fate(arena, &at, what, context, &mut lessons, batch));
            }
            judged.push(Judged {
                normalized,
                mode,
                first,
            });
        }
        let scores = lessons.run(arena, &mut self.scorer);
        let news = self.scorer.news().into_iter();
        batch.operations.extend(news.map(|news| Operation {
            time: now.wall,
            ..news
        }));
        let last = fates.len();
        let ends: Vec<usize> = judged
            .iter()
            .skip(1)
            .map(|record| record.first)
            .chain([last])
            .collect();
        for (index, record) in records.iter().enumerate() {
            let found = Found {
                record,
                judged: &judged[index],
                replay: replays.get(&index),
                fates: &fates[judged[index].first..ends[index]],
                scores: &scores,
                now,
            };
            self.settle(arena, &mut parts[record.part as usize], &found, batch, &mut stats);
        }
        Ok(stats)
    }
}
