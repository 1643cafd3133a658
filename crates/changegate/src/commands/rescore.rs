//! `score --replay`: stored scores and decisions derived again, from the stored feature steps and the hashes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use changegate_config::Settings;
use changegate_normalize::JsonLine;
use changegate_policy::decide;
use changegate_risk::Model;
use changegate_types::{Decision, RiskScore};
use serde::Deserialize;

use super::Answer;
use crate::args::{Format, Score};
use crate::output::{self, Printer};
use crate::{connect, setup, stream};

const COLUMNS: &[&str] = &["position", "column", "stored", "derived"];

/// A stored row, as far as its score and decision go.
#[derive(Debug, Deserialize)]
struct Stored {
    topic: String,
    partition: i32,
    offset: i64,
    child: i32,
    stratum: String,
    features: Vec<u16>,
    risk: Option<f32>,
    risk_extrapolated: bool,
    score_raw: f32,
    decision: String,
    is_change: bool,
    redelivery: bool,
    model_hash: String,
    calibration_hash: String,
    policy_hash: String,
}

#[derive(Debug, Default)]
struct Counts {
    rows: u64,
    scores: u64,
    decisions: u64,
    unscored: u64,
    differ: u64,
    /// Rows of a model or policy that is not here, by what is missing.
    not_here: BTreeMap<String, u64>,
}

pub(crate) fn run(config: Option<&Path>, asked: &Score) -> Answer {
    let settings = setup::connected(config)?;
    let model = setup::model(&settings, asked.model.as_deref())?;
    let reader = connect::clickhouse(&settings, &settings.clickhouse.reader)?;
    let (now, mut conditions) = (stream::now(), vec!["1".to_owned()]);
    for (when, comparison) in [(asked.since, ">="), (asked.until, "<")] {
        if let Some(when) = when {
            let micros = when.time(now).0;
            conditions.push(format!(
                "decision_time {comparison} fromUnixTimestamp64Micro({micros})"
            ));
        }
    }
    let sql = format!(
        "SELECT topic, partition, offset, child, stratum, features, risk, risk_extrapolated, score_raw, decision, \
         is_change, CAST(has(marks, 'redelivery'), 'Bool') AS redelivery, model_hash, calibration_hash, policy_hash \
         FROM v_changes WHERE {}",
        conditions.join(" AND ")
    );
    let output = asked.output.unwrap_or(Format::Table);
    let mut check = Check::new(&settings, &model, output);
    let mut lines = Lines {
        rest: Vec::new(),
        each: |line: &[u8]| check.line(line),
    };
    let format = [
        ("output_format_json_quote_64bit_integers", "0"),
        ("output_format_json_quote_denormals", "0"),
    ];
    setup::runtime()?.block_on(reader.copy_with(&sql, "JSONEachRow", &format, &mut lines))?;
    lines.finish()?;
    let Check { counts, printer, .. } = check;
    printer.finish()?;
    summary(&counts, output)?;
    if counts.rows > 0 && counts.scores + counts.decisions == 0 {
        bail!("nothing could be derived again: give the model that scored these changes with --model");
    }
    Ok(counts.differ == 0)
}

fn summary(counts: &Counts, format: Format) -> anyhow::Result<()> {
    let mut line = JsonLine::new();
    line.number("rows", counts.rows)
        .number("scores_derived", counts.scores)
        .number("decisions_derived", counts.decisions)
        .number("unscored", counts.unscored)
        .number("differences", counts.differ);
    let not_here = counts
        .not_here
        .iter()
        .map(|(what, rows)| format!("{rows} rows: {what}"));
    let not_here: Vec<String> = not_here.collect();
    line.texts("not_derived", not_here.iter().map(String::as_str));
    match format {
        Format::Table => output::sheet(Format::Table, &line.finish()),
        // Standard output holds the differences alone.
        Format::Json | Format::Jsonl => {
            eprintln!("{}", line.finish());
            Ok(())
        }
    }
}

