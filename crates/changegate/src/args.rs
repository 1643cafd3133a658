use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::when::When;

/// Every change of the organisation: normalized, scored, decided, kept for audit.
#[derive(Debug, Parser)]
#[command(name = "changegate", version, max_term_width = 80)]
pub(crate) struct Arguments {
    /// Settings file; else ./changegate.toml, /etc/changegate/changegate.toml, or the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Headings of `changegate --help` and the commands below each.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "On files, without any engine",
        &["normalize", "score", "simulate", "train"],
    ),
    ("Run it", &["demo", "up", "serve"]),
    ("Feed it and ask it", &["ingest", "approvals", "dlq", "sql"]),
    (
        "Set up and look after",
        &["status", "config", "topics", "migrate", "doctor", "completions"],
    ),
];

/// The program's arguments, with the commands of `--help` under headings.
pub(crate) fn command() -> clap::Command {
    let command = Arguments::command();
    let mut help = String::from("{about}\n\n{usage-heading} {usage}\n");
    for (heading, names) in GROUPS {
        help.push_str(&format!("\n{heading}:\n"));
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            help.push_str(&format!("  {name:<12} {}\n", about.trim_end_matches('.')));
        }
    }
    help.push_str(
        "\nOptions:\n{options}\n\nEach command shows an example: changegate <COMMAND> --help\n\
         Exit status: 0 done; 1 the answer is no (something was rejected, a check\n\
         failed); 2 could not",
    );
    command.help_template(help)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read events and print one normalized change a line.
    ///
    /// What is skipped or rejected is said on standard error, one JSON object each. Of several files each object names its
    /// own.
    ///
    /// Example: changegate normalize --source aws.cloudtrail events.jsonl
    Normalize(Normalize),
    /// Normalize and score: risk, level, reasons, decision.
    ///
    /// Risk is 0 to 100 points: 40 is one benign change in 100, 60 one in 1,000.
    ///
    /// With --replay: derives the scores and decisions of stored changes again, and says where they differ.
    ///
    /// Example: changegate score --source kubernetes.audit --output table audit.log
    /// {n}Example: changegate score --replay --since 7d
    Score(Score),
    /// Train a model from files or from a made-up organisation.
    ///
    /// Example: changegate train --simulated-days 30 --name default --version 0.2.0
    Train(Train),
    /// Write a made-up organisation's native events to a folder.
    ///
    /// One file for each source (and Kubernetes cluster: give its name to `ingest --cluster`), the truth about them in
    /// truth.jsonl, and settings that know the environments in changegate.toml.
    ///
    /// Example: changegate simulate --days 7 --seed 3 --to ./events
    Simulate(Simulate),
    /// Send native events from files to their raw topic.
    ///
    /// Each line, or each file that is one envelope, becomes one record; its time is the event's. Lines with an HTTP
    /// envelope, {"headers":…,"body":…}, become headers and body. What cannot be sent is said on standard error, one
    /// JSON object each.
    ///
    /// Example: changegate ingest --source github.webhook deliveries.jsonl
    /// {n}Example: zcat audit.log.gz | changegate ingest --source kubernetes.audit --cluster prod-eu -
    Ingest(Ingest),
    /// List or show the requests for approval.
    ///
    /// Example: changegate approvals list --since 24h
    Approvals(Approvals),
    /// List, show or replay dead letters, the records that failed.
    ///
    /// Example: changegate dlq list --code not_json
    Dlq(Dlq),
    /// Where processes, Kafka and the ledger stand, on one screen.
    ///
    /// Asks the process that the settings name in http.listen, or those given with --at. Exit status 1 where one is not
    /// ready, a part does not answer, a topic is missing, or the ledger misses what was read.
    ///
    /// Example: changegate status --at replica-0:9464 --at replica-1:9464
    Status(Status),
    /// Check or show the settings.
    ///
    /// Example: changegate config show --redacted
    Config(Config),
    /// Everything on this machine, engines included, until Ctrl-C.
    ///
    /// Makes tables and topics and runs the stream. Starts the engines that no address is configured for. Other commands
    /// that are run in the same folder find them.
    ///
    /// Example: changegate up
    Up,
    /// The stream on configured Kafka and ClickHouse, until SIGTERM.
    ///
    /// Example: changegate --config /etc/changegate/changegate.toml serve
    Serve,
    /// Bring the database to this version; safe to repeat.
    ///
    /// Example: changegate migrate
    /// {n}Example: changegate migrate --grants > grants.sql
    Migrate(Migrate),
    /// Create the topics that are missing, and show what each holds.
    ///
    /// Example: changegate topics
    Topics(Topics),
    /// Ask the ledger in SQL, as the reader.
    ///
    /// Example: changegate sql "SELECT source, count() FROM v_changes GROUP BY source"
    Sql(Sql),
    /// A made-up organisation on real engines, and its riskiest changes.
    ///
    /// Example: changegate demo
    Demo,
    /// What is there, what is missing, and the command that mends it.
    ///
    /// Example: changegate doctor
    Doctor(Printed),
    /// Print completions for a shell.
    ///
    /// Example: changegate completions bash > /etc/bash_completion.d/changegate
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// The source that is asked for, by whichever command knows sources.
    pub(crate) fn source(&self) -> Option<&str> {
        match self {
            Self::Normalize(asked) => Some(&asked.input.source),
            Self::Score(asked) => Some(&asked.source),
            Self::Ingest(asked) => Some(&asked.input.source),
            Self::Train(asked) => asked.source.as_deref(),
            Self::Approvals(asked) => match &asked.what {
                ApprovalsCommand::List(asked) => asked.source.as_deref(),
                ApprovalsCommand::Show { .. } => None,
            },
            Self::Dlq(asked) => match &asked.what {
                DlqCommand::List { letters, .. } | DlqCommand::Replay { letters, .. } => {
                    letters.source.as_deref()
                }
                DlqCommand::Show { .. } => None,
            },
            Self::Simulate(_)
            | Self::Config(_)
            | Self::Up
            | Self::Serve
            | Self::Migrate(_)
            | Self::Topics(_)
            | Self::Sql(_)
            | Self::Demo
            | Self::Status(_)
            | Self::Doctor(_)
            | Self::Completions { .. } => None,
        }
    }
}

