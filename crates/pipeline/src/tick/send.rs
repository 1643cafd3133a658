//! Sending what the rows ask for, and the end of a batch whose messages are all durable.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::Duration;

use tracing::{Span, info_span};

use super::{BACKOFF, Phase};
use crate::batch::Batch;
use crate::clock::Now;
use crate::crash;
use crate::error::Error;
use crate::observe::{Observer, Side, TickStats, Trouble};
use crate::outgoing::{Kind, Outbox, Outgoing, SendError};
use crate::ports::Ports;
use crate::worker::{Worker, child_span};
use crate::write::WriteStats;

/// What is yet to be sent, and what is not answered.
#[derive(Debug, Default)]
pub(super) struct Sending {
    due: VecDeque<u32>,
    waiting: u32,
    not_before: Duration,
    stats: WriteStats,
    span: Option<Span>,
}

impl<P: Ports> Worker<P> {
    pub(super) fn begin_sending(&mut self, stats: WriteStats) {
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
    pub(super) fn send(&mut self, now: Now) -> Result<(), Error> {
        if matches!(&self.tick.phase, Phase::Send(sending) if sending.waiting > 0) {
            crash::point("before_acknowledgement");
        }
        while let Some((tag, result)) = self.outbox.answer() {
            let Phase::Send(sending) = &mut self.tick.phase else {
                return Ok(());
            };
            if tag >> 32 != u64::from(self.tick.serial) {
                continue;
            }
            sending.waiting -= 1;
            let Err(error) = result else {
                crash::point("after_acknowledgement");
                self.note_trouble(Side::Outbox, None);
                continue;
            };
            let index = tag as u32;
            sending.due.push_back(index);
            let message = &mut self.tick.batch.outgoing[index as usize];
            if message.kind == Kind::Child {
                // Others behind it may have arrived: sent again it would count as a repeat of theirs.
                return Err(Error::Send {
                    topic: message.topic.clone(),
                    reason: error.to_string(),
                });
            }
            if let SendError::TooLarge(reason) = error {
                if message.cut() {
                    continue;
                }
                return Err(Error::Send {
                    topic: message.topic.clone(),
                    reason,
                });
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
    fn finish(&mut self, write: WriteStats, now: Now) {
        self.note_trouble(Side::Ledger, None);
        self.note_trouble(Side::Outbox, None);
        let batch = &mut self.tick.batch;
        {
            for (sent, change_uid) in batch
                .row_messages
                .iter()
                .filter_map(|sent| Some((sent, sent.asks?)))
            {
                let asker = &self.parts[sent.part as usize].shard.asker;
                let mut asker = asker.lock().unwrap_or_else(PoisonError::into_inner);
                asker.durable(change_uid);
            }
        }
        for part in &self.parts {
            if let Some(fresh) = batch.fresh.get_mut(part.shard.number) {
                part.shard.recent.keep(fresh);
            }
        }
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
            cut: batch.outgoing.iter().filter(|message| message.is_cut()).count() as u32,
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

fn points(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Request | Kind::Decision => ("before_request", "after_request"),
        Kind::DeadLetter => ("before_dead_letter", "after_dead_letter"),
        Kind::Child => ("before_child", "after_child"),
    }
}
