use crate::testing::{change, changes, outcome};

const SOURCE: &str = "gitlab.audit";

const STREAMED: &str = r#"{"id":"8f1c","author_id":7,"author_name":"Ada L","entity_id":9,"entity_type":"Project","entity_path":"acme/ledger","details":{"author_email":"ada@example.com","custom_message":"Created deploy token, see PAY-3","ip_address":"198.51.100.1","target_type":"DeployToken"},"ip_address":"203.0.113.9","target_id":3,"target_type":"DeployToken","target_details":"ci","event_type":"deploy_token_created","created_at":"2026-03-04T05:06:07.123Z"}"#;

#[test]
fn an_event_names_who_did_what_to_what() {
    let event = change(SOURCE, STREAMED);
    event.has("native_uid", "8f1c");
    event.has("actor_uid", "7");
    event.has("actor_name", "Ada L");
    event.has("actor_delegated_from", ["ada@example.com"]);
    event.has("api_operation", "deploy_token_created");
    event.has("action_verb", "create");
    event.has("privilege_class", "keys");
    event.has("resource_uids", ["DeployToken/3", "acme/ledger"]);
    event.has("vcs_repo", "acme/ledger");
    event.has("account_uid", "acme");
    event.has("src_ip", "203.0.113.9");
    event.has("ticket_uids", ["PAY-3"]);
    event.has("event_time", "2026-03-04T05:06:07.123Z");
    event.has("is_change", true);
}

#[test]
fn every_envelope_gives_the_same_change() {
    let bare = change(SOURCE, STREAMED);
    // The documented content type is that of a form; the body is JSON.
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let kafka = changes(SOURCE, &headers, STREAMED.as_bytes()).remove(0);
    assert_eq!(kafka.get("change_uid"), bare.get("change_uid"));
    let envelopes = [
        format!("[{STREAMED}]"),
        format!(r#"{{"headers":{{"X-Gitlab-Event-Streaming-Token":"hunter2"}},"body":{STREAMED}}}"#),
        format!("{STREAMED}\n{STREAMED}\n"),
    ];
    bare.is_in_each(SOURCE, envelopes, &[], STREAMED);
}

#[test]
fn the_shape_of_the_api_says_it_all_in_details() {
    let event = change(
        SOURCE,
        r#"{"id":1,"author_id":1,"entity_id":6,"entity_type":"Project","details":{"add":"user_access","as":"Developer","author_name":"Administrator","target_id":4,"target_type":"User","target_details":"grace","ip_address":"127.0.0.1","entity_path":"acme/ledger"},"created_at":"2019-08-30T07:00:41.885Z"}"#,
    );
    event.has("api_operation", "add user_access");
    event.has("action_verb", "create");
    event.has("class_uid", 3005);
    event.has("actor_name", "Administrator");
    event.has("resource_uids", ["User/4", "acme/ledger"]);
    event.has("src_ip", "127.0.0.1");
    let nested = change(
        SOURCE,
        r#"{"author_id":1,"details":"{\"change\":\"visibility\",\"from\":\"Private\",\"to\":\"Public\"}"}"#,
    );
    nested.has("api_operation", "change visibility");
    nested.has("privilege_class", "network");
    let broken = change(
        SOURCE,
        r#"{"author_id":1,"event_type":"x_created","details":"made it"}"#,
    );
    broken.has_mark("nested_unparsed");
}

#[test]
fn a_negative_author_is_no_person() {
    let event = change(
        SOURCE,
        r#"{"author_id":-2,"author_name":"deploy key ci","event_type":"repository_git_operation","details":{"custom_message":"git push"}}"#,
    );
    event.has("actor_type_id", 4);
    event.has("actor_uid", "-2:deploy key ci");
    event.has("action_verb", "update");
    event.has("is_change", true);
    let fetch = r#"{"author_id":-2,"event_type":"repository_git_operation","details":{"custom_message":"git fetch"}}"#;
    change(SOURCE, fetch).has("is_change", false);
}

#[test]
fn what_each_type_means() {
    let table = [
        ("member_created", 3005, "create", "identity", true),
        ("member_destroyed", 3005, "delete", "identity", true),
        ("protected_branch_removed", 3004, "delete", "pipeline", true),
        ("ci_variable_updated", 3004, "update", "keys", true),
        (
            "audit_events_streaming_destination_destroyed",
            3004,
            "delete",
            "logging",
            true,
        ),
        ("user_password_updated", 3001, "update", "identity", true),
        ("project_access_token_revoked", 3004, "update", "keys", true),
        ("authenticated_with_group_saml", 3002, "other", "identity", false),
        (
            "login_failed_with_standard_authentication",
            3002,
            "other",
            "identity",
            false,
        ),
        ("project_destroyed", 3004, "delete", "data", true),
    ];
    for (name, class, verb, privilege, is_change) in table {
        println!("{name}");
        let row = change(SOURCE, &format!(r#"{{"author_id":1,"event_type":"{name}"}}"#));
        row.has("class_uid", class);
        row.has("action_verb", verb);
        row.has("privilege_class", privilege);
        row.has("is_change", is_change);
    }
}

#[test]
fn an_approval_is_no_change() {
    let approval = r#"{"author_id":1,"event_type":"merge_request_approval_operation"}"#;
    change(SOURCE, approval).has("is_change", false);
    let rule = r#"{"author_id":1,"event_type":"update_merge_approval_rule"}"#;
    change(SOURCE, rule).has("is_change", true);
}

#[test]
fn an_event_without_id_time_or_actor_is_still_a_change() {
    let headers = [("X-Gitlab-Audit-Event-Type", "group_deploy_token_created")];
    let event = changes(SOURCE, &headers, br#"{"Entity_Type":"Group"}"#).remove(0);
    event.has("api_operation", "group_deploy_token_created");
    for mark in ["uid_from_content", "missing_actor", "missing_time"] {
        event.has_mark(mark);
    }
    assert_eq!(outcome(SOURCE, b"{\"hello\":1}"), "reject unknown_envelope at 0");
}

#[test]
fn secrets_are_masked() {
    let event = change(
        SOURCE,
        r#"{"author_id":1,"event_type":"ci_variable_updated","details":{"change":"value","from":"hunter2-a","to":"hunter2-b","token":"hunter2-c"}}"#,
    );
    event.has_mark("secret_masked");
    event.keeps_no_secret();
}
