//! The examples in `deploy/` load, and `changegate.toml` shows every key that there is and no other.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use changegate_config::{Settings, Shape, documented_keys};

const SOURCES: [&str; 13] = [
    "aws.cloudtrail",
    "aws.eventbridge",
    "azure.activity",
    "azure.entra",
    "gcp.audit",
    "kubernetes.audit",
    "github.audit",
    "github.webhook",
    "gitlab.audit",
    "gitlab.webhook",
    "okta.system",
    "jira.webhook",
    "cdevents",
];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

#[test]
fn every_example_loads() {
    let mut loaded = 0;
    for entry in fs::read_dir(deploy()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            Settings::load(Some(&path), [], &SOURCES).unwrap_or_else(|error| panic!("{error}"));
            loaded += 1;
        }
    }
    assert!(loaded >= 1);
}

/// Paths of the keys in the example, those behind a `#` included; a secret's `_file` stands for the secret.
fn keys_in(text: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = line.strip_prefix('[') {
            section = name
                .trim_matches(|c: char| !c.is_ascii_lowercase() && c != '_')
                .to_owned();
            keys.insert(section.clone());
            continue;
        }
        let Some((key, _)) = line.split_once(" = ") else {
            continue;
        };
        if key.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

#[test]
fn the_example_shows_every_key_and_no_other() {
    let text = fs::read_to_string(deploy().join("changegate.toml")).unwrap();
    let shown = keys_in(&text);
    let mut known = BTreeSet::new();
    for (path, key) in documented_keys() {
        let by_file = format!("{path}_file");
        let shown_by_file = matches!(key.shape, Shape::Secret) && shown.contains(&by_file);
        known.insert(if shown_by_file { by_file } else { path });
    }
    let missing: Vec<_> = known.difference(&shown).collect();
    let invented: Vec<_> = shown.difference(&known).collect();
    assert!(missing.is_empty(), "not in deploy/changegate.toml: {missing:?}");
    assert!(invented.is_empty(), "no such keys: {invented:?}");
}

#[test]
fn the_example_loads_with_every_key_set() {
    let text = fs::read_to_string(deploy().join("changegate.toml")).unwrap();
    let is_key = |line: &str| {
        line.split_once(" = ")
            .is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    let all_set: Vec<&str> = text
        .lines()
        .map(|line| {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            // The file it names is not there on every machine.
            if is_key(bare) && !bare.starts_with("mask_key_file") {
                bare
            } else {
                line
            }
        })
        .collect();
    let settings =
        Settings::parse(&all_set.join("\n"), None, [], &SOURCES).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(settings.decision.thresholds.deny_from(), Some(95.0));
}

#[test]
fn every_key_has_a_doc_that_says_its_default() {
    for (path, key) in documented_keys() {
        let doc = key.doc.concat();
        assert!(!doc.trim().is_empty(), "{path} has no doc");
        let is_section = matches!(key.shape, Shape::Section(_) | Shape::Sections(_));
        let says = ["efault", "Required"].iter().any(|word| doc.contains(word));
        assert!(is_section || says, "the doc of {path} says no default: {doc}");
    }
}
