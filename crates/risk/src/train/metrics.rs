//! How well a model ranks and how true its risk is. Own code: linfa's `roc()` drops scores that are exactly 0.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Incident;
use crate::calibration::{Calibration, Stratum};

/// One change of the test part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tested {
    pub(super) stratum: Stratum,
    pub(super) raw: f32,
    pub(super) points: f32,
    /// Number of the incident that it belongs to.
    pub(super) incident: Option<u32>,
}

/// Figures on the test part: `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Changes tested.
    pub changes: usize,
    /// Share of benign changes at or above 40, 60, 80 points; calibrated to 1 in 100, 1,000, 10,000.
    pub benign_share_at: Vec<(f32, f64)>,
    /// By stratum: changes, and the share of benign ones at or above 60 points.
    pub strata: Vec<(String, usize, f64)>,
    /// Which distribution each stratum uses, and its size.
    pub calibrated_on: Vec<(String, String, u64)>,
    /// What the truth adds, where it was given.
    pub ranking: Option<Ranking>,
}

/// Figures that need the truth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// Changes that belong to incidents.
    pub positives: usize,
    /// Area under the ROC curve.
    pub roc_auc: f64,
    /// Area under the precision-recall curve (average precision).
    pub pr_auc: f64,
    /// Recall where 0.1 % of benign changes are above.
    pub recall_at_fp_0_001: f64,
    /// Recall where 0.5 % of benign changes are above.
    pub recall_at_fp_0_005: f64,
    /// Incidents in the test part, and those with a change at or above that 0.5 %.
    pub incidents: (usize, usize),
    /// Incidents with a change at or above 60 points.
    pub incidents_at_60: usize,
    /// By kind: incidents, found at 0.5 %, found at 60 points.
    pub kinds: Vec<(String, usize, usize, usize)>,
}

/// Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.
pub fn roc_auc(scores: &[(f32, bool)]) -> f64 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins) = (0.0f64, 0.0f64);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let positives = tied.iter().filter(|(_, positive)| *positive).count() as f64;
        let negatives = tied.len() as f64 - positives;
        wins += positives * (below + negatives / 2.0);
        below += negatives;
    }
    let positives = sorted.len() as f64 - below;
    if positives == 0.0 || below == 0.0 {
        f64::NAN
    } else {
        wins / (positives * below)
    }
}

/// Average precision: precision at each threshold, weighted by the recall it adds; ties are one threshold.
pub fn pr_auc(scores: &[(f32, bool)]) -> f64 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all = sorted.iter().filter(|(_, positive)| *positive).count() as f64;
    let (mut seen, mut found, mut area) = (0.0f64, 0.0f64, 0.0f64);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let positives = tied.iter().filter(|(_, positive)| *positive).count() as f64;
        seen += tied.len() as f64;
        found += positives;
        area += positives * found / seen;
    }
    if all == 0.0 { f64::NAN } else { area / all }
}

/// The score that this share of benign changes reaches.
fn threshold(benign: &[f32], share: f64) -> f32 {
    let above = (benign.len() as f64 * share) as usize;
    let at = benign.len().saturating_sub(above.max(1));
    benign.get(at).copied().unwrap_or(f32::INFINITY)
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

pub(super) fn measure(
    tested: &[Tested],
    incidents: &[Incident],
    labelled: bool,
    calibration: &Calibration,
) -> Metrics {
    let benign: Vec<&Tested> = tested.iter().filter(|one| one.incident.is_none()).collect();
    let at = |points: f32| {
        share(
            benign.iter().filter(|one| one.points >= points).count(),
            benign.len(),
        )
    };
    let strata = Stratum::all().map(|stratum| {
        let of: Vec<_> = benign.iter().filter(|one| one.stratum == stratum).collect();
        let above = of.iter().filter(|one| one.points >= 60.0).count();
        (stratum.name().to_owned(), of.len(), share(above, of.len()))
    });
    let calibrated_on = Stratum::all().filter_map(|stratum| {
        let curve = calibration.curve(stratum)?;
        Some((stratum.name().to_owned(), curve.of.clone(), curve.n))
    });
    let has_positives = benign.len() < tested.len();
    Metrics {
        changes: tested.len(),
        benign_share_at: [40.0, 60.0, 80.0].map(|points| (points, at(points))).into(),
        strata: strata.collect(),
        calibrated_on: calibrated_on.collect(),
        ranking: (labelled && has_positives).then(|| rank(tested, &benign, incidents)),
    }
}

fn rank(tested: &[Tested], benign: &[&Tested], incidents: &[Incident]) -> Ranking {
    // Points make strata comparable; the raw score parts what has the same points.
    let mut order: Vec<&Tested> = tested.iter().collect();
    order.sort_by(|a, b| a.points.total_cmp(&b.points).then(a.raw.total_cmp(&b.raw)));
    let mut ranked = Vec::with_capacity(order.len());
    let mut rank = 0.0f32;
    for (at, one) in order.iter().enumerate() {
        if at > 0 && (order[at - 1].points, order[at - 1].raw) != (one.points, one.raw) {
            rank += 1.0;
        }
        ranked.push((rank, one.incident.is_some()));
    }
    let mut benign_ranks: Vec<f32> = ranked
        .iter()
        .filter(|(_, positive)| !positive)
        .map(|(rank, _)| *rank)
        .collect();
    benign_ranks.sort_by(f32::total_cmp);
    let positives = tested.len() - benign.len();
    let recall = |from: f32| {
        share(
            ranked
                .iter()
                .filter(|(rank, positive)| *positive && *rank >= from)
                .count(),
            positives,
        )
    };
    let from = threshold(&benign_ranks, 0.005);
    let mut by_kind: BTreeMap<&str, [BTreeSet<u32>; 3]> = BTreeMap::new();
    for (one, (rank, _)) in order.iter().zip(&ranked) {
        let Some(incident) = one.incident else { continue };
        let Some((kind, _)) = incidents.get(incident as usize) else {
            continue;
        };
        let [all, found, at_60] = by_kind.entry(kind).or_default();
        all.insert(incident);
        if *rank >= from {
            found.insert(incident);
        }
        if one.points >= 60.0 {
            at_60.insert(incident);
        }
    }
    let sum = |which: usize| by_kind.values().map(|sets| sets[which].len()).sum::<usize>();
    Ranking {
        positives,
        roc_auc: roc_auc(&ranked),
        pr_auc: pr_auc(&ranked),
        recall_at_fp_0_001: recall(threshold(&benign_ranks, 0.001)),
        recall_at_fp_0_005: recall(from),
        incidents: (sum(0), sum(1)),
        incidents_at_60: sum(2),
        kinds: by_kind
            .iter()
            .map(|(kind, [all, found, at_60])| ((*kind).to_owned(), all.len(), found.len(), at_60.len()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_agree_with_sums_by_hand() {
        // The six points on which linfa's `roc()` says 0.3333.
        let scores = [
            (0.0, false),
            (0.0, true),
            (0.2, true),
            (0.3, false),
            (0.4, true),
            (0.1, false),
        ];
        assert!((roc_auc(&scores) - (0.5 + 2.0 + 3.0) / 9.0).abs() < 1e-12);
        let perfect = [(0.9, true), (0.8, true), (0.1, false)];
        assert_eq!((roc_auc(&perfect), pr_auc(&perfect)), (1.0, 1.0));
        let mixed = [(3.0, true), (2.0, false), (1.0, true)];
        assert!((pr_auc(&mixed) - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
        assert!(roc_auc(&[(1.0, false)]).is_nan());
    }
}
