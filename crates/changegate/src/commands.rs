//! One module per command.

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
pub(crate) mod train;

/// What a command says: yes or done, no, or why it could not.
pub(crate) type Answer = anyhow::Result<bool>;

/// Prints completions.
pub(crate) fn completions(shell: clap_complete::Shell) -> Answer {
    let mut command = crate::args::command();
    clap_complete::generate(shell, &mut command, "changegate", &mut std::io::stdout().lock());
    Ok(true)
}
