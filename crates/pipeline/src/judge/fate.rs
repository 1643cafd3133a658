//! What becomes of one child: a new row, a row that exists, a dead letter, a skip, or nothing.

use bumpalo::Bump;
use changegate_normalize::{Child, NormalizedRecord, Origin};
use changegate_types::{ChangeEvent, Reject, RejectCode, SkipReason};

use super::lessons::Lessons;
use super::{BlockContext, BlockRecord, Judge, Normalize, OtherLife, Scorer, Work};
use crate::batch::{Batch, NONE, month_of};
use crate::hop::{self, Sent};
use crate::ledger::KnownChange;
use crate::outgoing::Stage;
use crate::part::Part;
use crate::recent::{Place, PlaceRef};
use crate::replay::Replay;
use crate::rows::Encoder;

/// What is done with one child.
pub(super) enum Fate<'a> {
    /// A new row. `slot`: its score; [`NONE`] for a copy, which teaches nothing.
    Row {
        event: &'a ChangeEvent<'a>,
        copy_of: Option<Place>,
        conflict: bool,
        slot: u32,
    },
    /// Its row exists.
    Written,
    /// Its row exists and is a copy, of which no row of `superseded` tells yet.
    WrittenCopy {
        of: Place,
    },
    /// Its row exists in `rejected`, or it is to be dead-lettered now.
    Reject {
        reject: Reject<'a>,
        stage: Stage,
        exists: bool,
    },
    Skip(SkipReason),
    /// It goes to the hop, again maybe.
    Send(Sent<'a>),
    /// Counts for nothing: its record is complete, or is read only to learn.
    Passed,
}

/// What is owed of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Committed before: only learned from.
    Past,
    /// All its rows exist, and stay.
    Complete,
    /// Rows are missing.
    Open,
}

/// Where a child stands, and what is known of its record.
pub(super) struct At<'c, 'a> {
    pub(super) part: &'c Part,
    pub(super) record: &'c BlockRecord<'a>,
    pub(super) normalized: &'c NormalizedRecord<'a>,
    pub(super) replay: Option<&'c Replay>,
    pub(super) mode: Mode,
    /// No repeat of what came over the hop before.
    pub(super) passes: bool,
    pub(super) child: u32,
}

