//! What an event costs where many actors are known. A miss of the cache is no instruction, so this is CPU time: the same
//! work over two states, one of which knows a hundred times as many.

use std::hint::black_box;

use anyhow::{bail, ensure};
use bumpalo::Bump;
use changegate_normalize::{Child, Normalizer};
use changegate_policy::{Thresholds, decide};
use changegate_risk::{EXPLAIN_FROM, Limits, Scorer, State};
use changegate_types::{Decision, TimeMicros, Versions};

use crate::machine::{self, median};
use crate::stage::{self, BLOCK};
use crate::{KAFKA_TIME, raw_record, records, settings};

/// Actors of the smaller state.
const FEW: u64 = 1_000;
/// Events of each actor, where there are many, before the first round.
const HISTORY: u64 = 20;
/// The record time that this history spans: twice the learning phase.
const HISTORY_MICROS: u64 = 10 * 86_400 * 1_000_000;
/// Rounds; the ratio is the median of theirs.
const ROUNDS: usize = 9;
/// Blocks of a round: the clock of a process counts in hundredths of a second.
const BLOCKS: usize = 800;
/// Blocks before a round, after the other side has had the cache.
const WARM_UP: usize = 40;
/// Different records, before an actor's name is put into one.
const TEMPLATES: usize = 1_000;
/// Of them, those that an actor's events are made of.
const HABITS: u64 = 4;

/// CPU time of an event from its bytes to its rows, in microseconds. Medians of the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Actors of the larger state.
    pub actors: u64,
    /// With 1,000 known.
    pub few: f64,
    /// With many known.
    pub many: f64,
    /// How many times as long that takes.
    pub many_over_few: f64,
}

/// Interleaved rounds over both states.
///
/// # Errors
/// A model that does not load; a state that does not know as many as it should.
pub fn figures(actors: u64) -> anyhow::Result<Figures> {
    let limit = Limits::default().actors as u64 * 7 / 8;
    ensure!(
        (FEW..=limit).contains(&actors),
        "{actors} actors: from {FEW} to {limit}, beyond which a shard of the state may run full"
    );
    let mut work = Work::new()?;
    let mut sides = [Side::new(FEW, actors)?, Side::new(actors, actors)?];
    for side in &mut sides {
        let events = actors * HISTORY;
        for _ in 0..events.div_ceil(BLOCK as u64) {
            work.block(side)?;
        }
        side.check()?;
    }
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let mut took = [0.0; 2];
        // By turns the first: what the machine does besides drifts.
        for at in [round % 2, 1 - round % 2] {
            took[at] = work.round(&mut sides[at])?;
        }
        eprintln!(
            "round {round}: {:.2} us an event with {FEW} actors, {:.2} with {actors}",
            took[0], took[1]
        );
        rounds.push(took);
    }
    for side in &sides {
        side.check()?;
        side.tell();
    }
    let middle = |of: &dyn Fn(&[f64; 2]) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
    Ok(Figures {
        actors,
        few: middle(&|[few, _]| *few)?,
        many: middle(&|[_, many]| *many)?,
        many_over_few: middle(&|[few, many]| many / few)?,
    })
}

/// A state, and who acts.
struct Side {
    actors: u64,
    scorer: Scorer,
    random: Random,
    /// Record time of the next event, and how far apart events are.
    now: u64,
    apart: u64,
    events: u64,
    risk: f64,
    explained: u64,
}

impl Side {
    /// Both sides have as many events in as much record time.
    fn new(actors: u64, most: u64) -> anyhow::Result<Self> {
        let model = stage::model()?;
        let state = State::new(&model, Limits::default());
        Ok(Self {
            actors,
            scorer: Scorer::new(model, state.into()),
            random: Random(0x5eed),
            now: 0,
            apart: HISTORY_MICROS / (most * HISTORY),
            events: 0,
            risk: 0.0,
            explained: 0,
        })
    }

    /// Everybody is known, and nobody was forgotten for it.
    fn check(&self) -> anyhow::Result<()> {
        let size = self.scorer.state().size();
        ensure!(
            size.actors == self.actors && size.actors_forgotten == 0,
            "{} actors act, and the state knows {size:?}",
            self.actors
        );
        Ok(())
    }

    /// Whether the two sides did the same work beside their memory: strangers are scored higher, and explained.
    fn tell(&self) {
        let size = self.scorer.state().size();
        eprintln!(
            "{} actors: {} counts of theirs, {} shared, {} evicted, {} wait; mean risk {:.1}, {:.3} % explained",
            size.actors,
            size.actor_counts,
            size.shared_counts,
            size.counts_evicted,
            size.waiting,
            self.risk / self.events as f64,
            100.0 * self.explained as f64 / self.events as f64
        );
    }
}

/// What both sides share.
struct Work {
    templates: Vec<Template>,
    records: Vec<Vec<u8>>,
    normalizer: Normalizer,
    thresholds: Thresholds,
    versions: Versions,
    arena: Bump,
    rows: Vec<u8>,
}

impl Work {
    fn new() -> anyhow::Result<Self> {
        let (topic, tenant) = settings("aws.cloudtrail")?;
        Ok(Self {
            templates: (1..=TEMPLATES as u64).map(Template::new).collect(),
            records: vec![Vec::new(); BLOCK],
            normalizer: Normalizer::new(topic, tenant)?,
            thresholds: stage::thresholds()?,
            versions: Versions::default(),
            arena: Bump::new(),
            rows: Vec::new(),
        })
    }

