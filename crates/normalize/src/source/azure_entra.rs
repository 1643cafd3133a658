//! Microsoft Entra: directory audits and sign-ins, from an event hub (`records`), a storage account, or Microsoft Graph.
//!
//! Fields: "AuditLogs" and "SigninLogs" of the Azure Monitor reference; `directoryAudit` and `signIn` of Graph v1.0.

use changegate_json::{Kind, Value};
use changegate_types::{ActorType, ChangeEvent, Class, PrivilegeClass, Resource, SkipReason, Status, Verb};

use super::Source;
use super::azure_activity::{self, spelled};
use crate::context::{Context, Draft, List, Unwrapped, each_member, first};
use crate::secret::SecretRules;
use crate::verb;

/// `azure.entra`.
pub(crate) struct AzureEntra;

impl Source for AzureEntra {
    fn name(&self) -> &'static str {
        "azure.entra"
    }

    fn secrets(&self) -> &'static SecretRules {
        &azure_activity::SECRETS
    }

    fn lines(&self) -> bool {
        true
    }

    fn unwrap<'a>(&self, _: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
        azure_activity::unwrap(root, out);
    }

    fn normalize<'a>(&self, context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
        normalize(context, child)
    }
}

/// Categories of Entra's diagnostic settings; another source that meets them hands them over.
pub(super) fn is_category(category: &str) -> bool {
    category == "AuditLogs"
        || category.ends_with("SignInLogs")
        || category.starts_with("AdvancedHunting-")
        || matches!(
            category,
            "ProvisioningLogs" | "RiskyUsers" | "UserRiskEvents" | "MicrosoftGraphActivityLogs"
        )
}

/// The members that are not plain columns.
#[derive(Default)]
struct Parts<'a> {
    category: &'a str,
    result_type: &'a str,
    signature: &'a str,
    identity: &'a str,
    properties: Value<'a>,
}

const NAMES: [&str; 14] = [
    "time",
    "operationName",
    "operationVersion",
    "category",
    "resourceId",
    "tenantId",
    "resultType",
    "resultSignature",
    "resultDescription",
    "callerIpAddress",
    "correlationId",
    "identity",
    "location",
    "properties",
];

pub(super) fn normalize<'a>(context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
    let event = context.arena.alloc_with(|| ChangeEvent {
        cloud_provider: "Azure",
        source_product: "Microsoft Entra ID",
        api_service: "Microsoft Entra ID",
        ..ChangeEvent::default()
    });
    let mut parts = Parts::default();
    each_member(child, &NAMES, |name, value| {
        member(context, event, &mut parts, name, value)
    });
    // What Graph returns is what the export has under `properties`.
    let inner = if parts.properties.kind() == Kind::Object {
        parts.properties
    } else {
        child
    };
    event.native_uid = context.text(inner.get("id"));
    if event.event_time == changegate_types::TimeMicros::default() {
        let time = inner.any(&["activityDateTime", "createdDateTime"]);
        event.event_time = context.time(time).unwrap_or_default();
    }
    if event.correlation_uid.is_empty() {
        event.correlation_uid = inner.get("correlationId").text();
    }
    event.org_uid = first(&[event.org_uid, inner.any(&["tenantId", "homeTenantId"]).text()]);
    event.account_uid = event.org_uid;
    event.api_operation = first(&[
        event.api_operation,
        inner.any(&["activityDisplayName", "operationName"]).text(),
    ]);
    let risk = matches!(
        parts.category,
        "RiskyUsers" | "UserRiskEvents" | "RiskyServicePrincipals" | "ServicePrincipalRiskEvents"
    );
    let audited = inner
        .any(&["initiatedBy", "targetResources", "activityDisplayName"])
        .is_some();
    let sign_in = parts.category.ends_with("SignInLogs")
        || event.api_operation.eq_ignore_ascii_case("Sign-in activity")
        || (!audited
            && !risk
            && inner
                .any(&["clientAppUsed", "authenticationRequirement", "isInteractive"])
                .is_some());
    if parts.category == "MicrosoftGraphActivityLogs" {
        graph_call(context, event, inner);
    } else if sign_in {
        signed_in(context, event, inner);
    } else {
        directory_change(context, event, inner);
        if risk {
            event.class = Class::DetectionFinding;
            event.activity = 1;
            event.is_change = false;
        }
    }
    outcome(event, &parts, inner);
    if event.actor_uid.is_empty() {
        event.actor_name = parts.identity;
    }
    Ok(Draft::by_native_uid(event))
}

