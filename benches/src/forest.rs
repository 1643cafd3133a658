//! The isolation forest alone: ours a block at a time against scikit-learn's over one block of ten thousand rows.

use std::collections::HashSet;
use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context, ensure};
use changegate_risk::{FEATURES, Forest, Row, WIDTH};
use serde::Deserialize;

use crate::machine::{self, median};
use crate::python::script;

const ROWS: usize = 10_000;
/// Rounds; the ratio is the median of theirs.
const ROUNDS: usize = 5;
/// Passes over the rows that are timed together: the clock of a process counts in hundredths of a second.
const PASSES: usize = 40;

/// CPU nanoseconds a row. Medians of the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Ours, in safe code.
    pub ours: f64,
    /// Theirs.
    pub theirs: f64,
    /// How many times as long theirs takes.
    pub theirs_over_ours: f64,
    /// Share of the oddest hundredth of the rows that both find.
    pub agreement: f64,
}

#[derive(Deserialize)]
struct Scored {
    seconds: f64,
    scores: Vec<f64>,
}

/// Interleaved rounds over the same rows.
///
/// # Errors
/// What is missing on this machine; scores that say something else.
pub fn figures() -> anyhow::Result<Figures> {
    let rows = rows();
    let grown_on: Vec<u16> = rows.iter().flat_map(|row| row[..FEATURES].to_vec()).collect();
    let view = ndarray::ArrayView2::from_shape((ROWS, FEATURES), &grown_on)?;
    let forest = Forest::grow(view, 1);
    let file = std::env::temp_dir().join(format!("changegate-forest-{}.f32", std::process::id()));
    let floats = grown_on.iter().flat_map(|step| f32::from(*step).to_le_bytes());
    std::fs::write(&file, floats.collect::<Vec<u8>>())
        .with_context(|| format!("writing {}", file.display()))?;
    let rounds = (0..ROUNDS).map(|round| round_of(&forest, &rows, &file, round));
    let rounds = rounds.collect::<anyhow::Result<Vec<_>>>();
    std::fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
    let rounds = rounds?;
    let middle = |of: &dyn Fn(&(f64, f64, f64)) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
    let agreement = middle(&|(_, _, agreement)| *agreement)?;
    ensure!(
        agreement > 0.8,
        "the two forests agree on {agreement:.2} of the oddest rows"
    );
    Ok(Figures {
        ours: middle(&|(ours, ..)| *ours)?,
        theirs: middle(&|(_, theirs, _)| *theirs)?,
        theirs_over_ours: middle(&|(ours, theirs, _)| theirs / ours)?,
        agreement,
    })
}

/// Nanoseconds a row of ours and theirs, and how far they agree.
fn round_of(
    forest: &Forest,
    rows: &[Row],
    file: &std::path::Path,
    round: usize,
) -> anyhow::Result<(f64, f64, f64)> {
    let own = std::process::id();
    let mut paths = Vec::with_capacity(ROWS);
    let before = machine::cpu(own)?;
    for _ in 0..PASSES {
        forest.score(black_box(rows), &mut paths);
        black_box(&paths);
    }
    let ours = nanos(machine::cpu(own)? - before, ROWS * PASSES);
    let scored: Scored = script("forest.py", |command| {
        command.arg(file).args([ROWS.to_string(), FEATURES.to_string()]);
    })?;
    ensure!(scored.scores.len() == ROWS, "{} scores", scored.scores.len());
    let theirs = nanos(Duration::from_secs_f64(scored.seconds), ROWS);
    // A short path is a high score.
    let odd: Vec<f64> = paths.iter().map(|path| -f64::from(*path)).collect();
    let (odd, theirs_odd) = (oddest(&odd), oddest(&scored.scores));
    let agreement = odd.intersection(&theirs_odd).count() as f64 / odd.len() as f64;
    eprintln!("round {round}: ours {ours:.0}, scikit-learn {theirs:.0} ns a row");
    Ok((ours, theirs, agreement))
}

fn nanos(time: Duration, rows: usize) -> f64 {
    time.as_secs_f64() * 1e9 / rows as f64
}

/// Rows around a few centres, one in a hundred anywhere.
fn rows() -> Vec<Row> {
    let mut state = 0x5eed_u64;
    let mut below = move |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % limit
    };
    (0..ROWS)
        .map(|_| {
            let (centre, is_odd) = (below(8), below(100) == 0);
            let mut row = [0; WIDTH];
            for (feature, step) in row.iter_mut().take(FEATURES).enumerate() {
                let usual = (centre * 31 + feature as u64 * 17) % 400 + below(60) + below(60);
                *step = if is_odd { below(1_024) } else { usual } as u16;
            }
            row
        })
        .collect()
}

/// Which rows have the highest scores: as many as were made odd, about.
fn oddest(scores: &[f64]) -> HashSet<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order.truncate(scores.len().div_ceil(100));
    order.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_are_the_oddest() {
        let scores: Vec<f64> = (0..200).map(f64::from).collect();
        assert_eq!(oddest(&scores), HashSet::from([198, 199]));
    }
}
