//! AWS CloudTrail: management and data events, in each envelope that carries them.
//!
//! Fields: CloudTrail user guide, "CloudTrail record contents" (event version 1.11) and "userIdentity element".

mod classify;
mod identity;
mod naming;
mod resources;

use changegate_json::{Kind, Value, members};
use changegate_types::{
    ActorType, ChangeEvent, Class, Mark, PrivilegeClass, RejectCode, SkipReason, Status, Verb,
};

use super::Source;
use super::aws_eventbridge::{EventBridge, is_call};
use crate::context::{Context, Draft, Found, List, Unwrapped};
use crate::memo::Memo;
use crate::secret::{SecretRules, Subtree};
use crate::verb;

pub(crate) use classify::privilege_class;
pub(crate) use identity::session_role;

/// `aws.cloudtrail`.
pub(crate) struct CloudTrail;

/// Newest minor version of event version 1 that this module knows.
const NEWEST_MINOR: u32 = 11;

const SECRETS: SecretRules = SecretRules {
    names: &[
        "accessKeySecret",
        "ssmSecureString",
        "defaultPassword",
        "lifecycleActionToken",
    ],
    subtrees: &[
        // SSM: the value of a parameter is one only if its type says so.
        Subtree {
            names: &["value"],
            when: |_, object| object.get("type").text() == "SecureString",
            leaf: "",
        },
        // Lambda: `environment.variables`; ECS and CodeBuild: lists of name and value.
        Subtree {
            names: &["variables"],
            when: |_, _| true,
            leaf: "",
        },
        Subtree {
            names: &[
                "environment",
                "environmentVariables",
                "environmentVariablesOverride",
            ],
            when: |_, _| true,
            leaf: "value",
        },
    ],
};

impl Source for CloudTrail {
    fn name(&self) -> &'static str {
        "aws.cloudtrail"
    }

    fn secrets(&self) -> &'static SecretRules {
        &SECRETS
    }

    fn lines(&self) -> bool {
        true
    }

    fn unwrap<'a>(&self, context: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
        unwrap(context, root, true, out);
    }

    fn normalize<'a>(&self, context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
        if !begins_as_written(child) && child.get("detail-type").is_some() {
            return EventBridge.normalize(context, child);
        }
        normalize(context, child)
    }
}

fn unwrap<'a>(
    context: &mut Context<'a>,
    root: Value<'a>,
    in_record: bool,
    out: &mut List<'a, Unwrapped<'a>>,
) {
    if begins_as_written(root) {
        return record(context, root, root, in_record, out);
    }
    if root.kind() == Kind::Array {
        root.items()
            .for_each(|item| unwrap(context, item, in_record, out));
        if out.is_empty() {
            out.push(Unwrapped::Skip(SkipReason::EmptyEnvelope));
        }
        return;
    }
    let list = root.any(&["Records", "Events"]);
    let log_events = root.get("logEvents");
    if list.kind() == Kind::Array {
        list.items()
            .for_each(|item| record(context, item, root, in_record, out));
        if out.is_empty() {
            out.push(Unwrapped::Skip(SkipReason::EmptyEnvelope));
        }
    } else if log_events.is_some() || root.get("messageType").is_some() {
        // CloudWatch Logs subscription: a check message, or messages that are each a record as a string.
        if root.get("messageType").text() == "CONTROL_MESSAGE" {
            out.push(Unwrapped::Skip(SkipReason::ControlMessage));
            return;
        }
        for event in log_events.items() {
            let message = event.get("message");
            let inner = context.nested(message);
            if inner.kind() == Kind::Object {
                out.push(Unwrapped::Child(Found {
                    value: inner,
                    envelope: event,
                    in_record: false,
                }));
            } else {
                let reason = "the message of this log event is no CloudTrail record in JSON";
                out.push(Unwrapped::reject(message, RejectCode::NotJson, reason));
            }
        }
        if out.is_empty() {
            out.push(Unwrapped::Skip(SkipReason::EmptyEnvelope));
        }
    } else if root.get("Type").text() == "Notification" && root.get("Message").kind() == Kind::String {
        let inner = context.nested(root.get("Message"));
        unwrap(context, inner, false, out);
    } else {
        record(context, root, root, in_record, out);
    }
}

