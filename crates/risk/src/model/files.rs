//! `models/<name>/<version>/`: writing it whole, reading it with suspicion.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use changegate_types::Digest;
use serde::{Deserialize, Serialize};

use super::{Detectors, MAGIC, Model};
use crate::calibration::{Calibration, STRATA, Stratum};
use crate::codec::{Reader, Truncated, sha256};
use crate::feature::{FEATURES, Feature, SCHEMA_VERSION};

/// The files of a model, in the order of `SHA256SUMS`.
pub const MODEL_FILES: [&str; 7] = [
    "calibration.json",
    "card.md",
    "features.json",
    "golden.jsonl",
    "lineage.json",
    "metrics.json",
    "model.bin",
];
const SUMS: &str = "SHA256SUMS";
/// Scores of golden rows agree to this.
const AGREED: f32 = 1e-3;

/// Why a model is refused.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file is not there or cannot be read.
    #[error(
        "cannot read the model file {path}: {error}; expected a folder with SHA256SUMS and the files it names"
    )]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Writing failed.
    #[error("cannot write the model file {path}: {error}")]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is not what `SHA256SUMS` says.
    #[error("the model file {path} is damaged: SHA256SUMS expects {expected}, it is {found}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// By `SHA256SUMS`.
        expected: String,
        /// In truth.
        found: String,
    },
    /// A file does not read as what it should be.
    #[error("the model file {path} is malformed: {reason}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What was expected.
        reason: String,
    },
    /// Made for other features.
    #[error(
        "the model file {path} was made for feature schema {found}, this program computes schema {expected}: train again"
    )]
    OtherSchema {
        /// Which.
        path: PathBuf,
        /// In the file.
        found: String,
        /// Of this program.
        expected: String,
    },
    /// Not the model that was asked for.
    #[error("the model {path} has hash {found}, expected {expected}")]
    OtherHash {
        /// Which.
        path: PathBuf,
        /// Of the model.
        found: Digest,
        /// Asked for.
        expected: Digest,
    },
    /// It does not score as it did where it was made.
    #[error("{path}, line {line}: expected {expected}, this program computes {found}")]
    Golden {
        /// Which.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// In the file.
        expected: String,
        /// Here.
        found: String,
    },
}

/// One line of `golden.jsonl`: an input and what must come out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Stratum.
    pub stratum: String,
    /// Steps.
    pub features: Vec<u16>,
    /// Ranking score.
    pub score_raw: f32,
    /// Risk in points.
    pub risk: f32,
    /// Beyond the sample.
    pub risk_extrapolated: bool,
    /// Share of each feature in `score_raw`.
    pub contributions: Vec<f32>,
}

#[derive(Serialize)]
struct FeatureLine {
    name: &'static str,
    about: &'static str,
    steps_per_unit: f32,
    steps: u16,
    weight: f32,
}

#[derive(Serialize)]
struct FeatureFile {
    schema_version: u32,
    privilege_table_version: u16,
    features: Vec<FeatureLine>,
}

/// `features.json` of this program.
pub(crate) fn features_json() -> String {
    let features = Feature::ALL.map(Feature::spec).map(|spec| FeatureLine {
        name: spec.name,
        about: spec.about,
        steps_per_unit: spec.scale,
        steps: spec.steps,
        weight: spec.weight,
    });
    let file = FeatureFile {
        schema_version: SCHEMA_VERSION,
        privilege_table_version: changegate_types::PrivilegeClass::VERSION,
        features: features.into(),
    };
    pretty(&file)
}

/// JSON with line breaks. Our own plain structs cannot fail to serialize.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// Writes all files and `SHA256SUMS` last, so that a folder without it is an unfinished one. `files` by name.
pub(crate) fn write_dir(dir: &Path, files: &[(&str, Vec<u8>)]) -> Result<(), ModelError> {
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |error| ModelError::Unwritable { path, error }
    };
    fs::create_dir_all(dir).map_err(unwritable(dir))?;
    let mut sums = String::new();
    for name in MODEL_FILES {
        let bytes = files
            .iter()
            .find(|(file, _)| *file == name)
            .map_or(&[][..], |(_, bytes)| bytes);
        let path = dir.join(name);
        fs::write(&path, bytes).map_err(unwritable(&path))?;
        let _ = writeln!(sums, "{}  {name}", sha256(bytes));
    }
    let path = dir.join(SUMS);
    fs::write(&path, sums).map_err(unwritable(&path))
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    fs::read(path).map_err(|error| ModelError::Unreadable {
        path: path.to_owned(),
        error,
    })
}

