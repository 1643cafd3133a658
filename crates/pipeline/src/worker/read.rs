//! Reading a block and having it judged; what cannot be judged now is read again.

use std::collections::HashMap;
use std::time::Duration;

use bumpalo::Bump;
use changegate_types::{Position, RawRecord};
use tracing::info_span;

use super::{Worker, child_span};
use crate::batch::Batch;
use crate::clock::Now;
use crate::error::Error;
use crate::fence::BatchIds;
use crate::judge::{BlockContext, BlockRecord, OtherLife, Refusals, Topic, Work};
use crate::log::{Log, LogError, Message, TopicPartition};
use crate::observe::{Observer, Side, Trouble};
use crate::outgoing::header::TRACEPARENT;
use crate::part::Part;
use crate::poison::{Limit, Tripped};
use crate::ports::Ports;
use crate::replay;

impl<P: Ports> Worker<P> {
    /// Reads and judges one block.
    pub(super) fn read(&mut self, now: Now) -> Result<(), Error> {
        self.unstall()?;
        let wait = self.wait();
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
            stalled,
            ..
        } = self;
        arena.reset();
        let (messages, failed) = gather(log, wait, open, ids, settings.block_max, now);
        let outcome = if messages.is_empty() {
            Ok(None)
        } else {
            let records = messages.len();
            let judging = child_span(
                open,
                |parent| info_span!(parent: parent, "normalize_and_score", records),
            )
            .entered();
            let mut block = collect(&messages, arena, &judge.topics, parts, index, now);
            if block.len() < records {
                *stalled = parts.iter().any(|part| part.stalled.is_some());
            }
            if judge.rules.work == Work::Score {
                // Each partition is a shard of its own: its events are scored together.
                block.sort_by_key(|record| record.part);
            }
            if observer.traces() {
                link(observer, open, &block);
            }
            let _judging = judging;
            match replay::look_up(
                &**ledger,
                block.iter().map(|record| &record.raw),
                judge.rules.decision_topic.is_some(),
                judge.rules.work == Work::Score,
            ) {
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
        drop(messages);
        if let Some(error) = failed {
            self.log_trouble(error)?;
        }
        match outcome {
            Ok(None) => {}
            Ok(Some(stats)) => {
                self.ledger_answers();
                self.observer.block(&stats);
                if let Some(tripped) = self.poison.add(&self.settings.poison, &stats) {
                    return Err(self.poisoned(&tripped));
                }
            }
            Err(Stopped::Ledger(error)) => {
                self.note_trouble(Side::Ledger, Some((&error).into()));
                return self.read_again(&first);
            }
            Err(Stopped::OtherLife(life)) => return self.restart(life),
        }
        self.stall()
    }

    fn poisoned(&self, tripped: &Tripped) -> Error {
        let (whose, limit) = match tripped.limit {
            Limit::Run(most) => ("of the partition", format!("dead_letters.run_max = {most}")),
            Limit::Share(most) => (
                "of all partitions",
                format!("dead_letters.share_max = {}", most as f32),
            ),
        };
        let TopicPartition { topic, partition } = &self.parts[tripped.last.part as usize].partition;
        Error::Poison {
            rejected: tripped.rejected,
            records: tripped.records,
            whose,
            topic: topic.clone(),
            partition: *partition,
            offset: tripped.last.offset,
            code: tripped.last.code.name(),
            limit,
        }
    }

    /// Goes back to where a block began in each partition.
    fn read_again(&mut self, first: &[(TopicPartition, i64)]) -> Result<(), Error> {
        for (partition, offset) in first {
            // A stall noted in this block lies further on: it would skip what is read again.
            let of_part = |part: &&mut Part| part.partition == *partition;
            if let Some(part) = self.parts.iter_mut().find(of_part) {
                part.stalled = None;
                let offset = part.next.max(*offset);
                self.log.seek(partition, offset).map_err(Error::Log)?;
            }
        }
        self.stalled = self.parts.iter().any(|part| part.stalled.is_some());
        Ok(())
    }

    /// Partitions whose next record lies beyond what the ledger was asked about wait.
    fn stall(&mut self) -> Result<(), Error> {
        if !self.stalled {
            return Ok(());
        }
        for part in self.parts.iter().filter(|part| part.stalled.is_some()) {
            self.log
                .pause(std::slice::from_ref(&part.partition))
                .map_err(Error::Log)?;
        }
        Ok(())
    }

    fn unstall(&mut self) -> Result<(), Error> {
        if !self.stalled {
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
        self.stalled = trouble.is_some();
        match trouble {
            None => self.ledger_answers(),
            trouble => self.note_trouble(Side::Ledger, trouble),
        }
        Ok(())
    }
}

/// Why a block did not become part of the batch.
enum Stopped {
    Ledger(crate::ledger::Error),
    OtherLife(OtherLife),
}

/// The messages of one block: waits for the first, takes what is there. The first of a batch opens it. A failure ends the
/// block; what came before it is judged all the same.
fn gather<'l, L: Log>(
    log: &'l L,
    wait: Duration,
    open: &mut Batch,
    ids: &mut BatchIds,
    block_max: usize,
    now: Now,
) -> (Vec<L::Message<'l>>, Option<LogError>) {
    let mut messages = Vec::with_capacity(block_max);
    let mut failed = None;
    let mut reading = None;
    while messages.len() < block_max {
        match log.poll(if messages.is_empty() { wait } else { Duration::ZERO }) {
            Ok(Some(message)) => {
                if messages.is_empty() {
                    if open.is_empty() {
                        open.id = ids.next(now.wall.millis());
                        open.opened = now.up;
                        open.span = Some(info_span!("batch", batch = open.id.0));
                    }
                    reading = Some(child_span(open, |parent| info_span!(parent: parent, "read")).entered());
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
    (messages, failed)
}

/// So many traces a batch is linked to.
const LINKS_MAX: u32 = 32;

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
