//! Where the stream stands, on one screen: what its processes say, what Kafka holds for them, what the ledger has.

mod screen;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use changegate_config::{Settings, Stages};
use changegate_kafka::Admin;
use changegate_telemetry::{Metric, Samples, ask};
use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::Answer;
use crate::args::{Format, Status};
use crate::{connect, output, setup};

/// A process that is alive answers at once.
const WITHIN: Duration = Duration::from_secs(5);

/// The whole answer.
#[derive(Debug, Serialize)]
struct Picture {
    /// Whether every part answers, every component is ready and the ledger misses nothing.
    well: bool,
    processes: Vec<Process>,
    kafka: Part<Kafka>,
    ledger: Part<Ledger>,
}

/// What a part says, or why it says nothing.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Part<T> {
    Known(T),
    Unknown { error: String },
}

impl<T> Part<T> {
    fn of(found: anyhow::Result<T>) -> Self {
        match found {
            Ok(known) => Self::Known(known),
            Err(error) => Self::Unknown {
                error: format!("{error:#}"),
            },
        }
    }

    fn known(&self) -> Option<&T> {
        match self {
            Self::Known(known) => Some(known),
            Self::Unknown { .. } => None,
        }
    }
}

#[derive(Debug, Serialize)]
struct Process {
    address: String,
    #[serde(flatten)]
    says: Part<Told>,
}

/// A component that is not ready, as `/readyz` has it.
#[derive(Debug, Serialize)]
struct NotReady {
    component: String,
    reason: String,
    detail: String,
    since: String,
}

/// What a process tells; counts are since its start.
#[derive(Debug, Serialize)]
struct Told {
    ready: bool,
    not_ready: Vec<NotReady>,
    components: usize,
    version: String,
    model: String,
    model_hash: String,
    resident_bytes: u64,
    snapshot_age_seconds: f64,
    lag_records: u64,
    oldest_unsaved_seconds: f64,
    end_to_end_p50_seconds: Option<f64>,
    end_to_end_p99_seconds: Option<f64>,
    read: u64,
    written: u64,
    skipped: u64,
    dead_lettered: u64,
    rejects: BTreeMap<String, u64>,
    inserts: BTreeMap<String, u64>,
    insert_retries: u64,
    read_backs: u64,
    kills: u64,
    late_inserts_killed: u64,
    missing_rows: u64,
    hollow_inserts: u64,
    second_copies: u64,
    uid_conflicts: u64,
    unscored: u64,
    rebalances: BTreeMap<String, u64>,
    fenced: u64,
    pauses: u64,
    paused: u64,
}

#[derive(Debug, Serialize)]
struct Kafka {
    group: String,
    /// Records after the committed position, over all topics.
    lag_records: i64,
    topics: Vec<Topic>,
}

#[derive(Debug, Serialize)]
struct Topic {
    topic: String,
    partitions: usize,
    /// `None` where the topic is missing.
    lag_records: Option<i64>,
}

/// What arrived in the last day, by Kafka's time of the records.
#[derive(Debug, Serialize)]
struct Ledger {
    database: String,
    read: i64,
    written: i64,
    skipped: i64,
    dead_lettered: i64,
    missing: i64,
    rejects: BTreeMap<String, i64>,
    asks: i64,
    /// What the system did itself, newest first.
    operations: Vec<Operation>,
}

#[derive(Debug, Serialize)]
struct Operation {
    time: String,
    kind: String,
    who: String,
    why: String,
}

