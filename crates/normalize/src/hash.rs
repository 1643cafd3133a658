//! The keyed 128-bit hash behind `event_uid`, `content_hash` and `change_uid`.
//!
//! It tells same from different, under a key that senders don't know; evidence rests on SHA-256 (`raw_hash`). It
//! stands on the hot path: a folded 64 by 64 bit multiplication (Yann Collet's and Wang Yi's "mum" step) in two
//! lanes over 16 bytes at a time. Its values are stored, so it never changes without a new version of the key.

use changegate_json::{Kind, Leaves, Value};
use changegate_types::Keyed128;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Six secret words, from the tenant's key.
#[derive(Clone)]
pub(crate) struct IdentityKey([u64; 6]);

/// A hash of parts to which further parts come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    seed: u64,
    sum: u128,
}

#[inline]
const fn fold(left: u64, right: u64) -> u64 {
    let product = left as u128 * right as u128;
    product as u64 ^ (product >> 64) as u64
}

impl IdentityKey {
    /// Derived with HMAC-SHA256, so that the words say nothing about the key that masks secrets.
    pub(crate) fn derive(tenant_key: &[u8]) -> Self {
        let mut words = [0; 6];
        for (counter, word) in (0u8..).zip(&mut words) {
            let digest = hmac_sha256(tenant_key, &[b"changegate identity v1", &[counter]]);
            // Odd: no word is zero, which a multiplication would carry into its result.
            *word = digest
                .first_chunk::<8>()
                .map_or(1, |head| u64::from_le_bytes(*head))
                | 1;
        }
        Self(words)
    }

    /// One lane; for names and paths.
    #[inline(always)]
    fn short(&self, seed: u64, bytes: &[u8]) -> u64 {
        let [k0, k1, k2, ..] = self.0;
        let mut lane = seed ^ k0;
        let (low, high) = each_block(bytes, |low, high| lane = fold(low ^ k1, high ^ lane));
        fold(fold(low ^ k1, high ^ lane) ^ bytes.len() as u64, k2)
    }

    /// Two lanes; for values. The lower half is [`short`](Self::short).
    #[inline(always)]
    fn long(&self, seed: u64, bytes: &[u8]) -> u128 {
        let [k0, k1, k2, k3, k4, k5] = self.0;
        let (mut left, mut right) = (seed ^ k0, seed.rotate_left(32) ^ k3);
        let (low, high) = each_block(bytes, |low, high| {
            left = fold(low ^ k1, high ^ left);
            right = fold(high ^ k4, low ^ right);
        });
        let length = bytes.len() as u64;
        left = fold(fold(low ^ k1, high ^ left) ^ length, k2);
        right = fold(fold(high ^ k4, low ^ right) ^ length, k5);
        u128::from(left) | u128::from(right) << 64
    }

    /// Path of an array's item.
    #[inline]
    fn item(&self, path: u64, number: u64) -> u64 {
        let [_, _, k2, ..] = self.0;
        fold(path ^ number, k2)
    }

    /// Hash of parts in their order. Their borders count: `["ab", "c"]` is not `["a", "bc"]`.
    pub(crate) fn parts<'p>(&self, domain: &str, parts: impl IntoIterator<Item = &'p [u8]>) -> Keyed128 {
        self.after(&self.begin(domain, []), parts)
    }

    /// The state after the first parts, where many hashes begin alike.
    pub(crate) fn begin<'p>(&self, domain: &str, parts: impl IntoIterator<Item = &'p [u8]>) -> Begun {
        let seed = self.short(0, domain.as_bytes());
        let sum = self.long(seed, b"");
        self.absorb(Begun { seed, sum }, parts)
    }

    /// Hash of what was begun and these parts.
    pub(crate) fn after<'p>(&self, begun: &Begun, parts: impl IntoIterator<Item = &'p [u8]>) -> Keyed128 {
        Keyed128(self.absorb(*begun, parts).sum)
    }

    #[inline]
    fn absorb<'p>(&self, begun: Begun, parts: impl IntoIterator<Item = &'p [u8]>) -> Begun {
        let Begun { mut seed, mut sum } = begun;
        for part in parts {
            // Many parts are empty, and of them the compiler knows all but the seed.
            let both = if part.is_empty() {
                self.long(seed, b"")
            } else {
                self.long(seed, part)
            };
            sum = sum.wrapping_add(both);
            seed = both as u64;
        }
        Begun { seed, sum }
    }

    /// Hash over the leaves below `value`: the path and the spelling of each, in any order.
    pub(crate) fn content(&self, value: Value<'_>) -> Keyed128 {
        // Not the word that seeds begin with: the first multiplication would have a zero on one side.
        let [.., root] = self.0;
        let mut all = Sum { key: self, sum: 0 };
        value.leaves(root, &mut all);
        Keyed128(all.sum)
    }
}

/// The sum over leaves.
struct Sum<'k> {
    key: &'k IdentityKey,
    sum: u128,
}

impl<'a> Leaves<'a> for Sum<'_> {
    type Path = u64;

    #[inline(always)]
    fn member(&self, path: u64, name: &str) -> u64 {
        self.key.short(path, name.as_bytes())
    }

    #[inline(always)]
    fn item(&self, path: u64, number: u64) -> u64 {
        self.key.item(path, number)
    }

    /// The kind keeps "1" and 1 apart.
    #[inline(always)]
    fn leaf(&mut self, path: u64, kind: Kind, spelled: &'a str) {
        self.sum = self
            .sum
            .wrapping_add(self.key.long(path ^ kind as u64, spelled.as_bytes()));
    }
}

