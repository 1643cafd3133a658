//! Second copies of one position: found, put into `superseded`, counted.
//!
//! Of equal positions the smallest `(batch_id, attempt)` stays; copies equal in these too are shown once. Where a
//! position is a redelivery of another one, none stays: the batch that said so named its own row only, and a batch that
//! died before it may have written another. The same check serves recovery, the hourly round and the tests.

use std::time::Duration;

use changegate_pipeline::Encoder as _;
use changegate_pipeline::ledger::{BatchId, Copies, Operation, Span, Stamp};
use changegate_pipeline::rows::{SupersededRow, Why};
use changegate_types::{Position, TimeMicros};
use serde::Deserialize;

use crate::client::{Insert, LedgerClient};
use crate::columns::Table;
use crate::encoder::{self, RowBinary};
use crate::error::Error;
use crate::recovery::{IN_SPAN, Stand};

/// Offsets that one question looks at: bounds the server's memory, whatever the ledger holds.
const WINDOW: i64 = 2_000_000;
/// How long a note in `operations` may take: a few rows, and a program that ends writes one.
const NOTE: Duration = Duration::from_secs(3);

/// One copy, `now` by the server's clock: `(offset, child, batch_id, attempt, smallest batch_id, its attempt, kafka_time, now)`.
type Copy = (i64, i32, u64, u8, u64, u8, i64, i64);

/// One more row of a position that is known as a redelivery, and of what.
#[derive(clickhouse::Row, Deserialize)]
struct Redelivered {
    offset: i64,
    child: i32,
    batch_id: u64,
    attempt: u8,
    of_topic: String,
    of_incarnation: u32,
    of_partition: i32,
    of_offset: i64,
    of_child: i32,
    kafka: i64,
    now: i64,
}

