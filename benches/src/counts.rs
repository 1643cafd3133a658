//! What callgrind wrote.

use std::path::Path;

use anyhow::Context;

/// Instructions of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub all: u64,
    /// Those of SHA-256: valgrind knows no SHA-NI, so they are counted apart.
    pub sha256: u64,
}

impl Counts {
    /// Reads the file that callgrind wrote.
    ///
    /// # Errors
    /// Where it is not there or has no total.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("{} holds no total", file.display()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut counts = Self::default();
        let mut known = std::collections::HashMap::new();
        let mut in_sha256 = false;
        let mut after_call = false;
        let mut total = None;
        for line in text.lines() {
            if let Some(function) = line.strip_prefix("fn=") {
                // `(7) name` the first time, `(7)` from then on.
                let (number, name) = function.split_once(' ').unwrap_or((function, ""));
                if !name.is_empty() {
                    known.insert(number, name.contains("sha2::"));
                }
                in_sha256 = known.get(number).copied().unwrap_or(false);
            } else if let Some(function) = line.strip_prefix("cfn=") {
                if let Some((number, name)) = function.split_once(' ') {
                    known.insert(number, name.contains("sha2::"));
                }
            } else if line.starts_with("calls=") {
                after_call = true;
            } else if let Some(sum) = line.strip_prefix("totals: ") {
                total = sum.trim().parse().ok();
            } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
                // A place and its own cost; the line after a call has the cost of what was called.
                if in_sha256 && !after_call {
                    let cost = line
                        .split_ascii_whitespace()
                        .nth(1)
                        .and_then(|cost| cost.parse().ok());
                    counts.sha256 += cost.unwrap_or(0u64);
                }
                after_call = false;
            }
        }
        counts.all = total?;
        Some(counts)
    }

    /// Per record, from two runs of different length: what comes once cancels out. `(all but SHA-256, SHA-256)`.
    pub fn per_record(short: Self, long: Self, more_records: u64) -> (f64, f64) {
        let sha256 = long.sha256.saturating_sub(short.sha256) as f64;
        let all = long.all.saturating_sub(short.all) as f64;
        ((all - sha256) / more_records as f64, sha256 / more_records as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha_is_told_apart_and_calls_are_not_counted_twice() {
        let text = "version: 1\nevents: Ir\n\nfl=(1) a.rs\nfn=(1) main\n16 400\ncfn=(2) sha2::compress\ncalls=1 0\n16 5000\n+1 7\n\nfn=(2)\n1 5000\n\ntotals: 5407\n";
        let counts = Counts::parse(text).unwrap_or_default();
        assert_eq!(
            counts,
            Counts {
                all: 5_407,
                sha256: 5_000
            }
        );
        assert_eq!(Counts::parse("events: Ir\n"), None);
    }
}
