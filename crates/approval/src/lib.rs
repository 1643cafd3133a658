//! Approval requests, derived from the ledger row alone.
//!
//! In: one row of `changes` ([`StoredChange`]), fresh or read back. Out: the request that goes to
//! `changegate.approval.v1`, as bytes and headers, and the decision for `changegate.decision.v1`. Beside it: which rows ask at all ([`Asker`]); what it says stands in
//! the row, so that the row alone tells, after a crash, whether a request was due.
//!
//! **Invariants.** No clock, no I/O, no randomness. The body takes no setting: the same row gives the same bytes, for
//! ever and on every machine, so that a repeat after a crash is no second request.

mod ask;
mod body;
mod budget;
mod decision;
mod request;
mod stored;

pub use ask::Ask;
pub use budget::{Answer, AskRules, Asker, Candidate};
pub use decision::{DECISION_SCHEMA, DECISION_TYPE, PublishedDecision};
pub use request::{
    ApprovalRequest, EVENT_TYPE, GATE_HOURS, Kind, REVIEW_HOURS, SCHEMA, group_id, request_id,
};
pub use stored::{StoredChange, StoredReason};
