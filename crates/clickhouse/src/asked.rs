//! Questions of the command line about approval requests, as a reader: through the views, which show every row once.

use changegate_approval::{Ask, StoredChange};
use changegate_types::{ChangeUid, TimeMicros};
use serde::Deserialize;

use crate::client::LedgerClient;
use crate::error::Error;
use crate::stored::{self, keyed};

/// Which changes [`LedgerClient::asked`] shows.
#[derive(Clone, Debug, Default)]
pub struct AskedFilter {
    /// Only this change.
    pub change_uid: Option<ChangeUid>,
    /// Only rows that asked like this; empty: whatever asked, or would have.
    pub asks: Vec<Ask>,
    /// Decided at or after this time.
    pub since: Option<TimeMicros>,
    /// Decided before this time.
    pub before: Option<TimeMicros>,
    /// Only this source; empty: any.
    pub source: String,
    /// At most so many, newest first.
    pub limit: u32,
}

/// The year 2255: later than any row, and within what `DateTime64(6)` holds.
const FAR: i64 = 9_000_000_000_000_000;

impl LedgerClient {
    /// Changes that asked, or would have: of each change the row that asked first; newest first.
    pub async fn asked(&self, filter: &AskedFilter) -> Result<Vec<StoredChange>, Error> {
        let names: Vec<String> = filter
            .asks
            .iter()
            .map(|ask| format!("'{}'", ask.name()))
            .collect();
        let asks = if names.is_empty() {
            "approval != 'none'".to_owned()
        } else {
            format!("approval IN ({})", names.join(", "))
        };
        let change = filter
            .change_uid
            .map_or_else(String::new, |uid| format!(" AND change_uid = '{uid}'"));
        // What the views print in hex is read back as bytes, like in the table.
        let sql = format!(
            "SELECT {}, offset AS read_at FROM (SELECT * REPLACE ({}) FROM (SELECT * FROM v_changes WHERE {asks}{change} \
             AND decision_time >= fromUnixTimestamp64Micro({{since:Int64}}) \
             AND decision_time < fromUnixTimestamp64Micro({{before:Int64}}) \
             AND ({{source:String}} = '' OR source = {{source:String}}) \
             ORDER BY approval NOT IN ('asked', 'grouped'), decision_time, kafka_time, offset \
             LIMIT 1 BY tenant_uid, change_uid)) ORDER BY decision_time DESC, risk DESC LIMIT {}",
            stored::COLUMNS,
            unprinted(),
            filter.limit
        );
        let query = self
            .query(&sql)
            .param("since", filter.since.map_or(0, |time| time.0.max(0)))
            .param("before", filter.before.map_or(FAR, |time| time.0))
            .param("source", filter.source.as_str());
        let rows: Vec<stored::Row> = self.all("approval requests", query).await?;
        Ok(rows.into_iter().map(StoredChange::from).collect())
    }

    /// Tenant and change of everything that asked, or would have.
    pub async fn asked_changes(&self) -> Result<Vec<(String, ChangeUid)>, Error> {
        let sql = "SELECT DISTINCT toString(tenant_uid) AS tenant, toFixedString(unhex(change_uid), 16) AS change \
             FROM v_changes WHERE approval != 'none'";
        let rows: Vec<ChangeOf> = self.all("changes that asked", self.query(sql)).await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.tenant, keyed(row.change)))
            .collect())
    }
}

#[derive(clickhouse::Row, Deserialize)]
struct ChangeOf {
    tenant: String,
    change: [u8; 16],
}

fn unprinted() -> String {
    let ids = ["event_uid", "content_hash", "change_uid"].map(|name| (name, 16));
    let hashes = ["model_hash", "calibration_hash", "policy_hash", "config_hash"].map(|name| (name, 32));
    let columns = ids.into_iter().chain(hashes);
    columns
        .map(|(name, bytes)| format!("toFixedString(unhex({name}), {bytes}) AS {name}"))
        .collect::<Vec<_>>()
        .join(", ")
}
