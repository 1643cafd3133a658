//! The whole road from a real broker to a real server.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use changegate_simulator::Config;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::counts::Counts;
use crate::engines::{self, Engines, Topic};
use crate::machine;

/// Instructions per record.
#[derive(Clone, Copy, Debug)]
pub struct Instructions {
    /// Of a consumer that drops what it reads.
    pub raw: f64,
    /// Of the whole pipeline with scoring, SHA-256 excluded.
    pub ours: f64,
    /// Of SHA-256 in it.
    pub sha256: f64,
}

/// What a run over a demo's worth of records took.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Records of all sources.
    pub records: u64,
    /// Seconds from the start to the last row.
    pub seconds: f64,
    /// Largest resident memory of the program, in MiB.
    pub peak_mib: u64,
    /// Bytes on disk a record, all tables.
    pub disk: f64,
    /// Bytes that `gzip -6` makes of a record.
    pub gzip: f64,
}

/// Instructions per record of the whole pipeline, SHA-256 excluded.
#[derive(Clone, Copy, Debug)]
pub struct Shapes {
    /// Eight partitions, one worker.
    pub few: f64,
    /// 128 partitions.
    pub many: f64,
    /// Two workers.
    pub two_workers: f64,
}

/// Counts the pipeline alone at other numbers of partitions and workers.
///
/// # Errors
/// What is missing on this machine; a run that does not end.
pub fn shapes(records: u64) -> anyhow::Result<Shapes> {
    let engines = Engines::start()?;
    let of = |partitions: u16, workers: u16| -> anyhow::Result<f64> {
        let mut counts = [Counts::default(); 2];
        // As many batches of each worker, whatever their number.
        let read = lengths(records * u64::from(workers));
        for (counts, length) in counts.iter_mut().zip(read) {
            let name = format!("bench_{partitions}_{workers}_{length}");
            let topic = Topic {
                partitions,
                ..Topic::cloudtrail(&name)
            };
            *counts = pipeline(&engines, &name, &topic, length, records, workers)?;
        }
        let [short, long] = counts;
        Ok(Counts::per_record(short, long, read[1] - read[0]).0)
    };
    Ok(Shapes {
        few: of(8, 1)?,
        many: of(128, 1)?,
        two_workers: of(8, 2)?,
    })
}

/// Two batches, and four: what start-up takes cancels out, and the second batch fills its buffers for the first time.
pub(crate) fn lengths(batch: u64) -> [u64; 2] {
    [2 * batch, 4 * batch]
}

/// Counts what the program does with a new topic of `records` records, in batches of `batch` of them by each worker.
pub(crate) fn pipeline(
    engines: &Engines,
    name: &str,
    topic: &Topic,
    records: u64,
    batch: u64,
    workers: u16,
) -> anyhow::Result<Counts> {
    let mut more =
        format!("[batch]\nrows = {batch}\nwait = \"20s\"\ndrain_deadline = \"1m\"\n[kafka.properties]\n");
    for (property, value) in engines::COUNTED {
        more += &format!("\"{property}\" = \"{value}\"\n");
    }
    let config = engines.prepare(name, std::slice::from_ref(topic), &more)?;
    engines.fill(topic, records)?;
    let counts = engines.folder().join(format!("{name}.ours"));
    let mut command = engines::counted(&config, &counts)?;
    command.env("CHANGEGATE__KAFKA__WORKERS", workers.to_string());
    // The records are a backlog only because they must be there before they are counted: they are read as a stream is.
    command.env("CHANGEGATE__KAFKA__ORDER_BACKLOG", "0s");
    let running = engines.run(command, name, records)?;
    engines::stop(running)?;
    if let Some(kept) = std::env::var_os("KEEP_COUNTS") {
        std::fs::copy(&counts, Path::new(&kept).join(format!("{name}.ours")))?;
    }
    Counts::read(&counts)
}

