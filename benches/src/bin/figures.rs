//! All figures in one table, or these parts of it: `figures [PART...]`. `figures --check`: only what has bounds and is the
//! same however busy the machine is. Times of stages come from `cargo bench` (in `CRITERION_HOME`).

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use changegate_benches::counts::Counts;
use changegate_benches::stage::BLOCK;
use changegate_benches::table::Table;
use changegate_benches::{
    actors, engines, forest, latency, loader, python, questions, road, sources, stall, vrl,
};
use serde_json::Value;

/// As in the program: some parts do its work in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Records of the shorter and the longer run of a stage.
const LENGTHS: [u64; 2] = [1_000, 3_000];

/// How far runs of the same work may lie apart.
const SPREAD_MAX: f64 = 1.02;

type Part = fn(&mut Table) -> anyhow::Result<()>;

/// What can run alone, in the order of the table.
const PARTS: [(&str, Part); 13] = [
    ("times", times),
    ("stages", stages),
    ("actors", |table| {
        table.actors(&actors::figures(100_000)?);
        Ok(())
    }),
    ("road", |table| {
        table.instructions(&road::instructions(5_000)?);
        Ok(())
    }),
    ("vrl", |table| {
        table.vrl(&vrl::figures(5_000)?);
        Ok(())
    }),
    ("shapes", |table| {
        table.shapes(&road::shapes(3_000)?);
        Ok(())
    }),
    ("forest", |table| {
        table.forest(&forest::figures()?);
        Ok(())
    }),
    ("python", |table| {
        table.throughput(&python::throughput(600_000)?);
        Ok(())
    }),
    ("loader", |table| {
        table.loader(&loader::figures(300_000)?);
        Ok(())
    }),
    ("latency", |table| {
        table.latency(&latency::figures(None)?);
        Ok(())
    }),
    ("memory", |table| {
        table.memory(&road::memory()?);
        Ok(())
    }),
    ("stall", |table| {
        table.stall(&stall::figures(60)?);
        Ok(())
    }),
    ("questions", |table| {
        table.questions(&questions::figures(20_000_000)?);
        Ok(())
    }),
];

/// Those whose figures are counts.
const CHECKED: [&str; 1] = ["stages"];

