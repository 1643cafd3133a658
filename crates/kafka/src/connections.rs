use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use changegate_pipeline::log::TopicPartition;
use rdkafka::Statistics;

/// What the client library tells of its connections every two seconds. Looking at it asks nobody.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    up: Option<bool>,
    fault: Option<String>,
    ends: BTreeMap<TopicPartition, i64>,
}

impl Connections {
    /// Whether any broker is connected; `None` before the first word.
    pub fn up(&self) -> Option<bool> {
        self.seen().up
    }

    /// The last fault since a broker was connected, in the library's words.
    pub fn fault(&self) -> Option<String> {
        self.seen().fault.clone()
    }

    /// The offset after the newest record of each partition, as of when it was last fetched: not while it is paused.
    pub fn ends(&self) -> BTreeMap<TopicPartition, i64> {
        self.seen().ends.clone()
    }

    pub(crate) fn note_fault(&self, reason: &str) {
        self.seen().fault = Some(reason.to_owned());
    }

    pub(crate) fn take(&self, statistics: &Statistics) {
        let up = statistics.brokers.values().any(|broker| broker.state == "UP");
        let mut seen = self.seen();
        if up && seen.up == Some(false) {
            seen.fault = None;
        }
        seen.up = Some(up);
        seen.ends.clear();
        for topic in statistics.topics.values() {
            // Partition -1 stands for messages without one; an offset below 0 was not learned yet.
            let known = topic
                .partitions
                .values()
                .filter(|partition| partition.partition >= 0 && partition.hi_offset >= 0);
            for partition in known {
                let name = TopicPartition {
                    topic: topic.topic.clone(),
                    partition: partition.partition,
                };
                seen.ends.insert(name, partition.hi_offset);
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::{Broker, Partition, Topic};

    use super::*;

    fn statistics(state: &str, end: i64) -> Statistics {
        let mut statistics = Statistics::default();
        let broker = Broker {
            state: state.to_owned(),
            ..Broker::default()
        };
        statistics.brokers.insert("one".to_owned(), broker);
        let mut topic = Topic {
            topic: "changes".to_owned(),
            ..Topic::default()
        };
        for (number, hi_offset) in [(-1, 7), (0, end), (1, -1001)] {
            let partition = Partition {
                partition: number,
                hi_offset,
                ..Partition::default()
            };
            topic.partitions.insert(number, partition);
        }
        statistics.topics.insert("changes".to_owned(), topic);
        statistics
    }

    #[test]
    fn ends_and_faults_are_those_of_the_last_word() {
        let connections = Connections::default();
        assert_eq!(connections.up(), None);
        connections.take(&statistics("TRY_CONNECT", 5));
        connections.note_fault("connection refused");
        assert_eq!(connections.up(), Some(false));
        assert_eq!(connections.fault().as_deref(), Some("connection refused"));
        connections.take(&statistics("UP", 9));
        assert_eq!((connections.up(), connections.fault()), (Some(true), None));
        let partition = TopicPartition {
            topic: "changes".to_owned(),
            partition: 0,
        };
        assert_eq!(connections.ends(), BTreeMap::from([(partition, 9)]));
    }
}
