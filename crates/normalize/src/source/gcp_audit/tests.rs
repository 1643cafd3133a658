use crate::decode::to_base64;
use crate::testing::{change, escaped, outcome};

const SOURCE: &str = "gcp.audit";

const ENTRY: &str = r#"{"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","status":{},
"authenticationInfo":{"principalEmail":"deploy@shop.iam.gserviceaccount.com","principalSubject":"serviceAccount:deploy@shop.iam.gserviceaccount.com",
"serviceAccountKeyName":"//iam.googleapis.com/projects/shop/serviceAccounts/deploy/keys/k1",
"serviceAccountDelegationInfo":[{"firstPartyPrincipal":{"principalEmail":"ada@example.com"}},{"principalSubject":"serviceAccount:hop@shop.iam.gserviceaccount.com"}]},
"requestMetadata":{"callerIp":"203.0.113.9","callerSuppliedUserAgent":"Terraform/1.9"},"serviceName":"compute.googleapis.com",
"methodName":"v1.compute.firewalls.insert","authorizationInfo":[{"permission":"compute.firewalls.create","granted":true}],
"resourceName":"projects/shop/global/firewalls/open","request":{"description":"PAY-77"},"resourceLocation":{"currentLocations":["europe-west1","x"]}},
"insertId":"i-1","resource":{"type":"gce_firewall_rule","labels":{"project_id":"shop"}},"timestamp":"2026-03-04T05:06:07.000001Z",
"severity":"NOTICE","logName":"projects/shop/logs/cloudaudit.googleapis.com%2Factivity",
"operation":{"id":"op-1","producer":"compute.googleapis.com","first":true},"receiveTimestamp":"2026-03-04T05:06:08Z"}"#;

#[test]
fn a_firewall_rule_made_by_a_service_account() {
    let event = change(SOURCE, ENTRY);
    event.has("actor_uid", "deploy@shop.iam.gserviceaccount.com");
    event.has("actor_type_id", 4);
    event.has(
        "actor_credential_uid",
        "//iam.googleapis.com/projects/shop/serviceAccounts/deploy/keys/k1",
    );
    // Nearest first; the list of the provider begins with the root.
    event.has(
        "actor_delegated_from",
        [
            "serviceAccount:hop@shop.iam.gserviceaccount.com",
            "ada@example.com",
        ],
    );
    event.has("action_verb", "create");
    event.has("privilege_class", "network");
    event.has("resource_uids", ["projects/shop/global/firewalls/open"]);
    event.has("resource_names", ["open"]);
    event.has("account_uid", "shop");
    event.has("region", "europe-west1");
    event.has("src_ip", "203.0.113.9");
    event.has("event_time", "2026-03-04T05:06:07.000001Z");
    event.has("correlation_uid", "op-1");
    event.has("ticket_uids", ["PAY-77"]);
    event.has("status_id", 1);
}

