//! Tables, views, row encoding and the inserter: all that Changegate knows of ClickHouse.
//!
//! In: rows as the pipeline hands them over ([`RowBinary`]), blocks to insert and questions about what is there
//! ([`ClickHouseLedger`]), SQL that people ask ([`LedgerClient::copy`]). Out: typed errors that say what may be assumed
//! about the rows ([`Trouble::class`]), and the tables and views themselves (`migrations/*.sql`, [`migrate`], [`grants`]).
//!
//! # Invariants
//! - Nothing in the ledger is updated, replaced or deleted: there is no such statement here but in tests.
//! - One list of columns per table ([`Table::columns`]); encoder, `INSERT` and migration are held to it by tests.
//! - A resend is the same bytes with the same token on a new connection. Nothing is retried here: whoever owns the
//!   batch decides.
//! - An unknown error counts as "the rows may be there", and no error ever as "skip these rows".
//! - Every request has a deadline. No clock is read: times come with the rows, or are the server's.

mod asked;
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
mod native;
/// Questions that people ask.
pub mod questions;
mod recovery;
mod stored;

pub use asked::AskedFilter;
pub use client::{Insert, LedgerClient};
pub use columns::{Column, SortKey, Table, kept_kafka_time, partition_of};
pub use connect::Options;
pub use encoder::RowBinary;
pub use error::{Error, Trouble};
pub use ledger::ClickHouseLedger;
