//! The stream against configured engines (`serve`), or with engines of its own (`up`).

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use changegate_clickhouse::migrate;
use changegate_config::{LogFormat, Settings};
use changegate_kafka::Admin;
use changegate_telemetry::{
    Health, LogSettings, LogTarget, Metrics, Tasks, TelemetryGuard, TraceSettings, init, router,
    shutdown_on_signals, spawn_upkeep,
};
use tokio::runtime::Runtime;

use super::Answer;
use crate::local::Local;
use crate::{setup, stream};

/// SIGTERM gives everything this long to end.
const STOP_WITHIN: Duration = Duration::from_secs(9);
/// How long the start waits for brokers, and how it looks for topics that they do not know.
const BROKERS_WITHIN: Duration = Duration::from_secs(3);
const TOPIC_LOOKS: u32 = 5;
const TOPIC_LOOK_EVERY: Duration = Duration::from_millis(500);

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")
}

fn logs(settings: &Settings) -> anyhow::Result<TelemetryGuard> {
    let format = match settings.telemetry.log_format {
        LogFormat::Auto => changegate_telemetry::LogFormat::Auto,
        LogFormat::Json => changegate_telemetry::LogFormat::Json,
        LogFormat::Text => changegate_telemetry::LogFormat::Text,
    };
    let traces = if settings.telemetry.traces {
        TraceSettings::from_env(std::env::vars(), &settings.telemetry.service_name)?
    } else {
        None
    };
    let wanted = LogSettings {
        format,
        target: LogTarget::Stdout,
        level: settings.telemetry.log_level.clone(),
        traces,
    };
    Ok(init(&wanted, std::env::vars())?)
}

/// Brings the database to this version.
pub(crate) fn migrate(config: Option<&Path>, dry_run: bool) -> Answer {
    let settings = setup::settings(config)?;
    let form = form(&settings);
    if dry_run {
        print!("{}", migrate::dry_run(&settings.clickhouse.database, &form));
        return Ok(true);
    }
    let client = stream::clickhouse(&settings, &settings.clickhouse.admin)?;
    let report = runtime()?.block_on(migrate::run(&client, &form, stream::now(), "changegate migrate"))?;
    println!(
        "{} migrations ran now, {} had run before",
        report.applied.len(),
        report.present
    );
    Ok(true)
}

fn form(settings: &Settings) -> migrate::Form {
    match &settings.clickhouse.cluster {
        Some(cluster) => migrate::Form::Cluster {
            name: cluster.clone(),
        },
        None => migrate::Form::Single,
    }
}

/// Creates the topics that are missing.
pub(crate) fn topics(config: Option<&Path>) -> Answer {
    let settings = setup::settings(config)?;
    let admin = Admin::new(&stream::kafka(&settings))?;
    let created = runtime()?.block_on(admin.create(&stream::topics(&settings)))?;
    println!(
        "{} topics created{}",
        created.len(),
        created
            .iter()
            .map(|name| format!("\n  {name}"))
            .collect::<String>()
    );
    Ok(true)
}

/// Asks the ledger in SQL.
pub(crate) fn sql(config: Option<&Path>, question: &str, format: &str) -> Answer {
    let settings = setup::settings(config)?;
    let reader = stream::clickhouse(&settings, &settings.clickhouse.reader)?;
    runtime()?.block_on(reader.copy(question, format, &mut std::io::stdout()))?;
    Ok(true)
}

/// Refuses topics that the brokers do not have, so that a wrong name shows at the start. Brokers that do not answer say
/// nothing of their topics: the stream waits for them.
fn check_topics(settings: &Settings) -> anyhow::Result<()> {
    let kafka = stream::kafka(settings);
    let admin = Admin::new(&kafka)?;
    let missing = |admin: &Admin| -> Option<&str> {
        let names = settings.topics.iter().map(|topic| topic.name.as_str());
        names
            .into_iter()
            .map(|name| (name, admin.partitions(name, BROKERS_WITHIN)))
            .take_while(|(_, found)| found.is_ok())
            .find_map(|(name, found)| matches!(found, Ok(None)).then_some(name))
    };
    // A topic that was made a moment ago is not known to every broker yet.
    for _ in 0..TOPIC_LOOKS {
        if missing(&admin).is_none() {
            return Ok(());
        }
        std::thread::sleep(TOPIC_LOOK_EVERY);
    }
    match missing(&admin) {
        None => Ok(()),
        Some(topic) => bail!(
            "the brokers at {} have no topic {topic:?}: `changegate topics` makes what [[topics]] names, or mend the name there",
            kafka.bootstrap
        ),
    }
}

