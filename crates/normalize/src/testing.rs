//! The one place through which tests of sources call the normalizer.

use std::collections::BTreeMap;

use bumpalo::Bump;
use changegate_types::{Position, RawRecord, TimeMicros};

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

pub(crate) fn topic(source: &str) -> TopicSettings {
    TopicSettings {
        cluster: "prod-eu".to_owned(),
        ..TopicSettings::of(source)
    }
}

pub(crate) fn normalizer(source: &str) -> Normalizer {
    let tenant = TenantSettings {
        uid: "acme".to_owned(),
        mask_key: b"a key for tests".to_vec(),
        ..TenantSettings::default()
    };
    Normalizer::new(topic(source), tenant).unwrap()
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
    let position = Position {
        topic: "t",
        incarnation: 0,
        partition: 0,
        offset: 0,
    };
    let record = RawRecord {
        position,
        kafka_time: KAFKA_TIME,
        key: None,
        headers: &headers,
        value: Some(bytes),
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