#[inline]
fn member<'a>(
    context: &mut Context<'a>,
    event: &mut ChangeEvent<'a>,
    parts: &mut Parts<'a>,
    name: &str,
    value: Value<'a>,
) -> bool {
    match name {
        "time" => event.event_time = context.time(value).unwrap_or_default(),
        "operationName" => event.api_operation = spelled(value),
        "operationVersion" => event.api_version = context.text(value),
        "category" => parts.category = spelled(value),
        "tenantId" => event.org_uid = context.text(value),
        "resultType" => parts.result_type = context.text(value),
        "resultSignature" => parts.signature = context.text(value),
        "resultDescription" => event.status_detail = context.text(value),
        "callerIpAddress" => context.address(event, value),
        "correlationId" => event.correlation_uid = context.text(value),
        "identity" => parts.identity = value.text(),
        "location" => event.src_country = value.text(),
        "properties" => parts.properties = context.nested(value),
        "resourceId" | "level" | "Level" | "durationMs" => {}
        _ => return false,
    }
    true
}

fn address<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, value: Value<'a>) {
    if event.src_ip.is_none() && event.src_domain.is_empty() {
        context.address(event, value);
    }
}

fn directory_change<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, inner: Value<'a>) {
    let by = inner.get("initiatedBy");
    let (user, app) = (by.get("user"), by.get("app"));
    let app_uid = app.any(&["servicePrincipalId", "appId", "displayName"]).text();
    let person = user.any(&["userPrincipalName", "id", "displayName"]).text();
    event.actor_uid = first(&[person, app_uid]);
    if person.is_empty() {
        event.actor_name = first(&[app.any(&["displayName", "servicePrincipalName"]).text(), app_uid]);
        event.actor_type = if app_uid.is_empty() {
            ActorType::Unknown
        } else {
            ActorType::Service
        };
    } else {
        event.actor_name = first(&[user.get("displayName").text(), person]);
        event.actor_type = ActorType::User;
        event.actor_invoked_by = app.any(&["displayName", "appId"]).text();
    }
    address(context, event, user.any(&["ipAddress"]));
    let service = inner.get("loggedByService").text();
    if !service.is_empty() {
        event.api_service = service;
    }
    event.user_agent = inner.get("userAgent").text();
    if event.user_agent.is_empty() {
        let detail = inner.get("additionalDetails").items();
        event.user_agent = detail
            .filter(|detail| detail.get("key").text() == "User-Agent")
            .map(|detail| detail.get("value").text())
            .next()
            .unwrap_or_default();
    }

    let mut list = context.list();
    for target in inner.get("targetResources").items() {
        let name = target.any(&["userPrincipalName", "displayName"]).text();
        let uid = first(&[target.get("id").text(), name]);
        if !uid.is_empty() {
            list.push(Resource {
                uid,
                kind: target.get("type").text(),
                name: first(&[name, uid]),
            });
        }
        context.tickets_below(target.get("modifiedProperties"));
    }
    event.resources = context.resources(list);
    context.tickets_in(inner.get("resultReason").text());
    context.tickets_below(inner.get("additionalDetails"));

    let operation = event.api_operation;
    event.verb = match verb::of(inner.get("operationType").text()) {
        Verb::Unknown => verb::of(operation),
        verb => verb,
    };
    if matches!(event.verb, Verb::Unknown) && !operation.is_empty() {
        event.verb = Verb::Other;
    }
    let has = |parts: &[&str]| parts.iter().any(|part| operation.contains(part));
    event.class = match inner.get("category").text() {
        _ if has(&["to group", "from group"]) => Class::GroupManagement,
        "GroupManagement" => Class::GroupManagement,
        "RoleManagement" => Class::UserAccess,
        _ if has(&["to role", "from role", "role assignment", "app role"]) => Class::UserAccess,
        "UserManagement" => Class::AccountChange,
        _ if has(&["user", "password", "service principal credentials"]) => Class::AccountChange,
        _ => Class::EntityManagement,
    };
    event.activity = verb::activity(event.class, event.verb);
    event.privilege_class = if has(&["redential", "ertificates and secrets", "ey"]) && !has(&["eyword"]) {
        PrivilegeClass::Keys
    } else {
        PrivilegeClass::Identity
    };
    event.is_change = !operation.is_empty() && event.verb != Verb::Read;
}

