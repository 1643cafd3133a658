//! Following the group: partitions come and go, and what is under way is finished before they go.

use std::time::Duration;

use super::{Group, Turn, Worker};
use crate::clock::{Clock, Now};
use crate::error::Error;
use crate::log::{Log, Rebalance, TopicPartition};
use crate::observe::{Observer, Side};
use crate::poison::Poison;
use crate::ports::Ports;

impl<P: Ports> Worker<P> {
    pub(super) fn follow_group(&mut self) -> Result<(), Error> {
        while let Some(rebalance) = self.log.take_rebalance() {
            match rebalance {
                Rebalance::Assign(_) if self.stopping => self.log.unassign().map_err(Error::Log)?,
                Rebalance::Assign(partitions) => {
                    self.abandon();
                    self.start_on(partitions, None);
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

    /// The group has given this member's name away. Either another process was started under it, or the group's answer
    /// to this very member got lost when a broker went: it was counted as a new one and never heard its new id. A member
    /// that joins anew tells them apart, because the other process, if there is one, does the same at its next heartbeat.
    pub(super) fn rejoin(&mut self, reason: String) -> Result<Turn, Error> {
        let up = self.clock.now().up;
        let last = self.rejoined.replace(up);
        if !self.stopping && last.is_some_and(|last| up.saturating_sub(last) < self.settings.session_timeout)
        {
            return Err(Error::Replaced(reason));
        }
        tracing::warn!(%reason, "the group has given this member's name away: nothing more is written, it joins anew");
        self.observer.fenced();
        self.abandon();
        self.has_none(true);
        if self.stopping {
            return Ok(Turn::Drained);
        }
        self.log.rejoin().map_err(Error::Log)?;
        Ok(Turn::Goes)
    }

    pub(super) fn begin_drain(&mut self) {
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
    pub(super) fn finish_drain(&mut self, now: Now) -> Result<Turn, Error> {
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
        self.has_none(lost);
        Ok(())
    }

    /// Its partitions are gone.
    fn has_none(&mut self, lost: bool) {
        self.paused = false;
        self.dropped = None;
        self.group = Group::Idle;
        for side in Side::ALL {
            self.note_trouble(side, None);
        }
        self.observer.revoked(lost);
    }

    /// Lets go of its partitions and drops both batches. Whatever of them is in the ledger is found there by the next
    /// start.
    pub(crate) fn abandon(&mut self) {
        self.tell_scorer();
        self.dropped = self.oldest_unsaved();
        self.parts.clear();
        self.index.clear();
        // What was read is read again.
        self.poison = Poison::default();
        self.open.recycle();
        self.tick.abandon(&self.desk);
    }

    pub(super) fn start_on(
        &mut self,
        partitions: Vec<TopicPartition>,
        new_life: Option<(TopicPartition, u32)>,
    ) {
        self.group = Group::Starting {
            partitions,
            not_before: Duration::ZERO,
            backoff: self.settings.write.backoff_min,
            new_life,
        };
    }
}
