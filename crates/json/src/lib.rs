//! A pull reader over borrowed JSON bytes.
//!
//! In: bytes of foreign origin. Out: a [`Document`], whose [`Value`]s walk objects and arrays, find members by
//! name and lend strings from the bytes (from the arena where they hold escapes). No value is built: one pass
//! checks the syntax and notes where each value starts and ends, sixteen bytes a value.
//!
//! **Invariants.** No input panics. Depth, size and number of values are bounded by [`Limits`]. What is accepted
//! is what RFC 8259 allows, with one liberty: a UTF-8 byte order mark before the value is passed over. Numbers
//! are checked by grammar only; whether one fits is asked by whoever reads it. Of members with the same name the
//! last one counts and the others are not seen.

mod escape;
mod index;
mod leaves;
mod mask;
mod name;
mod pass;
mod scan;
mod triples;
mod value;
mod watch;

pub use escape::{escape_into, unescape};
pub use index::{Document, Fault, FaultKind, Indexer, Limits, Patch, Piece};
pub use leaves::Leaves;
pub use name::Names;
pub use triples::Triples;
pub use value::{Items, Kind, Members, Value};
pub use watch::Watch;
