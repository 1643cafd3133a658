use changegate_types::{Digest, Reject, RejectCode, SkipReason};

use super::{RecordContext, stored_child};
use crate::encode::RowWriter;

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

    /// How many were skipped for this reason.
    pub fn skipped(&self, reason: SkipReason) -> u32 {
        self.skipped[reason as usize]
    }

    /// How many were dead-lettered with this code.
    pub fn dead_lettered(&self, code: RejectCode) -> u32 {
        self.dead_lettered[code as usize]
    }

    /// All children.
    pub fn children(&self) -> u32 {
        self.written + self.skipped.iter().sum::<u32>() + self.dead_lettered.iter().sum::<u32>()
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

impl RawRow<'_> {
    /// Appends the row.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut row = RowWriter::new(out);
        self.record.position(&mut row);
        self.record.provenance(&mut row);
        row.u32(self.outcomes.children());
        row.u32(self.outcomes.written);
        let outcomes = self.outcomes;
        row.counts(
            SkipReason::ALL
                .iter()
                .map(|reason| (reason.name(), outcomes.skipped(*reason))),
        );
        row.counts(
            RejectCode::ALL
                .iter()
                .map(|code| (code.name(), outcomes.dead_lettered(*code))),
        );
        row.digest(&self.record.raw_hash);
        row.u32(self.raw_size);
        row.digest(&self.stored_hash);
        row.text(self.stored_encoding);
        row.u32(self.secrets_masked);
        row.bool(self.raw.is_some());
        row.nullable(self.key, RowWriter::bytes);
        row.length(self.headers.len());
        for (name, value) in self.headers {
            row.text(name);
            row.bytes(value);
        }
        row.bytes(self.raw.unwrap_or_default());
    }
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
    /// The child's bytes, else the record's, with secrets masked.
    pub bytes: &'a [u8],
}

impl RejectedRow<'_> {
    /// Appends the row.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut row = RowWriter::new(out);
        self.record.position(&mut row);
        row.i32(stored_child(self.child));
        self.record.provenance(&mut row);
        row.text(self.reject.code.name());
        row.text(self.reject.reason);
        row.u32(self.reject.at_byte);
        row.text(self.error);
        row.digest(&self.record.raw_hash);
        row.bytes(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_the_sum_of_the_three_outcomes() {
        let mut outcomes = Outcomes::default();
        outcomes.write();
        for reason in SkipReason::ALL {
            outcomes.skip(reason);
            assert_eq!(outcomes.skipped(reason), 1);
        }
        for code in RejectCode::ALL {
            outcomes.dead_letter(code);
            assert_eq!(outcomes.dead_lettered(code), 1);
        }
        assert_eq!(
            outcomes.children() as usize,
            1 + SkipReason::ALL.len() + RejectCode::ALL.len()
        );
    }
}
