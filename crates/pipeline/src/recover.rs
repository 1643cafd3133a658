use std::fmt;

use changegate_types::{Digest, TimeMicros};
use sha2::{Digest as _, Sha256};

use crate::fence::Fence;
use crate::ledger::{self, BatchId, KnownRecord, Ledger, Operation, Range, Span, Tail};
use crate::log::{Committed, Log, LogError, TopicPartition};

/// What a person may allow beforehand.
#[derive(Clone, Debug, Default)]
pub struct RecoverRules {
    /// Records that may be lost: where a gap between the ledger and the oldest held offset lies within one of these, the
    /// stream goes on and notes it. Another gap is none of them.
    pub accepted_gaps: Vec<(TopicPartition, Range)>,
    /// The most records that a batch can hold. The worker fills it in.
    pub batch_records_max: usize,
}

/// Where and how reading of a partition begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which life of it.
    pub incarnation: u32,
    /// The first offset whose rows may be missing.
    pub start: i64,
    /// Offset after the last that has any row.
    pub until: i64,
    /// Ids of batches from now on must be greater.
    pub batch_floor: BatchId,
    /// To be written with the first batch.
    pub operations: Vec<Operation>,
}

/// Why a partition cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The ledger did not answer: try again.
    #[error("the ledger did not say what it holds: {0}")]
    Ledger(#[from] ledger::Error),
    /// The log did not answer: try again, or not.
    #[error("the log did not say what it holds: {0}")]
    Log(#[from] LogError),
    /// Records are lost to retention.
    #[error(
        "records that the ledger lacks are no longer in the log: {}; fetch them from their source again and start with \
         `kafka.accept_retention_gap = [{}]`, which goes on behind exactly these and notes them",
        told(.0, |gap| format!("{gap} (the log begins at {})", gap.range.to)),
        told(.0, |gap| format!("\"{gap}\""))
    )]
    RetentionGap(Vec<Gap>),
    /// None of the newest positions is still there, though the log holds older and newer ones.
    #[error(
        "none of the newest {tried} ledger positions of {topic}/{partition} below {below} is in the log, so nobody can \
         say whether it is the same topic; is it compacted? A raw topic must not be"
    )]
    Unverifiable {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Where the search began.
        below: i64,
        /// How many were looked for.
        tried: usize,
    },
}

/// Records of one life of a partition that are lost. Printed as the setting takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Of which partition.
    pub partition: TopicPartition,
    /// Of which life.
    pub incarnation: u32,
    /// Their offsets.
    pub range: Range,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TopicPartition { topic, partition } = &self.partition;
        let Range { from, to } = self.range;
        write!(f, "{topic}/{partition} {from}..{to}")
    }
}

fn told(gaps: &[Gap], tell: impl Fn(&Gap) -> String) -> String {
    gaps.iter().map(tell).collect::<Vec<_>>().join(", ")
}

impl Gap {
    pub(crate) fn operation(&self, kind: &str, why: &str, wall: TimeMicros) -> Operation {
        Operation {
            kind: kind.into(),
            why: why.into(),
            offset_from: self.range.from,
            offset_to: self.range.to,
            ..about(&self.partition, self.incarnation, wall)
        }
    }
}

impl RecoverError {
    /// Whether waiting may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Ledger(_) | Self::Log(LogError::Wait(_)))
    }
}

const CANDIDATES: usize = 16;
const GAPS: usize = 1_000;

