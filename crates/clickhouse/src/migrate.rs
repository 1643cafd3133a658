//! Migrations: numbered SQL files beside the code, run once each, in order, idempotent.

mod render;

use std::fmt::Write as _;
use std::time::Duration;

use changegate_pipeline::ledger::Operation;
use changegate_types::TimeMicros;
use sha2::{Digest as _, Sha256};

use crate::client::LedgerClient;
use crate::columns::quoted;
use crate::error::Error;
use crate::grants;

pub use render::{Form, statements};

/// One numbered file.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its number; they run in this order.
    pub version: u32,
    /// What it makes.
    pub name: &'static str,
    /// The file, with placeholders.
    pub sql: &'static str,
}

impl Migration {
    /// SHA-256 of the file, in hex. What ran must never be edited afterwards.
    pub fn sha256(&self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(self.sql.as_bytes()) {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

/// Every migration of this version.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "ledger",
        sql: include_str!("../migrations/0001_ledger.sql"),
    },
    Migration {
        version: 2,
        name: "views",
        sql: include_str!("../migrations/0002_views.sql"),
    },
    Migration {
        version: 3,
        name: "hop",
        sql: include_str!("../migrations/0003_hop.sql"),
    },
    Migration {
        version: 4,
        name: "questions",
        sql: include_str!("../migrations/0004_questions.sql"),
    },
    Migration {
        version: 5,
        name: "parts",
        sql: include_str!("../migrations/0005_parts.sql"),
    },
];

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Ran now.
    pub applied: Vec<&'static str>,
    /// Had run before.
    pub present: usize,
}

/// Why the tables were not brought to this version.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A file that ran was edited.
    #[error(
        "migration {version} ({name}) ran here with other contents ({ran}, now {now}): history must not change; \
         use the program version that wrote it, or start with an empty database"
    )]
    Changed {
        /// Its number.
        version: u32,
        /// Its name.
        name: String,
        /// SHA-256 then.
        ran: String,
        /// SHA-256 now.
        now: String,
    },
    /// A newer program was here.
    #[error("the database is at migration {found}, this program knows {known}: use the newer program")]
    Newer {
        /// Version in the database.
        found: u32,
        /// The last that we know.
        known: u32,
    },
    /// Another process migrates, or died doing so less than a minute ago.
    #[error(
        "another process migrates this database ({holder}); try again in a minute: \
         a lock older than that is taken over"
    )]
    Locked {
        /// Who, and since when.
        holder: String,
    },
    /// A statement failed.
    #[error("migration {version} ({name}), statement {statement}: {error}")]
    Statement {
        /// Its number.
        version: u32,
        /// Its name.
        name: &'static str,
        /// Which statement, from 1.
        statement: usize,
        /// Why.
        #[source]
        error: Box<Error>,
    },
    /// ClickHouse did not answer as expected.
    #[error(transparent)]
    ClickHouse(#[from] Error),
}

const UNKNOWN_SETTING: u32 = 115;

/// A lock left by a process that died is taken over after this long; every statement is safe to repeat.
const LOCK_AGE_MAX: Duration = Duration::from_secs(60);

/// Everything that `run` would send, as text for a person: placeholders filled in, numbered; then the grants.
pub fn dry_run(database: &str, form: &Form) -> String {
    let mut text = String::new();
    for migration in MIGRATIONS {
        let _ = writeln!(
            text,
            "-- {:04} {} sha256 {}",
            migration.version,
            migration.name,
            migration.sha256()
        );
        for statement in statements(migration.sql, database, form) {
            let _ = writeln!(text, "{statement};\n");
        }
    }
    text.push_str(
        "-- Roles and grants, for the administrator to run once; `changegate migrate` does not run them.\n",
    );
    text.push_str(&grants::script(database));
    text
}

/// Brings the database to this version. Safe to repeat, and safe to run twice at once: the second is told to wait.
///
/// `now` and `who` are for the row in `operations`.
pub async fn run(
    client: &LedgerClient,
    form: &Form,
    now: TimeMicros,
    who: &str,
) -> Result<Report, MigrateError> {
    let db = quoted(client.database());
    let on_cluster = form.on_cluster();
    client
        .execute(&format!("CREATE DATABASE IF NOT EXISTS {db} {on_cluster}"))
        .await?;
    lock(client, who).await?;
    let result = run_locked(client, form, now, who).await;
    // The first error is the one to tell: a lock that stays is taken over later.
    let unlocked = client
        .execute(&format!("DROP TABLE IF EXISTS {db}.migration_lock SYNC"))
        .await;
    let report = result?;
    unlocked?;
    Ok(report)
}

