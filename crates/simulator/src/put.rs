//! Writing values straight into the byte buffer: no formatter, no intermediate string.

/// Something that writes itself, as it stands in a record, at the end of a buffer.
pub(crate) trait Put {
    fn put(&self, out: &mut Vec<u8>);
}

/// `put!(out; "literal", value, …)`: each part in order.
macro_rules! put {
    ($out:expr; $($part:expr),+ $(,)?) => {{
        let out: &mut Vec<u8> = $out;
        $( $crate::put::Put::put(&$part, out); )+
    }};
}
pub(crate) use put;

impl Put for &str {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Put for String {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Put for u64 {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut rest = *self;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        out.extend_from_slice(&digits[at..]);
    }
}

/// A number with leading zeros.
pub(crate) struct Padded(pub(crate) u64, pub(crate) usize);

impl Put for Padded {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + self.1, b'0');
        let mut rest = self.0;
        for slot in out[start..].iter_mut().rev() {
            *slot = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The `1` last digits of a number, in hexadecimal.
pub(crate) struct Hex(pub(crate) u128, pub(crate) usize);

impl Put for Hex {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + self.1, b'0');
        let mut rest = self.0;
        for slot in out[start..].iter_mut().rev() {
            *slot = HEX[(rest & 15) as usize];
            rest >>= 4;
        }
    }
}

/// A version 4 UUID of the given random bits.
pub(crate) struct Uuid(pub(crate) u128);

impl Put for Uuid {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        let bits = (self.0 & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        put!(
            out;
            Hex(bits >> 96, 8), "-", Hex(bits >> 80, 4), "-", Hex(bits >> 64, 4), "-", Hex(bits >> 48, 4), "-",
            Hex(bits, 12),
        );
    }
}

/// Letters and digits of an alphabet, drawn from a seed.
pub(crate) struct Letters(pub(crate) u64, pub(crate) usize, pub(crate) &'static [u8]);

/// As in AWS principal ids and access keys.
pub(crate) const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// As in GCP insert ids.
pub(crate) const LOWER: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// As in Okta, GitHub and token ids.
pub(crate) const MIXED: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl Put for Letters {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        let mut state = self.0;
        let mut left = 0;
        let mut bits = 0u64;
        for _ in 0..self.1 {
            if left == 0 {
                state = crate::rng::mix(state);
                bits = state;
                left = 8;
            }
            out.push(self.2[(bits & 0xff) as usize % self.2.len()]);
            bits >>= 8;
            left -= 1;
        }
    }
}

/// An IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ip(pub(crate) u32);

impl Put for Ip {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        let [a, b, c, d] = self.0.to_be_bytes();
        put!(out; u64::from(a), ".", u64::from(b), ".", u64::from(c), ".", u64::from(d));
    }
}

/// Appends `text` as the inside of a JSON string.
pub(crate) fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for (at, &byte) in text.iter().enumerate() {
        let replacement: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            _ => continue,
        };
        out.extend_from_slice(&text[from..at]);
        out.extend_from_slice(replacement);
        from = at + 1;
    }
    out.extend_from_slice(&text[from..]);
}
