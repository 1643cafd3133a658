//! A backlog is read in the order of its record times, to the minute.
//!
//! A log hands over what lies in its partitions in large pieces, one partition after the other. At the end of the log
//! that is the order in which things happened, near enough. Behind it, it is not: the quiet topic's month is over before
//! the busy one's first day, "never seen before" is said of what was seen a day earlier, and a clock that follows record
//! time has run ahead of most records. So while partitions are behind the end they had at their assignment, records are
//! held and merged by time, where their partition is more than a minute ahead of another. Holding is bounded in bytes (a
//! partition that is ahead is paused) and in time ([`hold_max`](time_order::OrderRules::hold_max)): order helps the
//! score, it is never a reason not to score.

mod held;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use changegate_types::RawRecord;

use crate::clock::{Clock, Now};
use crate::ledger::Range;
use crate::log::{CommitError, CommitOffset, Committed, Log, LogError, Message, Rebalance, TopicPartition};
use crate::part::TIME_AHEAD_MAX_MICROS;

pub use held::{Held, Ordered};

/// Records taken from the log in one call at most, so that the worker's turn goes on.
const PULLS_MAX: u32 = 1_024;
/// Partitions may be so far apart in record time, of one worker and of several. A fetch is a partition's share of many
/// seconds: to wait for all the others each time would ask for memory that is not there, and a partition that is paused
/// for want of it has what was fetched ahead thrown away and fetched again.
const APART_MAX_MICROS: i64 = 60_000_000;
/// Held records so near in time are taken a partition after the other: no clocks agree better, and to look for the oldest
/// of all partitions costs the more the more there are.
const NEAR_MICROS: i64 = 1_000_000;

/// How far order is worth waiting for.
#[derive(Clone, Copy, Debug)]
pub struct OrderRules {
    /// Bytes held, over all partitions of the worker.
    pub bytes_max: usize,
    /// So long after an assignment, records are read as they come, ordered or not.
    pub hold_max: Duration,
    /// A partition that is behind and says nothing for so long, while the log is quiet, is not waited for.
    pub patience: Duration,
}

impl Default for OrderRules {
    fn default() -> Self {
        Self {
            bytes_max: 32 << 20,
            hold_max: Duration::from_secs(600),
            patience: Duration::from_secs(2),
        }
    }
}

/// How far in record time each worker of the process has read; `i64::MAX` where it has no backlog.
#[derive(Clone, Debug)]
pub struct Fronts(Arc<[AtomicI64]>);

impl Fronts {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| AtomicI64::new(i64::MAX)).collect())
    }

    fn others(&self, own: usize) -> i64 {
        let others = self.0.iter().enumerate().filter(|(index, _)| *index != own);
        others
            .map(|(_, front)| front.load(Ordering::Relaxed))
            .min()
            .unwrap_or(i64::MAX)
    }
}

/// A log whose backlog comes in the order of record times, to the minute.
#[derive(Debug)]
pub struct InTimeOrder<L, C> {
    log: L,
    clock: C,
    rules: OrderRules,
    fronts: Fronts,
    own: usize,
    /// Whether anything is held or awaited. Where it is not, the log is handed through.
    holding: Cell<bool>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    lanes: Vec<Lane>,
    /// Record times above this one drive no order.
    latest: i64,
    deadline: Duration,
    /// Held, over all lanes.
    bytes: usize,
    bytes_max: usize,
    /// Since when the log has been quiet while it was asked.
    quiet_since: Option<Duration>,
    /// Records up to this time are handed through, of lanes that hold none; `i64::MIN`: it must be found anew.
    passing: i64,
    /// Records of this lane up to this time are next.
    run: Option<(usize, i64)>,
    /// Of which lane the last record was: they come in runs.
    last: usize,
}

