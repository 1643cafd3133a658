//! Stands in for the changegate program: `engine …` is the launcher's entry, `own FOLDER` starts both engines, prints
//! their process numbers and data folders, and holds them until it is killed.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::process::ExitCode;

use changegate_engines::{ClickHouse, ClickHouseOptions, Kafka, KafkaOptions, engine_main};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.split_first() {
        Some((word, rest)) if word == "engine" => engine_main(rest),
        Some((word, _)) if word == "own" => match own() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        _ => ExitCode::from(2),
    }
}

fn own() -> changegate_engines::Result<()> {
    // Started by a thread that ends at once: a parent-death signal tied to it would kill the engines too early.
    let start = || {
        let kafka = Kafka::start(&KafkaOptions::default())?;
        let clickhouse = ClickHouse::start(&ClickHouseOptions::default())?;
        Ok((kafka, clickhouse))
    };
    let (kafka, clickhouse) =
        std::thread::scope(|scope| scope.spawn(start).join()).expect("the thread does not panic")?;
    let numbers = [kafka.pid(), clickhouse.pid()].map(Option::unwrap_or_default);
    println!(
        "{} {} {} {}",
        numbers[0],
        numbers[1],
        kafka.data().display(),
        clickhouse.data().display()
    );
    let _ = std::io::stdout().flush();
    // Nobody writes; the owner is killed here.
    let _ = std::io::stdin().lock().read_line(&mut String::new());
    Ok(())
}
