//! Trains on one run of the made-up organisation and scores another: which incidents reach 60 points, what else does,
//! and what an event costs. `cargo run --release -p changegate-risk --example incidents [model folder [seed]]`

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bumpalo::Bump;
use changegate_normalize::{
    Child, EnvironmentRule, Environments, Normalizer, TenantSettings, TopicSettings, source_names,
};
use changegate_risk::{Limits, Model, Scorer, State, TrainOptions, Trainer, Truth};
use changegate_simulator::{Config, Emitted, Label, Organisation, Simulation, holdout};
use changegate_types::{ChangeEvent, Position, RawRecord, TimeMicros};

type Fault = Box<dyn std::error::Error>;

fn tenant(organisation: &Organisation) -> Result<TenantSettings, Fault> {
    let rules = organisation.environment_rules().into_iter().filter_map(|rule| {
        let patterns = vec![rule.pattern];
        let mut own = EnvironmentRule {
            environment: rule.environment?.name().to_owned(),
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
    Ok(TenantSettings {
        uid: "default".to_owned(),
        mask_key: b"example".to_vec(),
        environments: Environments::new(&rules.collect::<Vec<_>>())?,
        ..TenantSettings::default()
    })
}

/// Every event of a run that a normalizer makes, with its label and story.
fn each_event(
    config: Config,
    mut each: impl FnMut(&Bump, &ChangeEvent<'_>, TimeMicros, Label, &str),
) -> Result<(), Fault> {
    let simulation = Simulation::new(config);
    let tenant = tenant(simulation.organisation())?;
    let mut readers: HashMap<(&'static str, String), Normalizer> = HashMap::new();
    let mut arena = Bump::new();
    simulation.run(|emitted: &Emitted<'_>| -> Result<(), Fault> {
        arena.reset();
        if emitted.redelivery || !source_names().any(|name| name == emitted.source) {
            return Ok(());
        }
        let header = emitted.headers.iter().find(|(name, _)| *name == "cluster");
        let cluster = header
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .unwrap_or_default();
        let key = (emitted.source, cluster);
        if !readers.contains_key(&key) {
            let topic = TopicSettings {
                cluster: key.1.clone(),
                ..TopicSettings::of(emitted.source)
            };
            readers.insert(key.clone(), Normalizer::new(topic, tenant.clone())?);
        }
        let headers: Vec<(&str, &[u8])> = emitted
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_slice()))
            .collect();
        let kafka_time = TimeMicros::from_millis(emitted.record_time_ms);
        let record = RawRecord {
            position: Position {
                topic: emitted.source,
                incarnation: 0,
                partition: 0,
                offset: emitted.record as i64,
            },
            kafka_time,
            key: emitted.key,
            headers: &headers,
            value: Some(emitted.value),
        };
        let Some(reader) = readers.get(&key) else {
            return Ok(());
        };
        for (index, child) in reader.record(&arena, &record).children.iter().enumerate() {
            let (Child::Change(event) | Child::Learn(event)) = child else {
                continue;
            };
            let truth = emitted.truth.iter().find(|truth| truth.child as usize == index);
            let label = truth.map_or(Label::Benign, |truth| truth.label);
            let story = truth.map(|truth| truth.story.to_string()).unwrap_or_default();
            each(&arena, event, kafka_time, label, &story);
        }
        Ok(())
    })?;
    Ok(())
}

fn train() -> Result<PathBuf, Fault> {
    let end = 1_793_491_200_000; // 2026-11-01
    let mut config = Config::training(1, 30, end);
    config.exclude_team = Some(holdout().team.to_owned());
    let mut trainer = Trainer::new(TrainOptions::default());
    each_event(config, |_, event, time, label, story| {
        let kind = label.incident().map(|kind| kind.name());
        let truth = kind.map_or(Truth::Benign, |kind| Truth::Incident { kind, id: story });
        trainer.observe(event, time, Some(truth));
    })?;
    let started = Instant::now();
    let trained = trainer.finish(&std::env::temp_dir().join("changegate-risk-example"))?;
    println!(
        "trained in {:.1?}: {:?}",
        started.elapsed(),
        trained.metrics.ranking
    );
    Ok(trained.dir)
}

fn main() -> Result<(), Fault> {
    let dir = std::env::args()
        .nth(1)
        .map_or_else(train, |dir| Ok(Path::new(&dir).to_owned()))?;
    let model = Arc::new(Model::load(&dir, None)?);
    let state = Arc::new(State::new(&model, Limits::default()));
    let mut scorer = Scorer::new(model, state);
    let mut best: BTreeMap<(String, String), (f32, String)> = BTreeMap::new();
    let mut asked: BTreeMap<String, (u32, String)> = BTreeMap::new();
    let (mut changes, mut events, mut learning, mut spent) = (0u32, 0u32, 0u32, Duration::ZERO);
    let mut demo = Config::demo(1_795_478_400_000);
    if let Some(seed) = std::env::args().nth(2) {
        demo.seed = seed.parse()?;
    }
    each_event(demo, |arena, event, time, label, story| {
        let started = Instant::now();
        let mut scores = Vec::with_capacity(1);
        scorer.score_block(arena, &[(event, time)], &mut scores);
        spent += started.elapsed();
        events += 1;
        let score = &scores[0];
        let reasons = score
            .reasons
            .iter()
            .map(|reason| format!("\n        {:.1} {}", reason.contribution, reason.text));
        let line = format!(
            "{:.1} raw {:.2} {} {} {} learning={} {:?}{}",
            score.risk.points(),
            score.raw,
            score.stratum,
            event.api_operation,
            event.actor_uid,
            score.learning,
            score.features,
            reasons.collect::<String>()
        );
        changes += u32::from(event.is_change);
        learning += u32::from(event.is_change && score.learning);
        if let Label::Incident(kind) = label {
            let entry = best
                .entry((kind.name().to_owned(), story.to_owned()))
                .or_insert((-1.0, String::from("no change")));
            let risk = if event.is_change { score.risk.points() } else { 0.0 };
            if risk > entry.0 {
                *entry = (risk, line.clone());
            }
        }
        if event.is_change && score.risk.points() >= 60.0 && !score.learning {
            let entry = asked.entry(label.to_string()).or_insert((0, line));
            entry.0 += 1;
        }
    })?;
    for ((kind, story), (_, line)) in &best {
        println!("{kind} {story}\n    {line}");
    }
    for (label, (count, example)) in &asked {
        println!("asked {count} times: {label}\n    {example}");
    }
    let sum: u32 = asked.values().map(|(count, _)| count).sum();
    let found = best.values().filter(|(risk, _)| *risk >= 60.0).count();
    println!(
        "{events} events, {changes} changes, {learning} while learning, {sum} asked ({:.2} %), {found} of {} incidents; {:.0} ns an event, one by one",
        100.0 * f64::from(sum) / f64::from(changes),
        best.len(),
        spent.as_nanos() as f64 / f64::from(events)
    );
    Ok(())
}
