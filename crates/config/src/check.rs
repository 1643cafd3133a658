//! From `Raw…` to checked settings: the rules between values. Every fault is noted, none stops the others.

use std::{collections::BTreeSet, path::Path, time::Duration};

use changegate_policy::{RawThresholds, Thresholds};
use regex::Regex;

use crate::{
    ByteSize, Environment, Environments, RawBatch, RawClickHouse, RawDeadLetters, RawDecision, RawEngines,
    RawEnvironment, RawHttp, RawKafka, RawModel, RawSettings, RawState, RawTelemetry, RawTenant, RawTopic,
    Reads, Secret, SecurityProtocol,
    error::Problems,
    settings::{
        Batch, ClickHouse, ClickHouseUser, DeadLetters, Decision, Engines, Http, Kafka, Learning, Model,
        Sasl, Settings, State, Telemetry, Tenant, Topic, globs,
    },
    suggest::nearest,
};

const MASK_KEY_BYTES_MIN: usize = 16;
const DLQ_EXTRA_BYTES: usize = 64 * 1024;
const MINUTE: Duration = Duration::from_secs(60);
const YEAR: Duration = Duration::from_secs(366 * 86_400);

impl RawSettings {
    /// Notes what cannot be used; what it returns counts only if nothing was noted.
    pub(crate) fn check(
        self,
        file: Option<&Path>,
        known_sources: &[&str],
        problems: &mut Problems,
    ) -> Settings {
        let raw = self.clone();
        let tenant = self.tenant.check(problems);
        let kafka = self.kafka.check(problems);
        let batch = self.batch.check(problems);
        if kafka.max_poll_interval < 2 * batch.insert_deadline {
            problems.add(
                "batch.insert_deadline",
                "must be half of kafka.max_poll_interval at most: a longer insert loses the partitions it writes for",
            );
        }
        let engines = self.engines.check(problems);
        Settings {
            file: file.map(Path::to_owned),
            topics: check_topics(
                self.topics,
                &tenant.uid,
                &kafka.topic_prefix,
                known_sources,
                problems,
            ),
            environments: check_environments(self.environments, problems),
            decision: self.decision.check(&kafka.topic_prefix, known_sources, problems),
            clickhouse: self.clickhouse.check(problems),
            model: self.model.check(problems),
            state: self.state.check(&engines, problems),
            http: self.http.check(problems),
            telemetry: self.telemetry.check(problems),
            dead_letters: self.dead_letters.check(problems),
            tenant,
            kafka,
            batch,
            engines,
            raw,
        }
    }
}

impl RawTenant {
    fn check(self, problems: &mut Problems) -> Tenant {
        not_blank(&self.uid, "tenant.uid", problems);
        if let Some(key) = &self.mask_key
            && key.reveal().len() < MASK_KEY_BYTES_MIN
        {
            problems.add("tenant.mask_key", "expected a key of 16 bytes or more");
        }
        for (i, name) in self.secret_key_names.iter().enumerate() {
            not_blank(name, &format!("tenant.secret_key_names[{i}]"), problems);
        }
        Tenant {
            uid: self.uid,
            mask_key: self.mask_key,
            ticket_patterns: regexes(&self.ticket_patterns, "tenant.ticket_patterns", problems),
            secret_key_names: self
                .secret_key_names
                .iter()
                .map(|name| name.to_lowercase())
                .collect(),
            secret_patterns: regexes(&self.secret_patterns, "tenant.secret_patterns", problems),
        }
    }
}