/// Whether a record begins as CloudTrail itself writes it: everything else is looked at member by member.
fn begins_as_written(value: Value<'_>) -> bool {
    value
        .members()
        .next()
        .is_some_and(|(name, _)| name == "eventVersion")
}

/// One record, bare or in the envelope that EventBridge or LookupEvents puts around it.
fn record<'a>(
    context: &mut Context<'a>,
    value: Value<'a>,
    envelope: Value<'a>,
    in_record: bool,
    out: &mut List<'a, Unwrapped<'a>>,
) {
    if begins_as_written(value) {
        out.push(Unwrapped::Child(Found {
            value,
            envelope,
            in_record,
        }));
        return;
    }
    let detail = value.get("detail");
    if detail.kind() == Kind::Object && value.any(&["detail-type", "source"]).is_some() {
        // A rule may let other events of the bus through than calls.
        let other = value.get("detail-type").is_some() && !is_call(value, detail);
        out.push(Unwrapped::Child(Found {
            value: if other { value } else { detail },
            envelope: value,
            in_record,
        }));
        return;
    }
    let inner = value.get("CloudTrailEvent");
    if inner.is_some() {
        let nested = context.nested(inner);
        let (value, in_record) = if nested.kind() == Kind::Object {
            (nested, in_record && inner.kind() == Kind::Object)
        } else {
            (value, in_record)
        };
        out.push(Unwrapped::Child(Found {
            value,
            envelope,
            in_record,
        }));
        return;
    }
    if value.get("digestStartTime").is_some() {
        out.push(Unwrapped::Skip(SkipReason::OtherRecordType));
        return;
    }
    let known = [
        "eventName",
        "eventSource",
        "eventID",
        "userIdentity",
        "eventVersion",
        "eventTime",
        "EventName",
        "EventId",
    ];
    // Other providers' hooks have an `eventId` and an `eventTime` too.
    let of_others = ["cloudEventsVersion", "eventTypeVersion"];
    if value.kind() == Kind::Object && value.any(&known).is_some() && value.any(&of_others).is_none() {
        out.push(Unwrapped::Child(Found {
            value,
            envelope,
            in_record,
        }));
    } else {
        out.push(Unwrapped::reject(
            value,
            RejectCode::UnknownEnvelope,
            "no CloudTrail record: none of eventName, eventSource, eventID, userIdentity is there",
        ));
    }
}

