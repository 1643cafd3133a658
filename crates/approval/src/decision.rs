use changegate_types::Keyed128;
use serde::Serialize;

use crate::StoredChange;
use crate::body::{Change, DecisionPart, Row, Score};
use crate::request::{hash, headers};

/// CloudEvents type of a decision.
pub const DECISION_TYPE: &str = "dev.changegate.decision.made.v1";
/// Schema of the body.
pub const DECISION_SCHEMA: &str = "changegate.decision.v1";

/// A decision as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedDecision {
    /// Key of the record: all that is decided of one change stands in one partition.
    pub change_uid: Keyed128,
    /// CloudEvents headers of the binary mode, in their order.
    pub headers: Vec<(String, String)>,
    /// The body, JSON by `schema/changegate.decision.v1.json`.
    pub body: Vec<u8>,
}

impl StoredChange {
    /// The decision that this row holds; `None` where nothing was decided: reads, sign-ins, redeliveries.
    pub fn published_decision(&self) -> Option<PublishedDecision> {
        let undecided = |rule: &String| matches!(rule.as_str(), "not_a_change" | "redelivery");
        if self.rules.iter().any(undecided) {
            return None;
        }
        let decision_id = hash(&[
            b"changegate.decision.v1",
            self.tenant_uid.as_bytes(),
            &self.event_uid.0.to_be_bytes(),
            &self.content_hash.0.to_be_bytes(),
        ]);
        let body = Body {
            schema: DECISION_SCHEMA,
            decision_id: decision_id.to_string(),
            tenant: &self.tenant_uid,
            approval: self.ask.name(),
            change: Change::of(self),
            score: Score::of(self),
            decision: DecisionPart::of(self),
            row: Row::of(self),
        };
        Some(PublishedDecision {
            change_uid: self.change_uid,
            headers: headers(self, decision_id, DECISION_TYPE),
            body: serde_json::to_vec(&body).expect("plain values always print"),
        })
    }
}

#[derive(Serialize)]
struct Body<'r> {
    schema: &'static str,
    decision_id: String,
    tenant: &'r str,
    /// Whether it asks people, as in the column `approval`.
    approval: &'static str,
    change: Change<'r>,
    score: Score<'r>,
    decision: DecisionPart<'r>,
    row: Row<'r>,
}
