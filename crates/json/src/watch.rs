//! What whoever reads a document wants to look at again, noted while it is read anyway.

/// Names by their ends and length, and strings by their first byte. Coarse: what is noted may be what is looked for.
#[derive(Clone, Debug)]
pub struct Watch {
    /// For each [`ends`](Self::ends) a bit for each length below 64.
    lengths: [u64; Self::ENDS],
    /// A bit for each first byte of a string.
    firsts: [u64; 4],
}

/// Nothing is noted but names with escapes in them.
pub(crate) static NOTHING: Watch = Watch {
    lengths: [0; Watch::ENDS],
    firsts: [0; 4],
};

impl Watch {
    /// How many different ends there are.
    pub const ENDS: usize = 32 * 32;

    /// Notes names whose length has its bit in the word of their ends, and strings that begin with one of these bytes.
    pub fn new(lengths: [u64; Self::ENDS], firsts: impl IntoIterator<Item = u8>) -> Self {
        let mut watch = Self {
            lengths,
            firsts: [0; 4],
        };
        for first in firsts {
            if let Some(word) = watch.firsts.get_mut(usize::from(first >> 6)) {
                *word |= 1 << (first & 63);
            }
        }
        watch
    }

    /// The first and last letter, modulo 32: upper and lower case agree.
    #[inline]
    pub fn ends(name: &[u8]) -> usize {
        let (first, last) = (name.first().unwrap_or(&0), name.last().unwrap_or(&0));
        usize::from(first & 31) << 5 | usize::from(last & 31)
    }

    #[inline]
    pub(crate) fn name(&self, name: &[u8]) -> bool {
        let lengths = self.lengths.get(Self::ends(name)).copied().unwrap_or(0);
        name.len() < 64 && lengths >> name.len() & 1 == 1
    }

    #[inline]
    pub(crate) fn string(&self, first: u8) -> bool {
        let word = self.firsts.get(usize::from(first >> 6)).copied().unwrap_or(0);
        word >> (first & 63) & 1 == 1
    }
}
