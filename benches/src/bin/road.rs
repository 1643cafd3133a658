//! The whole road alone, or a part of the table at a size of one's own. `road actors [ACTORS]` compares the CPU time of an
//! event where so many actors are known with 1,000; `road instructions [RECORDS]` counts instructions against a consumer
//! that drops what it reads, `road shapes RECORDS` at several numbers of partitions and workers; `road loader RECORDS`
//! compares CPU time with the database's own loader, `road latency [RECORDS A SECOND]` how soon rows are seen; `road python
//! RECORDS` throughput with a script's; `road memory` measures what the program takes for a demo's worth of records,
//! `road stall [SECONDS]` what it takes more while the server stands still, `road questions [CHANGES]` how long people wait for answers over so many changes.

use anyhow::bail;
use changegate_benches::table::Table;
use changegate_benches::{actors, latency, loader, python, questions, road, stall};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut table = Table::new()?;
    match words[..] {
        ["actors"] => table.actors(&actors::figures(100_000)?),
        ["actors", actors] => table.actors(&actors::figures(actors.parse()?)?),
        ["instructions"] => table.instructions(&road::instructions(5_000)?),
        ["instructions", records] => table.instructions(&road::instructions(records.parse()?)?),
        ["memory"] => table.memory(&road::memory()?),
        ["shapes", records] => table.shapes(&road::shapes(records.parse()?)?),
        ["python", records] => table.throughput(&python::throughput(records.parse()?)?),
        ["loader", records] => table.loader(&loader::figures(records.parse()?)?),
        ["latency"] => table.latency(&latency::figures(None)?),
        ["latency", rate] => table.latency(&latency::figures(Some(rate.parse()?))?),
        ["stall"] => table.stall(&stall::figures(60)?),
        ["stall", seconds] => table.stall(&stall::figures(seconds.parse()?)?),
        ["questions"] => table.questions(&questions::figures(20_000_000)?),
        ["questions", changes] => table.questions(&questions::figures(changes.parse()?)?),
        ["consume", bootstrap, topic, records] => road::consume(bootstrap, topic, records.parse()?)?,
        _ => bail!(
            "road actors [ACTORS] | road instructions [RECORDS] | road shapes RECORDS | road loader RECORDS | road python RECORDS | road latency [RECORDS A SECOND] | road memory | road stall [SECONDS] | road questions [CHANGES]"
        ),
    }
    println!("{table}");
    Ok(())
}
