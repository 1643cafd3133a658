use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use changegate_policy::Thresholds;
use regex::Regex;
use toml::{Table, Value as Toml};

use crate::{
    Error, LocalEngines, LogFormat, Problem, RawSettings, Reads, SaslMechanism, Secret, SecurityProtocol,
    Stages,
    error::Problems,
    overrides,
    value::{Properties, Value},
};

/// Where the file is looked for when none is named.
pub const SEARCH_PATH: [&str; 2] = ["changegate.toml", "/etc/changegate/changegate.toml"];

/// Everything that was configured, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file; `None` where defaults and variables are all there is.
    pub file: Option<PathBuf>,
    /// Who this installation works for.
    pub tenant: Tenant,
    /// Where the changes come from.
    pub kafka: Kafka,
    /// Where the rows go.
    pub clickhouse: ClickHouse,
    /// The local engines.
    pub engines: Engines,
    /// Which topic carries which source; names are whole.
    pub topics: Vec<Topic>,
    /// Rules from account, cluster … to environment, in their order. No match is `unknown`, judged as production.
    pub environments: Vec<Environment>,
    /// What needs approval.
    pub decision: Decision,
    /// The model that scores.
    pub model: Model,
    /// What the scorer remembers.
    pub state: State,
    /// When rows are written.
    pub batch: Batch,
    /// Which part of the work is ours.
    pub stages: Staging,
    /// Probes and metrics.
    pub http: Http,
    /// Logs and traces.
    pub telemetry: Telemetry,
    /// Limits on dead letters.
    pub dead_letters: DeadLetters,
    pub(crate) raw: RawSettings,
}

/// `[tenant]`
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Name in every row and id.
    pub uid: String,
    /// Key of the commitments that stand for secrets; [`Settings::require_for_serve`] insists on it.
    pub mask_key: Option<Secret>,
    /// More patterns for ticket references.
    pub ticket_patterns: Vec<Regex>,
    /// More names of members that hold secrets, in lower case.
    pub secret_key_names: Vec<String>,
    /// More patterns of secrets.
    pub secret_patterns: Vec<Regex>,
}

/// `[kafka]`
#[derive(Clone, Debug)]
pub struct Kafka {
    /// Brokers, `host:port,host:port`; empty where none is configured.
    pub bootstrap: String,
    /// Consumer group.
    pub group: String,
    /// Stem of `group.instance.id`; the caller falls back to the host name.
    pub instance_id: Option<String>,
    /// Put before names of our own topics.
    pub topic_prefix: String,
    /// Consumers in this process, 1 or more.
    pub workers: u16,
    /// Protection of the connection.
    pub security_protocol: SecurityProtocol,
    /// Who we are; there exactly when the protocol asks for it.
    pub sasl: Option<Sasl>,
    /// PEM file of authorities.
    pub ssl_ca_location: Option<PathBuf>,
    /// PEM file of our certificate.
    pub ssl_certificate_location: Option<PathBuf>,
    /// PEM file of its key.
    pub ssl_key_location: Option<PathBuf>,
    /// Password of that key.
    pub ssl_key_password: Option<Secret>,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `max.poll.interval.ms`.
    pub max_poll_interval: Duration,
    /// How long after an assignment a backlog is merged by record time.
    pub order_backlog: Duration,
    /// Records whose loss is accepted.
    pub accept_retention_gap: Vec<LostRecords>,
    /// Largest record of a raw topic.
    pub raw_record_bytes_max: usize,
    /// Largest record of a dead-letter topic: 64 KiB more, for the headers that say why.
    pub dlq_record_bytes_max: usize,
    /// Copies of created topics; -1 is the broker's default.
    pub replication: i16,
    /// Retention of raw topics.
    pub retention: Duration,
    /// More librdkafka properties. None of those that delivery rests on is among them.
    pub properties: Properties,
}

/// Records of one partition that Kafka deleted before they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRecords {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// First offset.
    pub from: i64,
    /// Offset after the last.
    pub to: i64,
}

/// SASL credentials.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// Mechanism.
    pub mechanism: SaslMechanism,
    /// User.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// A user of ClickHouse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickHouseUser {
    /// Name.
    pub name: String,
    /// Password; none for users without.
    pub password: Option<Secret>,
}

