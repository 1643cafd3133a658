use std::time::Duration;

use changegate_pipeline::ledger::{self, Class};

/// What went wrong between us and ClickHouse.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No answer: refused, reset, name not resolved, TLS.
    #[error(
        "ClickHouse at {url} does not answer: {reason}; check that it runs and that [clickhouse] url is right"
    )]
    Unreachable {
        /// Address without user and password.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The connection broke. Whether the rows are there is not known.
    #[error(
        "the connection to ClickHouse at {url} broke: {reason}; the statement may still have been carried out"
    )]
    Interrupted {
        /// Address without user and password.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// No answer in time. Whether the rows are there is not known.
    #[error(
        "ClickHouse at {url} did not answer within {after:?}; the statement may still have been carried out"
    )]
    TimedOut {
        /// Address without user and password.
        url: String,
        /// The deadline.
        after: Duration,
    },
    /// ClickHouse answered with an exception.
    #[error("ClickHouse refused with code {code} ({}): {message}", trouble(*.code, .message).advice())]
    Server {
        /// ClickHouse's error code.
        code: u32,
        /// Its text.
        message: String,
    },
    /// Something that is not ClickHouse answered, or ClickHouse without a code.
    #[error("the answer from {url} is not ClickHouse's: {message}; check the url and any proxy between")]
    Foreign {
        /// Address without user and password.
        url: String,
        /// What came.
        message: String,
    },
    /// The answer could not be read into the row type that was asked for.
    #[error(
        "cannot read ClickHouse's answer to {what}: {reason}; run `changegate doctor` to compare versions"
    )]
    Answer {
        /// Which question.
        what: &'static str,
        /// What did not fit.
        reason: String,
    },
    /// A setting that cannot work.
    #[error("cannot use the ClickHouse settings: {0}")]
    Settings(String),
    /// Writing the answer out failed.
    #[error("cannot write the answer out: {0}")]
    Output(#[from] std::io::Error),
}

/// What kind of trouble: for metrics, `/readyz` and one log line per change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// Not reachable.
    Down,
    /// No answer, or none that says what became of the statement.
    NoAnswer,
    /// User, password or grants.
    Access,
    /// No room on the disk.
    DiskFull,
    /// Table or server is read-only.
    ReadOnly,
    /// Too many parts, queries or too little memory.
    Overloaded,
    /// The statement was killed, or its id is taken: another process owns these partitions now, or did.
    Killed,
    /// Rows that the server does not take.
    Data,
    /// Tables, columns or settings that are not there.
    Schema,
    /// Anything else.
    Other,
}

impl Trouble {
    /// The word in `/readyz`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Access => "access",
            Self::DiskFull => "disk_full",
            Self::ReadOnly => "read_only",
            Self::Overloaded => "overloaded",
            Self::Schema => "schema",
            Self::NoAnswer | Self::Killed | Self::Data | Self::Other => "no_answer",
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::Down | Self::NoAnswer | Self::Other => "waits and tries again",
            Self::Access => {
                "check [clickhouse] user and password, and the grants that `changegate migrate` prints"
            }
            Self::DiskFull => "free or add disk space; the stream waits",
            Self::ReadOnly => "the server or table is read-only; the stream waits",
            Self::Overloaded => "the server is at a limit; the stream waits",
            Self::Killed => "the statement was ended by another process",
            Self::Data => "a row does not fit",
            Self::Schema => "run `changegate migrate`",
        }
    }

    /// What may be assumed about the rows of an insert. No `_` arm: whoever adds a kind decides here.
    pub const fn class(self) -> Class {
        match self {
            Self::Down | Self::DiskFull | Self::ReadOnly | Self::Overloaded => Class::Unavailable,
            Self::NoAnswer | Self::Killed | Self::Other => Class::Unknown,
            Self::Access => Class::Denied,
            Self::Data => Class::Refused,
            Self::Schema => Class::Schema,
        }
    }
}

impl Error {
    /// What kind it is.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Unreachable { .. } => Trouble::Down,
            Self::Interrupted { .. } | Self::TimedOut { .. } | Self::Foreign { .. } => Trouble::NoAnswer,
            Self::Server { code, message } => trouble(*code, message),
            Self::Settings(_) => Trouble::Schema,
            Self::Answer { .. } | Self::Output(_) => Trouble::Other,
        }
    }
}

