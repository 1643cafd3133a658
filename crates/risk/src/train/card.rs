//! `card.md`: what a model is for, what it was made of, how well it does and where it ends. Made of the same figures
//! as `metrics.json`.

use std::fmt::Write as _;

use super::metrics::Metrics;
use super::{Lineage, TrainOptions};
use crate::calibration::{Calibration, STRATUM_MIN, Stratum};
use crate::feature::{FEATURES, Feature};

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

pub(super) fn render(
    options: &TrainOptions,
    lineage: &Lineage<'_>,
    metrics: &Metrics,
    calibration: &Calibration,
    groups: usize,
) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "# Model {}@{}\n\n\
         **Use.** Ranks changes by how odd they are for their actor, its peers and the tenant, and says in points how \
         rare such oddness is among ordinary changes (40 = 1 in 100, 60 = 1 in 1,000). It decides nothing: thresholds \
         and policy do. It says nothing about people, only about single changes.\n\n\
         **Made of.** {}. {} events, {} changes, record time {} to {}; SHA-256 of the data `{}`.\n\n\
         **Made by.** `{}` with seed {}, program {}, feature schema {}. Isolation forest (100 trees of 256 rows) and \
         ECOD on {FEATURES} features, added as -ln of their tail probabilities (the \
         forest's counts 0.15, so do joined features five times in ECOD: set by hand on one run of the simulated \
         organisation, so figures on it flatter); {groups} peer groups by KMeans on the \
         principal components of action profiles.\n\n",
        options.name,
        options.version,
        options.data,
        lineage.events,
        lineage.changes,
        lineage.first_record_time,
        lineage.last_record_time,
        lineage.data_sha256,
        options.command,
        options.seed,
        lineage.program_version,
        lineage.feature_schema_version,
    );
    out.push_str("| part (by time, gaps between) | changes |\n|---|---|\n");
    for (part, count) in &lineage.parts {
        let _ = writeln!(out, "| {part} | {count} |");
    }
    out.push_str(
        "\n## Is the risk true?\n\nShare of benign changes of the test part at or above a threshold:\n\n",
    );
    out.push_str("| points | promised | test |\n|---|---|---|\n");
    for (points, share) in &metrics.benign_share_at {
        let promised = 10f64.powf(-f64::from(*points) / 20.0);
        let _ = writeln!(out, "| {points} | {} | {} |", percent(promised), percent(*share));
    }
    let _ = write!(
        out,
        "\nStrata with fewer than {STRATUM_MIN} calibration changes use their parent's distribution. The upper rate is \
         the one-sided 95 % bound of the calibration sample at 60 points.\n\n\
         | stratum | distribution | n | upper rate at 60 | test changes | test share at 60 |\n|---|---|---|---|---|---|\n"
    );
    for (stratum, (name, tested, share)) in Stratum::all().zip(&metrics.strata) {
        let Some(curve) = calibration.curve(stratum) else {
            continue;
        };
        let upper = curve
            .rates
            .iter()
            .find(|rate| rate.points == 60.0)
            .map_or(1.0, |rate| rate.rate_upper_95);
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} | {tested} | {} |",
            curve.of,
            curve.n,
            percent(upper),
            percent(*share)
        );
    }
    match &metrics.ranking {
        None => out.push_str("\n## Does it find incidents?\n\nNo truth was given: not measured.\n"),
        Some(ranking) => {
            let _ = write!(
                out,
                "\n## Does it find incidents?\n\n\
                 | measure | test part |\n|---|---|\n\
                 | changes of incidents | {} of {} |\n| ROC-AUC | {:.3} |\n| PR-AUC | {:.3} |\n\
                 | recall at 0.1 % false positives | {} |\n| recall at 0.5 % false positives | {} |\n\
                 | incidents found at 0.5 % | {} of {} |\n| incidents found at 60 points | {} of {} |\n\n\
                 | kind of incident | in the test part | found at 0.5 % | found at 60 points |\n|---|---|---|---|\n",
                ranking.positives,
                metrics.changes,
                ranking.roc_auc,
                ranking.pr_auc,
                percent(ranking.recall_at_fp_0_001),
                percent(ranking.recall_at_fp_0_005),
                ranking.incidents.1,
                ranking.incidents.0,
                ranking.incidents_at_60,
                ranking.incidents.0,
            );
            for (kind, all, found, at_60) in &ranking.kinds {
                let _ = writeln!(out, "| {kind} | {all} | {found} | {at_60} |");
            }
        }
    }
    out.push_str(
        "\n## Limits\n\n\
         - Rarity is not guilt: an odd change is a question to a person, not an answer.\n\
         - Figures hold for data like that above. Under drift the promised shares fail first: watch the realised rate.\n\
         - Who acts slowly, under a ticket, on its own resources, looks ordinary.\n\
         - A new actor is judged by its peers until it has a history of its own.\n\
         - Beyond the calibration sample the risk follows a fitted tail and is marked extrapolated.\n\n\
         ## Features\n\n| feature | meaning |\n|---|---|\n",
    );
    for spec in Feature::ALL.map(Feature::spec) {
        let _ = writeln!(out, "| {} | {} |", spec.name, spec.about);
    }
    out
}
