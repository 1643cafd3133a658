//! A made-up organisation through real engines, from Kafka to the ten riskiest changes.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use changegate_clickhouse::migrate;
use changegate_config::Settings;
use changegate_kafka::{Admin, Sender};
use changegate_normalize::source_names;
use changegate_simulator::{Config, Simulation};
use changegate_telemetry::{Health, LogSettings, LogTarget, Metrics, Tasks};

use super::Answer;
use super::train::organisation_rules;
use crate::local::Local;
use crate::{setup, stream};

const DAYS_MICROS: Duration = Duration::from_secs(40 * 24 * 3_600);

pub(crate) fn run() -> Answer {
    let _logs = changegate_telemetry::init(
        &LogSettings {
            target: LogTarget::Stderr,
            level: "warn".to_owned(),
            ..LogSettings::default()
        },
        std::env::vars(),
    )?;
    let sources: Vec<&str> = source_names().collect();
    let mut settings = Settings::defaults_local(&sources);
    settings.decision.approval_max_age = DAYS_MICROS;
    settings.decision.budget_per_hour = 100_000;
    let folder = std::env::temp_dir().join(format!("changegate-demo-{}", std::process::id()));
    let done = demo(&mut settings, &folder);
    // The folder is ours and temporary; that it cannot be removed is no reason to fail.
    if let Err(error) = std::fs::remove_dir_all(&folder) {
        eprintln!("demo: {} stays: {error}", folder.display());
    }
    done
}

