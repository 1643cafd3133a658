//! The worker: one member of the group, a step at a time.

mod group;
mod read;
mod start;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bumpalo::Bump;
use changegate_types::TimeMicros;
use tracing::Span;

use crate::batch::{Batch, BatchLimits};
use crate::clock::{Clock, Now};
use crate::error::Error;
use crate::fence::BatchIds;
use crate::judge::Judge;
use crate::log::{Log, LogError, Message, TopicPartition};
use crate::observe::{Observer, Side, Trouble};
use crate::part::Part;
use crate::poison::{Poison, PoisonLimits};
use crate::ports::Ports;
use crate::recover::{RecoverError, RecoverRules};
use crate::tick::Tick;
use crate::write::WriteLimits;

/// What a worker is set to.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Records judged at a time: their bytes should stay in the second-level cache.
    pub block_max: usize,
    /// When a batch is closed.
    pub batch: BatchLimits,
    /// How it is written.
    pub write: WriteLimits,
    /// The group's session timeout: a fence older than half of it is renewed before a send.
    pub session_timeout: Duration,
    /// How long a rebalance or a shutdown waits for the batches under way.
    pub drain: Duration,
    /// After so long without records the last batch is closed.
    pub idle_close: Duration,
    /// Longest wait for a record.
    pub poll_wait: Duration,
    /// When rejects stop the worker.
    pub poison: PoisonLimits,
    /// What a person allowed beforehand.
    pub recover: RecoverRules,
    /// Host and process, for `operations`.
    pub who: String,
    /// Keeps the batch ids of workers apart.
    pub tag: u64,
    /// Of a partition that the scorer knows nothing of, so many records before the start are read to learn from them.
    pub learn_back: i64,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            block_max: 512,
            batch: BatchLimits::default(),
            write: WriteLimits::default(),
            session_timeout: Duration::from_secs(45),
            drain: Duration::from_secs(5),
            idle_close: Duration::from_millis(200),
            poll_wait: Duration::from_millis(5),
            poison: PoisonLimits::default(),
            recover: RecoverRules::default(),
            who: String::new(),
            tag: 0,
            learn_back: 0,
        }
    }
}

/// A worker that cannot read rests so long before it pauses: most batches are written sooner, and a pause throws away what
/// the client has fetched ahead. The group waits as long for it where it shares partitions out anew.
const REST_MAX: Duration = Duration::from_secs(5);

/// One member of the group, with its batch under construction and its batch under way. Everything it does happens in
/// [`Worker::turn`], on the thread that calls it.
pub struct Worker<P: Ports> {
    pub(crate) log: P::Log,
    pub(crate) ledger: Arc<P::Ledger>,
    pub(crate) desk: P::Desk,
    pub(crate) outbox: P::Outbox,
    pub(crate) clock: P::Clock,
    pub(crate) observer: P::Observer,
    pub(crate) judge: Judge<P::Normalizer, P::Scorer, P::Encoder>,
    pub(crate) settings: WorkerSettings,
    pub(crate) parts: Vec<Part>,
    pub(crate) open: Batch,
    pub(crate) tick: Tick,
    pub(crate) ids: BatchIds,
    pub(crate) group: Group,
    pub(crate) troubled: [Option<Trouble>; Side::ALL.len()],
    index: HashMap<(usize, i32), u32>,
    /// Whether any of `parts` is stalled or unsettled: a turn that has nothing to do walks over none of them.
    stalled: bool,
    pub(crate) unsettled: bool,
    arena: Bump,
    pub(crate) paused: bool,
    pub(crate) holding: bool,
    /// Kafka time of the oldest record of batches that were dropped and are yet to be read again.
    dropped: Option<TimeMicros>,
    /// Since when it has not read, though it has partitions, and has not paused them.
    resting: Option<Duration>,
    /// When it last joined anew under its name.
    rejoined: Option<Duration>,
    stopping: bool,
    poison: Poison,
}

/// What a worker is built of.
pub struct Equipment<P: Ports> {
    /// Where records come from.
    pub log: P::Log,
    /// Where rows go: asked on the polling thread at assignments.
    pub ledger: Arc<P::Ledger>,
    /// The same ledger, asked without waiting.
    pub desk: P::Desk,
    /// Where requests and dead letters go.
    pub outbox: P::Outbox,
    /// Time.
    pub clock: P::Clock,
    /// Metrics and health.
    pub observer: P::Observer,
    /// Makes rows of records.
    pub judge: Judge<P::Normalizer, P::Scorer, P::Encoder>,
    /// Settings.
    pub settings: WorkerSettings,
}

/// Where the worker stands with its group.
#[derive(Debug)]
pub(crate) enum Group {
    /// No partitions.
    Idle,
    /// Partitions are given; their starts are yet to be found.
    Starting {
        partitions: Vec<TopicPartition>,
        not_before: Duration,
        backoff: Duration,
        new_life: Option<(TopicPartition, u32)>,
    },
    /// Reading.
    Running,
    /// Giving partitions back: no more reading, the batches are finished until the deadline.
    Draining { deadline: Duration },
}

/// How a turn went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Call again.
    Goes,
    /// Everything that could be finished is; after [`Worker::stop`] the loop ends.
    Drained,
}

impl<P: Ports> Worker<P> {
    /// Builds it. It does nothing before the first turn.
    pub fn new(equipment: Equipment<P>) -> Self {
        let Equipment {
            log,
            ledger,
            desk,
            outbox,
            clock,
            observer,
            judge,
            settings,
        } = equipment;
        let batch = || Batch::with_room(settings.batch.bytes_max);
        Self {
            ids: BatchIds::new(settings.tag),
            tick: Tick::new(batch()),
            open: batch(),
            log,
            ledger,
            desk,
            outbox,
            clock,
            observer,
            judge,
            settings,
            parts: Vec::new(),
            group: Group::Idle,
            troubled: [const { None }; Side::ALL.len()],
            index: HashMap::new(),
            stalled: false,
            unsettled: false,
            arena: Bump::new(),
            paused: false,
            holding: false,
            dropped: None,
            resting: None,
            rejoined: None,
            stopping: false,
            poison: Poison::default(),
        }
    }

