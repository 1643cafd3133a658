//! One ClickHouse user on one server: inserts with everything that delivery asks for, reads, statements.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clickhouse::query::Query;
use clickhouse::{RowOwned, RowRead};

use crate::columns::Table;
use crate::connect::{Connector, Options};
use crate::error::{self, Error};

/// Talks to the ledger as one user. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct LedgerClient {
    client: clickhouse::Client,
    connector: Connector,
    options: Arc<Options>,
}

/// `cg:<batch>:<table>:<part>:<attempt>:<send>`, never used twice: the server refuses an id that still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryId {
    /// Of the fence.
    pub batch_id: u64,
    /// Which table.
    pub table: Table,
    /// Which insert of this batch into this table (one per table partition, one per half).
    pub part: u32,
    /// Raised by a kill and read-back.
    pub attempt: u8,
    /// Raised by every resend.
    pub send: u32,
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            batch_id,
            table,
            part,
            attempt,
            send,
        } = self;
        write!(f, "cg:{batch_id}:{}:{part}:{attempt}:{send}", table.name())
    }
}

/// One block of rows for one table and one table partition.
#[derive(Clone, Debug)]
pub struct Insert<'a> {
    /// The id by which a successor can kill it.
    pub query_id: QueryId,
    /// Rows as `rows::*::encode` wrote them. A resend must send the same bytes.
    pub body: Bytes,
    /// Hash over the positions and raw hashes of these rows, never over scores or encoded bytes.
    pub token: &'a str,
    /// From now; below half of `max.poll.interval`.
    pub deadline: Duration,
}

/// Rows of one block at most. Far above any batch, so that the server never cuts one into two blocks.
const BLOCK_ROWS_MAX: &str = "100000000";

impl LedgerClient {
    /// Checks the settings; connects with the first request.
    pub fn new(options: Options) -> Result<Self, Error> {
        let connector = Connector::new(&options)?;
        let client = connector.client(&options);
        Ok(Self {
            client,
            connector,
            options: Arc::new(options),
        })
    }

    /// Database of the ledger.
    pub fn database(&self) -> &str {
        &self.options.database
    }

    /// Address, without user and password.
    pub fn url(&self) -> &str {
        &self.options.url
    }

    /// Inserts one block: all of it or nothing. `Ok` is a hint, the read-back is the truth.
    ///
    /// The first send (`send == 0`) uses a pooled connection, every resend a new one: what made the first
    /// fail may be the connection.
    pub async fn insert(&self, insert: Insert<'_>) -> Result<(), Error> {
        let Insert {
            query_id,
            body,
            token,
            deadline,
        } = insert;
        let client = if query_id.send == 0 {
            self.client.clone()
        } else {
            self.connector.client(&self.options)
        };
        let statement = query_id.table.insert_statement(&self.options.database);
        let mut request = client
            .insert_formatted_with(statement)
            .with_setting("query_id", query_id.to_string())
            .with_setting("async_insert", "0")
            // With it the server reads rows in blocks of 10 MB, each a part of its own.
            .with_setting("input_format_parallel_parsing", "0")
            .with_setting("max_insert_block_size", BLOCK_ROWS_MAX)
            .with_setting("insert_deduplicate", "1")
            .with_setting("insert_deduplication_token", token)
            // Through a Distributed table the answer means "written there", not "queued here".
            .with_setting("distributed_foreground_insert", "1");
        let sending = async {
            request.send(body).await?;
            request.end().await
        };
        self.within(deadline, "insert", sending).await
    }

    /// Whether the server answers, with its version.
    pub async fn ping(&self) -> Result<String, Error> {
        self.one("ping", self.query("SELECT version()")).await
    }

    /// Ends what a dead owner may still run, and waits until it has ended.
    ///
    /// An insert whose sender hangs is waited for until the server's `http_receive_timeout`, so `deadline`
    /// should be above that (5 s in the writer's profile).
    pub async fn kill_batch(&self, batch_id: u64, deadline: Duration) -> Result<(), Error> {
        let statement = format!(
            "KILL QUERY WHERE user = currentUser() AND query_id LIKE 'cg:{batch_id}:%' SYNC FORMAT Null"
        );
        self.within(deadline, "kill", self.client.query_raw(&statement).execute())
            .await
    }