#[test]
fn every_envelope_gives_the_same_change() {
    let one_line = ENTRY.replace('\n', "");
    let encoded = to_base64(one_line.as_bytes());
    let escaped = escaped(&one_line);
    let bare = change(SOURCE, &one_line);
    let envelopes = [
        format!("[{one_line}]"),
        format!(r#"{{"entries":[{one_line}]}}"#),
        format!("{one_line}\n{one_line}\n"),
        format!(
            r#"{{"message":{{"data":"{encoded}","attributes":{{}},"messageId":"1"}},"subscription":"s"}}"#
        ),
        format!(r#"{{"receivedMessages":[{{"ackId":"a","message":{{"data":"{encoded}"}}}}]}}"#),
        format!(r#"{{"logging.googleapis.com/timestamp":"t","message":"{encoded}"}}"#),
        format!(r#"{{"a":"b","message":"{escaped}"}}"#),
        format!(r#"{{"a":"b","message":{one_line}}}"#),
        format!(r#"{{"specversion":"1.0","type":"google.cloud.audit.log.v1.written","data":{one_line}}}"#),
    ];
    bare.is_in_each(SOURCE, envelopes, &["actor_uid", "resource_uids"], &one_line);
}

#[test]
fn what_is_no_audit_entry_ends_with_a_reason() {
    for (bytes, expected) in [
        (r#"{"insertId":"a","textPayload":"hi"}"#, "skip not_audit"),
        (r#"{"insertId":"a","jsonPayload":{"x":1}}"#, "skip not_audit"),
        (
            r#"{"insertId":"a","protoPayload":{"@type":"type.googleapis.com/google.appengine.logging.v1.RequestLog"}}"#,
            "skip not_audit",
        ),
        (
            r#"{"notificationConfigName":"n","finding":{"name":"f"}}"#,
            "skip other_record_type",
        ),
        ("[]", "skip empty_envelope"),
        (r#"{"hello":"world"}"#, "reject unknown_envelope at 0"),
        (r#"{"message":{"data":"?"}}"#, "reject invalid_base64 at 20"),
    ] {
        assert_eq!(outcome(SOURCE, bytes.as_bytes()), expected, "{bytes}");
    }
}

/// No part holds all fields; each becomes a row of its own, and `insertId` carries the index.
#[test]
fn the_parts_of_a_split_entry_are_rows() {
    let part = |index: u8| {
        change(
            SOURCE,
            &format!(
                r#"{{"insertId":"i-{index}","logName":"l","timestamp":"2026-03-04T05:06:07Z","split":{{"uid":"i","index":{index},"totalSplits":2}},"protoPayload":{{"methodName":"storage.setIamPermissions"}}}}"#
            ),
        )
    };
    let (one, two) = (part(0), part(1));
    assert_ne!(one.get("event_uid"), two.get("event_uid"));
    two.has("split_uid", "i");
    two.has("split_index", 1);
    two.has("split_total", 2);
    two.has_mark("split_part");
}

#[test]
fn first_and_last_of_an_operation_are_one_change() {
    let last = ENTRY
        .replace(r#""first":true"#, r#""last":true"#)
        .replace("i-1", "i-2");
    let (one, two) = (change(SOURCE, ENTRY), change(SOURCE, &last));
    assert_ne!(one.get("event_uid"), two.get("event_uid"));
    assert_eq!(one.get("change_uid"), two.get("change_uid"));
}

#[test]
fn verbs_and_power() {
    for (service, method, verb, power, is_change) in [
        ("compute", "v1.compute.instances.get", "read", "compute", false),
        ("compute", "beta.compute.disks.delete", "delete", "data", true),
        ("cloudresourcemanager", "SetIamPolicy", "update", "identity", true),
        ("cloudkms", "DestroyCryptoKeyVersion", "delete", "keys", true),
        (
            "iam",
            "google.iam.admin.v1.CreateServiceAccountKey",
            "create",
            "keys",
            true,
        ),
        (
            "iamcredentials",
            "GenerateAccessToken",
            "other",
            "identity",
            false,
        ),
        (
            "logging",
            "google.logging.v2.ConfigServiceV2.DeleteSink",
            "delete",
            "logging",
            true,
        ),
        (
            "admin",
            "google.admin.AdminService.inboundSsoProfileDeleted",
            "delete",
            "identity",
            true,
        ),
        ("dns", "dns.managedZones.patch", "update", "network", true),
        (
            "cloudbuild",
            "google.devtools.cloudbuild.v1.CloudBuild.CreateBuild",
            "create",
            "pipeline",
            true,
        ),
    ] {
        let text = format!(
            r#"{{"insertId":"a","protoPayload":{{"serviceName":"{service}.googleapis.com","methodName":"{method}"}}}}"#
        );
        let event = change(SOURCE, &text);
        event.has("action_verb", verb);
        event.has("privilege_class", power);
        event.has("is_change", is_change);
    }
    let exec = change(
        SOURCE,
        r#"{"insertId":"a","protoPayload":{"serviceName":"k8s.io","methodName":"io.k8s.core.v1.pods.exec.create","resourceName":"core/v1/namespaces/pay/pods/api-1/exec"},"resource":{"type":"k8s_cluster","labels":{"cluster_name":"blue"}}}"#,
    );
    exec.has("action_verb", "other");
    exec.has("is_change", true);
    let roles = change(
        SOURCE,
        r#"{"insertId":"a","protoPayload":{"serviceName":"k8s.io","methodName":"io.k8s.rbac.v1.clusterroles.create","resourceName":"rbac.authorization.k8s.io/v1/clusterroles/x"}}"#,
    );
    roles.has("privilege_class", "identity");
}

#[test]
fn refusals_are_failures() {
    for body in [
        r#""status":{"code":7,"message":"denied"}"#,
        r#""authorizationInfo":[{"granted":false,"permission":"p"}]"#,
    ] {
        let text = format!(r#"{{"insertId":"a","protoPayload":{{"methodName":"SetIamPolicy",{body}}}}}"#);
        change(SOURCE, &text).has("status_id", 2);
    }
}

#[test]
fn an_entry_may_leave_out_or_respell_nearly_everything() {
    let event = change(SOURCE, r#"{"protoPayload":{"methodName":"SetIamPolicy"}}"#);
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
    let lower = change(
        SOURCE,
        r#"{"insertid":17,"logname":"projects/p/logs/x","receivetimestamp":"2023-05-23 19:07:26.276","protopayload":{"at_sign_type":"type.googleapis.com/google.cloud.audit.AuditLog",
        "methodname":"dns.managedZones.get","resourcename":"None","requestmetadata":{"callerIP":"private"},"authenticationinfo":{"principalemail":"a@example.com"}}}"#,
    );
    lower.has("native_uid", "17");
    lower.has("account_uid", "p");
    lower.has("resource_uids", ["None"]);
    lower.has("actor_uid", "a@example.com");
    lower.has("src_domain", "private");
    lower.has_mark("address_is_name");
    lower.has("event_time", "2023-05-23T19:07:26.276Z");
    let federated = change(
        SOURCE,
        r#"{"insertId":"a","protoPayload":{"methodName":"x.Update","authenticationInfo":{"principalSubject":"principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/gh/subject/repo:acme/shop"}}}"#,
    );
    federated.has(
        "actor_uid",
        "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/gh/subject/repo:acme/shop",
    );
    federated.has("actor_type_id", 4);
    let wrong = change(
        SOURCE,
        r#"{"insertId":"a","logName":["x"],"split":{"index":99999999},"protoPayload":{"methodName":{}}}"#,
    );
    wrong.has_mark("wrong_type");
    wrong.has_mark("number_out_of_range");
}

#[test]
fn secrets_are_masked() {
    for body in [
        r#""response":{"name":"k","privateKeyData":"hunter2"}"#,
        r#""request":{"payload":{"data":"hunter2"}}"#,
        r#""resourceName":"core/v1/namespaces/a/secrets/db","request":{"data":{"p":"hunter2"}}"#,
        r#""request":{"@type":"core.k8s.io/v1.Secret","stringData":{"p":"hunter2"}}"#,
        r#""request":{"spec":{"containers":[{"env":[{"name":"P","value":"hunter2"}]}]}}"#,
    ] {
        let bare = format!(r#"{{"insertId":"a","protoPayload":{{"methodName":"x.Create",{body}}}}}"#);
        let pushed = format!(r#"{{"message":{{"data":"{}"}}}}"#, to_base64(bare.as_bytes()));
        for text in [bare, pushed] {
            let event = change(SOURCE, &text);
            event.has_mark("secret_masked");
            event.keeps_no_secret();
        }
    }
}
