//! Learning phases. Each stratum of a source of a tenant has one, from its first event on: what is unusual is learned
//! at once then, and whoever decides asks for little.
//!
//! A phase lasts by record time in which something came: silence counts a day at most, so that neither an old record
//! nor a long holiday ends it.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;

use changegate_types::ChangeEvent;

use super::Limits;
use super::shard::Identity;
use crate::calibration::Stratum;
use crate::codec::{Reader, Truncated, Writer};
use crate::facts::Facts;

/// Phases that are kept. Whoever comes later has none: it is judged like everything that is known.
const PHASES_MAX: usize = 4_096;
/// How much of a silence counts, in seconds.
const SILENCE_MAX: u32 = 24 * 3_600;
/// Bytes of an entry in a snapshot at least.
const ENTRY_BYTES_MIN: usize = 16;

type ByKey<T> = HashMap<u64, T, BuildHasherDefault<Identity>>;

/// A learning phase that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseEnd {
    /// Whose.
    pub tenant: String,
    /// Of which source.
    pub source: String,
    /// Of which stratum, such as `human/production`.
    pub stratum: &'static str,
    /// Events that were learned from.
    pub events: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Phase {
    /// Record time of its newest event, in seconds.
    newest: u32,
    /// How long it has lasted, in seconds.
    age: u32,
    events: u64,
}

/// All phases as they stood at the last step of record time.
#[derive(Debug, Default)]
pub(crate) struct Phases(ByKey<Phase>);

/// Events of phases that last, since that step.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    by_key: ByKey<Phase>,
    /// There is a phase among them that has no entry in [`Phases`], and may have no name yet.
    pub(crate) has_new: bool,
}

/// What the phases are called: tenant, source, stratum.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<u64, (String, String, Stratum)>);

impl Phases {
    /// Whether the phase of these facts lasts; `None`: it begins.
    pub(crate) fn lasts(&self, facts: &Facts, limits: &Limits) -> Option<bool> {
        let period = limits.learning_seconds();
        match self.0.get(&facts.phase) {
            Some(phase) => Some(phase.age < period),
            None if period == 0 || self.0.len() >= PHASES_MAX => Some(false),
            None => None,
        }
    }

    /// Adds what a step has seen; the phases that are over by that, in a fixed order.
    pub(crate) fn turn(&mut self, seen: Seen, limits: &Limits) -> Vec<(u64, u64)> {
        let period = limits.learning_seconds();
        let mut over = Vec::new();
        for (key, new) in sorted(&seen.by_key) {
            if !self.0.contains_key(&key) && self.0.len() >= PHASES_MAX {
                continue;
            }
            let phase = self.0.entry(key).or_insert(Phase {
                newest: new.newest,
                ..Phase::default()
            });
            let lasted = phase.age < period;
            phase.age = phase
                .age
                .saturating_add(new.newest.saturating_sub(phase.newest).min(SILENCE_MAX));
            phase.newest = phase.newest.max(new.newest);
            phase.events += new.events;
            if lasted && phase.age >= period {
                over.push((key, phase.events));
            }
        }
        over
    }

    /// How many last.
    pub(crate) fn lasting(&self, limits: &Limits) -> usize {
        let period = limits.learning_seconds();
        self.0.values().filter(|phase| phase.age < period).count()
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        write(&self.0, out);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Truncated> {
        Ok(Self(read(from)?))
    }
}

impl Seen {
    /// Notes an event of a phase that lasts or begins.
    pub(crate) fn note(&mut self, facts: &Facts, begins: bool) {
        let phase = self.by_key.entry(facts.phase).or_default();
        phase.newest = phase.newest.max(facts.second);
        phase.events += 1;
        self.has_new |= begins;
    }

    /// Takes over what another has seen.
    pub(crate) fn take(&mut self, other: &mut Self) {
        for (key, new) in other.by_key.drain() {
            let phase = self.by_key.entry(key).or_default();
            phase.newest = phase.newest.max(new.newest);
            phase.events += new.events;
        }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        write(&self.by_key, out);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Truncated> {
        Ok(Self {
            by_key: read(from)?,
            has_new: false,
        })
    }
}

impl Names {
    /// Takes down what a phase is called.
    pub(crate) fn note(&mut self, facts: &Facts, event: &ChangeEvent<'_>) {
        if self.0.len() < PHASES_MAX && !self.0.contains_key(&facts.phase) {
            let name = (
                event.tenant_uid.to_owned(),
                event.source.to_owned(),
                Stratum::of(facts),
            );
            self.0.insert(facts.phase, name);
        }
    }

