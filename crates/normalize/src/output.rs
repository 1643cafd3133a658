use changegate_types::{ChangeEvent, Digest, Mark, Position, Reject, SkipReason, TimeMicros};

/// What one record came to. Everything borrows from the record or from the block's arena.
#[derive(Debug)]
pub struct NormalizedRecord<'a> {
    /// SHA-256 of the record's value as received (of nothing, for a tombstone).
    pub raw_hash: Digest,
    /// The bytes to keep: unpacked where the envelope is compressed, secrets masked. Borrowed from the record
    /// where nothing had to change.
    pub stored: &'a [u8],
    /// SHA-256 of `stored`.
    pub stored_hash: Digest,
    /// How `stored` came out of the value: empty, `gzip`, `base64+gzip`.
    pub stored_encoding: &'static str,
    /// How many secrets were masked.
    pub secrets_masked: u32,
    /// The children in their order. Never empty: a record without children has one `Skip` or `Reject`.
    pub children: &'a [Child<'a>],
    /// Where its child comes from, where another process has normalized it.
    pub origin: Option<Origin<'a>>,
}

/// Where a child comes from that another process has normalized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Where the raw record was read.
    pub position: Position<'a>,
    /// Index of the child in it.
    pub child: u32,
    /// SHA-256 of the raw record's value as received.
    pub raw_hash: Digest,
    /// When it was read.
    pub ingest_time: TimeMicros,
}

impl NormalizedRecord<'_> {
    /// When its first event that states a time says it happened.
    pub fn stated_time(&self) -> Option<TimeMicros> {
        self.children.iter().find_map(|child| match child {
            Child::Change(event) | Child::Learn(event) if !event.marks.has(Mark::MissingTime) => {
                Some(event.event_time)
            }
            _ => None,
        })
    }
}

/// How one child ends. No other way exists.
#[derive(Debug)]
pub enum Child<'a> {
    /// Becomes a row.
    Change(&'a ChangeEvent<'a>),
    /// Skipped as `learned_only`: no row, but the features learn from it.
    Learn(&'a ChangeEvent<'a>),
    /// Skipped.
    Skip(SkipReason),
    /// Dead-lettered.
    Reject(Reject<'a>),
}
