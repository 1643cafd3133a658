//! Measures the simulator: a run written to files, and the load generator. Prints events a second on one core.
//!
//! `cargo run --release -p changegate-simulator --example rate [FOLDER]`

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::time::Instant;

use changegate_simulator::{Config, Files, Folder, Simulation};

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
    let folder = asked.clone().unwrap_or_else(|| std::env::temp_dir().join("changegate-simulator-rate"));
    let end_ms = 1_795_478_400_000; // 2026-11-24T00:00:00Z
    let started = Instant::now();
    let mut files = Files::new(Disk(folder.clone()))?;
    let summary = Simulation::new(Config::demo(end_ms)).run(|emitted| files.write(emitted))?;
    files.finish()?;
    let seconds = started.elapsed().as_secs_f64();
    println!("{summary:#?}");
    println!(
        "files: {} events in {} records, {:.1} MB in {seconds:.2} s = {:.0} events/s",
        summary.events,
        summary.records,
        summary.bytes as f64 / 1e6,
        summary.events as f64 / seconds,
    );
    if asked.is_none() {
        fs::remove_dir_all(&folder)?;
    }
    Ok(())
}