impl RawKafka {
    fn check(self, problems: &mut Problems) -> Kafka {
        check_bootstrap(&self.bootstrap, problems);
        not_blank(&self.group, "kafka.group", problems);
        if !self.topic_prefix.is_empty() {
            topic_name(&self.topic_prefix, "kafka.topic_prefix", problems);
        }
        at_least_one(self.workers.into(), "kafka.workers", problems);
        within(
            self.session_timeout,
            Duration::from_millis(500),
            30 * MINUTE,
            "kafka.session_timeout",
            problems,
        );
        within(
            self.max_poll_interval,
            self.session_timeout,
            YEAR,
            "kafka.max_poll_interval",
            problems,
        );
        if self.replication == 0 || self.replication < -1 {
            problems.add(
                "kafka.replication",
                "expected -1 (the broker's default) or 1 and more",
            );
        }
        let raw_record_bytes_max = bytes(
            self.raw_record_bytes_max,
            1_024,
            1 << 30,
            "kafka.raw_record_bytes_max",
            problems,
        );
        for name in self.properties.keys() {
            if let Some(reason) = owned_property(name) {
                problems.add(format!("kafka.properties.{name}"), reason);
            }
        }
        let tls = matches!(
            self.security_protocol,
            SecurityProtocol::Ssl | SecurityProtocol::SaslSsl
        );
        let tls_keys = [
            ("kafka.ssl_ca_location", self.ssl_ca_location.is_some()),
            (
                "kafka.ssl_certificate_location",
                self.ssl_certificate_location.is_some(),
            ),
            ("kafka.ssl_key_location", self.ssl_key_location.is_some()),
        ];
        for (key, _) in tls_keys.into_iter().filter(|(_, given)| *given && !tls) {
            problems.add(
                key,
                "has no effect: kafka.security_protocol is not \"ssl\" or \"sasl_ssl\"",
            );
        }
        if self.ssl_certificate_location.is_some() != self.ssl_key_location.is_some() {
            problems.add(
                "kafka.ssl_key_location",
                "certificate and key are needed together",
            );
        }
        let protocol = self.security_protocol;
        let sasl = check_sasl(
            protocol,
            self.sasl_mechanism,
            self.sasl_username,
            self.sasl_password,
            problems,
        );
        Kafka {
            bootstrap: self
                .bootstrap
                .split(',')
                .map(str::trim)
                .collect::<Vec<_>>()
                .join(","),
            group: self.group,
            instance_id: self.instance_id.filter(|id| !id.is_empty()),
            topic_prefix: self.topic_prefix,
            workers: self.workers,
            security_protocol: protocol,
            sasl,
            ssl_ca_location: self.ssl_ca_location,
            ssl_certificate_location: self.ssl_certificate_location,
            ssl_key_location: self.ssl_key_location,
            ssl_key_password: self.ssl_key_password,
            session_timeout: self.session_timeout,
            max_poll_interval: self.max_poll_interval,
            raw_record_bytes_max,
            dlq_record_bytes_max: raw_record_bytes_max + DLQ_EXTRA_BYTES,
            replication: self.replication,
            retention: self.retention,
            properties: self.properties,
        }
    }
}

/// Properties that another key sets, or that delivery rests on.
fn owned_property(name: &str) -> Option<&'static str> {
    Some(match name {
        "enable.auto.commit" | "enable.auto.offset.store" | "auto.commit.interval.ms" => {
            "is ours: a position is committed only after its rows are written"
        }
        "auto.offset.reset" => "is ours: the start is always set from the ledger",
        "isolation.level" => "is ours: aborted transactions are never read",
        "partition.assignment.strategy" | "group.protocol" => "is ours: recovery rests on the eager protocol",
        "enable.partition.eof" => "is ours",
        "acks" | "request.required.acks" | "enable.idempotence" | "transactional.id" => {
            "is ours: requests and dead letters are durable before a position is committed"
        }
        "group.id" => "use kafka.group",
        "group.instance.id" => "use kafka.instance_id",
        "bootstrap.servers" | "metadata.broker.list" => "use kafka.bootstrap",
        "security.protocol" => "use kafka.security_protocol",
        "sasl.mechanism" | "sasl.mechanisms" => "use kafka.sasl_mechanism",
        "sasl.username" => "use kafka.sasl_username",
        "sasl.password" => "use kafka.sasl_password",
        "ssl.ca.location" => "use kafka.ssl_ca_location",
        "ssl.certificate.location" => "use kafka.ssl_certificate_location",
        "ssl.key.location" => "use kafka.ssl_key_location",
        "ssl.key.password" => "use kafka.ssl_key_password",
        "session.timeout.ms" => "use kafka.session_timeout",
        "max.poll.interval.ms" => "use kafka.max_poll_interval",
        "message.max.bytes" => "use kafka.raw_record_bytes_max",
        _ => return None,
    })
}

