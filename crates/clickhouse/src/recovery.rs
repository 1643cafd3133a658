//! What the ledger holds: the questions that recovery asks on every assignment.
//!
//! Each table is asked on its own. Copies of one position are answered once, with the largest `(batch_id, attempt)`: the
//! one that stays.

use changegate_approval::{Ask, StoredChange};
use changegate_pipeline::ledger::{
    BatchId, Furthest, KnownChange, KnownRecord, KnownReject, Range, Span, Stamp, Tail,
};
use changegate_types::{Digest, RejectCode};
use clickhouse::query::Query;
use serde::Deserialize;

use crate::client::LedgerClient;
use crate::error::Error;
use crate::stored::{self, keyed};

/// Rows of one incarnation of one partition, from an offset to before another.
pub(crate) const IN_SPAN: &str = "topic = {topic:String} AND incarnation = {incarnation:UInt32} \
    AND partition = {partition:Int32} AND offset >= {from:Int64} AND offset < {to:Int64}";

/// Of copies of one position, the one that stays comes first.
const LAST: &str = "batch_id DESC, attempt DESC";

/// What [`RecordRow`] reads.
const RECORD: &str = "offset, raw_hash, stored_hash, batch_id, attempt";

/// By which columns a row of `changes` is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) topic: &'static str,
    incarnation: &'static str,
    partition: &'static str,
    pub(crate) offset: &'static str,
    child: &'static str,
    pub(crate) in_span: &'static str,
}

impl Stand {
    /// By the position of its raw record.
    pub(crate) const RAW: Self = Self {
        topic: "topic",
        incarnation: "incarnation",
        partition: "partition",
        offset: "offset",
        child: "child",
        in_span: IN_SPAN,
    };
    /// By that of the record of the hop, whose only child it is.
    pub(crate) const HOP: Self = Self {
        topic: "hop_topic",
        incarnation: "hop_incarnation",
        partition: "hop_partition",
        offset: "hop_offset",
        child: "toInt32(0)",
        in_span: "hop_topic = {topic:String} AND hop_incarnation = {incarnation:UInt32} \
            AND hop_partition = {partition:Int32} AND hop_offset >= {from:Int64} AND hop_offset < {to:Int64}",
    };
}

impl LedgerClient {
    /// Batches that this user has a query running for.
    pub async fn running(&self) -> Result<Vec<BatchId>, Error> {
        let sql = "SELECT DISTINCT toUInt64OrZero(splitByChar(':', query_id)[2]) FROM system.processes \
             WHERE user = currentUser() AND query_id LIKE 'cg:%:%'";
        let batches: Vec<u64> = self.all("running batches", self.query(sql)).await?;
        Ok(batches.into_iter().map(BatchId).collect())
    }

    /// What there is of the newest incarnation of a partition.
    pub async fn tail(&self, topic: &str, partition: i32) -> Result<Option<Tail>, Error> {
        self.ask_version().await?;
        let of = |table: &str, stand: Stand, is_record: u8| {
            let Stand {
                topic,
                incarnation,
                partition,
                offset,
                ..
            } = stand;
            format!(
                "SELECT {incarnation} AS life, max({offset}) AS last, max(batch_id) AS batch, {is_record} AS is_record \
                 FROM {table} WHERE {topic} = {{topic:String}} AND {partition} = {{partition:Int32}} \
                 GROUP BY life"
            )
        };
        let sql = format!(
            "SELECT life, max(last), maxIf(last, is_record = 1), max(is_record), max(max(batch)) OVER () \
             FROM ({} UNION ALL {} UNION ALL {}) GROUP BY life ORDER BY life DESC LIMIT 1",
            of("raw_records", Stand::RAW, 1),
            of("changes", self.stand(topic), 0),
            of("rejected", Stand::RAW, 0)
        );
        let query = self
            .query(&sql)
            .param("topic", topic)
            .param("partition", partition);
        let rows: Vec<(u32, i64, i64, u8, u64)> = self.all("tail", query).await?;
        Ok(rows
            .first()
            .map(|&(incarnation, max_offset, max_record, has_record, batch)| Tail {
                incarnation,
                max_offset,
                max_record: (has_record == 1).then_some(max_record),
                batch: BatchId(batch),
            }))
    }

    /// The newest rows of `raw_records` within the span, newest first.
    pub async fn newest_records(&self, span: &Span<'_>, limit: usize) -> Result<Vec<KnownRecord>, Error> {
        let sql = format!(
            "SELECT {RECORD} FROM raw_records WHERE {IN_SPAN} \
             ORDER BY offset DESC, {LAST} LIMIT 1 BY offset LIMIT {limit}"
        );
        let rows: Vec<RecordRow> = self.all("newest records", self.within_span(&sql, span)).await?;
        Ok(rows.into_iter().map(KnownRecord::from).collect())
    }

