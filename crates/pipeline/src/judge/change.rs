//! A new row of `changes`: its decision, what it asks, and the request that goes out for it.

use std::sync::{Mutex, PoisonError};

use changegate_approval::{Ask, Asker, Candidate, StoredChange};
use changegate_policy::decide;
use changegate_types::{ChangeEvent, DecidedChange, Decision, Mark, Marks, Position, Score};

use super::settle::{Found, superseded};
use super::{BlockStats, Judge, Normalize, Scorer};
use crate::batch::{Batch, NONE};
use crate::clock::Now;
use crate::hop::own_bytes;
use crate::ledger::{Operation, Table};
use crate::recent::Place;
use crate::rows::{ChangeRow, Encoder, RecordContext};

/// What a row is made of, beside its record.
pub(super) struct NewRow<'r> {
    /// Index of the topic.
    pub(super) topic: usize,
    pub(super) event: &'r ChangeEvent<'r>,
    pub(super) copy_of: Option<&'r Place>,
    pub(super) conflict: bool,
    pub(super) score: Option<&'r Score<'r>>,
    /// Of the child, within the record that is read.
    pub(super) index: u32,
    /// As the row says it: over the hop, that of the raw record.
    pub(super) child: u32,
    pub(super) asker: &'r Mutex<Asker>,
    /// Of the record, within its portion.
    pub(super) record_index: u32,
    pub(super) portion: usize,
}

impl<N: Normalize, S: Scorer, E: Encoder> Judge<N, S, E> {
    /// The row of a change, that of a copy in `superseded` with it, and its request.
    pub(super) fn new_row(
        &self,
        context: &RecordContext<'_>,
        found: &Found<'_, '_>,
        row: &NewRow<'_>,
        batch: &mut Batch,
        stats: &mut BlockStats,
    ) {
        let (now, stored) = (found.now, found.judged.normalized.stored);
        let event = row.event;
        let redelivery = row.copy_of.is_some();
        let mut marks = Marks::default();
        if found.record.time_cut {
            marks.set(Mark::KafkaTimeCut);
        }
        if redelivery {
            marks.set(Mark::Redelivery);
        }
        let (decision, rule) = self.decision(event, row, redelivery);
        let rules: &[&str] = rule.as_slice();
        let decided = DecidedChange {
            event,
            score: row.score.copied(),
            decision,
            rules,
            decision_time: now.wall,
        };
        let ask = Self::ask(context, row, &decided, &mut marks, batch, now);
        let mut own = *context;
        let mut child_bytes: &[u8] = &[];
        let origin = &found.judged.normalized.origin;
        if let Some(replay) = found
            .replay
            .filter(|replay| !replay.is_of(&found.record.raw, origin))
        {
            own.position = Position {
                topic: &replay.place.topic,
                incarnation: replay.place.incarnation,
                partition: replay.place.partition,
                offset: replay.place.offset,
            };
            // The original position keeps other bytes: the row carries its own. Over the hop the event brings them.
            if origin.is_none() {
                child_bytes = own_bytes(event, stored);
            }
        }
        let change = ChangeRow {
            record: &own,
            child: row.child,
            uid_conflict: row.conflict,
            marks,
            decided: &decided,
            ask,
            child_bytes,
            versions: &self.rules.versions,
            hop: origin.map(|_| found.record.raw.position),
        };
        let portion = &mut batch.portions_mut()[row.portion];
        let rows = portion.rows_mut(Table::Changes);
        rows.push(row.record_index, row.index as i32, NONE, |out| {
            self.encoder.change(&change, out)
        });
        let copy = rows.marks.len() as u32 - 1;
        if let Some(of) = row.copy_of {
            let superseded = superseded(&own, row.child, own.stamp, of, now);
            let rows = portion.rows_mut(Table::Superseded);
            rows.push(row.record_index, row.index as i32, copy, |out| {
                self.encoder.superseded(&superseded, out)
            });
        }
        if ask.sends() || self.rules.decision_topic.is_some() {
            let stored = StoredChange::new(
                own.position,
                row.child,
                own.kafka_time,
                own.ingest_time,
                &decided,
                marks,
                row.conflict,
                ask,
                &self.rules.versions,
            );
            let record = batch.portions()[row.portion].records[row.record_index as usize];
            self.announce(&stored, record.part, &found.record.raw, row.index, batch);
        }
        let of_topic = stats.topic(row.topic);
        of_topic.redeliveries += u32::from(redelivery);
        of_topic.conflicts += u32::from(row.conflict);
        of_topic.unknown_environments += u32::from(event.marks.has(Mark::UnknownEnvironment));
        for mark in event.marks.union(marks).iter() {
            stats.marks[mark as usize] += 1;
        }
        stats.unscored += u32::from(event.is_change && !redelivery && row.score.is_none());
        stats.asks[Ask::ALL.iter().position(|each| *each == ask).unwrap_or(0)] += 1;
        stats.decisions[decision as usize] += 1;
    }

    fn decision(
        &self,
        event: &ChangeEvent<'_>,
        row: &NewRow<'_>,
        redelivery: bool,
    ) -> (Decision, Option<&str>) {
        if redelivery {
            // The decision stands in the row of the original.
            return (Decision::Allow, Some("redelivery"));
        }
        if !event.is_change {
            return (Decision::Allow, Some("not_a_change"));
        }
        let risk = row.score.map(|score| score.risk);
        let thresholds = &self.rules.thresholds;
        (decide(risk, Decision::Allow, thresholds), thresholds.rule(risk))
    }

    fn ask(
        context: &RecordContext<'_>,
        row: &NewRow<'_>,
        decided: &DecidedChange<'_>,
        marks: &mut Marks,
        batch: &mut Batch,
        now: Now,
    ) -> Ask {
        let event = decided.event;
        let candidate = Candidate {
            tenant_uid: event.tenant_uid,
            change_uid: event.change_uid,
            decision: decided.decision,
            is_change: event.is_change,
            redelivery: row.copy_of.is_some(),
            learning: decided
                .score
                .as_ref()
                .filter(|score| score.learning)
                .map(|score| score.risk),
            event_time: event.event_time,
            ingest_time: context.ingest_time,
            decision_time: decided.decision_time,
        };
        let mut asker = row.asker.lock().unwrap_or_else(PoisonError::into_inner);
        if asker.is_backfill(event.event_time, context.ingest_time) {
            marks.set(Mark::Backfill);
        }
        let answer = asker.ask(&candidate);
        if answer.budget_just_used {
            tracing::warn!(
                tenant = event.tenant_uid,
                "approval budget of this hour is used up: requests are grouped"
            );
            batch.operations.push(Operation {
                time: now.wall,
                kind: "approval_budget".into(),
                why: "more changes ask for approval in this hour than the budget allows: they are grouped"
                    .into(),
                partition: -1,
                details: vec![("tenant".into(), event.tenant_uid.to_owned())],
                ..Operation::default()
            });
        }
        answer.ask
    }
}
