use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use changegate_types::TimeMicros;
use tracing::{error, info, warn};

use crate::{Clock as _, SystemClock};

/// How a component fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not ready yet, or not now: it works on it, and says why.
    NotReady,
    /// Does its work.
    Ready,
    /// Will not come back by itself: the process should be started again.
    Failed,
}

impl State {
    /// The word in the answer of a probe.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug)]
struct Entry {
    state: State,
    code: &'static str,
    detail: String,
    since: TimeMicros,
    /// Codes that were logged since it was ready last: trouble that changes its face all the time fills no log.
    told: Vec<&'static str>,
    was_ready: bool,
    heartbeat: Option<(Duration, Arc<AtomicU64>)>,
}

/// How one component fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub component: String,
    /// How it fares.
    pub state: State,
    /// Why, in one of few words.
    pub code: &'static str,
    /// Why, in full.
    pub detail: String,
    /// Since when it fares so.
    pub since: TimeMicros,
}

/// The registry of components: what `/healthz`, `/readyz` and `/startupz` answer from.
#[derive(Clone, Debug)]
pub struct Health {
    entries: Arc<Mutex<BTreeMap<String, Entry>>>,
    started: Instant,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            entries: Arc::default(),
            started: Instant::now(),
        }
    }
}

/// One component's own handle: `kafka`, `clickhouse`, `model`, `worker-0`.
#[derive(Clone, Debug)]
pub struct Component {
    name: Arc<str>,
    health: Health,
    beat_millis: Arc<AtomicU64>,
}

impl Health {
    /// Nobody is registered, so nothing is ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a component as not ready (`starting`). A name that is there already is started again.
    pub fn component(&self, name: impl Into<String>) -> Component {
        self.register(name.into(), None)
    }

    /// As [`Health::component`], and the process counts as stuck when [`Component::beat`] was not called for `max_age`.
    pub fn component_with_heartbeat(&self, name: impl Into<String>, max_age: Duration) -> Component {
        self.register(name.into(), Some(max_age))
    }

    fn register(&self, name: String, max_age: Option<Duration>) -> Component {
        let component = Component {
            name: Arc::from(name.as_str()),
            health: self.clone(),
            beat_millis: Arc::default(),
        };
        component.beat();
        let entry = Entry {
            state: State::NotReady,
            code: "starting",
            detail: String::new(),
            since: SystemClock.now(),
            told: Vec::new(),
            was_ready: false,
            heartbeat: max_age.map(|age| (age, Arc::clone(&component.beat_millis))),
        };
        self.lock().insert(name, entry);
        component
    }

    /// Whether no component has failed and none is stuck.
    pub fn is_live(&self) -> bool {
        let now = self.millis();
        self.lock()
            .values()
            .all(|entry| entry.state != State::Failed && !entry.is_stuck(now))
    }

    /// Whether every component is ready; false while there is none.
    pub fn is_ready(&self) -> bool {
        let now = self.millis();
        let entries = self.lock();
        !entries.is_empty()
            && entries
                .values()
                .all(|entry| entry.state == State::Ready && !entry.is_stuck(now))
    }

    /// Whether every component has been ready once.
    pub fn is_started(&self) -> bool {
        let entries = self.lock();
        !entries.is_empty() && entries.values().all(|entry| entry.was_ready)
    }

    /// All components in the order of their names.
    pub fn report(&self) -> Vec<Report> {
        let now = self.millis();
        let entries = self.lock();
        let row = |(name, entry): (&String, &Entry)| Report {
            component: name.clone(),
            state: entry.state,
            code: if entry.is_stuck(now) { "stuck" } else { entry.code },
            detail: entry.detail.clone(),
            since: entry.since,
        };
        entries.iter().map(row).collect()
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // The map is whole after every statement: a panic elsewhere must not silence the probes.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_stuck(&self, now: u64) -> bool {
        self.heartbeat.as_ref().is_some_and(|(max_age, beat)| {
            let age = now.saturating_sub(beat.load(Ordering::Relaxed));
            Duration::from_millis(age) > *max_age
        })
    }
}

