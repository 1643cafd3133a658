//! The stages of the road, each alone on the same records: what callgrind counts and what criterion times.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use bumpalo::Bump;
use changegate_approval::Ask;
use changegate_clickhouse::RowBinary;
use changegate_json::{Indexer, Limits as JsonLimits};
use changegate_normalize::{Child, NormalizedRecord, Normalizer};
use changegate_pipeline::Encoder as _;
use changegate_pipeline::ledger::{BatchId, Stamp};
use changegate_pipeline::rows::{ChangeRow, Outcomes, RawRow, RecordContext};
use changegate_policy::{RawThresholds, Thresholds, decide};
use changegate_risk::{Limits, Model, Scorer, State};
use changegate_types::{ChangeEvent, DecidedChange, Decision, Marks, Score, TimeMicros, Versions};
use sha2::{Digest as _, Sha256};

use crate::generic::Generic;
use crate::{KAFKA_TIME, raw_record, records, rival, settings};

/// Records of a block, as the pipeline takes them.
pub const BLOCK: usize = 250;
/// Different records; a whole number of blocks.
const RECORDS: usize = 1_000;
/// The model that the repository ships.
const MODEL: &str = "models/default/0.1.0";

/// What stands ready for every stage.
pub struct Stages {
    records: &'static [Vec<u8>],
    rival: Generic,
    indexer: Indexer,
    normalizer: Normalizer,
    arena: Bump,
    normalized: Vec<NormalizedRecord<'static>>,
    events: Vec<&'static ChangeEvent<'static>>,
    scorer: Scorer,
    learner: Scorer,
    /// Seconds that have passed for the scorers.
    turns: i64,
    scores: Vec<Score<'static>>,
    thresholds: Thresholds,
    versions: Versions,
    rows: Vec<u8>,
}

/// Name and work of each stage; a block is a turn.
type Work = fn(&mut Stages, usize);

/// Every stage by name.
pub const STAGES: [(&str, Work); 8] = [
    ("sha256", Stages::sha256),
    ("generic", Stages::generic),
    ("parse", Stages::parse),
    ("normalize", Stages::normalize),
    ("features", Stages::features),
    ("features_and_score", Stages::score),
    ("decide", Stages::decide),
    ("encode", Stages::encode),
];

impl Stages {
    /// Normalizes and scores the records once, so that each stage has its input.
    ///
    /// # Errors
    /// A model that does not load, a record that is no change.
    pub fn new() -> anyhow::Result<Self> {
        // Leaked once per process: what is normalized lives as long as the stages, whichever of them runs.
        let records: &'static [Vec<u8>] = records::cloudtrail(RECORDS).leak();
        let kept: &'static Bump = Box::leak(Box::default());
        let (topic, tenant) = settings("aws.cloudtrail")?;
        let normalizer = Normalizer::new(topic, tenant)?;
        let normalized: Vec<_> = records
            .iter()
            .map(|record| normalizer.record(kept, &raw_record(record)))
            .collect();
        let mut events = Vec::with_capacity(RECORDS);
        for record in &normalized {
            match record.children {
                [Child::Change(event)] => events.push(*event),
                other => bail!("a record that is no change: {other:?}"),
            }
        }
        let model = model()?;
        let scorer = || Scorer::new(model.clone(), Arc::new(State::new(&model, Limits::default())));
        let mut stages = Self {
            records,
            rival: rival("aws.cloudtrail")?,
            indexer: Indexer::default(),
            normalizer,
            arena: Bump::new(),
            normalized,
            events,
            learner: scorer(),
            scorer: scorer(),
            turns: 0,
            scores: Vec::new(),
            thresholds: thresholds()?,
            versions: Versions::default(),
            rows: Vec::new(),
        };
        for block in 0..RECORDS / BLOCK {
            let events = timed(&stages.events, block, 0);
            stages.scorer.score_block(kept, &events, &mut stages.scores);
            stages.learner.learn_block(&events);
        }
        Ok(stages)
    }

    /// The work of a stage.
    ///
    /// # Errors
    /// An unknown name.
    pub fn work(name: &str) -> anyhow::Result<Work> {
        let found = STAGES.iter().find(|(known, _)| *known == name);
        let names = || STAGES.map(|(known, _)| known).join(", ");
        found
            .map(|(_, work)| *work)
            .with_context(|| format!("no stage {name:?}, but {}", names()))
    }

