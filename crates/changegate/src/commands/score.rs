use std::io::{BufWriter, stderr, stdout};
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use bumpalo::Bump;
use changegate_normalize::{Child, JsonLine, render_change};
use changegate_policy::decide;
use changegate_risk::{Scorer, State};
use changegate_types::{Decision, RiskLevel, Score};

use super::Answer;
use crate::args::{Format, Score as Asked};
use crate::input::{self, FileClock};
use crate::output::Printer;
use crate::setup;

const COLUMNS: &[&str] = &[
    "line=file|line",
    "!risk=risk|risk_level",
    "!decision=decision|event_time",
    "change=actor_name|api_operation resource_names|environment",
    "why=reasons",
];

/// Scores as the stream does, with state kept over the files in the order given.
pub(crate) fn run(config: Option<&Path>, asked: &Asked) -> Answer {
    if asked.replay {
        return super::rescore::run(config, asked);
    }
    if asked.since.is_some() || asked.until.is_some() {
        bail!("--since and --until choose among stored changes: give --replay too; files are scored whole");
    }
    input::some(&asked.files)?;
    let settings = setup::settings(config)?;
    let normalizer = setup::file_normalizer(&settings, &asked.source, &asked.cluster)?;
    let model = setup::model(&settings, asked.model.as_deref())?;
    let state = Arc::new(State::new(&model, setup::limits(&settings)));
    let mut scorer = Scorer::new(Arc::clone(&model), state);
    let name = format!("{} {}", model.full_name(), model.hash());
    let mut printer = Printer::new(
        BufWriter::new(stdout().lock()),
        asked.output.unwrap_or(Format::Jsonl),
        COLUMNS,
    );
    let mut faults = BufWriter::new(stderr().lock());
    let mut clock = FileClock::default();
    let mut good = true;
    let mut arena = Bump::new();
    for file in &asked.files {
        let bytes = input::read(file)?;
        let file = input::told_name(file, &asked.files);
        good &= input::each_child(
            &normalizer,
            &file,
            &bytes,
            &mut clock,
            &mut faults,
            |line, index, child, time| {
                arena.reset();
                match child {
                    Child::Change(event) => {
                        let mut scores: Vec<Score<'_>> = Vec::new();
                        scorer.score_block(&arena, &[(event, time)], &mut scores);
                        let mut object = input::place(&file, line);
                        object.number("child", index);
                        render_change(&mut object, event);
                        let score = scores.first();
                        if let Some(score) = score {
                            render_score(&mut object, score);
                        }
                        // A read or a sign-in asks nothing, whatever its score.
                        let decision = if event.is_change {
                            decide(
                                score.map(|score| score.risk),
                                Decision::Allow,
                                &settings.decision.thresholds,
                            )
                        } else {
                            Decision::Allow
                        };
                        object.text("decision", decision.name()).text("model", &name);
                        printer.object(&object.finish())
                    }
                    Child::Learn(event) => {
                        scorer.learn_block(&[(event, time)]);
                        Ok(())
                    }
                    Child::Skip(_) | Child::Reject(_) => Ok(()),
                }
            },
        )?;
    }
    printer.finish()?;
    Ok(good)
}

fn render_score(object: &mut JsonLine, score: &Score<'_>) {
    object
        .number("risk", score.risk.points())
        .text("risk_level", RiskLevel::of(score.risk).name());
    object
        .number("score_raw", score.raw)
        .text("stratum", score.stratum);
    object
        .bool("risk_extrapolated", score.extrapolated)
        .bool("learning", score.learning);
    let reasons = score.reasons.iter().map(|reason| {
        let mut item = JsonLine::new();
        item.text("feature", reason.feature)
            .text("text", reason.text)
            .number("contribution", reason.contribution);
        item.finish()
    });
    object.json("reasons", &format!("[{}]", reasons.collect::<Vec<_>>().join(",")));
}
