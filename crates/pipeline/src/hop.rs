//! The hop between a process that normalizes and one that scores: one child is one record of its own topic, keyed by its
//! actor, so that whoever reads a partition of it (a shard) holds the whole history of the shard's actors.
//!
//! A normalizer that was killed sends children again, and its successor, too. Each sends the children of a raw partition in
//! their order and without a gap, from below what the one before had acknowledged, so within a shard whatever lies at or
//! below the furthest child of its raw partition is a repeat: `Passed`.

mod wire;

use std::collections::HashMap;

use bumpalo::Bump;
use changegate_normalize::{Child, NormalizedRecord, Normalizer, Origin};
use changegate_types::{ChangeEvent, Digest, Mark, RawRecord, Reject, RejectCode};
use sha2::{Digest as _, Sha256};

use crate::judge::{BlockRecord, Normalize};
use crate::ledger::Furthest;
use crate::outgoing::{Kind, Outgoing, header};
use crate::replay::Replay;

/// Where a normalizer sends children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Topic.
    pub topic: String,
    /// The largest record that it takes, headers aside.
    pub bytes_max: usize,
}

/// A child on its way to the hop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) learn_only: bool,
}

impl Hop {
    /// The record of a child, or why it cannot be one.
    pub(crate) fn encode<'a>(
        &self,
        arena: &'a Bump,
        event: &ChangeEvent<'_>,
        origin: &Origin<'_>,
        learn_only: bool,
    ) -> Result<Sent<'a>, Reject<'a>> {
        let value = wire::encode(arena, event, origin, learn_only);
        let key = shard_key(arena, event);
        let length = key.len() + value.len();
        if length > self.bytes_max {
            let reason = bumpalo::format!(in arena, "{} bytes when normalized, {} takes {}", length, self.topic, self.bytes_max);
            return Err(Reject {
                code: RejectCode::TooLarge,
                reason: reason.into_bump_str(),
                at_byte: event.raw_start,
            });
        }
        Ok(Sent {
            key,
            value,
            learn_only,
        })
    }

    /// The message of a child. Its time is the record's, so that the hop's reader needs no other clock.
    pub(crate) fn message(
        &self,
        sent: &Sent<'_>,
        record: &RawRecord<'_>,
        replay: Option<&Replay>,
    ) -> Outgoing {
        let mut headers = Vec::new();
        if let Some(trace) = crate::outgoing::traceparent(record) {
            headers.push((header::TRACEPARENT.to_owned(), trace.as_bytes().to_vec()));
        }
        if let Some(replay) = replay {
            let place = &replay.place;
            headers.extend(
                [
                    (header::REPLAY_TOPIC, place.topic.clone()),
                    (header::REPLAY_INCARNATION, place.incarnation.to_string()),
                    (header::REPLAY_PARTITION, place.partition.to_string()),
                    (header::REPLAY_OFFSET, place.offset.to_string()),
                ]
                .map(|(name, value)| (name.to_owned(), value.into_bytes())),
            );
        }
        Outgoing {
            kind: Kind::Child,
            topic: self.topic.clone(),
            key: Some(sent.key.to_vec()),
            headers,
            value: Some(sent.value.to_vec()),
            time: Some(record.kafka_time),
        }
    }
}

/// What keeps an actor in one shard: the tenant, and what the scorer tells actors apart by.
fn shard_key<'a>(arena: &'a Bump, event: &ChangeEvent<'_>) -> &'a [u8] {
    let (kind, parts) = match (event.actor_uid, event.actor_name) {
        // Whoever has no name shares one history with the nameless of the same account.
        ("", "") => ("account", [event.source, event.account_uid]),
        ("", name) => ("name", [name, ""]),
        (uid, _) => ("uid", [uid, ""]),
    };
    let [first, second] = parts;
    arena
        .alloc_str(&format!("{}\0{kind}\0{first}\0{second}", event.tenant_uid))
        .as_bytes()
}

/// The event as the hop carries it: what the scorer cannot know is written into it.
pub(crate) fn as_sent<'a>(
    event: &ChangeEvent<'a>,
    record: &BlockRecord<'a>,
    replay: Option<&Replay>,
    stored: &'a [u8],
) -> ChangeEvent<'a> {
    let mut event = event.clone();
    if record.time_cut {
        event.marks.set(Mark::KafkaTimeCut);
    }
    if replay.is_some() {
        event.child_bytes = own_bytes(&event, stored);
        (event.raw_start, event.raw_len) = (0, 0);
    }
    event
}

