//! What may go wrong around the program does, on real engines, and the ledger's readers must not see it. One module per
//! bar; each is seeded and prints its counts. `make test` runs the short forms, `make soak` the full ones.

mod kill;

use std::process::ExitCode;

use changegate_tests::Test;

/// Databases of the bars.
const DATABASES: &[&str] = &["kill", "kill_reference"];

const BARS: &[Test] = &[(
    "killed_over_and_over_nothing_is_lost_doubled_or_altered",
    kill::killed_over_and_over_nothing_is_lost_doubled_or_altered,
)];

fn main() -> ExitCode {
    changegate_tests::run(DATABASES, BARS)
}
