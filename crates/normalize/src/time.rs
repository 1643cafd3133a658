//! Times as sources spell them.

use changegate_types::TimeMicros;

/// Reads a time: RFC 3339 and what comes close (a space for the `T`, no colon in the offset, `UTC` for `Z`, no
/// offset at all, up to nine digits of fraction), or a count since 1970 in seconds, milliseconds, microseconds
/// or nanoseconds, told apart by size. `None` where it is neither or out of the years 1900 to 2262.
pub(crate) fn parse(text: &str) -> Option<TimeMicros> {
    let bytes = text.as_bytes();
    let time = if bytes.get(4) == Some(&b'-') && bytes.get(7) == Some(&b'-') {
        calendar(bytes)?
    } else {
        epoch(text)?
    };
    // What `DateTime64(6)` can hold, and nanoseconds since 1970 in an i64 too.
    const RANGE: std::ops::RangeInclusive<i64> = -2_208_988_800_000_000..=9_214_646_399_999_999;
    RANGE.contains(&time.0).then_some(time)
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