fn demo(settings: &mut Settings, folder: &std::path::Path) -> Answer {
    let started = Instant::now();
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let engines = Local::start(settings, Some(folder))?;
    println!(
        "engines: Kafka at {}, ClickHouse at {} ({:.1} s)",
        settings.kafka.bootstrap,
        settings.clickhouse.url,
        started.elapsed().as_secs_f32()
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let admin = stream::clickhouse(settings, &settings.clickhouse.admin)?;
    let report = runtime.block_on(migrate::run(
        &admin,
        &migrate::Form::Single,
        stream::now(),
        &crate::operations::who(),
    ))?;
    println!("migrations: {}", report.applied.join(", "));
    let created =
        runtime.block_on(Admin::new(&stream::kafka(settings))?.create(&stream::topics(settings)))?;
    println!("topics: {}", created.len());

    let simulation = Simulation::new(Config::demo(stream::now().millis()));
    let rules = organisation_rules(simulation.organisation());
    settings.environments = rules
        .into_iter()
        .map(|rule| changegate_config::Environment {
            environment: rule.environment,
            owner: rule.owner,
            scope_tags: rule.scope_tags,
            account: rule.account,
            cluster: rule.cluster,
            namespace: rule.namespace,
            repository: rule.repository,
        })
        .collect();
    let mut sender = Sender::new(&stream::kafka(settings))?;
    let mut sent = 0u64;
    let mut incidents = std::collections::BTreeMap::new();
    let mut truth = Vec::new();
    let summary = simulation.run(|emitted| -> anyhow::Result<()> {
        let Some(topic) = settings
            .topics
            .iter()
            .find(|topic| topic.source == emitted.source)
        else {
            return Ok(());
        };
        let headers: Vec<(&str, &[u8])> = emitted
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_slice()))
            .collect();
        sender.send(
            &topic.name,
            emitted.key,
            &headers,
            emitted.value,
            emitted.record_time_ms,
        )?;
        sent += 1;
        for one in emitted.truth {
            if let Some(kind) = one.label.incident() {
                incidents.entry(one.story).or_insert(kind.name());
                truth.push((one.native_id.clone(), one.story));
            }
        }
        Ok(())
    })?;
    sender.finish(Duration::from_secs(60))?;
    println!(
        "made up: {} events in {} records, {} incidents; sent {sent} records",
        summary.events,
        summary.records,
        incidents.len()
    );

    let model = setup::model(settings, None)?;
    let (tasks, metrics, health) = (Tasks::new(), Metrics::new(), Health::new());
    let reading = Instant::now();
    let totals = stream::start(
        settings,
        &model,
        runtime.handle(),
        &tasks,
        &metrics,
        &health,
        "changegate demo",
    )?;
    let mut last = (0, Instant::now());
    loop {
        let read = totals.records.load(Ordering::Relaxed);
        if read >= sent {
            break;
        }
        if read > last.0 {
            last = (read, Instant::now());
        }
        if tasks.shutdown().requested() || last.1.elapsed() > Duration::from_secs(60) {
            bail!("the stream stands still at {read} of {sent} records");
        }
        engines.check()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let seconds = reading.elapsed().as_secs_f64();
    tasks.shutdown().request("demo is over");
    runtime.block_on(tasks.stop(Duration::from_secs(10)));
    println!(
        "stream: {sent} records in {seconds:.1} s, {:.0} records/s, lag 0, {} MiB resident",
        sent as f64 / seconds,
        resident_mib()
    );

    let reader = stream::clickhouse(settings, &settings.clickhouse.reader)?;
    let mut out = std::io::stdout();
    let db = &settings.clickhouse.database;
    let mut ask = |title: &str, sql: String| -> anyhow::Result<()> {
        println!("\n{title}");
        runtime.block_on(reader.copy(&sql, "PrettyCompactMonoBlock", &mut out))?;
        Ok(())
    };
    ask(
        "Read = written + skipped + dead-lettered",
        format!(
            "SELECT sum(read) AS read, sum(written) AS written, sum(skipped) AS skipped, sum(dead_lettered) AS dead_lettered, sum(missing) AS missing FROM {db}.v_conservation"
        ),
    )?;
    ask(
        "The ten riskiest changes",
        format!(
            "SELECT round(risk, 1) AS points, environment, actor_name, api_operation, arrayStringConcat(resource_names, ', ') AS resources, arrayStringConcat(reasons.text, '; ') AS why FROM {db}.v_changes WHERE is_change ORDER BY risk DESC, score_raw DESC LIMIT 10"
        ),
    )?;
    ask(
        "What asks for approval",
        format!(
            "SELECT countIf(is_change) AS changes, countIf(approval IN ('asked', 'grouped')) AS asks, round(100 * asks / changes, 2) AS percent, countIf(approval = 'learning') AS in_learning_phase FROM {db}.v_changes"
        ),
    )?;
    incidents_found(&runtime, &reader, db, &incidents, &truth)?;
    println!(
        "\nThe whole demo took {:.0} s. Go on with:",
        started.elapsed().as_secs_f32()
    );
    println!(
        "  changegate simulate --days 2 --to ./events     native events of every source, to try things on"
    );
    println!("  changegate score --source aws.cloudtrail --output table ./events/aws.cloudtrail.jsonl");
    println!("  changegate up                                  the same engines and stream, until Ctrl-C");
    drop(engines);
    Ok(true)
}

fn incidents_found(
    runtime: &tokio::runtime::Runtime,
    reader: &changegate_clickhouse::LedgerClient,
    db: &str,
    incidents: &std::collections::BTreeMap<u32, &'static str>,
    truth: &[(String, u32)],
) -> anyhow::Result<()> {
    let mut answer = Vec::new();
    let sql = format!("SELECT native_uid FROM {db}.v_changes WHERE approval IN ('asked', 'grouped')");
    runtime.block_on(reader.copy(&sql, "TSVRaw", &mut answer))?;
    let asked: std::collections::HashSet<String> = String::from_utf8_lossy(&answer)
        .lines()
        .map(str::to_owned)
        .collect();
    let found: std::collections::BTreeSet<u32> = truth
        .iter()
        .filter(|(id, _)| asked.contains(id))
        .map(|(_, story)| *story)
        .collect();
    let mut kinds = std::collections::BTreeMap::new();
    for (story, kind) in incidents {
        let counts: &mut (u32, u32) = kinds.entry(*kind).or_default();
        counts.1 += 1;
        counts.0 += u32::from(found.contains(story));
    }
    println!("\nIncidents among them: {} of {}", found.len(), incidents.len());
    for (kind, (found, all)) in kinds {
        println!("  {kind:30} {found} of {all}");
    }
    Ok(())
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}
