use std::time::Duration;

use changegate_pipeline::log::{Log as _, TopicPartition};
use changegate_pipeline::outgoing::header;
use changegate_types::RawRecord;
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::consumer::{Consumer, each_header};
use crate::context::Context;
use crate::producer::Sender;
use crate::settings::{Error, Settings};

const QUESTION: Duration = Duration::from_secs(10);

/// One dead letter, as it lies in its topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetter {
    /// Partition of the dead-letter topic.
    pub partition: i32,
    /// Offset there.
    pub offset: i64,
    /// When it was dead-lettered, in milliseconds.
    pub time_ms: i64,
    /// Original key.
    pub key: Option<Vec<u8>>,
    /// Original headers, then those that say what went wrong.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The record's bytes, secrets masked.
    pub value: Option<Vec<u8>>,
}

impl DeadLetter {
    /// The last header of this name, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().rev().find(|(own, _)| own == name);
        found.and_then(|(_, value)| str::from_utf8(value).ok())
    }

    /// Where the record stood: `(topic, partition, offset, incarnation)`.
    pub fn origin(&self) -> Option<(TopicPartition, i64, u32)> {
        let partition = TopicPartition {
            topic: self.header(header::TOPIC)?.to_owned(),
            partition: self.header(header::PARTITION)?.parse().ok()?,
        };
        let offset = self.header(header::OFFSET)?.parse().ok()?;
        let incarnation = self.header(header::INCARNATION)?.parse().ok()?;
        Some((partition, offset, incarnation))
    }

    /// The position that names the record and its rows, however often it was replayed: that of the first delivery.
    /// `(topic, partition, offset, incarnation)`; `None` for what is none of our letters.
    pub fn identity(&self) -> Option<(TopicPartition, i64, u32)> {
        let (here, offset, incarnation) = self.origin()?;
        let first = |name: &str| self.header(name).and_then(|text| text.parse().ok());
        let partition = TopicPartition {
            topic: self
                .header(header::REPLAY_TOPIC)
                .map_or(here.topic, str::to_owned),
            partition: first(header::REPLAY_PARTITION).map_or(here.partition, |number: i64| number as i32),
        };
        Some((
            partition,
            first(header::REPLAY_OFFSET).unwrap_or(offset),
            first(header::REPLAY_INCARNATION).map_or(incarnation, |number: i64| number as u32),
        ))
    }

    /// Index of the child that was refused.
    pub fn child(&self) -> u32 {
        self.number(header::CHILD).unwrap_or_default()
    }

    /// A header that holds a number.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.header(name)?.parse().ok()
    }
}

/// Which bytes go out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// Those of the record itself, read from the raw topic.
    Original,
    /// Those of the dead letter, secrets masked: the raw topic no longer holds the record.
    MaskedCopy,
}

/// Looks at dead letters and sends their records again.
pub struct DeadLetters {
    reader: BaseConsumer<Context>,
    originals: Consumer,
    settings: Settings,
}

impl std::fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeadLetters").finish_non_exhaustive()
    }
}

impl DeadLetters {
    /// Joins no group and commits nothing.
    ///
    /// # Errors
    /// Where librdkafka refuses the settings.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let made = settings.reader().create_with_context(Context::default());
        let reader = made.map_err(|error| settings.error("creating a reader", error))?;
        let originals = Consumer::reader(settings)?;
        Ok(Self {
            reader,
            originals,
            settings: settings.clone(),
        })
    }

    /// Shows every dead letter that the topic holds now, partition by partition, until `each` says `false`.
    ///
    /// # Errors
    /// Where the brokers do not answer, or there is no such topic.
    pub fn each(&self, topic: &str, mut each: impl FnMut(DeadLetter) -> bool) -> Result<(), Error> {
        let about = |error| self.settings.error(format!("reading {topic}"), error);
        let metadata = self.reader.fetch_metadata(Some(topic), QUESTION).map_err(about)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        for partition in partitions.map(|partition| partition.id()) {
            let watermarks = self.reader.fetch_watermarks(topic, partition, QUESTION);
            let (from, to) = watermarks.map_err(about)?;
            if from == to {
                continue;
            }
            let mut list = TopicPartitionList::with_capacity(1);
            list.add_partition_offset(topic, partition, Offset::Offset(from))
                .map_err(about)?;
            self.reader.assign(&list).map_err(about)?;
            let went_on = self.partition(to, &mut each);
            self.reader.unassign().map_err(about)?;
            if !went_on.map_err(about)? {
                break;
            }
        }
        Ok(())
    }

    fn partition(&self, to: i64, each: &mut impl FnMut(DeadLetter) -> bool) -> Result<bool, KafkaError> {
        loop {
            let message = match self.reader.poll(QUESTION) {
                None | Some(Err(KafkaError::PartitionEOF(_))) => return Ok(true),
                Some(Err(error)) => return Err(error),
                Some(Ok(message)) => message,
            };
            let mut headers = Vec::new();
            each_header(&message, &mut |name, value| {
                headers.push((name.to_owned(), value.to_vec()))
            });
            let letter = DeadLetter {
                partition: message.partition(),
                offset: message.offset(),
                time_ms: message.timestamp().to_millis().unwrap_or_default(),
                key: message.key().map(<[u8]>::to_vec),
                headers,
                value: message.payload().map(<[u8]>::to_vec),
            };
            let last = letter.offset + 1 >= to;
            if !each(letter) {
                return Ok(false);
            }
            if last {
                return Ok(true);
            }
        }
    }

    /// The bytes that a replay of the letter would send: the original ones where the raw topic still holds them and they
    /// are still the same, else the masked copy.
    ///
    /// # Errors
    /// Where the letter names no position, or the brokers do not answer.
    pub fn bytes(&self, letter: &DeadLetter) -> Result<(Replayed, Vec<u8>), Error> {
        let Some((partition, offset, _)) = letter.origin() else {
            return Err(self.refused(letter, "it names no original position: not one of ours"));
        };
        let mut original = None;
        let held = self
            .originals
            .fetch(&partition, offset, &mut |record: &RawRecord<'_>| {
                original = record.value.map(<[u8]>::to_vec);
            });
        held.map_err(|error| self.refused(letter, error))?;
        // The topic may have been made anew: other bytes at the same offset are another record.
        let same = |value: &Vec<u8>| letter.header(header::RAW_HASH) == Some(&sha256(value));
        Ok(match original.filter(same) {
            Some(value) => (Replayed::Original, value),
            None => (Replayed::MaskedCopy, letter.value.clone().unwrap_or_default()),
        })
    }

    /// Sends the record of a dead letter to its topic again, as [`DeadLetters::bytes`] gives it. Its headers carry the
    /// original position, which stays the identity of its rows.
    ///
    /// # Errors
    /// Where the letter names no position, or the brokers do not answer or refuse.
    pub fn replay(&self, letter: &DeadLetter, sender: &mut Sender) -> Result<Replayed, Error> {
        let (replayed, value) = self.bytes(letter)?;
        let Some((partition, offset, incarnation)) = letter.origin() else {
            return Err(self.refused(letter, "it names no original position: not one of ours"));
        };
        let headers = replay_headers(letter, &partition, offset, incarnation);
        let headers: Vec<(&str, &[u8])> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        sender.send(
            &partition.topic,
            letter.key.as_deref(),
            &headers,
            &value,
            letter.time_ms,
        )?;
        Ok(replayed)
    }

    fn refused(&self, letter: &DeadLetter, reason: impl ToString) -> Error {
        let what = format!("replaying dead letter {}/{}", letter.partition, letter.offset);
        self.settings
            .error(what, KafkaError::ClientCreation(reason.to_string()))
    }
}

