//! The program as its users run it, against a real Kafka broker and a real ClickHouse server.

use std::path::PathBuf;
use std::process::{Command, Output};

/// The program of this build; `make test` builds it first.
///
/// # Panics
/// Where it is not there: a missing program is a failure, never a skip.
pub fn changegate() -> Command {
    let test = std::env::current_exe().expect("a test knows where it runs");
    let folder = test
        .ancestors()
        .nth(2)
        .expect("tests lie in <target>/<profile>/deps");
    let program = folder.join("changegate");
    assert!(
        program.is_file(),
        "{} is missing: build it with `cargo build --release`",
        program.display()
    );
    let mut command = Command::new(program);
    // Away from any changegate.toml; models lie beside the sources.
    command.current_dir(root());
    command
}

/// The project's folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Both outputs, for messages.
pub fn said(output: &Output) -> String {
    format!(
        "{}\n--\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
