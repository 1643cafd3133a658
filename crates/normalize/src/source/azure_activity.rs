//! Azure Activity Log: as diagnostic settings export it (`records`, lines), and as the REST API and the SDKs spell it.
//!
//! Fields: "Azure Activity Log event schema". The export's schema is "not strictly enforced", so both spellings of each
//! field are read in any record. An event hub may carry other categories too: AKS audit events and Entra's logs are
//! handed to their modules.

mod actor;
mod classify;
mod resources;

use changegate_json::{Kind, Value, members, rare_members};
use changegate_types::{ChangeEvent, Class, RejectCode, Severity, SkipReason, Status, Verb};

use super::{Source, azure_entra, kubernetes_audit};
use crate::context::{Context, Draft, Found, List, Unwrapped, each_member, first};
use crate::secret::{SecretRules, Subtree};
use crate::{text, verb};

/// `azure.activity`.
pub(crate) struct AzureActivity;

pub(super) const SECRETS: SecretRules = SecretRules {
    names: &[
        "primaryKey",
        "secondaryKey",
        "primaryMasterKey",
        "secondaryMasterKey",
        "primaryReadonlyMasterKey",
        "secondaryReadonlyMasterKey",
        "accountSasToken",
        "serviceSasToken",
        "accessSAS",
        "key1",
        "key2",
    ],
    subtrees: &[
        // Key Vault: the body of a secret that is set.
        Subtree {
            names: &["value"],
            when: |_, object| object.get("contentType").is_some(),
            leaf: "",
        },
        // What listKeys answers; settings of a site; parameters of a deployment, each an object with a value.
        Subtree {
            names: &[
                "keys",
                "appSettings",
                "connectionStrings",
                "environmentVariables",
                "env",
                "password",
                "adminPassword",
                "administratorLoginPassword",
                "secret",
                "secrets",
                "clientSecret",
                "connectionString",
            ],
            when: |_, _| true,
            leaf: "value",
        },
        Subtree {
            names: &["protectedSettings"],
            when: |_, _| true,
            leaf: "",
        },
        // AKS audit events.
        Subtree {
            names: &["data", "stringData"],
            when: |root, object| {
                root.get("auditID").is_some() && kubernetes_audit::is_secret_data(root, object)
                    || object.get("kind").text() == "Secret"
                    || root.at(&["objectRef", "resource"]).text() == "secrets"
            },
            leaf: "",
        },
        Subtree {
            names: &["value"],
            when: |root, object| {
                root.get("objectRef").is_some() && kubernetes_audit::is_secret_patch(root, object)
            },
            leaf: "",
        },
    ],
};

impl Source for AzureActivity {
    fn name(&self) -> &'static str {
        "azure.activity"
    }

    fn secrets(&self) -> &'static SecretRules {
        &SECRETS
    }

    fn lines(&self) -> bool {
        true
    }

    fn unwrap<'a>(&self, _: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
        unwrap(root, out);
    }

    fn normalize<'a>(&self, context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
        match spelled(child.get("category")) {
            "kube-audit" | "kube-audit-admin" => aks(context, child),
            category if azure_entra::is_category(category) => azure_entra::normalize(context, child),
            _ => Ok(normalize(context, child)),
        }
    }
}

/// `{"records":[…]}`, the REST API's `{"value":[…]}`, a list, or one record. Also for `azure.entra`.
pub(super) fn unwrap<'a>(root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
    let [records, value] = rare_members!(root, "records", "value");
    let list = match records.or(|| value) {
        list if list.kind() == Kind::Array => list,
        _ => root,
    };
    match list.kind() {
        Kind::Array => list.items().for_each(|item| match item.get("records").kind() {
            // A batch of an event hub's messages.
            Kind::Array => unwrap(item, out),
            _ => record(item, root, out),
        }),
        _ => record(root, root, out),
    }
    if out.is_empty() {
        out.push(Unwrapped::Skip(SkipReason::EmptyEnvelope));
    }
}

