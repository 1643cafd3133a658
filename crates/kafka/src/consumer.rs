use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use changegate_pipeline::ledger::Range;
use changegate_pipeline::log::{
    CommitError, CommitOffset, Committed, Log, LogError, Message, Rebalance, TopicPartition,
};
use changegate_types::{Position, RawRecord, TimeMicros};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers, Message as _, Timestamp};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::{ClientConfig, Offset};

use crate::connections::Connections;
use crate::context::Context;
use crate::settings::{Error, Settings};

/// How long a question to the brokers may take.
const QUESTION: Duration = Duration::from_secs(10);

/// One member of the group.
pub struct Consumer {
    settings: Settings,
    instance_id: String,
    topics: Vec<String>,
    member: BaseConsumer<Context>,
    /// Joins no group; looks at single records.
    reader: BaseConsumer<Context>,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").finish_non_exhaustive()
    }
}

impl Consumer {
    /// Joins the group under this name and asks for partitions of these topics.
    ///
    /// # Errors
    /// Where librdkafka refuses the settings.
    pub fn join(settings: &Settings, instance_id: &str, topics: &[&str]) -> Result<Self, Error> {
        let context = Context::default();
        Ok(Self {
            member: member(settings, instance_id, topics, context)?,
            reader: client(settings, settings.reader(), Context::default())?,
            settings: settings.clone(),
            instance_id: instance_id.to_owned(),
            topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
        })
    }

    /// Joins no group: only [`Log::fetch`] and [`Log::watermarks`] are of use.
    pub(crate) fn reader(settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            settings: settings.clone(),
            instance_id: String::new(),
            topics: Vec::new(),
            member: client(settings, settings.reader(), Context::default())?,
            reader: client(settings, settings.reader(), Context::default())?,
        })
    }

    /// What the member's connections tell, for metrics and probes.
    pub fn connections(&self) -> Connections {
        self.member.context().connections.clone()
    }

    /// A client that has failed for good says so of every question; what failed, it says apart.
    fn member_error(&self, error: &KafkaError) -> LogError {
        let failed = match error.rdkafka_error_code() {
            Some(Code::Fatal) => self.member.client().fatal_error(),
            _ => None,
        };
        match failed {
            Some((Code::FencedInstanceId, reason)) => LogError::Replaced(reason),
            Some((_, reason)) => LogError::Fatal(reason),
            None => log_error(error),
        }
    }

    fn show_at(
        &self,
        partition: &TopicPartition,
        offset: i64,
        show: &mut dyn FnMut(&RawRecord<'_>),
    ) -> Result<bool, LogError> {
        let deadline = Instant::now() + QUESTION;
        let mut fault = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = match self.reader.poll(left) {
                Some(Ok(message)) => message,
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(false),
                // The client tells of each attempt to connect, to whoever listens, and nobody does between two questions:
                // after an outage it has much to tell that is over. Its answer is the record.
                Some(Err(error)) => match log_error(&error) {
                    LogError::Wait(reason) if !left.is_zero() => {
                        fault = Some(reason);
                        continue;
                    }
                    error => return Err(error),
                },
                None => {
                    let fault = fault.map_or_else(String::new, |fault| format!(": {fault}"));
                    return Err(LogError::Wait(format!(
                        "no answer for offset {offset} of {partition:?}{fault}"
                    )));
                }
            };
            if message.offset() < offset {
                continue;
            }
            if message.offset() > offset {
                return Ok(false);
            }
            let record = Record(message);
            let mut headers = Vec::new();
            record.headers(&mut |name, value| headers.push((name, value)));
            show(&RawRecord {
                position: Position {
                    topic: &partition.topic,
                    incarnation: 0,
                    partition: partition.partition,
                    offset,
                },
                kafka_time: record.time().unwrap_or_default(),
                key: record.key(),
                headers: &headers,
                value: record.value(),
            });
            return Ok(true);
        }
    }
}

/// Hands over the headers whose names are text. The client library panics on any other name, which a producer may send.
pub(crate) fn each_header<'m>(message: &'m BorrowedMessage<'_>, each: &mut dyn FnMut(&'m str, &'m [u8])) {
    let Some(headers) = message.headers() else {
        return;
    };
    for index in 0..headers.count() {
        if let Ok(header) = catch_unwind(AssertUnwindSafe(|| headers.get(index))) {
            each(header.key, header.value.unwrap_or_default());
        }
    }
}

