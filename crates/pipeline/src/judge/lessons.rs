//! What the scorer is handed, in the order of the log.

use bumpalo::Bump;
use changegate_types::{ChangeEvent, Score, TimeMicros};

use super::Scorer;

/// Events in their order, some to be scored, some only to be learned from.
pub(super) struct Lessons<'a> {
    events: Vec<(&'a ChangeEvent<'a>, TimeMicros)>,
    /// Where the kind changes: `(index of the first, scored?)`.
    runs: Vec<(usize, bool)>,
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

    fn push(&mut self, event: &'a ChangeEvent<'a>, time: TimeMicros, scored: bool) {
        if self.runs.last().is_none_or(|(_, last)| *last != scored) {
            self.runs.push((self.events.len(), scored));
        }
        self.events.push((event, time));
    }

    pub(super) fn learn(&mut self, event: &'a ChangeEvent<'a>, time: TimeMicros) {
        self.push(event, time, false);
    }

    pub(super) fn score(&mut self, event: &'a ChangeEvent<'a>, time: TimeMicros) -> u32 {
        self.push(event, time, true);
        self.scored += 1;
        self.scored - 1
    }

    pub(super) fn run(&self, arena: &'a Bump, scorer: &mut impl Scorer) -> Vec<Option<Score<'a>>> {
        let mut scores = Vec::with_capacity(self.scored as usize);
        for (index, (start, scored)) in self.runs.iter().enumerate() {
            let end = self
                .runs
                .get(index + 1)
                .map_or(self.events.len(), |(next, _)| *next);
            let events = &self.events[*start..end];
            if *scored {
                scorer.score(arena, events, &mut scores);
                assert_eq!(
                    scores.len() - self.scored_before(index),
                    events.len(),
                    "one answer per event"
                );
            } else {
                scorer.learn(arena, events);
            }
        }
        scores
    }

    fn scored_before(&self, run: usize) -> usize {
        (0..run)
            .filter(|index| self.runs[*index].1)
            .map(|index| {
                self.runs
                    .get(index + 1)
                    .map_or(self.events.len(), |(next, _)| *next)
                    - self.runs[index].0
            })
            .sum()
    }
}
