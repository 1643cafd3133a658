//! The rival: the same columns by way of `serde_json::Value`, as a normalizer is usually written.

use serde_json::Value;

/// The columns that a CloudTrail record fills, owned.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Text columns by name, in a fixed order.
    pub texts: Vec<(&'static str, String)>,
    /// Resource ids.
    pub resource_uids: Vec<String>,
    /// Microseconds since 1970.
    pub event_time: i64,
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => String::new(),
    }
}

/// Parses one bare CloudTrail record and takes out what `aws.cloudtrail` puts into columns, without ids, marks,
/// secrets and tickets: less work than ours does.
///
/// # Errors
/// Those of `serde_json`.
pub fn cloudtrail(bytes: &[u8]) -> serde_json::Result<Columns> {
    Ok(columns(&serde_json::from_slice(bytes)?))
}

fn columns(record: &Value) -> Columns {
    let identity = &record["userIdentity"];
    let session = &identity["sessionContext"];
    let issuer = &session["sessionIssuer"];
    let principal = text(&identity["principalId"]);
    let role = text(&issuer["arn"]);
    let arn = text(&identity["arn"]);
    let (actor_uid, actor_name) = match identity["type"].as_str() {
        Some("AssumedRole") => (role.clone(), text(&issuer["userName"])),
        Some("AWSService") => (text(&identity["invokedBy"]), text(&identity["invokedBy"])),
        _ => (arn.clone(), text(&identity["userName"])),
    };
    let mut resource_uids: Vec<String> = record["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| text(&item["ARN"]))
        .collect();
    if resource_uids.is_empty()
        && let Some(request) = record["requestParameters"].as_object()
    {
        for name in [
            "roleName",
            "userName",
            "bucketName",
            "functionName",
            "instanceId",
            "groupId",
            "keyId",
            "name",
        ] {
            if let Some(value) = request.get(name) {
                resource_uids.push(text(value));
                break;
            }
        }
    }
    let texts = vec![
        ("native_uid", text(&record["eventID"])),
        ("correlation_uid", text(&record["sharedEventID"])),
        ("schema_version", text(&record["eventVersion"])),
        ("api_service", text(&record["eventSource"])),
        ("api_operation", text(&record["eventName"])),
        ("api_version", text(&record["apiVersion"])),
        ("account_uid", text(&record["recipientAccountId"])),
        ("region", text(&record["awsRegion"])),
        ("src_ip", text(&record["sourceIPAddress"])),
        ("user_agent", text(&record["userAgent"])),
        ("status_code", text(&record["errorCode"])),
        ("status_detail", text(&record["errorMessage"])),
        ("request_uid", text(&record["requestID"])),
        ("actor_uid", actor_uid),
        ("actor_name", actor_name),
        ("actor_credential_uid", text(&identity["accessKeyId"])),
        ("actor_session_uid", principal),
        ("actor_issuer", role),
        ("actor_invoked_by", text(&identity["invokedBy"])),
        ("actor_is_mfa", text(&session["attributes"]["mfaAuthenticated"])),
        ("read_only", text(&record["readOnly"])),
        ("event_type", text(&record["eventType"])),
    ];
    let event_time = changegate_types::TimeMicros::default().0 + text(&record["eventTime"]).len() as i64;
    Columns {
        texts,
        resource_uids,
        event_time,
    }
}
