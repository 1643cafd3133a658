use crate::testing::{change, outcome};

const SOURCE: &str = "azure.entra";

const INNER: &str = r#"{"id":"Directory_1","category":"RoleManagement","correlationId":"c-1","result":"success","resultReason":"PAY-77",
"activityDisplayName":"Add member to role","activityDateTime":"2026-03-04T05:06:07.1234567Z","loggedByService":"Core Directory","operationType":"Assign",
"initiatedBy":{"user":{"id":"u-1","displayName":"Ada L","userPrincipalName":"ada@example.com","ipAddress":"203.0.113.9"},"app":null},
"targetResources":[{"id":"u-2","displayName":"Bob","type":"User","userPrincipalName":"bob@example.com",
"modifiedProperties":[{"displayName":"Role.DisplayName","oldValue":null,"newValue":"\"Global Administrator\""}]}]}"#;

fn exported() -> String {
    format!(
        r#"{{"time":"2026-03-04T05:06:07.1234567Z","resourceId":"/tenants/t-1/providers/Microsoft.aadiam","operationName":"Add member to role","category":"AuditLogs","tenantId":"t-1","correlationId":"c-1","properties":{}}}"#,
        INNER.replace('\n', "")
    )
}

#[test]
fn a_role_assigned_by_a_person_in_each_shape() {
    let one = exported();
    let quoted = INNER.replace('\n', "").replace('\\', "\\\\").replace('"', "\\\"");
    let head = one.split(r#""properties":"#).next().unwrap();
    for text in [
        one.clone(),
        format!(r#"{{"records":[{one}]}}"#),
        format!("[{one}]"),
        format!("{one}\n{one}"),
        format!(r#"{head}"properties":"{quoted}"}}"#),
        INNER.to_owned(),
        format!(r#"{{"value":[{INNER}]}}"#),
    ] {
        let event = change(SOURCE, &text);
        event.has("native_uid", "Directory_1");
        event.has(
            "event_uid",
            change(SOURCE, INNER).get("event_uid").cloned().unwrap(),
        );
        event.has("actor_uid", "ada@example.com");
        event.has("actor_name", "Ada L");
        event.has("api_operation", "Add member to role");
        event.has("privilege_class", "identity");
        event.has("class_uid", 3005);
        event.has("resource_uids", ["u-2"]);
        event.has("resource_names", ["bob@example.com"]);
        event.has("event_time", "2026-03-04T05:06:07.123456Z");
        event.has("src_ip", "203.0.113.9");
        event.has("ticket_uids", ["PAY-77"]);
        event.has("is_change", true);
        event.has("status_id", 1);
    }
}

#[test]
fn an_application_acts_for_itself_or_for_a_person() {
    let app = r#"{"id":"1","activityDisplayName":"Update application – Certificates and secrets management","initiatedBy":{"app":{"appId":"a","displayName":"deployer","servicePrincipalId":"sp"}}}"#;
    let event = change(SOURCE, app);
    event.has("actor_uid", "sp");
    event.has("actor_name", "deployer");
    event.has("actor_type_id", 4);
    event.has("action_verb", "update");
    event.has("privilege_class", "keys");
    let both = r#"{"id":"1","activityDisplayName":"Delete user","initiatedBy":{"user":{"userPrincipalName":"ada@example.com"},"app":{"displayName":"portal"}}}"#;
    let event = change(SOURCE, both);
    event.has("actor_uid", "ada@example.com");
    event.has("actor_invoked_by", "portal");
    event.has("action_verb", "delete");
    event.has("class_uid", 3001);
}

#[test]
fn sign_ins_are_no_changes() {
    for text in [
        r#"{"time":"2026-03-04 05:06:07.123","category":"SignInLogs","operationName":"Sign-in activity","resultType":"0","location":"IE","properties":{"id":"s","userPrincipalName":"ada@example.com","appDisplayName":"CLI",
        "authenticationRequirement":"multiFactorAuthentication","ipAddress":"203.0.113.9","resourceDisplayName":"Graph","autonomousSystemNumber":64500,"status":{"errorCode":0}}}"#,
        r#"{"id":"s","createdDateTime":"2026-03-04T05:06:07.123Z","userPrincipalName":"ada@example.com","appDisplayName":"CLI","clientAppUsed":"Browser","location":{"countryOrRegion":"IE"},
        "authenticationRequirement":"multiFactorAuthentication","ipAddress":"203.0.113.9","resourceDisplayName":"Graph","autonomousSystemNumber":64500,"status":{"errorCode":0}}"#,
    ] {
        let event = change(SOURCE, text);
        event.has("class_uid", 3002);
        event.has("is_change", false);
        event.has("actor_uid", "ada@example.com");
        event.has("actor_is_mfa", true);
        event.has("src_country", "IE");
        event.has("src_asn", 64_500);
        event.has("resource_uids", ["Graph"]);
        event.has("status_id", 1);
        event.has("event_time", "2026-03-04T05:06:07.123Z");
    }
    let workload = r#"{"category":"ServicePrincipalSignInLogs","operationname":"Sign-in activity","resulttype":7000215,"properties":{"id":"s","userPrincipalName":"","servicePrincipalId":"sp","status":{"errorCode":7000215}}}"#;
    let event = change(SOURCE, workload);
    event.has("actor_type_id", 4);
    event.has("status_id", 2);
    event.has("api_operation", "Sign-in activity");
}

#[test]
fn other_categories() {
    assert_eq!(
        outcome(
            SOURCE,
            br#"{"category":"AdvancedHunting-AlertInfo","properties":{}}"#
        ),
        "skip other_record_type"
    );
    assert_eq!(outcome(SOURCE, br#"{"records":[]}"#), "skip empty_envelope");
    assert_eq!(outcome(SOURCE, br#"{"x":1}"#), "reject unknown_envelope at 0");
    change(
        SOURCE,
        r#"{"category":"UserRiskEvents","operationName":"User Risk Detection","properties":{"id":"1"}}"#,
    )
    .has("class_uid", 2004);
    let call = r#"{"category":"MicrosoftGraphActivityLogs","properties":{"requestMethod":"DELETE","requestUri":"https://graph.microsoft.com/v1.0/users/u","userId":"u-1","appId":"a"}}"#;
    let event = change(SOURCE, call);
    event.has("action_verb", "delete");
    event.has("is_change", true);
    event.has("resource_uids", ["https://graph.microsoft.com/v1.0/users/u"]);
}

#[test]
fn a_record_may_leave_out_nearly_everything() {
    let event = change(
        SOURCE,
        r#"{"category":"AuditLogs","operationName":"Set domain authentication"}"#,
    );
    event.has("is_change", true);
    event.has(
        "marks",
        [
            "uid_from_content",
            "missing_actor",
            "missing_time",
            "unknown_environment",
        ],
    );
    let named = change(
        SOURCE,
        r#"{"category":"AuditLogs","operationName":"X","identity":"None","resultSignature":"None"}"#,
    );
    named.has("actor_name", "None");
    named.has("status_id", 0);
}

#[test]
fn secrets_are_masked() {
    let text = r#"{"category":"AuditLogs","operationName":"Add password","properties":{"id":"1","targetResources":[{"id":"a","modifiedProperties":[{"newValue":"{\"clientSecret\":\"hunter2\"}"}]}]}}"#;
    let event = change(SOURCE, text);
    event.has_mark("secret_masked");
    event.keeps_no_secret();
}
