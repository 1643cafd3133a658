//! The worker on a log, a group, a ledger and an outbox in memory, with faults: lost answers, inserts that land late,
//! refused rows, kills at any step, rebalances, members that are evicted and write on. Seeded: a failure names its seed,
//! and `CHANGEGATE_SIMULATION_SEED=<seed>` runs that one alone. `CHANGEGATE_SIMULATION_SEEDS=<count>` runs more.

#[path = "broker.rs"]
mod broker;
#[path = "ledger.rs"]
mod ledger;
#[path = "mind.rs"]
mod mind;
#[path = "order.rs"]
mod order;
#[path = "parts.rs"]
mod parts;
#[path = "random.rs"]
mod random;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use changegate_approval::{AskRules, Asker, request_id};
use changegate_pipeline::ledger::{Ledger as _, Table};
use changegate_pipeline::outgoing::{Kind, Outgoing, header};
use changegate_pipeline::time_order::{Fronts, InTimeOrder, OrderRules};
use changegate_pipeline::{
    BatchLimits, Blind, Equipment, Judge, Now, Recent, Rules, Topic, Turn, Worker, WorkerSettings,
    WriteLimits,
};
use changegate_policy::Thresholds;
use changegate_types::{TimeMicros, Versions};

use broker::{Broker, FakeLog, Stored, TOPIC};
use ledger::{FakeEncoder, FakeLedger, Row};
use mind::{FakeScorer, Mind};
use parts::{FakeClock, FakeDesk, FakeOutbox, FakeReader, Fakes, SESSION, SharedDesk, is_risky, spread};
use random::Random;

const PARTITIONS: usize = 3;
const MONTH_MICROS: i64 = 31 * 24 * 3_600 * 1_000_000;

struct Member {
    worker: Worker<Fakes>,
    desk: Rc<RefCell<FakeDesk>>,
    mind: Rc<RefCell<Mind>>,
    id: u64,
    tag: u64,
}

