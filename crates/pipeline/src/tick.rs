//! The batch under way: fence, insert, send, close. One at a time, and each step only when the one before is durable.

mod commit;
mod copies;
mod repair;
mod send;
mod write;

use std::time::Duration;

use changegate_types::TimeMicros;
use tracing::Span;

use self::repair::Repair;
use self::send::Sending;
use crate::batch::Batch;
use crate::clock::Now;
use crate::desk::Desk;
use crate::error::Error;
use crate::ledger::BatchId;
use crate::ports::Ports;
use crate::recent::{Fresh, Place};
use crate::worker::{Group, Worker};
use crate::write::WriteJob;

/// The batch under way, and what of those before it is yet to be committed.
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

const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

impl Tick {
    pub(crate) fn new(batch: Batch) -> Self {
        Self {
            phase: Phase::Idle,
            batch,
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

    /// Originals in the batch under way, by shard.
    pub(crate) fn fresh(&self) -> &[Fresh] {
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
        if !self.finishing() {
            self.settle_copies();
        }
        Ok(())
    }
}
