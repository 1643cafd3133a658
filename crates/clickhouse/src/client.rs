//! One ClickHouse user on one server: inserts with everything that delivery asks for, reads, statements.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clickhouse::query::Query;
use clickhouse::{RowOwned, RowRead};

use crate::columns::Table;
use crate::connect::{Connector, Options};
use crate::error::{self, Error};
use crate::native::Block;
use crate::recovery::Stand;

/// Talks to the ledger as one user. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct LedgerClient {
    client: clickhouse::Client,
    connector: Connector,
    options: Arc<Options>,
    /// Buffers of inserts that have ended.
    blocks: Arc<Mutex<Vec<Block>>>,
    /// Year and month of the server's version, once it has been asked for.
    version: Arc<OnceLock<(u32, u32)>>,
}

/// One block of rows for one table and one table partition.
#[derive(Clone, Copy, Debug)]
pub struct Insert<'a> {
    /// Which table.
    pub table: Table,
    /// Rows as [`crate::RowBinary`] wrote them; they are sent as columns. A resend must send the same rows.
    pub rows: &'a [u8],
    /// Where each of them ends; with it they are sent in the order of the table, without it as they are.
    pub ends: &'a [u32],
    /// The id by which a successor can kill it, never used twice; empty: the server makes one.
    pub query_id: &'a str,
    /// `insert_deduplication_token`; empty: the server hashes the rows.
    pub token: &'a str,
    /// Opens a connection of its own: what made the last send fail may be the connection.
    pub fresh_connection: bool,
    /// From now; below half of `max.poll.interval`.
    pub deadline: Duration,
}

/// Rows of one block at most. Far above any batch, so that the server never cuts one into two blocks.
const BLOCK_ROWS_MAX: &str = "100000000";
/// Built when parts are merged: a fresh part is small enough to be looked through.
const INDEXES_OF_MERGED_PARTS: &str = "ix_event_uid,ix_change_uid,ix_actor_uid,ix_resource_uids";
/// Servers from this version on are told so; an older one may refuse a setting that it does not know.
const LEAVES_INDEXES_TO_MERGES: (u32, u32) = (26, 7);
/// How much is handed to the socket at a time.
const PIECE_BYTES: usize = 256 * 1024;

impl LedgerClient {
    /// Checks the settings; connects with the first request.
    pub fn new(options: Options) -> Result<Self, Error> {
        let connector = Connector::new(&options)?;
        let client = connector.client(&options);
        Ok(Self {
            client,
            connector,
            options: Arc::new(options),
            blocks: Arc::default(),
            version: Arc::default(),
        })
    }

    /// Database of the ledger.
    pub fn database(&self) -> &str {
        &self.options.database
    }

    /// Where rows of `changes` are looked for by a position of this topic.
    pub(crate) fn stand(&self, topic: &str) -> Stand {
        let is_hop = !self.options.hop_topic.is_empty() && self.options.hop_topic == topic;
        if is_hop { Stand::HOP } else { Stand::RAW }
    }

    /// Address, without user and password.
    pub fn url(&self) -> &str {
        &self.options.url
    }