fn signed_in<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, inner: Value<'a>) {
    event.class = Class::Authentication;
    event.activity = 1;
    event.verb = Verb::Other;
    event.privilege_class = PrivilegeClass::Identity;
    let person = inner.any(&["userPrincipalName", "userId"]).text();
    let service = inner
        .any(&["servicePrincipalId", "servicePrincipalName", "appId"])
        .text();
    event.actor_uid = first(&[person, service]);
    event.actor_name = first(&[
        inner.any(&["userDisplayName", "servicePrincipalName"]).text(),
        event.actor_uid,
    ]);
    event.actor_type = match (person, service) {
        ("", "") => ActorType::Unknown,
        ("", _) => ActorType::Service,
        _ => ActorType::User,
    };
    event.actor_invoked_by = inner.any(&["appDisplayName", "appId"]).text();
    event.actor_session_uid = inner.any(&["sessionId", "uniqueTokenIdentifier"]).text();
    event.actor_credential_uid = inner.get("servicePrincipalCredentialKeyId").text();
    event.actor_is_mfa = match inner.get("authenticationRequirement").text() {
        "multiFactorAuthentication" => Some(true),
        "singleFactorAuthentication" => Some(false),
        _ => None,
    };
    address(context, event, inner.get("ipAddress"));
    event.user_agent = context.text(inner.get("userAgent"));
    event.src_country = first(&[
        event.src_country,
        inner.at(&["location", "countryOrRegion"]).text(),
    ]);
    event.src_asn = context
        .number(inner.get("autonomousSystemNumber"))
        .unwrap_or_default();
    let name = inner.get("resourceDisplayName").text();
    let uid = first(&[
        inner.any(&["resourceId", "resourceServicePrincipalId"]).text(),
        name,
    ]);
    let mut list = context.list();
    if !uid.is_empty() {
        list.push(Resource {
            uid,
            kind: "Application",
            name,
        });
    }
    event.resources = context.resources(list);
}

fn graph_call<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, inner: Value<'a>) {
    let method = inner.get("requestMethod").text();
    event.api_operation = first(&[method, event.api_operation]);
    event.api_service = "Microsoft Graph";
    event.class = Class::ApiActivity;
    event.verb = verb::of(method);
    event.activity = verb::activity(event.class, event.verb);
    event.privilege_class = PrivilegeClass::Identity;
    event.is_change = !matches!(event.verb, Verb::Read | Verb::Unknown);
    let app = inner.get("appId").text();
    event.actor_uid = first(&[inner.any(&["userId", "servicePrincipalId"]).text(), app]);
    event.actor_invoked_by = app;
    event.user_agent = inner.get("userAgent").text();
    address(context, event, inner.get("ipAddress"));
    let uri = inner.get("requestUri").text();
    let mut list = context.list();
    if !uri.is_empty() {
        list.push(Resource {
            uid: uri,
            kind: "",
            name: uri,
        });
    }
    event.resources = context.resources(list);
}

fn outcome<'a>(event: &mut ChangeEvent<'a>, parts: &Parts<'a>, inner: Value<'a>) {
    let code = inner.at(&["status", "errorCode"]).text();
    let result = inner.get("result").text();
    event.status_code = first(&[code, result, parts.result_type, parts.signature]);
    event.status_detail = first(&[
        inner.any(&["resultReason"]).text(),
        inner.at(&["status", "failureReason"]).text(),
        event.status_detail,
    ]);
    let is = |words: &[&str]| {
        words
            .iter()
            .any(|word| event.status_code.eq_ignore_ascii_case(word))
    };
    event.status = match event.status_code {
        "" => Status::Unknown,
        _ if is(&["0", "success", "succeeded", "200", "201", "204"]) => Status::Success,
        _ if is(&["None"]) => Status::Unknown,
        _ => Status::Failure,
    };
}

#[cfg(test)]
mod tests;
