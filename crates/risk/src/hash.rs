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
    let rest = chunks.remainder().len();
    if rest > 0 {
        hash = mix(hash, tail(bytes, rest));
    }
    hash
}

/// The last `rest` bytes (1 to 7) as a little-endian word: without a copy of a length that is known only here.
#[inline]
fn tail(bytes: &[u8], rest: usize) -> u64 {
    match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * rest),
        None => bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// How many bytes of a text its shape looks at.
const SHAPE_BYTES: usize = 192;

/// Hash of a text's shape: digits are left out, and so are whole words of hex digits that hold a digit (ids,
/// digests, versions). `i-0ab3f2`, `i-9de001` and `db-17`, `db-18` have one shape each.
///
/// Without it every new machine would be "a resource never seen", and every patch release "a new agent".
#[inline]
pub(crate) fn shape(seed: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut hash = seed;
    let mut word = 0u64;
    let mut letters = 0u32;
    // What kinds of byte the running word holds.
    let mut kinds = 0u8;
    for &byte in bytes.get(..SHAPE_BYTES).unwrap_or(bytes) {
        let kind = KINDS[usize::from(byte)];
        kinds |= kind;
        if kind & LETTER != 0 {
            word = word.rotate_left(7) ^ u64::from(byte);
            letters += 1;
            // A word longer than the lane is folded, or its first letters would be rotated over the last.
            if letters == 9 {
                hash = mix(hash, word);
                (word, letters) = (0, 0);
            }
        } else if kind == 0 {
            if is_name(kinds) {
                hash = mix(hash ^ word, u64::from(letters));
            }
            (word, letters, kinds) = (0, 0, 0);
        }
    }
    if is_name(kinds) {
        hash = mix(hash ^ word, u64::from(letters));
    }
    hash
}

const DIGIT: u8 = 1;
const LETTER: u8 = 2;
const BEYOND_HEX: u8 = 4;

/// What each byte is; 0 ends a word.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => LETTER,
            b'g'..=b'z' | b'G'..=b'Z' | 0x80.. => LETTER | BEYOND_HEX,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

/// Not only hex digits with a digit among them.
const fn is_name(kinds: u8) -> bool {
    kinds & BEYOND_HEX != 0 || kinds & DIGIT == 0
}

/// Shapes of the texts that came last. User agents are long and few, and comparing costs less than hashing.
#[derive(Debug)]
pub(crate) struct Shapes {
    seed: u64,
    known: Vec<(String, u64)>,
}

impl Shapes {
    /// Of texts whose shapes begin with `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            known: vec![(String::new(), shape(seed, "")); 256],
        }
    }

    /// [`shape`] of the text.
    #[inline]
    pub(crate) fn of(&mut self, text: &str) -> u64 {
        let ends = [
            text.as_bytes().first_chunk::<8>(),
            text.as_bytes().last_chunk::<8>(),
        ];
        let [first, last] = ends.map(|end| end.map_or(0, |end| u64::from_le_bytes(*end)));
        let place = mix(first ^ text.len() as u64, last) as usize & (self.known.len() - 1);
        let (known, of_known) = &mut self.known[place];
        if known != text {
            known.clear();
            known.push_str(text);
            *of_known = shape(self.seed, text);
        }
        *of_known
    }
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

    /// Counts in snapshots and actors in models are keyed by these values.
    #[test]
    fn the_functions_stay_as_they_are() {
        let texts = [
            "",
            "a",
            "ab12",
            "cafe1",
            "i-0ab3f2",
            "Terraform/1.9.5 (+https://www.terraform.io)",
            "é漢字-ünïcode-9",
        ];
        let hashes = texts.map(|text| (super::text(3, text), shape(3, text)));
        assert_eq!(hashes, EXPECTED);
    }

    const EXPECTED: [(u64, u64); 7] = [
        (0xa7217502fe661ff9, 0xa7217502fe661ff9),
        (0x1543e82661fb0e95, 0x70d66bef86b17775),
        (0x0a3b78d046502a44, 0x0000000000000003),
        (0x60b8d064a1a51dbd, 0x0000000000000003),
        (0x4c46722876951ce9, 0x2f9e752b75c162dc),
        (0xfcfc38c44ef4a82e, 0xb70d94a025c37d84),
        (0x25fdbc59a0f88524, 0x7224b2440d84ea4d),
    ];

    #[test]
    fn remembered_shapes_are_those_that_would_be_made() {
        let mut shapes = Shapes::new(8);
        for turn in 0..3_000u32 {
            let text = format!("agent-{}/1.{}", (b'a' + (turn % 26) as u8) as char, turn % 1_000);
            let text = &text[..text.len().min(turn as usize % 20)];
            assert_eq!(shapes.of(text), shape(8, text), "{text}");
        }
    }
}
