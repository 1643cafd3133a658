//! The world: members of a group that come, go, die and are evicted, step by step.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use changegate_approval::{AskRules, Asker};
use changegate_pipeline::ledger::{Ledger as _, Table};
use changegate_pipeline::outgoing::Outgoing;
use changegate_pipeline::part::Shard;
use changegate_pipeline::time_order::{Fronts, InTimeOrder, OrderRules};
use changegate_pipeline::{
    BatchLimits, Blind, Equipment, Error, Judge, Now, Recent, Rules, Topic, Turn, Work, Worker,
    WorkerSettings, WriteLimits,
};
use changegate_policy::Thresholds;
use changegate_types::{TimeMicros, Versions};

use crate::broker::{Broker, FakeLog, Stored, TOPIC};
use crate::ledger::{FakeEncoder, FakeLedger};
use crate::mind::{FakeScorer, Mind};
use crate::parts::{FakeClock, FakeDesk, FakeOutbox, FakeReader, Fakes, SESSION, SharedDesk};
use crate::random::Random;

pub(crate) const PARTITIONS: usize = 3;
const MONTH_MICROS: i64 = 31 * 24 * 3_600 * 1_000_000;

pub(crate) struct Member {
    pub(crate) worker: Worker<Fakes>,
    desk: Rc<RefCell<FakeDesk>>,
    pub(crate) mind: Rc<RefCell<Mind>>,
    /// Partitions that it paused or sought.
    pub(crate) interrupted: Rc<Cell<usize>>,
    id: Rc<Cell<u64>>,
    tag: u64,
}

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) broker: Rc<RefCell<Broker>>,
    pub(crate) ledger: FakeLedger,
    pub(crate) sent: Rc<RefCell<Vec<Outgoing>>>,
    pub(crate) clock: FakeClock,
    recent: Arc<Recent>,
    pub(crate) members: Vec<Member>,
    next_tag: u64,
    kills: u32,
    replaced: u32,
    wipes: u32,
    /// Partitions that stood still with all of them committed, and workers that were asked to.
    durable: Rc<Cell<u32>>,
    /// How often a process went back to its snapshot, having learned from a batch that was dropped.
    pub(crate) spoilt: u32,
    /// Of a partition that a process knows nothing of, so many records before the start are learned from.
    pub(crate) learn_back: i64,
    /// Bytes of a backlog that fit in any case.
    pub(crate) holds: Option<usize>,
    uid: u128,
    pub(crate) lives: Vec<u32>,
    /// Records that the ledger holds, of its first so many rows; and up to where each partition's commits were checked.
    saved: HashSet<(u32, i32, i64)>,
    saved_rows: usize,
    checked: BTreeMap<i32, i64>,
    /// Most steps with faults.
    steps_max: u64,
    rows_max: usize,
    block_max: usize,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let wall = TimeMicros::from_civil(2026, 11, 24, 8, 0, 0, 0).unwrap();
        let mut broker = Broker::default();
        let mut uid = 0u128;
        // Many small worlds find more than few large ones; a large one has what only time brings.
        let (records_max, steps_max) = if random.chance(5) { (120, 2_500) } else { (16, 500) };
        fill(&mut broker, &mut random, &mut uid, wall, 0, records_max);
        Self {
            ledger: FakeLedger::new(random.fork()),
            broker: Rc::new(RefCell::new(broker)),
            sent: Rc::default(),
            clock: FakeClock(Rc::new(RefCell::new(Now {
                wall,
                up: Duration::from_secs(1_000),
            }))),
            recent: Arc::new(Recent::new(1 << 14)),
            members: Vec::new(),
            next_tag: 0,
            kills: 0,
            replaced: 0,
            wipes: 0,
            durable: Rc::default(),
            spoilt: 0,
            holds: None,
            learn_back: if random.chance(50) { 0 } else { i64::MAX },
            uid,
            lives: vec![0; PARTITIONS],
            saved: HashSet::new(),
            saved_rows: 0,
            checked: BTreeMap::new(),
            steps_max,
            rows_max: 5 + random.below(40) as usize,
            block_max: 1 + random.below(12) as usize,
            random,
        }
    }

    pub(crate) fn spawn(&mut self) {
        self.next_tag += 1;
        if self.random.chance(50) {
            // A process of its own knows nothing of what others have read.
            self.recent = Arc::new(Recent::new(1 << 14));
        }
        let log = FakeLog::join(&self.broker, &self.clock, self.random.fork());
        let (id, interrupted) = (Rc::clone(&log.member), Rc::clone(&log.interrupted));
        let desk = FakeDesk::new(&self.ledger, &log, &self.clock, self.random.fork());
        let desk = Rc::new(RefCell::new(desk));
        let rules = OrderRules {
            // Some hold little, some give up early, some read as it comes.
            bytes_max: self.holds.unwrap_or(1) << self.random.below(20),
            hold_max: Duration::from_secs(self.random.below(3) * 10),
            patience: Duration::from_millis(200),
        };
        let log = InTimeOrder::new(log, self.clock.clone(), rules, Fronts::new(1), 0);
        let asker = Asker::new(
            AskRules {
                learning_approve_from: 64.0,
                approval_max_age_micros: 10 * 12 * MONTH_MICROS,
                budget_per_hour: 20,
            },
            1_000,
        );
        let mind = Rc::<RefCell<Mind>>::default();
        let judge = Judge {
            topics: vec![Topic {
                name: TOPIC.into(),
                dead_letter_topic: "dead letters".into(),
                source: "test".into(),
                tenant_uid: "tenant".into(),
                normalizer: FakeReader,
            }],
            scorer: FakeScorer {
                broker: Rc::clone(&self.broker),
                mind: Rc::clone(&mind),
                durable: Rc::clone(&self.durable),
                temper: self.next_tag,
                shard: Shard {
                    number: 0,
                    recent: Arc::clone(&self.recent),
                    asker: Arc::new(Mutex::new(asker)),
                },
            },
            encoder: FakeEncoder {
                state: Arc::clone(&self.ledger.state),
            },
            rules: Rules {
                thresholds: Thresholds::default(),
                versions: Versions::default(),
                approval_topic: "approval".into(),
                decision_topic: Some("decisions".into()),
                work: Work::Whole,
            },
        };
        let settings = WorkerSettings {
            block_max: self.block_max,
            batch: BatchLimits {
                rows_max: self.rows_max,
                age_max: Duration::from_millis(300),
                ..BatchLimits::default()
            },
            write: WriteLimits {
                refused_max: 1_000,
                ..WriteLimits::default()
            },
            session_timeout: SESSION,
            tag: self.next_tag,
            learn_back: self.learn_back,
            ..WorkerSettings::default()
        };
        let worker = Worker::new(Equipment {
            log,
            ledger: Arc::new(self.ledger.clone()),
            desk: SharedDesk(Rc::clone(&desk)),
            outbox: FakeOutbox::new(&self.sent, self.random.fork()),
            clock: self.clock.clone(),
            observer: Blind,
            judge,
            settings,
        });
        self.members.push(Member {
            worker,
            desk,
            mind,
            interrupted,
            id,
            tag: self.next_tag,
        });
    }

    /// Kills a worker where it stands. What it was just inserting never arrives, arrives, or runs on.
    fn kill(&mut self, index: usize) {
        let member = self.members.swap_remove(index);
        let under_way = member.desk.borrow_mut().take_insert();
        drop(member.worker);
        if let Some(insert) = under_way.filter(|_| self.random.chance(50)) {
            self.ledger.leave_running(&insert, self.random.chance(50));
        }
        self.broker.borrow_mut().remove(member.id.get());
        self.kills += 1;
        let _ = member.tag;
    }

    /// Kills a worker, and what it was just inserting is still on its way to the server.
    fn freeze(&mut self, index: usize) {
        let insert = self.members[index].desk.borrow_mut().take_insert();
        self.kill(index);
        if let Some(insert) = insert {
            self.ledger.leave_running(&insert, false);
        }
    }

    fn step(&mut self, faults: bool) {
        let pass = self.random.below(60);
        self.clock.pass(Duration::from_millis(pass));
        if faults {
            let count = self.members.len() as u64;
            match self.random.below(1_000) {
                0..4 if count > 0 => {
                    let index = self.random.below(count) as usize;
                    self.kill(index);
                }
                4..10 if count < 3 => self.spawn(),
                10..13 if count > 0 => {
                    let index = self.random.below(count) as usize;
                    self.broker.borrow_mut().evict(self.members[index].id.get());
                }
                32..34 if count > 0 => {
                    let index = self.random.below(count) as usize;
                    self.broker.borrow_mut().replace(self.members[index].id.get());
                    self.replaced += 1;
                }
                13..15 => self.clock.pass(Duration::from_secs(7)),
                24..32 => {
                    // Who stands still in the middle of an insert for so long is as good as dead, but for the insert.
                    let index = self
                        .members
                        .iter()
                        .position(|member| member.desk.borrow().is_inserting());
                    if let Some(index) = index {
                        self.freeze(index);
                    }
                }
                18..24 if count > 0 => {
                    let index = self.random.below(count) as usize;
                    self.members[index].worker.hold();
                }
                15..17 if count > 0 => {
                    let index = self.random.below(count) as usize;
                    self.members[index].worker.stop();
                }
                17 => {
                    // The group expires while nobody is there: the ledger alone knows how far things went.
                    while !self.members.is_empty() {
                        self.kill(0);
                    }
                    self.broker.borrow_mut().committed.clear();
                    self.ledger.wiped();
                    self.wipes += 1;
                }
                _ => {}
            }
        }
        if self.members.is_empty() {
            self.spawn();
        }
        let index = self.random.below(self.members.len() as u64) as usize;
        let Member { worker, mind, .. } = &mut self.members[index];
        if mind.borrow().spoilt {
            worker.start_over();
            mind.borrow_mut().go_back();
            self.spoilt += 1;
        }
        let stands = worker.stands_still();
        if stands {
            mind.borrow_mut().save();
        }
        if stands && self.random.chance(20) || !faults {
            worker.go_on();
        }
        match worker.turn() {
            Ok(Turn::Goes) => {}
            Ok(Turn::Drained) => {
                let member = self.members.swap_remove(index);
                self.broker.borrow_mut().remove(member.id.get());
            }
            // It had joined anew a moment before.
            Err(Error::Replaced(_)) => self.kill(index),
            Err(error) => panic!("no fault of this world ends a worker: {error}"),
        }
        self.check_commits();
    }

    /// The committed position never passes what is not saved.
    fn check_commits(&mut self) {
        let broker = self.broker.borrow();
        let state = self.ledger.state.lock().unwrap();
        let records = &state.tables[Table::RawRecords as usize];
        let new = records.iter().skip(self.saved_rows);
        self.saved
            .extend(new.map(|row| (row.incarnation, row.partition, row.offset)));
        self.saved_rows = records.len();
        for (partition, committed) in &broker.committed {
            let checked = self.checked.entry(*partition).or_insert(0);
            let life = self.lives[*partition as usize];
            let stored = &broker.partitions[*partition as usize];
            let first = stored.partition_point(|record| record.offset < *checked);
            let new = stored.iter().skip(first);
            for record in new.take_while(|record| record.offset < committed.offset) {
                assert!(
                    self.saved.contains(&(life, *partition, record.offset)),
                    "{} is committed and offset {} is not saved",
                    committed.offset,
                    record.offset
                );
            }
            *checked = committed.offset.max(*checked);
        }
    }

    pub(crate) fn finished(&self) -> bool {
        let broker = self.broker.borrow();
        (0..PARTITIONS).all(|partition| {
            let last = broker.partitions[partition]
                .last()
                .map(|record| record.offset + 1);
            let committed = broker.committed.get(&(partition as i32));
            last.is_none_or(|last| {
                committed.is_some_and(|committed| committed.offset == last && committed.metadata.is_empty())
            })
        })
    }

    pub(crate) fn run(&mut self) {
        let faulty = self.steps_max / 8 + self.random.below(self.steps_max);
        for _ in 0..faulty {
            self.step(true);
        }
        self.ledger.state.lock().unwrap().faults = false;
        let mut left = 60_000;
        while !self.finished() {
            self.step(false);
            left -= 1;
            assert!(
                left > 0,
                "the workers stand still: {:?}",
                self.broker.borrow().committed
            );
        }
        // What still ran lands after everything; the hourly check finds it.
        self.ledger.land_all();
        while self.ledger.settle_copies(None).is_err() {}
        self.check();
    }

    /// How often each fault came up.
    pub(crate) fn faults(&self) -> [u32; 10] {
        let state = self.ledger.state.lock().unwrap();
        [
            self.kills,
            self.replaced,
            self.wipes,
            self.broker.borrow().rebalances,
            state.lost_answers,
            state.late_landed,
            state.refusals,
            state.copies.late_inserts as u32,
            self.durable.get(),
            self.spoilt,
        ]
    }

    /// Deletes the topic and makes it anew, shorter or already longer than the ledger's maximum; the commits go with it.
    pub(crate) fn recreate(&mut self) {
        while !self.members.is_empty() {
            self.kill(0);
        }
        self.ledger.land_all();
        let wall = self.clock.0.borrow().wall;
        let mut broker = self.broker.borrow_mut();
        for (life, records) in self.lives.iter_mut().zip(&broker.partitions) {
            *life += u32::from(!records.is_empty());
        }
        let records_max = if self.random.chance(50) { 8 } else { 60 };
        fill(&mut broker, &mut self.random, &mut self.uid, wall, 1, records_max);
        broker.committed.clear();
        self.checked.clear();
        self.sent.borrow_mut().clear();
        self.ledger.state.lock().unwrap().faults = true;
    }
}

