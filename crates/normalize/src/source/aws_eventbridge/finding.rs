//! What AWS's detectors found: no change, and a hint to the features.

use changegate_json::{Kind, Value};
use changegate_types::{ActorType, ChangeEvent, Class, PrivilegeClass, Resource, Severity, Verb};

use super::{begin, name_of};
use crate::context::{Context, Draft, List, first};

pub(super) fn is_guardduty(bus: Value<'_>, detail: Value<'_>) -> bool {
    bus.get("source").text() == "aws.guardduty" && bus.get("detail-type").text().ends_with("Finding")
        || (detail.get("severity").is_some() && detail.at(&["service", "detectorId"]).is_some())
}

/// The same finding is sent again when it recurs: `id` and `updatedAt` together name an event.
pub(super) fn guardduty<'a>(context: &mut Context<'a>, bus: Value<'a>, finding: Value<'a>) -> Draft<'a> {
    let event = begin(context, bus, "GuardDuty");
    let (id, updated) = (context.text(finding.get("id")), finding.get("updatedAt"));
    event.native_uid = first(&[id, event.native_uid]);
    event.api_service = "aws.guardduty";
    event.api_operation = first(&[context.text(finding.get("type")), event.api_operation]);
    event.account_uid = first(&[context.text(finding.get("accountId")), event.account_uid]);
    event.region = first(&[context.text(finding.get("region")), event.region]);
    event.schema_version = first(&[context.text(finding.get("schemaVersion")), event.schema_version]);
    let service = finding.get("service");
    let seen = [updated, service.get("eventLastSeen"), finding.get("createdAt")];
    let seen = seen.into_iter().find(Value::is_some).unwrap_or_default();
    if let Some(time) = context.time(seen) {
        event.event_time = time;
    }
    event.status_detail = finding.any(&["title", "description"]).text();
    event.class = Class::DetectionFinding;
    // 1 Create, 2 Update: it was found before.
    event.activity = if service.get("count").i64().is_some_and(|count| count > 1) {
        2
    } else {
        1
    };
    event.verb = Verb::Other;
    event.privilege_class = PrivilegeClass::Logging;
    event.severity = match finding.get("severity").f64() {
        Some(value) if value >= 9.0 => Severity::Critical,
        Some(value) if value >= 7.0 => Severity::High,
        Some(value) if value >= 4.0 => Severity::Medium,
        Some(_) => Severity::Low,
        None => Severity::Unknown,
    };
    let resource = finding.get("resource");
    principal(context, event, resource.get("accessKeyDetails"));
    for (_, action) in service.get("action").members() {
        let remote = action.get("remoteIpDetails");
        if event.src_ip.is_none() && remote.is_some() {
            context.address(event, remote.any(&["ipAddressV4", "ipAddressV6"]));
            event.src_country = remote.at(&["country", "countryName"]).text();
            let asn = remote.at(&["organization", "asn"]).i64();
            event.src_asn = asn.and_then(|asn| u32::try_from(asn).ok()).unwrap_or_default();
        }
        event.request_uid = first(&[event.request_uid, action.get("requestId").text()]);
    }
    let mut list = context.list();
    let kind = context.text(resource.get("resourceType"));
    for (name, details) in resource.members() {
        if details.kind() == Kind::Array {
            details.items().for_each(|each| push(&mut list, name, kind, each));
        } else {
            push(&mut list, name, kind, details);
        }
    }
    event.resources = context.resources(list);
    if id.is_empty() {
        return Draft::by_native_uid(event);
    }
    let uid = [id, updated.text(), "", "", ""];
    Draft {
        event,
        uid,
        change: [""; 5],
    }
}

