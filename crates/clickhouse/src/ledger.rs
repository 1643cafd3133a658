//! The pipeline's ledger over ClickHouse.

use std::future::Future;
use std::time::Duration;

use changegate_approval::StoredChange;
use changegate_pipeline::Ledger;
use changegate_pipeline::ledger::{
    self, BatchId, Copies, Error, Furthest, Insert, Killed, KnownChange, KnownRecord, KnownReject, Operation,
    Range, Span, Tail,
};
use tokio::runtime::Handle;

use crate::client::{self, LedgerClient};
use crate::columns::Table;

/// Blocks the calling thread, which must not be one of the runtime's: workers are threads of their own.
#[derive(Clone, Debug)]
pub struct ClickHouseLedger {
    client: LedgerClient,
    runtime: Handle,
}

/// How long a kill may take: above the `http_receive_timeout` of the writer's profile (5 s), which a query whose
/// sender hangs waits out.
const KILL_DEADLINE: Duration = Duration::from_secs(35);

impl ClickHouseLedger {
    /// `runtime` carries the connections and must outlive this value.
    pub fn new(client: LedgerClient, runtime: Handle) -> Self {
        Self { client, runtime }
    }

    /// The client behind it.
    pub fn client(&self) -> &LedgerClient {
        &self.client
    }

    fn wait<T>(&self, future: impl Future<Output = Result<T, crate::Error>>) -> Result<T, Error> {
        self.runtime.block_on(future).map_err(Error::from)
    }
}

impl From<ledger::Table> for Table {
    fn from(table: ledger::Table) -> Self {
        match table {
            ledger::Table::Changes => Self::Changes,
            ledger::Table::Rejected => Self::Rejected,
            ledger::Table::Superseded => Self::Superseded,
            ledger::Table::RawRecords => Self::RawRecords,
        }
    }
}

impl Ledger for ClickHouseLedger {
    fn insert(&self, insert: &Insert<'_>) -> Result<(), Error> {
        let query_id = insert.query_id.to_string();
        let token = insert.token.to_string();
        self.wait(self.client.insert(client::Insert {
            table: insert.table.into(),
            rows: insert.rows,
            ends: insert.ends,
            query_id: &query_id,
            token: &token,
            fresh_connection: insert.query_id.send > 0,
            deadline: insert.deadline,
        }))
    }

    fn kill(&self, batch: BatchId) -> Result<Killed, Error> {
        let queries = self.wait(self.client.kill_batch(batch.0, KILL_DEADLINE))?;
        Ok(Killed { queries })
    }

    fn running(&self) -> Result<Vec<BatchId>, Error> {
        self.wait(self.client.running())
    }

    fn tail(&self, topic: &str, partition: i32) -> Result<Option<Tail>, Error> {
        self.wait(self.client.tail(topic, partition))
    }

    fn newest_records(&self, span: &Span<'_>, limit: usize) -> Result<Vec<KnownRecord>, Error> {
        self.wait(self.client.newest_records(span, limit))
    }

    fn known_records(&self, span: &Span<'_>) -> Result<Vec<KnownRecord>, Error> {
        self.wait(self.client.known_records(span))
    }

    fn known_changes(&self, span: &Span<'_>) -> Result<Vec<KnownChange>, Error> {
        self.wait(self.client.known_changes(span))
    }

    fn known_rejects(&self, span: &Span<'_>) -> Result<Vec<KnownReject>, Error> {
        self.wait(self.client.known_rejects(span))
    }

    fn known_superseded(&self, span: &Span<'_>) -> Result<Vec<(i64, i32)>, Error> {
        self.wait(self.client.known_superseded(span))
    }

    fn requests(&self, span: &Span<'_>, decisions: bool) -> Result<Vec<(i64, StoredChange)>, Error> {
        self.wait(self.client.requests(span, decisions))
    }

    fn furthest(&self, span: &Span<'_>) -> Result<Vec<Furthest>, Error> {
        self.wait(self.client.furthest(span))
    }

    fn gaps(&self, span: &Span<'_>, limit: usize) -> Result<Vec<Range>, Error> {
        self.wait(self.client.gaps(span, limit))
    }

    fn holes(&self, span: &Span<'_>) -> Result<Vec<Range>, Error> {
        self.wait(self.client.holes(span))
    }

    fn settle_copies(&self, span: Option<&Span<'_>>) -> Result<Copies, Error> {
        self.wait(self.client.settle_copies(span))
    }

    fn operations(&self, operations: &[Operation]) -> Result<(), Error> {
        self.wait(self.client.record(operations))
    }
}
