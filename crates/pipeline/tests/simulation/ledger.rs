//! A ledger in memory that answers badly: refusals, lost answers, inserts that land late.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};

use changegate_approval::{Ask, StoredChange};
use changegate_pipeline::desk::InsertAsk;
use changegate_pipeline::ledger::{
    BatchId, Class, Copies, Error, Furthest, Insert, Killed, KnownChange, KnownRecord, KnownReject, Ledger,
    Operation, Range, Span, Table, Tail,
};
use changegate_pipeline::rows::{ChangeRow, RawRow, RecordContext, RejectedRow, SupersededRow, Why};
use changegate_pipeline::{Encoder, copies};
use changegate_types::{Digest, Keyed128, Position, RejectCode};

use crate::random::Random;
use crate::rows::{Place, Row, read_all};

/// The place of which this one is a redelivery. Of two that say so of each other, the larger batch is right.
fn original(notes: &[Row], place: Place) -> Option<Place> {
    let said = |of: Place, by: Place| {
        let redeliveries = notes.iter().filter(|note| note.why() == Why::Redelivery);
        let ours = redeliveries.filter(move |note| (note.place(), note.of()) == (by, of));
        ours.map(|note| note.stamp).max()
    };
    let mut originals: Vec<Place> = notes
        .iter()
        .filter(|note| note.place() == place)
        .map(Row::of)
        .collect();
    originals.retain(|of| said(*of, place) > said(place, *of));
    originals.into_iter().min()
}

#[derive(Debug)]
struct Late {
    /// The server has begun with it, so that a kill finds it; else it is still on its way.
    begun: bool,
    batch: BatchId,
    table: Table,
    token: Digest,
    rows: Vec<Row>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) tables: [Vec<Row>; 4],
    pub(crate) operations: Vec<Operation>,
    /// What each row of `changes` would be read back as.
    pub(crate) stored: BTreeMap<(u32, i32, i64, u32, u64), StoredChange>,
    tokens: HashSet<(Table, Digest)>,
    query_ids: HashSet<String>,
    late: Vec<Late>,
    /// Rows that were on their way when the group was wiped: no fence names their batch any more.
    pub(crate) unnamed: HashSet<Place>,
    pub(crate) faults: bool,
    pub(crate) late_landed: u32,
    pub(crate) lost_answers: u32,
    pub(crate) refusals: u32,
    pub(crate) copies: Copies,
}

impl State {
    /// Whole or, where the token was seen, not at all.
    fn take(&mut self, table: Table, token: Digest, rows: Vec<Row>) -> bool {
        let is_new = self.tokens.insert((table, token));
        if is_new {
            self.tables[table as usize].extend(rows);
        }
        is_new
    }

    fn land(&mut self, late: Late) {
        let landed = self.take(late.table, late.token, late.rows);
        self.late_landed += u32::from(landed);
    }
}

/// Shared by all workers of a run.
#[derive(Clone, Debug)]
pub(crate) struct FakeLedger {
    pub(crate) state: Arc<Mutex<State>>,
    random: Arc<Mutex<Random>>,
}

fn error(class: Class) -> Error {
    Error {
        class,
        message: format!("{class:?}"),
        trouble: "no_answer",
    }
}

impl FakeLedger {
    pub(crate) fn new(random: Random) -> Self {
        let state = State {
            faults: true,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            random: Arc::new(Mutex::new(random)),
        }
    }

    fn chance(&self, percent: u64) -> bool {
        self.random.lock().unwrap().chance(percent)
    }

    /// An insert that its dead sender left running: it lands some time, or is killed.
    pub(crate) fn leave_running(&self, insert: &InsertAsk, begun: bool) {
        let rows = read_all(&insert.bytes[insert.range.clone()]);
        // A bad row is refused late as well.
        if rows.iter().any(|row| row.bad) {
            return;
        }
        self.state.lock().unwrap().late.push(Late {
            begun,
            batch: insert.query_id.batch,
            table: insert.table,
            token: insert.token,
            rows,
        });
    }

    /// With some luck an insert that runs late lands now.
    fn weather(&self) -> Result<(), Error> {
        let land = self.chance(2);
        let fail = self.chance(4);
        let mut state = self.state.lock().unwrap();
        if land && !state.late.is_empty() {
            let late = state.late.remove(0);
            state.land(late);
        }
        if fail && state.faults {
            Err(error(Class::Unavailable))
        } else {
            Ok(())
        }
    }

