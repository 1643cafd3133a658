//! Cost per stage and end to end, printed as ratios within one run.

use changegate_normalize::{EnvironmentRule, Environments, TenantSettings, TopicSettings};
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
pub mod sources;
pub mod stage;
pub mod stall;
pub mod table;
pub mod vrl;

/// Kafka's time of every record.
pub const KAFKA_TIME: TimeMicros = TimeMicros(1_772_668_800_000_000);

/// The key under which both sides mask.
pub const MASK_KEY: [u8; 32] = [7; 32];

/// The cluster that Kubernetes' events come from, on both sides.
const CLUSTER: &str = "eks-eu1-prod";

/// The patterns of both sides, over what names a place in the source's events: the third matches.
pub fn environment_rules(source: &str) -> [EnvironmentRule; 3] {
    let globs = match source {
        "aws.cloudtrail" => ["2222*", "3333*", "1111222233??"],
        "github.audit" => ["*/sandbox-*", "*/playground-*", "northwind-parcels/*"],
        "azure.activity" => ["*-staging", "*-dev", "rg-*"],
        "gcp.audit" => ["*-staging", "*-dev", "np-*-prod"],
        _ => ["*-staging", "*-dev", "*-prod"],
    };
    let environments = ["staging", "development", "production"];
    let mut rules = environments.map(|environment| EnvironmentRule {
        environment: environment.to_owned(),
        owner: "shop".to_owned(),
        scope_tags: vec!["pci".to_owned()],
        ..EnvironmentRule::default()
    });
    for (rule, glob) in rules.iter_mut().zip(globs) {
        let list = match source {
            "github.audit" => &mut rule.repository,
            "azure.activity" => &mut rule.namespace,
            "kubernetes.audit" => &mut rule.cluster,
            _ => &mut rule.account,
        };
        list.push(glob.to_owned());
    }
    rules
}

/// The topic and the tenant whose events these are.
///
/// # Errors
/// A pattern that does not compile.
pub fn settings(source: &str) -> anyhow::Result<(TopicSettings, TenantSettings)> {
    let topic = TopicSettings {
        cluster: cluster(source).to_owned(),
        ..TopicSettings::of(source)
    };
    let tenant = TenantSettings {
        uid: "acme".to_owned(),
        mask_key: MASK_KEY.to_vec(),
        environments: Environments::new(&environment_rules(source))?,
        ..TenantSettings::default()
    };
    Ok((topic, tenant))
}

/// The rival for the same.
///
/// # Errors
/// A source without a rival, a pattern that does not compile.
pub fn rival(source: &str) -> anyhow::Result<generic::Generic> {
    generic::Generic::new(&generic::Settings {
        source,
        cluster: cluster(source),
        tenant_uid: "acme",
        mask_key: &MASK_KEY,
        environments: &environment_rules(source),
    })
}

fn cluster(source: &str) -> &'static str {
    if source == "kubernetes.audit" { CLUSTER } else { "" }
}

/// A record as Kafka delivers it.
pub fn raw_record(value: &[u8]) -> RawRecord<'_> {
    RawRecord::of_no_topic(value, KAFKA_TIME)
}
