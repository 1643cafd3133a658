//! Events of AWS services on EventBridge or SNS: findings, configuration items, pipelines, deployments, instances.
//!
//! Calls that CloudTrail reports through the bus are handed to [`super::aws_cloudtrail`]; they come out as they do there.
//! Fields: EventBridge user guide; AWS Config guide, "Example notifications"; GuardDuty guide, "Findings format".

mod config;
mod finding;
mod service;

use changegate_json::{Kind, Value};
use changegate_types::{ActorType, ChangeEvent, Mark, RejectCode, SkipReason};

use super::Source;
use super::aws_cloudtrail::{self, CloudTrail, session_role};
use crate::context::{Context, Draft, Found, List, Unwrapped, first};
use crate::secret::SecretRules;

/// `aws.eventbridge`.
pub(crate) struct EventBridge;

/// Envelopes inside envelopes: a queue's list, an SNS message, a rule's `invokingEvent`.
const WRAPPINGS: u8 = 5;

impl Source for EventBridge {
    fn name(&self) -> &'static str {
        "aws.eventbridge"
    }

    fn secrets(&self) -> &'static SecretRules {
        CloudTrail.secrets()
    }

    fn lines(&self) -> bool {
        true
    }

    fn unwrap<'a>(&self, context: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
        unwrap(context, root, true, WRAPPINGS, out);
        if out.is_empty() {
            out.push(Unwrapped::Skip(SkipReason::EmptyEnvelope));
        }
    }

    fn normalize<'a>(&self, context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
        let bus = bus(context.envelope, child);
        let detail = child.get("detail");
        let inner = if detail.kind() == Kind::Object {
            detail
        } else {
            child
        };
        Ok(match what(bus, inner) {
            What::Call => return aws_cloudtrail::normalize(context, child),
            What::Config => config::normalize(context, bus, inner),
            What::GuardDuty => finding::guardduty(context, bus, inner),
            What::SecurityHub => finding::security_hub(context, bus, inner),
            What::Service => service::normalize(context, bus, inner),
        })
    }
}

/// What a detail is, wherever it came from.
enum What {
    Call,
    Config,
    GuardDuty,
    SecurityHub,
    Service,
}

fn what(bus: Value<'_>, detail: Value<'_>) -> What {
    if is_call(bus, detail) {
        What::Call
    } else if config::is_one(detail) {
        What::Config
    } else if finding::is_guardduty(bus, detail) {
        What::GuardDuty
    } else if bus.get("source").text() == "aws.securityhub" {
        What::SecurityHub
    } else {
        What::Service
    }
}

/// A record of CloudTrail. Where nothing is left of it but the envelope, it is an event as any other.
pub(super) fn is_call(bus: Value<'_>, detail: Value<'_>) -> bool {
    let said = detail_type(bus).text().ends_with("via CloudTrail") && detail.members().next().is_some();
    said || (detail.any(&["eventName", "userIdentity"]).is_some()
        && detail
            .any(&["eventSource", "eventVersion", "eventType", "eventID"])
            .is_some())
}

fn detail_type(bus: Value<'_>) -> Value<'_> {
    bus.any(&["detail-type", "detailType", "detail_type"])
}

fn is_bus(value: Value<'_>) -> bool {
    detail_type(value).is_some() || value.get("detail").kind() == Kind::Object
}

/// The bus's own event around the child; the child where nothing stands around it.
fn bus<'a>(envelope: Value<'a>, child: Value<'a>) -> Value<'a> {
    if is_bus(child) || !is_bus(envelope) {
        child
    } else {
        envelope
    }
}

fn unwrap<'a>(
    context: &mut Context<'a>,
    root: Value<'a>,
    in_record: bool,
    wrappings: u8,
    out: &mut List<'a, Unwrapped<'a>>,
) {
    let child = |value| {
        Unwrapped::Child(Found {
            value,
            envelope: root,
            in_record,
        })
    };
    let Some(left) = wrappings.checked_sub(1) else {
        out.push(unknown(root));
        return;
    };
    if root.kind() == Kind::Array {
        root.items()
            .for_each(|item| unwrap(context, item, in_record, left, out));
    } else if is_bus(root) {
        let detail = root.get("detail");
        // What has an id of its own is the same event in every envelope.
        let alone = detail.members().next().is_some()
            && !matches!(what(root, detail), What::SecurityHub | What::Service);
        out.push(child(if alone { detail } else { root }));
    } else if root.get("Message").is_some() && root.any(&["Type", "TopicArn", "MessageId"]).is_some() {
        if root.get("Type").text().ends_with("Confirmation") || root.get("SubscribeURL").is_some() {
            out.push(Unwrapped::Skip(SkipReason::ControlMessage));
        } else {
            string(context, root.get("Message"), in_record, left, out);
        }
    } else if root.get("invokingEvent").is_some() {
        string(context, root.get("invokingEvent"), in_record, left, out);
    } else if root.get("logEvents").kind() == Kind::Array {
        // A log group as the rule's target, and its subscription.
        let messages = root.get("logEvents").items().map(|event| event.get("message"));
        messages.for_each(|message| string(context, message, in_record, left, out));
    } else if root.get("configurationItems").kind() == Kind::Array {
        root.get("configurationItems")
            .items()
            .for_each(|item| out.push(child(item)));
    } else if root.get("Records").kind() == Kind::Array {
        root.get("Records")
            .items()
            .for_each(|item| delivered(context, item, in_record, left, out));
    } else if is_call(root, root) || finding::is_guardduty(root, root) {
        out.push(child(root));
    } else if config::is_one(root) || root.get("messageType").is_some() {
        out.push(match root.get("messageType").text() {
            "CONTROL_MESSAGE" => Unwrapped::Skip(SkipReason::ControlMessage),
            "" | "ComplianceChangeNotification" => child(root),
            kind if kind.ends_with("ItemChangeNotification") => child(root),
            // That a snapshot or a history file was delivered, that an evaluation began.
            _ => Unwrapped::Skip(SkipReason::OtherRecordType),
        });
    } else if root.get("Event").text() == "s3:TestEvent" {
        out.push(Unwrapped::Skip(SkipReason::ControlMessage));
    } else {
        out.push(unknown(root));
    }
}

