//! Peer groups: KMeans on the principal components of what actors do.

use std::collections::BTreeMap;

use linfa::DatasetBase;
use linfa::traits::{Fit, Predict, Transformer};
use linfa_clustering::{KMeans, KMeansInit};
use linfa_reduction::Pca;
use ndarray::{Array2, Axis};
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::SeedableRng;

use super::TrainError;
use crate::facts::{ActorKind, Facts, Field};
use crate::state::PeerGroups;

/// Actions are hashed into so many columns; eight more hold class of power and verb.
const ACTION_COLUMNS: usize = 48;
const COLUMNS: usize = ACTION_COLUMNS + 12;
const COMPONENTS: usize = 8;
/// Fewer actors than this are grouped by kind alone.
const ACTORS_MIN: usize = 24;
/// Actors with fewer events have no profile and join their kind.
const EVENTS_MIN: f64 = 10.0;
/// More actors than this teach the groups nothing new; the first by key are taken.
const ACTORS_MAX: usize = 20_000;

/// Groups of the actors in these events. Same events and seed, same groups.
pub(super) fn find<'f>(facts: impl Iterator<Item = &'f Facts>, seed: u64) -> Result<PeerGroups, TrainError> {
    let mut profiles: BTreeMap<u64, ([f64; COLUMNS], ActorKind)> = BTreeMap::new();
    for facts in facts {
        let (profile, kind) = profiles
            .entry(facts.actor)
            .or_insert(([0.0; COLUMNS], facts.kind));
        *kind = facts.kind;
        let action = facts.values[Field::Action as usize] % ACTION_COLUMNS as u64;
        profile[action as usize] += 1.0;
        profile[ACTION_COLUMNS + usize::from(facts.privilege)] += 1.0;
        profile[ACTION_COLUMNS + 8 + usize::from(facts.power)] += 1.0;
    }
    // Each event counts once among the verbs.
    profiles.retain(|_, (profile, _)| profile[ACTION_COLUMNS + 8..].iter().sum::<f64>() >= EVENTS_MIN);
    if profiles.len() < ACTORS_MIN {
        return Ok(PeerGroups::by_kind());
    }
    let actors: Vec<(u64, ActorKind)> = profiles
        .iter()
        .map(|(&actor, &(_, kind))| (actor, kind))
        .collect();
    let mut matrix = Array2::zeros((actors.len(), COLUMNS));
    for (mut row, (profile, _)) in matrix.axis_iter_mut(Axis(0)).zip(profiles.values()) {
        let logs = profile.map(f64::ln_1p);
        let length = logs.iter().map(|log| log * log).sum::<f64>().sqrt();
        row.iter_mut()
            .zip(logs)
            .for_each(|(cell, log)| *cell = log / length);
    }
    let fault = |error: &dyn std::fmt::Display| TrainError::Peers(error.to_string());
    let learned = matrix
        .slice(ndarray::s![..actors.len().min(ACTORS_MAX), ..])
        .to_owned();
    let components = COMPONENTS.min(learned.nrows() / 3);
    let pca = Pca::params(components)
        .fit(&DatasetBase::from(learned.clone()))
        .map_err(|error| fault(&error))?;
    let learned = pca.transform(DatasetBase::from(learned));
    let groups = (actors.len() / 30).clamp(3, 16);
    let kmeans = KMeans::params_with_rng(groups, Xoshiro256Plus::seed_from_u64(seed))
        .init_method(KMeansInit::KMeansPlusPlus)
        .n_runs(4)
        .max_n_iterations(200)
        .tolerance(1e-5)
        .fit(&learned)
        .map_err(|error| fault(&error))?;
    let everyone = pca.transform(DatasetBase::from(matrix));
    let found = kmeans.predict(everyone.records());
    let known: Vec<(u64, u16)> = actors
        .iter()
        .zip(&found)
        .map(|(&(actor, _), &group)| (actor, group as u16))
        .collect();
    // Whoever comes later joins the group where most of its kind are; a kind that nobody was of gets a group of its own.
    let by_kind = ActorKind::ALL.map(|kind| {
        let mut sizes = vec![0usize; groups];
        let of_kind = actors.iter().zip(&found).filter(|((_, of), _)| *of == kind);
        of_kind.for_each(|(_, &group)| sizes[group] += 1);
        let largest = (0..groups).rev().max_by_key(|&group| sizes[group]).unwrap_or(0);
        if sizes[largest] == 0 {
            (groups + kind as usize) as u16
        } else {
            largest as u16
        }
    });
    Ok(PeerGroups::new(known, by_kind))
}