/// Counts what another program does with a topic.
pub(crate) fn consumer(
    engines: &Engines,
    name: &str,
    program: &Path,
    words: &[&str],
) -> anyhow::Result<Counts> {
    let counts = engines.folder().join(name);
    let status = engines::callgrind(&counts)
        .arg(program)
        .args(words)
        .status()
        .context("starting valgrind")?;
    ensure!(status.success(), "{} {words:?}: {status}", program.display());
    Counts::read(&counts)
}

/// Counts two batches of so many records, and four, on both sides.
///
/// # Errors
/// What is missing on this machine; a run that does not end.
pub fn instructions(records: u64) -> anyhow::Result<Instructions> {
    let engines = Engines::start()?;
    let lengths = lengths(records);
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for (number, length) in lengths.into_iter().enumerate() {
        let name = format!("bench_{number}");
        let topic = Topic::cloudtrail(&name);
        ours.push(pipeline(&engines, &name, &topic, length, records, 1)?);

        let own = std::env::current_exe()?.with_file_name("road");
        let words = [
            "consume",
            &engines.kafka().bootstrap,
            &topic.name,
            &length.to_string(),
        ];
        raw.push(consumer(&engines, &format!("{name}.raw"), &own, &words)?);
    }
    let (&[short, long], &[raw_short, raw_long]) = (&ours[..], &raw[..]) else {
        bail!("two runs of each");
    };
    let more = lengths[1] - lengths[0];
    let (ours, sha256) = Counts::per_record(short, long, more);
    let (raw, _) = Counts::per_record(raw_short, raw_long, more);
    Ok(Instructions { raw, ours, sha256 })
}

/// Reads so many records with the program's own consumer configuration and does nothing with them; ends the process.
///
/// # Errors
/// Those of the client library.
pub fn consume(bootstrap: &str, topic: &str, records: u64) -> anyhow::Result<()> {
    let settings = changegate_kafka::Settings {
        bootstrap: bootstrap.to_owned(),
        group: "bench-raw".to_owned(),
        session_timeout: Duration::from_secs(300),
        max_poll_interval: Duration::from_secs(1_800),
        record_bytes_max: 2 << 20,
        properties: engines::COUNTED
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    };
    let consumer: BaseConsumer = settings.member("bench-raw-0").create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..4 {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut read, mut bytes) = (0, 0);
    while read < records {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            bytes += rdkafka::Message::payload(&message?).map_or(0, <[u8]>::len);
            read += 1;
        }
    }
    ensure!(bytes > 0, "empty records");
    // Leaving in order would be counted, and the other side is not asked for it.
    std::process::exit(0)
}

/// Peak resident memory of the program alone, over as many records as the demo has.
///
/// # Errors
/// What is missing on this machine; a run that does not end.
pub fn memory() -> anyhow::Result<Memory> {
    let engines = Engines::start()?;
    let name = "bench_memory";
    let topics = Topic::of_all_sources();
    let list: Vec<Topic> = topics.values().cloned().collect();
    let more = "[decision]\napproval_max_age = \"40d\"\nbudget_per_hour = 100000\n";
    let config = engines.prepare(name, &list, more)?;
    let mut gzip = machine::Gzip::start()?;
    let config_of_demo = Config::demo(engines::now_ms());
    let sent = engines.simulate(&topics, config_of_demo, |value| gzip.line(value))?;
    let gzip = gzip.finish()?;
    let started = Instant::now();
    let running = engines.run(engines::changegate(&config)?, name, sent)?;
    let seconds = started.elapsed().as_secs_f64();
    let peak = machine::kib(running.id(), "VmHWM");
    engines::stop(running)?;
    engines.quiet()?;
    Ok(Memory {
        records: sent,
        seconds,
        peak_mib: peak? / 1024,
        disk: engines.bytes_on_disk(name)? as f64 / sent as f64,
        gzip: gzip as f64 / sent as f64,
    })
}
