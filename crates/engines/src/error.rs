//! What can go wrong with a local engine, and what to do then.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How an engine's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It returned this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Why a local engine did not start, or is no longer there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program or an engine file is not on this machine.
    #[error("{what} is missing: {fix}")]
    Missing {
        /// What was looked for, and where.
        what: String,
        /// The command that brings it.
        fix: String,
    },
    /// A file or folder of the engine could not be made, read or removed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The verb: "write", "create", ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The helper process that holds the engine could not be started.
    #[error("cannot start {engine} through {program}: {reason}")]
    Launch {
        /// The engine's name.
        engine: &'static str,
        /// The program that was to start it.
        program: String,
        /// What happened instead.
        reason: String,
    },
    /// The engine ended by itself, or was ended by somebody else.
    #[error("{engine} ended with {exit}; the last lines of {}:\n{log_tail}", log.display())]
    Crashed {
        /// The engine's name.
        engine: &'static str,
        /// How it ended.
        exit: Exit,
        /// Its log file.
        log: PathBuf,
        /// The last lines it wrote.
        log_tail: String,
    },
    /// The engine runs but did not answer in time.
    #[error("{engine} did not answer within {} s; the last lines of {}:\n{log_tail}", waited.as_secs(), log.display())]
    NotReady {
        /// The engine's name.
        engine: &'static str,
        /// How long it was waited for.
        waited: Duration,
        /// Its log file.
        log: PathBuf,
        /// The last lines it wrote.
        log_tail: String,
    },
    /// The engine answered with a refusal.
    #[error("ClickHouse refused (HTTP {status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The server's words; they begin with `Code: <number>`.
        message: String,
    },
    /// An option makes no sense to the engine.
    #[error("{option}: {reason}")]
    BadOption {
        /// Which option.
        option: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Names path and verb on an I/O error.
pub(crate) trait IoContext<T> {
    fn io(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn io(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| Error::Io {
            action,
            path: path.into(),
            source,
        })
    }
}
