use crate::testing::{change, changes, escaped, outcome};

const SOURCE: &str = "jira.webhook";

const UPDATED: &str = r#"{"timestamp":1772600767890,"webhookEvent":"jira:issue_updated","issue_event_type_name":"issue_generic","user":{"self":"https://acme.example.com/rest/api/2/user?accountId=1","accountId":"712020:ada","displayName":"Ada","accountType":"atlassian"},"issue":{"id":"10","self":"https://acme.example.com/rest/api/2/issue/10","key":"PAY-7","fields":{"summary":"Follows OPS-2","issuetype":{"name":"Change"},"project":{"key":"PAY","name":"Payments"}}},"changelog":{"id":"99","items":[{"field":"status","fromString":"To Do","toString":"Done"},{"field":"Link","toString":"blocks CHG0031337"}]}}"#;

#[test]
fn a_transition_names_the_ticket_and_who_moved_it() {
    let event = change(SOURCE, UPDATED);
    event.has("actor_uid", "712020:ada");
    event.has("actor_name", "Ada");
    event.has("actor_type_id", 1);
    event.has("account_uid", "acme.example.com");
    event.has("event_time", "2026-03-04T05:06:07.89Z");
    event.has("resource_uids", ["PAY-7", "PAY"]);
    event.has("resource_types", ["Change", "Project"]);
    event.has("ticket_uids", ["PAY-7", "OPS-2", "CHG0031337"]);
    event.has("class_uid", 3004);
    event.has("action_verb", "update");
    event.has("correlation_uid", "99");
    event.has("is_change", true);
    change(SOURCE, &UPDATED.replace("\"atlassian\"", "\"app\"")).has("actor_type_id", 4);
}

#[test]
fn every_envelope_gives_the_same_change() {
    let headers = [("X-Atlassian-Webhook-Identifier", "W1")];
    let kafka = changes(SOURCE, &headers, UPDATED.as_bytes()).remove(0);
    kafka.has("native_uid", "W1");
    let escaped = escaped(UPDATED);
    let envelopes = [
        format!(r#"{{"headers":{{"x-atlassian-webhook-identifier":"W1"}},"body":{UPDATED}}}"#),
        format!(r#"{{"headers":{{"x-atlassian-webhook-identifier":["W1"]}},"body":"{escaped}"}}"#),
    ];
    kafka.is_in_each(SOURCE, envelopes, &[], UPDATED);
    change(SOURCE, UPDATED).has_mark("uid_from_content");
}

#[test]
fn comments_are_no_changes() {
    let comment = change(
        SOURCE,
        r#"{"timestamp":1,"webhookEvent":"comment_updated","comment":{"body":"see OPS-9","author":{"accountId":"a"},"updateAuthor":{"accountId":"b"}},"issue":{"key":"PAY-1"}}"#,
    );
    comment.has("is_change", false);
    comment.has("actor_uid", "b");
    comment.has("actor_delegated_from", ["a"]);
    comment.has("ticket_uids", ["PAY-1", "OPS-9"]);
    let on_server = r#"{"webhookEvent":"jira:issue_updated","issue_event_type_name":"issue_commented","user":{"name":"ada"},"issue":{"key":"P_Q-1"}}"#;
    let event = change(SOURCE, on_server);
    event.has("is_change", false);
    event.has("actor_uid", "ada");
    event.has("ticket_uids", ["P_Q-1"]);
}

#[test]
fn what_each_event_means() {
    let table = [
        ("jira:issue_created", 3004, "create", true),
        ("jira:issue_deleted", 3004, "delete", true),
        ("issuelink_created", 3004, "create", false),
        ("jira:version_released", 6002, "update", true),
        ("project_deleted", 3004, "delete", true),
        ("user_created", 3001, "create", true),
    ];
    for (name, class, verb, is_change) in table {
        println!("{name}");
        let row = change(
            SOURCE,
            &format!(r#"{{"webhookEvent":"{name}","user":{{"accountId":"x"}}}}"#),
        );
        row.has("class_uid", class);
        row.has("action_verb", verb);
        row.has("is_change", is_change);
    }
    // Whom an account was made for did not make it.
    let made = change(
        SOURCE,
        r#"{"webhookEvent":"user_created","user":{"accountId":"x"}}"#,
    );
    made.has_mark("missing_actor");
    made.has("resource_uids", ["x"]);
}

#[test]
fn an_event_without_id_time_or_actor_is_still_a_change() {
    let event = change(SOURCE, r#"{"WebhookEvent":"brand_new","timestamp":"soon"}"#);
    for mark in [
        "uid_from_content",
        "missing_actor",
        "missing_time",
        "unknown_type",
        "wrong_type",
    ] {
        event.has_mark(mark);
    }
    assert_eq!(outcome(SOURCE, b"{\"hello\":1}"), "reject unknown_envelope at 0");
}

#[test]
fn tokens_in_comments_are_masked() {
    let event = change(
        SOURCE,
        r#"{"webhookEvent":"comment_created","comment":{"body":"use ghp_hunter2hunter2hunter2hunter2hunter2 or https://bob:hunter2@example.com/x"}}"#,
    );
    event.has_mark("secret_masked");
    event.keeps_no_secret();
}
