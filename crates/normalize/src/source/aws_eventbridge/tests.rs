use crate::testing::{change, changes, escaped, gzip, outcome, outcomes};

const SOURCE: &str = "aws.eventbridge";

const CALL: &str = r#"{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/ada","accessKeyId":"AKIAEXAMPLE"},"eventTime":"2026-03-04T05:06:07Z","eventSource":"s3.amazonaws.com","eventName":"DeleteBucket","awsRegion":"eu-west-1","requestParameters":{"bucketName":"ledger"},"eventID":"E1","recipientAccountId":"111122223333"}"#;

const FINDING: &str = r#"{"schemaVersion":"2.0","accountId":"111122223333","region":"eu-west-1","id":"f1","type":"UnauthorizedAccess:IAMUser/TorIPCaller","resource":{"resourceType":"AccessKey","accessKeyDetails":{"accessKeyId":"AKIAEXAMPLE","principalId":"AIDAEXAMPLE","userType":"IAMUser","userName":"ada"}},"service":{"detectorId":"d1","count":1,"eventLastSeen":"2026-03-04T05:00:00Z","action":{"actionType":"AWS_API_CALL","awsApiCallAction":{"api":"ListBuckets","remoteIpDetails":{"ipAddressV4":"203.0.113.9","country":{"countryName":"Norway"},"organization":{"asn":"64500"}}}}},"severity":8,"updatedAt":"2026-03-04T05:06:07Z","title":"Called from a Tor exit node"}"#;

const ITEM: &str = r#"{"configurationItemDiff":{"changedProperties":{"Tags.0":{"updatedValue":{"key":"change","value":"PAY-77"}}},"changeType":"UPDATE"},"notificationCreationTime":"2026-03-04T05:06:09Z","messageType":"ConfigurationItemChangeNotification","recordVersion":"1.3","configurationItem":{"configurationItemVersion":"1.3","configurationItemCaptureTime":"2026-03-04T05:06:07Z","configurationStateId":1772600767000,"awsAccountId":"111122223333","configurationItemStatus":"OK","resourceType":"AWS::EC2::SecurityGroup","resourceId":"sg-1","resourceName":"web","ARN":"arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1","awsRegion":"eu-west-1","relatedEvents":["E1"],"configuration":{"groupName":"web"}}}"#;

fn on_bus(service: &str, kind: &str, detail: &str) -> String {
    format!(
        r#"{{"version":"0","id":"bus-1","detail-type":"{kind}","source":"{service}","account":"111122223333","time":"2026-03-04T05:06:08Z","region":"eu-west-1","resources":[],"detail":{detail}}}"#
    )
}