async fn run_locked(
    client: &LedgerClient,
    form: &Form,
    now: TimeMicros,
    who: &str,
) -> Result<Report, MigrateError> {
    let db = quoted(client.database());
    client
        .execute(&format!(
            "CREATE TABLE IF NOT EXISTS {db}.schema_migrations {} \
             (version UInt32, name String, sha256 String, applied_time DateTime64(6, 'UTC')) \
             ENGINE = {} ORDER BY version",
            form.on_cluster(),
            form.merge_tree("schema_migrations", client.database())
        ))
        .await?;
    let question =
        format!("SELECT version, any(name), any(sha256) FROM {db}.schema_migrations GROUP BY version");
    let ran: Vec<(u32, String, String)> = client.all("migrations", client.query(&question)).await?;
    check_history(&ran)?;
    let mut report = Report::default();
    for migration in MIGRATIONS {
        if ran.iter().any(|(version, ..)| *version == migration.version) {
            report.present += 1;
            continue;
        }
        for (index, statement) in statements(migration.sql, client.database(), form)
            .iter()
            .enumerate()
        {
            match client.execute(statement).await {
                // Settings make tables cheaper, not different: an older server does without.
                Err(Error::Server {
                    code: UNKNOWN_SETTING,
                    message,
                }) if statement.contains(" MODIFY SETTING") => {
                    tracing::warn!(
                        %message,
                        statement,
                        "this ClickHouse does not know a setting: it is left out; run the statement by hand after an upgrade"
                    );
                }
                done => done.map_err(|error| MigrateError::Statement {
                    version: migration.version,
                    name: migration.name,
                    statement: index + 1,
                    error: Box::new(error),
                })?,
            }
        }
        client
            .execute(&format!(
                "INSERT INTO {db}.schema_migrations VALUES ({}, '{}', '{}', now64(6))",
                migration.version,
                migration.name,
                migration.sha256()
            ))
            .await?;
        report.applied.push(migration.name);
    }
    if !report.applied.is_empty() {
        let operation = Operation {
            time: now,
            kind: "migration".to_owned(),
            who: who.to_owned(),
            why: "tables brought to this version".to_owned(),
            partition: -1,
            details: vec![("applied".to_owned(), report.applied.join(", "))],
            ..Operation::default()
        };
        client.record(&[operation]).await?;
    }
    Ok(report)
}

fn check_history(ran: &[(u32, String, String)]) -> Result<(), MigrateError> {
    for (version, name, ran_sha256) in ran {
        let Some(migration) = MIGRATIONS.iter().find(|migration| migration.version == *version) else {
            let known = MIGRATIONS
                .iter()
                .map(|migration| migration.version)
                .max()
                .unwrap_or(0);
            return Err(MigrateError::Newer {
                found: *version,
                known,
            });
        };
        let now = migration.sha256();
        if *ran_sha256 != now {
            let (name, ran) = (name.clone(), ran_sha256.clone());
            return Err(MigrateError::Changed {
                version: *version,
                name,
                ran,
                now,
            });
        }
    }
    Ok(())
}

/// Creating a table is atomic: of two that try, one is refused.
async fn lock(client: &LedgerClient, who: &str) -> Result<(), MigrateError> {
    let db = quoted(client.database());
    let holder = who.replace(['\\', '\''], " ");
    let create = format!("CREATE TABLE {db}.migration_lock (held UInt8) ENGINE = Memory COMMENT '{holder}'");
    let error = match client.execute(&create).await {
        Ok(()) => return Ok(()),
        Err(
            error @ Error::Server {
                code: TABLE_ALREADY_EXISTS,
                ..
            },
        ) => error,
        Err(error) => return Err(error.into()),
    };
    let question = "SELECT concat(comment, ' since ', toString(metadata_modification_time)), \
         toUInt64(greatest(0, now() - metadata_modification_time)) FROM system.tables \
         WHERE database = {database:String} AND name = 'migration_lock'";
    let query = client.query(question).param("database", client.database());
    let held: Vec<(String, u64)> = client.all("migration lock", query).await?;
    match held.into_iter().next() {
        Some((holder, age)) if age <= LOCK_AGE_MAX.as_secs() => Err(MigrateError::Locked { holder }),
        Some((holder, _)) => {
            tracing::warn!(%holder, "taking over the lock of a migration that did not end");
            client
                .execute(&format!("DROP TABLE IF EXISTS {db}.migration_lock SYNC"))
                .await?;
            client.execute(&create).await?;
            Ok(())
        }
        // Let go between the two questions: the caller tries again.
        None => Err(error.into()),
    }
}

/// ClickHouse's code.
const TABLE_ALREADY_EXISTS: u32 = 57;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_rise_from_one_without_a_hole() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version as usize, index + 1);
        }
    }

    #[test]
    fn history_must_not_change_and_must_not_be_newer() {
        let first = &MIGRATIONS[0];
        let row = |version, sha256: &str| (version, first.name.to_owned(), sha256.to_owned());
        assert!(check_history(&[row(1, &first.sha256())]).is_ok());
        let changed = check_history(&[row(1, "00")]).unwrap_err();
        assert!(
            matches!(changed, MigrateError::Changed { version: 1, .. }),
            "{changed}"
        );
        let newer = check_history(&[row(999, "00")]).unwrap_err();
        assert!(matches!(newer, MigrateError::Newer { found: 999, .. }), "{newer}");
    }
}