    /// One step: serves the group, reads a block, moves the batch under way.
    ///
    /// # Errors
    /// Where the worker must end. Nothing was committed that is not durable.
    pub fn turn(&mut self) -> Result<Turn, Error> {
        match self.step() {
            Err(
                Error::Log(LogError::Replaced(reason))
                | Error::Recover(RecoverError::Log(LogError::Replaced(reason))),
            ) => self.rejoin(reason),
            other => other,
        }
    }

    fn step(&mut self) -> Result<Turn, Error> {
        let now = self.clock.now();
        self.start_if_due(now)?;
        if self.may_read() {
            self.resting = None;
            self.read(now)?;
        } else {
            self.serve(now)?;
        }
        self.follow_group()?;
        let now = self.clock.now();
        self.drive(now)?;
        self.finish_drain(now)
    }

    /// Asks the worker to finish: it drains within [`WorkerSettings::drain`], then [`Worker::turn`] says
    /// [`Turn::Drained`].
    pub fn stop(&mut self) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        match self.group {
            Group::Running => self.begin_drain(),
            Group::Draining { .. } | Group::Idle => {}
            Group::Starting { .. } => {
                self.group = Group::Draining {
                    deadline: Duration::ZERO,
                }
            }
        }
    }

    /// The observer.
    pub fn observer(&self) -> &P::Observer {
        &self.observer
    }

    /// Whether every position that was read is durable and committed.
    pub fn is_closed(&self) -> bool {
        self.open.is_empty() && self.tick.is_closed()
    }

    /// Kafka time of the oldest record that was read and whose rows, requests and dead letters are not durable yet.
    pub fn oldest_unsaved(&self) -> Option<TimeMicros> {
        let all = [self.open.oldest, self.tick.oldest(), self.dropped];
        all.into_iter().flatten().min()
    }

    /// Encoded bytes of both batches.
    pub fn under_way_bytes(&self) -> usize {
        self.open.bytes() + self.tick.bytes()
    }

    fn may_read(&self) -> bool {
        matches!(self.group, Group::Running) && !self.paused && !self.holding && !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.open.is_full(&self.settings.batch)
    }

    /// Stays a member without reading. At first it rests; when that is over it pauses its partitions and polls, so that
    /// nothing comes, and what comes all the same is read again later.
    fn serve(&mut self, now: Now) -> Result<(), Error> {
        if matches!(self.group, Group::Running) && !self.paused {
            let since = *self.resting.get_or_insert(now.up);
            if now.up.saturating_sub(since) < REST_MAX {
                self.log.rest(self.wait());
                return Ok(());
            }
            let partitions = self.readable();
            self.log.pause(&partitions).map_err(Error::Log)?;
            self.paused = true;
            self.observer.paused(self.is_full());
        }
        let polled = self.log.poll(self.settings.poll_wait);
        let polled = polled.map(|message| {
            message.map(|message| {
                let topic = message.topic().to_owned();
                (
                    TopicPartition {
                        topic,
                        partition: message.partition(),
                    },
                    message.offset(),
                )
            })
        });
        match polled {
            Ok(Some((partition, offset))) if matches!(self.group, Group::Running) => {
                self.log.seek(&partition, offset).map_err(Error::Log)?;
            }
            Ok(_) => {}
            Err(error) => self.log_trouble(error)?,
        }
        let may_resume = self.paused && !self.holding && !self.is_full();
        if may_resume && matches!(self.group, Group::Running) {
            let partitions = self.readable();
            self.log.resume(&partitions).map_err(Error::Log)?;
            self.paused = false;
            self.resting = None;
            self.observer.paused(false);
        }
        Ok(())
    }

    /// How long to wait for what may come. While a batch is under way its answer may be there any moment.
    fn wait(&self) -> Duration {
        if self.tick.is_busy() {
            self.settings.poll_wait.min(Duration::from_millis(1))
        } else {
            self.settings.poll_wait
        }
    }

    pub(crate) fn readable(&self) -> Vec<TopicPartition> {
        self.parts
            .iter()
            .filter(|part| part.stalled.is_none())
            .map(|part| part.partition.clone())
            .collect()
    }

    pub(crate) fn log_trouble(&mut self, error: LogError) -> Result<(), Error> {
        match error {
            // The log tells of its connections itself; polling on is all there is to do, and nothing here says when it
            // is over.
            LogError::Wait(reason) => {
                tracing::debug!(reason, "polling");
                Ok(())
            }
            LogError::Replaced(_) | LogError::Fatal(_) => Err(Error::Log(error)),
        }
    }

    /// One call per change.
    pub(crate) fn note_trouble(&mut self, side: Side, trouble: Option<Trouble>) {
        let noted = &mut self.troubled[side as usize];
        if *noted != trouble {
            *noted = trouble;
            self.observer.trouble(side, noted.as_ref());
        }
    }

    /// A question beside the batch under way was answered: the ledger is there, unless that batch says otherwise.
    fn ledger_answers(&mut self) {
        if !self.tick.is_busy() {
            self.note_trouble(Side::Ledger, None);
        }
    }
}

/// A span below that of the batch.
pub(crate) fn child_span(batch: &Batch, make: impl FnOnce(&Span) -> Span) -> Span {
    batch.span.as_ref().map_or_else(Span::none, make)
}
