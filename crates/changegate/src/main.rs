//! The program that users get.

use std::process::ExitCode;

fn main() -> ExitCode {
    changegate::main()
}
