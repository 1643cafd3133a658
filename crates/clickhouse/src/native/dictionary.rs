use std::hash::BuildHasher as _;
use std::ops::Range;

use hashbrown::HashTable;
use rapidhash::fast::RandomState;

/// Version of the layout that stands before the column: dictionaries that are made anew for each block.
pub(super) const LAYOUT: [u8; 8] = 1_u64.to_le_bytes();
/// The block brings keys of its own (1 << 9), and nothing of a dictionary before it counts (1 << 10).
const OWN_KEYS: u64 = 0x600;

/// The values of a `LowCardinality` column: each once, and which one each row has.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// The keys as they are written, lengths included.
    keys: Vec<u8>,
    /// Where each key ends.
    ends: Vec<usize>,
    known: HashTable<u32>,
    hasher: RandomState,
    indexes: Vec<u32>,
    /// The last row's key, and where it stands in `keys`.
    last: u32,
    last_at: Range<usize>,
    head: Vec<u8>,
    /// The count of indexes and they, in the narrowest numbers that hold them.
    packed: Vec<u8>,
}

impl Dictionary {
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.ends.clear();
        self.known.clear();
        self.indexes.clear();
        self.last_at = 0..0;
    }

    #[inline(always)]
    pub(super) fn push(&mut self, key: &[u8]) {
        // Neighbours are often equal: comparing them costs less than a hash.
        // No key is of no bytes, so before the first there is none that is equal.
        if !is_same(&self.keys[self.last_at.clone()], key) {
            self.last = self.index(key);
            self.last_at = range_of(&self.ends, self.last);
        }
        self.indexes.push(self.last);
    }

    fn index(&mut self, key: &[u8]) -> u32 {
        let Self {
            keys,
            ends,
            known,
            hasher,
            ..
        } = self;
        let hash = hasher.hash_one(key);
        let found = known.entry(
            hash,
            |index| key_at(keys, ends, *index) == key,
            |index| hasher.hash_one(key_at(keys, ends, *index)),
        );
        match found {
            hashbrown::hash_table::Entry::Occupied(known) => *known.get(),
            hashbrown::hash_table::Entry::Vacant(place) => {
                let index = ends.len() as u32;
                place.insert(index);
                keys.extend_from_slice(key);
                ends.push(keys.len());
                index
            }
        }
    }

    /// No more keys come.
    pub(super) fn finish(&mut self) {
        self.head.clear();
        self.packed.clear();
        // Of no values nothing is written, not even that there are none.
        if self.indexes.is_empty() {
            return;
        }
        self.packed
            .extend_from_slice(&(self.indexes.len() as u64).to_le_bytes());
        // 0: UInt8, 1: UInt16, 2: UInt32.
        let width = match self.ends.len() {
            ..=0x100 => {
                self.packed.extend(self.indexes.iter().map(|index| *index as u8));
                0
            }
            0x101..=0x1_0000 => {
                let indexes = self.indexes.iter().map(|index| *index as u16);
                indexes.for_each(|index| self.packed.extend_from_slice(&index.to_le_bytes()));
                1
            }
            _ => {
                let indexes = self.indexes.iter();
                indexes.for_each(|index| self.packed.extend_from_slice(&index.to_le_bytes()));
                2
            }
        };
        self.head.extend_from_slice(&(OWN_KEYS | width).to_le_bytes());
        self.head
            .extend_from_slice(&(self.ends.len() as u64).to_le_bytes());
    }

    pub(super) fn pieces(&self) -> [&[u8]; 3] {
        [&self.head, &self.keys, &self.packed]
    }
}

/// Many are empty: their length is one byte, and worth no call.
#[inline(always)]
fn is_same(left: &[u8], right: &[u8]) -> bool {
    match (left, right) {
        ([left], [right]) => left == right,
        _ => left == right,
    }
}

fn key_at<'k>(keys: &'k [u8], ends: &[usize], index: u32) -> &'k [u8] {
    &keys[range_of(ends, index)]
}

fn range_of(ends: &[usize], index: u32) -> Range<usize> {
    let index = index as usize;
    let from = index.checked_sub(1).map_or(0, |before| ends[before]);
    from..ends[index]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: u32) -> Dictionary {
        let mut dictionary = Dictionary::default();
        (0..count).for_each(|number| dictionary.push(&number.to_le_bytes()));
        dictionary.push(&0_u32.to_le_bytes());
        dictionary.finish();
        dictionary
    }

    #[test]
    fn numbers_are_as_wide_as_the_keys_are_many() {
        for (count, width, bytes) in [
            (1, 0, 1),
            (256, 0, 1),
            (257, 1, 2),
            (65_536, 1, 2),
            (65_537, 2, 4),
        ] {
            let dictionary = of(count);
            let [head, keys, packed] = dictionary.pieces();
            assert_eq!(head[0], width, "{count}");
            assert_eq!(head[8..12], count.to_le_bytes(), "{count}");
            assert_eq!(keys.len(), count as usize * 4);
            assert_eq!(packed[..4], (count + 1).to_le_bytes());
            assert_eq!(packed.len(), 8 + (count as usize + 1) * bytes);
            assert_eq!(
                packed[packed.len() - bytes..],
                [0; 4][..bytes],
                "the last key is the first"
            );
        }
    }
}
