//! The rival for CloudTrail. It is let off resources that only an ending or an error names.

use std::collections::HashMap;

use changegate_types::{ActorType, Class, Mark, Status, Verb};
use serde_json::Value;

use super::mask::{Below, Rules};
use super::members::{Members, owned, take};
use super::{Columns, Generic, Source, verb};

mod identity;
mod resources;

// The tables are the product's own, so that both sides decide by the same words.
#[path = "../../../crates/normalize/src/source/aws_cloudtrail/classify.rs"]
mod classify;
#[path = "../../../crates/normalize/src/source/aws_cloudtrail/naming.rs"]
mod naming;

const RULES: Rules = Rules {
    names: &[
        "accessKeySecret",
        "ssmSecureString",
        "defaultPassword",
        "lifecycleActionToken",
    ],
    about_secrets: |_| false,
    held: |_, object| {
        let secure =
            object.contains_key("value") && object.get("type").is_some_and(|kind| kind == "SecureString");
        if secure { &["value"] } else { &[] }
    },
    below: |name| match name {
        "variables" => Below::All,
        "environment" | "environmentvariables" | "environmentvariablesoverride" => Below::Leaf("value"),
        _ => Below::None,
    },
};

/// `aws.cloudtrail`.
#[derive(Debug)]
pub(super) struct CloudTrail {
    naming: HashMap<String, usize>,
}

impl CloudTrail {
    pub(super) fn new() -> Self {
        let naming = naming::NAMING.iter().enumerate();
        Self {
            naming: naming
                .map(|(rank, (name, _))| (name.to_ascii_lowercase(), rank))
                .collect(),
        }
    }
}

impl Source for CloudTrail {
    fn name(&self) -> &'static str {
        "aws.cloudtrail"
    }

    fn rules(&self) -> Rules {
        RULES
    }

    fn columns(&self, generic: &Generic, record: Value) -> Columns {
        let mut columns = Columns {
            cloud_provider: "AWS",
            source_product: "CloudTrail",
            ..Columns::default()
        };
        let mut record = Members::of(record);
        let (identity, request, response) = (
            record.value("userIdentity"),
            record.value("requestParameters"),
            record.value("responseElements"),
        );
        let (additional, addendum) = (record.value("additionalEventData"), record.value("addendum"));
        columns.schema_version = record.text("eventVersion");
        columns.api_service = record.text("eventSource");
        columns.api_operation = record.text("eventName");
        columns.region = record.text("awsRegion");
        columns.user_agent = record.text("userAgent");
        columns.status_code = record.text("errorCode");
        columns.status_detail = record.text("errorMessage");
        columns.request_uid = record.text("requestID");
        columns.native_uid = record.text("eventID");
        columns.api_version = record.text("apiVersion");
        columns.account_uid = record.text("recipientAccountId");
        columns.correlation_uid = record.text("sharedEventID");
        columns.event_time = record.time("eventTime").unwrap_or_default();
        let (event_type, address) = (record.text("eventType"), record.text("sourceIPAddress"));
        let read_only = record.text("readOnly").parse().ok();
        if columns.correlation_uid.is_empty() {
            columns.correlation_uid.clone_from(&columns.request_uid);
        }
        columns.address(address);
        let minor = columns
            .schema_version
            .strip_prefix("1.")
            .and_then(|minor| minor.parse().ok());
        if !columns.schema_version.is_empty() && minor.is_none_or(|minor: u32| minor > 11) {
            columns.marks.set(Mark::UnknownVersion);
        }
        identity::actor(generic, &mut columns, identity);
        kind(&mut columns, &event_type, read_only, &response, &additional);
        tickets(generic, &mut columns, &request);
        for part in [&request, &response, &additional] {
            if part["omitted"] == true {
                columns.marks.set(Mark::Truncated);
            }
        }
        if let Value::Object(mut addendum) = addendum {
            columns.is_amendment_of = addendum.remove("originalEventID").map(owned).unwrap_or_default();
            columns.marks.set(Mark::Amendment);
        }
        self.resources(&mut columns, record.value("resources"), request, response);
        record.finish(&mut columns);
        columns
    }
}

fn tickets(generic: &Generic, columns: &mut Columns, request: &Value) {
    let written = [
        "roleSessionName",
        "description",
        "comment",
        "changeSetName",
        "commitMessage",
        "reason",
    ];
    for (name, value) in request.as_object().into_iter().flatten() {
        let tags = name.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("tag"));
        if tags || written.contains(&name.as_str()) {
            generic.tickets_below(columns, value);
        }
    }
}

fn kind(
    columns: &mut Columns,
    event_type: &str,
    read_only: Option<bool>,
    response: &Value,
    additional: &Value,
) {
    let signed_in = ["ConsoleLogin", "CheckMfa", "SwitchRole"]
        .iter()
        .find_map(|name| response[name].as_str());
    columns.status = match (columns.status_code.as_str(), signed_in) {
        ("", Some("Failure")) => Status::Failure,
        ("", _) => Status::Success,
        _ => Status::Failure,
    };
    if columns.status_code.is_empty() {
        columns.status_code = signed_in.unwrap_or_default().to_owned();
    }
    let (service, operation) = (columns.api_service.as_str(), columns.api_operation.as_str());
    let sign_in = event_type == "AwsConsoleSignIn"
        || service == "signin.amazonaws.com"
        || classify::is_sign_in(operation);
    columns.verb = match (verb::of(operation), read_only) {
        (_, Some(true)) => Verb::Read,
        (Verb::Read | Verb::Unknown, Some(false)) => Verb::Other,
        (verb, _) => verb,
    };
    columns.privilege_class = classify::privilege_class(service, operation);
    columns.class = if sign_in {
        Class::Authentication
    } else {
        classify::class(service, operation, columns.verb)
    };
    columns.activity = if sign_in {
        1
    } else {
        verb::activity(columns.class, columns.verb)
    };
    columns.is_change = !sign_in && columns.verb != Verb::Read;
    if let Some(used) = additional["MFAUsed"].as_str().filter(|_| sign_in) {
        columns.actor_is_mfa = Some(used.eq_ignore_ascii_case("yes"));
    }
    match event_type {
        "AwsServiceEvent" if columns.actor_type == ActorType::Unknown => {
            columns.actor_type = ActorType::System
        }
        "AwsApiCall"
        | "AwsServiceEvent"
        | "AwsConsoleAction"
        | "AwsConsoleSignIn"
        | "AwsVpceEvent"
        | "AwsCloudTrailInsight"
        | "" => {}
        _ => columns.marks.set(Mark::UnknownType),
    }
}
