//! A trained model: what is in it, and what it says of one row of steps.

use changegate_types::{Digest, RiskScore};

use crate::calibration::{Calibration, Stratum};
use crate::codec::{Reader, Truncated, Writer};
use crate::ecod::{Ecod, Tail};
use crate::feature::{FEATURES, Feature, Row, SCHEMA_VERSION, WIDTH};
use crate::forest::{Forest, TREES};
use crate::state::PeerGroups;

mod files;

pub use files::{Golden, MODEL_FILES, ModelError};
pub(crate) use files::{features_json, pretty, write_dir};

const MAGIC: &[u8; 8] = b"CGMODEL\x01";

/// How much the forest's tail counts beside ECOD's. The forest weighs every feature alike, and most oddness is harmless:
/// it orders what ECOD sees alike.
const FOREST_WEIGHT: f32 = 0.15;

/// Model A: isolation forest and ECOD, added as `-ln` of their tail probabilities.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Detectors {
    pub(crate) forest: Forest,
    pub(crate) ecod: Ecod,
    pub(crate) forest_tail: Tail,
    pub(crate) ecod_tail: Tail,
    /// Events whose ECOD sum reaches this wait before they are learned.
    pub(crate) unusual_from: f32,
    pub(crate) groups: PeerGroups,
}

/// A model that was loaded and checked.
#[derive(Clone, Debug)]
pub struct Model {
    name: String,
    version: String,
    detectors: Detectors,
    calibration: Calibration,
    hash: Digest,
    calibration_hash: Digest,
}

/// What a row of steps scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replayed {
    /// Ranking score.
    pub raw: f32,
    /// Calibrated risk.
    pub risk: RiskScore,
    /// Beyond the calibration sample.
    pub extrapolated: bool,
}

impl Detectors {
    /// Minus the mean path length: rises with oddness.
    pub(crate) fn forest_output(sum: u32) -> f32 {
        -(sum as f32) / (TREES as f32 * 1_024.0)
    }

    /// The ranking score of a row whose forest sum and ECOD sum are known.
    #[inline]
    pub(crate) fn raw(&self, forest_sum: u32, ecod_sum: f32) -> f32 {
        FOREST_WEIGHT * self.forest_tail.of(Self::forest_output(forest_sum)) + self.ecod_tail.of(ecod_sum)
    }

    /// Both detectors' terms of the ranking score, spread over the features; they add up to it.
    pub(crate) fn contributions(&self, row: &Row, forest_sum: u32, ecod_sum: f32) -> [f32; FEATURES] {
        let paths = self.forest.contributions(row).map(|path| path.max(0.0));
        let paths_sum: f32 = paths.iter().sum();
        let forest_term = FOREST_WEIGHT * self.forest_tail.of(Self::forest_output(forest_sum));
        let mut contributions = self.ecod_contributions(row, ecod_sum);
        for (contribution, path) in contributions.iter_mut().zip(paths) {
            *contribution += if paths_sum > 0.0 {
                forest_term * path / paths_sum
            } else {
                0.0
            };
        }
        if paths_sum <= 0.0 {
            // No feature set it apart: the term, which is small then, goes where ECOD's goes.
            let ecod_term = self.ecod_tail.of(ecod_sum).max(f32::MIN_POSITIVE);
            contributions
                .iter_mut()
                .for_each(|part| *part *= 1.0 + forest_term / ecod_term);
        }
        contributions
    }

    /// ECOD's term alone, spread over the features: cheap enough for every event.
    pub(crate) fn ecod_contributions(&self, row: &Row, ecod_sum: f32) -> [f32; FEATURES] {
        let share = self.ecod_tail.of(ecod_sum) / ecod_sum.max(f32::MIN_POSITIVE);
        Feature::ALL.map(|feature| self.ecod.tail(feature, row[feature as usize]) * share)
    }

    fn write(&self, out: &mut Writer) {
        out.f32(self.unusual_from);
        self.forest.write(out);
        self.ecod.write(out);
        self.forest_tail.write(out);
        self.ecod_tail.write(out);
        self.groups.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Truncated> {
        let unusual_from = from.f32()?;
        Ok(Self {
            unusual_from,
            forest: Forest::read(from)?,
            ecod: Ecod::read(from)?,
            forest_tail: Tail::read(from)?,
            ecod_tail: Tail::read(from)?,
            groups: PeerGroups::read(from)?,
        })
    }
}

/// `model.bin`.
pub(crate) fn encode(name: &str, version: &str, detectors: &Detectors) -> Vec<u8> {
    let mut out = Writer::default();
    out.raw(MAGIC);
    out.u32(SCHEMA_VERSION);
    out.raw(&crate::codec::sha256(features_json().as_bytes()).0);
    for text in [name, version] {
        out.u64(text.len() as u64);
        out.raw(text.as_bytes());
    }
    detectors.write(&mut out);
    out.bytes
}

impl Model {
    /// `name@version`.
    pub fn full_name(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 of `model.bin`, which holds the hash of `features.json`.
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// SHA-256 of `calibration.json`.
    pub fn calibration_hash(&self) -> Digest {
        self.calibration_hash
    }

    /// What scores mean.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Peer groups of the actors that training knew.
    pub fn groups(&self) -> &PeerGroups {
        &self.detectors.groups
    }

    pub(crate) fn detectors(&self) -> &Detectors {
        &self.detectors
    }

    pub(crate) fn gate(&self) -> (&Ecod, f32) {
        (&self.detectors.ecod, self.detectors.unusual_from)
    }

    /// Derives score and risk of a stored row again, from its stratum and steps. `None` where the row is of another
    /// schema: another number of features, or a stratum without name.
    pub fn replay(&self, stratum: &str, steps: &[u16]) -> Option<Replayed> {
        let stratum = Stratum::from_name(stratum)?;
        let row = row_of(steps)?;
        Some(self.judge(stratum, &row))
    }

    pub(crate) fn judge(&self, stratum: Stratum, row: &Row) -> Replayed {
        let forest_sum = self.detectors.forest.score_one(row);
        self.calibrated(
            stratum,
            self.detectors.raw(forest_sum, self.detectors.ecod.score(row)),
        )
    }

    pub(crate) fn calibrated(&self, stratum: Stratum, raw: f32) -> Replayed {
        let calibrated = self.calibration.risk(stratum, raw);
        Replayed {
            raw,
            risk: RiskScore::new(calibrated.points),
            extrapolated: calibrated.extrapolated,
        }
    }
}

fn row_of(steps: &[u16]) -> Option<Row> {
    let mut row = [0; WIDTH];
    if steps.len() != FEATURES {
        return None;
    }
    row[..FEATURES].copy_from_slice(steps);
    Some(row)
}
