//! Second copies of one position: found, put into `superseded`, counted.
//!
//! Of equal positions the smallest `(batch_id, attempt)` stays; copies equal in these too are shown once. The same
//! check serves recovery, the hourly round and the tests.

use std::time::Duration;

use changegate_pipeline::Encoder as _;
use changegate_pipeline::ledger::{BatchId, Copies, Operation, Span, Stamp};
use changegate_pipeline::rows::{SupersededRow, Why};
use changegate_types::{Position, TimeMicros};

use crate::client::{Insert, LedgerClient};
use crate::columns::Table;
use crate::encoder::{self, RowBinary};
use crate::error::Error;
use crate::recovery::IN_SPAN;

/// Offsets that one question looks at: bounds the server's memory, whatever the ledger holds.
const WINDOW: i64 = 2_000_000;
/// How long a note in `operations` may take: a few rows, and a program that ends writes one.
const NOTE: Duration = Duration::from_secs(3);

/// One copy, `now` by the server's clock: `(offset, child, batch_id, attempt, smallest batch_id, its attempt, kafka_time, now)`.
type Copy = (i64, i32, u64, u8, u64, u8, i64, i64);

impl LedgerClient {
    /// Puts into `superseded` what is missing there. Safe to repeat.
    pub async fn settle_copies(&self, span: Option<&Span<'_>>) -> Result<Copies, Error> {
        let mut copies = Copies::default();
        match span {
            Some(span) => self.settle_span(span, &mut copies).await?,
            None => {
                for (topic, incarnation, partition, first, last) in self.partitions().await? {
                    let mut from = first;
                    while from <= last {
                        let to = from.saturating_add(WINDOW);
                        let span = Span {
                            topic: &topic,
                            incarnation,
                            partition,
                            from,
                            to,
                        };
                        self.settle_span(&span, &mut copies).await?;
                        from = to;
                    }
                }
            }
        }
        Ok(copies)
    }

    /// Writes rows of `operations`. At least once: a repeat may show twice.
    pub async fn record(&self, operations: &[Operation]) -> Result<(), Error> {
        let mut rows = Vec::new();
        operations
            .iter()
            .for_each(|row| encoder::operation(row, &mut rows));
        self.insert_plain(Table::Operations, &rows, NOTE.min(self.read_timeout()))
            .await
    }

    async fn partitions(&self) -> Result<Vec<(String, u32, i32, i64, i64)>, Error> {
        let of = |table: Table| {
            format!(
                "SELECT topic, incarnation, partition, offset FROM {}",
                table.name()
            )
        };
        let sql = format!(
            "SELECT toString(topic), incarnation, partition, min(offset), max(offset) \
             FROM ({} UNION ALL {} UNION ALL {}) GROUP BY topic, incarnation, partition",
            of(Table::RawRecords),
            of(Table::Changes),
            of(Table::Rejected)
        );
        self.all("partitions", self.query(&sql)).await
    }

    async fn settle_span(&self, span: &Span<'_>, copies: &mut Copies) -> Result<(), Error> {
        for table in [Table::Changes, Table::Rejected, Table::RawRecords] {
            let found = self.copies_of(table, span).await?;
            if found.is_empty() {
                continue;
            }
            let mut rows = Vec::new();
            for copy in &found {
                RowBinary.superseded(&superseded(span, copy), &mut rows);
            }
            self.insert_plain(Table::Superseded, &rows, self.read_timeout())
                .await?;
            let identical = found.iter().filter(|copy| is_identical(copy)).count() as u64;
            copies.identical += identical;
            copies.late_inserts += found.len() as u64 - identical;
        }
        Ok(())
    }

    /// Copies within the span that `superseded` does not name yet.
    async fn copies_of(&self, table: Table, span: &Span<'_>) -> Result<Vec<Copy>, Error> {
        let child = if table == Table::RawRecords {
            "toInt32(-1)"
        } else {
            "child"
        };
        let sql = format!(
            "SELECT offset, child_no, stamp.1, stamp.2, stamps[1].1, stamps[1].2, kafka, toUnixTimestamp64Micro(now64(6)) FROM ( \
             SELECT offset, {child} AS child_no, arraySort(groupArray((batch_id, attempt))) AS stamps, \
             toUnixTimestamp64Micro(max(kafka_time)) AS kafka, \
             arrayDistinct(arrayPopFront(stamps)) AS rest \
             FROM {} WHERE {IN_SPAN} GROUP BY offset, child_no HAVING count() > 1) \
             ARRAY JOIN rest AS stamp, arrayMap(s -> toUInt8(s = stamps[1]), rest) AS same \
             WHERE (offset, child_no, stamp.1, stamp.2, same) GLOBAL NOT IN \
             (SELECT offset, child, batch_id, attempt, toUInt8(why = 'identical') FROM superseded \
              WHERE {IN_SPAN} AND why != 'redelivery') \
             ORDER BY offset, child_no",
            table.name()
        );
        self.all("copies", self.within_span(&sql, span)).await
    }

    async fn insert_plain(&self, table: Table, rows: &[u8], deadline: Duration) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        self.insert(Insert {
            table,
            rows,
            query_id: "",
            token: "",
            fresh_connection: false,
            deadline,
        })
        .await
    }
}

/// Equal in batch and attempt to the row that stays: the row itself, to be shown once.
fn is_identical(&(_, _, batch, attempt, of_batch, of_attempt, ..): &Copy) -> bool {
    (batch, attempt) == (of_batch, of_attempt)
}

fn superseded<'a>(span: &Span<'a>, copy: &Copy) -> SupersededRow<'a> {
    let &(offset, child, batch, attempt, of_batch, of_attempt, kafka_time, now) = copy;
    let Span {
        topic,
        incarnation,
        partition,
        ..
    } = *span;
    let position = Position {
        topic,
        incarnation,
        partition,
        offset,
    };
    SupersededRow {
        position,
        child,
        stamp: Stamp {
            batch: BatchId(batch),
            attempt,
        },
        why: if is_identical(copy) {
            Why::Identical
        } else {
            Why::LateInsert
        },
        of: position,
        of_child: child,
        of_stamp: Stamp {
            batch: BatchId(of_batch),
            attempt: of_attempt,
        },
        kafka_time: TimeMicros(kafka_time),
        noted_time: TimeMicros(now),
    }
}
