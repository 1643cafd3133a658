use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::Duration;

use changegate_types::{Position, RawRecord, TimeMicros};
use tracing::{Span, info_span};

use crate::batch::{Batch, Cover};
use crate::clock::{Clock, Now};
use crate::crash;
use crate::desk::{self, Answer, Ask, Desk};
use crate::error::Error;
use crate::fence::Fence;
use crate::judge::{BlockContext, BlockRecord, Refusals};
use crate::known::Known;
use crate::ledger::BatchId;
use crate::log::{CommitError, CommitOffset, Log};
use crate::observe::{Observer, Side, TickStats, Trouble};
use crate::outgoing::{Kind, Outbox, Outgoing, SendError};
use crate::part::Part;
use crate::ports::Ports;
use crate::recent::{Fresh, Place};
use crate::worker::{Group, Worker, child_span};
use crate::write::{Next, Refused, WriteJob};

/// The batch under way: fence, insert, send, close. One at a time.
#[derive(Debug)]
pub(crate) struct Tick {
    phase: Phase,
    batch: Batch,
    /// Durable and not committed yet: `(partition, next offset)`.
    closes: Vec<(u32, i64)>,
    closes_since: Duration,
    fenced_at: Duration,
    not_before: Duration,
    backoff: Duration,
    /// A question of this abandoned batch is still under way at the desk.
    orphan: Option<BatchId>,
    /// Tells answers of the outbox for this batch from those for abandoned ones.
    serial: u32,
    /// Of the question under way.
    asked: Option<Span>,
    /// Of the batches in `closes`.
    closing: Vec<Span>,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Fence,
    Write(Box<WriteJob>),
    /// Rows were refused: their records are read again and completed.
    Repair(Box<Repair>),
    Send(Sending),
    /// Copies are looked for in this partition.
    Settle(u32),
}

#[derive(Debug)]
struct Repair {
    refused: Vec<Refused>,
    first_part: u32,
    stats: crate::write::WriteStats,
    /// Built once the records were fetched.
    work: Option<(Vec<Part>, Batch, WriteJob)>,
}

#[derive(Debug, Default)]
struct Sending {
    due: VecDeque<u32>,
    waiting: u32,
    not_before: Duration,
    stats: crate::write::WriteStats,
    span: Option<Span>,
}

const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

impl Tick {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Idle,
            batch: Batch::default(),
            closes: Vec::new(),
            closes_since: Duration::ZERO,
            fenced_at: Duration::ZERO,
            not_before: Duration::ZERO,
            backoff: BACKOFF,
            orphan: None,
            serial: 0,
            asked: None,
            closing: Vec::new(),
        }
    }

    /// Nothing is under way and nothing waits for a commit.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Settle(_)) && self.closes.is_empty()
    }

    /// A batch is under way.
    pub(crate) fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Idle)
    }

    /// Kafka time of the oldest record of the batch under way.
    pub(crate) fn oldest(&self) -> Option<TimeMicros> {
        self.batch.oldest
    }

    /// Encoded bytes of the batch under way.
    pub(crate) fn bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// Children of replayed records in the batch under way.
    pub(crate) fn replayed(&self) -> &[Place] {
        &self.batch.replayed
    }

    /// Originals in the batch under way.
    pub(crate) fn fresh(&self) -> &Fresh {
        &self.batch.fresh
    }

    /// Drops everything. A question under way is left to end; its answer no longer matters.
    pub(crate) fn abandon(&mut self, desk: &impl Desk) {
        if desk.busy() && self.orphan.is_none() {
            self.orphan = Some(self.batch.id);
        }
        self.phase = Phase::Idle;
        self.batch.recycle();
        self.closes.clear();
        self.closing.clear();
        self.asked = None;
        self.not_before = Duration::ZERO;
        self.backoff = BACKOFF;
        self.serial = self.serial.wrapping_add(1);
    }

    /// The abandoned batch whose question is still under way, if one is.
    pub(crate) fn orphan_batch(&mut self, desk: &mut impl Desk) -> Option<BatchId> {
        if self.orphan.is_some() && desk.answer().is_some() {
            self.orphan = None;
        }
        self.orphan
    }
}

