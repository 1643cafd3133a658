use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};

use crate::settings::{Error, Settings};

const QUESTION: Duration = Duration::from_secs(15);
const BETWEEN: Duration = Duration::from_millis(50);
/// What a partition of the hop keeps: days of lag at any rate that one scorer can follow.
const HOP_RETENTION_BYTES: u64 = 64 << 30;

/// A topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPlan {
    /// Name.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
    /// Copies; -1 is the broker's default.
    pub replication: i32,
    /// Properties.
    pub properties: Vec<(&'static str, String)>,
}

impl TopicPlan {
    /// A topic for native events. Record time is the sender's, at most an hour ahead; what is older than `retention` goes.
    pub fn raw(name: &str, partitions: i32, replication: i32, retention: Duration, bytes_max: usize) -> Self {
        let properties = vec![
            ("message.timestamp.type", "CreateTime".to_owned()),
            ("message.timestamp.after.max.ms", "3600000".to_owned()),
            ("max.message.bytes", bytes_max.to_string()),
            ("retention.ms", retention.as_millis().to_string()),
        ];
        Self {
            name: name.to_owned(),
            partitions,
            replication,
            properties,
        }
    }

    /// A topic of ours: dead letters, requests, decisions. Kept until somebody takes them out.
    pub fn kept(name: &str, partitions: i32, replication: i32, bytes_max: usize) -> Self {
        let properties = vec![
            ("max.message.bytes", bytes_max.to_string()),
            ("retention.ms", "-1".to_owned()),
        ];
        Self {
            name: name.to_owned(),
            partitions,
            replication,
            properties,
        }
    }
}

impl TopicPlan {
    /// The hop from those who normalize to those who score. Its records have the times of their raw records, which may be
    /// older than any retention by time, so it goes by size alone.
    pub fn hop(name: &str, partitions: i32, replication: i32, bytes_max: usize) -> Self {
        let properties = vec![
            ("cleanup.policy", "delete".to_owned()),
            ("message.timestamp.type", "CreateTime".to_owned()),
            ("max.message.bytes", bytes_max.to_string()),
            ("retention.ms", "-1".to_owned()),
            ("retention.bytes", HOP_RETENTION_BYTES.to_string()),
        ];
        Self {
            name: name.to_owned(),
            partitions,
            replication,
            properties,
        }
    }

    /// A topic of which only the last record of each key counts.
    pub fn compacted(name: &str, partitions: i32, replication: i32) -> Self {
        let properties = vec![
            ("cleanup.policy", "compact".to_owned()),
            ("max.message.bytes", (1 << 20).to_string()),
            // Each snapshot replaces an older one: what is left of those should not be read for long.
            ("segment.bytes", (64 << 20).to_string()),
            ("min.cleanable.dirty.ratio", "0.3".to_owned()),
        ];
        Self {
            name: name.to_owned(),
            partitions,
            replication,
            properties,
        }
    }
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// Name.
    pub name: String,
    /// First and next offset of each partition.
    pub partitions: Vec<(i64, i64)>,
}

impl TopicState {
    /// Records that the topic holds.
    pub fn records(&self) -> i64 {
        self.partitions.iter().map(|(from, to)| to - from).sum()
    }
}

/// Creates topics and looks at them.
pub struct Admin {
    client: AdminClient<DefaultClientContext>,
    reader: BaseConsumer,
    settings: Settings,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Admin {
    /// Connects when something is asked.
    ///
    /// # Errors
    /// Where librdkafka refuses the settings.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let client = settings
            .admin()
            .create()
            .map_err(|error| settings.error("creating an admin client", error))?;
        let reader = settings
            .reader()
            .create()
            .map_err(|error| settings.error("creating a reader", error))?;
        Ok(Self {
            client,
            reader,
            settings: settings.clone(),
        })
    }

