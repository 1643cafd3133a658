//! The table at the end: figure, value, what it must keep, where it should go, whether it keeps it.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context;
use serde::Deserialize;

use crate::actors;
use crate::forest;
use crate::latency;
use crate::loader;
use crate::python::Throughput;
use crate::questions;
use crate::road::{Instructions, Memory, Shapes};
use crate::stall;
use crate::vrl;

/// What a figure must keep, and where it should go.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bound {
    least: Option<f64>,
    most: Option<f64>,
    #[serde(default)]
    aim: String,
}

#[derive(Debug)]
struct Line {
    figure: String,
    value: String,
    bound: String,
    aim: String,
    verdict: &'static str,
}

/// Figures in the order they came.
#[derive(Debug)]
pub struct Table {
    bounds: BTreeMap<String, Bound>,
    lines: Vec<Line>,
    broken: Vec<String>,
}

impl Table {
    /// An empty table, with the bounds that stand beside the benches.
    ///
    /// # Errors
    /// A file of bounds that does not read.
    pub fn new() -> anyhow::Result<Self> {
        let bounds = toml::from_str(include_str!("../bounds.toml")).context("benches/bounds.toml")?;
        Ok(Self {
            bounds,
            lines: Vec::new(),
            broken: Vec::new(),
        })
    }

    /// A figure without bounds.
    pub fn add(&mut self, figure: &str, value: f64, digits: usize) {
        self.lines.push(Line {
            figure: figure.to_owned(),
            value: format!("{value:.digits$}"),
            bound: String::new(),
            aim: String::new(),
            verdict: "",
        });
    }

    /// The figure that `bounds.toml` knows by this name.
    pub fn bounded(&mut self, name: &str, figure: &str, value: f64, digits: usize) {
        let bound = self.bounds.get(name).cloned().unwrap_or_default();
        let (text, kept) = match (bound.least, bound.most) {
            (Some(least), _) => (format!("at least {least}"), value >= least),
            (None, Some(most)) => (format!("at most {most}"), value <= most),
            (None, None) => (String::new(), true),
        };
        if !kept {
            self.broken
                .push(format!("{figure}: {value:.digits$}, must be {text}"));
        }
        self.add(figure, value, digits);
        if let Some(line) = self.lines.last_mut() {
            line.verdict = match (text.is_empty(), kept) {
                (true, _) => "",
                (false, true) => "ok",
                (false, false) => "short",
            };
            (line.bound, line.aim) = (text, bound.aim);
        }
    }

    /// The whole pipeline against raw consumption.
    pub fn instructions(&mut self, road: &Instructions) {
        self.add(
            "raw consumer, same configuration: instructions a record",
            road.raw,
            0,
        );
        self.add(
            "whole pipeline with scoring, SHA-256 excluded: instructions",
            road.ours,
            0,
        );
        self.add(
            "SHA-256 in it (valgrind knows no SHA-NI): instructions",
            road.sha256,
            0,
        );
        self.bounded(
            "pipeline_over_raw",
            "pipeline / raw consumer, instructions",
            road.ours / road.raw,
            2,
        );
    }

    /// A pipeline in the shape of Vector's.
    pub fn vrl(&mut self, figures: &vrl::Figures) {
        self.add(
            "stream consumer, VRL remap of 22 columns, JSON: instructions",
            figures.theirs,
            0,
        );
        self.add(
            "whole pipeline with scoring over the same records",
            figures.ours,
            0,
        );
        self.bounded(
            "vrl",
            "stream consumer, VRL, JSON / whole pipeline, instructions",
            figures.theirs / figures.ours,
            2,
        );
    }

    /// More partitions, more workers.
    pub fn shapes(&mut self, shapes: &Shapes) {
        self.add("whole pipeline, 8 partitions: instructions", shapes.few, 0);
        self.bounded(
            "partitions",
            "the same with 128 partitions / with 8",
            shapes.many / shapes.few,
            3,
        );
        self.bounded(
            "workers",
            "the same with 2 workers / with 1",
            shapes.two_workers / shapes.few,
            3,
        );
    }

    /// The forest alone.
    pub fn forest(&mut self, figures: &forest::Figures) {
        self.add("isolation forest, ours: ns a row", figures.ours, 0);
        self.add("scikit-learn, a block of 10,000: ns a row", figures.theirs, 0);
        self.add(
            "share of the oddest hundredth that both find",
            figures.agreement,
            2,
        );
        self.bounded(
            "forest",
            "isolation forest, scikit-learn / ours, time",
            figures.theirs_over_ours,
            2,
        );
    }

    /// Tuned Python.
    pub fn throughput(&mut self, figures: &Throughput) {
        self.add("records a second on this machine, ours", figures.ours, 0);
        self.add("tuned Python, two processes", figures.theirs, 0);
        self.bounded(
            "python",
            "throughput, ours / tuned Python",
            figures.ours_over_theirs,
            2,
        );
    }

    /// The program over a demo's worth of records.
    pub fn memory(&mut self, memory: &Memory) {
        self.add(
            "bytes on disk a record, all tables, raw bytes included",
            memory.disk,
            0,
        );
        self.add(
            "bytes a record of gzip -6 over the raw records alone",
            memory.gzip,
            0,
        );
        self.bounded(
            "storage",
            "bytes on disk, everything / gzip -6 of the raw records",
            memory.disk / memory.gzip,
            2,
        );
        let records = format!("records of all sources, written within {:.0} s", memory.seconds);
        self.add(&records, memory.records as f64, 0);
        self.bounded(
            "memory",
            "peak resident memory of `serve` over them, MiB",
            memory.peak_mib as f64,
            0,
        );
    }