impl<P: Ports> Worker<P> {
    /// Moves the batch under way by as many steps as need no waiting.
    pub(crate) fn drive(&mut self, now: Now) -> Result<(), Error> {
        if self.tick.orphan_batch(&mut self.desk).is_some() {
            return Ok(());
        }
        if matches!(self.group, Group::Idle | Group::Starting { .. }) {
            return Ok(());
        }
        match &self.tick.phase {
            Phase::Idle => self.begin(now),
            Phase::Fence => self.fence(now),
            Phase::Write(_) => self.write(now),
            Phase::Repair(_) => self.repair(now),
            Phase::Send(_) => self.send(now),
            Phase::Settle(_) => self.settled(),
        }
    }

    /// Batches are finished as they are: no record comes to fill them.
    fn finishing(&self) -> bool {
        matches!(self.group, Group::Draining { .. }) || self.is_holding()
    }

    fn begin(&mut self, now: Now) -> Result<(), Error> {
        if now.up < self.tick.not_before {
            return Ok(());
        }
        let limits = &self.settings.batch;
        let due = self.finishing()
            || self.open.is_full(limits)
            || now.up.saturating_sub(self.open.opened) >= limits.age_max;
        if !self.open.is_empty() && due {
            std::mem::swap(&mut self.open, &mut self.tick.batch);
            self.tick.phase = Phase::Fence;
            return self.fence(now);
        }
        let idle = now.up.saturating_sub(self.tick.closes_since) >= self.settings.idle_close;
        if !self.tick.closes.is_empty() && self.open.is_empty() && (idle || self.finishing()) {
            return self.close(now);
        }
        if self.open.is_empty() && !self.finishing() {
            self.settle_copies();
        }
        Ok(())
    }

    /// The fence of the batch, which closes the one before.
    fn fence(&mut self, now: Now) -> Result<(), Error> {
        if now.up < self.tick.not_before {
            return Ok(());
        }
        crash::point("before_fence");
        if self.commit(true, now)? {
            crash::point("after_fence");
            self.tick.phase = Phase::Write(Box::new(WriteJob::new(&self.tick.batch, 0, self.settings.write)));
            let now = self.clock.now();
            return self.write(now);
        }
        Ok(())
    }

    /// A commit without a fence, when no batch follows soon.
    fn close(&mut self, now: Now) -> Result<(), Error> {
        crash::point("before_close");
        if self.commit(false, now)? {
            crash::point("after_close");
        }
        Ok(())
    }

    /// Commits the fence (if asked) and what is durable. `false`: it may be tried again later, or the batch is gone.
    fn commit(&mut self, fence: bool, now: Now) -> Result<bool, Error> {
        let covers: &[Cover] = if fence { &self.tick.batch.covers } else { &[] };
        let mut offsets = Vec::with_capacity(covers.len() + self.tick.closes.len());
        for cover in covers {
            let part = &self.parts[cover.part as usize];
            let fence = Fence {
                batch: self.tick.batch.id,
                incarnation: part.incarnation,
                end: cover.to,
                records: cover.records,
            };
            offsets.push(CommitOffset {
                partition: part.partition.clone(),
                offset: cover.from,
                metadata: fence.to_string(),
            });
        }
        for (part, next) in &self.tick.closes {
            if !covers.iter().any(|cover| cover.part == *part) {
                let partition = self.parts[*part as usize].partition.clone();
                offsets.push(CommitOffset {
                    partition,
                    offset: *next,
                    metadata: String::new(),
                });
            }
        }
        let span = if fence {
            child_span(&self.tick.batch, |parent| info_span!(parent: parent, "fence"))
        } else {
            let closed = self.tick.closing.last();
            closed.map_or_else(Span::none, |parent| info_span!(parent: parent, "commit"))
        };
        let before = self.clock.now().up;
        let committed = span.in_scope(|| self.log.commit(&offsets));
        let took = self.clock.now().up.saturating_sub(before);
        match committed {
            Ok(()) => {
                // By the moment before the commit: the fence is at least as fresh as we take it to be.
                self.tick.fenced_at = now.up;
                self.tick.closes.clear();
                self.tick.closing.clear();
                self.tick.not_before = Duration::ZERO;
                self.tick.backoff = BACKOFF;
                self.note_trouble(Side::Log, None);
                let done: Vec<_> = offsets
                    .into_iter()
                    .map(|committed| (committed.partition, committed.offset))
                    .collect();
                self.observer.committed(&done, fence, took);
                Ok(true)
            }
            Err(CommitError::Fenced(reason)) => {
                tracing::warn!(%reason, "another member has the partitions: nothing more is written");
                self.observer.fenced();
                self.abandon();
                // The group says what comes next; until then nothing is read or written.
                self.group = Group::Idle;
                Ok(false)
            }
            Err(CommitError::Replaced(reason)) => {
                self.abandon();
                Err(Error::Replaced(reason))
            }
            Err(CommitError::Wait(reason)) => {
                self.tick.not_before = now.up + self.tick.backoff;
                self.tick.backoff = (self.tick.backoff * 2).min(BACKOFF_MAX);
                self.note_trouble(Side::Log, Some(Trouble::no_answer(reason)));
                Ok(false)
            }
        }
    }