/// Ends what dead owners may still run. Before anything is asked of the ledger.
///
/// A fence names the batch. A commit without one closed its batch, and no insert outlives that: the writer kills and
/// reads back before it closes whatever it had a doubt about. Without any commit (wiped, never made) a writer may run
/// whose fence nobody knows, so every running batch is ended: to a living worker that costs one more send.
///
/// # Errors
/// Where the ledger did not confirm it.
pub fn kill_dead(
    ledger: &(impl Ledger + ?Sized),
    committed: &[Option<Committed>],
) -> Result<u32, ledger::Error> {
    let fences = committed.iter().flatten().filter_map(fence_of);
    let mut batches: Vec<BatchId> = fences.map(|fence| fence.batch).collect();
    if committed.iter().any(Option::is_none) {
        batches.extend(ledger.running()?);
    }
    batches.sort_unstable();
    batches.dedup();
    let mut killed = 0;
    for batch in batches {
        killed += ledger.kill(batch)?.queries;
    }
    Ok(killed)
}

/// The fence that a commit carries, if one is open.
pub(crate) fn fence_of(committed: &Committed) -> Option<Fence> {
    Fence::parse(&committed.metadata)
}

/// Chooses the start of one partition. The ledger decides; the commit only says where to begin to ask.
///
/// # Errors
/// Where the start cannot be known, or records are lost.
pub fn plan(
    log: &impl Log,
    ledger: &(impl Ledger + ?Sized),
    partition: &TopicPartition,
    committed: Option<&Committed>,
    rules: &RecoverRules,
    wall: TimeMicros,
) -> Result<Plan, RecoverError> {
    let marks = log.watermarks(partition)?;
    let fence = committed.and_then(fence_of);
    let Some(tail) = ledger.tail(&partition.topic, partition.partition)? else {
        return Ok(without_rows(partition, committed, fence, marks, wall));
    };
    let search = Search {
        log,
        ledger,
        partition,
        marks,
        tail,
        committed,
        fence,
        rules,
        wall,
    };
    search.plan()
}

/// The ledger holds nothing of the partition: everything that is held is missing.
fn without_rows(
    partition: &TopicPartition,
    committed: Option<&Committed>,
    fence: Option<Fence>,
    marks: Range,
    wall: TimeMicros,
) -> Plan {
    let mut operations = Vec::new();
    let closed_at = committed.filter(|committed| fence.is_none() && committed.offset > marks.from);
    if let Some(committed) = closed_at {
        tracing::error!(
            topic = %partition.topic, partition = partition.partition, committed = committed.offset,
            "positions are committed that the ledger does not hold: they are read and written again"
        );
        operations.push(Operation {
            kind: "ledger_short".into(),
            why: "positions were committed that the ledger does not hold".into(),
            offset_from: marks.from,
            offset_to: committed.offset,
            ..about(partition, 0, wall)
        });
    }
    Plan {
        // An open fence may name a life that has no row yet.
        incarnation: fence.as_ref().map_or(0, |fence| fence.incarnation),
        start: marks.from,
        until: marks.from,
        batch_floor: fence.as_ref().map_or(BatchId::default(), |fence| fence.batch),
        operations,
    }
}

fn about(partition: &TopicPartition, incarnation: u32, wall: TimeMicros) -> Operation {
    Operation {
        time: wall,
        topic: partition.topic.clone(),
        partition: partition.partition,
        incarnation,
        ..Operation::default()
    }
}

struct Search<'s, L, D: ?Sized> {
    log: &'s L,
    ledger: &'s D,
    partition: &'s TopicPartition,
    marks: Range,
    tail: Tail,
    committed: Option<&'s Committed>,
    fence: Option<Fence>,
    rules: &'s RecoverRules,
    wall: TimeMicros,
}

/// What comparing with the log says of the ledger's newest incarnation.
enum Life {
    Same,
    Other,
    /// No position of the ledger is still held.
    Unheld,
}

