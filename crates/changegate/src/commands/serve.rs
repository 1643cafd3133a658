//! The stream against configured engines (`serve`), or with engines of its own (`up`).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use changegate_clickhouse::migrate;
use changegate_config::{LocalEngines, LogFormat, Settings, Stages};
use changegate_kafka::Admin;
use changegate_risk::Model;
use changegate_telemetry::{
    Health, LogSettings, Metrics, Tasks, TelemetryGuard, TraceSettings, init, router, shutdown_on_signals,
    spawn_upkeep,
};
use tokio::runtime::Runtime;

use super::Answer;
use crate::local::Local;
use crate::{connect, setup, stream};

/// SIGTERM gives everything this long to end.
const STOP_WITHIN: Duration = Duration::from_secs(9);
/// How long the start waits for brokers, and how it looks for topics that they do not know.
const BROKERS_WITHIN: Duration = Duration::from_secs(3);
const TOPIC_LOOKS: u32 = 5;
const TOPIC_LOOK_EVERY: Duration = Duration::from_millis(500);

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
        level: settings.telemetry.log_level.clone(),
        traces,
    };
    Ok(init(&wanted, std::env::vars())?)
}

/// Refuses topics that the brokers do not have, and another number of shards, so that it shows at the start. Brokers that do not answer say
/// nothing of their topics: the stream waits for them.
fn check_topics(settings: &Settings) -> anyhow::Result<()> {
    let kafka = connect::kafka(settings);
    let admin = Admin::new(&kafka)?;
    let mut wanted: Vec<(&str, Option<usize>)> = settings
        .topics
        .iter()
        .map(|topic| (topic.name.as_str(), None))
        .collect();
    let stages = &settings.stages;
    if stages.run != Stages::Whole {
        let shards = Some(usize::from(stages.shards));
        wanted.extend([
            (stages.hop_topic.as_str(), shards),
            (stages.state_topic.as_str(), shards),
        ]);
    }
    let fault = || -> Option<String> {
        for (name, shards) in &wanted {
            let Ok(found) = admin.partitions(name, BROKERS_WITHIN) else {
                return None;
            };
            match (found, shards) {
                (None, _) => {
                    return Some(format!(
                        "the brokers at {} have no topic {name:?}: `changegate topics` makes what the settings name, or mend \
                         the name there",
                        kafka.bootstrap
                    ));
                }
                (Some(found), Some(shards)) if found != *shards => {
                    return Some(format!(
                        "the topic {name:?} has {found} partitions and stages.shards is {shards}: the history of an actor \
                         stays in one shard only while their number stays"
                    ));
                }
                (Some(_), _) => {}
            }
        }
        None
    };
    // A topic that was made a moment ago is not known to every broker yet.
    for _ in 0..TOPIC_LOOKS {
        if fault().is_none() {
            return Ok(());
        }
        std::thread::sleep(TOPIC_LOOK_EVERY);
    }
    fault().map_or(Ok(()), |fault| bail!(fault))
}

/// Runs all stages against configured engines until it is told to stop.
pub(crate) fn serve(config: Option<&Path>) -> Answer {
    let settings = setup::settings(config)?;
    settings.require_for_serve()?;
    check_topics(&settings)?;
    let runtime = setup::runtime()?;
    let entered = runtime.enter();
    let guard = logs(&settings)?;
    drop(entered);
    let done =
        Prepared::new(&settings, &runtime).and_then(|parts| until_stopped(&settings, &runtime, parts, None));
    guard.shutdown();
    done
}

/// Starts the engines that are not configured, prepares them, and runs all stages until Ctrl-C.
pub(crate) fn up(config: Option<&Path>) -> Answer {
    let mut settings = setup::settings(config)?;
    let runtime = setup::runtime()?;
    let entered = runtime.enter();
    let guard = logs(&settings)?;
    drop(entered);
    std::fs::create_dir_all(&settings.engines.data_dir)
        .with_context(|| format!("creating {}", settings.engines.data_dir.display()))?;
    let own = settings.kafka.bootstrap.is_empty() || settings.clickhouse.url.is_empty();
    if own && settings.engines.local == LocalEngines::Never {
        bail!(
            "engines.local is \"never\", and kafka.bootstrap or clickhouse.url is not set: set both, or allow local engines"
        );
    }
    // A model or an address that cannot be had shows before engines start.
    let parts = Prepared::new(&settings, &runtime)?;
    settings.http.listen = parts.probes;
    if own {
        say!("Starting Kafka and ClickHouse…");
    }
    let engines = Local::start(&mut settings, None)?;
    let admin = connect::clickhouse(&settings, &settings.clickhouse.admin)?;
    runtime.block_on(migrate::run(
        &admin,
        &super::admin::form(&settings),
        stream::now(),
        &crate::operations::who(),
    ))?;
    runtime.block_on(Admin::new(&connect::kafka(&settings))?.create(&connect::topics(&settings)))?;
    say!("Kafka       {}", settings.kafka.bootstrap);
    say!(
        "ClickHouse  {} (database {})",
        settings.clickhouse.url,
        settings.clickhouse.database
    );
    if let Some(address) = parts.probes {
        say!("Probes      http://{address}/healthz /readyz /metrics");
    }
    say!("Data        {}", settings.engines.data_dir.display());
    say!("In another terminal, in this folder:");
    say!("  changegate simulate --days 2 --until $(date +%F) --to ./events");
    say!("  changegate ingest --source aws.cloudtrail ./events/aws.cloudtrail.jsonl");
    say!("  changegate approvals list");
    say!("  changegate sql \"SELECT * FROM v_conservation\"");
    say!("Ctrl-C ends all of it.");
    let done = until_stopped(&settings, &runtime, parts, Some(&engines));
    guard.shutdown();
    done
}

/// What needs no engines.
struct Prepared {
    model: Arc<Model>,
    /// Where probes are answered: the port that was got, where a free one was asked for.
    probes: Option<SocketAddr>,
    tasks: Tasks,
    metrics: Metrics,
    health: Health,
}

impl Prepared {
    /// Loads the model, and answers probes: nothing is ready yet.
    fn new(settings: &Settings, runtime: &Runtime) -> anyhow::Result<Self> {
        let model = setup::model(settings, None)?;
        let (tasks, metrics, health) = (Tasks::new(), Metrics::new(), Health::new());
        let mut probes = None;
        if let Some(address) = settings.http.listen {
            let routes = router(&tasks, &health, &metrics);
            let opened = runtime.block_on(changegate_telemetry::serve(&tasks, address, routes));
            probes = Some(opened.context("opening http.listen")?);
        }
        Ok(Self {
            model,
            probes,
            tasks,
            metrics,
            health,
        })
    }
}

fn until_stopped(settings: &Settings, runtime: &Runtime, parts: Prepared, engines: Option<&Local>) -> Answer {
    let Prepared {
        model,
        probes: _,
        tasks,
        metrics,
        health,
    } = parts;
    let entered = runtime.enter();
    shutdown_on_signals(&tasks).context("listening for signals")?;
    spawn_upkeep(&tasks, &metrics);
    drop(entered);
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
            let crashed = engines.and_then(|engines| engines.check().err());
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
