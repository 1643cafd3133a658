use crate::testing::{change, escaped, outcome, outcomes};

const SOURCE: &str = "aws.cloudtrail";

const ASSUMED: &str = r#"{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:deploy-PAY-77",
"arn":"arn:aws:sts::111122223333:assumed-role/deployer/deploy-PAY-77","accountId":"111122223333","accessKeyId":"ASIAEXAMPLE",
"sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::111122223333:role/deployer","userName":"deployer"},
"attributes":{"mfaAuthenticated":"false"},"sourceIdentity":"ada@example.com"}},"eventTime":"2026-03-04T05:06:07Z",
"eventSource":"s3.amazonaws.com","eventName":"PutBucketPolicy","awsRegion":"eu-west-1","sourceIPAddress":"203.0.113.9",
"userAgent":"Terraform/1.9","requestParameters":{"bucketName":"ledger","Host":"s3"},"responseElements":null,"requestID":"R1",
"eventID":"E1","readOnly":false,"eventType":"AwsApiCall","recipientAccountId":"111122223333"}"#;

#[test]
fn an_assumed_role_is_its_role_and_the_person_at_its_root() {
    let event = change(SOURCE, ASSUMED);
    event.has("actor_uid", "arn:aws:iam::111122223333:role/deployer");
    event.has("actor_session_uid", "AROAEXAMPLE:deploy-PAY-77");
    event.has("actor_delegated_from", ["ada@example.com"]);
    event.has("actor_is_mfa", false);
    event.has("actor_type_id", 4);
    event.has("ticket_uids", ["PAY-77"]);
    event.has("resource_uids", ["arn:aws:s3:::ledger"]);
    event.has("resource_types", ["AWS::S3::Bucket"]);
    event.has("action_verb", "update");
    event.has("privilege_class", "data");
    event.has("src_ip", "203.0.113.9");
    event.has("event_time", "2026-03-04T05:06:07Z");
    event.has("status_id", 1);
}

