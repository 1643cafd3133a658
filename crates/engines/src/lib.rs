//! The local Kafka and ClickHouse: start, watch, stop.
//!
//! In: options (folder, ports, users, properties) and the engine files that `scripts/setup.sh` put into the cache
//! folder. Out: a value per engine that says where it listens, whether it lives, and ends it when dropped.
//! `changegate up`, the demo, the tests and the benches start their engines here; nothing on a production path knows
//! this crate.
//!
//! ```text
//! owner (changegate up, a test) ──pipe──► watcher (changegate engine watch) ──parent-death signal──► engine
//! ```
//!
//! # Invariants
//! - No engine outlives its owner, not even one ended by SIGKILL: the closing pipe tells the watcher, and a watcher that
//!   dies itself takes its engine along.
//! - `start` returns a running engine that answered as *ours*, or an error with the last lines of its log.
//! - Every wait has a deadline. There are no fixed sleeps.
//! - Engines listen on 127.0.0.1 only. Temporary folders go with the value; given folders are never removed.
//! - An engine runs outside the terminal's foreground group: Ctrl-C reaches the owner alone, which ends it last.
//! - Nothing is downloaded here.
#![cfg(unix)]

mod clickhouse;
mod doctor;
mod embedded;
mod entry;
mod error;
mod kafka;
mod paths;
mod place;
mod process;
mod sys;
mod watch;

pub use clickhouse::{ClickHouse, ClickHouseOptions, Credentials, User};
pub use doctor::{Check, doctor};
pub use entry::engine_main;
pub use error::{Error, Exit, Result};
pub use kafka::{Kafka, KafkaOptions};
pub use paths::{Paths, launcher, launcher_of_build};
