use std::{fmt, fs, sync::Arc, time::Duration};

pub use metrics::{Counter, Gauge, Histogram};
use metrics::{Key, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::{Health, Kind, Metric, State, Tasks, spawn};

const UPKEEP: Duration = Duration::from_secs(5);
const METADATA: Metadata<'static> = Metadata::new("changegate", Level::INFO, None);

/// Makes handles and prints all values. A handle costs a look-up once and an atomic addition per use: keep it.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics of [`Metric`] with their help; those without labels show at once, as 0.
    pub fn new() -> Self {
        let mut builder = PrometheusBuilder::new();
        for metric in Metric::ALL {
            if let Kind::Histogram(bounds) = metric.kind() {
                builder = builder
                    .set_buckets_for_metric(Matcher::Full(metric.name().to_owned()), bounds)
                    .expect("a histogram of the list has buckets");
            }
        }
        let recorder = builder.build_recorder();
        let metrics = Self {
            handle: recorder.handle(),
            recorder: Arc::new(recorder),
        };
        for metric in Metric::ALL {
            metrics.describe(*metric);
        }
        metrics
    }

    fn describe(&self, metric: Metric) {
        let (name, help, unit) = (metric.name().into(), metric.help().into(), unit(metric));
        let shows_at_once = metric.labels().is_empty();
        match metric.kind() {
            Kind::Counter => {
                self.recorder.describe_counter(name, unit, help);
                if shows_at_once {
                    self.counter(metric, &[]).increment(0);
                }
            }
            Kind::Gauge => {
                self.recorder.describe_gauge(name, unit, help);
                if shows_at_once {
                    self.gauge(metric, &[]).set(0.0);
                }
            }
            Kind::Histogram(_) => {
                self.recorder.describe_histogram(name, unit, help);
            }
        }
    }

    /// A counter with its labels' values, in the order of [`Metric::labels`].
    ///
    /// # Panics
    /// If it is no counter, or has another number of labels.
    pub fn counter(&self, metric: Metric, labels: &[&str]) -> Counter {
        assert_eq!(metric.kind(), Kind::Counter, "{metric:?}");
        self.recorder.register_counter(&key(metric, labels), &METADATA)
    }

    /// As [`Metrics::counter`], for a gauge.
    ///
    /// # Panics
    /// If it is no gauge, or has another number of labels.
    pub fn gauge(&self, metric: Metric, labels: &[&str]) -> Gauge {
        assert_eq!(metric.kind(), Kind::Gauge, "{metric:?}");
        self.recorder.register_gauge(&key(metric, labels), &METADATA)
    }

    /// As [`Metrics::counter`], for a histogram.
    ///
    /// # Panics
    /// If it is no histogram, or has another number of labels.
    pub fn histogram(&self, metric: Metric, labels: &[&str]) -> Histogram {
        assert!(matches!(metric.kind(), Kind::Histogram(_)), "{metric:?}");
        self.recorder.register_histogram(&key(metric, labels), &METADATA)
    }

    /// All values in Prometheus' text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// As [`Metrics::render`], after the memory of the process and the state of all components are measured.
    pub fn render_with(&self, health: &Health) -> String {
        for report in health.report() {
            let ready = if report.state == State::Ready { 1.0 } else { 0.0 };
            self.gauge(Metric::ComponentReady, &[&report.component])
                .set(ready);
        }
        if let Some(bytes) = resident_bytes() {
            self.gauge(Metric::ResidentBytes, &[]).set(bytes as f64);
        }
        self.render()
    }

    /// Moves what histograms collected into their buckets; without it they grow until somebody renders.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

fn key(metric: Metric, values: &[&str]) -> Key {
    let names = metric.labels();
    assert_eq!(names.len(), values.len(), "{metric:?} has the labels {names:?}");
    let labels: Vec<Label> = names
        .iter()
        .zip(values)
        .map(|(name, value)| Label::new(*name, (*value).to_owned()))
        .collect();
    Key::from_parts(metric.name(), labels)
}

fn unit(metric: Metric) -> Option<Unit> {
    let name = metric.name().trim_end_matches("_total");
    match name {
        name if name.ends_with("_seconds") => Some(Unit::Seconds),
        name if name.ends_with("_bytes") => Some(Unit::Bytes),
        _ => None,
    }
}

/// Resident memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1_024)
}

/// Runs [`Metrics::upkeep`] every 5 s until shutdown. Start it once per process, with or without the HTTP server.
pub fn spawn_upkeep(tasks: &Tasks, metrics: &Metrics) {
    let (metrics, shutdown) = (metrics.clone(), tasks.shutdown().clone());
    spawn(tasks, "metrics-upkeep", async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            tokio::select! {
                () = shutdown.wait() => return,
                _ = ticks.tick() => metrics.upkeep(),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_count_into_what_is_rendered() {
        let metrics = Metrics::new();
        let read = metrics.counter(Metric::RecordsRead, &["aws"]);
        read.increment(3);
        metrics.counter(Metric::RecordsRead, &["aws"]).increment(4);
        metrics
            .counter(Metric::ChildrenSkipped, &["aws", "tombstone"])
            .increment(1);
        metrics.gauge(Metric::LagRecords, &["aws", "0"]).set(12.0);
        let risk = metrics.histogram(Metric::RiskPoints, &["human"]);
        risk.record(61.0);
        risk.record_many(5.0, 2);
        let text = metrics.render();
        for line in [
            "changegate_records_read_total{topic=\"aws\"} 7",
            "changegate_children_skipped_total{topic=\"aws\",reason=\"tombstone\"} 1",
            "changegate_lag_records{topic=\"aws\",partition=\"0\"} 12",
            "changegate_risk_points_bucket{stratum=\"human\",le=\"10\"} 2",
            "changegate_risk_points_bucket{stratum=\"human\",le=\"60\"} 2",
            "changegate_risk_points_bucket{stratum=\"human\",le=\"70\"} 3",
            "changegate_risk_points_count{stratum=\"human\"} 3",
            "# TYPE changegate_risk_points histogram",
            "# HELP changegate_records_read_total Kafka records read.",
            // Shown before anything happened.
            "changegate_workers_fenced_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} not in\n{text}");
        }
    }

    #[test]
    fn two_sets_do_not_mix() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.counter(Metric::WorkersFenced, &[]).increment(5);
        assert!(other.render().contains("changegate_workers_fenced_total 0"));
    }

    #[test]
    fn label_values_cannot_break_out_of_their_line() {
        let metrics = Metrics::new();
        metrics
            .counter(Metric::RecordsRead, &["a\"} 1\nevil 2"])
            .increment(1);
        assert!(!metrics.render().lines().any(|line| line.starts_with("evil")));
    }

    #[test]
    #[should_panic(expected = "has the labels")]
    fn a_forgotten_label_is_a_bug() {
        let _ = Metrics::new().counter(Metric::RecordsRead, &[]);
    }

    #[test]
    fn the_process_has_memory() {
        assert!(resident_bytes().unwrap() > 1_000_000);
    }
}