/// `[clickhouse]`
#[derive(Clone, Debug)]
pub struct ClickHouse {
    /// `http://…` or `https://…` without a slash at the end; empty where none is configured.
    pub url: String,
    /// Database.
    pub database: String,
    /// Writes rows.
    pub writer: ClickHouseUser,
    /// Answers questions.
    pub reader: ClickHouseUser,
    /// Runs migrations.
    pub admin: ClickHouseUser,
    /// PEM file of the authority.
    pub ca_file: Option<PathBuf>,
    /// Cluster.
    pub cluster: Option<String>,
    /// Opening a connection.
    pub connect_timeout: Duration,
    /// One send of an insert.
    pub send_timeout: Duration,
    /// One question.
    pub query_timeout: Duration,
    /// First wait before a repeat.
    pub backoff_min: Duration,
    /// Longest wait before a repeat.
    pub backoff_max: Duration,
}

/// `[engines]`
#[derive(Clone, Debug)]
pub struct Engines {
    /// Whether `up` may start engines.
    pub local: LocalEngines,
    /// Their data and logs.
    pub data_dir: PathBuf,
    /// Port of the broker; 0 is a free one.
    pub kafka_port: u16,
    /// HTTP port of ClickHouse; 0 is a free one.
    pub clickhouse_http_port: u16,
    /// Native port of ClickHouse; 0 is a free one.
    pub clickhouse_tcp_port: u16,
    /// Heap of the JVM.
    pub kafka_heap_bytes: u64,
}

/// `[[topics]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Whole name.
    pub name: String,
    /// A known source.
    pub source: String,
    /// Tenant of its records.
    pub tenant: String,
    /// Cluster of its records; empty if none.
    pub cluster: String,
    /// Partitions where we create it, 1 or more.
    pub partitions: u16,
    /// What becomes of reads.
    pub reads: Reads,
}

/// `[[environments]]`: every list that is not empty must have a pattern that matches. `*` is any text, `?` one character,
/// case does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Name of the environment.
    pub environment: String,
    /// Team that owns it; empty if nobody was named.
    pub owner: String,
    /// Audit scopes.
    pub scope_tags: Vec<String>,
    /// Patterns over the cloud account: account, subscription and project are one list.
    pub account: Vec<String>,
    /// Patterns over the cluster.
    pub cluster: Vec<String>,
    /// Patterns over the namespace.
    pub namespace: Vec<String>,
    /// Patterns over `owner/name` of the repository.
    pub repository: Vec<String>,
}

/// `[decision]`
#[derive(Clone, Debug)]
pub struct Decision {
    /// From score to decision.
    pub thresholds: Thresholds,
    /// Older events ask nothing.
    pub approval_max_age: Duration,
    /// Requests per hour before they are grouped.
    pub budget_per_hour: u32,
    /// How long a stratum of a source learns, in hours of Kafka time.
    pub learning_hours: u32,
    /// Risk points from which it asks until then.
    pub learning_approve_from: f32,
    /// Whether decisions are published.
    pub publish_decisions: bool,
    /// Whole name of the topic of requests.
    pub approval_topic: String,
    /// Whole name of the topic of decisions.
    pub decision_topic: String,
}

/// `[model]`
#[derive(Clone, Debug)]
pub struct Model {
    /// Folder; `None` is the one that comes with the program.
    pub path: Option<PathBuf>,
    /// Hash it must have, in lower case.
    pub hash: Option<String>,
}

/// `[state]`
#[derive(Clone, Debug)]
pub struct State {
    /// Folder of snapshots.
    pub dir: PathBuf,
    /// Time between snapshots.
    pub snapshot_interval: Duration,
    /// Records per partition that are learned from again where there is no snapshot.
    pub learn_back_records: u32,
    /// Actors remembered.
    pub actors_max: usize,
    /// Counts of single actors.
    pub actor_counts_max: usize,
    /// Counts of peers and tenants.
    pub shared_counts_max: usize,
    /// Unusual events that wait to be learned.
    pub waiting_max: usize,
    /// How long they wait, in hours of record time.
    pub waiting_hours: u32,
    /// Recent ids remembered.
    pub recent_ids_max: usize,
    /// Changes remembered whose request is out.
    pub asked_max: usize,
}

/// `[batch]`
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Rows per insert.
    pub rows: usize,
    /// Bytes per insert.
    pub bytes: usize,
    /// Months of Kafka time per batch.
    pub months_max: usize,
    /// Age at which a batch is written.
    pub wait: Duration,
    /// Records per block.
    pub block: usize,
    /// An insert while partitions are lost or the program stops.
    pub drain_deadline: Duration,
    /// Memory under way over all workers.
    pub memory_max_bytes: usize,
}

/// `[stages]`
#[derive(Clone, Debug)]
pub struct Staging {
    /// Which.
    pub run: Stages,
    /// Whole name of the hop's topic.
    pub hop_topic: String,
    /// Its partitions, 1 or more.
    pub shards: u16,
    /// Whole name of the topic of snapshots.
    pub state_topic: String,
}

