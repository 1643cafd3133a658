use changegate_types::{Digest, Position, TimeMicros, Versions};

use crate::encode::RowWriter;

/// Why a row is a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Why {
    /// Another row has the same position and a smaller `(batch_id, attempt)`.
    LateInsert = 0,
    /// The same event stands at another position.
    Redelivery = 1,
    /// Several rows are equal in position, `batch_id` and `attempt`: one of them is shown.
    Identical = 2,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupersededRow<'a> {
    /// Position of the copy.
    pub position: Position<'a>,
    /// Its child; -1 for a row of `raw_records`.
    pub child: i32,
    /// Its batch.
    pub batch_id: u64,
    /// Its attempt.
    pub attempt: u8,
    /// Why it is a copy.
    pub why: Why,
    /// Position of the row that stays.
    pub of_position: Position<'a>,
    /// Its child.
    pub of_child: i32,
    /// Its batch; 0 where the stream knows only the position.
    pub of_batch_id: u64,
    /// Its attempt.
    pub of_attempt: u8,
    /// When it was found.
    pub noted_time: TimeMicros,
}

impl SupersededRow<'_> {
    /// Appends the row.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut row = RowWriter::new(out);
        position(&mut row, &self.position);
        row.i32(self.child);
        row.u64(self.batch_id);
        row.u8(self.attempt);
        row.u8(self.why as u8);
        position(&mut row, &self.of_position);
        row.i32(self.of_child);
        row.u64(self.of_batch_id);
        row.u8(self.of_attempt);
        row.time(self.noted_time);
    }
}

fn position(row: &mut RowWriter<'_>, position: &Position<'_>) {
    row.text(position.topic);
    row.u32(position.incarnation);
    row.i32(position.partition);
    row.i64(position.offset);
}

/// One row of `operations`.
#[derive(Clone, Copy, Debug)]
pub struct OperationRow<'a> {
    /// When.
    pub time: TimeMicros,
    /// `start`, `stop`, `migration`, `replay`, `gap_skipped`, `new_incarnation`, …
    pub kind: &'a str,
    /// The user or process that did it.
    pub who: &'a str,
    /// The reason given.
    pub why: &'a str,
    /// What exactly, as a JSON object.
    pub details: &'a str,
    /// What the process runs with.
    pub versions: &'a Versions,
}

impl OperationRow<'_> {
    /// Appends the row.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut row = RowWriter::new(out);
        row.time(self.time);
        row.text(self.kind);
        row.text(self.who);
        row.text(self.why);
        row.text(self.details);
        row.text(&self.versions.program_version);
        let digests: [&Digest; 3] = [
            &self.versions.config_hash,
            &self.versions.model_hash,
            &self.versions.policy_hash,
        ];
        digests.into_iter().for_each(|digest| row.digest(digest));
    }
}