    /// One row per table: does the server hold exactly the columns that this version writes?
    pub async fn check_schema(&self) -> Result<(), Error> {
        for table in Table::ALL {
            let sql = format!(
                "SELECT name, type FROM system.columns WHERE database = {{database:String}} AND table = '{}' \
                 ORDER BY position",
                table.name()
            );
            let query = self.query(&sql).param("database", self.database());
            let found: Vec<(String, String)> = self.all("columns", query).await?;
            if let Some(difference) = difference(table, &found) {
                return Err(Error::Schema {
                    database: self.database().to_owned(),
                    table,
                    difference,
                });
            }
        }
        Ok(())
    }

    /// A statement without an answer, under the read deadline.
    pub async fn execute(&self, statement: &str) -> Result<(), Error> {
        let deadline = self.options.read_timeout;
        self.within(deadline, "statement", self.client.query_raw(statement).execute())
            .await
    }

    /// The answer to any statement in any of ClickHouse's formats, handed on as it arrives.
    pub async fn copy(&self, sql: &str, format: &str, out: &mut impl std::io::Write) -> Result<(), Error> {
        let translate = |error| error::from_client(error, &self.options.url, "sql");
        let mut chunks = self.query(sql).fetch_bytes(format).map_err(translate)?;
        loop {
            let next = chunks.next();
            match self.within(self.options.read_timeout, "sql", next).await? {
                Some(chunk) => out.write_all(&chunk)?,
                None => return Ok(()),
            }
        }
    }

    pub(crate) fn query(&self, sql: &str) -> Query {
        self.client.clone().with_database(self.database()).query_raw(sql)
    }

    pub(crate) async fn one<T: RowOwned + RowRead>(
        &self,
        what: &'static str,
        query: Query,
    ) -> Result<T, Error> {
        self.within(self.options.read_timeout, what, query.fetch_one())
            .await
    }

    pub(crate) async fn all<T: RowOwned + RowRead>(
        &self,
        what: &'static str,
        query: Query,
    ) -> Result<Vec<T>, Error> {
        self.within(self.options.read_timeout, what, query.fetch_all())
            .await
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        what: &'static str,
        future: impl Future<Output = clickhouse::error::Result<T>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(deadline, future).await {
            Ok(result) => result.map_err(|error| error::from_client(error, &self.options.url, what)),
            Err(_) => Err(Error::TimedOut {
                url: self.options.url.clone(),
                after: deadline,
            }),
        }
    }
}

impl fmt::Debug for LedgerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

/// The first column that is missing, in another place or of another type. Further columns at the end are fine:
/// a newer version added them, with defaults.
fn difference(table: Table, found: &[(String, String)]) -> Option<String> {
    if found.is_empty() {
        return Some("it does not exist".to_owned());
    }
    for (name, ty) in table.columns() {
        match found.iter().find(|(found_name, _)| found_name == name) {
            None => return Some(format!("column {name} {ty} is missing")),
            Some((_, found_type)) if found_type != ty => {
                return Some(format!("column {name} is {found_type}, expected {ty}"));
            }
            Some(_) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_id_names_batch_table_part_attempt_and_send() {
        let id = QueryId {
            batch_id: 7,
            table: Table::RawRecords,
            part: 2,
            attempt: 1,
            send: 3,
        };
        assert_eq!(id.to_string(), "cg:7:raw_records:2:1:3");
    }

    #[test]
    fn an_older_or_changed_table_is_told_by_its_first_difference() {
        let mut found: Vec<(String, String)> = Table::Operations
            .columns()
            .iter()
            .map(|(name, ty)| ((*name).to_owned(), (*ty).to_owned()))
            .collect();
        assert_eq!(difference(Table::Operations, &found), None);
        found.push(("later".to_owned(), "String".to_owned()));
        assert_eq!(difference(Table::Operations, &found), None);
        found[1].1 = "UInt8".to_owned();
        let told = difference(Table::Operations, &found);
        assert_eq!(
            told.as_deref(),
            Some("column kind is UInt8, expected LowCardinality(String)")
        );
        assert_eq!(
            difference(Table::Operations, &[]).as_deref(),
            Some("it does not exist")
        );
    }
}