    /// The database's own loader.
    pub fn loader(&mut self, figures: &loader::Figures) {
        let each = [
            ("the program, CPU a record, us", figures.program),
            (
                "ClickHouse under it, raw bytes kept, all merges, us",
                figures.server,
            ),
            (
                "ClickHouse's Kafka engine, one JSONExtract, raw kept, us",
                figures.tuple,
            ),
            ("the same, one JSONExtract a column, us", figures.naive),
        ];
        for (figure, value) in each {
            self.add(figure, value, 1);
        }
        self.bounded(
            "loader",
            "program and ClickHouse, scoring / Kafka engine, no scoring: CPU",
            figures.over_tuple,
            2,
        );
        self.bounded(
            "loader_naive",
            "the same / one JSONExtract a column: CPU",
            figures.over_naive,
            2,
        );
        self.bounded(
            "loader_server",
            "ClickHouse's CPU a row, under the program / Kafka engine",
            figures.server_over_tuple,
            2,
        );
        self.add(
            "bytes on disk a record, everything, same records each time",
            figures.disk,
            0,
        );
    }

    /// The same work over states of two sizes.
    pub fn actors(&mut self, figures: &actors::Figures) {
        let each = [
            (
                "whole work of an event, 1,000 actors known: CPU, us".to_owned(),
                figures.few,
            ),
            (
                format!("the same, {} actors known, us", thousands(figures.actors)),
                figures.many,
            ),
        ];
        for (figure, value) in each {
            self.add(&figure, value, 2);
        }
        self.bounded(
            "actors",
            &format!("CPU of an event, {} actors / 1,000", thousands(figures.actors)),
            figures.many_over_few,
            2,
        );
    }

    /// From sent to seen.
    pub fn latency(&mut self, figures: &latency::Figures) {
        self.add(
            "half load on this machine: records a second",
            figures.rate as f64,
            0,
        );
        let each = [
            ("sent to seen, ours: ms, half of the rows", figures.ours_half),
            ("the same, 99 in 100", figures.ours),
            ("sent to seen, Kafka engine: ms, half", figures.theirs_half),
            ("the same, 99 in 100", figures.theirs),
        ];
        for (figure, value) in each {
            self.add(figure, value, 0);
        }
        self.bounded(
            "latency",
            "sent to seen, 99 in 100: ours / Kafka engine, 1 s flush",
            figures.ours_over_theirs,
            2,
        );
    }

    /// A server that stands still.
    pub fn stall(&mut self, figures: &stall::Figures) {
        let each = [
            ("resident memory of `serve` at rest, MiB", figures.rest_mib),
            (
                "at full rate, right before ClickHouse stalls, MiB",
                figures.before_mib,
            ),
            ("the most during the stall, MiB", figures.peak_mib),
            ("the most until all was written, MiB", figures.all_mib),
            (
                "what the settings allow to be under way, MiB",
                figures.configured_mib,
            ),
        ];
        for (figure, value) in each {
            self.add(figure, value, 0);
        }
        self.bounded(
            "stall",
            &format!(
                "growth while ClickHouse stalls {} s / configured bytes",
                figures.seconds
            ),
            figures.growth_over_configured,
            2,
        );
    }

    /// Answers to people.
    pub fn questions(&mut self, figures: &questions::Figures) {
        let changes = thousands(figures.changes);
        self.add(
            &format!("questions over {changes} changes: s, half of all runs"),
            figures.half,
            3,
        );
        self.bounded(
            "questions",
            &format!("questions over {changes} changes: s, 95 in 100 runs"),
            figures.most,
            2,
        );
        for (heading, seconds) in &figures.slowest {
            let heading: String = heading.chars().take(50).collect();
            self.add(&format!("  slowest: {heading}"), *seconds, 2);
        }
    }

    /// The figures that are out of their bounds.
    pub fn broken(&self) -> &[String] {
        &self.broken
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |figure: &str, value: &str, bound: &str, aim: &str, verdict: &str| {
            let line = format!("{figure:<66}{value:>10}  {bound:<16}{aim:<15}{verdict}");
            writeln!(f, "{}", line.trim_end())
        };
        line("figure", "value", "must", "on the way to", "")?;
        self.lines
            .iter()
            .try_for_each(|each| line(&each.figure, &each.value, &each.bound, &each.aim, each.verdict))
    }
}

/// 100000 as `100,000`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_cut_in_threes() {
        assert_eq!(
            [7, 1_000, 20_000_000].map(thousands),
            ["7", "1,000", "20,000,000"]
        );
    }

    #[test]
    fn what_is_out_of_bounds_is_told() {
        let mut table = Table::new().unwrap();
        let bound = |least, most| Bound {
            least,
            most,
            aim: "above 5".to_owned(),
        };
        table.bounds = [
            ("low".to_owned(), bound(Some(3.0), None)),
            ("high".to_owned(), bound(None, Some(10.0))),
        ]
        .into();
        table.bounded("low", "a ratio", 3.0, 2);
        table.bounded("high", "a count", 10.4, 0);
        table.add("a time", 7.0, 1);
        assert_eq!(table.broken(), ["a count: 10, must be at most 10"]);
        let text = table.to_string();
        assert_eq!(text.lines().count(), 4);
        assert!(
            text.lines()
                .nth(1)
                .is_some_and(|line| line.ends_with("at least 3      above 5        ok")),
            "{text}"
        );
    }
}