/// `[http]`
#[derive(Clone, Copy, Debug)]
pub struct Http {
    /// Address; `None` serves nothing.
    pub listen: Option<SocketAddr>,
}

/// `[telemetry]`
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// How lines look.
    pub log_format: LogFormat,
    /// Filter.
    pub log_level: String,
    /// Whether traces are sent.
    pub traces: bool,
    /// Name in traces.
    pub service_name: String,
}

/// `[dead_letters]`
#[derive(Clone, Debug)]
pub struct DeadLetters {
    /// Put after a topic's name.
    pub suffix: String,
    /// Share of dead-lettered records above which the stream stops.
    pub share_max: Option<f32>,
    /// Records the share is taken over.
    pub share_records: u32,
    /// Run of dead-lettered records after which the stream stops.
    pub run_max: Option<u32>,
}

impl Settings {
    /// Reads `file`, or else the first of [`SEARCH_PATH`] that is there, or else nothing but defaults; lays the
    /// variables in `env` over it; checks everything. `known_sources` are the names that a topic may carry.
    ///
    /// # Errors
    /// A file that cannot be read or is no TOML, or the list of all values that cannot be used.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        known_sources: &[&str],
    ) -> Result<Self, Error> {
        let searched: Vec<&Path> = match file {
            Some(named) => vec![named],
            None => SEARCH_PATH.iter().map(Path::new).collect(),
        };
        for path in searched {
            match fs::read_to_string(path) {
                Ok(text) => return Self::parse(&text, Some(path), env, known_sources),
                Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(Error::Read {
                        path: path.to_owned(),
                        source,
                    });
                }
            }
        }
        Self::parse("", None, env, known_sources)
    }

    /// As [`Settings::load`], with the text of the file given.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn parse(
        text: &str,
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        known_sources: &[&str],
    ) -> Result<Self, Error> {
        let origin = file.map_or_else(|| "defaults".to_owned(), |path| path.display().to_string());
        let mut table: Table = toml::from_str(text).map_err(|error: toml::de::Error| Error::Syntax {
            origin: origin.clone(),
            message: error.to_string(),
        })?;
        let mut problems = Problems::default();
        let variable_of = overrides::apply(&mut table, env, &mut problems);
        overrides::read_secret_files(&mut table, &mut problems);
        let raw = RawSettings::read(Toml::Table(table), "", &mut problems).unwrap_or_default();
        let settings = raw.check(file, known_sources, &mut problems);
        problems.finish(|key| match overrides::variable_behind(&variable_of, key) {
            Some(variable) => format!("environment variable {variable}"),
            None => origin.clone(),
        })?;
        Ok(settings)
    }

    /// The defaults: everything on this machine, one topic per known source. `up` and `demo` start from them.
    pub fn defaults_local(known_sources: &[&str]) -> Self {
        RawSettings::default().check(None, known_sources, &mut Problems::default())
    }

    /// What `serve` needs and `up` makes itself: the mask key and the addresses of both engines.
    ///
    /// # Errors
    /// Lists what is missing.
    pub fn require_for_serve(&self) -> Result<(), Error> {
        let origin = match &self.file {
            Some(path) => path.display().to_string(),
            None => "no config file".to_owned(),
        };
        let needed = [
            (
                self.tenant.mask_key.is_none(),
                "tenant.mask_key",
                "is required: set mask_key_file to a file with 16 bytes or more, made once and kept",
            ),
            (
                self.kafka.bootstrap.is_empty(),
                "kafka.bootstrap",
                "is required: host:port of a broker (`changegate up` starts one by itself)",
            ),
            (
                self.clickhouse.url.is_empty(),
                "clickhouse.url",
                "is required: http://host:8123 (`changegate up` starts a server by itself)",
            ),
        ];
        let problems: Vec<Problem> = needed
            .into_iter()
            .filter(|(missing, ..)| *missing)
            .map(|(_, key, message)| Problem {
                origin: origin.clone(),
                key: key.to_owned(),
                message: message.to_owned(),
            })
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid { problems })
        }
    }

    /// The group of those who read the hop.
    pub fn scoring_group(&self) -> String {
        format!("{}.score", self.kafka.group)
    }

    /// The topic of dead letters beside a topic.
    pub fn dead_letter_topic(&self, topic: &str) -> String {
        format!("{topic}{}", self.dead_letters.suffix)
    }

    /// The settings of a topic that is read.
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.iter().find(|topic| topic.name == name)
    }
}
