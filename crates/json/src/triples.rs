//! Finding the places where one of a few dozen sequences of three bytes may stand, 32 places at a time.
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
        if bytes.len() >= x86::BLOCK && std::is_x86_feature_detected!("avx2") {
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
        _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8, _mm256_setzero_si256,
        _mm256_shuffle_epi8, _mm256_srli_epi16,
    };

    /// What one block of 32 places needs: the two bytes after it too.
    pub(super) const BLOCK: usize = 34;

    #[target_feature(enable = "avx2")]
    pub(super) fn each(halves: &[[[u8; 16]; 2]; 3], bytes: &[u8], mut found: impl FnMut(usize)) {
        let mut from = 0;
        while let (at, mut places @ 1..) = next(halves, bytes, from) {
            while places != 0 {
                found(at + places.trailing_zeros() as usize);
                places &= places - 1;
            }
            from = at + 32;
        }
    }

    /// The first block at or after `from` with a place where a sequence may stand, and a bit for each such place; 0 where
    /// there is none. Apart from what looks closer, so that the tables stay in registers.
    #[inline(never)]
    #[target_feature(enable = "avx2")]
    fn next(halves: &[[[u8; 16]; 2]; 3], bytes: &[u8], from: usize) -> (usize, u32) {
        let tables = halves.each_ref().map(|[low, high]| (table(low), table(high)));
        let places = |block: &[u8; BLOCK]| {
            let [first, second, third] = &tables;
            let one = look_up(first, load(block, 0));
            let two = look_up(second, load(block, 1));
            let three = look_up(third, load(block, 2));
            let bits = _mm256_and_si256(_mm256_and_si256(one, two), three);
            !(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bits, _mm256_setzero_si256())) as u32)
        };
        let mut at = from;
        while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
            let places = places(block);
            if places != 0 {
                return (at, places);
            }
            at += 32;
        }
        // What is left has fewer places than a block: the last block of all begins among those that were read.
        match bytes.last_chunk::<BLOCK>() {
            Some(block) if at < bytes.len() => {
                let read = at + BLOCK - bytes.len();
                (at, places(block).checked_shr(read as u32).unwrap_or(0))
            }
            _ => (at, 0),
        }
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

    /// 32 bytes of the block, from its first, second or third.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(block: &[u8; BLOCK], from: usize) -> __m256i {
        assert!(from <= BLOCK - 32);
        #[allow(unsafe_code, reason = "32 bytes at a time are what makes this fast")]
        // SAFETY: with `from` at most 2, as asserted, the 32 bytes from there end within the 34 of the block.
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
            &[b"\x7f\0\n"],
        ]);
        for length in 0..140 {
            for sequence in [&b"ab_"[..], b"xy_", b"://", b"\x7f\0\n"] {
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
