//! What a worker tells of itself, as metrics and health.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use changegate_approval::Ask as Approval;
use changegate_config::Settings;
use changegate_kafka::Connections;
use changegate_pipeline::judge::{BlockStats, TopicStats};
use changegate_pipeline::ledger::{Copies, Operation};
use changegate_pipeline::log::TopicPartition;
use changegate_pipeline::observe::{Side, TickStats, Trouble};
use changegate_pipeline::rows::{Outcomes, Why};
use changegate_pipeline::{Observer, Ports, Worker};
use changegate_risk::StateSize;
use changegate_telemetry::{
    Clock as _, Component, Counter, Gauge, Health, Histogram, Metric, Metrics, Shutdown, SystemClock,
    link_trace,
};
use changegate_types::{Decision, Mark, RejectCode, SkipReason};
use tracing::Span;

use crate::crew::Ends;

/// A worker that does not turn for so long is stuck: longer than the longest question to the brokers.
const TURN_MAX: Duration = Duration::from_secs(120);
/// How often what is measured and not counted is looked at.
const SAMPLE: Duration = Duration::from_secs(1);

/// What all workers of the process have done.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Records whose rows, requests and dead letters are durable.
    pub(crate) records: AtomicU64,
    /// The stream ended by an error, which was logged.
    pub(crate) failed: AtomicBool,
}

/// Counters of one topic.
struct TopicMeters {
    records: Counter,
    bytes: Counter,
    known: Counter,
    times_cut: Counter,
    conflicts: Counter,
    unknown_environments: Counter,
    secrets: Counter,
    children: Counter,
    written: Counter,
    skipped: [Counter; SkipReason::ALL.len()],
    dead_lettered: [Counter; RejectCode::ALL.len()],
}

impl TopicMeters {
    fn new(metrics: &Metrics, topic: &str, source: &str) -> Self {
        let of_topic = |metric| metrics.counter(metric, &[topic]);
        let of_source = |metric| metrics.counter(metric, &[source]);
        Self {
            records: of_topic(Metric::RecordsRead),
            bytes: of_topic(Metric::BytesRead),
            known: of_topic(Metric::KnownRecords),
            times_cut: of_topic(Metric::TimesCut),
            conflicts: of_source(Metric::UidConflicts),
            unknown_environments: of_source(Metric::UnknownEnvironments),
            secrets: of_source(Metric::SecretsMasked),
            children: of_topic(Metric::ChildrenRead),
            written: of_topic(Metric::ChildrenWritten),
            skipped: SkipReason::ALL
                .map(|reason| metrics.counter(Metric::ChildrenSkipped, &[topic, reason.name()])),
            dead_lettered: RejectCode::ALL
                .map(|code| metrics.counter(Metric::ChildrenDeadLettered, &[topic, code.name()])),
        }
    }

    fn read(&self, stats: &TopicStats) {
        let TopicStats {
            records,
            bytes,
            known,
            redeliveries: _,
            conflicts,
            times_cut,
            unknown_environments,
            secrets_masked,
        } = *stats;
        self.bytes.increment(bytes);
        for (counter, count) in [
            (&self.records, records),
            (&self.known, known),
            (&self.times_cut, times_cut),
            (&self.conflicts, conflicts),
            (&self.unknown_environments, unknown_environments),
            (&self.secrets, secrets_masked),
        ] {
            counter.increment(count.into());
        }
    }

    fn durable(&self, outcomes: &Outcomes) {
        self.children.increment(outcomes.children().into());
        self.written.increment(outcomes.written.into());
        for (reason, counter) in SkipReason::ALL.into_iter().zip(&self.skipped) {
            counter.increment(outcomes.skipped(reason).into());
        }
        for (code, counter) in RejectCode::ALL.into_iter().zip(&self.dead_lettered) {
            counter.increment(outcomes.dead_lettered(code).into());
        }
    }
}

