//! A row of `changes` read back, as far as an approval request says it.

use changegate_approval::{Ask, StoredChange, StoredReason};
use changegate_types::{ActorType, Decision, Digest, Keyed128, PrivilegeClass, RiskLevel, TimeMicros, Verb};
use serde::Deserialize;

/// What [`Row`] reads, in its order; `read_at` follows. The client cannot read tuples whose members have names.
pub(crate) const COLUMNS: &str = "topic, incarnation, partition, offset, child, event_uid, native_uid, \
    content_hash, change_uid, tenant_uid, source, event_time, kafka_time, ingest_time, decision_time, actor_uid, \
    actor_name, actor_type_id, actor_delegated_from, account_uid, region, api_service, api_operation, \
    action_verb, privilege_class, resource_uids, resource_types, resource_names, environment, owner, \
    scope_tags, vcs_repo, vcs_change_id, vcs_head_revision, cicd_run_id, cicd_pipeline, ticket_uids, marks, \
    uid_conflict, risk, risk_extrapolated, risk_level, stratum, \
    CAST(reasons, 'Array(Tuple(String, String, Float32))') AS reasons, decision, rules, model_hash, \
    calibration_hash, policy_hash, config_hash, program_version, approval";

/// An id as the tables keep it.
pub(crate) fn keyed(bytes: [u8; 16]) -> Keyed128 {
    Keyed128(u128::from_be_bytes(bytes))
}

#[derive(clickhouse::Row, Deserialize)]
pub(crate) struct Row {
    topic: String,
    incarnation: u32,
    partition: i32,
    offset: i64,
    child: i32,
    event_uid: [u8; 16],
    native_uid: String,
    content_hash: [u8; 16],
    change_uid: [u8; 16],
    tenant_uid: String,
    source: String,
    event_time: i64,
    kafka_time: i64,
    ingest_time: i64,
    decision_time: i64,
    actor_uid: String,
    actor_name: String,
    actor_type_id: u8,
    actor_delegated_from: Vec<String>,
    account_uid: String,
    region: String,
    api_service: String,
    api_operation: String,
    action_verb: i8,
    privilege_class: i8,
    resource_uids: Vec<String>,
    resource_types: Vec<String>,
    resource_names: Vec<String>,
    environment: String,
    owner: String,
    scope_tags: Vec<String>,
    vcs_repo: String,
    vcs_change_id: String,
    vcs_head_revision: String,
    cicd_run_id: String,
    cicd_pipeline: String,
    ticket_uids: Vec<String>,
    marks: Vec<String>,
    uid_conflict: bool,
    risk: Option<f32>,
    risk_extrapolated: bool,
    risk_level: i8,
    stratum: String,
    reasons: Vec<(String, String, f32)>,
    decision: i8,
    rules: Vec<String>,
    model_hash: [u8; 32],
    calibration_hash: [u8; 32],
    policy_hash: [u8; 32],
    config_hash: [u8; 32],
    program_version: String,
    approval: i8,
    /// Offset of the record that it was read from.
    pub(crate) read_at: i64,
}

impl From<Row> for StoredChange {
    fn from(row: Row) -> Self {
        Self {
            topic: row.topic,
            incarnation: row.incarnation,
            partition: row.partition,
            offset: row.offset,
            child: row.child.unsigned_abs(),
            event_uid: keyed(row.event_uid),
            native_uid: row.native_uid,
            content_hash: keyed(row.content_hash),
            change_uid: keyed(row.change_uid),
            tenant_uid: row.tenant_uid,
            source: row.source,
            event_time: TimeMicros(row.event_time),
            kafka_time: TimeMicros(row.kafka_time),
            ingest_time: TimeMicros(row.ingest_time),
            decision_time: TimeMicros(row.decision_time),
            actor_uid: row.actor_uid,
            actor_name: row.actor_name,
            actor_type: by_id(ActorType::ALL, ActorType::id, u16::from(row.actor_type_id)),
            actor_delegated_from: row.actor_delegated_from,
            account_uid: row.account_uid,
            region: row.region,
            api_service: row.api_service,
            api_operation: row.api_operation,
            verb: by_id(Verb::ALL, Verb::id, u16::from(row.action_verb.unsigned_abs())),
            privilege_class: by_id(
                PrivilegeClass::ALL,
                PrivilegeClass::id,
                u16::from(row.privilege_class.unsigned_abs()),
            ),
            resource_uids: row.resource_uids,
            resource_types: row.resource_types,
            resource_names: row.resource_names,
            environment: row.environment,
            owner: row.owner,
            scope_tags: row.scope_tags,
            vcs_repo: row.vcs_repo,
            vcs_change_id: row.vcs_change_id,
            vcs_head_revision: row.vcs_head_revision,
            cicd_run_id: row.cicd_run_id,
            cicd_pipeline: row.cicd_pipeline,
            ticket_uids: row.ticket_uids,
            marks: row.marks,
            uid_conflict: row.uid_conflict,
            risk: row.risk,
            risk_extrapolated: row.risk_extrapolated,
            risk_level: level(row.risk_level),
            stratum: row.stratum,
            reasons: row
                .reasons
                .into_iter()
                .map(|(feature, text, contribution)| StoredReason {
                    feature,
                    text,
                    contribution,
                })
                .collect(),
            decision: match row.decision {
                0 => Decision::Allow,
                1 => Decision::RequireApproval,
                _ => Decision::Deny,
            },
            rules: row.rules,
            model_hash: Digest(row.model_hash),
            calibration_hash: Digest(row.calibration_hash),
            policy_hash: Digest(row.policy_hash),
            config_hash: Digest(row.config_hash),
            program_version: row.program_version,
            ask: Ask::ALL
                .into_iter()
                .find(|ask| *ask as i8 == row.approval)
                .unwrap_or_default(),
        }
    }
}

/// A number that this version does not know reads as "not known".
fn by_id<T: Copy + Default>(all: &[T], id: impl Fn(T) -> u16, wanted: u16) -> T {
    all.iter()
        .copied()
        .find(|value| id(*value) == wanted)
        .unwrap_or_default()
}

/// Unscored rows (-1) have no level; a fresh row gives them the least one.
fn level(stored: i8) -> RiskLevel {
    match stored {
        1 => RiskLevel::Low,
        2 => RiskLevel::Medium,
        3 => RiskLevel::High,
        4 => RiskLevel::Critical,
        _ => RiskLevel::Info,
    }
}
