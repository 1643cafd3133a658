//! Any bytes inside the envelopes that shippers and clouds put around events: packed, encoded, nested, in lists and lines.
//! The first bytes choose up to three of them, one in the other.
#![no_main]

#[path = "../../crates/normalize/tests/events/invariants.rs"]
mod invariants;
mod record;

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use changegate_json::escape_into;
use flate2::Compression;
use flate2::write::GzEncoder;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| record::of_source(|normalizer| {
    let Some(([first, second, third], inner)) = bytes.split_first_chunk::<3>() else {
        return;
    };
    let mut value = inner.to_vec();
    for choice in [first, second, third] {
        value = wrapped(*choice, &value);
    }
    invariants::hold(normalizer, &record::around(&value));
}));

fn wrapped(choice: u8, value: &[u8]) -> Vec<u8> {
    match choice % 16 {
        0 => gzip(value),
        1 => STANDARD.encode(value).into_bytes(),
        2 => STANDARD.encode(gzip(value)).into_bytes(),
        3 => around(br#"{"Records":["#, value, b"]}"),
        4 => around(br#"{"records":["#, value, b"]}"),
        5 => around(br#"{"kind":"EventList","items":["#, value, b"]}"),
        6 => around(br#"{"detail-type":"AWS API Call via CloudTrail","detail":"#, value, b"}"),
        7 => around(br#"{"messageType":"DATA_MESSAGE","logEvents":[{"message":"#, &text(value), b"}]}"),
        8 => around(br#"{"Type":"Notification","Message":"#, &text(value), b"}"),
        9 => around(br#"{"message":{"data":""#, STANDARD.encode(value).as_bytes(), br#""}}"#),
        10 => around(br#"{"headers":{"X-GitHub-Event":"push"},"body":"#, value, b"}"),
        11 => around(br#"{"headers":{"X-Gitlab-Event":"Push Hook"},"body":"#, &text(value), b"}"),
        12 => around(br#"{"@timestamp":"2026-11-24T00:00:00Z","message":"#, &text(value), b"}"),
        13 => around(b"[", value, b"]"),
        14 => around(value, b"\n", value),
        _ => value.to_vec(),
    }
}

fn around(before: &[u8], value: &[u8], after: &[u8]) -> Vec<u8> {
    [before, value, after].concat()
}

/// As a JSON string.
fn text(value: &[u8]) -> Vec<u8> {
    let mut text = b"\"".to_vec();
    escape_into(&mut text, &String::from_utf8_lossy(value));
    text.push(b'"');
    text
}

fn gzip(value: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    match packer.write_all(value).and_then(|()| packer.finish()) {
        Ok(packed) => packed,
        Err(error) => panic!("packing in memory: {error}"),
    }
}
