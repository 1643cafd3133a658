//! Features of one event from what was remembered before it. The same code in training and in the stream.

use crate::facts::{FIELDS, Facts, Field, SHARED};
use crate::feature::{FEATURES, Feature, Row, WIDTH};
use crate::hash::mix;
use crate::state::actor::{Actor, PACES, Pace};
use crate::state::shard::Surroundings;
use crate::state::table::Table;

/// Weight of the level above in each estimate.
const KAPPA: f32 = 5.0;
/// How many values each shared field is taken to have where nothing was seen yet.
const VOCABULARY: [f32; SHARED] = [1_000.0, 10_000.0, 1_000.0, 200.0, 48.0, 200.0, 8.0, 8.0];
/// Below this a decayed count is none.
const NEVER: f32 = 1e-6;

/// The numbers behind a feature row: what reasons quote. Counts are decayed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Evidence {
    pub(crate) own: [f32; FIELDS],
    pub(crate) own_total: f32,
    /// Own events of the action before.
    pub(crate) after_last: f32,
    pub(crate) peers: [f32; SHARED],
    pub(crate) peers_total: f32,
    pub(crate) tenant: [f32; SHARED],
    pub(crate) tenant_total: f32,
    pub(crate) same_kind: f32,
    pub(crate) same_scope: f32,
    pub(crate) paces: [f32; PACES],
    pub(crate) usual: [f32; PACES],
    pub(crate) events_in_hour: f32,
    pub(crate) age_seconds: u32,
    pub(crate) silent_seconds: u32,
}

/// One event, observed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed {
    pub(crate) steps: Row,
    /// Sum of ECOD's tails, where there is a model.
    pub(crate) ecod: f32,
    pub(crate) learning: bool,
    pub(crate) evidence: Evidence,
}

impl Default for Observed {
    fn default() -> Self {
        Self {
            steps: [0; WIDTH],
            ecod: 0.0,
            learning: false,
            evidence: Evidence::default(),
        }
    }
}

/// Key of a value of a field at a level (actor, peers, tenant).
#[inline]
pub(crate) fn level_key(level: u64, field: usize, value: u64) -> u64 {
    mix(level.rotate_left(field as u32 * 5 + 1), value)
}

/// Key of an actor's count.
#[inline]
pub(crate) fn own_key(facts: &Facts, field: usize) -> u64 {
    level_key(facts.actor, field, facts.values[field])
}

/// Key of all events of a level.
#[inline]
pub(crate) fn total_key(level: u64) -> u64 {
    mix(level, 0x7074_0000_0000_0001)
}

/// Key of the events of this kind of actor in this scope.
#[inline]
pub(crate) fn scope_key(facts: &Facts) -> u64 {
    mix(facts.tenant ^ facts.scope, 0x5C09_0000 + facts.kind as u64)
}

/// Key of all events in this scope.
#[inline]
pub(crate) fn scope_total_key(facts: &Facts) -> u64 {
    mix(facts.tenant ^ facts.scope, 0x5C09_F000)
}

/// Fills the row and its evidence; returns the paces, which become part of the actor's usual if the event is.
pub(crate) fn features(
    facts: &Facts,
    actor: &Actor,
    counts: &Table,
    around: &Surroundings<'_>,
    second: u32,
    out: &mut Observed,
) -> [f32; PACES] {
    let unit = around.clock.unit;
    let shared = around.shared;
    let peers = around.groups.key(facts.tenant, actor.group);
    let count = |key: u64| {
        let count = shared.get(key) * unit;
        if count < NEVER { 0.0 } else { count }
    };
    let evidence = &mut out.evidence;
    evidence.own_total = actor.total * unit;
    evidence.peers_total = count(total_key(peers));
    evidence.tenant_total = count(total_key(facts.tenant));
    for field in 0..FIELDS {
        let own = counts.get(own_key(facts, field)) * unit;
        evidence.own[field] = if own < NEVER { 0.0 } else { own };
    }
    let last_action = level_key(facts.actor, Field::Action as usize, actor.last_action);
    evidence.after_last = counts.get(last_action) * unit;
    for field in 0..SHARED {
        evidence.peers[field] = count(level_key(peers, field, facts.values[field]));
        evidence.tenant[field] = count(level_key(facts.tenant, field, facts.values[field]));
    }
    evidence.same_kind = count(scope_key(facts));
    evidence.same_scope = count(scope_total_key(facts));
    (evidence.paces, evidence.usual) = actor.paces(facts);
    evidence.events_in_hour = actor.events_in_hour();
    evidence.age_seconds = second - actor.first.min(second);
    evidence.silent_seconds = second - actor.last.min(second);
    let values = values(facts, actor, evidence);
    for (feature, value) in Feature::ALL.into_iter().zip(values) {
        out.steps[feature as usize] = feature.step(value);
    }
    evidence.paces
}

