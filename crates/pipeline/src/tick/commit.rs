//! Commits: the fence before a batch is written, and the positions that are durable.

use std::time::Duration;

use tracing::{Span, info_span};

use super::{BACKOFF, BACKOFF_MAX, Phase};
use crate::batch::Cover;
use crate::clock::{Clock, Now};
use crate::crash;
use crate::error::Error;
use crate::fence::Fence;
use crate::log::{CommitError, CommitOffset, Log};
use crate::observe::{Observer, Side, Trouble};
use crate::ports::Ports;
use crate::worker::{Group, Worker, child_span};
use crate::write::WriteJob;

impl<P: Ports> Worker<P> {
    /// The fence of the batch, which closes the one before.
    pub(super) fn fence(&mut self, now: Now) -> Result<(), Error> {
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
    pub(super) fn close(&mut self, now: Now) -> Result<(), Error> {
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
                open: cover.open.clone(),
                doubt: part.known.doubt_from(cover.to),
            };
            offsets.push(CommitOffset {
                partition: part.partition.clone(),
                offset: cover.from,
                metadata: fence.to_string(),
            });
        }
        for (part, next) in &self.tick.closes {
            if !covers.iter().any(|cover| cover.part == *part) {
                let part = &self.parts[*part as usize];
                offsets.push(CommitOffset {
                    partition: part.partition.clone(),
                    offset: *next,
                    metadata: part.known.doubt_from(*next).closing(part.incarnation),
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
            Err(CommitError::Member(error)) => Err(Error::Log(error)),
            Err(CommitError::Wait(reason)) => {
                self.tick.not_before = now.up + self.tick.backoff;
                self.tick.backoff = (self.tick.backoff * 2).min(BACKOFF_MAX);
                self.note_trouble(Side::Log, Some(Trouble::no_answer(reason)));
                Ok(false)
            }
        }
    }

    /// A fence older than half the session timeout may be a dead one's: renewed before anything is sent.
    pub(super) fn renew_fence(&mut self, now: Now) -> Result<bool, Error> {
        if now.up.saturating_sub(self.tick.fenced_at) < self.settings.session_timeout / 2 {
            return Ok(true);
        }
        if now.up < self.tick.not_before {
            return Ok(false);
        }
        self.commit(true, now)
    }
}
