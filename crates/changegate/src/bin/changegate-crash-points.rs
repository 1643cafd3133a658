//! The same program with named places at which it ends itself, for the tests that kill it there.

use std::process::ExitCode;

fn main() -> ExitCode {
    changegate::main()
}
