//! One of the 64 parts of the state: the actors whose hash ends alike, their counts, and those who wait.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use super::actor::Actor;
use super::phases::{Phases, Seen};
use super::table::Table;
use super::{Clock, Limits, Observed, PeerGroups, SHARDS};
use crate::ecod::Ecod;
use crate::extract;
use crate::facts::{FIELDS, Facts, Field, SHARED};
use crate::hash::mix;

/// Keys are hashes already.
#[derive(Debug, Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|&byte| self.0 = mix(self.0, u64::from(byte)));
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

pub(crate) type Index = HashMap<u64, u32, BuildHasherDefault<Identity>>;

/// An unusual event that has not become part of what is usual yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Waiting {
    /// Step of record time at which it is learned.
    pub(crate) until: i64,
    pub(crate) facts: Facts,
}

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) actors: Vec<Actor>,
    pub(crate) index: Index,
    pub(crate) counts: Table,
    pub(crate) waiting: VecDeque<Waiting>,
    /// Keys that peers and tenant count from the next step on.
    pub(crate) pending: Vec<u64>,
    /// What learns, since the last step.
    pub(crate) seen: Seen,
    /// Where the search for an actor to forget goes on.
    pub(crate) hand: u32,
    /// Actors admitted since record time last went on: a flood of names brings no new room by itself.
    pub(crate) admitted: u32,
    pub(crate) actors_forgotten: u64,
    pub(crate) actors_refused: u64,
    pub(crate) waiting_dropped: u64,
}

/// Which events wait: those whose tails add up to at least this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate<'a> {
    pub(crate) ecod: &'a Ecod,
    pub(crate) unusual_from: f32,
}

/// What a shard needs of the outside while it is locked.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) clock: Clock,
    /// Counts of peers and tenant as they stood at the last step of record time.
    pub(crate) shared: &'a Table,
    pub(crate) groups: &'a PeerGroups,
    pub(crate) gate: Option<Gate<'a>>,
    pub(crate) limits: &'a Limits,
    pub(crate) phases: &'a Phases,
}

/// How many actors are looked at for the one to forget.
const CANDIDATES: u32 = 16;

impl Shard {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            actors: Vec::new(),
            index: Index::default(),
            counts: Table::new(limits.actor_counts.div_ceil(SHARDS)),
            waiting: VecDeque::new(),
            pending: Vec::new(),
            seen: Seen::default(),
            hand: 0,
            admitted: 0,
            actors_forgotten: 0,
            actors_refused: 0,
            waiting_dropped: 0,
        }
    }

    /// Features of one event from what came before it; then the event is remembered.
    pub(crate) fn observe(&mut self, facts: &Facts, around: &Surroundings<'_>, out: &mut Observed) {
        let slot = self.slot(facts, around);
        // Whoever finds no room has a history of this one event.
        let mut stranger;
        let actor = match slot {
            Some(slot) => &mut self.actors[slot as usize],
            None => {
                let group = around.groups.of(facts.actor, facts.kind);
                stranger = Actor::new(facts.actor, facts.kind, group, facts.second);
                &mut stranger
            }
        };
        let second = actor.turn(facts.second);
        let mut facts = *facts;
        facts.values[Field::Transition as usize] = mix(actor.last_action, facts.values[0]);
        let paces = extract::features(&facts, actor, &self.counts, around, second, out);
        actor.passed(&facts, second);
        let lasts = around.phases.lasts(&facts, around.limits);
        out.learning = lasts.unwrap_or(true);
        if out.learning {
            self.seen.note(&facts, lasts.is_none());
        }
        let Some(gate) = around.gate else {
            actor.smooth(&paces);
            self.learn(&facts, around.clock, around.groups);
            return;
        };
        out.ecod = gate.ecod.score(&out.steps);
        if out.ecod < gate.unusual_from || out.learning {
            actor.smooth(&paces);
            self.learn(&facts, around.clock, around.groups);
        } else if self.waiting.len() < around.limits.waiting.div_ceil(SHARDS) {
            self.waiting.push_back(Waiting {
                until: around.clock.step + around.limits.waiting_steps(),
                facts,
            });
        } else {
            // Full: it is never learned and stays unusual, which errs on the side of caution.
            self.waiting_dropped += 1;
        }
    }

    /// Counts an event for its actor now, for peers and tenant from the next step on.
    pub(crate) fn learn(&mut self, facts: &Facts, clock: Clock, groups: &PeerGroups) {
        let Some(&slot) = self.index.get(&facts.actor) else {
            return;
        };
        let actor = &mut self.actors[slot as usize];
        actor.total += clock.weight;
        for field in 0..FIELDS {
            let key = extract::own_key(facts, field);
            if !self.counts.add(key, clock.weight, false) && actor.admit() {
                self.counts.add(key, clock.weight, true);
            }
        }
        let group = actor.group;
        let peers = groups.key(facts.tenant, group);
        for field in 0..SHARED {
            self.pending
                .push(extract::level_key(peers, field, facts.values[field]));
            self.pending
                .push(extract::level_key(facts.tenant, field, facts.values[field]));
        }
        self.pending.push(extract::total_key(peers));
        self.pending.push(extract::total_key(facts.tenant));
        self.pending.push(extract::scope_key(facts));
        self.pending.push(extract::scope_total_key(facts));
    }

    /// Those whose wait is over become part of what is usual.
    pub(crate) fn release(&mut self, clock: Clock, groups: &PeerGroups) {
        while self
            .waiting
            .front()
            .is_some_and(|first| first.until <= clock.step)
        {
            if let Some(first) = self.waiting.pop_front() {
                self.learn(&first.facts, clock, groups);
            }
        }
    }

    /// The actor's place; made, if there is room or somebody to forget.
    fn slot(&mut self, facts: &Facts, around: &Surroundings<'_>) -> Option<u32> {
        if let Some(&slot) = self.index.get(&facts.actor) {
            return Some(slot);
        }
        let room = around.limits.actors.div_ceil(SHARDS).max(1);
        // Beyond half of the room, a flood of new names is let in only bit by bit.
        if self.actors.len() * 2 > room && self.admitted as usize >= (room / 8).max(1) {
            self.actors_refused += 1;
            return None;
        }
        self.admitted += 1;
        let group = around.groups.of(facts.actor, facts.kind);
        let actor = Actor::new(facts.actor, facts.kind, group, facts.second);
        if self.actors.len() < room {
            let slot = self.actors.len() as u32;
            self.actors.push(actor);
            self.index.insert(facts.actor, slot);
            return Some(slot);
        }
        let len = self.actors.len() as u32;
        let candidates = (0..CANDIDATES.min(len)).map(|i| (self.hand + i) % len);
        let weakest = candidates.min_by(|&a, &b| {
            let total = |slot: u32| self.actors[slot as usize].total;
            total(a).total_cmp(&total(b))
        })?;
        self.hand = (self.hand + CANDIDATES) % len;
        self.index.remove(&self.actors[weakest as usize].key);
        self.actors[weakest as usize] = actor;
        self.index.insert(facts.actor, weakest);
        self.actors_forgotten += 1;
        Some(weakest)
    }
}
