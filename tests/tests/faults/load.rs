//! Ten thousand events a second on one machine: how long until a reader sees them, in how much memory, in how many
//! parts. No fault but haste.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use changegate_clickhouse::LedgerClient;
use changegate_simulator::LoadGenerator;
use changegate_telemetry::{Clock as _, SystemClock};
use changegate_tests::{Config, PATIENCE, Served, Site, size};

const SEED: u64 = 0x5eed_0008;
const TOPIC: &str = "load.raw";
const PARTITIONS: i32 = 8;
const RATE: u64 = 10_000;
/// Latencies are counted in steps of this.
const STEP_MS: u64 = 50;
const LATENCY_MS_MAX: u64 = 5_000;
const MEMORY_MIB_MAX: u64 = 512;
const PARTS_MAX: u64 = 1_000;
const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// Sends so many records at the rate, each with the time at which it is sent. Bytes, and how long it took.
fn send(site: &Site, records: u64) -> (u64, Duration) {
    let mut load = LoadGenerator::cloudtrail(SEED, 20_000);
    let mut sender = site.sender();
    let (started, mut sent, mut bytes) = (Instant::now(), 0, 0);
    while sent < records {
        let due = (started.elapsed().as_millis() as u64 * RATE / 1_000).min(records);
        while sent < due {
            let time = SystemClock.now().millis();
            let record = load.next(time);
            bytes += record.value.len() as u64;
            sender
                .send(TOPIC, Some(record.key), &[], record.value, time)
                .expect("the broker takes it");
            sent += 1;
        }
        // The pace of the load; nothing is waited for.
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = started.elapsed();
    sender.finish(PATIENCE).expect("all are durable");
    (bytes, took)
}

/// A reader who looks again and again for what is new.
#[derive(Default)]
struct Reader {
    /// The newest offset seen, by partition.
    seen: BTreeMap<i32, i64>,
    /// Records by how long they took from being sent to being seen, in steps.
    steps: BTreeMap<u64, u64>,
    records: u64,
    /// The most active parts at once, by table.
    parts_max: BTreeMap<String, u64>,
}

impl Reader {
    fn look(&mut self, site: &Site, ledger: &LedgerClient) {
        let new: Vec<String> = (0..PARTITIONS)
            .map(|partition| {
                let seen = self.seen.get(&partition).copied().unwrap_or(-1);
                format!("(partition = {partition} AND offset > {seen})")
            })
            .collect();
        let sql = format!(
            "SELECT partition, intDiv(greatest(toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(kafka_time), 0), \
             {STEP_MS}) AS step, count(), max(offset) FROM load.v_raw_records WHERE topic = '{TOPIC}' AND ({}) \
             GROUP BY partition, step",
            new.join(" OR ")
        );
        for row in site.rows(ledger, &sql) {
            let number = |at: usize| -> i64 { row[at].parse().expect("a number") };
            *self.steps.entry(number(1) as u64).or_default() += number(2) as u64;
            self.records += number(2) as u64;
            let seen = self.seen.entry(number(0) as i32).or_insert(-1);
            *seen = number(3).max(*seen);
        }
        let parts =
            "SELECT table, count() FROM system.parts WHERE database = 'load' AND active GROUP BY table";
        for row in site.rows(ledger, parts) {
            let most = self.parts_max.entry(row[0].clone()).or_default();
            *most = row[1].parse().map_or(*most, |now: u64| now.max(*most));
        }
    }

    /// So many milliseconds or less for this share of the records.
    fn quantile(&self, share: f64) -> u64 {
        let due = (self.records as f64 * share).ceil() as u64;
        let mut sum = 0;
        let found = self.steps.iter().find(|(_, count)| {
            sum += **count;
            sum >= due
        });
        found.map_or(u64::MAX, |(step, _)| (step + 1) * STEP_MS)
    }
}

/// Parts a table's partition would have after a month: those that merges leave alone, at a quarter of what a merge may
/// make (docs/adr/0003-raw-bytes.md), and the young ones of this run.
fn parts_after_a_month(site: &Site, ledger: &LedgerClient, reader: &Reader, records: u64) -> u64 {
    let sql = "SELECT t.name, sum(p.bytes_on_disk), sum(p.level = 0), max(p.max_block_number), \
               if(extract(any(t.engine_full), 'max_bytes_to_merge_at_max_space_in_pool = (\\\\d+)') != '', \
               toUInt64OrZero(extract(any(t.engine_full), 'max_bytes_to_merge_at_max_space_in_pool = (\\\\d+)')), \
               (SELECT toUInt64(value) FROM system.merge_tree_settings WHERE name = 'max_bytes_to_merge_at_max_space_in_pool')) \
               FROM system.parts AS p INNER JOIN system.tables AS t ON t.database = p.database AND t.name = p.table \
               WHERE p.database = 'load' AND p.active GROUP BY t.name ORDER BY t.name";
    let mut most = 0;
    for row in site.rows(ledger, sql) {
        let number = |at: usize| -> u64 { row[at].parse().expect("a number") };
        let (bytes, inserts, largest) = (number(1), number(3), number(4));
        let young = reader.parts_max.get(&row[0]).copied().unwrap_or_default();
        let an_hour = inserts as f64 * 3_600.0 * RATE as f64 / records as f64;
        let month = bytes as f64 / records as f64 * RATE as f64 * MONTH.as_secs_f64();
        let old = (month / (largest as f64 / 4.0)).ceil() as u64;
        println!(
            "  {}: {inserts} inserts, {an_hour:.0} new parts an hour, {young} at once at most, {:.0} bytes a record; in a month \
             {:.2} TB in {} parts",
            row[0],
            bytes as f64 / records as f64,
            month / 1e12,
            old + young
        );
        most = most.max(old + young);
    }
    most
}

pub(crate) fn a_load_is_seen_in_time_in_bounded_memory_and_few_parts(site: &Site) {
    let records = size(100_000, 6_000_000);
    let config = Config::new(site, "load", &[(TOPIC, "aws.cloudtrail", PARTITIONS)])
        .with("http.listen", "\"127.0.0.1:0\"")
        .with("kafka.workers", "2");
    config.create_topics(site);
    let ledger = site.database("load");
    let mut program: Served = config.serve(site);
    program.get("/healthz");
    let mut reader = Reader::default();
    let is_sent = AtomicBool::new(false);
    let (bytes, took) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let sent = send(site, records);
            is_sent.store(true, Ordering::Release);
            sent
        });
        let mut since = Instant::now();
        while reader.records < records {
            program.check();
            let before = reader.records;
            reader.look(site, &ledger);
            if reader.records != before || !is_sent.load(Ordering::Acquire) {
                since = Instant::now();
            }
            assert!(
                since.elapsed() < PATIENCE,
                "{} of {records} records are seen",
                reader.records
            );
            // How often a reader looks.
            std::thread::sleep(Duration::from_millis(100));
        }
        sending.join().expect("it sends all")
    });
    site.read_to_the_end(&config, &mut program);
    let memory = program.memory_mib_max();
    assert!(program.terminate().0.success());

    let rate = records as f64 / took.as_secs_f64();
    let (half, most, all) = (reader.quantile(0.5), reader.quantile(0.99), reader.quantile(1.0));
    println!(
        "  {records} records of {} bytes, sent at {rate:.0}/s; seen after {half} ms (median), {most} ms (p99), {all} ms (all); \
         {memory} MiB at most",
        bytes / records
    );
    let parts = parts_after_a_month(site, &ledger, &reader, records);
    let [rows, missing, changes] = site.numbers(
        &ledger,
        "SELECT (SELECT count() FROM load.v_raw_records), (SELECT sum(abs(missing)) FROM load.v_conservation), \
         (SELECT count() FROM load.v_changes)",
    );
    assert_eq!([rows, missing, changes], [records, 0, records]);
    assert_eq!(reader.records, records, "each is seen once");
    assert!(memory <= MEMORY_MIB_MAX, "{memory} MiB");
    // What depends on the machine's speed holds where it has nothing else to do.
    assert!(size(true, rate >= RATE as f64 * 0.99), "sent at {rate}/s");
    assert!(size(true, most <= LATENCY_MS_MAX), "p99 {most} ms");
    assert!(size(true, parts < PARTS_MAX), "{parts} parts");
}