fn record<'a>(value: Value<'a>, envelope: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
    const KNOWN: [&str; 12] = [
        "operationName",
        "operation_name",
        "resourceId",
        "resource_id",
        "correlationId",
        "category",
        "activityDisplayName",
        "eventTimestamp",
        "eventDataId",
        "initiatedBy",
        "userPrincipalName",
        "createdDateTime",
    ];
    let category = spelled(value.get("category"));
    out.push(if value.kind() != Kind::Object || value.any(&KNOWN).is_none() {
        Unwrapped::reject(
            value,
            RejectCode::UnknownEnvelope,
            "no record of Azure: none of operationName, resourceId, correlationId, category is there",
        )
    } else if category.starts_with("AdvancedHunting-") {
        Unwrapped::Skip(SkipReason::OtherRecordType)
    } else if matches!(
        category,
        "kube-apiserver" | "kube-controller-manager" | "kube-scheduler" | "guard" | "cluster-autoscaler"
    ) {
        Unwrapped::Skip(SkipReason::NotAudit)
    } else {
        Unwrapped::Child(Found {
            value,
            envelope,
            in_record: true,
        })
    });
}

/// `"x"`, or `{"value":"x","localizedValue":"X"}` as the REST API has it.
pub(super) fn spelled(value: Value<'_>) -> &str {
    match value.kind() {
        Kind::Object => value.get("value").text(),
        _ => value.text(),
    }
}

/// An audit event of AKS, as a string in `properties.log`.
fn aks<'a>(context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
    let log = context.nested(child.at(&["properties", "log"]));
    let mut draft = kubernetes_audit::normalize(context, log)?;
    let event = &mut draft.event;
    let resource = child.get("resourceId").text();
    event.cloud_provider = "Azure";
    event.org_uid = child.get("tenantId").text();
    if !resource.is_empty() {
        event.account_uid = resources::Id::of(resource).subscription.unwrap_or_default();
        event.cluster = text::after_last(resource, b'/');
    }
    if event.event_time == changegate_types::TimeMicros::default() {
        event.event_time = context.time(child.get("time")).unwrap_or_default();
    }
    Ok(draft)
}

/// The members that are not plain columns.
#[derive(Default)]
struct Parts<'a> {
    time: &'a str,
    resource: &'a str,
    operation_id: &'a str,
    category: &'a str,
    signature: &'a str,
    caller: &'a str,
    subscription: &'a str,
    identity: Value<'a>,
    claims: Value<'a>,
    authorization: Value<'a>,
    properties: Properties<'a>,
    request: Value<'a>,
}

/// What is read of `properties`.
#[derive(Default)]
struct Properties<'a> {
    request: Value<'a>,
    operation_id: Value<'a>,
    /// Each of these under one of its names.
    agent: Value<'a>,
    region: Value<'a>,
    resource: Value<'a>,
    object: Value<'a>,
    message: Value<'a>,
    tags: Value<'a>,
}

impl<'a> Properties<'a> {
    fn of(value: Value<'a>) -> Self {
        let [
            request,
            operation_id,
            agent_header,
            agent,
            region,
            resource_location,
            location,
            entity,
            resource,
            object,
            message,
            tags,
        ] = members!(
            value,
            "requestbody",
            "operationId",
            "userAgentHeader",
            "userAgent",
            "region",
            "resourceLocation",
            "location",
            "entity",
            "resource",
            "objectKey",
            "statusMessage",
            "tags"
        );
        Self {
            request,
            operation_id,
            agent: agent_header.or(|| agent),
            region: region.or(|| resource_location).or(|| location),
            resource: entity.or(|| resource),
            object,
            message,
            tags,
        }
    }
}

const NAMES: [&str; 25] = [
    "time",
    "eventTimestamp",
    "submissionTimestamp",
    "resourceId",
    "operationName",
    "operationVersion",
    "operationId",
    "category",
    "resultType",
    "status",
    "resultSignature",
    "subStatus",
    "resultDescription",
    "callerIpAddress",
    "httpRequest",
    "correlationId",
    "eventDataId",
    "identity",
    "claims",
    "authorization",
    "caller",
    "level",
    "tenantId",
    "subscriptionId",
    "properties",
];

