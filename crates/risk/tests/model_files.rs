//! Training is repeatable, and a model that is not whole is refused with a clear word.

mod world;

use std::fs;
use std::path::{Path, PathBuf};

use changegate_risk::{Limits, MODEL_FILES, Model, TrainError, TrainOptions};
use changegate_types::Digest;
use world::{events, trainer};

fn options() -> TrainOptions {
    TrainOptions {
        name: "files".to_owned(),
        version: "1.2.3".to_owned(),
        limits: Limits {
            actors: 4_096,
            actor_counts: 1 << 16,
            shared_counts: 1 << 16,
            ..Limits::default()
        },
        ..TrainOptions::default()
    }
}

fn root(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("risk-files")
        .join(name);
    let _ = fs::remove_dir_all(&root);
    root
}

fn trained(name: &str, seed: u64) -> PathBuf {
    let told = events(21, 8_000, 30, true);
    let options = TrainOptions { seed, ..options() };
    trainer(&told, options).finish(&root(name)).unwrap().dir
}

#[test]
fn same_data_and_seed_give_the_same_bytes() {
    let (one, two, other) = (trained("one", 1), trained("two", 1), trained("other", 2));
    assert!(one.ends_with("files/1.2.3"));
    for file in MODEL_FILES.into_iter().chain(["SHA256SUMS"]) {
        assert_eq!(
            fs::read(one.join(file)).unwrap(),
            fs::read(two.join(file)).unwrap(),
            "{file}"
        );
    }
    assert_ne!(
        fs::read(one.join("model.bin")).unwrap(),
        fs::read(other.join("model.bin")).unwrap()
    );
    let golden = fs::read_to_string(one.join("golden.jsonl")).unwrap();
    assert_eq!(golden.lines().count(), 100);
    let card = fs::read_to_string(one.join("card.md")).unwrap();
    assert!(
        card.contains("ROC-AUC") && card.contains("logging_stopped"),
        "{card}"
    );
}

#[test]
fn what_is_not_whole_is_refused_by_name() {
    let dir = trained("broken", 1);
    let model = Model::load(&dir, None).unwrap();
    let refused = |expected: &[&str]| {
        let error = Model::load(&dir, None).unwrap_err().to_string();
        for word in expected {
            assert!(error.contains(word), "{error:?} without {word:?}");
        }
    };
    for file in MODEL_FILES.into_iter().chain(["SHA256SUMS"]) {
        let path = dir.join(file);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        refused(&[file, "cannot read"]);
        let mut damaged = bytes.clone();
        damaged[0] ^= 1;
        fs::write(&path, damaged).unwrap();
        refused(&[if file == "SHA256SUMS" {
            "SHA256SUMS expects"
        } else {
            file
        }]);
        fs::write(&path, &bytes).unwrap();
    }
    let other = Digest([7; 32]);
    let error = Model::load(&dir, Some(other)).unwrap_err().to_string();
    assert!(
        error.contains(&other.to_string()) && error.contains(&model.hash().to_string()),
        "{error}"
    );
    Model::load(&dir, Some(model.hash())).unwrap();
}

/// Rewrites one file and its line of `SHA256SUMS`, as somebody would who means it.
fn rewrite(dir: &Path, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    use sha2::{Digest as _, Sha256};
    let path = dir.join(file);
    let bytes = change(fs::read(&path).unwrap());
    let digest = Digest(Sha256::digest(&bytes).into());
    fs::write(&path, bytes).unwrap();
    let sums = fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
    let lines: Vec<String> = sums
        .lines()
        .map(|line| match line.ends_with(&format!("  {file}")) {
            true => format!("{digest}  {file}"),
            false => line.to_owned(),
        })
        .collect();
    fs::write(dir.join("SHA256SUMS"), lines.join("\n")).unwrap();
}

#[test]
fn another_schema_or_other_golden_rows_are_refused() {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    type Change<'c> = dyn Fn(Vec<u8>) -> Vec<u8> + 'c;
    let cases: [(&str, &str, &Change<'_>); 5] = [
        ("features.json", "feature schema", &|bytes| {
            text(bytes).replace("burst", "bursts").into_bytes()
        }),
        ("model.bin", "feature schema 9", &|mut bytes| {
            bytes[8] = 9;
            bytes
        }),
        ("model.bin", "ends elsewhere", &|mut bytes| {
            bytes.push(0);
            bytes
        }),
        ("golden.jsonl", "golden.jsonl, line 1", &|bytes| {
            text(bytes)
                .replacen("\"score_raw\":", "\"score_raw\":9", 1)
                .into_bytes()
        }),
        ("calibration.json", "expected 6 curves", &|bytes| {
            let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            json["curves"].as_array_mut().unwrap().pop();
            serde_json::to_vec(&json).unwrap()
        }),
    ];
    for (file, expected, change) in cases {
        let dir = trained("schema", 1);
        rewrite(&dir, file, change);
        let error = Model::load(&dir, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{file}: {error}");
    }
}

#[test]
fn too_little_data_makes_no_model_and_says_so() {
    let error = trainer(&events(22, 300, 5, false), options())
        .finish(&root("few"))
        .unwrap_err();
    assert!(
        matches!(error, TrainError::TooFew { part: "training", .. }),
        "{error}"
    );
    let error = trainer(&[], options())
        .finish(&root("none"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("needs at least 1000 changes, the data holds 0"),
        "{error}"
    );
}
