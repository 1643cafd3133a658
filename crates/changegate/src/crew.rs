//! The workers of one process as one: they stand still together for a snapshot, read whole topics together, and one of
//! them looks after what the ledger holds twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use changegate_clickhouse::LedgerClient;
use changegate_kafka::Admin;
use changegate_pipeline::log::TopicPartition;
use changegate_pipeline::rows::Why;
use changegate_pipeline::{Ports, Worker};
use changegate_telemetry::{Clock as _, Gauge, Metric, Metrics, SystemClock, Tasks, spawn};

use crate::memory::{Memory, Taken};
use crate::stream::Totals;

/// How often the topics are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long the brokers may take to say what there is.
const QUESTION: Duration = Duration::from_secs(3);
/// Second copies of rows are looked for so often; each start looks for those of its partitions.
const COPY_CHECK: Duration = Duration::from_secs(3_600);

/// All workers of the process.
#[derive(Debug)]
pub(crate) struct Crew {
    memory: Memory,
    workers: usize,
    interval: Duration,
    /// A worker that cannot finish its batch in this time keeps the others no longer.
    patience: Duration,
    wanted: AtomicBool,
    round: Mutex<Round>,
    age: Gauge,
}

#[derive(Debug, Default)]
struct Round {
    /// When the last one began.
    since: Duration,
    stored: Duration,
    stand: BTreeSet<usize>,
    /// Since when what the process remembers is known to be spoilt, and who has let go of all that came of it.
    spoilt: Option<Duration>,
    over: BTreeSet<usize>,
    left: usize,
    failed: bool,
    read: BTreeMap<usize, BTreeSet<TopicPartition>>,
}