fn check_bootstrap(bootstrap: &str, problems: &mut Problems) {
    if bootstrap.trim().is_empty() {
        return;
    }
    for broker in bootstrap.split(',').map(str::trim) {
        let port = broker
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty())
            .and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|port| port == 0) {
            problems.add(
                "kafka.bootstrap",
                format!("expected host:port, or several with commas between, found {broker:?}"),
            );
        }
    }
}

fn check_sasl(
    protocol: SecurityProtocol,
    mechanism: Option<crate::SaslMechanism>,
    username: Option<String>,
    password: Option<Secret>,
    problems: &mut Problems,
) -> Option<Sasl> {
    let wanted = matches!(
        protocol,
        SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl
    );
    let given = [
        ("kafka.sasl_mechanism", mechanism.is_some()),
        ("kafka.sasl_username", username.is_some()),
        ("kafka.sasl_password", password.is_some()),
    ];
    for (key, given) in given {
        if wanted && !given {
            problems.add(
                key,
                format!(
                    "is required with kafka.security_protocol = \"{}\"",
                    protocol.name()
                ),
            );
        }
        if !wanted && given {
            problems.add(
                key,
                "has no effect: kafka.security_protocol is not \"sasl_ssl\" or \"sasl_plaintext\"",
            );
        }
    }
    Some(Sasl {
        mechanism: mechanism?,
        username: username?,
        password: password?,
    })
}

impl RawClickHouse {
    fn check(self, problems: &mut Problems) -> ClickHouse {
        let url = self.url.trim_end_matches('/').to_owned();
        if !url.is_empty() {
            let host = url
                .strip_prefix("http://")
                .or_else(|| url.strip_prefix("https://"));
            match host {
                Some(host) if host.contains('@') => {
                    // The password in it must not be printed, so the value is not either.
                    problems.add(
                        "clickhouse.url",
                        "must not hold a user or password: use clickhouse.user and password_file",
                    );
                }
                Some(host) if !host.is_empty() && !host.contains(['?', '#', ' ']) => {}
                _ => problems.add(
                    "clickhouse.url",
                    format!("expected http://host:port or https://host:port, found {url:?}"),
                ),
            }
        }
        identifier(&self.database, "clickhouse.database", problems);
        not_blank(&self.user, "clickhouse.user", problems);
        if let Some(cluster) = &self.cluster {
            identifier(cluster, "clickhouse.cluster", problems);
        }
        for (timeout, key) in [
            (self.connect_timeout, "clickhouse.connect_timeout"),
            (self.send_timeout, "clickhouse.send_timeout"),
            (self.query_timeout, "clickhouse.query_timeout"),
            (self.backoff_min, "clickhouse.backoff_min"),
        ] {
            within(timeout, Duration::from_millis(1), 60 * MINUTE, key, problems);
        }
        within(
            self.backoff_max,
            self.backoff_min,
            10 * MINUTE,
            "clickhouse.backoff_max",
            problems,
        );
        let writer = ClickHouseUser {
            name: self.user,
            password: self.password,
        };
        let mut other = |name: Option<String>, password: Option<Secret>, key: &str| match name {
            Some(name) => ClickHouseUser { name, password },
            None => {
                if password.is_some() {
                    problems.add(
                        format!("clickhouse.{key}_password"),
                        format!("needs clickhouse.{key}_user"),
                    );
                }
                writer.clone()
            }
        };
        ClickHouse {
            reader: other(self.reader_user, self.reader_password, "reader"),
            admin: other(self.admin_user, self.admin_password, "admin"),
            writer,
            url,
            database: self.database,
            ca_file: self.ca_file,
            cluster: self.cluster,
            connect_timeout: self.connect_timeout,
            send_timeout: self.send_timeout,
            query_timeout: self.query_timeout,
            backoff_min: self.backoff_min,
            backoff_max: self.backoff_max,
            keep_skipped_bytes: self.keep_skipped_bytes,
        }
    }
}