/// Everything that carries one event of the bus, and a notification that also comes without the bus.
fn envelopes(event: &str) -> Vec<String> {
    let text = escaped(event);
    let sns = format!(
        r#"{{"Type":"Notification","MessageId":"m","TopicArn":"arn:aws:sns:x","Message":"{text}","UnsubscribeURL":"https://sns"}}"#
    );
    vec![
        event.to_owned(),
        format!("[{event}]"),
        format!("{event}\n{{\"Event\":\"s3:TestEvent\"}}\n"),
        sns.clone(),
        format!(r#"{{"Records":[{{"EventSource":"aws:sns","Sns":{{"Message":"{text}"}}}}]}}"#),
        format!(r#"{{"Records":[{{"messageId":"q","body":"{text}"}}]}}"#),
        format!(
            r#"{{"Records":[{{"messageId":"q","body":"{}"}}]}}"#,
            escaped(&sns)
        ),
        format!(
            r#"{{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":[{{"id":"1","timestamp":1,"message":"{text}"}}]}}"#
        ),
    ]
}

#[test]
fn a_call_comes_out_as_in_cloudtrail() {
    let bare = change("aws.cloudtrail", CALL);
    for envelope in envelopes(&on_bus("aws.s3", "AWS API Call via CloudTrail", CALL)) {
        let event = change(SOURCE, &envelope);
        event.is_like(
            &bare,
            &[
                "actor_uid",
                "actor_credential_uid",
                "api_operation",
                "event_time",
                "native_uid",
                "resource_uids",
                "is_change",
                "source_product",
            ],
            &envelope,
        );
        assert_eq!(event.bytes(), CALL, "the record's own bytes are kept");
    }
    // Little is left of a record, and it is still a call.
    let event = change(
        SOURCE,
        &on_bus(
            "aws.iam",
            "AWS API Call via CloudTrail",
            r#"{"eventName":"CreateUser"}"#,
        ),
    );
    event.has("api_operation", "CreateUser");
    event.has("is_change", true);
    let event = change(SOURCE, &on_bus("aws.iam", "AWS API Call via CloudTrail", "{}"));
    event.has("is_change", true);
    event.has("native_uid", "bus-1");
}

#[test]
fn every_envelope_gives_the_same_event() {
    let pipeline = r#"{"pipeline":"shop","execution-id":"x1","state":"STARTED"}"#;
    let state = on_bus(
        "aws.codepipeline",
        "CodePipeline Pipeline Execution State Change",
        pipeline,
    );
    let finding = [
        FINDING.to_owned(),
        on_bus("aws.guardduty", "GuardDuty Finding", FINDING),
    ];
    let item = [
        ITEM.to_owned(),
        on_bus("aws.config", "Config Configuration Item Change", ITEM),
        format!(
            r#"{{"invokingEvent":"{}","ruleParameters":"{{}}"}}"#,
            escaped(ITEM)
        ),
    ];
    for same in [&finding[..], &item[..], &[state][..]] {
        let bare = change(SOURCE, &same[0]);
        let envelopes = same.iter().flat_map(|event| envelopes(event));
        bare.is_in_each(SOURCE, envelopes, &["event_time", "resource_uids"], bare.bytes());
    }
}

#[test]
fn a_finding_sent_again_is_known_by_id_and_update() {
    let first = change(SOURCE, FINDING);
    let again = change(SOURCE, &on_bus("aws.guardduty", "GuardDuty Finding", FINDING));
    let recurred = FINDING.replace(r#""count":1"#, r#""count":2"#).replace(
        r#""updatedAt":"2026-03-04T05:06:07Z""#,
        r#""updatedAt":"2026-03-04T09:00:00Z""#,
    );
    let later = change(SOURCE, &recurred);
    assert_eq!(first.get("event_uid"), again.get("event_uid"));
    assert_ne!(first.get("event_uid"), later.get("event_uid"));
    assert_eq!(first.get("native_uid"), later.get("native_uid"));
    later.has("activity_id", 2);
    later.has("event_time", "2026-03-04T09:00:00Z");
    first.has("is_change", false);
    first.has("class_uid", 2004);
    first.has("severity_id", 4);
    first.has("actor_uid", "arn:aws:iam::111122223333:user/ada");
    first.has("actor_credential_uid", "AKIAEXAMPLE");
    first.has("src_ip", "203.0.113.9");
    first.has("src_country", "Norway");
    first.has("src_asn", 64500);
    first.has("resource_uids", ["AKIAEXAMPLE"]);
    first.has("api_operation", "UnauthorizedAccess:IAMUser/TorIPCaller");
    for (severity, id) in [("9.5", 5), ("4", 3), ("0.1", 2), ("\"high\"", 0)] {
        let text = FINDING.replace(r#""severity":8"#, &format!(r#""severity":{severity}"#));
        change(SOURCE, &text).has("severity_id", id);
    }
}

#[test]
fn a_configuration_item_names_its_resource_and_nobody() {
    let event = change(
        SOURCE,
        &on_bus("aws.config", "Config Configuration Item Change", ITEM),
    );
    event.has("is_change", true);
    event.has("class_uid", 5023);
    event.has("action_verb", "update");
    event.has("privilege_class", "network");
    event.has("event_time", "2026-03-04T05:06:07Z");
    event.has("logged_time", "2026-03-04T05:06:09Z");
    event.has("correlation_uid", "E1");
    event.has("ticket_uids", ["PAY-77"]);
    event.has("resource_names", ["web"]);
    event.has_mark("missing_actor");

    // History files list items without a notification around them: the same item, told in other words.
    let item = &ITEM[ITEM.find(r#"{"configurationItemVersion"#).unwrap()..ITEM.len() - 1];
    let history = change(
        SOURCE,
        &format!(r#"{{"fileVersion":"1.0","configurationItems":[{item},{item}]}}"#),
    );
    assert_eq!(history.get("event_uid"), event.get("event_uid"));
    for (status, change_type, verb) in [
        ("ResourceDiscovered", "", "create"),
        ("ResourceDeleted", "", "delete"),
        ("OK", "DELETE", "delete"),
        ("OK", "", "update"),
    ] {
        let text = ITEM
            .replace(r#"Status":"OK""#, &format!(r#"Status":"{status}""#))
            .replace(
                r#""changeType":"UPDATE""#,
                &format!(r#""changeType":"{change_type}""#),
            );
        change(SOURCE, &text).has("action_verb", verb);
    }
}

#[test]
fn what_config_says_beside_items() {
    let oversized = r#"{"configurationItemSummary":{"changeType":"CREATE","awsAccountId":"1","resourceType":"AWS::S3::Bucket","resourceId":"ledger","configurationItemCaptureTime":"2026-03-04T05:06:07Z","configurationStateId":"7"},"s3DeliverySummary":{"s3BucketLocation":"b/k"},"messageType":"OversizedConfigurationItemChangeNotification"}"#;
    let event = change(SOURCE, oversized);
    event.has_mark("truncated");
    event.has("is_change", true);
    event.has("resource_uids", ["ledger"]);
    event.has("action_verb", "create");

    let compliance = r#"{"messageType":"ComplianceChangeNotification","configRuleName":"no-public","resourceType":"AWS::S3::Bucket","resourceId":"ledger","awsAccountId":"1","awsRegion":"eu-west-1","newEvaluationResult":{"complianceType":"NON_COMPLIANT","resultRecordedTime":"2026-03-04T05:06:07Z"}}"#;
    let event = change(SOURCE, compliance);
    event.has("is_change", false);
    event.has("status_code", "NON_COMPLIANT");
    event.has("event_time", "2026-03-04T05:06:07Z");
    event.has("resource_uids", ["ledger"]);
}

#[test]
fn what_is_no_event_ends_with_a_reason() {
    for (bytes, expected) in [
        ("[]", "skip empty_envelope"),
        (r#"{"Records":[]}"#, "skip empty_envelope"),
        (
            r#"{"messageType":"CONTROL_MESSAGE","logEvents":[]}"#,
            "skip empty_envelope",
        ),
        (r#"{"Event":"s3:TestEvent"}"#, "skip control_message"),
        (
            r#"{"Type":"SubscriptionConfirmation","Message":"You have chosen","SubscribeURL":"https://x"}"#,
            "skip control_message",
        ),
        (
            r#"{"Records":[{"s3":{"object":{"key":"AWSLogs/1/Config/ConfigWritabilityCheckFile"}}}]}"#,
            "skip control_message",
        ),
        (
            r#"{"Records":[{"s3":{"object":{"key":"AWSLogs/1/Config/eu/OversizedChangeNotification/x"}}}]}"#,
            "skip other_record_type",
        ),
        (
            r#"{"messageType":"ConfigurationSnapshotDeliveryCompleted","s3ObjectKey":"k"}"#,
            "skip other_record_type",
        ),
        (
            r#"{"Type":"Notification","Message":"hello"}"#,
            "reject not_json at 33",
        ),
        (r#"{"hello":"world"}"#, "reject unknown_envelope at 0"),
        ("17", "reject unknown_envelope at 0"),
        ("{\"detail-type\":", "reject truncated_json at 15"),
    ] {
        assert_eq!(outcome(SOURCE, bytes.as_bytes()), expected, "{bytes}");
    }
    let mixed = format!("{FINDING}\n{{broken\n{ITEM}\n");
    let at = FINDING.len() + 2;
    assert_eq!(
        outcomes(SOURCE, mixed.as_bytes()),
        [
            "change".to_owned(),
            format!("reject not_json at {at}"),
            "change".to_owned()
        ]
    );
}

#[test]
fn messages_in_messages_have_a_bound() {
    let mut text = ITEM.to_owned();
    for _ in 0..4 {
        text = format!(r#"{{"Type":"Notification","Message":"{}"}}"#, escaped(&text));
    }
    assert_eq!(outcome(SOURCE, text.as_bytes()), "change");
    for _ in 0..2 {
        text = format!(r#"{{"Type":"Notification","Message":"{}"}}"#, escaped(&text));
    }
    assert_eq!(outcome(SOURCE, text.as_bytes()), "reject unknown_envelope at 0");
    let lists = format!("{}{}", "[".repeat(20), "]".repeat(20));
    assert_eq!(outcome(SOURCE, lists.as_bytes()), "reject unknown_envelope at 5");
}

#[test]
fn compressed_records_are_read() {
    let packed = gzip(&on_bus("aws.guardduty", "GuardDuty Finding", FINDING));
    let events = changes(SOURCE, &[], &packed);
    assert_eq!(events.len(), 1);
    assert_eq!(
        events[0].get("event_uid"),
        change(SOURCE, FINDING).get("event_uid")
    );
}

#[test]
fn one_deployment_is_one_change_in_all_its_states() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let trigger = r#""execution-trigger":{"trigger-type":"StartPipelineExecution","trigger-detail":"arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_1/ada"}"#;
    let started = on_bus(
        "aws.codepipeline",
        "CodePipeline Pipeline Execution State Change",
        &format!(r#"{{"pipeline":"shop","execution-id":"x1","state":"STARTED","version":4,{trigger}}}"#),
    );
    let source = on_bus(
        "aws.codepipeline",
        "CodePipeline Action Execution State Change",
        &format!(
            r#"{{"pipeline":"shop","execution-id":"x1","stage":"Source","state":"SUCCEEDED","execution-result":{{"external-execution-summary":"PAY-77: raise the limit","external-execution-id":"{commit}"}}}}"#
        ),
    );
    let failed = started.replace("STARTED", "FAILED").replace("bus-1", "bus-2");
    let [started, source, failed] = [started, source, failed].map(|text| change(SOURCE, &text));
    assert_eq!(started.get("change_uid"), source.get("change_uid"));
    assert_eq!(started.get("change_uid"), failed.get("change_uid"));
    assert_ne!(started.get("event_uid"), failed.get("event_uid"));
    started.has("actor_uid", "ada");
    started.has("actor_type_id", 1);
    started.has(
        "actor_issuer",
        "arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_1",
    );
    started.has("cicd_pipeline", "shop");
    started.has("cicd_run_id", "x1");
    started.has("resource_uids", ["shop"]);
    started.has("class_uid", 6002);
    started.has("privilege_class", "pipeline");
    failed.has("status_id", 2);
    source.has("ticket_uids", ["PAY-77"]);
    source.has("vcs_head_revision", commit);
    source.has_mark("missing_actor");
}

#[test]
fn each_service_says_what_was_done() {
    let asg = r#"["arn:aws:autoscaling:eu-west-1:1:autoScalingGroup:u:autoScalingGroupName/web","arn:aws:ec2:eu-west-1:1:instance/i-1"]"#;
    // Source, detail type, resources, detail; then verb, is_change, first resource, actor.
    let table = [
        (
            [
                "aws.codedeploy",
                "CodeDeploy Deployment State-change Notification",
                "[]",
                r#"{"application":"shop","deploymentId":"d-1","deploymentGroup":"blue","state":"SUCCESS"}"#,
            ],
            ["other", "true", "blue", ""],
        ),
        (
            [
                "aws.codebuild",
                "CodeBuild Build State Change",
                "[]",
                r#"{"build-status":"FAILED","project-name":"shop","build-id":"arn:aws:codebuild:eu:1:build/shop:1","additional-information":{"initiator":"codepipeline/shop"}}"#,
            ],
            [
                "other",
                "true",
                "arn:aws:codebuild:eu:1:build/shop:1",
                "codepipeline/shop",
            ],
        ),
        (
            [
                "aws.autoscaling",
                "EC2 Instance Terminate Successful",
                asg,
                r#"{"AutoScalingGroupName":"web","EC2InstanceId":"i-1","ActivityId":"a"}"#,
            ],
            [
                "delete",
                "true",
                "arn:aws:autoscaling:eu-west-1:1:autoScalingGroup:u:autoScalingGroupName/web",
                "autoscaling.amazonaws.com",
            ],
        ),
        (
            [
                "aws.ec2",
                "EC2 Instance State-change Notification",
                "[]",
                r#"{"instance-id":"i-1","state":"pending"}"#,
            ],
            ["create", "true", "i-1", ""],
        ),
        (
            [
                "aws.ec2",
                "EC2 Spot Instance Interruption Warning",
                "[]",
                r#"{"instance-id":"i-1"}"#,
            ],
            ["other", "false", "i-1", ""],
        ),
        (
            [
                "aws.ec2",
                "EBS Volume Notification",
                r#"["arn:aws:ec2:eu:1:volume/vol-1"]"#,
                r#"{"event":"createVolume","result":"available"}"#,
            ],
            ["create", "true", "arn:aws:ec2:eu:1:volume/vol-1", ""],
        ),
        (
            [
                "aws.ecr",
                "ECR Image Action",
                "[]",
                r#"{"action-type":"DELETE","repository-name":"shop","result":"SUCCESS"}"#,
            ],
            ["delete", "true", "shop", ""],
        ),
        (
            [
                "aws.ecr",
                "ECR Image Scan",
                "[]",
                r#"{"scan-status":"COMPLETE","repository-name":"shop"}"#,
            ],
            ["read", "false", "shop", ""],
        ),
        (
            [
                "aws.ecs",
                "ECS Task State Change",
                "[]",
                r#"{"taskArn":"arn:aws:ecs:eu:1:task/t","desiredStatus":"STOPPED","lastStatus":"RUNNING","startedBy":"ecs-svc/9"}"#,
            ],
            ["delete", "true", "arn:aws:ecs:eu:1:task/t", "ecs.amazonaws.com"],
        ),
        (
            [
                "aws.ssm",
                "Parameter Store Change",
                "[]",
                r#"{"operation":"Delete","name":"/db/limit","type":"String"}"#,
            ],
            ["delete", "true", "/db/limit", ""],
        ),
        (
            ["aws.kms", "KMS CMK Deletion", "[]", r#"{"key-id":"k-1"}"#],
            ["delete", "true", "k-1", ""],
        ),
        (
            [
                "aws.s3",
                "Object Created",
                r#"["arn:aws:s3:::ledger"]"#,
                r#"{"bucket":{"name":"ledger"},"object":{"key":"a/b"},"requester":"111122223333","source-ip-address":"203.0.113.9"}"#,
            ],
            ["create", "true", "arn:aws:s3:::ledger/a/b", "111122223333"],
        ),
        (
            [
                "aws.codecommit",
                "CodeCommit Repository State Change",
                "[]",
                r#"{"event":"referenceUpdated","repositoryName":"shop","callerUserArn":"arn:aws:iam::1:user/ada","commitId":"c"}"#,
            ],
            ["update", "true", "shop", "arn:aws:iam::1:user/ada"],
        ),
        (
            [
                "aws.health",
                "AWS Health Event",
                "[]",
                r#"{"eventArn":"e","affectedEntities":[{"entityValue":"i-9"}]}"#,
            ],
            ["other", "false", "e", ""],
        ),
        (
            [
                "aws.events",
                "Scheduled Event",
                r#"["arn:aws:events:eu:1:rule/tick"]"#,
                "{}",
            ],
            ["other", "false", "arn:aws:events:eu:1:rule/tick", ""],
        ),
        (
            ["acme.shop", "Limit Changed", "[]", r#"{"name":"max-payout"}"#],
            ["update", "true", "max-payout", ""],
        ),
    ];
    for ([service, kind, resources, detail], [verb, is_change, resource, actor]) in table {
        let text = on_bus(service, kind, detail)
            .replace(r#""resources":[]"#, &format!(r#""resources":{resources}"#));
        let event = change(SOURCE, &text);
        event.has("action_verb", verb);
        event.has("is_change", is_change == "true");
        assert_eq!(
            event.get("resource_uids").and_then(|list| list.get(0)).unwrap(),
            resource,
            "{text}"
        );
        if actor.is_empty() {
            event.has_mark("missing_actor");
        } else {
            event.has("actor_uid", actor);
        }
    }
}

#[test]
fn security_hub_is_the_worst_of_its_findings() {
    let detail = r#"{"findings":[{"Id":"f1","Title":"open","Severity":{"Label":"LOW"},"Resources":[{"Type":"AwsEc2SecurityGroup","Id":"arn:aws:ec2:eu:1:security-group/sg-1"}]},
        {"Id":"f2","Severity":{"Normalized":90},"Resources":[{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::ledger"}]}]}"#;
    let event = change(
        SOURCE,
        &on_bus("aws.securityhub", "Security Hub Findings - Imported", detail),
    );
    event.has("is_change", false);
    event.has("severity_id", 5);
    event.has("status_detail", "open");
    event.has("resource_types", ["AwsEc2SecurityGroup", "AwsS3Bucket"]);
}

#[test]
fn a_call_whose_record_is_no_object_is_still_one() {
    let event = change(SOURCE, &on_bus("aws.iam", "AWS API Call via CloudTrail", "\"x\""));
    event.has("is_change", true);
    event.has_mark("unknown_type");
}

#[test]
fn an_event_without_id_time_or_actor_is_still_a_change() {
    let event = change(
        SOURCE,
        r#"{"detail-type":"EC2 Instance State-change Notification","source":"aws.ec2"}"#,
    );
    event.has("is_change", true);
    for mark in ["uid_from_content", "missing_actor", "missing_time"] {
        event.has_mark(mark);
    }
    let event = change(
        SOURCE,
        r#"{"configurationItem":{"resourceType":"AWS::EC2::VPC"}}"#,
    );
    event.has("is_change", true);
    event.has_mark("uid_from_content");
}

#[test]
fn spelling_and_types_may_differ() {
    let event = change(
        SOURCE,
        r#"{"Version":1,"ID":17,"Detail-Type":"EC2 Instance Launch Successful","SOURCE":"aws.autoscaling","account":111122223333,
        "time":1772600768,"region":{"a":1},"resources":"none","detail":{"autoscalinggroupname":"web","statuscode":"InProgress"},"detail":{"autoscalinggroupname":"api"}}"#,
    );
    event.has("native_uid", "17");
    event.has("account_uid", "111122223333");
    event.has("event_time", "2026-03-04T05:06:08Z");
    event.has("resource_uids", ["api"]);
    event.has("is_change", true);
    for mark in ["wrong_type", "unknown_version", "duplicate_key"] {
        event.has_mark(mark);
    }
    change(SOURCE, &on_bus("partner", "Thing Happened", "{}")).has_mark("unknown_type");
}

#[test]
fn variables_and_tokens_are_masked() {
    let lambda = ITEM.replace(
        r#"{"groupName":"web"}"#,
        r#"{"functionName":"f","environment":{"variables":{"STAGE":"hunter2-a","TOKEN":"hunter2-b"}}}"#,
    );
    let build = r#"{"build-status":"SUCCEEDED","additional-information":{"environment":{"environment-variables":[{"name":"A","type":"PLAINTEXT","value":"hunter2-c"}]}}}"#;
    let hook = r#"{"LifecycleActionToken":"hunter2-d","AutoScalingGroupName":"web"}"#;
    for event in [
        lambda,
        on_bus("aws.codebuild", "CodeBuild Build State Change", build),
        on_bus("aws.autoscaling", "EC2 Instance-launch Lifecycle Action", hook),
    ] {
        for envelope in envelopes(&event) {
            let event = change(SOURCE, &envelope);
            event.has_mark("secret_masked");
            event.keeps_no_secret();
        }
    }
}
