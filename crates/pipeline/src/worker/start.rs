//! Starting on partitions: the ledger says where each begins and what of it exists.

use super::{Group, Worker};
use crate::clock::Now;
use crate::error::Error;
use crate::hop::Passed;
use crate::judge::{OtherLife, ReadTo, Scorer, Work};
use crate::known::{Heir, Known};
use crate::ledger::{Ledger, Operation, Span};
use crate::log::{Log, TopicPartition};
use crate::observe::{Observer, Side, Trouble};
use crate::part::Part;
use crate::ports::Ports;
use crate::recover::{self, Plan, RecoverError, RecoverRules};

impl<P: Ports> Worker<P> {
    pub(super) fn start_if_due(&mut self, now: Now) -> Result<(), Error> {
        // What the scorer has learned may be about to change.
        if self.holding {
            return Ok(());
        }
        let Group::Starting {
            partitions,
            not_before,
            backoff,
            new_life,
        } = &self.group
        else {
            return Ok(());
        };
        if now.up < *not_before {
            return Ok(());
        }
        let (partitions, new_life) = (partitions.clone(), new_life.clone());
        let (next_backoff, wait) = ((*backoff * 2).min(self.settings.write.backoff_max), *backoff);
        match self.start(&partitions, new_life.as_ref(), now) {
            Ok(()) => {
                self.note_trouble(Side::Log, None);
                self.note_trouble(Side::Ledger, None);
                self.group = Group::Running;
                Ok(())
            }
            Err(error) if error.is_passing() => {
                let (side, trouble) = match &error {
                    RecoverError::Ledger(error) => (Side::Ledger, error.into()),
                    error => (Side::Log, Trouble::no_answer(error.to_string())),
                };
                self.note_trouble(side, Some(trouble));
                self.group = Group::Starting {
                    partitions,
                    not_before: now.up + wait,
                    backoff: next_backoff,
                    new_life,
                };
                Ok(())
            }
            Err(error) => Err(Error::Recover(error)),
        }
    }