/// How an answer is printed.
#[derive(Debug, Args)]
pub(crate) struct Printed {
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
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
    /// Source of the events, such as aws.cloudtrail; `list` prints them all.
    #[arg(long)]
    pub(crate) source: String,
    /// Cluster of the events, for sources that do not name it (Kubernetes).
    #[arg(long, default_value = "", hide_default_value = true)]
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
    /// Source of the events, such as aws.cloudtrail; `list` prints them all.
    #[arg(
        long,
        required_unless_present_any = ["replay", "since", "until"],
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) source: String,
    /// Cluster of the events, for sources that do not name it (Kubernetes).
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) cluster: String,
    /// Files with one record a line, or one whole envelope (gzip too); `-` is standard input.
    #[arg(value_name = "FILE", conflicts_with = "replay")]
    pub(crate) files: Vec<PathBuf>,
    /// Folder of the model; by default that of the settings, else the one that comes with the program.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) model: Option<PathBuf>,
    /// Derive the scores and decisions of stored changes again; exit status 1 where one differs.
    #[arg(long, conflicts_with = "source")]
    pub(crate) replay: bool,
    /// With --replay: changes decided since then, such as 24h, 7d, 2026-11-01, 2026-11-01T08:00Z.
    #[arg(long, value_name = "WHEN", value_parser = crate::when::parse)]
    pub(crate) since: Option<When>,
    /// With --replay: changes decided before then.
    #[arg(long, value_name = "WHEN", value_parser = crate::when::parse)]
    pub(crate) until: Option<When>,
    /// How changes are printed: jsonl where nothing is said, and a table with --replay.
    #[arg(long, value_enum)]
    pub(crate) output: Option<Format>,
}

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Topic to send to, where several carry the source.
    #[arg(long)]
    pub(crate) topic: Option<String>,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Address of a process, as its http.listen has it; may be given several times.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) at: Vec<String>,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct Approvals {
    #[command(subcommand)]
    pub(crate) what: ApprovalsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// Requests, newest first.
    ///
    /// Example: changegate approvals list --state all --since 7d --limit 20
    List(ApprovalsList),
    /// One request: the change, its score and reasons, the decision, hashes.
    ///
    /// Example: changegate approvals show 5f0c1e0f6a3b4c5d8e9f0a1b2c3d4e5f
    Show {
        /// Id of the request or of the change.
        #[arg(value_name = "REQUEST_ID|CHANGE_UID")]
        id: String,
        #[command(flatten)]
        printed: Printed,
    },
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RequestState {
    /// Sent, and not lapsed.
    Pending,
    /// Sent, and lapsed without an answer.
    Expired,
    /// Sent as one of a group, because the hour's budget was used up; pending or lapsed.
    Grouped,
    /// Never sent: the stratum was still learning.
    Learning,
    /// Never sent: the event was older than approval_max_age.
    Backfill,
    /// Every one.
    All,
}

#[derive(Debug, Args)]
pub(crate) struct ApprovalsList {
    /// Which requests.
    #[arg(long, value_enum, default_value_t = RequestState::Pending)]
    pub(crate) state: RequestState,
    /// Only changes of this source; `list` prints them all.
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// Decided since then, such as 24h, 7d, 2026-11-01, 2026-11-01T08:00Z.
    #[arg(long, value_name = "WHEN", value_parser = crate::when::parse)]
    pub(crate) since: Option<When>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    pub(crate) what: DlqCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// Dead letters, newest first.
    ///
    /// Example: changegate dlq list --source aws.cloudtrail --since 24h
    List {
        #[command(flatten)]
        letters: Letters,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        printed: Printed,
    },
    /// One dead letter: its bytes, why it was refused, and where.
    ///
    /// The bytes are those that are kept: secrets are masked in them.
    ///
    /// Example: changegate dlq show changegate.raw.aws.cloudtrail.v1/0/17
    Show {
        /// Position of the record, as `dlq list` prints it: topic/partition/offset.
        position: String,
        /// Write nothing but the bytes.
        #[arg(long)]
        raw: bool,
        #[command(flatten)]
        printed: Printed,
    },
    /// Send records again, after what made them fail was mended.
    ///
    /// Sends the original bytes while the raw topic holds them, else the masked copy, and says which. The rows keep the
    /// original position. Each replay is noted in `operations`.
    ///
    /// Example: changegate dlq replay --code unknown_envelope --dry-run
    /// {n}Example: changegate dlq replay --code unknown_envelope --reason "read since 0.2"
    Replay {
        /// Positions, as `dlq list` prints them: topic/partition/offset.
        #[arg(value_name = "POSITION")]
        positions: Vec<String>,
        #[command(flatten)]
        letters: Letters,
        /// Every dead letter that was not yet replayed with success.
        #[arg(long)]
        all: bool,
        /// Why; kept in `operations`.
        #[arg(long, required_unless_present = "dry_run", value_parser = not_blank)]
        reason: Option<String>,
        /// Send nothing: say what would be sent.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        printed: Printed,
    },
}

/// Which dead letters.
#[derive(Debug, Args)]
pub(crate) struct Letters {
    /// Only of this source; `list` prints them all.
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// Only of records of this topic.
    #[arg(long)]
    pub(crate) topic: Option<String>,
    /// Only with this code, such as not_json.
    #[arg(long)]
    pub(crate) code: Option<String>,
    /// Dead-lettered since then, such as 24h, 7d, 2026-11-01, 2026-11-01T08:00Z.
    #[arg(long, value_name = "WHEN", value_parser = crate::when::parse)]
    pub(crate) since: Option<When>,
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Print the statements instead, and the grants.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the roles and grants for a real server instead: for its administrator, to run once.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) grants: bool,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct Topics {
    /// Create nothing: only show.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SqlFormat {
    /// For eyes.
    Table,
    /// One array of objects.
    Json,
    /// One object per line.
    Jsonl,
    /// Comma-separated values below their names.
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct Sql {
    /// The question; `-` reads it from standard input.
    pub(crate) question: String,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = SqlFormat::Table)]
    pub(crate) output: SqlFormat,
    /// Any format that ClickHouse knows instead, such as Parquet.
    #[arg(long, conflicts_with = "output")]
    pub(crate) format: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    /// Source of the files; `list` prints them all.
    #[arg(long, conflicts_with = "simulated_days")]
    pub(crate) source: Option<String>,
    /// Train on so many days of a made-up organisation instead.
    #[arg(long, value_name = "DAYS")]
    pub(crate) simulated_days: Option<u32>,
    /// Seed of the made-up organisation, the forest and the peer groups.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The made-up period ends before this day.
    #[arg(long, value_name = "DATE", default_value = "2026-11-01")]
    pub(crate) until: String,
    /// Name of the model.
    #[arg(long, default_value = "default")]
    pub(crate) name: String,
    /// Version of the model.
    #[arg(long, default_value = "0.1.0")]
    pub(crate) version: String,
    /// Folder that holds models.
    #[arg(long, value_name = "FOLDER", default_value = "models")]
    pub(crate) to: PathBuf,
    /// Files of events.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// How many days of work.
    #[arg(long, default_value_t = 7)]
    pub(crate) days: u32,
    /// Same seed, same bytes.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The days end before this one: "$(date +%F)" for those just over.
    #[arg(long, value_name = "DATE", default_value = "2026-11-01")]
    pub(crate) until: String,
    /// Folder to write to.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) what: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Whether the settings hold, and what they name can be had.
    ///
    /// Reads them as `up` and `serve` do, loads the model, and tries the filter of the log. Exit status 0, or 1 with every
    /// fault.
    ///
    /// Example: changegate --config changegate.toml config check
    Check {
        #[command(flatten)]
        printed: Printed,
    },
    /// Print the settings in force, with defaults; secrets are never shown.
    ///
    /// Example: changegate config show > changegate.toml
    Show {
        /// Accepted for clarity: secrets are always replaced by ***.
        #[arg(long)]
        redacted: bool,
        /// A table is TOML, as the settings are written.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
}

/// A text that says something.
fn not_blank(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is blank".to_owned()),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_needs_a_reason_that_says_something() {
        let parse = |reason: &str| {
            let words = ["changegate", "dlq", "replay", "--all", "--reason", reason];
            command().try_get_matches_from(words).map(|_| ())
        };
        assert!(parse("reads it since 0.2").is_ok());
        for blank in ["", " \t"] {
            assert!(parse(blank).is_err(), "{blank:?}");
        }
    }

    #[test]
    fn the_help_names_every_command_once_and_each_shows_an_example() {
        let command = command();
        command.clone().debug_assert();
        let help = command.clone().render_help().to_string();
        let long = help.lines().find(|line| line.chars().count() > 80);
        assert_eq!(long, None, "too long for a narrow screen");
        let grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| names.iter().copied())
            .collect();
        let mut known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(grouped.len(), known.len());
        known.retain(|name| !grouped.contains(name));
        assert_eq!(known, [""; 0], "below no heading");
        let mut waiting: Vec<&clap::Command> = command.get_subcommands().collect();
        while let Some(one) = waiting.pop() {
            let about = one.get_long_about().map(ToString::to_string).unwrap_or_default();
            assert!(
                about.contains("Example: changegate "),
                "{}: {about}",
                one.get_name()
            );
            waiting.extend(one.get_subcommands());
        }
    }
}
