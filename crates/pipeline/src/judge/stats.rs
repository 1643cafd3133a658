//! What came of a block, counted for metrics.

use changegate_types::Mark;

use crate::rows::Outcomes;

/// What came of a block, for metrics.
#[derive(Clone, Debug, Default)]
pub struct BlockStats {
    /// By topic, in the order of [`Judge::topics`](super::Judge::topics); those after the last that was read are left out.
    pub topics: Vec<TopicStats>,
    /// How the children of records without rows ended.
    pub outcomes: Outcomes,
    /// Rows by what they ask, in the order of [`Ask::ALL`](changegate_approval::Ask::ALL).
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
    pub(super) fn topic(&mut self, topic: usize) -> &mut TopicStats {
        if self.topics.len() <= topic {
            self.topics.resize(topic + 1, TopicStats::default());
        }
        &mut self.topics[topic]
    }
}
