use std::sync::{Arc, Mutex};

use changegate_approval::{AskRules, Asker};
use changegate_types::TimeMicros;

use crate::hop::Passed;
use crate::known::Known;
use crate::log::TopicPartition;
use crate::recent::Recent;

/// What is remembered together: of all that a process reads, or, behind the hop, of one partition, so that it can move.
#[derive(Clone, Debug)]
pub struct Shard {
    /// Tells the shards of a process apart, from 0.
    pub number: usize,
    /// Ids of the last events.
    pub recent: Arc<Recent>,
    /// Who asks.
    pub asker: Arc<Mutex<Asker>>,
}

impl Shard {
    /// Remembers nothing, for who scores nothing.
    pub fn forgetful() -> Self {
        let rules = AskRules {
            approval_max_age_micros: 0,
            learning_approve_from: 0.0,
            budget_per_hour: 0,
        };
        Self {
            number: 0,
            recent: Arc::new(Recent::new(1)),
            asker: Arc::new(Mutex::new(Asker::new(rules, 1))),
        }
    }
}

/// A partition that the worker owns.
#[derive(Debug)]
pub struct Part {
    /// Its name.
    pub partition: TopicPartition,
    /// Which of the worker's topics.
    pub topic: usize,
    /// Where what is remembered of its events is kept.
    pub shard: Shard,
    /// Its topic's number in [`Recent`].
    pub recent_topic: u16,
    /// Of the hop: what has passed it.
    pub passed: Passed,
    /// Which life of it.
    pub incarnation: u32,
    /// The offset that is due.
    pub next: i64,
    /// Records below this offset are only learned from: their rows are committed, the state lost them.
    pub learn_below: i64,
    /// The scorer has learned everything below this offset.
    pub learned: i64,
    /// What the ledger holds of it already.
    pub known: Known,
    /// The last Kafka time that was believed.
    pub last_time: TimeMicros,
    /// Reading waits until the ledger was asked about this offset.
    pub stalled: Option<i64>,
    /// Copies below the ledger's maximum are yet to be looked for.
    pub unsettled: bool,
    /// So many of its last records had a child rejected, without one between of which none was.
    pub reject_run: u64,
}

/// A record time may lie this far ahead of our clock.
pub const TIME_AHEAD_MAX_MICROS: i64 = 3_600_000_000;
/// 2200-01-01T00:00:00Z: where the store's month arithmetic ends.
const TIME_MAX: i64 = 7_258_118_400_000_000;

impl Part {
    /// A partition of which nothing was read and nothing is known.
    pub fn new(partition: TopicPartition, topic: usize, shard: Shard) -> Self {
        Self {
            recent_topic: shard.recent.topic(&partition.topic),
            partition,
            topic,
            shard,
            passed: Passed::default(),
            incarnation: 0,
            next: 0,
            learn_below: 0,
            learned: 0,
            known: Known::default(),
            last_time: TimeMicros(0),
            stalled: None,
            unsettled: false,
            reject_run: 0,
        }
    }

    /// The record time to go by: as it is, or the partition's last one where it is missing or more than an hour ahead.
    /// The flag says that it was cut.
    pub fn believe(&mut self, time: Option<TimeMicros>, now: TimeMicros) -> (TimeMicros, bool) {
        let latest = now.0.saturating_add(TIME_AHEAD_MAX_MICROS).min(TIME_MAX);
        match time {
            Some(time) if (0..=latest).contains(&time.0) => {
                self.last_time = time;
                (time, false)
            }
            _ if self.last_time.0 > 0 => (self.last_time, true),
            // Nothing was believed yet: our clock, kept from moving by itself.
            _ => {
                let now = TimeMicros(now.0.clamp(0, TIME_MAX));
                // No finer than a record can say it, for whoever reads it from the hop.
                self.last_time = TimeMicros::from_millis(now.millis());
                (self.last_time, true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_from_the_future_drives_no_clock() {
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        let mut part = Part::new(partition, 0, Shard::forgetful());
        let now = TimeMicros::from_civil(2026, 11, 24, 8, 0, 0, 0).unwrap();
        let far = TimeMicros::from_civil(2099, 1, 1, 0, 0, 0, 0).unwrap();
        let hour_ahead = TimeMicros(now.0 + TIME_AHEAD_MAX_MICROS);
        assert_eq!(part.believe(Some(far), now), (now, true));
        assert_eq!(part.believe(Some(hour_ahead), now), (hour_ahead, false));
        assert_eq!(part.believe(Some(far), now), (hour_ahead, true));
        assert_eq!(part.believe(None, now), (hour_ahead, true));
        assert_eq!(part.believe(Some(TimeMicros(-1_000)), now), (hour_ahead, true));
        let old = TimeMicros::from_civil(2001, 1, 1, 0, 0, 0, 0).unwrap();
        assert_eq!(part.believe(Some(old), now), (old, false));
    }
}
