//! Times as sources spell them.

use changegate_types::TimeMicros;

/// Reads a time: RFC 3339 and what comes close (a space for the `T`, no colon in the offset, `UTC` for `Z`, no
/// offset at all, up to nine digits of fraction), or a count since 1970 in seconds, milliseconds, microseconds
/// or nanoseconds, told apart by size. `None` where it is neither or out of the years 1900 to 2262.
pub(crate) fn parse(text: &str) -> Option<TimeMicros> {
    let bytes = text.as_bytes();
    let time = if let Some(time) = usual(bytes) {
        time
    } else if bytes.get(4) == Some(&b'-') && bytes.get(7) == Some(&b'-') {
        calendar(bytes)?
    } else {
        epoch(text)?
    };
    // What `DateTime64(6)` can hold, and nanoseconds since 1970 in an i64 too.
    const RANGE: std::ops::RangeInclusive<i64> = -2_208_988_800_000_000..=9_214_646_399_999_999;
    RANGE.contains(&time.0).then_some(time)
}

/// Bytes of which eight at a time must be digits (where the pattern has `0`) or just those of the pattern. Returns the
/// numbers of digits, each ten times as much plus its right neighbour, so that a pair's number stands at its first digit.
#[inline(always)]
fn pairs(bytes: &[u8; 8], pattern: &[u8; 8]) -> Option<[u8; 8]> {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let spelled = u64::from_le_bytes(*bytes) ^ u64::from_le_bytes(*pattern);
    // What is added lifts all that is no digit, or not what the pattern has, to the high bit.
    let lift = pattern.map(|byte| if byte == b'0' { 0x76 } else { 0x7f });
    let lifted = spelled.wrapping_add(u64::from_le_bytes(lift));
    ((lifted | spelled) & HIGH == 0).then(|| (spelled * 10 + (spelled >> 8)).to_le_bytes())
}

/// `2021-12-02T22:11:17Z`, with a fraction or without, as most sources write it.
#[inline]
fn usual(bytes: &[u8]) -> Option<TimeMicros> {
    let (date, rest) = bytes.split_first_chunk()?;
    let (minutes, rest) = rest.split_first_chunk()?;
    let [century, _, year, _, _, month, ..] = pairs(date, b"0000-00-")?;
    let [day, _, _, hour, _, _, minute, _] = pairs(minutes, b"00T00:00")?;
    let (seconds, fraction) = rest.split_first_chunk::<3>()?;
    let [b':', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = seconds else {
        return None;
    };
    let second = u32::from(tens - b'0') * 10 + u32::from(ones - b'0');
    let micros = match fraction {
        [b'Z'] => 0,
        _ => micros(fraction)?,
    };
    let year = i32::from(century) * 100 + i32::from(year);
    let [month, day, hour, minute] = [month, day, hour, minute].map(u32::from);
    TimeMicros::from_civil(year, month, day, hour, minute, second, micros)
}

/// `.123456Z`, `.1234567Z` and with more digits, of which those after the sixth are cut; also `.123Z`.
#[inline]
fn micros(fraction: &[u8]) -> Option<u32> {
    let start = match (fraction.split_first_chunk::<8>(), fraction) {
        // Seven digits behind the point, or six and the end.
        (Some(([b'.', digits @ .., b'Z'], [])), _) => {
            let [a, b, c, d, e, f] = *digits;
            [b'0', a, b, c, d, e, f, b'0']
        }
        (Some(([b'.', digits @ ..], [rest @ .., b'Z'])), _) if rest.iter().all(u8::is_ascii_digit) => {
            let [a, b, c, d, e, f, g] = *digits;
            [b'0', a, b, c, d, e, f, g]
        }
        (_, [b'.', a, b, c, b'Z']) => [b'0', *a, *b, *c, b'0', b'0', b'0', b'0'],
        _ => return None,
    };
    let pairs = u64::from_le_bytes(pairs(&start, b"00000000")?);
    // Pairs to fours, fours to eight.
    const EVERY_OTHER: u64 = 0x0000_00ff_0000_00ff;
    let upper = (pairs & EVERY_OTHER).wrapping_mul(100 + (1_000_000 << 32));
    let lower = (pairs >> 16 & EVERY_OTHER).wrapping_mul(1 + (10_000 << 32));
    Some((upper.wrapping_add(lower) >> 32) as u32 / 10)
}

/// Whether it is a time, but of a year that cannot be stored.
pub(crate) fn is_unstorable(text: &str) -> bool {
    parse(text).is_none() && calendar(text.as_bytes()).is_some()
}

fn epoch(text: &str) -> Option<TimeMicros> {
    if let Ok(count) = text.parse::<i64>() {
        return Some(TimeMicros(match count.unsigned_abs() {
            0..100_000_000_000 => count.checked_mul(1_000_000)?,
            100_000_000_000..100_000_000_000_000 => count.checked_mul(1_000)?,
            100_000_000_000_000..100_000_000_000_000_000 => count,
            _ => count / 1_000,
        }));
    }
    let seconds: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    match seconds.abs() {
        size if size < 1e11 => Some(TimeMicros((seconds * 1e6) as i64)),
        size if size < 1e14 => Some(TimeMicros((seconds * 1e3) as i64)),
        _ => None,
    }
}

fn number(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0u32, |number, digit| {
        let value = digit.wrapping_sub(b'0');
        (value < 10).then(|| number * 10 + u32::from(value))
    })
}