/// Runs all stages against configured engines until it is told to stop.
pub(crate) fn serve(config: Option<&Path>) -> Answer {
    let settings = setup::settings(config)?;
    settings.require_for_serve()?;
    check_topics(&settings)?;
    let runtime = runtime()?;
    let entered = runtime.enter();
    let guard = logs(&settings)?;
    drop(entered);
    let done = until_stopped(&settings, &runtime, None);
    guard.shutdown();
    done
}

/// Starts the engines that are not configured, prepares them, and runs all stages until Ctrl-C.
pub(crate) fn up(config: Option<&Path>) -> Answer {
    let mut settings = setup::settings(config)?;
    let runtime = runtime()?;
    let entered = runtime.enter();
    let guard = logs(&settings)?;
    drop(entered);
    std::fs::create_dir_all(&settings.engines.data_dir)
        .with_context(|| format!("creating {}", settings.engines.data_dir.display()))?;
    let engines = Local::start(&mut settings, None)?;
    let admin = stream::clickhouse(&settings, &settings.clickhouse.admin)?;
    runtime.block_on(migrate::run(
        &admin,
        &form(&settings),
        stream::now(),
        "changegate up",
    ))?;
    runtime.block_on(Admin::new(&stream::kafka(&settings))?.create(&stream::topics(&settings)))?;
    println!("Kafka       {}", settings.kafka.bootstrap);
    println!(
        "ClickHouse  {} (database {})",
        settings.clickhouse.url, settings.clickhouse.database
    );
    if let Some(address) = settings.http.listen {
        println!("Probes      http://{address}/healthz /readyz /metrics");
    }
    println!("Data        {}", settings.engines.data_dir.display());
    println!("Ctrl-C ends all of it.");
    let done = until_stopped(&settings, &runtime, Some(&engines));
    guard.shutdown();
    done
}

fn until_stopped(settings: &Settings, runtime: &Runtime, engines: Option<&Local>) -> Answer {
    let model = setup::model(settings, None)?;
    let (tasks, metrics, health) = (Tasks::new(), Metrics::new(), Health::new());
    let entered = runtime.enter();
    shutdown_on_signals(&tasks).context("listening for signals")?;
    spawn_upkeep(&tasks, &metrics);
    drop(entered);
    if let Some(address) = settings.http.listen {
        let routes = router(&tasks, &health, &metrics);
        runtime
            .block_on(changegate_telemetry::serve(&tasks, address, routes))
            .context("opening http.listen")?;
    }
    let command = if engines.is_some() {
        "changegate up"
    } else {
        "changegate serve"
    };
    let totals = stream::start(
        settings,
        &model,
        runtime.handle(),
        &tasks,
        &metrics,
        &health,
        command,
    )?;
    let shutdown = tasks.shutdown().clone();
    runtime.block_on(async {
        let mut watch = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                () = shutdown.wait() => break,
                _ = watch.tick() => {}
            }
            let crashed = engines.and_then(|engines| {
                engines
                    .clickhouse
                    .check()
                    .and_then(|()| engines.kafka.check())
                    .err()
            });
            if let Some(error) = crashed {
                tracing::error!(%error, "an engine ended");
                shutdown.request("an engine ended");
            }
        }
    });
    let stopped = runtime.block_on(tasks.stop(STOP_WITHIN));
    if totals.failed.load(Ordering::Acquire) {
        bail!("the stream ended by the error that is logged above");
    }
    Ok(stopped.is_clean())
}
