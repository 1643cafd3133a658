use changegate_pipeline::rows::ChangeRow;
use changegate_types::{DecidedChange, Position, RiskLevel, Versions};

use super::{position, provenance, stored_child};
use crate::encode::RowWriter;

/// Returns where the attempt stands.
pub(super) fn encode(change: &ChangeRow<'_>, row: &mut RowWriter<'_>) -> usize {
    position(row, &change.record.position);
    row.i32(stored_child(change.child));
    let attempt = provenance(row, change.record);
    what_and_where(change, row);
    who(change, row);
    which_thing(change, row);
    under_what(change, row);
    kept_bytes(change, row);
    score(change.decided, row);
    decision(change, row);
    versions(change.versions, row);
    hop(change.hop, row);
    attempt
}

fn what_and_where(change: &ChangeRow<'_>, row: &mut RowWriter<'_>) {
    let event = change.decided.event;
    row.text(event.source_product);
    row.text(event.schema_version);
    row.uid(event.event_uid);
    row.text(event.native_uid);
    row.uid(event.content_hash);
    row.uid(event.change_uid);
    row.text(event.correlation_uid);
    row.bool(change.uid_conflict);
    row.time(event.event_time);
    row.nullable(event.logged_time, RowWriter::time);
    row.u16(event.class.id());
    row.u8(event.activity);
    row.u8(event.severity.id() as u8);
    row.u8(event.status.id() as u8);
    row.text(event.status_code);
    row.text(event.status_detail);
    row.text(event.cloud_provider);
    row.text(event.account_uid);
    row.text(event.org_uid);
    row.text(event.region);
    row.text(event.zone);
}

fn who(change: &ChangeRow<'_>, row: &mut RowWriter<'_>) {
    let event = change.decided.event;
    row.text(event.actor_uid);
    row.text(event.actor_name);
    row.u8(event.actor_type.id() as u8);
    row.text(event.actor_credential_uid);
    row.text(event.actor_session_uid);
    row.nullable(event.actor_is_mfa, RowWriter::bool);
    row.text(event.actor_issuer);
    row.text(event.actor_invoked_by);
    row.texts(event.actor_delegated_from.iter().copied());
    row.nullable(event.src_ip, RowWriter::ip);
    row.text(event.src_domain);
    row.u32(event.src_asn);
    row.text(event.src_country);
    row.text(event.user_agent);
}

fn which_thing(change: &ChangeRow<'_>, row: &mut RowWriter<'_>) {
    let event = change.decided.event;
    row.text(event.api_service);
    row.text(event.api_operation);
    row.text(event.api_version);
    row.text(event.request_uid);
    row.texts(event.resources.iter().map(|resource| resource.uid));
    row.texts(event.resources.iter().map(|resource| resource.kind));
    row.texts(event.resources.iter().map(|resource| resource.name));
    row.text(event.resource_owner_account);
    row.text(event.environment);
    row.text(event.owner);
    row.texts(event.scope_tags.iter().copied());
    row.u8(event.verb.id() as u8);
    row.u8(event.privilege_class.id() as u8);
    row.bool(event.is_change);
}

fn under_what(change: &ChangeRow<'_>, row: &mut RowWriter<'_>) {
    let event = change.decided.event;
    row.text(event.vcs_repo);
    row.text(event.vcs_change_id);
    row.text(event.vcs_head_revision);
    row.text(event.cicd_run_id);
    row.text(event.cicd_pipeline);
    row.texts(event.ticket_uids.iter().copied());
    row.text(event.is_amendment_of);
    row.text(event.split_uid);
    row.u16(event.split_index);
    row.u16(event.split_total);
    let marks = event.marks.union(change.marks);
    row.length(marks.len());
    marks.iter().for_each(|mark| row.text(mark.name()));
}

fn kept_bytes(change: &ChangeRow<'_>, row: &mut RowWriter<'_>) {
    row.digest(&change.record.raw_hash);
    let event = change.decided.event;
    if change.child_bytes.is_empty() {
        row.u32(event.raw_start);
        row.u32(event.raw_len);
        row.bytes(event.child_bytes);
    } else {
        row.u32(0);
        row.u32(0);
        row.bytes(change.child_bytes);
    }
}

fn score(decided: &DecidedChange<'_>, row: &mut RowWriter<'_>) {
    match &decided.score {
        Some(score) => {
            row.nullable(Some(score.risk.points()), RowWriter::f32);
            row.u8(RiskLevel::of(score.risk) as u8);
            row.bool(score.extrapolated);
            row.f32(score.raw);
            row.text(score.stratum);
            row.bool(score.learning);
            row.u16s(score.features);
            row.length(score.reasons.len());
            for reason in score.reasons {
                row.text(reason.feature);
                row.text(reason.text);
                row.f32(reason.contribution);
            }
        }
        None => {
            row.nullable(None, RowWriter::f32);
            // 'Unscored' = -1.
            row.u8(u8::MAX);
            row.bool(false);
            row.f32(0.0);
            row.text("");
            row.bool(false);
            row.u16s(&[]);
            row.length(0);
        }
    }
}

fn decision(change: &ChangeRow<'_>, row: &mut RowWriter<'_>) {
    row.u8(change.decided.decision as u8);
    row.texts(change.decided.rules.iter().copied());
    row.time(change.decided.decision_time);
    row.u8(change.ask as u8);
}

fn versions(versions: &Versions, row: &mut RowWriter<'_>) {
    row.text(&versions.model_name);
    row.digest(&versions.model_hash);
    row.digest(&versions.calibration_hash);
    row.digest(&versions.policy_hash);
    row.digest(&versions.config_hash);
    row.text(&versions.program_version);
}

/// Where no hop lies between, there is no topic of that name, and no record at -1.
fn hop(hop: Option<Position<'_>>, row: &mut RowWriter<'_>) {
    let none = Position {
        topic: "",
        incarnation: 0,
        partition: -1,
        offset: -1,
    };
    position(row, &hop.unwrap_or(none));
}
