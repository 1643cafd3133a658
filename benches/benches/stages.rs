//! Time of each stage, a block of records at a time.

use std::hint::black_box;
use std::time::Duration;

use changegate_benches::stage::{BLOCK, STAGES, Stages};
use criterion::{Criterion, Throughput};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut stages = Stages::new()?;
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("stage");
    group.throughput(Throughput::Elements(BLOCK as u64));
    for (name, work) in STAGES {
        let mut turn = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                work(black_box(&mut stages), turn);
                turn += 1;
            });
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
