//! Any bytes as a record of the source that `CHANGEGATE_FUZZ_SOURCE` names.
#![no_main]

#[path = "../../crates/normalize/tests/events/invariants.rs"]
mod invariants;
mod record;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| record::of_source(|normalizer| {
    invariants::hold(normalizer, &record::around(bytes));
}));
