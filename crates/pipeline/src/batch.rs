use std::time::Duration;

use changegate_types::{Digest, Keyed128, TimeMicros};
use tracing::Span;

use crate::fence::Spans;
use crate::ledger::{BatchId, Operation, Table};
use crate::outgoing::Outgoing;
use crate::recent::{Fresh, Place};
use crate::rows::Outcomes;

/// When a batch is closed. Whatever comes first.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Rows of `changes` and `raw_records`, whichever are more.
    pub rows_max: usize,
    /// Encoded bytes over all tables. Two batches exist at a time, so a worker holds twice this at most, plus one block.
    pub bytes_max: usize,
    /// Time since its first record.
    pub age_max: Duration,
    /// Months of Kafka time, each an insert of its own per table.
    pub months_max: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            rows_max: 50_000,
            bytes_max: 64 << 20,
            age_max: Duration::from_secs(1),
            months_max: 24,
        }
    }
}

/// Rows of one table, encoded behind each other, and where each ends.
#[derive(Debug, Default)]
pub struct Rows {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// One mark per row.
    pub marks: Vec<RowMark>,
    /// Bytes that a large buffer has room for from the start.
    room: usize,
}

/// A larger buffer does not grow step by step: each step would hold it twice, while it is copied.
const LARGE: usize = 4 << 20;

/// One row in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowMark {
    /// Index after its last byte.
    pub end: usize,
    /// Index of its `attempt`.
    pub attempt_at: usize,
    /// Which record of the portion it came of.
    pub record: u32,
    /// Child; -1 for a row of `raw_records`.
    pub child: i32,
    /// In `superseded`: the row of `changes` of the same portion that is the copy; else [`NONE`].
    pub copy: u32,
}

/// No row, no place.
pub const NONE: u32 = u32::MAX;

impl Rows {
    /// Appends a row that `write` encodes; `write` returns the index of the attempt.
    pub fn push(&mut self, record: u32, child: i32, copy: u32, write: impl FnOnce(&mut Vec<u8>) -> usize) {
        let length = self.bytes.len();
        if length >= LARGE && self.bytes.capacity() < self.room {
            // Pages that are not written to take no memory.
            self.bytes.reserve_exact(self.room - length);
        }
        let attempt_at = write(&mut self.bytes);
        debug_assert!(
            attempt_at < self.bytes.len(),
            "the encoder names a byte of its row"
        );
        self.marks.push(RowMark {
            end: self.bytes.len(),
            attempt_at,
            record,
            child,
            copy,
        });
    }

    /// Where a row starts.
    pub fn start(&self, row: usize) -> usize {
        match row.checked_sub(1) {
            Some(before) => self.marks[before].end,
            None => 0,
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.marks.clear();
    }
}

/// One record within a portion.
#[derive(Clone, Copy, Debug)]
pub struct RecordMark {
    /// Which of the worker's partitions.
    pub part: u32,
    /// Its offset.
    pub offset: i64,
    /// Hash of its value.
    pub raw_hash: Digest,
    /// Index into [`Batch::replays`], or [`NONE`]: rows of its children stand at that place instead.
    pub replay: u32,
}

/// What of a batch falls into one month of Kafka time, and so into one partition of each table.
#[derive(Debug, Default)]
pub struct Portion {
    /// `YYYYMM`.
    pub month: u32,
    /// Its records.
    pub records: Vec<RecordMark>,
    /// Rows per table, in the order of [`Table::ALL`].
    pub tables: [Rows; 4],
}

impl Portion {
    /// Rows of a table.
    pub fn rows(&self, table: Table) -> &Rows {
        &self.tables[table as usize]
    }

    /// Rows of a table, to change them.
    pub fn rows_mut(&mut self, table: Table) -> &mut Rows {
        &mut self.tables[table as usize]
    }

    fn bytes(&self) -> usize {
        self.tables.iter().map(|rows| rows.bytes.len()).sum()
    }

    fn clear(&mut self) {
        self.records.clear();
        self.tables.iter_mut().for_each(Rows::clear);
    }
}

/// What a batch holds of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    /// Which of the worker's partitions.
    pub part: u32,
    /// Its first offset.
    pub from: i64,
    /// Offset after the last.
    pub to: i64,
    /// Records read, those whose rows exist already included.
    pub records: u32,
    /// Those of which rows are missing.
    pub open: Spans,
}

