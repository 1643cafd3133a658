use std::time::Duration;

use changegate_types::TimeMicros;
use tracing::Span;

use crate::judge::BlockStats;
use crate::ledger::{self, Operation};
use crate::log::TopicPartition;
use crate::rows::Outcomes;
use crate::write::WriteStats;

/// Watches a worker: metrics, health, log lines. Called per block, per tick and per change of state, never per event.
pub trait Observer {
    /// A block was judged. Its rows are not durable yet.
    fn block(&self, stats: &BlockStats) {
        let _ = stats;
    }

    /// Whether [`Observer::traced`] is to be called.
    fn traces(&self) -> bool {
        false
    }

    /// A record with this trace context belongs to the batch of this span. Called for the first few of a batch only.
    fn traced(&self, batch: &Span, traceparent: &str) {
        let _ = (batch, traceparent);
    }

    /// A batch is durable: rows, requests and dead letters.
    fn tick(&self, tick: &TickStats) {
        let _ = tick;
    }

    /// Positions are committed: `(partition, next offset)`. `fence`: with a batch that begins there.
    fn committed(&self, offsets: &[(TopicPartition, i64)], fence: bool, took: Duration) {
        let _ = (offsets, fence, took);
    }

    /// Another member has the partitions.
    fn fenced(&self) {}

    /// Something keeps the worker from going on, or (`None`) no longer does. Called when the kind of trouble changes.
    fn trouble(&self, side: Side, trouble: Option<&Trouble>) {
        let _ = (side, trouble);
    }

    /// The stream wrote down what it did itself, or found.
    fn noted(&self, operations: &[Operation]) {
        let _ = operations;
    }

    /// Partitions are ours; reading begins at these offsets.
    fn assigned(&self, starts: &[(TopicPartition, i64)]) {
        let _ = starts;
    }

    /// Partitions were given back (`lost`: taken away).
    fn revoked(&self, lost: bool) {
        let _ = lost;
    }

    /// Reading stopped because the batches are full, or goes on.
    fn paused(&self, paused: bool) {
        let _ = paused;
    }

    /// Copies of positions were found and put into `superseded`.
    fn copies(&self, copies: crate::ledger::Copies) {
        let _ = copies;
    }
}

/// Where trouble comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The log that is read and committed to.
    Log,
    /// The ledger.
    Ledger,
    /// The topics that requests and dead letters go to.
    Outbox,
}

impl Side {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Log, Self::Ledger, Self::Outbox];
}

/// What keeps the worker waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One of few words, such as `access` or `disk_full`.
    pub code: &'static str,
    /// What was said.
    pub reason: String,
}

impl Trouble {
    /// No answer, or one that mends itself.
    pub(crate) fn no_answer(reason: String) -> Self {
        Self {
            code: "no_answer",
            reason,
        }
    }
}

impl From<&ledger::Error> for Trouble {
    fn from(error: &ledger::Error) -> Self {
        Self {
            code: error.trouble,
            reason: error.message.clone(),
        }
    }
}

/// Sees nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blind;

impl Observer for Blind {}

/// What one tick did.
#[derive(Clone, Debug)]
pub struct TickStats {
    /// Records, those whose rows existed included.
    pub records: u32,
    /// Rows of the batch, whichever main table has more.
    pub rows: usize,
    /// Encoded bytes.
    pub bytes: usize,
    /// How the children ended, by topic in the order of [`crate::Judge::topics`].
    pub outcomes: Vec<Outcomes>,
    /// What writing took.
    pub write: WriteStats,
    /// Messages sent, by topic: `(topic, how many)`.
    pub sent: Vec<(String, u32)>,
    /// Dead letters among them that were cut to what their topic takes.
    pub cut: u32,
    /// From the first record of the batch to this moment.
    pub took: Duration,
    /// From the Kafka time of the batch's oldest record to this moment.
    pub behind_micros: i64,
    /// When.
    pub time: TimeMicros,
}