    /// A fence older than half the session timeout may be a dead one's: renewed before anything is sent.
    fn renew_fence(&mut self, now: Now) -> Result<bool, Error> {
        if now.up.saturating_sub(self.tick.fenced_at) < self.settings.session_timeout / 2 {
            return Ok(true);
        }
        if now.up < self.tick.not_before {
            return Ok(false);
        }
        self.commit(true, now)
    }

    fn write(&mut self, now: Now) -> Result<(), Error> {
        let Phase::Write(job) = &mut self.tick.phase else {
            return Ok(());
        };
        let waiting = wait_or_take(&mut self.desk, job, &mut self.tick.batch, &self.parts, now);
        let trouble = job.trouble().map(Trouble::from);
        if !waiting {
            self.tick.asked = None;
        }
        self.note_trouble(Side::Ledger, trouble);
        if waiting || !self.renew_fence(now)? {
            return Ok(());
        }
        let Phase::Write(job) = &mut self.tick.phase else {
            return Ok(());
        };
        match job.next(&mut self.tick.batch, &self.parts, now.up) {
            Next::Ask(ask) => {
                self.tick.asked = Some(asked_span(&self.tick.batch, &ask));
                self.desk.submit(ask);
            }
            Next::Wait(_) => {}
            Next::Halt(reason) => return Err(Error::Halt(reason)),
            Next::Done if job.refused().is_empty() => {
                let stats = job.stats;
                self.begin_sending(stats);
                return self.send(now);
            }
            Next::Done => {
                let repair = Repair {
                    refused: job.refused().to_vec(),
                    first_part: job.next_part(),
                    stats: job.stats,
                    work: None,
                };
                self.tick.phase = Phase::Repair(Box::new(repair));
            }
        }
        Ok(())
    }

    /// Completes the records of refused rows: the children are dead-lettered, the rest is in the ledger already.
    fn repair(&mut self, now: Now) -> Result<(), Error> {
        if now.up < self.tick.not_before {
            return Ok(());
        }
        let Phase::Repair(repair) = &mut self.tick.phase else {
            return Ok(());
        };
        if repair.work.is_none() {
            return self.fetch_refused(now);
        }
        let Some((parts, batch, job)) = &mut repair.work else {
            return Ok(());
        };
        let waiting = wait_or_take(&mut self.desk, job, batch, parts, now);
        let trouble = job.trouble().map(Trouble::from);
        self.note_trouble(Side::Ledger, trouble);
        if waiting || !self.renew_fence(now)? {
            return Ok(());
        }
        let Phase::Repair(repair) = &mut self.tick.phase else {
            return Ok(());
        };
        let Some((parts, batch, job)) = &mut repair.work else {
            return Ok(());
        };
        match job.next(batch, parts, now.up) {
            Next::Ask(ask) => self.desk.submit(ask),
            Next::Wait(_) => {}
            Next::Halt(reason) => return Err(Error::Halt(reason)),
            Next::Done => {
                let more: Vec<Refused> = job
                    .refused()
                    .iter()
                    .map(|refused| {
                        let part = &parts[refused.part as usize];
                        let own = self.parts.iter().position(|own| own.partition == part.partition);
                        Refused {
                            part: own.unwrap_or(0) as u32,
                            ..refused.clone()
                        }
                    })
                    .collect();
                if !more.is_empty() {
                    repair.refused.extend(more);
                    repair.first_part = job.next_part();
                    repair.work = None;
                    return Ok(());
                }
                let fresh = batch
                    .outgoing
                    .drain(..)
                    .filter(|message| !self.tick.batch.outgoing.contains(message));
                let fresh: Vec<_> = fresh.collect();
                self.tick.batch.outgoing.extend(fresh);
                for refused in &repair.refused {
                    let topic = self.parts[refused.part as usize].topic;
                    self.tick.batch.outcomes_mut(topic).refuse();
                    self.tick
                        .batch
                        .withdraw(refused.part, refused.offset, refused.child);
                }
                let stats = repair.stats;
                self.begin_sending(stats);
            }
        }
        Ok(())
    }

