//! Finding the end of a string, sixteen bytes at a time.

/// Offset at or after `from` of the first byte that a JSON string cannot hold as it is: a quote, a backslash or
/// a control character. The length of `bytes` when there is none.
#[inline]
pub(crate) fn special(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    #[cfg(target_arch = "x86_64")]
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        let mask = x86::special_mask(block);
        if mask != 0 {
            return at + mask.trailing_zeros() as usize;
        }
        at += 16;
    }
    #[cfg(not(target_arch = "x86_64"))]
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let mask = swar(u64::from_le_bytes(*block));
        if mask != 0 {
            return at + mask.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest
        .iter()
        .position(|byte| is_special(*byte))
        .unwrap_or(rest.len())
}

#[inline]
const fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// The high bit of each special byte, exact up to and including the first one.
#[cfg(any(test, not(target_arch = "x86_64")))]
const fn swar(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let has_quote = quote.wrapping_sub(ONES) & !quote;
    let has_slash = slash.wrapping_sub(ONES) & !slash;
    let has_control = word.wrapping_sub(ONES * 0x20) & !word;
    (has_quote | has_slash | has_control) & HIGHS
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };

    /// One bit a byte.
    #[inline]
    #[allow(
        unsafe_code,
        reason = "the load of sixteen bytes is the hot spot of the whole reader"
    )]
    pub(super) fn special_mask(block: &[u8; 16]) -> u32 {
        // SAFETY: SSE2 is part of every x86-64; the unaligned load reads the sixteen bytes of `block` and no more.
        unsafe {
            let bytes = _mm_loadu_si128(block.as_ptr().cast::<__m128i>());
            let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
            let slash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
            // Unsigned: a byte is a control character when the smaller of it and 0x1f is itself.
            let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
            _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), control)) as u32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place() {
        for byte in 0..=255u8 {
            for place in 0..40 {
                let mut text = [b'x'; 40];
                text[place] = byte;
                let expected = if is_special(byte) { place } else { 40 };
                assert_eq!(special(&text, 0), expected, "byte {byte} at {place}");
                let word = u64::from_le_bytes(*text.first_chunk::<8>().unwrap());
                let first = swar(word).trailing_zeros() as usize / 8;
                assert_eq!(first, if is_special(byte) && place < 8 { place } else { 8 });
            }
        }
        assert_eq!(special(b"", 0), 0);
        assert_eq!(special(b"ab", 7), 7, "past the end is the end");
    }
}
