use crate::testing::{change, changes, gzip, outcome, outcomes};

const SOURCE: &str = "github.audit";

const RULESET: &str = r#"{"@timestamp":1772600767000,"_document_id":"doc1","action":"repository_ruleset.update","actor":"ada","actor_id":7,"actor_ip":"203.0.113.9","actor_is_bot":false,"actor_location":{"country_code":"DE"},"business":"acme-inc","created_at":1772600767000,"external_identity_nameid":"ada@example.com","hashed_token":"aGFzaA==","operation_type":"modify","org":"acme","org_id":[1,2],"programmatic_access_type":"Personal access token (classic)","repo":"acme/ledger","ruleset_name":"main","user_agent":"curl/8"}"#;

#[test]
fn an_entry_names_who_by_what_and_where() {
    let event = change(SOURCE, RULESET);
    event.has("native_uid", "doc1");
    event.has("actor_uid", "ada");
    event.has("actor_type_id", 1);
    event.has("actor_delegated_from", ["ada@example.com"]);
    event.has("actor_credential_uid", "aGFzaA==");
    event.has("actor_invoked_by", "Personal access token (classic)");
    event.has("src_ip", "203.0.113.9");
    event.has("src_country", "DE");
    event.has("user_agent", "curl/8");
    event.has("event_time", "2026-03-04T05:06:07Z");
    event.has("resource_uids", ["acme/ledger/rulesets/main", "acme/ledger"]);
    event.has("org_uid", "acme-inc");
    event.has("account_uid", "acme");
    event.has("vcs_repo", "acme/ledger");
    event.has("privilege_class", "pipeline");
    event.has("class_uid", 3004);
    event.has("action_verb", "update");
    event.has("is_change", true);
    event.has_mark("outcome_assumed");
}

