//! What a change is scored by, after all that may happen.

use std::rc::Rc;

use changegate_pipeline::ledger::Table;
use changegate_types::TimeMicros;

use crate::broker::{Broker, Stored};
use crate::random::Random;
use crate::world::{PARTITIONS, World};

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

/// Every change is scored by all that came before it and by nothing else: `[changes, times back to a snapshot]`.
pub(crate) fn as_if_there_had_been_no_fault(seed: u64) -> [u32; 2] {
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
                    "what {}/{child} was scored by",
                    record.offset
                );
                changes += 1;
            }
            learned += u32::from(matches!(kind, b'c' | b'b' | b'l'));
        }
    }
    [changes, world.spoilt]
}