/// One partition.
#[derive(Debug)]
struct Lane {
    partition: TopicPartition,
    name: Arc<str>,
    /// The offset that is due from the log.
    next: i64,
    /// The end it had at its assignment.
    end: i64,
    held: VecDeque<Held>,
    bytes: usize,
    /// Time of the last record that came from the log, since it was told where to read.
    time: i64,
    /// The worker paused it.
    paused: bool,
    /// Paused here, because it holds its share.
    full: bool,
    /// Behind, and not waited for.
    silent: bool,
}

enum Choice {
    /// The oldest record, of this lane.
    Take(usize),
    /// More is needed from the log to know which is the oldest.
    Pull,
    /// Every partition has reached the end it had.
    CaughtUp,
}

impl State {
    fn lane(&mut self, partition: &TopicPartition) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.partition == *partition)
    }

    /// What a lane may hold when memory is short.
    fn share(&self) -> usize {
        self.bytes_max / 2 / self.lanes.len().max(1)
    }

    /// The lane of a record that came from the log, which has come that far with it.
    fn advance(&mut self, message: &impl Message) -> Option<usize> {
        let of_lane =
            |lane: &Lane| lane.partition.partition == message.partition() && *lane.name == *message.topic();
        if !self.lanes.get(self.last).is_some_and(of_lane) {
            self.last = self.lanes.iter().position(of_lane)?;
        }
        let lane = &mut self.lanes[self.last];
        // A time from the future would keep its partition until everything else is read.
        if let Some(time) = message.time().filter(|time| time.0 <= self.latest) {
            lane.time = time.0;
        }
        lane.next = message.offset() + 1;
        lane.silent = false;
        Some(self.last)
    }

    fn hold(&mut self, index: usize, message: &impl Message, log: &impl Log) -> Result<(), LogError> {
        let share = self.share();
        let lane = &mut self.lanes[index];
        let held = Held::new(message, Arc::clone(&lane.name), lane.time);
        lane.bytes += held.size();
        self.bytes += held.size();
        lane.held.push_back(held);
        // A pause throws away what the client has fetched ahead, so there is none before memory asks for it.
        if self.bytes > self.bytes_max / 2 && lane.bytes > share && !lane.full {
            lane.full = true;
            log.pause(std::slice::from_ref(&lane.partition))?;
        }
        Ok(())
    }

    fn take(&mut self, index: usize, log: &impl Log) -> Result<Option<Held>, LogError> {
        let share = self.share();
        let lane = &mut self.lanes[index];
        let Some(size) = lane.held.front().map(Held::size) else {
            return Ok(None);
        };
        // Late, so that few pauses are needed, and not too late, so that the next records are there in time.
        if lane.full && lane.bytes - size <= share / 4 {
            if !lane.paused {
                log.resume(std::slice::from_ref(&lane.partition))?;
            }
            lane.full = false;
        }
        lane.bytes -= size;
        self.bytes -= size;
        Ok(lane.held.pop_front())
    }

    /// The next record of a run that was chosen.
    fn follow(&mut self, log: &impl Log) -> Result<Option<Held>, LogError> {
        let Some((lane, until)) = self.run else {
            return Ok(None);
        };
        match self.lanes[lane].held.front() {
            Some(head) if head.order <= until => self.take(lane, log),
            _ => {
                self.run = None;
                Ok(None)
            }
        }
    }

    /// What is known of who is next holds no more.
    fn look_anew(&mut self) {
        self.passing = i64::MIN;
        self.run = None;
    }

    /// What to do next, and how far this worker has come in record time.
    fn choose(&mut self, others: i64, late: bool) -> (Choice, i64) {
        let (mut oldest, mut first, mut front) = (None, i64::MAX, i64::MAX);
        let mut second = i64::MAX;
        // Where the furthest behind of those stands that others wait for.
        let mut behind = others;
        let mut unfinished = false;
        for (index, lane) in self.lanes.iter().enumerate() {
            let Some(head) = lane.held.front() else {
                if lane.is_behind() {
                    unfinished |= !late;
                    if !lane.paused {
                        behind = behind.min(lane.time);
                    }
                    front = front.min(lane.time);
                }
                continue;
            };
            unfinished = true;
            front = front.min(head.order);
            if !lane.paused && head.order < first {
                (second, oldest, first) = (first, Some(index), head.order);
            } else if !lane.paused {
                second = second.min(head.order);
            }
        }
        let until = behind.saturating_add(APART_MAX_MICROS);
        let choice = match oldest {
            Some(lane) if late || first <= until => Choice::Take(lane),
            None if !unfinished => Choice::CaughtUp,
            _ => Choice::Pull,
        };
        self.passing = match choice {
            Choice::Pull => until,
            Choice::Take(_) | Choice::CaughtUp => i64::MIN,
        };
        self.run = oldest.map(|lane| (lane, until.min(second.saturating_add(NEAR_MICROS))));
        (choice, front)
    }
}

