//! Blocks of events to scores. One scorer for each worker; all of them share one state.

use std::sync::Arc;

use bumpalo::Bump;
use changegate_types::{ChangeEvent, Score, TimeMicros};

use crate::calibration::Stratum;
use crate::facts::Facts;
use crate::feature::{FEATURES, Row};
use crate::hash::Shapes;
use crate::model::Model;
use crate::reason;
use crate::state::{Observed, ShardOrder, State};

/// From this risk on, reasons are written out with their counts: one benign change in 100.
pub const EXPLAIN_FROM: f32 = 40.0;

/// A worker's scorer: the model, the shared state, and room for a block.
#[derive(Debug)]
pub struct Scorer {
    model: Arc<Model>,
    state: Arc<State>,
    agents: Shapes,
    facts: Vec<Facts>,
    observed: Vec<Observed>,
    order: ShardOrder,
    rows: Vec<Row>,
    forest_sums: Vec<u32>,
}

impl Scorer {
    /// A scorer on a state that was made for this model.
    pub fn new(model: Arc<Model>, state: Arc<State>) -> Self {
        Self {
            model,
            state,
            agents: Facts::agents(),
            facts: Vec::new(),
            observed: Vec::new(),
            order: ShardOrder::default(),
            rows: Vec::new(),
            forest_sums: Vec::new(),
        }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Scores each event from what came before it, then remembers it; adds one score per event, in their order.
    ///
    /// The time is Kafka's record time. Leave redeliveries out: an event that was here before teaches nothing.
    pub fn score_block<'a>(
        &mut self,
        arena: &'a Bump,
        events: &[(&ChangeEvent<'a>, TimeMicros)],
        out: &mut Vec<Score<'a>>,
    ) {
        self.learn_block(events);
        self.rows.clear();
        self.rows
            .extend(self.observed.iter().map(|observed| observed.steps));
        let detectors = self.model.detectors();
        detectors.forest.score(&self.rows, &mut self.forest_sums);
        for (at, (event, _)) in events.iter().enumerate() {
            let (observed, forest_sum) = (&self.observed[at], self.forest_sums[at]);
            let stratum = Stratum::of(&self.facts[at]);
            let raw = detectors.raw(forest_sum, observed.ecod);
            let judged = self.model.calibrated(stratum, raw);
            let reasons = if judged.risk.points() >= EXPLAIN_FROM {
                let contributions = detectors.contributions(&observed.steps, forest_sum, observed.ecod);
                reason::reasons(arena, event, Some(&observed.evidence), &contributions)
            } else {
                let contributions = detectors.ecod_contributions(&observed.steps, observed.ecod);
                reason::reasons(arena, event, None, &contributions)
            };
            out.push(Score {
                risk: judged.risk,
                extrapolated: judged.extrapolated,
                raw,
                stratum: stratum.name(),
                learning: observed.learning,
                features: arena.alloc_slice_copy(&observed.steps[..FEATURES]),
                reasons,
            });
        }
    }

    /// Remembers events without scoring them: rows that exist already, reads that become no rows. The state ends up
    /// exactly as after `score_block`.
    pub fn learn_block(&mut self, events: &[(&ChangeEvent<'_>, TimeMicros)]) {
        self.facts.clear();
        let agents = &mut self.agents;
        let facts = events.iter().map(|(event, time)| Facts::of(event, *time, agents));
        self.facts.extend(facts);
        self.observed.clear();
        self.observed.resize(events.len(), Observed::default());
        let begun = self
            .state
            .observe(&self.facts, &mut self.order, &mut self.observed);
        if begun {
            self.state.name_phases(&self.facts, events);
        }
    }
}
