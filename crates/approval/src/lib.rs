//! Approval requests, derived from the ledger row alone.
//!
//! In: one row of `changes` ([`StoredChange`]), fresh or read back. Out: the request that goes to
//! `changegate.approval.v1`, as bytes and headers.
//!
//! **Invariants.** No clock, no I/O, no randomness, no settings: the same row gives the same bytes, for ever and on
//! every machine, so that a repeat after a crash is no second request.

mod ask;
mod stored;

pub use ask::Ask;
pub use stored::{StoredChange, StoredReason};
