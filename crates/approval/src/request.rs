use changegate_types::{
    DecidedChange, Keyed128, Mark, Marks, Position, RequestId, RiskLevel, TimeMicros, Versions,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::body::{Change, DecisionPart, Row, Score};
use crate::{Ask, StoredChange, StoredReason};

/// CloudEvents type of a request.
pub const EVENT_TYPE: &str = "dev.changegate.approval.requested.v1";
/// Schema of the body.
pub const SCHEMA: &str = "changegate.approval.v1";
/// A review is open this long after the decision. Part of the schema, not a setting: the row alone gives the body.
pub const REVIEW_HOURS: i64 = 7 * 24;
/// A gate waits this long after the decision.
pub const GATE_HOURS: i64 = 24;

const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The change has happened: somebody must look at it.
    Review,
    /// The change waits for the answer.
    Gate,
}

impl Kind {
    /// The name in the body.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Gate => "gate",
        }
    }

    /// A change waits only where its event says so itself: GitHub's deployment protection rule, a requested check.
    pub fn of(row: &StoredChange) -> Self {
        let asks_before = row.source == "github.webhook"
            && (row.api_operation.starts_with("deployment_protection_rule")
                || row.api_operation == "check_run.requested_action");
        if asks_before { Self::Gate } else { Self::Review }
    }
}

/// A request as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// Its id, also the key of the record.
    pub request_id: RequestId,
    /// CloudEvents headers of the binary mode, in their order.
    pub headers: Vec<(String, String)>,
    /// The body, JSON by `schema/changegate.approval.v1.json`.
    pub body: Vec<u8>,
}

/// The id of the one request that a change may have.
pub fn request_id(tenant_uid: &str, change_uid: Keyed128) -> RequestId {
    hash(&[
        b"changegate.request.v1",
        tenant_uid.as_bytes(),
        &change_uid.0.to_be_bytes(),
    ])
}

/// The group that requests beyond the hour's budget name: one per tenant and hour of decision.
pub fn group_id(tenant_uid: &str, decision_time: TimeMicros) -> RequestId {
    let hour = decision_time.0.div_euclid(MICROS_PER_HOUR);
    hash(&[b"changegate.group.v1", tenant_uid.as_bytes(), &hour.to_be_bytes()])
}

