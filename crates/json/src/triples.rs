//! Finding the places where one of a few dozen sequences of three bytes may stand; with AVX2, 64 places at a time.
//!
//! The method is that of Teddy (Intel's Hyperscan): a byte's two halves are looked up in tables of sixteen, each entry
//! has a bit for each of eight groups, and a place where a bit survives all six look-ups may begin a member of that group.

/// Up to eight groups of sequences. Those of one group should be alike, since their bytes are mixed.
#[derive(Clone, Debug)]
pub struct Triples {
    /// For each of the three places: by the low half of a byte, by the high half.
    halves: [[[u8; 16]; 2]; 3],
}

impl Triples {
    /// Finds the members of these groups.
    ///
    /// # Panics
    /// On a sequence that is not ASCII: the fast way would never find it.
    pub fn new(groups: &[&[&[u8; 3]]; 8]) -> Self {
        let mut sequences = groups.iter().copied().flatten();
        assert!(sequences.all(|sequence| sequence.is_ascii()));
        let mut halves = [[[0; 16]; 2]; 3];
        for (group, sequences) in groups.iter().enumerate() {
            for sequence in *sequences {
                for (byte, [low, high]) in sequence.iter().zip(&mut halves) {
                    for (table, half) in [(low, byte & 15), (high, byte >> 4)] {
                        if let Some(entry) = table.get_mut(usize::from(half)) {
                            *entry |= 1 << group;
                        }
                    }
                }
            }
        }
        Self { halves }
    }