impl<L: Log, D: Ledger + ?Sized> Search<'_, L, D> {
    fn plan(&self) -> Result<Plan, RecoverError> {
        if self.marks.to <= self.tail.max_offset {
            return Ok(self.new_life("the log ends below the ledger's maximum"));
        }
        if self
            .fence
            .as_ref()
            .is_some_and(|fence| fence.incarnation > self.tail.incarnation)
        {
            // A life was opened and fenced, and its first batch wrote nothing.
            return Ok(self.new_life("an open fence names a newer life than the ledger"));
        }
        match self.life()? {
            Life::Other => Ok(self.new_life("a position holds another record than the ledger says")),
            Life::Same => self.go_on(),
            Life::Unheld => self.unheld(),
        }
    }

    fn span(&self, from: i64, to: i64) -> Span<'_> {
        Span {
            topic: &self.partition.topic,
            incarnation: self.tail.incarnation,
            partition: self.partition.partition,
            from,
            to,
        }
    }

    /// All records that a log holds are of one life, so one position that is held tells.
    fn life(&self) -> Result<Life, RecoverError> {
        let below = self.committed.map_or(i64::MAX, |committed| committed.offset);
        let mut tried = 0;
        for (from, to) in [(self.marks.from, below), (self.marks.from, i64::MAX)] {
            let candidates = self.ledger.newest_records(&self.span(from, to), CANDIDATES)?;
            tried += candidates.len();
            for known in &candidates {
                if let Some(same) = self.compare(known)? {
                    return Ok(if same { Life::Same } else { Life::Other });
                }
            }
        }
        if tried == 0 {
            return Ok(Life::Unheld);
        }
        Err(RecoverError::Unverifiable {
            topic: self.partition.topic.clone(),
            partition: self.partition.partition,
            below,
            tried,
        })
    }

    fn compare(&self, known: &KnownRecord) -> Result<Option<bool>, RecoverError> {
        let mut same = None;
        let held = self.log.fetch(self.partition, known.offset, &mut |record| {
            let hash = Digest(Sha256::digest(record.value.unwrap_or_default()).into());
            same = Some(hash == known.raw_hash);
        })?;
        Ok(if held { same } else { None })
    }

    /// The lowest offset that has no completion row, as far as the commit lets us look.
    fn go_on(&self) -> Result<Plan, RecoverError> {
        let start = match self.committed {
            // What lies between the newest row below the commit and the commit is a hole or was swallowed: reading it
            // again costs nothing and mends it.
            Some(committed) => {
                let newest = self
                    .ledger
                    .newest_records(&self.span(i64::MIN, committed.offset), 1)?;
                let after = newest.first().map_or(self.marks.from, |known| known.offset + 1);
                if after < committed.offset && self.is_hole(after, committed.offset)? {
                    committed.offset
                } else {
                    after.min(committed.offset)
                }
            }
            None => self.first_missing()?,
        };
        if start < self.marks.from {
            return self.gap(start);
        }
        Ok(self.from(start, Vec::new()))
    }

    fn is_hole(&self, from: i64, to: i64) -> Result<bool, RecoverError> {
        let holes = self.ledger.holes(&self.span(from, to))?;
        Ok(uncovered(Range { from, to }, &holes).is_none())
    }

    /// Without a commit all completion rows from the oldest held offset on are looked through for gaps. Rows alone do not
    /// say whether the last batch's requests and dead letters were sent, so as much as a batch can hold is read again.
    fn first_missing(&self) -> Result<i64, RecoverError> {
        let Some(max_record) = self.tail.max_record else {
            return Ok(self.marks.from);
        };
        let after = max_record + 1;
        if after <= self.marks.from {
            return Ok(after);
        }
        let mut from = self.marks.from;
        let mut missing = None;
        while missing.is_none() {
            let span = self.span(from, after);
            let gaps = self.ledger.gaps(&span, GAPS)?;
            let holes = self.ledger.holes(&span)?;
            missing = gaps.iter().find_map(|gap| uncovered(*gap, &holes));
            match gaps.last() {
                Some(gap) if gaps.len() == GAPS => from = gap.to,
                _ => break,
            }
        }
        // After the gaps: completion rows that land late, between the two questions, fill a gap that was seen.
        let records = self.rules.batch_records_max.max(1);
        let last = self
            .ledger
            .newest_records(&self.span(self.marks.from, after), records)?;
        let last_batch = last.last().map_or(after, |oldest| oldest.offset);
        Ok(missing.map_or(last_batch, |missing| missing.min(last_batch)))
    }

    fn unheld(&self) -> Result<Plan, RecoverError> {
        let Some(max_record) = self.tail.max_record else {
            // Only the open first batch has rows: what its children say is compared when they are read again.
            return Ok(self.from(self.marks.from, Vec::new()));
        };
        let after = max_record + 1;
        if after < self.marks.from {
            return self.gap(after);
        }
        // Retention has passed all that was done and nothing else: the log goes on where the ledger ends.
        Ok(self.from(after, Vec::new()))
    }

    fn gap(&self, from: i64) -> Result<Plan, RecoverError> {
        let to = self.marks.from;
        let gap = Gap {
            partition: self.partition.clone(),
            incarnation: self.tail.incarnation,
            range: Range { from, to },
        };
        let is_accepted = |(partition, range): &(TopicPartition, Range)| {
            partition == self.partition && range.from <= from && to <= range.to
        };
        tracing::error!(topic = %self.partition.topic, partition = self.partition.partition, from, to, "records are lost to retention");
        if !self.rules.accepted_gaps.iter().any(is_accepted) {
            return Err(RecoverError::RetentionGap(vec![gap]));
        }
        let why = "retention passed the position; `kafka.accept_retention_gap` told to go on";
        let operation = gap.operation("gap_skipped", why, self.wall);
        Ok(self.from(to, vec![operation]))
    }

    fn from(&self, start: i64, operations: Vec<Operation>) -> Plan {
        Plan {
            incarnation: self.tail.incarnation,
            start,
            until: (self.tail.max_offset + 1).max(start),
            batch_floor: self.batch_floor(),
            operations,
        }
    }

    fn batch_floor(&self) -> BatchId {
        self.fence
            .as_ref()
            .map_or(self.tail.batch, |fence| fence.batch.max(self.tail.batch))
    }

    fn new_life(&self, why: &str) -> Plan {
        let incarnation = self.tail.incarnation + 1;
        new_life(
            self.partition,
            incarnation,
            self.marks.from,
            self.batch_floor(),
            why,
            self.wall,
        )
    }
}

