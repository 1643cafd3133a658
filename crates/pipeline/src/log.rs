use std::time::Duration;

use changegate_types::{RawRecord, TimeMicros};

use crate::ledger::Range;

/// The log that records come from, as the pipeline needs it: one member of one consumer group.
pub trait Log {
    /// A record that stays in the client's buffer while it is held.
    type Message<'a>: Message
    where
        Self: 'a;

    /// The next record, or nothing within the wait. Serves the group protocol too, so it is called all the time.
    ///
    /// # Errors
    /// [`LogError::Fatal`] where the member cannot go on, [`LogError::Replaced`] until it joins anew; everything else mends
    /// itself by polling on.
    fn poll(&self, wait: Duration) -> Result<Option<Self::Message<'_>>, LogError>;

    /// Joins the group anew under the same name, as a member that has nothing yet.
    ///
    /// # Errors
    /// Where the client refuses.
    fn rejoin(&mut self) -> Result<(), LogError>;

    /// What the group asked of the member since the last call, oldest first. Noted by the callback, done in the loop.
    fn take_rebalance(&self) -> Option<Rebalance>;

    /// Accepts the partitions and reads each from its offset.
    ///
    /// # Errors
    /// Where the client refuses.
    fn assign(&self, starts: &[(TopicPartition, i64)]) -> Result<(), LogError>;

    /// Gives all partitions back. The successor gets them only after this.
    ///
    /// # Errors
    /// Where the client refuses.
    fn unassign(&self) -> Result<(), LogError>;

    /// Commits synchronously: all or none, and only as a member of the current generation.
    ///
    /// # Errors
    /// See [`CommitError`].
    fn commit(&self, offsets: &[CommitOffset]) -> Result<(), CommitError>;

    /// What is committed, in the order asked.
    ///
    /// # Errors
    /// Where the question got no answer.
    fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Option<Committed>>, LogError>;

    /// The oldest offset held and the one after the newest.
    ///
    /// # Errors
    /// Where the question got no answer.
    fn watermarks(&self, partition: &TopicPartition) -> Result<Range, LogError>;

    /// Shows the record at exactly this offset; `false` where the log holds none there.
    ///
    /// # Errors
    /// Where the question got no answer.
    fn fetch(
        &self,
        partition: &TopicPartition,
        offset: i64,
        show: &mut dyn FnMut(&RawRecord<'_>),
    ) -> Result<bool, LogError>;

    /// Goes back (or on) to an offset of an assigned partition.
    ///
    /// # Errors
    /// Where the client refuses.
    fn seek(&self, partition: &TopicPartition, offset: i64) -> Result<(), LogError>;

    /// Waits and takes no record. The group is not served meanwhile, so for seconds at most; but what was fetched ahead
    /// stays, which a pause throws away.
    fn rest(&self, wait: Duration);

    /// Stops fetching the partitions. Nothing of them is returned by [`Log::poll`] until they are resumed.
    ///
    /// # Errors
    /// Where the client refuses.
    fn pause(&self, partitions: &[TopicPartition]) -> Result<(), LogError>;

    /// Fetches them again.
    ///
    /// # Errors
    /// Where the client refuses.
    fn resume(&self, partitions: &[TopicPartition]) -> Result<(), LogError>;
}

/// A record in the client's buffer.
pub trait Message {
    /// Topic.
    fn topic(&self) -> &str;
    /// Partition.
    fn partition(&self) -> i32;
    /// Offset.
    fn offset(&self) -> i64;
    /// Record time in milliseconds, if it has one.
    fn time(&self) -> Option<TimeMicros>;
    /// Key.
    fn key(&self) -> Option<&[u8]>;
    /// Value.
    fn value(&self) -> Option<&[u8]>;
    /// Hands over the headers in their order; a name that is not UTF-8 is left out.
    fn headers<'m>(&'m self, each: &mut dyn FnMut(&'m str, &'m [u8]));
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
}

/// What the group asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalance {
    /// These partitions are ours from [`Log::assign`] on.
    Assign(Vec<TopicPartition>),
    /// All partitions are to be given back by [`Log::unassign`].
    Revoke {
        /// They are gone already: nothing may be committed any more.
        lost: bool,
    },
}

/// One offset to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOffset {
    /// Partition.
    pub partition: TopicPartition,
    /// The next offset to read.
    pub offset: i64,
    /// The fence; without one it closes.
    pub metadata: String,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: i64,
    /// What stood beside it.
    pub metadata: String,
}

/// Why the log did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// Mends itself, or by a person, while we wait: network, broker away, authentication.
    #[error("{0}")]
    Wait(String),
    /// The group has given this member's name to another one.
    #[error("{0}")]
    Replaced(String),
    /// The member is over: the settings are refused, the position is gone.
    #[error("{0}")]
    Fatal(String),
}

/// Why a commit did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// Another member has the partitions (`UnknownMemberId`, `IllegalGeneration`): write nothing more.
    #[error("{0}")]
    Fenced(String),
    /// The member is over, or its name another one's (`FencedInstanceId`): write nothing more.
    #[error(transparent)]
    Member(LogError),
    /// Nobody knows whether it happened, or it did not: network, no coordinator, rebalance under way. Try again.
    #[error("{0}")]
    Wait(String),
}