impl Lane {
    /// Whether records are still to come that were there at the assignment.
    fn is_behind(&self) -> bool {
        self.next < self.end && !self.silent
    }
}

impl<L: Log, C: Clock> InTimeOrder<L, C> {
    /// Over a log; `own` is the worker's place in `fronts`.
    pub fn new(log: L, clock: C, rules: OrderRules, fronts: Fronts, own: usize) -> Self {
        Self {
            log,
            clock,
            rules,
            fronts,
            own,
            holding: Cell::new(false),
            state: RefCell::default(),
        }
    }

    /// The log below.
    pub fn inner(&self) -> &L {
        &self.log
    }

    fn publish(&self, front: i64) {
        if let Some(own) = self.fronts.0.get(self.own) {
            own.store(front, Ordering::Relaxed);
        }
    }

    fn forget(&self) {
        self.holding.set(false);
        *self.state.borrow_mut() = State::default();
        self.publish(i64::MAX);
    }
}

impl<L: Log, C: Clock> Log for InTimeOrder<L, C> {
    type Message<'a>
        = Ordered<L::Message<'a>>
    where
        Self: 'a;

    fn poll(&self, wait: Duration) -> Result<Option<Self::Message<'_>>, LogError> {
        if !self.holding.get() {
            return Ok(self.log.poll(wait)?.map(Ordered::Direct));
        }
        let mut borrowed = self.state.borrow_mut();
        let state = &mut *borrowed;
        let mut now: Option<Now> = None;
        for _ in 0..PULLS_MAX {
            if let Some(held) = state.follow(&self.log)? {
                return Ok(Some(Ordered::Held(held)));
            }
            // How far it has come is told to the others whenever it cannot go on by itself.
            if state.passing == i64::MIN {
                let late = now.is_some_and(|now| now.up > state.deadline);
                let (choice, front) = state.choose(self.fronts.others(self.own), late);
                self.publish(front);
                match choice {
                    Choice::Take(lane) => {
                        return Ok(state.take(lane, &self.log)?.map(Ordered::Held));
                    }
                    Choice::CaughtUp => {
                        drop(borrowed);
                        self.forget();
                        return Ok(self.log.poll(wait)?.map(Ordered::Direct));
                    }
                    Choice::Pull if now.is_none() => {
                        // The clock is read once a call: a look at it costs as much as the choice.
                        now = Some(self.clock.now());
                        state.passing = i64::MIN;
                        continue;
                    }
                    Choice::Pull => {}
                }
            }
            match self.log.poll(wait)? {
                Some(message) => {
                    state.quiet_since = None;
                    let Some(index) = state.advance(&message) else {
                        return Ok(Some(Ordered::Direct(message)));
                    };
                    let lane = &state.lanes[index];
                    let passes = lane.time <= state.passing && lane.held.is_empty() && !lane.paused;
                    // Nobody waits any more for a lane that has come to its end.
                    if !passes || !lane.is_behind() {
                        state.passing = i64::MIN;
                    }
                    if passes {
                        return Ok(Some(Ordered::Direct(message)));
                    }
                    state.hold(index, &message, &self.log)?;
                }
                None => {
                    state.passing = i64::MIN;
                    let up = now.get_or_insert_with(|| self.clock.now()).up;
                    let since = *state.quiet_since.get_or_insert(up);
                    if up.saturating_sub(since) > self.rules.patience {
                        state.quiet_since = None;
                        let empty = state
                            .lanes
                            .iter_mut()
                            .filter(|lane| lane.held.is_empty() && !lane.paused);
                        empty.for_each(|lane| lane.silent = true);
                    }
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    fn rejoin(&mut self) -> Result<(), LogError> {
        self.forget();
        self.log.rejoin()
    }

    fn take_rebalance(&self) -> Option<Rebalance> {
        self.log.take_rebalance()
    }

    fn assign(&self, starts: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.forget();
        let now = self.clock.now();
        let mut lanes = Vec::with_capacity(starts.len());
        for (partition, start) in starts {
            let end = self.log.watermarks(partition)?.to;
            lanes.push(Lane {
                partition: partition.clone(),
                name: partition.topic.as_str().into(),
                next: *start,
                end,
                held: VecDeque::new(),
                bytes: 0,
                time: i64::MIN,
                paused: false,
                full: false,
                silent: false,
            });
        }
        self.log.assign(starts)?;
        let behind = lanes.iter().any(|lane| lane.next < lane.end);
        let alone = lanes.len() == 1 && self.fronts.0.len() <= 1;
        if behind && !alone && !self.rules.hold_max.is_zero() {
            self.publish(i64::MIN);
            self.holding.set(true);
            *self.state.borrow_mut() = State {
                bytes: 0,
                bytes_max: self.rules.bytes_max,
                lanes,
                latest: now.wall.0.saturating_add(TIME_AHEAD_MAX_MICROS),
                deadline: now.up + self.rules.hold_max,
                quiet_since: None,
                passing: i64::MIN,
                run: None,
                last: 0,
            };
        }
        Ok(())
    }

    fn unassign(&self) -> Result<(), LogError> {
        self.forget();
        self.log.unassign()
    }

    fn commit(&self, offsets: &[CommitOffset]) -> Result<(), CommitError> {
        self.log.commit(offsets)
    }

    fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Option<Committed>>, LogError> {
        self.log.committed(partitions)
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Range, LogError> {
        self.log.watermarks(partition)
    }

    fn fetch(
        &self,
        partition: &TopicPartition,
        offset: i64,
        show: &mut dyn FnMut(&RawRecord<'_>),
    ) -> Result<bool, LogError> {
        self.log.fetch(partition, offset, show)
    }

    fn seek(&self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.log.seek(partition, offset)?;
        let mut borrowed = self.state.borrow_mut();
        let state = &mut *borrowed;
        state.look_anew();
        if let Some(lane) = state.lanes.iter_mut().find(|lane| lane.partition == *partition) {
            lane.held.clear();
            state.bytes -= std::mem::take(&mut lane.bytes);
            lane.next = offset;
            lane.time = i64::MIN;
            lane.silent = false;
            if std::mem::take(&mut lane.full) && !lane.paused {
                self.log.resume(std::slice::from_ref(partition))?;
            }
        }
        Ok(())
    }

    fn rest(&self, wait: Duration) {
        // Nobody was asked: that is no silence.
        self.state.borrow_mut().quiet_since = None;
        self.log.rest(wait);
    }

    fn pause(&self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let mut state = self.state.borrow_mut();
        state.quiet_since = None;
        state.look_anew();
        for partition in partitions {
            if let Some(lane) = state.lane(partition) {
                lane.paused = true;
            }
        }
        self.log.pause(partitions)
    }

    fn resume(&self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let mut state = self.state.borrow_mut();
        // Whoever was told to be quiet is not silent.
        state.quiet_since = None;
        state.look_anew();
        let mut due = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let full = state.lane(partition).is_some_and(|lane| {
                lane.paused = false;
                lane.full
            });
            if !full {
                due.push(partition.clone());
            }
        }
        self.log.resume(&due)
    }
}
