//! Provider payload to change event, one module per source.
//!
//! In: a [`RawRecord`](changegate_types::RawRecord) as Kafka delivered it (or a line of a file in that shape). Out: a
//! [`NormalizedRecord`]: the bytes to keep, and how each of its children ends.
//!
//! **Invariants.** Foreign bytes never panic and never loop. This crate reads no clock, no file and no network;
//! the same record under the same settings gives the same result. No secret that it recognises leaves it, in
//! bytes, ids or messages. What the source did not say stays empty.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod context;
mod decode;
mod environment;
mod hash;
mod memo;
mod normalizer;
mod output;
mod reject;
mod render;
mod secret;
mod settings;
mod several;
mod shipper;
mod source;
#[cfg(test)]
mod testing;
mod text;
mod ticket;
mod time;
mod verb;

pub use changegate_types::ChangeEvent;
pub use environment::{EnvironmentRule, Environments};
pub use normalizer::Normalizer;
pub use output::{Child, NormalizedRecord, Origin};
pub use render::{JsonLine, render_change};
pub use secret::COMMITMENT;
pub use settings::{RecordLimits, SettingsError, TenantSettings, TopicSettings};
pub use source::source_names;
