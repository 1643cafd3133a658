use std::fmt;
use std::time::Duration;

use changegate_approval::{Ask, StoredChange};
use changegate_types::{ChangeUid, ContentHash, Digest, EventUid, RejectCode, TimeMicros};

/// The store of rows, as the pipeline needs it. Blocking: every call ends within its deadline.
///
/// A row of `changes` stands at the position of its raw record. Where the span is one of the hop it is found by the
/// position of the hop's record, of which it is child 0, all the same.
///
/// An acknowledgement is a hint and the read-back is the truth, so a read must see every insert that was
/// acknowledged before it (on a cluster: `select_sequential_consistency`, or the same replica).
pub trait Ledger: Send + Sync {
    /// Inserts one block into one partition of one table, whole or not at all. Never retries by itself.
    ///
    /// # Errors
    /// See [`Class`]: what the caller may assume about the rows.
    fn insert(&self, insert: &Insert<'_>) -> Result<(), Error>;

    /// Ends every running query whose id begins with `cg:<batch>:` and waits until none runs.
    ///
    /// # Errors
    /// Where the server did not confirm that none runs.
    fn kill(&self, batch: BatchId) -> Result<Killed, Error>;

    /// Batches that have a query running now (`system.processes`, ids `cg:<batch>:…`).
    ///
    /// # Errors
    /// Where the question got no answer.
    fn running(&self) -> Result<Vec<BatchId>, Error>;

    /// What the ledger holds of the newest incarnation of a partition; `None` where it holds no row of it at all.
    ///
    /// # Errors
    /// Where the question got no answer.
    fn tail(&self, topic: &str, partition: i32) -> Result<Option<Tail>, Error>;

    /// The newest rows of `raw_records` below an offset (and at or above `span.from`), newest first, at most `limit`.
    ///
    /// # Errors
    /// Where the question got no answer.
    fn newest_records(&self, span: &Span<'_>, limit: usize) -> Result<Vec<KnownRecord>, Error>;

    /// Rows of `raw_records` within the span, by offset. Of copies, the one with the largest stamp.
    ///
    /// # Errors
    /// Where the question got no answer.
    fn known_records(&self, span: &Span<'_>) -> Result<Vec<KnownRecord>, Error>;

    /// Rows of `changes` within the span, by offset and child. Of copies, the one with the largest stamp.
    ///
    /// # Errors
    /// Where the question got no answer.
    fn known_changes(&self, span: &Span<'_>) -> Result<Vec<KnownChange>, Error>;

    /// Rows of `rejected` within the span, by offset and child. Of copies, the one with the largest stamp.
    ///
    /// # Errors
    /// Where the question got no answer.
    fn known_rejects(&self, span: &Span<'_>) -> Result<Vec<KnownReject>, Error>;

    /// Offset and child of the redeliveries that `superseded` names within the span, sorted.
    ///
    /// # Errors
    /// Where the question got no answer.
    fn known_superseded(&self, span: &Span<'_>) -> Result<Vec<(i64, i32)>, Error>;

    /// Rows of `changes` within the span whose `approval` is `asked` or `grouped`, each with the offset of the record that
    /// it was read from, by offset and child; with `decisions` those too that hold a decision to publish. Of copies, only
    /// the one with the largest stamp is looked at.
    ///
    /// # Errors
    /// Where the question got no answer.
    fn requests(&self, span: &Span<'_>, decisions: bool) -> Result<Vec<(i64, StoredChange)>, Error>;

    /// The furthest child of each raw partition that has a row from a record of the hop within the span.
    ///
    /// # Errors
    /// Where the question got no answer.
    fn furthest(&self, span: &Span<'_>) -> Result<Vec<Furthest>, Error>;

    /// Ranges without a row in `raw_records` between `span.from` and the last row below `span.to`, lowest first, at
    /// most `limit`. Includes the range from `span.from` to the first row.
    ///
    /// # Errors
    /// Where the question got no answer.
    fn gaps(&self, span: &Span<'_>, limit: usize) -> Result<Vec<Range>, Error>;

    /// Holes recorded for the incarnation (`operations` of kind `hole` and `gap_skipped`), by offset.
    ///
    /// # Errors
    /// Where the question got no answer.
    fn holes(&self, span: &Span<'_>) -> Result<Vec<Range>, Error>;

    /// Finds second copies of positions within the span (all of the ledger, where `None`) in `changes`, `rejected`
    /// and `raw_records`, and puts into `superseded` what [`crate::copies::settle`] says is missing there. Where a row of
    /// a position is known as a `redelivery`, all are; of two positions that call each other so, the one that the larger
    /// batch called it.
    ///
    /// # Errors
    /// Where it got no answer. Safe to repeat.
    fn settle_copies(&self, span: Option<&Span<'_>>) -> Result<Copies, Error>;

    /// Writes what the system itself did. At least once: a repeat may show twice.
    ///
    /// # Errors
    /// Where the rows were not acknowledged.
    fn operations(&self, operations: &[Operation]) -> Result<(), Error>;
}

/// Tables of the ledger that a tick writes, in the order of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// One row per child that is written.
    Changes,
    /// One row per child that is dead-lettered.
    Rejected,
    /// One row per copy.
    Superseded,
    /// One row per record: the completion mark, so it goes last.
    RawRecords,
}

impl Table {
    /// Every table, in the order of writing.
    pub const ALL: [Self; 4] = [Self::Changes, Self::Rejected, Self::Superseded, Self::RawRecords];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::RawRecords => "raw_records",
        }
    }
}

/// Id of a batch: of its fence, its queries and its rows. Rises with every batch of a partition, whoever owns it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `cg:<batch>:<table>:<part>:<attempt>:<send>`: never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueryId {
    /// Batch.
    pub batch: BatchId,
    /// Table.
    pub table: Table,
    /// Which piece of the batch goes into the table: month, half of a refused piece.
    pub part: u32,
    /// Changes only after a kill and a read-back.
    pub attempt: u8,
    /// Changes with every send of the same bytes.
    pub send: u32,
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            batch,
            table,
            part,
            attempt,
            send,
        } = self;
        write!(f, "cg:{batch}:{}:{part}:{attempt}:{send}", table.name())
    }
}

/// One insert: rows of one table and one month.
#[derive(Clone, Copy, Debug)]
pub struct Insert<'a> {
    /// Table.
    pub table: Table,
    /// Id of the query.
    pub query_id: QueryId,
    /// `insert_deduplication_token`: hash over table, positions and raw hashes, never over scores or bytes.
    pub token: Digest,
    /// `YYYYMM` of the Kafka time of every row.
    pub month: u32,
    /// Encoded rows, as the [`crate::Encoder`] wrote them, each followed by its stamp.
    pub rows: &'a [u8],
    /// Where each of them ends in the bytes; empty: the order of the rows must stay.
    pub ends: &'a [u32],
    /// How many.
    pub count: u32,
    /// How long the caller waits for the answer; past it, the error is [`Class::Unknown`].
    pub deadline: Duration,
}

/// What an error says about the rows, and what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The server read the rows and refused the block because of their content: nothing was written. Halve it.
    Refused,
    /// No answer, or one that does not say: the rows may be there, may come, may never come.
    Unknown,
    /// Certainly nothing was written: no connection, read-only, disk full, too many parts, over a limit. Wait.
    Unavailable,
    /// Wrong password or missing grant: nothing was written. A person must act. Wait.
    Denied,
    /// Table or column missing or of another type: nothing was written. A person must act. Wait.
    Schema,
}

/// An error of the ledger.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What may be assumed.
    pub class: Class,
    /// What happened, where, what to do.
    pub message: String,
    /// In one of few words, such as `access` or `disk_full`.
    pub trouble: &'static str,
}

/// What a kill found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Killed {
    /// How many queries were running.
    pub queries: u32,
}

/// What the ledger holds of the newest incarnation of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The newest incarnation: the greatest over `raw_records`, `changes`, `rejected`.
    pub incarnation: u32,
    /// Greatest offset of it in any of the three tables.
    pub max_offset: i64,
    /// Greatest offset of it in `raw_records`; `None` where none is complete.
    pub max_record: Option<i64>,
    /// Greatest batch id of any row of the partition.
    pub batch: BatchId,
}