fn client(
    settings: &Settings,
    config: ClientConfig,
    context: Context,
) -> Result<BaseConsumer<Context>, Error> {
    config
        .create_with_context(context)
        .map_err(|error| settings.error("creating a consumer", error))
}

fn member<T: AsRef<str>>(
    settings: &Settings,
    instance_id: &str,
    topics: &[T],
    context: Context,
) -> Result<BaseConsumer<Context>, Error> {
    let member = client(settings, settings.member(instance_id), context)?;
    let topics: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
    member
        .subscribe(&topics)
        .map_err(|error| settings.error(format!("subscribing to {topics:?}"), error))?;
    Ok(member)
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.member.context().close();
        self.reader.context().close();
    }
}

/// A record in the client's buffer.
pub struct Record<'a>(BorrowedMessage<'a>);

impl Message for Record<'_> {
    fn topic(&self) -> &str {
        self.0.topic()
    }

    fn partition(&self) -> i32 {
        self.0.partition()
    }

    fn offset(&self) -> i64 {
        self.0.offset()
    }

    fn time(&self) -> Option<TimeMicros> {
        match self.0.timestamp() {
            Timestamp::NotAvailable => None,
            Timestamp::CreateTime(millis) | Timestamp::LogAppendTime(millis) => {
                Some(TimeMicros::from_millis(millis))
            }
        }
    }

    fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    fn headers<'m>(&'m self, each: &mut dyn FnMut(&'m str, &'m [u8])) {
        each_header(&self.0, each);
    }
}

fn list<'p>(partitions: impl IntoIterator<Item = &'p TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

/// What a broker or the library says about a question. Only what cannot mend itself is fatal.
///
/// A topic or partition that is not known is not fatal here: a broker that has just started, or has not yet heard of a
/// topic that was just made, says the same for a moment. Whoever wires the workers asks at the start whether the topics are
/// there, and watches that they stay.
pub(crate) fn log_error(error: &KafkaError) -> LogError {
    match error.rdkafka_error_code() {
        Some(Code::FencedInstanceId) => LogError::Replaced(error.to_string()),
        Some(code @ (Code::Fatal | Code::InvalidArgument)) => LogError::Fatal(format!("{code}: {error}")),
        // The client has stopped reading the partition for good: only a new start, at which the ledger decides, goes on.
        Some(code @ Code::AutoOffsetReset) => LogError::Fatal(format!(
            "the brokers no longer hold the record that is due, by retention or because the topic was made anew ({code}): \
             start again, and the ledger says where to go on or what is lost"
        )),
        Some(
            code @ (Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::UnknownTopicId),
        ) => LogError::Wait(format!("the brokers do not know the topic or partition ({code})")),
        _ => LogError::Wait(error.to_string()),
    }
}

impl Log for Consumer {
    type Message<'a> = Record<'a>;

