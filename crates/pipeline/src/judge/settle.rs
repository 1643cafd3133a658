//! One record whose children have their fates: its rows, its dead letters, and the marks it leaves in the batch.

use bumpalo::Bump;
use changegate_normalize::Child;
use changegate_types::{Position, RejectCode, Score, SkipReason};

use super::change::NewRow;
use super::fate::{Fate, Mode};
use super::{BlockRecord, BlockStats, Judge, Judged, Normalize, Scorer, Work};
use crate::batch::{Batch, NONE, RecordMark, month_of};
use crate::clock::Now;
use crate::ledger::{Operation, Stamp, Table};
use crate::outgoing::dead_letter;
use crate::part::Part;
use crate::recent::Place;
use crate::replay::Replay;
use crate::rows::{Encoder, Outcomes, RawRow, RecordContext, RejectedRow, SupersededRow, Why};

/// A record and all that was found of it.
pub(super) struct Found<'f, 'a> {
    pub(super) record: &'f BlockRecord<'a>,
    pub(super) judged: &'f Judged<'a>,
    pub(super) replay: Option<&'f Replay>,
    /// Of its children.
    pub(super) fates: &'f [Fate<'a>],
    /// Of the whole block.
    pub(super) scores: &'f [Option<Score<'a>>],
    pub(super) now: Now,
}

