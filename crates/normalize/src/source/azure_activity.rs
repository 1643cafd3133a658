//! Azure Activity Log: as diagnostic settings export it (`records`, lines), and as the REST API and the SDKs spell it.
//!
//! Fields: "Azure Activity Log event schema". The export's schema is "not strictly enforced", so both spellings of each
//! field are read in any record. An event hub may carry other categories too: AKS audit events and Entra's logs are
//! handed to their modules.

mod classify;

use changegate_json::{Kind, Value};
use changegate_types::{
    ActorType, ChangeEvent, Class, RejectCode, Resource, Severity, SkipReason, Status, Verb,
};

use super::{Source, azure_entra, kubernetes_audit};
use crate::context::{Context, Draft, Found, List, Unwrapped, each_member, first};
use crate::secret::{SecretRules, Subtree};
use crate::verb;

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
    let list = match root.any(&["records", "value"]) {
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
        event.account_uid = after(resource, "subscriptions");
        event.cluster = resource.rsplit('/').next().unwrap_or_default();
    }
    if event.event_time == changegate_types::TimeMicros::default() {
        event.event_time = context.time(child.get("time")).unwrap_or_default();
    }
    Ok(draft)
}

/// What stands after `name/` in a resource id, in any case.
fn after<'a>(id: &'a str, name: &str) -> &'a str {
    let mut pieces = id.split('/');
    pieces
        .find(|piece| piece.eq_ignore_ascii_case(name))
        .and_then(|_| pieces.next())
        .unwrap_or_default()
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
    properties: Value<'a>,
    request: Value<'a>,
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
    let mut event = ChangeEvent {
        cloud_provider: "Azure",
        source_product: "Activity Log",
        ..ChangeEvent::default()
    };
    let mut parts = Parts::default();
    each_member(child, &NAMES, |name, value| {
        member(context, &mut event, &mut parts, name, value)
    });
    let properties = parts.properties;
    parts.request = context.nested(properties.get("requestbody"));
    if parts.operation_id.is_empty() {
        parts.operation_id = properties.get("operationId").text();
    }
    if event.user_agent.is_empty() {
        event.user_agent = properties.any(&["userAgentHeader", "userAgent"]).text();
    }
    actor(context, &mut event, &parts);
    let resource = resources(context, &mut event, &parts);
    // The record's own `location` is where it was processed.
    event.region = first(&[
        properties.any(&["region", "resourceLocation", "location"]).text(),
        parts.request.get("location").text(),
    ]);
    outcome(&mut event, &parts);
    classify::kind(context, &mut event, parts.category, parts.signature);
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
        "properties" => parts.properties = context.nested(value),
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

/// Keys of claims are short names or URIs that end like them.
fn actor<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let claims = if parts.claims.is_some() {
        parts.claims
    } else {
        parts.identity.get("claims")
    };
    let authorization = if parts.authorization.is_some() {
        parts.authorization
    } else {
        parts.identity.get("authorization")
    };
    let (mut upn, mut mail, mut display, mut object, mut app) = ("", "", "", "", "");
    let (mut methods, mut kind, mut managed) = ("", "", "");
    for (name, value) in claims.members() {
        let text = value.text();
        match context.lower(name.rsplit('/').next().unwrap_or(name)) {
            "upn" => upn = text,
            // The URI holds the sign-in name, the short name what people call the actor.
            "name" if name.len() > 4 => mail = first(&[mail, text]),
            "name" => display = text,
            "emailaddress" | "email" => mail = first(&[text, mail]),
            "objectidentifier" | "oid" => object = text,
            "appid" | "azp" => app = text,
            "authnmethodsreferences" | "amr" => methods = if text.is_empty() { value.raw() } else { text },
            "idtyp" => kind = text,
            "iss" => event.actor_issuer = text,
            "sid" => event.actor_session_uid = text,
            "uti" => event.actor_credential_uid = text,
            "xms_mirid" => managed = text,
            "tenantid" | "tid" if event.org_uid.is_empty() => event.org_uid = text,
            "ipaddr" if event.src_ip.is_none() && event.src_domain.is_empty() => {
                context.address(event, value)
            }
            _ => {}
        }
    }
    let evidence = authorization.get("evidence");
    let principal = evidence.get("principalId").text();
    let person = [upn, mail, parts.caller, display]
        .into_iter()
        .find(|text| text.contains('@'));
    let is_app = kind == "app"
        || evidence
            .get("principalType")
            .text()
            .eq_ignore_ascii_case("ServicePrincipal")
        || (person.is_none() && !app.is_empty());
    let person = if kind == "app" {
        ""
    } else {
        person.unwrap_or_default()
    };
    event.actor_uid = first(&[person, object, parts.caller, principal, app, upn, display]);
    event.actor_name = first(&[display, upn, mail, parts.caller, event.actor_uid]);
    event.actor_type = match event.actor_uid {
        "" => ActorType::Unknown,
        _ if is_app => ActorType::Service,
        _ if evidence.get("role").text() == "Owner" => ActorType::Admin,
        _ => ActorType::User,
    };
    if app != event.actor_uid {
        event.actor_invoked_by = app;
    }
    if !methods.is_empty() {
        event.actor_is_mfa = Some(methods.contains("mfa"));
    }
    let mut delegated = context.list();
    if !managed.is_empty() {
        delegated.push(managed);
    }
    event.actor_delegated_from = context.texts(delegated);
}

