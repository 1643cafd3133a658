//! What the targets have alike: the normalizer of the source under trial, and a record around bytes.

use changegate_normalize::{Normalizer, TenantSettings, TopicSettings, source_names};
use changegate_types::{RawRecord, TimeMicros};

thread_local! {
    static NORMALIZER: Normalizer = {
        let source = std::env::var("CHANGEGATE_FUZZ_SOURCE").unwrap_or_else(|_| {
            let names: Vec<_> = source_names().collect();
            panic!("CHANGEGATE_FUZZ_SOURCE names the source to try: one of {}", names.join(", "))
        });
        let tenant = TenantSettings {
            uid: "acme".into(),
            mask_key: b"a key for the fuzzer".to_vec(),
            ..TenantSettings::default()
        };
        match Normalizer::new(TopicSettings::of(&source), tenant) {
            Ok(normalizer) => normalizer,
            Err(error) => panic!("CHANGEGATE_FUZZ_SOURCE: {error}"),
        }
    };
}

/// Runs with the source's normalizer, made once.
pub(crate) fn of_source(run: impl FnOnce(&Normalizer)) {
    NORMALIZER.with(run);
}

/// A record with this value, of 2026-11-24.
pub(crate) fn around(value: &[u8]) -> RawRecord<'_> {
    RawRecord::of_no_topic(value, TimeMicros(1_795_478_400_000_000))
}
