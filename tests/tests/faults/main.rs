//! What may go wrong around the program does, on real engines, and the ledger's readers must not see it. One module per
//! bar; each is seeded and prints its counts. `make test` runs the short forms, `make soak` the full ones.

mod kill;
mod network;

use std::process::ExitCode;

use changegate_tests::Test;

/// Databases of the bars.
const DATABASES: &[&str] = &["kill", "kill_reference", "network", "network_reference"];

const BARS: &[Test] = &[
    (
        "killed_over_and_over_nothing_is_lost_doubled_or_altered",
        kill::killed_over_and_over_nothing_is_lost_doubled_or_altered,
    ),
    (
        "a_bad_network_loses_and_doubles_nothing",
        network::a_bad_network_loses_and_doubles_nothing,
    ),
];

fn main() -> ExitCode {
    changegate_tests::run(DATABASES, BARS)
}
