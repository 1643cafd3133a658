//! A log and a group in memory: one topic, eager rebalances, members that are evicted and don't know it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use changegate_pipeline::Clock as _;
use changegate_pipeline::fence::Fence;
use changegate_pipeline::ledger::Range;
use changegate_pipeline::log::{
    CommitError, CommitOffset, Committed, Log, LogError, Message, Rebalance, TopicPartition,
};
use changegate_types::{Position, RawRecord, TimeMicros};

use crate::parts::FakeClock;
use crate::random::Random;

pub(crate) const TOPIC: &str = "raw";

#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) offset: i64,
    pub(crate) time: TimeMicros,
    pub(crate) value: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct MemberState {
    events: VecDeque<Rebalance>,
    assigned: bool,
    evicted: bool,
    /// The group has counted it as a new member under its name, and the answer was lost.
    replaced: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Broker {
    pub(crate) partitions: Vec<Vec<Rc<Stored>>>,
    pub(crate) ends: Vec<i64>,
    pub(crate) committed: BTreeMap<i32, Committed>,
    members: BTreeMap<u64, MemberState>,
    waiting: Option<Vec<u64>>,
    next_member: u64,
    pub(crate) rebalances: u32,
}

impl Broker {
    pub(crate) fn join(&mut self) -> u64 {
        self.next_member += 1;
        self.members.insert(self.next_member, MemberState::default());
        self.rebalance();
        self.next_member
    }

    /// The member is gone and will not answer.
    pub(crate) fn remove(&mut self, member: u64) {
        self.members.remove(&member);
        self.rebalance();
    }

    /// The member missed its heartbeats: it is told when it next looks.
    pub(crate) fn evict(&mut self, member: u64) {
        if let Some(state) = self.members.get_mut(&member) {
            if state.evicted || !state.assigned {
                return;
            }
            state.evicted = true;
            self.rebalance();
        }
    }

    /// The member is told so at its next call.
    pub(crate) fn replace(&mut self, member: u64) {
        if let Some(state) = self.members.get_mut(&member) {
            state.replaced = true;
        }
    }

    /// An evicted member notices and comes back.
    fn come_back(&mut self, member: u64) {
        let Some(state) = self.members.get_mut(&member) else {
            return;
        };
        state.events.clear();
        state.events.push_back(Rebalance::Revoke { lost: true });
        state.evicted = false;
        state.assigned = false;
        self.rebalance();
    }

    fn rebalance(&mut self) {
        self.rebalances += 1;
        let mut waiting = Vec::new();
        for (id, state) in self.members.iter_mut().filter(|(_, state)| !state.evicted) {
            if state.assigned {
                let told = state
                    .events
                    .iter()
                    .any(|event| matches!(event, Rebalance::Revoke { .. }));
                if !told {
                    state.events.push_back(Rebalance::Revoke { lost: false });
                }
                waiting.push(*id);
            }
        }
        self.waiting = Some(waiting);
        self.complete();
    }

    fn complete(&mut self) {
        if self.waiting.as_ref().is_none_or(|waiting| !waiting.is_empty()) {
            return;
        }
        self.waiting = None;
        let alive: Vec<u64> = self
            .members
            .iter()
            .filter(|(_, state)| !state.evicted)
            .map(|(id, _)| *id)
            .collect();
        for (index, id) in alive.iter().enumerate() {
            let own = (0..self.partitions.len()).filter(|partition| partition % alive.len() == index);
            let own = own.map(|partition| TopicPartition {
                topic: TOPIC.into(),
                partition: partition as i32,
            });
            let state = self.members.get_mut(id).unwrap();
            state.assigned = true;
            state.events.push_back(Rebalance::Assign(own.collect()));
        }
    }

    fn unassigned(&mut self, member: u64) {
        let waited_for = self
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.contains(&member));
        let state = self.members.get_mut(&member);
        if let Some(state) = state.filter(|state| waited_for && !state.evicted) {
            state.assigned = false;
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.retain(|other| *other != member);
        }
        self.complete();
    }
}

/// One member's view.
#[derive(Debug)]
pub(crate) struct FakeLog {
    pub(crate) broker: Rc<RefCell<Broker>>,
    pub(crate) member: Rc<Cell<u64>>,
    positions: RefCell<BTreeMap<i32, (i64, bool)>>,
    random: RefCell<Random>,
    clock: FakeClock,
    /// When the member last fenced a batch.
    pub(crate) fenced_at: Rc<Cell<Duration>>,
    /// Partitions paused or sought: each time a real client throws away what it has fetched ahead.
    pub(crate) interrupted: Rc<Cell<usize>>,
}

impl FakeLog {
    pub(crate) fn join(broker: &Rc<RefCell<Broker>>, clock: &FakeClock, random: Random) -> Self {
        let member = broker.borrow_mut().join();
        Self {
            broker: Rc::clone(broker),
            member: Rc::new(Cell::new(member)),
            clock: clock.clone(),
            fenced_at: Rc::default(),
            interrupted: Rc::default(),
            positions: RefCell::default(),
            random: RefCell::new(random),
        }
    }

    fn is_replaced(&self) -> bool {
        let broker = self.broker.borrow();
        let state = broker.members.get(&self.member.get());
        state.is_some_and(|state| state.replaced)
    }

    fn question(&self) -> Result<(), LogError> {
        if self.random.borrow_mut().chance(3) {
            Err(LogError::Wait("no broker".into()))
        } else {
            Ok(())
        }
    }
}

#[derive(Debug)]
pub(crate) struct FakeMessage(i32, Rc<Stored>);

