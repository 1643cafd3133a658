//! Memory while ClickHouse stands still at full rate: it must not grow by more than what the settings allow.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use changegate_kafka::{Sender, Settings};

use crate::engines::{self, Engines, Topic, now_ms};
use crate::machine;
use crate::records;

/// Full rate before the stall.
const BEFORE: Duration = Duration::from_secs(10);
/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(50);
/// Records and rows under way, `batch.memory_max`, as by default.
const BATCHES_MIB: u64 = 96;
/// The program's own defaults in place of those that suit valgrind.
const DEFAULTS: [(&str, &str); 5] = [
    ("CHANGEGATE__KAFKA__SESSION_TIMEOUT", "45s"),
    ("CHANGEGATE__KAFKA__MAX_POLL_INTERVAL", "5m"),
    ("CHANGEGATE__CLICKHOUSE__SEND_TIMEOUT", "10s"),
    ("CHANGEGATE__CLICKHOUSE__QUERY_TIMEOUT", "60s"),
    ("CHANGEGATE__STATE__SNAPSHOT_INTERVAL", "60s"),
];

/// What a stall took.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Seconds that the server stood still.
    pub seconds: u64,
    /// Records in all, every one of them written in the end.
    pub records: u64,
    /// Resident memory before anything but one record was read, in MiB.
    pub rest_mib: f64,
    /// Right before the stall.
    pub before_mib: f64,
    /// The most during the stall.
    pub peak_mib: f64,
    /// The most until the program had caught up.
    pub all_mib: f64,
    /// What the settings allow to be under way, in MiB.
    pub configured_mib: f64,
    /// Growth / that.
    pub growth_over_configured: f64,
}

/// Stops the server for so many seconds while records come as fast as they can be sent.
///
/// # Errors
/// What is missing on this machine; a program that ends, or does not write all in the end.
pub fn figures(seconds: u64) -> anyhow::Result<Figures> {
    let mut engines = Engines::start()?;
    let name = "bench_stall";
    let topic = Topic::cloudtrail(name);
    let more = format!("[batch]\nmemory_max = \"{BATCHES_MIB}MiB\"\n");
    let config = engines.prepare(name, std::slice::from_ref(&topic), &more)?;
    let mut command = engines::changegate(&config)?;
    command.envs(DEFAULTS);
    let mut running = engines.serve(command, name)?;
    let result = stall(&mut engines, &mut running, name, &topic, seconds);
    if result.is_err() {
        // A stopped server answers nobody, and the program would wait for it.
        engines.clickhouse().resume();
    }
    engines::stop(running)?;
    result
}

/// One batch is filled while one is written, and the client's queue is full. Nothing is held for the order of times: that is
/// only done with what was there at the start.
fn configured_mib(kafka: &Settings) -> anyhow::Result<f64> {
    let member = kafka.member("bench");
    let queued: f64 = member
        .get("queued.max.messages.kbytes")
        .context("the client's queue has no bound")?
        .parse()?;
    Ok(BATCHES_MIB as f64 + queued / 1024.0)
}

