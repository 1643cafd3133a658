//! The one list of metrics.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts values by size; the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

const SECONDS: Kind = Kind::Histogram(&[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
]);
/// Up to a backlog of a week.
const LONG_SECONDS: Kind = Kind::Histogram(&[
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0, 86_400.0, 604_800.0,
]);
const ROWS: Kind = Kind::Histogram(&[
    1.0,
    10.0,
    100.0,
    1_000.0,
    5_000.0,
    10_000.0,
    25_000.0,
    50_000.0,
    100_000.0,
    1_000_000.0,
]);
const BYTES: Kind = Kind::Histogram(&[
    4_096.0,
    65_536.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
]);
/// Levels begin at 20, 40, 60, 80; approval at 60 by default.
const POINTS: Kind = Kind::Histogram(&[10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0]);

macro_rules! metrics {
    ($($variant:ident = $name:literal, $kind:expr, [$($label:literal),*], $help:literal;)*) => {
        /// Every metric there is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric { $(#[doc = $help] $variant,)* }

        impl Metric {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name: `changegate_<noun>_<unit>`, counters with `_total`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Counter, gauge or histogram.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => $kind),* }
            }

            /// Names of its labels.
            pub const fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($label),*]),* }
            }

            /// What it counts or measures.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help),* }
            }
        }
    };
}

