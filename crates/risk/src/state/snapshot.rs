//! The state as bytes: versioned, checked, the same for the same state.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::actor::Actor;
use super::phases::{Names, Phases, Seen};
use super::shard::{Shard, Waiting};
use super::{Clock, State, locked};
use crate::codec::{Reader, Truncated, Writer, sha256};
use crate::facts::{ActorKind, FIELDS, Facts};

const MAGIC: &[u8; 8] = b"CGSTATE\x02";
/// Bytes of an actor at least: a larger count than the rest can hold is a fault.
const ACTOR_BYTES_MIN: usize = 64;
const WAITING_BYTES_MIN: usize = 64;

/// Why a snapshot is not taken. The state is a cache: start empty and read the log again.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes are not those that were written.
    #[error("the scorer's snapshot is damaged ({0}): delete it, the state is built again from the log")]
    Damaged(&'static str),
    /// Made by another version or with other limits.
    #[error(
        "the scorer's snapshot has {what} {found}, this program expects {expected}: delete it, the state is built again from the log"
    )]
    Other {
        /// What differs.
        what: &'static str,
        /// In the snapshot.
        found: u64,
        /// Here.
        expected: u64,
    },
}

impl From<Truncated> for SnapshotError {
    fn from(Truncated: Truncated) -> Self {
        Self::Damaged("it ends too early")
    }
}

impl State {
    /// Appends everything that is remembered: a copy of its own would be the largest thing in memory. Workers must stand
    /// still: a snapshot holds whole blocks only.
    pub fn write_snapshot(&self, into: &mut Vec<u8>) {
        let shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        let start = into.len();
        let mut out = Writer {
            bytes: std::mem::take(into),
        };
        out.raw(MAGIC);
        out.u32(crate::SCHEMA_VERSION);
        out.u64(self.step.load(Ordering::Acquire) as u64);
        out.u64(self.events.load(Ordering::Acquire));
        out.u64(shared.clock.landmark as u64);
        shared.phases.write(&mut out);
        locked(&self.names).write(&mut out);
        shared.counts.write(&mut out);
        for shard in &self.shards {
            locked(shard).write(&mut out);
        }
        let digest = sha256(out.bytes.get(start..).unwrap_or_default());
        out.raw(&digest.0);
        *into = out.bytes;
    }

    /// Takes over what a snapshot holds, in place of what is remembered. After an error the state is empty.
    pub fn read_snapshot(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let taken = self.take(bytes);
        if taken.is_err() {
            let gate = self.gate.take();
            *self = Self::bare(self.limits.clone(), self.groups.clone());
            self.gate = gate;
        }
        taken
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let body_len = bytes.len().checked_sub(32).ok_or(Truncated)?;
        let (body, digest) = bytes.split_at(body_len);
        let mut from = Reader::new(body);
        if from.array::<8>()? != *MAGIC {
            return Err(SnapshotError::Damaged("it does not begin like one"));
        }
        if sha256(body).0 != *digest {
            return Err(SnapshotError::Damaged("its checksum differs"));
        }
        let version = from.u32()?;
        if version != crate::SCHEMA_VERSION {
            return Err(SnapshotError::Other {
                what: "feature schema version",
                found: u64::from(version),
                expected: u64::from(crate::SCHEMA_VERSION),
            });
        }
        let step = from.u64()? as i64;
        let events = from.u64()?;
        let landmark = from.u64()? as i64;
        let shared = self.shared.get_mut().unwrap_or_else(PoisonError::into_inner);
        shared.phases = Phases::read(&mut from)?;
        *self.names.get_mut().unwrap_or_else(PoisonError::into_inner) = Names::read(&mut from)?;
        let other_size = |what, expected: usize| SnapshotError::Other {
            what,
            found: 0,
            expected: expected as u64,
        };
        let expected = self.limits.shared_counts;
        let read = shared.counts.read(&mut from)?;
        read.ok_or_else(|| other_size("another limit of shared counts; the limit", expected))?;
        shared.clock = Clock::at(if step == i64::MIN { landmark } else { step }, landmark);
        let expected = self.limits.actor_counts;
        let groups = &self.groups;
        for shard in &mut self.shards {
            let shard = shard.get_mut().unwrap_or_else(PoisonError::into_inner);
            let read = shard.read(&mut from, |actor, kind| groups.of(actor, kind))?;
            read.ok_or_else(|| other_size("another limit of actor counts; the limit", expected))?;
        }
        if !from.is_empty() {
            return Err(SnapshotError::Damaged("bytes follow its end"));
        }
        self.step.store(step, Ordering::Release);
        self.events.store(events, Ordering::Release);
        Ok(())
    }
}