#[inline]
fn words(block: &[u8; 16]) -> (u64, u64) {
    let word = u128::from_le_bytes(*block);
    (word as u64, (word >> 64) as u64)
}

/// Hands on each whole block of 16 bytes as two words. Returns the last up to 16 bytes as such; they overlap with what
/// came before where there is enough.
#[inline(always)]
fn each_block(bytes: &[u8], mut block: impl FnMut(u64, u64)) -> (u64, u64) {
    let Some(last) = bytes.last_chunk::<16>() else {
        return few(bytes);
    };
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first_chunk::<16>() {
        let (low, high) = words(first);
        block(low, high);
        rest = after;
    }
    words(last)
}

/// Less than 16 bytes.
#[inline(always)]
fn few(bytes: &[u8]) -> (u64, u64) {
    if let (Some(head), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return (u64::from_le_bytes(*head), u64::from_le_bytes(*last));
    }
    if let (Some(head), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return (
            u64::from(u32::from_le_bytes(*head)),
            u64::from(u32::from_le_bytes(*last)),
        );
    }
    let word = match *bytes {
        [first, second, third] => u64::from(first) << 16 | u64::from(second) << 8 | u64::from(third),
        [first, second] => u64::from(first) << 8 | u64::from(second),
        [only] => u64::from(only),
        _ => 0,
    };
    (word, 0)
}

/// HMAC-SHA256 over the parts one after another.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // A key of any length is a key for HMAC; the empty one stands in for an error that cannot come.
    let mac = Hmac::<Sha256>::new_from_slice(key).or_else(|_| Hmac::<Sha256>::new_from_slice(&[]));
    let Ok(mut mac) = mac else { return [0; 32] };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bumpalo::Bump;
    use changegate_json::{Indexer, Limits};
    use std::collections::HashSet;

    fn content(text: &str) -> Keyed128 {
        let arena = Bump::new();
        let document = Indexer::default()
            .index(&arena, text.as_bytes(), &Limits::default())
            .unwrap();
        IdentityKey::derive(b"key").content(document.root())
    }

    #[test]
    fn order_and_space_do_not_matter_and_all_else_does() {
        let one = content(r#"{"a":1,"b":{"c":[1,2],"d":"x"},"e":null}"#);
        assert_eq!(
            one,
            content(r#" { "e" : null, "b" : { "d":"x", "c":[ 1, 2 ] }, "a":1 } "#)
        );
        let others = [
            r#"{"a":1,"b":{"c":[2,1],"d":"x"},"e":null}"#,
            r#"{"a":"1","b":{"c":[1,2],"d":"x"},"e":null}"#,
            r#"{"a":1,"b":{"c":[1,2],"d":"y"},"e":null}"#,
            r#"{"a":1,"b":{"c":[1,2]},"d":"x","e":null}"#,
            r#"{"a":1,"b":{"c":[1,2],"d":"x"}}"#,
            r#"{"a":1,"b":{"c":[1,2],"d":"x"},"e":{}}"#,
            r#"{"a":1,"b":{"c":[1,2],"d":"x"},"e":[]}"#,
            r#"{"b":1,"a":{"c":[1,2],"d":"x"},"e":null}"#,
            r#"{"a":"x","b":{"c":[1,2],"d":1},"e":null}"#,
            "{}",
            "[]",
            "0",
        ];
        let all: HashSet<_> = others.into_iter().map(content).chain([one]).collect();
        assert_eq!(all.len(), others.len() + 1);
    }

    #[test]
    fn lengths_and_single_bits_are_told_apart() {
        let key = IdentityKey::derive(b"key");
        let mut seen = HashSet::new();
        for length in 0..70 {
            assert!(seen.insert(key.long(1, &vec![0; length])));
            for bit in 0..length * 8 {
                let mut bytes = vec![0; length];
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(seen.insert(key.long(1, &bytes)), "length {length} bit {bit}");
            }
        }
    }

    #[test]
    fn parts_have_borders_and_an_order() {
        let key = IdentityKey::derive(b"key");
        let hash = |parts: &[&str]| key.parts("d", parts.iter().map(|part| part.as_bytes()));
        let all = [
            &["ab", "c"][..],
            &["a", "bc"],
            &["abc"],
            &["c", "ab"],
            &["ab", "c", ""],
            &[],
            &[""],
        ];
        assert_eq!(
            all.iter().map(|parts| hash(parts)).collect::<HashSet<_>>().len(),
            all.len()
        );
        assert_ne!(key.parts("d", []), IdentityKey::derive(b"other").parts("d", []));
    }

    /// The values are stored for years: a change of the function must be seen.
    #[test]
    fn the_lower_half_of_two_lanes_is_the_one() {
        let (key, bytes) = (IdentityKey::derive(b"key"), [b'x'; 70]);
        for length in 0..bytes.len() {
            let (short, long) = (key.short(7, &bytes[..length]), key.long(7, &bytes[..length]));
            assert_eq!(long as u64, short, "{length}");
        }
    }

    #[test]
    fn the_function_stays_as_it_is() {
        assert_eq!(
            content(r#"{"a":[1,"two"]}"#).to_string(),
            "76e675ab8d9f9d44d7c3a45048959894"
        );
        let key = IdentityKey::derive(b"key");
        let parts: [&[u8]; 3] = [b"", b"short", b"longer than sixteen bytes"];
        assert_eq!(
            key.parts("event", parts).to_string(),
            "b9d4628772786bf3ab7d5bc5926f3d27"
        );
    }
}
