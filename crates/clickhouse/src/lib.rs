//! Tables, views, row encoding and the inserter: all that Changegate knows of ClickHouse.

mod client;
mod columns;
mod connect;
mod copies;
mod encode;
mod encoder;
mod error;
/// What each role may do.
pub mod grants;
mod ledger;
/// Bringing a database to this version.
pub mod migrate;
mod recovery;
mod stored;

pub use client::{Insert, LedgerClient};
pub use columns::{Column, Table, kept_kafka_time, partition_of};
pub use connect::Options;
pub use encoder::RowBinary;
pub use error::{Error, Retry, Trouble};
pub use ledger::ClickHouseLedger;
