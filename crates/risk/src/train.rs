//! From events to a model folder.

use std::path::{Path, PathBuf};

use changegate_types::{ChangeEvent, Digest, TimeMicros};
use ndarray::Array2;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

mod card;
mod metrics;
mod peers;

pub use metrics::{Metrics, pr_auc, roc_auc};

use crate::calibration::{Calibration, Stratum};
use crate::ecod::{Ecod, Tail};
use crate::extract::Observed;
use crate::facts::Facts;
use crate::feature::{FEATURES, Row};
use crate::forest::Forest;
use crate::hash::Shapes;
use crate::model::{Detectors, Golden, Model, ModelError, encode, features_json, pretty, write_dir};
use crate::state::{Limits, ShardOrder, State};
use metrics::Tested;

/// How a model is made. The defaults suit weeks of data.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    /// Name: the folder under `models/`.
    pub name: String,
    /// Version: the folder under the name.
    pub version: String,
    /// Of forest and peer groups.
    pub seed: u64,
    /// Share of the time span that only fills the state.
    pub warm_until: f64,
    /// Share at which training ends.
    pub train_until: f64,
    /// Share at which calibration ends; the rest is for the test.
    pub calibrate_until: f64,
    /// Left out between the parts, in hours, for labels that come late; at most 3 % of the span.
    pub gap_hours: u32,
    /// Part of ordinary changes that wait before they are learned.
    pub unusual_share: f64,
    /// State while training.
    pub limits: Limits,
    /// What the data is, for the card.
    pub data: String,
    /// The command that makes this model again, for the lineage.
    pub command: String,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            version: "0.1.0".to_owned(),
            seed: 1,
            warm_until: 0.15,
            train_until: 0.5,
            calibrate_until: 0.75,
            gap_hours: 168,
            unusual_share: 0.01,
            limits: Limits::default(),
            data: "not described".to_owned(),
            command: "changegate train".to_owned(),
        }
    }
}

/// What is known of an event afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth<'t> {
    /// Ordinary.
    Benign,
    /// Part of an incident or attack.
    Incident {
        /// Kind.
        kind: &'t str,
        /// Which one: several events may belong to it.
        id: &'t str,
    },
}

/// Why no model came out.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Not enough data.
    #[error("{part} needs at least {needed} changes, the data holds {found}: give more days or more sources")]
    TooFew {
        /// Which part.
        part: &'static str,
        /// How many.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// Peer groups could not be found.
    #[error("peer groups could not be found: {0}")]
    Peers(String),
    /// The folder could not be written or does not load.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The folder.
    pub dir: PathBuf,
    /// Hash of the model.
    pub hash: Digest,
    /// Figures on the test part.
    pub metrics: Metrics,
}

struct Record {
    facts: Facts,
    /// 0 unknown, 1 benign, else number of the incident + 2.
    truth: u32,
}

/// An incident by kind and id.
pub(crate) type Incident = (String, String);

/// Takes events one after another, keeps hashes of them only, and makes a model of them.
pub struct Trainer {
    options: TrainOptions,
    agents: Shapes,
    records: Vec<Record>,
    incidents: Vec<Incident>,
    incident_index: std::collections::HashMap<Incident, u32>,
    digest: Sha256,
    labelled: bool,
}

