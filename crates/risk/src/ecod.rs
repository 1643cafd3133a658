//! ECOD with frozen distributions: how far out in its right tail each step lies, against the training rows.

use ndarray::ArrayView2;

use crate::codec::{Reader, Truncated, Writer};
use crate::feature::{FEATURES, Feature, Row, STEPS_MAX};

/// Beyond the largest step of training, each step more adds this much: order goes on where the sample ends.
const BEYOND: f32 = 1.0 / 64.0;

/// `-ln P(X >= step)` by feature and step, times the feature's weight.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ecod {
    tails: Vec<f32>,
}

impl Ecod {
    /// Counts the rows (`n x FEATURES` steps).
    pub(crate) fn fit(rows: ArrayView2<'_, u16>) -> Self {
        let mut tails = vec![0.0; FEATURES * STEPS_MAX];
        let total = rows.nrows() as f64;
        for (feature, tail) in tails.chunks_exact_mut(STEPS_MAX).enumerate() {
            let mut counts = [0u32; STEPS_MAX];
            for &step in rows.column(feature) {
                counts[usize::from(step).min(STEPS_MAX - 1)] += 1;
            }
            let last = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
            let mut at_least = 0u32;
            for step in (0..=last).rev() {
                at_least += counts[step];
                // An event that is scored counts itself in, as in the conformal p-value.
                tail[step] = -((f64::from(at_least) + 1.0) / (total + 1.0)).ln() as f32;
            }
            let rarest = (total + 1.0).ln() as f32;
            for (beyond, value) in tail[last + 1..].iter_mut().enumerate() {
                *value = rarest + BEYOND * beyond as f32;
            }
            let weight = Feature::ALL[feature].spec().weight;
            tail.iter_mut().for_each(|value| *value *= weight);
        }
        Self { tails }
    }

    /// The tail of one feature's step.
    #[inline]
    pub(crate) fn tail(&self, feature: Feature, step: u16) -> f32 {
        let at = feature as usize * STEPS_MAX + usize::from(step).min(STEPS_MAX - 1);
        self.tails.get(at).copied().unwrap_or(0.0)
    }

    /// Sum of the tails of a row, always added in the same order.
    #[inline]
    pub(crate) fn score(&self, row: &Row) -> f32 {
        let tails = self.tails.chunks_exact(STEPS_MAX);
        let steps = row.iter().map(|&step| usize::from(step) & (STEPS_MAX - 1));
        tails.zip(steps).map(|(tail, step)| tail[step]).sum()
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        for (tail, spec) in self.tails.chunks_exact(STEPS_MAX).zip(Feature::specs()) {
            tail[..usize::from(spec.steps)]
                .iter()
                .for_each(|&value| out.f32(value));
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Truncated> {
        let mut tails = vec![0.0; FEATURES * STEPS_MAX];
        for (tail, spec) in tails.chunks_exact_mut(STEPS_MAX).zip(Feature::specs()) {
            let mut last = 0.0;
            for (step, value) in tail.iter_mut().enumerate() {
                if step < usize::from(spec.steps) {
                    last = from.f32()?;
                }
                *value = last;
            }
        }
        Ok(Self { tails })
    }
}

/// A detector's output as `-ln P(output >= x)` against its training reference: what makes two detectors addable.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tail {
    /// Output and `-ln p`, both rising.
    knots: Vec<(f32, f32)>,
    /// `-ln p` per unit beyond the last knot.
    slope: f32,
}

const KNOTS: usize = 512;

impl Tail {
    /// Of the outputs on the training rows.
    ///
    /// # Panics
    /// Without outputs.
    pub(crate) fn fit(mut outputs: Vec<f32>) -> Self {
        assert!(!outputs.is_empty(), "a tail needs outputs");
        outputs.sort_by(f32::total_cmp);
        let n = outputs.len();
        let mut knots: Vec<(f32, f32)> = Vec::new();
        // Evenly spaced in -ln p: the tail is where it matters.
        let rarest = ((n + 1) as f64).ln();
        for knot in 0..KNOTS {
            let tail = rarest * knot as f64 / (KNOTS - 1) as f64;
            let at_least = ((-tail).exp() * (n + 1) as f64).round().max(1.0) as usize;
            let output = outputs[n - at_least.min(n)];
            if knots.last().is_none_or(|&(last, _)| output > last) {
                knots.push((output, -(at_least as f64 / (n + 1) as f64).ln() as f32));
            }
        }
        // An exponential tail through the upper 2 % of the sample.
        let from = outputs[n - (n / 50).max(1)];
        let last = outputs[n - 1];
        let span = f64::from(last - from).max(1e-3);
        let slope = (((n / 50).max(2) as f64).ln() / span) as f32;
        Self { knots, slope }
    }

    /// `-ln p`, strictly rising beyond the sample.
    #[inline]
    pub(crate) fn of(&self, output: f32) -> f32 {
        let after = self.knots.partition_point(|&(knot, _)| knot <= output);
        let Some(&(low, tail)) = self.knots.get(after.wrapping_sub(1)) else {
            return 0.0;
        };
        match self.knots.get(after) {
            Some(&(high, next)) => tail + (next - tail) * (output - low) / (high - low),
            None => tail + self.slope * (output - low),
        }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.f32(self.slope);
        out.u64(self.knots.len() as u64);
        for &(output, tail) in &self.knots {
            out.f32(output);
            out.f32(tail);
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Truncated> {
        let slope = from.f32()?;
        let count = from.count(8)?;
        let knots: Result<Vec<_>, _> = (0..count).map(|_| Ok((from.f32()?, from.f32()?))).collect();
        Ok(Self { knots: knots?, slope })
    }
}
