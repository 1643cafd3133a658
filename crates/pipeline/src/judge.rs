use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bumpalo::Bump;
use changegate_approval::{Ask, Asker, Candidate, StoredChange};
use changegate_normalize::{Child, NormalizedRecord};
use changegate_policy::{Thresholds, decide};
use changegate_types::{
    ChangeEvent, DecidedChange, Decision, Digest, Mark, Marks, Position, RawRecord, Reject, RejectCode,
    Score, SkipReason, TimeMicros, Versions,
};

use crate::batch::{Asked, Batch, NONE, RecordMark, month_of};
use crate::clock::Now;
use crate::ledger::{Operation, Stamp, Table};
use crate::outgoing::{Kind, Outgoing, Stage, dead_letter, header};
use crate::part::Part;
use crate::recent::{Fresh, Place, PlaceRef, Recent};
use crate::replay::Replay;
use crate::rows::{ChangeRow, Encoder, Outcomes, RawRow, RecordContext, RejectedRow, SupersededRow, Why};

/// Makes changes of records.
pub trait Normalize {
    /// What the record came to. Never fails: what cannot be read is a child that is rejected.
    fn record<'a>(&self, arena: &'a Bump, record: &RawRecord<'a>) -> NormalizedRecord<'a>;

    /// The headers to keep, secrets masked. The default blanks the values of names that carry secrets by nature.
    fn headers<'a>(&self, arena: &'a Bump, record: &RawRecord<'a>) -> &'a [(&'a str, &'a [u8])] {
        if !record.headers.iter().any(|(name, _)| carries_secret(name)) {
            return record.headers;
        }
        let masked = |(name, value): &(&'a str, &'a [u8])| {
            (
                *name,
                if carries_secret(name) {
                    b"masked".as_slice()
                } else {
                    *value
                },
            )
        };
        arena.alloc_slice_fill_iter(record.headers.iter().map(masked))
    }
}

fn carries_secret(name: &str) -> bool {
    const PARTS: [&str; 6] = [
        "authorization",
        "cookie",
        "token",
        "secret",
        "password",
        "signature",
    ];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}

/// Scores changes and learns from them, in the order given.
pub trait Scorer {
    /// Scores each event by what was learned before it, then learns from it. One answer per event; `None`: it could
    /// not be scored. The time is Kafka's, which drives the state's clock.
    fn score<'a>(
        &mut self,
        arena: &'a Bump,
        events: &[(&'a ChangeEvent<'a>, TimeMicros)],
        out: &mut Vec<Option<Score<'a>>>,
    );

    /// Learns only.
    fn learn(&mut self, arena: &Bump, events: &[(&ChangeEvent<'_>, TimeMicros)]);

    /// How far the state that was loaded had read the partition: it knows everything below this offset.
    /// `None`: it knows nothing of the partition.
    fn learned_to(&self, topic: &str, incarnation: u32, partition: i32) -> Option<i64>;

    /// Tells how far the partition was handed to this scorer. `durable`: all of it is committed, so that a snapshot may
    /// hold it. A worker tells it when it stands still and when it lets go of a partition.
    fn read_to(&mut self, _place: ReadTo<'_>, _durable: bool) {}
}

/// How far a partition was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadTo<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Incarnation.
    pub incarnation: u32,
    /// Partition.
    pub partition: i32,
    /// The next offset.
    pub next: i64,
}

/// A topic and how its records are read.
#[derive(Debug)]
pub struct Topic<N> {
    /// Name.
    pub name: String,
    /// `aws.cloudtrail`, …
    pub source: String,
    /// Whose records.
    pub tenant_uid: String,
    /// Reads them.
    pub normalizer: N,
}

/// What the judge is set to.
#[derive(Debug)]
pub struct Rules {
    /// Risk points to decisions.
    pub thresholds: Thresholds,
    /// What decisions are made with.
    pub versions: Versions,
    /// Topic of approval requests.
    pub approval_topic: String,
}

/// A record of a block.
#[derive(Clone, Copy, Debug)]
pub struct BlockRecord<'a> {
    /// Which of the worker's partitions.
    pub part: u32,
    /// The record, with the Kafka time to go by.
    pub raw: RawRecord<'a>,
    /// The time was cut.
    pub time_cut: bool,
}

/// A child that the ledger refused, found by halving.
pub type Refusals = HashMap<(u32, i64, u32), String>;

/// By what a block is judged, beside the rules.
#[derive(Clone, Copy, Debug)]
pub struct BlockContext<'c> {
    /// What was looked up for the replayed records of the block, by index.
    pub replays: &'c HashMap<usize, Replay>,
    /// Children that the ledger refused.
    pub refused: &'c Refusals,
    /// Children of replayed records in the batch that is being written.
    pub under_way: &'c [Place],
    /// Originals in the batch that is being written.
    pub fresh_under_way: &'c Fresh,
    /// The moment.
    pub now: Now,
}

