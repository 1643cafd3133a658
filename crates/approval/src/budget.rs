use std::collections::{HashMap, HashSet};

use changegate_types::{Decision, Keyed128, TimeMicros};

use crate::Ask;

/// When a change that needs approval asks nobody, or asks as one of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskRules {
    /// Older than this at ingest is a backfill: microseconds.
    pub approval_max_age_micros: i64,
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
    /// Its stratum is still learning.
    pub learning: bool,
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
        } else if change.learning {
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
}