fn stall(
    engines: &mut Engines,
    running: &mut Child,
    name: &str,
    topic: &Topic,
    seconds: u64,
) -> anyhow::Result<Figures> {
    let pid = running.id();
    let kafka = engines.kafka();
    send(&kafka, topic, 0, &AtomicBool::new(true))?;
    engines.wait(running, name, 1)?;
    let (enough, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let (records, watched, marks) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(pid, &is_over));
        let sending = scope.spawn(|| send(&kafka, topic, 1, &enough));
        let stalled = stop_for(engines, name, Duration::from_secs(seconds));
        enough.store(true, Ordering::Release);
        let sent = sending.join().map_err(|_| anyhow!("the sender ended early"));
        let written = sent.flatten().and_then(|records| {
            engines.wait(running, name, records)?;
            Ok(records)
        });
        is_over.store(true, Ordering::Release);
        let watched = watching.join().map_err(|_| anyhow!("the watch ended early"));
        anyhow::Ok((written?, watched.flatten()?, stalled?))
    })?;
    all_is_there(engines, name, records)?;
    let [started, stopped, resumed] = marks;
    let most = |from: Instant, to: Instant| {
        let within = watched.iter().filter(|(at, _)| (from..to).contains(at));
        within.map(|(_, mib)| *mib).fold(0.0, f64::max)
    };
    let before = watched.iter().rev().find(|(at, _)| *at < stopped);
    let (_, before_mib) = *before.context("nothing was seen before the stall")?;
    let peak_mib = most(stopped, resumed).max(before_mib);
    let end = Instant::now();
    let after_mib = most(resumed, end);
    let rest_mib = watched.first().map_or(0.0, |(_, mib)| *mib);
    let full_rate_mib = most(started, stopped);
    let configured_mib = configured_mib(&kafka)?;
    eprintln!(
        "{records} records; {rest_mib:.0} MiB at rest, at most {full_rate_mib:.0} at full rate, {peak_mib:.0} during the \
         stall, {after_mib:.0} while the rest was written, which took {:.0} s",
        end.duration_since(resumed).as_secs_f64()
    );
    Ok(Figures {
        seconds,
        records,
        rest_mib,
        before_mib,
        peak_mib,
        all_mib: full_rate_mib.max(peak_mib).max(after_mib),
        configured_mib,
        growth_over_configured: (peak_mib - before_mib) / configured_mib,
    })
}

/// Sends records from this number on, as fast as the broker takes them, until it is enough: one at least. The number after
/// the last.
fn send(kafka: &Settings, topic: &Topic, first: u64, enough: &AtomicBool) -> anyhow::Result<u64> {
    let mut sender = Sender::new(kafka)?;
    let mut next = first;
    loop {
        let record = records::cloudtrail_one(next);
        sender.send(&topic.name, None, &[], record.as_bytes(), now_ms())?;
        next += 1;
        if enough.load(Ordering::Acquire) {
            break;
        }
    }
    sender.finish(Duration::from_secs(120))?;
    Ok(next)
}

/// Resident memory in MiB, again and again until it is over.
fn watch(pid: u32, is_over: &AtomicBool) -> anyhow::Result<Vec<(Instant, f64)>> {
    let mut seen = Vec::new();
    while !is_over.load(Ordering::Acquire) {
        let resident = machine::kib(pid, "VmRSS")? as f64 / 1024.0;
        seen.push((Instant::now(), resident));
        std::thread::sleep(LOOK);
    }
    Ok(seen)
}

/// Full rate for a while, then the server stands still. When it began, and when the stall began and ended.
fn stop_for(engines: &mut Engines, name: &str, stall: Duration) -> anyhow::Result<[Instant; 3]> {
    let started = Instant::now();
    std::thread::sleep(BEFORE);
    let written = engines.written(name)?;
    ensure!(written > 1, "nothing was written before the stall");
    engines.clickhouse().pause();
    let stopped = Instant::now();
    std::thread::sleep(stall);
    engines.clickhouse().resume();
    eprintln!(
        "{written} records were written within {} s before it",
        BEFORE.as_secs()
    );
    Ok([started, stopped, Instant::now()])
}

/// Every record once, and none unaccounted for.
fn all_is_there(engines: &Engines, name: &str, records: u64) -> anyhow::Result<()> {
    let counts = engines.query(&format!(
        "SELECT (SELECT count() FROM {name}.v_raw_records), (SELECT count() FROM {name}.v_changes), \
         (SELECT uniqExact(topic, partition, offset) FROM {name}.v_changes), \
         (SELECT sum(abs(missing)) FROM {name}.v_conservation)"
    ))?;
    ensure!(
        counts.trim() == format!("{records}\t{records}\t{records}\t0"),
        "{records} records, and there are {counts}"
    );
    Ok(())
}
