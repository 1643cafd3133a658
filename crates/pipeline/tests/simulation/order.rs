//! A backlog comes in the order of its record times.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use changegate_pipeline::Now;
use changegate_pipeline::log::{Log as _, Message as _, TopicPartition};
use changegate_pipeline::time_order::{Fronts, InTimeOrder, OrderRules, Ordered};
use changegate_types::TimeMicros;

use crate::broker::{Broker, FakeLog, Stored, TOPIC};
use crate::parts::FakeClock;
use crate::random::Random;

const MINUTE: i64 = 60_000_000;
const SECOND: i64 = 1_000_000;
const START: i64 = 1_790_000_000_000_000;

type Log = InTimeOrder<FakeLog, FakeClock>;

fn stored(offset: i64, micros: i64) -> Rc<Stored> {
    Rc::new(Stored {
        offset,
        time: TimeMicros(START + micros),
        value: Some(format!("record {offset} of minute {}", micros / MINUTE).into_bytes()),
    })
}

/// So many records, so far apart.
fn every(step: i64, count: i64) -> Vec<Rc<Stored>> {
    (0..count).map(|index| stored(index, index * step)).collect()
}

/// Partition 0 is quiet, 1 busy, 2 ends with the marks of a transaction, which no reader ever sees.
fn broker() -> Rc<RefCell<Broker>> {
    let partitions = vec![
        every(500 * MINUTE, 20),
        every(10 * MINUTE, 1_000),
        every(100 * MINUTE, 100),
    ];
    let mut broker = Broker::default();
    (broker.partitions, broker.ends) = (partitions, vec![20, 1_000, 103]);
    Rc::new(RefCell::new(broker))
}

fn clock() -> FakeClock {
    FakeClock(Rc::new(RefCell::new(Now {
        wall: TimeMicros(START + 100_000 * MINUTE),
        up: Duration::from_secs(1_000),
    })))
}

fn partition(partition: i32) -> TopicPartition {
    TopicPartition {
        topic: TOPIC.into(),
        partition,
    }
}

fn log(
    broker: &Rc<RefCell<Broker>>,
    clock: &FakeClock,
    rules: OrderRules,
    fronts: &Fronts,
    own: usize,
) -> Log {
    let log = FakeLog::join(broker, clock, Random::new(7 + own as u64));
    InTimeOrder::new(log, clock.clone(), rules, fronts.clone(), own)
}

fn assign(log: &Log, partitions: &[i32]) {
    let starts: Vec<_> = partitions.iter().map(|number| (partition(*number), 0)).collect();
    while log.assign(&starts).is_err() {}
}

/// Reads until nothing more comes, time passing meanwhile.
fn read(log: &Log, clock: &FakeClock) -> Vec<(i32, i64, i64)> {
    read_some(log, clock, usize::MAX)
}

/// The same, so many at most.
fn read_some(log: &Log, clock: &FakeClock, most: usize) -> Vec<(i32, i64, i64)> {
    let mut seen = Vec::new();
    let mut quiet = 0;
    while quiet < 1_000 && seen.len() < most {
        match log.poll(Duration::ZERO).unwrap() {
            Some(message) => {
                quiet = 0;
                let minute = (message.time().unwrap().0 - START) / MINUTE;
                let expected = format!("record {} of minute {minute}", message.offset());
                assert_eq!(message.value(), Some(expected.as_bytes()));
                assert_eq!((message.topic(), message.key()), (TOPIC, None));
                seen.push((message.partition(), message.offset(), minute));
            }
            None => {
                quiet += 1;
                clock.pass(Duration::from_millis(5));
            }
        }
    }
    seen
}

fn falls_back(seen: &[(i32, i64, i64)]) -> usize {
    seen.windows(2).filter(|pair| pair[1].2 < pair[0].2).count()
}

fn assert_whole(seen: &[(i32, i64, i64)]) {
    for (number, count) in [(0, 20), (1, 1_000), (2, 100)] {
        let offsets = seen.iter().filter(|(partition, ..)| *partition == number);
        let offsets: Vec<i64> = offsets.map(|(_, offset, _)| *offset).collect();
        assert_eq!(offsets, (0..count).collect::<Vec<_>>(), "partition {number}");
    }
}

#[test]
fn a_backlog_is_read_in_the_order_of_its_times_within_little_memory() {
    for (bytes_max, pauses_max) in [(100, usize::MAX), (3_000, 15), (30_000, 0), (1 << 20, 0)] {
        let (broker, clock) = (broker(), clock());
        let rules = OrderRules {
            bytes_max,
            ..OrderRules::default()
        };
        let log = log(&broker, &clock, rules, &Fronts::new(1), 0);
        assign(&log, &[0, 1, 2]);
        let seen = read(&log, &clock);
        assert_whole(&seen);
        assert_eq!(falls_back(&seen), 0, "{bytes_max} bytes");
        let pauses = log.inner().interrupted.get();
        assert!(pauses <= pauses_max, "{pauses} pauses with {bytes_max} bytes");
        // From here on records are handed through.
        broker.borrow_mut().partitions[0].push(stored(20, 20_000 * MINUTE));
        let next = (0..100).find_map(|_| log.poll(Duration::ZERO).unwrap());
        assert!(matches!(next, Some(Ordered::Direct(_))), "{next:?}");
    }
}