/// What came of a block, for metrics.
#[derive(Clone, Debug, Default)]
pub struct BlockStats {
    /// By topic, in the order of [`Judge::topics`]; those after the last that was read are left out.
    pub topics: Vec<TopicStats>,
    /// How the children of records without rows ended.
    pub outcomes: Outcomes,
    /// Rows by what they ask, in the order of [`Ask::ALL`].
    pub asks: [u32; 6],
    /// Rows by decision: allow, require approval, deny.
    pub decisions: [u32; 3],
    /// Changes that could not be scored.
    pub unscored: u32,
    /// Rows by mark, in the order of [`Mark::ALL`].
    pub marks: [u32; Mark::ALL.len()],
    /// Rejects at the end of the block that follow each other without a good child between.
    pub reject_run: u32,
    /// Whether `reject_run` spans the whole block.
    pub only_rejects: bool,
}

/// What of a block came from one topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicStats {
    /// Records read.
    pub records: u32,
    /// Bytes of their values.
    pub bytes: u64,
    /// Records whose rows existed.
    pub known: u32,
    /// Copies of events that stand elsewhere.
    pub redeliveries: u32,
    /// Same uid, other content.
    pub conflicts: u32,
    /// Kafka times that were cut.
    pub times_cut: u32,
    /// Rows whose environment no pattern names.
    pub unknown_environments: u32,
    /// Secrets that were replaced.
    pub secrets_masked: u32,
}

impl BlockStats {
    fn topic(&mut self, topic: usize) -> &mut TopicStats {
        if self.topics.len() <= topic {
            self.topics.resize(topic + 1, TopicStats::default());
        }
        &mut self.topics[topic]
    }
}

/// A position holds another record than the ledger says: the topic was deleted and made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherLife {
    /// Which of the worker's partitions.
    pub part: u32,
    /// Where it showed.
    pub offset: i64,
}

/// Turns blocks of records into rows, requests and dead letters.
#[derive(Debug)]
pub struct Judge<N, S, E> {
    /// Topics by index.
    pub topics: Vec<Topic<N>>,
    /// Scores.
    pub scorer: S,
    /// Encodes.
    pub encoder: E,
    /// Settings.
    pub rules: Rules,
    /// Ids of the last events.
    pub recent: Arc<Recent>,
    /// Who asks.
    pub asker: Arc<Mutex<Asker>>,
}

/// What is done with one child.
enum Fate<'a> {
    /// A new row. `slot`: its score; [`NONE`] for a copy, which teaches nothing.
    Row {
        event: &'a ChangeEvent<'a>,
        copy_of: Option<Place>,
        conflict: bool,
        slot: u32,
    },
    /// Its row exists.
    Written,
    /// Its row exists in `rejected`, or it is to be dead-lettered now.
    Reject {
        reject: Reject<'a>,
        stage: Stage,
        exists: bool,
    },
    Skip(SkipReason),
    /// Counts for nothing: its record is complete, or is read only to learn.
    Passed,
}

struct Judged<'a> {
    normalized: NormalizedRecord<'a>,
    mode: Mode,
    first: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Committed before: only learned from.
    Past,
    /// All its rows exist.
    Complete,
    /// Rows are missing.
    Open,
}