impl<N: Normalize, S: Scorer, E: Encoder> Judge<N, S, E> {
    /// Tells the scorer and the ids of the last events of it, in the order of the log.
    pub(super) fn fate<'a>(
        &self,
        arena: &'a Bump,
        at: &At<'_, 'a>,
        what: &'a Child<'a>,
        context: &BlockContext<'_>,
        lessons: &mut Lessons<'a>,
        batch: &mut Batch,
    ) -> Fate<'a> {
        let At {
            part,
            record,
            normalized,
            replay,
            mode,
            passes,
            child,
        } = *at;
        let offset = record.raw.position.offset;
        let time = record.raw.kafka_time;
        let shard = part.shard.number;
        let recent = &part.shard.recent;
        let place = match &normalized.origin {
            None => PlaceRef {
                topic: part.recent_topic,
                incarnation: part.incarnation,
                partition: part.partition.partition,
                offset,
                child,
            },
            Some(origin) => PlaceRef {
                topic: recent.topic(origin.position.topic),
                incarnation: origin.position.incarnation,
                partition: origin.position.partition,
                offset: origin.position.offset,
                child: origin.child,
            },
        };
        match mode {
            Mode::Past => {
                match what {
                    _ if !passes => {}
                    Child::Change(event) => {
                        let seen = recent.see(event.event_uid, event.content_hash, place);
                        if seen.copy_of.is_none() {
                            lessons.learn(shard, event, time);
                        }
                    }
                    Child::Learn(event) => lessons.learn(shard, event, time),
                    Child::Skip(_) | Child::Reject(_) => {}
                }
                return Fate::Passed;
            }
            Mode::Complete | Mode::Open => {}
        }
        let teaches = offset >= part.learned;
        let hop = match &self.rules.work {
            Work::Normalize(hop) => Some(hop),
            Work::Whole | Work::Score => None,
        };
        // Whoever only normalizes leaves rows of `changes` to those who write them.
        let known = part.known.changes(offset).iter().find(|row| row.child == child);
        let stays = |known: &&KnownChange| {
            // What this version makes no row of cannot be written again.
            hop.is_none() && (part.known.takes_over(known) || !matches!(what, Child::Change(_)))
        };
        if let Some(known) = known.filter(stays) {
            if let Child::Change(event) | Child::Learn(event) = what {
                if known.redelivery {
                    let batches = [context.fresh_under_way.get(shard), batch.fresh.get(shard)];
                    let seen = recent.peek(known.event_uid, known.content_hash, place, batches);
                    if let Some(of) = seen.copy_of
                        && !part.known.is_superseded(offset, child as i32)
                    {
                        return Fate::WrittenCopy { of };
                    }
                } else {
                    recent.see(known.event_uid, known.content_hash, place);
                    if teaches {
                        lessons.learn(shard, event, time);
                    }
                }
            }
            return Fate::Written;
        }
        let known_reject = part.known.rejects(offset).iter().find(|row| row.child == child);
        if let Some(known) = known_reject {
            let code = known.code.unwrap_or(RejectCode::UnknownEnvelope);
            let reason: &'a str = arena.alloc_str(&known.reason);
            let stage = if code == RejectCode::RowRefused {
                // It was scored before it was refused.
                if let Child::Change(event) = what
                    && teaches
                {
                    lessons.learn(shard, event, time);
                }
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
        if !passes {
            return match mode {
                Mode::Open => Fate::Skip(SkipReason::Repeat),
                Mode::Complete | Mode::Past => Fate::Passed,
            };
        }
        if let (Some(hop), Child::Change(event) | Child::Learn(event)) = (hop, what) {
            let learn_only = matches!(what, Child::Learn(_));
            if !learn_only && replay.is_some_and(|replay| replay.has_change(child)) {
                return Fate::Skip(SkipReason::AlreadyWritten);
            }
            let origin = Origin {
                position: record.raw.position,
                child,
                raw_hash: normalized.raw_hash,
                ingest_time: context.now.wall,
            };
            let event = hop::as_sent(event, record, replay, normalized.stored);
            return match hop.encode(arena, &event, &origin, learn_only) {
                Ok(sent) => Fate::Send(sent),
                Err(reject) => Fate::Reject {
                    reject,
                    stage: Stage::Normalize,
                    exists: false,
                },
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
                            child: replay.child(&record.raw, &normalized.origin, child),
                            ..replay.place.clone()
                        };
                        let due = batch.replayed.contains(&own) || context.under_way.contains(&own);
                        if due || replay.has_change(own.child) {
                            return Fate::Skip(SkipReason::AlreadyWritten);
                        }
                        let place = if replay.is_of(&record.raw, &normalized.origin) {
                            place
                        } else {
                            PlaceRef {
                                topic: recent.topic(&own.topic),
                                incarnation: own.incarnation,
                                partition: own.partition,
                                offset: own.offset,
                                child: own.child,
                            }
                        };
                        batch.replayed.push(own);
                        place
                    }
                    None => place,
                };
                let mut seen = recent.see_fresh(
                    event.event_uid,
                    event.content_hash,
                    place,
                    month_of(time),
                    context.fresh_under_way.get(shard),
                    batch.fresh_mut(shard),
                );
                if known.is_some_and(|known| !known.redelivery) {
                    // It is written again: what was written after it may be called a copy of it.
                    seen.copy_of = None;
                }
                let slot = if seen.copy_of.is_some() {
                    NONE
                } else {
                    lessons.score(shard, event, time)
                };
                Fate::Row {
                    event,
                    copy_of: seen.copy_of,
                    conflict: seen.conflict,
                    slot,
                }
            }
            Child::Learn(event) => {
                if teaches {
                    lessons.learn(shard, event, time);
                }
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
}

/// What is owed of a record, by what the ledger holds of its position.
pub(super) fn mode(
    part: &Part,
    record: &BlockRecord<'_>,
    normalized: &NormalizedRecord<'_>,
) -> Result<Mode, OtherLife> {
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
    if known.raw_hash != normalized.raw_hash {
        Err(other_life)
    } else if part.known.is_complete(known) {
        Ok(Mode::Complete)
    } else {
        Ok(Mode::Open)
    }
}
