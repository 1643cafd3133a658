//! The stream put together: Kafka in, ClickHouse and Kafka out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use bumpalo::Bump;
use changegate_clickhouse::{ClickHouseLedger, LedgerClient, Options, RowBinary};
use changegate_config::{ClickHouseUser, LostRecords, Reads, Settings};
use changegate_kafka::{Admin, Consumer, Producer, TopicPlan};
use changegate_normalize::{NormalizedRecord, Normalizer, RecordLimits, TopicSettings};
use changegate_pipeline::desk::ThreadDesk;
use changegate_pipeline::ledger::{Operation, Range};
use changegate_pipeline::log::TopicPartition;
use changegate_pipeline::time_order::{Fronts, InTimeOrder, OrderRules};
use changegate_pipeline::{
    BatchLimits, Clock, Equipment, Judge, Normalize, Now, PoisonLimits, Ports, ReadTo, RecoverRules, Rules,
    Scorer, Topic, Turn, Worker, WorkerSettings, WriteLimits,
};
use changegate_risk::{Model, PhaseEnd, Stratum};
use changegate_telemetry::{
    Clock as _, Health, Histogram, Metric, Metrics, SystemClock, Tasks, TraceSettings, spawn_thread,
};
use changegate_types::{ChangeEvent, Digest, RawRecord, Score, TimeMicros, Versions};
use sha2::{Digest as _, Sha256};

use crate::crew::{Crew, Ends, watch_copies, watch_topics};
use crate::memory::{Memory, Positions};
use crate::metered::{MeteredDesk, TracedOutbox};
use crate::watch::{Sampler, Surroundings, Watch};
use crate::{operations, setup};

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

#[derive(Debug)]
struct Reader(Normalizer);

impl Normalize for Reader {
    fn record<'a>(&self, arena: &'a Bump, record: &RawRecord<'a>) -> NormalizedRecord<'a> {
        self.0.record(arena, record)
    }
}

#[derive(Debug)]
struct StreamScorer {
    scorer: changegate_risk::Scorer,
    positions: Arc<Positions>,
    meters: RiskMeters,
}

/// From now on the stratum asks from `decision.approve_from`: a person should know, and may look at what was held back.
fn learning_over(phase: PhaseEnd) -> Operation {
    let PhaseEnd {
        tenant,
        source,
        stratum,
        events,
    } = phase;
    tracing::info!(
        tenant,
        source,
        stratum,
        events,
        "learning phase is over: it asks from decision.approve_from now; \
         `changegate approvals list --state learning` shows what it did not ask"
    );
    let details = [
        ("tenant", tenant),
        ("source", source),
        ("stratum", stratum.to_owned()),
        ("events", events.to_string()),
    ];
    Operation {
        kind: "learning_over".to_owned(),
        why: "the learning phase of this source and stratum is over: it asks from decision.approve_from now"
            .to_owned(),
        partition: -1,
        details: details.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        ..Operation::default()
    }
}

/// Risk of changes, by stratum.
struct RiskMeters(Vec<(&'static str, Histogram)>);

impl std::fmt::Debug for RiskMeters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RiskMeters")
    }
}

impl RiskMeters {
    fn new(metrics: &Metrics) -> Self {
        let meter = |stratum: Stratum| {
            let name = stratum.name();
            (name, metrics.histogram(Metric::RiskPoints, &[name]))
        };
        Self(Stratum::all().map(meter).collect())
    }

    fn record(&self, score: &Score<'_>) {
        if let Some((_, meter)) = self.0.iter().find(|(name, _)| *name == score.stratum) {
            meter.record(f64::from(score.risk.points()));
        }
    }
}