metrics! {
    RecordsRead = "changegate_records_read_total", Kind::Counter, ["topic"],
        "Kafka records read.";
    BytesRead = "changegate_read_bytes_total", Kind::Counter, ["topic"],
        "Bytes of the values of Kafka records read.";
    KnownRecords = "changegate_known_records_total", Kind::Counter, ["topic"],
        "Records read whose rows existed: after a restart or a rebalance.";
    TimesCut = "changegate_times_cut_total", Kind::Counter, ["topic"],
        "Records whose time lay in the future and was cut.";
    ChildrenRead = "changegate_children_read_total", Kind::Counter, ["topic"],
        "Children of records that are durable: each is written, skipped or dead-lettered.";
    ChildrenWritten = "changegate_children_written_total", Kind::Counter, ["topic"],
        "Children that are rows in ClickHouse.";
    ChildrenSkipped = "changegate_children_skipped_total", Kind::Counter, ["topic", "reason"],
        "Children skipped, by reason.";
    ChildrenDeadLettered = "changegate_children_dead_lettered_total", Kind::Counter, ["topic", "code"],
        "Children dead-lettered, by reject code.";
    MessagesSent = "changegate_messages_sent_total", Kind::Counter, ["topic"],
        "Requests, decisions and dead letters acknowledged by Kafka, by the topic they went to; repeats after a restart count again.";
    LettersCut = "changegate_dead_letters_cut_total", Kind::Counter, [],
        "Dead letters cut to what their topic takes.";
    LagRecords = "changegate_lag_records", Kind::Gauge, ["topic", "partition"],
        "Records between the committed position and the end of the partition.";
    OldestUnsavedSeconds = "changegate_oldest_unsaved_seconds", Kind::Gauge, ["worker"],
        "Age of the oldest record that was read and is not durable yet, by its Kafka time; 0 when there is none.";
    EndToEndSeconds = "changegate_end_to_end_seconds", LONG_SECONDS, [],
        "From the Kafka time of a batch's oldest record to the moment its rows are durable.";
    BatchRows = "changegate_batch_rows", ROWS, [],
        "Rows per batch, of the fuller main table.";
    BatchBytes = "changegate_batch_bytes", BYTES, [],
        "Encoded bytes per batch, raw bytes included.";
    InsertSeconds = "changegate_insert_seconds", SECONDS, ["table"],
        "Time from sending an insert to its answer, good or bad.";
    Inserts = "changegate_inserts_total", Kind::Counter, ["table", "result"],
        "Inserts by what came of them (ok, refused, no_answer, unavailable, denied, schema).";
    InsertRetries = "changegate_insert_retries_total", Kind::Counter, ["table"],
        "Inserts sent again with the same bytes.";
    Kills = "changegate_kills_total", Kind::Counter, [],
        "Kills of a batch's queries before a read-back, after an answer was lost.";
    KilledQueries = "changegate_killed_queries_total", Kind::Counter, [],
        "Late inserts that such a kill found still running.";
    ReadBacks = "changegate_read_backs_total", Kind::Counter, ["table"],
        "Questions to the ledger which rows are there, after an answer was lost.";
    MissingRows = "changegate_missing_rows_total", Kind::Counter, [],
        "Rows that a read-back missed and that were written again.";
    HollowInserts = "changegate_hollow_inserts_total", Kind::Counter, [],
        "Inserts that were acknowledged while their rows are not there.";
    Commits = "changegate_commits_total", Kind::Counter, ["kind"],
        "Commits to Kafka, by kind (fence, close).";
    CommitSeconds = "changegate_commit_seconds", SECONDS, [],
        "Time of a synchronous commit.";
    WorkersFenced = "changegate_workers_fenced_total", Kind::Counter, [],
        "Commits refused because another member has the partitions.";
    Rebalances = "changegate_rebalances_total", Kind::Counter, ["kind"],
        "Rebalances, by kind (assigned, revoked, lost).";
    Pauses = "changegate_pauses_total", Kind::Counter, ["worker"],
        "Times that partitions were paused because both batches had been full for five seconds.";
    Paused = "changegate_paused", Kind::Gauge, ["worker"],
        "1 while partitions are paused because both batches have been full for five seconds.";
    UnderWayBytes = "changegate_under_way_bytes", Kind::Gauge, ["worker"],
        "Encoded bytes in the two batches of a worker.";
    OperationsNoted = "changegate_operations_total", Kind::Counter, ["kind"],
        "Rows that the stream put into `operations`, by kind (new_incarnation, retention_gap, gap_skipped, ledger_short, hole, approval_budget, learning_over).";
    RiskPoints = "changegate_risk_points", POINTS, ["stratum"],
        "Risk of scored changes.";
    Unscored = "changegate_unscored_changes_total", Kind::Counter, [],
        "Changes that could not be scored, and so need approval.";
    Decisions = "changegate_decisions_total", Kind::Counter, ["decision"],
        "Rows by decision.";
    Asks = "changegate_asks_total", Kind::Counter, ["approval"],
        "Rows by what they ask of people, the column `approval` (asked, grouped, backfill, learning, repeat).";
    UidConflicts = "changegate_uid_conflicts_total", Kind::Counter, ["source"],
        "Events whose id was seen before with other content.";
    SupersededRows = "changegate_superseded_rows_total", Kind::Counter, ["reason"],
        "Rows found to be copies, by reason (redelivery, late_insert, identical).";
    UnknownEnvironments = "changegate_unknown_environments_total", Kind::Counter, ["source"],
        "Rows whose environment no rule names: judged as production.";
    SecretsMasked = "changegate_secrets_masked_total", Kind::Counter, ["source"],
        "Secrets replaced before anything was written.";
    EventsMarked = "changegate_events_marked_total", Kind::Counter, ["mark"],
        "Rows with something odd about them, by mark.";
    StateEntries = "changegate_state_entries", Kind::Gauge, ["kind"],
        "Entries of the scorer's memory, by kind (actors, actor_counts, shared_counts, waiting, learning_phases).";
    StateEvictions = "changegate_state_evictions_total", Kind::Counter, ["kind"],
        "Entries forgotten or refused because the memory is bounded, by kind (actors, counts, waiting).";
    SnapshotAgeSeconds = "changegate_snapshot_age_seconds", Kind::Gauge, [],
        "Age of the newest snapshot of the scorer's memory.";
    ModelInfo = "changegate_model_info", Kind::Gauge, ["name", "version", "hash"],
        "1 for the model in use.";
    BuildInfo = "changegate_build_info", Kind::Gauge, ["version"],
        "1 for the program that runs.";
    ComponentReady = "changegate_component_ready", Kind::Gauge, ["component"],
        "1 where a component is ready, else 0.";
    ResidentBytes = "changegate_resident_bytes", Kind::Gauge, [],
        "Memory of the process.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_rule() {
        let mut names = BTreeSet::new();
        for metric in Metric::ALL {
            let name = metric.name();
            assert!(names.insert(name), "{name} twice");
            assert!(name.starts_with("changegate_"), "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name}"
            );
            assert_eq!(name.ends_with("_total"), metric.kind() == Kind::Counter, "{name}");
            assert!(metric.help().ends_with('.'), "{name}");
            if let Kind::Histogram(bounds) = metric.kind() {
                assert!(bounds.is_sorted(), "{name}");
            }
            // A label of an actor or an id would have as many values as there are changes.
            for label in metric.labels() {
                assert!(
                    !label.contains("uid") && !label.contains("actor"),
                    "{name} {label}"
                );
            }
        }
    }

    #[test]
    fn every_metric_is_explained_and_no_other() {
        let page = include_str!("../../../docs/operations.md");
        let words = page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: BTreeSet<&str> = words.filter(|word| word.starts_with("changegate_")).collect();
        let known: BTreeSet<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(named, known);
    }

    const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yaml");
    const DASHBOARD: &str = include_str!("../../../deploy/grafana/changegate.json");

    fn words(text: &str) -> impl Iterator<Item = &str> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
    }

    /// What an expression may call a metric: a histogram is three series.
    fn named(text: &str) -> BTreeSet<&str> {
        let histograms = Metric::ALL
            .iter()
            .filter(|metric| matches!(metric.kind(), Kind::Histogram(_)));
        let histograms: Vec<&str> = histograms.map(|metric| metric.name()).collect();
        words(text)
            .filter(|word| word.starts_with("changegate_"))
            .map(|word| {
                let ends = ["_bucket", "_sum", "_count"];
                let stem = ends.iter().find_map(|end| word.strip_suffix(end));
                stem.filter(|stem| histograms.contains(stem)).unwrap_or(word)
            })
            .collect()
    }

    /// The expressions, without the texts around them.
    fn expressions() -> Vec<String> {
        let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).expect("the dashboard is JSON");
        let panels = dashboard["panels"].as_array().expect("panels");
        let targets = panels.iter().flat_map(|panel| {
            let targets = panel["targets"].as_array();
            targets.into_iter().flatten().map(|target| &target["expr"])
        });
        let texts = targets.map(|expr| expr.as_str().expect("a target asks").to_owned());
        let rules = ALERTS
            .lines()
            .filter_map(|line| line.trim().strip_prefix("expr: "));
        texts.chain(rules.map(str::to_owned)).collect()
    }

    #[test]
    fn the_dashboard_shows_every_metric_and_no_other() {
        let known: BTreeSet<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(named(DASHBOARD), known);
        let alerts = named(ALERTS);
        let unknown: Vec<_> = alerts.difference(&known).collect();
        assert!(alerts.len() > 15 && unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn expressions_use_labels_that_their_metrics_have() {
        // Those that Prometheus adds.
        let added = ["instance", "job", "le"];
        for expression in expressions() {
            let metrics = named(&expression);
            let known: BTreeSet<&str> = Metric::ALL
                .iter()
                .filter(|metric| metrics.contains(metric.name()))
                .flat_map(|metric| metric.labels().iter().copied())
                .chain(added)
                .collect();
            let grouped = expression
                .split("by (")
                .skip(1)
                .filter_map(|rest| rest.split(')').next());
            let matched = expression
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split('}').next());
            let matched = matched
                .flat_map(|list| list.split(','))
                .filter_map(|one| one.split(['=', '!']).next());
            for label in grouped.flat_map(|list| list.split(", ")).chain(matched) {
                assert!(known.contains(label), "{label} in {expression}");
            }
        }
    }

    #[test]
    fn every_alert_is_explained_and_no_other() {
        let page = include_str!("../../../docs/operations.md");
        let named: BTreeSet<&str> = words(page)
            .filter(|word| word.starts_with("Changegate") && *word != "Changegate")
            .collect();
        let alerts = ALERTS
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- alert: "));
        assert_eq!(named, alerts.collect());
    }
}