impl Shard {
    fn write(&self, out: &mut Writer) {
        self.counts.write(out);
        out.u64(self.actors.len() as u64);
        self.actors.iter().for_each(|actor| actor.write(out));
        out.u64(self.waiting.len() as u64);
        for waiting in &self.waiting {
            out.u64(waiting.until as u64);
            waiting.facts.write(out);
        }
        out.u64(self.pending.len() as u64);
        self.pending.iter().for_each(|&key| out.u64(key));
        self.seen.write(out);
        out.u32(self.hand);
        out.u32(self.admitted);
        [self.actors_forgotten, self.actors_refused, self.waiting_dropped]
            .into_iter()
            .for_each(|value| out.u64(value));
    }

    fn read(
        &mut self,
        from: &mut Reader<'_>,
        group_of: impl Fn(u64, ActorKind) -> u16,
    ) -> Result<Option<()>, Truncated> {
        if self.counts.read(from)?.is_none() {
            return Ok(None);
        }
        let actors = from.count(ACTOR_BYTES_MIN)?;
        let actors: Result<Vec<_>, _> = (0..actors).map(|_| Actor::read(from, &group_of)).collect();
        self.actors = actors?;
        let slots = self.actors.iter().enumerate();
        self.index = slots.map(|(slot, actor)| (actor.key, slot as u32)).collect();
        let waiting = from.count(WAITING_BYTES_MIN)?;
        let read = |from: &mut Reader<'_>| {
            Ok(Waiting {
                until: from.u64()? as i64,
                facts: Facts::read(from)?,
            })
        };
        let waiting: Result<VecDeque<_>, Truncated> = (0..waiting).map(|_| read(from)).collect();
        self.waiting = waiting?;
        let pending = from.count(8)?;
        let pending: Result<Vec<_>, _> = (0..pending).map(|_| from.u64()).collect();
        self.pending = pending?;
        self.seen = Seen::read(from)?;
        (self.hand, self.admitted) = (from.u32()?, from.u32()?);
        (self.actors_forgotten, self.actors_refused) = (from.u64()?, from.u64()?);
        self.waiting_dropped = from.u64()?;
        Ok(Some(()))
    }
}

impl Facts {
    fn write(&self, out: &mut Writer) {
        out.u64(self.tenant);
        out.u64(self.actor);
        self.values.iter().for_each(|&value| out.u64(value));
        out.u64(self.resource);
        out.u64(self.scope);
        out.u64(self.phase);
        out.u32(self.second);
        [self.kind as u8, self.privilege, self.power]
            .into_iter()
            .for_each(|value| out.u8(value));
        [
            self.production,
            self.failed,
            self.referenced,
            self.without_mfa,
            self.is_change,
        ]
        .into_iter()
        .for_each(|flag| out.u8(u8::from(flag)));
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Truncated> {
        let (tenant, actor) = (from.u64()?, from.u64()?);
        let mut values = [0; FIELDS];
        for value in &mut values {
            *value = from.u64()?;
        }
        let (resource, scope, phase) = (from.u64()?, from.u64()?, from.u64()?);
        let second = from.u32()?;
        let [kind, privilege, power] = from.array()?;
        let [production, failed, referenced, without_mfa, is_change] =
            from.array::<5>()?.map(|flag| flag != 0);
        Ok(Self {
            tenant,
            actor,
            values,
            resource,
            scope,
            phase,
            second,
            kind: ActorKind::from_byte(kind),
            privilege,
            power,
            production,
            failed,
            referenced,
            without_mfa,
            is_change,
        })
    }
}
