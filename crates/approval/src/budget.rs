use std::collections::{HashMap, HashSet};

use changegate_types::{Decision, Keyed128, RiskScore, TimeMicros};

use crate::Ask;

/// When a change that needs approval asks nobody, or asks as one of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AskRules {
    /// Older than this at ingest is a backfill: microseconds.
    pub approval_max_age_micros: i64,
    /// While a stratum learns it asks from this many risk points on.
    pub learning_approve_from: f32,
    /// Requests of their own per tenant and hour of decision; those beyond name their group.
    pub budget_per_hour: u32,
}

/// What is known of one change when it is decided.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Whose.
    pub tenant_uid: &'a str,
    /// Which.
    pub change_uid: Keyed128,
    /// Outcome.
    pub decision: Decision,
    /// False for reads, sign-ins and findings.
    pub is_change: bool,
    /// Copy of an event that was read before.
    pub redelivery: bool,
    /// Its risk, where its stratum is still learning.
    pub learning: Option<RiskScore>,
    /// When it happened.
    pub event_time: TimeMicros,
    /// When it was read.
    pub ingest_time: TimeMicros,
    /// When it is decided.
    pub decision_time: TimeMicros,
}

/// Says which changes ask, so that no storm comes of a backfill, a fresh model or a bad day.
///
/// Remembers the changes whose request is durable ([`Asker::durable`]), within a bound. A change is never silenced by
/// a request that a crash could still take back.
#[derive(Debug)]
pub struct Asker {
    rules: AskRules,
    hour: i64,
    used: HashMap<String, u32>,
    asked: [HashSet<u128>; 2],
    asked_max: usize,
}

/// What [`Asker::ask`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// For the row.
    pub ask: Ask,
    /// The first request of this tenant and hour beyond the budget: a person should know.
    pub budget_just_used: bool,
}

impl Asker {
    /// Remembers about `asked_max` changes.
    pub fn new(rules: AskRules, asked_max: usize) -> Self {
        Self {
            rules,
            hour: i64::MIN,
            used: HashMap::new(),
            asked: Default::default(),
            asked_max: (asked_max / 2).max(1),
        }
    }

    /// Whether the event is older than `approval_max_age` at ingest.
    pub fn is_backfill(&self, event_time: TimeMicros, ingest_time: TimeMicros) -> bool {
        ingest_time.0.saturating_sub(event_time.0) > self.rules.approval_max_age_micros
    }

    /// What the row asks.
    pub fn ask(&mut self, change: &Candidate<'_>) -> Answer {
        let ask = if change.decision == Decision::Allow || !change.is_change {
            Ask::None
        } else if change.redelivery {
            Ask::Repeat
        } else if self.is_backfill(change.event_time, change.ingest_time) {
            Ask::Backfill
        } else if change
            .learning
            .is_some_and(|risk| risk.points() < self.rules.learning_approve_from)
        {
            Ask::Learning
        } else if self
            .asked
            .iter()
            .any(|asked| asked.contains(&change.change_uid.0))
        {
            Ask::Repeat
        } else {
            return self.spend(change);
        };
        Answer {
            ask,
            budget_just_used: false,
        }
    }

    fn spend(&mut self, change: &Candidate<'_>) -> Answer {
        let hour = change.decision_time.seconds().div_euclid(3_600);
        if hour != self.hour {
            self.hour = hour;
            self.used.clear();
        }
        let used = match self.used.get_mut(change.tenant_uid) {
            Some(used) => used,
            None => self.used.entry(change.tenant_uid.to_owned()).or_default(),
        };
        *used = used.saturating_add(1);
        let over = used.checked_sub(self.rules.budget_per_hour).unwrap_or(0);
        Answer {
            ask: if over == 0 { Ask::Asked } else { Ask::Grouped },
            budget_just_used: over == 1,
        }
    }

    /// A request for the change is durable: later rows of it need not ask again.
    pub fn durable(&mut self, change_uid: Keyed128) {
        if self.asked[0].len() >= self.asked_max {
            self.asked.swap(0, 1);
            self.asked[0].clear();
        }
        self.asked[0].insert(change_uid.0);
    }

    /// Writes what it remembers for a snapshot; equal memories give equal bytes.
    pub fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hour.to_le_bytes());
        let mut used: Vec<_> = self.used.iter().collect();
        used.sort_unstable();
        out.extend_from_slice(&(used.len() as u32).to_le_bytes());
        for (tenant, count) in used {
            out.extend_from_slice(&(tenant.len() as u32).to_le_bytes());
            out.extend_from_slice(tenant.as_bytes());
            out.extend_from_slice(&count.to_le_bytes());
        }
        for asked in &self.asked {
            let mut asked: Vec<u128> = asked.iter().copied().collect();
            asked.sort_unstable();
            out.extend_from_slice(&(asked.len() as u32).to_le_bytes());
            asked
                .iter()
                .for_each(|uid| out.extend_from_slice(&uid.to_le_bytes()));
        }
    }

    /// Reads what [`Asker::save`] wrote. `None`: damaged.
    pub fn load(rules: AskRules, asked_max: usize, bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut asker = Self::new(rules, asked_max);
        asker.hour = i64::from_le_bytes(take(&mut rest)?);
        for _ in 0..u32::from_le_bytes(take(&mut rest)?) {
            let length = u32::from_le_bytes(take(&mut rest)?) as usize;
            let (tenant, after) = rest.split_at_checked(length)?;
            rest = after;
            let tenant = std::str::from_utf8(tenant).ok()?.to_owned();
            asker.used.insert(tenant, u32::from_le_bytes(take(&mut rest)?));
        }
        for asked in &mut asker.asked {
            for _ in 0..u32::from_le_bytes(take(&mut rest)?) {
                asked.insert(u128::from_le_bytes(take(&mut rest)?));
            }
        }
        rest.is_empty().then_some(asker)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_and_loaded_it_says_the_same() {
        let rules = AskRules {
            approval_max_age_micros: i64::MAX,
            learning_approve_from: 64.0,
            budget_per_hour: 2,
        };
        let change = |uid: u128| Candidate {
            tenant_uid: "tenant",
            change_uid: Keyed128(uid),
            decision: Decision::RequireApproval,
            is_change: true,
            redelivery: false,
            learning: None,
            event_time: TimeMicros(0),
            ingest_time: TimeMicros(0),
            decision_time: TimeMicros(7_200_000_000),
        };
        let mut asker = Asker::new(rules, 100);
        asker.ask(&change(1));
        asker.durable(Keyed128(1));
        asker.ask(&change(2));
        let mut bytes = Vec::new();
        asker.save(&mut bytes);
        let mut again = Asker::load(rules, 100, &bytes).unwrap();
        for asker in [&mut asker, &mut again] {
            assert_eq!(asker.ask(&change(1)).ask, Ask::Repeat);
            assert_eq!(
                asker.ask(&change(3)).ask,
                Ask::Grouped,
                "the budget of the hour is used up"
            );
        }
        for length in 0..bytes.len() {
            assert!(Asker::load(rules, 100, &bytes[..length]).is_none(), "{length}");
        }
    }
}
