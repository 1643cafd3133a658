//! What tells names apart without reading all of them.

/// The ends of a name, blind to the case of letters, and its length: two words, whatever the length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    /// The first eight bytes, the first of them lowest.
    head: u64,
    /// The last five bytes, the last of them highest, in the lower five bytes of the word.
    tail: u64,
    length: usize,
}

/// Of SplitMix64; with it the names of one event fall into classes of their own more often than with others of its kind.
const MULTIPLIER: u64 = 0xbf58_476d_1ce4_e5b9;

/// Without the bit that tells lower-case ASCII letters from upper-case ones.
const CASELESS: u64 = 0xdfdf_dfdf_dfdf_dfdf;

/// What of a head and a tail belongs to a name of so many bytes; the last entry is for all that are longer.
#[allow(
    clippy::indexing_slicing,
    reason = "what is made by the compiler cannot fail later"
)]
const ENDS: [(u64, u64); 9] = {
    let mut ends = [(0, 0); 9];
    let mut length = 1;
    while length < 9 {
        let of_tail = if length < Name::TAIL { length } else { Name::TAIL };
        ends[length] = (
            CASELESS >> (64 - 8 * length),
            (CASELESS >> (64 - 8 * of_tail)) << (8 * (Name::TAIL - of_tail)),
        );
        length += 1;
    }
    ends
};

impl Name {
    /// Bytes of a name's end that count.
    pub(crate) const TAIL: usize = 5;

    #[inline(always)]
    pub(crate) const fn of(name: &[u8]) -> Self {
        let length = name.len();
        let (head, tail) = if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail) >> 24)
        } else {
            let word = if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
                u32::from_le_bytes(*head) as u64 | (u32::from_le_bytes(*tail) as u64) << (8 * (length - 4))
            } else {
                match *name {
                    [first, second, third] => first as u64 | (second as u64) << 8 | (third as u64) << 16,
                    [first, second] => first as u64 | (second as u64) << 8,
                    [only] => only as u64,
                    _ => 0,
                }
            };
            let tail = if length < Self::TAIL {
                word << (8 * (Self::TAIL - length))
            } else {
                word >> (8 * (length - Self::TAIL))
            };
            (word, tail)
        };
        Self::between(head, tail, name.len())
    }

    /// Of eight bytes from its first on, and five up to its last with anything behind them; what does not belong to it is
    /// left out.
    #[inline(always)]
    pub(crate) const fn between(head: u64, tail: u64, length: usize) -> Self {
        let entry = if length < 8 { length } else { 8 };
        #[allow(
            clippy::indexing_slicing,
            reason = "there are nine entries, and this is at most the eighth after the first"
        )]
        let (of_head, of_tail) = ENDS[entry];
        Self {
            head: head & of_head,
            tail: tail & of_tail,
            length,
        }
    }

    /// Good enough to tell the names of one object apart, and blind to the case of letters, so that a name in another
    /// case is found in the same pass. Names with equal hashes are compared byte by byte.
    #[inline(always)]
    pub(crate) const fn hash(&self) -> u32 {
        let mixed =
            (self.head ^ self.tail.rotate_left(23) ^ (self.length as u64) << 56).wrapping_mul(MULTIPLIER);
        (mixed >> 32) as u32
    }

    /// How many different slots there are.
    pub(crate) const SLOTS: usize = 4096;

    /// A number for the first two letters and the last. Upper and lower case agree, and few others.
    #[inline(always)]
    pub(crate) const fn slot(&self) -> usize {
        let letters = self.head & 0x1f1f | self.tail >> 16 & 0x1f_0000;
        (letters.wrapping_mul(MULTIPLIER) >> 52) as usize
    }

    /// A bit for the last letter but one, of a name of at least two.
    #[inline(always)]
    pub(crate) const fn before_last(&self) -> u64 {
        Self::bit((self.tail >> 24) as u8)
    }

    /// A bit for a letter, digit or separator. Upper and lower case agree.
    #[inline(always)]
    pub(crate) const fn bit(letter: u8) -> u64 {
        1 << (letter & 31 | letter >> 1 & 32)
    }

    #[inline(always)]
    pub(crate) const fn length(&self) -> usize {
        self.length
    }
}

/// A set of names by 256 classes of their hashes: what is not in it is not among them, and few others are in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen(pub(crate) [u64; 4]);

impl Seen {
    /// Which word has a name's bit, and the bit.
    #[inline(always)]
    pub(crate) const fn place(hash: u32) -> (usize, u64) {
        (hash as usize >> 30, 1 << (hash >> 14 & 63))
    }

    #[inline(always)]
    fn meets(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        pairs.fold(0, |common, (left, right)| common | left & right) != 0
    }
}

/// Names that are looked for together, with what finds them.
#[derive(Clone, Copy, Debug)]
pub struct Names<const N: usize> {
    pub(crate) names: [(&'static str, u32); N],
    seen: Seen,
}

impl<const N: usize> Names<N> {
    /// These. To be made in a `const`, so that nothing is left to do where they are looked for.
    pub const fn new(names: [&'static str; N]) -> Self {
        let mut known = [("", 0); N];
        let mut seen = [0; 4];
        let mut at = 0;
        while at < N {
            #[allow(
                clippy::indexing_slicing,
                reason = "both have as many, and this is made by the compiler"
            )]
            {
                let hash = Name::of(names[at].as_bytes()).hash();
                known[at] = (names[at], hash);
                let (word, bit) = Seen::place(hash);
                seen[word] |= bit;
            }
            at += 1;
        }
        Self {
            names: known,
            seen: Seen(seen),
        }
    }

    /// Whether one of them may be among these.
    #[inline(always)]
    pub(crate) fn may_be_in(&self, seen: &Seen) -> bool {
        self.seen.meets(seen)
    }
}

/// The same for members that a document has seldom: most have none of them, which is seen at once.
#[macro_export]
macro_rules! rare_members {
    ($object:expr, $($name:literal),+ $(,)?) => {
        $object.all_rare(const { &$crate::Names::new([$($name),+]) })
    };
}

/// The members of an object by their names, in one walk: `members!(object, "a", "b")` is `[object.get("a"), object.get("b")]`.
#[macro_export]
macro_rules! members {
    ($object:expr, $($name:literal),+ $(,)?) => {
        $object.all(const { &$crate::Names::new([$($name),+]) })
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_a_name_does_not_count() {
        let text = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ\":\"0123456789";
        for start in 0..18 {
            for length in 0..26 - start {
                let name = &text[start..start + length];
                let head = u64::from_le_bytes(*text[start..].first_chunk().unwrap());
                let Some(before) = (start + length).checked_sub(Name::TAIL) else {
                    continue;
                };
                let tail = u64::from_le_bytes(*text[before..].first_chunk().unwrap());
                let between = Name::between(head, tail, length);
                let lower = name.to_ascii_lowercase();
                for alone in [Name::of(name), Name::of(&lower)] {
                    assert_eq!(between.hash(), alone.hash(), "{length} from {start}");
                    assert_eq!(between.slot(), alone.slot(), "{length} from {start}");
                }
            }
        }
    }

    #[test]
    fn names_differ_in_their_ends_and_their_length() {
        let names = [
            "",
            "a",
            "b",
            "ab",
            "ba",
            "aab",
            "abb",
            "nextToken",
            "nextTokem",
            "mextToken",
            "nextxToken",
        ];
        let hash = |name: &str| Name::of(name.as_bytes()).hash();
        let mut hashes: Vec<u32> = names.into_iter().map(hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), names.len());
    }
}
