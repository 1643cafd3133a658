//! What holds of every record whatever its bytes are; the fuzzer asks the same (`fuzz/targets/normalize.rs`).

use bumpalo::Bump;
use changegate_json::{Indexer, Limits};
use changegate_normalize::{Child, JsonLine, NormalizedRecord, Normalizer, render_change};
use changegate_types::{RawRecord, RejectCode};

/// Normalizes the record, twice.
#[track_caller]
pub(crate) fn hold(normalizer: &Normalizer, record: &RawRecord<'_>) {
    let arena = Bump::new();
    let first = normalizer.record(&arena, record);
    hold_of(&first, record.value.unwrap_or_default());
    let second = normalizer.record(&arena, record);
    assert_eq!(ids(&first), ids(&second), "the same record twice");
    assert_eq!(first.stored, second.stored, "the same record twice");
}

fn ids(record: &NormalizedRecord<'_>) -> Vec<[u128; 3]> {
    let children = record.children.iter().filter_map(|child| match child {
        Child::Change(event) | Child::Learn(event) => Some(event),
        Child::Skip(_) | Child::Reject(_) => None,
    });
    children
        .map(|event| [event.event_uid.0, event.content_hash.0, event.change_uid.0])
        .collect()
}

fn hold_of(record: &NormalizedRecord<'_>, value: &[u8]) {
    assert!(!record.children.is_empty(), "every record has a child");
    for child in record.children {
        match child {
            Child::Change(event) | Child::Learn(event) => {
                assert!(
                    event.event_uid.0 != 0 && event.change_uid.0 != 0,
                    "every event has ids"
                );
                let start = event.raw_start as usize;
                let of_record = record.stored.get(start..start + event.raw_len as usize);
                let of_record = of_record.expect("the event's place lies in what is kept");
                let bytes = if event.raw_len > 0 {
                    of_record
                } else {
                    event.child_bytes
                };
                let read = Indexer::default()
                    .index(&Bump::new(), bytes, &Limits::default())
                    .is_ok();
                assert!(
                    read,
                    "an event is one JSON value: {:?}",
                    String::from_utf8_lossy(bytes)
                );
                let mut line = JsonLine::new();
                render_change(&mut line, event);
            }
            Child::Reject(reject) => {
                let length = value.len().max(record.stored.len());
                // A place is one in the bytes that were read: what is kept is shorter where a long secret stood.
                let inside = reject.at_byte as usize <= length
                    || reject.code == RejectCode::TooLarge
                    || record.secrets_masked > 0;
                assert!(inside, "{reject:?} of {length} bytes");
                assert!(!reject.reason.is_empty());
            }
            Child::Skip(_) => {}
        }
    }
}
