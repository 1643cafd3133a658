//! What is remembered of one actor beside its counts: age, silence, what it did within the hour, its usual pace.

use crate::codec::{Reader, Truncated, Writer};
use crate::facts::{ActorKind, Facts};

/// Length of a short window.
const BURST_SECONDS: u32 = 300;
/// Length of a long window; a feature looks at the running one and the one before, so at half an hour to a whole.
const WINDOW_SECONDS: u32 = 1_800;
/// New values that one actor may add in a day; the rest stay "never seen".
pub(crate) const FRESH_PER_DAY: u16 = 2_048;

/// What is counted within the hour, and smoothed as the actor's usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Pace {
    Burst = 0,
    Actions = 1,
    Resources = 2,
    Deletes = 3,
    Privileged = 4,
    Failures = 5,
}

pub(crate) const PACES: usize = 6;

/// Counts of a running window and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Window<T> {
    number: u32,
    now: T,
    before: T,
}

impl<T: Copy + Default> Window<T> {
    #[inline]
    fn turn(&mut self, number: u32) {
        if number == self.number {
            return;
        }
        self.before = if number == self.number.wrapping_add(1) {
            self.now
        } else {
            T::default()
        };
        self.now = T::default();
        self.number = number;
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Hour {
    events: u16,
    failures: u16,
    deletes: u16,
    privileged: u16,
    /// Linear counting: one bit per hash.
    actions: u64,
    resources: [u64; 2],
}

/// One actor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Actor {
    pub(crate) key: u64,
    /// Decayed number of learned events.
    pub(crate) total: f32,
    /// Number of events ever seen, learned or not.
    pub(crate) seen: u32,
    /// Record time, seconds.
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) last_action: u64,
    pub(crate) group: u16,
    pub(crate) kind: ActorKind,
    fresh: u16,
    fresh_day: u32,
    burst: Window<u16>,
    hour: Window<Hour>,
    usual: [f32; PACES],
}

fn distinct(bits: u32, set: u32) -> f32 {
    let (bits, zero) = (bits as f32, bits.saturating_sub(set).max(1) as f32);
    -bits * (zero / bits).ln()
}

impl Actor {
    pub(crate) fn new(key: u64, kind: ActorKind, group: u16, second: u32) -> Self {
        Self {
            key,
            total: 0.0,
            seen: 0,
            first: second,
            last: second,
            last_action: 0,
            group,
            kind,
            fresh: 0,
            fresh_day: second / 86_400,
            burst: Window::default(),
            hour: Window::default(),
            usual: [0.0; PACES],
        }
    }

    /// What the windows hold before this event, at its record time (never earlier than the actor's last).
    #[inline]
    pub(crate) fn turn(&mut self, second: u32) -> u32 {
        let second = second.max(self.last);
        self.burst.turn(second / BURST_SECONDS);
        self.hour.turn(second / WINDOW_SECONDS);
        second
    }

    /// The paces with this event in them (what it makes of the hour), and the actor's usual ones.
    #[inline]
    pub(crate) fn paces(&self, facts: &Facts) -> ([f32; PACES], [f32; PACES]) {
        let (now, before) = (&self.hour.now, &self.hour.before);
        let action = 1u64 << (facts.values[0] & 63);
        let actions = (now.actions | before.actions | action).count_ones();
        let bit = (facts.resource >> 1) as u32 & 127;
        let mut resources = 0;
        for half in 0..2 {
            let own = if bit / 64 == half as u32 {
                1u64 << (bit % 64)
            } else {
                0
            };
            resources += (now.resources[half] | before.resources[half] | own).count_ones();
        }
        let sum = |a: u16, b: u16, own: bool| f32::from(a) + f32::from(b) + f32::from(u8::from(own));
        let paces = [
            sum(self.burst.now, self.burst.before, true),
            distinct(64, actions),
            distinct(128, resources),
            sum(now.deletes, before.deletes, facts.power == 3),
            sum(now.privileged, before.privileged, privileged(facts)),
            sum(now.failures, before.failures, facts.failed),
        ];
        (paces, self.usual)
    }