/// The values behind the steps, in the order of [`Feature::ALL`].
#[inline]
fn values(facts: &Facts, actor: &Actor, evidence: &Evidence) -> [f32; FEATURES] {
    let mut values = [0.0; FEATURES];
    let mut set = |feature: Feature, value: f32| values[feature as usize] = value;
    let surprisals = [
        Feature::ActionSurprisal,
        Feature::ResourceSurprisal,
        Feature::NetworkSurprisal,
        Feature::AgentSurprisal,
        Feature::HourSurprisal,
        Feature::RoleSurprisal,
        Feature::PrivilegeSurprisal,
        Feature::ReferenceSurprisal,
    ];
    let mut own_action = 0.0;
    for (field, feature) in surprisals.into_iter().enumerate() {
        let tenant = estimate(
            evidence.tenant[field],
            evidence.tenant_total,
            1.0 / VOCABULARY[field],
        );
        let peers = estimate(evidence.peers[field], evidence.peers_total, tenant);
        let own = estimate(evidence.own[field], evidence.own_total, peers);
        if field == Field::Action as usize {
            own_action = own;
        }
        set(feature, -own.ln());
    }
    // What follows the action before: its count among the own events that the action before began.
    let transition = evidence.own[Field::Transition as usize];
    set(
        Feature::SequenceSurprisal,
        -estimate(transition, evidence.after_last, own_action).ln(),
    );
    let history = evidence.own_total.ln_1p();
    let firsts = [
        (Feature::FirstAction, Field::Action),
        (Feature::FirstResource, Field::Resource),
        (Feature::FirstNetwork, Field::Network),
        (Feature::FirstAgent, Field::Agent),
        (Feature::FirstEnvironment, Field::Environment),
        (Feature::FirstCredential, Field::Credential),
        (Feature::FirstAccount, Field::Account),
    ];
    for (feature, field) in firsts {
        let first = evidence.own[field as usize] == 0.0;
        set(feature, if first { history } else { 0.0 });
    }
    if evidence.tenant[Field::Action as usize] == 0.0 && evidence.own[Field::Action as usize] == 0.0 {
        set(Feature::ActionNewInTenant, evidence.tenant_total.ln_1p());
    }
    let hours = |seconds: u32| seconds as f32 / 3_600.0;
    set(
        Feature::NewActor,
        (31.0 * 24.0 / (hours(evidence.age_seconds) + 1.0)).ln().max(0.0),
    );
    if actor.seen > 0 {
        set(Feature::Dormancy, hours(evidence.silent_seconds).ln_1p());
    }
    let above = |pace: Pace| {
        let (pace, usual) = (evidence.paces[pace as usize], evidence.usual[pace as usize]);
        ((pace + 1.0) / (usual + 1.0)).ln().max(0.0)
    };
    set(Feature::Burst, above(Pace::Burst));
    set(Feature::DistinctActions, above(Pace::Actions));
    set(Feature::DistinctResources, above(Pace::Resources));
    let failures = evidence.paces[Pace::Failures as usize];
    let share = failures / (evidence.events_in_hour + 3.0);
    set(Feature::ErrorShare, share * failures.ln_1p());
    set(Feature::DeleteBurst, above(Pace::Deletes));
    set(Feature::PrivilegedBurst, above(Pace::Privileged));
    let power = f32::from(facts.power);
    set(
        Feature::PowerInProduction,
        if facts.production { power * 2.0 } else { power },
    );
    set(Feature::PrivilegeWeight, f32::from(facts.privilege));
    if facts.is_change && facts.production && !facts.referenced {
        let person = facts.kind != crate::ActorKind::Service;
        set(Feature::UnreferencedInProduction, if person { 2.0 } else { 1.0 });
    }
    set(Feature::WithoutMfa, f32::from(u8::from(facts.without_mfa)));
    set(
        Feature::ActorKindSurprisal,
        -estimate(evidence.same_kind, evidence.same_scope, 0.5).ln(),
    );
    let of = |feature: Feature| values[feature as usize];
    let action = of(Feature::ActionSurprisal);
    let privileged = action * f32::from(facts.privilege) / 6.0;
    let oddness = (action + of(Feature::SequenceSurprisal) + of(Feature::ResourceSurprisal)) / 3.0;
    let unreferenced = oddness * of(Feature::UnreferencedInProduction) / 2.0;
    values[Feature::PrivilegedNovelty as usize] = privileged;
    values[Feature::UnreferencedNovelty as usize] = unreferenced;
    values
}

/// A share, drawn towards the level above while little was seen.
#[inline]
fn estimate(count: f32, total: f32, above: f32) -> f32 {
    let total = total.max(count);
    (count + KAPPA * above) / (total + KAPPA)
}
