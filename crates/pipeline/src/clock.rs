use std::time::Duration;

use changegate_types::TimeMicros;

/// A moment by two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The wall clock: what rows say. May jump.
    pub wall: TimeMicros,
    /// Time since the machine started, suspension included (`CLOCK_BOOTTIME`): what deadlines and fences are judged
    /// by. A clock that stops with the machine would call a fence fresh that the broker has long forgotten.
    pub up: Duration,
}

/// Where time comes from.
pub trait Clock {
    /// The moment.
    fn now(&self) -> Now;
}
