//! What the scorer is handed, in the order of the log.

use bumpalo::Bump;
use changegate_types::{ChangeEvent, Score, TimeMicros};

use super::Scorer;

/// Events in their order, some to be scored, some only to be learned from.
pub(super) struct Lessons<'a> {
    events: Vec<(&'a ChangeEvent<'a>, TimeMicros)>,
    /// Where kind or shard change: `(index of the first, scored?, shard)`.
    runs: Vec<(usize, bool, usize)>,
    scored: u32,
}

impl<'a> Lessons<'a> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            events: Vec::with_capacity(capacity),
            runs: Vec::new(),
            scored: 0,
        }
    }

    fn push(&mut self, shard: usize, event: &'a ChangeEvent<'a>, time: TimeMicros, scored: bool) {
        let goes_on = |(_, kind, of): &(usize, bool, usize)| (*kind, *of) == (scored, shard);
        if !self.runs.last().is_some_and(goes_on) {
            self.runs.push((self.events.len(), scored, shard));
        }
        self.events.push((event, time));
    }

    pub(super) fn learn(&mut self, shard: usize, event: &'a ChangeEvent<'a>, time: TimeMicros) {
        self.push(shard, event, time, false);
    }

    pub(super) fn score(&mut self, shard: usize, event: &'a ChangeEvent<'a>, time: TimeMicros) -> u32 {
        self.push(shard, event, time, true);
        self.scored += 1;
        self.scored - 1
    }

    pub(super) fn run(&self, arena: &'a Bump, scorer: &mut impl Scorer) -> Vec<Option<Score<'a>>> {
        let mut scores = Vec::with_capacity(self.scored as usize);
        for (index, (start, scored, shard)) in self.runs.iter().enumerate() {
            let next = self.runs.get(index + 1);
            let end = next.map_or(self.events.len(), |(next, ..)| *next);
            let events = &self.events[*start..end];
            if *scored {
                let before = scores.len();
                scorer.score(*shard, arena, events, &mut scores);
                assert_eq!(scores.len() - before, events.len(), "one answer per event");
            } else {
                scorer.learn(*shard, arena, events);
            }
        }
        scores
    }
}
