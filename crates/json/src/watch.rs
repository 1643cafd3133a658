//! What whoever reads a document wants to look at again, noted while it is read anyway.

use std::ops::RangeInclusive;

use crate::name::Name;

/// Names by three letters and their length, and strings by their first byte. Coarse: what is noted may be what is looked for.
#[derive(Clone, Debug)]
pub struct Watch {
    /// For each slot of a name a bit for each length, modulo 32.
    lengths: [u32; Name::SLOTS],
    firsts: [bool; 256],
}

/// Nothing is noted but names with escapes in them.
pub(crate) static NOTHING: Watch = Watch {
    lengths: [0; Name::SLOTS],
    firsts: [false; 256],
};

impl Default for Watch {
    /// For nothing.
    fn default() -> Self {
        NOTHING.clone()
    }
}

impl Watch {
    /// Notes names with the first two letters of this one and its last, in any case, if they are of such a length.
    pub fn add_name(&mut self, name: &[u8], lengths: RangeInclusive<usize>) {
        if let Some(bits) = self.lengths.get_mut(Name::of(name).slot()) {
            for length in lengths {
                *bits |= 1 << (length % 32);
            }
        }
    }

    /// Notes strings that begin with this byte.
    pub fn add_first(&mut self, first: u8) {
        if let Some(is_watched) = self.firsts.get_mut(usize::from(first)) {
            *is_watched = true;
        }
    }

    /// Whether a name is noted.
    #[inline]
    pub fn may_be_name(&self, name: &[u8]) -> bool {
        self.name(&Name::of(name))
    }

    #[inline(always)]
    pub(crate) fn name(&self, name: &Name) -> bool {
        let lengths = self.lengths.get(name.slot()).copied().unwrap_or(0);
        lengths >> (name.length() % 32) & 1 == 1
    }

    #[inline(always)]
    pub(crate) fn string(&self, first: u8) -> bool {
        self.firsts.get(usize::from(first)).copied().unwrap_or(false)
    }
}