    /// Recovery: the ledger decides where each partition starts and what of it exists.
    fn start(
        &mut self,
        partitions: &[TopicPartition],
        new_life: Option<&(TopicPartition, u32)>,
        now: Now,
    ) -> Result<(), RecoverError> {
        let committed = self.log.committed(partitions)?;
        recover::kill_dead(&*self.ledger, &committed)?;
        let mut plans = Vec::with_capacity(partitions.len());
        let mut operations = Vec::new();
        let mut gaps = Vec::new();
        let rules = RecoverRules {
            // A batch is closed by the block that fills it.
            batch_records_max: self.settings.batch.rows_max + self.settings.block_max,
            ..self.settings.recover.clone()
        };
        for (partition, committed) in partitions.iter().zip(&committed) {
            let committed = committed.as_ref();
            let planned = recover::plan(&self.log, &*self.ledger, partition, committed, &rules, now.wall);
            let mut plan = match planned {
                Ok(plan) => plan,
                Err(RecoverError::RetentionGap(found)) => {
                    gaps.extend(found);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let asked = new_life.filter(|(other, life)| other == partition && plan.incarnation < *life);
            if let Some((_, incarnation)) = asked {
                let low = self.log.watermarks(partition)?.from;
                let why = "a position read later holds another record than the ledger says";
                plan = recover::new_life(partition, *incarnation, low, plan.batch_floor, why, now.wall);
            }
            operations.append(&mut plan.operations);
            plans.push(plan);
        }
        if !gaps.is_empty() {
            let why = "retention passed the position: the stream ends until it is told to go on";
            let operations = gaps
                .iter()
                .map(|gap| gap.operation("retention_gap", why, now.wall));
            self.note(operations.collect())?;
            return Err(RecoverError::RetentionGap(gaps));
        }
        self.judge.scorer.assigned(partitions);
        let mut parts = Vec::with_capacity(partitions.len());
        for ((partition, plan), committed) in partitions.iter().zip(&plans).zip(&committed) {
            let heir = Heir::of(committed.as_ref(), plan.incarnation);
            parts.push(self.part(partition, plan, heir)?);
        }
        if !operations.is_empty() {
            self.note(operations)?;
        }
        plans.iter().for_each(|plan| self.ids.raise(plan.batch_floor));
        // No row may be there yet of the batch that a doubt names.
        for part in &parts {
            self.ids.raise(part.known.doubt_from(part.next).batch);
        }
        let starts: Vec<_> = parts
            .iter()
            .map(|part| (part.partition.clone(), part.next))
            .collect();
        self.log.assign(&starts)?;
        self.index = (0..)
            .zip(&parts)
            .map(|(index, part)| ((part.topic, part.partition.partition), index))
            .collect();
        self.stalled = false;
        self.unsettled = parts.iter().any(|part| part.unsettled);
        self.parts = parts;
        self.paused = false;
        self.resting = None;
        self.dropped = None;
        self.observer.assigned(&starts);
        Ok(())
    }

    fn note(&mut self, mut operations: Vec<Operation>) -> Result<(), RecoverError> {
        operations
            .iter_mut()
            .for_each(|operation| operation.who.clone_from(&self.settings.who));
        self.ledger.operations(&operations)?;
        self.observer.noted(&operations);
        Ok(())
    }

    fn part(&mut self, partition: &TopicPartition, plan: &Plan, heir: Heir) -> Result<Part, RecoverError> {
        let topics = &self.judge.topics;
        let topic = topics.iter().position(|topic| topic.name == partition.topic);
        let topic = topic.expect("the group gives partitions of subscribed topics only");
        let decisions = self.judge.rules.decision_topic.is_some();
        let mut known = Known::new(plan.start, plan.until, decisions, heir);
        if plan.until > plan.start {
            known.load(
                &*self.ledger,
                &partition.topic,
                plan.incarnation,
                partition.partition,
                plan.start,
            )?;
        }
        let low = self.log.watermarks(partition)?.from.min(plan.start);
        let shard = self.judge.scorer.shard(partition);
        let learned = self.judge.scorer.learn_from(ReadTo {
            topic: &partition.topic,
            incarnation: plan.incarnation,
            partition: partition.partition,
            next: plan.start.saturating_sub(self.settings.learn_back).max(low),
        });
        let next = learned.clamp(low, plan.start);
        if next < plan.start {
            tracing::info!(
                topic = partition.topic,
                partition = partition.partition,
                from = next,
                to = plan.start,
                "reading again what the scorer does not know"
            );
            self.remember_requests(partition, &shard, plan, next)?;
        }
        let mut passed = Passed::default();
        if self.judge.rules.work == Work::Score {
            // All below it is complete; above it, what a batch left half written must not hide what is missing.
            let below = Span {
                topic: &partition.topic,
                incarnation: plan.incarnation,
                partition: partition.partition,
                from: 0,
                to: next,
            };
            passed = Passed::from_ledger(self.ledger.furthest(&below)?);
        }
        Ok(Part {
            passed,
            incarnation: plan.incarnation,
            next,
            learn_below: plan.start,
            learned,
            known,
            unsettled: plan.until > plan.start,
            ..Part::new(partition.clone(), topic, shard)
        })
    }

    /// A record differs from the ledger's: both batches are spoilt; the partition starts a new life.
    pub(super) fn restart(&mut self, life: OtherLife) -> Result<(), Error> {
        let part = &self.parts[life.part as usize];
        let new_life = Some((part.partition.clone(), part.incarnation + 1));
        self.begin_again(new_life);
        Ok(())
    }

    fn begin_again(&mut self, new_life: Option<(TopicPartition, u32)>) {
        let partitions = self.parts.iter().map(|part| part.partition.clone()).collect();
        self.abandon();
        self.start_on(partitions, new_life);
    }

    /// Drops its batches and starts anew on the partitions that it has, as after a restart: what the scorer is told to
    /// have learned is asked again, and what lies between that and the start is read again and learned from. A worker that
    /// is asked to stand still starts when it may go on.
    pub fn start_over(&mut self) {
        match self.group {
            Group::Running => self.begin_again(None),
            // What it reads is given back soon.
            Group::Draining { .. } => self.abandon(),
            // Nothing was read.
            Group::Idle | Group::Starting { .. } => {}
        }
    }
}
