use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use changegate_types::TimeMicros;

/// Time is an input: whoever needs it takes one of these, so that tests and replays own it.
pub trait Clock: Send + Sync {
    /// The wall clock. It goes on while the process is suspended, and may jump.
    fn now(&self) -> TimeMicros;
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
}

/// A clock that stands still until it is told to move.
#[derive(Debug, Default)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// Stands at `now`.
    pub const fn new(now: TimeMicros) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Jumps to `now`, back too.
    pub fn set(&self, now: TimeMicros) {
        self.0.store(now.0, Ordering::Release);
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(by, Ordering::AcqRel);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> TimeMicros {
        TimeMicros(self.0.load(Ordering::Acquire))
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> TimeMicros {
        self.as_ref().now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_clock_moves_when_told() {
        let clock = FixedClock::new(TimeMicros(5));
        assert_eq!(clock.now(), TimeMicros(5));
        clock.advance(Duration::from_millis(1));
        assert_eq!(clock.now(), TimeMicros(1_005));
        clock.set(TimeMicros(-3));
        assert_eq!(clock.now(), TimeMicros(-3));
    }

    #[test]
    fn the_system_clock_is_in_this_century() {
        let (year, ..) = SystemClock.now().civil();
        assert!((2025..2125).contains(&year), "{year}");
    }
}