/// Whose credentials the finding is about, by the id that CloudTrail's events of the same principal have.
fn principal<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, key: Value<'a>) {
    let (user, principal) = (key.get("userName").text(), key.get("principalId").text());
    let session = principal.split_once(':').map_or("", |(_, session)| session);
    event.actor_credential_uid = key.get("accessKeyId").text();
    let arn = |context: &Context<'a>, what: &str| match (user, event.account_uid) {
        ("", _) | (_, "") => first(&[principal, user]),
        (user, account) => context.join(&["arn:aws:iam::", account, what, user]),
    };
    (event.actor_uid, event.actor_name, event.actor_type) = match key.get("userType").text() {
        "Root" => {
            let arn = context.join(&["arn:aws:iam::", event.account_uid, ":root"]);
            (arn, "root", ActorType::Admin)
        }
        "IAMUser" => (arn(context, ":user/"), first(&[user, principal]), ActorType::User),
        "AssumedRole" | "Role" if session.contains('@') => (session, session, ActorType::User),
        "AssumedRole" | "Role" => (
            arn(context, ":role/"),
            first(&[user, principal]),
            ActorType::Service,
        ),
        "AWSService" => (
            first(&[user, principal]),
            first(&[user, principal]),
            ActorType::System,
        ),
        _ => (
            first(&[principal, user]),
            first(&[user, principal]),
            ActorType::Unknown,
        ),
    };
    if !session.is_empty() {
        event.actor_session_uid = principal;
    }
}

fn push<'a>(list: &mut List<'a, Resource<'a>>, part: &str, kind: &'a str, details: Value<'a>) {
    let names: &[&str] = match part {
        _ if part.eq_ignore_ascii_case("accessKeyDetails") => &["accessKeyId", "userName", "principalId"],
        // Lists of addresses and tags are no resources.
        _ if details.kind() != Kind::Object => return,
        _ => &[
            "arn",
            "instanceId",
            "functionArn",
            "dbInstanceArn",
            "dbInstanceIdentifier",
            "taskArn",
            "name",
            "id",
        ],
    };
    let uid = details.any(names).text();
    if !uid.is_empty() {
        let name = name_of(uid);
        list.push(Resource { uid, kind, name });
    }
}

/// One or several findings in Security Hub's format; they come out as one event, whose id is the bus's.
pub(super) fn security_hub<'a>(context: &mut Context<'a>, bus: Value<'a>, detail: Value<'a>) -> Draft<'a> {
    let event = begin(context, bus, "Security Hub");
    event.class = Class::DetectionFinding;
    event.activity = 1;
    event.verb = Verb::Other;
    event.privilege_class = PrivilegeClass::Logging;
    let mut list = context.list();
    for finding in detail.get("findings").items() {
        for resource in finding.get("Resources").items() {
            let uid = resource.get("Id").text();
            if !uid.is_empty() {
                let (kind, name) = (resource.get("Type").text(), name_of(uid));
                list.push(Resource { uid, kind, name });
            }
        }
        event.status_detail = first(&[event.status_detail, finding.get("Title").text()]);
        event.status_code = first(&[event.status_code, finding.at(&["Compliance", "Status"]).text()]);
        event.correlation_uid = first(&[event.correlation_uid, finding.get("Id").text()]);
        event.severity = event.severity.max(severity(finding.get("Severity")));
    }
    let rule = bus.get("resources").items().next().unwrap_or_default();
    let insight = first(&[detail.get("insightArn").text(), rule.text()]);
    if list.is_empty() && !insight.is_empty() {
        let (kind, name) = ("", first(&[detail.get("insightName").text(), name_of(insight)]));
        list.push(Resource {
            uid: insight,
            kind,
            name,
        });
    }
    event.resources = context.resources(list);
    Draft::by_native_uid(event)
}

fn severity(value: Value<'_>) -> Severity {
    match value.get("Label").text() {
        "INFORMATIONAL" => Severity::Informational,
        "LOW" => Severity::Low,
        "MEDIUM" => Severity::Medium,
        "HIGH" => Severity::High,
        "CRITICAL" => Severity::Critical,
        _ => match value.get("Normalized").f64() {
            Some(value) if value >= 90.0 => Severity::Critical,
            Some(value) if value >= 70.0 => Severity::High,
            Some(value) if value >= 40.0 => Severity::Medium,
            Some(value) if value >= 1.0 => Severity::Low,
            Some(_) => Severity::Informational,
            None => Severity::Unknown,
        },
    }
}
