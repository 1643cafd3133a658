use std::collections::HashMap;

use bumpalo::Bump;
use changegate_normalize::{Child, JsonLine, NormalizedRecord, Normalizer, TopicSettings, render_change};
use changegate_types::{ChangeEvent, Resource};
use serde_json::Value;

use super::{Columns, Normalized};
use crate::{KAFKA_TIME, raw_record, records, rival, tenant};

/// The rival's columns under our names; ids apart.
fn rendered(columns: &Columns) -> String {
    let resources: Vec<_> = columns
        .resources
        .iter()
        .map(|(uid, kind, name)| Resource { uid, kind, name })
        .collect();
    let texts = |list: &'_ [String]| -> Vec<String> { list.to_vec() };
    let (delegated, tags, tickets) = (
        texts(&columns.actor_delegated_from),
        texts(&columns.scope_tags),
        texts(&columns.ticket_uids),
    );
    let [delegated, tags, tickets] =
        [&delegated, &tags, &tickets].map(|list| list.iter().map(String::as_str).collect::<Vec<_>>());
    render(&ChangeEvent {
        tenant_uid: &columns.tenant_uid,
        source: "aws.cloudtrail",
        source_product: "CloudTrail",
        cloud_provider: "AWS",
        native_uid: &columns.native_uid,
        correlation_uid: &columns.correlation_uid,
        schema_version: &columns.schema_version,
        event_time: columns.event_time,
        class: columns.class,
        activity: columns.activity,
        status: columns.status,
        status_code: &columns.status_code,
        status_detail: &columns.status_detail,
        account_uid: &columns.account_uid,
        org_uid: &columns.org_uid,
        region: &columns.region,
        actor_uid: &columns.actor_uid,
        actor_name: &columns.actor_name,
        actor_type: columns.actor_type,
        actor_credential_uid: &columns.actor_credential_uid,
        actor_session_uid: &columns.actor_session_uid,
        actor_is_mfa: columns.actor_is_mfa,
        actor_issuer: &columns.actor_issuer,
        actor_invoked_by: &columns.actor_invoked_by,
        actor_delegated_from: &delegated,
        src_ip: columns.src_ip,
        src_domain: &columns.src_domain,
        user_agent: &columns.user_agent,
        api_service: &columns.api_service,
        api_operation: &columns.api_operation,
        api_version: &columns.api_version,
        request_uid: &columns.request_uid,
        resources: &resources,
        environment: &columns.environment,
        owner: &columns.owner,
        scope_tags: &tags,
        verb: columns.verb,
        privilege_class: columns.privilege_class,
        is_change: columns.is_change,
        ticket_uids: &tickets,
        is_amendment_of: &columns.is_amendment_of,
        marks: columns.marks,
        ..ChangeEvent::default()
    })
}

fn render(event: &ChangeEvent<'_>) -> String {
    let mut line = JsonLine::new();
    render_change(&mut line, event);
    line.finish()
}

/// What both keep: the bytes where nothing was masked, else the same JSON, which the rival writes in its own order.
fn check_stored(ours: &NormalizedRecord<'_>, theirs: &Normalized, record: &[u8]) {
    assert_eq!(ours.secrets_masked, theirs.secrets_masked);
    match &theirs.stored {
        None => assert_eq!(ours.stored, record),
        Some(stored) => {
            let [ours, theirs] =
                [ours.stored, stored].map(|bytes| serde_json::from_slice::<Value>(bytes).unwrap());
            assert_eq!(ours, theirs);
        }
    }
}

/// The same columns for every record; ids may differ in value, and are equal exactly where ours are equal.
#[test]
fn the_rival_writes_the_same_columns() {
    let normalizer = Normalizer::new(TopicSettings::of("aws.cloudtrail"), tenant().unwrap()).unwrap();
    let rival = rival().unwrap();
    let mut records = records::cloudtrail(1_000);
    // Some once more, with members in another order and with white space: other bytes, the same event.
    let again = records.iter().step_by(7).map(|record| {
        let tree: Value = serde_json::from_slice(record).unwrap();
        serde_json::to_vec_pretty(&tree).unwrap()
    });
    let again: Vec<_> = again.collect();
    records.extend(again);

    let arena = Bump::new();
    let (mut there, mut back) = (HashMap::new(), HashMap::new());
    let mut secrets = 0;
    for record in &records {
        let ours = normalizer.record(&arena, &raw_record(record));
        let theirs = rival.record(KAFKA_TIME, record).unwrap();
        check_stored(&ours, &theirs, record);
        secrets += theirs.secrets_masked;
        let [Child::Change(event)] = ours.children else {
            panic!("one change: {ours:?}");
        };
        let columns = &theirs.columns;
        let pairs = [
            (0, event.event_uid, columns.event_uid),
            (1, event.change_uid, columns.change_uid),
            (2, event.content_hash, columns.content_hash),
        ];
        for (kind, own, other) in pairs {
            assert_eq!(*there.entry((kind, own)).or_insert(other), other);
            assert_eq!(*back.entry((kind, other)).or_insert(own), own);
        }
        let mut event = event.clone();
        (event.event_uid, event.change_uid, event.content_hash) = Default::default();
        assert_eq!(render(&event), rendered(columns));
    }
    assert_eq!(
        there.len(),
        3_000,
        "every record is another event, and a copy is none"
    );
    assert!(secrets >= 30, "{secrets} of thirty, and those of the copies");
}
