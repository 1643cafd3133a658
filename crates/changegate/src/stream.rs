//! The stream put together: Kafka in, ClickHouse and Kafka out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use changegate_clickhouse::{ClickHouseLedger, RowBinary};
use changegate_config::{LostRecords, Reads, Settings, Stages};
use changegate_kafka::{Admin, Consumer, Producer, Snapshots};
use changegate_normalize::{Normalizer, RecordLimits, TopicSettings};
use changegate_pipeline::desk::ThreadDesk;
use changegate_pipeline::hop::{Hop, Reader};
use changegate_pipeline::ledger::Range;
use changegate_pipeline::log::TopicPartition;
use changegate_pipeline::part::Shard;
use changegate_pipeline::time_order::{Fronts, InTimeOrder, OrderRules};
use changegate_pipeline::{
    BatchLimits, Clock, Equipment, Judge, Now, PoisonLimits, Ports, RecoverRules, Rules, Topic, Turn, Work,
    Worker, WorkerSettings, WriteLimits,
};
use changegate_risk::{Model, StateSize};
use changegate_telemetry::{
    Clock as _, Health, Metric, Metrics, SystemClock, Tasks, TraceSettings, spawn_thread,
};
use changegate_types::{Digest, TimeMicros, Versions};
use sha2::{Digest as _, Sha256};

use crate::crew::{Crew, Ends, watch_copies, watch_topics};
use crate::memory::Memory;
use crate::metered::{MeteredDesk, TracedOutbox};
use crate::scorer::{Mind, StreamScorer};
use crate::shards::{Pace, Shards, States};
use crate::watch::{Sampler, Surroundings, Watch};
use crate::{connect, operations, setup};

pub(crate) use crate::watch::Totals;

/// The parts that a worker of this program is built of.
enum Real {}

impl Ports for Real {
    type Log = InTimeOrder<Consumer, WallClock>;
    type Ledger = ClickHouseLedger;
    type Desk = MeteredDesk<ThreadDesk>;
    type Outbox = TracedOutbox<Producer>;
    type Clock = WallClock;
    type Observer = Watch;
    type Normalizer = Reader;
    type Scorer = StreamScorer;
    type Encoder = RowBinary;
}

#[derive(Clone, Copy, Debug)]
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Now {
        Now {
            wall: SystemClock.now(),
            up: SystemClock.up(),
        }
    }
}

/// A moment, for what the program itself writes down.
pub(crate) fn now() -> TimeMicros {
    SystemClock.now()
}

/// Names the policy in every row: the thresholds, as they are written in full.
pub(crate) fn policy_hash(settings: &Settings) -> Digest {
    sha256(&settings.decision.thresholds.canonical())
}

fn sha256(text: &str) -> Digest {
    Digest(Sha256::digest(text.as_bytes()).into())
}

/// What the workers of a process share, whatever part of the work they do.
struct Common<'s> {
    settings: &'s Settings,
    model: &'s Arc<Model>,
    versions: Versions,
    tasks: &'s Tasks,
    metrics: &'s Metrics,
    health: &'s Health,
    ledger: Arc<ClickHouseLedger>,
    instance: String,
    totals: Arc<Totals>,
    ends: Ends,
    traces: bool,
}

/// The workers that do one part of the work.
struct Team {
    work: Work,
    /// Stem of their names.
    name: &'static str,
    group: String,
    topics: Vec<String>,
    keeper: Keeper,
}

/// Who sees to it that what is remembered is saved.
#[derive(Clone)]
enum Keeper {
    /// All workers together.
    Crew(Arc<Crew>),
    /// Each worker for its shards.
    Shards(States),
    /// There is nothing to save.
    Nobody,
}

