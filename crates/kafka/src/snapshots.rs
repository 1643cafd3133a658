//! Snapshots in a compacted topic: what a shard's owner remembers, for whoever owns the shard next.
//!
//! A snapshot is larger than a record may be, so it goes in pieces. Pieces of one snapshot overwrite those of the last but
//! one: while one is being written, the one before it stays whole.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use changegate_pipeline::log::LogError;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::consumer::log_error;
use crate::producer::{Answered, Answers, not_durable};
use crate::settings::{Error, Settings};

/// Bytes of a piece: below what any topic takes.
const PIECE_BYTES: usize = 512 << 10;
/// Number, index and count of a piece.
const HEAD_BYTES: usize = 16;
const QUESTION: Duration = Duration::from_secs(10);

/// Reads and writes the snapshots of shards: shard `n` has partition `n`.
pub struct Snapshots {
    settings: Settings,
    topic: String,
    reader: BaseConsumer,
    producer: BaseProducer<Answers>,
    answers: Answered,
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshots")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl Snapshots {
    /// Connects when something is asked.
    ///
    /// # Errors
    /// Where librdkafka refuses the settings.
    pub fn new(settings: &Settings, topic: &str) -> Result<Self, Error> {
        let reader = settings.reader().create();
        let (context, answers) = Answers::channel();
        let producer = settings.producer().create_with_context(context);
        Ok(Self {
            settings: settings.clone(),
            topic: topic.to_owned(),
            reader: reader.map_err(|error| settings.error("creating a reader", error))?,
            producer: producer.map_err(|error| settings.error("creating a producer", error))?,
            answers,
        })
    }

    /// The newest whole snapshot of a shard and its number.
    ///
    /// # Errors
    /// Where the brokers do not answer.
    pub fn load(&self, shard: i32, within: Duration) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let read = self.pieces(shard, within);
        let pieces = read.map_err(|error| {
            self.settings
                .error(format!("reading {}/{shard}", self.topic), error)
        })?;
        Ok(newest(pieces))
    }

    /// Writes a snapshot and waits until it is durable. `number` is above that of the one before.
    ///
    /// # Errors
    /// Where it is not durable in time; the one before is whole then.
    pub fn store(&self, shard: i32, number: u64, bytes: &[u8], within: Duration) -> Result<(), Error> {
        let fail = |error| {
            self.settings
                .error(format!("writing to {}/{shard}", self.topic), error)
        };
        let deadline = Instant::now() + within;
        let count = bytes.len().div_ceil(PIECE_BYTES) as u32;
        for (index, piece) in (0u32..).zip(bytes.chunks(PIECE_BYTES)) {
            let mut value = Vec::with_capacity(HEAD_BYTES + piece.len());
            value.extend_from_slice(&number.to_le_bytes());
            value.extend_from_slice(&index.to_le_bytes());
            value.extend_from_slice(&count.to_le_bytes());
            value.extend_from_slice(piece);
            let key = format!("{}.{index}", number % 2);
            loop {
                let record = BaseRecord::with_opaque_to(&self.topic, Box::new(number))
                    .partition(shard)
                    .key(&key)
                    .payload(&value);
                match self.producer.send(record) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(Code::QueueFull), _)) if Instant::now() < deadline => {
                        self.producer.poll(Duration::from_millis(20));
                    }
                    Err((error, _)) => return Err(fail(error)),
                }
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        self.producer.flush(left).map_err(fail)?;
        // All were answered: that the queue is empty says nothing of how. Older ones are those of a snapshot given up.
        let of_this = self.answers.try_iter().filter(|(tag, _)| *tag == number);
        match of_this.filter_map(|(_, answer)| answer.err()).next() {
            None => Ok(()),
            Some(refused) => {
                let place = format!("{}/{shard}", self.topic);
                Err(not_durable(&self.settings, &place, refused.to_string()))
            }
        }
    }

    fn pieces(&self, shard: i32, within: Duration) -> Result<Vec<Vec<u8>>, KafkaError> {
        let deadline = Instant::now() + within;
        let (low, high) = self
            .reader
            .fetch_watermarks(&self.topic, shard, QUESTION.min(within))?;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&self.topic, shard, Offset::Offset(low))?;
        self.reader.assign(&list)?;
        let mut pieces = BTreeMap::new();
        let mut next = low;
        while next < high {
            match self.reader.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    next = message.offset() + 1;
                    let (key, value) = (message.key().unwrap_or_default(), message.payload());
                    pieces.insert(key.to_vec(), value.unwrap_or_default().to_vec());
                }
                // The last records may be gone by compaction.
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                // What the client tells of its connections, maybe of an outage that is over, is no answer.
                Some(Err(error)) if Instant::now() >= deadline || is_final(&error) => return Err(error),
                Some(Err(_)) => {}
                None if Instant::now() < deadline => {}
                None => return Err(KafkaError::Global(Code::OperationTimedOut)),
            }
        }
        self.reader.unassign()?;
        Ok(pieces.into_values().collect())
    }
}

fn is_final(error: &KafkaError) -> bool {
    matches!(log_error(error), LogError::Fatal(_))
}

/// The newest snapshot of which all pieces are there.
fn newest(pieces: Vec<Vec<u8>>) -> Option<(u64, Vec<u8>)> {
    let mut snapshots: BTreeMap<u64, (u32, BTreeMap<u32, Vec<u8>>)> = BTreeMap::new();
    for piece in pieces {
        let Some((number, index, count, body)) = split(&piece) else {
            continue;
        };
        let (count, found) = snapshots
            .entry(number)
            .or_insert_with(|| (count, BTreeMap::new()));
        if index < *count {
            found.insert(index, body.to_vec());
        }
    }
    let whole = snapshots
        .into_iter()
        .rev()
        .find(|(_, (count, found))| found.len() == *count as usize);
    whole.map(|(number, (_, found))| (number, found.into_values().flatten().collect()))
}

/// Number, index, count and the bytes themselves.
fn split(piece: &[u8]) -> Option<(u64, u32, u32, &[u8])> {
    let (number, rest) = piece.split_first_chunk()?;
    let (index, rest) = rest.split_first_chunk()?;
    let (count, body) = rest.split_first_chunk()?;
    Some((
        u64::from_le_bytes(*number),
        u32::from_le_bytes(*index),
        u32::from_le_bytes(*count),
        body,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(number: u64, index: u32, count: u32, body: &[u8]) -> Vec<u8> {
        [
            &number.to_le_bytes()[..],
            &index.to_le_bytes(),
            &count.to_le_bytes(),
            body,
        ]
        .concat()
    }

    #[test]
    fn the_newest_whole_snapshot_counts() {
        assert_eq!(newest(Vec::new()), None);
        let mut pieces = vec![piece(7, 1, 2, b"b"), piece(7, 0, 2, b"a"), piece(8, 0, 2, b"c")];
        assert_eq!(
            newest(pieces.clone()),
            Some((7, b"ab".to_vec())),
            "8 is not whole"
        );
        pieces.push(piece(8, 1, 2, b"d"));
        assert_eq!(newest(pieces.clone()), Some((8, b"cd".to_vec())));
        pieces.extend([piece(9, 5, 1, b"x"), b"short".to_vec(), Vec::new()]);
        assert_eq!(
            newest(pieces),
            Some((8, b"cd".to_vec())),
            "foreign bytes count for nothing"
        );
    }
}