impl RawEngines {
    fn check(self, problems: &mut Problems) -> Engines {
        let heap = bytes(
            self.kafka_heap,
            64 << 20,
            64 << 30,
            "engines.kafka_heap",
            problems,
        );
        Engines {
            local: self.local,
            data_dir: self.data_dir,
            kafka_port: self.kafka_port,
            clickhouse_http_port: self.clickhouse_http_port,
            clickhouse_tcp_port: self.clickhouse_tcp_port,
            kafka_heap_bytes: heap as u64,
        }
    }
}

fn check_topics(
    topics: Vec<RawTopic>,
    tenant_uid: &str,
    prefix: &str,
    known_sources: &[&str],
    problems: &mut Problems,
) -> Vec<Topic> {
    if topics.is_empty() {
        return known_sources
            .iter()
            .map(|source| Topic {
                name: format!("{prefix}changegate.raw.{source}.v1"),
                source: (*source).to_owned(),
                tenant: tenant_uid.to_owned(),
                cluster: String::new(),
                partitions: RawTopic::default().partitions,
                reads: Reads::Store,
            })
            .collect();
    }
    let mut names = BTreeSet::new();
    let mut checked = Vec::new();
    for (i, topic) in topics.into_iter().enumerate() {
        let key = |name: &str| format!("topics[{i}].{name}");
        topic_name(&topic.name, &key("name"), problems);
        if !names.insert(topic.name.clone()) {
            problems.add(
                key("name"),
                format!("the topic {:?} is configured twice", topic.name),
            );
        }
        known_source(&topic.source, &key("source"), known_sources, problems);
        at_least_one(topic.partitions.into(), &key("partitions"), problems);
        let tenant = topic.tenant.unwrap_or_else(|| tenant_uid.to_owned());
        not_blank(&tenant, &key("tenant"), problems);
        checked.push(Topic {
            name: topic.name,
            source: topic.source,
            tenant,
            cluster: topic.cluster.unwrap_or_default(),
            partitions: topic.partitions,
            reads: topic.reads,
        });
    }
    checked
}

fn check_environments(rules: Vec<RawEnvironment>, problems: &mut Problems) -> Environments {
    let mut checked = Vec::new();
    for (i, rule) in rules.into_iter().enumerate() {
        let at = format!("environments[{i}]");
        not_blank(&rule.environment, &format!("{at}.environment"), problems);
        let lists = [
            ("account", &rule.account),
            ("subscription", &rule.subscription),
            ("project", &rule.project),
            ("cluster", &rule.cluster),
            ("namespace", &rule.namespace),
            ("repository", &rule.repository),
        ];
        if lists.iter().all(|(_, list)| list.is_empty()) {
            let names: Vec<&str> = lists.iter().map(|(name, _)| *name).collect();
            problems.add(
                &at,
                format!(
                    "needs at least one of {}; a rule without patterns would match all",
                    names.join(", ")
                ),
            );
        }
        for (name, list) in lists {
            for (n, pattern) in list.iter().enumerate() {
                not_blank(pattern, &format!("{at}.{name}[{n}]"), problems);
            }
        }
        checked.push(Environment {
            environment: rule.environment,
            owner: rule.owner.unwrap_or_default(),
            scope_tags: rule.scope_tags,
            account: globs(rule.account),
            subscription: globs(rule.subscription),
            project: globs(rule.project),
            cluster: globs(rule.cluster),
            namespace: globs(rule.namespace),
            repository: globs(rule.repository),
        });
    }
    Environments(checked)
}