fn malformed(path: &Path, reason: impl Into<String>) -> ModelError {
    ModelError::Malformed {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

impl Model {
    /// Loads a folder, checks every file against `SHA256SUMS`, the features against this program, the golden rows
    /// against what is computed here, and the hash against `expected_hash` where one is asked for.
    pub fn load(dir: &Path, expected_hash: Option<Digest>) -> Result<Self, ModelError> {
        let files = checked_files(dir)?;
        let file = |name: &str| -> Result<&[u8], ModelError> {
            let found = files.iter().find(|(file, _)| file == name);
            found
                .map(|(_, bytes)| &bytes[..])
                .ok_or_else(|| malformed(&dir.join(SUMS), format!("expected a line for {name}")))
        };
        for name in MODEL_FILES {
            file(name)?;
        }
        let bytes = file("model.bin")?;
        let path = dir.join("model.bin");
        let hash = sha256(bytes);
        if let Some(expected) = expected_hash.filter(|expected| *expected != hash) {
            return Err(ModelError::OtherHash {
                path: dir.to_owned(),
                found: hash,
                expected,
            });
        }
        check_schema(&path, bytes, &dir.join("features.json"), file("features.json")?)?;
        let (name, version, detectors) = decode(bytes).map_err(|Truncated| {
            malformed(&path, "expected the layout of this version, it ends elsewhere")
        })?;
        let calibration_bytes = file("calibration.json")?;
        let calibration = read_calibration(&dir.join("calibration.json"), calibration_bytes)?;
        let model = Self {
            name,
            version,
            detectors,
            calibration,
            hash,
            calibration_hash: sha256(calibration_bytes),
        };
        model.check_golden(&dir.join("golden.jsonl"), file("golden.jsonl")?)?;
        Ok(model)
    }

    fn check_golden(&self, path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
        let text = str::from_utf8(bytes).map_err(|error| malformed(path, error.to_string()))?;
        for (at, line) in text.lines().enumerate() {
            let golden: Golden = serde_json::from_str(line)
                .map_err(|error| malformed(path, format!("line {}: {error}", at + 1)))?;
            let replayed = self.replay(&golden.stratum, &golden.features).ok_or_else(|| {
                malformed(
                    path,
                    format!("line {}: expected {FEATURES} steps and a known stratum", at + 1),
                )
            })?;
            let same = (replayed.raw - golden.score_raw).abs() <= AGREED
                && (replayed.risk.points() - golden.risk).abs() <= AGREED
                && replayed.extrapolated == golden.risk_extrapolated;
            if !same {
                return Err(ModelError::Golden {
                    path: path.to_owned(),
                    line: at + 1,
                    expected: format!("score {} and risk {}", golden.score_raw, golden.risk),
                    found: format!("score {} and risk {}", replayed.raw, replayed.risk.points()),
                });
            }
        }
        Ok(())
    }
}

fn checked_files(dir: &Path) -> Result<Vec<(String, Vec<u8>)>, ModelError> {
    let sums_path = dir.join(SUMS);
    let sums = read(&sums_path)?;
    let sums = str::from_utf8(&sums).map_err(|error| malformed(&sums_path, error.to_string()))?;
    let mut files = Vec::new();
    for line in sums.lines() {
        let (expected, name) = line
            .split_once("  ")
            .ok_or_else(|| malformed(&sums_path, "expected lines of digest, two blanks, file name"))?;
        if !MODEL_FILES.contains(&name) {
            return Err(malformed(
                &sums_path,
                format!("names a file that no model has: {name:?}"),
            ));
        }
        let path = dir.join(name);
        let bytes = read(&path)?;
        let found = sha256(&bytes).to_string();
        if found != expected {
            return Err(ModelError::Damaged {
                path,
                expected: expected.to_owned(),
                found,
            });
        }
        files.push((name.to_owned(), bytes));
    }
    Ok(files)
}

/// The binary's version first, because it says most; then the features word by word.
fn check_schema(path: &Path, bytes: &[u8], features_path: &Path, features: &[u8]) -> Result<(), ModelError> {
    let mut from = Reader::new(bytes);
    let magic = from
        .array::<8>()
        .map_err(|Truncated| malformed(path, "it is too short"))?;
    if magic != *MAGIC {
        return Err(malformed(path, "it does not begin like a model"));
    }
    let found = from
        .u32()
        .map_err(|Truncated| malformed(path, "it is too short"))?;
    let of = |path: &Path, found: String, expected: String| ModelError::OtherSchema {
        path: path.to_owned(),
        found,
        expected,
    };
    if found != SCHEMA_VERSION {
        return Err(of(path, found.to_string(), SCHEMA_VERSION.to_string()));
    }
    let ours = features_json();
    let stated = from
        .array::<32>()
        .map_err(|Truncated| malformed(path, "it is too short"))?;
    let digest = |bytes: &[u8]| sha256(bytes).to_string();
    if features != ours.as_bytes() {
        return Err(of(features_path, digest(features), digest(ours.as_bytes())));
    }
    if stated != sha256(features).0 {
        return Err(of(path, Digest(stated).to_string(), digest(features)));
    }
    Ok(())
}

fn decode(bytes: &[u8]) -> Result<(String, String, Detectors), Truncated> {
    let mut from = Reader::new(bytes);
    from.raw(MAGIC.len() + 4 + 32)?;
    let text = |from: &mut Reader<'_>| {
        let len = from.count(1)?;
        String::from_utf8(from.raw(len)?.to_vec()).map_err(|_| Truncated)
    };
    let (name, version) = (text(&mut from)?, text(&mut from)?);
    let detectors = Detectors::read(&mut from)?;
    if !from.is_empty() {
        return Err(Truncated);
    }
    Ok((name, version, detectors))
}

fn read_calibration(path: &Path, bytes: &[u8]) -> Result<Calibration, ModelError> {
    let calibration: Calibration =
        serde_json::from_slice(bytes).map_err(|error| malformed(path, error.to_string()))?;
    if calibration.schema_version != SCHEMA_VERSION {
        return Err(ModelError::OtherSchema {
            path: path.to_owned(),
            found: calibration.schema_version.to_string(),
            expected: SCHEMA_VERSION.to_string(),
        });
    }
    if calibration.curves.len() != STRATA {
        return Err(malformed(
            path,
            format!("expected {STRATA} curves, found {}", calibration.curves.len()),
        ));
    }
    for (curve, stratum) in calibration.curves.iter().zip(Stratum::all()) {
        let rising = curve
            .knots
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 >= pair[1].1);
        let sound = rising
            && !curve.knots.is_empty()
            && curve.n > 0
            && curve.tail_scale > 0.0
            && (0.0..=0.5).contains(&curve.tail_shape)
            && curve.tail_from.is_finite();
        if !sound {
            return Err(malformed(
                path,
                format!(
                    "the curve of {} must have rising scores and a rising tail",
                    stratum.name()
                ),
            ));
        }
    }
    Ok(calibration)
}
