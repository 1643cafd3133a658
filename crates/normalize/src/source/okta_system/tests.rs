use crate::testing::{change, changes, escaped, outcome, outcomes};

const SOURCE: &str = "okta.system";

const EVENT: &str = r#"{"uuid":"u-1","published":"2026-03-04T05:06:07.890Z","eventType":"group.user_membership.add","version":"0","severity":"WARN","displayMessage":"Add user to group for PAY-5","actor":{"id":"00u1","type":"User","alternateId":"ada@example.com","displayName":"Ada","detailEntry":null},"client":{"userAgent":{"rawUserAgent":"Mozilla/5.0","os":"Mac"},"ipAddress":"203.0.113.9","geographicalContext":{"country":"Germany"},"id":"0oaclient"},"authenticationContext":{"credentialType":"OTP","externalSessionId":"s-1","rootSessionId":"root-1","issuer":{"id":"https://idp.example.com","type":"SAML"}},"outcome":{"result":"SUCCESS","reason":null},"securityContext":{"asNumber":64500,"isProxy":false},"transaction":{"type":"WEB","id":"t-1","detail":{"requestApiTokenId":"00T1"}},"debugContext":{"debugData":{"requestId":"r-1","originalPrincipal":"{\"id\":\"00u9\",\"alternateId\":\"grace@example.com\"}"}},"target":[{"id":"00u2","type":"User","alternateId":"bob@example.com","displayName":"Bob"},{"id":"00g1","type":"UserGroup","alternateId":"unknown","displayName":"admins"}]}"#;

#[test]
fn an_event_names_who_by_what_and_for_whom() {
    let event = change(SOURCE, EVENT);
    event.has("native_uid", "u-1");
    event.has("actor_uid", "00u1");
    event.has("actor_name", "ada@example.com");
    event.has("actor_type_id", 1);
    event.has("actor_delegated_from", ["grace@example.com"]);
    event.has("actor_credential_uid", "00T1");
    event.has("actor_session_uid", "s-1");
    event.has("actor_issuer", "https://idp.example.com");
    event.has("actor_invoked_by", "0oaclient");
    event.has("actor_is_mfa", true);
    event.has("src_ip", "203.0.113.9");
    event.has("src_asn", 64500);
    event.has("src_country", "Germany");
    event.has("correlation_uid", "t-1");
    event.has("request_uid", "r-1");
    event.has("resource_uids", ["00u2", "00g1"]);
    event.has("resource_names", ["bob@example.com", "admins"]);
    event.has("class_uid", 3006);
    event.has("action_verb", "create");
    event.has("privilege_class", "identity");
    event.has("severity_id", 3);
    event.has("status_id", 1);
    event.has("ticket_uids", ["PAY-5"]);
    event.has("event_time", "2026-03-04T05:06:07.89Z");
}

