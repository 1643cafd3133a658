//! Decayed counts in fixed memory: one cache line of eight entries per bucket.

use crate::codec::{Reader, Truncated, Writer};

/// Entries of a bucket.
const WAYS: usize = 8;

/// Eight counts with the upper half of their keys' hashes. A tag of 0 is an empty place.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u32; WAYS],
    counts: [f32; WAYS],
}

const EMPTY: Bucket = Bucket {
    tags: [0; WAYS],
    counts: [0.0; WAYS],
};

/// Counts by key. When a bucket is full, its smallest count makes room: memory stays the same whatever comes in,
/// and what is forgotten looks new again, which errs on the side of caution.
///
/// Two keys share an entry with a chance of `8 / 2^32`.
#[derive(Debug)]
pub(crate) struct Table {
    buckets: Vec<Bucket>,
    held: usize,
    evicted: u64,
}

impl Table {
    /// Room for about `entries` counts, rounded up to a power of two.
    pub(crate) fn new(entries: usize) -> Self {
        let buckets = entries.div_ceil(WAYS).next_power_of_two();
        Self {
            buckets: vec![EMPTY; buckets],
            held: 0,
            evicted: 0,
        }
    }

    #[inline]
    fn place(&self, key: u64) -> (usize, u32) {
        let tag = (key >> 32) as u32;
        (key as usize & (self.buckets.len() - 1), tag.max(1))
    }

    /// The count, 0 if there is none.
    #[inline]
    pub(crate) fn get(&self, key: u64) -> f32 {
        let (bucket, tag) = self.place(key);
        let bucket = &self.buckets[bucket];
        // Without a branch, so that all ways are compared at once. At most one has the tag.
        let mut bits = 0;
        for way in 0..WAYS {
            let same = u32::from(bucket.tags[way] == tag).wrapping_neg();
            bits |= bucket.counts[way].to_bits() & same;
        }
        f32::from_bits(bits)
    }

    /// Adds to a count, makes it if `admit` says so. Says whether the key is counted now.
    #[inline]
    pub(crate) fn add(&mut self, key: u64, weight: f32, admit: bool) -> bool {
        let (bucket, tag) = self.place(key);
        let bucket = &mut self.buckets[bucket];
        if let Some(way) = bucket.tags.iter().position(|&known| known == tag) {
            bucket.counts[way] += weight;
            return true;
        }
        if !admit {
            return false;
        }
        let mut smallest = 0;
        for way in 1..WAYS {
            if bucket.counts[way] < bucket.counts[smallest] {
                smallest = way;
            }
        }
        if bucket.tags[smallest] == 0 {
            self.held += 1;
        } else {
            self.evicted += 1;
        }
        bucket.tags[smallest] = tag;
        bucket.counts[smallest] = weight;
        true
    }

    /// Multiplies every count; those that vanish free their place.
    pub(crate) fn scale(&mut self, factor: f32) {
        for bucket in &mut self.buckets {
            for way in 0..WAYS {
                bucket.counts[way] *= factor;
                if bucket.counts[way] < f32::MIN_POSITIVE {
                    bucket.counts[way] = 0.0;
                    bucket.tags[way] = 0;
                }
            }
        }
        self.held = self.counted();
    }

    /// How many counts are held.
    pub(crate) fn len(&self) -> usize {
        self.held
    }

    fn counted(&self) -> usize {
        let used = |bucket: &Bucket| bucket.tags.iter().filter(|&&tag| tag != 0).count();
        self.buckets.iter().map(used).sum()
    }

    /// How many counts were thrown out for others.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u64(self.buckets.len() as u64);
        out.u64(self.evicted);
        let used = self
            .buckets
            .iter()
            .enumerate()
            .filter(|(_, bucket)| **bucket != EMPTY);
        out.u64(used.clone().count() as u64);
        for (at, bucket) in used {
            out.u32(at as u32);
            bucket.tags.iter().for_each(|&tag| out.u32(tag));
            bucket.counts.iter().for_each(|&count| out.f32(count));
        }
    }

    /// Reads into a table of the same size; `None` where the sizes differ.
    pub(crate) fn read(&mut self, from: &mut Reader<'_>) -> Result<Option<()>, Truncated> {
        let (buckets, evicted, used) = (from.u64()?, from.u64()?, from.u64()?);
        if buckets != self.buckets.len() as u64 || used > buckets {
            return Ok(None);
        }
        self.buckets.fill(EMPTY);
        self.evicted = evicted;
        for _ in 0..used {
            let at = from.u32()? as usize;
            let Some(bucket) = self.buckets.get_mut(at) else {
                return Ok(None);
            };
            for tag in &mut bucket.tags {
                *tag = from.u32()?;
            }
            for count in &mut bucket.counts {
                *count = from.f32()?;
            }
        }
        self.held = self.counted();
        Ok(Some(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::mix;

    #[test]
    fn frequent_counts_outlive_a_flood() {
        let mut table = Table::new(1_024);
        for _ in 0..50 {
            (0..200).for_each(|key| assert!(table.add(mix(key, 1), 1.0, true)));
        }
        (0..1_000_000).for_each(|key| assert!(table.add(mix(key, 2), 1.0, true)));
        let kept = (0..200).filter(|&key| table.get(mix(key, 1)) == 50.0).count();
        assert!(kept >= 198, "{kept}");
        assert!(table.len() <= 1_024);
        assert_eq!(table.len(), table.counted());
        assert!(table.evicted() > 990_000);
    }

    #[test]
    fn scaling_lets_old_counts_vanish() {
        let mut table = Table::new(64);
        table.add(7 << 32, 1.0, true);
        table.add(8 << 32, 1e30, true);
        table.scale(1e-38);
        assert_eq!((table.get(7 << 32), table.len()), (0.0, 1));
        let mut bytes = Writer::default();
        table.write(&mut bytes);
        let mut again = Table::new(64);
        let read = again.read(&mut Reader::new(&bytes.bytes));
        assert_eq!((read.unwrap(), again.len()), (Some(()), 1));
        assert!(!table.add(9 << 32, 1.0, false));
    }
}
