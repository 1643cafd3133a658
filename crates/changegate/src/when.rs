//! Moments on the command line: how long ago, or a date and time in UTC.

use changegate_types::TimeMicros;

/// A moment as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// So many seconds before now.
    Ago(i64),
    /// A moment.
    At(TimeMicros),
}

impl When {
    /// The moment.
    pub(crate) fn time(self, now: TimeMicros) -> TimeMicros {
        match self {
            Self::Ago(seconds) => TimeMicros(now.0.saturating_sub(seconds.saturating_mul(1_000_000))),
            Self::At(time) => time,
        }
    }
}

/// Reads `90m`, `24h`, `7d`, `2026-11-01`, `2026-11-01T08:00Z`, `2026-11-01T08:00:00Z`.
pub(crate) fn parse(text: &str) -> Result<When, String> {
    let wrong = || {
        format!(
            "{text:?} is neither a time ago such as 90m, 24h, 7d nor a time such as 2026-11-01 or 2026-11-01T08:00Z"
        )
    };
    if let Some((unit, digits)) = text.char_indices().last().map(|(at, unit)| (unit, &text[..at])) {
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => 0,
        };
        if seconds > 0 {
            let count: u32 = digits.parse().map_err(|_| wrong())?;
            return Ok(When::Ago(i64::from(count) * seconds));
        }
    }
    moment(text).map(When::At).ok_or_else(wrong)
}

fn moment(text: &str) -> Option<TimeMicros> {
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (date, clock.trim_end_matches('Z')),
        None => (text, "00:00:00"),
    };
    let mut date = date.splitn(3, '-');
    let mut clock = clock.splitn(3, ':');
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    let (hour, minute, second) = (clock.next()?, clock.next()?, clock.next().unwrap_or("0"));
    TimeMicros::from_civil(
        year.parse().ok()?,
        month.parse().ok()?,
        day.parse().ok()?,
        hour.parse().ok()?,
        minute.parse().ok()?,
        second.parse().ok()?,
        0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        let now = TimeMicros::from_civil(2026, 11, 2, 0, 0, 0, 0).unwrap();
        for (text, expected) in [
            ("24h", "2026-11-01T00:00:00Z"),
            ("90m", "2026-11-01T22:30:00Z"),
            ("2w", "2026-10-19T00:00:00Z"),
            ("2026-10-31", "2026-10-31T00:00:00Z"),
            ("2026-10-31T08:15Z", "2026-10-31T08:15:00Z"),
            ("2026-10-31 08:15:30", "2026-10-31T08:15:30Z"),
        ] {
            assert_eq!(parse(text).unwrap().time(now).to_string(), expected, "{text}");
        }
        for text in [
            "",
            "h",
            "-3h",
            "yesterday",
            "2026-13-01",
            "2026-11",
            "2026-11-01T25:00Z",
            "é",
        ] {
            assert!(parse(text).unwrap_err().contains("such as 90m"), "{text}");
        }
    }
}