/// What one worker is told and asked of its surroundings.
pub(crate) struct Surroundings<'s> {
    /// Settings.
    pub(crate) settings: &'s Settings,
    /// Name of the worker.
    pub(crate) name: String,
    /// Topics that it reads, in the order of its judge, and what each carries.
    pub(crate) topics: Vec<(String, String)>,
    /// Where metrics go.
    pub(crate) metrics: &'s Metrics,
    /// Where its components stand.
    pub(crate) health: &'s Health,
    /// What its consumer tells.
    pub(crate) connections: Connections,
    /// Where partitions end.
    pub(crate) ends: Ends,
    /// How much is remembered, told by one of those who share it.
    pub(crate) size: Option<Box<dyn Fn() -> StateSize + Send>>,
    /// What all workers have done.
    pub(crate) totals: Arc<Totals>,
    /// Whether spans are sent anywhere.
    pub(crate) traces: bool,
    /// The word that it is time to end.
    pub(crate) shutdown: Shutdown,
}

/// Metrics and health of one worker.
pub(crate) struct Watch {
    totals: Arc<Totals>,
    metrics: Metrics,
    traces: bool,
    shutdown: Shutdown,
    connections: Connections,
    ends: Ends,
    size: Option<Box<dyn Fn() -> StateSize + Send>>,
    worker: Component,
    kafka: Component,
    clickhouse: Component,
    outbox: Component,
    /// Trouble with Kafka that a commit or a question met.
    log_trouble: RefCell<Option<Trouble>>,
    committed: RefCell<BTreeMap<TopicPartition, i64>>,
    topics: Vec<TopicMeters>,
    decisions: [Counter; 3],
    asks: [Counter; Approval::ALL.len()],
    marks: [Counter; Mark::ALL.len()],
    unscored: Counter,
    redeliveries: Counter,
    late_inserts: Counter,
    identical: Counter,
    batch_rows: Histogram,
    batch_bytes: Histogram,
    behind: Histogram,
    letters_cut: Counter,
    missing: Counter,
    hollow: Counter,
    fences: Counter,
    closes: Counter,
    commit_seconds: Histogram,
    fenced: Counter,
    assigned: Counter,
    revoked: Counter,
    lost: Counter,
    pauses: Counter,
    paused: Gauge,
    oldest: Gauge,
    under_way: Gauge,
}

impl Watch {
    pub(crate) fn new(surroundings: Surroundings<'_>) -> Self {
        let Surroundings {
            settings,
            name,
            topics,
            metrics,
            health,
            connections,
            ends,
            size,
            totals,
            traces,
            shutdown,
        } = surroundings;
        let worker = health.component_with_heartbeat(&name, TURN_MAX);
        worker.not_ready("starting", "waiting for partitions");
        let superseded = |why: Why| metrics.counter(Metric::SupersededRows, &[why.name()]);
        let rebalance = |kind| metrics.counter(Metric::Rebalances, &[kind]);
        for kind in [
            "new_incarnation",
            "retention_gap",
            "gap_skipped",
            "ledger_short",
            "hole",
            "approval_budget",
            "learning_over",
        ] {
            metrics.counter(Metric::OperationsNoted, &[kind]).increment(0);
        }
        for (topic, _) in &topics {
            let dead = settings.dead_letter_topic(topic);
            metrics.counter(Metric::MessagesSent, &[&dead]).increment(0);
        }
        let decision = &settings.decision;
        let decisions = decision.publish_decisions.then_some(&decision.decision_topic);
        for topic in [&decision.approval_topic].into_iter().chain(decisions) {
            metrics.counter(Metric::MessagesSent, &[topic]).increment(0);
        }
        Self {
            totals,
            metrics: metrics.clone(),
            traces,
            shutdown,
            connections,
            ends,
            size,
            kafka: health.component(format!("{name}/kafka")),
            clickhouse: health.component(format!("{name}/clickhouse")),
            outbox: health.component(format!("{name}/outbox")),
            worker,
            log_trouble: RefCell::default(),
            committed: RefCell::default(),
            topics: topics
                .iter()
                .map(|(topic, source)| TopicMeters::new(metrics, topic, source))
                .collect(),
            decisions: [Decision::Allow, Decision::RequireApproval, Decision::Deny]
                .map(|decision| metrics.counter(Metric::Decisions, &[decision.name()])),
            asks: Approval::ALL.map(|ask| metrics.counter(Metric::Asks, &[ask.name()])),
            marks: Mark::ALL.map(|mark| metrics.counter(Metric::EventsMarked, &[mark.name()])),
            unscored: metrics.counter(Metric::Unscored, &[]),
            redeliveries: superseded(Why::Redelivery),
            late_inserts: superseded(Why::LateInsert),
            identical: superseded(Why::Identical),
            batch_rows: metrics.histogram(Metric::BatchRows, &[]),
            batch_bytes: metrics.histogram(Metric::BatchBytes, &[]),
            behind: metrics.histogram(Metric::EndToEndSeconds, &[]),
            letters_cut: metrics.counter(Metric::LettersCut, &[]),
            missing: metrics.counter(Metric::MissingRows, &[]),
            hollow: metrics.counter(Metric::HollowInserts, &[]),
            fences: metrics.counter(Metric::Commits, &["fence"]),
            closes: metrics.counter(Metric::Commits, &["close"]),
            commit_seconds: metrics.histogram(Metric::CommitSeconds, &[]),
            fenced: metrics.counter(Metric::WorkersFenced, &[]),
            assigned: rebalance("assigned"),
            revoked: rebalance("revoked"),
            lost: rebalance("lost"),
            pauses: metrics.counter(Metric::Pauses, &[&name]),
            paused: metrics.gauge(Metric::Paused, &[&name]),
            oldest: metrics.gauge(Metric::OldestUnsavedSeconds, &[&name]),
            under_way: metrics.gauge(Metric::UnderWayBytes, &[&name]),
        }
    }

