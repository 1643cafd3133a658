//! The made-up organisation: native events of every source, and the truth about them.
//!
//! In: a [`Config`] (seeds, period, rates). Out: records in order of arrival, in the bytes that the sources really
//! send, each with what is true about its events. Everything is made up; names, addresses and ids are from the ranges
//! reserved for documentation and benchmarks.
//!
//! Invariants:
//! - Same config, same bytes: all chance comes from the seeds, and this crate never reads a clock.
//! - No input or output: the caller gives a callback or a [`Folder`].
//! - An event written twice (a second delivery) has the same bytes: they are derived from the planned event alone.
//! - Every secret that stands in a record is one of [`PLANTED_SECRETS`].

mod calendar;
mod catalog;
mod config;
mod corpus;
mod delivery;
mod envelope;
mod event;
mod faults;
mod files;
mod load;
mod organisation;
mod plan;
mod put;
mod rng;
mod scene;
mod secrets;
mod simulation;
mod template;
mod truth;

pub use catalog::Source;
pub use config::{Config, Holdout, IncidentKind, LookalikeKind, holdout};
pub use corpus::{SecretRecord, secret_corpus, secrets_in};
pub use delivery::{Header, header_pairs};
pub use faults::Malformed;
pub use files::{Files, Folder};
pub use load::{LoadGenerator, LoadRecord};
pub use organisation::{Environment, EnvironmentRule, Organisation};
pub use secrets::PLANTED_SECRETS;
pub use simulation::{Emitted, Simulation, Summary};
pub use truth::{Label, Truth};
