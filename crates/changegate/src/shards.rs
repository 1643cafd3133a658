//! What a process that scores remembers: of each shard for itself, so that a shard can move to another process with all
//! that is remembered of it.
//!
//! Its snapshots are in a compacted topic, one partition a shard: taken every `state.snapshot_interval`, when the shard is
//! given back, and at a clean end. As in one process, a snapshot holds nothing that is not committed, and whoever takes the
//! shard over reads the hop again from there and learns from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bumpalo::Bump;
use changegate_config::Settings;
use changegate_kafka::Snapshots;
use changegate_pipeline::log::TopicPartition;
use changegate_pipeline::part::Shard;
use changegate_pipeline::{Ports, ReadTo, Worker};
use changegate_risk::{Model, PhaseEnd, State, StateSize};
use changegate_telemetry::{Clock as _, SystemClock};
use changegate_types::{ChangeEvent, Score, TimeMicros};

use crate::memory::{self, Parts, Positions};
use crate::stream::now;

/// The session lasts longer.
const LOAD_WITHIN: Duration = Duration::from_secs(5);
/// A drain lasts longer, and so does what SIGTERM gives.
const STORE_WITHIN: Duration = Duration::from_secs(3);
/// After one that was not stored, the others are not tried for so long: together they would outlast a drain.
const STORE_AGAIN: Duration = Duration::from_secs(10);
/// Learning so many records again costs less than a snapshot.
const STORE_FROM: i64 = 1_000;

/// The states of all shards of the process, for metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct States(Arc<Mutex<BTreeMap<i32, Arc<State>>>>);

impl States {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, Arc<State>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Over all shards.
    pub(crate) fn size(&self) -> StateSize {
        let mut sum = StateSize::default();
        self.lock().values().for_each(|state| sum += state.size());
        sum
    }
}

/// When a worker stands still for snapshots of its shards; no other need wait for it.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    since: Duration,
}

impl Pace {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            since: SystemClock.up(),
        }
    }

    /// Before each turn.
    pub(crate) fn visit<P: Ports>(&mut self, worker: &mut Worker<P>) {
        let up = SystemClock.up();
        if up.saturating_sub(self.since) < self.interval {
            return;
        }
        worker.hold();
        // The scorer is told, and takes the snapshots.
        if worker.stands_still() {
            worker.go_on();
            self.since = SystemClock.up();
        }
    }
}

/// One shard.
#[derive(Debug)]
struct Mind {
    scorer: changegate_risk::Scorer,
    state: Arc<State>,
    shard: Shard,
    positions: Positions,
    /// How far the last snapshot goes, and its number.
    stored: (i64, u64),
}

/// The shards that one worker scores.
#[derive(Debug)]
pub(crate) struct Shards {
    /// With limits divided among the shards.
    settings: Settings,
    model: Arc<Model>,
    snapshots: Snapshots,
    minds: BTreeMap<i32, Mind>,
    states: States,
    not_before: Duration,
}

impl Shards {
    pub(crate) fn new(settings: &Settings, model: &Arc<Model>, snapshots: Snapshots, states: States) -> Self {
        let mut own = settings.clone();
        let share = |whole: usize| (whole / usize::from(settings.stages.shards)).max(1);
        let state = &mut own.state;
        for limit in [
            &mut state.actors_max,
            &mut state.actor_counts_max,
            &mut state.shared_counts_max,
            &mut state.waiting_max,
            &mut state.recent_ids_max,
            &mut state.asked_max,
        ] {
            *limit = share(*limit);
        }
        // What asks too often in a shard is grouped sooner, so that all of them together keep to it.
        let budget = &mut own.decision.budget_per_hour;
        *budget = budget.div_ceil(settings.stages.shards.into());
        Self {
            settings: own,
            model: Arc::clone(model),
            snapshots,
            minds: BTreeMap::new(),
            states,
            not_before: Duration::ZERO,
        }
    }

    /// Forgets the shards that are not among these.
    pub(crate) fn keep(&mut self, partitions: &[TopicPartition]) {
        let mut states = self.states.lock();
        self.minds.retain(|number, _| {
            let stays = partitions.iter().any(|partition| partition.partition == *number);
            if !stays {
                states.remove(number);
            }
            stays
        });
    }

    /// What is remembered of a shard: still, or by its last snapshot.
    pub(crate) fn open(&mut self, partition: &TopicPartition) -> Shard {
        let number = partition.partition;
        if let Some(mind) = self.minds.get(&number) {
            return mind.shard.clone();
        }
        let mind = self.load(number);
        let shard = mind.shard.clone();
        self.states.lock().insert(number, Arc::clone(&mind.state));
        self.minds.insert(number, mind);
        shard
    }

