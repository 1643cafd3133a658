//! The first days of a tenant whose events nobody has seen and whose environments nobody has named: the scorer knows
//! nothing, and still must neither ask about everything nor miss the plainest incidents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bumpalo::Bump;
use changegate_approval::{Ask, Asker, Candidate};
use changegate_config::Settings;
use changegate_normalize::{Child, source_names};
use changegate_policy::decide;
use changegate_risk::{Model, Scorer, State};
use changegate_simulator::{Config, Simulation, header_pairs};
use changegate_types::{ChangeEvent, Decision, RawRecord, Score, TimeMicros};

use crate::commands::train::Readers;
use crate::{memory, setup};

/// Midnight, 2026-11-24.
const END_MS: i64 = 1_795_478_400_000;

/// What the changes of the first days came to.
#[derive(Default)]
struct Tally {
    changes: u32,
    asks: BTreeMap<&'static str, u32>,
    /// Kind of each incident that asked, by its story.
    found: BTreeMap<u32, &'static str>,
    incidents: BTreeSet<u32>,
}

impl Tally {
    fn asked(&self) -> u32 {
        self.asks.get("asked").copied().unwrap_or(0) + self.asks.get("grouped").copied().unwrap_or(0)
    }
}

/// A new tenant with the settings as they come, but for the age limit: the days are over.
struct Tenant {
    settings: Settings,
    scorer: Scorer,
    asker: Asker,
    readers: Readers,
    tally: Tally,
}

impl Tenant {
    fn new() -> Self {
        let sources: Vec<&str> = source_names().collect();
        let settings = Settings::defaults_local(&sources);
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/default/0.1.0");
        let model = Arc::new(Model::load(shipped.as_ref(), None).unwrap());
        let state = Arc::new(State::new(&model, setup::limits(&settings)));
        Self {
            scorer: Scorer::new(model, state),
            asker: Asker::new(memory::ask_rules(&settings), settings.state.asked_max),
            readers: Readers::new(&[], b"first days").unwrap(),
            tally: Tally::default(),
            settings,
        }
    }

    /// Reads three days of the organisation, of one source or of all in their order.
    fn read(&mut self, seed: u64, only: Option<&str>) {
        let mut arena = Bump::new();
        let simulation = Simulation::new(Config::days(seed, 3, END_MS));
        let done = simulation.run(|emitted| -> anyhow::Result<()> {
            arena.reset();
            if emitted.redelivery || only.is_some_and(|only| only != emitted.source) {
                return Ok(());
            }
            let time = TimeMicros::from_millis(emitted.record_time_ms);
            let headers = header_pairs(emitted.headers);
            let record = RawRecord {
                key: emitted.key,
                headers: &headers,
                ..RawRecord::of_no_topic(emitted.value, time)
            };
            let Some(reader) = self.readers.reader(emitted)? else {
                return Ok(());
            };
            for (index, child) in reader.record(&arena, &record).children.iter().enumerate() {
                let (Child::Change(event) | Child::Learn(event)) = child else {
                    continue;
                };
                let mut scores = Vec::new();
                self.scorer.score_block(&arena, &[(event, time)], &mut scores);
                let ask = ask(&self.settings, &mut self.asker, event, &scores[0], time);
                if event.is_change {
                    self.tally.changes += 1;
                    *self.tally.asks.entry(ask.name()).or_default() += 1;
                }
                let truth = emitted.truth.iter().find(|truth| truth.child as usize == index);
                if let Some((truth, kind)) = truth.and_then(|truth| Some((truth, truth.label.incident()?))) {
                    self.tally.incidents.insert(truth.story);
                    if ask.sends() {
                        self.tally.found.insert(truth.story, kind.name());
                    }
                }
            }
            Ok(())
        });
        done.unwrap();
    }
}

fn ask(
    settings: &Settings,
    asker: &mut Asker,
    event: &ChangeEvent<'_>,
    score: &Score<'_>,
    time: TimeMicros,
) -> Ask {
    let decision = decide(Some(score.risk), Decision::Allow, &settings.decision.thresholds);
    let candidate = Candidate {
        tenant_uid: event.tenant_uid,
        change_uid: event.change_uid,
        decision,
        is_change: event.is_change,
        redelivery: false,
        learning: score.learning.then_some(score.risk),
        event_time: time,
        ingest_time: time,
        decision_time: time,
    };
    asker.ask(&candidate).ask
}

const SEEDS: [u64; 3] = [1, 5, 13];

#[test]
fn few_changes_of_a_new_tenant_ask_and_plain_incidents_are_among_them() {
    let (mut found, mut incidents) = (BTreeSet::new(), 0);
    for seed in SEEDS {
        let mut tenant = Tenant::new();
        tenant.read(seed, None);
        let tally = tenant.tally;
        println!(
            "seed {seed}: {} changes, {:?}, {} of {} incidents: {:?}",
            tally.changes,
            tally.asks,
            tally.found.len(),
            tally.incidents.len(),
            tally.found
        );
        assert!(
            tally.asked() * 200 <= tally.changes,
            "seed {seed}: {} of {} ask",
            tally.asked(),
            tally.changes
        );
        assert!(tally.asks["learning"] > 0, "what is held back is said");
        incidents += tally.incidents.len();
        found.extend(tally.found.into_iter().map(|(story, kind)| (seed, story, kind)));
    }
    assert!(found.len() * 3 >= incidents, "{found:?} of {incidents}");
    for kind in ["logging_stopped", "mass_delete", "key_created_used_elsewhere"] {
        assert!(
            found.iter().any(|(.., found)| *found == kind),
            "{kind}: {found:?}"
        );
    }
}

/// As people try it out: one file after the other, so that record time goes back and each source is new again.
#[test]
fn sources_that_come_one_after_the_other_ask_little_too() {
    let mut tenant = Tenant::new();
    for source in source_names() {
        tenant.read(1, Some(source));
    }
    let tally = tenant.tally;
    println!("{} changes, {:?}", tally.changes, tally.asks);
    assert!(
        tally.asked() * 100 <= tally.changes,
        "{} of {} ask",
        tally.asked(),
        tally.changes
    );
}
