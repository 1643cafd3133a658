use crate::log::LogError;
use crate::recover::RecoverError;

/// Why a worker ends. Nothing that is not durable was committed: the records are read again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has this member's name: it was taken back once, and is gone again.
    #[error(
        "another process runs under this member's name and has its partitions: {0}; give each process its own \
         `kafka.instance_id`"
    )]
    Replaced(String),
    /// The member cannot go on.
    #[error(transparent)]
    Log(LogError),
    /// A partition cannot be started.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The ledger refuses what no bad record explains.
    #[error("{0}")]
    Halt(String),
    /// A request or dead letter can never be sent.
    #[error(
        "cannot send to {topic}: {reason}; what it came of is not committed: mend the topic (`max.message.bytes` where the \
         message is too large) and start again"
    )]
    Send {
        /// Topic.
        topic: String,
        /// Why.
        reason: String,
    },
    /// Too many rejects: more likely a bad roll-out than bad records.
    #[error(
        "{rejected} of the last {records} records {whose} were rejected, the last of them {topic}/{partition} at offset \
         {offset} ({code}), beyond {limit}: more likely a bad roll-out than bad records. The batch they came in is not \
         committed, nor anything after it: look at that record and at `changegate dlq list`, mend its sender or go back to \
         the version before, or raise or unset the limit; then start again"
    )]
    Poison {
        /// Records of which a child was rejected.
        rejected: u64,
        /// Records looked at.
        records: u64,
        /// Of one partition, or of all.
        whose: &'static str,
        /// Topic of the last.
        topic: String,
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// Why it was rejected.
        code: &'static str,
        /// The setting.
        limit: String,
    },
}