#[test]
fn every_envelope_gives_the_same_change() {
    let bare = change(SOURCE, EVENT);
    let escaped = escaped(EVENT);
    let hook = format!(
        r#"{{"eventType":"com.okta.event_hook","eventId":"h-1","source":"https://acme.example.com/api/v1/orgs/00o1","data":{{"events":[{EVENT},{EVENT}]}}}}"#
    );
    assert_eq!(outcomes(SOURCE, hook.as_bytes()), ["change", "change"]);
    change(SOURCE, &hook).has("org_uid", "00o1");
    let envelopes = [
        hook,
        format!("[{EVENT}]"),
        format!("{EVENT}\n{EVENT}\n"),
        format!(r#"{{"headers":{{}},"body":{{"data":{{"events":[{EVENT}]}}}}}}"#),
        format!(r#"{{"headers":{{}},"body":"{escaped}"}}"#),
        format!(
            r#"{{"detail-type":"group.user_membership.add","source":"aws.partner/okta","detail":{EVENT}}}"#
        ),
    ];
    bare.is_in_each(SOURCE, envelopes, &["actor_uid", "event_time"], EVENT);
}

#[test]
fn keys_in_lower_case_count_as_well() {
    let event = change(
        SOURCE,
        r#"{"eventtype":"user.mfa.factor.deactivate","published":"2022-12-13 15:22:58.759","displaymessage":"Reset","actor":{"id":"1","alternateId":"ada@example.com","type":"User"},"authenticationcontext":{"externalSessionId":"s"},"debugcontext":{"debugData":{"requestId":"r"}},"securitycontext":{"asNumber":"64500"},"outcome":{"result":"SUCCESS"},"target":[{"id":"2","type":"User"}]}"#,
    );
    event.has("api_operation", "user.mfa.factor.deactivate");
    event.has("actor_session_uid", "s");
    event.has("request_uid", "r");
    event.has("src_asn", 64500);
    event.has("class_uid", 3001);
    event.has("event_time", "2022-12-13T15:22:58.759Z");
    event.has("is_change", true);
}

#[test]
fn what_each_type_means() {
    let table = [
        ("user.session.start", 3002, "identity", false),
        ("user.authentication.auth_via_mfa", 3002, "identity", false),
        ("app.oauth2.authorize.code", 3002, "identity", false),
        ("user.session.impersonation.grant", 3003, "identity", true),
        ("user.lifecycle.create", 3001, "identity", true),
        ("user.account.privilege.grant", 3005, "identity", true),
        ("application.user_membership.add", 3005, "identity", true),
        ("policy.rule.update", 3004, "identity", true),
        ("zone.update", 3004, "network", true),
        ("system.api_token.create", 3004, "keys", true),
        ("system.log_stream.lifecycle.deactivate", 3004, "logging", true),
        ("system.org.rate_limit.warning", 3004, "identity", false),
        (
            "system.email.new_device_notification.sent_message",
            3004,
            "none",
            false,
        ),
        ("security.threat.detected", 2004, "none", false),
    ];
    for (operation, class, privilege, is_change) in table {
        println!("{operation}");
        let row = change(SOURCE, &format!(r#"{{"eventType":"{operation}"}}"#));
        row.has("class_uid", class);
        row.has("privilege_class", privilege);
        row.has("is_change", is_change);
    }
}

#[test]
fn what_is_no_event_ends_with_a_reason() {
    for (bytes, expected) in [
        (r#"{"verification":"abc"}"#, "skip control_message"),
        (r#"{"data":{"events":[]}}"#, "skip empty_envelope"),
        (r#"{"hello":1}"#, "reject unknown_envelope at 0"),
        (r#"[{"a":1}]"#, "reject unknown_envelope at 1"),
    ] {
        assert_eq!(outcome(SOURCE, bytes.as_bytes()), expected, "{bytes}");
    }
}

#[test]
fn an_event_without_id_time_or_actor_is_still_a_change() {
    let event = change(
        SOURCE,
        r#"{"eventType":"policy.lifecycle.delete","debugContext":{"debugData":"no json"},"outcome":{}}"#,
    );
    for mark in [
        "uid_from_content",
        "missing_actor",
        "missing_time",
        "nested_unparsed",
        "outcome_assumed",
    ] {
        event.has_mark(mark);
    }
    event.has("action_verb", "delete");
    event.has("is_change", true);
    let failed = change(
        SOURCE,
        r#"{"eventType":"user.session.start","outcome":{"result":"FAILURE","reason":"INVALID_CREDENTIALS"}}"#,
    );
    failed.has("status_id", 2);
    failed.has("status_detail", "INVALID_CREDENTIALS");
}

#[test]
fn api_tokens_are_masked() {
    let text = r#"{"eventType":"system.api_token.create","debugContext":{"debugData":{"apiToken":"hunter2-a","authorization":"SSWS hunter2-hunter2-hunter2-hunter2","stateToken":"hunter2-b"}}}"#;
    let event = changes(SOURCE, &[], text.as_bytes()).remove(0);
    event.has_mark("secret_masked");
    event.keeps_no_secret();
}
