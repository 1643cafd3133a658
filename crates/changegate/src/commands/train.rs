use std::collections::HashMap;
use std::io::{BufWriter, stderr};
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use bumpalo::Bump;
use changegate_config::Settings;
use changegate_normalize::{
    Child, EnvironmentRule, Environments, JsonLine, Normalizer, TenantSettings, TopicSettings, source_names,
};
use changegate_risk::{TrainOptions, Trainer, Truth};
use changegate_simulator::{Config, Emitted, Organisation, Simulation, header_pairs, holdout};
use changegate_types::{RawRecord, TimeMicros};

use super::Answer;
use super::simulate::midnight_ms;
use crate::args::Train;
use crate::input::{self, FileClock};
use crate::{output, setup};

pub(crate) fn run(config: Option<&Path>, asked: &Train) -> Answer {
    let settings = setup::settings(config)?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut options = TrainOptions {
        name: asked.name.clone(),
        version: asked.version.clone(),
        seed: asked.seed,
        limits: setup::limits(&settings),
        command: format!("changegate {}", words.join(" ")),
        ..TrainOptions::default()
    };
    let trainer = match (&asked.source, asked.simulated_days) {
        (Some(source), _) => {
            input::some(&asked.files)?;
            options.data = format!("{} files of {source}", asked.files.len());
            from_files(&settings, asked, source, options)?
        }
        (None, Some(days)) => {
            options.data = format!(
                "a made-up organisation, seed {}, {days} days until {}; unseen kinds of incident and team left out",
                asked.seed, asked.until
            );
            from_simulation(asked, days, options)?
        }
        (None, None) => bail!("nothing to train on: give --source and files, or --simulated-days"),
    };
    let events = trainer.len();
    let progress = output::progress(0, "growing trees, calibrating");
    progress.enable_steady_tick(Duration::from_millis(200));
    let trained = trainer.finish(&asked.to)?;
    progress.finish_and_clear();
    let mut line = JsonLine::new();
    line.text("model", &format!("{}@{}", asked.name, asked.version))
        .text("hash", &trained.hash.to_string())
        .number("events", events)
        .text("folder", &trained.dir.display().to_string())
        .text("card", &trained.dir.join("card.md").display().to_string());
    output::sheet(asked.printed.output, &line.finish())?;
    Ok(true)
}

fn from_files(
    settings: &Settings,
    asked: &Train,
    source: &str,
    options: TrainOptions,
) -> anyhow::Result<Trainer> {
    let normalizer = setup::file_normalizer(settings, source, "")?;
    let mut trainer = Trainer::new(options);
    let mut clock = FileClock::default();
    let mut faults = BufWriter::new(stderr().lock());
    for file in &asked.files {
        let bytes = input::read(file)?;
        input::each_child(
            &normalizer,
            &input::told_name(file, &asked.files),
            &bytes,
            &mut clock,
            &mut faults,
            |_, _, child, time| {
                if let Child::Change(event) | Child::Learn(event) = child {
                    trainer.observe(event, time, None);
                }
                Ok(())
            },
        )?;
    }
    Ok(trainer)
}

/// The organisation's own naming rules, as a config would state them.
pub(crate) fn organisation_rules(organisation: &Organisation) -> Vec<EnvironmentRule> {
    // Rules that name an owner alone say nothing about the environment, and the first rule that matches decides.
    let rules = organisation.environment_rules().into_iter().filter_map(|rule| {
        let patterns = vec![rule.pattern];
        let mut own = EnvironmentRule {
            environment: rule.environment?.name().to_owned(),
            owner: rule.owner.unwrap_or_default(),
            ..EnvironmentRule::default()
        };
        match rule.field {
            "cluster" => own.cluster = patterns,
            "namespace" => own.namespace = patterns,
            "repository" => own.repository = patterns,
            _ => own.account = patterns,
        }
        Some(own)
    });
    rules.collect()
}

/// One normalizer per source (and cluster), for an organisation that was made up.
pub(crate) struct Readers {
    tenant: TenantSettings,
    readers: HashMap<(&'static str, String), Option<Normalizer>>,
}

impl Readers {
    /// `rules` say which environment an event touches; without any, all of them are unknown.
    pub(crate) fn new(rules: &[EnvironmentRule], mask_key: &[u8]) -> anyhow::Result<Self> {
        let tenant = TenantSettings {
            uid: "default".to_owned(),
            mask_key: mask_key.to_vec(),
            environments: Environments::new(rules)?,
            ..TenantSettings::default()
        };
        Ok(Self {
            tenant,
            readers: HashMap::new(),
        })
    }

    /// The reader of one record's source; `None` for a source that this program does not read.
    pub(crate) fn reader(&mut self, emitted: &Emitted<'_>) -> anyhow::Result<Option<&Normalizer>> {
        let cluster = emitted.headers.iter().find(|(name, _)| *name == "cluster");
        let cluster = cluster
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .unwrap_or_default();
        let key = (emitted.source, cluster.clone());
        if !self.readers.contains_key(&key) {
            let known = source_names().any(|name| name == emitted.source);
            let topic = TopicSettings {
                cluster,
                ..TopicSettings::of(emitted.source)
            };
            let reader = known
                .then(|| Normalizer::new(topic, self.tenant.clone()))
                .transpose()?;
            self.readers.insert(key.clone(), reader);
        }
        Ok(self.readers.get(&key).and_then(Option::as_ref))
    }
}

fn from_simulation(asked: &Train, days: u32, options: TrainOptions) -> anyhow::Result<Trainer> {
    let held_out = holdout();
    let mut simulated = Config::training(asked.seed, days, midnight_ms(&asked.until)?);
    simulated.exclude_team = Some(held_out.team.to_owned());
    let simulation = Simulation::new(simulated);
    let rules = organisation_rules(simulation.organisation());
    let mut readers = Readers::new(&rules, b"changegate training")?;
    let mut trainer = Trainer::new(options);
    let mut arena = Bump::new();
    let progress = output::progress(0, "records made up");
    simulation.run(|emitted| -> anyhow::Result<()> {
        arena.reset();
        progress.inc(1);
        let Some(reader) = readers.reader(emitted)? else {
            return Ok(());
        };
        let headers = header_pairs(emitted.headers);
        let kafka_time = TimeMicros::from_millis(emitted.record_time_ms);
        let record = RawRecord {
            key: emitted.key,
            headers: &headers,
            ..RawRecord::of_no_topic(emitted.value, kafka_time)
        };
        if emitted.redelivery {
            return Ok(());
        }
        for (index, child) in reader.record(&arena, &record).children.iter().enumerate() {
            let (Child::Change(event) | Child::Learn(event)) = child else {
                continue;
            };
            let truth = emitted.truth.iter().find(|truth| truth.child as usize == index);
            let incident =
                truth.and_then(|truth| Some((truth.label.incident()?.name(), truth.story.to_string())));
            let label = match &incident {
                Some((kind, id)) => Truth::Incident { kind, id },
                None => Truth::Benign,
            };
            trainer.observe(event, kafka_time, Some(label));
        }
        Ok(())
    })?;
    progress.finish_and_clear();
    Ok(trainer)
}
