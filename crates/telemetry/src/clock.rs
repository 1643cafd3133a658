use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

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

/// A clock that stands still until it is told to move.
#[derive(Debug, Default)]
pub struct FixedClock {
    now: AtomicI64,
    up_micros: AtomicU64,
}

impl FixedClock {
    /// Stands at `now`, on a machine that was started just then.
    pub const fn new(now: TimeMicros) -> Self {
        Self {
            now: AtomicI64::new(now.0),
            up_micros: AtomicU64::new(0),
        }
    }

    /// The wall clock jumps to `now`, back too; the time since the start does not.
    pub fn set(&self, now: TimeMicros) {
        self.now.store(now.0, Ordering::Release);
    }

    /// Both move on.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.now.fetch_add(by, Ordering::AcqRel);
        self.up_micros.fetch_add(by.unsigned_abs(), Ordering::AcqRel);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> TimeMicros {
        TimeMicros(self.now.load(Ordering::Acquire))
    }

    fn up(&self) -> Duration {
        Duration::from_micros(self.up_micros.load(Ordering::Acquire))
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> TimeMicros {
        self.as_ref().now()
    }

    fn up(&self) -> Duration {
        self.as_ref().up()
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
        assert_eq!(clock.up(), Duration::from_millis(1));
    }

    #[test]
    fn the_system_clock_is_in_this_century() {
        let (year, ..) = SystemClock.now().civil();
        assert!((2025..2125).contains(&year), "{year}");
        let before = SystemClock.up();
        assert!(before > Duration::ZERO && SystemClock.up() >= before);
    }
}
