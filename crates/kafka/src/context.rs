use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use changegate_pipeline::log::{Rebalance, TopicPartition};
use rdkafka::Statistics;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use crate::connections::Connections;

/// Hears what the client library says: log lines go to `tracing`, rebalances into a queue.
#[derive(Debug, Default)]
pub(crate) struct Context {
    asked: Mutex<VecDeque<Rebalance>>,
    closing: AtomicBool,
    pub(crate) connections: Connections,
}

impl Context {
    /// Tells of its connections where another one did before.
    pub(crate) fn with(connections: Connections) -> Self {
        Self {
            connections,
            ..Self::default()
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Rebalance>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on nobody drains: what the group takes away is given back at once.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(crate) fn next(&self) -> Option<Rebalance> {
        self.queue().pop_front()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // One line for every attempt to connect: what matters of them is told once, by the probes' log line.
            _ if matches!(facility, "FAIL" | "ERROR") => tracing::debug!(facility, message, "kafka client"),
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::warn!(facility, message, "kafka client");
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
                tracing::info!(facility, message, "kafka client")
            }
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, message, "kafka client")
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
        self.connections.note_fault(reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.connections.take(&statistics);
    }
}

impl ConsumerContext for Context {
    // The library's own way would assign here, in the middle of a poll. Ours only notes: the loop drains, then assigns.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::Acquire) {
            // Closing waits for this answer, and the loop that would give it has ended.
            if let Err(error) = consumer.unassign() {
                tracing::debug!(%error, "giving partitions back at the end");
            }
            return;
        }
        let asked = if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Rebalance::Assign(owned(partitions))
        } else {
            Rebalance::Revoke {
                lost: consumer.assignment_lost(),
            }
        };
        tracing::debug!(?asked, "rebalance");
        self.queue().push_back(asked);
    }
}

fn owned(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    elements
        .iter()
        .map(|element| TopicPartition {
            topic: element.topic().to_owned(),
            partition: element.partition(),
        })
        .collect()
}
