//! The worker on a log, a group, a ledger and an outbox in memory, with faults: lost answers, inserts that land late,
//! refused rows, kills at any step, rebalances, members that are evicted and write on. Seeded: a failure names its seed,
//! and `CHANGEGATE_SIMULATION_SEED=<seed>` runs that one alone. `CHANGEGATE_SIMULATION_SEEDS=<count>` runs more.

mod broker;
mod check;
mod flow;
mod ledger;
mod mind;
mod order;
mod parts;
mod random;
mod rows;
mod scores;
mod world;

use std::panic::{catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use world::World;

/// `[kills, replaced, wipes, rebalances, lost, late, refusals, copies, durable, spoilt]`
fn run(seed: u64) -> [u32; 10] {
    let mut world = World::new(seed);
    world.run();
    if seed.is_multiple_of(3) {
        world.recreate();
        world.run();
    }
    world.faults()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Runs the seeds on all cores. Returns how many, and the sums of what they count.
fn over_seeds<const N: usize>(run: fn(u64) -> [u32; N]) -> (u64, [u64; N]) {
    let (first, seeds) = match number("CHANGEGATE_SIMULATION_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("CHANGEGATE_SIMULATION_SEEDS").unwrap_or(300)),
    };
    let next = AtomicU64::new(first);
    let run_some = || {
        let mut sums = [0; N];
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return sums;
            }
            let counts = catch_unwind(|| run(seed)).unwrap_or_else(|panic| {
                eprintln!("failed with CHANGEGATE_SIMULATION_SEED={seed}");
                resume_unwind(panic)
            });
            sums.iter_mut()
                .zip(counts)
                .for_each(|(sum, count)| *sum += u64::from(count));
        }
    };
    let sums = std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(run_some)).collect();
        threads.into_iter().fold([0; N], |sums: [u64; N], thread| {
            let more = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            std::array::from_fn(|index| sums[index] + more[index])
        })
    });
    // One seed shows what it shows; of many, each fault must have come up.
    let idle = seeds > 1 && sums.contains(&0);
    assert!(
        !idle,
        "a fault that never came up proves nothing: {sums:?} over {seeds} seeds"
    );
    (seeds, sums)
}

#[test]
fn nothing_is_lost_and_nothing_doubled_whatever_happens() {
    let (
        seeds,
        [
            kills,
            replaced,
            wipes,
            rebalances,
            lost,
            late,
            refusals,
            copies,
            durable,
            spoilt,
        ],
    ) = over_seeds(run);
    println!(
        "{seeds} seeds: {kills} kills, {replaced} names given away, {wipes} groups wiped, {rebalances} rebalances, {lost} answers lost, \
         {late} inserts landed late, {refusals} refusals, {copies} second copies found, {durable} partitions fit for a snapshot, {spoilt} times back to one"
    );
}

#[test]
fn what_is_dropped_has_taught_nothing() {
    let (seeds, [changes, spoilt]) = over_seeds(scores::as_if_there_had_been_no_fault);
    println!("{seeds} seeds: {changes} changes scored as without a fault, {spoilt} times back to a snapshot");
}
