use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::PathBuf;

use anyhow::Context;
use changegate_normalize::{EnvironmentRule, JsonLine};
use changegate_simulator::{Config, Files, Folder, Simulation};
use changegate_types::TimeMicros;

use super::Answer;
use super::train::organisation_rules;
use crate::args::Simulate;
use crate::output;

struct Disk(PathBuf);

impl Folder for Disk {
    type File = BufWriter<File>;

    fn create(&mut self, name: &str) -> io::Result<Self::File> {
        let path = self.0.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(BufWriter::with_capacity(256 << 10, File::create(path)?))
    }
}

/// Midnight UTC of a date, in milliseconds.
pub(crate) fn midnight_ms(date: &str) -> anyhow::Result<i64> {
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<u32>().ok());
    let mut next = || parts.next().flatten();
    let time = match (next(), next(), next()) {
        (Some(year), Some(month), Some(day)) => TimeMicros::from_civil(year as i32, month, day, 0, 0, 0, 0),
        _ => None,
    };
    time.map(TimeMicros::millis)
        .with_context(|| format!("{date:?} is no date such as 2026-11-01"))
}

/// The organisation's naming rules as settings: without them every environment is unknown, and so taken for production.
fn config_of(rules: &[EnvironmentRule]) -> String {
    let mut text = String::from(
        "# Environments of the made-up organisation. The rest is as without a file.\n# changegate up --config changegate.toml\n",
    );
    for rule in rules {
        let lists = [
            ("account", &rule.account),
            ("cluster", &rule.cluster),
            ("namespace", &rule.namespace),
            ("repository", &rule.repository),
        ];
        // Names and patterns are ours: letters, digits, `-`, `/`, `*`. As Rust prints them, TOML reads them.
        text.push_str(&format!(
            "\n[[environments]]\nenvironment = {:?}\n",
            rule.environment
        ));
        for (name, patterns) in lists.into_iter().filter(|(_, patterns)| !patterns.is_empty()) {
            text.push_str(&format!("{name} = {patterns:?}\n"));
        }
    }
    text
}

pub(crate) fn run(asked: &Simulate) -> Answer {
    let end_ms = midnight_ms(&asked.until)?;
    let mut files =
        Files::new(Disk(asked.to.clone())).with_context(|| format!("creating {}", asked.to.display()))?;
    let progress = output::progress(0, "records made up");
    let simulation = Simulation::new(Config::days(asked.seed, asked.days, end_ms));
    let config = asked.to.join("changegate.toml");
    fs::write(&config, config_of(&organisation_rules(simulation.organisation())))
        .with_context(|| format!("writing {}", config.display()))?;
    let summary = simulation
        .run(|emitted| {
            progress.inc(1);
            files.write(emitted)
        })
        .with_context(|| format!("writing to {}", asked.to.display()))?;
    files.finish()?;
    progress.finish_and_clear();
    let mut line = JsonLine::new();
    line.number("events", summary.events)
        .number("changes", summary.changes)
        .number("reads", summary.reads)
        .number("sign_ins", summary.sign_ins);
    line.number("records", summary.records)
        .number("damaged", summary.malformed)
        .number("repeated", summary.duplicates);
    line.text("folder", &asked.to.display().to_string())
        .text("truth", &asked.to.join("truth.jsonl").display().to_string())
        .text("config", &config.display().to_string());
    output::sheet(asked.printed.output, &line.finish())?;
    Ok(true)
}