    /// CPU time of an event, in microseconds.
    fn round(&mut self, side: &mut Side) -> anyhow::Result<f64> {
        for _ in 0..WARM_UP {
            self.block(side)?;
        }
        let own = std::process::id();
        let before = machine::cpu(own)?;
        for _ in 0..BLOCKS {
            self.block(side)?;
        }
        let took = machine::cpu(own)? - before;
        Ok(took.as_secs_f64() * 1e6 / (BLOCKS * BLOCK) as f64)
    }

    /// A block of events by actors at random: from their bytes to their rows.
    fn block(&mut self, side: &mut Side) -> anyhow::Result<()> {
        let Self {
            templates,
            records,
            normalizer,
            thresholds,
            versions,
            arena,
            rows,
        } = self;
        // In the cache as the client library leaves a record there that it has just unpacked. The copy is 1 % of the work.
        for record in &mut *records {
            let actor = side.random.below(side.actors);
            let habit = Random(actor).next() + side.random.below(HABITS);
            templates[(habit % TEMPLATES as u64) as usize].write(actor, record);
        }
        let normalized: Vec<_> = records
            .iter()
            .map(|record| normalizer.record(arena, &raw_record(black_box(record))))
            .collect();
        let mut events = Vec::with_capacity(BLOCK);
        for record in &normalized {
            let [Child::Change(event)] = record.children else {
                bail!("a record that is no change: {:?}", record.children);
            };
            events.push((*event, TimeMicros(KAFKA_TIME.0 + side.now as i64)));
            side.now += side.apart;
        }
        let mut scores = Vec::with_capacity(BLOCK);
        side.scorer.score_block(arena, &events, &mut scores);
        rows.clear();
        for (((record, normalized), (event, _)), score) in
            records.iter().zip(&normalized).zip(&events).zip(&scores)
        {
            black_box(decide(Some(score.risk), Decision::Allow, thresholds));
            black_box(thresholds.rule(Some(score.risk)));
            stage::rows(rows, record, normalized, event, *score, versions);
            side.risk += f64::from(score.risk.points());
            side.explained += u64::from(score.risk.points() >= EXPLAIN_FROM);
        }
        side.events += events.len() as u64;
        black_box(&rows);
        arena.reset();
        Ok(())
    }
}

/// A record with places for an actor's name and key.
struct Template {
    bytes: Vec<u8>,
    names: Vec<usize>,
    keys: Vec<usize>,
}

/// Stand in a template where a name and a key go.
const NAME: &str = "deployer-@@@@@@";
const KEY: &str = "@@@@@@@@@@@@@@@@";

impl Template {
    fn new(number: u64) -> Self {
        let mut text = records::cloudtrail_one(number);
        let after = |text: &str, word: &str, end: fn(char) -> bool| {
            let from = text.find(word).map(|at| at + word.len())?;
            let rest = text.get(from..)?;
            Some(rest.get(..rest.find(end)?)?.to_owned())
        };
        if let Some(role) = after(&text, "deployer-", |c| !c.is_ascii_digit()) {
            // The longer places first: a role of one digit is the start of others.
            for end in ["/", "\""] {
                text = text.replace(&format!("deployer-{role}{end}"), &format!("{NAME}{end}"));
            }
        }
        if let Some(key) = after(&text, "\"ASIA", |c| c == '"') {
            // Only as an id of AWS: a key that is digits alone stands in other ids too.
            for kind in ["AROA", "ASIA"] {
                text = text.replace(&format!("{kind}{key}"), &format!("{kind}{KEY}"));
            }
        }
        let places = |what: &str| -> Vec<usize> { text.match_indices(what).map(|(at, _)| at).collect() };
        Self {
            names: places(NAME).iter().map(|at| at + NAME.len() - 6).collect(),
            keys: places(KEY),
            bytes: text.into_bytes(),
        }
    }

    /// The record of this actor.
    fn write(&self, actor: u64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.bytes);
        let mut put = |places: &[usize], text: &str| {
            for at in places {
                out[*at..at + text.len()].copy_from_slice(text.as_bytes());
            }
        };
        put(&self.names, &format!("{actor:06}"));
        put(&self.keys, &format!("{:016X}", Random(actor).next()));
    }
}

/// SplitMix64: the same actors in the same order in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_takes_any_actor() {
        let mut record = Vec::new();
        for number in 1..200 {
            let template = Template::new(number);
            template.write(4_711, &mut record);
            let text = std::str::from_utf8(&record).unwrap();
            assert!(!text.contains('@') || number % 50 == 49, "{text}");
            assert_eq!(text.matches("shop-deployer-004711").count(), 3, "{text}");
            assert_eq!(template.keys.len(), 3, "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_state_knows_everybody_that_acts() {
        let mut work = Work::new().unwrap();
        let mut side = Side::new(FEW, FEW).unwrap();
        for _ in 0..FEW * HISTORY / BLOCK as u64 {
            work.block(&mut side).unwrap();
        }
        side.check().unwrap();
        side.actors += 1;
        side.check().unwrap_err();
    }
}