    /// Rows of `raw_records` within the span, by offset.
    pub async fn known_records(&self, span: &Span<'_>) -> Result<Vec<KnownRecord>, Error> {
        let sql = format!(
            "SELECT {RECORD} FROM raw_records WHERE {IN_SPAN} \
             ORDER BY offset, {LAST} LIMIT 1 BY offset"
        );
        let rows: Vec<RecordRow> = self.all("known records", self.within_span(&sql, span)).await?;
        Ok(rows.into_iter().map(KnownRecord::from).collect())
    }

    /// Rows of `changes` within the span, by offset and child.
    pub async fn known_changes(&self, span: &Span<'_>) -> Result<Vec<KnownChange>, Error> {
        let Stand {
            offset,
            child,
            in_span,
            ..
        } = self.stand(span.topic);
        let sql = format!(
            "SELECT {offset} AS offset, {child} AS child, event_uid, content_hash, change_uid, batch_id, attempt, \
             has(marks, 'redelivery') AS redelivery, toString(approval) AS ask FROM changes WHERE {in_span} \
             ORDER BY {offset}, {child}, {LAST} LIMIT 1 BY {offset}, {child}"
        );
        let rows: Vec<ChangeRow> = self.all("known changes", self.within_span(&sql, span)).await?;
        Ok(rows.into_iter().map(KnownChange::from).collect())
    }

    /// Rows of `rejected` within the span, by offset and child.
    pub async fn known_rejects(&self, span: &Span<'_>) -> Result<Vec<KnownReject>, Error> {
        let sql = format!(
            "SELECT offset, child, toString(code) AS code, reason, at_byte, batch_id, attempt FROM rejected WHERE {IN_SPAN} \
             ORDER BY offset, child, {LAST} LIMIT 1 BY offset, child"
        );
        let rows: Vec<RejectRow> = self.all("known rejects", self.within_span(&sql, span)).await?;
        Ok(rows.into_iter().map(KnownReject::from).collect())
    }

    /// Offset and child of the redeliveries that `superseded` names within the span, sorted. What the check for copies
    /// noted of a position says nothing of that.
    pub async fn known_superseded(&self, span: &Span<'_>) -> Result<Vec<(i64, i32)>, Error> {
        let stand = self.stand(span.topic);
        let sql = if stand == Stand::RAW {
            format!(
                "SELECT DISTINCT offset, child FROM superseded WHERE {IN_SPAN} AND why = 'redelivery' ORDER BY offset, child"
            )
        } else {
            const PLACE: &str = "topic, incarnation, partition, offset, child";
            let Stand {
                offset,
                child,
                in_span,
                ..
            } = stand;
            format!(
                "SELECT DISTINCT {offset}, {child} FROM changes WHERE {in_span} AND ({PLACE}) GLOBAL IN \
                 (SELECT {PLACE} FROM superseded WHERE why = 'redelivery') ORDER BY {offset}"
            )
        };
        self.all("known superseded", self.within_span(&sql, span)).await
    }