/// Starts the workers, each on a thread of its own. They end when `tasks` are asked to.
pub(crate) fn start(
    settings: &Settings,
    model: &Arc<Model>,
    runtime: &tokio::runtime::Handle,
    tasks: &Tasks,
    metrics: &Metrics,
    health: &Health,
    command: &'static str,
) -> anyhow::Result<Arc<Totals>> {
    settings.require_for_serve()?;
    let versions = Versions {
        model_name: model.full_name(),
        model_hash: model.hash(),
        calibration_hash: model.calibration_hash(),
        policy_hash: policy_hash(settings),
        config_hash: sha256(&settings.row_settings()),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let ledger = Arc::new(ClickHouseLedger::new(
        connect::clickhouse(settings, &settings.clickhouse.writer)?,
        runtime.clone(),
    ));
    show_versions(metrics, model);
    let traces =
        settings.telemetry.traces && matches!(TraceSettings::from_env(std::env::vars(), ""), Ok(Some(_)));
    let common = Common {
        settings,
        model,
        versions: versions.clone(),
        tasks,
        metrics,
        health,
        ledger: Arc::clone(&ledger),
        instance: settings.kafka.instance_id.clone().unwrap_or_else(host_name),
        totals: Arc::default(),
        ends: Ends::default(),
        traces,
    };
    let _entered = runtime.enter();
    for team in teams(settings, model, metrics) {
        common.start(&team)?;
    }
    watch_copies(ledger.client().clone(), metrics, tasks);
    operations::keep_journal(tasks, runtime, ledger, command, versions)?;
    Ok(common.totals)
}

fn teams(settings: &Settings, model: &Arc<Model>, metrics: &Metrics) -> Vec<Team> {
    let raw = || -> Vec<String> { settings.topics.iter().map(|topic| topic.name.clone()).collect() };
    let group = &settings.kafka.group;
    let stages = &settings.stages;
    let whole = || {
        let crew = Crew::new(
            Memory::load(settings, model),
            usize::from(settings.kafka.workers),
            settings.state.snapshot_interval,
            settings.batch.drain_deadline,
            metrics,
        );
        Team {
            work: Work::Whole,
            name: "",
            group: group.clone(),
            topics: raw(),
            keeper: Keeper::Crew(Arc::new(crew)),
        }
    };
    // It goes on where one process that did all of it has ended.
    let normalize = || Team {
        work: Work::Normalize(Hop {
            topic: stages.hop_topic.clone(),
            bytes_max: settings.kafka.raw_record_bytes_max,
        }),
        name: "normalize-",
        group: group.clone(),
        topics: raw(),
        keeper: Keeper::Nobody,
    };
    let score = || Team {
        work: Work::Score,
        name: "score-",
        group: settings.scoring_group(),
        topics: vec![stages.hop_topic.clone()],
        keeper: Keeper::Shards(States::default()),
    };
    match stages.run {
        Stages::Whole => vec![whole()],
        Stages::Normalize => vec![normalize()],
        Stages::Score => vec![score()],
        Stages::Both => vec![normalize(), score()],
    }
}

impl Common<'_> {
    fn start(&self, team: &Team) -> anyhow::Result<()> {
        let settings = self.settings;
        let connection = changegate_kafka::Settings {
            group: team.group.clone(),
            ..connect::kafka(settings)
        };
        let names: Vec<&str> = team.topics.iter().map(String::as_str).collect();
        let workers = usize::from(settings.kafka.workers);
        let fronts = Fronts::new(workers);
        // The group gives a member that comes back under its name what it had before, without asking what it reads now:
        // with other topics it must be another member.
        let subscription = sha256(&names.join("\n")).to_string();
        let subscription = subscription.get(..8).unwrap_or_default();
        for number in 0..workers {
            let name = format!("{}-{}{number}", self.instance, team.name);
            let consumer = Consumer::join(&connection, &format!("{name}-{subscription}"), &names)?;
            let size: Option<Box<dyn Fn() -> StateSize + Send>> = match &team.keeper {
                _ if number > 0 => None,
                Keeper::Crew(crew) => {
                    let state = Arc::clone(&crew.memory().state);
                    Some(Box::new(move || state.size()))
                }
                Keeper::Shards(states) => {
                    let states = states.clone();
                    Some(Box::new(move || states.size()))
                }
                Keeper::Nobody => None,
            };
            let watch = Watch::new(Surroundings {
                settings,
                name: format!("worker-{}{number}", team.name),
                topics: self.watched(team),
                metrics: self.metrics,
                health: self.health,
                connections: consumer.connections(),
                ends: self.ends.clone(),
                size,
                totals: Arc::clone(&self.totals),
                traces: self.traces,
                shutdown: self.tasks.shutdown().clone(),
            });
            let thread = format!("{}{number}", team.name);
            let desk = ThreadDesk::start(Arc::clone(&self.ledger), format!("ledger-{thread}"));
            let worker: Worker<Real> = Worker::new(Equipment {
                log: InTimeOrder::new(
                    consumer,
                    WallClock,
                    OrderRules {
                        bytes_max: settings.batch.memory_max_bytes / (8 * workers),
                        hold_max: settings.kafka.order_backlog,
                        ..OrderRules::default()
                    },
                    fronts.clone(),
                    number,
                ),
                ledger: Arc::clone(&self.ledger),
                desk: MeteredDesk::new(desk.context("starting a thread")?, self.metrics),
                outbox: TracedOutbox(Producer::new(&connection)?),
                clock: WallClock,
                observer: watch,
                judge: self.judge(team, &connection)?,
                settings: worker_settings(settings, &name),
            });
            let (stopping, ended) = (self.tasks.clone(), Arc::clone(&self.totals));
            let keeper = team.keeper.clone();
            let interval = settings.state.snapshot_interval;
            spawn_thread(self.tasks, &format!("worker-{thread}"), move || {
                if let Err(error) = run(worker, number, &keeper, interval, &stopping) {
                    tracing::error!(%error, "worker ended");
                    ended.failed.store(true, Ordering::Release);
                    stopping.shutdown().request("a worker ended");
                }
            })?;
        }
        let grace = settings.kafka.session_timeout + Duration::from_secs(15);
        let crew = match &team.keeper {
            Keeper::Crew(crew) => Some(Arc::clone(crew)),
            Keeper::Shards(_) | Keeper::Nobody => None,
        };
        watch_topics(
            crew,
            Arc::new(Admin::new(&connection)?),
            team.topics.clone(),
            grace,
            self.ends.clone(),
            &self.totals,
            self.tasks,
        );
        Ok(())
    }

    /// Topics and their sources, for metrics.
    fn watched(&self, team: &Team) -> Vec<(String, String)> {
        let source = |name: &String| {
            let of_raw = self.settings.topic(name).map(|topic| topic.source.clone());
            (name.clone(), of_raw.unwrap_or_else(|| "hop".to_owned()))
        };
        team.topics.iter().map(source).collect()
    }

    fn judge(
        &self,
        team: &Team,
        connection: &changegate_kafka::Settings,
    ) -> anyhow::Result<Judge<Reader, StreamScorer, RowBinary>> {
        let settings = self.settings;
        let topics = if team.work == Work::Score {
            let name = &settings.stages.hop_topic;
            vec![Topic {
                name: name.clone(),
                dead_letter_topic: settings.dead_letter_topic(name),
                source: "hop".to_owned(),
                tenant_uid: settings.tenant.uid.clone(),
                normalizer: Reader::Hop,
            }]
        } else {
            let topics = settings.topics.iter().map(|topic| raw_topic(settings, topic));
            topics.collect::<anyhow::Result<_>>()?
        };
        let mind = match &team.keeper {
            Keeper::Crew(crew) => {
                let memory = crew.memory();
                Mind::Process {
                    scorer: Box::new(changegate_risk::Scorer::new(
                        Arc::clone(self.model),
                        Arc::clone(&memory.state),
                    )),
                    positions: Arc::clone(&memory.positions),
                    shard: Shard {
                        number: 0,
                        recent: Arc::clone(&memory.recent),
                        asker: Arc::clone(&memory.asker),
                    },
                }
            }
            Keeper::Shards(states) => {
                let snapshots = Snapshots::new(connection, &settings.stages.state_topic)?;
                Mind::Shards(Box::new(Shards::new(
                    settings,
                    self.model,
                    snapshots,
                    states.clone(),
                )))
            }
            Keeper::Nobody => Mind::Nobody,
        };
        Ok(Judge {
            topics,
            scorer: StreamScorer::new(mind, self.metrics),
            encoder: RowBinary,
            rules: Rules {
                thresholds: settings.decision.thresholds.clone(),
                versions: self.versions.clone(),
                approval_topic: settings.decision.approval_topic.clone(),
                decision_topic: settings
                    .decision
                    .publish_decisions
                    .then(|| settings.decision.decision_topic.clone()),
                work: team.work.clone(),
            },
        })
    }
}