struct Check<'s> {
    settings: &'s Settings,
    model: &'s Model,
    model_hash: String,
    calibration_hash: String,
    policy_hash: String,
    counts: Counts,
    printer: Printer<io::BufWriter<io::Stdout>>,
}

impl<'s> Check<'s> {
    fn new(settings: &'s Settings, model: &'s Model, format: Format) -> Self {
        Self {
            settings,
            model,
            model_hash: model.hash().to_string(),
            calibration_hash: model.calibration_hash().to_string(),
            policy_hash: stream::policy_hash(settings).to_string(),
            counts: Counts::default(),
            printer: Printer::stdout(format, COLUMNS),
        }
    }

    fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let row: Stored = serde_json::from_slice(line)
            .with_context(|| format!("reading a row from ClickHouse: {}", String::from_utf8_lossy(line)))?;
        self.counts.rows += 1;
        let here = row.model_hash == self.model_hash && row.calibration_hash == self.calibration_hash;
        let mut differences = Vec::new();
        match row.risk {
            None => self.counts.unscored += 1,
            Some(_) if !here => {
                self.missing(format!(
                    "model {} with calibration {}",
                    row.model_hash, row.calibration_hash
                ));
            }
            Some(risk) => match self.model.replay(&row.stratum, &row.features) {
                None => self.missing(format!("features of another schema (stratum {:?})", row.stratum)),
                Some(again) => {
                    self.counts.scores += 1;
                    // Bit by bit: the same steps and the same model give the same number.
                    if again.risk.points().to_bits() != risk.to_bits() {
                        differences.push(("risk", risk.to_string(), again.risk.points().to_string()));
                    }
                    if again.raw.to_bits() != row.score_raw.to_bits() {
                        differences.push(("score_raw", row.score_raw.to_string(), again.raw.to_string()));
                    }
                    if again.extrapolated != row.risk_extrapolated {
                        let (stored, derived) = (row.risk_extrapolated, again.extrapolated);
                        differences.push(("risk_extrapolated", stored.to_string(), derived.to_string()));
                    }
                }
            },
        }
        let decided_otherwise = row.redelivery || !row.is_change;
        if row.policy_hash != self.policy_hash && !decided_otherwise {
            self.missing(format!("policy {}", row.policy_hash));
        } else {
            self.counts.decisions += 1;
            let again = if decided_otherwise {
                // A read asks nothing, and the decision on a copy stands in the row of the original.
                Decision::Allow
            } else {
                let thresholds = &self.settings.decision.thresholds;
                decide(row.risk.map(RiskScore::new), Decision::Allow, thresholds)
            };
            if again.name() != row.decision {
                differences.push(("decision", row.decision.clone(), again.name().to_owned()));
            }
        }
        self.counts.differ += u64::from(!differences.is_empty());
        for (column, stored, derived) in differences {
            let mut line = JsonLine::new();
            let Stored {
                topic,
                partition,
                offset,
                child,
                ..
            } = &row;
            line.text("position", &format!("{topic}/{partition}/{offset}/{child}"))
                .text("column", column)
                .text("stored", &stored)
                .text("derived", &derived);
            self.printer.line(line)?;
        }
        Ok(())
    }

    fn missing(&mut self, what: String) {
        *self.counts.not_here.entry(what).or_default() += 1;
    }
}

/// Hands on what arrives line by line, so that any number of rows fits memory.
struct Lines<F> {
    rest: Vec<u8>,
    each: F,
}

impl<F: FnMut(&[u8]) -> anyhow::Result<()>> Lines<F> {
    fn finish(mut self) -> anyhow::Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            (self.each)(&self.rest)
        }
    }
}

impl<F: FnMut(&[u8]) -> anyhow::Result<()>> Write for Lines<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(bytes.len());
        };
        for line in self.rest[..end]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            (self.each)(line).map_err(io::Error::other)?;
        }
        self.rest.drain(..=end);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
