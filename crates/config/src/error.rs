use std::{fmt, io, path::PathBuf};

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file that was named is not there or cannot be read.
    #[error("cannot read the config file {}; name another one with --config", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{origin} is not valid TOML: {message}")]
    Syntax {
        /// File name.
        origin: String,
        /// The parser's words, with line and column.
        message: String,
    },
    /// The key that `up` keeps cannot be read or made.
    #[error("the mask key in {} cannot be read or made", path.display())]
    MaskKey {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Values that cannot be used, all of them.
    #[error("{} in the configuration:{}", count(problems.len()), list(problems))]
    Invalid {
        /// One entry per fault.
        problems: Vec<Problem>,
    },
}

impl Error {
    /// The faults, where the file could be read at all.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid { problems } => problems,
            Self::Read { .. } | Self::Syntax { .. } | Self::MaskKey { .. } => &[],
        }
    }
}

/// One value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value came from: a file name or `environment variable X`.
    pub origin: String,
    /// Path of the key: `kafka.session_timeout`, `topics[2].source`.
    pub key: String,
    /// What was expected and what was found. Never the text of a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.key, self.message)
    }
}

fn count(problems: usize) -> String {
    match problems {
        1 => "1 fault".to_owned(),
        more => format!("{more} faults"),
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// Collects faults while values are read and checked, so that one run of `config check` shows all of them.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<(String, String)>);

impl Problems {
    pub(crate) fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push((key.into(), message.into()));
    }

    /// Ends the collection; `origin_of` tells where the value of a key came from.
    pub(crate) fn finish(self, origin_of: impl Fn(&str) -> String) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let located = self.0.into_iter().map(|(key, message)| Problem {
            origin: origin_of(&key),
            key,
            message,
        });
        Err(Error::Invalid {
            problems: located.collect(),
        })
    }
}
