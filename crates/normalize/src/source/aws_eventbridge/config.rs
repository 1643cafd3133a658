//! AWS Config: what changed, and not who changed it.

use changegate_json::{Kind, Value};
use changegate_types::{Class, Mark, Resource, Status, Verb};

use super::{begin, name_of};
use crate::context::{Context, Draft, first};
use crate::source::aws_cloudtrail::privilege_class;
use crate::verb;

/// A notification, or one item of a history file.
pub(super) fn is_one(value: Value<'_>) -> bool {
    let parts = [
        "configurationItem",
        "configurationItemSummary",
        "configurationItemDiff",
        "configurationItemCaptureTime",
        "configurationItemStatus",
    ];
    value.any(&parts).is_some() || value.get("messageType").text() == "ComplianceChangeNotification"
}

pub(super) fn normalize<'a>(context: &mut Context<'a>, bus: Value<'a>, notification: Value<'a>) -> Draft<'a> {
    let event = begin(context, bus, "AWS Config");
    let message = notification.get("messageType").text();
    let item = match notification.any(&["configurationItem", "configurationItemSummary"]) {
        item if item.kind() == Kind::Object => item,
        _ => notification,
    };
    event.api_service = "aws.config";
    event.schema_version = first(&[
        context.text(item.any(&["configurationItemVersion", "version"])),
        context.text(notification.get("recordVersion")),
        event.schema_version,
    ]);
    event.account_uid = first(&[context.text(item.get("awsAccountId")), event.account_uid]);
    event.region = first(&[context.text(item.get("awsRegion")), event.region]);
    event.zone = item.get("availabilityZone").text();
    if event.zone == "Not Applicable" {
        event.zone = "";
    }
    event.logged_time = context.time(notification.get("notificationCreationTime"));
    let captured = item.get("configurationItemCaptureTime");
    if let Some(time) = context.time(captured) {
        event.event_time = time;
    } else if let (Some(time), 0) = (event.logged_time, event.event_time.0) {
        event.event_time = time;
    }
    let kind = context.text(item.get("resourceType"));
    let id = context.text(item.get("resourceId"));
    let uid = first(&[context.text(item.get("ARN")), id]);
    let mut list = context.list();
    if !uid.is_empty() {
        let name = first(&[item.get("resourceName").text(), name_of(uid)]);
        list.push(Resource { uid, kind, name });
    }
    event.resources = context.resources(list);

    let status = context.text(item.get("configurationItemStatus"));
    let diff = notification.at(&["configurationItemDiff", "changeType"]);
    let change = first(&[diff.text(), item.get("changeType").text()]);
    event.api_operation = first(&[change, status, message, event.api_operation]);
    event.status_code = status;
    event.status = Status::Success;
    event.verb = match (change, status) {
        ("CREATE", _) => Verb::Create,
        ("DELETE", _) => Verb::Delete,
        ("", "ResourceDiscovered") => Verb::Create,
        ("", "ResourceDeleted" | "ResourceDeletedNotRecorded") => Verb::Delete,
        _ => Verb::Update,
    };
    event.class = Class::CloudResourcesInventory;
    event.activity = 1;
    event.is_change = true;
    let mut pieces = kind.split("::").skip(1);
    let service = context.lower(pieces.next().unwrap_or_default());
    event.privilege_class = privilege_class(service, pieces.next().unwrap_or_default());
    // The `eventID` of the call in CloudTrail.
    event.correlation_uid = item
        .get("relatedEvents")
        .items()
        .next()
        .unwrap_or_default()
        .text();
    context.tickets_below(item.get("tags"));
    context.tickets_below(notification.at(&["configurationItemDiff", "changedProperties"]));
    if message.starts_with("Oversized") || notification.get("s3DeliverySummary").is_some() {
        // The item itself lies in S3.
        context.mark(Mark::Truncated);
    }
    if message == "ComplianceChangeNotification" {
        compliance(context, event, notification);
    }
    let state = context.text(item.get("configurationStateId"));
    let captured = captured.text();
    if uid.is_empty() || (state.is_empty() && captured.is_empty()) {
        return Draft::by_native_uid(event);
    }
    event.native_uid = first(&[state, event.native_uid]);
    Draft {
        event,
        uid: [kind, uid, state, captured, ""],
        change: [""; 5],
    }
}

/// A rule found a resource compliant or not: nothing was changed.
fn compliance<'a>(
    context: &mut Context<'a>,
    event: &mut changegate_types::ChangeEvent<'a>,
    notification: Value<'a>,
) {
    let evaluation = notification.get("newEvaluationResult");
    event.class = Class::DetectionFinding;
    event.verb = Verb::Other;
    event.activity = verb::activity(Class::DetectionFinding, Verb::Other);
    event.is_change = false;
    event.status = Status::Unknown;
    event.status_code = evaluation.get("complianceType").text();
    event.status_detail = first(&[
        evaluation.get("annotation").text(),
        notification.get("configRuleName").text(),
    ]);
    if event.event_time.0 == 0
        && let Some(time) = context.time(evaluation.get("resultRecordedTime"))
    {
        event.event_time = time;
    }
}
