//! Planted secrets over all sources: none may be in what is kept, printed or said.

use std::collections::BTreeSet;

use bumpalo::Bump;
use changegate_normalize::{Child, JsonLine, Normalizer, render_change, source_names};
use changegate_simulator::{header_pairs, secret_corpus, secrets_in};
use changegate_types::RawRecord;

use crate::given::{self, normalizer};

/// What was masked stays as it is when it is masked again, as a replay of the masked copy does. It holds of events; bytes
/// made to look like two kinds of secret at once can be had to look like a third after that.
#[track_caller]
pub(crate) fn stays_when_masked_again(normalizer: &Normalizer, record: &RawRecord<'_>) {
    let arena = Bump::new();
    let first = normalizer.record(&arena, record);
    let kept = RawRecord {
        value: record.value.map(|_| first.stored),
        ..*record
    };
    let again = normalizer.record(&arena, &kept);
    let (once, twice) = (first.stored.escape_ascii(), again.stored.escape_ascii());
    assert!(
        again.stored == first.stored,
        "masked once: {once}, twice: {twice}"
    );
}

#[test]
fn no_planted_secret_is_kept() {
    let mut leaks = Vec::new();
    let (mut records, mut planted) = (0, 0);
    let mut seen = BTreeSet::new();
    for record in secret_corpus() {
        records += 1;
        seen.insert(record.source);
        planted += record.secrets.len();
        let normalizer = normalizer(record.source);
        let arena = Bump::new();
        let headers = header_pairs(&record.headers);
        let given = given::record(&headers, &record.value);
        stays_when_masked_again(&normalizer, &given);
        let normalized = normalizer.record(&arena, &given);
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
