use std::collections::{BTreeMap, HashMap};

use bumpalo::Bump;
use changegate_normalize::{Child, JsonLine, NormalizedRecord, Normalizer, render_change};
use changegate_simulator::secret_corpus;
use changegate_types::{ChangeEvent, Resource};
use serde_json::Value;

use super::{Columns, Normalized};
use crate::sources::{EVENTS, SOURCES};
use crate::{KAFKA_TIME, raw_record, records, rival, settings};

/// The rival's columns under our names; ids apart.
fn rendered(columns: &Columns) -> String {
    let resources = columns.resources.iter();
    let resources: Vec<_> = resources
        .map(|(uid, kind, name)| Resource { uid, kind, name })
        .collect();
    let [delegated, tags, tickets] = [
        &columns.actor_delegated_from,
        &columns.scope_tags,
        &columns.ticket_uids,
    ]
    .map(|list| list.iter().map(String::as_str).collect::<Vec<_>>());
    render(&ChangeEvent {
        tenant_uid: &columns.tenant_uid,
        source: columns.source,
        source_product: columns.source_product,
        cloud_provider: columns.cloud_provider,
        native_uid: &columns.native_uid,
        correlation_uid: &columns.correlation_uid,
        schema_version: &columns.schema_version,
        event_time: columns.event_time,
        logged_time: columns.logged_time,
        class: columns.class,
        activity: columns.activity,
        severity: columns.severity,
        status: columns.status,
        status_code: &columns.status_code,
        status_detail: &columns.status_detail,
        account_uid: &columns.account_uid,
        org_uid: &columns.org_uid,
        region: &columns.region,
        zone: &columns.zone,
        cluster: &columns.cluster,
        namespace: &columns.namespace,
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
        src_country: &columns.src_country,
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
        vcs_repo: &columns.vcs_repo,
        vcs_change_id: &columns.vcs_change_id,
        vcs_head_revision: &columns.vcs_head_revision,
        cicd_run_id: &columns.cicd_run_id,
        cicd_pipeline: &columns.cicd_pipeline,
        ticket_uids: &tickets,
        is_amendment_of: &columns.is_amendment_of,
        split_uid: &columns.split_uid,
        split_index: columns.split_index,
        split_total: columns.split_total,
        marks: columns.marks,
        ..ChangeEvent::default()
    })
}

fn render(event: &ChangeEvent<'_>) -> String {
    let mut line = JsonLine::new();
    render_change(&mut line, event);
    // For patterns only, so no columns of a change.
    line.text("cluster", event.cluster)
        .text("namespace", event.namespace);
    line.finish()
}

/// A document with the JSON inside its texts read too: what is masked there, the rival writes in its own order.
fn read(bytes: &[u8]) -> Value {
    fn unfold(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(unfold),
            Value::Object(members) => members.values_mut().for_each(unfold),
            Value::String(text) if text.starts_with(['{', '[']) => {
                if let Ok(inner) = serde_json::from_str(text) {
                    *value = inner;
                    unfold(value);
                }
            }
            _ => {}
        }
    }
    let mut document = serde_json::from_slice(bytes).unwrap();
    unfold(&mut document);
    document
}

/// What both keep: the bytes where nothing was masked, else the same JSON, which the rival writes in its own order.
fn check_stored(ours: &NormalizedRecord<'_>, theirs: &Normalized, record: &[u8]) {
    let text = String::from_utf8_lossy(record);
    match &theirs.stored {
        None => assert_eq!(ours.stored, record, "{text}"),
        Some(stored) => assert_eq!(read(ours.stored), read(stored), "{text}"),
    }
    assert_eq!(ours.secrets_masked, theirs.secrets_masked, "{text}");
}

/// What was among the records.
struct Seen {
    changes: usize,
    secrets: u32,
}

/// The same columns for every record; ids may differ in value, and are equal exactly where ours are equal.
fn check(source: &str, mut records: Vec<Vec<u8>>) -> Seen {
    let (topic, tenant) = settings(source).unwrap();
    let normalizer = Normalizer::new(topic, tenant).unwrap();
    let rival = rival(source).unwrap();
    let events = records.len();
    // Some once more, with members in another order and with white space: other bytes, the same event.
    let again = records.iter().step_by(7).map(|record| {
        let tree: Value = serde_json::from_slice(record).unwrap();
        serde_json::to_vec_pretty(&tree).unwrap()
    });
    let again: Vec<_> = again.collect();
    records.extend(again);

    let arena = Bump::new();
    let mut there: [HashMap<_, _>; 3] = Default::default();
    let mut back: [HashMap<_, _>; 3] = Default::default();
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
            (event.event_uid, columns.event_uid),
            (event.change_uid, columns.change_uid),
            (event.content_hash, columns.content_hash),
        ];
        for (kind, (own, other)) in pairs.into_iter().enumerate() {
            assert_eq!(*there[kind].entry(own).or_insert(other), other);
            assert_eq!(*back[kind].entry(other).or_insert(own), own);
        }
        let mut event = (*event).clone();
        (event.event_uid, event.change_uid, event.content_hash) = Default::default();
        assert_eq!(
            render(&event),
            rendered(columns),
            "{}",
            String::from_utf8_lossy(record)
        );
    }
    assert_eq!(
        there[0].len(),
        events,
        "every record is another event, and a copy is none"
    );
    Seen {
        changes: there[1].len(),
        secrets,
    }
}

#[test]
fn the_rival_writes_the_same_columns_for_cloudtrail() {
    let seen = check("aws.cloudtrail", records::cloudtrail(1_000));
    assert_eq!(seen.changes, 1_000);
    assert!(
        seen.secrets >= 20,
        "{} of twenty, and those of the copies",
        seen.secrets
    );
}

#[test]
fn the_rivals_write_the_same_columns_for_other_sources() {
    // Operations of Google and Azure are told twice, at their start and at their end.
    for (_, source, _) in SOURCES {
        let seen = check(source, records::of_source(source, EVENTS).unwrap());
        let told_twice = matches!(source, "gcp.audit" | "azure.activity");
        assert_eq!(
            seen.changes < EVENTS,
            told_twice,
            "{source}: {} changes",
            seen.changes
        );
    }
}

/// What carries secrets is rare in an ordinary day: one of everything that does.
#[test]
fn the_rivals_mask_the_same() {
    let mut secrets = BTreeMap::<_, u32>::new();
    for record in secret_corpus() {
        let known = SOURCES.iter().any(|(_, source, _)| *source == record.source);
        // What Pub/Sub puts around an entry is in base64, which the rivals are let off.
        let wrapped = record.source == "gcp.audit" && !record.value.starts_with(br#"{"protoPayload"#);
        if !known || wrapped || record.malformed.is_some() {
            continue;
        }
        let (topic, tenant) = settings(record.source).unwrap();
        let normalizer = Normalizer::new(topic, tenant).unwrap();
        let rival = rival(record.source).unwrap();
        for event in records::bare(&record.value) {
            let arena = Bump::new();
            let ours = normalizer.record(&arena, &raw_record(&event));
            let theirs = rival.record(KAFKA_TIME, &event).unwrap();
            check_stored(&ours, &theirs, &event);
            *secrets.entry(record.source).or_default() += theirs.secrets_masked;
        }
    }
    assert!(
        secrets.len() == SOURCES.len() && secrets.values().all(|masked| *masked > 1),
        "{secrets:?}"
    );
}