impl<N: Normalize, S: Scorer, E: Encoder> Judge<N, S, E> {
    /// Writes down what came of one record.
    pub(super) fn settle<'a>(
        &mut self,
        arena: &'a Bump,
        part: &mut Part,
        found: &Found<'_, 'a>,
        batch: &mut Batch,
        stats: &mut BlockStats,
    ) {
        let Found {
            record,
            judged,
            replay,
            fates,
            now,
            ..
        } = *found;
        let raw = &record.raw;
        let offset = raw.position.offset;
        let past = judged.mode == Mode::Past;
        if offset > part.next && !past {
            batch.operations.push(hole(part, part.next, offset, now));
        }
        part.next = offset + 1;
        let of_topic = stats.topic(part.topic);
        of_topic.records += 1;
        of_topic.bytes += raw.value.map_or(0, <[u8]>::len) as u64;
        of_topic.times_cut += u32::from(record.time_cut);
        if past {
            return;
        }
        batch.cover(record.part, offset, judged.mode == Mode::Complete);
        batch.oldest = Some(
            batch
                .oldest
                .map_or(raw.kafka_time, |oldest| oldest.min(raw.kafka_time)),
        );
        for (at, row) in part.known.take_requests(offset) {
            let child = match self.rules.work {
                Work::Whole => row.child,
                Work::Score => 0,
                // Of rows that others have written.
                Work::Normalize(_) => continue,
            };
            // What is written again asks for itself.
            let is_new = matches!(fates.get(child as usize), Some(Fate::Row { .. }));
            if at < offset || !is_new {
                self.announce(&row, record.part, raw, child, batch);
            }
        }
        for row in replay.into_iter().flat_map(|replay| &replay.requests) {
            batch.outgoing.extend(self.request(row, raw));
            batch.outgoing.extend(self.published(row, raw));
        }
        let topic = &self.topics[part.topic];
        let headers = topic.normalizer.headers(arena, raw);
        let normalized = &judged.normalized;
        of_topic.secrets_masked += normalized.secrets_masked;
        let dead_letters = fates.iter().enumerate().filter_map(|(child, fate)| match fate {
            Fate::Reject { reject, stage, .. } => Some(dead_letter(
                &topic.dead_letter_topic,
                raw,
                headers,
                child as u32,
                reject,
                *stage,
                normalized,
            )),
            _ => None,
        });
        batch.outgoing.extend(dead_letters);
        if let Work::Normalize(hop) = &self.rules.work {
            batch.outgoing.extend(fates.iter().filter_map(|fate| match fate {
                Fate::Send(sent) => Some(hop.message(sent, raw, replay)),
                _ => None,
            }));
        }
        if judged.mode == Mode::Complete {
            of_topic.known += 1;
            return;
        }
        let outcomes = self.rows(part, found, headers, batch, stats);
        batch.outcomes_mut(part.topic).add(&outcomes);
        stats.outcomes.add(&outcomes);
        stats.fresh += 1;
        let code = fates.iter().find_map(|fate| match fate {
            Fate::Reject { reject, .. } => Some(reject.code),
            _ => None,
        });
        match code {
            Some(code) => stats.reject(part, record.part, offset, code),
            None => part.reject_run = 0,
        }
    }

    /// The rows that are missing of an open record, its completion row last.
    fn rows(
        &mut self,
        part: &Part,
        found: &Found<'_, '_>,
        headers: &[(&str, &[u8])],
        batch: &mut Batch,
        stats: &mut BlockStats,
    ) -> Outcomes {
        let Found {
            record,
            judged,
            replay,
            fates,
            scores,
            now,
        } = *found;
        let raw = &record.raw;
        let normalized = &judged.normalized;
        let topic = &self.topics[part.topic];
        let stamp = Stamp {
            batch: batch.id,
            attempt: 1,
        };
        let (tenant_uid, source) = match (&normalized.origin, normalized.children) {
            (Some(_), [Child::Change(event) | Child::Learn(event), ..]) => (event.tenant_uid, event.source),
            _ => (topic.tenant_uid.as_str(), topic.source.as_str()),
        };
        let context = RecordContext {
            position: raw.position,
            kafka_time: raw.kafka_time,
            ingest_time: now.wall,
            stamp,
            tenant_uid,
            source,
            raw_hash: normalized.raw_hash,
        };
        // Rows of `changes` stand where the raw record does.
        let change_context = match &normalized.origin {
            None => context,
            Some(origin) => RecordContext {
                position: origin.position,
                ingest_time: origin.ingest_time,
                raw_hash: origin.raw_hash,
                ..context
            },
        };
        let portion = batch.portion(month_of(raw.kafka_time));
        // Over the hop a row is found by the hop's position, wherever it stands.
        let elsewhere = replay.filter(|_| normalized.origin.is_none());
        let replay_index = elsewhere.map_or(NONE, |replay| {
            batch.replays.push(replay.place.clone());
            batch.replays.len() as u32 - 1
        });
        let record_index = batch.portions()[portion].records.len() as u32;
        batch.portions_mut()[portion].records.push(RecordMark {
            part: record.part,
            offset: raw.position.offset,
            raw_hash: normalized.raw_hash,
            replay: replay_index,
        });
        let mut outcomes = Outcomes::default();
        for (child, fate) in fates.iter().enumerate() {
            let child = child as u32;
            let row_child = normalized.origin.map_or(child, |origin| origin.child);
            match fate {
                Fate::WrittenCopy { of } => {
                    outcomes.write();
                    let known = part
                        .known
                        .changes(raw.position.offset)
                        .iter()
                        .find(|row| row.child == child);
                    if let Some(known) = known {
                        let row = superseded(&change_context, row_child, known.stamp, of, now);
                        let rows = batch.portions_mut()[portion].rows_mut(Table::Superseded);
                        rows.push(record_index, child as i32, NONE, |out| {
                            self.encoder.superseded(&row, out)
                        });
                    }
                }
                Fate::Row {
                    event,
                    copy_of,
                    conflict,
                    slot,
                } => {
                    outcomes.write();
                    let row = NewRow {
                        topic: part.topic,
                        event,
                        copy_of: copy_of.as_ref(),
                        conflict: *conflict,
                        score: scores.get(*slot as usize).and_then(Option::as_ref),
                        index: child,
                        child: row_child,
                        asker: &part.shard.asker,
                        record_index,
                        portion,
                    };
                    self.new_row(&change_context, found, &row, batch, stats);
                }
                Fate::Written => outcomes.write(),
                Fate::Send(sent) if sent.learn_only => outcomes.skip(SkipReason::LearnedOnly),
                Fate::Send(_) => outcomes.write(),
                Fate::Reject { reject, exists, .. } => {
                    outcomes.dead_letter(reject.code);
                    if !exists {
                        let row = RejectedRow {
                            record: &context,
                            child,
                            reject,
                            error: "",
                            bytes: normalized.stored,
                        };
                        let rows = batch.portions_mut()[portion].rows_mut(Table::Rejected);
                        rows.push(record_index, child as i32, NONE, |out| {
                            self.encoder.rejected(&row, out)
                        });
                    }
                }
                Fate::Skip(reason) => outcomes.skip(*reason),
                Fate::Passed => {}
            }
        }
        // Rows that an older program made of children which this one does not see.
        let seen = fates.len() as u32;
        part.known
            .changes(raw.position.offset)
            .iter()
            .filter(|row| row.child >= seen)
            .for_each(|_| outcomes.write());
        for reject in part
            .known
            .rejects(raw.position.offset)
            .iter()
            .filter(|row| row.child >= seen)
        {
            outcomes.dead_letter(reject.code.unwrap_or(RejectCode::UnknownEnvelope));
        }
        let learned_only =
            outcomes.children() > 0 && outcomes.skipped(SkipReason::LearnedOnly) == outcomes.children();
        let row = RawRow {
            record: &context,
            outcomes: &outcomes,
            raw_size: raw.value.map_or(0, <[u8]>::len) as u32,
            stored_hash: normalized.stored_hash,
            stored_encoding: normalized.stored_encoding,
            secrets_masked: normalized.secrets_masked,
            key: raw.key.filter(|_| normalized.origin.is_none()),
            headers,
            // What came over the hop is in the row of its raw record.
            raw: (!learned_only && normalized.origin.is_none()).then_some(normalized.stored),
        };
        let rows = batch.portions_mut()[portion].rows_mut(Table::RawRecords);
        rows.push(record_index, -1, NONE, |out| self.encoder.record(&row, out));
        outcomes
    }
}

pub(super) fn superseded<'r>(
    context: &RecordContext<'r>,
    child: u32,
    stamp: Stamp,
    of: &'r Place,
    now: Now,
) -> SupersededRow<'r> {
    SupersededRow {
        position: context.position,
        child: child as i32,
        stamp,
        why: Why::Redelivery,
        of: Position {
            topic: &of.topic,
            incarnation: of.incarnation,
            partition: of.partition,
            offset: of.offset,
        },
        of_child: of.child as i32,
        of_stamp: Stamp::default(),
        kafka_time: context.kafka_time,
        noted_time: now.wall,
    }
}

/// The operation that records a range of offsets in which the log holds nothing.
fn hole(part: &Part, from: i64, to: i64, now: Now) -> Operation {
    Operation {
        time: now.wall,
        kind: "hole".into(),
        why: "the log holds no records there (transaction markers, compaction)".into(),
        topic: part.partition.topic.clone(),
        incarnation: part.incarnation,
        partition: part.partition.partition,
        offset_from: from,
        offset_to: to,
        ..Operation::default()
    }
}