fn normalize<'a>(context: &mut Context<'a>, child: Value<'a>) -> Draft<'a> {
    let event = context.arena.alloc_with(|| ChangeEvent {
        cloud_provider: "Azure",
        source_product: "Activity Log",
        ..ChangeEvent::default()
    });
    let mut parts = Parts::default();
    each_member(child, &NAMES, |name, value| {
        member(context, event, &mut parts, name, value)
    });
    parts.request = context.nested(parts.properties.request);
    if parts.operation_id.is_empty() {
        parts.operation_id = parts.properties.operation_id.text();
    }
    if event.user_agent.is_empty() {
        event.user_agent = parts.properties.agent.text();
    }
    let [claims, authorization] = members!(parts.identity, "claims", "authorization");
    let (caller, own) = (parts.caller, parts.authorization);
    actor::resolve(
        context,
        event,
        caller,
        parts.claims.or(|| claims),
        own.or(|| authorization),
    );
    let resource = resources::name(context, event, &parts, authorization);
    // The record's own `location` is where it was processed.
    event.region = text::or(parts.properties.region.text(), || {
        parts.request.get("location").text()
    });
    outcome(event, &parts);
    classify::kind(event, parts.category, parts.signature);
    tickets(context, &parts);

    let correlation = event.correlation_uid;
    let (mut uid, mut change) = ([""; 5], [""; 5]);
    if !correlation.is_empty() {
        let operation = context.lower(event.api_operation);
        uid = [parts.time, resource, operation, correlation, event.status_code];
        change = [
            correlation,
            parts.operation_id,
            resource,
            first(&[event.actor_uid, parts.caller]),
            "",
        ];
    }
    Draft { event, uid, change }
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
        "time" | "eventTimestamp" => {
            parts.time = context.text(value);
            event.event_time = context.time(value).unwrap_or_default();
        }
        "submissionTimestamp" => event.logged_time = context.time(value),
        "resourceId" => parts.resource = context.text(value),
        "operationName" => event.api_operation = spelled(value),
        "operationVersion" => event.api_version = context.text(value),
        "operationId" => parts.operation_id = context.text(value),
        "category" => parts.category = spelled(value),
        "resultType" | "status" => event.status_code = spelled(value),
        "resultSignature" | "subStatus" => parts.signature = spelled(value),
        "resultDescription" => event.status_detail = context.text(value),
        "callerIpAddress" => context.address(event, value),
        "httpRequest" => {
            let address = value.any(&["clientIpAddress", "client_ip_address"]);
            if address.is_some() {
                context.address(event, address);
            }
            event.request_uid = value.any(&["clientRequestId", "client_request_id"]).text();
        }
        "correlationId" => event.correlation_uid = context.text(value),
        "eventDataId" => event.native_uid = context.text(value),
        "identity" => parts.identity = context.nested(value),
        "claims" => parts.claims = context.nested(value),
        "authorization" => parts.authorization = context.nested(value),
        "caller" => parts.caller = context.text(value),
        "level" => event.severity = severity(spelled(value)),
        "tenantId" => event.org_uid = context.text(value),
        "subscriptionId" => parts.subscription = context.text(value),
        "properties" => parts.properties = Properties::of(context.nested(value)),
        "durationMs" | "location" | "RoleLocation" | "Stamp" | "ReleaseVersion" => {}
        _ => return false,
    }
    true
}

fn severity(level: &str) -> Severity {
    match level {
        "Informational" | "Information" | "Verbose" | "4" => Severity::Informational,
        "Warning" | "3" => Severity::Low,
        "Error" | "2" => Severity::Medium,
        "Critical" | "1" => Severity::Critical,
        _ => Severity::Unknown,
    }
}

fn outcome<'a>(event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    event.status = match event.status_code {
        "" => match parts.signature.as_bytes() {
            [b'2', _, _] => Status::Success,
            [b'4' | b'5', _, _] => Status::Failure,
            _ => Status::Unknown,
        },
        code => status(code),
    };
    event.status_detail = text::or(event.status_detail, || {
        text::or(parts.properties.message.text(), || parts.signature)
    });
}

/// What a word for the outcome says, in any case.
fn status(code: &str) -> Status {
    let is = |words: &[&str]| words.iter().any(|word| code.eq_ignore_ascii_case(word));
    match code {
        _ if is(&["Success", "Succeeded", "0", "Resolved"]) => Status::Success,
        _ if is(&[
            "Failure",
            "Failed",
            "Error",
            "ClientError",
            "AuthorizationFailure",
        ]) =>
        {
            Status::Failure
        }
        // The end record of the same operation says how it went.
        _ if is(&["Start", "Started", "Accept", "Accepted", "In Progress", "Active"]) => Status::Unknown,
        _ => Status::Other,
    }
}

/// Tickets stand in tags, and in what PIM asks for.
fn tickets<'a>(context: &mut Context<'a>, parts: &Parts<'a>) {
    let [tags, inner] = members!(parts.request, "tags", "properties");
    let [description, justification, ticket] = members!(inner, "description", "justification", "ticketInfo");
    for value in [tags, description, justification, ticket, parts.properties.tags] {
        context.tickets_below(value);
    }
}

#[cfg(test)]
mod tests;
