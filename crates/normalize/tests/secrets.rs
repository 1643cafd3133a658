//! Planted secrets over all sources: none may be in what is kept, printed or said.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use bumpalo::Bump;
use changegate_normalize::{
    Child, JsonLine, Normalizer, TenantSettings, TopicSettings, render_change, source_names,
};
use changegate_simulator::{secret_corpus, secrets_in};
use changegate_types::{Position, RawRecord, TimeMicros};

#[test]
fn no_planted_secret_is_kept() {
    let mut leaks = Vec::new();
    let (mut records, mut planted) = (0, 0);
    let mut seen = BTreeSet::new();
    for record in secret_corpus() {
        records += 1;
        seen.insert(record.source);
        planted += record.secrets.len();
        let tenant = TenantSettings {
            uid: "acme".into(),
            mask_key: vec![7; 32],
            ..TenantSettings::default()
        };
        let normalizer = Normalizer::new(TopicSettings::of(record.source), tenant).unwrap();
        let arena = Bump::new();
        let headers: Vec<(&str, &[u8])> = record
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_slice()))
            .collect();
        let position = Position {
            topic: "t",
            incarnation: 0,
            partition: 0,
            offset: 0,
        };
        let kafka_time = TimeMicros(1_790_000_000_000_000);
        let raw = RawRecord {
            position,
            kafka_time,
            key: None,
            headers: &headers,
            value: Some(&record.value),
        };
        let normalized = normalizer.record(&arena, &raw);
        let mut kept = normalized.stored.to_vec();
        for child in normalized.children {
            match child {
                Child::Change(event) | Child::Learn(event) => {
                    kept.extend_from_slice(event.child_bytes);
                    let mut line = JsonLine::new();
                    render_change(&mut line, event);
                    kept.extend_from_slice(line.finish().as_bytes());
                }
                Child::Reject(reject) => kept.extend_from_slice(reject.reason.as_bytes()),
                Child::Skip(_) => {}
            }
        }
        for secret in secrets_in(&kept) {
            leaks.push(format!(
                "{}: {secret} in {}",
                record.source,
                String::from_utf8_lossy(&record.value)
            ));
        }
    }
    println!(
        "{planted} planted secrets in {records} records, {} found",
        leaks.len()
    );
    assert_eq!(
        seen,
        source_names().collect(),
        "secrets are planted in every source"
    );
    assert!(planted >= 100);
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}