#[test]
fn what_lies_within_a_minute_is_handed_through() {
    for (step, expected) in [(SECOND / 100, 0..=20), (5 * SECOND, 100..=2_000)] {
        let (broker, clock) = (Rc::new(RefCell::new(Broker::default())), clock());
        broker.borrow_mut().partitions = vec![every(step, 1_000); 3];
        broker.borrow_mut().ends = vec![1_000; 3];
        let log = log(&broker, &clock, OrderRules::default(), &Fronts::new(1), 0);
        assign(&log, &[0, 1, 2]);
        let (mut held, mut newest) = (0, START);
        let mut offsets = [0; 3];
        while offsets.iter().any(|offset| *offset < 1_000) {
            let Some(message) = log.poll(Duration::ZERO).unwrap() else {
                clock.pass(Duration::from_millis(1));
                continue;
            };
            let next = &mut offsets[message.partition() as usize];
            assert_eq!(message.offset(), *next);
            *next += 1;
            held += u32::from(matches!(message, Ordered::Held(_)));
            let time = message.time().unwrap().0;
            assert!(newest - time <= MINUTE, "{newest} came before {time}");
            newest = newest.max(time);
        }
        assert!(expected.contains(&held), "{held} were held");
        assert_eq!(log.inner().interrupted.get(), 0);
    }
}

#[test]
fn without_patience_for_order_records_come_as_they_are() {
    let (broker, clock) = (broker(), clock());
    let rules = OrderRules {
        hold_max: Duration::ZERO,
        ..OrderRules::default()
    };
    let log = log(&broker, &clock, rules, &Fronts::new(1), 0);
    assign(&log, &[0, 1, 2]);
    let seen = read(&log, &clock);
    assert_whole(&seen);
    assert!(falls_back(&seen) > 10, "this log mixes its partitions");
}

#[test]
fn a_seek_drops_what_is_held_and_a_pause_keeps_it() {
    let (broker, clock) = (broker(), clock());
    let log = log(&broker, &clock, OrderRules::default(), &Fronts::new(1), 0);
    assign(&log, &[0, 1, 2]);
    let first = (0..1_000).filter_map(|_| log.poll(Duration::ZERO).unwrap().map(|message| message.offset()));
    assert_eq!(first.take(50).count(), 50);
    log.seek(&partition(1), 0).unwrap();
    log.pause(&[partition(0)]).unwrap();
    let seen = read(&log, &clock);
    assert!(seen.iter().all(|(partition, ..)| *partition != 0), "paused");
    let again = seen.iter().filter(|(partition, ..)| *partition == 1);
    assert_eq!(
        again.map(|(_, offset, _)| *offset).collect::<Vec<_>>(),
        (0..1_000).collect::<Vec<_>>()
    );
    log.resume(&[partition(0)]).unwrap();
    let rest = read(&log, &clock);
    assert!(!rest.is_empty() && rest.iter().all(|(partition, ..)| *partition == 0));
}

#[test]
fn after_a_seek_nobody_goes_ahead_of_what_is_read_again() {
    let (broker, clock) = (broker(), clock());
    let mut late = vec![every(500 * MINUTE, 20), every(100 * MINUTE, 30)];
    for (partition, end) in [(2, 30), (0, 20)] {
        broker.borrow_mut().partitions[partition].clear();
        broker.borrow_mut().ends[partition] = end;
    }
    let log = log(&broker, &clock, OrderRules::default(), &Fronts::new(1), 0);
    assign(&log, &[0, 1, 2]);
    // All of the busy partition is held before the others say anything.
    for _ in 0..500 {
        assert!(log.poll(Duration::ZERO).unwrap().is_none());
    }
    for partition in [2, 0] {
        broker.borrow_mut().partitions[partition] = late.pop().unwrap();
    }
    // One of them has come to its end, the other is held to its end.
    let mut seen = read_some(&log, &clock, 345);
    let next = seen.iter().filter(|(partition, ..)| *partition == 0).count() as i64;
    assert!((5..10).contains(&next), "{next}");
    log.seek(&partition(0), next).unwrap();
    seen.extend(read(&log, &clock));
    assert_eq!(seen.len(), 20 + 1_000 + 30);
    assert_eq!(falls_back(&seen), 0);
}

#[test]
fn two_workers_stay_together_in_record_time() {
    let (broker, clock, fronts) = (broker(), clock(), Fronts::new(2));
    let one = log(&broker, &clock, OrderRules::default(), &fronts, 0);
    let two = log(&broker, &clock, OrderRules::default(), &fronts, 1);
    assign(&one, &[0]);
    assign(&two, &[1, 2]);
    let mut seen = Vec::new();
    for _ in 0..20_000 {
        for log in [&one, &two] {
            if let Some(message) = log.poll(Duration::ZERO).unwrap() {
                let minute = (message.time().unwrap().0 - START) / MINUTE;
                seen.push((message.partition(), message.offset(), minute));
            }
        }
        clock.pass(Duration::from_millis(1));
    }
    assert_whole(&seen);
    let apart = seen.windows(2).map(|pair| pair[0].2 - pair[1].2).max();
    assert!(apart <= Some(1), "one minute apart at most: {apart:?}");
}
