use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use changegate_clickhouse::{ClickHouseLedger, LedgerClient, Options, grants, migrate};
use changegate_engines::{ClickHouse, ClickHouseOptions, Kafka, KafkaOptions, User};
use changegate_kafka::{Admin, Sender, Settings, TopicPlan};
use changegate_types::TimeMicros;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::until;

const QUESTION: Duration = Duration::from_secs(20);

/// Both engines, for all tests of a program; each test takes topics, a group and a database of its own.
#[derive(Debug)]
pub struct Site {
    /// ClickHouse.
    pub clickhouse: ClickHouse,
    /// Kafka.
    pub kafka: Kafka,
    runtime: tokio::runtime::Runtime,
    folder: PathBuf,
}

/// What a group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset; `None` where nothing is committed.
    pub offset: Option<i64>,
    /// Not empty: a fence is open.
    pub metadata: String,
}

/// A record as a consumer sees it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Key, as text.
    pub key: String,
    /// Headers, values as text.
    pub headers: Vec<(String, String)>,
    /// Value.
    pub value: Vec<u8>,
}

impl Message {
    /// The first header of this name; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value)
    }
}

impl Site {
    /// Starts them; users may use these databases.
    ///
    /// # Panics
    /// Where an engine is missing: `scripts/setup.sh` brings it.
    pub fn start(databases: &[&str]) -> Self {
        Self::start_with(&Self::clickhouse_options(databases))
    }

    /// Writer and reader of these databases.
    pub fn clickhouse_options(databases: &[&str]) -> ClickHouseOptions {
        let user = |name: &str, grants: fn(&str) -> Vec<String>| User {
            name: name.to_owned(),
            password: name.to_owned(),
            grants: databases.iter().flat_map(|database| grants(database)).collect(),
            // A sender that hangs with half an insert sent is given up after this many seconds.
            settings: vec![("http_receive_timeout".to_owned(), "5".to_owned())],
        };
        ClickHouseOptions {
            users: vec![user("writer", grants::writer), user("reader", grants::reader)],
            ..ClickHouseOptions::default()
        }
    }

    /// The same with a ClickHouse of one's own.
    ///
    /// # Panics
    /// Where an engine is missing: `scripts/setup.sh` brings it.
    pub fn start_with(options: &ClickHouseOptions) -> Self {
        let clickhouse = ClickHouse::start(options);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let kafka = Kafka::start(&KafkaOptions::default()).expect("Kafka starts");
        // A test may have a site of its own beside the others'.
        let name = format!("changegate-delivery-{}-{}", std::process::id(), kafka.port());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder for configurations and logs");
        Self {
            clickhouse: clickhouse.expect("ClickHouse starts"),
            kafka,
            runtime,
            folder,
        }
    }

    /// For configurations, logs and state of the programs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits for a future.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Kafka, for this group.
    pub fn kafka_settings(&self, group: &str) -> Settings {
        Settings {
            bootstrap: self.kafka.bootstrap(),
            group: group.to_owned(),
            session_timeout: Duration::from_secs(10),
            max_poll_interval: Duration::from_secs(300),
            record_bytes_max: (1 << 20) + (64 << 10),
            properties: Vec::new(),
        }
    }

    /// Creates topics: name and partitions.
    pub fn create_topics(&self, topics: &[(&str, i32)]) {
        let retention = Duration::from_secs(14 * 24 * 3_600);
        let plans: Vec<TopicPlan> = topics
            .iter()
            .map(|(name, partitions)| TopicPlan::raw(name, *partitions, 1, retention, 1 << 20))
            .collect();
        let admin = Admin::new(&self.kafka_settings("none")).expect("an admin client");
        self.wait(admin.create(&plans)).expect("topics are made");
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new()
            .set("bootstrap.servers", self.kafka.bootstrap())
            .create()
            .expect("an admin client")
    }

    /// Deletes a topic, and with it what groups have committed for it.
    #[track_caller]
    pub fn delete_topic(&self, name: &str) {
        let options = AdminOptions::new().operation_timeout(Some(QUESTION));
        let answers = self.wait(self.admin().delete_topics(&[name], &options));
        for answer in answers.expect("the broker answers") {
            answer.expect("the topic goes");
        }
    }

    /// Deletes the records below these offsets, as retention does.
    #[track_caller]
    pub fn delete_records(&self, topic: &str, below: &[i64]) {
        let mut offsets = TopicPartitionList::new();
        for (partition, below) in (0..).zip(below) {
            let added = offsets.add_partition_offset(topic, partition, Offset::Offset(*below));
            added.expect("an offset");
        }
        let options = AdminOptions::new().operation_timeout(Some(QUESTION));
        let answers = self.wait(self.admin().delete_records(&offsets, &options));
        for answer in answers.expect("the broker answers").elements() {
            answer.error().expect("the records go");
        }
    }

    /// Deletes a group with all it has committed, as expiry does. Its members must have left; a static one stays until
    /// its session ends.
    #[track_caller]
    pub fn delete_group(&self, name: &str) {
        let options = AdminOptions::new();
        let admin = self.admin();
        until("the group is empty and goes", || {
            let answers = self.wait(admin.delete_groups(&[name], &options));
            answers
                .is_ok_and(|answers| answers.iter().all(Result::is_ok))
                .then_some(())
        });
    }