/// JSON inside a string; some producers leave out the inner encoding.
fn string<'a>(
    context: &mut Context<'a>,
    value: Value<'a>,
    in_record: bool,
    left: u8,
    out: &mut List<'a, Unwrapped<'a>>,
) {
    let inner = context.nested(value);
    if matches!(inner.kind(), Kind::Object | Kind::Array) {
        unwrap(
            context,
            inner,
            in_record && value.kind() != Kind::String,
            left,
            out,
        );
    } else {
        out.push(Unwrapped::reject(
            value,
            RejectCode::NotJson,
            "the message is no event in JSON",
        ));
    }
}

/// What a function gets: a message of SNS or SQS, or that S3 holds a new file.
fn delivered<'a>(
    context: &mut Context<'a>,
    item: Value<'a>,
    in_record: bool,
    left: u8,
    out: &mut List<'a, Unwrapped<'a>>,
) {
    let sns = item.at(&["Sns", "Message"]);
    let key = item.at(&["s3", "object", "key"]).text();
    if sns.is_some() {
        string(context, sns, in_record, left, out);
    } else if item.get("body").is_some() {
        string(context, item.get("body"), in_record, left, out);
    } else if key.contains("ConfigWritabilityCheckFile") {
        out.push(Unwrapped::Skip(SkipReason::ControlMessage));
    } else if !key.is_empty() {
        out.push(Unwrapped::Skip(SkipReason::OtherRecordType));
    } else {
        unwrap(context, item, in_record, left, out);
    }
}

fn unknown<'a>(value: Value<'a>) -> Unwrapped<'a> {
    Unwrapped::reject(
        value,
        RejectCode::UnknownEnvelope,
        "no event of EventBridge and no notification of AWS Config or GuardDuty",
    )
}

/// The bus's own members.
fn begin<'a>(context: &mut Context<'a>, bus: Value<'a>, product: &'static str) -> &'a mut ChangeEvent<'a> {
    let event = context.arena.alloc_with(|| ChangeEvent {
        cloud_provider: "AWS",
        source_product: product,
        ..ChangeEvent::default()
    });
    if !is_bus(bus) {
        return event;
    }
    event.native_uid = context.text(bus.get("id"));
    event.event_time = context.time(bus.get("time")).unwrap_or_default();
    event.account_uid = context.text(bus.get("account"));
    event.region = context.text(bus.get("region"));
    event.api_service = context.text(bus.get("source"));
    event.api_operation = context.text(detail_type(bus));
    event.schema_version = context.text(bus.get("version"));
    if !matches!(event.schema_version, "0" | "") {
        context.mark(Mark::UnknownVersion);
    }
    event
}

/// Who a name or an ARN stands for: a session is its role, or the person that the session is named after.
fn actor<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, who: &'a str) {
    let Some((role_arn, role, session)) = session_role(context, who) else {
        event.actor_uid = who;
        event.actor_name = name_of(who);
        event.actor_type = match who {
            "" => ActorType::Unknown,
            _ if who.ends_with(":root") => ActorType::Admin,
            _ if who.contains(":user/") => ActorType::User,
            _ if who.starts_with("arn:") || who.contains('/') => ActorType::Service,
            _ if who.ends_with(".amazonaws.com") => ActorType::System,
            _ => ActorType::User,
        };
        return;
    };
    event.actor_session_uid = who;
    event.actor_issuer = role_arn;
    context.tickets_in(session);
    if session.contains('@') || (role.starts_with("AWSReservedSSO_") && !session.is_empty()) {
        (event.actor_uid, event.actor_name) = (session, session);
        event.actor_type = ActorType::User;
    } else {
        (event.actor_uid, event.actor_name) = (role_arn, role);
        event.actor_type = ActorType::Service;
    }
}

/// What stands after the last `/`, else after the last `:`.
fn name_of(uid: &str) -> &str {
    let tail = uid.rsplit('/').next().unwrap_or(uid);
    first(&[tail.rsplit(':').next().unwrap_or(tail), uid])
}

#[cfg(test)]
mod tests;