impl<N: Normalize, S: Scorer, E: Encoder> Judge<N, S, E> {
    /// Adds a block to the batch.
    ///
    /// # Errors
    /// [`OtherLife`]: the batch is spoilt and must be dropped, and the partition started again.
    pub fn block<'a>(
        &mut self,
        arena: &'a Bump,
        records: &[BlockRecord<'a>],
        context: &BlockContext<'_>,
        parts: &mut [Part],
        batch: &mut Batch,
    ) -> Result<BlockStats, OtherLife> {
        let (replays, now) = (context.replays, context.now);
        let mut stats = BlockStats {
            only_rejects: true,
            ..BlockStats::default()
        };
        let mut judged: Vec<Judged<'a>> = Vec::with_capacity(records.len());
        let mut fates: Vec<Fate<'a>> = Vec::with_capacity(records.len());
        let mut lessons = Lessons::new(records.len());
        for (index, record) in records.iter().enumerate() {
            let part = &parts[record.part as usize];
            let normalized = self.topics[part.topic].normalizer.record(arena, &record.raw);
            let mode = mode(part, record, &normalized)?;
            let first = fates.len();
            let replay = replays.get(&index);
            for (child, what) in normalized.children.iter().enumerate() {
                let fate = self.fate(
                    arena,
                    part,
                    record,
                    replay,
                    context,
                    mode,
                    child as u32,
                    what,
                    &mut lessons,
                    batch,
                );
                fates.push(fate);
            }
            judged.push(Judged {
                normalized,
                mode,
                first,
            });
        }
        let scores = lessons.run(arena, &mut self.scorer);
        let last = fates.len();
        let ends: Vec<usize> = judged
            .iter()
            .skip(1)
            .map(|record| record.first)
            .chain([last])
            .collect();
        for (index, record) in records.iter().enumerate() {
            let fates = &fates[judged[index].first..ends[index]];
            let part = &mut parts[record.part as usize];
            self.settle(
                arena,
                part,
                record,
                &judged[index],
                replays.get(&index),
                fates,
                &scores,
                batch,
                now,
                &mut stats,
            );
        }
        Ok(stats)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one child and all that is known of its place"
    )]
    fn fate<'a>(
        &self,
        arena: &'a Bump,
        part: &Part,
        record: &BlockRecord<'a>,
        replay: Option<&Replay>,
        context: &BlockContext<'_>,
        mode: Mode,
        child: u32,
        what: &'a Child<'a>,
        lessons: &mut Lessons<'a>,
        batch: &mut Batch,
    ) -> Fate<'a> {
        let offset = record.raw.position.offset;
        let time = record.raw.kafka_time;
        let place = PlaceRef {
            topic: part.recent_topic,
            incarnation: part.incarnation,
            partition: part.partition.partition,
            offset,
            child,
        };
        match mode {
            Mode::Past => {
                if let Child::Change(event) = what {
                    if self
                        .recent
                        .see(event.event_uid, event.content_hash, place)
                        .copy_of
                        .is_none()
                    {
                        lessons.learn(event, time);
                    }
                } else if let Child::Learn(event) = what {
                    lessons.learn(event, time);
                }
                return Fate::Passed;
            }
            Mode::Complete | Mode::Open => {}
        }
        let known = part.known.changes(offset).iter().find(|row| row.child == child);
        if let Some(known) = known {
            if let Child::Change(event) | Child::Learn(event) = what {
                if known.redelivery {
                    let seen = self.recent.peek(known.event_uid, known.content_hash, place);
                    if !part.known.is_superseded(offset, child as i32) && seen.copy_of.is_some() {
                        return Fate::Row {
                            event,
                            copy_of: seen.copy_of,
                            conflict: false,
                            slot: KNOWN_COPY,
                        };
                    }
                } else {
                    self.recent.see(known.event_uid, known.content_hash, place);
                    lessons.learn(event, time);
                }
            }
            return Fate::Written;
        }
        let known_reject = part.known.rejects(offset).iter().find(|row| row.child == child);
        if let Some(known) = known_reject {
            let code = known.code.unwrap_or(RejectCode::UnknownEnvelope);
            let reason: &'a str = arena.alloc_str(&known.reason);
            let stage = if code == RejectCode::RowRefused {
                Stage::Write
            } else {
                Stage::Normalize
            };
            return Fate::Reject {
                reject: Reject {
                    code,
                    reason,
                    at_byte: known.at_byte,
                },
                stage,
                exists: true,
            };
        }
        match what {
            Child::Change(_) if mode == Mode::Complete => {
                // The ledger counted it (a skip of an older program, a replay): no row is due.
                Fate::Passed
            }
            Child::Change(event) => {
                if let Some(error) = context.refused.get(&(record.part, offset, child)) {
                    let reject = Reject {
                        code: RejectCode::RowRefused,
                        reason: arena.alloc_str(error),
                        at_byte: 0,
                    };
                    return Fate::Reject {
                        reject,
                        stage: Stage::Write,
                        exists: false,
                    };
                }
                let place = match replay {
                    Some(replay) => {
                        let own = Place {
                            child,
                            ..replay.place.clone()
                        };
                        let due = batch.replayed.contains(&own) || context.under_way.contains(&own);
                        if due || replay.has_change(child) {
                            return Fate::Skip(SkipReason::AlreadyWritten);
                        }
                        let place = PlaceRef {
                            topic: self.recent.topic(&own.topic),
                            incarnation: own.incarnation,
                            partition: own.partition,
                            offset: own.offset,
                            child,
                        };
                        batch.replayed.push(own);
                        place
                    }
                    None => place,
                };
                let seen = self.recent.see_fresh(
                    event.event_uid,
                    event.content_hash,
                    place,
                    month_of(time),
                    context.fresh_under_way,
                    &mut batch.fresh,
                );
                let slot = if seen.copy_of.is_some() {
                    NONE
                } else {
                    lessons.score(event, time)
                };
                Fate::Row {
                    event,
                    copy_of: seen.copy_of,
                    conflict: seen.conflict,
                    slot,
                }
            }
            Child::Learn(event) => {
                lessons.learn(event, time);
                Fate::Skip(SkipReason::LearnedOnly)
            }
            Child::Skip(reason) => Fate::Skip(*reason),
            Child::Reject(_) if mode == Mode::Complete => Fate::Passed,
            Child::Reject(reject) => Fate::Reject {
                reject: *reject,
                stage: Stage::Normalize,
                exists: false,
            },
        }
    }

    /// Writes down what came of one record.
    #[allow(
        clippy::too_many_arguments,
        reason = "one record and all that was found of it"
    )]
    fn settle<'a>(
        &mut self,
        arena: &'a Bump,
        part: &mut Part,
        record: &BlockRecord<'a>,
        judged: &Judged<'a>,
        replay: Option<&Replay>,
        fates: &[Fate<'a>],
        scores: &[Option<Score<'a>>],
        batch: &mut Batch,
        now: Now,
        stats: &mut BlockStats,
    ) {
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
        batch.cover(record.part, offset);
        batch.oldest = Some(
            batch
                .oldest
                .map_or(raw.kafka_time, |oldest| oldest.min(raw.kafka_time)),
        );
        for row in part.known.take_requests(offset) {
            batch.asked.push(Asked {
                change_uid: row.change_uid,
                part: record.part,
                offset,
                child: row.child,
                message: batch.outgoing.len() as u32,
            });
            batch.outgoing.extend(self.request(&row, raw));
        }
        for row in replay.into_iter().flat_map(|replay| &replay.requests) {
            batch.outgoing.extend(self.request(row, raw));
        }
        let headers = self.topics[part.topic].normalizer.headers(arena, raw);
        let normalized = &judged.normalized;
        of_topic.secrets_masked += normalized.secrets_masked;
        let dead_letters = fates.iter().enumerate().filter_map(|(child, fate)| match fate {
            Fate::Reject { reject, stage, .. } => {
                let bytes = normalized.stored;
                Some(dead_letter(
                    raw,
                    headers,
                    child as u32,
                    reject,
                    *stage,
                    &normalized.raw_hash,
                    bytes,
                ))
            }
            _ => None,
        });
        batch.outgoing.extend(dead_letters);
        if judged.mode == Mode::Complete {
            of_topic.known += 1;
            return;
        }
        let outcomes = self.rows(
            part, record, judged, replay, headers, fates, scores, batch, now, stats,
        );
        batch.outcomes_mut(part.topic).add(&outcomes);
        stats.outcomes.add(&outcomes);
        if outcomes.all_dead_lettered() == 0 {
            stats.reject_run = 0;
            stats.only_rejects = false;
        } else {
            stats.reject_run += outcomes.all_dead_lettered();
        }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one record and all that was found of it"
    )]
    fn rows<'a>(
        &mut self,
        part: &Part,
        record: &BlockRecord<'a>,
        judged: &Judged<'a>,
        replay: Option<&Replay>,
        headers: &[(&str, &[u8])],
        fates: &[Fate<'a>],
        scores: &[Option<Score<'a>>],
        batch: &mut Batch,
        now: Now,
        stats: &mut BlockStats,
    ) -> Outcomes {
        let raw = &record.raw;
        let normalized = &judged.normalized;
        let topic = &self.topics[part.topic];
        let stamp = Stamp {
            batch: batch.id,
            attempt: 1,
        };
        let context = RecordContext {
            position: raw.position,
            kafka_time: raw.kafka_time,
            ingest_time: now.wall,
            stamp,
            tenant_uid: &topic.tenant_uid,
            source: &topic.source,
            raw_hash: normalized.raw_hash,
        };
        let portion = batch.portion(month_of(raw.kafka_time));
        let replay_index = replay.map_or(NONE, |replay| {
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
            match fate {
                Fate::Row {
                    event,
                    copy_of,
                    conflict: _,
                    slot: KNOWN_COPY,
                } => {
                    outcomes.write();
                    let known = part
                        .known
                        .changes(raw.position.offset)
                        .iter()
                        .find(|row| row.child == child);
                    if let (Some(of), Some(known)) = (copy_of, known) {
                        let row = superseded(&context, child, known.stamp, of, now);
                        let rows = batch.portions_mut()[portion].rows_mut(Table::Superseded);
                        rows.push(record_index, child as i32, NONE, |out| {
                            self.encoder.superseded(&row, out)
                        });
                    }
                    let _ = event;
                }
                Fate::Row {
                    event,
                    copy_of,
                    conflict,
                    slot,
                } => {
                    outcomes.write();
                    let row = NewRow {
                        raw,
                        event,
                        copy_of: copy_of.as_ref(),
                        conflict: *conflict,
                        score: scores.get(*slot as usize).and_then(Option::as_ref),
                        time_cut: record.time_cut,
                        child,
                        record_index,
                        portion,
                    };
                    self.new_row(
                        &context,
                        part.topic,
                        replay,
                        normalized.stored,
                        &row,
                        batch,
                        now,
                        stats,
                    );
                }
                Fate::Written => outcomes.write(),
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
            key: raw.key,
            headers,
            raw: (!learned_only).then_some(normalized.stored),
        };
        let rows = batch.portions_mut()[portion].rows_mut(Table::RawRecords);
        rows.push(record_index, -1, NONE, |out| self.encoder.record(&row, out));
        outcomes
    }

    #[allow(clippy::too_many_arguments, reason = "one row and its record")]
    fn new_row(
        &self,
        context: &RecordContext<'_>,
        topic: usize,
        replay: Option<&Replay>,
        stored: &[u8],
        row: &NewRow<'_>,
        batch: &mut Batch,
        now: Now,
        stats: &mut BlockStats,
    ) {
        let event = row.event;
        let redelivery = row.copy_of.is_some();
        let mut marks = Marks::default();
        if row.time_cut {
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
        let ask = self.ask(context, &decided, redelivery, &mut marks, batch, now);
        let mut own = *context;
        let mut child_bytes: &[u8] = &[];
        if let Some(replay) = replay {
            own.position = Position {
                topic: &replay.place.topic,
                incarnation: replay.place.incarnation,
                partition: replay.place.partition,
                offset: replay.place.offset,
            };
            // The original position keeps other bytes: the row carries its own.
            let start = event.raw_start as usize;
            let slice = stored
                .get(start..start.saturating_add(event.raw_len as usize))
                .unwrap_or(stored);
            child_bytes = if event.child_bytes.is_empty() {
                slice
            } else {
                event.child_bytes
            };
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
        };
        let portion = &mut batch.portions_mut()[row.portion];
        let rows = portion.rows_mut(Table::Changes);
        rows.push(row.record_index, row.child as i32, NONE, |out| {
            self.encoder.change(&change, out)
        });
        let copy = rows.marks.len() as u32 - 1;
        if let Some(of) = row.copy_of {
            let superseded = superseded(&own, row.child, own.stamp, of, now);
            let rows = portion.rows_mut(Table::Superseded);
            rows.push(row.record_index, row.child as i32, copy, |out| {
                self.encoder.superseded(&superseded, out)
            });
        }
        if ask.sends() {
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
            batch.asked.push(Asked {
                change_uid: event.change_uid,
                part: record.part,
                offset: record.offset,
                child: row.child,
                message: batch.outgoing.len() as u32,
            });
            batch.outgoing.extend(self.request(&stored, row.raw));
        }
        let of_topic = stats.topic(topic);
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
        &self,
        context: &RecordContext<'_>,
        decided: &DecidedChange<'_>,
        redelivery: bool,
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
            redelivery,
            learning: decided.score.as_ref().is_some_and(|score| score.learning),
            event_time: event.event_time,
            ingest_time: context.ingest_time,
            decision_time: decided.decision_time,
        };
        let mut asker = self.asker.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// The request of a row. The trace of the record goes on in it: of the record and not of this run, so that a
    /// repeat has the same header.
    fn request(&self, row: &StoredChange, record: &RawRecord<'_>) -> Option<Outgoing> {
        let request = row.request()?;
        let own = request.headers.into_iter();
        let trace = record
            .header(header::TRACEPARENT)
            .filter(|text| is_traceparent(text));
        let trace = trace.map(|text| (header::TRACEPARENT.to_owned(), text.as_bytes().to_vec()));
        Some(Outgoing {
            kind: Kind::Request,
            topic: self.rules.approval_topic.clone(),
            key: Some(request.request_id.to_string().into_bytes()),
            headers: own
                .map(|(name, value)| (name, value.into_bytes()))
                .chain(trace)
                .collect(),
            value: Some(request.body),
        })
    }
}

/// The header is foreign text: only what has the shape of a trace context is passed on.
fn is_traceparent(text: &str) -> bool {
    text.len() == 55
        && text.bytes().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Marks a [`Fate::Row`] whose row exists and only its `superseded` row is missing.
const KNOWN_COPY: u32 = NONE - 1;

struct NewRow<'r> {
    raw: &'r RawRecord<'r>,
    event: &'r ChangeEvent<'r>,
    copy_of: Option<&'r Place>,
    conflict: bool,
    score: Option<&'r Score<'r>>,
    time_cut: bool,
    child: u32,
    record_index: u32,
    portion: usize,
}

fn mode(part: &Part, record: &BlockRecord<'_>, normalized: &NormalizedRecord<'_>) -> Result<Mode, OtherLife> {
    let offset = record.raw.position.offset;
    if offset < part.learn_below {
        return Ok(Mode::Past);
    }
    if !part.known.reaches(offset) {
        return Ok(Mode::Open);
    }
    let other_life = OtherLife {
        part: record.part,
        offset,
    };
    let Some(known) = part.known.record(offset) else {
        // Without a completion row there is no raw hash: what a child says must agree.
        let differs =
            part.known
                .changes(offset)
                .iter()
                .any(|row| match normalized.children.get(row.child as usize) {
                    Some(Child::Change(event)) => {
                        event.event_uid != row.event_uid && event.content_hash != row.content_hash
                    }
                    _ => false,
                });
        return if differs { Err(other_life) } else { Ok(Mode::Open) };
    };
    if known.raw_hash == normalized.raw_hash {
        Ok(Mode::Complete)
    } else {
        Err(other_life)
    }
}

fn superseded<'r>(
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
pub fn hole(part: &Part, from: i64, to: i64, now: Now) -> Operation {
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

/// Events in their order, some to be scored, some only to be learned from.
struct Lessons<'a> {
    events: Vec<(&'a ChangeEvent<'a>, TimeMicros)>,
    /// Where the kind changes: `(index of the first, scored?)`.
    runs: Vec<(usize, bool)>,
    scored: u32,
}

impl<'a> Lessons<'a> {
    fn new(capacity: usize) -> Self {
        Self {
            events: Vec::with_capacity(capacity),
            runs: Vec::new(),
            scored: 0,
        }
    }

    fn push(&mut self, event: &'a ChangeEvent<'a>, time: TimeMicros, scored: bool) {
        if self.runs.last().is_none_or(|(_, last)| *last != scored) {
            self.runs.push((self.events.len(), scored));
        }
        self.events.push((event, time));
    }

    fn learn(&mut self, event: &'a ChangeEvent<'a>, time: TimeMicros) {
        self.push(event, time, false);
    }

    fn score(&mut self, event: &'a ChangeEvent<'a>, time: TimeMicros) -> u32 {
        self.push(event, time, true);
        self.scored += 1;
        self.scored - 1
    }

    fn run(&self, arena: &'a Bump, scorer: &mut impl Scorer) -> Vec<Option<Score<'a>>> {
        let mut scores = Vec::with_capacity(self.scored as usize);
        for (index, (start, scored)) in self.runs.iter().enumerate() {
            let end = self
                .runs
                .get(index + 1)
                .map_or(self.events.len(), |(next, _)| *next);
            let events = &self.events[*start..end];
            if *scored {
                scorer.score(arena, events, &mut scores);
                assert_eq!(
                    scores.len() - self.scored_before(index),
                    events.len(),
                    "one answer per event"
                );
            } else {
                scorer.learn(arena, events);
            }
        }
        scores
    }

    fn scored_before(&self, run: usize) -> usize {
        (0..run)
            .filter(|index| self.runs[*index].1)
            .map(|index| {
                self.runs
                    .get(index + 1)
                    .map_or(self.events.len(), |(next, _)| *next)
                    - self.runs[index].0
            })
            .sum()
    }
}

/// A digest of nothing, for tests and tombstones.
pub const NO_DIGEST: Digest = Digest([0; 32]);
