//! Records in, requests and dead letters out, rebalances: the pipeline's log and outbox over `rdkafka`.
//!
//! In: [`Settings`]. Out: a [`Consumer`] (the pipeline's `Log`), a [`Producer`] (its `Outbox`), a [`Sender`] for whole
//! files of records, [`DeadLetters`] to look at and send again, and [`Admin`] for topics.
//!
//! **Invariants.** Offsets are committed by [`Consumer::commit`](changegate_pipeline::log::Log::commit) alone, never by
//! the client library. A rebalance is only noted by the callback; the worker's loop assigns and unassigns. Broker,
//! network and authentication errors never advance a position. Passwords reach librdkafka and no log.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod admin;
mod connections;
mod consumer;
mod context;
mod dlq;
mod producer;
mod settings;
mod snapshots;

pub use admin::{Admin, TopicPlan, TopicState};
pub use connections::Connections;
pub use consumer::Consumer;
pub use dlq::{DeadLetter, DeadLetters, Replayed};
pub use producer::{Producer, Sender};
pub use settings::{Error, Settings};
pub use snapshots::Snapshots;
