use crate::testing::{change, changes, escaped, outcome};

const SOURCE: &str = "gitlab.webhook";

const PUSH: &str = r#"{"object_kind":"push","event_name":"push","before":"2222222222222222222222222222222222222222","after":"1111111111111111111111111111111111111111","ref":"refs/heads/main","user_id":4,"user_name":"Ada L","user_username":"ada","project_id":15,"project":{"name":"Ledger","path_with_namespace":"acme/pay/ledger"},"commits":[{"id":"1","message":"PAY-9 round","timestamp":"2011-12-12T14:27:31+02:00","author":{"name":"Grace","email":"grace@example.com"}}]}"#;

#[test]
fn every_envelope_gives_the_same_change() {
    let headers = [("x-gitlab-event", "Push Hook"), ("Idempotency-Key", "K1")];
    let kafka = changes(SOURCE, &headers, PUSH.as_bytes()).remove(0);
    kafka.has("native_uid", "K1");
    let escaped = escaped(PUSH);
    let wrap = r#"{"X-Gitlab-Event":"Push Hook","idempotency-key":"K1","Content-Type":"application/x-www-form-urlencoded"}"#;
    let envelopes = [
        format!(r#"{{"headers":{wrap},"body":{PUSH}}}"#),
        format!(r#"{{"headers":{wrap},"body":"{escaped}"}}"#),
    ];
    kafka.is_in_each(SOURCE, envelopes, &["api_operation"], PUSH);
    let bare = change(SOURCE, PUSH);
    bare.has_mark("uid_from_content");
    assert_eq!(bare.get("content_hash"), kafka.get("content_hash"));
}

#[test]
fn a_push_names_who_pushed_and_who_wrote() {
    let event = change(SOURCE, PUSH);
    event.has("actor_uid", "4");
    event.has("actor_name", "ada");
    event.has("actor_type_id", 1);
    event.has("actor_delegated_from", ["grace@example.com"]);
    event.has(
        "resource_uids",
        ["acme/pay/ledger@refs/heads/main", "acme/pay/ledger"],
    );
    event.has("account_uid", "acme");
    event.has("ticket_uids", ["PAY-9"]);
    event.has("vcs_head_revision", "1111111111111111111111111111111111111111");
    event.has("is_change", true);
    // A commit's time is its author's word.
    event.has_mark("missing_time");
    let zero = "0".repeat(40);
    change(SOURCE, &PUSH.replace(&"1".repeat(40), &zero)).has("action_verb", "delete");
    change(SOURCE, &PUSH.replace(&"2".repeat(40), &zero)).has("action_verb", "create");
    change(SOURCE, &PUSH.replace("\"ada\"", "\"project_15_bot_ab\"")).has("actor_type_id", 4);
}

#[test]
fn merging_changes_something_and_opening_does_not() {
    let body = |action: &str| {
        format!(
            r#"{{"object_kind":"merge_request","user":{{"id":1,"username":"ada"}},"project":{{"path_with_namespace":"acme/ledger"}},"object_attributes":{{"iid":7,"action":"{action}","title":"OPS-4","author_id":9,"target_branch":"main","source_branch":"x","updated_at":"2026-03-04 05:06:07 UTC","merge_commit_sha":"3333333333333333333333333333333333333333","last_commit":{{"id":"4444444444444444444444444444444444444444","author":{{"email":"grace@example.com"}}}}}}}}"#
        )
    };
    let merge = change(SOURCE, &body("merge"));
    merge.has("api_operation", "merge_request.merge");
    merge.has("is_change", true);
    merge.has("vcs_change_id", "7");
    merge.has("vcs_head_revision", "3333333333333333333333333333333333333333");
    merge.has("actor_delegated_from", ["9", "grace@example.com"]);
    merge.has("event_time", "2026-03-04T05:06:07Z");
    merge.has("ticket_uids", ["OPS-4"]);
    change(SOURCE, &body("open")).has("is_change", false);
    let old = r#"{"object_kind":"merge_request","object_attributes":{"state":"merged"}}"#;
    change(SOURCE, old).has("is_change", true);
}

#[test]
fn a_deployment_counts_when_it_ended() {
    let body = r#"{"object_kind":"deployment","status":"success","status_changed_at":"2021-04-28 21:50:00 +0200","deployment_id":15,"environment":"staging","project":{"path_with_namespace":"acme/ledger"},"short_sha":"279484c0","user":{"username":"ada"},"commit_title":"CHG0031337"}"#;
    let event = change(SOURCE, body);
    event.has("environment", "staging");
    event.has(
        "resource_uids",
        ["acme/ledger/environments/staging", "acme/ledger"],
    );
    event.has("event_time", "2021-04-28T19:50:00Z");
    event.has("ticket_uids", ["CHG0031337"]);
    event.has("class_uid", 6002);
    event.has("status_id", 1);
    event.has("is_change", true);
    change(SOURCE, &body.replace("success", "running")).has("is_change", false);
}

#[test]
fn what_each_kind_means() {
    let table = [
        ("user_add_to_group", 3005, "create", "identity", true),
        ("user_remove_from_team", 3005, "delete", "identity", true),
        ("user_create", 3001, "create", "identity", true),
        ("user_failed_login", 3002, "other", "identity", false),
        ("user_access_request_to_group", 3005, "create", "identity", false),
        ("key_create", 3001, "create", "keys", true),
        ("project_destroy", 3004, "delete", "data", true),
        ("project_create", 3004, "create", "pipeline", true),
        ("group_rename", 3004, "update", "identity", true),
    ];
    for (name, class, verb, privilege, is_change) in table {
        println!("{name}");
        let row = change(SOURCE, &format!(r#"{{"event_name":"{name}","user_id":41}}"#));
        row.has("class_uid", class);
        row.has("action_verb", verb);
        row.has("privilege_class", privilege);
        row.has("is_change", is_change);
    }
    for (kind, is_change) in [
        ("note", false),
        ("issue", false),
        ("release", true),
        ("feature_flag", true),
        ("build", false),
    ] {
        let row = change(SOURCE, &format!(r#"{{"object_kind":"{kind}"}}"#));
        row.has("is_change", is_change);
        row.has_no_mark("unknown_type");
    }
    let new = change(SOURCE, r#"{"object_kind":"brand_new"}"#);
    new.has_mark("unknown_type");
    new.has("is_change", true);
}

#[test]
fn whom_it_was_done_to_is_not_who_did_it() {
    let event = change(
        SOURCE,
        r#"{"event_name":"user_add_to_group","created_at":"2026-03-04T05:06:07Z","group_access":"Maintainer","group_path":"acme","user_username":"grace","user_id":41}"#,
    );
    event.has_mark("missing_actor");
    event.has("resource_uids", ["41", "acme"]);
    event.has("event_time", "2026-03-04T05:06:07Z");
}

#[test]
fn what_is_no_event_ends_with_a_reason() {
    assert_eq!(outcome(SOURCE, b"{\"hello\":1}"), "reject unknown_envelope at 0");
    assert_eq!(outcome(SOURCE, b"[]"), "skip empty_envelope");
    // Keys in another case, nothing else.
    change(SOURCE, r#"{"Object_Kind":"push"}"#).has("api_operation", "push");
}

#[test]
fn tokens_and_variables_are_masked() {
    let event = change(
        SOURCE,
        r#"{"headers":{"X-Gitlab-Token":"hunter2-a"},"body":{"object_kind":"pipeline","object_attributes":{"id":1,"status":"success","variables":[{"key":"NESTED","value":"hunter2-b"}]},"builds":[{"runner":{"token":"hunter2-c"}}]}}"#,
    );
    event.has_mark("secret_masked");
    event.keeps_no_secret();
    assert!(event.bytes().contains("NESTED"));
    event.has("cicd_run_id", "1");
}