impl Message for FakeMessage {
    fn topic(&self) -> &str {
        TOPIC
    }
    fn partition(&self) -> i32 {
        self.0
    }
    fn offset(&self) -> i64 {
        self.1.offset
    }
    fn time(&self) -> Option<TimeMicros> {
        Some(self.1.time)
    }
    fn key(&self) -> Option<&[u8]> {
        None
    }
    fn value(&self) -> Option<&[u8]> {
        self.1.value.as_deref()
    }
    fn headers<'m>(&'m self, _: &mut dyn FnMut(&'m str, &'m [u8])) {}
}

impl Log for FakeLog {
    type Message<'a> = FakeMessage;

    fn poll(&self, _: Duration) -> Result<Option<FakeMessage>, LogError> {
        if self.is_replaced() {
            return Err(LogError::Replaced("another has the name".into()));
        }
        let broker = self.broker.borrow();
        if self.random.borrow_mut().chance(5) {
            return Ok(None);
        }
        let mut positions = self.positions.borrow_mut();
        let count = positions.len().max(1) as u64;
        let first = self.random.borrow_mut().below(count) as usize;
        let order: Vec<i32> = positions
            .keys()
            .copied()
            .cycle()
            .skip(first)
            .take(positions.len())
            .collect();
        for partition in order {
            let (position, paused) = positions.get_mut(&partition).unwrap();
            if *paused {
                continue;
            }
            let records = &broker.partitions[partition as usize];
            let index = records.partition_point(|record| record.offset < *position);
            if let Some(record) = records.get(index) {
                *position = record.offset + 1;
                return Ok(Some(FakeMessage(partition, Rc::clone(record))));
            }
        }
        Ok(None)
    }

    fn rejoin(&mut self) -> Result<(), LogError> {
        let mut broker = self.broker.borrow_mut();
        broker.remove(self.member.get());
        self.member.set(broker.join());
        self.positions.borrow_mut().clear();
        Ok(())
    }

    fn take_rebalance(&self) -> Option<Rebalance> {
        let mut broker = self.broker.borrow_mut();
        let evicted = broker
            .members
            .get(&self.member.get())
            .is_some_and(|state| state.evicted);
        if evicted && self.random.borrow_mut().chance(20) {
            broker.come_back(self.member.get());
        }
        let state = broker.members.get_mut(&self.member.get())?;
        if state.evicted {
            None
        } else {
            state.events.pop_front()
        }
    }

    fn assign(&self, starts: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        let starts = starts
            .iter()
            .map(|(name, offset)| (name.partition, (*offset, false)));
        *self.positions.borrow_mut() = starts.collect();
        Ok(())
    }

    fn unassign(&self) -> Result<(), LogError> {
        self.positions.borrow_mut().clear();
        self.broker.borrow_mut().unassigned(self.member.get());
        Ok(())
    }

    fn commit(&self, offsets: &[CommitOffset]) -> Result<(), CommitError> {
        if self.is_replaced() {
            return Err(CommitError::Member(LogError::Replaced(
                "another has the name".into(),
            )));
        }
        let mut broker = self.broker.borrow_mut();
        let valid = broker
            .members
            .get(&self.member.get())
            .is_some_and(|state| state.assigned && !state.evicted);
        if !valid {
            return Err(CommitError::Fenced("unknown member".into()));
        }
        let dice = self.random.borrow_mut().below(100);
        if dice < 3 {
            return Err(CommitError::Wait("no coordinator".into()));
        }
        for commit in offsets {
            let committed = Committed {
                offset: commit.offset,
                metadata: commit.metadata.clone(),
            };
            broker.committed.insert(commit.partition.partition, committed);
        }
        if offsets
            .iter()
            .any(|commit| Fence::parse(&commit.metadata).is_some())
        {
            self.fenced_at.set(self.clock.now().up);
        }
        // The answer may be lost after the commit.
        if dice < 6 {
            Err(CommitError::Wait("no answer".into()))
        } else {
            Ok(())
        }
    }

    fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Option<Committed>>, LogError> {
        self.question()?;
        let broker = self.broker.borrow();
        Ok(partitions
            .iter()
            .map(|name| broker.committed.get(&name.partition).cloned())
            .collect())
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Range, LogError> {
        self.question()?;
        let broker = self.broker.borrow();
        let index = partition.partition as usize;
        Ok(Range {
            from: 0,
            to: broker.ends[index],
        })
    }

    fn fetch(
        &self,
        partition: &TopicPartition,
        offset: i64,
        show: &mut dyn FnMut(&RawRecord<'_>),
    ) -> Result<bool, LogError> {
        self.question()?;
        let broker = self.broker.borrow();
        let records = &broker.partitions[partition.partition as usize];
        let Some(found) = records.iter().find(|record| record.offset == offset) else {
            return Ok(false);
        };
        show(&RawRecord {
            position: Position {
                topic: TOPIC,
                incarnation: 0,
                partition: partition.partition,
                offset,
            },
            kafka_time: found.time,
            key: None,
            headers: &[],
            value: found.value.as_deref(),
        });
        Ok(true)
    }

    fn seek(&self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.interrupted.set(self.interrupted.get() + 1);
        if let Some((position, _)) = self.positions.borrow_mut().get_mut(&partition.partition) {
            *position = offset;
        }
        Ok(())
    }

    fn rest(&self, _: Duration) {}

    fn pause(&self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.interrupted.set(self.interrupted.get() + partitions.len());
        let mut positions = self.positions.borrow_mut();
        for name in partitions {
            if let Some((_, paused)) = positions.get_mut(&name.partition) {
                *paused = true;
            }
        }
        Ok(())
    }

    fn resume(&self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let mut positions = self.positions.borrow_mut();
        for name in partitions {
            if let Some((_, paused)) = positions.get_mut(&name.partition) {
                *paused = false;
            }
        }
        Ok(())
    }
}