fn sha256(value: &[u8]) -> String {
    use sha2::Digest as _;
    changegate_types::Digest(sha2::Sha256::digest(value).into()).to_string()
}

/// The original headers, then the identity. A letter of a replayed record names its first position, not the last.
fn replay_headers(
    letter: &DeadLetter,
    partition: &TopicPartition,
    offset: i64,
    incarnation: u32,
) -> Vec<(String, Vec<u8>)> {
    let ours = |name: &str| {
        name.starts_with("__connect.errors.")
            || name.starts_with("changegate.error.")
            || name.starts_with("changegate.replay.")
    };
    let first = |name: &str, here: String| letter.header(name).map_or(here, str::to_owned);
    let count: u32 = letter
        .header(header::REPLAY_COUNT)
        .and_then(|count| count.parse().ok())
        .unwrap_or(0);
    let identity = [
        (
            header::REPLAY_TOPIC,
            first(header::REPLAY_TOPIC, partition.topic.clone()),
        ),
        (
            header::REPLAY_PARTITION,
            first(header::REPLAY_PARTITION, partition.partition.to_string()),
        ),
        (
            header::REPLAY_OFFSET,
            first(header::REPLAY_OFFSET, offset.to_string()),
        ),
        (
            header::REPLAY_INCARNATION,
            first(header::REPLAY_INCARNATION, incarnation.to_string()),
        ),
        (header::REPLAY_COUNT, count.saturating_add(1).to_string()),
    ];
    let kept = letter.headers.iter().filter(|(name, _)| !ours(name)).cloned();
    kept.chain(identity.map(|(name, value)| (name.to_owned(), value.into_bytes())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(headers: &[(&str, &str)]) -> DeadLetter {
        DeadLetter {
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect(),
            ..DeadLetter::default()
        }
    }

    #[test]
    fn a_letter_of_a_replayed_record_keeps_the_first_position() {
        let position = [
            (header::TOPIC, "raw"),
            (header::PARTITION, "2"),
            (header::OFFSET, "900"),
            (header::INCARNATION, "0"),
        ];
        let once = letter(&[&[("x-event", "push")], position.as_slice()].concat());
        let (partition, offset, incarnation) = once.origin().unwrap();
        assert_eq!((partition.partition, offset, incarnation), (2, 900, 0));
        let headers = replay_headers(&once, &partition, offset, incarnation);
        let again = DeadLetter {
            headers: headers.clone(),
            ..DeadLetter::default()
        };
        assert_eq!(headers[0], ("x-event".to_owned(), b"push".to_vec()));
        assert_eq!(again.header(header::REPLAY_OFFSET), Some("900"));
        assert_eq!(again.header(header::REPLAY_COUNT), Some("1"));
        assert_eq!(again.header(header::OFFSET), None);

        let second = replay_headers(&again, &partition, 2_000, incarnation);
        let second = DeadLetter {
            headers: second,
            ..DeadLetter::default()
        };
        assert_eq!(second.header(header::REPLAY_OFFSET), Some("900"));
        assert_eq!(second.header(header::REPLAY_COUNT), Some("2"));

        // What people see and ask for is the first position, whichever delivery failed last.
        let failed_again = [("x-event", "push")];
        let mut last = letter(&[&failed_again, position.as_slice()].concat());
        last.headers.extend(headers);
        assert_eq!(last.identity().unwrap().1, 900);
        assert_eq!(once.identity(), once.origin());
    }

    #[test]
    fn what_names_no_position_is_not_ours() {
        assert_eq!(letter(&[]).origin(), None);
        assert_eq!(
            letter(&[(header::TOPIC, "raw"), (header::PARTITION, "x")]).origin(),
            None
        );
    }
}
