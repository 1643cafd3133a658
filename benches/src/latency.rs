//! From a record's being sent to its row's being seen, at half load: the program, and the database's own loader beside it on
//! the same broker and server. Both flush after a second.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use changegate_kafka::{Sender, Settings};

use crate::engines::{self, Engines, Topic, now_ms};
use crate::loader::{self, View};
use crate::machine::{median, quantile};
use crate::records;

/// Rounds; the ratio is the median of theirs.
const ROUNDS: usize = 5;
/// Records over which it is measured what a side sustains.
const SUSTAINED: u64 = 400_000;
/// How long records are sent in a round, and how much of it at the start does not count: buffers are fresh, and the first
/// blocks are of any size.
const SENDING: Duration = Duration::from_secs(20);
const WARM_UP_MS: i64 = 4_000;
/// Records before that, to see that the side reads.
const FIRST: u64 = 100;
/// How often it is looked for new rows, on both sides.
const LOOK: Duration = Duration::from_millis(20);
/// A look asks for what came since the last one, and for so much before: partitions are not equally far.
const OVERLAP_MS: i64 = 3_000;
/// How long all rows may take after the last record was sent.
const PATIENCE: Duration = Duration::from_secs(60);
/// The loader's own flush, and a poll that does not outlast it: by itself a poll may take half a second, and a flush is looked
/// for after each.
const FLUSH: &str = ", kafka_flush_interval_ms = 1000, kafka_poll_timeout_ms = 50";

/// Milliseconds from being sent to being seen. Medians of the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Records a second.
    pub rate: u64,
    /// The middle one, ours.
    pub ours_half: f64,
    /// 99 in 100 are seen by then, ours.
    pub ours: f64,
    /// The middle one, theirs.
    pub theirs_half: f64,
    /// 99 in 100, theirs.
    pub theirs: f64,
    /// Ours / theirs, of 99 in 100.
    pub ours_over_theirs: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Program,
    Loader,
}

const SIDES: [Side; 2] = [Side::Program, Side::Loader];

/// Milliseconds until half, and until 99 in 100 of the rows of a round are seen.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    half: f64,
    most: f64,
}

/// Interleaved rounds of both, at this rate or at half of what the slower one sustains.
///
/// # Errors
/// What is missing on this machine; a run that does not end; a machine that cannot send at this rate beside a side.
pub fn figures(rate: Option<u64>) -> anyhow::Result<Figures> {
    let engines = Engines::start()?;
    let rate = match rate {
        Some(rate) => rate,
        None => half_load(&engines)?,
    };
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let mut seen = [Seen::default(); 2];
        // By turns the first: what the machine does besides drifts.
        for at in [round % 2, 1 - round % 2] {
            seen[at] = run(&engines, SIDES[at], &format!("bench_latency_{round}"), rate)?;
        }
        let [ours, theirs] = seen;
        eprintln!(
            "round {round}: ours {:.0} ms (half of the rows), {:.0} ms (99 in 100); Kafka engine {:.0}, {:.0} ms; {rate} records/s",
            ours.half, ours.most, theirs.half, theirs.most
        );
        rounds.push(seen);
    }
    let middle = |of: &dyn Fn(&[Seen; 2]) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
    Ok(Figures {
        rate,
        ours_half: middle(&|[ours, _]| ours.half)?,
        ours: middle(&|[ours, _]| ours.most)?,
        theirs_half: middle(&|[_, theirs]| theirs.half)?,
        theirs: middle(&|[_, theirs]| theirs.most)?,
        ours_over_theirs: middle(&|[ours, theirs]| ours.most / theirs.most)?,
    })
}

/// A side that reads a topic into a database of its own.
struct Reading<'e> {
    engines: &'e Engines,
    database: String,
    /// The program's database, whose tables the loader's are made after.
    made_after: Option<String>,
    program: Option<Child>,
}

impl<'e> Reading<'e> {
    fn start(engines: &'e Engines, side: Side, name: &str, topic: &Topic) -> anyhow::Result<Self> {
        let config = engines.prepare(name, std::slice::from_ref(topic), "")?;
        engines.quiet()?;
        if side == Side::Program {
            return Ok(Self {
                engines,
                database: name.to_owned(),
                made_after: None,
                program: Some(engines.serve(engines::changegate(&config)?, name)?),
            });
        }
        let database = format!("{name}_loader");
        for statement in loader::tables(engines, &database, name)? {
            engines.query(&statement)?;
        }
        for statement in [
            loader::queue(engines, &database, topic, FLUSH),
            loader::changes(&database, View::Tuple),
            loader::raw(&database),
        ] {
            engines.query(&statement)?;
        }
        Ok(Self {
            engines,
            database,
            made_after: Some(name.to_owned()),
            program: None,
        })
    }