    pub(crate) fn wiped(&self) {
        let mut state = self.state.lock().unwrap();
        let changes = state.late.iter().filter(|late| late.table == Table::Changes);
        let places: Vec<Place> = changes
            .flat_map(|late| late.rows.iter().map(Row::place))
            .collect();
        state.unnamed.extend(places);
    }

    pub(crate) fn land_all(&self) {
        let mut state = self.state.lock().unwrap();
        for late in std::mem::take(&mut state.late) {
            state.land(late);
        }
    }

    fn select<T>(&self, table: Table, span: &Span<'_>, make: impl Fn(&Row) -> T) -> Result<Vec<T>, Error> {
        self.weather()?;
        let state = self.state.lock().unwrap();
        let mut best: BTreeMap<(i64, i32), &Row> = BTreeMap::new();
        for row in &state.tables[table as usize] {
            let inside = row.incarnation == span.incarnation
                && row.partition == span.partition
                && (span.from..span.to).contains(&row.offset);
            if inside {
                let kept = best.entry((row.offset, row.child)).or_insert(row);
                if row.stamp > kept.stamp {
                    *kept = row;
                }
            }
        }
        Ok(best.values().map(|row| make(row)).collect())
    }
}

impl Ledger for FakeLedger {
    fn insert(&self, insert: &Insert<'_>) -> Result<(), Error> {
        self.weather()?;
        let rows = read_all(insert.rows);
        assert_eq!(rows.len(), insert.count as usize, "the count is that of the rows");
        let faults = self.state.lock().unwrap().faults;
        let dice = self.random.lock().unwrap().below(100);
        let begun = self.chance(50);
        let mut state = self.state.lock().unwrap();
        assert!(
            state.query_ids.insert(insert.query_id.to_string()),
            "{} was used before",
            insert.query_id
        );
        if rows.iter().any(|row| row.bad) {
            state.refusals += 1;
            return Err(error(Class::Refused));
        }
        if faults && dice < 6 {
            state.lost_answers += 1;
            return Err(error(Class::Unknown));
        }
        if faults && (6..9).contains(&dice) {
            let late = Late {
                begun,
                batch: insert.query_id.batch,
                table: insert.table,
                token: insert.token,
                rows,
            };
            state.late.push(late);
            return Err(error(Class::Unknown));
        }
        state.take(insert.table, insert.token, rows);
        if faults && (9..15).contains(&dice) {
            state.lost_answers += 1;
            return Err(error(Class::Unknown));
        }
        Ok(())
    }

    fn kill(&self, batch: BatchId) -> Result<Killed, Error> {
        self.weather()?;
        let mut state = self.state.lock().unwrap();
        let before = state.late.len();
        state.late.retain(|late| late.batch != batch || !late.begun);
        Ok(Killed {
            queries: (before - state.late.len()) as u32,
        })
    }

    fn running(&self) -> Result<Vec<BatchId>, Error> {
        self.weather()?;
        Ok(self
            .state
            .lock()
            .unwrap()
            .late
            .iter()
            .filter(|late| late.begun)
            .map(|late| late.batch)
            .collect())
    }

    fn tail(&self, _: &str, partition: i32) -> Result<Option<Tail>, Error> {
        self.weather()?;
        let state = self.state.lock().unwrap();
        let tables = [Table::Changes, Table::Rejected, Table::RawRecords];
        let rows = || {
            let all = tables.iter().flat_map(|table| &state.tables[*table as usize]);
            all.filter(|row| row.partition == partition)
        };
        let Some(incarnation) = rows().map(|row| row.incarnation).max() else {
            return Ok(None);
        };
        let of_life = || rows().filter(|row| row.incarnation == incarnation);
        let records = state.tables[Table::RawRecords as usize].iter();
        let records = records.filter(|row| row.partition == partition && row.incarnation == incarnation);
        Ok(Some(Tail {
            incarnation,
            max_offset: of_life().map(|row| row.offset).max().unwrap(),
            max_record: records.map(|row| row.offset).max(),
            batch: rows().map(|row| row.stamp.batch).max().unwrap(),
        }))
    }

    fn newest_records(&self, span: &Span<'_>, limit: usize) -> Result<Vec<KnownRecord>, Error> {
        let mut records = self.known_records(span)?;
        records.reverse();
        records.truncate(limit);
        Ok(records)
    }