fn raw_topic(settings: &Settings, topic: &changegate_config::Topic) -> anyhow::Result<Topic<Reader>> {
    let own = TopicSettings {
        source: topic.source.clone(),
        cluster: topic.cluster.clone(),
        store_reads: topic.reads == Reads::Store,
        limits: RecordLimits {
            bytes: settings.kafka.dlq_record_bytes_max,
            ..RecordLimits::default()
        },
    };
    let normalizer = Normalizer::new(own, setup::tenant(settings, &topic.tenant)?)?;
    Ok(Topic {
        name: topic.name.clone(),
        dead_letter_topic: settings.dead_letter_topic(&topic.name),
        source: topic.source.clone(),
        tenant_uid: topic.tenant.clone(),
        normalizer: Reader::Source(Box::new(normalizer)),
    })
}

fn show_versions(metrics: &Metrics, model: &Model) {
    let hash = model.hash().to_string();
    metrics
        .gauge(Metric::ModelInfo, &[model.name(), model.version(), &hash])
        .set(1.0);
    metrics
        .gauge(Metric::BuildInfo, &[env!("CARGO_PKG_VERSION")])
        .set(1.0);
}

fn run(
    mut worker: Worker<Real>,
    number: usize,
    keeper: &Keeper,
    interval: Duration,
    tasks: &Tasks,
) -> Result<(), changegate_pipeline::Error> {
    let mut sampler = Sampler::default();
    let mut pace = Pace::new(interval);
    loop {
        if tasks.shutdown().requested() {
            worker.stop();
        }
        match keeper {
            Keeper::Crew(crew) => crew.visit(number, &mut worker),
            Keeper::Shards(_) => pace.visit(&mut worker),
            Keeper::Nobody => {}
        }
        let turn = worker
            .turn()
            .inspect_err(|error| worker.observer().ended(error))?;
        if turn == Turn::Drained {
            // Only a clean end leaves a snapshot of its own.
            if let Keeper::Crew(crew) = keeper {
                crew.leave();
            }
            return Ok(());
        }
        if sampler.is_due() {
            if let Keeper::Crew(crew) = keeper {
                crew.reads(number, &worker);
            }
            worker.observer().sample(&worker);
        }
    }
}

