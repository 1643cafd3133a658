use changegate_types::{Decision, RiskScore};

/// The rule of a change that could not be scored.
pub const UNSCORED: &str = "unscored";

/// Thresholds as the config spells them, unchecked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawThresholds {
    /// From this many risk points on, a change needs approval.
    pub approve_from: f32,
    /// From this many risk points on, a change is denied. `None`: nothing is denied by its score.
    pub deny_from: Option<f32>,
}

impl Default for RawThresholds {
    /// One benign change in 1,000 asks, none is denied.
    fn default() -> Self {
        Self {
            approve_from: 60.0,
            deny_from: None,
        }
    }
}

/// Why thresholds are refused.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Not `0 <= approve_from <= 100`.
    #[error("approve_from must be risk points from 0 to 100, found {0}")]
    ApproveFrom(f32),
    /// Not `approve_from < deny_from <= 100`.
    #[error(
        "deny_from must lie above approve_from ({approve_from}) and be 100 at most, found {deny_from}; leave it out to deny nothing"
    )]
    DenyFrom {
        /// The threshold below it.
        approve_from: f32,
        /// What was found.
        deny_from: f32,
    },
}

impl RawThresholds {
    /// The only way to a [`Thresholds`]: `0 <= approve_from < deny_from <= 100`, in risk points. NaN fails too.
    ///
    /// # Errors
    /// Names the threshold that is out of order.
    pub fn check(self) -> Result<Thresholds, Error> {
        let Self {
            approve_from,
            deny_from,
        } = self;
        if !(0.0..=100.0).contains(&approve_from) {
            return Err(Error::ApproveFrom(approve_from));
        }
        if let Some(deny_from) = deny_from {
            let ordered = approve_from < deny_from && deny_from <= 100.0;
            if !ordered {
                return Err(Error::DenyFrom {
                    approve_from,
                    deny_from,
                });
            }
        }
        Ok(Thresholds {
            approve_from,
            deny_from,
            approve_rule: format!("risk>={approve_from}"),
            deny_rule: deny_from.map(|points| format!("risk>={points}")),
        })
    }
}

/// Checked thresholds: `0 <= approve_from < deny_from <= 100`.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    approve_from: f32,
    deny_from: Option<f32>,
    approve_rule: String,
    deny_rule: Option<String>,
}

impl Default for Thresholds {
    fn default() -> Self {
        RawThresholds::default()
            .check()
            .expect("the default thresholds are in order")
    }
}

impl Thresholds {
    /// What the score alone asks for.
    pub fn classify(&self, score: RiskScore) -> Decision {
        let points = score.points();
        match self.deny_from {
            Some(deny_from) if points >= deny_from => Decision::Deny,
            _ if points >= self.approve_from => Decision::RequireApproval,
            _ => Decision::Allow,
        }
    }

    /// The rule by which the score asks for more than `Allow`, as it stands in the ledger's `rules`: `risk>=60`,
    /// [`UNSCORED`].
    pub fn rule(&self, score: Option<RiskScore>) -> Option<&str> {
        let Some(score) = score else {
            return Some(UNSCORED);
        };
        match self.classify(score) {
            Decision::Allow => None,
            Decision::RequireApproval => Some(&self.approve_rule),
            Decision::Deny => self.deny_rule.as_deref(),
        }
    }

    /// Risk points from which a change needs approval.
    pub const fn approve_from(&self) -> f32 {
        self.approve_from
    }

    /// Risk points from which a change is denied, if any are.
    pub const fn deny_from(&self) -> Option<f32> {
        self.deny_from
    }

    /// One spelling of the thresholds for `policy_hash`: equal exactly when every decision is equal.
    pub fn canonical(&self) -> String {
        match self.deny_from {
            Some(deny_from) => format!("approve_from={};deny_from={deny_from}", self.approve_from),
            None => format!("approve_from={};deny_from=off", self.approve_from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(approve_from: f32, deny_from: Option<f32>) -> Result<Thresholds, Error> {
        RawThresholds {
            approve_from,
            deny_from,
        }
        .check()
    }

    #[test]
    fn what_is_out_of_order_is_refused() {
        for approve_from in [-0.1, 100.1, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(
                matches!(check(approve_from, None), Err(Error::ApproveFrom(_))),
                "{approve_from}"
            );
        }
        for deny_from in [60.0, 59.0, 100.1, -1.0, f32::NAN, f32::INFINITY] {
            assert!(
                matches!(check(60.0, Some(deny_from)), Err(Error::DenyFrom { .. })),
                "{deny_from}"
            );
        }
        assert!(check(0.0, None).is_ok());
        assert!(check(100.0, None).is_ok());
        assert!(check(60.0, Some(100.0)).is_ok());
    }

    #[test]
    fn rules_and_canonical_spelling() {
        let thresholds = check(60.0, Some(92.5)).unwrap();
        assert_eq!(thresholds.rule(None), Some("unscored"));
        assert_eq!(thresholds.rule(Some(RiskScore::new(10.0))), None);
        assert_eq!(thresholds.rule(Some(RiskScore::new(60.0))), Some("risk>=60"));
        assert_eq!(thresholds.rule(Some(RiskScore::new(99.0))), Some("risk>=92.5"));
        assert_eq!(thresholds.canonical(), "approve_from=60;deny_from=92.5");
        assert_eq!(Thresholds::default().canonical(), "approve_from=60;deny_from=off");
    }
}
