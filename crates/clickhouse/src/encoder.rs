//! Rows as bytes: `RowBinary` written straight from borrowed values into a buffer that the caller keeps.
//!
//! Nothing is allocated per row and nothing is cut: an over-long string is stored as long as it is.

mod change;

use changegate_pipeline::Encoder;
use changegate_pipeline::ledger::{Operation, Stamp};
use changegate_pipeline::rows::{ChangeRow, RawRow, RecordContext, RejectedRow, SupersededRow, Why};
use changegate_types::{Position, RejectCode, SkipReason};

use crate::columns::kept_kafka_time;
use crate::encode::RowWriter;

/// Writes rows in the order of the columns of [`crate::Table::columns`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RowBinary;

impl Encoder for RowBinary {
    fn change(&self, row: &ChangeRow<'_>, out: &mut Vec<u8>) -> usize {
        change::encode(row, &mut RowWriter::new(out))
    }

    fn rejected(&self, row: &RejectedRow<'_>, out: &mut Vec<u8>) -> usize {
        let mut to = RowWriter::new(out);
        position(&mut to, &row.record.position);
        to.i32(stored_child(row.child));
        let attempt = provenance(&mut to, row.record);
        to.text(row.reject.code.name());
        to.text(row.reject.reason);
        to.u32(row.reject.at_byte);
        to.text(row.error);
        to.digest(&row.record.raw_hash);
        to.bytes(row.bytes);
        attempt
    }

    fn superseded(&self, row: &SupersededRow<'_>, out: &mut Vec<u8>) -> usize {
        let mut to = RowWriter::new(out);
        position(&mut to, &row.position);
        to.i32(row.child);
        let attempt = stamp(&mut to, row.stamp);
        to.u8(match row.why {
            Why::LateInsert => 0,
            Why::Redelivery => 1,
            Why::Identical => 2,
        });
        position(&mut to, &row.of);
        to.i32(row.of_child);
        stamp(&mut to, row.of_stamp);
        to.time(kept_kafka_time(row.kafka_time));
        to.time(row.noted_time);
        attempt
    }

    fn record(&self, row: &RawRow<'_>, out: &mut Vec<u8>) -> usize {
        let mut to = RowWriter::new(out);
        position(&mut to, &row.record.position);
        let attempt = provenance(&mut to, row.record);
        let outcomes = row.outcomes;
        to.u32(outcomes.children());
        to.u32(outcomes.written);
        to.counts(
            SkipReason::ALL
                .iter()
                .map(|reason| (reason.name(), outcomes.skipped(*reason))),
        );
        to.counts(
            RejectCode::ALL
                .iter()
                .map(|code| (code.name(), outcomes.dead_lettered(*code))),
        );
        to.digest(&row.record.raw_hash);
        to.u32(row.raw_size);
        to.digest(&row.stored_hash);
        to.text(row.stored_encoding);
        to.u32(row.secrets_masked);
        to.bool(row.raw.is_some());
        to.nullable(row.key, RowWriter::bytes);
        to.length(row.headers.len());
        for (name, value) in row.headers {
            to.text(name);
            to.bytes(value);
        }
        to.bytes(row.raw.unwrap_or_default());
        attempt
    }
}

/// Appends one row of `operations`.
pub(crate) fn operation(row: &Operation, out: &mut Vec<u8>) {
    let mut to = RowWriter::new(out);
    to.time(row.time);
    to.text(&row.kind);
    to.text(&row.who);
    to.text(&row.why);
    to.text(&row.topic);
    to.u32(row.incarnation);
    to.i32(row.partition);
    to.i64(row.offset_from);
    to.i64(row.offset_to);
    to.length(row.details.len());
    for (name, value) in &row.details {
        to.text(name);
        to.text(value);
    }
}

fn position(to: &mut RowWriter<'_>, position: &Position<'_>) {
    to.text(position.topic);
    to.u32(position.incarnation);
    to.i32(position.partition);
    to.i64(position.offset);
}

/// Returns where the attempt stands.
fn stamp(to: &mut RowWriter<'_>, stamp: Stamp) -> usize {
    to.u64(stamp.batch.0);
    let attempt = to.written();
    to.u8(stamp.attempt);
    attempt
}

/// Returns where the attempt stands.
fn provenance(to: &mut RowWriter<'_>, record: &RecordContext<'_>) -> usize {
    let attempt = stamp(to, record.stamp);
    to.time(kept_kafka_time(record.kafka_time));
    to.time(record.ingest_time);
    to.text(record.tenant_uid);
    to.text(record.source);
    attempt
}

/// A child's index as it is stored. `superseded` needs a -1, so the column is signed.
fn stored_child(child: u32) -> i32 {
    i32::try_from(child).unwrap_or(i32::MAX)
}
