//! The program as its users run it, against a real Kafka broker and a real ClickHouse server.

mod beside;
mod compare;
mod dice;
mod feed;
mod proxy;
mod served;
mod site;
mod small;
mod suite;
mod wire;

pub use beside::{Folder, Said, Up};
pub use compare::change_of;
pub use dice::Dice;
pub use feed::Feed;
pub use proxy::{Fault, Moment, Proxy, Rule};
pub use served::{Config, Served};
pub use site::{Committed, Message, Site};
pub use small::{counts, send_cloudtrail, small};
pub use suite::{Test, run, size};
pub use wire::produce;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// How long something may take that does not depend on the machine's speed alone. Past it, a test has failed.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The program as users get it.
pub const CHANGEGATE: &str = "changegate";
/// The same with places at which it ends itself, see `changegate_pipeline::crash`.
pub const CRASH_POINTS: &str = "changegate-crash-points";

/// The program of this build; `make test` builds it first.
///
/// # Panics
/// Where it is not there: a missing program is a failure, never a skip.
pub fn changegate() -> Command {
    let mut command = Command::new(program(CHANGEGATE));
    // Away from any changegate.toml; models lie beside the sources.
    command.current_dir(root());
    command
}

/// Where a program of this build lies.
///
/// # Panics
/// Where it is not there.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it runs");
    let folder = test
        .ancestors()
        .nth(2)
        .expect("tests lie in <target>/<profile>/deps");
    let program = folder.join(name);
    assert!(
        program.is_file(),
        "{} is missing: build it with `make programs`",
        program.display()
    );
    program
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

/// Asks again and again until there is an answer: other processes tell nobody when they are done. What comes of the test
/// depends on the answer alone; the pause between two questions only leaves the machine to those who are asked about.
///
/// # Panics
/// After [`PATIENCE`], with what was waited for.
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
