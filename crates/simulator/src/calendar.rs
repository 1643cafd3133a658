//! Days, weekdays and time stamps in UTC. This crate never reads a clock: all times come from the caller.

use crate::put::{Padded, Put, put};

pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// Start of the UTC day that holds `time_ms`.
pub(crate) fn day_start(time_ms: i64) -> i64 {
    time_ms.div_euclid(DAY) * DAY
}

/// 0 is Monday.
pub(crate) fn weekday(time_ms: i64) -> i64 {
    (time_ms.div_euclid(DAY) + 3).rem_euclid(7)
}

pub(crate) fn is_weekend(time_ms: i64) -> bool {
    weekday(time_ms) >= 5
}

/// Year, month and day of a day number since 1970 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year as u64, month as u64, day as u64)
}

fn date_and_time(time_ms: i64, between: &str, out: &mut Vec<u8>) {
    let (year, month, day) = civil(time_ms.div_euclid(DAY));
    let second = (time_ms.rem_euclid(DAY) / SECOND) as u64;
    put!(
        out;
        Padded(year, 4), "-", Padded(month, 2), "-", Padded(day, 2), between,
        Padded(second / 3600, 2), ":", Padded(second / 60 % 60, 2), ":", Padded(second % 60, 2),
    );
}

/// `2026-11-24T08:15:30Z`
pub(crate) struct Seconds(pub(crate) i64);

impl Put for Seconds {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        date_and_time(self.0, "T", out);
        out.push(b'Z');
    }
}

/// `2026-11-24T08:15:30.123Z`
pub(crate) struct Millis(pub(crate) i64);

impl Put for Millis {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        date_and_time(self.0, "T", out);
        put!(out; ".", Padded(self.0.rem_euclid(SECOND) as u64, 3), "Z");
    }
}

/// As [`Millis`] with more digits: `digits` beyond the third come from `extra`.
pub(crate) struct Fraction(pub(crate) i64, pub(crate) u64, pub(crate) usize);

impl Put for Fraction {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        date_and_time(self.0, "T", out);
        put!(out; ".", Padded(self.0.rem_euclid(SECOND) as u64, 3), Padded(self.1, self.2), "Z");
    }
}

/// `2026-11-24 08:15:30`
pub(crate) struct Spaced(pub(crate) i64);

impl Put for Spaced {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        date_and_time(self.0, " ", out);
    }
}

/// `Nov 24, 2026, 8:15:30 AM`, the spelling of expiry times in STS answers.
pub(crate) struct American(pub(crate) i64);

impl Put for American {
    fn put(&self, out: &mut Vec<u8>) {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let (year, month, day) = civil(self.0.div_euclid(DAY));
        let second = (self.0.rem_euclid(DAY) / SECOND) as u64;
        let hour = second / 3600;
        let clock = if hour.is_multiple_of(12) { 12 } else { hour % 12 };
        put!(
            out;
            MONTHS[(month as usize - 1) % 12], " ", day, ", ", year, ", ", clock, ":",
            Padded(second / 60 % 60, 2), ":", Padded(second % 60, 2), if hour < 12 { " AM" } else { " PM" },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: impl Put) -> String {
        let mut out = Vec::new();
        value.put(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_are_spelled_as_the_sources_spell_them() {
        let time = 1_795_508_130_123; // 2026-11-24T08:15:30.123Z
        assert_eq!(text(Seconds(time)), "2026-11-24T08:15:30Z");
        assert_eq!(text(Millis(time)), "2026-11-24T08:15:30.123Z");
        assert_eq!(text(Fraction(time, 4567, 4)), "2026-11-24T08:15:30.1234567Z");
        assert_eq!(text(American(time)), "Nov 24, 2026, 8:15:30 AM");
        assert_eq!(weekday(time), 1, "a Tuesday");
        assert_eq!(text(Seconds(951_782_400_000)), "2000-02-29T00:00:00Z");
    }
}