impl RawDecision {
    fn check(self, prefix: &str, known_sources: &[&str], problems: &mut Problems) -> Decision {
        let raw = RawThresholds {
            approve_from: self.approve_from,
            deny_from: self.deny_from,
        };
        let thresholds = raw.check().unwrap_or_else(|error| {
            let key = match error {
                changegate_policy::Error::ApproveFrom(_) => "decision.approve_from",
                changegate_policy::Error::DenyFrom { .. } => "decision.deny_from",
            };
            problems.add(key, error.to_string());
            Thresholds::default()
        });
        within(
            self.approval_max_age,
            Duration::ZERO,
            10 * YEAR,
            "decision.approval_max_age",
            problems,
        );
        within(
            self.request_expiry,
            MINUTE,
            YEAR,
            "decision.request_expiry",
            problems,
        );
        within(
            self.learning_period,
            Duration::ZERO,
            YEAR,
            "decision.learning_period",
            problems,
        );
        for (i, source) in self.gate_sources.iter().enumerate() {
            known_source(
                source,
                &format!("decision.gate_sources[{i}]"),
                known_sources,
                problems,
            );
        }
        topic_name(&self.approval_topic, "decision.approval_topic", problems);
        topic_name(&self.decision_topic, "decision.decision_topic", problems);
        Decision {
            thresholds,
            approval_max_age: self.approval_max_age,
            request_expiry: self.request_expiry,
            budget_per_hour: self.budget_per_hour,
            learning: Learning {
                events: self.learning_events,
                period: self.learning_period,
            },
            gate_sources: self.gate_sources,
            publish_decisions: self.publish_decisions,
            approval_topic: format!("{prefix}{}", self.approval_topic),
            decision_topic: format!("{prefix}{}", self.decision_topic),
        }
    }
}

impl RawModel {
    fn check(self, problems: &mut Problems) -> Model {
        if let Some(hash) = &self.hash
            && !(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            problems.add(
                "model.hash",
                format!("expected 64 hexadecimal digits, found {hash:?}"),
            );
        }
        Model {
            path: self.path,
            hash: self.hash.map(|hash| hash.to_ascii_lowercase()),
        }
    }
}

impl RawState {
    fn check(self, engines: &Engines, problems: &mut Problems) -> State {
        within(
            self.snapshot_interval,
            Duration::from_secs(1),
            24 * 60 * MINUTE,
            "state.snapshot_interval",
            problems,
        );
        at_least_one(self.actors_max, "state.actors_max", problems);
        at_least_one(self.recent_ids_max, "state.recent_ids_max", problems);
        State {
            dir: self.dir.unwrap_or_else(|| engines.data_dir.join("state")),
            snapshot_interval: self.snapshot_interval,
            actors_max: self.actors_max as usize,
            recent_ids_max: self.recent_ids_max as usize,
        }
    }
}

impl RawBatch {
    fn check(self, problems: &mut Problems) -> Batch {
        if !(1..=1_000_000).contains(&self.rows) {
            problems.add(
                "batch.rows",
                format!(
                    "expected 1 to 1000000 (ClickHouse cuts larger inserts into blocks), found {}",
                    self.rows
                ),
            );
        }
        at_least_one(self.block.into(), "batch.block", problems);
        within(
            self.wait,
            Duration::from_millis(1),
            10 * MINUTE,
            "batch.wait",
            problems,
        );
        within(
            self.insert_deadline,
            Duration::from_millis(100),
            60 * MINUTE,
            "batch.insert_deadline",
            problems,
        );
        within(
            self.drain_deadline,
            Duration::from_millis(100),
            self.insert_deadline,
            "batch.drain_deadline",
            problems,
        );
        let batch_bytes = bytes(self.bytes, 64 << 10, 4 << 30, "batch.bytes", problems);
        let memory_max_bytes = bytes(self.memory_max, 1 << 20, 1 << 40, "batch.memory_max", problems);
        if memory_max_bytes < batch_bytes {
            problems.add(
                "batch.memory_max",
                "must not be smaller than batch.bytes: no batch would ever be full",
            );
        }
        Batch {
            rows: self.rows as usize,
            bytes: batch_bytes,
            wait: self.wait,
            block: self.block.into(),
            insert_deadline: self.insert_deadline,
            drain_deadline: self.drain_deadline,
            memory_max_bytes,
        }
    }
}

