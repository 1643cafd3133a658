//! Tests that share one start of both engines.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use crate::Site;

/// A test gets both engines, and makes topics, a group and a database of its own on them.
pub type Test = (&'static str, fn(&Site));

/// Runs the tests whose names hold one of the arguments, or all of them: what the `main` of a test program does.
///
/// `databases` names those of all tests: users' grants are fixed when the server starts.
pub fn run(databases: &[&str], tests: &[Test]) -> ExitCode {
    // The engines are started through this program.
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some((first, rest)) = args.split_first()
        && first == "engine"
    {
        return changegate_engines::engine_main(rest);
    }
    let wanted: Vec<&str> = args
        .iter()
        .filter_map(|arg| arg.to_str())
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let tests: Vec<&Test> = tests
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| name.contains(part)))
        .collect();
    if tests.is_empty() {
        // In `make test` another test program of the same run may have what is asked for.
        println!("no test here is called {}", wanted.join(" or "));
        return size(ExitCode::SUCCESS, ExitCode::FAILURE);
    }
    let site = Site::start(databases);
    let mut failed = 0;
    for (name, test) in tests {
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| test(&site)));
        println!(
            "test {name} ... {} ({:.1} s)",
            if result.is_ok() { "ok" } else { "FAILED" },
            started.elapsed().as_secs_f32()
        );
        failed += u32::from(result.is_err());
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// How much of it: `short` in `make test`, `full` where `make soak` sets `CHANGEGATE_SOAK`.
pub fn size<T>(short: T, full: T) -> T {
    if std::env::var_os("CHANGEGATE_SOAK").is_some() {
        full
    } else {
        short
    }
}
