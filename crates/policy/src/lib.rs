//! What a score means: allow, ask for approval, deny.
//!
//! In: a score in risk points (or none), what the rules demand at least, thresholds that were checked once.
//! Out: a [`Decision`](changegate_types::Decision) and the rule that led to it, in the spelling of the ledger.
//!
//! **Invariants.** Same input, same answer, for ever: no clock, no I/O, no state, no randomness. Every missing fact
//! is taken for the worse one: no score means approval, no environment means production. Policy may tighten what the
//! score says, never loosen it.

mod decide;
mod environment;
mod thresholds;

pub use decide::decide;
pub use environment::counts_as_production;
pub use thresholds::{Error, RawThresholds, Thresholds, UNSCORED};