    fn count(&self, table: &str) -> anyhow::Result<u64> {
        self.engines
            .number(&format!("SELECT count() FROM {}.{table}", self.database))
    }

    /// Waits until so many rows are there; how many there were when the first were, and for how long it went on from there.
    fn wait(&self, records: u64) -> anyhow::Result<(u64, Duration)> {
        let (mut first, mut last) = (None, (0, Instant::now()));
        loop {
            let count = self.count("changes")?;
            if count > last.0 {
                last = (count, Instant::now());
                first.get_or_insert(last);
            }
            if count >= records {
                let (count, since) = first.unwrap_or(last);
                return Ok((count, since.elapsed()));
            }
            ensure!(
                last.1.elapsed() < PATIENCE,
                "{} stands still at {count} of {records} rows",
                self.database
            );
            std::thread::sleep(LOOK);
        }
    }

    fn stop(self) -> anyhow::Result<()> {
        match self.program {
            Some(program) => engines::stop(program)?,
            None => {
                self.engines
                    .query(&format!("DROP TABLE {}.queue SYNC", self.database))?;
            }
        }
        for database in self.made_after.iter().chain([&self.database]) {
            self.engines.query(&format!("DROP DATABASE {database} SYNC"))?;
        }
        Ok(())
    }
}

/// Half of what the slower side sustains on a full topic, broker and server included. At half of ours the other might not keep
/// up, and then it would be its backlog that is measured.
fn half_load(engines: &Engines) -> anyhow::Result<u64> {
    let mut sustained = Vec::new();
    for side in SIDES {
        let name = format!("bench_sustained_{side:?}").to_lowercase();
        let topic = Topic::cloudtrail(&name);
        engines.prepare(&name, std::slice::from_ref(&topic), "")?;
        engines.fill(&topic, SUSTAINED)?;
        let reading = Reading::start(engines, side, &name, &topic)?;
        let waited = reading.wait(SUSTAINED);
        reading.stop()?;
        let (before, took) = waited?;
        let rate = (SUSTAINED - before) as f64 / took.as_secs_f64();
        eprintln!("sustained, {side:?}: {rate:.0} records/s");
        sustained.push(rate);
    }
    let slower = sustained.into_iter().fold(f64::INFINITY, f64::min);
    ensure!(
        slower.is_finite(),
        "all rows came at once: too few to tell a rate"
    );
    Ok((slower / 2.0) as u64)
}

/// One side.
fn run(engines: &Engines, side: Side, name: &str, rate: u64) -> anyhow::Result<Seen> {
    let name = format!("{name}_{side:?}").to_lowercase();
    let topic = Topic::cloudtrail(&name);
    let reading = Reading::start(engines, side, &name, &topic)?;
    let looked = look(&reading, &engines.kafka(), &topic, rate);
    let seen = looked.and_then(|(from, looks)| latencies(&reading, from, &looks));
    reading.stop()?;
    let seen = seen?;
    Ok(Seen {
        half: quantile(&seen, 0.5)?,
        most: quantile(&seen, 0.99)?,
    })
}

/// What a look saw: when, and the last offset of each partition.
type Look = (i64, Vec<i64>);

/// Sends at the rate and looks for rows meanwhile, until all are there. From when on records count, and all looks.
fn look(
    reading: &Reading<'_>,
    kafka: &Settings,
    topic: &Topic,
    rate: u64,
) -> anyhow::Result<(i64, Vec<Look>)> {
    send(kafka, topic, 0..FIRST, None)?;
    reading.wait(FIRST)?;
    let from = now_ms() + WARM_UP_MS;
    let is_sent = AtomicBool::new(false);
    let (sent, looks) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let records = rate * SENDING.as_secs();
            let took = send(kafka, topic, FIRST..FIRST + records, Some(rate));
            is_sent.store(true, Ordering::Release);
            took.map(|took| (records, took))
        });
        let looks = look_until(reading, topic, &is_sent);
        let sent = sending
            .join()
            .map_err(|_| anyhow!("the sender ended early"))
            .flatten();
        anyhow::Ok((sent?, looks?))
    })?;
    let (records, took) = sent;
    let reached = records as f64 / took.as_secs_f64();
    ensure!(
        reached > 0.95 * rate as f64,
        "sent at {reached:.0} records/s beside {}, {rate} are due: take fewer",
        reading.database
    );
    for table in ["changes", "raw_records"] {
        let started = Instant::now();
        while reading.count(table)? < FIRST + records {
            ensure!(started.elapsed() < PATIENCE, "{table} does not come to its end");
            std::thread::sleep(LOOK);
        }
        let count = reading.count(table)?;
        ensure!(count == FIRST + records, "{count} rows in {table}");
    }
    Ok((from, looks))
}