    fn fetch_refused(&mut self, now: Now) -> Result<(), Error> {
        let Phase::Repair(repair) = &self.tick.phase else {
            return Ok(());
        };
        let (refused, first_part) = (repair.refused.clone(), repair.first_part);
        let mut records: Vec<(u32, i64)> = refused
            .iter()
            .map(|refused| (refused.part, refused.offset))
            .collect();
        records.sort_unstable();
        records.dedup();
        let mut batch = Batch::with_id(self.tick.batch.id);
        let mut parts = Vec::new();
        for (own, offset) in records {
            let index = parts.len() as u32;
            match self.rejudge(own, offset, index, &refused, &mut parts, &mut batch, now) {
                Ok(true) => {}
                Ok(false) => {
                    return Err(Error::Halt(format!(
                        "the ledger refused a row of {}/{} at offset {offset}, and the log no longer holds the record",
                        self.parts[own as usize].partition.topic,
                        self.parts[own as usize].partition.partition
                    )));
                }
                Err(reason) => {
                    self.tick.not_before = now.up + self.tick.backoff;
                    self.tick.backoff = (self.tick.backoff * 2).min(BACKOFF_MAX);
                    self.note_trouble(Side::Ledger, Some(Trouble::no_answer(reason)));
                    return Ok(());
                }
            }
        }
        let job = WriteJob::new(&batch, first_part, self.settings.write);
        if let Phase::Repair(repair) = &mut self.tick.phase {
            repair.work = Some((parts, batch, job));
        }
        Ok(())
    }

    /// Reads one record of the batch again and judges it with what the ledger now holds of it. `Ok(false)`: it is gone.
    #[allow(clippy::too_many_arguments, reason = "one record, and where its rows go")]
    fn rejudge(
        &mut self,
        own: u32,
        offset: i64,
        index: u32,
        refused: &[Refused],
        parts: &mut Vec<Part>,
        batch: &mut Batch,
        now: Now,
    ) -> Result<bool, String> {
        let part = &self.parts[own as usize];
        let name = part.partition.clone();
        let mut known = Known::new(offset, offset + 1);
        known
            .load(
                &*self.ledger,
                &name.topic,
                part.incarnation,
                name.partition,
                offset,
            )
            .map_err(|error| error.to_string())?;
        // Its requests are in the batch already.
        known.take_requests(offset).for_each(drop);
        parts.push(Part {
            partition: name.clone(),
            topic: part.topic,
            recent_topic: part.recent_topic,
            incarnation: part.incarnation,
            next: offset,
            learn_below: i64::MIN,
            known,
            last_time: part.last_time,
            stalled: None,
            unsettled: false,
        });
        let of_record = |refused: &&Refused| refused.part == own && refused.offset == offset;
        let refused: Refusals = refused
            .iter()
            .filter(of_record)
            .map(|refused| ((index, offset, refused.child), refused.error.clone()))
            .collect();
        let incarnation = part.incarnation;
        let Self {
            log,
            ledger,
            judge,
            tick,
            ..
        } = self;
        let mut failed = None;
        let held = log.fetch(&name, offset, &mut |record| {
            let arena = bumpalo::Bump::new();
            let (kafka_time, time_cut) = parts[index as usize].believe(Some(record.kafka_time), now.wall);
            let raw = RawRecord {
                position: Position {
                    topic: &name.topic,
                    incarnation,
                    partition: name.partition,
                    offset,
                },
                kafka_time,
                ..*record
            };
            let block = [BlockRecord {
                part: index,
                raw,
                time_cut,
            }];
            let replays = match crate::replay::look_up(&**ledger, block.iter().map(|record| &record.raw)) {
                Ok(replays) => replays,
                Err(error) => {
                    failed = Some(error.to_string());
                    return;
                }
            };
            let context = BlockContext {
                replays: &replays,
                refused: &refused,
                under_way: &[],
                fresh_under_way: tick.fresh(),
                now,
            };
            if judge.block(&arena, &block, &context, parts, batch).is_err() {
                failed = Some(format!(
                    "the record at offset {offset} is another one than before"
                ));
            }
        });
        match (held, failed) {
            (_, Some(reason)) => Err(reason),
            (Ok(held), None) => Ok(held),
            (Err(error), None) => Err(error.to_string()),
        }
    }

