//! What the ledger says after the demo.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;

use anyhow::Context;
use changegate_clickhouse::LedgerClient;
use serde_json::Value;

use super::samples::TENANT;
use crate::output::{Plain, plain, screen_width};

/// Width of a line where nobody says how wide the screen is, and at the least.
const WIDTH: usize = 96;
const WIDTH_MIN: usize = 60;
/// What stands before each line of a reason.
const INDENT: &str = "            ";

pub(super) struct Report<'a> {
    pub(super) runtime: &'a tokio::runtime::Runtime,
    pub(super) reader: &'a LedgerClient,
    pub(super) database: &'a str,
    /// Kind of each incident, by its story.
    pub(super) incidents: &'a BTreeMap<u32, &'static str>,
    /// Native id of each event of an incident, and its story.
    pub(super) truth: &'a [(String, u32)],
}

impl Report<'_> {
    pub(super) fn print(&self) -> anyhow::Result<()> {
        let db = self.database;
        self.table(
            "Read = written + skipped + dead-lettered",
            &format!(
                "SELECT sum(read) AS read, sum(written) AS written, sum(skipped) AS skipped, \
                 sum(dead_lettered) AS dead_lettered, sum(missing) AS missing FROM {db}.v_conservation"
            ),
        )?;
        self.riskiest()?;
        self.table(
            "What asks for approval",
            &format!(
                "SELECT countIf(is_change) AS changes, countIf(approval IN ('asked', 'grouped')) AS asks, \
                 round(100 * asks / changes, 2) AS percent, countIf(approval = 'learning') AS in_learning_phase \
                 FROM {db}.v_changes WHERE tenant_uid != '{TENANT}'"
            ),
        )?;
        self.found()
    }

    fn table(&self, title: &str, sql: &str) -> anyhow::Result<()> {
        say!("\n{title}");
        let mut out = Plain::new(std::io::stdout());
        self.runtime
            .block_on(self.reader.copy(sql, "PrettyCompactMonoBlock", &mut out))?;
        out.flush()?;
        Ok(())
    }

    fn rows(&self, sql: &str) -> anyhow::Result<Vec<Value>> {
        let mut answer = Vec::new();
        self.runtime
            .block_on(self.reader.copy(sql, "JSONEachRow", &mut answer))?;
        let rows = serde_json::Deserializer::from_slice(&answer).into_iter();
        rows.collect::<Result<_, _>>()
            .context("reading ClickHouse's answer")
    }

    fn riskiest(&self) -> anyhow::Result<()> {
        say!("\nThe ten riskiest changes");
        let kinds: HashMap<&str, &str> = self
            .truth
            .iter()
            .filter_map(|(id, story)| Some((id.as_str(), *self.incidents.get(story)?)))
            .collect();
        let rows = self.rows(&format!(
            "SELECT round(risk, 1) AS points, environment, actor_name, api_operation, native_uid, \
             arrayStringConcat(arraySlice(resource_names, 1, 2), ', ') AS resources, reasons.text AS why \
             FROM {}.v_changes WHERE is_change AND tenant_uid != '{TENANT}' ORDER BY risk DESC, score_raw DESC LIMIT 10",
            self.database
        ))?;
        let screen = screen_width().map_or(WIDTH, |width| usize::from(width).max(WIDTH_MIN));
        let width = screen - INDENT.len() - 2;
        for (rank, row) in (1..).zip(&rows) {
            let text = |name: &str| plain(row[name].as_str().unwrap_or_default());
            let incident = row["native_uid"].as_str().and_then(|id| kinds.get(id));
            let change = format!(
                "{} in {}: {}{}",
                text("actor_name"),
                text("environment"),
                text("api_operation"),
                match text("resources") {
                    resources if resources.is_empty() => String::new(),
                    resources => format!(" ({resources})"),
                },
            );
            let points = row["points"].as_f64().unwrap_or_default();
            for (number, line) in wrapped(&change, width).iter().enumerate() {
                match number {
                    0 => say!("{rank:3}. {points:5.1}  {line}"),
                    _ => say!("{INDENT}  {line}"),
                }
            }
            if let Some(kind) = incident {
                say!("{INDENT}injected incident: {kind}");
            }
            for reason in row["why"].as_array().into_iter().flatten().take(2) {
                let reason = plain(reason.as_str().unwrap_or_default());
                for (number, line) in wrapped(&reason, width).iter().enumerate() {
                    say!("{INDENT}{} {line}", if number == 0 { '-' } else { ' ' });
                }
            }
        }
        Ok(())
    }

    fn found(&self) -> anyhow::Result<()> {
        let rows = self.rows(&format!(
            "SELECT native_uid FROM {}.v_changes WHERE approval IN ('asked', 'grouped') AND tenant_uid != '{TENANT}'",
            self.database
        ))?;
        let asked: BTreeSet<&str> = rows.iter().filter_map(|row| row["native_uid"].as_str()).collect();
        let events = self.truth.iter().filter(|(id, _)| asked.contains(id.as_str()));
        let found: BTreeSet<u32> = events.map(|(_, story)| *story).collect();
        let mut kinds = BTreeMap::new();
        for (story, kind) in self.incidents {
            let counts: &mut (u32, u32) = kinds.entry(*kind).or_default();
            counts.1 += 1;
            counts.0 += u32::from(found.contains(story));
        }
        say!(
            "\nIncidents among them: {} of {}",
            found.len(),
            self.incidents.len()
        );
        for (kind, (found, all)) in kinds {
            say!("  {kind:30} {found} of {all}");
        }
        Ok(())
    }
}

/// The words in lines of at most so many characters, where words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines
            .last_mut()
            .filter(|line| line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width);
        match line {
            Some(line) => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(
            wrapped("a bb ccc dddddddd e", 5),
            ["a bb", "ccc", "dddddddd", "e"]
        );
        assert_eq!(wrapped("", 5), [""]);
    }
}
