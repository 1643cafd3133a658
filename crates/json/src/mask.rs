//! Which bytes end a run of plain text, found 64 at a time before anything else is looked at.

/// One bit for each byte of a document: set where a JSON string cannot hold the byte as it is (a quote, a backslash or
/// a control character).
#[derive(Debug, Default)]
pub(crate) struct Masks(Vec<u64>);

/// Fills the masks by blocks of 64 bytes. What the blocks say of bytes that are not ASCII, joined.
macro_rules! fill_in_blocks {
    ($masks:expr, $bytes:expr, $block:path, $join:path) => {{
        let (blocks, rest) = $bytes.as_chunks::<64>();
        let words = &mut $masks.0;
        words.clear();
        words.resize(blocks.len() + 1, 0);
        let (mut special, mut not_ascii);
        (special, not_ascii) = match $bytes.last_chunk() {
            // Most of this block is read with the one before.
            Some(last) => {
                let (special, not_ascii) = $block(last);
                (special.unbounded_shr(64 - rest.len() as u32), not_ascii)
            }
            None => {
                // Filled up with what is not special.
                let mut last = [b' '; 64];
                last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                $block(&last)
            }
        };
        if let Some(word) = words.last_mut() {
            *word = special;
        }
        for (bytes, word) in blocks.iter().zip(&mut *words) {
            let more;
            (special, more) = $block(bytes);
            *word = special;
            not_ascii = $join(not_ascii, more);
        }
        not_ascii
    }};
}

impl Masks {
    /// Reads `bytes`. Returns whether all of them are ASCII.
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> bool {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            #[allow(
                unsafe_code,
                reason = "the one way to call what another processor would not know"
            )]
            // SAFETY: the processor has just been asked for AVX2.
            return unsafe { self.fill_avx2(bytes) };
        }
        self.fill_plain(bytes) == 0
    }

    fn fill_plain(&mut self, bytes: &[u8]) -> u64 {
        fill_in_blocks!(self, bytes, plain::block, std::ops::BitOr::bitor)
    }

    /// The same loop: what is made for one processor goes into nothing that is made for all.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn fill_avx2(&mut self, bytes: &[u8]) -> bool {
        let not_ascii = fill_in_blocks!(self, bytes, x86::block, x86::join);
        x86::is_ascii(not_ascii)
    }

    /// What was found.
    pub(crate) fn words(&self) -> Words<'_> {
        Words(&self.0)
    }
}

/// The masks of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'m>(&'m [u64]);

impl Words<'_> {
    /// How many bytes from `from` on are not special; more than there are where none is.
    #[inline(always)]
    pub(crate) fn plain(self, from: u32) -> u32 {
        if let Some(word) = self.0.get(from as usize / 64) {
            let bits = word >> (from % 64);
            if bits != 0 {
                return bits.trailing_zeros();
            }
        }
        self.plain_beyond(from)
    }

    #[inline(never)]
    fn plain_beyond(self, from: u32) -> u32 {
        let mut next = from as usize / 64 + 1;
        let mut plain = 64 - from % 64;
        while let Some(bits) = self.0.get(next) {
            if *bits != 0 {
                return plain + bits.trailing_zeros();
            }
            plain += 64;
            next += 1;
        }
        plain
    }
}

/// A bit for each special byte, and one for each that is not ASCII.
mod plain {
    pub(super) fn block(bytes: &[u8; 64]) -> (u64, u64) {
        let mut special = 0;
        let mut high = 0;
        for (at, byte) in bytes.iter().enumerate() {
            special |= u64::from(matches!(byte, b'"' | b'\\' | 0..0x20)) << at;
            high |= u64::from(byte >> 7) << at;
        }
        (special, high)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_set1_epi8, _mm256_setzero_si256,
    };

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn block(bytes: &[u8; 64]) -> (u64, __m256i) {
        let (low, high) = bytes.split_at(32);
        let ((low, low_bytes), (high, high_bytes)) = (half(low), half(high));
        (
            u64::from(low) | u64::from(high) << 32,
            join(low_bytes, high_bytes),
        )
    }

    /// The high bits say which bytes are not ASCII.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn join(left: __m256i, right: __m256i) -> __m256i {
        _mm256_or_si256(left, right)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn is_ascii(joined: __m256i) -> bool {
        _mm256_movemask_epi8(joined) == 0
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn half(bytes: &[u8]) -> (u32, __m256i) {
        let Some(bytes) = bytes.first_chunk::<32>() else {
            return (0, _mm256_setzero_si256());
        };
        #[allow(
            unsafe_code,
            reason = "the load of 32 bytes is the hot spot of the whole reader"
        )]
        // SAFETY: the unaligned load reads the 32 bytes of `bytes` and no more.
        let bytes = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast::<__m256i>()) };
        let quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'"' as i8));
        let slash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\\' as i8));
        // Unsigned: a byte is a control character when the smaller of it and 0x1f is itself.
        let control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes);
        let special = _mm256_or_si256(_mm256_or_si256(quote, slash), control);
        (_mm256_movemask_epi8(special) as u32, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_in_both_ways() {
        for byte in 0..=255u8 {
            for place in 0..150 {
                let mut text = [b'x'; 150];
                text[place] = byte;
                let is_special = byte == b'"' || byte == b'\\' || byte < 0x20;
                let expected = if is_special { place..=place } else { 150..=192 };
                let (mut fast, mut plain) = (Masks::default(), Masks::default());
                assert_eq!(fast.fill(&text), byte < 0x80);
                assert_eq!(plain.fill_plain(&text) == 0, byte < 0x80);
                assert!(
                    expected.contains(&(fast.words().plain(0) as usize)),
                    "byte {byte} at {place}"
                );
                assert_eq!(fast.0, plain.0);
                let after = place as u32 + 1;
                assert!(after + fast.words().plain(after) >= 150, "past it is the end");
            }
        }
        let mut masks = Masks::default();
        assert!(masks.fill(b""));
        assert!(masks.words().plain(0) > 0 && masks.words().plain(7) > 0);
    }
}
