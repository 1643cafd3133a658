//! The changegate program: arguments, wiring, shutdown. No decisions of its own.
//!
//! Exit status: 0 done, 1 the answer is no, 2 could not.
//!
//! A library, so that two programs can be made of it: the one that users get, and one with the feature `crash-points`, which
//! tests kill at named places.

#[macro_use]
mod output;

mod args;
mod commands;
mod connect;
mod crew;
#[cfg(test)]
mod first_days;
mod input;
mod local;
mod memory;
mod metered;
mod operations;
mod scorer;
mod setup;
mod shards;
mod stream;
mod watch;
mod when;

use std::process::ExitCode;

use clap::FromArgMatches;

use crate::args::{Arguments, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Does what the arguments say.
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "engine") {
        return changegate_engines::engine_main(words.get(2..).unwrap_or_default());
    }
    let given = Arguments::from_arg_matches(&args::command().get_matches());
    let Arguments { config, command } = given.unwrap_or_else(|error| error.exit());
    let config = config.as_deref();
    if command.source() == Some("list") {
        return answered(commands::sources());
    }
    answered(match command {
        Command::Normalize(asked) => commands::normalize::run(config, &asked),
        Command::Score(asked) => commands::score::run(config, &asked),
        Command::Train(asked) => commands::train::run(config, &asked),
        Command::Simulate(asked) => commands::simulate::run(&asked),
        Command::Status(asked) => commands::status::run(config, &asked),
        Command::Config(asked) => commands::config::run(config, &asked),
        Command::Up => commands::serve::up(config),
        Command::Serve => commands::serve::serve(config),
        Command::Ingest(asked) => commands::ingest::run(config, &asked),
        Command::Approvals(asked) => commands::approvals::run(config, &asked),
        Command::Dlq(asked) => commands::dlq::run(config, &asked),
        Command::Migrate(asked) => commands::admin::migrate(config, &asked),
        Command::Topics(asked) => commands::admin::topics(config, &asked),
        Command::Sql(asked) => commands::admin::sql(config, &asked),
        Command::Demo => commands::demo::run(),
        Command::Doctor(asked) => commands::doctor::run(config, &asked),
        Command::Completions { shell } => commands::completions(shell),
    })
}

fn answered(done: commands::Answer) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // The reader of our output went away (`| head`): nothing is wrong.
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("changegate: {error:#}");
            ExitCode::from(2)
        }
    }
}