fn worker_settings(settings: &Settings, name: &str) -> WorkerSettings {
    let batch = &settings.batch;
    // Keeps batch ids of workers apart: the low bits of a hash of the member's name.
    let tag = Sha256::digest(name.as_bytes())
        .first_chunk::<8>()
        .map_or(0, |head| u64::from_le_bytes(*head));
    WorkerSettings {
        block_max: batch.block,
        batch: BatchLimits {
            rows_max: batch.rows,
            bytes_max: batch
                .bytes
                .min(batch.memory_max_bytes / (2 * usize::from(settings.kafka.workers).max(1))),
            age_max: batch.wait,
            months_max: batch.months_max,
        },
        write: WriteLimits {
            insert_deadline: settings.clickhouse.send_timeout,
            backoff_min: settings.clickhouse.backoff_min,
            backoff_max: settings.clickhouse.backoff_max,
            ..WriteLimits::default()
        },
        recover: RecoverRules {
            accepted_gaps: settings.kafka.accept_retention_gap.iter().map(accepted).collect(),
            ..RecoverRules::default()
        },
        session_timeout: settings.kafka.session_timeout,
        drain: batch.drain_deadline,
        idle_close: Duration::from_millis(200),
        poll_wait: Duration::from_millis(5),
        poison: PoisonLimits {
            run_max: settings.dead_letters.run_max,
            share_max: settings.dead_letters.share_max.map(f64::from),
            window: u64::from(settings.dead_letters.share_records),
        },
        who: name.to_owned(),
        tag,
        learn_back: settings.state.learn_back_records.into(),
    }
}

fn accepted(lost: &LostRecords) -> (TopicPartition, Range) {
    let LostRecords {
        topic,
        partition,
        from,
        to,
    } = lost;
    let partition = TopicPartition {
        topic: topic.clone(),
        partition: *partition,
    };
    (partition, Range { from: *from, to: *to })
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "changegate".to_owned()
    } else {
        format!("changegate-{name}")
    }
}
