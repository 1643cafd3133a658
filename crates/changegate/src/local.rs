//! Kafka and ClickHouse on this machine, for `up` and `demo`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use changegate_clickhouse::grants;
use changegate_config::{ClickHouseUser, Secret, Settings};
use changegate_engines::{ClickHouse, ClickHouseOptions, Kafka, KafkaOptions, User};

/// A broker counts a record's age from the record's own time, and what people try out here is often years old: with the
/// retention of production it would be deleted before it is read, thirty seconds after the broker's start.
const RETENTION: Duration = Duration::from_secs(50 * 365 * 24 * 3_600);

/// Engines that run as long as this value lives.
pub(crate) struct Local {
    pub(crate) clickhouse: ClickHouse,
    pub(crate) kafka: Kafka,
}

impl Local {
    /// Starts both and points the settings at them.
    pub(crate) fn start(settings: &mut Settings, data: Option<&Path>) -> anyhow::Result<Self> {
        let random = random()?;
        if let Some(data) = data {
            data.clone_into(&mut settings.engines.data_dir);
            // What was learned from other engines is of no use here.
            settings.state.dir = data.join("state");
        }
        settings.ensure_local_mask_key(&random)?;
        let database = settings.clickhouse.database.clone();
        let password = hex(&random[..16]);
        let user = |name: &str, grants: Vec<String>, settings: &[(&str, &str)]| User {
            name: name.to_owned(),
            password: password.clone(),
            grants,
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        // A sender that hangs with half an insert sent is given up after this many seconds.
        let writer = user(
            "changegate_writer",
            grants::writer(&database),
            &[("http_receive_timeout", "5")],
        );
        let reader = user(
            "changegate_reader",
            grants::reader(&database),
            &[("readonly", "2")],
        );
        let auditor = user(
            "auditor_raw",
            grants::auditor_raw(&database),
            &[("readonly", "2")],
        );
        let folder = |name: &str| -> Option<PathBuf> { Some(settings.engines.data_dir.join(name)) };
        let port = |port: u16| (port != 0).then_some(port);
        let clickhouse = ClickHouse::start(&ClickHouseOptions {
            data: folder("clickhouse"),
            http_port: port(settings.engines.clickhouse_http_port),
            tcp_port: port(settings.engines.clickhouse_tcp_port),
            users: vec![writer, reader, auditor],
            ..ClickHouseOptions::default()
        })
        .context("starting ClickHouse")?;
        let kafka = Kafka::start(&KafkaOptions {
            data: folder("kafka"),
            port: port(settings.engines.kafka_port),
            heap_mib: (settings.engines.kafka_heap_bytes >> 20) as u32,
            ..KafkaOptions::default()
        })
        .context("starting Kafka")?;
        let known = |name: &str, password: &str| ClickHouseUser {
            name: name.to_owned(),
            password: Some(Secret::new(password)),
        };
        settings.clickhouse.url = clickhouse.url();
        settings.clickhouse.writer = known("changegate_writer", &password);
        settings.clickhouse.reader = known("changegate_reader", &password);
        settings.clickhouse.admin = known(&clickhouse.admin().user, &clickhouse.admin().password);
        settings.kafka.bootstrap = kafka.bootstrap();
        settings.kafka.retention = settings.kafka.retention.max(RETENTION);
        Ok(Self { clickhouse, kafka })
    }
}

fn random() -> anyhow::Result<[u8; 32]> {
    use std::io::Read;
    let mut bytes = [0; 32];
    let mut source = std::fs::File::open("/dev/urandom").context("opening /dev/urandom")?;
    source.read_exact(&mut bytes).context("reading /dev/urandom")?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
