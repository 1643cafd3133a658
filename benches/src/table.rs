//! The table at the end: figure, value, bound, aim.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context;
use serde::Deserialize;

use crate::road::{Instructions, Memory};

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

    /// The program over a demo's worth of records.
    pub fn memory(&mut self, memory: &Memory) {
        let records = format!("records of all sources, written within {:.0} s", memory.seconds);
        self.add(&records, memory.records as f64, 0);
        self.bounded(
            "memory",
            "peak resident memory of `serve` over them, MiB",
            memory.peak_mib as f64,
            0,
        );
    }

    /// The figures that are out of their bounds.
    pub fn broken(&self) -> &[String] {
        &self.broken
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |figure: &str, value: &str, bound: &str, aim: &str| {
            let line = format!("{figure:<62}{value:>10}  {bound:<18}{aim}");
            writeln!(f, "{}", line.trim_end())
        };
        line("figure", "value", "bound", "aim")?;
        self.lines
            .iter()
            .try_for_each(|each| line(&each.figure, &each.value, &each.bound, &each.aim))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                .is_some_and(|line| line.ends_with("at least 3        above 5")),
            "{text}"
        );
    }
}