    /// The worker will not come back.
    pub(crate) fn ended(&self, reason: &dyn std::fmt::Display) {
        self.worker.failed("ended", reason.to_string());
    }

    /// Measures what is not counted.
    pub(crate) fn sample<P: Ports>(&self, worker: &Worker<P>) {
        self.worker.beat();
        let oldest = worker.oldest_unsaved();
        let age = oldest.map_or(0, |oldest| SystemClock.now().0.saturating_sub(oldest.0).max(0));
        self.oldest.set(age as f64 / 1e6);
        self.under_way.set(worker.under_way_bytes() as f64);
        let fetched = self.connections.ends();
        for (partition, next) in &*self.committed.borrow() {
            // What is fetched is known sooner, and nothing is while the partition is paused.
            let ends = [fetched.get(partition).copied(), self.ends.of(partition)];
            if let Some(end) = ends.into_iter().flatten().max() {
                let number = partition.partition.to_string();
                let lag = self
                    .metrics
                    .gauge(Metric::LagRecords, &[&partition.topic, &number]);
                lag.set(end.saturating_sub(*next).max(0) as f64);
            }
        }
        self.show_kafka();
        if let Some(size) = &self.size {
            self.show_state(size());
        }
    }

    /// Kafka is there if a broker is connected and no question or commit is waiting.
    fn show_kafka(&self) {
        if let Some(trouble) = &*self.log_trouble.borrow() {
            self.kafka.not_ready(trouble.code, &trouble.reason);
            return;
        }
        match self.connections.up() {
            Some(true) => self.kafka.ready(),
            Some(false) => {
                let fault = self.connections.fault();
                self.kafka.not_ready(
                    "down",
                    fault.unwrap_or_else(|| "no broker is connected".to_owned()),
                );
            }
            None => {}
        }
    }

    fn show_state(&self, size: StateSize) {
        let StateSize {
            actors,
            actor_counts,
            shared_counts,
            waiting,
            learning_phases,
            actors_forgotten,
            actors_refused,
            waiting_dropped,
            counts_evicted,
        } = size;
        for (kind, count) in [
            ("actors", actors),
            ("actor_counts", actor_counts),
            ("shared_counts", shared_counts),
            ("waiting", waiting),
            ("learning_phases", learning_phases),
        ] {
            self.metrics
                .gauge(Metric::StateEntries, &[kind])
                .set(count as f64);
        }
        for (kind, count) in [
            ("actors", actors_forgotten + actors_refused),
            ("counts", counts_evicted),
            ("waiting", waiting_dropped),
        ] {
            self.metrics
                .counter(Metric::StateEvictions, &[kind])
                .absolute(count);
        }
    }
}

/// Says once a second that it is time to look at a worker.
#[derive(Debug, Default)]
pub(crate) struct Sampler(Option<Duration>);