#[test]
fn every_envelope_gives_the_same_change() {
    let one_line = ASSUMED.replace('\n', "");
    let escaped = escaped(&one_line);
    let bare = change(SOURCE, &one_line);
    let envelopes = [
        format!(r#"{{"Records":[{one_line}]}}"#),
        format!(
            r#"{{"version":"0","id":"bus-1","detail-type":"AWS API Call via CloudTrail","source":"aws.s3","detail":{one_line}}}"#
        ),
        format!(
            r#"{{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":[{{"id":"1","timestamp":1,"message":"{escaped}"}}]}}"#
        ),
        format!(r#"{{"Events":[{{"EventId":"E1","CloudTrailEvent":"{escaped}"}}]}}"#),
        format!(r#"{{"EventId":"E1","CloudTrailEvent":"{escaped}"}}"#),
        format!(r#"{{"Type":"Notification","Message":"{escaped}"}}"#),
        format!("[{one_line}]"),
        format!("{one_line}\n{{\"digestStartTime\":1}}\n"),
    ];
    bare.is_in_each(
        SOURCE,
        envelopes,
        &["actor_uid", "event_time", "resource_uids"],
        &one_line,
    );
}

#[test]
fn what_else_the_bus_lets_through_is_read_as_what_it_is() {
    let finding = r#"{"version":"0","id":"bus-1","detail-type":"GuardDuty Finding","source":"aws.guardduty","detail":{"id":"f","type":"Recon:EC2/Portscan","severity":5}}"#;
    let event = change(SOURCE, finding);
    event.has("is_change", false);
    event.has("api_operation", "Recon:EC2/Portscan");
    let tick = r#"{"id":"bus-2","detail-type":"Scheduled Event","source":"aws.events","detail":{}}"#;
    change(SOURCE, tick).has("is_change", false);
}

#[test]
fn what_is_no_event_ends_with_a_reason() {
    for (bytes, expected) in [
        (
            r#"{"messageType":"CONTROL_MESSAGE","logEvents":[]}"#,
            "skip control_message",
        ),
        (r#"{"Records":[]}"#, "skip empty_envelope"),
        (
            r#"{"awsAccountId":"1","digestStartTime":"2026-01-01T00:00:00Z"}"#,
            "skip other_record_type",
        ),
        (r#"{"hello":"world"}"#, "reject unknown_envelope at 0"),
        (r#"{"Records":[{"a":1}]}"#, "reject unknown_envelope at 12"),
        ("{\"eventName\":", "reject truncated_json at 13"),
        ("eventName", "reject not_json at 0"),
        ("17", "reject unknown_envelope at 0"),
    ] {
        assert_eq!(outcome(SOURCE, bytes.as_bytes()), expected, "{bytes}");
    }
    let mixed = "{\"eventName\":\"GetUser\"}\n{broken\n{\"eventName\":\"ListUsers\"}\n";
    assert_eq!(
        outcomes(SOURCE, mixed.as_bytes()),
        ["change", "reject not_json at 25", "change"]
    );
}

#[test]
fn an_event_without_id_time_or_actor_is_still_a_change() {
    let event = change(
        SOURCE,
        r#"{"eventName":"DeleteTrail","eventSource":"cloudtrail.amazonaws.com","requestParameters":{"name":"main"}}"#,
    );
    event.has(
        "marks",
        [
            "uid_from_content",
            "missing_actor",
            "missing_time",
            "unknown_environment",
        ],
    );
    event.has("privilege_class", "logging");
    event.has("action_verb", "delete");
    event.has("is_change", true);
    event.has("resource_uids", ["main"]);
}

#[test]
fn what_does_not_say_what_it_did_may_have_done_anything() {
    let text = r#"{"eventID":"E1","eventSource":"iam.amazonaws.com","userIdentity":{"type":"Root"}}"#;
    let event = change(SOURCE, text);
    event.has("is_change", true);
    event.has_mark("unknown_type");
    let read = text.replace(r#""eventID""#, r#""readOnly":true,"eventID""#);
    change(SOURCE, &read).has("is_change", false);
}

#[test]
fn resources_are_named_where_only_the_request_names_them() {
    let table = [
        (
            r#""eventName":"PutFoundationModelEntitlement","requestParameters":{"clientId":"c","modelId":"m-1"}"#,
            "m-1",
        ),
        (
            r#""eventName":"CreateVirtualNode","requestParameters":{"clientToken":"t","meshName":"m1","spec":{},"virtualNodeName":"vn3"}"#,
            "vn3",
        ),
        (
            r#""eventName":"DeleteFlowLogs","requestParameters":{"DeleteFlowLogsRequest":{"FlowLogId":{"tag":1,"content":"fl-1"}}}"#,
            "fl-1",
        ),
        (
            r#""eventName":"DeleteTransitGatewayVpcAttachment","requestParameters":{"DelTGwVpcAttachReq":{"TransitGatewayAttachmentId":"tgw-1"}}"#,
            "tgw-1",
        ),
        (
            r#""eventName":"AddTags","requestParameters":{"tags":[{"key":"a","value":"b"}],"resourceArns":["arn:aws:elb:x/1"]}"#,
            "arn:aws:elb:x/1",
        ),
        (
            r#""eventName":"StartSession","requestParameters":{"target":"i-1"}"#,
            "i-1",
        ),
        (
            r#""eventName":"PutUserPolicy","requestParameters":null,"errorCode":"AccessDenied","errorMessage":"User: arn:x is not authorized to perform: iam:PutUserPolicy on resource: user bob because no policy allows it""#,
            "bob",
        ),
    ];
    for (members, expected) in table {
        change(SOURCE, &format!("{{{members}}}")).has("resource_uids", [expected]);
    }
    // Nothing in there names a resource.
    let event = change(
        SOURCE,
        r#"{"eventName":"CreateToken","requestParameters":{"clientId":"c","clientRequestToken":"x","roleSessionName":"s"}}"#,
    );
    event.has_not("resource_uids");
}

#[test]
fn a_session_whose_issuer_is_left_out_is_still_its_role() {
    let event = change(
        SOURCE,
        r#"{"eventName":"ModifyDBCluster","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:night","arn":"arn:aws:sts::111122223333:assumed-role/dba/night"}}"#,
    );
    event.has("actor_uid", "arn:aws:iam::111122223333:role/dba");
    event.has("actor_name", "dba");
    event.has("actor_issuer", "arn:aws:iam::111122223333:role/dba");
    let person = change(
        SOURCE,
        r#"{"eventName":"ModifyDBCluster","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:ada","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/Admin","userName":"Admin"}}}}"#,
    );
    person.has("actor_uid", "ada");
    person.has("actor_type_id", 1);
}

#[test]
fn wrong_types_and_repeated_keys_are_marked() {
    let event = change(
        SOURCE,
        r#"{"eventID":17,"eventName":"CreateUser","eventName":"DeleteUser","eventTime":{"a":1},"userAgent":["x"],"awsRegion":true}"#,
    );
    event.has("native_uid", "17");
    event.has("api_operation", "DeleteUser");
    event.has(
        "marks",
        [
            "missing_actor",
            "missing_time",
            "duplicate_key",
            "wrong_type",
            "unknown_environment",
        ],
    );
}

#[test]
fn ids_that_clash_are_kept_apart_by_content() {
    let one = change(SOURCE, r#"{"eventID":"...","eventName":"CreateUser"}"#);
    let two = change(SOURCE, r#"{"eventID":"...","eventName":"DeleteUser"}"#);
    assert_eq!(one.get("event_uid"), two.get("event_uid"));
    assert_ne!(one.get("content_hash"), two.get("content_hash"));
    assert_ne!(one.get("change_uid"), two.get("change_uid"));
}

#[test]
fn a_correction_names_the_event_that_it_amends() {
    let event = change(
        SOURCE,
        r#"{"eventID":"E2","eventName":"CreateUser","addendum":{"reason":"UPDATED_DATA","originalEventID":"E1"}}"#,
    );
    event.has("is_amendment_of", "E1");
    event.has_mark("amendment");
}

#[test]
fn versions_and_cuts_are_marked() {
    change(SOURCE, r#"{"eventVersion":"1.99","eventName":"X"}"#).has_mark("unknown_version");
    change(SOURCE, r#"{"eventVersion":"2.0","eventName":"X"}"#).has_mark("unknown_version");
    change(SOURCE, r#"{"eventVersion":"1.03","eventName":"X"}"#).has_no_mark("unknown_version");
    change(SOURCE, r#"{"eventType":"AwsNewThing","eventName":"X"}"#).has_mark("unknown_type");
    change(
        SOURCE,
        r#"{"eventName":"X","requestParameters":{"omitted":true,"originalSize":200000}}"#,
    )
    .has_mark("truncated");
}

#[test]
fn reads_and_sign_ins_are_no_changes() {
    for text in [
        r#"{"eventName":"AssumeRole","eventSource":"sts.amazonaws.com","readOnly":true}"#,
        r#"{"eventName":"ConsoleLogin","eventType":"AwsConsoleSignIn","responseElements":{"ConsoleLogin":"Failure"}}"#,
        r#"{"eventName":"DescribeInstances","eventSource":"ec2.amazonaws.com"}"#,
        r#"{"eventName":"GenerateDataKey","readOnly":true}"#,
    ] {
        change(SOURCE, text).has("is_change", false);
    }
    let failed = change(
        SOURCE,
        r#"{"eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":"Failure"},"additionalEventData":{"MFAUsed":"No"}}"#,
    );
    failed.has("status_id", 2);
    failed.has("actor_is_mfa", false);
    failed.has("class_uid", 3002);
}

#[test]
fn session_tokens_and_parameters_are_masked() {
    let event = change(
        SOURCE,
        r#"{"eventName":"PutParameter","requestParameters":{"name":"/db","type":"SecureString","value":"hunter2-secret"},
        "responseElements":{"credentials":{"accessKeyId":"ASIAX","sessionToken":"hunter2-token"}}}"#,
    );
    event.has_mark("secret_masked");
    event.keeps_no_secret();
    assert!(event.bytes().contains("ASIAX"));
}
