//! What the scorer remembers: 64 shards of actors, and the counts of peers and tenants that all of them read.
//!
//! **Order.** Within a shard, events are taken in the order given. Peer and tenant counts change only where record time
//! crosses into a new step, so a score does not depend on how events were cut into blocks. Lock order: `shared`
//! first, then one shard at a time.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

pub(crate) mod actor;
mod peers;
mod phases;
pub(crate) mod shard;
mod snapshot;
pub(crate) mod table;

pub(crate) use crate::extract::Observed;
pub use peers::PeerGroups;
pub use phases::PhaseEnd;
pub use snapshot::SnapshotError;

use changegate_types::{ChangeEvent, TimeMicros};

use crate::ecod::Ecod;
use crate::facts::Facts;
use phases::{Names, Phases, Seen};
use shard::{Gate, Shard, Surroundings};
use table::Table;

/// Parts of the state, by hash of the actor. Part of the snapshot's layout.
pub const SHARDS: usize = 64;
/// Length of a step of record time.
const STEP_SECONDS: i64 = 600;
/// Half-life of every count: 14 days.
const HALF_LIFE_STEPS: f64 = (14 * 24 * 3_600 / STEP_SECONDS) as f64;
/// A step also ends after this many events, so that what waits for it stays small.
const STEP_EVENTS: u64 = 1_024;
/// Weights double every half-life; beyond this exponent all counts are scaled back.
const EXPONENT_MAX: f64 = 40.0;

/// How much may be remembered. Memory is given out at the start and stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Actors; the weakest is forgotten for a new one.
    pub actors: usize,
    /// Counts of single actors, 8 bytes each.
    pub actor_counts: usize,
    /// Counts of peers and tenants, 8 bytes each.
    pub shared_counts: usize,
    /// Unusual events that wait to be learned.
    pub waiting: usize,
    /// How long they wait, in hours of record time.
    pub waiting_hours: u32,
    /// How long a learning phase lasts, in hours of record time; 0: there is none.
    pub learning_hours: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            actors: 1 << 17,
            actor_counts: 1 << 22,
            shared_counts: 1 << 21,
            waiting: 1 << 15,
            waiting_hours: 24,
            learning_hours: 5 * 24,
        }
    }
}

impl Limits {
    pub(crate) fn waiting_steps(&self) -> i64 {
        i64::from(self.waiting_hours) * 3_600 / STEP_SECONDS
    }

    pub(crate) fn learning_seconds(&self) -> u32 {
        self.learning_hours.saturating_mul(3_600)
    }
}

/// Where record time stands. `weight` is what one event counts now; `unit` turns counts into events of today.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clock {
    pub(crate) step: i64,
    /// Step at which one event weighs 1.
    pub(crate) landmark: i64,
    pub(crate) weight: f32,
    pub(crate) unit: f32,
}

impl Clock {
    fn at(step: i64, landmark: i64) -> Self {
        let exponent = (step - landmark) as f64 / HALF_LIFE_STEPS;
        Self {
            step,
            landmark,
            weight: exponent.exp2() as f32,
            unit: (-exponent).exp2() as f32,
        }
    }
}

/// What all shards read and only a new step changes.
#[derive(Debug)]
pub(crate) struct Shared {
    clock: Clock,
    counts: Table,
    phases: Phases,
}

/// Sizes for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSize {
    /// Actors remembered.
    pub actors: u64,
    /// Counts of single actors.
    pub actor_counts: u64,
    /// Counts of peers and tenants.
    pub shared_counts: u64,
    /// Unusual events that wait.
    pub waiting: u64,
    /// Learning phases that last.
    pub learning_phases: u64,
    /// Actors forgotten for others, so far.
    pub actors_forgotten: u64,
    /// Actors that found no room, so far.
    pub actors_refused: u64,
    /// Unusual events that found no room to wait and are never learned, so far.
    pub waiting_dropped: u64,
    /// Counts thrown out for others, so far.
    pub counts_evicted: u64,
}

impl AddAssign for StateSize {
    fn add_assign(&mut self, other: Self) {
        let Self {
            actors,
            actor_counts,
            shared_counts,
            waiting,
            learning_phases,
            actors_forgotten,
            actors_refused,
            waiting_dropped,
            counts_evicted,
        } = other;
        self.actors += actors;
        self.actor_counts += actor_counts;
        self.shared_counts += shared_counts;
        self.waiting += waiting;
        self.learning_phases += learning_phases;
        self.actors_forgotten += actors_forgotten;
        self.actors_refused += actors_refused;
        self.waiting_dropped += waiting_dropped;
        self.counts_evicted += counts_evicted;
    }
}