    /// Hands on each offset where a sequence may stand, in order: all where one does, and few more.
    #[inline]
    pub fn each(&self, bytes: &[u8], mut found: impl FnMut(usize)) {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            #[allow(
                unsafe_code,
                reason = "the one way to call what another processor would not know"
            )]
            // SAFETY: the processor has just been asked for AVX2.
            return unsafe { x86::each(&self.halves, bytes, found) };
        }
        for (at, sequence) in bytes.windows(3).enumerate() {
            if self.may_be(sequence) {
                found(at);
            }
        }
    }

    #[inline]
    fn may_be(&self, sequence: &[u8]) -> bool {
        let bits = sequence
            .iter()
            .zip(&self.halves)
            .fold(u8::MAX, |bits, (byte, [low, high])| {
                let look_up = |table: &[u8; 16], half: u8| table.get(usize::from(half)).copied().unwrap_or(0);
                bits & look_up(low, byte & 15) & look_up(high, byte >> 4)
            });
        bits != 0
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8,
        _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_setzero_si256,
        _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_testz_si256,
    };

    const PLACES: usize = 64;
    /// What so many places need: the two bytes after them too.
    const BLOCK: usize = PLACES + 2;

    #[target_feature(enable = "avx2")]
    pub(super) fn each(halves: &[[[u8; 16]; 2]; 3], bytes: &[u8], mut found: impl FnMut(usize)) {
        let mut from = 0;
        while let (at, mut places @ 1..) = next(halves, bytes, from) {
            while places != 0 {
                found(at + places.trailing_zeros() as usize);
                places &= places - 1;
            }
            from = at + PLACES;
        }
    }

    /// The first block at or after `from` with a place where a sequence may stand, and a bit for each such place; 0 where
    /// there is none. Apart from what looks closer, so that the tables stay in registers.
    #[inline(never)]
    #[target_feature(enable = "avx2")]
    fn next(halves: &[[[u8; 16]; 2]; 3], bytes: &[u8], from: usize) -> (usize, u64) {
        let tables = halves.each_ref().map(|[low, high]| (table(low), table(high)));
        let half = |block: &[u8; BLOCK], from: usize| {
            let [first, second, third] = &tables;
            let one = look_up(first, load(block, from));
            let two = look_up(second, load(block, from + 1));
            let three = look_up(third, load(block, from + 2));
            _mm256_and_si256(_mm256_and_si256(one, two), three)
        };
        let both = |block: &[u8; BLOCK]| [half(block, 0), half(block, PLACES / 2)];
        let mut at = from;
        while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
            let [low, high] = both(block);
            let any = _mm256_or_si256(low, high);
            if _mm256_testz_si256(any, any) == 0 {
                return (at, places([low, high]));
            }
            at += PLACES;
        }
        if at >= bytes.len() {
            return (at, 0);
        }
        // What is left has fewer places than a block: the last block of all begins among those that were read.
        if let Some(block) = bytes.last_chunk() {
            let read = at + BLOCK - bytes.len();
            return (at, places(both(block)).checked_shr(read as u32).unwrap_or(0));
        }
        if at > 0 || bytes.len() < 3 {
            return (at, 0);
        }
        let mut block = [0; BLOCK];
        block.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        // A sequence that ends behind the bytes is none.
        let behind = (BLOCK - bytes.len()) as u32;
        (at, (places(both(&block)) << behind) >> behind)
    }

    /// A bit for each byte that is not zero.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn places(bits: [__m256i; 2]) -> u64 {
        let [low, high] = bits.map(|bits| {
            let none = _mm256_cmpeq_epi8(bits, _mm256_setzero_si256());
            !(_mm256_movemask_epi8(none) as u32)
        });
        u64::from(low) | u64::from(high) << 32
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn look_up(tables: &(__m256i, __m256i), bytes: __m256i) -> __m256i {
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(15));
        // Four bits of each byte name the entry, and a byte beyond ASCII, which stands in no sequence, gets none.
        _mm256_and_si256(
            _mm256_shuffle_epi8(tables.0, bytes),
            _mm256_shuffle_epi8(tables.1, high),
        )
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn table(entries: &[u8; 16]) -> __m256i {
        #[allow(unsafe_code, reason = "a table is loaded into a register as it stands")]
        // SAFETY: the unaligned load reads the sixteen bytes of `entries` and no more.
        let entries = unsafe { _mm_loadu_si128(entries.as_ptr().cast::<__m128i>()) };
        _mm256_broadcastsi128_si256(entries)
    }

    /// 32 bytes of the block.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(block: &[u8; BLOCK], from: usize) -> __m256i {
        assert!(from <= BLOCK - 32);
        #[allow(unsafe_code, reason = "32 bytes at a time are what makes this fast")]
        // SAFETY: as asserted, the 32 bytes from there end within the block.
        unsafe {
            _mm256_loadu_si256(block.as_ptr().add(from).cast::<__m256i>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_in_every_length_is_found() {
        let triples = Triples::new(&[
            &[b"ab_", b"xy_"],
            &[b"://"],
            &[],
            &[],
            &[],
            &[],
            &[],
            &[b"\x7f\0\n", b"a\0\0"],
        ]);
        for length in 0..210 {
            for sequence in [&b"ab_"[..], b"xy_", b"://", b"\x7f\0\n", b"a\0\0"] {
                for place in 0..length {
                    let mut text = vec![b'-'; length];
                    text.iter_mut()
                        .skip(place)
                        .zip(sequence)
                        .for_each(|(to, from)| *to = *from);
                    let mut found = Vec::new();
                    triples.each(&text, |at| found.push(at));
                    let expected: Vec<_> = if place + 3 <= length {
                        vec![place]
                    } else {
                        Vec::new()
                    };
                    assert_eq!(found, expected, "length {length} place {place}");
                }
            }
        }
    }

    #[test]
    fn the_fast_way_finds_what_the_plain_way_finds() {
        let triples = Triples::new(&[&[b"abc"], &[b"bca"], &[b"cab"], &[b"aaa"], &[], &[], &[], &[]]);
        let mut word = 1u64;
        let text: Vec<u8> = (0..5_000)
            .map(|_| {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                b"abcdqrs\xe1\xe2"[(word >> 33) as usize % 9]
            })
            .collect();
        let mut fast = Vec::new();
        triples.each(&text, |at| fast.push(at));
        let plain: Vec<_> = text
            .windows(3)
            .enumerate()
            .filter(|(_, sequence)| triples.may_be(sequence))
            .map(|(at, _)| at)
            .collect();
        assert_eq!(fast, plain);
        assert!(fast.len() > 20);
    }
}