    /// Inserts one block: all of it or nothing. `Ok` is a hint, the read-back is the truth.
    pub async fn insert(&self, insert: Insert<'_>) -> Result<(), Error> {
        let client = if insert.fresh_connection {
            self.connector.client(&self.options)
        } else {
            self.client.clone()
        };
        let mut request = client
            .insert_formatted_with(insert.table.insert_statement(&self.options.database))
            .with_setting("async_insert", "0")
            // With it the server reads rows in blocks of 10 MB, each a part of its own.
            .with_setting("input_format_parallel_parsing", "0")
            .with_setting("max_insert_block_size", BLOCK_ROWS_MAX)
            .with_setting("insert_deduplicate", "1")
            // Through a Distributed table the answer means "written there", not "queued here".
            .with_setting("distributed_foreground_insert", "1");
        let version = self.version.get().copied().unwrap_or_default();
        if insert.table == Table::Changes && version >= LEAVES_INDEXES_TO_MERGES {
            let setting = "exclude_materialize_skip_indexes_on_insert";
            request = request.with_setting(setting, INDEXES_OF_MERGED_PARTS);
        }
        if !insert.query_id.is_empty() {
            request = request.with_setting("query_id", insert.query_id);
        }
        if !insert.token.is_empty() {
            request = request.with_setting("insert_deduplication_token", insert.token);
        }
        let mut block = self.block(insert.table);
        block.fill(insert.rows, insert.ends);
        let sending = async {
            // In pieces that stay in the cache; the allocator hands the same few out again and again, while one
            // copy of the whole block would touch fresh pages.
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            for mut bytes in block.pieces(insert.rows) {
                while !bytes.is_empty() {
                    let (fits, rest) = bytes.split_at(bytes.len().min(PIECE_BYTES - piece.len()));
                    piece.extend_from_slice(fits);
                    bytes = rest;
                    if piece.len() == PIECE_BYTES {
                        let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE_BYTES));
                        request.send(Bytes::from(full)).await?;
                    }
                }
            }
            request.send(Bytes::from(piece)).await?;
            request.end().await
        };
        let result = self.within(insert.deadline, "insert", sending).await;
        self.blocks().push(block);
        result
    }

    /// Asks once for the server's version. At the start on a partition: an insert has no time for questions.
    pub(crate) async fn ask_version(&self) -> Result<(), Error> {
        if self.version.get().is_none() {
            let version: Vec<String> = self.all("version", self.query("SELECT version()")).await?;
            let version = version.first().map_or((0, 0), |version| year_and_month(version));
            self.version.get_or_init(|| version);
        }
        Ok(())
    }

    /// Buffers for a block of the table: there are as many as inserts have run at a time.
    fn block(&self, table: Table) -> Block {
        let mut blocks = self.blocks();
        let kept = blocks.iter().position(|block| block.table() == table);
        kept.map_or_else(|| Block::new(table), |kept| blocks.swap_remove(kept))
    }

    fn blocks(&self) -> std::sync::MutexGuard<'_, Vec<Block>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read_timeout(&self) -> Duration {
        self.options.read_timeout
    }

    /// Ends what a dead owner may still run, waits until it has ended and says how many queries that were.
    ///
    /// An insert whose sender hangs is waited for until the server's `http_receive_timeout`, so `deadline`
    /// should be above that (5 s in the writer's profile).
    pub async fn kill_batch(&self, batch_id: u64, deadline: Duration) -> Result<u32, Error> {
        let statement =
            format!("KILL QUERY WHERE user = currentUser() AND query_id LIKE 'cg:{batch_id}:%' SYNC");
        let killing = async {
            self.client
                .query_raw(&statement)
                .fetch_bytes("TSV")?
                .collect()
                .await
        };
        let killed = self.within(deadline, "kill", killing).await?;
        let lines = killed
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        Ok(u32::try_from(lines.count()).unwrap_or(u32::MAX))
    }

    /// A statement without an answer, under the read deadline.
    pub async fn execute(&self, statement: &str) -> Result<(), Error> {
        let deadline = self.options.read_timeout;
        self.within(deadline, "statement", self.client.query_raw(statement).execute())
            .await
    }

    /// The answer to any statement in any of ClickHouse's formats, handed on as it arrives.
    pub async fn copy(&self, sql: &str, format: &str, out: &mut impl std::io::Write) -> Result<(), Error> {
        self.copy_with(sql, format, &[], out).await
    }

    /// The same with settings of the server for this question.
    pub async fn copy_with(
        &self,
        sql: &str,
        format: &str,
        settings: &[(&str, &str)],
        out: &mut impl std::io::Write,
    ) -> Result<(), Error> {
        let translate = |error| error::from_client(error, &self.options.url, "sql");
        let query = settings.iter().fold(self.query(sql), |query, (name, value)| {
            query.with_setting(*name, *value)
        });
        let mut chunks = query.fetch_bytes(format).map_err(translate)?;
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

/// `26.7.2.1`; zeros where it is not written so.
fn year_and_month(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_year_and_month() {
        assert!(year_and_month("26.7.2.1") >= LEAVES_INDEXES_TO_MERGES);
        assert!(year_and_month("27.1.1.1-testing") >= LEAVES_INDEXES_TO_MERGES);
        assert!(year_and_month("25.8.16.34") < LEAVES_INDEXES_TO_MERGES);
        assert!(year_and_month("26.10.1.1") >= LEAVES_INDEXES_TO_MERGES);
        assert_eq!(year_and_month("of our own making"), (0, 0));
    }
}
