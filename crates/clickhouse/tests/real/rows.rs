//! Rows to write: one change with every field set, and what is needed to vary it.

use changegate_approval::Ask;
use changegate_clickhouse::{ClickHouseLedger, RowBinary, partition_of};
use changegate_pipeline::Encoder as _;
use changegate_pipeline::Ledger as _;
use changegate_pipeline::ledger::{BatchId, Insert, QueryId, Span, Stamp, Table};
use changegate_pipeline::rows::{
    ChangeRow, Outcomes, RawRow, RecordContext, RejectedRow, SupersededRow, Why,
};
use changegate_types::{
    ActorType, ChangeEvent, Class, DecidedChange, Decision, Digest, Keyed128, Mark, Marks, Position,
    PrivilegeClass, Reason, Reject, RejectCode, Resource, RiskScore, Score, Severity, Status, TimeMicros,
    Verb, Versions,
};
use std::time::Duration;

pub(crate) const TOPIC: &str = "changegate.raw.aws.cloudtrail.v1";
/// 2026-08-15T14:00:00Z
pub(crate) const TIME: TimeMicros = TimeMicros(1_786_802_400_000_000);
pub(crate) const RAW: &[u8] = br#"{"Records":[{"eventName":"DeleteTrail","requestParameters":{"name":"org"},"responseElements":null}]}"#;
pub(crate) const CHILD: std::ops::Range<usize> = 12..RAW.len() - 2;

/// All of its partition.
pub(crate) const ALL: Span<'static> = Span {
    topic: TOPIC,
    incarnation: 0,
    partition: 3,
    from: 0,
    to: i64::MAX,
};

/// Buffers of one insert each.
#[derive(Default)]
pub(crate) struct Block {
    pub(crate) changes: Vec<u8>,
    pub(crate) rejected: Vec<u8>,
    pub(crate) superseded: Vec<u8>,
    pub(crate) raw_records: Vec<u8>,
    /// Rows come over the hop, in the record at this place.
    pub(crate) hop: Option<Position<'static>>,
}

pub(crate) fn context(offset: i64, batch: u64, attempt: u8) -> RecordContext<'static> {
    RecordContext {
        position: Position {
            topic: TOPIC,
            incarnation: 0,
            partition: 3,
            offset,
        },
        kafka_time: TIME,
        ingest_time: TimeMicros(TIME.0 + 1),
        stamp: Stamp {
            batch: BatchId(batch),
            attempt,
        },
        tenant_uid: "acme",
        source: "aws.cloudtrail",
        raw_hash: Digest([7; 32]),
    }
}

pub(crate) fn event() -> ChangeEvent<'static> {
    ChangeEvent {
        event_uid: Keyed128(1),
        native_uid: "e-1",
        content_hash: Keyed128(2),
        change_uid: Keyed128(3),
        correlation_uid: "corr",
        tenant_uid: "acme",
        source: "aws.cloudtrail",
        source_product: "CloudTrail",
        schema_version: "1.11",
        event_time: TIME,
        logged_time: Some(TimeMicros(TIME.0 + 5)),
        class: Class::ApiActivity,
        activity: 4,
        severity: Severity::High,
        status: Status::Success,
        status_code: "200",
        status_detail: "fine",
        cloud_provider: "AWS",
        account_uid: "111122223333",
        org_uid: "o-1",
        region: "eu-central-1",
        zone: "a",
        actor_uid: "arn:aws:iam::111122223333:role/admin",
        actor_name: "anna",
        actor_type: ActorType::User,
        actor_credential_uid: "AKIAEXAMPLE",
        actor_session_uid: "session",
        actor_is_mfa: Some(false),
        actor_issuer: "sso",
        actor_invoked_by: "cloudformation",
        actor_delegated_from: &["anna@example.com", "root"],
        src_ip: Some("::ffff:203.0.113.9".parse().expect("an address")),
        src_domain: "host.example",
        src_asn: 64_500,
        src_country: "DE",
        user_agent: "console",
        api_service: "cloudtrail.amazonaws.com",
        api_operation: "DeleteTrail",
        api_version: "2013",
        request_uid: "req",
        resources: &[Resource {
            uid: "arn:aws:cloudtrail:::trail/org",
            kind: "AWS::CloudTrail::Trail",
            name: "org",
        }],
        resource_owner_account: "999",
        environment: "production",
        owner: "platform",
        scope_tags: &["sox"],
        verb: Verb::Delete,
        privilege_class: PrivilegeClass::Logging,
        is_change: true,
        vcs_repo: "acme/infra",
        vcs_change_id: "17",
        vcs_head_revision: "abc",
        cicd_run_id: "run-1",
        cicd_pipeline: "deploy",
        ticket_uids: &["OPS-1"],
        is_amendment_of: "e-0",
        split_uid: "split",
        split_index: 1,
        split_total: 2,
        raw_start: CHILD.start as u32,
        raw_len: CHILD.len() as u32,
        ..ChangeEvent::default()
    }
}

pub(crate) fn score(points: f32) -> Score<'static> {
    Score {
        risk: RiskScore::new(points),
        extrapolated: true,
        raw: 1.5,
        stratum: "human/production",
        learning: false,
        features: &[1, 2, 1023],
        reasons: &[Reason {
            feature: "novelty",
            text: "first time: 0 of 12",
            contribution: 0.75,
        }],
    }
}

