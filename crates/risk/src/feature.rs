//! The list of features: name, meaning, fixed grid. Everything that a model sees goes through it.

/// One feature. The order of [`Feature::ALL`] is the order of the steps in every row and model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
#[allow(
    missing_docs,
    reason = "each one is described by its `Spec`, which users read too"
)]
pub enum Feature {
    ActionSurprisal,
    ResourceSurprisal,
    NetworkSurprisal,
    AgentSurprisal,
    HourSurprisal,
    RoleSurprisal,
    PrivilegeSurprisal,
    ReferenceSurprisal,
    SequenceSurprisal,
    FirstAction,
    FirstResource,
    FirstNetwork,
    FirstAgent,
    FirstEnvironment,
    FirstCredential,
    FirstAccount,
    ActionNewInTenant,
    NewActor,
    Dormancy,
    Burst,
    DistinctActions,
    DistinctResources,
    ErrorShare,
    DeleteBurst,
    PrivilegedBurst,
    PowerInProduction,
    PrivilegeWeight,
    UnreferencedInProduction,
    WithoutMfa,
    ActorKindSurprisal,
    PrivilegedNovelty,
    UnreferencedNovelty,
}

/// How many features there are.
pub const FEATURES: usize = Feature::ALL.len();
/// Width of a row of steps: a power of two, so that the forest needs no bounds checks.
pub const WIDTH: usize = 32;
/// No grid is finer.
pub(crate) const STEPS_MAX: usize = 1_024;
/// Raised with every change of a feature's meaning, grid or place.
pub const SCHEMA_VERSION: u32 = 2;

/// One event on the grid; what lies beyond [`FEATURES`] is 0.
pub type Row = [u16; WIDTH];

/// What a feature is called, what it says, and its grid: `step = floor(value * scale)`, at most `steps - 1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spec {
    /// Name in `features.json`, reasons and metrics.
    pub name: &'static str,
    /// One sentence for the auditor.
    pub about: &'static str,
    /// Steps per unit.
    pub scale: f32,
    /// Steps of the grid.
    pub steps: u16,
    /// Weight of its tail in ECOD's sum.
    pub weight: f32,
}

const fn nats(name: &'static str, about: &'static str) -> Spec {
    Spec {
        name,
        about,
        scale: 64.0,
        steps: STEPS_MAX as u16,
        weight: 1.0,
    }
}

const fn levels(name: &'static str, about: &'static str, steps: u16) -> Spec {
    Spec {
        name,
        about,
        scale: 1.0,
        steps,
        weight: 1.0,
    }
}

/// What joins oddness with power or with missing approval counts as much as five that are odd alone: set by hand, on
/// one run of the made-up organisation, because most oddness is harmless.
const fn joined(name: &'static str, about: &'static str) -> Spec {
    Spec {
        weight: 5.0,
        ..nats(name, about)
    }
}

impl Feature {
    /// Every feature in its order.
    pub const ALL: [Self; 32] = [
        Self::ActionSurprisal,
        Self::ResourceSurprisal,
        Self::NetworkSurprisal,
        Self::AgentSurprisal,
        Self::HourSurprisal,
        Self::RoleSurprisal,
        Self::PrivilegeSurprisal,
        Self::ReferenceSurprisal,
        Self::SequenceSurprisal,
        Self::FirstAction,
        Self::FirstResource,
        Self::FirstNetwork,
        Self::FirstAgent,
        Self::FirstEnvironment,
        Self::FirstCredential,
        Self::FirstAccount,
        Self::ActionNewInTenant,
        Self::NewActor,
        Self::Dormancy,
        Self::Burst,
        Self::DistinctActions,
        Self::DistinctResources,
        Self::ErrorShare,
        Self::DeleteBurst,
        Self::PrivilegedBurst,
        Self::PowerInProduction,
        Self::PrivilegeWeight,
        Self::UnreferencedInProduction,
        Self::WithoutMfa,
        Self::ActorKindSurprisal,
        Self::PrivilegedNovelty,
        Self::UnreferencedNovelty,
    ];