/// Rows of `superseded` that call a position of the span a redelivery. Two positions that call each other so (read in
/// another order by another process) are left out: one of them must stay.
fn redeliveries() -> String {
    format!(
        "{IN_SPAN} AND why = 'redelivery' AND \
         (offset, child, of_topic, of_incarnation, of_partition, of_offset, of_child) GLOBAL NOT IN \
         (SELECT of_offset, of_child, topic, incarnation, partition, offset, child FROM superseded \
          WHERE why = 'redelivery' AND of_topic = {{topic:String}} AND of_incarnation = {{incarnation:UInt32}} \
          AND of_partition = {{partition:Int32}} AND of_offset >= {{from:Int64}} AND of_offset < {{to:Int64}})"
    )
}

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
        if self.stand(span.topic) == Stand::RAW {
            self.settle_changes(span, copies).await?;
        } else {
            // Rows stand where their raw records do.
            for (topic, incarnation, partition, first, last) in self.raw_spans(span).await? {
                let raw = Span {
                    topic: &topic,
                    incarnation,
                    partition,
                    from: first,
                    to: last.saturating_add(1),
                };
                self.settle_changes(&raw, copies).await?;
            }
        }
        self.settle_table(Table::Rejected, span, copies).await?;
        self.settle_table(Table::RawRecords, span, copies).await
    }

    async fn settle_changes(&self, span: &Span<'_>, copies: &mut Copies) -> Result<(), Error> {
        let found = self.redelivered(span).await?;
        let mut rows = Vec::new();
        for copy in &found {
            RowBinary.superseded(&redelivered(span, copy), &mut rows);
        }
        self.insert_plain(Table::Superseded, &rows, self.read_timeout())
            .await?;
        copies.late_inserts += found.len() as u64;
        self.settle_table(Table::Changes, span, copies).await
    }

    async fn settle_table(&self, table: Table, span: &Span<'_>, copies: &mut Copies) -> Result<(), Error> {
        let found = self.copies_of(table, span).await?;
        if found.is_empty() {
            return Ok(());
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
        Ok(())
    }

    /// Rows of redelivered positions within the span that `superseded` does not name yet.
    async fn redelivered(&self, span: &Span<'_>) -> Result<Vec<Redelivered>, Error> {
        let redeliveries = redeliveries();
        let sql = format!(
            "SELECT offset, child, batch_id, attempt, original.1 AS of_topic, original.2 AS of_incarnation, \
             original.3 AS of_partition, original.4 AS of_offset, original.5 AS of_child, kafka, \
             toUnixTimestamp64Micro(now64(6)) AS now FROM \
             (SELECT offset, child, batch_id, attempt, toUnixTimestamp64Micro(max(kafka_time)) AS kafka FROM changes \
              WHERE {IN_SPAN} AND (offset, child) GLOBAL IN (SELECT offset, child FROM superseded WHERE {redeliveries}) \
              GROUP BY offset, child, batch_id, attempt) AS written GLOBAL INNER JOIN \
             (SELECT offset, child, min((toString(of_topic), of_incarnation, of_partition, of_offset, of_child)) AS original \
              FROM superseded WHERE {redeliveries} GROUP BY offset, child) AS originals USING (offset, child) \
             WHERE (offset, child, batch_id, attempt) GLOBAL NOT IN \
             (SELECT offset, child, batch_id, attempt FROM superseded WHERE {IN_SPAN} AND why != 'identical') \
             ORDER BY offset, child, batch_id, attempt"
        );
        self.all("redeliveries", self.within_span(&sql, span)).await
    }

    /// Where the rows stand that came of records of the hop within the span.
    async fn raw_spans(&self, span: &Span<'_>) -> Result<Vec<(String, u32, i32, i64, i64)>, Error> {
        let sql = format!(
            "SELECT toString(topic) AS name, incarnation, partition, min(offset), max(offset) FROM changes WHERE {} \
             GROUP BY name, incarnation, partition",
            Stand::HOP.in_span
        );
        self.all("raw spans", self.within_span(&sql, span)).await
    }

    /// Copies within the span that `superseded` does not name yet.
    async fn copies_of(&self, table: Table, span: &Span<'_>) -> Result<Vec<Copy>, Error> {
        let child = if table == Table::RawRecords {
            "toInt32(-1)"
        } else {
            "child"
        };
        // Of those no row is left to show.
        let redeliveries = if table == Table::Changes {
            format!(
                "AND (offset, child) GLOBAL NOT IN (SELECT offset, child FROM superseded WHERE {})",
                redeliveries()
            )
        } else {
            String::new()
        };
        let sql = format!(
            "SELECT offset, child_no, stamp.1, stamp.2, stamps[1].1, stamps[1].2, kafka, toUnixTimestamp64Micro(now64(6)) FROM ( \
             SELECT offset, {child} AS child_no, arraySort(groupArray((batch_id, attempt))) AS stamps, \
             toUnixTimestamp64Micro(max(kafka_time)) AS kafka, \
             arrayDistinct(arrayPopFront(stamps)) AS rest \
             FROM {} WHERE {IN_SPAN} {redeliveries} GROUP BY offset, child_no HAVING count() > 1) \
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

fn position<'a>(span: &Span<'a>, offset: i64) -> Position<'a> {
    Position {
        topic: span.topic,
        incarnation: span.incarnation,
        partition: span.partition,
        offset,
    }
}

fn redelivered<'a>(span: &Span<'a>, copy: &'a Redelivered) -> SupersededRow<'a> {
    SupersededRow {
        position: position(span, copy.offset),
        child: copy.child,
        stamp: Stamp {
            batch: BatchId(copy.batch_id),
            attempt: copy.attempt,
        },
        why: Why::Redelivery,
        of: Position {
            topic: &copy.of_topic,
            incarnation: copy.of_incarnation,
            partition: copy.of_partition,
            offset: copy.of_offset,
        },
        of_child: copy.of_child,
        of_stamp: Stamp::default(),
        kafka_time: TimeMicros(copy.kafka),
        noted_time: TimeMicros(copy.now),
    }
}

fn superseded<'a>(span: &Span<'a>, copy: &Copy) -> SupersededRow<'a> {
    let &(offset, child, batch, attempt, of_batch, of_attempt, kafka_time, now) = copy;
    let position = position(span, offset);
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
