//! Measures the simulator: a run written to files, and the load generator. Prints events a second on one core.
//!
//! `cargo run --release -p changegate-simulator --example rate [FOLDER]`

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::time::Instant;

use changegate_simulator::{Config, Files, Folder, LoadGenerator, Simulation};

struct Disk(PathBuf);

impl Folder for Disk {
    type File = BufWriter<File>;

    fn create(&mut self, name: &str) -> io::Result<Self::File> {
        let path = self.0.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(BufWriter::with_capacity(256 * 1024, File::create(path)?))
    }
}

fn main() -> io::Result<()> {
    let asked = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = asked
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join("changegate-simulator-rate"));
    let end_ms = 1_795_478_400_000; // 2026-11-24T00:00:00Z
    let started = Stopwatch::start();
    let mut files = Files::new(Disk(folder.clone()))?;
    let summary = Simulation::new(Config::demo(end_ms)).run(|emitted| files.write(emitted))?;
    files.finish()?;
    let megabytes = summary.bytes as f64 / 1e6;
    println!("{summary:#?}");
    println!(
        "files: {} events in {} records, {megabytes:.1} MB",
        summary.events, summary.records
    );
    started.print(summary.events);
    if asked.is_none() {
        fs::remove_dir_all(&folder)?;
    }
    for (name, mut load) in [
        ("all sources", LoadGenerator::new(1, 20_000)),
        ("cloudtrail", LoadGenerator::cloudtrail(1, 20_000)),
    ] {
        let started = Stopwatch::start();
        let (mut events, mut bytes) = (0, 0);
        for record in 0..1_000_000 {
            let record = load.next(end_ms + record);
            events += u64::from(record.children);
            bytes += record.value.len();
        }
        println!(
            "load, {name}: {events} events, mean {} bytes a record",
            bytes / 1_000_000
        );
        started.print(events);
    }
    Ok(())
}

/// Wall time and processor time; the second is what one core can do, whatever else the machine is busy with.
struct Stopwatch {
    wall: Instant,
    processor_ns: u64,
}

impl Stopwatch {
    fn start() -> Self {
        Self {
            wall: Instant::now(),
            processor_ns: processor_ns(),
        }
    }

    fn print(&self, events: u64) {
        let wall = self.wall.elapsed().as_secs_f64();
        let processor = (processor_ns() - self.processor_ns) as f64 / 1e9;
        println!("  wall {wall:.2} s = {:.0} events/s", events as f64 / wall);
        if processor > 0.0 {
            println!(
                "  processor {processor:.2} s = {:.0} events/s",
                events as f64 / processor
            );
        }
    }
}

/// Time that this thread was on a core, user and system; 0 where the system does not say.
fn processor_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|field| field.parse().ok())
        .unwrap_or(0)
}
