//! What tells names apart without reading all of them.

/// The ends of a name, and its length: two words, whatever the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The first bytes, the first of them lowest.
    head: u64,
    /// The last bytes, the last of them highest.
    tail: u64,
    length: usize,
}

impl Name {
    #[inline(always)]
    pub(crate) const fn of(name: &[u8]) -> Self {
        let length = name.len();
        let (head, tail) = if let (Some(head), Some(tail)) = (name.first_chunk::<8>(), name.last_chunk::<8>())
        {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (
                u32::from_le_bytes(*head) as u64,
                (u32::from_le_bytes(*tail) as u64) << 32,
            )
        } else {
            match *name {
                [first, middle, last] => (first as u64 | (middle as u64) << 8, (last as u64) << 56),
                [first, last] => (first as u64, (last as u64) << 56),
                [only] => (only as u64, (only as u64) << 56),
                _ => (0, 0),
            }
        };
        Self { head, tail, length }
    }

    /// Good enough to tell the names of one object apart, and blind to the case of letters, so that a name in another
    /// case is found in the same pass. Names with equal hashes are compared byte by byte.
    #[inline(always)]
    pub(crate) const fn hash(&self) -> u32 {
        /// Sets the bit that upper-case ASCII letters lack.
        const LOWER: u64 = 0x2020_2020_2020_2020;
        let (head, tail) = (self.head | LOWER, self.tail | LOWER);
        let mixed =
            (head ^ tail.rotate_left(23) ^ (self.length as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as u32
    }

    /// How many different slots there are.
    pub(crate) const SLOTS: usize = 4096;

    /// A number for the first two letters and the last. Upper and lower case agree, and few others.
    #[inline(always)]
    pub(crate) const fn slot(&self) -> usize {
        let letters = self.head & 0x1f1f | (self.tail >> 56 & 31) << 16;
        (letters.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize
    }

    #[inline(always)]
    pub(crate) const fn length(&self) -> usize {
        self.length
    }
}

/// A number for a name, blind to the case of letters: names of a few dozen differ in it, as a rule.
#[inline]
pub const fn name_hash(name: &str) -> u32 {
    Name::of(name.as_bytes()).hash()
}