#[derive(Serialize)]
struct Lineage<'l> {
    data: &'l str,
    data_sha256: String,
    events: usize,
    changes: usize,
    first_record_time: String,
    last_record_time: String,
    seed: u64,
    command: &'l str,
    program_version: &'static str,
    feature_schema_version: u32,
    hours_between_parts: f64,
    parts: [(&'static str, usize); 4],
}

/// Fewer changes than this make no model.
const TRAIN_MIN: usize = 1_000;
const CALIBRATE_MIN: usize = 500;
const BLOCK: usize = 512;
const GOLDEN_ROWS: usize = 100;

/// Where the parts of the time span end, in seconds of record time.
#[derive(Clone, Copy, Debug)]
struct Parts {
    warm: u32,
    train: u32,
    calibrate_from: u32,
    calibrate: u32,
    test_from: u32,
}

impl Trainer {
    /// Ready for events.
    pub fn new(options: TrainOptions) -> Self {
        Self {
            options,
            agents: Facts::agents(),
            records: Vec::new(),
            incidents: Vec::new(),
            incident_index: std::collections::HashMap::new(),
            digest: Sha256::new(),
            labelled: false,
        }
    }

    /// Takes one event, with Kafka's record time, and what is known of it.
    pub fn observe(&mut self, event: &ChangeEvent<'_>, record_time: TimeMicros, truth: Option<Truth<'_>>) {
        self.digest.update(event.event_uid.0.to_le_bytes());
        self.digest.update(event.content_hash.0.to_le_bytes());
        self.digest.update(record_time.0.to_le_bytes());
        self.labelled |= truth.is_some();
        let truth = match truth {
            None => 0,
            Some(Truth::Benign) => 1,
            Some(Truth::Incident { kind, id }) => {
                self.digest.update(kind);
                let incident = (kind.to_owned(), id.to_owned());
                let next = self.incidents.len() as u32;
                let number = *self.incident_index.entry(incident.clone()).or_insert(next);
                if number == next {
                    self.incidents.push(incident);
                }
                number + 2
            }
        };
        self.records.push(Record {
            facts: Facts::of(event, record_time, &mut self.agents),
            truth,
        });
    }

    /// How many events were taken.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Trains, calibrates, tests, and writes `<root>/<name>/<version>/`.
    pub fn finish(mut self, root: &Path) -> Result<Trained, TrainError> {
        // Files may come one source after the other; the stream would have met them by time.
        self.records.sort_by_key(|record| record.facts.second);
        let parts = self.parts();
        let at = |second: u32| {
            self.records
                .partition_point(|record| record.facts.second < second)
        };
        let training = &self.records[..at(parts.train)];
        let groups = peers::find(training.iter().map(|record| &record.facts), self.options.seed)?;
        let limits = Limits {
            learning_hours: 0,
            ..self.options.limits.clone()
        };
        let mut state = State::bare(limits, groups.clone());
        let mut rows: Vec<Row> = Vec::new();
        run(&state, training, |record, observed| {
            if record.facts.is_change && record.facts.second >= parts.warm {
                rows.push(observed.steps);
            }
        });
        if rows.len() < TRAIN_MIN {
            return Err(TrainError::TooFew {
                part: "training",
                needed: TRAIN_MIN,
                found: rows.len(),
            });
        }
        let detectors = fit(&rows, groups, &self.options);
        state.set_gate(detectors.ecod.clone(), detectors.unusual_from);
        let mut calibration_scores = Vec::new();
        let mut tested = Vec::new();
        let mut block: Vec<Row> = Vec::new();
        run(&state, &self.records[at(parts.train)..], |record, observed| {
            let Record { facts, truth } = record;
            if !facts.is_change {
                return;
            }
            let raw = detectors.raw(detectors.forest.score_one(&observed.steps), observed.ecod);
            let stratum = Stratum::of(facts);
            let within = |from: u32, until: u32| (from..until).contains(&facts.second);
            if within(parts.calibrate_from, parts.calibrate) && *truth < 2 {
                calibration_scores.push((stratum, raw));
                block.push(observed.steps);
            } else if within(parts.test_from, u32::MAX) {
                tested.push(Tested {
                    stratum,
                    raw,
                    points: 0.0,
                    incident: truth.checked_sub(2),
                });
            }
        });
        if calibration_scores.len() < CALIBRATE_MIN {
            return Err(TrainError::TooFew {
                part: "calibration",
                needed: CALIBRATE_MIN,
                found: calibration_scores.len(),
            });
        }
        let calibration = Calibration::fit(&calibration_scores);
        let golden = golden(&detectors, &calibration, &calibration_scores, &block);
        for one in &mut tested {
            one.points = calibration.risk(one.stratum, one.raw).points;
        }
        let metrics = metrics::measure(&tested, &self.incidents, self.labelled, &calibration);
        let counts = [
            ("training", rows.len()),
            ("calibration", calibration_scores.len()),
            ("test", tested.len()),
        ];
        self.write(root, parts, counts, detectors, &calibration, golden, metrics)
    }

    fn parts(&self) -> Parts {
        let first = self.records.first().map_or(0, |record| record.facts.second);
        let last = self.records.last().map_or(0, |record| record.facts.second);
        let span = f64::from(last - first);
        let at = |share: f64| first + (span * share.clamp(0.0, 1.0)) as u32;
        let gap = (f64::from(self.options.gap_hours) * 3_600.0).min(span * 0.03) as u32;
        let (train, calibrate) = (at(self.options.train_until), at(self.options.calibrate_until));
        Parts {
            warm: at(self.options.warm_until),
            train,
            calibrate_from: train + gap,
            calibrate,
            test_from: calibrate + gap,
        }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of one folder, each used once"
    )]
    fn write(
        self,
        root: &Path,
        parts: Parts,
        counts: [(&'static str, usize); 3],
        detectors: Detectors,
        calibration: &Calibration,
        golden: String,
        metrics: Metrics,
    ) -> Result<Trained, TrainError> {
        let options = &self.options;
        let time = |record: Option<&Record>| {
            let second = record.map_or(0, |record| i64::from(record.facts.second));
            TimeMicros(second * 1_000_000).to_string()
        };
        let changes = self
            .records
            .iter()
            .filter(|record| record.facts.is_change)
            .count();
        let lineage = Lineage {
            data: &options.data,
            data_sha256: Digest(self.digest.finalize().into()).to_string(),
            events: self.records.len(),
            changes,
            first_record_time: time(self.records.first()),
            last_record_time: time(self.records.last()),
            seed: options.seed,
            command: &options.command,
            program_version: env!("CARGO_PKG_VERSION"),
            feature_schema_version: crate::SCHEMA_VERSION,
            hours_between_parts: f64::from(parts.test_from - parts.calibrate) / 3_600.0,
            parts: [counts[0], counts[1], counts[2], ("all_changes", changes)],
        };
        let card = card::render(options, &lineage, &metrics, calibration, detectors.groups.count());
        let dir = root.join(&options.name).join(&options.version);
        let files = [
            ("model.bin", encode(&options.name, &options.version, &detectors)),
            ("features.json", features_json().into_bytes()),
            ("calibration.json", pretty(calibration).into_bytes()),
            ("metrics.json", pretty(&metrics).into_bytes()),
            ("lineage.json", pretty(&lineage).into_bytes()),
            ("golden.jsonl", golden.into_bytes()),
            ("card.md", card.into_bytes()),
        ];
        write_dir(&dir, &files)?;
        // Nothing is handed over that the stream would refuse.
        let model = Model::load(&dir, None)?;
        Ok(Trained {
            hash: model.hash(),
            dir,
            metrics,
        })
    }
}

/// The records through the state, block by block, as the stream does.
fn run(state: &State, records: &[Record], mut each: impl FnMut(&Record, &Observed)) {
    let mut order = ShardOrder::default();
    let mut observed = Vec::new();
    for block in records.chunks(BLOCK) {
        let facts: Vec<Facts> = block.iter().map(|record| record.facts).collect();
        observed.clear();
        observed.resize(block.len(), Observed::default());
        state.observe(&facts, &mut order, &mut observed);
        block
            .iter()
            .zip(&observed)
            .for_each(|(record, observed)| each(record, observed));
    }
}

/// Both detectors on the training rows.
fn fit(rows: &[Row], groups: crate::PeerGroups, options: &TrainOptions) -> Detectors {
    let matrix = Array2::from_shape_fn((rows.len(), FEATURES), |(row, feature)| rows[row][feature]);
    let ecod = Ecod::fit(matrix.view());
    let forest = Forest::grow(matrix.view(), options.seed);
    let mut sums = Vec::new();
    forest.score(rows, &mut sums);
    let mut ecod_outputs: Vec<f32> = rows.iter().map(|row| ecod.score(row)).collect();
    let forest_tail = Tail::fit(sums.iter().map(|&sum| Detectors::forest_output(sum)).collect());
    let ecod_tail = Tail::fit(ecod_outputs.clone());
    ecod_outputs.sort_by(f32::total_cmp);
    let usual = (ecod_outputs.len() as f64 * (1.0 - options.unusual_share.clamp(0.0, 1.0))) as usize;
    let unusual_from = ecod_outputs.get(usual).copied().unwrap_or(f32::INFINITY);
    Detectors {
        forest,
        ecod,
        forest_tail,
        ecod_tail,
        unusual_from,
        groups,
    }
}

/// Rows over the whole range of scores, the largest among them.
fn golden(
    detectors: &Detectors,
    calibration: &Calibration,
    scores: &[(Stratum, f32)],
    rows: &[Row],
) -> String {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| scores[a].1.total_cmp(&scores[b].1).then(a.cmp(&b)));
    let mut lines = String::new();
    let picks = GOLDEN_ROWS.min(order.len());
    for pick in 0..picks {
        let at = order[(pick + 1) * order.len() / picks - 1];
        let ((stratum, raw), row) = (scores[at], &rows[at]);
        let calibrated = calibration.risk(stratum, raw);
        let ecod_sum = detectors.ecod.score(row);
        let contributions = detectors.contributions(row, detectors.forest.score_one(row), ecod_sum);
        let golden = Golden {
            stratum: stratum.name().to_owned(),
            features: row[..FEATURES].to_vec(),
            score_raw: raw,
            risk: calibrated.points,
            risk_extrapolated: calibrated.extrapolated,
            contributions: contributions.to_vec(),
        };
        lines.push_str(&serde_json::to_string(&golden).unwrap_or_default());
        lines.push('\n');
    }
    lines
}
