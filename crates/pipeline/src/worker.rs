use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bumpalo::Bump;
use changegate_types::{Position, RawRecord, TimeMicros};
use tracing::{Span, info_span};

use crate::batch::{Batch, BatchLimits};
use crate::clock::{Clock, Now};
use crate::error::Error;
use crate::fence::BatchIds;
use crate::judge::{BlockContext, BlockRecord, Judge, OtherLife, Refusals, Scorer, Topic};
use crate::known::Known;
use crate::ledger::Ledger;
use crate::log::{Log, LogError, Message, Rebalance, TopicPartition};
use crate::observe::{Observer, Side, Trouble};
use crate::outgoing::header::TRACEPARENT;
use crate::part::Part;
use crate::poison::{Poison, PoisonLimits};
use crate::ports::Ports;
use crate::recover::{self, Plan, RecoverRules};
use crate::replay;
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
    arena: Bump,
    pub(crate) paused: bool,
    pub(crate) holding: bool,
    /// A batch was dropped: `parts` are ahead of what is committed until the next start.
    pub(crate) abandoned: bool,
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
        Self {
            ids: BatchIds::new(settings.tag),
            tick: Tick::new(),
            log,
            ledger,
            desk,
            outbox,
            clock,
            observer,
            judge,
            settings,
            parts: Vec::new(),
            open: Batch::default(),
            group: Group::Idle,
            troubled: [const { None }; Side::ALL.len()],
            index: HashMap::new(),
            arena: Bump::new(),
            paused: false,
            holding: false,
            abandoned: false,
            stopping: false,
            poison: Poison::default(),
        }
    }

    /// One step: serves the group, reads a block, moves the batch under way.
    ///
    /// # Errors
    /// Where the worker must end. Nothing was committed that is not durable.
    pub fn turn(&mut self) -> Result<Turn, Error> {
        let now = self.clock.now();
        self.start_if_due(now)?;
        if self.may_read() {
            self.read(now)?;
        } else {
            self.serve()?;
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
        [self.open.oldest, self.tick.oldest()].into_iter().flatten().min()
    }

    /// Encoded bytes of both batches.
    pub fn under_way_bytes(&self) -> usize {
        self.open.bytes() + self.tick.bytes()
    }

    fn may_read(&self) -> bool {
        matches!(self.group, Group::Running) && !self.paused && !self.holding
    }

    /// Polls to stay a member. No partition is read, so nothing comes; what comes all the same is read again later.
    fn serve(&mut self) -> Result<(), Error> {
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
        let may_resume = self.paused && !self.holding && !self.open.is_full(&self.settings.batch);
        if may_resume && matches!(self.group, Group::Running) {
            let partitions = self.readable();
            self.log.resume(&partitions).map_err(Error::Log)?;
            self.paused = false;
            self.observer.paused(false);
        }
        Ok(())
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
            LogError::Fatal(_) => Err(Error::Log(error)),
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

    fn follow_group(&mut self) -> Result<(), Error> {
        while let Some(rebalance) = self.log.take_rebalance() {
            match rebalance {
                Rebalance::Assign(_) if self.stopping => self.log.unassign().map_err(Error::Log)?,
                Rebalance::Assign(partitions) => {
                    self.abandon();
                    self.parts.clear();
                    self.index.clear();
                    self.group = Group::Starting {
                        partitions,
                        not_before: Duration::ZERO,
                        backoff: self.settings.write.backoff_min,
                        new_life: None,
                    };
                }
                Rebalance::Revoke { lost: true } => {
                    self.abandon();
                    self.give_back(true)?;
                }
                Rebalance::Revoke { lost: false } => match self.group {
                    Group::Running => self.begin_drain(),
                    Group::Draining { .. } => {}
                    Group::Idle | Group::Starting { .. } => {
                        self.abandon();
                        self.give_back(false)?;
                    }
                },
            }
        }
        Ok(())
    }

    fn begin_drain(&mut self) {
        // Pausing is a courtesy: what is read from here on is dropped and read again.
        let partitions = self.readable();
        if let Err(error) = self.log.pause(&partitions) {
            tracing::debug!(%error, "pausing before a drain");
        }
        self.group = Group::Draining {
            deadline: self.clock.now().up + self.settings.drain,
        };
    }

    /// Ends a drain when nothing is left to finish or its time is over.
    fn finish_drain(&mut self, now: Now) -> Result<Turn, Error> {
        if let Group::Draining { deadline } = self.group {
            if !self.is_closed() && now.up < deadline {
                return Ok(Turn::Goes);
            }
            if !self.is_closed() {
                tracing::warn!("leaving with the fence open: whoever comes next finishes the batch");
            }
            self.abandon();
            self.give_back(false)?;
        }
        let idle = matches!(self.group, Group::Idle);
        Ok(if self.stopping && idle {
            Turn::Drained
        } else {
            Turn::Goes
        })
    }

    fn give_back(&mut self, lost: bool) -> Result<(), Error> {
        self.log.unassign().map_err(Error::Log)?;
        self.parts.clear();
        self.index.clear();
        self.paused = false;
        self.group = Group::Idle;
        for side in Side::ALL {
            self.note_trouble(side, None);
        }
        self.observer.revoked(lost);
        Ok(())
    }

    /// Drops both batches. Whatever of them is in the ledger is found there by the next start.
    pub(crate) fn abandon(&mut self) {
        self.tell_scorer();
        self.abandoned |= !self.is_closed();
        self.open.recycle();
        self.tick.abandon(&self.desk);
    }

    fn start_if_due(&mut self, now: Now) -> Result<(), Error> {
        let Group::Starting {
            partitions,
            not_before,
            backoff,
            new_life,
        } = &mut self.group
        else {
            return Ok(());
        };
        if now.up < *not_before {
            return Ok(());
        }
        let (partitions, new_life) = (partitions.clone(), new_life.clone());
        let (next_backoff, wait) = ((*backoff * 2).min(self.settings.write.backoff_max), *backoff);
        match self.start(&partitions, new_life.as_ref(), now) {
            Ok(()) => {
                self.note_trouble(Side::Log, None);
                self.note_trouble(Side::Ledger, None);
                self.group = Group::Running;
                Ok(())
            }
            Err(error) if error.is_passing() => {
                let (side, trouble) = match &error {
                    recover::RecoverError::Ledger(error) => (Side::Ledger, error.into()),
                    error => (Side::Log, Trouble::no_answer(error.to_string())),
                };
                self.note_trouble(side, Some(trouble));
                self.group = Group::Starting {
                    partitions,
                    not_before: now.up + wait,
                    backoff: next_backoff,
                    new_life,
                };
                Ok(())
            }
            Err(error) => Err(Error::Recover(error)),
        }
    }

    /// Recovery: the ledger decides where each partition starts and what of it exists.
    fn start(
        &mut self,
        partitions: &[TopicPartition],
        new_life: Option<&(TopicPartition, u32)>,
        now: Now,
    ) -> Result<(), recover::RecoverError> {
        let committed = self.log.committed(partitions)?;
        let ids = &self.ids;
        recover::kill_dead(&*self.ledger, &committed, |batch| !ids.has_tag(batch))?;
        let mut plans = Vec::with_capacity(partitions.len());
        let mut operations = Vec::new();
        for (partition, committed) in partitions.iter().zip(&committed) {
            let rules = RecoverRules {
                // A batch is closed by the block that fills it.
                batch_records_max: self.settings.batch.rows_max + self.settings.block_max,
                ..self.settings.recover
            };
            let mut plan = recover::plan(
                &self.log,
                &*self.ledger,
                partition,
                committed.as_ref(),
                rules,
                now.wall,
            )?;
            let asked = new_life.filter(|(other, life)| other == partition && plan.incarnation < *life);
            if let Some((_, incarnation)) = asked {
                let low = self.log.watermarks(partition)?.from;
                let why = "a position read later holds another record than the ledger says";
                plan = recover::new_life(partition, *incarnation, low, plan.batch_floor, why, now.wall);
            }
            operations.append(&mut plan.operations);
            plans.push(plan);
        }
        let mut parts = Vec::with_capacity(partitions.len());
        for (partition, plan) in partitions.iter().zip(&plans) {
            parts.push(self.part(partition, plan)?);
        }
        if !operations.is_empty() {
            operations
                .iter_mut()
                .for_each(|operation| operation.who.clone_from(&self.settings.who));
            self.ledger.operations(&operations)?;
            self.observer.noted(&operations);
        }
        plans.iter().for_each(|plan| self.ids.raise(plan.batch_floor));
        let starts: Vec<_> = parts
            .iter()
            .map(|part| (part.partition.clone(), part.next))
            .collect();
        self.log.assign(&starts)?;
        self.index = (0..)
            .zip(&parts)
            .map(|(index, part)| ((part.topic, part.partition.partition), index))
            .collect();
        self.parts = parts;
        self.abandoned = false;
        self.paused = false;
        self.observer.assigned(&starts);
        Ok(())
    }

    fn part(&self, partition: &TopicPartition, plan: &Plan) -> Result<Part, recover::RecoverError> {
        let topics = &self.judge.topics;
        let topic = topics.iter().position(|topic| topic.name == partition.topic);
        let topic = topic.expect("the group gives partitions of subscribed topics only");
        let mut known = Known::new(plan.start, plan.until);
        if plan.until > plan.start {
            known.load(
                &*self.ledger,
                &partition.topic,
                plan.incarnation,
                partition.partition,
                plan.start,
            )?;
        }
        let learned = self
            .judge
            .scorer
            .learned_to(&partition.topic, plan.incarnation, partition.partition);
        let low = self.log.watermarks(partition)?.from;
        let learned = learned.unwrap_or_else(|| plan.start.saturating_sub(self.settings.learn_back));
        let next = learned.clamp(low.min(plan.start), plan.start);
        if next < plan.start {
            tracing::info!(
                topic = partition.topic,
                partition = partition.partition,
                from = next,
                to = plan.start,
                "reading again what the scorer does not know"
            );
            self.remember_requests(partition, plan, next)?;
        }
        Ok(Part {
            partition: partition.clone(),
            topic,
            recent_topic: self.judge.recent.topic(&partition.topic),
            incarnation: plan.incarnation,
            next,
            learn_below: plan.start,
            known,
            last_time: changegate_types::TimeMicros(0),
            stalled: None,
            unsettled: plan.until > plan.start,
        })
    }

    /// Reads and judges one block.
    fn read(&mut self, now: Now) -> Result<(), Error> {
        self.unstall()?;
        let Self {
            log,
            judge,
            parts,
            open,
            arena,
            index,
            settings,
            ids,
            ledger,
            tick,
            observer,
            ..
        } = self;
        arena.reset();
        let wait = if tick.is_busy() {
            settings.poll_wait.min(Duration::from_millis(1))
        } else {
            settings.poll_wait
        };
        let mut messages: Vec<<P::Log as Log>::Message<'_>> = Vec::with_capacity(settings.block_max);
        let mut failed = None;
        let mut reading = None;
        while messages.len() < settings.block_max {
            match log.poll(if messages.is_empty() { wait } else { Duration::ZERO }) {
                Ok(Some(message)) => {
                    if messages.is_empty() {
                        if open.is_empty() {
                            open.id = ids.next(now.wall.millis());
                            open.opened = now.up;
                            open.span = Some(info_span!("batch", batch = open.id.0));
                        }
                        reading =
                            Some(child_span(open, |parent| info_span!(parent: parent, "read")).entered());
                    }
                    messages.push(message);
                }
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        drop(reading);
        let outcome = if messages.is_empty() {
            Ok(None)
        } else {
            let records = messages.len();
            let judging = child_span(
                open,
                |parent| info_span!(parent: parent, "normalize_and_score", records),
            )
            .entered();
            let block = collect(&messages, arena, &judge.topics, parts, index, now);
            if observer.traces() {
                link(observer, open, &block);
            }
            let _judging = judging;
            match replay::look_up(&**ledger, block.iter().map(|record| &record.raw)) {
                Err(error) => Err(Stopped::Ledger(error)),
                Ok(replays) => {
                    let context = BlockContext {
                        replays: &replays,
                        refused: &Refusals::new(),
                        under_way: tick.replayed(),
                        fresh_under_way: tick.fresh(),
                        now,
                    };
                    judge
                        .block(arena, &block, &context, parts, open)
                        .map(Some)
                        .map_err(Stopped::OtherLife)
                }
            }
        };
        let first: Vec<(TopicPartition, i64)> = match &outcome {
            Err(Stopped::Ledger(_)) => first_offsets(&messages),
            _ => Vec::new(),
        };
        let bytes_full = open.is_full(&settings.batch);
        drop(messages);
        if let Some(error) = failed {
            self.log_trouble(error)?;
        }
        match outcome {
            Ok(None) => {}
            Ok(Some(stats)) => {
                self.ledger_answers();
                self.observer.block(&stats);
                if let Some((rejects, children)) = self.poison.add(&self.settings.poison, &stats) {
                    return Err(Error::Poison { rejects, children });
                }
            }
            Err(Stopped::Ledger(error)) => {
                self.note_trouble(Side::Ledger, Some((&error).into()));
                for (partition, offset) in first {
                    // A stall noted in this block lies further on: it would skip what is read again.
                    let of_part = |part: &&mut Part| part.partition == partition;
                    if let Some(part) = self.parts.iter_mut().find(of_part) {
                        part.stalled = None;
                        let offset = offset.max(part.next);
                        self.log.seek(&partition, offset).map_err(Error::Log)?;
                    }
                }
                return Ok(());
            }
            Err(Stopped::OtherLife(life)) => return self.restart(life),
        }
        self.stall()?;
        if bytes_full && !self.paused {
            let partitions = self.readable();
            self.log.pause(&partitions).map_err(Error::Log)?;
            self.paused = true;
            self.observer.paused(true);
        }
        Ok(())
    }

    /// Partitions whose next record lies beyond what the ledger was asked about wait.
    fn stall(&mut self) -> Result<(), Error> {
        for part in self.parts.iter().filter(|part| part.stalled.is_some()) {
            self.log
                .pause(std::slice::from_ref(&part.partition))
                .map_err(Error::Log)?;
        }
        Ok(())
    }

    fn unstall(&mut self) -> Result<(), Error> {
        if self.parts.iter().all(|part| part.stalled.is_none()) {
            return Ok(());
        }
        let mut trouble = None;
        for part in self.parts.iter_mut().filter(|part| part.stalled.is_some()) {
            let offset = part.stalled.unwrap_or(part.next);
            let name = part.partition.clone();
            match part.known.load(
                &*self.ledger,
                &name.topic,
                part.incarnation,
                name.partition,
                offset,
            ) {
                Ok(()) => {
                    part.stalled = None;
                    self.log.seek(&name, offset).map_err(Error::Log)?;
                    self.log.resume(std::slice::from_ref(&name)).map_err(Error::Log)?;
                }
                Err(error) => trouble = Some(Trouble::from(&error)),
            }
        }
        match trouble {
            None => self.ledger_answers(),
            trouble => self.note_trouble(Side::Ledger, trouble),
        }
        Ok(())
    }

    /// A record differs from the ledger's: both batches are spoilt; the partition starts a new life.
    fn restart(&mut self, life: OtherLife) -> Result<(), Error> {
        let part = &self.parts[life.part as usize];
        let new_life = Some((part.partition.clone(), part.incarnation + 1));
        let partitions = self.parts.iter().map(|part| part.partition.clone()).collect();
        self.abandon();
        self.group = Group::Starting {
            partitions,
            not_before: Duration::ZERO,
            backoff: self.settings.write.backoff_min,
            new_life,
        };
        Ok(())
    }
}

/// Why a block did not become part of the batch.
enum Stopped {
    Ledger(crate::ledger::Error),
    OtherLife(OtherLife),
}

/// So many traces a batch is linked to.
const LINKS_MAX: u32 = 32;

/// A span below that of the batch.
pub(crate) fn child_span(batch: &Batch, make: impl FnOnce(&Span) -> Span) -> Span {
    batch.span.as_ref().map_or_else(Span::none, make)
}

/// A batch belongs to the traces of many records: it is linked to the first of them.
fn link(observer: &impl Observer, batch: &mut Batch, block: &[BlockRecord<'_>]) {
    let Some(span) = &batch.span else { return };
    for record in block.iter().filter(|record| !record.raw.headers.is_empty()) {
        if batch.links >= LINKS_MAX {
            return;
        }
        if let Some(traceparent) = record.raw.header(TRACEPARENT) {
            batch.links += 1;
            observer.traced(span, traceparent);
        }
    }
}

fn first_offsets<M: Message>(messages: &[M]) -> Vec<(TopicPartition, i64)> {
    let mut first: Vec<(TopicPartition, i64)> = Vec::new();
    for message in messages {
        let (topic, partition) = (message.topic(), message.partition());
        if !first
            .iter()
            .any(|(name, _)| name.topic == topic && name.partition == partition)
        {
            first.push((
                TopicPartition {
                    topic: topic.to_owned(),
                    partition,
                },
                message.offset(),
            ));
        }
    }
    first
}

/// Wraps the messages of a block. Records of a partition that waits for the ledger's answer are left out.
fn collect<'a, M: Message, N>(
    messages: &'a [M],
    arena: &'a Bump,
    topics: &[Topic<N>],
    parts: &mut [Part],
    index: &HashMap<(usize, i32), u32>,
    now: Now,
) -> Vec<BlockRecord<'a>> {
    let mut block = Vec::with_capacity(messages.len());
    // Messages come in runs of one partition.
    let mut last: Option<(&'a str, i32, u32)> = None;
    for message in messages {
        let (topic, partition) = (message.topic(), message.partition());
        let (topic, part_index) = match last {
            Some((name, number, part)) if number == partition && name == topic => (name, part),
            _ => {
                let Some(known) = topics.iter().position(|known| known.name == topic) else {
                    continue;
                };
                let Some(part) = index.get(&(known, partition)) else {
                    continue;
                };
                let name: &'a str = arena.alloc_str(topic);
                (name, *part)
            }
        };
        last = Some((topic, partition, part_index));
        let part = &mut parts[part_index as usize];
        let offset = message.offset();
        if part.stalled.is_some() {
            continue;
        }
        if !part.known.covers(offset) {
            part.stalled = Some(offset);
            continue;
        }
        let (kafka_time, time_cut) = part.believe(message.time(), now.wall);
        let mut headers = bumpalo::collections::Vec::new_in(arena);
        message.headers(&mut |name, value| headers.push((name, value)));
        let raw = RawRecord {
            position: Position {
                topic,
                incarnation: part.incarnation,
                partition,
                offset,
            },
            kafka_time,
            key: message.key(),
            headers: headers.into_bump_slice(),
            value: message.value(),
        };
        block.push(BlockRecord {
            part: part_index,
            raw,
            time_cut,
        });
    }
    block
}