/// The state, shared by all workers of a process.
#[derive(Debug)]
pub struct State {
    limits: Limits,
    groups: PeerGroups,
    gate: Option<(Ecod, f32)>,
    shared: RwLock<Shared>,
    shards: Vec<Mutex<Shard>>,
    step: AtomicI64,
    events: AtomicU64,
    names: Mutex<Names>,
    ended: Mutex<Vec<PhaseEnd>>,
}

/// A panic elsewhere leaves counts half-moved at worst: a cache that is a little off, not a broken ledger.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// An empty state for a model.
    pub fn new(model: &crate::Model, limits: Limits) -> Self {
        let mut state = Self::bare(limits, model.groups().clone());
        let (ecod, unusual_from) = model.gate();
        state.gate = Some((ecod.clone(), unusual_from));
        state
    }

    /// Without a model: everything is learned at once.
    pub(crate) fn bare(limits: Limits, groups: PeerGroups) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::new(&limits))).collect();
        let shared = Shared {
            clock: Clock::at(0, 0),
            counts: Table::new(limits.shared_counts),
            phases: Phases::default(),
        };
        Self {
            limits,
            groups,
            gate: None,
            shared: RwLock::new(shared),
            shards,
            step: AtomicI64::new(i64::MIN),
            events: AtomicU64::new(0),
            names: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    /// From now on unusual events wait.
    pub(crate) fn set_gate(&mut self, ecod: Ecod, unusual_from: f32) {
        self.gate = Some((ecod, unusual_from));
    }

    /// Features of each event from those before it, and remembers it. `out` is of the same length. Says whether a
    /// learning phase begins with one of them.
    pub(crate) fn observe(&self, facts: &[Facts], order: &mut ShardOrder, out: &mut [Observed]) -> bool {
        let mut begun = false;
        let mut start = 0;
        while start < facts.len() {
            let step = i64::from(facts[start].second) / STEP_SECONDS;
            if step > self.step.load(Ordering::Acquire) || self.events.load(Ordering::Acquire) >= STEP_EVENTS
            {
                self.advance(step);
            }
            // As far as no event opens a new step; record time that goes back opens none.
            let now = self.step.load(Ordering::Acquire);
            let room = STEP_EVENTS
                .saturating_sub(self.events.load(Ordering::Acquire))
                .max(1) as usize;
            let same = |facts: &&Facts| i64::from(facts.second) / STEP_SECONDS <= now;
            let len = facts[start..].iter().take(room).take_while(same).count().max(1);
            let end = start + len;
            begun |= self.observe_within_step(&facts[start..end], order, &mut out[start..end]);
            self.events.fetch_add(len as u64, Ordering::AcqRel);
            start = end;
        }
        begun
    }

    fn observe_within_step(&self, facts: &[Facts], order: &mut ShardOrder, out: &mut [Observed]) -> bool {
        let shared = self.read_shared();
        let around = Surroundings {
            clock: shared.clock,
            shared: &shared.counts,
            groups: &self.groups,
            gate: self.gate.as_ref().map(|(ecod, unusual_from)| Gate {
                ecod,
                unusual_from: *unusual_from,
            }),
            limits: &self.limits,
            phases: &shared.phases,
        };
        order.sort(facts);
        let mut begun = false;
        for (shard, events) in order.by_shard() {
            let mut shard = locked(&self.shards[shard]);
            for &event in events {
                shard.observe(&facts[event as usize], &around, &mut out[event as usize]);
            }
            begun |= std::mem::take(&mut shard.seen.has_new);
        }
        begun
    }

    /// Takes down what the learning phases of these events are called.
    pub(crate) fn name_phases(&self, facts: &[Facts], events: &[(&ChangeEvent<'_>, TimeMicros)]) {
        let mut names = locked(&self.names);
        for (facts, (event, _)) in facts.iter().zip(events) {
            names.note(facts, event);
        }
    }

    /// The learning phases that have ended since this was last asked.
    pub fn ended_phases(&self) -> Vec<PhaseEnd> {
        std::mem::take(&mut locked(&self.ended))
    }

    /// Opens a step: what the shards held back becomes part of the shared counts, and whoever waited long enough is learned.
    fn advance(&self, step: i64) {
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        let before = self.step.load(Ordering::Acquire);
        let step = step.max(before);
        if before == i64::MIN {
            shared.clock = Clock::at(step, step);
        }
        let weight = shared.clock.weight;
        let mut seen = Seen::default();
        for shard in &self.shards {
            let shard = &mut *locked(shard);
            for key in shard.pending.drain(..) {
                shared.counts.add(key, weight, true);
            }
            seen.take(&mut shard.seen);
        }
        let over = shared.phases.turn(seen, &self.limits);
        if !over.is_empty() {
            let names = locked(&self.names);
            let ends = over.into_iter().filter_map(|phase| names.ended(phase));
            locked(&self.ended).extend(ends);
        }
        self.move_clock(&mut shared, step);
        let clock = shared.clock;
        for shard in &self.shards {
            let mut shard = locked(shard);
            shard.release(clock, &self.groups);
            if step > before {
                shard.admitted = 0;
            }
        }
        self.events.store(0, Ordering::Release);
        self.step.store(step, Ordering::Release);
    }

    fn move_clock(&self, shared: &mut Shared, step: i64) {
        let landmark = shared.clock.landmark;
        let exponent = (step - landmark) as f64 / HALF_LIFE_STEPS;
        if exponent <= EXPONENT_MAX {
            shared.clock = Clock::at(step, landmark);
            return;
        }
        let factor = (-exponent).exp2() as f32;
        shared.counts.scale(factor);
        for shard in &self.shards {
            let mut shard = locked(shard);
            shard.counts.scale(factor);
            shard.actors.iter_mut().for_each(|actor| actor.total *= factor);
        }
        shared.clock = Clock::at(step, step);
    }

    /// Forgets everything and remembers what `other` does, which was made for the same model with the same limits. Workers
    /// must stand still.
    pub fn replace(&self, other: Self) {
        fn inner<T>(lock: Mutex<T>) -> T {
            lock.into_inner().unwrap_or_else(PoisonError::into_inner)
        }
        let Self {
            limits: _,
            groups: _,
            gate: _,
            shared,
            shards,
            step,
            events,
            names,
            ended,
        } = other;
        *self.shared.write().unwrap_or_else(PoisonError::into_inner) =
            shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (own, other) in self.shards.iter().zip(shards) {
            *locked(own) = inner(other);
        }
        *locked(&self.names) = inner(names);
        *locked(&self.ended) = inner(ended);
        self.events.store(events.into_inner(), Ordering::Release);
        self.step.store(step.into_inner(), Ordering::Release);
    }

    fn read_shared(&self) -> RwLockReadGuard<'_, Shared> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much is remembered.
    pub fn size(&self) -> StateSize {
        let shared = self.read_shared();
        let mut size = StateSize {
            shared_counts: shared.counts.len() as u64,
            counts_evicted: shared.counts.evicted(),
            learning_phases: shared.phases.lasting(&self.limits) as u64,
            ..StateSize::default()
        };
        for shard in &self.shards {
            let shard = locked(shard);
            size.actors += shard.actors.len() as u64;
            size.actor_counts += shard.counts.len() as u64;
            size.waiting += shard.waiting.len() as u64;
            size.actors_forgotten += shard.actors_forgotten;
            size.actors_refused += shard.actors_refused;
            size.waiting_dropped += shard.waiting_dropped;
            size.counts_evicted += shard.counts.evicted();
        }
        size
    }
}

/// The events of a block by shard, in their order: each shard is locked once.
#[derive(Debug, Default)]
pub(crate) struct ShardOrder {
    events: Vec<u32>,
    /// Start of each shard's events; one more for the end.
    starts: Vec<u32>,
}

impl ShardOrder {
    fn sort(&mut self, facts: &[Facts]) {
        let shard_of = |facts: &Facts| facts.actor as usize >> 7 & (SHARDS - 1);
        self.starts.clear();
        self.starts.resize(SHARDS + 1, 0);
        for facts in facts {
            self.starts[shard_of(facts) + 1] += 1;
        }
        for shard in 0..SHARDS {
            self.starts[shard + 1] += self.starts[shard];
        }
        self.events.clear();
        self.events.resize(facts.len(), 0);
        let mut next: [u32; SHARDS] = std::array::from_fn(|shard| self.starts[shard]);
        for (at, facts) in facts.iter().enumerate() {
            let next = &mut next[shard_of(facts)];
            self.events[*next as usize] = at as u32;
            *next += 1;
        }
    }

    fn by_shard(&self) -> impl Iterator<Item = (usize, &[u32])> {
        let range = |shard: usize| &self.events[self.starts[shard] as usize..self.starts[shard + 1] as usize];
        (0..SHARDS)
            .map(move |shard| (shard, range(shard)))
            .filter(|(_, events)| !events.is_empty())
    }
}
