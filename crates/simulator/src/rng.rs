//! One small generator for everything: xoshiro256++ seeded by splitmix64. No state outside of it, so a seed
//! decides every byte on every machine.

/// The seeded generator of the simulator.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: [u64; 4],
}

/// One step of splitmix64: also used to derive stable ids from (seed, tag, index).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        let a = mix(seed);
        let b = mix(a);
        let c = mix(b);
        Self {
            state: [a, b, c, mix(c)],
        }
    }

    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number in `0..bound`; 0 for a bound of 0.
    #[inline]
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..high`; `low` where the range is empty.
    #[inline]
    pub(crate) fn range(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low).max(0) as u64) as i64
    }

    #[inline]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    #[inline]
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// # Panics
    /// On an empty list: every list of the simulator is a constant or built with its first member.
    #[inline]
    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// An index in `0..len` with the early ones far more likely, as habits are.
    #[inline]
    pub(crate) fn skewed(&mut self, len: usize) -> usize {
        let u = self.unit();
        ((u * u * len as f64) as usize).min(len.saturating_sub(1))
    }

    /// A whole number whose mean is `mean`: the floor, and one more by chance.
    pub(crate) fn around(&mut self, mean: f64) -> u32 {
        let spread = mean * (0.6 + 0.8 * self.unit());
        let floor = spread.floor();
        floor as u32 + u32::from(self.chance(spread - floor))
    }
}