#[test]
fn every_envelope_gives_the_same_change() {
    let bare = change(SOURCE, RULESET);
    let envelopes = [
        format!("[{RULESET}]").into_bytes(),
        format!(r#"{{"records":[{RULESET}]}}"#).into_bytes(),
        format!(r#"{{"time":1,"event":{RULESET}}}"#).into_bytes(),
        format!("{RULESET}\n{{\"action\":\"repo.create\"}}\n").into_bytes(),
        gzip(&format!("{RULESET}\n")),
    ];
    for envelope in envelopes {
        let event = changes(SOURCE, &[], &envelope).remove(0);
        let columns = ["event_uid", "content_hash", "change_uid", "event_time"];
        event.is_like(&bare, &columns, &String::from_utf8_lossy(&envelope));
        assert_eq!(event.bytes(), RULESET);
    }
}

#[test]
fn what_each_action_means() {
    let table = [
        ("git.push", 6003, "update", "pipeline", true),
        ("git.clone", 6003, "read", "data", false),
        ("pull_request.merge", 6003, "update", "pipeline", true),
        ("pull_request.create", 6003, "create", "pipeline", false),
        ("protected_branch.destroy", 3004, "delete", "pipeline", true),
        ("hook.create", 3004, "create", "pipeline", true),
        ("org.add_member", 3005, "create", "identity", true),
        ("business.add_admin", 3005, "create", "identity", true),
        (
            "org.disable_two_factor_requirement",
            3004,
            "update",
            "identity",
            true,
        ),
        ("team.create", 3006, "create", "identity", true),
        ("team.add_repository", 3005, "create", "identity", true),
        ("repo.access", 3004, "update", "network", true),
        ("repo.destroy", 3004, "delete", "data", true),
        ("org.create_actions_secret", 3004, "create", "keys", true),
        ("public_key.create", 3001, "create", "keys", true),
        ("secret_scanning.disable", 3004, "update", "logging", true),
        ("audit_log_streaming.destroy", 3004, "delete", "logging", true),
        ("org.audit_log_export", 3004, "read", "logging", false),
        ("ip_allow_list.disable", 3004, "update", "network", true),
        (
            "repo.register_self_hosted_runner",
            3004,
            "create",
            "pipeline",
            true,
        ),
        ("user.login", 3002, "other", "identity", false),
        ("user.failed_login", 3002, "other", "identity", false),
        (
            "workflows.completed_workflow_run",
            6003,
            "other",
            "pipeline",
            true,
        ),
        (
            "workflows.prepared_workflow_job",
            6003,
            "update",
            "pipeline",
            false,
        ),
        ("staff.fake_user", 3001, "update", "identity", true),
        ("issue_comment.update", 3004, "update", "none", false),
        ("brand_new.thing", 3004, "update", "none", true),
    ];
    for (action, class, verb, privilege, is_change) in table {
        let row = change(SOURCE, &format!(r#"{{"action":"{action}","actor":"ada"}}"#));
        println!("{action}");
        row.has("class_uid", class);
        row.has("action_verb", verb);
        row.has("privilege_class", privilege);
        row.has("is_change", is_change);
    }
    let by_hand = r#"{"action":"workflows.created_workflow_run","event":"workflow_dispatch"}"#;
    change(SOURCE, by_hand).has("is_change", true);
    change(SOURCE, &by_hand.replace("workflow_dispatch", "push")).has("is_change", false);
}

#[test]
fn a_server_keeps_extras_under_data() {
    let event = change(
        SOURCE,
        r#"{"action":"team.add_member","actor":"dependabot[bot]","created_at":1772600767000,"user":"grace","data":{"_document_id":"d9","team":"acme/payments","request_id":"r1","actor_session":12}}"#,
    );
    event.has("native_uid", "d9");
    event.has("request_uid", "r1");
    event.has("actor_session_uid", "12");
    event.has("actor_type_id", 4);
    event.has("actor_delegated_from", ["grace"]);
    event.has("resource_uids", ["acme/payments", "grace"]);
}

#[test]
fn an_event_without_id_time_or_actor_is_still_a_change() {
    let event = change(SOURCE, r#"{"Action":"hook.destroy","org":"acme"}"#);
    event.has(
        "marks",
        [
            "uid_from_content",
            "missing_actor",
            "missing_time",
            "unknown_environment",
            "outcome_assumed",
        ],
    );
    event.has("is_change", true);
    // A time that is none is marked, and the next one counts.
    let event = change(
        SOURCE,
        r#"{"action":"x.y","@timestamp":"2024-12-17 00:00:00000000","created_at":"2026-03-04 05:06:07.048000000"}"#,
    );
    event.has_mark("wrong_type");
    event.has("event_time", "2026-03-04T05:06:07.048Z");
}

#[test]
fn ids_that_clash_are_kept_apart_by_content() {
    let one = change(SOURCE, r#"{"_document_id":"000","action":"hook.create"}"#);
    let two = change(SOURCE, r#"{"_document_id":"000","action":"hook.destroy"}"#);
    assert_eq!(one.get("event_uid"), two.get("event_uid"));
    assert_ne!(one.get("change_uid"), two.get("change_uid"));
}

#[test]
fn what_is_no_event_ends_with_a_reason() {
    assert_eq!(outcome(SOURCE, b"{\"hello\":1}"), "reject unknown_envelope at 0");
    assert_eq!(outcome(SOURCE, b"[]"), "skip empty_envelope");
    assert_eq!(
        outcomes(SOURCE, b"{\"action\":\"repo.create\"}\n{broken\n"),
        ["change", "reject not_json at 26"]
    );
}

#[test]
fn secrets_are_masked() {
    let event = change(
        SOURCE,
        r#"{"action":"hook.create","data":{"config":{"secret":"hunter2-a","url":"https://bob:hunter2-b@example.com"}},"token":"hunter2-c"}"#,
    );
    event.has_mark("secret_masked");
    event.keeps_no_secret();
}
