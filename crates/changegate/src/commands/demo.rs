//! A made-up organisation through real engines, from Kafka to the ten riskiest changes.

mod report;
mod samples;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use changegate_clickhouse::migrate;
use changegate_config::Settings;
use changegate_kafka::{Admin, Sender};
use changegate_normalize::source_names;
use changegate_simulator::{Config, Simulation, header_pairs};
use changegate_telemetry::{Health, LogSettings, Metrics, Tasks};

use self::report::Report;
use super::Answer;
use super::train::organisation_rules;
use crate::local::Local;
use crate::{connect, setup, stream};

const DAYS_MICROS: Duration = Duration::from_secs(40 * 24 * 3_600);

pub(crate) fn run() -> Answer {
    let _logs = changegate_telemetry::init(
        &LogSettings {
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
    say!(
        "engines: Kafka at {}, ClickHouse at {} ({:.1} s)",
        settings.kafka.bootstrap,
        settings.clickhouse.url,
        started.elapsed().as_secs_f32()
    );
    let runtime = setup::runtime()?;
    let admin = connect::clickhouse(settings, &settings.clickhouse.admin)?;
    let report = runtime.block_on(migrate::run(
        &admin,
        &migrate::Form::Single,
        stream::now(),
        &crate::operations::who(),
    ))?;
    say!("migrations: {}", report.applied.join(", "));
    let sample_files = samples::files()?;
    samples::add_topics(settings, &sample_files);
    let created =
        runtime.block_on(Admin::new(&connect::kafka(settings))?.create(&connect::topics(settings)))?;
    say!("topics: {}", created.len());

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
    let mut sender = Sender::new(&connect::kafka(settings))?;
    let mut sent = 0u64;
    let mut incidents = std::collections::BTreeMap::new();
    let mut truth = Vec::new();
    let summary = simulation.run(|emitted| -> anyhow::Result<()> {
        let Some(topic) = settings
            .topics
            .iter()
            .find(|topic| topic.tenant != samples::TENANT && topic.source == emitted.source)
        else {
            return Ok(());
        };
        let headers = header_pairs(emitted.headers);
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
    let samples = samples::send(settings, &sample_files, &mut sender)?;
    sender.finish(Duration::from_secs(60))?;
    say!(
        "sent: {sent} records with {} made-up events of 30 days, {} incidents among them",
        summary.events,
        incidents.len()
    );
    if samples > 0 {
        say!("sent: {samples} sample records from {}", samples::FOLDER);
    }
    sent += samples;

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
    say!(
        "stream: {sent} records in {seconds:.1} s, {:.0} records/s, lag 0, {} MiB peak resident",
        sent as f64 / seconds,
        peak_resident_mib()
    );

    let reader = connect::clickhouse(settings, &settings.clickhouse.reader)?;
    let report = Report {
        runtime: &runtime,
        reader: &reader,
        database: &settings.clickhouse.database,
        incidents: &incidents,
        truth: &truth,
    };
    report.print()?;
    say!(
        "\nThe whole demo took {:.0} s. Go on with:",
        started.elapsed().as_secs_f32()
    );
    say!("  changegate simulate --days 2 --until $(date +%F) --to ./events");
    say!("  changegate score --source aws.cloudtrail --output table ./events/aws.cloudtrail.jsonl");
    say!("  changegate up");
    drop(engines);
    Ok(true)
}

fn peak_resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}