/// Offsets `from..to` of one incarnation of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Incarnation.
    pub incarnation: u32,
    /// Partition.
    pub partition: i32,
    /// First offset.
    pub from: i64,
    /// Offset after the last.
    pub to: i64,
}

/// A range of offsets, `to` excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// First offset.
    pub from: i64,
    /// Offset after the last.
    pub to: i64,
}

/// Which write a row came from. Of equal positions the largest stays: see [`crate::copies`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Batch.
    pub batch: BatchId,
    /// Attempt.
    pub attempt: u8,
}

/// A row of `raw_records`, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownRecord {
    /// Offset.
    pub offset: i64,
    /// Hash of the value as received.
    pub raw_hash: Digest,
    /// Hash of the bytes that are kept.
    pub stored_hash: Digest,
    /// Which write.
    pub stamp: Stamp,
}

/// A row of `changes`, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownChange {
    /// Offset.
    pub offset: i64,
    /// Child.
    pub child: u32,
    /// Event.
    pub event_uid: EventUid,
    /// Content.
    pub content_hash: ContentHash,
    /// Change.
    pub change_uid: ChangeUid,
    /// Which write.
    pub stamp: Stamp,
    /// Mark `redelivery` is set.
    pub redelivery: bool,
    /// Column `approval`.
    pub ask: Ask,
}

/// The last child of a raw partition that has a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Furthest {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Incarnation.
    pub incarnation: u32,
    /// Offset.
    pub offset: i64,
    /// Child.
    pub child: u32,
}

/// A row of `rejected`, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownReject {
    /// Offset.
    pub offset: i64,
    /// Child.
    pub child: u32,
    /// Why; `None` where the name is one of a newer version.
    pub code: Option<RejectCode>,
    /// In words.
    pub reason: String,
    /// Position of the fault.
    pub at_byte: u32,
    /// Which write.
    pub stamp: Stamp,
}

/// What the check for copies found and put into `superseded`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Second copies by a later write.
    pub late_inserts: u64,
    /// Copies equal in batch and attempt too.
    pub identical: u64,
}

/// One row of `operations`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// When.
    pub time: TimeMicros,
    /// What: `start`, `stop`, `new_incarnation`, `retention_gap`, `gap_skipped`, `hole`, `ledger_short`, `approval_budget`, `learning_over`, ….
    pub kind: String,
    /// Who: host and process, or the person at the command line.
    pub who: String,
    /// Why, in words.
    pub why: String,
    /// Topic, where it is about one.
    pub topic: String,
    /// Incarnation, where it is about one.
    pub incarnation: u32,
    /// Partition; -1 where it is about none.
    pub partition: i32,
    /// First offset of a hole, gap or replay.
    pub offset_from: i64,
    /// Offset after the last.
    pub offset_to: i64,
    /// Names and values beyond these: hashes, versions, settings.
    pub details: Vec<(String, String)>,
}
