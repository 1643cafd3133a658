use crate::log::LogError;
use crate::recover::RecoverError;

/// Why a worker ends. Nothing that is not durable was committed: the records are read again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has this member's name.
    #[error(
        "another process runs under this member's name and has its partitions: {0}; give each process its own"
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
    #[error("cannot send to {topic}: {reason}")]
    Send {
        /// Topic.
        topic: String,
        /// Why.
        reason: String,
    },
    /// Too many rejects: more likely a bad roll-out than bad records.
    #[error(
        "{rejects} of the last {children} children were rejected, beyond the limit set; nothing of them was committed: \
         look at `changegate dlq list`, mend program or source, or raise `pipeline.poison`"
    )]
    Poison {
        /// Rejects.
        rejects: u64,
        /// Children looked at.
        children: u64,
    },
}
