//! Cost per stage and end to end, printed as ratios within one run.

use changegate_normalize::{EnvironmentRule, Environments, TenantSettings};
use changegate_types::{RawRecord, TimeMicros};

pub mod actors;
pub mod counts;
pub mod engines;
pub mod forest;
pub mod generic;
pub mod latency;
pub mod loader;
pub mod machine;
pub mod python;
pub mod questions;
pub mod records;
pub mod road;
pub mod stage;
pub mod stall;
pub mod table;

/// Kafka's time of every record.
pub const KAFKA_TIME: TimeMicros = TimeMicros(1_772_668_800_000_000);

/// The key under which both sides mask.
pub const MASK_KEY: [u8; 32] = [7; 32];

/// The patterns of both sides: the third matches.
pub fn environment_rules() -> [EnvironmentRule; 3] {
    [
        ("staging", "2222*"),
        ("development", "3333*"),
        ("production", "1111222233??"),
    ]
    .map(|(environment, account)| EnvironmentRule {
        environment: environment.to_owned(),
        owner: "shop".to_owned(),
        scope_tags: vec!["pci".to_owned()],
        account: vec![account.to_owned()],
        ..EnvironmentRule::default()
    })
}

/// The tenant whose records these are.
///
/// # Errors
/// A pattern that does not compile.
pub fn tenant() -> anyhow::Result<TenantSettings> {
    Ok(TenantSettings {
        uid: "acme".to_owned(),
        mask_key: MASK_KEY.to_vec(),
        environments: Environments::new(&environment_rules())?,
        ..TenantSettings::default()
    })
}

/// The rival for the same tenant.
///
/// # Errors
/// A pattern that does not compile.
pub fn rival() -> anyhow::Result<generic::Generic> {
    generic::Generic::new("acme", &MASK_KEY, &environment_rules())
}

/// A record as Kafka delivers it.
pub fn raw_record(value: &[u8]) -> RawRecord<'_> {
    RawRecord::of_no_topic(value, KAFKA_TIME)
}
