mod piece;
mod places;

use std::collections::HashSet;
use std::time::Duration;

use self::piece::{Piece, RowSet, exclude, insert};
use self::places::{Key, places, stands_elsewhere};
use crate::batch::Batch;
use crate::desk::{Answer, Ask};
use crate::ledger::{BatchId, Class, Error, Table};
use crate::part::Part;

/// How a batch is written.
#[derive(Clone, Copy, Debug)]
pub struct WriteLimits {
    /// How long one insert may take.
    pub insert_deadline: Duration,
    /// The same bytes are sent this often before the queries are killed and the ledger is read back.
    pub sends_max: u32,
    /// First wait after the ledger could not take rows; doubles.
    pub backoff_min: Duration,
    /// Longest such wait.
    pub backoff_max: Duration,
    /// More refused rows than this in one batch are no bad rows but a bad table or a bad program: halt.
    pub refused_max: usize,
}

impl Default for WriteLimits {
    fn default() -> Self {
        Self {
            insert_deadline: Duration::from_secs(30),
            sends_max: 2,
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            refused_max: 100,
        }
    }
}

/// A child that the ledger refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which of the worker's partitions.
    pub part: u32,
    /// Offset of its record.
    pub offset: i64,
    /// Child.
    pub child: u32,
    /// What the ledger said.
    pub error: String,
}

/// What the job wants next.
#[derive(Debug)]
pub enum Next {
    /// Ask this, and give back the answer by [`WriteJob::answer`].
    Ask(Ask),
    /// Nothing before this moment of the clock that counts suspension.
    Wait(Duration),
    /// All rows are in, those in [`WriteJob::refused`] excepted.
    Done,
    /// Only a person can help.
    Halt(String),
}

/// What happened, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteStats {
    /// Inserts sent.
    pub inserts: u32,
    /// Of them, sent again.
    pub resends: u32,
    /// Kills.
    pub kills: u32,
    /// Queries that a kill found running.
    pub killed: u32,
    /// Read-backs.
    pub read_backs: u32,
    /// Rows that a read-back missed.
    pub missing: u32,
    /// Inserts that were acknowledged while their rows are not there.
    pub hollow: u32,
}

/// Writes one batch: table after table, month after month, whatever the ledger answers. Pure: it asks and is answered.
#[derive(Debug)]
pub struct WriteJob {
    batch: BatchId,
    limits: WriteLimits,
    /// Last in, first out: the next piece is at the end.
    pieces: Vec<Piece>,
    stage: Stage,
    next_part: u32,
    excluded: HashSet<(usize, u32)>,
    refused: Vec<Refused>,
    note: bool,
    backoff: Duration,
    not_before: Duration,
    trouble: Option<Error>,
    halted: Option<String>,
    /// What happened.
    pub stats: WriteStats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Insert,
    Kill,
    ReadBack,
    Asked,
}

impl WriteJob {
    /// For a batch that is fenced. `first_part` numbers its queries, above those of jobs of the same batch before it.
    pub fn new(batch: &Batch, first_part: u32, limits: WriteLimits) -> Self {
        let mut pieces = Vec::new();
        let mut next_part = first_part;
        for (portion, of_month) in batch.portions().iter().enumerate() {
            for table in Table::ALL {
                let rows = of_month.rows(table).marks.len();
                if rows > 0 {
                    pieces.push(Piece::new(portion, table, RowSet::Range(0, rows), next_part));
                    next_part += 1;
                }
            }
        }
        pieces.reverse();
        Self {
            batch: batch.id,
            limits,
            pieces,
            stage: Stage::Insert,
            next_part,
            excluded: HashSet::new(),
            refused: Vec::new(),
            note: !batch.operations.is_empty(),
            backoff: limits.backoff_min,
            not_before: Duration::ZERO,
            trouble: None,
            halted: None,
            stats: WriteStats::default(),
        }
    }

    /// Children that the ledger refused. Their records have no completion row yet.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// The number after the last query's.
    pub fn next_part(&self) -> u32 {
        self.next_part
    }

    /// What keeps the ledger from taking rows, if anything does.
    pub fn trouble(&self) -> Option<&Error> {
        self.trouble.as_ref()
    }

