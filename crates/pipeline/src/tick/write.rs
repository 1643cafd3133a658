//! Writing the batch: hands the questions of the write job to the desk, and the answers back.

use tracing::{Span, info_span};

use super::{Phase, repair::Repair};
use crate::batch::Batch;
use crate::clock::Now;
use crate::desk::{Ask, Desk};
use crate::error::Error;
use crate::observe::{Side, Trouble};
use crate::part::Part;
use crate::ports::Ports;
use crate::worker::{Worker, child_span};
use crate::write::{Next, WriteJob};

impl<P: Ports> Worker<P> {
    /// A step of writing the batch.
    pub(super) fn write(&mut self, now: Now) -> Result<(), Error> {
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
}

/// Takes the answer that is due. `true`: it is still under way.
pub(super) fn wait_or_take(
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

fn asked_span(batch: &Batch, ask: &Ask) -> Span {
    child_span(batch, |parent| match ask {
        Ask::Insert(insert) => {
            info_span!(parent: parent, "insert", table = insert.table.name(), rows = insert.count, query_id = %insert.query_id)
        }
        Ask::Kill(_) => info_span!(parent: parent, "kill"),
        Ask::ReadBack { table, .. } => info_span!(parent: parent, "read_back", table = table.name()),
        Ask::Note(_) | Ask::Settle(_) => info_span!(parent: parent, "note"),
    })
}