    /// Name, sentence and grid.
    pub const fn spec(self) -> Spec {
        match self {
            Self::ActionSurprisal => nats(
                "action_surprisal",
                "how rare this action is for this actor, its peers, the tenant",
            ),
            Self::ResourceSurprisal => nats(
                "resource_surprisal",
                "how rare this resource (ids left out) is for this actor, its peers, the tenant",
            ),
            Self::NetworkSurprisal => nats(
                "network_surprisal",
                "how rare this source network is for this actor, its peers, the tenant",
            ),
            Self::AgentSurprisal => nats(
                "agent_surprisal",
                "how rare this user agent (versions left out) is for this actor, its peers, the tenant",
            ),
            Self::HourSurprisal => nats(
                "hour_surprisal",
                "how rare this hour, on a workday or a weekend, is for this actor, its peers, the tenant",
            ),
            Self::RoleSurprisal => nats(
                "role_surprisal",
                "how rare this role, issuer or caller behind the session is for this actor, its peers, the tenant",
            ),
            Self::PrivilegeSurprisal => nats(
                "privilege_surprisal",
                "how rare it is that this actor, its peers, the tenant touch this class of power",
            ),
            Self::ReferenceSurprisal => nats(
                "reference_surprisal",
                "how rare it is for this actor, its peers, the tenant to act with these references to ticket, review, run",
            ),
            Self::SequenceSurprisal => nats(
                "sequence_surprisal",
                "how rare this action is right after the actor's action before",
            ),
            Self::FirstAction => nats(
                "first_action",
                "first time that this actor does this; the more, the longer its history",
            ),
            Self::FirstResource => nats(
                "first_resource",
                "first time that this actor touches a resource of this shape",
            ),
            Self::FirstNetwork => nats(
                "first_network",
                "first time that this actor comes from this network",
            ),
            Self::FirstAgent => nats("first_agent", "first time that this actor uses this user agent"),
            Self::FirstEnvironment => nats(
                "first_environment",
                "first time that this actor touches this environment",
            ),
            Self::FirstCredential => nats(
                "first_credential",
                "first time that this actor uses this credential",
            ),
            Self::FirstAccount => nats(
                "first_account",
                "first time that this actor acts in this account and region",
            ),
            Self::ActionNewInTenant => nats(
                "action_new_in_tenant",
                "nobody in the tenant did this before; the more, the longer the tenant's history",
            ),
            Self::NewActor => nats("new_actor", "the actor was first seen less than 31 days ago"),
            Self::Dormancy => nats("dormancy", "the actor was silent for long before this"),
            Self::Burst => nats("burst", "more events in 5 to 10 minutes than this actor's usual"),
            Self::DistinctActions => nats(
                "distinct_actions",
                "more different actions in an hour than this actor's usual",
            ),
            Self::DistinctResources => nats(
                "distinct_resources",
                "more different resources in an hour than this actor's usual",
            ),
            Self::ErrorShare => nats(
                "error_share",
                "refused or failed attempts of this actor within an hour",
            ),
            Self::DeleteBurst => nats(
                "delete_burst",
                "deletions by this actor within an hour, above its usual",
            ),
            Self::PrivilegedBurst => nats(
                "privileged_burst",
                "changes to identity, logging, keys, network or data by this actor within an hour, above its usual",
            ),
            Self::PowerInProduction => levels(
                "power_in_production",
                "read, run, write or delete; in production (or where nobody said) counted higher",
                8,
            ),
            Self::PrivilegeWeight => levels(
                "privilege_weight",
                "class of power: compute, pipeline, data and network, keys, identity, logging",
                8,
            ),
            Self::UnreferencedInProduction => levels(
                "unreferenced_in_production",
                "a change in production that names no ticket, review or run; by a person counted higher",
                4,
            ),
            Self::WithoutMfa => levels("without_mfa", "a person's session without second factor", 2),
            Self::ActorKindSurprisal => nats(
                "actor_kind_surprisal",
                "a person acts where mostly services act, or the other way round",
            ),
            Self::PrivilegedNovelty => joined(
                "privileged_novelty",
                "a rare action on what gives power: rarity of the action times its class of power",
            ),
            Self::UnreferencedNovelty => joined(
                "unreferenced_novelty",
                "a rare action in production that names no ticket, review or run; by a person counted higher",
            ),
        }
    }

    /// The step of a value on this feature's grid.
    #[inline]
    pub(crate) fn step(self, value: f32) -> u16 {
        let spec = const { Self::specs() }[self as usize];
        // `as` saturates, and NaN becomes 0: no value falls off the grid.
        ((value * spec.scale) as u16).min(spec.steps - 1)
    }

    /// All specs in order.
    pub(crate) const fn specs() -> [Spec; FEATURES] {
        let mut specs = [nats("", ""); FEATURES];
        let mut at = 0;
        while at < FEATURES {
            specs[at] = Self::ALL[at].spec();
            at += 1;
        }
        specs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_fits_the_row() {
        const { assert!(FEATURES <= WIDTH) };
        for (at, feature) in Feature::ALL.into_iter().enumerate() {
            let spec = feature.spec();
            assert_eq!(feature as usize, at);
            assert!(!spec.about.is_empty() && usize::from(spec.steps) <= STEPS_MAX);
            let named = Feature::ALL
                .into_iter()
                .filter(|other| other.spec().name == spec.name);
            assert_eq!(named.count(), 1, "{}", spec.name);
        }
    }

    #[test]
    fn values_go_to_fixed_steps() {
        let surprisal = Feature::ActionSurprisal;
        assert_eq!(surprisal.step(0.0), 0);
        assert_eq!(surprisal.step(1.0), 64);
        assert_eq!(surprisal.step(1.0 + 1.0 / 128.0), 64);
        assert_eq!(surprisal.step(1e30), 1_023);
        assert_eq!(surprisal.step(-1.0), 0);
        assert_eq!(surprisal.step(f32::NAN), 0);
        assert_eq!(Feature::WithoutMfa.step(7.0), 1);
    }
}
