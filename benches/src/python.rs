//! Python as a rival: the scripts in `benches/python`, in a virtual environment that `benches/run` makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::engines::{self, Engines, Topic};
use crate::loader;
use crate::machine::median;

/// Rounds; the ratio is the median of theirs.
const ROUNDS: usize = 5;

/// Records a second on this machine, broker and server included, from the first record that was read to the last row.
/// Medians of the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Throughput {
    /// Of the program.
    pub ours: f64,
    /// Of the script.
    pub theirs: f64,
    /// How many times as many.
    pub ours_over_theirs: f64,
}

#[derive(Deserialize)]
struct Ended {
    seconds: f64,
    records: u64,
}

/// Interleaved rounds of both over the same topic.
///
/// # Errors
/// What is missing on this machine; a run that does not end; sides that did not write the same.
pub fn throughput(records: u64) -> anyhow::Result<Throughput> {
    let engines = Engines::start()?;
    let topic = Topic::cloudtrail("bench_python");
    engines.prepare("bench_python", std::slice::from_ref(&topic), "")?;
    engines.fill(&topic, records)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let own = format!("bench_ours_{round}");
        let config = engines.prepare(&own, std::slice::from_ref(&topic), "")?;
        engines.quiet()?;
        let mut serve = engines::changegate(&config)?;
        // A worker a core, as the script has a process a core.
        serve.env("CHANGEGATE__KAFKA__WORKERS", "2");
        let running = engines.run(serve, &own, records)?;
        let ended = engines::now_ms();
        engines::stop(running)?;
        let first_read = format!("SELECT toUnixTimestamp64Milli(min(ingest_time)) FROM {own}.raw_records");
        let took = ended - engines.number::<i64>(&first_read)?;
        ours.push(records as f64 / (took as f64 / 1e3));

        let name = format!("bench_python_{round}");
        for statement in loader::tables(&engines, &name, &own)? {
            engines.query(&statement)?;
        }
        engines.quiet()?;
        let ended: Ended = script("pipeline.py", |command| {
            let server = engines.server();
            command
                .args([&engines.kafka().bootstrap, &topic.name, &name])
                .args([topic.partitions.to_string(), records.to_string()])
                .args([&server.host, &server.port, &server.user, &server.password, &name]);
        })?;
        ensure!(ended.records == records, "the script read {}", ended.records);
        theirs.push(records as f64 / ended.seconds);
        loader::same(&engines, &own, &name, records)?;
        for database in [&own, &name] {
            engines.query(&format!("DROP DATABASE {database} SYNC"))?;
        }
        eprintln!(
            "round {round}: ours {:.0}, Python {:.0} records a second",
            ours[round], theirs[round]
        );
    }
    let ratios: Vec<f64> = ours
        .iter()
        .zip(&theirs)
        .map(|(ours, theirs)| ours / theirs)
        .collect();
    Ok(Throughput {
        ours: median(&ours)?,
        theirs: median(&theirs)?,
        ours_over_theirs: median(&ratios)?,
    })
}

/// What a script of ours printed, as JSON.
pub(crate) fn script<T: DeserializeOwned>(
    name: &str,
    arguments: impl FnOnce(&mut Command),
) -> anyhow::Result<T> {
    let Some(python) = std::env::var_os("CHANGEGATE_PYTHON").map(PathBuf::from) else {
        bail!("CHANGEGATE_PYTHON is not set: benches/run makes the environment and sets it");
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name);
    let mut command = Command::new(&python);
    command.arg(&script);
    arguments(&mut command);
    let output = command
        .output()
        .with_context(|| format!("starting {}", python.display()))?;
    ensure!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).with_context(|| format!("what {name} printed"))
}
