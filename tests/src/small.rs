//! What scenarios on one small topic share.

use changegate_simulator::{LoadGenerator, Source};
use changegate_telemetry::{Clock as _, SystemClock};

use crate::{Config, PATIENCE, Site};

/// One topic of CloudTrail records, `<name>.raw`, with two partitions.
pub fn small(site: &Site, name: &str) -> Config {
    let topic = format!("{name}.raw");
    Config::new(site, name, &[(&topic, "aws.cloudtrail", 2)])
        // A static member that has ended stays in the group so long.
        .with("kafka.session_timeout", "\"3s\"")
}

/// Sends records of one event each; another seed makes other ones.
///
/// # Panics
/// Where the broker does not take them.
pub fn send_cloudtrail(site: &Site, topic: &str, seed: u64, records: u64) {
    let mut load = LoadGenerator::of(seed, 500, &[Source::AwsCloudtrail]);
    let mut sender = site.sender();
    let start_ms = SystemClock.now().millis() - 3_600_000;
    for number in 0..records {
        let time = start_ms + number as i64;
        let record = load.next(time);
        sender
            .send(topic, Some(record.key), &[], record.value, time)
            .expect("the broker takes it");
    }
    sender.finish(PATIENCE).expect("all are durable");
}

/// Records, their rows in `changes`, positions with more than one row, and children that are unaccounted for.
#[track_caller]
pub fn counts(site: &Site, config: &Config) -> [u64; 4] {
    let db = &config.database;
    let ledger = site.database(db);
    site.numbers(
        &ledger,
        &format!(
            "SELECT (SELECT count() FROM {db}.v_raw_records), (SELECT count() FROM {db}.v_changes), \
             (SELECT count() FROM (SELECT 1 FROM {db}.v_changes GROUP BY topic, incarnation, partition, offset, child HAVING count() > 1)), \
             (SELECT sum(abs(missing)) FROM {db}.v_conservation)"
        ),
    )
}
