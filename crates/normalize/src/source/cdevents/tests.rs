use crate::testing::{change, changes, escaped, outcome};

const SOURCE: &str = "cdevents";

const DEPLOYED: &str = r#"{"context":{"specversion":"0.5.0","id":"e-1","chainId":"c-1","source":"/ci/acme/ledger","type":"dev.cdevents.service.deployed.0.3.0","timestamp":"2026-03-04T05:06:07.890Z"},"subject":{"id":"svc/ledger","source":"/ci","content":{"environment":{"id":"production"},"artifactId":"pkg:oci/ledger@sha256:1"}},"customData":{"ticket":"PAY-7","triggeredBy":"ada@example.com","changedBy":"grace"}}"#;

#[test]
fn a_deployment_names_what_went_where() {
    let event = change(SOURCE, DEPLOYED);
    event.has("native_uid", "e-1");
    event.has("api_operation", "dev.cdevents.service.deployed");
    event.has("actor_uid", "ada@example.com");
    event.has("actor_delegated_from", ["grace"]);
    event.has("actor_invoked_by", "/ci/acme/ledger");
    event.has("environment", "production");
    event.has_no_mark("unknown_environment");
    event.has(
        "resource_uids",
        ["svc/ledger", "production", "pkg:oci/ledger@sha256:1"],
    );
    event.has("ticket_uids", ["PAY-7"]);
    event.has("correlation_uid", "c-1");
    event.has("class_uid", 6002);
    event.has("activity_id", 1);
    event.has("action_verb", "create");
    event.has("privilege_class", "pipeline");
    event.has("event_time", "2026-03-04T05:06:07.89Z");
    event.has("is_change", true);
}

#[test]
fn every_envelope_gives_the_same_change() {
    let bare = change(SOURCE, DEPLOYED);
    let escaped = escaped(DEPLOYED);
    let attributes = r#""specversion":"1.0","id":"e-1","source":"/ci/acme/ledger","type":"dev.cdevents.service.deployed.0.3.0","time":"2026-03-04T05:06:07.890Z""#;
    let packed = crate::decode::to_base64(DEPLOYED.as_bytes());
    let envelopes = [
        format!(r#"{{{attributes},"datacontenttype":"application/json","data":{DEPLOYED}}}"#),
        format!(r#"{{{attributes},"data":"{escaped}"}}"#),
        format!(r#"{{{attributes},"data_base64":"{packed}"}}"#),
        format!(r#"{{"headers":{{"ce-id":"e-1"}},"body":{DEPLOYED}}}"#),
        format!("[{DEPLOYED}]"),
    ];
    bare.is_in_each(SOURCE, envelopes, &["api_operation", "event_time"], DEPLOYED);
    // Binary mode: the headers say what the body leaves out.
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", "e-1"),
        ("ce_source", "/ci/acme/ledger"),
        ("ce_type", "dev.cdevents.service.deployed.0.3.0"),
        ("ce_time", "2026-03-04T05:06:07.890Z"),
    ];
    let body = br#"{"subject":{"id":"svc/ledger","content":{"environment":{"id":"production"}}}}"#;
    let binary = changes(SOURCE, &headers, body).remove(0);
    let columns = ["event_uid", "api_operation", "event_time", "environment"];
    binary.is_like(&bare, &columns, "binary mode");
}

#[test]
fn older_versions_are_read_and_newer_ones_marked() {
    let old = DEPLOYED.replace(r#""specversion":"0.5.0""#, r#""version":"0.1.2""#);
    let event = change(SOURCE, &old);
    event.has("schema_version", "0.1.2");
    event.has_no_mark("unknown_version");
    change(SOURCE, &DEPLOYED.replace("0.5.0", "0.6.0-draft")).has_no_mark("unknown_version");
    change(SOURCE, &DEPLOYED.replace("0.5.0", "0.7.0")).has_mark("unknown_version");
    change(SOURCE, &DEPLOYED.replace("0.5.0", "1.0.0")).has_mark("unknown_version");
}

#[test]
fn what_each_type_means() {
    let table = [
        ("service.rolledback.0.3.0", 6002, "update", true),
        ("service.removed.0.3.0", 6002, "delete", true),
        ("artifact.published.0.3.0", 6002, "create", true),
        ("artifact.downloaded.0.2.0", 6002, "read", false),
        ("change.merged.0.3.0", 6003, "update", true),
        ("change.created.0.4.0", 6003, "create", false),
        ("pipelinerun.finished.0.3.0", 6003, "other", true),
        ("pipelinerun.started.0.3.0", 6003, "other", false),
        ("environment.modified.0.3.0", 3004, "update", true),
        ("incident.detected.0.3.0", 2004, "create", false),
        ("approval.created.0.1.0", 3004, "create", false),
        ("ticket.closed.0.2.0", 3004, "update", true),
        ("branch.deleted.0.4.0-draft", 6003, "delete", true),
    ];
    for (kind, class, verb, is_change) in table {
        println!("{kind}");
        let row = change(
            SOURCE,
            &format!(r#"{{"context":{{"type":"dev.cdevents.{kind}"}}}}"#),
        );
        row.has("class_uid", class);
        row.has("action_verb", verb);
        row.has("is_change", is_change);
        row.has_no_mark("unknown_type");
    }
    let own = change(
        SOURCE,
        r#"{"context":{"type":"dev.cdeventsx.mytool-resource.created.0.1.0"}}"#,
    );
    own.has_mark("unknown_type");
    own.has("is_change", true);
}

#[test]
fn an_event_without_id_time_or_actor_is_still_a_change() {
    let event = change(
        SOURCE,
        r#"{"Context":{"type":"dev.cdevents.pipelinerun.finished.0.3.0","source":"/ci"},"subject":{"id":17,"content":{"pipelineName":"deploy","outcome":"failure","errors":"boom"}}}"#,
    );
    for mark in ["uid_from_content", "missing_actor", "missing_time"] {
        event.has_mark(mark);
    }
    event.has("status_id", 2);
    event.has("status_detail", "boom");
    event.has("cicd_run_id", "17");
    event.has("resource_uids", ["deploy", "17"]);
    assert_eq!(outcome(SOURCE, b"{\"hello\":1}"), "reject unknown_envelope at 0");
    assert_eq!(outcome(SOURCE, b"[]"), "skip empty_envelope");
}

#[test]
fn ids_of_two_tools_do_not_clash() {
    let one = change(SOURCE, DEPLOYED);
    let two = change(SOURCE, &DEPLOYED.replace("/ci/acme/ledger", "/ci/acme/other"));
    assert_ne!(one.get("event_uid"), two.get("event_uid"));
}

#[test]
fn environment_variables_are_masked() {
    let event = change(
        SOURCE,
        r#"{"context":{"type":"dev.cdevents.taskrun.started.0.3.0"},"customData":{"env":{"REGISTRY_PASSWORD":"hunter2-a"},"token":"hunter2-b"}}"#,
    );
    event.has_mark("secret_masked");
    event.keeps_no_secret();
}