impl From<Error> for ledger::Error {
    fn from(error: Error) -> Self {
        let trouble = error.trouble();
        Self {
            class: trouble.class(),
            message: error.to_string(),
            trouble: trouble.name(),
        }
    }
}

/// ClickHouse error codes that we know how to take. Everything else waits: an unknown error must not lose rows.
const CODES: &[(u32, &str, Trouble)] = &[
    (6, "CANNOT_PARSE_TEXT", Trouble::Data),
    (8, "THERE_IS_NO_COLUMN", Trouble::Schema),
    (10, "NOT_FOUND_COLUMN_IN_BLOCK", Trouble::Schema),
    (16, "NO_SUCH_COLUMN_IN_TABLE", Trouble::Schema),
    (20, "NUMBER_OF_COLUMNS_DOESNT_MATCH", Trouble::Schema),
    (26, "CANNOT_PARSE_QUOTED_STRING", Trouble::Data),
    (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", Trouble::Data),
    (33, "CANNOT_READ_ALL_DATA", Trouble::Data),
    (36, "BAD_ARGUMENTS", Trouble::Data),
    (38, "CANNOT_PARSE_DATE", Trouble::Data),
    (41, "CANNOT_PARSE_DATETIME", Trouble::Data),
    (44, "ILLEGAL_COLUMN", Trouble::Schema),
    (47, "UNKNOWN_IDENTIFIER", Trouble::Schema),
    (53, "TYPE_MISMATCH", Trouble::Schema),
    (60, "UNKNOWN_TABLE", Trouble::Schema),
    (62, "SYNTAX_ERROR", Trouble::Schema),
    (69, "ARGUMENT_OUT_OF_BOUND", Trouble::Data),
    (72, "CANNOT_PARSE_NUMBER", Trouble::Data),
    (81, "UNKNOWN_DATABASE", Trouble::Schema),
    (115, "UNKNOWN_SETTING", Trouble::Schema),
    (117, "INCORRECT_DATA", Trouble::Data),
    (128, "TOO_LARGE_ARRAY_SIZE", Trouble::Data),
    (131, "TOO_LARGE_STRING_SIZE", Trouble::Data),
    (159, "TIMEOUT_EXCEEDED", Trouble::NoAnswer),
    (160, "TOO_SLOW", Trouble::NoAnswer),
    (164, "READONLY", Trouble::ReadOnly),
    (192, "UNKNOWN_USER", Trouble::Access),
    (193, "WRONG_PASSWORD", Trouble::Access),
    (194, "REQUIRED_PASSWORD", Trouble::Access),
    (201, "QUOTA_EXCEEDED", Trouble::Overloaded),
    (202, "TOO_MANY_SIMULTANEOUS_QUERIES", Trouble::Overloaded),
    (209, "SOCKET_TIMEOUT", Trouble::NoAnswer),
    (210, "NETWORK_ERROR", Trouble::NoAnswer),
    (216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING", Trouble::Killed),
    (218, "TABLE_IS_DROPPED", Trouble::Schema),
    (241, "MEMORY_LIMIT_EXCEEDED", Trouble::Overloaded),
    (242, "TABLE_IS_READ_ONLY", Trouble::ReadOnly),
    (243, "NOT_ENOUGH_SPACE", Trouble::DiskFull),
    (252, "TOO_MANY_PARTS", Trouble::Overloaded),
    (321, "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE", Trouble::Data),
    (394, "QUERY_WAS_CANCELLED", Trouble::Killed),
    (469, "VIOLATED_CONSTRAINT", Trouble::Data),
    (497, "ACCESS_DENIED", Trouble::Access),
    (516, "AUTHENTICATION_FAILED", Trouble::Access),
    (691, "UNKNOWN_ELEMENT_OF_ENUM", Trouble::Data),
    (999, "KEEPER_EXCEPTION", Trouble::NoAnswer),
];

fn trouble(code: u32, message: &str) -> Trouble {
    // TOO_MANY_PARTS is also what a block over more than 100 table partitions gets: waiting would not help that one.
    if code == 252 && message.contains("partitions for single INSERT block") {
        return Trouble::Data;
    }
    // A full disk also surfaces as a plain write error of the file system (errno 28).
    if message.contains("No space left on device") {
        return Trouble::DiskFull;
    }
    CODES
        .iter()
        .find(|(known, _, _)| *known == code)
        .map_or(Trouble::Other, |(_, _, trouble)| *trouble)
}

/// From the client's error. `url` must not hold user or password.
pub(crate) fn from_client(error: clickhouse::error::Error, url: &str, what: &'static str) -> Error {
    use clickhouse::error::Error as Client;
    let url = url.to_owned();
    match error {
        Client::BadResponse(message) => match code_of(&message) {
            Some(code) => Error::Server { code, message },
            None => Error::Foreign {
                url,
                message: message.chars().take(300).collect(),
            },
        },
        Client::Network(reason) => {
            let connecting = reason
                .downcast_ref::<hyper_util::client::legacy::Error>()
                .is_some_and(hyper_util::client::legacy::Error::is_connect);
            let reason = chain(reason.as_ref());
            if connecting {
                Error::Unreachable { url, reason }
            } else {
                Error::Interrupted { url, reason }
            }
        }
        Client::TimedOut => Error::Interrupted {
            url,
            reason: "timeout expired".to_owned(),
        },
        Client::InvalidParams(reason) => Error::Settings(format!("{url}: {}", chain(reason.as_ref()))),
        Client::Unsupported(reason) => Error::Settings(format!("{url}: {reason}")),
        other => Error::Answer {
            what,
            reason: chain(&other),
        },
    }
}

/// `Code: 60. DB::Exception: …` or the bare header form `Code: 60`.
fn code_of(message: &str) -> Option<u32> {
    let after = message.get(message.find("Code: ")? + "Code: ".len()..)?;
    let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// An error with its causes: hyper says "client error (Connect)" and keeps the reason one level down.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(message: &str) -> Error {
        let client = clickhouse::error::Error::BadResponse(message.to_owned());
        from_client(client, "http://ch:8123", "insert")
    }

    #[test]
    fn codes_stand_once_and_in_order() {
        assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_server_that_cannot_take_rows_is_waited_for() {
        for (code, name, trouble) in CODES {
            let error = server(&format!(
                "Code: {code}. DB::Exception: it is so. ({name}) (version 26.7)"
            ));
            assert_eq!(error.trouble(), *trouble, "{name}");
        }
        let class = |code: u32| {
            server(&format!("Code: {code}. DB::Exception: no"))
                .trouble()
                .class()
        };
        for code in [241, 242, 243, 252, 164, 202] {
            assert_eq!(class(code), Class::Unavailable, "{code}");
        }
        for code in [159, 216, 394, 999, 12_345] {
            assert_eq!(class(code), Class::Unknown, "{code}");
        }
        assert_eq!(
            [497, 516, 117, 60].map(class),
            [Class::Denied, Class::Denied, Class::Refused, Class::Schema]
        );
    }

    #[test]
    fn trouble_has_a_word_that_a_person_can_act_on() {
        for (code, word) in [
            (516, "access"),
            (497, "access"),
            (60, "schema"),
            (243, "disk_full"),
            (164, "read_only"),
            (242, "read_only"),
            (252, "overloaded"),
            (159, "no_answer"),
        ] {
            let error = server(&format!("Code: {code}. DB::Exception: no"));
            assert_eq!(ledger::Error::from(error).trouble, word, "{code}");
        }
        let away = Error::Unreachable {
            url: String::new(),
            reason: String::new(),
        };
        assert_eq!(ledger::Error::from(away).trouble, "down");
    }

    #[test]
    fn one_code_with_two_meanings_is_told_apart_by_its_text() {
        let parts = server("Code: 252. DB::Exception: Too many parts (3000)");
        let partitions =
            server("Code: 252. DB::Exception: Too many partitions for single INSERT block (more than 100)");
        assert_eq!(
            (parts.trouble().class(), partitions.trouble().class()),
            (Class::Unavailable, Class::Refused)
        );
        let disk = server(
            "Code: 75. DB::ErrnoException: Cannot write to file: , errno: 28, strerror: No space left on device",
        );
        assert_eq!(disk.trouble(), Trouble::DiskFull);
    }

    #[test]
    fn what_is_not_clickhouse_is_waited_for() {
        let proxy = server("<html>502 Bad Gateway</html>");
        assert_eq!(proxy.trouble(), Trouble::NoAnswer);
        let text = proxy.to_string();
        assert!(
            text.contains("http://ch:8123") && text.contains("proxy"),
            "{text}"
        );
    }
}
