//! `[kafka]`

use std::time::Duration;

use super::rules::{MINUTE, YEAR, at_least_one, bytes, not_blank, topic_name, within};
use crate::{
    RawKafka, SaslMechanism, Secret, SecurityProtocol,
    error::Problems,
    settings::{Kafka, LostRecords, Sasl},
};

/// Room for the headers that say why a record is dead-lettered.
const DLQ_EXTRA_BYTES: usize = 64 * 1024;

impl RawKafka {
    pub(super) fn check(self, problems: &mut Problems) -> Kafka {
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
        for (name, _) in self.properties.iter() {
            if let Some(reason) = owned_property(name) {
                problems.add(format!("kafka.properties.{name}"), reason);
            }
        }
        let accepted = self.accept_retention_gap.iter();
        let accept_retention_gap = accepted.filter_map(|text| lost_records(text, problems)).collect();
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
            order_backlog: self.order_backlog,
            accept_retention_gap,
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

/// Reads `TOPIC/PARTITION FROM..TO`.
fn lost_records(text: &str, problems: &mut Problems) -> Option<LostRecords> {
    let read = || {
        let (place, offsets) = text.trim().split_once(' ')?;
        let (topic, partition) = place.rsplit_once('/')?;
        let (from, to) = offsets.trim().split_once("..")?;
        let lost = LostRecords {
            topic: topic.to_owned(),
            partition: partition.parse().ok()?,
            from: from.parse().ok()?,
            to: to.parse().ok()?,
        };
        let is_range = !topic.is_empty() && lost.partition >= 0 && (0..lost.to).contains(&lost.from);
        is_range.then_some(lost)
    };
    let lost = read();
    if lost.is_none() {
        problems.add(
            "kafka.accept_retention_gap",
            format!("expected \"TOPIC/PARTITION FROM..TO\" as in the error that stopped the stream, found {text:?}"),
        );
    }
    lost
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
    mechanism: Option<SaslMechanism>,
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
