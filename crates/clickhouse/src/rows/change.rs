use changegate_types::{DecidedChange, Marks, RiskLevel, Versions};

use super::{RecordContext, stored_child};
use crate::encode::RowWriter;

/// One row of `changes`.
#[derive(Clone, Copy, Debug)]
pub struct ChangeRow<'a> {
    /// The record that it came in.
    pub record: &'a RecordContext<'a>,
    /// Index within the record.
    pub child: u32,
    /// Another event has the same `event_uid` and says something else.
    pub uid_conflict: bool,
    /// Marks that the stream adds to those of the event (`backfill`, `redelivery`, …).
    pub marks: Marks,
    /// Event, score, decision.
    pub decided: &'a DecidedChange<'a>,
    /// What it was decided with.
    pub versions: &'a Versions,
}

impl ChangeRow<'_> {
    /// Appends the row.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut row = RowWriter::new(out);
        self.record.position(&mut row);
        row.i32(stored_child(self.child));
        self.record.provenance(&mut row);
        self.what_and_where(&mut row);
        self.who(&mut row);
        self.which_thing(&mut row);
        self.under_what(&mut row);
        self.kept_bytes(&mut row);
        self.score(&mut row);
        self.decision(&mut row);
    }

    fn what_and_where(&self, row: &mut RowWriter<'_>) {
        let event = self.decided.event;
        row.text(event.source_product);
        row.text(event.schema_version);
        row.uid(event.event_uid);
        row.text(event.native_uid);
        row.uid(event.content_hash);
        row.uid(event.change_uid);
        row.text(event.correlation_uid);
        row.bool(self.uid_conflict);
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

    fn who(&self, row: &mut RowWriter<'_>) {
        let event = self.decided.event;
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

    fn which_thing(&self, row: &mut RowWriter<'_>) {
        let event = self.decided.event;
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

    fn under_what(&self, row: &mut RowWriter<'_>) {
        let event = self.decided.event;
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
        let marks = event.marks.union(self.marks);
        row.length(marks.len());
        marks.iter().for_each(|mark| row.text(mark.name()));
    }

    fn kept_bytes(&self, row: &mut RowWriter<'_>) {
        row.digest(&self.record.raw_hash);
        row.u32(self.decided.event.raw_start);
        row.u32(self.decided.event.raw_len);
        row.bytes(self.decided.event.child_bytes);
    }

    fn score(&self, row: &mut RowWriter<'_>) {
        match &self.decided.score {
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

    fn decision(&self, row: &mut RowWriter<'_>) {
        row.u8(self.decided.decision as u8);
        row.texts(self.decided.rules.iter().copied());
        row.time(self.decided.decision_time);
        row.text(&self.versions.model_name);
        row.digest(&self.versions.model_hash);
        row.digest(&self.versions.calibration_hash);
        row.digest(&self.versions.policy_hash);
        row.digest(&self.versions.config_hash);
        row.text(&self.versions.program_version);
    }
}
