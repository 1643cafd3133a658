//! From a ranking score to risk in points: the share of benign changes that look at least as odd.
//!
//! `risk = -20 * log10(p)`, with `p = (1 + how many of the calibration sample score as high) / (n + 1)`. What the
//! sample cannot show follows a generalised Pareto tail, strictly rising. Beyond 90 points the scale is compressed
//! towards 100, so that the order goes on where the scale ends.

use serde::{Deserialize, Serialize};

use crate::facts::{ActorKind, Facts};

/// Fewer calibration changes than this, and a stratum borrows the distribution of its parent.
pub const STRATUM_MIN: usize = 3_000;
/// Where the compression towards 100 begins.
const COMPRESS_FROM: f64 = 90.0;
/// Knots that fewer than this reach are all kept; further down each is a hundredth rarer than the one before.
const THINNED_FROM: u64 = 200;
/// Share of the sample that the tail is fitted on.
const TAIL_SHARE: f64 = 0.05;

/// Kind of actor and environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stratum(pub(crate) u8);

/// How many strata there are: three kinds in and outside production.
pub const STRATA: usize = 6;

impl Stratum {
    /// Of an actor and an environment.
    pub const fn new(kind: ActorKind, production: bool) -> Self {
        Self(kind as u8 * 2 + production as u8)
    }

    pub(crate) fn of(facts: &Facts) -> Self {
        Self::new(facts.kind, facts.production)
    }

    /// Every stratum.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..STRATA as u8).map(Self)
    }

    /// `human/production`.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "human/other",
            1 => "human/production",
            2 => "service/other",
            3 => "service/production",
            4 => "break_glass/other",
            _ => "break_glass/production",
        }
    }

    /// The stratum of a name in a row.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|stratum| stratum.name() == name)
    }

    /// The strata whose changes stand for this one, itself first: the kind in any environment, then everything.
    fn parents(self) -> [(&'static str, Vec<u8>); 3] {
        let kind = self.0 & !1;
        let name = ActorKind::from_byte(self.0 / 2).name();
        [
            (self.name(), vec![self.0]),
            (name, vec![kind, kind + 1]),
            ("all", (0..STRATA as u8).collect()),
        ]
    }
}

/// False-positive rate at a threshold: what the sample showed and what it allows to promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateAt {
    /// Threshold in points.
    pub points: f32,
    /// How many of the sample reach it.
    pub reached: u64,
    /// With 95 % confidence the true rate is below this (Clopper-Pearson).
    pub rate_upper_95: f64,
}

/// The distribution of one stratum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// Whose changes it is made of: the stratum, or the parent it fell back to.
    pub of: String,
    /// Which strata those are, by number.
    pub strata: Vec<u8>,
    /// Sample size.
    pub n: u64,
    /// `(score, how many of the sample score at least this)`, scores rising. Thinned downwards: between two knots the
    /// larger count holds, so that thinning never raises a risk.
    pub knots: Vec<(f32, u64)>,
    /// Threshold of the tail.
    pub tail_from: f32,
    /// Scale of the tail.
    pub tail_scale: f64,
    /// Shape of the tail, 0 (exponential) to 0.5.
    pub tail_shape: f64,
    /// Promised rates.
    pub rates: Vec<RateAt>,
}

/// What a score means in its stratum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibrated {
    /// Points, 0 to just below 100.
    pub points: f32,
    /// Beyond the sample.
    pub extrapolated: bool,
}

/// Curves of all strata: `calibration.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Version of the layout.
    pub schema_version: u32,
    /// By stratum.
    pub curves: Vec<Curve>,
}

impl Calibration {
    /// From ranking scores of benign changes with their strata.
    ///
    /// # Panics
    /// Without scores.
    pub fn fit(scores: &[(Stratum, f32)]) -> Self {
        assert!(!scores.is_empty(), "a calibration needs scores");
        let curve = |stratum: Stratum| {
            let mut chosen = None;
            for (name, strata) in stratum.parents() {
                let of_these = scores.iter().filter(|(of, _)| strata.contains(&of.0));
                let sample: Vec<f32> = of_these.map(|&(_, score)| score).collect();
                let enough = sample.len() >= STRATUM_MIN;
                chosen = Some((name, strata, sample));
                if enough {
                    break;
                }
            }
            let (name, strata, sample) = chosen.unwrap_or_default();
            Curve::fit(name, strata, sample)
        };
        Self {
            schema_version: crate::SCHEMA_VERSION,
            curves: Stratum::all().map(curve).collect(),
        }
    }

    /// The curve of a stratum.
    pub fn curve(&self, stratum: Stratum) -> Option<&Curve> {
        self.curves.get(usize::from(stratum.0))
    }