/// The bytes of a child, for a row whose position keeps others.
pub(crate) fn own_bytes<'a>(event: &ChangeEvent<'a>, stored: &'a [u8]) -> &'a [u8] {
    if !event.child_bytes.is_empty() {
        return event.child_bytes;
    }
    let start = event.raw_start as usize;
    stored
        .get(start..start.saturating_add(event.raw_len as usize))
        .unwrap_or(stored)
}

/// Reads the records of a topic.
#[derive(Debug)]
pub enum Reader {
    /// Of a source.
    Source(Box<Normalizer>),
    /// Of the hop.
    Hop,
}

impl Normalize for Reader {
    fn record<'a>(&self, arena: &'a Bump, record: &RawRecord<'a>) -> NormalizedRecord<'a> {
        if let Self::Source(normalizer) = self {
            return normalizer.record(arena, record);
        }
        let value = record.value.unwrap_or_default();
        let raw_hash = Digest(Sha256::digest(value).into());
        let (child, origin) = match wire::decode(arena, value) {
            Ok(decoded) => {
                let child = if decoded.learn_only {
                    Child::Learn(decoded.event)
                } else {
                    Child::Change(decoded.event)
                };
                (child, Some(decoded.origin))
            }
            Err(reject) => (Child::Reject(reject), None),
        };
        NormalizedRecord {
            raw_hash,
            stored: value,
            stored_hash: raw_hash,
            stored_encoding: "",
            secrets_masked: 0,
            children: arena.alloc_slice_fill_iter([child]),
            origin,
        }
    }
}

/// The furthest child of each raw partition that has passed a shard.
#[derive(Debug, Default)]
pub struct Passed(HashMap<String, HashMap<i32, At>>);

/// Incarnation, offset, child.
type At = (u32, i64, u32);

impl Passed {
    /// What the ledger holds of the shard below its start.
    pub fn from_ledger(furthest: Vec<Furthest>) -> Self {
        let mut passed = Self::default();
        for child in furthest {
            let at = (child.incarnation, child.offset, child.child);
            passed
                .0
                .entry(child.topic)
                .or_default()
                .insert(child.partition, at);
        }
        passed
    }

    /// Lets a child pass. `false`: it, or one behind it, has passed before.
    pub(crate) fn pass(&mut self, origin: &Origin<'_>) -> bool {
        let position = origin.position;
        let at = (position.incarnation, position.offset, origin.child);
        let Some(of_topic) = self.0.get_mut(position.topic) else {
            let of_topic = HashMap::from([(position.partition, at)]);
            self.0.insert(position.topic.to_owned(), of_topic);
            return true;
        };
        match of_topic.get_mut(&position.partition) {
            Some(furthest) if at <= *furthest => return false,
            Some(furthest) => *furthest = at,
            None => drop(of_topic.insert(position.partition, at)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use changegate_types::{Position, TimeMicros};

    use super::*;

    fn origin(incarnation: u32, offset: i64, child: u32) -> Origin<'static> {
        Origin {
            position: Position {
                topic: "raw",
                incarnation,
                partition: 1,
                offset,
            },
            child,
            raw_hash: Digest::default(),
            ingest_time: TimeMicros(0),
        }
    }

    #[test]
    fn what_has_passed_does_not_pass_again() {
        let mut passed = Passed::from_ledger(vec![Furthest {
            topic: "raw".into(),
            partition: 1,
            incarnation: 0,
            offset: 5,
            child: 1,
        }]);
        assert!(!passed.pass(&origin(0, 5, 0)) && !passed.pass(&origin(0, 5, 1)));
        assert!(passed.pass(&origin(0, 5, 2)) && passed.pass(&origin(0, 9, 0)));
        assert!(!passed.pass(&origin(0, 6, 0)), "its sender was overtaken");
        assert!(passed.pass(&origin(1, 0, 0)), "another life begins anew");
        assert!(!passed.pass(&origin(0, 10, 0)), "of the life before");
        let other = Origin {
            position: Position {
                partition: 2,
                ..origin(0, 0, 0).position
            },
            ..origin(0, 0, 0)
        };
        assert!(passed.pass(&other), "each partition has its own");
    }

    #[test]
    fn one_actor_has_one_key() {
        let arena = Bump::new();
        let event = ChangeEvent {
            tenant_uid: "t",
            source: "s",
            account_uid: "1",
            ..ChangeEvent::default()
        };
        let named = ChangeEvent {
            actor_name: "anna",
            ..event.clone()
        };
        let known = ChangeEvent {
            actor_uid: "anna",
            ..named.clone()
        };
        let renamed = ChangeEvent {
            actor_name: "Anna",
            ..known.clone()
        };
        let key = |event| shard_key(&arena, event);
        assert_eq!(key(&known), key(&renamed));
        assert!(key(&event) != key(&named) && key(&named) != key(&known));
    }
}
