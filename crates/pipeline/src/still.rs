//! Standing still, so that what the process remembers can be saved, and what is read again because it was not.

use std::sync::PoisonError;

use crate::judge::{ReadTo, Scorer};
use crate::known::CHUNK;
use crate::ledger::{Ledger, Span};
use crate::log::TopicPartition;
use crate::part::Shard;
use crate::ports::Ports;
use crate::recover::Plan;
use crate::worker::{Group, Worker};

impl<P: Ports> Worker<P> {
    /// Asks the worker to stand still: it reads no more and finishes its batches. Keep calling [`Worker::turn`], so that
    /// it stays a member.
    pub fn hold(&mut self) {
        self.holding = true;
    }

    /// Ends a [`Worker::hold`].
    pub fn go_on(&mut self) {
        self.holding = false;
    }

    /// Whether it was asked to stand still and does: nothing is read, all that was is committed, and the scorer was told
    /// so.
    pub fn stands_still(&mut self) -> bool {
        if !self.holding || !self.is_closed() {
            return false;
        }
        self.tell_scorer();
        true
    }

    /// The partitions that it was given, whether it reads them already or is about to.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        let awaited = match &self.group {
            Group::Starting { partitions, .. } => partitions.as_slice(),
            Group::Idle | Group::Running | Group::Draining { .. } => &[],
        };
        self.parts.iter().map(|part| &part.partition).chain(awaited)
    }

    pub(crate) fn is_holding(&self) -> bool {
        self.holding
    }

    pub(crate) fn tell_scorer(&mut self) {
        let durable = self.is_closed();
        for part in &self.parts {
            let place = ReadTo {
                topic: &part.partition.topic,
                incarnation: part.incarnation,
                partition: part.partition.partition,
                next: part.next,
            };
            self.judge.scorer.read_to(place, durable);
        }
    }

    /// Whoever asked between the scorer's state and the start need not ask again.
    pub(crate) fn remember_requests(
        &self,
        partition: &TopicPartition,
        shard: &Shard,
        plan: &Plan,
        from: i64,
    ) -> Result<(), crate::ledger::Error> {
        let mut from = from;
        while from < plan.start {
            let to = plan.start.min(from.saturating_add(CHUNK));
            let span = Span {
                topic: &partition.topic,
                incarnation: plan.incarnation,
                partition: partition.partition,
                from,
                to,
            };
            let rows = self.ledger.requests(&span, false)?;
            let mut asker = shard.asker.lock().unwrap_or_else(PoisonError::into_inner);
            rows.iter().for_each(|(_, row)| asker.durable(row.change_uid));
            from = to;
        }
        Ok(())
    }
}
