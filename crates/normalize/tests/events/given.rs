//! What the tests have alike: a normalizer, a record around bytes, made-up events and files of real ones.

use std::convert::Infallible;
use std::path::Path;

use changegate_normalize::{Normalizer, TenantSettings, TopicSettings};
use changegate_simulator::{Config, Emitted, Simulation};
use changegate_types::{RawRecord, TimeMicros};

/// 2026-11-24T00:00:00Z: the end of the simulated days, and when records come in that state no time.
pub(crate) const END: TimeMicros = TimeMicros(1_795_478_400_000_000);

pub(crate) fn normalizer(source: &str) -> Normalizer {
    let tenant = TenantSettings {
        uid: "acme".into(),
        mask_key: b"a key for tests".to_vec(),
        ..TenantSettings::default()
    };
    Normalizer::new(TopicSettings::of(source), tenant).unwrap()
}

pub(crate) fn record<'a>(headers: &'a [(&'a str, &'a [u8])], value: &'a [u8]) -> RawRecord<'a> {
    RawRecord {
        headers,
        ..RawRecord::of_no_topic(value, END)
    }
}

/// Three days of the made-up organisation.
pub(crate) fn simulate(seed: u64, rate: f64, mut each: impl FnMut(&Emitted<'_>)) {
    let config = Config {
        rate,
        ..Config::days(seed, 3, END.millis())
    };
    let made = Simulation::new(config).run(|emitted| {
        each(emitted);
        Ok::<(), Infallible>(())
    });
    assert!(made.is_ok());
}

/// A file of real events, one a line; `None` where there are no samples beside the project, as in a user's clone.
pub(crate) fn sample(file: &str) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    std::fs::read(folder.join(file)).ok()
}

/// The events in a file of samples.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}