/// Ids vary in case from record to record and mean the same, so they are kept in lower case.
fn resources<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) -> &'a str {
    let scope = parts.identity.at(&["authorization", "scope"]).text();
    let id = first(&[
        parts.resource,
        parts.properties.any(&["entity", "resource"]).text(),
        parts.authorization.get("scope").text(),
        scope,
    ]);
    event.account_uid = first(&[after(id, "subscriptions"), parts.subscription]);
    event.namespace = after(id, "resourceGroups");
    event.cluster = after(id, "managedClusters");
    let uid = context.lower(id);
    let mut list = context.list();
    if !id.is_empty() {
        list.push(Resource {
            uid,
            kind: kind(context, uid),
            name: id.trim_end_matches('/').rsplit('/').next().unwrap_or(id),
        });
    }
    // A blob, beside the account that holds it.
    let object = parts.properties.get("objectKey").text();
    if !object.is_empty() {
        list.push(Resource {
            uid: object,
            kind: "microsoft.storage/storageaccounts/blobs",
            name: object.rsplit('/').next().unwrap_or(object),
        });
    }
    event.resources = context.resources(list);
    uid
}

/// `…/providers/p/a/x/b/y` is of type `p/a/b`; the last provider counts.
fn kind<'a>(context: &Context<'a>, id: &'a str) -> &'a str {
    let Some((_, path)) = id.rsplit_once("/providers/") else {
        return if id.contains("/resourcegroups/") {
            "microsoft.resources/resourcegroups"
        } else if id.contains("/subscriptions/") {
            "microsoft.resources/subscriptions"
        } else {
            ""
        };
    };
    let mut pieces = path.split('/');
    let (provider, first, _) = (pieces.next(), pieces.next(), pieces.next());
    let mut kind = context.join(&[provider.unwrap_or_default(), "/", first.unwrap_or_default()]);
    // Deeper than three types is no resource of Azure.
    for _ in 0..3 {
        match (pieces.next(), pieces.next()) {
            (Some(piece), _) if !piece.is_empty() => kind = context.join(&[kind, "/", piece]),
            _ => break,
        }
    }
    kind
}

fn outcome<'a>(event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let is = |words: &[&str]| {
        words
            .iter()
            .any(|word| event.status_code.eq_ignore_ascii_case(word))
    };
    event.status = match event.status_code {
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
        "" => match parts.signature.as_bytes() {
            [b'2', _, _] => Status::Success,
            [b'4' | b'5', _, _] => Status::Failure,
            _ => Status::Unknown,
        },
        _ => Status::Other,
    };
    event.status_detail = first(&[
        event.status_detail,
        parts.properties.get("statusMessage").text(),
        parts.signature,
    ]);
}

/// Tickets stand in tags, and in what PIM asks for.
fn tickets<'a>(context: &mut Context<'a>, parts: &Parts<'a>) {
    let request = parts.request;
    let inner = request.get("properties");
    for value in [
        request.get("tags"),
        inner.get("description"),
        inner.get("justification"),
        inner.get("ticketInfo"),
        parts.properties.get("tags"),
    ] {
        context.tickets_below(value);
    }
}

#[cfg(test)]
mod tests;
