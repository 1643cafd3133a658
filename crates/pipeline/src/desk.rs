use std::ops::Range as Bytes;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use changegate_types::Digest;

use crate::crash;
use crate::ledger::{BatchId, Error, Insert, Killed, Ledger, Operation, QueryId, Span, Stamp, Table};

/// One question to the ledger. One at a time is under way.
#[derive(Debug)]
pub enum Ask {
    /// Insert these rows.
    Insert(InsertAsk),
    /// End what may still run of the batch.
    Kill(BatchId),
    /// Which positions have a row of this batch?
    ReadBack {
        /// Batch.
        batch: BatchId,
        /// Table.
        table: Table,
        /// Where to look.
        places: Vec<Place>,
    },
    /// Note what the system did.
    Note(Vec<Operation>),
    /// Find copies in this span.
    Settle(Place),
}

/// Rows on their way. The bytes are lent and come back with the answer.
#[derive(Debug)]
pub struct InsertAsk {
    /// Table.
    pub table: Table,
    /// Id of the query.
    pub query_id: QueryId,
    /// Deduplication token.
    pub token: Digest,
    /// `YYYYMM`.
    pub month: u32,
    /// Encoded rows.
    pub bytes: Vec<u8>,
    /// Which of the bytes go.
    pub range: Bytes<usize>,
    /// Where each row ends within them.
    pub ends: Vec<u32>,
    /// How many rows.
    pub count: u32,
    /// How long to wait for the answer.
    pub deadline: Duration,
}

/// Offsets of a partition, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Topic.
    pub topic: String,
    /// Incarnation.
    pub incarnation: u32,
    /// Partition.
    pub partition: i32,
    /// First offset.
    pub from: i64,
    /// Offset after the last.
    pub to: i64,
}

impl Place {
    fn span(&self) -> Span<'_> {
        Span {
            topic: &self.topic,
            incarnation: self.incarnation,
            partition: self.partition,
            from: self.from,
            to: self.to,
        }
    }
}

/// What the ledger said.
#[derive(Debug)]
pub enum Answer {
    /// To an insert.
    Inserted {
        /// The lent bytes.
        bytes: Vec<u8>,
        /// Whether it was acknowledged.
        result: Result<(), Error>,
    },
    /// To a kill.
    Killed(Result<Killed, Error>),
    /// To a read-back: `(index of the place, offset, child)`, sorted.
    Found(Result<Vec<(u32, i64, i32)>, Error>),
    /// To a note.
    Noted(Result<(), Error>),
    /// To the search for copies.
    Settled(Result<crate::ledger::Copies, Error>),
}

/// Asks the ledger without making the polling thread wait.
pub trait Desk {
    /// Asks.
    ///
    /// # Panics
    /// While another question is under way.
    fn submit(&mut self, ask: Ask);

    /// The answer, once.
    fn answer(&mut self) -> Option<Answer>;

    /// Whether a question is under way.
    fn busy(&self) -> bool;
}

/// Asks and waits for the answer.
pub fn execute(ledger: &(impl Ledger + ?Sized), ask: Ask) -> Answer {
    match ask {
        Ask::Insert(ask) => {
            let rows = ask.bytes.get(ask.range.clone()).unwrap_or_default();
            let insert = Insert {
                table: ask.table,
                query_id: ask.query_id,
                token: ask.token,
                month: ask.month,
                rows,
                ends: &ask.ends,
                count: ask.count,
                deadline: ask.deadline,
            };
            let (before, after) = points(ask.table);
            crash::point(before);
            let result = ledger.insert(&insert);
            crash::point(after);
            Answer::Inserted {
                bytes: ask.bytes,
                result,
            }
        }
        Ask::Kill(batch) => Answer::Killed(ledger.kill(batch)),
        Ask::ReadBack { batch, table, places } => Answer::Found(read_back(ledger, batch, table, &places)),
        Ask::Note(operations) => Answer::Noted(ledger.operations(&operations)),
        Ask::Settle(place) => Answer::Settled(ledger.settle_copies(Some(&place.span()))),
    }
}

fn points(table: Table) -> (&'static str, &'static str) {
    match table {
        Table::Changes => ("before_insert_changes", "after_insert_changes"),
        Table::Rejected => ("before_insert_rejected", "after_insert_rejected"),
        Table::Superseded => ("before_insert_superseded", "after_insert_superseded"),
        Table::RawRecords => ("before_insert_raw_records", "after_insert_raw_records"),
    }
}

/// A row of a smaller batch is another one: it landed late, and says nothing of the one that is looked for. One of a
/// larger batch will stay, whatever is written now.
fn read_back(
    ledger: &(impl Ledger + ?Sized),
    batch: BatchId,
    table: Table,
    places: &[Place],
) -> Result<Vec<(u32, i64, i32)>, Error> {
    let is_there = |stamp: Stamp| stamp.batch >= batch;
    let mut found = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let (span, index) = (place.span(), index as u32);
        match table {
            Table::Changes => {
                let mut rows = ledger.known_changes(&span)?;
                rows.retain(|row| is_there(row.stamp));
                found.extend(rows.iter().map(|row| (index, row.offset, row.child as i32)));
            }
            Table::Rejected => {
                let mut rows = ledger.known_rejects(&span)?;
                rows.retain(|row| is_there(row.stamp));
                found.extend(rows.iter().map(|row| (index, row.offset, row.child as i32)));
            }
            Table::Superseded => {
                let rows = ledger.known_superseded(&span)?;
                found.extend(rows.iter().map(|(offset, child)| (index, *offset, *child)));
            }
            Table::RawRecords => {
                let mut rows = ledger.known_records(&span)?;
                rows.retain(|row| is_there(row.stamp));
                found.extend(rows.iter().map(|row| (index, row.offset, -1)));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A desk with one thread that waits for the ledger. One message per insert passes through the channels, none per
/// event.
#[derive(Debug)]
pub struct ThreadDesk {
    asks: Option<Sender<Ask>>,
    answers: Receiver<Answer>,
    busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl ThreadDesk {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start<L: Ledger + 'static>(ledger: Arc<L>, name: String) -> std::io::Result<Self> {
        let (asks, asked) = channel();
        let (answer, answers) = channel();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            while let Ok(ask) = asked.recv() {
                if answer.send(execute(&*ledger, ask)).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self {
            asks: Some(asks),
            answers,
            busy: false,
            thread: Some(thread),
        })
    }

    /// Ends without waiting for a question under way: its answer no longer matters.
    pub fn abandon(mut self) {
        self.asks = None;
        self.thread = None;
    }
}

impl Desk for ThreadDesk {
    fn submit(&mut self, ask: Ask) {
        assert!(!self.busy, "one question at a time");
        self.busy = true;
        let asks = self.asks.as_ref().expect("the desk is open until it is dropped");
        asks.send(ask).expect("the thread lives as long as the desk");
    }

    fn answer(&mut self) -> Option<Answer> {
        match self.answers.try_recv() {
            Ok(answer) => {
                self.busy = false;
                Some(answer)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("the thread that asks the ledger has panicked"),
        }
    }

    fn busy(&self) -> bool {
        self.busy
    }
}

impl Drop for ThreadDesk {
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take().filter(|_| !self.busy) {
            // Idle: it ends at once. A panic in it was reported by `answer`.
            let _ = thread.join();
        }
    }
}