/// One record, whatever it came in.
pub(super) fn normalize<'a>(context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
    let event = context.arena.alloc_with(|| ChangeEvent {
        cloud_provider: "AWS",
        source_product: "CloudTrail",
        ..ChangeEvent::default()
    });
    let mut parts = Parts::default();
    for (name, value) in child.members() {
        match name {
            "eventVersion" => event.schema_version = context.text(value),
            "userIdentity" => parts.identity = value,
            "eventTime" => event.event_time = context.time(value).unwrap_or_default(),
            "eventSource" => event.api_service = context.text(value),
            "eventName" => event.api_operation = context.text(value),
            "awsRegion" => event.region = context.text(value),
            "sourceIPAddress" => context.address(event, value),
            "userAgent" => event.user_agent = context.text(value),
            "errorCode" => event.status_code = context.text(value),
            "errorMessage" => event.status_detail = context.text(value),
            "requestParameters" => parts.request = value,
            "responseElements" => parts.response = value,
            "additionalEventData" => parts.additional = value,
            "requestID" => event.request_uid = context.text(value),
            "eventID" => event.native_uid = context.text(value),
            "readOnly" => parts.read_only = value.bool(),
            "resources" => parts.resources = value,
            "eventType" => parts.event_type = context.text(value),
            "apiVersion" => event.api_version = context.text(value),
            "recipientAccountId" => event.account_uid = context.text(value),
            "sharedEventID" => event.correlation_uid = context.text(value),
            "addendum" => parts.addendum = value,
            "eventCategory" if value.text() == "Insight" => return Err(SkipReason::OtherRecordType),
            "vpcEndpointId"
            | "managementEvent"
            | "eventCategory"
            | "tlsDetails"
            | "sessionCredentialFromConsole" => {}
            _ => other_member(context, event, &mut parts, name, value),
        }
    }
    version(context, event.schema_version);
    if event.correlation_uid.is_empty() {
        event.correlation_uid = event.request_uid;
    }
    identity::resolve(context, event, parts.identity);
    outcome(event, parts.response);
    kind(context, event, &parts);
    resources::name(context, event, parts.resources, parts.request, parts.response);

    for part in [parts.request, parts.response, parts.additional] {
        if part.get("omitted").bool() == Some(true) {
            context.mark(Mark::Truncated);
        }
    }
    tickets(context, parts.request);
    if parts.addendum.is_some() {
        event.is_amendment_of = parts.addendum.get("originalEventID").text();
        context.mark(Mark::Amendment);
    }
    Ok(Draft::by_native_uid(event))
}

/// The members that are not plain columns.
#[derive(Default)]
struct Parts<'a> {
    identity: Value<'a>,
    request: Value<'a>,
    response: Value<'a>,
    additional: Value<'a>,
    resources: Value<'a>,
    addendum: Value<'a>,
    event_type: &'a str,
    read_only: Option<bool>,
}

/// Members in another case, and those of the LookupEvents summary, whose names begin in upper case.
#[cold]
fn other_member<'a>(
    context: &mut Context<'a>,
    event: &mut ChangeEvent<'a>,
    parts: &mut Parts<'a>,
    name: &'a str,
    value: Value<'a>,
) {
    let mut fill = |field: &mut &'a str| {
        if field.is_empty() {
            *field = context.text(value);
        }
    };
    match name {
        _ if name.eq_ignore_ascii_case("eventName") => fill(&mut event.api_operation),
        _ if name.eq_ignore_ascii_case("eventSource") => fill(&mut event.api_service),
        _ if name.eq_ignore_ascii_case("eventId") => fill(&mut event.native_uid),
        _ if name.eq_ignore_ascii_case("awsRegion") => fill(&mut event.region),
        _ if name.eq_ignore_ascii_case("userAgent") => fill(&mut event.user_agent),
        _ if name.eq_ignore_ascii_case("errorCode") => fill(&mut event.status_code),
        _ if name.eq_ignore_ascii_case("errorMessage") => fill(&mut event.status_detail),
        _ if name.eq_ignore_ascii_case("recipientAccountId") => fill(&mut event.account_uid),
        _ if name.eq_ignore_ascii_case("requestId") => fill(&mut event.request_uid),
        _ if name.eq_ignore_ascii_case("eventType") => fill(&mut parts.event_type),
        _ if name.eq_ignore_ascii_case("eventVersion") => fill(&mut event.schema_version),
        "Username" => fill(&mut event.actor_name),
        "AccessKeyId" => fill(&mut event.actor_credential_uid),
        _ if name.eq_ignore_ascii_case("eventTime") => {
            event.event_time = context.time(value).unwrap_or_default()
        }
        _ if name.eq_ignore_ascii_case("sourceIPAddress") => context.address(event, value),
        _ if name.eq_ignore_ascii_case("readOnly") => parts.read_only = value.bool(),
        _ if name.eq_ignore_ascii_case("userIdentity") => parts.identity = value,
        _ if name.eq_ignore_ascii_case("requestParameters") => parts.request = value,
        _ if name.eq_ignore_ascii_case("responseElements") => parts.response = value,
        _ if name.eq_ignore_ascii_case("resources") => parts.resources = value,
        _ => {}
    }
}

