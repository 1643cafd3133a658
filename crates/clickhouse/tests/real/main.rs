//! The ledger on a real ClickHouse server. A missing engine is a failure: `scripts/setup.sh` brings it.

mod copies;
mod ledger;
mod questions;
mod rows;
mod server;

use std::process::ExitCode;

use server::Server;

/// A test gets a server and makes a database of its own on it.
type Test = (&'static str, fn(&Server));

const TESTS: &[Test] = &[
    (
        "migrations_run_twice_and_fit_the_rows",
        ledger::migrations_run_twice_and_fit_the_rows,
    ),
    ("a_fresh_part_is_small", ledger::a_fresh_part_is_small),
    (
        "an_edited_migration_is_refused",
        ledger::an_edited_migration_is_refused,
    ),
    (
        "every_column_comes_back_as_it_was_written",
        ledger::every_column_comes_back_as_it_was_written,
    ),
    (
        "rows_come_back_as_the_bytes_that_were_encoded",
        ledger::rows_come_back_as_the_bytes_that_were_encoded,
    ),
    ("a_resend_adds_nothing", ledger::a_resend_adds_nothing),
    (
        "recovery_is_told_what_is_there",
        ledger::recovery_is_told_what_is_there,
    ),
    (
        "rows_from_the_hop_are_found_by_its_positions",
        ledger::rows_from_the_hop_are_found_by_its_positions,
    ),
    ("copies_are_shown_once", copies::copies_are_shown_once),
    ("a_copy_hides_only_itself", copies::a_copy_hides_only_itself),
    ("a_late_insert_asks_nobody", copies::a_late_insert_asks_nobody),
    (
        "no_position_loses_all_its_rows",
        copies::no_position_loses_all_its_rows,
    ),
    (
        "every_row_of_a_redelivery_is_set_aside",
        copies::every_row_of_a_redelivery_is_set_aside,
    ),
    ("gaps_and_recorded_holes", ledger::gaps_and_recorded_holes),
    ("errors_say_what_to_do", ledger::errors_say_what_to_do),
    ("a_kill_ends_what_runs", ledger::a_kill_ends_what_runs),
    ("roles_see_what_they_may", ledger::roles_see_what_they_may),
    (
        "every_question_has_an_answer",
        questions::every_question_has_an_answer,
    ),
];

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let first = args.next();
    if first.as_deref() == Some("engine".as_ref()) {
        let rest: Vec<_> = args.collect();
        return changegate_engines::engine_main(&rest);
    }
    let filter = first
        .and_then(|arg| arg.into_string().ok())
        .filter(|arg| !arg.starts_with('-'));
    let wanted = |name: &str| filter.as_deref().is_none_or(|filter| name.contains(filter));
    let server = Server::start();
    let mut failed = 0;
    for (name, test) in TESTS.iter().filter(|(name, _)| wanted(name)) {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&server)));
        println!("test {name} ... {}", if result.is_ok() { "ok" } else { "FAILED" });
        failed += u32::from(result.is_err());
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
