//! Events of every source through the whole normalizer: real ones where they lie beside the project, and made-up ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod foreign;
mod given;
mod invariants;
mod mutations;
mod samples;
mod secrets;
mod simulated;