/// The guide: "compare the major version for equality, the minor for greater or equal".
fn version(context: &mut Context<'_>, version: &str) {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    let known =
        version.is_empty() || (major == "1" && minor.parse().is_ok_and(|minor: u32| minor <= NEWEST_MINOR));
    if !known {
        context.mark(Mark::UnknownVersion);
    }
}

/// No `errorCode` means success, but sign-in says so in the response.
fn outcome<'a>(event: &mut ChangeEvent<'a>, response: Value<'a>) {
    let [console, mfa, role] = members!(response, "ConsoleLogin", "CheckMfa", "SwitchRole");
    let sign_in = console.or(|| mfa).or(|| role).text();
    event.status = match (event.status_code, sign_in) {
        ("", "Failure") => Status::Failure,
        ("", _) => Status::Success,
        _ => Status::Failure,
    };
    if event.status_code.is_empty() {
        event.status_code = sign_in;
    }
}

/// What follows from service and operation alone.
#[derive(Clone, Copy)]
struct Operation {
    verb: Verb,
    privilege_class: PrivilegeClass,
    is_sign_in: bool,
    /// Where it changes something.
    class: Class,
}

impl Operation {
    fn of(service: &str, operation: &str) -> Self {
        thread_local! {
            static KNOWN: Memo<Operation, 2> = const { Memo::new() };
        }
        KNOWN.with(|known| {
            known.get([service, operation], || Self {
                verb: verb::of(operation),
                privilege_class: privilege_class(service, operation),
                is_sign_in: service == "signin.amazonaws.com" || classify::is_sign_in(operation),
                class: classify::class(service, operation, Verb::Other),
            })
        })
    }
}

fn kind<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let operation = Operation::of(event.api_service, event.api_operation);
    let sign_in = operation.is_sign_in || parts.event_type == "AwsConsoleSignIn";
    event.verb = match operation.verb {
        // The record's own word counts for operations that read under another name (GenerateDataKey, AssumeRole).
        _ if parts.read_only == Some(true) => Verb::Read,
        Verb::Read if parts.read_only == Some(false) => Verb::Other,
        Verb::Unknown if parts.read_only == Some(false) => Verb::Other,
        verb => verb,
    };
    event.privilege_class = operation.privilege_class;
    event.class = match event.verb {
        _ if sign_in => Class::Authentication,
        Verb::Read => Class::ApiActivity,
        _ => operation.class,
    };
    event.activity = if sign_in {
        1
    } else {
        verb::activity(event.class, event.verb)
    };
    event.is_change = !sign_in && event.verb != Verb::Read && !event.api_operation.is_empty();
    if sign_in
        && let Some(used) = Some(parts.additional.get("MFAUsed").text()).filter(|used| !used.is_empty())
    {
        event.actor_is_mfa = Some(used.eq_ignore_ascii_case("yes"));
    }
    let known_types = [
        "AwsApiCall",
        "AwsServiceEvent",
        "AwsConsoleAction",
        "AwsConsoleSignIn",
        "AwsVpceEvent",
        "AwsCloudTrailInsight",
        "",
    ];
    if !known_types.contains(&parts.event_type) {
        context.mark(Mark::UnknownType);
    }
    if event.actor_type == ActorType::Unknown && parts.event_type == "AwsServiceEvent" {
        event.actor_type = ActorType::System;
    }
}

/// Tickets stand in tags, descriptions and session names.
fn tickets<'a>(context: &mut Context<'a>, request: Value<'a>) {
    for (name, value) in request.members() {
        let length = name.len();
        let tags = length >= 3 && name.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("tag"));
        if tags
            || matches!(
                name,
                "roleSessionName" | "description" | "comment" | "changeSetName" | "commitMessage" | "reason"
            )
        {
            context.tickets_below(value);
        }
    }
}

#[cfg(test)]
mod tests;
