//! Masking what does not parse: a scan for names of keys and what follows them.

use std::borrow::Cow;
use std::ops::Range;

use super::Names;

/// Bytes without the zero bytes that text in sixteen bits is full of, and the way back.
pub(super) struct View<'b> {
    bytes: Cow<'b, [u8]>,
    /// Where each byte stood; empty where nothing was left out.
    places: Vec<usize>,
}

impl<'b> View<'b> {
    pub(super) fn of(bytes: &'b [u8]) -> Self {
        if memchr::memchr(0, bytes).is_none() {
            return Self {
                bytes: Cow::Borrowed(bytes),
                places: Vec::new(),
            };
        }
        let kept = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0);
        let (places, narrow): (Vec<_>, Vec<_>) = kept.map(|(at, byte)| (at, *byte)).unzip();
        Self {
            bytes: Cow::Owned(narrow),
            places,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn original(&self, range: Range<usize>) -> Range<usize> {
        if self.places.is_empty() {
            return range;
        }
        let start = self.places.get(range.start).copied().unwrap_or(0);
        let end = range
            .end
            .checked_sub(1)
            .and_then(|last| self.places.get(last))
            .map_or(start, |last| last + 1);
        start..end.max(start)
    }
}

/// The values that follow a name of a secret and a colon or equals sign, in JSON, YAML, forms and logs alike.
pub(super) fn named_values<'b>(bytes: &'b [u8], names: &'b Names) -> impl Iterator<Item = Range<usize>> + 'b {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let word = at + count(bytes, at, |byte| !in_name(byte));
            let end = word + count(bytes, word, in_name);
            at = end.max(at + 1);
            let name = bytes
                .get(word..end)
                .and_then(|name| str::from_utf8(name).ok())
                .unwrap_or_default();
            if let Some(value) = names.contains(name).then(|| value_after(bytes, end)).flatten() {
                at = value.end;
                return Some(value);
            }
        }
        None
    })
}

const fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn count(bytes: &[u8], from: usize, belongs: impl Fn(u8) -> bool) -> usize {
    bytes
        .get(from..)
        .unwrap_or_default()
        .iter()
        .take_while(|byte| belongs(**byte))
        .count()
}

fn value_after(bytes: &[u8], end_of_name: usize) -> Option<Range<usize>> {
    let quote = |byte: u8| matches!(byte, b'"' | b'\'' | b'\\');
    let space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let mut at = end_of_name + count(bytes, end_of_name, quote);
    at += count(bytes, at, space);
    if !matches!(bytes.get(at), Some(b':' | b'=')) {
        return None;
    }
    at += 1;
    at += count(bytes, at, space);
    let escapes = count(bytes, at, |byte| byte == b'\\');
    let start = at + escapes;
    let (start, end) = match bytes.get(start) {
        Some(mark @ (b'"' | b'\'')) => {
            let start = start + 1;
            let mut end = start;
            // The string ends at a quote that stands behind as many backslashes as the one that opened it.
            loop {
                end += count(bytes, end, |byte| byte != *mark && byte != b'\\');
                let slashes = count(bytes, end, |byte| byte == b'\\');
                if end + slashes >= bytes.len()
                    || (bytes.get(end + slashes) == Some(mark) && slashes <= escapes)
                {
                    break;
                }
                end += slashes + 1;
            }
            (start, end.min(bytes.len()))
        }
        Some(b'{' | b'[') | None => return None,
        Some(_) => (
            at,
            at + count(bytes, at, |byte| {
                !space(byte) && !matches!(byte, b',' | b'}' | b']' | b'&' | b';' | b'"')
            }),
        ),
    };
    let value = bytes.get(start..end)?;
    let is_word = [&b"null"[..], b"true", b"false"].contains(&value);
    (!value.is_empty() && !is_word).then_some(start..end)
}
