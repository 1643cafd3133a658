use std::time::Duration;

use changegate_types::TimeMicros;

use crate::judge::BlockStats;
use crate::log::TopicPartition;
use crate::rows::Outcomes;
use crate::write::WriteStats;

/// Watches a worker: metrics, health, log lines. Called per block, per tick and per change of state, never per event.
pub trait Observer {
    /// A block was judged. Its rows are not durable yet.
    fn block(&self, stats: &BlockStats) {
        let _ = stats;
    }

    /// A batch is durable: rows, requests and dead letters.
    fn tick(&self, tick: &TickStats) {
        let _ = tick;
    }

    /// Positions are committed: `(partition, next offset)`.
    fn committed(&self, offsets: &[(TopicPartition, i64)]) {
        let _ = offsets;
    }

    /// Something keeps the worker from going on, or (`None`) no longer does. Called when that changes.
    fn trouble(&self, trouble: Option<&str>) {
        let _ = trouble;
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
    /// How the children ended.
    pub outcomes: Outcomes,
    /// What writing took.
    pub write: WriteStats,
    /// Requests sent.
    pub requests: u32,
    /// Dead letters sent.
    pub dead_letters: u32,
    /// From the first record of the batch to this moment.
    pub took: Duration,
    /// From the Kafka time of the batch's oldest record to this moment.
    pub behind_micros: i64,
    /// When.
    pub time: TimeMicros,
}
