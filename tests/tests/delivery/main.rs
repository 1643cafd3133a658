//! Nothing is lost and nothing doubled: the program is killed, stopped and starved on real engines, and what readers of
//! the ledger see is compared with what they must see. `cargo test --release --test delivery -- <part of a name>` runs
//! some of them.

mod bad_input;
mod group;
mod late;
mod outage;
mod recover;
mod restart;
mod telling;

use std::process::ExitCode;

use changegate_tests::Test;

/// Databases of the tests; users' grants are fixed when the server starts.
const DATABASES: &[&str] = &[
    "restart",
    "restart_reference",
    "dropped",
    "dropped_reference",
    "refused",
    "versions",
    "hangs",
    "telling",
    "bad_input",
    "part",
    "late",
    "named",
];

const TESTS: &[Test] = &[
    (
        "bad_input_ends_where_the_user_is_told",
        bad_input::bad_input_ends_where_the_user_is_told,
    ),
    (
        "a_restart_scores_as_if_there_had_been_none",
        restart::a_restart_scores_as_if_there_had_been_none,
    ),
    (
        "a_batch_that_came_to_nothing_has_taught_nothing",
        restart::a_batch_that_came_to_nothing_has_taught_nothing,
    ),
    (
        "a_snapshot_that_cannot_be_taken_is_said_and_left",
        restart::a_snapshot_that_cannot_be_taken_is_said_and_left,
    ),
    (
        "a_fence_comes_back_whole_and_a_ghost_cannot_commit",
        group::a_fence_comes_back_whole_and_a_ghost_cannot_commit,
    ),
    (
        "a_revoked_member_drains_before_its_successor_starts",
        group::a_revoked_member_drains_before_its_successor_starts,
    ),
    (
        "a_name_that_was_given_away_is_taken_back_once",
        group::a_name_that_was_given_away_is_taken_back_once,
    ),
    (
        "a_row_that_lands_late_asks_nobody",
        late::a_row_that_lands_late_asks_nobody,
    ),
    (
        "a_new_version_finishes_what_the_old_one_left_open",
        recover::a_new_version_finishes_what_the_old_one_left_open,
    ),
    (
        "sigterm_ends_it_while_clickhouse_hangs",
        recover::sigterm_ends_it_while_clickhouse_hangs,
    ),
    (
        "a_real_run_shows_every_metric_and_its_traces",
        telling::a_real_run_shows_every_metric_and_its_traces,
    ),
    (
        "a_topic_that_is_not_there_is_said_at_the_start",
        telling::a_topic_that_is_not_there_is_said_at_the_start,
    ),
    (
        "engines_that_are_away_are_waited_for",
        outage::engines_that_are_away_are_waited_for,
    ),
    (
        "a_part_of_a_topic_is_refused",
        recover::a_part_of_a_topic_is_refused,
    ),
];

fn main() -> ExitCode {
    changegate_tests::run(DATABASES, TESTS)
}
