//! What came of a block, counted for metrics.

use changegate_types::{Mark, RejectCode};

use crate::part::Part;
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
    /// Records without rows, by which the limits on rejects count.
    pub fresh: u32,
    /// Of them, those of which a child was rejected.
    pub rejected: u32,
    /// The last of those.
    pub last_reject: Option<RejectAt>,
    /// The longest run of them in one partition, blocks before this one included.
    pub longest_run: Option<RejectAt>,
}

/// A record of which a child was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectAt {
    /// Which of the worker's partitions.
    pub part: u32,
    /// Its offset.
    pub offset: i64,
    /// So many such records of the partition follow each other, this one included.
    pub run: u64,
    /// Why the first of its children was rejected.
    pub code: RejectCode,
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
    /// Counts a record of which a child was rejected.
    pub(super) fn reject(&mut self, part: &mut Part, index: u32, offset: i64, code: RejectCode) {
        part.reject_run += 1;
        self.rejected += 1;
        let reject = RejectAt {
            part: index,
            offset,
            run: part.reject_run,
            code,
        };
        self.last_reject = Some(reject);
        if self.longest_run.is_none_or(|longest| longest.run < reject.run) {
            self.longest_run = Some(reject);
        }
    }

    pub(super) fn topic(&mut self, topic: usize) -> &mut TopicStats {
        if self.topics.len() <= topic {
            self.topics.resize(topic + 1, TopicStats::default());
        }
        &mut self.topics[topic]
    }
}
