//! The broker's two configuration files.

use std::path::Path;

use crate::error::{Error, Result};

/// Any 16 bytes in base64 do; these spell the name. One node has no other cluster to be mixed up with.
pub(super) const CLUSTER_ID: &str = "Q2hhbmdlZ2F0ZUxvY2FsMQ";

pub(super) struct Settings<'a> {
    pub(super) port: u16,
    pub(super) controller_port: u16,
    pub(super) data: &'a Path,
    pub(super) record_bytes_max: u32,
    pub(super) extra: &'a [(String, String)],
}

/// One node that is broker and controller, on 127.0.0.1 only, each internal topic with one copy.
pub(super) fn server_properties(settings: &Settings<'_>) -> Result<String> {
    let Settings {
        port,
        controller_port,
        data,
        record_bytes_max,
        extra,
    } = settings;
    let data = data
        .to_str()
        .ok_or_else(|| bad("data", "the folder's name must be UTF-8"))?;
    let mut lines: Vec<(String, String)> = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", "1".to_owned()),
        (
            "controller.quorum.voters",
            format!("1@127.0.0.1:{controller_port}"),
        ),
        (
            "listeners",
            format!("BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}"),
        ),
        ("advertised.listeners", format!("BROKER://127.0.0.1:{port}")),
        (
            "listener.security.protocol.map",
            "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
        ),
        ("inter.broker.listener.name", "BROKER".to_owned()),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("log.dirs", data.to_owned()),
        ("offsets.topic.replication.factor", "1".to_owned()),
        // 50 by default, each a folder with its files; one node needs no spread.
        ("offsets.topic.num.partitions", "4".to_owned()),
        ("transaction.state.log.replication.factor", "1".to_owned()),
        ("transaction.state.log.min.isr", "1".to_owned()),
        ("transaction.state.log.num.partitions", "4".to_owned()),
        ("share.coordinator.state.topic.replication.factor", "1".to_owned()),
        ("share.coordinator.state.topic.min.isr", "1".to_owned()),
        ("default.replication.factor", "1".to_owned()),
        ("min.insync.replicas", "1".to_owned()),
        // A first join waits for nobody.
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        // So that a killed member's partitions are free after a second, not after six.
        ("group.min.session.timeout.ms", "500".to_owned()),
        ("auto.create.topics.enable", "false".to_owned()),
        ("message.max.bytes", record_bytes_max.to_string()),
        ("replica.fetch.max.bytes", record_bytes_max.to_string()),
        // The deletion of a test's topics should not leave their files for a minute.
        ("log.segment.delete.delay.ms", "1000".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    for (key, value) in *extra {
        if key.contains(|c: char| c.is_whitespace() || c == '=') || value.contains(['\n', '\r']) {
            return Err(bad(
                &format!("property {key:?}"),
                "a key is one word, a value is one line",
            ));
        }
        lines.retain(|(ours, _)| ours != key);
        lines.push((key.clone(), value.clone()));
    }
    // Java's format takes a backslash as an escape.
    Ok(lines
        .iter()
        .map(|(key, value)| format!("{key}={}\n", value.replace('\\', "\\\\")))
        .collect())
}

fn bad(option: &str, reason: &str) -> Error {
    Error::BadOption {
        option: format!("kafka {option}"),
        reason: reason.into(),
    }
}

/// Warnings and the two lines of a start into one file of bounded size.
pub(super) fn log4j(log: &Path) -> String {
    let log = crate::clickhouse::xml_text(&log.display().to_string());
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR" shutdownHook="disable">
  <Appenders>
    <RollingFile name="file" fileName="{log}" filePattern="{log}.%i">
      <PatternLayout pattern="%d{{ISO8601}} %-5p %c{{1}}: %m%n"/>
      <Policies><SizeBasedTriggeringPolicy size="8 MB"/></Policies>
      <DefaultRolloverStrategy max="2"/>
    </RollingFile>
  </Appenders>
  <Loggers>
    <Logger name="kafka.server.KafkaRaftServer" level="INFO"/>
    <Root level="WARN"><AppenderRef ref="file"/></Root>
  </Loggers>
</Configuration>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(extra: &[(&str, &str)]) -> Result<String> {
        let extra: Vec<(String, String)> = extra.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        server_properties(&Settings {
            port: 9,
            controller_port: 10,
            data: Path::new("/d"),
            record_bytes_max: 7,
            extra: &extra,
        })
    }

    #[test]
    fn a_callers_property_replaces_ours() {
        let text = properties(&[("message.max.bytes", "99"), ("num.io.threads", "2")]).unwrap();
        assert!(
            text.contains("message.max.bytes=99\n") && !text.contains("message.max.bytes=7\n"),
            "{text}"
        );
        assert!(text.contains("num.io.threads=2\n"), "{text}");
    }

    #[test]
    fn a_property_cannot_bring_a_second_line() {
        assert!(properties(&[("a", "b\nlisteners=PLAINTEXT://0.0.0.0:1")]).is_err());
        assert!(properties(&[("a b", "c")]).is_err());
    }
}
