//! What may go wrong around the program does, on real engines, and the ledger's readers must not see it. One module per
//! bar; each is seeded and prints its counts. `make test` runs the short forms, `make soak` the full ones.

use std::process::ExitCode;

use changegate_tests::Test;

/// Databases of the bars.
const DATABASES: &[&str] = &[];

const BARS: &[Test] = &[];

fn main() -> ExitCode {
    changegate_tests::run(DATABASES, BARS)
}
