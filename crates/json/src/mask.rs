//! Which bytes end a run of plain text, found 64 at a time before anything else is looked at.

/// One bit for each byte of a document: set where a JSON string cannot hold the byte as it is (a quote, a backslash or
/// a control character).
#[derive(Debug, Default)]
pub(crate) struct Masks(Vec<u64>);

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
        self.fill_in_blocks(bytes, plain::block)
    }

    #[inline]
    fn fill_in_blocks(&mut self, bytes: &[u8], block: impl Fn(&[u8; 64]) -> (u64, u64)) -> bool {
        self.0.clear();
        self.0.resize(bytes.len().div_ceil(64), 0);
        let mut not_ascii = 0;
        let (blocks, rest) = bytes.as_chunks::<64>();
        for (bytes, word) in blocks.iter().zip(&mut self.0) {
            let high;
            (*word, high) = block(bytes);
            not_ascii |= high;
        }
        if !rest.is_empty()
            && let Some(word) = self.0.last_mut()
        {
            // Filled up with what is not special.
            let mut last = [b' '; 64];
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            let high;
            (*word, high) = block(&last);
            not_ascii |= high;
        }
        not_ascii == 0
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn fill_avx2(&mut self, bytes: &[u8]) -> bool {
        self.fill_in_blocks(bytes, |block| x86::block(block))
    }

    /// How many bytes from `from` on are not special; more than there are where none is.
    #[inline(always)]
    pub(crate) fn plain(&self, from: usize) -> usize {
        let bits = self.0.get(from / 64).copied().unwrap_or(0) >> (from % 64);
        if bits == 0 {
            return self.plain_beyond(from);
        }
        bits.trailing_zeros() as usize
    }

    #[inline(never)]
    fn plain_beyond(&self, from: usize) -> usize {
        let words = self.0.get(from / 64 + 1..).unwrap_or_default();
        let mut plain = 64 - from % 64;
        for bits in words {
            if *bits != 0 {
                return plain + bits.trailing_zeros() as usize;
            }
            plain += 64;
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
        _mm256_or_si256, _mm256_set1_epi8,
    };

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn block(bytes: &[u8; 64]) -> (u64, u64) {
        let (low, high) = bytes.split_at(32);
        let ((low, low_high), (high, high_high)) = (half(low), half(high));
        (
            u64::from(low) | u64::from(high) << 32,
            u64::from(low_high) | u64::from(high_high) << 32,
        )
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn half(bytes: &[u8]) -> (u32, u32) {
        let Some(bytes) = bytes.first_chunk::<32>() else {
            return (0, 0);
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
        (
            _mm256_movemask_epi8(special) as u32,
            _mm256_movemask_epi8(bytes) as u32,
        )
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
                assert_eq!(plain.fill_in_blocks(&text, plain::block), byte < 0x80);
                assert!(expected.contains(&fast.plain(0)), "byte {byte} at {place}");
                assert_eq!(fast.0, plain.0);
                assert!(place + 1 + fast.plain(place + 1) >= 150, "past it is the end");
            }
        }
        let mut masks = Masks::default();
        assert!(masks.fill(b""));
        assert!(masks.plain(0) > 0 && masks.plain(7) > 0);
    }
}