    /// What to do now.
    ///
    /// # Panics
    /// While a question is under way.
    pub fn next(&mut self, batch: &mut Batch, parts: &[Part], up: Duration) -> Next {
        assert!(self.stage != Stage::Asked, "a question is under way");
        if let Some(reason) = &self.halted {
            return Next::Halt(reason.clone());
        }
        if up < self.not_before {
            return Next::Wait(self.not_before);
        }
        if self.note {
            return Next::Ask(Ask::Note(batch.operations.clone()));
        }
        loop {
            let Some(piece) = self.pieces.last_mut() else {
                return Next::Done;
            };
            exclude(piece, &self.excluded, &batch.portions()[piece.portion]);
            if piece.rows.len() > 0 {
                break;
            }
            self.pieces.pop();
        }
        let piece = self.pieces.last_mut().expect("the loop ends with one");
        let stage = std::mem::replace(&mut self.stage, Stage::Asked);
        match stage {
            Stage::Insert => {
                self.stats.inserts += 1;
                self.stats.resends += u32::from(piece.send > 0);
                piece.send += 1;
                piece.round += 1;
                let portion = &mut batch.portions_mut()[piece.portion];
                Next::Ask(Ask::Insert(insert(
                    self.batch,
                    piece,
                    portion,
                    parts,
                    self.limits.insert_deadline,
                )))
            }
            Stage::Kill => Next::Ask(Ask::Kill(self.batch)),
            Stage::ReadBack => {
                let places = places(piece, batch, parts);
                Next::Ask(Ask::ReadBack {
                    batch: self.batch,
                    table: piece.table,
                    places: places.into_iter().map(|(_, place)| place).collect(),
                })
            }
            Stage::Asked => unreachable!("asserted above"),
        }
    }

    /// Takes the answer to the last question.
    ///
    /// # Panics
    /// On an answer to another kind of question.
    pub fn answer(&mut self, batch: &mut Batch, parts: &[Part], answer: Answer, up: Duration) {
        self.stage = Stage::Insert;
        match answer {
            Answer::Noted(result) => match result {
                Ok(()) => {
                    self.note = false;
                    self.well();
                }
                Err(error) => self.ail(error, up),
            },
            Answer::Inserted { bytes, result } => self.inserted(batch, bytes, result, up),
            Answer::Killed(Ok(killed)) => {
                self.stats.kills += 1;
                self.stats.killed += killed.queries;
                self.stage = Stage::ReadBack;
            }
            Answer::Killed(Err(error)) => {
                self.stage = Stage::Kill;
                self.ail(error, up);
            }
            Answer::Found(Ok(found)) => self.found(batch, parts, &found),
            Answer::Found(Err(error)) => {
                self.stage = Stage::ReadBack;
                self.ail(error, up);
            }
            Answer::Settled(_) => unreachable!("a write job asks for no copies"),
        }
    }

    fn inserted(&mut self, batch: &mut Batch, bytes: Vec<u8>, result: Result<(), Error>, up: Duration) {
        let piece = self.pieces.last_mut().expect("an insert is of a piece");
        if let RowSet::Range(..) = piece.rows {
            batch.portions_mut()[piece.portion].rows_mut(piece.table).bytes = bytes;
        }
        piece.acknowledged = result.is_ok();
        let Err(error) = result else {
            if piece.doubtful {
                // An earlier send may still run: it must not land after the batch is closed.
                self.stage = Stage::Kill;
            } else {
                self.pieces.pop();
            }
            self.well();
            return;
        };
        match error.class {
            Class::Refused => self.halve(batch, error),
            Class::Unknown => {
                piece.doubtful = true;
                if piece.round >= self.limits.sends_max {
                    self.stage = Stage::Kill;
                }
                self.ail(error, up);
            }
            Class::Unavailable | Class::Denied | Class::Schema => self.ail(error, up),
        }
    }