impl Sampler {
    /// To be called after every turn.
    pub(crate) fn is_due(&mut self) -> bool {
        let up = SystemClock.up();
        let is_due = self.0.is_none_or(|last| up.saturating_sub(last) >= SAMPLE);
        if is_due {
            self.0 = Some(up);
        }
        is_due
    }
}

fn add<const N: usize>(counters: &[Counter; N], counts: [u32; N]) {
    for (counter, count) in counters.iter().zip(counts) {
        counter.increment(count.into());
    }
}

impl Observer for Watch {
    fn block(&self, stats: &BlockStats) {
        for (meters, topic) in self.topics.iter().zip(&stats.topics) {
            meters.read(topic);
            self.redeliveries.increment(topic.redeliveries.into());
        }
        add(&self.decisions, stats.decisions);
        add(&self.asks, stats.asks);
        add(&self.marks, stats.marks);
        self.unscored.increment(stats.unscored.into());
    }

    fn traces(&self) -> bool {
        self.traces
    }

    fn traced(&self, batch: &Span, traceparent: &str) {
        link_trace(batch, traceparent);
    }

    fn tick(&self, tick: &TickStats) {
        self.totals
            .records
            .fetch_add(u64::from(tick.records), Ordering::Relaxed);
        for (meters, outcomes) in self.topics.iter().zip(&tick.outcomes) {
            meters.durable(outcomes);
        }
        self.batch_rows.record(tick.rows as f64);
        self.batch_bytes.record(tick.bytes as f64);
        self.behind.record(tick.behind_micros.max(0) as f64 / 1e6);
        self.letters_cut.increment(tick.cut.into());
        self.missing.increment(tick.write.missing.into());
        self.hollow.increment(tick.write.hollow.into());
        for (topic, count) in &tick.sent {
            self.metrics
                .counter(Metric::MessagesSent, &[topic])
                .increment((*count).into());
        }
    }

    fn committed(&self, offsets: &[(TopicPartition, i64)], fence: bool, took: Duration) {
        if fence { &self.fences } else { &self.closes }.increment(1);
        self.commit_seconds.record(took.as_secs_f64());
        let mut committed = self.committed.borrow_mut();
        for (partition, next) in offsets {
            committed.insert(partition.clone(), *next);
        }
    }

    fn fenced(&self) {
        self.fenced.increment(1);
    }

    fn trouble(&self, side: Side, trouble: Option<&Trouble>) {
        let component = match side {
            Side::Log => {
                *self.log_trouble.borrow_mut() = trouble.cloned();
                self.show_kafka();
                return;
            }
            Side::Ledger => &self.clickhouse,
            Side::Outbox => &self.outbox,
        };
        match trouble {
            Some(trouble) => component.not_ready(trouble.code, &trouble.reason),
            None => component.ready(),
        }
    }

    fn noted(&self, operations: &[Operation]) {
        for operation in operations {
            self.metrics
                .counter(Metric::OperationsNoted, &[&operation.kind])
                .increment(1);
        }
    }

    fn assigned(&self, starts: &[(TopicPartition, i64)]) {
        self.assigned.increment(1);
        *self.committed.borrow_mut() = starts.iter().cloned().collect();
        self.clickhouse.ready();
        self.outbox.ready();
        if starts.is_empty() {
            self.worker
                .not_ready("no_partitions", "other members have all of them");
        } else {
            self.worker.ready();
        }
    }

    fn revoked(&self, lost: bool) {
        if lost { &self.lost } else { &self.revoked }.increment(1);
        for partition in std::mem::take(&mut *self.committed.borrow_mut()).keys() {
            // Whoever has it now tells its lag.
            let number = partition.partition.to_string();
            self.metrics
                .gauge(Metric::LagRecords, &[&partition.topic, &number])
                .set(0.0);
        }
        // At the end of the process that is how it should be, and no news.
        if !self.shutdown.requested() {
            self.worker
                .not_ready("no_partitions", "partitions were given back");
        }
    }

    fn paused(&self, paused: bool) {
        self.pauses.increment(paused.into());
        self.paused.set(if paused { 1.0 } else { 0.0 });
    }

    fn copies(&self, copies: Copies) {
        self.late_inserts.increment(copies.late_inserts);
        self.identical.increment(copies.identical);
    }
}
