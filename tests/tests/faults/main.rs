//! What may go wrong around the program does, on real engines, and the ledger's readers must not see it. One module per
//! bar; each is seeded and prints its counts. `make test` runs the short forms, `make soak` the full ones.

mod broker;
mod kill;
mod load;
mod network;
mod outage;
mod poison;
mod recovery;
mod scale;
mod storm;

use std::process::ExitCode;

use changegate_tests::Test;

/// Databases of the bars.
const DATABASES: &[&str] = &[
    "kill",
    "kill_reference",
    "network",
    "network_reference",
    "poison",
    "poison_clean",
    "poison_1",
    "poison_clean_1",
    "poison_2",
    "poison_clean_2",
    "limits",
    "wall",
    "halves",
    "load",
    "storm",
    "storm_reference",
    "window",
    "anew_shorter",
    "anew_longer",
    "anew_shorter_wiped",
    "anew_longer_wiped",
    "wiped",
    "retention",
    "scale_1",
    "scale_2",
    "scale_3",
    "scale_reference",
];

const BARS: &[Test] = &[
    (
        "killed_over_and_over_nothing_is_lost_doubled_or_altered",
        kill::killed_over_and_over_nothing_is_lost_doubled_or_altered,
    ),
    (
        "a_bad_network_loses_and_doubles_nothing",
        network::a_bad_network_loses_and_doubles_nothing,
    ),
    (
        "poison_is_dead_lettered_and_good_records_are_not",
        poison::poison_is_dead_lettered_and_good_records_are_not,
    ),
    (
        "poison_beyond_a_limit_stops_the_stream",
        poison::poison_beyond_a_limit_stops_the_stream,
    ),
    (
        "poison_in_one_partition_blocks_no_other",
        poison::poison_in_one_partition_blocks_no_other,
    ),
    (
        "poison_that_clickhouse_refuses_is_found_row_by_row",
        poison::poison_that_clickhouse_refuses_is_found_row_by_row,
    ),
    (
        "an_outage_of_clickhouse_passes_no_position_and_is_caught_up",
        outage::an_outage_of_clickhouse_passes_no_position_and_is_caught_up,
    ),
    (
        "a_load_is_seen_in_time_in_bounded_memory_and_few_parts",
        load::a_load_is_seen_in_time_in_bounded_memory_and_few_parts,
    ),
    (
        "a_storm_of_rebalances_loses_and_doubles_nothing",
        storm::a_storm_of_rebalances_loses_and_doubles_nothing,
    ),
    (
        "recovery_when_deduplication_has_forgotten",
        recovery::an_outage_longer_than_the_deduplication_window,
    ),
    ("recovery_of_a_topic_made_anew", recovery::a_topic_made_anew),
    ("recovery_of_a_wiped_group", recovery::a_wiped_group),
    (
        "recovery_after_retention_passed_the_position",
        recovery::retention_passed_the_position,
    ),
    (
        "a_broker_that_dies_loses_no_request",
        broker::a_broker_that_dies_loses_no_request,
    ),
    (
        "any_number_of_processes_writes_the_same_rows",
        scale::any_number_of_processes_writes_the_same_rows,
    ),
];

fn main() -> ExitCode {
    changegate_tests::run(DATABASES, BARS)
}
