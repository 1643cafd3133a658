use crate::testing::{change, outcome};

const SOURCE: &str = "azure.activity";

const RECORD: &str = r#"{"time":"2026-03-04T05:06:07.1234567Z","resourceId":"/SUBSCRIPTIONS/S1/RESOURCEGROUPS/Pay/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/Web/SECURITYRULES/Open",
"operationName":"MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/SECURITYRULES/WRITE","category":"Administrative","resultType":"Success","resultSignature":"Succeeded.Created",
"callerIpAddress":"203.0.113.9","correlationId":"c-1","identity":{"authorization":{"scope":"/s","evidence":{"role":"Contributor","principalId":"p1","principalType":"User"}},
"claims":{"appid":"app-1","iss":"https://sts.example.net/t/","http://schemas.microsoft.com/claims/authnmethodsreferences":"pwd,mfa",
"http://schemas.microsoft.com/identity/claims/objectidentifier":"o-1","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"ada@example.com","name":"Ada L"}},
"level":"Information","location":"global","tenantId":"t-1","properties":{"operationId":"op-1","requestbody":"{\"location\":\"westeurope\",\"tags\":{\"change\":\"CHG0031337\"}}"}}"#;

#[test]
fn a_security_rule_written_by_a_person() {
    let event = change(SOURCE, RECORD);
    event.has("actor_uid", "ada@example.com");
    event.has("actor_name", "Ada L");
    event.has("actor_type_id", 1);
    event.has("actor_is_mfa", true);
    event.has("actor_invoked_by", "app-1");
    event.has("action_verb", "create");
    event.has("privilege_class", "network");
    event.has(
        "resource_uids",
        ["/subscriptions/s1/resourcegroups/pay/providers/microsoft.network/networksecuritygroups/web/securityrules/open"],
    );
    event.has(
        "resource_types",
        ["microsoft.network/networksecuritygroups/securityrules"],
    );
    event.has("resource_names", ["Open"]);
    event.has("account_uid", "S1");
    event.has("org_uid", "t-1");
    // `location` of the record is where it was processed.
    event.has("region", "westeurope");
    event.has("src_ip", "203.0.113.9");
    event.has("event_time", "2026-03-04T05:06:07.123456Z");
    event.has("ticket_uids", ["CHG0031337"]);
    event.has("status_id", 1);
}

#[test]
fn every_envelope_gives_the_same_change() {
    let one_line = RECORD.replace('\n', "");
    let bare = change(SOURCE, &one_line);
    let envelopes = [
        format!(r#"{{"records":[{one_line}]}}"#),
        format!(r#"{{"value":[{one_line}],"nextLink":"x"}}"#),
        format!("[{one_line}]"),
        format!("{one_line}\n{one_line}\n"),
    ];
    bare.is_in_each(SOURCE, envelopes, &["actor_uid", "resource_uids"], &one_line);
}

#[test]
fn the_rest_api_and_the_sdks_spell_it_otherwise() {
    for text in [
        r#"{"authorization":{"action":"Microsoft.Compute/disks/delete","scope":"/subscriptions/S1"},"caller":"ada@example.com","category":{"value":"Administrative","localizedValue":"A"},
        "correlationId":"c","eventDataId":"d","eventTimestamp":"2026-03-04T05:06:07Z","httpRequest":{"clientRequestId":"r","clientIpAddress":"203.0.113.9"},
        "operationId":"o","operationName":{"value":"Microsoft.Compute/disks/delete","localizedValue":"Delete"},"resourceId":"/subscriptions/S1/resourceGroups/G/providers/Microsoft.Compute/disks/D","status":{"value":"Succeeded"}}"#,
        r#"{"authorization":{"action":"Microsoft.Compute/disks/delete","scope":"/subscriptions/S1"},"caller":"ada@example.com","category":{"value":"Administrative","localized_value":"A"},
        "correlation_id":"c","event_data_id":"d","event_timestamp":"2026-03-04T05:06:07Z","http_request":{"client_request_id":"r","client_ip_address":"203.0.113.9"},
        "operation_id":"o","operation_name":{"value":"Microsoft.Compute/disks/delete"},"resource_id":"/subscriptions/S1/resourceGroups/G/providers/Microsoft.Compute/disks/D","status":{"value":"Succeeded"}}"#,
    ] {
        let event = change(SOURCE, text);
        event.has("api_operation", "Microsoft.Compute/disks/delete");
        event.has("action_verb", "delete");
        event.has("privilege_class", "data");
        event.has("actor_uid", "ada@example.com");
        event.has("native_uid", "d");
        event.has("correlation_uid", "c");
        event.has("src_ip", "203.0.113.9");
        event.has("request_uid", "r");
        event.has("status_id", 1);
        event.has("event_time", "2026-03-04T05:06:07Z");
    }
}

/// Case of ids and operations varies from record to record of one operation.
#[test]
fn start_and_end_of_an_operation_are_one_change() {
    let end = RECORD
        .replace("MICROSOFT.NETWORK", "Microsoft.Network")
        .replace("SUBSCRIPTIONS", "subscriptions");
    let start = RECORD.replace(r#""resultType":"Success""#, r#""resultType":"Start""#);
    let (whole, end, start) = (
        change(SOURCE, RECORD),
        change(SOURCE, &end),
        change(SOURCE, &start),
    );
    assert_eq!(whole.get("event_uid"), end.get("event_uid"));
    assert_ne!(start.get("event_uid"), end.get("event_uid"));
    assert_eq!(start.get("change_uid"), end.get("change_uid"));
    start.has("status_id", 0);
    change(SOURCE, &RECORD.replace(r#""Success""#, r#""Succeeded""#)).has("status_id", 1);
    change(SOURCE, &RECORD.replace(r#""Success""#, r#""Failed""#)).has("status_id", 2);
}

#[test]
fn an_application_is_a_service() {
    let event = change(
        SOURCE,
        r#"{"operationName":"Microsoft.Authorization/roleAssignments/write","category":"Write","correlationId":"c","caller":"o-1",
        "claims":{"idtyp":"app","appid":"a-1","http://schemas.microsoft.com/identity/claims/objectidentifier":"o-1","xms_mirid":"/subscriptions/s/mi/x"}}"#,
    );
    event.has("actor_uid", "o-1");
    event.has("actor_type_id", 4);
    event.has("actor_invoked_by", "a-1");
    event.has("actor_delegated_from", ["/subscriptions/s/mi/x"]);
    event.has("privilege_class", "identity");
    event.has("class_uid", 3005);
}

#[test]
fn verbs_and_power() {
    for (operation, verb, power, is_change) in [
        (
            "Microsoft.Storage/storageAccounts/listKeys/action",
            "read",
            "keys",
            false,
        ),
        (
            "Microsoft.Storage/storageAccounts/regenerateKey/action",
            "update",
            "keys",
            true,
        ),
        (
            "Microsoft.Compute/virtualMachines/restart/action",
            "other",
            "compute",
            true,
        ),
        (
            "Microsoft.Insights/diagnosticSettings/delete",
            "delete",
            "logging",
            true,
        ),
        ("Microsoft.KeyVault/vaults/write", "update", "keys", true),
        (
            "Microsoft.Automation/automationAccounts/webhooks/write",
            "update",
            "pipeline",
            true,
        ),
        ("Microsoft.Sql/servers/read", "read", "data", false),
    ] {
        let event = change(
            SOURCE,
            &format!(r#"{{"operationName":"{operation}","correlationId":"c"}}"#),
        );
        event.has("action_verb", verb);
        event.has("privilege_class", power);
        event.has("is_change", is_change);
    }
    let found =
        r#"{"operationName":"Microsoft.Security/locations/alerts/activate/action","category":"Security"}"#;
    change(SOURCE, found).has("is_change", false);
}

#[test]
fn what_is_no_record_ends_with_a_reason() {
    for (bytes, expected) in [
        (r#"{"records":[]}"#, "skip empty_envelope"),
        (
            r#"{"time":"t","category":"AdvancedHunting-DeviceEvents","properties":{}}"#,
            "skip other_record_type",
        ),
        (
            r#"{"category":"kube-scheduler","properties":{"log":"I1"}}"#,
            "skip not_audit",
        ),
        (r#"{"records":[{"a":1}]}"#, "reject unknown_envelope at 12"),
        (r#"{"hello":"world"}"#, "reject unknown_envelope at 0"),
    ] {
        assert_eq!(outcome(SOURCE, bytes.as_bytes()), expected, "{bytes}");
    }
}

#[test]
fn aks_and_entra_on_the_same_hub_are_read_as_what_they_are() {
    let event = change(
        SOURCE,
        r#"{"time":"2026-03-04T05:06:07Z","category":"kube-audit","operationName":"Microsoft.ContainerService/managedClusters/diagnosticLogs/Read","resourceId":"/subscriptions/s/providers/x/managedClusters/blue",
        "properties":{"log":"{\"auditID\":\"a\",\"stage\":\"ResponseComplete\",\"verb\":\"patch\",\"user\":{\"username\":\"ada\"},\"objectRef\":{\"resource\":\"secrets\",\"name\":\"db\"},\"requestObject\":{\"data\":{\"p\":\"hunter2\"}}}"}}"#,
    );
    event.has("actor_uid", "ada");
    event.has("privilege_class", "keys");
    event.has("account_uid", "s");
    event.has("event_time", "2026-03-04T05:06:07Z");
    event.keeps_no_secret();
    let sign_in = r#"{"category":"SignInLogs","operationName":"Sign-in activity","properties":{"id":"1","userPrincipalName":"ada@example.com"}}"#;
    change(SOURCE, sign_in).has("is_change", false);
}

/// A peer's mapper fell back to the operation's name as an id: then all such records would be one.
#[test]
fn a_record_may_leave_out_or_respell_nearly_everything() {
    let event = change(SOURCE, r#"{"operationName":"Microsoft.Web/sites/delete"}"#);
    event.has("is_change", true);
    event.has_not("native_uid");
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
        r#"{"operationname":"microsoft.web/sites/write","correlationid":17,"resourceid":"None","calleripaddress":"203.0.113.9:443","resulttype":"0","properties":"{\"requestbody\":\"{cut\"}"}"#,
    );
    lower.has("correlation_uid", "17");
    lower.has("resource_names", ["None"]);
    lower.has("src_ip", "203.0.113.9");
    lower.has("status_id", 1);
    lower.has_mark("nested_unparsed");
}

#[test]
fn secrets_are_masked() {
    for properties in [
        r#"{"responseBody":"{\"keys\":[{\"keyName\":\"key1\",\"value\":\"hunter2\"}]}"}"#,
        r#"{"requestbody":"{\"properties\":{\"administratorLoginPassword\":\"hunter2\"}}"}"#,
        r#"{"requestbody":"{\"properties\":{\"parameters\":{\"adminPassword\":{\"value\":\"hunter2\"}}}}"}"#,
        r#"{"requestbody":"{\"properties\":{\"siteConfig\":{\"appSettings\":[{\"name\":\"P\",\"value\":\"hunter2\"}]}}}"}"#,
        r#"{"requestbody":"{\"properties\":{\"protectedSettings\":{\"script\":\"hunter2\"}}}"}"#,
        r#"{"responseBody":{"primaryKey":"hunter2"}}"#,
    ] {
        let text = format!(
            r#"{{"operationName":"Microsoft.X/y/write","correlationId":"c","properties":{properties}}}"#
        );
        let event = change(SOURCE, &text);
        event.has_mark("secret_masked");
        event.keeps_no_secret();
    }
}
