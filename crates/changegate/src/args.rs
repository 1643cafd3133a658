use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Every change of the organisation: normalized, scored, decided, kept for audit.
#[derive(Debug, Parser)]
#[command(name = "changegate", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Settings file; else ./changegate.toml, /etc/changegate/changegate.toml, or the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print one normalized change per line; what is skipped or rejected goes to standard error.
    ///
    /// Example: changegate normalize --source aws.cloudtrail events.jsonl
    Normalize(Normalize),
    /// Normalize and score: risk from 0 to 100, level, reasons, decision.
    ///
    /// Example: changegate score --source kubernetes.audit --output table audit.log
    Score(Score),
    /// Train a model from files or from a made-up organisation.
    ///
    /// Example: changegate train --simulated-days 30 --name default --version 0.2.0
    Train(Train),
    /// Write the native events of a made-up organisation, and the truth about them, to a folder.
    ///
    /// Example: changegate simulate --days 7 --seed 3 --to ./events
    Simulate(Simulate),
    /// Check or show the settings.
    ///
    /// Example: changegate config show --redacted
    Config(Config),
    /// Everything on this machine: engines, tables, topics, the stream, until Ctrl-C.
    ///
    /// Example: changegate up
    Up,
    /// The stream against configured Kafka and ClickHouse, until SIGTERM.
    ///
    /// Example: changegate --config /etc/changegate/changegate.toml serve
    Serve,
    /// Bring the database to this version. Safe to repeat.
    ///
    /// Example: changegate migrate --dry-run
    Migrate {
        /// Print the statements instead.
        #[arg(long)]
        dry_run: bool,
    },
    /// Create the topics that are missing.
    ///
    /// Example: changegate topics
    Topics,
    /// Ask the ledger in SQL, as the reader.
    ///
    /// Example: changegate sql "SELECT count() FROM changegate.v_changes" --format CSVWithNames
    Sql {
        /// The question.
        question: String,
        /// Any format that ClickHouse knows.
        #[arg(long, default_value = "PrettyCompactMonoBlock")]
        format: String,
    },
    /// A made-up organisation through real engines on this machine, from Kafka to the ten riskiest changes.
    ///
    /// Example: changegate demo
    Demo,
    /// What is there, what is missing, and the command that mends it.
    ///
    /// Example: changegate doctor
    Doctor(Doctor),
    /// Print completions for a shell.
    ///
    /// Example: changegate completions bash > /etc/bash_completion.d/changegate
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For eyes.
    Table,
    /// One array.
    Json,
    /// One object per line.
    Jsonl,
}

#[derive(Debug, Args)]
pub(crate) struct Input {
    /// Source of the events, such as aws.cloudtrail; `changegate normalize --source list` prints them all.
    #[arg(long)]
    pub(crate) source: String,
    /// Cluster of the events, for sources that do not name it (Kubernetes).
    #[arg(long, default_value = "")]
    pub(crate) cluster: String,
    /// Files with one record a line, or one whole envelope (gzip too); `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Normalize {
    #[command(flatten)]
    pub(crate) input: Input,
    /// How changes are printed.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Score {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Folder of the model; by default that of the settings, else the one that comes with the program.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) model: Option<PathBuf>,
    /// How changes are printed.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    /// Source of the files.
    #[arg(long, requires = "files", conflicts_with = "simulated_days")]
    pub(crate) source: Option<String>,
    /// Train on so many days of a made-up organisation instead.
    #[arg(long, value_name = "DAYS")]
    pub(crate) simulated_days: Option<u32>,
    /// Seed of the made-up organisation, the forest and the peer groups.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Last day of the made-up period, exclusive (RFC 3339 date).
    #[arg(long, default_value = "2026-11-01")]
    pub(crate) until: String,
    /// Name of the model.
    #[arg(long, default_value = "default")]
    pub(crate) name: String,
    /// Version of the model.
    #[arg(long, default_value = "0.1.0")]
    pub(crate) version: String,
    /// Folder that holds models.
    #[arg(long, default_value = "models")]
    pub(crate) to: PathBuf,
    /// Files of events.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// How many days of work.
    #[arg(long, default_value_t = 7)]
    pub(crate) days: u32,
    /// Same seed, same bytes.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Last day, exclusive (RFC 3339 date).
    #[arg(long, default_value = "2026-11-01")]
    pub(crate) until: String,
    /// Folder to write to.
    #[arg(long)]
    pub(crate) to: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) what: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Exit status 0 when the settings hold, 1 with every fault when they do not.
    Check,
    /// Print the settings in force, with defaults; secrets are never shown.
    Show {
        /// Accepted for clarity: secrets are always replaced by ***.
        #[arg(long)]
        redacted: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// How the checks are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}
