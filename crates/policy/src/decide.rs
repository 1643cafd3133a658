use changegate_types::{Decision, RiskScore};

use crate::Thresholds;

/// Policy may tighten what the score says, never loosen it.
///
/// `policy_floor` is the strongest demand of the rules that matched; `Allow` where there are none. The environment is
/// no input here: whoever makes the floor asks [`crate::counts_as_production`], for which unknown is production.
pub fn decide(score: Option<RiskScore>, policy_floor: Decision, thresholds: &Thresholds) -> Decision {
    let by_score = match score {
        Some(score) => thresholds.classify(score),
        // A change that could not be scored is not a safe change.
        None => Decision::RequireApproval,
    };
    by_score.max(policy_floor)
}

#[cfg(test)]
mod tests {
    use Decision::{Allow, Deny, RequireApproval};
    use proptest::prelude::*;

    use super::*;
    use crate::RawThresholds;

    fn thresholds(approve_from: f32, deny_from: Option<f32>) -> Thresholds {
        RawThresholds {
            approve_from,
            deny_from,
        }
        .check()
        .unwrap()
    }

    #[test]
    fn the_whole_table() {
        let with_deny = thresholds(60.0, Some(90.0));
        let without_deny = thresholds(60.0, None);
        // (score, floor, decision with a deny threshold, decision without)
        let table = [
            (None, Allow, RequireApproval, RequireApproval),
            (None, RequireApproval, RequireApproval, RequireApproval),
            (None, Deny, Deny, Deny),
            (Some(0.0), Allow, Allow, Allow),
            (Some(0.0), RequireApproval, RequireApproval, RequireApproval),
            (Some(0.0), Deny, Deny, Deny),
            (Some(59.999), Allow, Allow, Allow),
            (Some(60.0), Allow, RequireApproval, RequireApproval),
            (Some(60.0), RequireApproval, RequireApproval, RequireApproval),
            (Some(60.0), Deny, Deny, Deny),
            (Some(89.999), Allow, RequireApproval, RequireApproval),
            (Some(90.0), Allow, Deny, RequireApproval),
            (Some(90.0), RequireApproval, Deny, RequireApproval),
            (Some(90.0), Deny, Deny, Deny),
            (Some(100.0), Allow, Deny, RequireApproval),
            // A score that is no number is 100 points, by `RiskScore::new`.
            (Some(f32::NAN), Allow, Deny, RequireApproval),
        ];
        for (points, floor, expected, expected_without) in table {
            let score = points.map(RiskScore::new);
            assert_eq!(decide(score, floor, &with_deny), expected, "{points:?} {floor:?}");
            assert_eq!(
                decide(score, floor, &without_deny),
                expected_without,
                "{points:?} {floor:?}"
            );
        }
    }

    fn any_floor() -> impl Strategy<Value = Decision> {
        prop_oneof![Just(Allow), Just(RequireApproval), Just(Deny)]
    }

    fn any_thresholds() -> impl Strategy<Value = Thresholds> {
        (0.0f32..99.0, proptest::option::of(0.01f32..=1.0)).prop_map(|(approve_from, share)| {
            let deny_from = share.map(|share| approve_from + (100.0 - approve_from) * share);
            thresholds(approve_from, deny_from)
        })
    }

    proptest! {
        #[test]
        fn a_higher_score_never_weakens_the_decision(
            a in 0.0f32..=100.0, b in 0.0f32..=100.0, floor in any_floor(), thresholds in any_thresholds(),
        ) {
            let (low, high) = (RiskScore::new(a.min(b)), RiskScore::new(a.max(b)));
            prop_assert!(decide(Some(low), floor, &thresholds) <= decide(Some(high), floor, &thresholds));
        }

        #[test]
        fn policy_never_loosens(
            points in proptest::option::of(0.0f32..=100.0), floor in any_floor(), thresholds in any_thresholds(),
        ) {
            let score = points.map(RiskScore::new);
            let decision = decide(score, floor, &thresholds);
            prop_assert!(decision >= floor);
            prop_assert!(decision >= decide(score, Allow, &thresholds));
        }

        #[test]
        fn lower_thresholds_never_weaken_the_decision(
            points in 0.0f32..=100.0, floor in any_floor(), a in any_thresholds(), b in any_thresholds(),
        ) {
            let strict = thresholds(
                a.approve_from().min(b.approve_from()),
                match (a.deny_from(), b.deny_from()) { (Some(a), Some(b)) => Some(a.min(b)), (a, b) => a.or(b) },
            );
            let score = Some(RiskScore::new(points));
            prop_assert!(decide(score, floor, &strict) >= decide(score, floor, &a));
            prop_assert!(decide(score, floor, &strict) >= decide(score, floor, &b));
        }

        #[test]
        fn the_rule_is_named_exactly_when_the_score_asks_for_more_than_allow(
            points in proptest::option::of(0.0f32..=100.0), thresholds in any_thresholds(),
        ) {
            let score = points.map(RiskScore::new);
            prop_assert_eq!(thresholds.rule(score).is_some(), decide(score, Allow, &thresholds) > Allow);
        }
    }
}
