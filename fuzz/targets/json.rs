//! Any bytes as JSON: what we read is what `serde_json` reads.
#![no_main]

#[path = "../../crates/json/tests/oracle/same.rs"]
mod same;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| same::same_as_oracle(bytes));
