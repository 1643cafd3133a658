//! One stage, over so many records, and nothing else: what callgrind counts. `stage NAME RECORDS` over made-up records of
//! CloudTrail; `stage normalize|generic RECORDS SOURCE FILE` over those of another source, one a line.

use std::path::Path;

use anyhow::bail;
use changegate_benches::sources::Pair;
use changegate_benches::stage::{BLOCK, Stages};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [stage, records] => {
            let work = Stages::work(stage)?;
            let records: usize = records.parse()?;
            let mut stages = Stages::new()?;
            (0..records / BLOCK).for_each(|turn| work(&mut stages, turn));
        }
        [stage, records, source, file] => Pair::new(source, Path::new(file))?.run(stage, records.parse()?)?,
        _ => bail!("stage NAME RECORDS | stage normalize|generic RECORDS SOURCE FILE"),
    }
    Ok(())
}
