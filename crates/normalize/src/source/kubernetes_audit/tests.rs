use crate::testing::{change, changes, escaped, outcome, outcomes};

const SOURCE: &str = "kubernetes.audit";

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a-1","stage":"ResponseComplete",
"requestURI":"/apis/apps/v1/namespaces/pay/deployments/api","verb":"patch","user":{"username":"system:serviceaccount:ci:deployer","uid":"u",
"groups":["system:serviceaccounts"],"extra":{"authentication.kubernetes.io/credential-id":["JTI=7"],"authentication.kubernetes.io/pod-name":["runner-1"]}},
"sourceIPs":["198.51.100.7","203.0.113.9"],"userAgent":"kubectl/v1.31","objectRef":{"resource":"deployments","namespace":"pay","name":"api","apiGroup":"apps","apiVersion":"v1"},
"responseStatus":{"metadata":{},"code":200},"requestObject":{"metadata":{"annotations":{"kubernetes.io/change-cause":"PAY-77 new image",
"kubectl.kubernetes.io/last-applied-configuration":"{\"a\":\"OLD-1\"}"}}},"requestReceivedTimestamp":"2026-03-04T05:06:07.000001Z",
"stageTimestamp":"2026-03-04T05:06:08.000002Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed"}}"#;

#[test]
fn a_patch_by_a_service_account() {
    let event = change(SOURCE, EVENT);
    event.has("actor_uid", "system:serviceaccount:ci:deployer");
    event.has("actor_name", "ci:deployer");
    event.has("actor_type_id", 4);
    event.has("actor_credential_uid", "JTI=7");
    event.has("actor_invoked_by", "runner-1");
    event.has("api_service", "deployments.apps");
    event.has("api_operation", "patch");
    event.has("action_verb", "update");
    event.has("privilege_class", "compute");
    event.has("resource_uids", ["deployments.apps/pay/api"]);
    event.has("resource_names", ["api"]);
    event.has("event_time", "2026-03-04T05:06:08.000002Z");
    event.has("status_id", 1);
    event.has("ticket_uids", ["PAY-77"]);
    event.has("account_uid", "prod-eu");
}

