//! What a run is asked to do: its seed, its period, and how much goes wrong in it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::calendar::DAY;

/// The kinds of incident that the simulator can stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// Audit logging is switched off before something else is done.
    LoggingStopped,
    /// An access key is made for someone and used from another network.
    KeyCreatedUsedElsewhere,
    /// Production is changed by hand in the console, without a ticket.
    ConsoleChangeProduction,
    /// The author approves, merges and deploys their own change.
    SelfApprovedDeploy,
    /// Storage is opened to the world.
    PublicBucket,
    /// A firewall rule lets the whole internet in.
    SecurityGroupOpened,
    /// A subject is bound to `cluster-admin`.
    ClusterAdminBinding,
    /// The protection of the main branch is removed and something is pushed past it.
    BranchProtectionRemoved,
    /// A deployment to production at a time when none may happen.
    DeployOutsideWindow,
    /// Many secrets are read in a short time, then one is changed.
    SecretReadBulk,
    /// A break-glass account goes on working after its emergency.
    BreakGlassOverrun,
    /// Many resources are deleted in a short time.
    MassDelete,
}

impl IncidentKind {
    /// All kinds, in the order of the names above.
    pub const ALL: [Self; 12] = [
        Self::LoggingStopped,
        Self::KeyCreatedUsedElsewhere,
        Self::ConsoleChangeProduction,
        Self::SelfApprovedDeploy,
        Self::PublicBucket,
        Self::SecurityGroupOpened,
        Self::ClusterAdminBinding,
        Self::BranchProtectionRemoved,
        Self::DeployOutsideWindow,
        Self::SecretReadBulk,
        Self::BreakGlassOverrun,
        Self::MassDelete,
    ];

    /// The name used in labels, files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoggingStopped => "logging_stopped",
            Self::KeyCreatedUsedElsewhere => "key_created_used_elsewhere",
            Self::ConsoleChangeProduction => "console_change_production",
            Self::SelfApprovedDeploy => "self_approved_deploy",
            Self::PublicBucket => "public_bucket",
            Self::SecurityGroupOpened => "security_group_opened",
            Self::ClusterAdminBinding => "cluster_admin_binding",
            Self::BranchProtectionRemoved => "branch_protection_removed",
            Self::DeployOutsideWindow => "deploy_outside_window",
            Self::SecretReadBulk => "secret_read_bulk",
            Self::BreakGlassOverrun => "break_glass_overrun",
            Self::MassDelete => "mass_delete",
        }
    }

    /// The kind of a name, where there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Ordinary work that looks like an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookalikeKind {
    /// The first days of a new colleague.
    Joiner,
    /// Someone changes teams and works on other resources from then on.
    JobMove,
    /// The person on call mends something at night, under an incident ticket.
    OnCallNight,
    /// Someone works from another country.
    Travel,
    /// A pipeline applies a large plan: many writes within minutes.
    TerraformBurst,
    /// A new service goes live: new roles, buckets, rules, bindings.
    GoLive,
    /// The break-glass account is used as it should be.
    BreakGlassUse,
    /// Automation replaces access keys.
    KeyRotation,
    /// An approved clean-up deletes many resources.
    CleanUp,
}

impl LookalikeKind {
    /// All kinds, in the order of the names above.
    pub const ALL: [Self; 9] = [
        Self::Joiner,
        Self::JobMove,
        Self::OnCallNight,
        Self::Travel,
        Self::TerraformBurst,
        Self::GoLive,
        Self::BreakGlassUse,
        Self::KeyRotation,
        Self::CleanUp,
    ];

    /// The name used in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joiner => "joiner",
            Self::JobMove => "job_move",
            Self::OnCallNight => "on_call_night",
            Self::Travel => "travel",
            Self::TerraformBurst => "terraform_burst",
            Self::GoLive => "go_live",
            Self::BreakGlassUse => "break_glass_use",
            Self::KeyRotation => "key_rotation",
            Self::CleanUp => "clean_up",
        }
    }
}

/// What training must not see, so that the demo can show what was learned and not remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdout {
    /// A third of the incident kinds.
    pub incident_kinds: BTreeSet<IncidentKind>,
    /// Key of the team that is left out.
    pub team: &'static str,
}

/// The fixed holdout: four kinds and one team.
pub fn holdout() -> Holdout {
    Holdout {
        incident_kinds: BTreeSet::from([
            IncidentKind::PublicBucket,
            IncidentKind::ClusterAdminBinding,
            IncidentKind::DeployOutsideWindow,
            IncidentKind::BreakGlassOverrun,
        ]),
        team: "LOG",
    }
}

/// Everything that decides a run. The same value gives the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Seed of what happens.
    pub seed: u64,
    /// Seed of who there is: two runs of the same organisation share it.
    pub organisation_seed: u64,
    /// Start of the period, in milliseconds since 1970.
    pub start_ms: i64,
    /// End of the period (exclusive), in milliseconds since 1970.
    pub end_ms: i64,
    /// How busy the organisation is; 1.0 is about 15,000 events on a working day.
    pub rate: f64,
    /// Share of records that are delivered a second time.
    pub duplicate_rate: f64,
    /// Share of records that arrive hours late.
    pub late_rate: f64,
    /// Share of extra records that are damaged.
    pub malformed_rate: f64,
    /// Bursts of reads (a scanner, a reporting job) a day.
    pub bursts_per_day: f64,
    /// Incidents a day.
    pub incident_rate: f64,
    /// Lookalikes of each kind a week.
    pub lookalike_rate: f64,
    /// The kinds of incident to stage; `None` is all.
    pub incident_kinds: Option<BTreeSet<IncidentKind>>,
    /// Key of a team that does nothing in this run.
    pub exclude_team: Option<String>,
}

impl Config {
    /// A run of `days` whole days that ends at `end_ms`.
    pub fn days(seed: u64, days: u32, end_ms: i64) -> Self {
        Self {
            seed,
            organisation_seed: 7,
            start_ms: end_ms - i64::from(days) * DAY,
            end_ms,
            rate: 1.0,
            duplicate_rate: 0.004,
            late_rate: 0.01,
            malformed_rate: 0.002,
            bursts_per_day: 0.5,
            incident_rate: 1.9,
            lookalike_rate: 2.0,
            incident_kinds: None,
            exclude_team: None,
        }
    }

    /// The demo: 30 days of all sources and all kinds of incident, ending at `end_ms`.
    pub fn demo(end_ms: i64) -> Self {
        Self {
            rate: 0.7,
            ..Self::days(2026, 30, end_ms)
        }
    }

    /// Training: another seed of the same organisation, without the [`holdout`].
    pub fn training(seed: u64, days: u32, end_ms: i64) -> Self {
        let holdout = holdout();
        let kinds = IncidentKind::ALL
            .into_iter()
            .filter(|kind| !holdout.incident_kinds.contains(kind));
        Self {
            incident_kinds: Some(kinds.collect()),
            exclude_team: Some(holdout.team.to_owned()),
            rate: 0.7,
            ..Self::days(seed, days, end_ms)
        }
    }

    pub(crate) fn kinds(&self) -> Vec<IncidentKind> {
        match &self.incident_kinds {
            Some(kinds) => kinds.iter().copied().collect(),
            None => IncidentKind::ALL.to_vec(),
        }
    }
}