    /// Rows of `changes` within the span for which a request went out, or should have; with `decisions` those too whose
    /// decision is published.
    pub async fn requests(
        &self,
        span: &Span<'_>,
        decisions: bool,
    ) -> Result<Vec<(i64, StoredChange)>, Error> {
        let decided = if decisions {
            "OR NOT hasAny(rules, ['not_a_change', 'redelivery'])"
        } else {
            ""
        };
        // Few rows ask: which ones is found out before all that a request says is read. `GLOBAL`: once on a cluster, not
        // once per shard.
        let Stand {
            offset,
            child,
            in_span,
            ..
        } = self.stand(span.topic);
        let row = format!("{offset}, {child}, batch_id, attempt");
        let sql = format!(
            "SELECT {}, {offset} AS read_at FROM changes WHERE {in_span} AND ({row}) GLOBAL IN (SELECT {row} FROM \
             (SELECT {offset}, child, batch_id, attempt, approval, rules FROM changes WHERE {in_span} \
             ORDER BY {offset}, {child}, {LAST} LIMIT 1 BY {offset}, {child}) \
             WHERE approval IN ('asked', 'grouped') {decided}) ORDER BY {offset}, {child} LIMIT 1 BY {offset}, {child}",
            stored::COLUMNS
        );
        let rows: Vec<stored::Row> = self.all("requests", self.within_span(&sql, span)).await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.read_at, StoredChange::from(row)))
            .collect())
    }

    /// The furthest child of each raw partition among the rows that came of records of the hop within the span.
    pub async fn furthest(&self, span: &Span<'_>) -> Result<Vec<Furthest>, Error> {
        let sql = format!(
            "SELECT name, partition, last.1, last.2, last.3 FROM \
             (SELECT toString(topic) AS name, partition, max((incarnation, offset, child)) AS last \
             FROM changes WHERE {} GROUP BY name, partition)",
            Stand::HOP.in_span
        );
        let rows: Vec<(String, i32, u32, i64, i32)> = self
            .all("furthest children", self.within_span(&sql, span))
            .await?;
        let furthest =
            |(topic, partition, incarnation, offset, child): (String, i32, u32, i64, i32)| Furthest {
                topic,
                partition,
                incarnation,
                offset,
                child: child.unsigned_abs(),
            };
        Ok(rows.into_iter().map(furthest).collect())
    }

    /// Ranges of offsets without a row in `raw_records`, up to the last row of the span.
    pub async fn gaps(&self, span: &Span<'_>, limit: usize) -> Result<Vec<Range>, Error> {
        let sql = format!(
            "SELECT before + 1, offset FROM (SELECT offset, lagInFrame(offset, 1, {{from:Int64}} - 1) OVER \
             (ORDER BY offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before \
             FROM raw_records WHERE {IN_SPAN}) WHERE offset > before + 1 ORDER BY offset LIMIT {limit}"
        );
        let rows = self.all("gaps", self.within_span(&sql, span)).await?;
        Ok(rows.into_iter().map(range).collect())
    }

    /// Holes of the incarnation that are on record.
    pub async fn holes(&self, span: &Span<'_>) -> Result<Vec<Range>, Error> {
        let sql = "SELECT DISTINCT offset_from, offset_to FROM operations \
             WHERE kind IN ('hole', 'gap_skipped') AND topic = {topic:String} \
             AND incarnation = {incarnation:UInt32} AND partition = {partition:Int32} \
             AND offset_to > {from:Int64} AND offset_from < {to:Int64} ORDER BY offset_from, offset_to";
        let rows = self.all("holes", self.within_span(sql, span)).await?;
        Ok(rows.into_iter().map(range).collect())
    }

    pub(crate) fn within_span(&self, sql: &str, span: &Span<'_>) -> Query {
        self.query(sql)
            .param("topic", span.topic)
            .param("incarnation", span.incarnation)
            .param("partition", span.partition)
            .param("from", span.from)
            .param("to", span.to)
    }
}

#[derive(clickhouse::Row, Deserialize)]
struct RecordRow {
    offset: i64,
    raw_hash: [u8; 32],
    stored_hash: [u8; 32],
    batch_id: u64,
    attempt: u8,
}

fn stamp(batch_id: u64, attempt: u8) -> Stamp {
    Stamp {
        batch: BatchId(batch_id),
        attempt,
    }
}

impl From<RecordRow> for KnownRecord {
    fn from(row: RecordRow) -> Self {
        Self {
            offset: row.offset,
            raw_hash: Digest(row.raw_hash),
            stored_hash: Digest(row.stored_hash),
            stamp: stamp(row.batch_id, row.attempt),
        }
    }
}

#[derive(clickhouse::Row, Deserialize)]
struct RejectRow {
    offset: i64,
    child: i32,
    code: String,
    reason: String,
    at_byte: u32,
    batch_id: u64,
    attempt: u8,
}

impl From<RejectRow> for KnownReject {
    fn from(row: RejectRow) -> Self {
        let code = RejectCode::ALL.into_iter().find(|known| known.name() == row.code);
        Self {
            offset: row.offset,
            child: row.child.unsigned_abs(),
            code,
            reason: row.reason,
            at_byte: row.at_byte,
            stamp: stamp(row.batch_id, row.attempt),
        }
    }
}

#[derive(clickhouse::Row, Deserialize)]
struct ChangeRow {
    offset: i64,
    child: i32,
    event_uid: [u8; 16],
    content_hash: [u8; 16],
    change_uid: [u8; 16],
    batch_id: u64,
    attempt: u8,
    redelivery: u8,
    ask: String,
}

impl From<ChangeRow> for KnownChange {
    fn from(row: ChangeRow) -> Self {
        Self {
            offset: row.offset,
            child: row.child.unsigned_abs(),
            event_uid: keyed(row.event_uid),
            content_hash: keyed(row.content_hash),
            change_uid: keyed(row.change_uid),
            stamp: stamp(row.batch_id, row.attempt),
            redelivery: row.redelivery == 1,
            ask: Ask::parse(&row.ask).unwrap_or_default(),
        }
    }
}

fn range((from, to): (i64, i64)) -> Range {
    Range { from, to }
}