impl Component {
    /// Does its work.
    pub fn ready(&self) {
        self.set(State::Ready, "ready", String::new());
    }

    /// Cannot work now, and tries on. `code` is one of few words (`clickhouse_refused`): a new code is a new line in the
    /// log, a new detail under the same code is not.
    pub fn not_ready(&self, code: &'static str, detail: impl Into<String>) {
        self.set(State::NotReady, code, detail.into());
    }

    /// Will not come back by itself: `/healthz` fails, and the platform should start the process again.
    pub fn failed(&self, code: &'static str, detail: impl Into<String>) {
        self.set(State::Failed, code, detail.into());
    }

    /// "Still moving", for components with a heartbeat. Cheap: one atomic store.
    pub fn beat(&self) {
        self.beat_millis.store(self.health.millis(), Ordering::Relaxed);
    }

    fn set(&self, state: State, code: &'static str, detail: String) {
        {
            let mut entries = self.health.lock();
            let Some(entry) = entries.get_mut(&*self.name) else {
                return;
            };
            let changed = (entry.state, entry.code) != (state, code);
            entry.state = state;
            entry.code = code;
            entry.detail.clone_from(&detail);
            entry.was_ready |= state == State::Ready;
            if !changed {
                return;
            }
            entry.since = SystemClock.now();
            if state == State::Ready {
                entry.told.clear();
            } else if entry.told.contains(&code) {
                return;
            } else {
                entry.told.push(code);
            }
        }
        let component = &*self.name;
        match state {
            State::Ready => info!(component, "component is ready"),
            State::NotReady => warn!(component, code, detail, "component is not ready"),
            State::Failed => error!(component, code, detail, "component has failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::tests::lines_of;

    #[test]
    fn nothing_registered_is_not_ready() {
        let health = Health::new();
        assert!(health.is_live() && !health.is_ready() && !health.is_started());
    }

    #[test]
    fn states_of_two_components() {
        let health = Health::new();
        let (kafka, store) = (health.component("kafka"), health.component("clickhouse"));
        kafka.ready();
        assert!(!health.is_ready() && !health.is_started());
        store.ready();
        assert!(health.is_ready() && health.is_started());
        store.not_ready("refused", "code 516");
        assert!(!health.is_ready() && health.is_started() && health.is_live());
        let report = health.report();
        let [
            Report {
                component,
                state,
                code,
                detail,
                ..
            },
            _,
        ] = &report[..]
        else {
            panic!("{report:?}")
        };
        assert_eq!(
            (component.as_str(), *state, *code, detail.as_str()),
            ("clickhouse", State::NotReady, "refused", "code 516")
        );
        store.failed("schema", "no table");
        assert!(!health.is_live());
    }

    #[test]
    fn one_line_per_change_of_state() {
        let lines = lines_of(|| {
            let health = Health::new();
            let store = health.component("clickhouse");
            for attempt in 0..50 {
                store.not_ready("refused", format!("attempt {attempt}"));
            }
            store.not_ready("disk_full", "");
            // Faces that were shown before are no news.
            store.not_ready("refused", "");
            store.not_ready("disk_full", "");
            store.ready();
            store.ready();
        });
        let messages: Vec<&str> = lines
            .iter()
            .map(|line| line["message"].as_str().unwrap())
            .collect();
        assert_eq!(
            messages,
            [
                "component is not ready",
                "component is not ready",
                "component is ready"
            ]
        );
    }

    #[test]
    fn a_component_without_a_beat_is_stuck() {
        let health = Health::new();
        let worker = health.component_with_heartbeat("worker-0", Duration::from_secs(60));
        worker.ready();
        assert!(health.is_live() && health.is_ready());
        // As if the registry had started two minutes ago and the worker had not moved since.
        let later = Health {
            entries: Arc::clone(&health.entries),
            started: health.started - Duration::from_secs(120),
        };
        assert!(!later.is_live() && !later.is_ready());
        assert_eq!(later.report()[0].code, "stuck");
    }
}