    fn block(&self, turn: usize) -> &'static [Vec<u8>] {
        let from = turn * BLOCK % RECORDS;
        self.records.get(from..from + BLOCK).unwrap_or_default()
    }

    fn sha256(&mut self, turn: usize) {
        for record in self.block(turn) {
            black_box(Sha256::digest(black_box(record)));
        }
    }

    fn generic(&mut self, turn: usize) {
        for record in self.block(turn) {
            black_box(self.rival.record(KAFKA_TIME, black_box(record)).is_ok());
        }
    }

    fn parse(&mut self, turn: usize) {
        for record in self.block(turn) {
            let document = self
                .indexer
                .index(&self.arena, black_box(record), &JsonLimits::default());
            black_box(document.is_ok());
        }
        self.arena.reset();
    }

    fn normalize(&mut self, turn: usize) {
        for record in self.block(turn) {
            black_box(
                self.normalizer
                    .record(&self.arena, &raw_record(black_box(record))),
            );
        }
        self.arena.reset();
    }

    fn features(&mut self, turn: usize) {
        self.turns += 1;
        let events = timed(&self.events, turn, self.turns);
        self.learner.learn_block(black_box(&events));
    }

    fn score(&mut self, turn: usize) {
        self.turns += 1;
        let events = timed(&self.events, turn, self.turns);
        let mut scores = Vec::with_capacity(BLOCK);
        self.scorer
            .score_block(&self.arena, black_box(&events), &mut scores);
        black_box(scores);
        self.arena.reset();
    }

    fn decide(&mut self, turn: usize) {
        let from = turn * BLOCK % RECORDS;
        for score in self.scores.iter().skip(from).take(BLOCK) {
            let risk = Some(black_box(score.risk));
            black_box(decide(risk, Decision::Allow, &self.thresholds));
            black_box(self.thresholds.rule(risk));
        }
    }

    fn encode(&mut self, turn: usize) {
        let from = turn * BLOCK % RECORDS;
        self.rows.clear();
        for at in from..from + BLOCK {
            let (record, event, score) = (&self.normalized[at], self.events[at], self.scores[at]);
            rows(
                &mut self.rows,
                &self.records[at],
                record,
                event,
                score,
                &self.versions,
            );
        }
        black_box(&self.rows);
    }
}

/// The model that the repository ships.
pub(crate) fn model() -> anyhow::Result<Arc<Model>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(MODEL);
    Ok(Arc::new(Model::load(&folder, None)?))
}

/// Those of the defaults.
pub(crate) fn thresholds() -> anyhow::Result<Thresholds> {
    let raw = RawThresholds {
        approve_from: 60.0,
        deny_from: None,
    };
    Ok(raw.check()?)
}

/// A row of `changes` and one of `raw_records`.
pub(crate) fn rows(
    out: &mut Vec<u8>,
    raw: &[u8],
    normalized: &NormalizedRecord<'_>,
    event: &ChangeEvent<'_>,
    score: Score<'_>,
    versions: &Versions,
) {
    let context = RecordContext {
        position: raw_record(raw).position,
        kafka_time: KAFKA_TIME,
        ingest_time: KAFKA_TIME,
        stamp: Stamp {
            batch: BatchId(1),
            attempt: 0,
        },
        tenant_uid: event.tenant_uid,
        source: event.source,
        raw_hash: normalized.raw_hash,
    };
    let decided = DecidedChange {
        event,
        score: Some(score),
        decision: Decision::Allow,
        rules: &[],
        decision_time: KAFKA_TIME,
    };
    let change = ChangeRow {
        record: &context,
        child: 0,
        uid_conflict: false,
        marks: Marks::default(),
        decided: &decided,
        ask: Ask::default(),
        child_bytes: &[],
        versions,
        hop: None,
    };
    let mut outcomes = Outcomes::default();
    outcomes.write();
    let row = RawRow {
        record: &context,
        outcomes: &outcomes,
        raw_size: raw.len() as u32,
        stored_hash: normalized.stored_hash,
        stored_encoding: normalized.stored_encoding,
        secrets_masked: normalized.secrets_masked,
        key: None,
        headers: &[],
        raw: Some(normalized.stored),
    };
    RowBinary.change(black_box(&change), out);
    RowBinary.record(black_box(&row), out);
}

/// A block of events in the second `now`.
fn timed<'e>(
    events: &[&'e ChangeEvent<'e>],
    block: usize,
    now: i64,
) -> Vec<(&'e ChangeEvent<'e>, TimeMicros)> {
    let time = TimeMicros(KAFKA_TIME.0 + now * 1_000_000);
    let from = block * BLOCK % RECORDS;
    events
        .iter()
        .skip(from)
        .take(BLOCK)
        .map(|event| (*event, time))
        .collect()
}
