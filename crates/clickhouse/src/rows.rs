//! Rows as bytes: `RowBinary` written straight from borrowed values into a buffer that the caller keeps.
//!
//! Nothing is allocated per row and nothing is cut: an over-long string is stored as long as it is.

mod change;
mod record;
mod side;

use changegate_types::{Digest, Position, TimeMicros};

use crate::columns::kept_kafka_time;
use crate::encode::RowWriter;

pub use change::ChangeRow;
pub use record::{Outcomes, RawRow, RejectedRow};
pub use side::{OperationRow, SupersededRow, Why};

/// What all rows that come of one record share.
#[derive(Clone, Copy, Debug)]
pub struct RecordContext<'a> {
    /// Where the record stands.
    pub position: Position<'a>,
    /// Kafka's record time, cut where it lay in the future.
    pub kafka_time: TimeMicros,
    /// When this process read it.
    pub ingest_time: TimeMicros,
    /// Of the fence; rises with every assignment.
    pub batch_id: u64,
    /// Changes only after a kill and read-back. A blind resend keeps it.
    pub attempt: u8,
    /// Whose record it is.
    pub tenant_uid: &'a str,
    /// `aws.cloudtrail`, …
    pub source: &'a str,
    /// SHA-256 of the value as received.
    pub raw_hash: Digest,
}

impl RecordContext<'_> {
    fn position(&self, row: &mut RowWriter<'_>) {
        row.text(self.position.topic);
        row.u32(self.position.incarnation);
        row.i32(self.position.partition);
        row.i64(self.position.offset);
    }

    fn provenance(&self, row: &mut RowWriter<'_>) {
        row.u64(self.batch_id);
        row.u8(self.attempt);
        row.time(kept_kafka_time(self.kafka_time));
        row.time(self.ingest_time);
        row.text(self.tenant_uid);
        row.text(self.source);
    }
}

/// A child's index as it is stored. `superseded` needs a -1, so the column is signed.
pub(crate) fn stored_child(child: u32) -> i32 {
    i32::try_from(child).unwrap_or(i32::MAX)
}
