//! Copies among the rows that existed at the start, looked for once they are behind.

use super::{BACKOFF, Phase};
use crate::clock::Clock;
use crate::desk::{self, Answer, Ask, Desk};
use crate::error::Error;
use crate::observe::{Observer, Side};
use crate::ports::Ports;
use crate::worker::Worker;

impl<P: Ports> Worker<P> {
    /// Past the window of rows that existed at the start, copies among them are looked for. What is in the open batch is
    /// not written yet.
    pub(super) fn settle_copies(&mut self) {
        if !self.unsettled {
            return;
        }
        self.unsettled = self.parts.iter().any(|part| part.unsettled);
        let covers = &self.open.covers;
        let written_to = |index: u32, next: i64| {
            let open = covers.iter().find(|cover| cover.part == index);
            open.map_or(next, |cover| cover.from)
        };
        let due = self
            .parts
            .iter_mut()
            .zip(0..)
            .find(|(part, index)| part.unsettled && !part.known.reaches(written_to(*index, part.next)));
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

    pub(super) fn settled(&mut self) -> Result<(), Error> {
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
                    self.unsettled = true;
                }
            }
            _ => unreachable!("copies were asked for"),
        }
        Ok(())
    }
}
