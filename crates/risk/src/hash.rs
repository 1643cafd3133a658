//! One 64-bit hash for every value that is counted. Stable for ever: counts in snapshots and actors in models are
//! keyed by it.

const K0: u64 = 0x9E37_79B9_7F4A_7C15;
const K1: u64 = 0xD6E8_FEB8_6659_FD93;

/// Mixes two words: the folded 128-bit product of wyhash.
#[inline]
pub(crate) const fn mix(a: u64, b: u64) -> u64 {
    let product = ((a ^ K0) as u128) * ((b ^ K1) as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Hash of a text, chained to `seed`, so that `("ab", "c")` and `("a", "bc")` differ.
#[inline]
pub(crate) fn text(seed: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut hash = mix(seed, bytes.len() as u64);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        hash = mix(hash, chunk.try_into().map_or(0, u64::from_le_bytes));
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut last = [0u8; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = mix(hash, u64::from_le_bytes(last));
    }
    hash
}

/// How many bytes of a text its shape looks at.
const SHAPE_BYTES: usize = 192;

/// Hash of a text's shape: digits are left out, and so are whole words of hex digits that hold a digit (ids,
/// digests, versions). `i-0ab3f2`, `i-9de001` and `db-17`, `db-18` have one shape each.
///
/// Without it every new machine would be "a resource never seen", and every patch release "a new agent".
#[inline]
pub(crate) fn shape(seed: u64, text: &str) -> u64 {
    let mut hash = seed;
    let mut word = 0u64;
    let mut letters = 0u32;
    let mut beyond_hex = false;
    let mut digit = false;
    for &byte in text.as_bytes().iter().take(SHAPE_BYTES) {
        match byte {
            b'0'..=b'9' => digit = true,
            b'a'..=b'f' | b'A'..=b'F' => {
                word = word.rotate_left(7) ^ u64::from(byte);
                letters += 1;
            }
            b'g'..=b'z' | b'G'..=b'Z' | 0x80.. => {
                word = word.rotate_left(7) ^ u64::from(byte);
                letters += 1;
                beyond_hex = true;
            }
            _ => {
                if beyond_hex || !digit {
                    hash = mix(hash ^ word, u64::from(letters));
                }
                (word, letters, beyond_hex, digit) = (0, 0, false, false);
            }
        }
        // A word longer than the lane is folded, or its first letters would be rotated over the last.
        if letters == 9 {
            hash = mix(hash, word);
            (word, letters) = (0, 0);
        }
    }
    if beyond_hex || !digit {
        hash = mix(hash ^ word, u64::from(letters));
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_versions_have_one_shape() {
        for (a, b) in [
            ("db-17", "db-18"),
            ("arn:aws:ec2:i-0ab3f2", "arn:aws:ec2:i-9de001"),
            ("aws-cli/2.13.1 Python/3.11", "aws-cli/2.14.0 Python/3.12"),
        ] {
            assert_eq!(shape(1, a), shape(1, b), "{a} {b}");
        }
        for (a, b) in [
            ("prod-db", "test-db"),
            ("face", "cafe"),
            ("aws-cli/2", "Boto3/2"),
            ("infrastructurea", "infrastructureb"),
        ] {
            assert_ne!(shape(1, a), shape(1, b), "{a} {b}");
        }
    }

    #[test]
    fn texts_are_chained() {
        assert_ne!(text(text(0, "ab"), "c"), text(text(0, "a"), "bc"));
        assert_ne!(text(0, ""), text(0, "\0"));
    }
}
