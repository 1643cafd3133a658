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

/// The values that follow a name of a secret and a colon or equals sign, in JSON, YAML, forms and logs alike. Where
/// nothing parses, no condition can be checked: a name that only sounds like a secret's counts, and so does every text
/// inside what opens after the name of a part that may hold secrets.
pub(super) fn named_values(bytes: &[u8], names: &Names, parts: &Names) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let word = at + count(bytes, at, |byte| !in_name(byte));
        let end = word + count(bytes, word, in_name);
        at = end.max(at + 1);
        let name = bytes
            .get(word..end)
            .and_then(|name| str::from_utf8(name).ok())
            .unwrap_or_default();
        let is_part = parts.contains(name);
        if !is_part && !names.contains(name) && !sounds_secret(name) {
            continue;
        }
        match value_after(bytes, end) {
            Some(Value::Text(range)) => {
                at = range.end;
                found.push(range);
            }
            Some(Value::Opens(inside)) if is_part => {
                at = texts_inside(bytes, inside, &mut found);
            }
            Some(Value::Opens(_)) | None => {}
        }
    }
    found
}

fn sounds_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    [
        "password",
        "passwd",
        "secret",
        "token",
        "apikey",
        "api_key",
        "private_key",
    ]
    .iter()
    .any(|word| lower.contains(word))
}

/// Every quoted text that is no name, up to the bracket that closes what opened at `from`, or the end.
fn texts_inside(bytes: &[u8], from: usize, found: &mut Vec<Range<usize>>) -> usize {
    let mut depth = 0usize;
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            b'"' => {
                let start = at + 1;
                let mut end = start;
                loop {
                    end += count(bytes, end, |byte| byte != b'"' && byte != b'\\');
                    if bytes.get(end) != Some(&b'\\') || bytes.get(end + 1) == Some(&b'"') {
                        break;
                    }
                    end += 2;
                }
                // The backslash belongs to the quote, where the text itself stands in an escaped string.
                let after = end + count(bytes, end, |byte| matches!(byte, b'"' | b'\\' | b' '));
                let end = end.min(bytes.len());
                if bytes.get(after) != Some(&b':') && end > start {
                    found.push(start..end);
                }
                at = after.max(at + 1);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
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

/// What follows a name.
enum Value {
    /// A text or word.
    Text(Range<usize>),
    /// An object or list, which opens here.
    Opens(usize),
}

fn value_after(bytes: &[u8], end_of_name: usize) -> Option<Value> {
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
        Some(b'{' | b'[') => return Some(Value::Opens(start)),
        None => return None,
        Some(_) => (
            at,
            at + count(bytes, at, |byte| {
                !space(byte) && !matches!(byte, b',' | b'}' | b']' | b'&' | b';' | b'"')
            }),
        ),
    };
    let value = bytes.get(start..end)?;
    let is_word = [&b"null"[..], b"true", b"false"].contains(&value);
    (!value.is_empty() && !is_word).then_some(Value::Text(start..end))
}
