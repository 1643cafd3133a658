//! Who scores for a worker: all workers of the process together, each shard for itself, or nobody.

use std::sync::Arc;

use bumpalo::Bump;
use changegate_pipeline::ledger::Operation;
use changegate_pipeline::log::TopicPartition;
use changegate_pipeline::part::Shard;
use changegate_pipeline::{ReadTo, Scorer};
use changegate_risk::{PhaseEnd, Stratum};
use changegate_telemetry::{Histogram, Metric, Metrics};
use changegate_types::{ChangeEvent, Score, TimeMicros};

use crate::memory::Positions;
use crate::shards::Shards;

/// Scores for the workers, whoever knows what was before.
#[derive(Debug)]
pub(crate) struct StreamScorer {
    mind: Mind,
    meters: RiskMeters,
}

impl StreamScorer {
    pub(crate) fn new(mind: Mind, metrics: &Metrics) -> Self {
        Self {
            mind,
            meters: RiskMeters::new(metrics),
        }
    }
}

/// Who knows what was before.
#[derive(Debug)]
pub(crate) enum Mind {
    /// All workers of the process together.
    Process {
        scorer: Box<changegate_risk::Scorer>,
        positions: Arc<Positions>,
        shard: Shard,
    },
    /// Each shard for itself.
    Shards(Box<Shards>),
    /// Nobody: what is normalized is scored elsewhere.
    Nobody,
}

/// From now on the stratum asks from `decision.approve_from`: a person should know, and may look at what was held back.
fn learning_over(phase: PhaseEnd) -> Operation {
    let PhaseEnd {
        tenant,
        source,
        stratum,
        events,
    } = phase;
    tracing::info!(
        tenant,
        source,
        stratum,
        events,
        "learning phase is over: it asks from decision.approve_from now; \
         `changegate approvals list --state learning` shows what it did not ask"
    );
    let details = [
        ("tenant", tenant),
        ("source", source),
        ("stratum", stratum.to_owned()),
        ("events", events.to_string()),
    ];
    Operation {
        kind: "learning_over".to_owned(),
        why: "the learning phase of this source and stratum is over: it asks from decision.approve_from now"
            .to_owned(),
        partition: -1,
        details: details.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        ..Operation::default()
    }
}

/// Risk of changes, by stratum.
struct RiskMeters(Vec<(&'static str, Histogram)>);

impl std::fmt::Debug for RiskMeters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RiskMeters")
    }
}

impl RiskMeters {
    fn new(metrics: &Metrics) -> Self {
        let meter = |stratum: Stratum| {
            let name = stratum.name();
            (name, metrics.histogram(Metric::RiskPoints, &[name]))
        };
        Self(Stratum::all().map(meter).collect())
    }

    fn record(&self, score: &Score<'_>) {
        if let Some((_, meter)) = self.0.iter().find(|(name, _)| *name == score.stratum) {
            meter.record(f64::from(score.risk.points()));
        }
    }
}

impl Scorer for StreamScorer {
    fn score<'a>(
        &mut self,
        shard: usize,
        arena: &'a Bump,
        events: &[(&'a ChangeEvent<'a>, TimeMicros)],
        out: &mut Vec<Option<Score<'a>>>,
    ) {
        let mut scores = Vec::with_capacity(events.len());
        match &mut self.mind {
            Mind::Process { scorer, .. } => scorer.score_block(arena, events, &mut scores),
            Mind::Shards(shards) => shards.score(shard, arena, events, &mut scores),
            Mind::Nobody => {}
        }
        let changes = events
            .iter()
            .zip(&scores)
            .filter(|((event, _), _)| event.is_change);
        changes.for_each(|(_, score)| self.meters.record(score));
        out.extend(scores.into_iter().map(Some));
    }

    fn learn(&mut self, shard: usize, _: &Bump, events: &[(&ChangeEvent<'_>, TimeMicros)]) {
        match &mut self.mind {
            Mind::Process { scorer, .. } => scorer.learn_block(events),
            Mind::Shards(shards) => shards.learn(shard, events),
            Mind::Nobody => {}
        }
    }

    fn assigned(&mut self, partitions: &[TopicPartition]) {
        if let Mind::Shards(shards) = &mut self.mind {
            shards.keep(partitions);
        }
    }

    fn shard(&mut self, partition: &TopicPartition) -> Shard {
        match &mut self.mind {
            Mind::Process { shard, .. } => shard.clone(),
            Mind::Shards(shards) => shards.open(partition),
            Mind::Nobody => Shard::forgetful(),
        }
    }

    fn news(&mut self) -> Vec<Operation> {
        let ended = match &self.mind {
            Mind::Process { scorer, .. } => scorer.state().ended_phases(),
            Mind::Shards(shards) => shards.ended_phases(),
            Mind::Nobody => Vec::new(),
        };
        ended.into_iter().map(learning_over).collect()
    }

    fn learn_from(&mut self, place: ReadTo<'_>) -> i64 {
        match &mut self.mind {
            Mind::Process { positions, .. } => positions.learn_from(place),
            Mind::Shards(shards) => shards.learn_from(place),
            // There is nothing to learn.
            Mind::Nobody => i64::MAX,
        }
    }

    fn read_to(&mut self, place: ReadTo<'_>, durable: bool) {
        match &mut self.mind {
            Mind::Process { positions, .. } => positions.note(place, durable),
            Mind::Shards(shards) => shards.read_to(place, durable),
            Mind::Nobody => {}
        }
    }
}