    fn known_records(&self, span: &Span<'_>) -> Result<Vec<KnownRecord>, Error> {
        self.select(Table::RawRecords, span, |row| KnownRecord {
            offset: row.offset,
            raw_hash: Digest(row.raw_hash),
            stored_hash: Digest(row.raw_hash),
            stamp: row.stamp,
        })
    }

    fn known_changes(&self, span: &Span<'_>) -> Result<Vec<KnownChange>, Error> {
        self.select(Table::Changes, span, |row| KnownChange {
            offset: row.offset,
            child: row.child as u32,
            event_uid: Keyed128(row.uid),
            content_hash: Keyed128(row.content),
            change_uid: Keyed128(row.change),
            stamp: row.stamp,
            redelivery: row.redelivery,
            ask: Ask::ALL[usize::from(row.ask)],
        })
    }

    fn known_rejects(&self, span: &Span<'_>) -> Result<Vec<KnownReject>, Error> {
        self.select(Table::Rejected, span, |row| KnownReject {
            offset: row.offset,
            child: row.child as u32,
            code: Some(if row.content == 1 {
                RejectCode::RowRefused
            } else {
                RejectCode::NotJson
            }),
            reason: "bad".into(),
            at_byte: 0,
            stamp: row.stamp,
        })
    }

    fn known_superseded(&self, span: &Span<'_>) -> Result<Vec<(i64, i32)>, Error> {
        self.weather()?;
        let state = self.state.lock().unwrap();
        let notes = state.tables[Table::Superseded as usize].iter();
        let inside = notes.filter(|row| {
            row.why() == Why::Redelivery
                && row.incarnation == span.incarnation
                && row.partition == span.partition
                && (span.from..span.to).contains(&row.offset)
        });
        let places: BTreeSet<(i64, i32)> = inside.map(|row| (row.offset, row.child)).collect();
        Ok(places.into_iter().collect())
    }

    fn furthest(&self, _: &Span<'_>) -> Result<Vec<Furthest>, Error> {
        unreachable!("nothing comes over the hop")
    }

    fn requests(&self, span: &Span<'_>, decisions: bool) -> Result<Vec<(i64, StoredChange)>, Error> {
        let places = self.select(Table::Changes, span, Row::clone)?;
        let state = self.state.lock().unwrap();
        let asks = |row: &&Row| Ask::ALL[usize::from(row.ask)].sends();
        let due = places.iter().filter(|row| decisions || asks(row));
        Ok(due
            .map(|row| {
                let key = (
                    row.incarnation,
                    row.partition,
                    row.offset,
                    row.child as u32,
                    row.stamp.batch.0,
                );
                (row.offset, state.stored[&key].clone())
            })
            .collect())
    }

    fn gaps(&self, span: &Span<'_>, limit: usize) -> Result<Vec<Range>, Error> {
        let mut gaps = Vec::new();
        let mut at = span.from;
        for record in self.known_records(span)? {
            if record.offset > at {
                gaps.push(Range {
                    from: at,
                    to: record.offset,
                });
            }
            at = record.offset + 1;
        }
        gaps.truncate(limit);
        Ok(gaps)
    }

    fn holes(&self, span: &Span<'_>) -> Result<Vec<Range>, Error> {
        self.weather()?;
        let state = self.state.lock().unwrap();
        let of_part = |operation: &&Operation| {
            operation.kind == "hole"
                && operation.partition == span.partition
                && operation.incarnation == span.incarnation
        };
        let holes = state.operations.iter().filter(of_part);
        Ok(holes
            .map(|hole| Range {
                from: hole.offset_from,
                to: hole.offset_to,
            })
            .collect())
    }

