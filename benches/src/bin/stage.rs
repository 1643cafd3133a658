//! One stage, over so many records, and nothing else: what callgrind counts. `stage NAME RECORDS`.

use anyhow::Context;
use changegate_benches::stage::{BLOCK, Stages};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let work = Stages::work(&arguments.next().context("which stage?")?)?;
    let records: usize = arguments.next().context("how many records?")?.parse()?;
    let mut stages = Stages::new()?;
    (0..records / BLOCK).for_each(|turn| work(&mut stages, turn));
    Ok(())
}