pub(crate) fn versions() -> Versions {
    Versions {
        model_name: "base@1".to_owned(),
        model_hash: Digest([1; 32]),
        calibration_hash: Digest([2; 32]),
        policy_hash: Digest([3; 32]),
        config_hash: Digest([4; 32]),
        program_version: "0.1.0".to_owned(),
    }
}

/// Every other record.
fn has_key(record: &RecordContext<'_>) -> bool {
    record.position.offset % 2 == 1
}

impl Block {
    pub(crate) fn change(
        &mut self,
        record: &RecordContext<'_>,
        child: u32,
        event: &ChangeEvent<'_>,
        points: Option<f32>,
    ) {
        self.change_row(record, child, event, points, false);
    }

    /// A change whose `event_uid` another event has too.
    pub(crate) fn conflict(&mut self, record: &RecordContext<'_>, event: &ChangeEvent<'_>) {
        self.change_row(record, 0, event, Some(5.0), true);
        let mut outcomes = Outcomes::default();
        outcomes.write();
        self.record(record, &outcomes);
    }

    fn change_row(
        &mut self,
        record: &RecordContext<'_>,
        child: u32,
        event: &ChangeEvent<'_>,
        points: Option<f32>,
        uid_conflict: bool,
    ) {
        let score = points.map(score);
        let asks = points.is_none_or(|points| points >= 60.0);
        let decided = DecidedChange {
            event,
            score,
            decision: if asks {
                Decision::RequireApproval
            } else {
                Decision::Allow
            },
            rules: if asks { &["risk>=60"] } else { &[] },
            decision_time: TimeMicros(TIME.0 + 2),
        };
        let mut marks = Marks::default();
        marks.set(Mark::SecretMasked);
        let row = ChangeRow {
            record,
            child,
            uid_conflict,
            marks,
            decided: &decided,
            ask: if asks { Ask::Asked } else { Ask::None },
            child_bytes: &[],
            versions: &versions(),
            hop: self.hop,
        };
        let attempt = RowBinary.change(&row, &mut self.changes);
        assert_eq!(self.changes.get(attempt), Some(&record.stamp.attempt));
    }

    pub(crate) fn reject(&mut self, record: &RecordContext<'_>, child: u32) {
        let reject = Reject {
            code: RejectCode::NotJson,
            reason: "expected a value",
            at_byte: 9,
        };
        let row = RejectedRow {
            record,
            child,
            reject: &reject,
            error: "",
            bytes: b"<oops>",
        };
        RowBinary.rejected(&row, &mut self.rejected);
    }

    pub(crate) fn record(&mut self, record: &RecordContext<'_>, outcomes: &Outcomes) {
        let row = RawRow {
            record,
            outcomes,
            raw_size: RAW.len() as u32,
            stored_hash: Digest([8; 32]),
            stored_encoding: "",
            secrets_masked: 1,
            key: has_key(record).then_some(b"key"),
            headers: if has_key(record) { &[("trace", b"x")] } else { &[] },
            raw: Some(RAW),
        };
        RowBinary.record(&row, &mut self.raw_records);
    }

    /// Says that a record is another one delivered again.
    pub(crate) fn copy(&mut self, record: &RecordContext<'_>, original: &RecordContext<'_>) {
        let row = SupersededRow {
            position: record.position,
            child: 0,
            stamp: record.stamp,
            why: Why::Redelivery,
            of: original.position,
            of_child: 0,
            of_stamp: Stamp::default(),
            kafka_time: record.kafka_time,
            noted_time: TIME,
        };
        RowBinary.superseded(&row, &mut self.superseded);
    }

    /// Says that a row is a copy of another one at its position.
    pub(crate) fn late(&mut self, record: &RecordContext<'_>, stays: &RecordContext<'_>) {
        let row = SupersededRow {
            position: record.position,
            child: 0,
            stamp: record.stamp,
            why: Why::LateInsert,
            of: stays.position,
            of_child: 0,
            of_stamp: stays.stamp,
            kafka_time: record.kafka_time,
            noted_time: TIME,
        };
        RowBinary.superseded(&row, &mut self.superseded);
    }

    /// One record with one change.
    pub(crate) fn whole(&mut self, record: &RecordContext<'_>, event: &ChangeEvent<'_>, points: Option<f32>) {
        self.change(record, 0, event, points);
        let mut outcomes = Outcomes::default();
        outcomes.write();
        self.record(record, &outcomes);
    }

    pub(crate) fn send(&self, ledger: &ClickHouseLedger, batch: u64, send: u32) {
        for (table, rows) in [
            (Table::Changes, &self.changes),
            (Table::Rejected, &self.rejected),
            (Table::Superseded, &self.superseded),
            (Table::RawRecords, &self.raw_records),
        ] {
            if !rows.is_empty() {
                ledger
                    .insert(&insert(table, rows, batch, send))
                    .expect("the block is taken");
            }
        }
    }
}

pub(crate) fn insert(table: Table, rows: &[u8], batch: u64, send: u32) -> Insert<'_> {
    Insert {
        table,
        query_id: QueryId {
            batch: BatchId(batch),
            table,
            part: 0,
            attempt: 0,
            send,
        },
        // Any token that is the same for the same rows.
        token: Digest([batch as u8; 32]),
        month: partition_of(TIME),
        rows,
        ends: &[],
        count: 1,
        deadline: Duration::from_secs(20),
    }
}