    /// Risk of a score.
    pub fn risk(&self, stratum: Stratum, score: f32) -> Calibrated {
        match self.curve(stratum) {
            Some(curve) => curve.risk(score),
            // `Model::load` refuses a file without all curves; what cannot be judged is not safe.
            None => Calibrated {
                points: 100.0,
                extrapolated: true,
            },
        }
    }
}

impl Curve {
    fn fit(name: &str, strata: Vec<u8>, mut sample: Vec<f32>) -> Self {
        sample.sort_by(f32::total_cmp);
        let n = sample.len();
        let last = sample.last().copied().unwrap_or(0.0);
        let tail = (n as f64 * TAIL_SHARE).ceil().max(2.0) as usize;
        let tail_from = sample[n.saturating_sub(tail).min(n.saturating_sub(1))];
        let excesses: Vec<f64> = sample
            .iter()
            .filter(|&&score| score > tail_from)
            .map(|&score| f64::from(score - tail_from))
            .collect();
        let (tail_scale, tail_shape) = fit_tail(&excesses);
        let mut knots: Vec<(f32, u64)> = Vec::new();
        let mut at = 0;
        while at < n {
            let score = sample[at];
            let first = sample.partition_point(|&other| other < score);
            if knots.last().is_none_or(|&(last, _)| score > last) {
                knots.push((score, (n - first) as u64));
            }
            at += ((n - at) / (THINNED_FROM as usize / 2)).max(1);
        }
        if knots.last().is_some_and(|&(top, _)| top < last) {
            knots.push((last, 1));
        }
        let mut curve = Self {
            of: name.to_owned(),
            strata,
            n: n as u64,
            knots,
            tail_from,
            tail_scale,
            tail_shape,
            rates: Vec::new(),
        };
        curve.rates = [40.0f32, 60.0, 80.0]
            .into_iter()
            .map(|points| {
                let reached = sample.iter().filter(|&&score| curve.risk(score).points >= points);
                let reached = reached.count() as u64;
                RateAt {
                    points,
                    reached,
                    rate_upper_95: upper_rate(reached, n as u64),
                }
            })
            .collect();
        curve
    }

    /// Risk of a score on this curve.
    pub fn risk(&self, score: f32) -> Calibrated {
        if score.is_nan() {
            return Calibrated {
                points: 100.0,
                extrapolated: true,
            };
        }
        let n = self.n as f64;
        let last = self.knots.last().map_or(f32::NEG_INFINITY, |&(last, _)| last);
        if score > last {
            let shown = -20.0 * (1.0 / (n + 1.0)).log10();
            let beyond = self.tail_points(score) - self.tail_points(last);
            return Calibrated {
                points: compress(shown + beyond),
                extrapolated: true,
            };
        }
        // Whoever scores at least as high is counted at the next knot up. Only where knots are thinned may there be some
        // in the gap: then the knot below, which counts them too.
        let above = self.knots.partition_point(|&(knot, _)| knot < score);
        let next = self.knots.get(above).map_or((f32::INFINITY, 0), |&knot| knot);
        let below = above.checked_sub(1).and_then(|below| self.knots.get(below));
        let at_least = match below {
            _ if next.0 == score => next.1,
            Some(&(_, count)) if count >= THINNED_FROM => count,
            Some(_) => next.1,
            None => self.n,
        };
        let p = (1.0 + at_least as f64) / (n + 1.0);
        Calibrated {
            points: compress((-20.0 * p.min(1.0).log10()).max(0.0)),
            extrapolated: false,
        }
    }

    /// Points of the fitted tail above its threshold.
    fn tail_points(&self, score: f32) -> f64 {
        let excess = f64::from(score - self.tail_from).max(0.0);
        let nats = if self.tail_shape < 1e-6 {
            excess / self.tail_scale
        } else {
            (self.tail_shape * excess / self.tail_scale).ln_1p() / self.tail_shape
        };
        20.0 * nats / std::f64::consts::LN_10
    }
}

/// The identity up to [`COMPRESS_FROM`], then towards 100 without ever reaching it.
fn compress(points: f64) -> f32 {
    let excess = points - COMPRESS_FROM;
    if excess <= 0.0 {
        return points as f32;
    }
    let room = 100.0 - COMPRESS_FROM;
    // By way of the logarithm, so that f32 still tells apart what lies far out.
    let far = (excess / room).ln_1p();
    (COMPRESS_FROM + room * far / (1.0 + far)) as f32
}

