//! Refused rows: their records are read again, the refused children dead-lettered, the rest completed.

use changegate_types::{Position, RawRecord};

use super::{BACKOFF_MAX, Phase, write::wait_or_take};
use crate::batch::Batch;
use crate::clock::Now;
use crate::desk::Desk;
use crate::error::Error;
use crate::judge::{BlockContext, BlockRecord, Refusals, Work};
use crate::known::{Heir, Known};
use crate::log::Log;
use crate::observe::{Side, Trouble};
use crate::part::Part;
use crate::ports::Ports;
use crate::worker::Worker;
use crate::write::{Next, Refused, WriteJob, WriteStats};

/// What is done about refused rows.
#[derive(Debug)]
pub(super) struct Repair {
    pub(super) refused: Vec<Refused>,
    /// Numbers its queries, above those of the job before.
    pub(super) first_part: u32,
    pub(super) stats: WriteStats,
    /// Built once the records were fetched.
    pub(super) work: Option<(Vec<Part>, Batch, WriteJob)>,
}

impl<P: Ports> Worker<P> {
    /// Completes the records of refused rows: the children are dead-lettered, the rest is in the ledger already.
    pub(super) fn repair(&mut self, now: Now) -> Result<(), Error> {
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
            match self.rejudge(own, offset, &refused, &mut parts, &mut batch, now) {
                Ok(true) => {}
                Ok(false) => {
                    let of_record = |refused: &&Refused| refused.part == own && refused.offset == offset;
                    let why = refused
                        .iter()
                        .find(of_record)
                        .map_or("", |refused| refused.error.as_str());
                    return Err(Error::Halt(format!(
                        "the ledger refused a row of {}/{} at offset {offset}, and the log no longer holds the record, so it \
                         cannot be dead-lettered: lift what refuses it and start again: {why}",
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
    fn rejudge(
        &mut self,
        own: u32,
        offset: i64,
        refused: &[Refused],
        parts: &mut Vec<Part>,
        batch: &mut Batch,
        now: Now,
    ) -> Result<bool, String> {
        let index = parts.len() as u32;
        let part = &self.parts[own as usize];
        let name = part.partition.clone();
        let mut known = Known::new(offset, offset + 1, false, Heir::OfAll);
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
            // What has passed the hop is empty: the record did pass.
            incarnation: part.incarnation,
            next: offset,
            learn_below: i64::MIN,
            // The whole batch has taught already.
            learned: i64::MAX,
            known,
            last_time: part.last_time,
            ..Part::new(name.clone(), part.topic, part.shard.clone())
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
            let replays = match crate::replay::look_up(
                &**ledger,
                block.iter().map(|record| &record.raw),
                judge.rules.decision_topic.is_some(),
                judge.rules.work == Work::Score,
            ) {
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
}
