//! What we read is what `serde_json` reads; the fuzzer asks the same (`fuzz/targets/json.rs`).

use bumpalo::Bump;
use changegate_json::{FaultKind, Indexer, Kind, Limits, Value};

fn rebuild(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Missing | Kind::Null => serde_json::Value::Null,
        Kind::Bool => serde_json::Value::Bool(value.bool().unwrap()),
        Kind::Number => serde_json::from_str(value.raw()).unwrap(),
        Kind::String => serde_json::Value::String(value.str().unwrap().to_owned()),
        Kind::Array => value.items().map(rebuild).collect(),
        Kind::Object => value
            .members()
            .map(|(name, value)| (name.to_owned(), rebuild(value)))
            .collect(),
    }
}

/// Reads the bytes in both ways and compares.
#[track_caller]
pub(crate) fn same_as_oracle(bytes: &[u8]) {
    let arena = Bump::new();
    let ours = Indexer::default().index(&arena, bytes, &Limits::default());
    // What we allow beyond RFC 8259, and what we bound more tightly.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if ours.is_err_and(|fault| fault.kind == FaultKind::Depth) {
        return;
    }
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(theirs) => assert_eq!(rebuild(ours.unwrap().root()), theirs),
        // A number that no f64 holds: the oracle stops there, we read on.
        Err(error) if error.to_string().contains("number out of range") => {}
        Err(error) => match ours {
            Ok(document) => panic!("{error}, and yet we read {:?}", document.root()),
            Err(fault) => {
                assert!(fault.at <= bytes.len() + 3);
                // Where there are two faults we see the wrong encoding first; of a short `\u` the oracle wants four more bytes.
                let cut =
                    matches!(fault.kind, FaultKind::Truncated | FaultKind::Utf8) || bytes.contains(&b'\\');
                assert!(cut || !error.is_eof(), "{error}: {fault:?}");
            }
        },
    }
}
