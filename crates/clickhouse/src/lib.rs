//! Tables, views, row encoding and the inserter: all that Changegate knows of ClickHouse.

mod client;
mod columns;
mod connect;
mod encode;
mod error;
pub mod rows;

pub use client::{Insert, LedgerClient, QueryId};
pub use columns::{Column, Table, kept_kafka_time, partition_of};
pub use connect::Options;
pub use error::{Error, Retry, Trouble};
