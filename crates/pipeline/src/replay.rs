use std::collections::HashMap;

use changegate_approval::StoredChange;
use changegate_normalize::Origin;
use changegate_types::{Digest, RawRecord};
use sha2::{Digest as _, Sha256};

use crate::ledger::{Error, Ledger, Span};
use crate::outgoing::header;
use crate::recent::Place;

/// A dead letter that was sent again, and what the ledger holds at its original position.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Where the record stood first: the identity of its rows. `child` is 0.
    pub place: Place,
    changes: Vec<u32>,
    /// Requests of its rows: whoever replayed it before may have died before they were sent.
    pub requests: Vec<StoredChange>,
}

impl Replay {
    /// Whether the record that was sent again is one of the hop. Its row stands where its raw record does all the same.
    pub(crate) fn is_of(&self, record: &RawRecord<'_>, origin: &Option<Origin<'_>>) -> bool {
        origin.is_some() && self.place.topic == record.position.topic
    }

    /// The child as the ledger knows it by [`Replay::place`].
    pub(crate) fn child(&self, record: &RawRecord<'_>, origin: &Option<Origin<'_>>, child: u32) -> u32 {
        let elsewhere = origin.filter(|_| !self.is_of(record, origin));
        elsewhere.map_or(child, |origin| origin.child)
    }

    /// Whether the child has its row there.
    pub fn has_change(&self, child: u32) -> bool {
        self.changes.contains(&child)
    }
}

/// The original position that the headers name.
pub fn original(record: &RawRecord<'_>) -> Option<Place> {
    Some(Place {
        topic: record.header(header::REPLAY_TOPIC)?.to_owned(),
        incarnation: record.header(header::REPLAY_INCARNATION)?.parse().ok()?,
        partition: record.header(header::REPLAY_PARTITION)?.parse().ok()?,
        offset: record.header(header::REPLAY_OFFSET)?.parse().ok()?,
        child: 0,
    })
}

/// Looks up the originals of the replayed records among `records`, by index.
///
/// Headers are foreign: whoever may write to the topic could name any position there. So a record counts as a replay
/// only if the ledger holds that position with the same bytes, as received or as kept; else it is an ordinary record.
///
/// What comes over the hop was looked up by whoever sent it (`trusted`), and its bytes are others.
///
/// # Errors
/// Where the ledger did not answer; nothing has been changed then.
pub fn look_up<'r, 'a: 'r>(
    ledger: &(impl Ledger + ?Sized),
    records: impl Iterator<Item = &'r RawRecord<'a>>,
    decisions: bool,
    trusted: bool,
) -> Result<HashMap<usize, Replay>, Error> {
    let mut found = HashMap::new();
    for (index, record) in records.enumerate() {
        if record.headers.is_empty() {
            continue;
        }
        let Some(place) = original(record) else { continue };
        let own = record.position;
        if place.topic == own.topic && place.partition == own.partition && place.offset >= own.offset {
            continue;
        }
        let span = Span {
            topic: &place.topic,
            incarnation: place.incarnation,
            partition: place.partition,
            from: place.offset,
            to: place.offset.saturating_add(1),
        };
        if !trusted && !holds(ledger, &span, record)? {
            continue;
        }
        let changes = ledger.known_changes(&span)?.iter().map(|row| row.child).collect();
        let requests = ledger.requests(&span, decisions)?;
        let requests = requests.into_iter().map(|(_, row)| row).collect();
        found.insert(
            index,
            Replay {
                place,
                changes,
                requests,
            },
        );
    }
    Ok(found)
}

/// Whether the ledger holds the record at the only position of the span, as received or as kept.
fn holds(ledger: &(impl Ledger + ?Sized), span: &Span<'_>, record: &RawRecord<'_>) -> Result<bool, Error> {
    let hash = Digest(Sha256::digest(record.value.unwrap_or_default()).into());
    let records = ledger.known_records(span)?;
    Ok(records
        .iter()
        .any(|known| known.raw_hash == hash || known.stored_hash == hash))
}
