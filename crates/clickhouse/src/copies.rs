//! Second copies of one position: found, put into `superseded`, counted.
//!
//! Which of them stays is said by [`changegate_pipeline::copies::settle`]. Where a position is a redelivery of another one,
//! none stays: the batch that said so named its own row only, and a batch that died before it may have written another.
//! The same check serves recovery, the hourly round and the tests.

use std::time::Duration;

use changegate_pipeline::Encoder as _;
use changegate_pipeline::copies::{self, Verdict};
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

/// A position of which more or less than one row is shown.
#[derive(clickhouse::Row, Deserialize)]
struct Found {
    offset: i64,
    child: i32,
    /// Of each of its rows: batch, attempt, whether it is named as a copy, and as one of several that are equal.
    rows: Vec<(u64, u8, u8, u8)>,
    kafka: i64,
    is_redelivery: u8,
    of_topic: String,
    of_incarnation: u32,
    of_partition: i32,
    of_offset: i64,
    of_child: i32,
    /// By the server's clock.
    now: i64,
}

/// Positions of the span that are redeliveries, and of what. Two positions may call each other so, read in another order
/// by another process, and one of them must stay: the larger batch is right.
fn redeliveries() -> String {
    format!(
        "SELECT offset, child, min(called) AS original FROM \
         (SELECT offset, child, (toString(of_topic), of_incarnation, of_partition, of_offset, of_child) AS called, \
          max((batch_id, attempt)) AS said FROM superseded WHERE {IN_SPAN} AND why = 'redelivery' \
          GROUP BY offset, child, called) AS calls \
         GLOBAL LEFT JOIN \
         (SELECT of_offset, of_child, (toString(topic), incarnation, partition, offset, child) AS by, \
          max((batch_id, attempt)) AS answered FROM superseded WHERE why = 'redelivery' AND of_topic = {{topic:String}} \
          AND of_incarnation = {{incarnation:UInt32}} AND of_partition = {{partition:Int32}} \
          AND of_offset >= {{from:Int64}} AND of_offset < {{to:Int64}} GROUP BY of_offset, of_child, by) AS answers \
         ON offset = of_offset AND child = of_child AND called = by \
         WHERE said > answered GROUP BY offset, child"
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
            self.settle_table(Table::Changes, span, copies).await?;
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
                self.settle_table(Table::Changes, &raw, copies).await?;
            }
        }
        self.settle_table(Table::Rejected, span, copies).await?;
        self.settle_table(Table::RawRecords, span, copies).await
    }

    async fn settle_table(&self, table: Table, span: &Span<'_>, copies: &mut Copies) -> Result<(), Error> {
        let mut rows = Vec::new();
        for found in &self.unsettled(table, span).await? {
            for verdict in found.verdicts() {
                match verdict.why {
                    Why::Identical => copies.identical += 1,
                    Why::LateInsert | Why::Redelivery => copies.late_inserts += 1,
                }
                RowBinary.superseded(&found.note(span, &verdict), &mut rows);
            }
        }
        self.insert_plain(Table::Superseded, &rows, self.read_timeout())
            .await
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

    /// Positions within the span that are not shown as [`copies::settle`] says.
    async fn unsettled(&self, table: Table, span: &Span<'_>) -> Result<Vec<Found>, Error> {
        let child = if table == Table::RawRecords {
            "toInt32(-1)"
        } else {
            "child"
        };
        // Only rows of `changes` stand for events that may come twice.
        let redeliveries = if table == Table::Changes {
            redeliveries()
        } else {
            format!("{} LIMIT 0", redeliveries())
        };
        let named = |as_identical: &str| {
            format!(
                "(offset, child_no, batch_id, attempt) GLOBAL IN (SELECT offset, child, batch_id, attempt FROM superseded \
                 WHERE {IN_SPAN} AND why {as_identical} 'identical')"
            )
        };
        // Shown: none, of a redelivery; else one. A row that is named as identical is shown once, whatever else is said.
        let sql = format!(
            "SELECT found.offset AS offset, child_no AS child, rows, kafka, is_redelivery, original.1 AS of_topic, \
             original.2 AS of_incarnation, original.3 AS of_partition, original.4 AS of_offset, original.5 AS of_child, \
             toUnixTimestamp64Micro(now64(6)) AS now FROM \
             (SELECT offset, child_no, groupArray((batch_id, attempt, hidden, shown_once)) AS rows, \
              toUnixTimestamp64Micro(max(kafka_time)) AS kafka, \
              (offset, child_no) GLOBAL IN (SELECT offset, child FROM ({redeliveries})) AS is_redelivery FROM \
              (SELECT offset, {child} AS child_no, batch_id, attempt, kafka_time, \
               {} AS hidden, {} AS shown_once FROM {} WHERE {IN_SPAN}) GROUP BY offset, child_no \
              HAVING multiIf(is_redelivery OR max(hidden AND shown_once), min(hidden) = 0, \
               min(hidden) = 1, NOT max(shown_once), \
               minIf((batch_id, attempt), NOT hidden) != maxIf((batch_id, attempt), NOT hidden) \
               OR countIf(NOT hidden) > 1 AND NOT max(shown_once))) AS found \
             GLOBAL LEFT JOIN ({redeliveries}) AS originals \
             ON found.offset = originals.offset AND child_no = originals.child ORDER BY offset, child",
            named("!="),
            named("="),
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
            ends: &[],
            query_id: "",
            token: "",
            fresh_connection: false,
            deadline,
        })
        .await
    }
}

impl Found {
    fn verdicts(&self) -> Vec<Verdict> {
        let rows = self
            .rows
            .iter()
            .map(|(batch, attempt, hidden, shown_once)| copies::Row {
                stamp: Stamp {
                    batch: BatchId(*batch),
                    attempt: *attempt,
                },
                hidden: *hidden == 1,
                shown_once: *shown_once == 1,
            });
        copies::settle(&rows.collect::<Vec<_>>(), self.is_redelivery == 1)
    }

    fn note<'a>(&'a self, span: &Span<'a>, verdict: &Verdict) -> SupersededRow<'a> {
        let position = Position {
            topic: span.topic,
            incarnation: span.incarnation,
            partition: span.partition,
            offset: self.offset,
        };
        let (of, of_child) = match verdict.why {
            Why::LateInsert | Why::Identical => (position, self.child),
            Why::Redelivery => {
                let original = Position {
                    topic: &self.of_topic,
                    incarnation: self.of_incarnation,
                    partition: self.of_partition,
                    offset: self.of_offset,
                };
                (original, self.of_child)
            }
        };
        SupersededRow {
            position,
            child: self.child,
            stamp: verdict.stamp,
            why: verdict.why,
            of,
            of_child,
            of_stamp: verdict.of,
            kafka_time: TimeMicros(self.kafka),
            noted_time: TimeMicros(self.now),
        }
    }
}