pub(crate) fn run(config: Option<&Path>, asked: &Status) -> Answer {
    let mut settings = setup::settings(config)?;
    let joined = crate::local::join(&mut settings);
    let runtime = setup::runtime()?;
    let own: Vec<String> = settings.http.listen.map(reachable).into_iter().collect();
    let addresses = if asked.at.is_empty() { &own } else { &asked.at };
    let processes: Vec<Process> = addresses
        .iter()
        .map(|address| Process {
            address: address.clone(),
            says: Part::of(runtime.block_on(told(address))),
        })
        .collect();
    let (kafka, ledger) = match &joined {
        Ok(()) => (kafka(&settings), ledger(&settings, &runtime)),
        Err(error) => (Err(anyhow::anyhow!("{error}")), Err(anyhow::anyhow!("{error}"))),
    };
    let (kafka, ledger) = (Part::of(kafka), Part::of(ledger));
    let picture = Picture {
        well: !processes.is_empty()
            && processes
                .iter()
                .all(|process| process.says.known().is_some_and(|told| told.ready))
            && kafka
                .known()
                .is_some_and(|kafka| kafka.topics.iter().all(|topic| topic.lag_records.is_some()))
            && ledger.known().is_some_and(|ledger| ledger.missing == 0),
        processes,
        kafka,
        ledger,
    };
    match asked.printed.output {
        Format::Table => screen::show(&picture)?,
        Format::Json => say!("{}", serde_json::to_string_pretty(&picture)?),
        Format::Jsonl => say!("{}", serde_json::to_string(&picture)?),
    }
    Ok(picture.well)
}

/// Where a process on this machine answers that listens there.
fn reachable(mut listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen.to_string()
}

async fn told(address: &str) -> anyhow::Result<Told> {
    let (_, readiness) = ask(address, "/readyz", WITHIN).await?;
    let (status, metrics) = ask(address, "/metrics", WITHIN).await?;
    let samples = Samples::parse(&metrics);
    let readiness: Value = serde_json::from_str(&readiness).unwrap_or_default();
    anyhow::ensure!(
        status == 200 && samples.has(Metric::BuildInfo) && readiness["components"].is_array(),
        "what answers at {address} is no changegate: give the address of its http.listen"
    );
    let components = readiness["components"].as_array().map_or(&[][..], Vec::as_slice);
    let text = |value: &Value| output::plain(value.as_str().unwrap_or_default());
    let not_ready = components
        .iter()
        .filter(|component| component["state"] != "ready")
        .map(|component| NotReady {
            component: text(&component["component"]),
            reason: text(&component["reason"]),
            detail: text(&component["detail"]),
            since: output::to_the_second(&text(&component["since"])),
        });
    let count = |metric| samples.sum(metric) as u64;
    let by = |metric, label| {
        let sums = samples.by(metric, label).into_iter();
        sums.map(|(value, sum)| (value, sum as u64)).collect()
    };
    Ok(Told {
        ready: readiness["status"] == "ok",
        not_ready: not_ready.collect(),
        components: components.len(),
        version: samples.info(Metric::BuildInfo, "version").to_owned(),
        model: format!(
            "{}@{}",
            samples.info(Metric::ModelInfo, "name"),
            samples.info(Metric::ModelInfo, "version")
        ),
        model_hash: samples.info(Metric::ModelInfo, "hash").to_owned(),
        resident_bytes: count(Metric::ResidentBytes),
        snapshot_age_seconds: samples.max(Metric::SnapshotAgeSeconds),
        lag_records: count(Metric::LagRecords),
        oldest_unsaved_seconds: samples.max(Metric::OldestUnsavedSeconds),
        end_to_end_p50_seconds: samples.quantile(Metric::EndToEndSeconds, 0.5),
        end_to_end_p99_seconds: samples.quantile(Metric::EndToEndSeconds, 0.99),
        read: count(Metric::ChildrenRead),
        written: count(Metric::ChildrenWritten),
        skipped: count(Metric::ChildrenSkipped),
        dead_lettered: count(Metric::ChildrenDeadLettered),
        rejects: by(Metric::ChildrenDeadLettered, "code"),
        inserts: by(Metric::Inserts, "result"),
        insert_retries: count(Metric::InsertRetries),
        read_backs: count(Metric::ReadBacks),
        kills: count(Metric::Kills),
        late_inserts_killed: count(Metric::KilledQueries),
        missing_rows: count(Metric::MissingRows),
        hollow_inserts: count(Metric::HollowInserts),
        second_copies: count(Metric::SupersededRows),
        uid_conflicts: count(Metric::UidConflicts),
        unscored: count(Metric::Unscored),
        rebalances: by(Metric::Rebalances, "kind"),
        fenced: count(Metric::WorkersFenced),
        pauses: count(Metric::Pauses),
        paused: count(Metric::Paused),
    })
}