impl Scorer for StreamScorer {
    fn score<'a>(
        &mut self,
        arena: &'a Bump,
        events: &[(&'a ChangeEvent<'a>, TimeMicros)],
        out: &mut Vec<Option<Score<'a>>>,
    ) {
        let mut scores = Vec::with_capacity(events.len());
        self.scorer.score_block(arena, events, &mut scores);
        let changes = events
            .iter()
            .zip(&scores)
            .filter(|((event, _), _)| event.is_change);
        changes.for_each(|(_, score)| self.meters.record(score));
        out.extend(scores.into_iter().map(Some));
    }

    fn learn(&mut self, _: &Bump, events: &[(&ChangeEvent<'_>, TimeMicros)]) {
        self.scorer.learn_block(events);
    }

    fn news(&mut self) -> Vec<Operation> {
        let ended = self.scorer.state().ended_phases();
        ended.into_iter().map(learning_over).collect()
    }

    fn learn_from(&mut self, place: ReadTo<'_>) -> i64 {
        self.positions.learn_from(place)
    }

    fn read_to(&mut self, place: ReadTo<'_>, durable: bool) {
        self.positions.note(place, durable);
    }
}

/// Kafka as the settings describe it.
pub(crate) fn kafka(settings: &Settings) -> changegate_kafka::Settings {
    let kafka = &settings.kafka;
    let mut properties = vec![(
        "security.protocol".to_owned(),
        kafka.security_protocol.name().to_owned(),
    )];
    let mut add = |name: &str, value: String| properties.push((name.to_owned(), value));
    if let Some(sasl) = &kafka.sasl {
        add("sasl.mechanism", sasl.mechanism.name().to_owned());
        add("sasl.username", sasl.username.clone());
        add("sasl.password", sasl.password.reveal().to_owned());
    }
    let files = [
        ("ssl.ca.location", &kafka.ssl_ca_location),
        ("ssl.certificate.location", &kafka.ssl_certificate_location),
        ("ssl.key.location", &kafka.ssl_key_location),
    ];
    for (name, file) in files {
        if let Some(file) = file {
            add(name, file.display().to_string());
        }
    }
    if let Some(password) = &kafka.ssl_key_password {
        add("ssl.key.password", password.reveal().to_owned());
    }
    for (name, value) in kafka.properties.iter() {
        add(name, value.to_owned());
    }
    changegate_kafka::Settings {
        bootstrap: kafka.bootstrap.clone(),
        group: kafka.group.clone(),
        session_timeout: kafka.session_timeout,
        max_poll_interval: kafka.max_poll_interval,
        record_bytes_max: kafka.dlq_record_bytes_max,
        properties,
    }
}

/// ClickHouse as this user sees it.
pub(crate) fn clickhouse(settings: &Settings, user: &ClickHouseUser) -> anyhow::Result<LedgerClient> {
    let password = user.password.as_ref().map_or("", |password| password.reveal());
    let mut options =
        Options::new(&settings.clickhouse.url, &settings.clickhouse.database).with_user(&user.name, password);
    options.ca_file.clone_from(&settings.clickhouse.ca_file);
    options.connect_timeout = settings.clickhouse.connect_timeout;
    options.read_timeout = settings.clickhouse.query_timeout;
    Ok(LedgerClient::new(options)?)
}

/// Every topic that the stream reads or writes.
pub(crate) fn topics(settings: &Settings) -> Vec<TopicPlan> {
    let (kafka, replication) = (&settings.kafka, i32::from(settings.kafka.replication));
    let mut plans = Vec::new();
    for topic in &settings.topics {
        let partitions = i32::from(topic.partitions);
        plans.push(TopicPlan::raw(
            &topic.name,
            partitions,
            replication,
            kafka.retention,
            kafka.raw_record_bytes_max,
        ));
        plans.push(TopicPlan::kept(
            &settings.dead_letter_topic(&topic.name),
            1,
            replication,
            kafka.dlq_record_bytes_max,
        ));
    }
    let mut ours = vec![&settings.decision.approval_topic];
    if settings.decision.publish_decisions {
        ours.push(&settings.decision.decision_topic);
    }
    plans.extend(
        ours.iter()
            .map(|name| TopicPlan::kept(name, 4, replication, kafka.raw_record_bytes_max)),
    );
    plans
}

/// Names the policy in every row: the thresholds, as they are written in full.
pub(crate) fn policy_hash(settings: &Settings) -> Digest {
    sha256(&settings.decision.thresholds.canonical())
}

fn sha256(text: &str) -> Digest {
    Digest(Sha256::digest(text.as_bytes()).into())
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
    let memory = Memory::load(settings, model);
    let crew = Arc::new(Crew::new(
        memory,
        usize::from(settings.kafka.workers),
        settings.state.snapshot_interval,
        settings.batch.drain_deadline,
        metrics,
    ));
    let memory = crew.memory();
    let ledger = Arc::new(ClickHouseLedger::new(
        clickhouse(settings, &settings.clickhouse.writer)?,
        runtime.clone(),
    ));
    let instance = settings.kafka.instance_id.clone().unwrap_or_else(host_name);
    let totals = Arc::new(Totals::default());
    show_versions(metrics, model);
    let traces =
        settings.telemetry.traces && matches!(TraceSettings::from_env(std::env::vars(), ""), Ok(Some(_)));
    let connection = kafka(settings);
    let names: Vec<&str> = settings.topics.iter().map(|topic| topic.name.as_str()).collect();
    let admin = Arc::new(Admin::new(&connection)?);
    let workers = usize::from(settings.kafka.workers);
    let fronts = Fronts::new(workers);
    let ends = Ends::default();
    // The group gives a member that comes back under its name what it had before, without asking what it reads now: with
    // other topics it must be another member.
    let subscription = sha256(&names.join("\n")).to_string();
    let subscription = subscription.get(..8).unwrap_or_default();
    for number in 0..workers {
        let name = format!("{instance}-{number}");
        let topics = settings.topics.iter().map(|topic| {
            let own = TopicSettings {
                source: topic.source.clone(),
                cluster: topic.cluster.clone(),
                store_reads: topic.reads == Reads::Store,
                limits: RecordLimits {
                    bytes: settings.kafka.dlq_record_bytes_max,
                    ..RecordLimits::default()
                },
            };
            Ok(Topic {
                name: topic.name.clone(),
                dead_letter_topic: settings.dead_letter_topic(&topic.name),
                source: topic.source.clone(),
                tenant_uid: topic.tenant.clone(),
                normalizer: Reader(Normalizer::new(own, setup::tenant(settings, &topic.tenant)?)?),
            })
        });
        let judge = Judge {
            topics: topics.collect::<anyhow::Result<Vec<_>>>()?,
            scorer: StreamScorer {
                scorer: changegate_risk::Scorer::new(Arc::clone(model), Arc::clone(&memory.state)),
                positions: Arc::clone(&memory.positions),
                meters: RiskMeters::new(metrics),
            },
            encoder: RowBinary,
            rules: Rules {
                thresholds: settings.decision.thresholds.clone(),
                versions: versions.clone(),
                approval_topic: settings.decision.approval_topic.clone(),
                decision_topic: settings
                    .decision
                    .publish_decisions
                    .then(|| settings.decision.decision_topic.clone()),
            },
            recent: Arc::clone(&memory.recent),
            asker: Arc::clone(&memory.asker),
        };
        let consumer = Consumer::join(&connection, &format!("{name}-{subscription}"), &names)?;
        let watch = Watch::new(Surroundings {
            settings,
            number,
            metrics,
            health,
            connections: consumer.connections(),
            ends: ends.clone(),
            state: Arc::clone(&memory.state),
            totals: Arc::clone(&totals),
            traces,
            shutdown: tasks.shutdown().clone(),
        });
        let desk = ThreadDesk::start(Arc::clone(&ledger), format!("ledger-{number}"));
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
            ledger: Arc::clone(&ledger),
            desk: MeteredDesk::new(desk.context("starting a thread")?, metrics),
            outbox: TracedOutbox(Producer::new(&connection)?),
            clock: WallClock,
            observer: watch,
            judge,
            settings: worker_settings(settings, &name),
        });
        let (stopping, crew, ended) = (tasks.clone(), Arc::clone(&crew), Arc::clone(&totals));
        spawn_thread(tasks, &format!("worker-{number}"), move || {
            if let Err(error) = run(worker, number, &crew, &stopping) {
                tracing::error!(%error, "worker ended");
                ended.failed.store(true, Ordering::Release);
                stopping.shutdown().request("a worker ended");
            }
        })?;
    }
    let _entered = runtime.enter();
    let topics = names.iter().map(|name| (*name).to_owned()).collect();
    let grace = settings.kafka.session_timeout + Duration::from_secs(15);
    watch_topics(&crew, admin, topics, grace, ends, &totals, tasks);
    watch_copies(ledger.client().clone(), metrics, tasks);
    operations::keep_journal(tasks, runtime, ledger, command, versions)?;
    Ok(totals)
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
    crew: &Crew,
    tasks: &Tasks,
) -> Result<(), changegate_pipeline::Error> {
    let mut sampler = Sampler::default();
    loop {
        if tasks.shutdown().requested() {
            worker.stop();
        }
        crew.visit(number, &mut worker);
        let turn = worker
            .turn()
            .inspect_err(|error| worker.observer().ended(error))?;
        if turn == Turn::Drained {
            // Only a clean end leaves a snapshot of its own.
            crew.leave();
            return Ok(());
        }
        if sampler.is_due() {
            crew.reads(number, &worker);
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
