//! One module per command.

use changegate_normalize::source_names;

use crate::output;

pub(crate) mod admin;
pub(crate) mod approvals;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod dlq;
pub(crate) mod doctor;
pub(crate) mod ingest;
pub(crate) mod normalize;
pub(crate) mod rescore;
pub(crate) mod score;
pub(crate) mod serve;
pub(crate) mod simulate;
pub(crate) mod status;
pub(crate) mod train;

/// What a command says: yes or done, no, or why it could not.
pub(crate) type Answer = anyhow::Result<bool>;

/// Prints completions.
pub(crate) fn completions(shell: clap_complete::Shell) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::args::command(), "changegate", &mut script);
    output::text(&String::from_utf8(script)?)?;
    Ok(true)
}

/// Prints the names of all sources, one a line.
pub(crate) fn sources() -> Answer {
    for name in source_names() {
        output::text(&format!("{name}\n"))?;
    }
    Ok(true)
}