    /// Events within the hour, this one among them.
    #[inline]
    pub(crate) fn events_in_hour(&self) -> f32 {
        f32::from(self.hour.now.events) + f32::from(self.hour.before.events) + 1.0
    }

    /// The event has happened: windows and times move, whether or not it is learned as usual.
    #[inline]
    pub(crate) fn passed(&mut self, facts: &Facts, second: u32) {
        self.last = second;
        self.seen = self.seen.saturating_add(1);
        self.last_action = facts.values[0];
        self.burst.now = self.burst.now.saturating_add(1);
        let hour = &mut self.hour.now;
        hour.events = hour.events.saturating_add(1);
        hour.failures = hour.failures.saturating_add(u16::from(facts.failed));
        hour.deletes = hour.deletes.saturating_add(u16::from(facts.power == 3));
        hour.privileged = hour.privileged.saturating_add(u16::from(privileged(facts)));
        hour.actions |= 1 << (facts.values[0] & 63);
        let bit = (facts.resource >> 1) as u32 & 127;
        hour.resources[bit as usize / 64] |= 1 << (bit % 64);
    }

    /// The paces of an ordinary event become part of the usual.
    #[inline]
    pub(crate) fn smooth(&mut self, paces: &[f32; PACES]) {
        for (usual, pace) in self.usual.iter_mut().zip(paces) {
            *usual += (pace - *usual) * (1.0 / 32.0);
        }
    }

    /// Whether one more new value may be remembered today.
    #[inline]
    pub(crate) fn admit(&mut self) -> bool {
        let day = self.last / 86_400;
        if day != self.fresh_day {
            (self.fresh_day, self.fresh) = (day, 0);
        }
        self.fresh = self.fresh.saturating_add(1);
        self.fresh <= FRESH_PER_DAY
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u64(self.key);
        out.f32(self.total);
        [self.seen, self.first, self.last]
            .into_iter()
            .for_each(|value| out.u32(value));
        out.u64(self.last_action);
        out.u8(self.kind as u8);
        out.u16(self.fresh);
        out.u32(self.fresh_day);
        out.u32(self.burst.number);
        out.u16(self.burst.now);
        out.u16(self.burst.before);
        out.u32(self.hour.number);
        for hour in [&self.hour.now, &self.hour.before] {
            [hour.events, hour.failures, hour.deletes, hour.privileged]
                .into_iter()
                .for_each(|value| out.u16(value));
            [hour.actions, hour.resources[0], hour.resources[1]]
                .into_iter()
                .for_each(|value| out.u64(value));
        }
        self.usual.iter().for_each(|&value| out.f32(value));
    }

    /// Reads an actor; its group comes from the model of today.
    pub(crate) fn read(
        from: &mut Reader<'_>,
        group_of: impl Fn(u64, ActorKind) -> u16,
    ) -> Result<Self, Truncated> {
        let key = from.u64()?;
        let mut actor = Self::new(key, ActorKind::Human, 0, 0);
        actor.total = from.f32()?;
        (actor.seen, actor.first, actor.last) = (from.u32()?, from.u32()?, from.u32()?);
        actor.last_action = from.u64()?;
        actor.kind = ActorKind::from_byte(from.u8()?);
        actor.group = group_of(key, actor.kind);
        actor.fresh = from.u16()?;
        actor.fresh_day = from.u32()?;
        actor.burst.number = from.u32()?;
        (actor.burst.now, actor.burst.before) = (from.u16()?, from.u16()?);
        actor.hour.number = from.u32()?;
        for hour in [&mut actor.hour.now, &mut actor.hour.before] {
            (hour.events, hour.failures) = (from.u16()?, from.u16()?);
            (hour.deletes, hour.privileged) = (from.u16()?, from.u16()?);
            hour.actions = from.u64()?;
            hour.resources = [from.u64()?, from.u64()?];
        }
        for usual in &mut actor.usual {
            *usual = from.f32()?;
        }
        Ok(actor)
    }
}

/// A write to identity, keys, logging, data or network.
fn privileged(facts: &Facts) -> bool {
    facts.privilege >= 3 && facts.power >= 1 && facts.is_change
}
