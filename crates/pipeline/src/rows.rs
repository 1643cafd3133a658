use changegate_approval::Ask;
use changegate_types::{
    DecidedChange, Digest, Marks, Position, Reject, RejectCode, SkipReason, TimeMicros, Versions,
};

use crate::ledger::Stamp;

/// Writes rows as bytes behind each other, in the format of [`crate::Ledger::insert`].
///
/// Each method appends one whole row to `out` and returns the index in `out` of the byte that holds its `attempt`
/// (`UInt8`): after a kill and a read-back the pipeline sends the missing rows again with the next number, and only
/// that byte changes. Nothing else of a row may depend on the attempt.
pub trait Encoder {
    /// A row of `changes`.
    fn change(&self, row: &ChangeRow<'_>, out: &mut Vec<u8>) -> usize;
    /// A row of `rejected`.
    fn rejected(&self, row: &RejectedRow<'_>, out: &mut Vec<u8>) -> usize;
    /// A row of `superseded`. The `attempt` is that of the copy which the row names.
    fn superseded(&self, row: &SupersededRow<'_>, out: &mut Vec<u8>) -> usize;
    /// A row of `raw_records`.
    fn record(&self, row: &RawRow<'_>, out: &mut Vec<u8>) -> usize;
}

/// What all rows that come of one record share.
#[derive(Clone, Copy, Debug)]
pub struct RecordContext<'a> {
    /// Where the record stands. For rows of `changes` and `rejected` of a replayed dead letter: the original place.
    pub position: Position<'a>,
    /// Kafka's record time, cut where it lay in the future.
    pub kafka_time: TimeMicros,
    /// When this process read it.
    pub ingest_time: TimeMicros,
    /// Columns `batch_id` and `attempt`.
    pub stamp: Stamp,
    /// Whose record it is.
    pub tenant_uid: &'a str,
    /// `aws.cloudtrail`, …
    pub source: &'a str,
    /// SHA-256 of the value as received.
    pub raw_hash: Digest,
}

/// One row of `changes`.
#[derive(Clone, Copy, Debug)]
pub struct ChangeRow<'a> {
    /// The record that it came in.
    pub record: &'a RecordContext<'a>,
    /// Index within the record.
    pub child: u32,
    /// Another event has the same `event_uid` and says something else.
    pub uid_conflict: bool,
    /// Marks that the stream adds to those of the event.
    pub marks: Marks,
    /// Event, score, decision.
    pub decided: &'a DecidedChange<'a>,
    /// Column `approval` (`Ask::name`): what was done about asking people.
    pub ask: Ask,
    /// The decoded child, where the event's own `child_bytes` does not hold it and `raw_start`/`raw_len` do not
    /// point into this position's kept bytes (a replayed dead letter). Takes the place of both when not empty.
    pub child_bytes: &'a [u8],
    /// What it was decided with.
    pub versions: &'a Versions,
    /// The record of the hop that it came in, where it came over the hop.
    pub hop: Option<Position<'a>>,
}

/// One row of `rejected`.
#[derive(Clone, Copy, Debug)]
pub struct RejectedRow<'a> {
    /// The record.
    pub record: &'a RecordContext<'a>,
    /// Index within the record.
    pub child: u32,
    /// What is wrong, and where.
    pub reject: &'a Reject<'a>,
    /// What the component that refused it said; empty where `reject` says it all.
    pub error: &'a str,
    /// The record's bytes with secrets masked.
    pub bytes: &'a [u8],
}

/// Why a row is a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Another row has the same position and a larger stamp.
    LateInsert,
    /// The same event stands at another position.
    Redelivery,
    /// Of the rows with this position and stamp one is shown.
    Identical,
}

impl Why {
    /// The name in the `why` column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LateInsert => "late_insert",
            Self::Redelivery => "redelivery",
            Self::Identical => "identical",
        }
    }
}

/// One row of `superseded`: which row is a copy, why, and of which.
#[derive(Clone, Copy, Debug)]
pub struct SupersededRow<'a> {
    /// Position of the copy.
    pub position: Position<'a>,
    /// Its child; -1 for a row of `raw_records`.
    pub child: i32,
    /// Its stamp.
    pub stamp: Stamp,
    /// Why it is a copy.
    pub why: Why,
    /// Position of the row that stays.
    pub of: Position<'a>,
    /// Its child.
    pub of_child: i32,
    /// Its stamp; zero where only the position is known.
    pub of_stamp: Stamp,
    /// Kafka's record time of the copy.
    pub kafka_time: TimeMicros,
    /// When it was found.
    pub noted_time: TimeMicros,
}

/// How the children of one record ended: each in exactly one of the three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Rows of `changes`.
    pub written: u32,
    skipped: [u32; SkipReason::ALL.len()],
    dead_lettered: [u32; RejectCode::ALL.len()],
}

impl Outcomes {
    /// One more child became a row.
    pub fn write(&mut self) {
        self.written += 1;
    }

    /// One more child was skipped.
    pub fn skip(&mut self, reason: SkipReason) {
        self.skipped[reason as usize] += 1;
    }

    /// One more child was dead-lettered.
    pub fn dead_letter(&mut self, code: RejectCode) {
        self.dead_lettered[code as usize] += 1;
    }

    /// One child that was counted as a row is none: the ledger refused it.
    pub fn refuse(&mut self) {
        self.written = self.written.saturating_sub(1);
        self.dead_letter(RejectCode::RowRefused);
    }

    /// How many were skipped for this reason.
    pub fn skipped(&self, reason: SkipReason) -> u32 {
        self.skipped[reason as usize]
    }

    /// How many were dead-lettered with this code.
    pub fn dead_lettered(&self, code: RejectCode) -> u32 {
        self.dead_lettered[code as usize]
    }

    /// Skipped, whatever the reason.
    pub fn all_skipped(&self) -> u32 {
        self.skipped.iter().sum()
    }

    /// Dead-lettered, whatever the code.
    pub fn all_dead_lettered(&self) -> u32 {
        self.dead_lettered.iter().sum()
    }

    /// All children.
    pub fn children(&self) -> u32 {
        self.written + self.all_skipped() + self.all_dead_lettered()
    }

    /// Adds those of another record.
    pub fn add(&mut self, other: &Self) {
        self.written += other.written;
        self.skipped
            .iter_mut()
            .zip(other.skipped)
            .for_each(|(sum, count)| *sum += count);
        self.dead_lettered
            .iter_mut()
            .zip(other.dead_lettered)
            .for_each(|(sum, count)| *sum += count);
    }
}

/// One row of `raw_records`.
#[derive(Clone, Copy, Debug)]
pub struct RawRow<'a> {
    /// The record.
    pub record: &'a RecordContext<'a>,
    /// How its children ended.
    pub outcomes: &'a Outcomes,
    /// Bytes of the value as received; 0 for a tombstone.
    pub raw_size: u32,
    /// SHA-256 of the bytes that are kept.
    pub stored_hash: Digest,
    /// How the kept bytes came out of the value: empty, `gzip`, `base64+gzip`.
    pub stored_encoding: &'a str,
    /// How many secrets were masked.
    pub secrets_masked: u32,
    /// Record key.
    pub key: Option<&'a [u8]>,
    /// Record headers in their order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The bytes with secrets masked; `None` where a setting keeps none.
    pub raw: Option<&'a [u8]>,
}