/// Opens a new incarnation: everything that is held is read, and no row of before hides it.
pub fn new_life(
    partition: &TopicPartition,
    incarnation: u32,
    start: i64,
    batch_floor: BatchId,
    why: &str,
    wall: TimeMicros,
) -> Plan {
    tracing::error!(
        topic = %partition.topic, partition = partition.partition, incarnation, why,
        "the topic was deleted and made anew: a new incarnation begins"
    );
    let operation = Operation {
        kind: "new_incarnation".into(),
        why: why.into(),
        offset_from: start,
        offset_to: start,
        ..about(partition, incarnation, wall)
    };
    Plan {
        incarnation,
        start,
        until: start,
        batch_floor,
        operations: vec![operation],
    }
}

/// The first offset of `range` that lies in none of the holes.
fn uncovered(range: Range, holes: &[Range]) -> Option<i64> {
    let mut holes = holes.to_vec();
    holes.sort_unstable();
    let mut at = range.from;
    for hole in holes {
        if hole.from <= at {
            at = at.max(hole.to);
        }
    }
    (at < range.to).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_cover_gaps() {
        let range = |from, to| Range { from, to };
        assert_eq!(uncovered(range(5, 9), &[]), Some(5));
        assert_eq!(uncovered(range(5, 9), &[range(5, 9)]), None);
        assert_eq!(uncovered(range(5, 9), &[range(7, 12), range(0, 7)]), None);
        assert_eq!(uncovered(range(5, 9), &[range(5, 7)]), Some(7));
        assert_eq!(uncovered(range(5, 9), &[range(6, 9)]), Some(5));
    }
}