pub(crate) fn hash(parts: &[&[u8]]) -> Keyed128 {
    let mut hasher = Sha256::new();
    for part in parts {
        // Lengths keep ("a", "bc") and ("ab", "c") apart.
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    Keyed128(u128::from_be_bytes(first))
}

impl StoredChange {
    /// The row that is about to be written, as it will be read back.
    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of one row, each from another place"
    )]
    pub fn new(
        position: Position<'_>,
        child: u32,
        kafka_time: TimeMicros,
        ingest_time: TimeMicros,
        decided: &DecidedChange<'_>,
        marks: Marks,
        uid_conflict: bool,
        ask: Ask,
        versions: &Versions,
    ) -> Self {
        let event = decided.event;
        let score = decided.score.as_ref();
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Self {
            topic: position.topic.to_owned(),
            incarnation: position.incarnation,
            partition: position.partition,
            offset: position.offset,
            child,
            event_uid: event.event_uid,
            native_uid: event.native_uid.to_owned(),
            content_hash: event.content_hash,
            change_uid: event.change_uid,
            tenant_uid: event.tenant_uid.to_owned(),
            source: event.source.to_owned(),
            event_time: event.event_time,
            kafka_time,
            ingest_time,
            decision_time: decided.decision_time,
            actor_uid: event.actor_uid.to_owned(),
            actor_name: event.actor_name.to_owned(),
            actor_type: event.actor_type,
            actor_delegated_from: owned(event.actor_delegated_from),
            account_uid: event.account_uid.to_owned(),
            region: event.region.to_owned(),
            api_service: event.api_service.to_owned(),
            api_operation: event.api_operation.to_owned(),
            verb: event.verb,
            privilege_class: event.privilege_class,
            resource_uids: event
                .resources
                .iter()
                .map(|resource| resource.uid.to_owned())
                .collect(),
            resource_types: event
                .resources
                .iter()
                .map(|resource| resource.kind.to_owned())
                .collect(),
            resource_names: event
                .resources
                .iter()
                .map(|resource| resource.name.to_owned())
                .collect(),
            environment: event.environment.to_owned(),
            owner: event.owner.to_owned(),
            scope_tags: owned(event.scope_tags),
            vcs_repo: event.vcs_repo.to_owned(),
            vcs_change_id: event.vcs_change_id.to_owned(),
            vcs_head_revision: event.vcs_head_revision.to_owned(),
            cicd_run_id: event.cicd_run_id.to_owned(),
            cicd_pipeline: event.cicd_pipeline.to_owned(),
            ticket_uids: owned(event.ticket_uids),
            marks: event
                .marks
                .union(marks)
                .iter()
                .map(Mark::name)
                .map(str::to_owned)
                .collect(),
            uid_conflict,
            risk: score.map(|score| score.risk.points()),
            risk_extrapolated: score.is_some_and(|score| score.extrapolated),
            risk_level: score.map_or(RiskLevel::Info, |score| RiskLevel::of(score.risk)),
            stratum: score.map_or_else(String::new, |score| score.stratum.to_owned()),
            reasons: score.map_or_else(Vec::new, |score| {
                score.reasons.iter().map(StoredReason::of).collect()
            }),
            decision: decided.decision,
            rules: owned(decided.rules),
            model_hash: versions.model_hash,
            calibration_hash: versions.calibration_hash,
            policy_hash: versions.policy_hash,
            config_hash: versions.config_hash,
            program_version: versions.program_version.clone(),
            ask,
        }
    }

    /// The request that this row asks for; `None` where it asks for none.
    pub fn request(&self) -> Option<ApprovalRequest> {
        self.ask.sends().then(|| {
            let request_id = request_id(&self.tenant_uid, self.change_uid);
            ApprovalRequest {
                request_id,
                headers: headers(self, request_id, EVENT_TYPE),
                body: self.body(),
            }
        })
    }

    /// The body of the row's request, byte by byte as it is sent; also for rows that only would have asked.
    pub fn body(&self) -> Vec<u8> {
        let request_id = request_id(&self.tenant_uid, self.change_uid);
        serde_json::to_vec(&Body::of(self, request_id)).expect("plain values always print")
    }

    /// When the request lapses.
    pub fn expires_time(&self) -> TimeMicros {
        let hours = match Kind::of(self) {
            Kind::Review => REVIEW_HOURS,
            Kind::Gate => GATE_HOURS,
        };
        TimeMicros(self.decision_time.0.saturating_add(hours * MICROS_PER_HOUR))
    }
}

impl StoredReason {
    fn of(reason: &changegate_types::Reason<'_>) -> Self {
        Self {
            feature: reason.feature.to_owned(),
            text: reason.text.to_owned(),
            contribution: reason.contribution,
        }
    }
}

/// CloudEvents headers of the binary mode.
pub(crate) fn headers(row: &StoredChange, id: Keyed128, kind: &str) -> Vec<(String, String)> {
    [
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", id.to_string()),
        ("ce_source", format!("/changegate/{}", row.source)),
        ("ce_type", kind.to_owned()),
        ("ce_time", row.decision_time.to_string()),
        ("ce_subject", row.change_uid.to_string()),
        ("content-type", "application/json".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[derive(Serialize)]
struct Body<'r> {
    schema: &'static str,
    request_id: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Group>,
    tenant: &'r str,
    requested_time: String,
    expires_time: String,
    change: Change<'r>,
    score: Score<'r>,
    decision: DecisionPart<'r>,
    row: Row<'r>,
}

#[derive(Serialize)]
struct Group {
    group_id: String,
    reason: &'static str,
}

impl<'r> Body<'r> {
    fn of(row: &'r StoredChange, request_id: RequestId) -> Self {
        Self {
            schema: SCHEMA,
            request_id: request_id.to_string(),
            kind: Kind::of(row).name(),
            group: (row.ask == Ask::Grouped).then(|| Group {
                group_id: group_id(&row.tenant_uid, row.decision_time).to_string(),
                reason: "hourly_budget_exceeded",
            }),
            tenant: &row.tenant_uid,
            requested_time: row.decision_time.to_string(),
            expires_time: row.expires_time().to_string(),
            change: Change::of(row),
            score: Score::of(row),
            decision: DecisionPart::of(row),
            row: Row::of(row),
        }
    }
}