    /// The ledger refused the block because of a row: the halves are sent apart, each with its own token.
    fn halve(&mut self, batch: &Batch, error: Error) {
        let piece = self.pieces.pop().expect("a refusal is of a piece");
        let portion = &batch.portions()[piece.portion];
        let marks = &portion.rows(piece.table).marks;
        let count = piece.rows.len();
        if count > 1 {
            let record_of = |row: usize| marks[piece.rows.iter().nth(row).expect("within the set")].record;
            // A record stays whole as long as the bad row is not known to be in it.
            let boundary = |at: &usize| record_of(*at) != record_of(*at - 1);
            let middle = count / 2;
            let at = (0..count).find_map(|step| {
                [middle.checked_sub(step), middle.checked_add(step)]
                    .into_iter()
                    .flatten()
                    .find(|at| (1..count).contains(at) && boundary(at))
            });
            let (first, second) = piece.rows.split(at.unwrap_or(middle));
            for rows in [second, first] {
                self.pieces
                    .push(Piece::new(piece.portion, piece.table, rows, self.next_part));
                self.next_part += 1;
            }
            return;
        }
        let row = piece.rows.iter().next().expect("one row is left");
        if piece.table != Table::Changes {
            self.halt(format!(
                "the ledger refuses a row of {}: {error}; this is no bad record but a fault of program or table: \
                 run `changegate migrate`, compare versions",
                piece.table.name()
            ));
            return;
        }
        let mark = marks[row];
        let record = portion.records[mark.record as usize];
        self.excluded.insert((piece.portion, mark.record));
        self.refused.push(Refused {
            part: record.part,
            offset: record.offset,
            child: mark.child as u32,
            error: error.message.clone(),
        });
        if self.refused.len() > self.limits.refused_max {
            self.halt(format!(
                "the ledger refused {} rows of one batch, the last with: {error}; this is no bad record but a fault \
                 of program or table: run `changegate migrate`, compare versions",
                self.refused.len()
            ));
        }
    }

    fn found(&mut self, batch: &mut Batch, parts: &[Part], found: &[(u32, i64, i32)]) {
        self.stats.read_backs += 1;
        let mut piece = self.pieces.pop().expect("a read-back is of a piece");
        let places = places(&piece, batch, parts);
        let portion = &batch.portions()[piece.portion];
        let marks = &portion.rows(piece.table).marks;
        let missing: Vec<usize> = piece
            .rows
            .iter()
            .filter(|row| {
                let mark = marks[*row];
                let record = portion.records[mark.record as usize];
                let stands_elsewhere = stands_elsewhere(piece.table, record.replay);
                let key = if stands_elsewhere {
                    Key::Replay(record.replay)
                } else {
                    Key::Part(record.part)
                };
                let place = places
                    .iter()
                    .position(|(other, _)| *other == key)
                    .expect("places cover the piece");
                let offset = if stands_elsewhere {
                    places[place].1.from
                } else {
                    record.offset
                };
                found.binary_search(&(place as u32, offset, mark.child)).is_err()
            })
            .collect();
        if !missing.is_empty() {
            self.stats.missing += missing.len() as u32;
            if piece.acknowledged {
                // The server said yes and has nothing: it took the token for one that it had seen. Another token.
                self.stats.hollow += 1;
                piece.salt = piece.salt.saturating_add(1);
            }
            let Some(attempt) = piece.attempt.checked_add(1) else {
                self.halt(
                    "rows of one batch were written 255 times and are not there: see the ledger's log".into(),
                );
                return;
            };
            let rows = batch.portions_mut()[piece.portion].rows_mut(piece.table);
            // The stamp in a row of `superseded` is that of the copy it names.
            for row in missing.iter().filter(|_| piece.table != Table::Superseded) {
                let at = rows.marks[*row].attempt_at;
                rows.bytes[at] = attempt;
            }
            piece.attempt = attempt;
            piece.round = 0;
            piece.acknowledged = false;
            piece.rows = RowSet::List(missing);
            self.pieces.push(piece);
        }
        self.well();
    }

    fn ail(&mut self, error: Error, up: Duration) {
        self.not_before = up.saturating_add(self.backoff);
        self.backoff = (self.backoff * 2).min(self.limits.backoff_max);
        self.trouble = Some(error);
    }

    fn well(&mut self) {
        self.backoff = self.limits.backoff_min;
        self.trouble = None;
    }

    fn halt(&mut self, reason: String) {
        self.halted = Some(reason);
    }
}