/// Makes the records of one life of the topic.
fn fill(
    broker: &mut Broker,
    random: &mut Random,
    uid: &mut u128,
    wall: TimeMicros,
    life: u32,
    records_max: u64,
) {
    // The first event of this life; no event of another one has its id.
    *uid += 1;
    let first = *uid;
    broker.partitions.clear();
    broker.ends.clear();
    for _ in 0..PARTITIONS {
        let mut records = Vec::new();
        let mut offset = if life == 0 { random.below(3) as i64 } else { -1 };
        for _ in 0..random.below(records_max) {
            // Holes, months and copies of earlier events. A life after the first has no holes: where one lies at the
            // only position that the ledger knows, nobody can tell the lives apart, and the worker rightly ends.
            offset += 1 + i64::from(life == 0 && random.chance(5));
            let time = TimeMicros(wall.0 - random.below(3) as i64 * MONTH_MICROS);
            let children = 1 + random.below(4);
            let mut value: Vec<String> = (0..children).map(|_| child(random, uid, first)).collect();
            // No record of one life equals one of another.
            value.push(format!("s{life}"));
            let value = Some(value.join(" ").into_bytes());
            records.push(Rc::new(Stored { offset, time, value }));
        }
        // For the same reason no mark of a transaction stands at its end.
        broker
            .ends
            .push(offset + 1 + i64::from(life == 0 && random.chance(10)));
        broker.partitions.push(records);
    }
}

fn child(random: &mut Random, uid: &mut u128, first: u128) -> String {
    // Copies are of events of the same life.
    let old =
        |random: &mut Random, uid: u128| first + u128::from(random.next()) % uid.saturating_sub(first).max(1);
    match random.below(100) {
        0..6 => "s".into(),
        6..12 => "r".into(),
        12..15 => {
            *uid += 1;
            format!("b{}:{}", *uid + 1_000_000, *uid % 97)
        }
        15..20 => {
            *uid += 1;
            format!("l{}:{}", *uid + 2_000_000, *uid % 97)
        }
        20..35 => {
            // A redelivery, now and then the same uid with other content.
            let again = old(random, *uid);
            let content = if random.chance(20) { again % 89 } else { again % 97 };
            format!("c{again}:{content}")
        }
        _ => {
            *uid += 1;
            format!("c{}:{}", *uid, *uid % 97)
        }
    }
}