    fn poll(&self, wait: Duration) -> Result<Option<Record<'_>>, LogError> {
        match self.member.poll(wait) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Ok(message)) => Ok(Some(Record(message))),
            Some(Err(error)) => Err(self.member_error(&error)),
        }
    }

    fn rejoin(&mut self) -> Result<(), LogError> {
        let context = Context::with(self.connections());
        let member = member(&self.settings, &self.instance_id, &self.topics, context);
        let member = member.map_err(|error| LogError::Fatal(error.to_string()))?;
        // Ending the old one waits for an answer to what the group takes away.
        self.member.context().close();
        self.member = member;
        Ok(())
    }

    fn take_rebalance(&self) -> Option<Rebalance> {
        self.member.context().next()
    }

    fn assign(&self, starts: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        let mut list = TopicPartitionList::with_capacity(starts.len());
        for (partition, offset) in starts {
            let added =
                list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*offset));
            added.map_err(|error| log_error(&error))?;
        }
        self.member
            .assign(&list)
            .map_err(|error| self.member_error(&error))?;
        // A pause outlives the assignment it was made in.
        self.member
            .resume(&list)
            .map_err(|error| self.member_error(&error))
    }

    fn unassign(&self) -> Result<(), LogError> {
        self.member.unassign().map_err(|error| self.member_error(&error))
    }

    fn commit(&self, offsets: &[CommitOffset]) -> Result<(), CommitError> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for commit in offsets {
            let mut element = list.add_partition(&commit.partition.topic, commit.partition.partition);
            let set = element.set_offset(Offset::Offset(commit.offset));
            set.map_err(|error| CommitError::Wait(error.to_string()))?;
            if !commit.metadata.is_empty() {
                element.set_metadata(&commit.metadata);
            }
        }
        self.member
            .commit(&list, CommitMode::Sync)
            .map_err(|error| match error.rdkafka_error_code() {
                Some(Code::FencedInstanceId | Code::Fatal) => CommitError::Member(self.member_error(&error)),
                Some(Code::UnknownMemberId | Code::IllegalGeneration | Code::AssignmentLost) => {
                    CommitError::Fenced(error.to_string())
                }
                _ => CommitError::Wait(error.to_string()),
            })
    }

    fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Option<Committed>>, LogError> {
        let asked = list(partitions);
        let answer = self
            .member
            .committed_offsets(asked, QUESTION)
            .map_err(|error| self.member_error(&error))?;
        let found = partitions.iter().map(|partition| {
            let Some(element) = answer.find_partition(&partition.topic, partition.partition) else {
                return Ok(None);
            };
            // The answer as a whole is fine even where one partition's is not: that is no "never committed", which
            // would hide an open fence from the recovery.
            element.error().map_err(|error| log_error(&error))?;
            let Offset::Offset(offset) = element.offset() else {
                return Ok(None);
            };
            Ok(Some(Committed {
                offset,
                metadata: element.metadata().to_owned(),
            }))
        });
        found.collect()
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Range, LogError> {
        let asked = self
            .reader
            .fetch_watermarks(&partition.topic, partition.partition, QUESTION);
        let (from, to) = asked.map_err(|error| log_error(&error))?;
        Ok(Range { from, to })
    }

    fn fetch(
        &self,
        partition: &TopicPartition,
        offset: i64,
        show: &mut dyn FnMut(&RawRecord<'_>),
    ) -> Result<bool, LogError> {
        let range = self.watermarks(partition)?;
        if !(range.from..range.to).contains(&offset) {
            return Ok(false);
        }
        let mut list = TopicPartitionList::with_capacity(1);
        let added = list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(offset));
        added.map_err(|error| log_error(&error))?;
        self.reader.assign(&list).map_err(|error| log_error(&error))?;
        let found = self.show_at(partition, offset, show);
        self.reader.unassign().map_err(|error| log_error(&error))?;
        found
    }

    fn seek(&self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        let sought = self.member.seek(
            &partition.topic,
            partition.partition,
            Offset::Offset(offset),
            QUESTION,
        );
        sought.map_err(|error| self.member_error(&error))
    }

    fn rest(&self, wait: Duration) {
        std::thread::sleep(wait);
    }

    fn pause(&self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.member
            .pause(&list(partitions))
            .map_err(|error| self.member_error(&error))
    }

    fn resume(&self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.member
            .resume(&list(partitions))
            .map_err(|error| self.member_error(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_mend_itself_is_fatal() {
        for code in [Code::Fatal, Code::InvalidArgument, Code::AutoOffsetReset] {
            let error = log_error(&KafkaError::MessageConsumption(code));
            assert!(matches!(error, LogError::Fatal(_)), "{code}");
        }
        for code in [
            Code::UnknownTopicOrPartition,
            Code::UnknownTopic,
            Code::UnknownPartition,
            Code::AllBrokersDown,
            Code::BrokerTransportFailure,
            Code::Authentication,
            Code::TopicAuthorizationFailed,
            Code::GroupAuthorizationFailed,
            Code::OperationTimedOut,
            Code::RebalanceInProgress,
        ] {
            let error = log_error(&KafkaError::MessageConsumption(code));
            assert!(matches!(error, LogError::Wait(_)), "{code}");
        }
    }
}