struct World {
    random: Random,
    broker: Rc<RefCell<Broker>>,
    ledger: FakeLedger,
    sent: Rc<RefCell<Vec<Outgoing>>>,
    clock: FakeClock,
    recent: Arc<Recent>,
    members: Vec<Member>,
    next_tag: u64,
    kills: u32,
    wipes: u32,
    /// Partitions that stood still with all of them committed, and workers that were asked to.
    durable: Rc<Cell<u32>>,
    /// How often a process went back to its snapshot, having learned from a batch that was dropped.
    spoilt: u32,
    /// Of a partition that a process knows nothing of, so many records before the start are learned from.
    learn_back: i64,
    uid: u128,
    lives: Vec<u32>,
    rows_max: usize,
    block_max: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let wall = TimeMicros::from_civil(2026, 11, 24, 8, 0, 0, 0).unwrap();
        let mut broker = Broker::default();
        let mut uid = 0u128;
        fill(&mut broker, &mut random, &mut uid, wall, 0, 120);
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
            wipes: 0,
            durable: Rc::default(),
            spoilt: 0,
            learn_back: if random.chance(50) { 0 } else { i64::MAX },
            uid,
            lives: vec![0; PARTITIONS],
            rows_max: 5 + random.below(40) as usize,
            block_max: 1 + random.below(12) as usize,
            random,
        }
    }

    fn spawn(&mut self) {
        self.next_tag += 1;
        if self.random.chance(50) {
            // A process of its own knows nothing of what others have read.
            self.recent = Arc::new(Recent::new(1 << 14));
        }
        let log = FakeLog::join(&self.broker, &self.clock, self.random.fork());
        let id = log.member;
        let desk = FakeDesk::new(&self.ledger, &log, &self.clock, self.random.fork());
        let desk = Rc::new(RefCell::new(desk));
        let rules = OrderRules {
            // Some hold little, some give up early, some read as it comes.
            bytes_max: 1 << self.random.below(20),
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
            },
            encoder: FakeEncoder {
                state: Arc::clone(&self.ledger.state),
            },
            rules: Rules {
                thresholds: Thresholds::default(),
                versions: Versions::default(),
                approval_topic: "approval".into(),
                decision_topic: Some("decisions".into()),
            },
            recent: Arc::clone(&self.recent),
            asker: Arc::new(Mutex::new(asker)),
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
            id,
            tag: self.next_tag,
        });
    }

    /// Kills a worker where it stands. What it was just inserting never arrives, arrives, or runs on.
    fn kill(&mut self, index: usize) {
        let member = self.members.swap_remove(index);
        let under_way = member.desk.borrow_mut().take_insert();
        drop(member.worker);
        if let Some((batch, table, rows)) = under_way.filter(|_| self.random.chance(50)) {
            self.ledger.leave_running(batch, table, &rows);
        }
        self.broker.borrow_mut().remove(member.id);
        self.kills += 1;
        let _ = member.tag;
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
                    self.broker.borrow_mut().evict(self.members[index].id);
                }
                13..15 => self.clock.pass(Duration::from_secs(7)),
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
        let turn = worker.turn();
        if turn.expect("no fault of this world ends a worker") == Turn::Drained {
            let member = self.members.swap_remove(index);
            self.broker.borrow_mut().remove(member.id);
        }
        self.check_commits();
    }

    /// The committed position never passes what is not saved.
    fn check_commits(&self) {
        let broker = self.broker.borrow();
        let state = self.ledger.state.lock().unwrap();
        let records = &state.tables[Table::RawRecords as usize];
        for (partition, committed) in &broker.committed {
            let below = broker.partitions[*partition as usize].iter();
            for record in below.take_while(|record| record.offset < committed.offset) {
                let life = self.lives[*partition as usize];
                let saved = records.iter().any(|row| {
                    row.incarnation == life && row.partition == *partition && row.offset == record.offset
                });
                assert!(
                    saved,
                    "{} is committed and offset {} is not saved",
                    committed.offset, record.offset
                );
            }
        }
    }

    fn finished(&self) -> bool {
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

    fn run(&mut self) {
        let faulty = 300 + self.random.below(2_500);
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

    /// Deletes the topic and makes it anew, shorter or already longer than the ledger's maximum; the commits go with it.
    fn recreate(&mut self) {
        while !self.members.is_empty() {
            self.kill(0);
        }
        self.ledger.land_all();
        let wall = self.clock.0.borrow().wall;
        let mut broker = self.broker.borrow_mut();
        for (life, records) in self.lives.iter_mut().zip(&broker.partitions) {
            *life += u32::from(!records.is_empty());
        }
        let records_max = if self.random.chance(50) { 30 } else { 300 };
        fill(&mut broker, &mut self.random, &mut self.uid, wall, 1, records_max);
        broker.committed.clear();
        self.sent.borrow_mut().clear();
        self.ledger.state.lock().unwrap().faults = true;
    }

    /// What a reader of the views sees of a table.
    fn view(&self, table: Table) -> BTreeMap<(i32, i64, i32), Row> {
        let state = self.ledger.state.lock().unwrap();
        let superseded = &state.tables[Table::Superseded as usize];
        let mut seen = BTreeMap::new();
        for row in &state.tables[table as usize] {
            if row.incarnation != self.lives[row.partition as usize] {
                continue;
            }
            let key = (row.partition, row.offset, row.child);
            let hidden = superseded
                .iter()
                .any(|other| (other.partition, other.offset, other.child) == key && other.stamp == row.stamp);
            if !hidden {
                let before = seen.insert(key, row.clone());
                assert!(
                    before.is_none_or(|before| before.stamp == row.stamp),
                    "{key:?} is seen twice"
                );
            }
        }
        seen
    }

    fn check(&self) {
        let (changes, rejected) = (self.view(Table::Changes), self.view(Table::Rejected));
        let records = self.view(Table::RawRecords);
        let sent = self.sent.borrow();
        let dead = |partition: i32, offset: i64, child: usize| {
            sent.iter()
                .filter(|message| message.kind == Kind::DeadLetter && message.topic == "dead letters")
                .any(|message| {
                    let of = |name: &str| {
                        let found = message.headers.iter().find(|(own, _)| own == name);
                        String::from_utf8_lossy(&found.unwrap().1).into_owned()
                    };
                    of(header::PARTITION) == partition.to_string()
                        && of(header::OFFSET) == offset.to_string()
                        && of(header::CHILD) == child.to_string()
                })
        };
        let (mut shown, mut said) = (BTreeSet::new(), BTreeSet::new());
        let state = self.ledger.state.lock().unwrap();
        let all_changes = &state.tables[Table::Changes as usize];
        let mut rows_due = 0;
        for (partition, stored) in (0..).zip(&self.broker.borrow().partitions) {
            for record in stored {
                let text = String::from_utf8(record.value.clone().unwrap_or_default()).unwrap();
                let offset = record.offset;
                let mut counts = [0; 3];
                for (child, what) in text.split_whitespace().enumerate() {
                    let at = (partition, offset, child as i32);
                    let (row, reject) = (changes.get(&at), rejected.get(&at));
                    match what.as_bytes()[0] {
                        b'c' => {
                            counts[0] += 1;
                            rows_due += 1;
                            let (uid, content) = what[1..].split_once(':').unwrap();
                            let (uid, content): (u128, u128) =
                                (uid.parse().unwrap(), content.parse().unwrap());
                            said.insert((uid, content));
                            let written = all_changes.iter().find(|row| {
                                row.incarnation == self.lives[partition as usize]
                                    && (row.partition, row.offset, row.child) == at
                            });
                            let written = written.unwrap_or_else(|| panic!("{at:?} is missing"));
                            assert_eq!(
                                (written.uid, written.content),
                                (spread(uid).0, spread(content).0),
                                "altered"
                            );
                            if row.is_some() {
                                shown.insert((uid, content));
                            }
                            assert!(reject.is_none(), "{at:?} is written and rejected");
                        }
                        b'b' | b'r' => {
                            counts[2] += 1;
                            assert!(row.is_none(), "{at:?} is rejected and written");
                            assert!(reject.is_some(), "{at:?} is missing in rejected");
                            assert!(dead(partition, offset, child), "no dead letter of {at:?}");
                        }
                        _ => {
                            counts[1] += 1;
                            assert!(row.is_none() && reject.is_none(), "{at:?} is skipped and written");
                        }
                    }
                }
                let row = records.get(&(partition, offset, -1));
                let row = row.unwrap_or_else(|| panic!("record {partition}/{offset} is missing"));
                assert_eq!(row.counts, counts, "outcomes of {partition}/{offset}");
            }
        }
        assert!(changes.len() <= rows_due, "rows that nothing asked for");
        let hidden: Vec<_> = said.difference(&shown).collect();
        assert!(hidden.is_empty(), "no row of these events is seen: {hidden:?}");
        check_requests(&sent, &said);
        check_decisions(&sent, &said);
    }
}

/// Every event has its decision published, and repeats from one row are equal byte for byte.
fn check_decisions(sent: &[Outgoing], said: &BTreeSet<(u128, u128)>) {
    let member = |body: &str, name: &str, end: &str| {
        let from = body.find(name).unwrap() + name.len();
        let length = body[from..].find(end).unwrap();
        body[from..from + length].to_owned()
    };
    let (mut bodies, mut decided) = (BTreeMap::new(), BTreeSet::new());
    for message in sent.iter().filter(|message| message.kind == Kind::Decision) {
        let body = std::str::from_utf8(message.value.as_deref().unwrap()).unwrap();
        let event = member(body, "\"event_uid\":\"", "\"");
        decided.insert((event, member(body, "\"content_hash\":\"", "\"")));
        // A row is named by its place and by when it was decided: copies of a place may have been decided twice.
        let row = member(body, "\"row\":", "\"kafka_time");
        let time = member(body, "\"decision_time\":", ",");
        let first = bodies.entry((row, time)).or_insert(message);
        assert_eq!(*first, message, "a repeat from one row differs");
    }
    for (uid, content) in said {
        let event = (spread(*uid).to_string(), spread(*content).to_string());
        assert!(decided.contains(&event), "no decision on {uid}:{content}");
    }
}

/// Every risky change has its request, and repeats from one row are equal byte for byte.
fn check_requests(sent: &[Outgoing], said: &BTreeSet<(u128, u128)>) {
    let requests = || sent.iter().filter(|message| message.kind == Kind::Request);
    let keys: BTreeSet<&[u8]> = requests().filter_map(|message| message.key.as_deref()).collect();
    for (uid, content) in said.iter().filter(|(_, content)| is_risky(*content)) {
        let id = request_id("tenant", spread(uid * 1_000 + content)).to_string();
        assert!(keys.contains(id.as_bytes()), "no request of {uid}:{content}");
    }
    let mut bodies: BTreeMap<String, &Outgoing> = BTreeMap::new();
    for message in requests() {
        // A row is named by its place and by when it was decided: copies of a place may have been decided twice.
        let body = String::from_utf8(message.value.clone().unwrap()).unwrap();
        let row = format!(
            "{}{}",
            &body[body.find("\"row\":").unwrap()..],
            &body[..body.find("\"expires").unwrap()]
        );
        let first = bodies.entry(row).or_insert(message);
        assert_eq!(*first, message, "a repeat from one row differs");
    }
    let due = said.iter().filter(|(_, content)| is_risky(*content)).count();
    assert_eq!(keys.len(), due, "a request that nothing asked for");
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
    let first = *uid + 1;
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
        broker.ends.push(offset + 1 + i64::from(random.chance(10)));
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

fn run(seed: u64) {
    let outcome = std::panic::catch_unwind(|| {
        let mut world = World::new(seed);
        world.run();
        if seed.is_multiple_of(3) {
            world.recreate();
            world.run();
        }
        let state = world.ledger.state.lock().unwrap();
        let rebalances = world.broker.borrow().rebalances;
        [
            world.kills,
            world.wipes,
            rebalances,
            state.lost_answers,
            state.late_landed,
            state.refusals,
            state.copies.late_inserts as u32,
            world.durable.get(),
            world.spoilt,
        ]
    });
    match outcome {
        Ok(counts) => {
            COUNTS.with_borrow_mut(|sums| sums.iter_mut().zip(counts).for_each(|(sum, one)| *sum += one))
        }
        Err(panic) => {
            eprintln!("failed with CHANGEGATE_SIMULATION_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

thread_local! {
    static COUNTS: RefCell<[u32; 9]> = const { RefCell::new([0; 9]) };
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn nothing_is_lost_and_nothing_doubled_whatever_happens() {
    if let Some(seed) = number("CHANGEGATE_SIMULATION_SEED") {
        run(seed);
        return;
    }
    let seeds = number("CHANGEGATE_SIMULATION_SEEDS").unwrap_or(100);
    (0..seeds).for_each(run);
    COUNTS.with_borrow(|counts| {
        let [kills, wipes, rebalances, lost, late, refusals, copies, durable, spoilt] = counts;
        println!(
            "{seeds} seeds: {kills} kills, {wipes} groups wiped, {rebalances} rebalances, {lost} answers lost, {late} inserts landed late, \
             {refusals} refusals, {copies} second copies found, {durable} partitions fit for a snapshot, {spoilt} times back to one"
        );
        assert!(counts.iter().all(|count| *count > 0), "no fault, no proof");
    });
}

/// Events of one partition, none of them twice: one process after the other learns all of them, in order.
fn fill_one(broker: &mut Broker, random: &mut Random, wall: TimeMicros) {
    broker.partitions = vec![Vec::new(); PARTITIONS];
    broker.ends = vec![0; PARTITIONS];
    let mut uid = 0;
    let mut event = || {
        uid += 1;
        format!("{uid}:{}", uid % 97)
    };
    for offset in 0..50 + random.below(100) as i64 {
        let children = 1 + random.below(4);
        let kinds: Vec<u64> = (0..children).map(|_| random.below(20)).collect();
        let children = kinds.into_iter().map(|kind| match kind {
            0 => "s".to_owned(),
            1 => "r".to_owned(),
            2 => format!("b{}", event()),
            3 => format!("l{}", event()),
            _ => format!("c{}", event()),
        });
        let value = children.collect::<Vec<_>>().join(" ");
        broker.partitions[0].push(Rc::new(Stored {
            offset,
            time: wall,
            value: Some(value.into_bytes()),
        }));
        broker.ends[0] = offset + 1;
    }
}

/// Every change is scored by all that came before it and by nothing else: `(changes, times back to a snapshot)`.
fn scores_as_if_there_had_been_no_fault(seed: u64) -> (u32, u32) {
    let mut world = World::new(seed);
    let wall = world.clock.0.borrow().wall;
    fill_one(&mut world.broker.borrow_mut(), &mut world.random, wall);
    world.learn_back = i64::MAX;
    world.run();
    let rows = world.view(Table::Changes);
    let (mut learned, mut changes) = (0, 0);
    for record in &world.broker.borrow().partitions[0] {
        let text = String::from_utf8(record.value.clone().unwrap_or_default()).unwrap();
        for (child, what) in (0..).zip(text.split_whitespace()) {
            let kind = what.as_bytes()[0];
            if kind == b'c' {
                let row = &rows[&(0, record.offset, child)];
                assert_eq!(
                    row.learned, learned,
                    "CHANGEGATE_SIMULATION_SEED={seed}: what {}/{child} was scored by",
                    record.offset
                );
                changes += 1;
            }
            learned += u32::from(matches!(kind, b'c' | b'b' | b'l'));
        }
    }
    (changes, world.spoilt)
}

#[test]
fn what_is_dropped_has_taught_nothing() {
    if let Some(seed) = number("CHANGEGATE_SIMULATION_SEED") {
        scores_as_if_there_had_been_no_fault(seed);
        return;
    }
    let seeds = number("CHANGEGATE_SIMULATION_SEEDS").unwrap_or(100);
    let (mut changes, mut spoilt) = (0, 0);
    for seed in 0..seeds {
        let (scored, back) = scores_as_if_there_had_been_no_fault(seed);
        changes += scored;
        spoilt += back;
    }
    println!("{seeds} seeds: {changes} changes scored as without a fault, {spoilt} times back to a snapshot");
    assert!(changes > 0 && spoilt > 0, "no fault, no proof");
}
