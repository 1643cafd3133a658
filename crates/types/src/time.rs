use std::fmt;

/// Microseconds since 1970-01-01T00:00:00Z. The unit of `DateTime64(6)`; nanoseconds of a source are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeMicros(pub i64);

impl TimeMicros {
    /// From milliseconds, the unit of Kafka's record time. Saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Whole milliseconds, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Whole seconds, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Hour of the week in UTC, 0 = Monday 00:00 to 167.
    pub const fn hour_of_week(self) -> u8 {
        // 1970-01-01 was a Thursday.
        ((self.seconds().div_euclid(3_600) + 3 * 24).rem_euclid(168)) as u8
    }

    /// From a civil date and time in UTC; `None` where a part is out of range. Proleptic Gregorian.
    #[inline]
    pub fn from_civil(
        year: i32,
        month: u32,
        day: u32,
        hour: u32,
        minute: u32,
        second: u32,
        micros: u32,
    ) -> Option<Self> {
        /// Years that are added, so that divisions are of numbers without a sign: whole eras, and more than fit an `i64`
        /// of microseconds.
        const SHIFT: u32 = 400 * 1_000;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days_in_month = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u32::from(leap),
            _ => return None,
        };
        // Second 60 is a leap second: it folds into the next minute, as POSIX time does.
        if day == 0 || day > days_in_month || hour > 23 || minute > 59 || second > 60 || micros > 999_999 {
            return None;
        }
        // Days from civil, by the era arithmetic of Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms".
        let y = year
            .checked_add_unsigned(SHIFT)?
            .checked_sub_unsigned(u32::from(month <= 2))?;
        let y = u32::try_from(y).ok()?;
        let (era, year_of_era) = (y / 400, y % 400);
        let shifted_month = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days =
            i64::from(era) * 146_097 + i64::from(day_of_era) - (719_468 + i64::from(SHIFT / 400) * 146_097);
        let seconds = days * 86_400 + i64::from(hour * 3_600 + minute * 60 + second);
        seconds
            .checked_mul(1_000_000)?
            .checked_add(i64::from(micros))
            .map(Self)
    }

    /// `(year, month, day, hour, minute, second, micros)` in UTC.
    pub fn civil(self) -> (i32, u32, u32, u32, u32, u32, u32) {
        let micros = self.0.rem_euclid(1_000_000) as u32;
        let seconds = self.seconds();
        let days = seconds.div_euclid(86_400) + 719_468;
        let of_day = seconds.rem_euclid(86_400) as u32;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        } as u32;
        let year = (year_of_era + era * 400 + i64::from(month <= 2)) as i32;
        (
            year,
            month,
            day,
            of_day / 3_600,
            of_day / 60 % 60,
            of_day % 60,
            micros,
        )
    }
}

/// RFC 3339 in UTC with microseconds, trailing zeros of the fraction left out.
impl fmt::Display for TimeMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second, micros) = self.civil();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if micros != 0 {
            let digits = format!("{micros:06}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_and_back() {
        for seconds in (-10_000_000_000i64..=300_000_000_000).step_by(86_399 * 1_013) {
            let time = TimeMicros(seconds * 1_000_000 + 123_456);
            let (y, mo, d, h, mi, s, us) = time.civil();
            assert_eq!(TimeMicros::from_civil(y, mo, d, h, mi, s, us), Some(time));
        }
        assert_eq!(TimeMicros(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(
            TimeMicros(1_638_483_077_120_000).to_string(),
            "2021-12-02T22:11:17.12Z"
        );
        assert_eq!(TimeMicros::from_civil(2023, 2, 29, 0, 0, 0, 0), None);
        assert_eq!(TimeMicros(0).hour_of_week(), 72);
    }
}
