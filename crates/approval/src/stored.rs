use changegate_types::{
    ActorType, ChangeUid, ContentHash, Decision, Digest, EventUid, PrivilegeClass, RiskLevel, TimeMicros,
    Verb,
};

use crate::Ask;

/// One row of `changes`, as far as an approval request says it.
///
/// A fresh row and the same row read back from the ledger are equal here, so that a request repeated after a crash is
/// equal byte for byte. Owned, because it is made only for the few rows that ask.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredChange {
    /// Topic of the record.
    pub topic: String,
    /// Which life of topic and partition.
    pub incarnation: u32,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Index of the child within the record.
    pub child: u32,
    /// Our id of the source's event.
    pub event_uid: EventUid,
    /// The source's id, as spelled.
    pub native_uid: String,
    /// Hash of what the source said.
    pub content_hash: ContentHash,
    /// Our id of the change.
    pub change_uid: ChangeUid,
    /// Whose change.
    pub tenant_uid: String,
    /// `aws.cloudtrail`, …
    pub source: String,
    /// When it happened.
    pub event_time: TimeMicros,
    /// Kafka's record time.
    pub kafka_time: TimeMicros,
    /// When it was read.
    pub ingest_time: TimeMicros,
    /// When it was decided.
    pub decision_time: TimeMicros,
    /// Who acted.
    pub actor_uid: String,
    /// What people call the actor.
    pub actor_name: String,
    /// Person, service, provider.
    pub actor_type: ActorType,
    /// Chain of delegation, nearest first.
    pub actor_delegated_from: Vec<String>,
    /// Account, subscription, project, cluster.
    pub account_uid: String,
    /// Region.
    pub region: String,
    /// API or product area.
    pub api_service: String,
    /// Operation as the provider spells it.
    pub api_operation: String,
    /// What was done.
    pub verb: Verb,
    /// What power it touches.
    pub privilege_class: PrivilegeClass,
    /// What was touched: ids.
    pub resource_uids: Vec<String>,
    /// What was touched: types, in the order of the ids.
    pub resource_types: Vec<String>,
    /// What was touched: names, in the order of the ids.
    pub resource_names: Vec<String>,
    /// `production`, `unknown`, …
    pub environment: String,
    /// Owner by the config's patterns.
    pub owner: String,
    /// Scope tags by the config's patterns.
    pub scope_tags: Vec<String>,
    /// Repository.
    pub vcs_repo: String,
    /// Pull or merge request.
    pub vcs_change_id: String,
    /// Commit.
    pub vcs_head_revision: String,
    /// Pipeline run.
    pub cicd_run_id: String,
    /// Pipeline.
    pub cicd_pipeline: String,
    /// Ticket references.
    pub ticket_uids: Vec<String>,
    /// Names of the marks, in the order of their bits.
    pub marks: Vec<String>,
    /// The same uid was seen with other content.
    pub uid_conflict: bool,
    /// Calibrated risk in points; `None` = could not be scored.
    pub risk: Option<f32>,
    /// Beyond what the calibration sample shows.
    pub risk_extrapolated: bool,
    /// Level of the risk.
    pub risk_level: RiskLevel,
    /// Calibration stratum.
    pub stratum: String,
    /// Why, strongest first.
    pub reasons: Vec<StoredReason>,
    /// Outcome.
    pub decision: Decision,
    /// What led to it.
    pub rules: Vec<String>,
    /// Hash of the model.
    pub model_hash: Digest,
    /// Hash of its calibration.
    pub calibration_hash: Digest,
    /// Hash of thresholds and rules.
    pub policy_hash: Digest,
    /// Hash of the settings that change what a row says.
    pub config_hash: Digest,
    /// Version of the program that wrote the row.
    pub program_version: String,
    /// Column `approval`: what was done about asking, at decision time.
    pub ask: Ask,
}

/// One reason of a stored score.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredReason {
    /// Name of the feature.
    pub feature: String,
    /// In words.
    pub text: String,
    /// Share of the raw score.
    pub contribution: f32,
}
