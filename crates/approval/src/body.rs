//! What requests and decisions say of a row, in the same words.

use changegate_types::ActorType;
use serde::Serialize;

use crate::{StoredChange, StoredReason};

#[derive(Serialize)]
pub(crate) struct Change<'r> {
    change_uid: String,
    event_uid: String,
    native_uid: &'r str,
    content_hash: String,
    uid_conflict: bool,
    source: &'r str,
    event_time: String,
    actor: Actor<'r>,
    operation: Operation<'r>,
    resources: Vec<Resource<'r>>,
    account_uid: &'r str,
    region: &'r str,
    environment: &'r str,
    owner: &'r str,
    scope_tags: &'r [String],
    ticket_uids: &'r [String],
    vcs_repo: &'r str,
    vcs_change_id: &'r str,
    vcs_head_revision: &'r str,
    cicd_run_id: &'r str,
    cicd_pipeline: &'r str,
    marks: &'r [String],
}

#[derive(Serialize)]
struct Actor<'r> {
    uid: &'r str,
    name: &'r str,
    #[serde(rename = "type")]
    kind: &'static str,
    delegated_from: &'r [String],
}

#[derive(Serialize)]
struct Operation<'r> {
    service: &'r str,
    name: &'r str,
    verb: &'static str,
    privilege_class: &'static str,
}

#[derive(Serialize)]
struct Resource<'r> {
    uid: &'r str,
    #[serde(rename = "type")]
    kind: &'r str,
    name: &'r str,
}

#[derive(Serialize)]
pub(crate) struct Score<'r> {
    risk: Option<f32>,
    level: Option<&'static str>,
    extrapolated: bool,
    stratum: &'r str,
    reasons: Vec<ReasonPart<'r>>,
}

#[derive(Serialize)]
struct ReasonPart<'r> {
    feature: &'r str,
    text: &'r str,
    contribution: f32,
}

#[derive(Serialize)]
pub(crate) struct DecisionPart<'r> {
    decision: &'static str,
    rules: &'r [String],
    decision_time: String,
    model_hash: String,
    calibration_hash: String,
    policy_hash: String,
    config_hash: String,
    program_version: &'r str,
}

#[derive(Serialize)]
pub(crate) struct Row<'r> {
    topic: &'r str,
    incarnation: u32,
    partition: i32,
    offset: i64,
    child: u32,
    kafka_time: String,
    ingest_time: String,
}

impl<'r> Score<'r> {
    pub(crate) fn of(row: &'r StoredChange) -> Self {
        Self {
            risk: row.risk,
            level: row.risk.map(|_| row.risk_level.name()),
            extrapolated: row.risk_extrapolated,
            stratum: &row.stratum,
            reasons: row.reasons.iter().map(ReasonPart::of).collect(),
        }
    }
}

impl<'r> DecisionPart<'r> {
    pub(crate) fn of(row: &'r StoredChange) -> Self {
        Self {
            decision: row.decision.name(),
            rules: &row.rules,
            decision_time: row.decision_time.to_string(),
            model_hash: row.model_hash.to_string(),
            calibration_hash: row.calibration_hash.to_string(),
            policy_hash: row.policy_hash.to_string(),
            config_hash: row.config_hash.to_string(),
            program_version: &row.program_version,
        }
    }
}

impl<'r> Row<'r> {
    pub(crate) fn of(row: &'r StoredChange) -> Self {
        Self {
            topic: &row.topic,
            incarnation: row.incarnation,
            partition: row.partition,
            offset: row.offset,
            child: row.child,
            kafka_time: row.kafka_time.to_string(),
            ingest_time: row.ingest_time.to_string(),
        }
    }
}

impl<'r> Change<'r> {
    pub(crate) fn of(row: &'r StoredChange) -> Self {
        let at = |texts: &'r [String], index: usize| texts.get(index).map_or("", String::as_str);
        Self {
            change_uid: row.change_uid.to_string(),
            event_uid: row.event_uid.to_string(),
            native_uid: &row.native_uid,
            content_hash: row.content_hash.to_string(),
            uid_conflict: row.uid_conflict,
            source: &row.source,
            event_time: row.event_time.to_string(),
            actor: Actor {
                uid: &row.actor_uid,
                name: &row.actor_name,
                kind: ActorType::name(row.actor_type),
                delegated_from: &row.actor_delegated_from,
            },
            operation: Operation {
                service: &row.api_service,
                name: &row.api_operation,
                verb: row.verb.name(),
                privilege_class: row.privilege_class.name(),
            },
            resources: (0..row.resource_uids.len())
                .map(|index| Resource {
                    uid: at(&row.resource_uids, index),
                    kind: at(&row.resource_types, index),
                    name: at(&row.resource_names, index),
                })
                .collect(),
            account_uid: &row.account_uid,
            region: &row.region,
            environment: &row.environment,
            owner: &row.owner,
            scope_tags: &row.scope_tags,
            ticket_uids: &row.ticket_uids,
            vcs_repo: &row.vcs_repo,
            vcs_change_id: &row.vcs_change_id,
            vcs_head_revision: &row.vcs_head_revision,
            cicd_run_id: &row.cicd_run_id,
            cicd_pipeline: &row.cicd_pipeline,
            marks: &row.marks,
        }
    }
}

impl<'r> ReasonPart<'r> {
    fn of(reason: &'r StoredReason) -> Self {
        Self {
            feature: &reason.feature,
            text: &reason.text,
            contribution: reason.contribution,
        }
    }
}