/// Sends records, each with the time at which it is sent. How long that took.
fn send(
    kafka: &Settings,
    topic: &Topic,
    numbers: std::ops::Range<u64>,
    rate: Option<u64>,
) -> anyhow::Result<Duration> {
    let mut sender = Sender::new(kafka)?;
    let started = Instant::now();
    let mut next = numbers.start;
    while next < numbers.end {
        let due = rate.map_or(numbers.end, |rate| {
            numbers.start + started.elapsed().as_micros() as u64 * rate / 1_000_000
        });
        while next < due.min(numbers.end) {
            let record = records::cloudtrail_one(next);
            sender.send(&topic.name, None, &[], record.as_bytes(), now_ms())?;
            next += 1;
        }
        // The pace of the load; nothing is waited for.
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = started.elapsed();
    sender.finish(PATIENCE)?;
    Ok(took)
}

/// Looks until nothing new has been seen for a while after all was sent.
fn look_until(reading: &Reading<'_>, topic: &Topic, is_sent: &AtomicBool) -> anyhow::Result<Vec<Look>> {
    let mut looks: Vec<Look> = Vec::new();
    let mut last = vec![-1; usize::from(topic.partitions)];
    // Parts of the tables know the earliest and the latest Kafka time in them: older ones are not read.
    let mut newest = now_ms();
    let mut since = Instant::now();
    loop {
        let answer = reading.engines.query(&format!(
            "SELECT partition, max(offset), toUnixTimestamp64Milli(max(kafka_time)) FROM {}.changes \
             WHERE kafka_time >= fromUnixTimestamp64Milli({}, 'UTC') GROUP BY partition",
            reading.database,
            newest - OVERLAP_MS
        ))?;
        let time = now_ms();
        for line in answer.lines() {
            let mut cells = line.split('\t').map(str::parse::<i64>);
            let mut cell = || cells.next().context("a short line")?.context("no number");
            let (partition, offset, kafka_time) = (cell()?, cell()?, cell()?);
            let known = last
                .get_mut(partition as usize)
                .with_context(|| format!("partition {partition}"))?;
            if offset > *known {
                *known = offset;
                since = Instant::now();
            }
            newest = newest.max(kafka_time);
        }
        if looks.last().is_none_or(|(_, known)| *known != last) {
            looks.push((time, last.clone()));
        }
        // Longer than any flush.
        if is_sent.load(Ordering::Acquire) && since.elapsed() > Duration::from_secs(5) {
            return Ok(looks);
        }
        std::thread::sleep(LOOK);
    }
}

/// Of every record that was sent from then on: when its row was first seen, less when it was sent. Rows of a partition
/// become visible in the order of their offsets.
fn latencies(reading: &Reading<'_>, from: i64, looks: &[Look]) -> anyhow::Result<Vec<f64>> {
    let answer = reading.engines.query(&format!(
        "SELECT partition, offset, toUnixTimestamp64Milli(kafka_time) FROM {}.changes \
         WHERE kafka_time >= fromUnixTimestamp64Milli({from}, 'UTC')",
        reading.database
    ))?;
    let mut seen = Vec::new();
    for line in answer.lines() {
        let mut cells = line.split('\t').map(str::parse::<i64>);
        let mut cell = || cells.next().context("a short line")?.context("no number");
        let (partition, offset, sent) = (cell()?, cell()?, cell()?);
        let first =
            looks.partition_point(|(_, last)| last.get(partition as usize).is_none_or(|last| *last < offset));
        let (time, _) = looks
            .get(first)
            .with_context(|| format!("partition {partition}, offset {offset} was never seen"))?;
        seen.push((time - sent) as f64);
    }
    let count = reading.engines.number::<usize>(&format!(
        "SELECT count() FROM {}.changes WHERE kafka_time >= fromUnixTimestamp64Milli({from}, 'UTC')",
        reading.database
    ))?;
    ensure!(
        seen.len() == count,
        "{} of {count} rows came with the answer",
        seen.len()
    );
    Ok(seen)
}
