//! Every section and key, with unit, default and effect. `deploy/changegate.toml` shows all of them.

use std::{path::PathBuf, time::Duration};

use crate::{
    schema::{keywords, section},
    value::{ByteSize, Properties, Secret},
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

section! {
    /// The whole file, unchecked.
    RawSettings {
        /// Who this installation works for, and what must be kept out of every store.
        tenant: RawTenant = RawTenant::default(),
        /// Where the changes come from.
        kafka: RawKafka = RawKafka::default(),
        /// Where the rows go.
        clickhouse: RawClickHouse = RawClickHouse::default(),
        /// The Kafka and ClickHouse that `changegate up` starts on this machine.
        engines: RawEngines = RawEngines::default(),
        /// Which topic carries which source. None given: one topic per known source, named `changegate.raw.<source>.v1`.
        topics: Vec<RawTopic> = Vec::new(),
        /// Rules from account, project, namespace … to environment and owner; the first that matches counts.
        environments: Vec<RawEnvironment> = Vec::new(),
        /// From when on a change needs approval, and what keeps requests from becoming a storm.
        decision: RawDecision = RawDecision::default(),
        /// The model that scores.
        model: RawModel = RawModel::default(),
        /// What the scorer remembers.
        state: RawState = RawState::default(),
        /// When rows are written, and how much may wait in memory.
        batch: RawBatch = RawBatch::default(),
        /// Which part of the work this process does.
        stages: RawStages = RawStages::default(),
        /// Probes and metrics.
        http: RawHttp = RawHttp::default(),
        /// Logs and traces.
        telemetry: RawTelemetry = RawTelemetry::default(),
        /// Limits that stop a bad roll-out instead of dead-lettering everything.
        dead_letters: RawDeadLetters = RawDeadLetters::default(),
    }
}

section! {
    /// `[tenant]`
    RawTenant {
        /// Name of the tenant in every row and in every id. Default "default". Changing it changes all ids.
        uid: String = "default".to_owned(),
        /// Key (16 bytes or more) of the commitments that replace secrets in what is stored. No default; `serve` needs
        /// it, `up` makes one. Another key gives other bytes for the same secret.
        mask_key: Option<Secret> = None,
        /// More regular expressions for ticket references, beside `ABC-123`, `CHG…` and `INC…`. Default none.
        ticket_patterns: Vec<String> = Vec::new(),
        /// More names of JSON members whose values are secrets, compared without case. Default none.
        secret_key_names: Vec<String> = Vec::new(),
        /// More regular expressions for texts that are secrets wherever they stand. Default none.
        secret_patterns: Vec<String> = Vec::new(),
    }
}

keywords! {
    /// How the connection to Kafka is protected.
    SecurityProtocol {
        /// Neither encrypted nor authenticated.
        Plaintext = "plaintext",
        /// TLS.
        Ssl = "ssl",
        /// A password over an open line.
        SaslPlaintext = "sasl_plaintext",
        /// A password over TLS.
        SaslSsl = "sasl_ssl",
    }
}

keywords! {
    /// How a client proves who it is. OAUTHBEARER and GSSAPI need libraries that are not built in.
    SaslMechanism {
        /// User and password as they are; Event Hubs speaks it.
        Plain = "PLAIN",
        /// Salted challenge, SHA-256.
        ScramSha256 = "SCRAM-SHA-256",
        /// Salted challenge, SHA-512.
        ScramSha512 = "SCRAM-SHA-512",
    }
}

section! {
    /// `[kafka]`
    RawKafka {
        /// `host:port` of some brokers, separated by commas. Default empty: `up` starts a broker, `serve` refuses.
        bootstrap: String = String::new(),
        /// Consumer group. Default "changegate".
        group: String = "changegate".to_owned(),
        /// Static membership: stem of `group.instance.id`, one per process, the same after a restart. Default: the host name.
        instance_id: Option<String> = None,
        /// Put before the names of topics that are ours, such as "prod.". Default empty. Names in `[[topics]]` are whole.
        topic_prefix: String = String::new(),
        /// Consumers in this process; more than there are partitions stand idle. Default 1.
        workers: u16 = 1,
        /// plaintext, ssl, sasl_plaintext or sasl_ssl. Default "plaintext".
        security_protocol: SecurityProtocol = SecurityProtocol::Plaintext,
        /// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, with a sasl_… protocol. No default.
        sasl_mechanism: Option<SaslMechanism> = None,
        /// User of SASL; `$ConnectionString` for Event Hubs. No default.
        sasl_username: Option<String> = None,
        /// Its password. No default.
        sasl_password: Option<Secret> = None,
        /// PEM file of the authorities that sign the brokers' certificates. Default: the system's.
        ssl_ca_location: Option<PathBuf> = None,
        /// PEM file of our certificate, where brokers ask for one. No default.
        ssl_certificate_location: Option<PathBuf> = None,
        /// PEM file of its private key. No default.
        ssl_key_location: Option<PathBuf> = None,
        /// Password of that key. No default.
        ssl_key_password: Option<Secret> = None,
        /// After this long without a heartbeat the group takes our partitions away. Default "45s".
        session_timeout: Duration = 45 * SECOND,
        /// After this long without a poll, too; twice `batch.drain_deadline` at the least. Default "5m".
        max_poll_interval: Duration = 300 * SECOND,
        /// So long after an assignment a backlog is merged by record time over all partitions, to the minute, so that
        /// the score sees things in the order they happened; partitions that were current wait for those that were
        /// not. "0s": read as it comes. Default "10m".
        order_backlog: Duration = 600 * SECOND,
        /// Records that Kafka deleted before they were read, and without which the stream may go on: each
        /// `"TOPIC/PARTITION FROM..TO"`, as the error says that stopped it. What lies within is skipped and noted in
        /// `operations`; any other gap stops the stream again. Default none.
        accept_retention_gap: Vec<String> = Vec::new(),
        /// Largest record a raw topic takes; a dead-letter topic takes 64 KiB more. Default "1MiB".
        raw_record_bytes_max: ByteSize = ByteSize::mib(1),
        /// Copies of each topic that `topics` creates; -1 is the broker's default. Default -1.
        replication: i16 = -1,
        /// How long raw topics keep records: replays and repairs reach back this far. Default "14d".
        retention: Duration = 14 * 24 * HOUR,
        /// More librdkafka properties, passed through; those that delivery rests on are refused. Default none.
        properties: Properties = Properties::default(),
    }
}

section! {
    /// `[clickhouse]`
    RawClickHouse {
        /// `http://host:8123` or `https://host:8443`. Default empty: `up` starts a server, `serve` refuses.
        url: String = String::new(),
        /// Database of all tables and views. Default "changegate".
        database: String = "changegate".to_owned(),
        /// Writes rows; `migrate` prints its grants. Default "changegate_writer".
        user: String = "changegate_writer".to_owned(),
        /// Its password. No default.
        password: Option<Secret> = None,
        /// Answers `sql`, `approvals`, `dlq` and `score --replay`. Default: `user`.
        reader_user: Option<String> = None,
        /// Its password. No default.
        reader_password: Option<Secret> = None,
        /// Runs `migrate`. Default: `user`.
        admin_user: Option<String> = None,
        /// Its password. No default.
        admin_password: Option<Secret> = None,
        /// PEM file of the authority behind an https server. Default: the system's.
        ca_file: Option<PathBuf> = None,
        /// Name of the cluster for `ON CLUSTER` and Distributed tables. Default: a single server.
        cluster: Option<String> = None,
        /// How long opening a connection may take. Default "5s".
        connect_timeout: Duration = 5 * SECOND,
        /// How long one send of an insert may take until it is tried again on a new connection. Default "10s".
        send_timeout: Duration = 10 * SECOND,
        /// How long a question may take. Default "60s".
        query_timeout: Duration = 60 * SECOND,
        /// First wait before a refused or lost request is sent again; it doubles. Default "100ms".
        backoff_min: Duration = Duration::from_millis(100),
        /// Longest such wait. Default "10s".
        backoff_max: Duration = 10 * SECOND,
    }
}

keywords! {
    /// Whether `up` may start engines.
    LocalEngines {
        /// Start those that no address is configured for.
        Auto = "auto",
        /// Start none; a missing address is an error.
        Never = "never",
    }
}

section! {
    /// `[engines]`
    RawEngines {
        /// "auto": `up` starts each engine that no address is configured for. "never": none. Default "auto".
        local: LocalEngines = LocalEngines::Auto,
        /// Folder of their data and logs, and of the key that `up` makes. Default "changegate-data".
        data_dir: PathBuf = PathBuf::from("changegate-data"),
        /// Port of the local broker; 0 takes a free one. Default 0.
        kafka_port: u16 = 0,
        /// HTTP port of the local ClickHouse; 0 takes a free one. Default 0.
        clickhouse_http_port: u16 = 0,
        /// Native port of the local ClickHouse; 0 takes a free one. Default 0.
        clickhouse_tcp_port: u16 = 0,
        /// Heap of the local broker's JVM. Default "512MiB".
        kafka_heap: ByteSize = ByteSize::mib(512),
    }
}

keywords! {
    /// What becomes of reads and sign-ins, which are no changes.
    Reads {
        /// They are rows, marked as no change.
        Store = "store",
        /// They teach the features and are counted as skipped.
        LearnOnly = "learn_only",
    }
}

section! {
    /// `[[topics]]`
    RawTopic {
        /// Whole name of the topic. Required.
        name: String = String::new(),
        /// Name of the source whose records it carries. Required; an unknown one is refused at start.
        source: String = String::new(),
        /// Tenant of its records. Default: `tenant.uid`.
        tenant: Option<String> = None,
        /// Cluster of its records; Kubernetes events do not name it themselves. Default none.
        cluster: Option<String> = None,
        /// Partitions, where `topics` creates it. Default 4.
        partitions: u16 = 4,
        /// "store" or "learn_only": whether reads and sign-ins become rows. Default "store".
        reads: Reads = Reads::Store,
    }
}

section! {
    /// `[[environments]]`: all the lists that are given must have a pattern that matches; `*` stands for any text, `?` for
    /// one character, case is ignored. A change that lacks the field does not match, not even `*`.
    RawEnvironment {
        /// Name of the environment. Required. "production", "prod", "prd", "live" and "unknown" are judged as production.
        environment: String = String::new(),
        /// Team that owns it. Default none.
        owner: Option<String> = None,
        /// Audit scopes, such as "sox" or "pci". Default none.
        scope_tags: Vec<String> = Vec::new(),
        /// Patterns over the cloud account. Default: any.
        account: Vec<String> = Vec::new(),
        /// The same for Azure, where the account is called subscription: one list with `account`. Default: any.
        subscription: Vec<String> = Vec::new(),
        /// The same for Google, where it is called project: one list with `account`. Default: any.
        project: Vec<String> = Vec::new(),
        /// Patterns over the cluster. Default: any.
        cluster: Vec<String> = Vec::new(),
        /// Patterns over the namespace. Default: any.
        namespace: Vec<String> = Vec::new(),
        /// Patterns over the repository, `owner/name`. Default: any.
        repository: Vec<String> = Vec::new(),
    }
}

section! {
    /// `[decision]`
    RawDecision {
        /// Risk points (0 to 100) from which a change needs approval. Default 60: one benign change in 1,000.
        approve_from: f32 = 60.0,
        /// Risk points from which it is denied, above `approve_from`. Default: nothing is denied by its score.
        deny_from: Option<f32> = None,
        /// Older events (a backfill) are scored and stored but ask nothing. Default "24h".
        approval_max_age: Duration = 24 * HOUR,
        /// Requests per hour; above it they are grouped, never dropped, and an alarm is raised. Default 100.
        budget_per_hour: u32 = 100,
        /// How long each stratum (such as people in production) of a source learns, in Kafka time in which something came:
        /// until then it asks from `learning_approve_from` only, and what would have asked is listed. Whole hours; "0h": not at
        /// all. Default "5d".
        learning_period: Duration = 5 * 24 * HOUR,
        /// Risk points from which a change needs approval while its stratum learns, where that is above `approve_from`.
        /// Default 64.
        learning_approve_from: f32 = 64.0,
        /// Whether each decision on a change is also published, to `decision_topic`. Default false.
        publish_decisions: bool = false,
        /// Topic of requests and answers, after `kafka.topic_prefix`. Default "changegate.approval.v1".
        approval_topic: String = "changegate.approval.v1".to_owned(),
        /// Topic of published decisions, after `kafka.topic_prefix`. Default "changegate.decision.v1".
        decision_topic: String = "changegate.decision.v1".to_owned(),
    }
}

section! {
    /// `[model]`
    RawModel {
        /// Folder of a model: `models/<name>/<version>`. Default: the one that comes with the program.
        path: Option<PathBuf> = None,
        /// Its hash (64 hexadecimal digits); another model is refused at start. Default: any.
        hash: Option<String> = None,
    }
}

section! {
    /// `[state]`
    RawState {
        /// Folder of snapshots of what the scorer has seen. Default: `engines.data_dir` + "/state".
        dir: Option<PathBuf> = None,
        /// Time between snapshots. Default "60s".
        snapshot_interval: Duration = 60 * SECOND,
        /// Without a snapshot that can be taken, so many records before the start are read again in each partition to
        /// learn from them, as far as the topic holds them. Default 1000000; 0 starts empty.
        learn_back_records: u32 = 1_000_000,
        /// Actors remembered; the weakest is forgotten for a new one. Default 131072.
        actors_max: u32 = 131_072,
        /// Counts of single actors, 8 bytes each. Default 4194304.
        actor_counts_max: u32 = 4_194_304,
        /// Counts of peers and tenants, 8 bytes each. Default 2097152.
        shared_counts_max: u32 = 2_097_152,
        /// Unusual events that wait to be learned. Default 32768.
        waiting_max: u32 = 32_768,
        /// How long they wait, in Kafka time. Whole hours. Default "24h".
        waiting: Duration = 24 * HOUR,
        /// Recent event ids remembered, about 75 bytes each, to know a redelivery at once. Default 450000, which just fits
        /// into tables of half the size that 500000 would take.
        recent_ids_max: u32 = 450_000,
        /// Changes remembered whose request is out, so that they ask once. Default 100000.
        asked_max: u32 = 100_000,
    }
}

section! {
    /// `[batch]`
    RawBatch {
        /// Rows per insert. Default 50000.
        rows: u32 = 50_000,
        /// Bytes per insert, raw bytes included. Never more than half of a worker's share of `memory_max`: 48 MiB with
        /// one worker and the defaults. Default "64MiB".
        bytes: ByteSize = ByteSize::mib(64),
        /// Months of Kafka time in one batch; each is an insert of its own. Default 24.
        months_max: u16 = 24,
        /// A batch that is not full is written after this long. Default "1s".
        wait: Duration = SECOND,
        /// Records polled, normalized and scored together; payloads stay in the CPU's cache. Default 512.
        block: u16 = 512,
        /// How long a worker that loses its partitions, or is told to stop, waits for its insert. Default "5s".
        drain_deadline: Duration = 5 * SECOND,
        /// Memory for records and rows under way, over all workers; above it partitions are paused. Default "96MiB".
        memory_max: ByteSize = ByteSize::mib(96),
    }
}

keywords! {
    /// What a process of `serve` does.
    Stages {
        /// All of it, from the raw topics to the ledger. One process reads whole topics.
        Whole = "whole",
        /// Raw topics to the hop.
        Normalize = "normalize",
        /// The hop to the ledger.
        Score = "score",
        /// Both, over the hop.
        Both = "both",
    }
}

section! {
    /// `[stages]`: how many processes share the work.
    RawStages {
        /// "whole": all of it, in one process. "normalize": raw topics to the hop; "score": the hop to scored rows; "both":
        /// both over the hop; of each of these as many processes as there are partitions. Default "whole".
        run: Stages = Stages::Whole,
        /// Topic of the hop, after `kafka.topic_prefix`. Default "changegate.change.v1".
        hop_topic: String = "changegate.change.v1".to_owned(),
        /// Partitions of the hop: each is a shard that holds the whole history of its actors, so this is never changed. What
        /// `[state]` allows is divided among them. Default 12.
        shards: u16 = 12,
        /// Compacted topic of the shards' snapshots, after `kafka.topic_prefix`. Default "changegate.state.v1".
        state_topic: String = "changegate.state.v1".to_owned(),
    }
}

section! {
    /// `[http]`
    RawHttp {
        /// Address of /healthz, /readyz, /startupz and /metrics. Default "127.0.0.1:9464"; empty serves nothing.
        listen: String = "127.0.0.1:9464".to_owned(),
    }
}

keywords! {
    /// How log lines look.
    LogFormat {
        /// Text on a terminal, JSON elsewhere.
        Auto = "auto",
        /// One JSON object per line.
        Json = "json",
        /// For eyes.
        Text = "text",
    }
}

section! {
    /// `[telemetry]`
    RawTelemetry {
        /// "auto", "json" or "text". Default "auto": text on a terminal, JSON elsewhere.
        log_format: LogFormat = LogFormat::Auto,
        /// Filter such as "info" or "info,changegate_kafka=debug"; CHANGEGATE_LOG and RUST_LOG beat it. Default "info".
        log_level: String = "info".to_owned(),
        /// Whether traces are sent where OTEL_EXPORTER_OTLP_ENDPOINT says, if it says anything. Default true.
        traces: bool = true,
        /// Name of this service in traces; OTEL_SERVICE_NAME beats it. Default "changegate".
        service_name: String = "changegate".to_owned(),
    }
}

section! {
    /// `[dead_letters]`
    RawDeadLetters {
        /// Put after the name of a topic for its dead letters. Default ".dlq".
        suffix: String = ".dlq".to_owned(),
        /// The stream stops when more than this share (0 to 1) of `share_records` records is dead-lettered. Default: never.
        share_max: Option<f32> = None,
        /// Over how many records at a time a worker takes the share. Default 10000.
        share_records: u32 = 10_000,
        /// The stream stops after more than this many dead-lettered records of one partition without a good one. Default: never.
        run_max: Option<u32> = None,
    }
}