    fn load(&self, number: i32) -> Mind {
        let (settings, model) = (&self.settings, &self.model);
        let loaded = self.snapshots.load(number, LOAD_WITHIN);
        let loaded = loaded.map_err(anyhow::Error::from).and_then(|found| {
            let read = |(number, bytes): (u64, Vec<u8>)| Ok((number, memory::read(settings, model, &bytes)?));
            found.map(read).transpose()
        });
        let (stored, parts) = match loaded {
            Ok(Some((snapshot, parts))) => {
                tracing::info!(shard = number, snapshot, "snapshot of the shard read");
                (snapshot, parts)
            }
            Ok(None) => {
                tracing::info!(shard = number, "no snapshot of the shard: it starts empty");
                (0, Parts::empty(settings, model))
            }
            Err(error) => {
                tracing::warn!(
                    shard = number,
                    error = format!("{error:#}"),
                    records = settings.state.learn_back_records,
                    "snapshot of the shard not taken: it starts empty and learns again from the last records of the hop"
                );
                (0, Parts::empty(settings, model))
            }
        };
        let Parts {
            state,
            recent,
            asker,
            positions,
        } = parts;
        let state = Arc::new(state);
        Mind {
            scorer: changegate_risk::Scorer::new(Arc::clone(model), Arc::clone(&state)),
            state,
            shard: Shard {
                number: number.unsigned_abs() as usize,
                recent: Arc::new(recent),
                asker: Arc::new(Mutex::new(asker)),
            },
            positions,
            stored: (i64::MIN, stored),
        }
    }

    fn mind(&mut self, shard: usize) -> &mut Mind {
        let mind = i32::try_from(shard)
            .ok()
            .and_then(|shard| self.minds.get_mut(&shard));
        mind.expect("a shard is opened before its events come")
    }

    pub(crate) fn score<'a>(
        &mut self,
        shard: usize,
        arena: &'a Bump,
        events: &[(&ChangeEvent<'a>, TimeMicros)],
        out: &mut Vec<Score<'a>>,
    ) {
        self.mind(shard).scorer.score_block(arena, events, out);
    }

    pub(crate) fn learn(&mut self, shard: usize, events: &[(&ChangeEvent<'_>, TimeMicros)]) {
        self.mind(shard).scorer.learn_block(events);
    }

    pub(crate) fn ended_phases(&self) -> Vec<PhaseEnd> {
        self.minds
            .values()
            .flat_map(|mind| mind.state.ended_phases())
            .collect()
    }

    pub(crate) fn learn_from(&self, place: ReadTo<'_>) -> i64 {
        let mind = self.minds.get(&place.partition);
        mind.map_or(place.next, |mind| mind.positions.learn_from(place))
    }

    /// What was learned from a batch that came to nothing is forgotten with its shard, which is read from its snapshot when
    /// it is opened again; what is committed goes into the next one.
    pub(crate) fn read_to(&mut self, place: ReadTo<'_>, durable: bool) {
        if !durable {
            if self.minds.remove(&place.partition).is_some() {
                self.states.lock().remove(&place.partition);
            }
            return;
        }
        let Some(mind) = self.minds.get_mut(&place.partition) else {
            return;
        };
        mind.positions.note(place, true);
        if place.next.saturating_sub(mind.stored.0) < STORE_FROM || SystemClock.up() < self.not_before {
            return;
        }
        let number = (now().millis().unsigned_abs()).max(mind.stored.1 + 1);
        // Its pieces must not be those of the one before.
        let number = number + u64::from(number % 2 == mind.stored.1 % 2);
        let Some(positions) = mind.positions.durable() else {
            return;
        };
        let mut bytes = Vec::new();
        memory::write(
            &mut bytes,
            &self.settings,
            &self.model,
            &positions,
            &mind.shard.asker,
            &mind.shard.recent,
            &mind.state,
        );
        match self
            .snapshots
            .store(place.partition, number, &bytes, STORE_WITHIN)
        {
            Ok(()) => mind.stored = (place.next, number),
            Err(error) => {
                self.not_before = SystemClock.up() + STORE_AGAIN;
                tracing::warn!(
                    shard = place.partition,
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "no snapshot of the shard: whoever has it next learns more of the hop again"
                );
            }
        }
    }
}
