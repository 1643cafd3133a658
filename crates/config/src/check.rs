//! From `Raw…` to checked settings: the rules between values. Every fault is noted, none stops the others.

mod clickhouse;
mod kafka;
mod rules;
mod stream;

use std::{path::Path, time::Duration};

use crate::{
    RawBatch, RawDeadLetters, RawEngines, RawHttp, RawModel, RawSettings, RawStages, RawState, RawTelemetry,
    RawTenant,
    error::Problems,
    settings::{Batch, DeadLetters, Engines, Http, Model, Settings, Staging, State, Telemetry, Tenant},
};
use rules::{HOUR, MINUTE, at_least_one, bytes, not_blank, regexes, topic_name, whole_hours, within};
use stream::{check_environments, check_topics};

const MASK_KEY_BYTES_MIN: usize = 16;

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
        if kafka.max_poll_interval < 2 * batch.drain_deadline {
            problems.add(
                "batch.drain_deadline",
                "must be half of kafka.max_poll_interval at most: the group gives the partitions away before the drain ends",
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
            decision: self.decision.check(&kafka.topic_prefix, problems),
            clickhouse: self.clickhouse.check(problems),
            model: self.model.check(problems),
            state: self.state.check(&engines, problems),
            stages: self.stages.check(&kafka.topic_prefix, problems),
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
        let counts = [
            (self.actors_max, "state.actors_max"),
            (self.actor_counts_max, "state.actor_counts_max"),
            (self.shared_counts_max, "state.shared_counts_max"),
            (self.waiting_max, "state.waiting_max"),
            (self.recent_ids_max, "state.recent_ids_max"),
            (self.asked_max, "state.asked_max"),
        ];
        for (count, key) in counts {
            at_least_one(count, key, problems);
        }
        within(self.waiting, HOUR, 366 * 24 * HOUR, "state.waiting", problems);
        State {
            dir: self.dir.unwrap_or_else(|| engines.data_dir.join("state")),
            snapshot_interval: self.snapshot_interval,
            learn_back_records: self.learn_back_records,
            actors_max: self.actors_max as usize,
            actor_counts_max: self.actor_counts_max as usize,
            shared_counts_max: self.shared_counts_max as usize,
            waiting_max: self.waiting_max as usize,
            waiting_hours: whole_hours(self.waiting, "state.waiting", problems),
            recent_ids_max: self.recent_ids_max as usize,
            asked_max: self.asked_max as usize,
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
        at_least_one(self.months_max.into(), "batch.months_max", problems);
        within(
            self.wait,
            Duration::from_millis(1),
            10 * MINUTE,
            "batch.wait",
            problems,
        );
        within(
            self.drain_deadline,
            Duration::from_millis(100),
            60 * MINUTE,
            "batch.drain_deadline",
            problems,
        );
        // Places in a batch are numbers of 32 bits, and the block that fills it comes on top.
        let batch_bytes = bytes(self.bytes, 64 << 10, 1 << 30, "batch.bytes", problems);
        let memory_max_bytes = bytes(self.memory_max, 1 << 20, 1 << 40, "batch.memory_max", problems);
        if memory_max_bytes < batch_bytes {
            problems.add(
                "batch.memory_max",
                "must not be smaller than batch.bytes, which it bounds: two batches of each worker share it",
            );
        }
        Batch {
            rows: self.rows as usize,
            bytes: batch_bytes,
            months_max: self.months_max.into(),
            wait: self.wait,
            block: self.block.into(),
            drain_deadline: self.drain_deadline,
            memory_max_bytes,
        }
    }
}

impl RawStages {
    fn check(self, prefix: &str, problems: &mut Problems) -> Staging {
        topic_name(&self.hop_topic, "stages.hop_topic", problems);
        topic_name(&self.state_topic, "stages.state_topic", problems);
        at_least_one(self.shards.into(), "stages.shards", problems);
        Staging {
            run: self.run,
            hop_topic: format!("{prefix}{}", self.hop_topic),
            shards: self.shards,
            state_topic: format!("{prefix}{}", self.state_topic),
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
