//! The one place through which tests of sources call the normalizer.

use std::collections::BTreeMap;
use std::io::Write;

use bumpalo::Bump;
use changegate_types::{RawRecord, TimeMicros};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::{Child, JsonLine, Normalizer, TenantSettings, TopicSettings, render_change};

/// 2026-03-05T00:00:00Z.
const KAFKA_TIME: TimeMicros = TimeMicros(1_772_668_800_000_000);

pub(crate) struct Rendered {
    columns: BTreeMap<String, serde_json::Value>,
    bytes: String,
}

impl Rendered {
    #[track_caller]
    pub(crate) fn has(&self, column: &str, expected: impl Into<serde_json::Value>) {
        assert_eq!(
            self.columns.get(column).cloned().unwrap_or_default(),
            expected.into(),
            "{column} in {:#?}",
            self.columns
        );
    }

    #[track_caller]
    pub(crate) fn has_not(&self, column: &str) {
        assert!(
            !self.columns.contains_key(column),
            "{column} in {:#?}",
            self.columns
        );
    }

    /// The same in these columns as another event.
    #[track_caller]
    pub(crate) fn is_like(&self, other: &Self, columns: &[&str], told: &str) {
        for column in columns {
            assert_eq!(self.get(column), other.get(column), "{column} in {told}");
        }
    }

    /// Every envelope gives this event: its ids, the same in these columns too, and `bytes` as its own.
    #[track_caller]
    pub(crate) fn is_in_each(
        &self,
        source: &str,
        envelopes: impl IntoIterator<Item = String>,
        columns: &[&str],
        bytes: &str,
    ) {
        for envelope in envelopes {
            let event = change(source, &envelope);
            event.is_like(self, &["event_uid", "content_hash", "change_uid"], &envelope);
            event.is_like(self, columns, &envelope);
            assert_eq!(event.bytes(), bytes, "the bytes kept of {envelope}");
        }
    }

    /// Nothing that the tests plant as a secret is in the child's bytes.
    #[track_caller]
    pub(crate) fn keeps_no_secret(&self) {
        assert!(!self.bytes.contains("hunter2"), "{}", self.bytes);
    }

    fn marks(&self) -> Vec<&str> {
        self.columns
            .get("marks")
            .and_then(|marks| marks.as_array())
            .into_iter()
            .flatten()
            .filter_map(|mark| mark.as_str())
            .collect()
    }

    #[track_caller]
    pub(crate) fn has_mark(&self, mark: &str) {
        assert!(self.marks().contains(&mark), "{mark} in {:?}", self.marks());
    }

    #[track_caller]
    pub(crate) fn has_no_mark(&self, mark: &str) {
        assert!(!self.marks().contains(&mark), "{mark} in {:?}", self.marks());
    }

    pub(crate) fn get(&self, column: &str) -> Option<&serde_json::Value> {
        self.columns.get(column)
    }

    /// A column that holds text; empty where it is none.
    pub(crate) fn text(&self, column: &str) -> &str {
        self.get(column)
            .and_then(|value| value.as_str())
            .unwrap_or_default()
    }

    /// The child's bytes as they are kept.
    pub(crate) fn bytes(&self) -> &str {
        &self.bytes
    }
}

/// As it stands inside a string of JSON.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

pub(crate) fn gzip(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

pub(crate) fn normalizer(source: &str) -> Normalizer {
    let topic = TopicSettings {
        cluster: "prod-eu".to_owned(),
        ..TopicSettings::of(source)
    };
    let tenant = TenantSettings {
        uid: "acme".to_owned(),
        mask_key: b"a key for tests".to_vec(),
        ..TenantSettings::default()
    };
    Normalizer::new(topic, tenant).unwrap()
}

fn with_children<T>(
    source: &str,
    headers: &[(&str, &str)],
    bytes: &[u8],
    each: impl Fn(&Child<'_>, &[u8]) -> T,
) -> Vec<T> {
    let normalizer = normalizer(source);
    let arena = Bump::new();
    let headers: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let record = RawRecord {
        headers: &headers,
        ..RawRecord::of_no_topic(bytes, KAFKA_TIME)
    };
    let normalized = normalizer.record(&arena, &record);
    assert!(!normalized.children.is_empty(), "a record always ends somehow");
    normalized
        .children
        .iter()
        .map(|child| each(child, normalized.stored))
        .collect()
}

fn render(child: &Child<'_>, stored: &[u8]) -> Rendered {
    let (Child::Change(event) | Child::Learn(event)) = child else {
        panic!("no change: {child:?}")
    };
    let mut line = JsonLine::new();
    render_change(&mut line, event);
    let columns = serde_json::from_str(&line.finish()).unwrap();
    let place = event.raw_start as usize..(event.raw_start + event.raw_len) as usize;
    let bytes = if event.raw_len > 0 {
        &stored[place]
    } else {
        event.child_bytes
    };
    Rendered {
        columns,
        bytes: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

/// The changes in one record.
#[track_caller]
pub(crate) fn changes(source: &str, headers: &[(&str, &str)], bytes: &[u8]) -> Vec<Rendered> {
    with_children(source, headers, bytes, render)
}

/// The first change in one record.
#[track_caller]
pub(crate) fn change(source: &str, text: &str) -> Rendered {
    with_children(source, &[], text.as_bytes(), |child, stored| {
        matches!(child, Child::Change(_) | Child::Learn(_)).then(|| render(child, stored))
    })
    .into_iter()
    .flatten()
    .next()
    .unwrap_or_else(|| panic!("no change in {text}: {:?}", outcomes(source, text.as_bytes())))
}

/// How each child of one record ends, in words.
pub(crate) fn outcomes(source: &str, bytes: &[u8]) -> Vec<String> {
    with_children(source, &[], bytes, |child, _| match child {
        Child::Change(_) => "change".to_owned(),
        Child::Learn(_) => "learn".to_owned(),
        Child::Skip(reason) => format!("skip {}", reason.name()),
        Child::Reject(reject) => format!("reject {} at {}", reject.code.name(), reject.at_byte),
    })
}

/// How the only child of one record ends.
#[track_caller]
pub(crate) fn outcome(source: &str, bytes: &[u8]) -> String {
    let outcomes = outcomes(source, bytes);
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    outcomes[0].clone()
}