/// A message that a row of the batch sends: a request, or its decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowMessage {
    /// The change that people are asked about; `None` for a decision.
    pub asks: Option<Keyed128>,
    /// Which of the worker's partitions its record came from.
    pub part: u32,
    /// Offset of the record.
    pub offset: i64,
    /// Child.
    pub child: u32,
    /// Index of the message in [`Batch::outgoing`].
    pub message: u32,
}

/// What is written, sent and committed together. A record is never split over two batches.
#[derive(Debug, Default)]
pub struct Batch {
    /// Its id: of the fence, the queries and the rows.
    pub id: BatchId,
    /// When its first record was read, by [`crate::clock::Now::up`].
    pub opened: Duration,
    /// Kafka time of its oldest record.
    pub oldest: Option<TimeMicros>,
    portions: Vec<Portion>,
    used: usize,
    /// Bytes that it may hold.
    room: usize,
    /// What it covers, one entry per partition.
    pub covers: Vec<Cover>,
    /// Places of replayed records.
    pub replays: Vec<Place>,
    /// Children of them that become rows with this batch.
    pub replayed: Vec<Place>,
    /// Events that it holds the first row of, by shard.
    pub fresh: Vec<Fresh>,
    /// What is to be sent once the rows are in.
    pub outgoing: Vec<Outgoing>,
    /// Changes that ask, remembered once the requests are durable.
    pub row_messages: Vec<RowMessage>,
    /// Messages of [`Batch::outgoing`] that are not sent: the ledger refused their rows.
    pub withdrawn: Vec<u32>,
    /// Holes and the like, to be written with it.
    pub operations: Vec<Operation>,
    /// How the children of the records that were read for the first time ended, by topic.
    pub outcomes: Vec<Outcomes>,
    /// Records in it, over all partitions.
    pub records: u32,
    /// From its first record to the commit behind it.
    pub span: Option<Span>,
    /// Traces that the span is linked to.
    pub links: u32,
}

impl Batch {
    /// An empty batch of this id.
    pub fn with_id(id: BatchId) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Whether it covers nothing.
    pub fn is_empty(&self) -> bool {
        self.covers.is_empty()
    }