    fn begin_sending(&mut self, stats: crate::write::WriteStats) {
        let batch = &self.tick.batch;
        let due = (0..batch.outgoing.len() as u32).filter(|message| !batch.withdrawn.contains(message));
        let due: VecDeque<u32> = due.collect();
        let messages = due.len();
        let span =
            (messages > 0).then(|| child_span(batch, |parent| info_span!(parent: parent, "send", messages)));
        self.tick.phase = Phase::Send(Sending {
            due,
            stats,
            span,
            ..Sending::default()
        });
    }

    /// Sends requests and dead letters and waits until each is durable.
    fn send(&mut self, now: Now) -> Result<(), Error> {
        while let Some((tag, result)) = self.outbox.answer() {
            let Phase::Send(sending) = &mut self.tick.phase else {
                return Ok(());
            };
            if tag >> 32 != u64::from(self.tick.serial) {
                continue;
            }
            sending.waiting -= 1;
            let Err(error) = result else {
                self.note_trouble(Side::Outbox, None);
                continue;
            };
            let index = tag as u32;
            sending.due.push_back(index);
            let message = &mut self.tick.batch.outgoing[index as usize];
            if matches!(error, SendError::TooLarge(_)) && message.cut() {
                continue;
            }
            sending.not_before = now.up + BACKOFF;
            self.note_trouble(Side::Outbox, Some(Trouble::no_answer(error.to_string())));
        }
        let Phase::Send(sending) = &mut self.tick.phase else {
            return Ok(());
        };
        while now.up >= sending.not_before {
            let Some(index) = sending.due.front().copied() else {
                break;
            };
            let message = &mut self.tick.batch.outgoing[index as usize];
            let (before, after) = points(message.kind);
            crash::point(before);
            let tag = u64::from(self.tick.serial) << 32 | u64::from(index);
            let span = sending.span.clone().unwrap_or_else(Span::none);
            match span.in_scope(|| self.outbox.send(message, tag)) {
                Ok(true) => {}
                Ok(false) => break,
                Err(SendError::TooLarge(_)) if message.cut() => continue,
                Err(error) => {
                    return Err(Error::Send {
                        topic: message.topic.clone(),
                        reason: error.to_string(),
                    });
                }
            }
            crash::point(after);
            sending.due.pop_front();
            sending.waiting += 1;
        }
        if sending.due.is_empty() && sending.waiting == 0 {
            let stats = sending.stats;
            self.finish(stats, now);
        }
        Ok(())
    }

