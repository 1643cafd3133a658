//! A worker that nothing disturbs.

use std::time::Duration;

use changegate_pipeline::Turn;

use crate::world::{Member, PARTITIONS, World};

/// Without faults, batches that fill up and snapshots interrupt no fetching, nor does holding a backlog that fits.
#[test]
fn a_stream_that_flows_is_never_paused() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        world.ledger.state.lock().unwrap().faults = false;
        world.holds = Some(1 << 20);
        world.spawn();
        let mut steps = 0;
        while !world.finished() {
            let Member { worker, mind, .. } = &mut world.members[0];
            if steps % 50 == 0 {
                worker.hold();
            }
            if worker.stands_still() {
                mind.borrow_mut().save();
                worker.go_on();
            }
            assert_eq!(worker.turn().unwrap(), Turn::Goes);
            world.clock.pass(Duration::from_millis(1));
            steps += 1;
            assert!(steps < 60_000, "seed {seed} does not end");
        }
        assert_eq!(world.members[0].interrupted.get(), 0, "seed {seed}");
    }
}

#[test]
fn partitions_that_a_worker_is_about_to_read_count_as_read() {
    let mut world = World::new(1);
    world.spawn();
    let worker = &mut world.members[0].worker;
    // It may not start yet.
    worker.hold();
    for _ in 0..100 {
        worker.turn().unwrap();
    }
    assert_eq!(worker.partitions().count(), PARTITIONS);
}
