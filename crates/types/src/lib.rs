//! Nouns that two crates share.
//!
//! In: nothing. Out: the change event in OCSF terms, its place in the log, its ids, its score and the
//! decision about it.
//!
//! **Invariants.** No I/O, no clock, no randomness. Text borrows from the record that it came from or from the
//! arena of its block, so that the stream allocates nothing per event; an empty string means "the source did
//! not say".

mod change;
mod id;
mod mark;
mod outcome;
mod record;
mod score;
mod time;

pub use change::{Activity, ActorType, ChangeEvent, Class, PrivilegeClass, Resource, Severity, Status, Verb};
pub use id::{ChangeUid, ContentHash, Digest, EventUid, Keyed128, RequestId};
pub use mark::{Mark, Marks};
pub use outcome::{Reject, RejectCode, SkipReason};
pub use record::{Position, RawRecord};
pub use score::{DecidedChange, Decision, Reason, RiskLevel, RiskScore, Score, Versions};
pub use time::TimeMicros;
