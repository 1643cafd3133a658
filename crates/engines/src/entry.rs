//! The hidden entry `changegate engine …`: what runs in the processes beside ours.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::embedded;
use crate::watch::{self, Task};

/// Carries out `changegate engine <args>`: `watch` guards an engine, `clickhouse` is one. Not for people.
pub fn engine_main(args: &[OsString]) -> ExitCode {
    match args.split_first() {
        Some((word, rest)) if word == "watch" => match Task::from_args(rest) {
            Some(task) => watch::run(&task),
            None => usage(),
        },
        Some((word, [library, rest @ ..])) if word == "clickhouse" => {
            match embedded::run(Path::new(library), rest) {
                Ok(()) => embedded::leave(0),
                Err(error) => {
                    eprintln!("embedded ClickHouse: {error}");
                    embedded::leave(1)
                }
            }
        }
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("`changegate engine` is started by changegate itself; try `changegate up`");
    ExitCode::from(2)
}