fn main() -> anyhow::Result<ExitCode> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let check = words == ["--check"];
    if check {
        words = CHECKED.map(str::to_owned).to_vec();
    }
    if let Some(unknown) = words
        .iter()
        .find(|word| !PARTS.iter().any(|(part, _)| part == word))
    {
        let known = PARTS.map(|(part, _)| part).join(", ");
        bail!("no part {unknown:?}; known are {known}, and --check alone");
    }
    let mut table = Table::new()?;
    let (mut took, mut failed) = (Vec::new(), false);
    for (part, work) in PARTS {
        if !words.is_empty() && !words.iter().any(|word| word == part) {
            continue;
        }
        eprintln!("== {part}");
        let started = Instant::now();
        // The other figures are worth having.
        let result = work(&mut table);
        took.push(format!("{part} {} s", started.elapsed().as_secs()));
        if let Err(error) = result {
            eprintln!("{part} FAILED: {error:#}");
            failed = true;
        }
    }
    print!("{table}");
    println!("time: {}", took.join(", "));
    for broken in table.broken() {
        eprintln!("short: {broken}");
    }
    // Figures of time are no ground to fail on: they depend on what else the machine does.
    Ok(if failed || check && !table.broken().is_empty() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Nanoseconds a record of each stage, and its share of the sum.
fn times(table: &mut Table) -> anyhow::Result<()> {
    let home = std::env::var_os("CRITERION_HOME").context("CRITERION_HOME is not set: run benches/run")?;
    let of = |stage: &str| -> anyhow::Result<f64> {
        let file = Path::new(&home)
            .join("stage")
            .join(stage)
            .join("new/estimates.json");
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let estimates: Value = serde_json::from_str(&text)?;
        let median = estimates["median"]["point_estimate"].as_f64();
        Ok(median.with_context(|| format!("{} has no median", file.display()))? / BLOCK as f64)
    };
    let (sha256, parse, features) = (of("sha256")?, of("parse")?, of("features")?);
    let (normalize, generic) = (of("normalize")? - sha256, of("generic")?);
    let stages = [
        ("parse (index of one pass)", parse),
        ("mask and normalize", normalize - parse),
        ("features and their state", features),
        ("score and reasons", of("features_and_score")? - features),
        ("decide", of("decide")?),
        ("encode rows", of("encode")?),
    ];
    let sum: f64 = stages.iter().map(|(_, time)| time).sum();
    for (stage, time) in stages {
        table.add(&format!("{stage}: share of the sum, %"), 100.0 * time / sum, 1);
    }
    table.add("sum of these stages: ns a record", sum, 0);
    table.add("SHA-256 of a record, beside them: ns", sha256, 0);
    table.add(
        "parse and normalize: serde_json path / ours, time",
        generic / normalize,
        2,
    );
    Ok(())
}

/// Instructions a record, SHA-256 excluded.
fn stages(table: &mut Table) -> anyhow::Result<()> {
    let (generic, normalize, features) = (count("generic")?, count("normalize")?, count("features")?);
    let (score, encode) = (count("features_and_score")? - features, count("encode")?);
    table.add(
        "parse and normalize, serde_json path: instructions a record",
        generic,
        0,
    );
    table.bounded(
        "normalize",
        "parse and normalize, ours: instructions",
        normalize,
        0,
    );
    table.bounded(
        "generic_over_ours",
        "parse and normalize: serde_json path / ours, instructions",
        generic / normalize,
        2,
    );
    table.bounded("features", "features and their state: instructions", features, 0);
    table.bounded("score", "score and reasons: instructions", score, 0);
    table.bounded("encode", "encode rows: instructions", encode, 0);
    other_sources(table)
}

/// The ratio of parse and normalize for the sources beside CloudTrail.
fn other_sources(table: &mut Table) -> anyhow::Result<()> {
    for (name, source, bound) in sources::SOURCES {
        let file = std::env::temp_dir().join(format!("changegate-{}-{source}", std::process::id()));
        sources::write(source, &file)?;
        let events = file
            .to_str()
            .context("a folder for temporary files without a name")?;
        let of = |side| count_of(side, &[source, events]);
        let ratio = of("generic").and_then(|generic| Ok((generic, of("normalize")?)));
        std::fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
        let (generic, normalize) = ratio?;
        table.add(
            &format!("parse and normalize, {name}, ours: instructions an event"),
            normalize,
            0,
        );
        table.bounded(
            bound,
            &format!("parse and normalize, {name}: serde_json path / ours, instr."),
            generic / normalize,
            2,
        );
    }
    Ok(())
}

/// Instructions of a stage.
fn count(stage: &str) -> anyhow::Result<f64> {
    count_of(stage, &[])
}

/// Instructions of a stage over these records: the middle of three runs that must agree.
fn count_of(stage: &str, records: &[&str]) -> anyhow::Result<f64> {
    let mut runs = [0.0; 3];
    for run in &mut runs {
        *run = count_once(stage, records)?;
    }
    runs.sort_by(f64::total_cmp);
    let [least, middle, most] = runs;
    ensure!(
        most <= least * SPREAD_MAX,
        "{stage} took {least:.0} to {most:.0} instructions: too far apart to bound"
    );
    Ok(middle)
}

/// The difference of two run lengths, so that start-up cancels out.
fn count_once(stage: &str, more: &[&str]) -> anyhow::Result<f64> {
    let own = std::env::current_exe()?.with_file_name("stage");
    let folder = std::env::temp_dir();
    let run = |records: u64| -> anyhow::Result<Counts> {
        let counts = folder.join(format!(
            "changegate-stage-{}-{stage}-{records}",
            std::process::id()
        ));
        let status = engines::callgrind(&counts)
            .arg(&own)
            .arg(stage)
            .arg(records.to_string())
            .args(more)
            .status()
            .context("starting valgrind")?;
        ensure!(status.success(), "{stage} under valgrind: {status}");
        let read = Counts::read(&counts);
        std::fs::remove_file(&counts).with_context(|| format!("removing {}", counts.display()))?;
        read
    };
    // Side by side: counts do not depend on how busy the machine is.
    let (short, long) = std::thread::scope(|scope| {
        let short = scope.spawn(|| run(LENGTHS[0]));
        let long = run(LENGTHS[1]);
        (short.join(), long)
    });
    let Ok(short) = short else {
        bail!("{stage}: the shorter run panicked")
    };
    let (short, long) = (short?, long?);
    Ok(Counts::per_record(short, long, LENGTHS[1] - LENGTHS[0]).0)
}
