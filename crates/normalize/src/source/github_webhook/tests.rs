use crate::testing::{change, changes, escaped, outcome};

const SOURCE: &str = "github.webhook";

const PUSH: &str = r#"{"ref":"refs/heads/PAY-7-fix","before":"0000000000000000000000000000000000000000","after":"1111111111111111111111111111111111111111","created":true,"deleted":false,"forced":false,"pusher":{"name":"ada","email":"ada@example.com"},"commits":[{"id":"1","message":"PAY-8 round up","author":{"name":"Grace","email":"grace@example.com","username":"grace"},"committer":{"name":"GitHub","username":"web-flow"}}],"repository":{"id":5,"name":"ledger","full_name":"acme/ledger","owner":{"login":"acme"},"pushed_at":1772582767},"organization":{"login":"acme"},"sender":{"login":"renovate[bot]","id":1,"type":"Bot"}}"#;

const HEADERS: [(&str, &str); 2] = [("x-github-event", "push"), ("X-GitHub-Delivery", "D1")];

#[test]
fn every_envelope_gives_the_same_change() {
    let kafka = changes(SOURCE, &HEADERS, PUSH.as_bytes()).remove(0);
    kafka.has("native_uid", "D1");
    let escaped = escaped(PUSH);
    let headers = r#"{"X-GitHub-Event":"push","x-github-delivery":["D1"]}"#;
    let envelopes = [
        format!(r#"{{"headers":{headers},"body":{PUSH}}}"#),
        format!(r#"{{"headers":{headers},"body":"{escaped}"}}"#),
        format!(r#"[{{"headers":{headers},"body":{PUSH}}}]"#),
    ];
    kafka.is_in_each(SOURCE, envelopes, &["api_operation", "event_time"], PUSH);
    // Without headers the shape tells the type; only the id is missing.
    let bare = change(SOURCE, PUSH);
    bare.has_mark("uid_from_content");
    let columns = ["content_hash", "api_operation", "actor_uid", "resource_uids"];
    bare.is_like(&kafka, &columns, "a body alone");
}

#[test]
fn a_push_names_the_bot_and_the_people_behind_it() {
    let event = change(SOURCE, PUSH);
    event.has("actor_uid", "renovate[bot]");
    event.has("actor_type_id", 4);
    event.has("actor_delegated_from", ["ada", "grace", "web-flow"]);
    event.has(
        "resource_uids",
        ["acme/ledger@refs/heads/PAY-7-fix", "acme/ledger"],
    );
    event.has("ticket_uids", ["PAY-7", "PAY-8"]);
    event.has("vcs_repo", "acme/ledger");
    event.has("vcs_head_revision", "1111111111111111111111111111111111111111");
    event.has("action_verb", "create");
    event.has("privilege_class", "pipeline");
    event.has("event_time", "2026-03-04T00:06:07Z");
    event.has("is_change", true);
    event.has_mark("outcome_assumed");
}

#[test]
fn merging_changes_something_and_closing_does_not() {
    let closed = |merged: bool| {
        change(
            SOURCE,
            &format!(
                r#"{{"action":"closed","number":12,"pull_request":{{"number":12,"merged":{merged},"title":"OPS-3: open the port","merged_at":"2026-03-04T05:06:07Z","merge_commit_sha":"2222222222222222222222222222222222222222","user":{{"login":"grace"}},"merged_by":{{"login":"ada"}},"head":{{"ref":"fix","sha":"3333333333333333333333333333333333333333"}},"base":{{"ref":"main"}}}},"repository":{{"full_name":"acme/ledger"}},"sender":{{"login":"ada","type":"User"}}}}"#
            ),
        )
    };
    let merge = closed(true);
    merge.has("is_change", true);
    merge.has("api_operation", "pull_request.closed");
    merge.has("vcs_change_id", "12");
    merge.has("vcs_head_revision", "2222222222222222222222222222222222222222");
    merge.has("actor_delegated_from", ["grace"]);
    merge.has("ticket_uids", ["OPS-3"]);
    merge.has("account_uid", "acme");
    closed(false).has("is_change", false);
}

#[test]
fn a_deployment_names_its_environment_and_its_run() {
    let body = r#"{"action":"created","deployment_status":{"id":9,"state":"success","environment":"staging","creator":{"login":"github-actions[bot]"},"updated_at":"2026-03-04T05:06:07Z"},"deployment":{"id":77,"sha":"3333333333333333333333333333333333333333","ref":"main","environment":"production","creator":{"login":"ada"},"performed_via_github_app":{"slug":"github-actions"}},"workflow_run":{"id":4,"path":".github/workflows/deploy.yml","triggering_actor":{"login":"grace"},"actor":{"login":"ada"},"display_title":"CHG0031337 go"},"repository":{"full_name":"acme/ledger"},"sender":{"login":"github-actions[bot]","type":"Bot"}}"#;
    let event = change(SOURCE, body);
    event.has("api_operation", "deployment_status.created");
    event.has("environment", "production");
    event.has_no_mark("unknown_environment");
    event.has(
        "resource_uids",
        ["acme/ledger/environments/production", "acme/ledger"],
    );
    event.has("cicd_run_id", "4");
    event.has("cicd_pipeline", ".github/workflows/deploy.yml");
    event.has("actor_delegated_from", ["grace", "ada"]);
    event.has("actor_invoked_by", "github-actions");
    event.has("ticket_uids", ["CHG0031337"]);
    event.has("correlation_uid", "77");
    event.has("class_uid", 6002);
    event.has("status_id", 1);
    event.has("is_change", true);
    change(SOURCE, &body.replace("\"success\"", "\"in_progress\"")).has("is_change", false);
}

#[test]
fn what_each_event_means() {
    // Type, action and a further member; class, verb, privilege, change.
    let table = [
        ("workflow_run", "completed", "", 6003, "other", "pipeline", true),
        ("workflow_run", "requested", "", 6003, "other", "pipeline", false),
        ("workflow_job", "completed", "", 6003, "other", "pipeline", false),
        (
            "branch_protection_rule",
            "deleted",
            "",
            3004,
            "delete",
            "pipeline",
            true,
        ),
        (
            "repository_ruleset",
            "edited",
            "",
            3004,
            "update",
            "pipeline",
            true,
        ),
        ("deploy_key", "created", "", 3004, "create", "keys", true),
        ("meta", "deleted", "", 3004, "delete", "pipeline", true),
        ("member", "added", "", 3005, "create", "identity", true),
        ("membership", "removed", "", 3006, "delete", "identity", true),
        (
            "team",
            "added_to_repository",
            "",
            3005,
            "create",
            "identity",
            true,
        ),
        (
            "organization",
            "member_invited",
            "",
            3005,
            "create",
            "identity",
            true,
        ),
        ("installation", "created", "", 3004, "create", "identity", true),
        ("repository", "publicized", "", 3004, "update", "network", true),
        ("release", "released", "", 6002, "update", "pipeline", true),
        (
            "secret_scanning_alert",
            "created",
            "",
            2004,
            "create",
            "logging",
            false,
        ),
        (
            "secret_scanning_alert",
            "resolved",
            "",
            3004,
            "update",
            "logging",
            true,
        ),
        ("issue_comment", "created", "", 6003, "create", "none", false),
        ("star", "created", "", 6003, "create", "none", false),
        ("watch", "started", "", 6003, "other", "none", false),
        ("fork", "", r#","forkee":{}"#, 6003, "create", "data", false),
    ];
    for (event, action, more, class, verb, privilege, is_change) in table {
        let body = format!(r#"{{"action":"{action}","repository":{{"full_name":"a/b"}}{more}}}"#);
        let rows = changes(SOURCE, &[("X-GitHub-Event", event)], body.as_bytes());
        let row = &rows[0];
        let class = if event == "fork" { 3004 } else { class };
        row.has("class_uid", class);
        row.has("action_verb", verb);
        row.has("privilege_class", privilege);
        row.has("is_change", is_change);
        row.has_no_mark("unknown_type");
    }
    let new = changes(
        SOURCE,
        &[("X-GitHub-Event", "brand_new")],
        br#"{"action":"made","sender":{"login":"ada"}}"#,
    );
    new[0].has_mark("unknown_type");
    new[0].has("is_change", true);
}

#[test]
fn the_shape_tells_the_type() {
    let table = [
        (r#""pages":[{"page_name":"Home"}]"#, "gollum"),
        (r#""action":"opened","issue":{"number":1}"#, "issues.opened"),
        (
            r#""action":"created","issue":{"number":1},"comment":{}"#,
            "issue_comment.created",
        ),
        (
            r#""action":"created","alert":{"secret_type":"x"}"#,
            "secret_scanning_alert.created",
        ),
        (
            r#""action":"created","alert":{"tool":{}}"#,
            "code_scanning_alert.created",
        ),
        (r#""action":"push","ref":"refs/heads/main""#, "push.push"),
        (r#""action":"renamed""#, "repository.renamed"),
        (r#""ref":"x","ref_type":"branch""#, "delete"),
        (
            r#""ref":"x","ref_type":"branch","master_branch":"main""#,
            "create",
        ),
        (
            r#""action":"completed","workflow_job":{"run_id":1}"#,
            "workflow_job.completed",
        ),
        (
            r#""workflow":"w.yml","inputs":{"a":"b"},"ref":"main""#,
            "workflow_dispatch",
        ),
    ];
    for (members, operation) in table {
        let body = format!(r#"{{{members},"repository":{{"full_name":"a/b"}}}}"#);
        // `inputs` and `workflow` beside `ref`: the narrower shape counts.
        change(SOURCE, &body).has("api_operation", operation);
    }
}

#[test]
fn what_is_no_event_ends_with_a_reason() {
    for (bytes, expected) in [
        (
            r#"{"zen":"Keep it simple.","hook_id":1,"hook":{"id":1}}"#,
            "skip control_message",
        ),
        (r#"{"hello":"world"}"#, "reject unknown_envelope at 0"),
        ("[]", "skip empty_envelope"),
        (r#"[{"a":1}]"#, "reject unknown_envelope at 1"),
        (
            r#"{"headers":{},"body":"payload=x"}"#,
            "reject unknown_envelope at 21",
        ),
        (
            r#"{"headers":{"X-GitHub-Event":"star"},"body":"e30","isBase64Encoded":true}"#,
            "change",
        ),
        (
            r#"{"headers":{},"body":"e30","isBase64Encoded":true}"#,
            "reject unknown_envelope at 21",
        ),
        (
            r#"{"headers":{"X-Gitlab-Event":"Push Hook"},"body":{"repository":{"name":"a"}}}"#,
            "reject unknown_envelope at 49",
        ),
        (
            r#"{"actor":{"name":"ada"},"repository":{"name":"a"}}"#,
            "reject unknown_envelope at 0",
        ),
    ] {
        assert_eq!(outcome(SOURCE, bytes.as_bytes()), expected, "{bytes}");
    }
}

#[test]
fn an_event_without_id_time_or_actor_is_still_a_change() {
    let event = change(
        SOURCE,
        r#"{"action":"deleted","Rule":{"id":3,"name":"main"},"repository":{"full_name":"a/b"}}"#,
    );
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
    event.has("resource_uids", ["a/b/branch_protection/main", "a/b"]);
    event.has("api_operation", "branch_protection_rule.deleted");
}

#[test]
fn what_is_gone_has_no_time_of_its_own() {
    let event = change(
        SOURCE,
        r#"{"action":"deleted","release":{"tag_name":"v1","created_at":"2019-05-15T15:19:25Z","published_at":"2019-05-15T15:19:25Z"},"repository":{"full_name":"a/b"},"sender":{"login":"ada"}}"#,
    );
    event.has_mark("missing_time");
    event.has_no_mark("time_out_of_range");
    event.has("resource_uids", ["a/b@refs/tags/v1", "a/b"]);
}

#[test]
fn a_redelivery_is_the_same_event() {
    let one = changes(SOURCE, &HEADERS, PUSH.as_bytes()).remove(0);
    let two = changes(SOURCE, &HEADERS, PUSH.as_bytes()).remove(0);
    assert_eq!(one.get("event_uid"), two.get("event_uid"));
    assert_eq!(one.get("change_uid"), two.get("change_uid"));
}

#[test]
fn hook_secrets_are_masked() {
    let event = change(
        SOURCE,
        r#"{"action":"deleted","hook_id":1,"hook":{"id":1,"config":{"url":"https://example.com","secret":"hunter2-hook"}},"repository":{"full_name":"a/b"},"client_payload":{"token":"hunter2-token"}}"#,
    );
    event.has_mark("secret_masked");
    event.keeps_no_secret();
}

#[test]
fn a_form_is_read_as_the_body_that_it_holds() {
    let body = r#"{"ref":"refs/heads/main","repository":{"full_name":"a/b"},"pusher":{"name":"ada+1 & co"},"sender":{"login":"ada"},"commits":[],"hook":{"config":{"secret":"hunter2 100%"}}}"#;
    let mut form = String::from("payload=");
    for byte in body.bytes() {
        match byte {
            b' ' => form.push('+'),
            _ if byte.is_ascii_alphanumeric() => form.push(char::from(byte)),
            _ => form.push_str(&format!("%{byte:02X}")),
        }
    }
    let bare = change(SOURCE, body);
    for form in [form.clone(), format!("{form}&signature=x")] {
        let event = change(SOURCE, &form);
        let columns = ["event_uid", "content_hash", "actor_uid", "api_operation"];
        event.is_like(&bare, &columns, &form);
        event.keeps_no_secret();
        assert_eq!(event.bytes(), bare.bytes());
    }
    let cut = &form[..form.len() / 2];
    assert!(
        outcome(SOURCE, cut.as_bytes()).starts_with("reject truncated_json"),
        "{cut}"
    );
}