fn kafka(settings: &Settings) -> anyhow::Result<Kafka> {
    let mut topics = Vec::new();
    let mut look = |admin: &Admin, name: &str| -> anyhow::Result<()> {
        let lag = admin.lag(name)?;
        topics.push(Topic {
            topic: name.to_owned(),
            partitions: lag.as_ref().map_or(0, Vec::len),
            lag_records: lag.map(|lag| lag.iter().map(|(_, records)| records).sum()),
        });
        Ok(())
    };
    let connection = connect::kafka(settings);
    let admin = Admin::new(&connection)?;
    for topic in &settings.topics {
        look(&admin, &topic.name)?;
    }
    if settings.stages.run != Stages::Whole {
        let scoring = Admin::new(&changegate_kafka::Settings {
            group: settings.scoring_group(),
            ..connection
        })?;
        look(&scoring, &settings.stages.hop_topic)?;
    }
    Ok(Kafka {
        group: settings.kafka.group.clone(),
        lag_records: topics.iter().filter_map(|topic| topic.lag_records).sum(),
        topics,
    })
}

fn ledger(settings: &Settings, runtime: &Runtime) -> anyhow::Result<Ledger> {
    let reader = connect::clickhouse(settings, &settings.clickhouse.reader)?;
    let db = &settings.clickhouse.database;
    let rows = |sql: &str| -> anyhow::Result<Vec<Value>> {
        let mut answer = Vec::new();
        let settings = [("output_format_json_quote_64bit_integers", "0")];
        runtime.block_on(reader.copy_with(sql, "JSONEachRow", &settings, &mut answer))?;
        let rows = serde_json::Deserializer::from_slice(&answer).into_iter();
        rows.collect::<Result<_, _>>()
            .context("reading ClickHouse's answer")
    };
    let day = "kafka_time > now() - INTERVAL 1 DAY";
    let sums = rows(&format!(
        "SELECT sum(children) AS read, sum(written) AS written, sum(skipped_children) AS skipped, \
         sum(dead_lettered_children) AS dead_lettered FROM {db}.v_raw_records \
         WHERE {day} AND topic != '{}'",
        // What went over the hop was read before.
        settings.stages.hop_topic
    ))?;
    let sum = |name: &str| sums.first().and_then(|row| row[name].as_i64()).unwrap_or(0);
    let [read, written, skipped, dead_lettered] = ["read", "written", "skipped", "dead_lettered"].map(sum);
    let rejects = rows(&format!(
        "SELECT toString(code) AS code, count() AS rows FROM {db}.v_rejected WHERE {day} GROUP BY code"
    ))?;
    let asks = rows(&format!(
        "SELECT count() AS asks FROM {db}.v_changes WHERE {day} AND approval IN ('asked', 'grouped')"
    ))?;
    let operations = rows(&format!(
        "SELECT formatDateTime(time, '%Y-%m-%dT%H:%i:%SZ', 'UTC') AS at, toString(kind) AS kind, who, why \
         FROM {db}.v_operations ORDER BY time DESC LIMIT 4"
    ))?;
    let text = |value: &Value| output::plain(value.as_str().unwrap_or_default());
    Ok(Ledger {
        database: db.clone(),
        read,
        written,
        skipped,
        dead_lettered,
        missing: read - written - skipped - dead_lettered,
        rejects: rejects
            .iter()
            .map(|row| (text(&row["code"]), row["rows"].as_i64().unwrap_or(0)))
            .collect(),
        asks: asks.first().and_then(|row| row["asks"].as_i64()).unwrap_or(0),
        operations: operations
            .iter()
            .map(|row| Operation {
                time: text(&row["at"]),
                kind: text(&row["kind"]),
                who: text(&row["who"]),
                why: text(&row["why"]),
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_listens_everywhere_is_asked_on_this_machine() {
        for (listen, asked) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:1", "[::1]:1"),
            ("10.0.0.7:80", "10.0.0.7:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), asked);
        }
    }
}