    fn settle_copies(&self, span: Option<&Span<'_>>) -> Result<Copies, Error> {
        self.weather()?;
        let mut state = self.state.lock().unwrap();
        let mut found = Copies::default();
        for table in [Table::Changes, Table::Rejected, Table::RawRecords] {
            let mut standing: BTreeMap<Place, Vec<Row>> = BTreeMap::new();
            for row in &state.tables[table as usize] {
                let inside = span.is_none_or(|span| {
                    row.incarnation == span.incarnation
                        && row.partition == span.partition
                        && (span.from..span.to).contains(&row.offset)
                });
                if inside {
                    standing.entry(row.place()).or_default().push(row.clone());
                }
            }
            let notes = &state.tables[Table::Superseded as usize];
            let mut new = Vec::new();
            for (place, rows) in standing {
                let original = original(notes, place).filter(|_| table == Table::Changes);
                let says = |row: &Row, is: fn(Why) -> bool| {
                    let of_row = |note: &&Row| note.place() == place && note.stamp == row.stamp;
                    notes.iter().filter(of_row).any(|note| is(note.why()))
                };
                let standing: Vec<copies::Row> = rows
                    .iter()
                    .map(|row| copies::Row {
                        stamp: row.stamp,
                        hidden: says(row, |why| why != Why::Identical),
                        shown_once: says(row, |why| why == Why::Identical),
                    })
                    .collect();
                for verdict in copies::settle(&standing, original.is_some()) {
                    match verdict.why {
                        Why::Identical => found.identical += 1,
                        Why::LateInsert | Why::Redelivery => found.late_inserts += 1,
                    }
                    let of = original.unwrap_or(place);
                    new.push(Row::superseded(place, verdict.stamp, verdict.why, of));
                }
            }
            state.tables[Table::Superseded as usize].extend(new);
        }
        state.copies.late_inserts += found.late_inserts;
        state.copies.identical += found.identical;
        Ok(found)
    }

    fn operations(&self, operations: &[Operation]) -> Result<(), Error> {
        self.weather()?;
        self.state
            .lock()
            .unwrap()
            .operations
            .extend_from_slice(operations);
        Ok(())
    }
}

/// Writes rows of the fake, and keeps aside what a read-back of `changes` would give.
#[derive(Clone, Debug)]
pub(crate) struct FakeEncoder {
    pub(crate) state: Arc<Mutex<State>>,
}

fn row(record: &RecordContext<'_>, child: i32) -> Row {
    Row {
        incarnation: record.position.incarnation,
        partition: record.position.partition,
        offset: record.position.offset,
        child,
        stamp: record.stamp,
        uid: 0,
        content: 0,
        change: 0,
        ask: 0,
        redelivery: false,
        bad: false,
        learned: 0,
        raw_hash: record.raw_hash.0,
        counts: [0; 3],
    }
}

impl Encoder for FakeEncoder {
    fn change(&self, change: &ChangeRow<'_>, out: &mut Vec<u8>) -> usize {
        let event = change.decided.event;
        let position = change.record.position;
        let stored = StoredChange::new(
            position,
            change.child,
            change.record.kafka_time,
            change.record.ingest_time,
            change.decided,
            change.marks,
            change.uid_conflict,
            change.ask,
            change.versions,
        );
        let batch = change.record.stamp.batch.0;
        let key = (
            position.incarnation,
            position.partition,
            position.offset,
            change.child,
            batch,
        );
        self.state.lock().unwrap().stored.insert(key, stored);
        let row = Row {
            uid: event.event_uid.0,
            content: event.content_hash.0,
            change: event.change_uid.0,
            ask: Ask::ALL.iter().position(|ask| *ask == change.ask).unwrap() as u8,
            redelivery: change.marks.has(changegate_types::Mark::Redelivery),
            bad: event.native_uid == "bad",
            learned: change.decided.score.map_or(0, |score| score.raw as u32),
            ..row(change.record, change.child as i32)
        };
        row.write(out)
    }

    fn rejected(&self, reject: &RejectedRow<'_>, out: &mut Vec<u8>) -> usize {
        let row = Row {
            content: u128::from(reject.reject.code == RejectCode::RowRefused),
            ..row(reject.record, reject.child as i32)
        };
        row.write(out)
    }

    fn superseded(&self, copy: &SupersededRow<'_>, out: &mut Vec<u8>) -> usize {
        let place = |position: &Position<'_>, child| {
            (position.incarnation, position.partition, position.offset, child)
        };
        let (own, of) = (place(&copy.position, copy.child), place(&copy.of, copy.of_child));
        Row::superseded(own, copy.stamp, copy.why, of).write(out)
    }

    fn record(&self, record: &RawRow<'_>, out: &mut Vec<u8>) -> usize {
        let outcomes = record.outcomes;
        let counts = [
            outcomes.written,
            outcomes.all_skipped(),
            outcomes.all_dead_lettered(),
        ];
        Row {
            counts,
            ..row(record.record, -1)
        }
        .write(out)
    }
}