fn calendar(bytes: &[u8]) -> Option<TimeMicros> {
    let part = |from: usize, length: usize| number(bytes.get(from..from + length));
    let (year, month, day) = (part(0, 4)?, part(5, 2)?, part(8, 2)?);
    if bytes.len() == 10 {
        return TimeMicros::from_civil(year as i32, month, day, 0, 0, 0, 0);
    }
    if !matches!(bytes.get(10), Some(b'T' | b't' | b' ')) || bytes.get(13) != Some(&b':') {
        return None;
    }
    let (hour, minute) = (part(11, 2)?, part(14, 2)?);
    let mut rest = bytes.get(16..)?;
    let mut second = 0;
    let mut micros = 0;
    if rest.first() == Some(&b':') {
        second = number(rest.get(1..3))?;
        rest = rest.get(3..)?;
        if matches!(rest.first(), Some(b'.' | b',')) {
            let digits = rest
                .iter()
                .skip(1)
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            micros = (1..=6).try_fold(0, |sum, place| {
                let digit = if place <= digits {
                    number(rest.get(place..=place))?
                } else {
                    0
                };
                Some(sum * 10 + digit)
            })?;
            rest = rest.get(1 + digits..)?;
        }
    }
    let offset = offset_minutes(rest)?;
    let time = TimeMicros::from_civil(year as i32, month, day, hour, minute, second, micros)?;
    Some(TimeMicros(time.0 - i64::from(offset) * 60_000_000))
}

fn offset_minutes(text: &[u8]) -> Option<i32> {
    let text = text.trim_ascii();
    let (sign, digits) = match text {
        b"" | b"Z" | b"z" | b"UTC" | b"GMT" => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let hours = number(digits.get(..2))?;
    let minutes = match digits.get(2..)? {
        b"" => 0,
        [b':', rest @ ..] | rest if rest.len() == 2 => number(Some(rest))?,
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| sign * (hours * 60 + minutes) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let table = [
            ("2021-12-02T22:11:17Z", "2021-12-02T22:11:17Z"),
            ("2021-12-02t22:11:17.5z", "2021-12-02T22:11:17.5Z"),
            ("2021-12-02 22:11:17 UTC", "2021-12-02T22:11:17Z"),
            ("2021-12-02T22:11:17.1234567Z", "2021-12-02T22:11:17.123456Z"),
            ("2021-12-02T22:11:17.123456Z", "2021-12-02T22:11:17.123456Z"),
            ("2021-12-02T22:11:17.123456789Z", "2021-12-02T22:11:17.123456Z"),
            ("2021-12-02T22:11:17.123Z", "2021-12-02T22:11:17.123Z"),
            ("2021-12-02T22:11:17.12Z", "2021-12-02T22:11:17.12Z"),
            ("2021-12-02T22:11:17.Z", "2021-12-02T22:11:17Z"),
            (
                "2021-12-02T22:11:17.123456789+02:00",
                "2021-12-02T20:11:17.123456Z",
            ),
            ("2021-12-02T22:11:17-0130", "2021-12-02T23:41:17Z"),
            ("2021-12-02T22:11:17+00", "2021-12-02T22:11:17Z"),
            ("2021-12-02T22:11", "2021-12-02T22:11:00Z"),
            ("2021-12-02", "2021-12-02T00:00:00Z"),
            ("1638483077", "2021-12-02T22:11:17Z"),
            ("1638483077120", "2021-12-02T22:11:17.12Z"),
            ("1638483077120000", "2021-12-02T22:11:17.12Z"),
            ("1638483077120000000", "2021-12-02T22:11:17.12Z"),
            ("1638483077.25", "2021-12-02T22:11:17.25Z"),
            ("1.638483077e9", "2021-12-02T22:11:17Z"),
        ];
        for (text, expected) in table {
            assert_eq!(
                parse(text).map(|time| time.to_string()).as_deref(),
                Some(expected),
                "{text}"
            );
        }
        for text in [
            "",
            "...",
            "yesterday",
            "2021-13-02T22:11:17Z",
            "2021-12-02T25:11:17Z",
            "2021-12-02T22:11:17+9",
            "9999-12-31T00:00:00Z",
            "1e300",
            "NaN",
            "2021-12-02T",
            "2021-12-02T22:é1:17Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
            assert_eq!(is_unstorable(text), text.starts_with("9999"), "{text}");
        }
    }
}