/// All but the last of `sourceIPs` come from the client's own headers.
#[test]
fn only_the_last_address_is_believed() {
    change(SOURCE, EVENT).has("src_ip", "203.0.113.9");
    change(SOURCE, r#"{"auditID":"a","verb":"delete","sourceIPs":[]}"#).has_not("src_ip");
    change(SOURCE, r#"{"auditID":"a","verb":"delete","sourceIPs":"::1"}"#).has("src_ip", "::1");
}

#[test]
fn every_envelope_gives_the_same_change() {
    let one_line = EVENT.replace('\n', "");
    let escaped = escaped(&one_line);
    let bare = change(SOURCE, &one_line);
    let envelopes = [
        format!(
            r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{one_line}]}}"#
        ),
        format!(r#"{{"items":[{one_line}]}}"#),
        format!("[{one_line}]"),
        format!("{one_line}\n{one_line}\n"),
        format!(r#"{{"log":"{escaped}\n","stream":"stdout"}}"#),
        format!(
            r#"{{"messageType":"DATA_MESSAGE","logGroup":"/aws/eks/blue/cluster","logEvents":[{{"id":"1","message":"{escaped}"}}]}}"#
        ),
    ];
    bare.is_in_each(SOURCE, envelopes, &["actor_uid", "resource_uids"], &one_line);
    let from_eks =
        format!(r#"{{"logGroup":"/aws/eks/blue/cluster","logEvents":[{{"message":"{escaped}"}}]}}"#);
    change(SOURCE, &from_eks).has("account_uid", "blue");
}

#[test]
fn what_is_no_event_ends_with_a_reason() {
    for (bytes, expected) in [
        (r#"{"kind":"EventList","items":[]}"#, "skip empty_envelope"),
        (r#"{"kind":"EventList","items":null}"#, "skip empty_envelope"),
        (
            r#"{"kind":"Event","involvedObject":{"kind":"Pod"},"reason":"Pulled"}"#,
            "skip not_audit",
        ),
        (
            r#"{"auditID":"a","stage":"RequestReceived","verb":"get"}"#,
            "skip early_stage",
        ),
        (
            r#"{"auditID":"a","stage":"ResponseStarted","verb":"watch"}"#,
            "skip early_stage",
        ),
        (r#"{"messageType":"CONTROL_MESSAGE"}"#, "skip control_message"),
        (
            r#"{"logEvents":[{"message":"I1 controller.go:1] sync"}]}"#,
            "skip not_audit",
        ),
        (r#"{"hello":"world"}"#, "reject unknown_envelope at 0"),
        (r#"{"items":[17]}"#, "reject unknown_envelope at 10"),
    ] {
        assert_eq!(outcome(SOURCE, bytes.as_bytes()), expected, "{bytes}");
    }
    let mixed = r#"{"items":[{"auditID":"a","stage":"RequestReceived"},{"auditID":"a","stage":"ResponseComplete","verb":"create"}]}"#;
    assert_eq!(outcomes(SOURCE, mixed.as_bytes()), ["skip early_stage", "change"]);
}

#[test]
fn the_impersonator_stands_behind_the_impersonated() {
    let event = change(
        SOURCE,
        r#"{"auditID":"a","verb":"list","user":{"username":"system:admin","groups":["system:masters"]},
        "impersonatedUser":{"username":"bob","groups":["system:authenticated"]},"responseStatus":{"code":403,"message":"no","reason":"Forbidden"}}"#,
    );
    event.has("actor_uid", "bob");
    event.has("actor_type_id", 1);
    event.has("actor_delegated_from", ["system:admin"]);
    event.has("status_id", 2);
    event.has("status_detail", "no");
    event.has("is_change", false);
}

#[test]
fn the_cloud_identity_behind_a_user() {
    let event = change(
        SOURCE,
        r#"{"auditID":"a","verb":"delete","user":{"username":"ops","groups":["system:masters"],"extra":{"accessKeyId":["ASIAX"],
        "canonicalArn":["arn:aws:iam::1:role/ops"],"sessionName":["ada@example.com"]}}}"#,
    );
    event.has("actor_type_id", 2);
    event.has("actor_credential_uid", "ASIAX");
    event.has(
        "actor_delegated_from",
        ["arn:aws:iam::1:role/ops", "ada@example.com"],
    );
}

#[test]
fn verbs_and_power() {
    for (verb, resource, subresource, expected, power, is_change) in [
        ("create", "pods", "exec", "other", "compute", true),
        ("get", "pods", "exec", "other", "compute", true),
        ("get", "pods", "log", "read", "compute", false),
        ("create", "pods", "eviction", "delete", "compute", true),
        ("deletecollection", "secrets", "", "delete", "keys", true),
        ("create", "subjectaccessreviews", "", "read", "none", false),
        ("create", "selfsubjectrulesreviews", "", "read", "none", false),
        ("watch", "configmaps", "", "read", "data", false),
        ("update", "networkpolicies", "", "update", "network", true),
        ("create", "clusterrolebindings", "", "create", "identity", true),
        (
            "patch",
            "mutatingwebhookconfigurations",
            "",
            "update",
            "identity",
            true,
        ),
        ("create", "serviceaccounts", "token", "create", "identity", true),
        (
            "approve",
            "certificatesigningrequests",
            "",
            "update",
            "identity",
            true,
        ),
        ("frobnicate", "widgets", "", "other", "none", true),
    ] {
        let event = change(
            SOURCE,
            &format!(
                r#"{{"auditID":"a","verb":"{verb}","objectRef":{{"resource":"{resource}","subresource":"{subresource}"}}}}"#
            ),
        );
        event.has("action_verb", expected);
        event.has("privilege_class", power);
        event.has("is_change", is_change);
    }
    change(
        SOURCE,
        r#"{"auditID":"a","verb":"create","requestURI":"/api/v1/pods?dryRun=All"}"#,
    )
    .has("is_change", false);
    let token = r#"{"auditID":"a","verb":"create","user":{"username":"system:node:n1"},"objectRef":{"resource":"serviceaccounts","subresource":"token"}}"#;
    change(SOURCE, token).has("is_change", false);
    change(
        SOURCE,
        r#"{"auditID":"a","verb":"create","objectRef":{"resource":"rolebindings"}}"#,
    )
    .has("class_uid", 3005);
}

#[test]
fn a_resource_is_named_from_the_request_or_the_path() {
    let uid = |text: &str| change(SOURCE, text).get("resource_uids").cloned();
    let list = |uid: &str| Some(serde_json::json!([uid]));
    assert_eq!(
        uid(
            r#"{"auditID":"a","verb":"create","objectRef":{"resource":"pods","namespace":"x"},"requestObject":{"metadata":{"generateName":"job-"}},"responseObject":{"metadata":{"name":"job-1"}}}"#
        ),
        list("pods/x/job-1")
    );
    assert_eq!(
        uid(
            r#"{"auditID":"a","verb":"create","objectRef":{"resource":"namespaces"},"requestObject":{"metadata":{"name":"x"}}}"#
        ),
        list("namespaces/x")
    );
    assert_eq!(
        uid(r#"{"auditID":"a","verb":"get","requestURI":"/healthz?verbose"}"#),
        list("/healthz")
    );
    assert_eq!(
        uid(
            r#"{"auditID":"a","verb":"delete","objectRef":{"resource":"roles","name":"r","apiVersion":"rbac.authorization.k8s.io/v1"}}"#
        ),
        list("roles.rbac.authorization.k8s.io/r")
    );
}

/// The audit id comes from the client's request, so it alone names neither an event nor a change.
#[test]
fn ids_are_of_id_and_stage_and_changes_of_the_request() {
    let with = |stage: &str, user: &str| {
        change(
            SOURCE,
            &format!(
                r#"{{"auditID":"a","stage":"{stage}","verb":"create","user":{{"username":"{user}"}},"requestReceivedTimestamp":"2026-03-04T05:06:07Z"}}"#
            ),
        )
    };
    let (one, panicked, other) = (
        with("ResponseComplete", "ada"),
        with("Panic", "ada"),
        with("ResponseComplete", "bob"),
    );
    assert_ne!(one.get("event_uid"), panicked.get("event_uid"));
    assert_eq!(one.get("change_uid"), panicked.get("change_uid"));
    assert_eq!(one.get("event_uid"), other.get("event_uid"));
    assert_ne!(one.get("change_uid"), other.get("change_uid"));
    panicked.has("status_id", 2);
}

#[test]
fn an_event_may_leave_out_or_respell_nearly_everything() {
    let event = change(SOURCE, r#"{"verb":"delete","stage":"ResponseComplete"}"#);
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
        r#"{"auditid":17,"verb":"create","objectref":{"resource":"pods","name":"None"},"sourceips":["203.0.113.9"],"stagetimestamp":"2026-03-04 05:06:07","apiversion":"audit.k8s.io/v9"}"#,
    );
    lower.has("native_uid", "17");
    lower.has("resource_names", ["None"]);
    lower.has("src_ip", "203.0.113.9");
    lower.has("event_time", "2026-03-04T05:06:07Z");
    lower.has_mark("unknown_version");
    let old = change(
        SOURCE,
        r#"{"apiVersion":"audit.k8s.io/v1beta1","auditID":"a","verb":"get","timestamp":"2018-10-25T13:58:49Z"}"#,
    );
    old.has("event_time", "2018-10-25T13:58:49Z");
    old.has_no_mark("unknown_version");
    let wrong = change(
        SOURCE,
        r#"{"auditID":"a","verb":{"x":1},"userAgent":["k"],"sourceIPs":[["x"]],"requestObject":"{broken"}"#,
    );
    wrong.has_mark("wrong_type");
    wrong.has_mark("nested_unparsed");
    change(
        SOURCE,
        r#"{"auditID":"a","verb":"get","annotations":{"audit.k8s.io/truncated":"true"}}"#,
    )
    .has_mark("truncated");
}

#[test]
fn secrets_are_masked_wherever_they_stand() {
    let about = r#""auditID":"a","stage":"ResponseComplete","verb":"patch","objectRef":{"resource":"secrets","namespace":"pay","name":"db"}"#;
    for body in [
        r#""requestObject":{"kind":"Secret","metadata":{"name":"db"},"data":{"p":"hunter2"},"stringData":{"q":"hunter2"}}"#,
        r#""requestObject":{"data":{"p":"hunter2"}}"#,
        r#""requestObject":[{"op":"replace","path":"/data/p","value":"hunter2"},{"op":"add","path":"/stringData","value":{"q":"hunter2"}}]"#,
        r#""requestObject":"{\"data\":{\"p\":\"hunter2\"}}""#,
        r#""responseObject":{"kind":"SecretList","items":[{"metadata":{"name":"db"},"data":{"p":"hunter2"}}]}"#,
        r#""requestObject":{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"kind\":\"Secret\",\"data\":{\"p\":\"hunter2\"}}"}}}"#,
    ] {
        for text in [
            format!("{{{about},{body}}}"),
            format!(r#"{{"items":[{{"auditID":"b","verb":"get"}},{{{about},{body}}}]}}"#),
        ] {
            let all = changes(SOURCE, &[], text.as_bytes());
            let event = all.last().unwrap();
            event.has_mark("secret_masked");
            event.has("resource_names", ["db"]);
            event.keeps_no_secret();
        }
    }
    let token = change(
        SOURCE,
        r#"{"auditID":"a","verb":"create","objectRef":{"resource":"serviceaccounts","subresource":"token","name":"ci"},
        "responseObject":{"kind":"TokenRequest","status":{"token":"hunter2-hunter2"}}}"#,
    );
    token.keeps_no_secret();
    let pod = change(
        SOURCE,
        r#"{"auditID":"a","verb":"create","objectRef":{"resource":"pods"},"requestObject":{"spec":{"containers":[{"image":"i","env":[{"name":"P","value":"hunter2"}]}]}}}"#,
    );
    pod.keeps_no_secret();
    let map = r#"{"auditID":"a","verb":"update","objectRef":{"resource":"configmaps","name":"m"},"requestObject":{"kind":"ConfigMap","data":{"a":"b"}}}"#;
    assert_eq!(change(SOURCE, map).bytes(), map, "a ConfigMap is no Secret");
}
