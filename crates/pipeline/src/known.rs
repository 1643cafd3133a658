use std::collections::VecDeque;

use changegate_approval::StoredChange;

use crate::fence::{Doubt, Fence};
use crate::ledger::{BatchId, Error, KnownChange, KnownRecord, KnownReject, Ledger, Span};
use crate::log::Committed;

/// What the ledger holds of a partition at and after the start: these rows are not computed again, but for those that
/// [`Known::takes_over`] leaves out.
///
/// Loaded in chunks of offsets, so that it stays bounded however far the commit lags behind the ledger.
#[derive(Debug, Default)]
pub struct Known {
    from: i64,
    loaded_to: i64,
    until: i64,
    records: Vec<KnownRecord>,
    changes: Vec<KnownChange>,
    rejects: Vec<KnownReject>,
    superseded: Vec<(i64, i32)>,
    requests: VecDeque<(i64, StoredChange)>,
    decisions: bool,
    heir: Heir,
}

/// Whose rows count as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Heir {
    /// Anybody's.
    #[default]
    OfAll,
    /// Those of the batch that the fence names, and those of records that are complete beyond doubt.
    Of {
        /// The batch, where one was open.
        batch: Option<BatchId>,
        /// What its writer and those before it left.
        doubts: Vec<Doubt>,
    },
}

impl Heir {
    /// Of whoever left this commit, in this life of the partition.
    pub(crate) fn of(committed: Option<&Committed>, incarnation: u32) -> Self {
        let metadata = committed.map_or("", |committed| &committed.metadata);
        match Fence::parse(metadata) {
            Some(fence) if fence.incarnation == incarnation => Self::Of {
                batch: Some(fence.batch),
                doubts: vec![
                    Doubt {
                        batch: fence.batch,
                        spans: fence.open,
                    },
                    fence.doubt,
                ],
            },
            fence => Self::Of {
                batch: fence.map(|fence| fence.batch),
                doubts: Doubt::parse_closing(metadata, incarnation).into_iter().collect(),
            },
        }
    }
}

/// Offsets asked for at a time.
pub const CHUNK: i64 = 50_000;

impl Known {
    /// From the start up to the ledger's last row; nothing is loaded yet. `decisions`: they are published.
    pub fn new(from: i64, until: i64, decisions: bool, heir: Heir) -> Self {
        Self {
            from,
            loaded_to: from,
            until: until.max(from),
            decisions,
            heir,
            ..Self::default()
        }
    }

    /// Whether the ledger was asked about this offset (or holds nothing there by its maximum).
    pub fn covers(&self, offset: i64) -> bool {
        offset < self.loaded_to || self.loaded_to >= self.until
    }

    /// Whether this offset may have rows.
    pub fn reaches(&self, offset: i64) -> bool {
        offset < self.until
    }

    /// The span that was to be known, from the start to the ledger's maximum.
    pub fn span(&self) -> (i64, i64) {
        (self.from, self.until)
    }

    /// Asks about the chunk that holds `offset`. Requests of earlier chunks that were not taken stay.
    ///
    /// # Errors
    /// Where the ledger did not answer; what was known before stands.
    pub fn load(
        &mut self,
        ledger: &(impl Ledger + ?Sized),
        topic: &str,
        incarnation: u32,
        partition: i32,
        offset: i64,
    ) -> Result<(), Error> {
        let from = offset.max(self.loaded_to);
        let to = self.until.min(from.saturating_add(CHUNK));
        let span = Span {
            topic,
            incarnation,
            partition,
            from,
            to,
        };
        // The completion marks first, the requests last. A late insert of a dead owner may land between two of the
        // questions: this way a record that looks complete has shown all its changes and requests, and a row that
        // was not seen is computed again and found to be a copy. The other way round a request would be lost.
        let records = ledger.known_records(&span)?;
        let changes = ledger.known_changes(&span)?;
        let rejects = ledger.known_rejects(&span)?;
        let superseded = ledger.known_superseded(&span)?;
        let requests = ledger.requests(&span, self.decisions)?;
        self.changes = changes;
        self.rejects = rejects;
        self.superseded = superseded;
        self.records = records;
        self.requests.extend(requests);
        self.loaded_to = to;
        Ok(())
    }

    /// The completion row of an offset.
    pub fn record(&self, offset: i64) -> Option<&KnownRecord> {
        let index = self
            .records
            .binary_search_by_key(&offset, |record| record.offset)
            .ok()?;
        self.records.get(index)
    }

    /// Its rows of `changes`, by child.
    pub fn changes(&self, offset: i64) -> &[KnownChange] {
        of_offset(&self.changes, offset, |row| row.offset)
    }

    /// Whether all rows of a record exist, and stay.
    ///
    /// A completion row may land late, too. The last owner then did not see it and wrote the record itself, and what it
    /// wrote may be yet to land. The fence says of which records it wrote.
    pub fn is_complete(&self, record: &KnownRecord) -> bool {
        let concerned = |doubt: &Doubt| doubt.concerns(record.stamp.batch, record.offset);
        !self.doubts().iter().any(concerned)
    }

    fn doubts(&self) -> &[Doubt] {
        match &self.heir {
            Heir::OfAll => &[],
            Heir::Of { doubts, .. } => doubts,
        }
    }

    /// What is in doubt from an offset on.
    pub(crate) fn doubt_from(&self, offset: i64) -> Doubt {
        Doubt::from_on(self.doubts(), offset)
    }

    /// Whether a row is taken over as it is. Else it is written again, and the new row is the one that stays.
    ///
    /// Of a record that is not complete nothing was sent yet, so either is right, as long as no insert that is still
    /// under way can put a larger stamp above the row. The fence names the largest batch that may have one. A row of an
    /// older batch has landed late, or two owners died over it: then the last of them may not have seen it, and its own
    /// is yet to land.
    pub fn takes_over(&self, row: &KnownChange) -> bool {
        let is_of_last = match &self.heir {
            Heir::OfAll => true,
            Heir::Of { batch, .. } => *batch == Some(row.stamp.batch),
        };
        is_of_last
            || self
                .record(row.offset)
                .is_some_and(|record| self.is_complete(record))
    }

    /// Its rows of `rejected`, by child.
    pub fn rejects(&self, offset: i64) -> &[KnownReject] {
        of_offset(&self.rejects, offset, |row| row.offset)
    }

    /// Whether the child is known to be a copy.
    pub fn is_superseded(&self, offset: i64, child: i32) -> bool {
        self.superseded.binary_search(&(offset, child)).is_ok()
    }

    /// Rows up to and with this offset that send something, each once, and the offset of its record.
    pub fn take_requests(&mut self, offset: i64) -> impl Iterator<Item = (i64, StoredChange)> {
        let due = self.requests.iter().take_while(|(at, _)| *at <= offset).count();
        self.requests.drain(..due)
    }
}

fn of_offset<T>(rows: &[T], offset: i64, offset_of: impl Fn(&T) -> i64) -> &[T] {
    let start = rows.partition_point(|row| offset_of(row) < offset);
    let rows = rows.get(start..).unwrap_or_default();
    let end = rows.iter().take_while(|row| offset_of(row) == offset).count();
    rows.get(..end).unwrap_or_default()
}
