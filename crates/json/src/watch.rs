//! What whoever reads a document wants to look at again, noted while it is read anyway.

use std::ops::RangeInclusive;

use crate::name::Name;

/// Names by four letters and their length, and strings by their first byte. Coarse: what is noted may be what is looked for.
#[derive(Clone, Debug)]
pub struct Watch {
    /// For each slot of a name a bit for each length, modulo 32.
    lengths: [u32; Name::SLOTS],
    /// For each slot a bit for each last letter but one. Asked only where the length fits.
    before_last: [u64; Name::SLOTS],
    firsts: [bool; 256],
    /// Those that count only before certain bytes, with each of these.
    pairs: Vec<[u8; 2]>,
}

/// Nothing is noted but names with escapes in them.
pub(crate) static NOTHING: Watch = Watch {
    lengths: [0; Name::SLOTS],
    before_last: [0; Name::SLOTS],
    firsts: [false; 256],
    pairs: Vec::new(),
};

impl Default for Watch {
    /// For nothing.
    fn default() -> Self {
        NOTHING.clone()
    }
}

impl Watch {
    /// Notes names with the first two letters of this one and its last two, in any case, if they are of such a length; the
    /// last but one may also be one of `others`.
    pub fn add_name(&mut self, name: &[u8], others: &[u8], lengths: RangeInclusive<usize>) {
        let name = Name::of(name);
        if let Some(bits) = self.lengths.get_mut(name.slot()) {
            for length in lengths {
                *bits |= 1 << (length % 32);
            }
        }
        if let Some(bits) = self.before_last.get_mut(name.slot()) {
            *bits |= name.before_last();
            for other in others {
                *bits |= Name::bit(*other);
            }
        }
    }

    /// Notes strings that begin with this byte, and with one of `seconds` after it; with any where there are none.
    pub fn add_first(&mut self, first: u8, seconds: &[u8]) {
        if let Some(is_watched) = self.firsts.get_mut(usize::from(first)) {
            *is_watched = true;
        }
        self.pairs.extend(seconds.iter().map(|second| [first, *second]));
    }

    /// Whether a name is noted.
    #[inline]
    pub fn may_be_name(&self, name: &[u8]) -> bool {
        let name = Name::of(name);
        self.name(&name) && self.name_closer(&name)
    }

    #[inline(always)]
    pub(crate) fn name(&self, name: &Name) -> bool {
        let lengths = self.lengths.get(name.slot()).copied().unwrap_or(0);
        lengths >> (name.length() % 32) & 1 == 1
    }

    /// The same of what [`name`](Self::name) lets through, which is little.
    pub(crate) fn name_closer(&self, name: &Name) -> bool {
        let before_last = self.before_last.get(name.slot()).copied().unwrap_or(0);
        before_last & name.before_last() != 0
    }

    #[inline(always)]
    pub(crate) fn string(&self, first: u8) -> bool {
        self.firsts.get(usize::from(first)).copied().unwrap_or(false)
    }

    /// The same of what [`string`](Self::string) lets through.
    pub(crate) fn string_closer(&self, start: [u8; 2]) -> bool {
        let mut seconds = self
            .pairs
            .iter()
            .filter(|pair| pair.first() == start.first())
            .peekable();
        seconds.peek().is_none() || seconds.any(|pair| *pair == start)
    }
}
