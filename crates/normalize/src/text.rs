//! Looking things up in short texts. The standard library's ways of doing so are made for long ones.

/// The first text, or where it is empty what comes next.
#[inline(always)]
pub(crate) fn or<'t>(text: &'t str, next: impl FnOnce() -> &'t str) -> &'t str {
    if text.is_empty() { next() } else { text }
}

/// What stands before the first `mark` and after it.
#[inline]
pub(crate) fn cut(text: &str, mark: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == mark)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// What stands before the first `mark`; all of it where there is none.
#[inline]
pub(crate) fn before(text: &str, mark: u8) -> &str {
    cut(text, mark).map_or(text, |(before, _)| before)
}

/// What stands after the last `mark`; all of it where there is none.
#[inline]
pub(crate) fn after_last(text: &str, mark: u8) -> &str {
    let bytes = text.as_bytes();
    let mut before = bytes;
    let at = loop {
        if let Some((rest, word)) = before.split_last_chunk() {
            let found = marks(u64::from_le_bytes(*word), mark);
            if found != 0 {
                break Some(rest.len() + 7 - found.leading_zeros() as usize / 8);
            }
            before = rest;
        } else {
            break before.iter().rposition(|byte| *byte == mark);
        }
    };
    at.and_then(|at| text.get(at + 1..)).unwrap_or(text)
}

/// The high bit of each byte that is `mark`.
#[inline(always)]
const fn marks(word: u64, mark: u8) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let other = word ^ u64::from_le_bytes([mark; 8]);
    // Zero bytes, exactly.
    !(((other & LOW) + LOW) | other | LOW)
}

/// What stands after the last of two marks; all of it where there is neither.
#[inline]
pub(crate) fn after_last_of(text: &str, marks: [u8; 2]) -> &str {
    let at = text.bytes().rposition(|byte| marks.contains(&byte));
    at.and_then(|at| text.get(at + 1..)).unwrap_or(text)
}

/// Whether `part`, which begins with a byte that is rare in such texts, stands somewhere in it.
#[inline]
pub(crate) fn has(text: &str, part: &str) -> bool {
    let (Some(first), bytes) = (part.bytes().next(), text.as_bytes()) else {
        return true;
    };
    memchr::memchr_iter(first, bytes).any(|at| {
        let rest = bytes.get(at..).unwrap_or_default();
        rest.starts_with(part.as_bytes())
    })
}

/// The piece of a path that follows the piece `name`; empty where there is none. Pieces are what slashes part.
#[inline]
pub(crate) fn piece_after<'t>(path: &'t str, name: &str) -> &'t str {
    let mut from = 0;
    for slash in Places::of(path, b'/') {
        let piece = path.as_bytes().get(from..slash).unwrap_or_default();
        from = slash + 1;
        if piece == name.as_bytes() {
            return before(path.get(from..).unwrap_or_default(), b'/');
        }
    }
    ""
}

/// The same of a name that holds `rare`, which few paths do.
#[inline]
pub(crate) fn piece_after_rare<'t>(path: &'t str, name: &str, rare: u8) -> &'t str {
    match memchr::memchr(rare, path.as_bytes()) {
        Some(_) => piece_after(path, name),
        None => "",
    }
}

/// Where a byte stands in a text, in order, looked for eight at a time.
#[derive(Clone, Debug)]
pub(crate) struct Places<'t> {
    bytes: &'t [u8],
    /// Where those eight begin that were looked at last.
    at: usize,
    next: usize,
    /// The high bit of each of them that is looked for and was not handed on yet.
    found: u64,
    mark: u8,
}

impl<'t> Places<'t> {
    #[inline(always)]
    pub(crate) fn of(text: &'t str, mark: u8) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
            next: 0,
            found: 0,
            mark,
        }
    }
}

impl Iterator for Places<'_> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            self.at = self.next;
            self.next += 8;
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let word = match (rest.first_chunk(), self.bytes.last_chunk()) {
                (Some(word), _) => u64::from_le_bytes(*word),
                _ if rest.is_empty() => return None,
                // What was looked at before is pushed out.
                (None, Some(last)) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
                (None, None) => rest
                    .iter()
                    .rev()
                    .fold(0, |word, byte| word << 8 | u64::from(*byte)),
            };
            self.found = marks(word, self.mark);
        }
        let place = self.at + self.found.trailing_zeros() as usize / 8;
        self.found &= self.found - 1;
        Some(place)
    }
}

/// Whether there is an upper-case letter in it.
#[inline]
pub(crate) fn has_upper(text: &str) -> bool {
    let (words, rest) = text.as_bytes().as_chunks();
    words.iter().any(|word| has_upper_in(*word)) || rest.iter().any(u8::is_ascii_uppercase)
}

/// Whether one of eight bytes is an upper-case letter.
#[inline(always)]
pub(crate) const fn has_upper_in(bytes: [u8; 8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(bytes);
    // The high bit of a byte is set from `A` on, and after `Z`.
    let low = word & !HIGH;
    let from = low + u64::from_le_bytes([0x80 - b'A'; 8]);
    let after = low + u64::from_le_bytes([0x7f - b'Z'; 8]);
    from & !after & !word & HIGH != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_standard_library_finds_them() {
        let texts = [
            "",
            "/",
            "a",
            "a/",
            "/a",
            "a/b",
            "/a/b/",
            "projects/p",
            "projects",
            "x/projects",
            "x/projects/",
            "x/projects//y",
            "/projects/p/zones/z",
            "myprojects/p/projects/q",
            "projectsx/p",
            "é/projects/é/ü",
            "a.b/c.d",
            "...",
        ];
        for text in texts {
            assert_eq!(cut(text, b'/'), text.split_once('/'), "{text}");
            assert_eq!(before(text, b'/'), text.split('/').next().unwrap(), "{text}");
            assert_eq!(after_last(text, b'/'), text.rsplit('/').next().unwrap(), "{text}");
            assert_eq!(
                after_last_of(text, *b"./"),
                text.rsplit(['.', '/']).next().unwrap(),
                "{text}"
            );
            for part in ["a", "/p", "projects", "é", ""] {
                assert_eq!(has(text, part), text.contains(part), "{part} in {text}");
            }
            let places: Vec<usize> = text.match_indices('/').map(|(at, _)| at).collect();
            assert_eq!(Places::of(text, b'/').collect::<Vec<_>>(), places, "{text}");
            let mut pieces = text.split('/');
            let expected = pieces
                .find(|piece| *piece == "projects")
                .and_then(|_| pieces.next());
            assert_eq!(
                piece_after(text, "projects"),
                expected.unwrap_or_default(),
                "{text}"
            );
        }
    }

    #[test]
    fn upper_case_is_seen_wherever_it_stands() {
        for byte in 0..0x80u8 {
            for place in 0..20 {
                let mut text = [b'x'; 20];
                text[place] = byte;
                let text = str::from_utf8(&text).unwrap();
                assert_eq!(has_upper(text), byte.is_ascii_uppercase(), "{byte} at {place}");
            }
        }
        assert!(!has_upper("äöüÄÖÜéàè漢字ЖЖЖ") && has_upper("äöüÄÖÜéàè漢字ЖЖЖA"));
    }
}