    /// Creates those of the topics that are missing and says which. What is there stays as it is.
    ///
    /// # Errors
    /// Where the brokers refuse one, or do not answer.
    pub async fn create(&self, plans: &[TopicPlan]) -> Result<Vec<String>, Error> {
        let topics: Vec<NewTopic<'_>> = plans
            .iter()
            .map(|plan| {
                let topic = NewTopic::new(
                    &plan.name,
                    plan.partitions,
                    TopicReplication::Fixed(plan.replication),
                );
                plan.properties
                    .iter()
                    .fold(topic, |topic, (name, value)| topic.set(name, value))
            })
            .collect();
        let options = AdminOptions::new()
            .request_timeout(Some(QUESTION))
            .operation_timeout(Some(QUESTION));
        let answers = self.client.create_topics(&topics, &options).await;
        let answers = answers.map_err(|error| self.settings.error("creating topics", error))?;
        let mut created = Vec::new();
        for answer in answers {
            match answer {
                Ok(name) => created.push(name),
                Err((_, Code::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    return Err(self
                        .settings
                        .error(format!("creating topic {name}"), KafkaError::AdminOp(code)));
                }
            }
        }
        // The answer comes before the brokers can serve the topics, and whoever asks next would find none.
        let asked = Instant::now();
        for name in &created {
            while self.look(name)?.is_none() && asked.elapsed() < QUESTION {
                std::thread::sleep(BETWEEN);
            }
        }
        Ok(created)
    }

    /// How many partitions a topic has; `None` where the brokers know none of this name.
    ///
    /// # Errors
    /// Where the brokers do not answer in this time.
    pub fn partitions(&self, name: &str, within: Duration) -> Result<Option<usize>, Error> {
        let numbers = self.numbers(name, within)?;
        Ok(numbers.map(|numbers| numbers.len()))
    }

    /// The offset after the newest record of each partition of a topic; `None` where the brokers know none of this name.
    ///
    /// # Errors
    /// Where the brokers do not answer one of the questions in this time.
    pub fn ends(&self, name: &str, within: Duration) -> Result<Option<Vec<(i32, i64)>>, Error> {
        let Some(numbers) = self.numbers(name, within)? else {
            return Ok(None);
        };
        let ends = numbers.into_iter().map(|number| {
            let watermarks = self.reader.fetch_watermarks(name, number, within);
            let (_, end) = watermarks.map_err(|error| self.about(name, error))?;
            Ok((number, end))
        });
        ends.collect::<Result<_, _>>().map(Some)
    }

    /// The numbers of a topic's partitions; `None` where the brokers know none of this name.
    fn numbers(&self, name: &str, within: Duration) -> Result<Option<Vec<i32>>, Error> {
        let metadata = self.reader.fetch_metadata(Some(name), within);
        let metadata = metadata.map_err(|error| self.about(name, error))?;
        let known = metadata
            .topics()
            .iter()
            .find(|topic| topic.name() == name && topic.error().is_none());
        Ok(known.map(|topic| {
            topic
                .partitions()
                .iter()
                .map(|partition| partition.id())
                .collect()
        }))
    }

    /// What the group has committed of a topic, and the ends: records that it has not done yet, by partition. `None` where
    /// the brokers know none of this name. Where nothing is committed all that the partition holds is not done.
    ///
    /// # Errors
    /// Where the brokers do not answer.
    pub fn lag(&self, name: &str) -> Result<Option<Vec<(i32, i64)>>, Error> {
        let Some(state) = self.look(name)? else {
            return Ok(None);
        };
        let mut asked = TopicPartitionList::with_capacity(state.partitions.len());
        for number in 0..state.partitions.len() {
            asked.add_partition(name, number as i32);
        }
        let committed = self.reader.committed_offsets(asked, QUESTION);
        let committed = committed.map_err(|error| self.about(name, error))?;
        let lag = state.partitions.iter().zip(0..).map(|(&(from, to), number)| {
            let found = committed.find_partition(name, number);
            match found.map(|element| element.offset()) {
                Some(Offset::Offset(offset)) => (number, (to - offset.max(from)).max(0)),
                _ => (number, to - from),
            }
        });
        Ok(Some(lag.collect()))
    }

    fn about(&self, name: &str, error: KafkaError) -> Error {
        self.settings.error(format!("looking at topic {name}"), error)
    }

    /// First and next offset. A partition that was made a moment ago has no leader yet: it is asked again.
    fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64), KafkaError> {
        let asked = Instant::now();
        loop {
            let answer = self.reader.fetch_watermarks(topic, partition, QUESTION);
            let code = answer.as_ref().err().and_then(KafkaError::rdkafka_error_code);
            let early = matches!(code, Some(Code::NotLeaderForPartition | Code::LeaderNotAvailable));
            if !early || asked.elapsed() > QUESTION {
                return answer;
            }
            std::thread::sleep(BETWEEN);
            // The leader that the client knows may be an old one.
            self.reader.fetch_metadata(Some(topic), QUESTION)?;
        }
    }

    /// What a topic holds; `None` where there is none of this name.
    ///
    /// # Errors
    /// Where the brokers do not answer.
    pub fn look(&self, name: &str) -> Result<Option<TopicState>, Error> {
        let Some(numbers) = self.numbers(name, QUESTION)? else {
            return Ok(None);
        };
        let partitions = numbers.into_iter().map(|number| self.watermarks(name, number));
        let partitions: Result<_, _> = partitions.collect();
        let partitions = partitions.map_err(|error| self.about(name, error))?;
        Ok(Some(TopicState {
            name: name.to_owned(),
            partitions,
        }))
    }
}