impl Crew {
    pub(crate) fn new(
        memory: Memory,
        workers: usize,
        interval: Duration,
        patience: Duration,
        metrics: &Metrics,
    ) -> Self {
        let up = SystemClock.up();
        Self {
            memory,
            workers,
            interval,
            patience,
            wanted: AtomicBool::new(false),
            round: Mutex::new(Round {
                since: up,
                stored: up,
                ..Round::default()
            }),
            age: metrics.gauge(Metric::SnapshotAgeSeconds, &[]),
        }
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before each turn of a worker. When a snapshot is due, all workers finish their batches and stand still; the last
    /// one to do so takes it.
    pub(crate) fn visit<P: Ports>(&self, number: usize, worker: &mut Worker<P>) {
        if self.memory.positions.are_spoilt() {
            return self.learn_anew(number, worker);
        }
        let up = SystemClock.up();
        if !self.wanted.load(Ordering::Acquire) {
            worker.go_on();
            if number == 0 {
                let mut round = self.round();
                self.age.set(up.saturating_sub(round.stored).as_secs_f64());
                if up.saturating_sub(round.since) >= self.interval {
                    round.since = up;
                    round.stand.clear();
                    self.wanted.store(true, Ordering::Release);
                }
            }
            return;
        }
        worker.hold();
        let stands = worker.stands_still();
        let mut round = self.round();
        // Somebody may have ended the round since it was looked at.
        if !self.wanted.load(Ordering::Acquire) {
            return;
        }
        if stands {
            round.stand.insert(number);
        }
        if round.stand.len() == self.workers {
            let taken = self.memory.snapshot();
            self.wanted.store(false, Ordering::Release);
            drop(round);
            // On its way to the disk nobody waits for it.
            self.store(taken);
        } else if up.saturating_sub(round.since) >= self.patience {
            tracing::info!("no snapshot this time: a worker cannot finish its batch");
            self.wanted.store(false, Ordering::Release);
        }
    }

    /// A batch was dropped from which the scorer had learned: what it would say of the same records would not be what it
    /// says of new ones. All workers let go of what they read; the last one goes back to the last snapshot, and then each
    /// starts over as after a restart.
    fn learn_anew<P: Ports>(&self, number: usize, worker: &mut Worker<P>) {
        worker.hold();
        let mut round = self.round();
        // Somebody may have ended the round since it was looked at.
        if !self.memory.positions.are_spoilt() {
            return;
        }
        let up = SystemClock.up();
        let since = *round.spoilt.get_or_insert(up);
        // A batch that can be finished need not be read again.
        if worker.is_closed() || up.saturating_sub(since) >= self.patience {
            worker.start_over();
            round.over.insert(number);
        }
        if round.over.len() + round.left >= self.workers {
            tracing::warn!(
                "a batch was dropped that the scorer had learned from: it goes back to its last snapshot"
            );
            self.memory.go_back();
            round.spoilt = None;
            round.over.clear();
            // A snapshot that was wanted is of no use now.
            round.stand.clear();
            round.since = up;
            self.wanted.store(false, Ordering::Release);
        }
    }

    fn store(&self, taken: Taken) {
        let current = match taken {
            Taken::Unfit => Ok(false),
            Taken::Current => Ok(true),
            Taken::Fresh(snapshot) => self.memory.store(snapshot).map(|()| true),
        };
        let mut round = self.round();
        match current {
            Ok(false) => {}
            Ok(true) => {
                round.stored = SystemClock.up();
                round.failed = false;
            }
            // One line per change of state.
            Err(error) if !round.failed => {
                round.failed = true;
                tracing::warn!(
                    error = format!("{error:#}"),
                    "no snapshot: after a restart the scorer learns again from the topic; is state.dir writable?"
                );
            }
            Err(_) => {}
        }
    }

    /// A worker has ended. The last one takes the snapshot of a clean end.
    pub(crate) fn leave(&self) {
        let mut round = self.round();
        round.left += 1;
        let is_last = round.left == self.workers;
        drop(round);
        if is_last {
            self.store(self.memory.snapshot());
        }
    }

    /// What a worker reads now.
    pub(crate) fn reads<P: Ports>(&self, number: usize, worker: &Worker<P>) {
        let mut round = self.round();
        let read = round.read.entry(number).or_default();
        if read.len() != worker.partitions().count() || !worker.partitions().all(|own| read.contains(own)) {
            *read = worker.partitions().cloned().collect();
        }
    }

    /// How many partitions of a topic the process reads.
    fn read_of(&self, topic: &str) -> usize {
        let round = self.round();
        let all = round.read.values().flatten();
        all.filter(|partition| partition.topic == topic).count()
    }
}

/// Where the partitions of all topics end, as the brokers say when they are asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends(Arc<Mutex<BTreeMap<TopicPartition, i64>>>);

impl Ends {
    fn ends(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The offset after the newest record.
    pub(crate) fn of(&self, partition: &TopicPartition) -> Option<i64> {
        self.ends().get(partition).copied()
    }

    fn note(&self, topic: &str, found: Vec<(i32, i64)>) {
        let topic = topic.to_owned();
        self.ends().extend(found.into_iter().map(|(partition, end)| {
            let topic = topic.clone();
            (TopicPartition { topic, partition }, end)
        }));
    }
}

/// Watches from beside: that every topic is there, where its partitions end, and, for a crew that does all of the work,
/// that this process reads all of it or nothing.
///
/// One process holds the history of an actor, whose events may come in any partition. With a part of a topic it would
/// know half a history and call the other half new.
pub(crate) fn watch_topics(
    crew: Option<Arc<Crew>>,
    admin: Arc<Admin>,
    topics: Vec<String>,
    grace: Duration,
    ends: Ends,
    totals: &Arc<Totals>,
    tasks: &Tasks,
) {
    let totals = Arc::clone(totals);
    let own = tasks.clone();
    spawn(tasks, "topics", async move {
        let mut faults: BTreeMap<String, (Fault, Duration)> = BTreeMap::new();
        loop {
            tokio::select! {
                () = own.shutdown().wait() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            for topic in &topics {
                let (admin, name) = (Arc::clone(&admin), topic.clone());
                let looked = tokio::task::spawn_blocking(move || admin.ends(&name, QUESTION));
                let found = tokio::select! {
                    () = own.shutdown().wait() => return,
                    found = looked => found,
                };
                // A broker that does not answer says nothing about its topics.
                let Ok(Ok(found)) = found else { continue };
                let partitions = found.as_ref().map(Vec::len);
                ends.note(topic, found.unwrap_or_default());
                let up = SystemClock.up();
                let read = crew.as_ref().map_or(0, |crew| crew.read_of(topic));
                let Some(fault) = fault(partitions, read) else {
                    faults.remove(topic);
                    continue;
                };
                let (first, since) = faults.entry(topic.clone()).or_insert((fault, up));
                if *first != fault {
                    (*first, *since) = (fault, up);
                }
                // While others come or go, or a broker has not heard of a new topic, this mends itself.
                if up.saturating_sub(*since) >= grace {
                    tracing::error!(topic, "{}", fault.told());
                    totals.failed.store(true, Ordering::Release);
                    own.shutdown().request("a topic cannot be read whole");
                    return;
                }
            }
        }
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Unknown,
    Part { read: usize, all: usize },
}

fn fault(partitions: Option<usize>, read: usize) -> Option<Fault> {
    match partitions {
        None => Some(Fault::Unknown),
        // Nothing at all: another process reads it, and this one stands by.
        Some(all) if read == 0 || read == all => None,
        Some(all) => Some(Fault::Part { read, all }),
    }
}

impl Fault {
    fn told(self) -> String {
        match self {
            Self::Unknown => {
                "the topic does not exist: `changegate topics` makes what the settings name".to_owned()
            }
            Self::Part { read, all } => format!(
                "this process was given {read} of {all} partitions, another member of the group has the rest: an actor's \
                 history would be cut in two; end the other process, or give it topics and a group of its own"
            ),
        }
    }
}

/// Every hour the ledger is looked through for second copies: an insert of a process that was suspended may land after
/// its successor has read back.
pub(crate) fn watch_copies(ledger: LedgerClient, metrics: &Metrics, tasks: &Tasks) {
    let own = tasks.clone();
    let superseded = |why: Why| metrics.counter(Metric::SupersededRows, &[why.name()]);
    let (late_inserts, identical) = (superseded(Why::LateInsert), superseded(Why::Identical));
    spawn(tasks, "copies", async move {
        loop {
            tokio::select! {
                () = own.shutdown().wait() => return,
                () = tokio::time::sleep(COPY_CHECK) => {}
            }
            let found = tokio::select! {
                () = own.shutdown().wait() => return,
                found = ledger.settle_copies(None) => found,
            };
            match found {
                Ok(copies) => {
                    late_inserts.increment(copies.late_inserts);
                    identical.increment(copies.identical);
                    if copies.late_inserts + copies.identical > 0 {
                        tracing::warn!(
                            late_inserts = copies.late_inserts,
                            identical = copies.identical,
                            "second copies of rows found: readers see each once"
                        );
                    }
                }
                Err(error) => tracing::warn!(%error, "could not look for second copies, next try in an hour"),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_read_whole_or_not_at_all() {
        assert_eq!(fault(Some(4), 4), None);
        assert_eq!(fault(Some(4), 0), None);
        assert_eq!(fault(Some(4), 3), Some(Fault::Part { read: 3, all: 4 }));
        assert_eq!(fault(None, 0), Some(Fault::Unknown));
    }
}