    /// Sends records.
    pub fn sender(&self) -> Sender {
        Sender::new(&self.kafka_settings("none")).expect("a producer")
    }

    /// A migrated database, as its administrator.
    pub fn database(&self, name: &str) -> LedgerClient {
        let admin = self.clickhouse.admin();
        let client = self.client(name, &admin.user, &admin.password);
        self.wait(migrate::run(
            &client,
            &migrate::Form::Single,
            TimeMicros(0),
            "test",
        ))
        .expect("migrations run");
        client
    }

    /// The ledger as the pipeline uses it.
    pub fn ledger(&self, database: &str) -> ClickHouseLedger {
        let client = self.client(database, "writer", "writer");
        ClickHouseLedger::new(client, self.runtime.handle().clone())
    }

    fn client(&self, database: &str, user: &str, password: &str) -> LedgerClient {
        let options = Options::new(self.clickhouse.url(), database).with_user(user, password);
        LedgerClient::new(options).expect("the settings are right")
    }

    /// Rows of an answer, cells as text.
    #[track_caller]
    pub fn rows(&self, client: &LedgerClient, sql: &str) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        if let Err(error) = self.wait(client.copy(sql, "TSV", &mut out)) {
            panic!("{sql}: {error}");
        }
        let text = String::from_utf8(out).expect("text");
        text.lines()
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect()
    }

    /// The one row of numbers that the question has as its answer.
    #[track_caller]
    pub fn numbers<const N: usize>(&self, client: &LedgerClient, sql: &str) -> [u64; N] {
        let rows = self.rows(client, sql);
        let numbers: Vec<u64> = rows
            .iter()
            .flatten()
            .filter_map(|cell| cell.parse().ok())
            .collect();
        let found = numbers.len();
        numbers
            .try_into()
            .unwrap_or_else(|_| panic!("{N} numbers, not {found}, in the answer to {sql}"))
    }

    /// A client that joins no group.
    pub fn looker(&self, group: &str) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", self.kafka.bootstrap())
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .create()
            .expect("a consumer")
    }

    /// Where a partition ends.
    pub fn end_of(&self, looker: &BaseConsumer, topic: &str, partition: i32) -> i64 {
        // A broker that was started a moment ago does not lead its partitions yet.
        until("the broker says where a partition ends", || {
            looker.fetch_watermarks(topic, partition, QUESTION).ok()
        })
        .1
    }

    /// Ids of a group's members, those included whose session has not ended yet. A member's own name comes first in it.
    pub fn members(&self, looker: &BaseConsumer, group: &str) -> Vec<String> {
        let groups = until("the coordinator answers", || {
            looker.fetch_group_list(Some(group), QUESTION).ok()
        });
        let members = groups.groups().iter().flat_map(|group| group.members());
        members.map(|member| member.id().to_owned()).collect()
    }

    /// What the looker's group has committed.
    pub fn committed(&self, looker: &BaseConsumer, topics: &[(&str, i32)]) -> Vec<Committed> {
        let mut asked = TopicPartitionList::new();
        for (topic, partitions) in topics {
            (0..*partitions).for_each(|partition| {
                asked.add_partition(topic, partition);
            });
        }
        // A broker that was started a moment ago does not know yet what it coordinates.
        let answer = until("the coordinator answers", || {
            looker.committed_offsets(asked.clone(), QUESTION).ok()
        });
        answer
            .elements()
            .iter()
            .map(|element| Committed {
                topic: element.topic().to_owned(),
                partition: element.partition(),
                offset: match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                },
                metadata: element.metadata().to_owned(),
            })
            .collect()
    }

    /// Whether everything of these topics is durable and committed: no fence is open, no record is left.
    pub fn is_done(&self, looker: &BaseConsumer, topics: &[(&str, i32)]) -> bool {
        self.committed(looker, topics).iter().all(|committed| {
            let (low, high) = looker
                .fetch_watermarks(&committed.topic, committed.partition, QUESTION)
                .expect("the broker answers");
            committed.metadata.is_empty() && (committed.offset == Some(high) || low == high)
        })
    }

    /// Every record that a topic holds.
    pub fn messages(&self, topic: &str) -> Vec<Message> {
        let looker = self.looker("none");
        let metadata = looker
            .fetch_metadata(Some(topic), QUESTION)
            .expect("the broker answers");
        let mut assigned = TopicPartitionList::new();
        let mut left = 0;
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            let (low, high) = looker
                .fetch_watermarks(topic, partition.id(), QUESTION)
                .expect("the broker answers");
            left += high - low;
            let added = assigned.add_partition_offset(topic, partition.id(), Offset::Beginning);
            added.expect("an offset");
        }
        looker.assign(&assigned).expect("the partitions are there");
        let mut messages = Vec::new();
        while left > 0 {
            let message = looker
                .poll(QUESTION)
                .expect("records come")
                .expect("they are whole");
            let headers = message
                .headers()
                .into_iter()
                .flat_map(|headers| headers.iter())
                .map(|header| {
                    let value = String::from_utf8_lossy(header.value.unwrap_or_default());
                    (header.key.to_owned(), value.into_owned())
                })
                .collect();
            messages.push(Message {
                key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
                headers,
                value: message.payload().unwrap_or_default().to_vec(),
            });
            left -= 1;
        }
        messages
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // A folder that stays is no fault of what was tested.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
