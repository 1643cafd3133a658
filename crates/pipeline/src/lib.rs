//! Batches, fences, progress and recovery as state machines. Knows neither Kafka nor ClickHouse.
//!
//! In: records of a log, in the order of their partitions. Out: rows for the ledger, approval requests, dead letters,
//! and positions to commit, in the order that loses nothing.
//!
//! **Invariants.** No Kafka, no ClickHouse, no clock, no thread of its own in the state machines: time and answers come
//! in as values, so that a seeded scheduler can drive all of it. A position is committed only when every row, request
//! and dead letter that came of it is durable. Every child of a record ends in exactly one of written, skipped,
//! dead-lettered.

/// The store of rows, as the pipeline needs it.
pub mod ledger;
/// Rows as the pipeline hands them to an encoder.
pub mod rows;

pub use ledger::Ledger;
pub use rows::Encoder;
