use std::time::{Duration, SystemTime, UNIX_EPOCH};

use changegate_types::TimeMicros;
use rustix::time::{ClockId, clock_gettime};

/// Time is an input: whoever needs it takes one of these, so that tests and replays own it.
pub trait Clock: Send + Sync {
    /// The wall clock. It goes on while the process is suspended, and may jump.
    fn now(&self) -> TimeMicros;
    /// Time since the machine started, suspension included: it never jumps, so deadlines are judged by it. A clock that
    /// stops with the machine would call something fresh that others have long given up.
    fn up(&self) -> Duration;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the wall clock is read"
    )]
    fn now(&self) -> TimeMicros {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        TimeMicros(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => -micros(before.duration()),
        })
    }

    fn up(&self) -> Duration {
        let up = clock_gettime(ClockId::Boottime);
        Duration::new(
            u64::try_from(up.tv_sec).unwrap_or(0),
            u32::try_from(up.tv_nsec).unwrap_or(0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_is_in_this_century() {
        let (year, ..) = SystemClock.now().civil();
        assert!((2025..2125).contains(&year), "{year}");
        let before = SystemClock.up();
        assert!(before > Duration::ZERO && SystemClock.up() >= before);
    }
}
