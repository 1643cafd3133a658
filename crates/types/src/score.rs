use crate::{ChangeEvent, Digest, TimeMicros};

/// Risk in points, 0 to 100: `-20 * log10(p)` of a conformal p-value. 40 = one benign change in 100 looks as odd.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct RiskScore(f32);

impl RiskScore {
    /// Clamps to 0..=100. NaN becomes 100: what cannot be scored is not safe.
    pub const fn new(points: f32) -> Self {
        if points.is_nan() {
            Self(100.0)
        } else {
            Self(points.clamp(0.0, 100.0))
        }
    }

    /// Points.
    pub const fn points(self) -> f32 {
        self.0
    }
}

/// OCSF `risk_level_id` with its names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RiskLevel {
    /// Below 20 points.
    #[default]
    Info = 0,
    /// From 20.
    Low = 1,
    /// From 40: one benign change in 100.
    Medium = 2,
    /// From 60: one in 1,000.
    High = 3,
    /// From 80: one in 10,000.
    Critical = 4,
}

impl RiskLevel {
    /// The level of a score.
    pub fn of(risk: RiskScore) -> Self {
        match risk.points() {
            points if points >= 80.0 => Self::Critical,
            points if points >= 60.0 => Self::High,
            points if points >= 40.0 => Self::Medium,
            points if points >= 20.0 => Self::Low,
            _ => Self::Info,
        }
    }

    /// OCSF caption.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "Info",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }
}

/// Why a change scored as it did: one feature, in words, with the counts behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason<'a> {
    /// Name of the feature.
    pub feature: &'a str,
    /// "first time that this actor does DeleteTrail: 0 of 1,243 before, 2 of 41,003 by its peers".
    pub text: &'a str,
    /// Share of the raw score, in its unit.
    pub contribution: f32,
}

/// What the model says of one change.
#[derive(Clone, Copy, Debug)]
pub struct Score<'a> {
    /// Calibrated risk.
    pub risk: RiskScore,
    /// Beyond what the calibration sample can show: the fitted tail speaks.
    pub extrapolated: bool,
    /// The model's own ranking score; breaks ties.
    pub raw: f32,
    /// Which calibration stratum, for example `human/production`.
    pub stratum: &'a str,
    /// The stratum (or the whole scorer) has not yet seen what its learning phase asks for.
    pub learning: bool,
    /// Each feature's step on the model's grid, in the order of `features.json`.
    pub features: &'a [u16],
    /// Strongest first.
    pub reasons: &'a [Reason<'a>],
}

/// What is to happen with a change. The order is the strength: policy may move up, never down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Decision {
    /// Goes ahead.
    Allow = 0,
    /// A person must look: before it happens at a gate, afterwards in a review.
    RequireApproval = 1,
    /// Must not happen.
    Deny = 2,
}

impl Decision {
    /// The name in tables and requests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::RequireApproval => "require_approval",
            Self::Deny => "deny",
        }
    }
}

/// What a decision was made with. Constant over the life of a process.
#[derive(Clone, Debug, Default)]
pub struct Versions {
    /// `name@version`.
    pub model_name: String,
    /// Of the model files.
    pub model_hash: Digest,
    /// Of the calibration file.
    pub calibration_hash: Digest,
    /// Of the thresholds and rules.
    pub policy_hash: Digest,
    /// Of the settings that change what a row says.
    pub config_hash: Digest,
    /// Version of the program.
    pub program_version: String,
}

/// A change with its score and decision: what becomes a row of `changes`.
#[derive(Clone, Copy, Debug)]
pub struct DecidedChange<'a> {
    /// The event.
    pub event: &'a ChangeEvent<'a>,
    /// `None`: could not be scored, so it needs approval.
    pub score: Option<Score<'a>>,
    /// Outcome.
    pub decision: Decision,
    /// What led to it, for example `risk>=60`, `unscored`.
    pub rules: &'a [&'a str],
    /// When.
    pub decision_time: TimeMicros,
}