/// Generalised Pareto by probability-weighted moments (Hosking and Wallis 1987); the shape is held to 0..0.5, because a
/// negative one would end the scale at a score that is only larger than any seen so far.
fn fit_tail(excesses: &[f64]) -> (f64, f64) {
    let n = excesses.len() as f64;
    if excesses.is_empty() {
        return (1.0, 0.0);
    }
    let mean = excesses.iter().sum::<f64>() / n;
    if excesses.len() < 20 || mean <= 0.0 {
        return (mean.max(1e-3), 0.0);
    }
    let weighted = |(at, excess): (usize, &f64)| excess * (n - 1.0 - at as f64) / (n - 1.0);
    let first = excesses.iter().enumerate().map(weighted).sum::<f64>() / n;
    let shape = 2.0 - mean / (mean - 2.0 * first).max(1e-9);
    let shape = shape.clamp(0.0, 0.5);
    ((mean * (1.0 - shape)).max(1e-3), shape)
}

/// Upper end of the one-sided 95 % Clopper-Pearson interval, by bisection on the binomial distribution.
fn upper_rate(reached: u64, n: u64) -> f64 {
    if reached >= n {
        return 1.0;
    }
    let (mut low, mut high) = (reached as f64 / n as f64, 1.0);
    for _ in 0..60 {
        let rate = f64::midpoint(low, high);
        if binomial_at_most(reached, n, rate) > 0.05 {
            low = rate;
        } else {
            high = rate;
        }
    }
    high
}

fn binomial_at_most(k: u64, n: u64, rate: f64) -> f64 {
    let odds = (rate / (1.0 - rate)).ln();
    let mut log_term = n as f64 * (-rate).ln_1p();
    let mut sum = log_term.exp();
    for i in 0..k {
        log_term += ((n - i) as f64 / (i + 1) as f64).ln() + odds;
        sum += log_term.exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exponential(n: usize) -> Vec<f32> {
        (0..n).map(|i| -(((i as f32) + 0.5) / n as f32).ln()).collect()
    }

    #[test]
    fn points_say_how_rare_a_score_is() {
        let curve = Curve::fit("all", vec![0], exponential(10_000));
        for (share, points) in [(0.1f32, 20.0f32), (0.01, 40.0), (0.001, 60.0)] {
            let got = curve.risk(-share.ln()).points;
            // Counting oneself in and thinning both err downwards.
            assert!(got <= points + 0.1 && got > points - 2.0, "{share}: {got}");
        }
        // The fitted tail of exponential scores goes on in a straight line.
        let beyond = curve.risk(-(3e-5f32).ln());
        assert!(
            beyond.extrapolated && (83.0..93.0).contains(&beyond.points),
            "{beyond:?}"
        );
    }

    #[test]
    fn small_strata_borrow_from_their_parents() {
        let mut scores: Vec<_> = exponential(4_000).into_iter().map(|s| (Stratum(0), s)).collect();
        scores.extend(exponential(10).into_iter().map(|s| (Stratum(1), s)));
        scores.extend(exponential(10).into_iter().map(|s| (Stratum(5), s)));
        let calibration = Calibration::fit(&scores);
        let of = |stratum: u8| calibration.curves[usize::from(stratum)].of.as_str();
        assert_eq!(
            (of(0), of(1), of(5), of(3)),
            ("human/other", "human", "all", "all")
        );
    }

    #[test]
    fn p_counts_exactly_those_that_score_as_high() {
        let sample = exponential(2_000);
        let curve = Curve::fit("all", vec![0], sample.clone());
        for score in sample
            .iter()
            .flat_map(|score| [*score, score + 1e-6, score - 1e-6])
        {
            let at_least = sample.iter().filter(|&&other| other >= score).count();
            let exact = (-20.0 * ((1.0 + at_least as f32) / 2_001.0).log10()).max(0.0);
            let got = curve.risk(score);
            let thinned = if at_least < 190 { 1e-3 } else { 0.2 };
            assert!(got.extrapolated || (got.points <= exact + 1e-3 && got.points >= exact - thinned));
        }
    }

    #[test]
    fn the_upper_rate_is_that_of_the_tables() {
        assert!((upper_rate(0, 100) - 0.029_513).abs() < 1e-5);
        assert!((upper_rate(5, 1_000) - 0.010_48).abs() < 2e-5);
        assert_eq!(upper_rate(3, 3), 1.0);
    }

    proptest! {
        #[test]
        fn a_higher_score_never_means_less_risk(mut scores in prop::collection::vec(0.0f32..200.0, 2..40), n in 50usize..5_000) {
            let curve = Curve::fit("all", vec![0], exponential(n));
            scores.sort_by(f32::total_cmp);
            for pair in scores.windows(2) {
                let (low, high) = (curve.risk(pair[0]), curve.risk(pair[1]));
                prop_assert!(low.points <= high.points && high.points < 100.0);
                if low.extrapolated && pair[1] - pair[0] > 0.02 {
                    prop_assert!(low.points < high.points, "{:?}: {low:?} {high:?}", pair);
                }
            }
        }
    }
}