    /// The end of a phase, by name.
    pub(crate) fn ended(&self, (key, events): (u64, u64)) -> Option<PhaseEnd> {
        self.0.get(&key).map(|(tenant, source, stratum)| PhaseEnd {
            tenant: tenant.clone(),
            source: source.clone(),
            stratum: stratum.name(),
            events,
        })
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u64(self.0.len() as u64);
        for (key, (tenant, source, stratum)) in &self.0 {
            out.u64(*key);
            for text in [tenant, source] {
                out.u32(text.len() as u32);
                out.raw(text.as_bytes());
            }
            out.u8(stratum.0);
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Truncated> {
        let mut names = BTreeMap::new();
        let text = |from: &mut Reader<'_>| {
            let length = from.u32()? as usize;
            Ok(String::from_utf8_lossy(from.raw(length)?).into_owned())
        };
        for _ in 0..from.count(ENTRY_BYTES_MIN)? {
            let key = from.u64()?;
            names.insert(key, (text(from)?, text(from)?, Stratum(from.u8()?)));
        }
        Ok(Self(names))
    }
}

fn sorted(by_key: &ByKey<Phase>) -> Vec<(u64, Phase)> {
    let mut all: Vec<_> = by_key.iter().map(|(key, phase)| (*key, *phase)).collect();
    all.sort_unstable_by_key(|(key, _)| *key);
    all
}

fn write(by_key: &ByKey<Phase>, out: &mut Writer) {
    out.u64(by_key.len() as u64);
    for (key, phase) in sorted(by_key) {
        out.u64(key);
        out.u32(phase.newest);
        out.u32(phase.age);
        out.u64(phase.events);
    }
}

fn read(from: &mut Reader<'_>) -> Result<ByKey<Phase>, Truncated> {
    let count = from.count(ENTRY_BYTES_MIN)?;
    let entry = |from: &mut Reader<'_>| {
        let key = from.u64()?;
        let (newest, age, events) = (from.u32()?, from.u32()?, from.u64()?);
        Ok((key, Phase { newest, age, events }))
    };
    (0..count).map(|_| entry(from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u32 = 24 * 3_600;

    fn facts(phase: u64, second: u32) -> Facts {
        Facts {
            phase,
            second,
            ..Facts::default()
        }
    }

    fn limits(learning_hours: u32) -> Limits {
        Limits {
            learning_hours,
            ..Limits::default()
        }
    }

    /// What is over after one step with one event.
    fn step(phases: &mut Phases, facts: Facts, limits: &Limits) -> Vec<(u64, u64)> {
        let mut seen = Seen::default();
        seen.note(&facts, phases.lasts(&facts, limits).is_none());
        phases.turn(seen, limits)
    }

    #[test]
    fn a_phase_lasts_its_period_of_record_time_and_ends_once() {
        let (mut phases, limits) = (Phases::default(), limits(48));
        assert_eq!(phases.lasts(&facts(1, 0), &limits), None);
        for hours in 0..48 {
            assert_eq!(step(&mut phases, facts(1, 100 + hours * 3_600), &limits), []);
            assert_eq!(phases.lasts(&facts(1, 0), &limits), Some(true), "{hours}");
        }
        assert_eq!(step(&mut phases, facts(1, 100 + 2 * DAY), &limits), [(1, 49)]);
        assert_eq!(phases.lasts(&facts(1, 0), &limits), Some(false));
        assert_eq!(step(&mut phases, facts(1, 100 + 3 * DAY), &limits), []);
        assert_eq!(phases.lasts(&facts(2, 0), &limits), None, "another one begins");
    }

    #[test]
    fn silence_counts_a_day_and_time_that_goes_back_nothing() {
        let (mut phases, limits) = (Phases::default(), limits(48));
        step(&mut phases, facts(1, 100 * DAY), &limits);
        assert_eq!(step(&mut phases, facts(1, 900 * DAY), &limits), []);
        assert_eq!(step(&mut phases, facts(1, 200 * DAY), &limits), []);
        assert_eq!(phases.lasts(&facts(1, 0), &limits), Some(true));
        assert_eq!(step(&mut phases, facts(1, 901 * DAY), &limits), [(1, 4)]);
    }

    #[test]
    fn without_a_period_and_beyond_the_bound_there_is_none() {
        let mut phases = Phases::default();
        assert_eq!(phases.lasts(&facts(1, 0), &limits(0)), Some(false));
        let some = limits(1);
        for phase in 0..PHASES_MAX as u64 {
            step(&mut phases, facts(phase, 0), &some);
        }
        assert_eq!(phases.lasts(&facts(u64::MAX, 0), &some), Some(false));
    }
}
