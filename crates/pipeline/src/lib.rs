//! Batches, fences, progress and recovery as state machines. Knows neither Kafka nor ClickHouse.
//!
//! In: records of a log, in the order of their partitions. Out: rows for the ledger, approval requests, dead letters,
//! and positions to commit, in the order that loses nothing. The road of one batch: [`Worker::turn`] reads a block, the
//! [`Judge`] makes rows of it, the tick fences, inserts ([`write::WriteJob`]), sends and closes. The road back after a
//! death: [`recover`].
//!
//! **Invariants.** No Kafka, no ClickHouse, no clock, no thread of its own in the state machines: time and answers come
//! in as values, so that a seeded scheduler can drive all of it. A position is committed only when every row, request
//! and dead letter that came of it is durable. Every child of a record ends in exactly one of written, skipped,
//! dead-lettered. An acknowledgement is a hint, the read-back is the truth.

/// Batches and their bounds.
pub mod batch;
/// Time as an input.
pub mod clock;
/// Which of several rows of one position is shown.
pub mod copies;
/// Named places at which tests end the process.
pub mod crash;
/// Asking the ledger without waiting for it.
pub mod desk;
mod error;
/// The metadata of a commit, and batch ids.
pub mod fence;
/// From a process that normalizes to one that scores.
pub mod hop;
/// Records to rows.
pub mod judge;
/// What exists already.
pub mod known;
/// The store of rows, as the pipeline needs it.
pub mod ledger;
/// The log, as the pipeline needs it.
pub mod log;
/// What a worker tells of itself.
pub mod observe;
/// Requests and dead letters.
pub mod outgoing;
/// Partitions.
pub mod part;
mod poison;
mod ports;
/// Ids of the last events.
pub mod recent;
/// Where to start.
pub mod recover;
/// Dead letters that were sent again.
pub mod replay;
/// Rows as the pipeline hands them to an encoder.
pub mod rows;
mod still;
mod tick;
/// A backlog in the order of its record times.
pub mod time_order;
mod worker;
/// Writing one batch.
pub mod write;

pub use batch::BatchLimits;
pub use clock::{Clock, Now};
pub use error::Error;
pub use judge::{Judge, Normalize, ReadTo, Rules, Scorer, Topic, Work};
pub use ledger::Ledger;
pub use observe::{Blind, Observer};
pub use poison::PoisonLimits;
pub use ports::Ports;
pub use recent::Recent;
pub use recover::RecoverRules;
pub use rows::Encoder;
pub use worker::{Equipment, Turn, Worker, WorkerSettings};
pub use write::WriteLimits;