    /// An empty one that may hold so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self {
            room: bytes,
            ..Self::default()
        }
    }

    /// The portions in use.
    pub fn portions(&self) -> &[Portion] {
        &self.portions[..self.used]
    }

    /// The portions in use, to change them.
    pub fn portions_mut(&mut self) -> &mut [Portion] {
        &mut self.portions[..self.used]
    }

    /// Index of the portion of a month.
    pub fn portion(&mut self, month: u32) -> usize {
        // The newest is right nearly always.
        if let Some(found) = (0..self.used)
            .rev()
            .find(|index| self.portions[*index].month == month)
        {
            return found;
        }
        if self.used == self.portions.len() {
            let mut portion = Portion::default();
            portion.tables.iter_mut().for_each(|rows| rows.room = self.room);
            self.portions.push(portion);
        }
        self.portions[self.used].month = month;
        self.used += 1;
        self.used - 1
    }

    /// Notes that a record was read, whatever comes of it, and whether all its rows exist.
    ///
    /// # Panics
    /// On an offset that is not above the last one of its partition: it would be counted twice.
    pub fn cover(&mut self, part: u32, offset: i64, is_complete: bool) {
        self.records += 1;

        match self.covers.iter_mut().find(|cover| cover.part == part) {
            Some(cover) => {
                assert!(
                    offset >= cover.to,
                    "offset {offset} was read before, {} is due",
                    cover.to
                );
                if !is_complete {
                    cover.open.push(cover.to, offset);
                }
                cover.to = offset + 1;
                cover.records += 1;
            }
            None => {
                let mut open = Spans::default();
                if !is_complete {
                    open.push(offset, offset);
                }
                self.covers.push(Cover {
                    part,
                    from: offset,
                    to: offset + 1,
                    records: 1,
                    open,
                });
            }
        }
    }

    /// Events of a shard that it holds the first row of.
    pub fn fresh_mut(&mut self, shard: usize) -> &mut Fresh {
        if self.fresh.len() <= shard {
            self.fresh.resize_with(shard + 1, Fresh::default);
        }
        &mut self.fresh[shard]
    }

    /// How the children of a topic's records ended.
    pub fn outcomes_mut(&mut self, topic: usize) -> &mut Outcomes {
        if self.outcomes.len() <= topic {
            self.outcomes.resize(topic + 1, Outcomes::default());
        }
        &mut self.outcomes[topic]
    }

    /// The ledger refused the row: it asks nothing and decides nothing.
    pub fn withdraw(&mut self, part: u32, offset: i64, child: u32) {
        let withdrawn = &mut self.withdrawn;
        self.row_messages.retain(|sent| {
            let refused = (sent.part, sent.offset, sent.child) == (part, offset, child);
            withdrawn.extend(refused.then_some(sent.message));
            !refused
        });
    }

    /// Encoded bytes.
    pub fn bytes(&self) -> usize {
        self.portions().iter().map(Portion::bytes).sum::<usize>()
            + self
                .outgoing
                .iter()
                .map(|message| message.value.as_ref().map_or(0, Vec::len))
                .sum::<usize>()
    }

    /// Rows of the fuller of the two main tables.
    pub fn rows(&self) -> usize {
        let rows = |table| {
            self.portions()
                .iter()
                .map(|portion| portion.rows(table).marks.len())
                .sum::<usize>()
        };
        rows(Table::Changes)
            .max(rows(Table::RawRecords))
            .max(self.records as usize)
    }

    /// Whether no record more should go in.
    pub fn is_full(&self, limits: &BatchLimits) -> bool {
        self.rows() >= limits.rows_max || self.used >= limits.months_max || self.bytes() >= limits.bytes_max
    }

    /// Empties it and keeps its buffers: fresh large ones would cost page faults. Those that it has not used go: after a
    /// backlog of many months each of them would be as large as one batch.
    pub fn recycle(&mut self) {
        self.portions.truncate(self.used.max(1));
        self.portions.iter_mut().for_each(Portion::clear);
        self.used = 0;
        self.covers.clear();
        self.replays.clear();
        self.replayed.clear();
        self.fresh.iter_mut().for_each(Fresh::clear);
        self.outgoing.clear();
        self.row_messages.clear();
        self.withdrawn.clear();
        self.operations.clear();
        self.outcomes.clear();
        self.records = 0;
        self.span = None;
        self.links = 0;
        self.oldest = None;
        self.id = BatchId::default();
    }
}

/// `YYYYMM` of a Kafka time, as `toYYYYMM` says it.
pub fn month_of(kafka_time: TimeMicros) -> u32 {
    let (year, month, ..) = kafka_time.civil();
    year.unsigned_abs() * 100 + month
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_grow_and_portions_are_found_again() {
        let mut batch = Batch::default();
        batch.cover(0, 5, true);
        batch.cover(1, 9, true);
        batch.cover(0, 8, false);
        batch.cover(0, 9, true);
        let of = |cover: &Cover| {
            (
                cover.part,
                cover.from,
                cover.to,
                cover.records,
                cover.open.to_string(),
            )
        };
        let covers: Vec<_> = batch.covers.iter().map(of).collect();
        assert_eq!(
            covers,
            [(0, 5, 10, 3, "8:9".to_owned()), (1, 9, 10, 1, String::new())]
        );
        let (a, b) = (batch.portion(202_601), batch.portion(202_602));
        assert_eq!((batch.portion(202_601), batch.portion(202_602)), (a, b));
        batch.portions_mut()[a]
            .rows_mut(Table::Changes)
            .push(0, 0, NONE, |out| {
                out.extend_from_slice(b"row1");
                3
            });
        batch.recycle();
        assert!(batch.is_empty() && batch.bytes() == 0 && batch.rows() == 0);
        assert_eq!(batch.portion(202_603), 0);
        assert_eq!(batch.portions()[0].rows(Table::Changes).marks.len(), 0);
    }

    #[test]
    #[should_panic(expected = "was read before")]
    fn an_offset_twice_is_a_fault_of_ours() {
        let mut batch = Batch::default();
        batch.cover(0, 5, false);
        batch.cover(0, 5, false);
    }
}