impl RawHttp {
    fn check(self, problems: &mut Problems) -> Http {
        if self.listen.is_empty() {
            return Http { listen: None };
        }
        let listen = self.listen.parse().ok();
        if listen.is_none() {
            let message = format!(
                "expected an address and port such as \"0.0.0.0:9464\", found {:?}",
                self.listen
            );
            problems.add("http.listen", message);
        }
        Http { listen }
    }
}

impl RawTelemetry {
    fn check(self, problems: &mut Problems) -> Telemetry {
        not_blank(&self.log_level, "telemetry.log_level", problems);
        not_blank(&self.service_name, "telemetry.service_name", problems);
        Telemetry {
            log_format: self.log_format,
            log_level: self.log_level,
            traces: self.traces,
            service_name: self.service_name,
        }
    }
}

impl RawDeadLetters {
    fn check(self, problems: &mut Problems) -> DeadLetters {
        topic_name(&self.suffix, "dead_letters.suffix", problems);
        if let Some(share) = self.share_max
            && !(share > 0.0 && share <= 1.0)
        {
            problems.add(
                "dead_letters.share_max",
                format!("expected a share above 0 and up to 1, found {share}"),
            );
        }
        at_least_one(self.share_records, "dead_letters.share_records", problems);
        if let Some(run) = self.run_max {
            at_least_one(run, "dead_letters.run_max", problems);
        }
        DeadLetters {
            suffix: self.suffix,
            share_max: self.share_max,
            share_records: self.share_records,
            run_max: self.run_max,
        }
    }
}

fn not_blank(text: &str, key: &str, problems: &mut Problems) {
    if text.trim().is_empty() {
        problems.add(key, "is required and must not be empty");
    }
}

fn at_least_one(count: u32, key: &str, problems: &mut Problems) {
    if count == 0 {
        problems.add(key, "expected 1 or more, found 0");
    }
}

/// Kafka's rule for names.
fn topic_name(name: &str, key: &str, problems: &mut Problems) {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 || !name.chars().all(legal) {
        problems.add(
            key,
            format!("expected 1 to 249 of the characters a-z A-Z 0-9 . _ -, found {name:?}"),
        );
    }
}

/// A name that stands in SQL without quotes.
fn identifier(name: &str, key: &str, problems: &mut Problems) {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(legal) {
        problems.add(
            key,
            format!("expected a name of a-z A-Z 0-9 _ that starts with no digit, found {name:?}"),
        );
    }
}

fn known_source(source: &str, key: &str, known_sources: &[&str], problems: &mut Problems) {
    if known_sources.contains(&source) {
        return;
    }
    let known = known_sources.join(", ");
    problems.add(
        key,
        match nearest(source, known_sources.iter().copied()) {
            Some(near) => format!("unknown source {source:?}; did you mean \"{near}\"? Known are {known}"),
            None => format!("unknown source {source:?}; known are {known}"),
        },
    );
}

fn within(duration: Duration, min: Duration, max: Duration, key: &str, problems: &mut Problems) {
    if duration < min || duration > max {
        problems.add(key, format!("expected {min:?} to {max:?}, found {duration:?}"));
    }
}

fn bytes(size: ByteSize, min: u64, max: u64, key: &str, problems: &mut Problems) -> usize {
    if size.0 < min || size.0 > max {
        problems.add(
            key,
            format!("expected {} to {}, found {size}", ByteSize(min), ByteSize(max)),
        );
    }
    usize::try_from(size.0.min(max)).unwrap_or(usize::MAX)
}

fn regexes(patterns: &[String], key: &str, problems: &mut Problems) -> Vec<Regex> {
    let mut compiled = Vec::new();
    for (i, pattern) in patterns.iter().enumerate() {
        match Regex::new(pattern) {
            // It would find itself everywhere: every text a ticket, every text masked.
            Ok(regex) if regex.is_match("") => {
                problems.add(
                    format!("{key}[{i}]"),
                    format!("the pattern {pattern:?} matches the empty text"),
                );
            }
            Ok(regex) => compiled.push(regex),
            Err(error) => problems.add(
                format!("{key}[{i}]"),
                format!("not a regular expression: {error}"),
            ),
        }
    }
    compiled
}