    /// Everything of the batch is durable: its positions may be committed.
    fn finish(&mut self, write: crate::write::WriteStats, now: Now) {
        self.note_trouble(Side::Ledger, None);
        self.note_trouble(Side::Outbox, None);
        let batch = &mut self.tick.batch;
        {
            let mut asker = self.judge.asker.lock().unwrap_or_else(PoisonError::into_inner);
            batch
                .asked
                .iter()
                .for_each(|asked| asker.durable(asked.change_uid));
        }
        self.judge.recent.keep(&mut batch.fresh);
        if !batch.operations.is_empty() {
            self.observer.noted(&batch.operations);
        }
        self.observer.tick(&TickStats {
            records: batch.records,
            rows: batch.rows(),
            bytes: batch.bytes(),
            outcomes: batch.outcomes.clone(),
            write,
            sent: sent(batch),
            took: now.up.saturating_sub(batch.opened),
            behind_micros: batch
                .oldest
                .map_or(0, |oldest| now.wall.0.saturating_sub(oldest.0)),
            time: now.wall,
        });
        for cover in &batch.covers {
            match self.tick.closes.iter_mut().find(|(part, _)| *part == cover.part) {
                Some((_, next)) => *next = cover.to,
                None => self.tick.closes.push((cover.part, cover.to)),
            }
        }
        self.tick.closes_since = now.up;
        self.tick.closing.extend(batch.span.take());
        batch.recycle();
        self.tick.phase = Phase::Idle;
        self.tick.serial = self.tick.serial.wrapping_add(1);
    }

    /// Past the window of rows that existed at the start, copies among them are looked for.
    fn settle_copies(&mut self) {
        let due = self
            .parts
            .iter_mut()
            .zip(0..)
            .find(|(part, _)| part.unsettled && !part.known.reaches(part.next));
        let Some((part, index)) = due else { return };
        part.unsettled = false;
        let (from, to) = part.known.span();
        self.desk.submit(Ask::Settle(desk::Place {
            topic: part.partition.topic.clone(),
            incarnation: part.incarnation,
            partition: part.partition.partition,
            from,
            to,
        }));
        self.tick.phase = Phase::Settle(index);
    }

    fn settled(&mut self) -> Result<(), Error> {
        let Phase::Settle(index) = self.tick.phase else {
            return Ok(());
        };
        let Some(answer) = self.desk.answer() else {
            return Ok(());
        };
        self.tick.phase = Phase::Idle;
        match answer {
            Answer::Settled(Ok(copies)) => {
                self.note_trouble(Side::Ledger, None);
                self.observer.copies(copies);
            }
            Answer::Settled(Err(error)) => {
                self.tick.not_before = self.clock.now().up + BACKOFF;
                self.note_trouble(Side::Ledger, Some((&error).into()));
                if let Some(part) = self.parts.get_mut(index as usize) {
                    part.unsettled = true;
                }
            }
            _ => unreachable!("copies were asked for"),
        }
        Ok(())
    }
}

/// Takes the answer that is due. `true`: it is still under way.
fn wait_or_take(
    desk: &mut impl Desk,
    job: &mut WriteJob,
    batch: &mut Batch,
    parts: &[Part],
    now: Now,
) -> bool {
    if !desk.busy() {
        return false;
    }
    match desk.answer() {
        Some(answer) => {
            job.answer(batch, parts, answer, now.up);
            false
        }
        None => true,
    }
}

/// Messages of a batch that were sent, by topic.
fn sent(batch: &Batch) -> Vec<(String, u32)> {
    let mut sent: Vec<(String, u32)> = Vec::new();
    let is_sent = |(index, _): &(u32, &Outgoing)| !batch.withdrawn.contains(index);
    for (_, message) in (0..).zip(&batch.outgoing).filter(is_sent) {
        match sent.iter_mut().find(|(topic, _)| *topic == message.topic) {
            Some((_, count)) => *count += 1,
            None => sent.push((message.topic.clone(), 1)),
        }
    }
    sent
}

fn asked_span(batch: &Batch, ask: &Ask) -> Span {
    child_span(batch, |parent| match ask {
        Ask::Insert(insert) => {
            info_span!(parent: parent, "insert", table = insert.table.name(), rows = insert.count, query_id = %insert.query_id)
        }
        Ask::Kill(_) => info_span!(parent: parent, "kill"),
        Ask::ReadBack(table, _) => info_span!(parent: parent, "read_back", table = table.name()),
        Ask::Note(_) | Ask::Settle(_) => info_span!(parent: parent, "note"),
    })
}

fn points(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Request | Kind::Decision => ("before_request", "after_request"),
        Kind::DeadLetter => ("before_dead_letter", "after_dead_letter"),
    }
}
