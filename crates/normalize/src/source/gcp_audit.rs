//! Google Cloud audit logs: `LogEntry` with an `AuditLog` in it, bare, in a Pub/Sub push, or from the Kafka connector.
//!
//! Fields: `google/cloud/audit/audit_log.proto` and `google/logging/v2/log_entry.proto`.

mod classify;

use changegate_json::{Kind, Value, members, rare_members};
use changegate_types::{
    ActorType, ChangeEvent, Class, Mark, RejectCode, Resource, Severity, SkipReason, Status, Verb,
};

use super::Source;
use crate::context::{Context, Draft, Found, List, Unwrapped, each_member, first};
use crate::secret::{SecretRules, Subtree};
use crate::{text, verb};

/// `gcp.audit`.
pub(crate) struct GcpAudit;

const SECRETS: SecretRules = SecretRules {
    names: &[],
    subtrees: &[
        // Secret Manager.
        Subtree {
            names: &["payload"],
            when: |_, _| true,
            leaf: "data",
        },
        // Secrets of GKE, and patches of them.
        Subtree {
            names: &["data", "stringData"],
            when: |root, object| {
                let kind = first(&[object.get("kind").text(), object.get("@type").text()]);
                let resource = root.at(&["protoPayload", "resourceName"]).text();
                kind.ends_with("Secret") || kind.is_empty() && resource.contains("/secrets")
            },
            leaf: "",
        },
        // Cloud Run and GKE; Cloud Functions.
        Subtree {
            names: &["env"],
            when: |_, _| true,
            leaf: "value",
        },
        Subtree {
            names: &["environmentVariables", "buildEnvironmentVariables"],
            when: |_, _| true,
            leaf: "",
        },
    ],
};

impl Source for GcpAudit {
    fn name(&self) -> &'static str {
        "gcp.audit"
    }

    fn secrets(&self) -> &'static SecretRules {
        &SECRETS
    }

    fn lines(&self) -> bool {
        true
    }

    fn unwrap<'a>(&self, context: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
        unwrap(context, root, out);
        if out.is_empty() {
            out.push(Unwrapped::Skip(SkipReason::EmptyEnvelope));
        }
    }

    fn normalize<'a>(&self, context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
        Ok(normalize(context, child))
    }
}

fn unwrap<'a>(context: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
    let all = |context: &mut Context<'a>, list: Value<'a>, out: &mut List<'a, Unwrapped<'a>>| {
        list.items()
            .for_each(|item| message(context, item, &Outer::of(item), out));
    };
    if root.kind() == Kind::Array {
        return all(context, root, out);
    }
    let outer = Outer::of(root);
    let list = outer.lists.into_iter().find(Value::is_some).unwrap_or_default();
    if list.kind() == Kind::Array {
        all(context, list, out);
    } else {
        message(context, root, &outer, out);
    }
}

/// What tells an entry from what it may come in.
struct Outer<'a> {
    /// Of entries or messages.
    lists: [Value<'a>; 3],
    message: Value<'a>,
    data: Value<'a>,
    /// Whether it looks like an entry.
    is_entry: bool,
    payload: Value<'a>,
    /// Whether it has a payload of another kind instead.
    has_other_payload: bool,
}

impl<'a> Outer<'a> {
    fn of(value: Value<'a>) -> Self {
        let [entries, messages, received, message, data] = rare_members!(
            value,
            "entries",
            "messages",
            "receivedMessages",
            "message",
            "data"
        );
        let payload = value.any(&["protoPayload", "proto_payload"]);
        let (mut is_entry, mut has_other_payload) = (payload.is_some(), false);
        if !is_entry {
            has_other_payload = value.any(&["jsonPayload", "textPayload"]).is_some();
            let known = ["insertId", "logName", "operation", "receiveTimestamp"];
            is_entry = has_other_payload || value.any(&known).is_some();
        }
        Self {
            lists: [entries, messages, received],
            message,
            data,
            is_entry,
            payload,
            has_other_payload,
        }
    }
}

/// An entry; a push message with base64 in `data`; or the connector's struct with the entry in `message`, as base64,
/// as a string of JSON, or as it is.
fn message<'a>(
    context: &mut Context<'a>,
    value: Value<'a>,
    outer: &Outer<'a>,
    out: &mut List<'a, Unwrapped<'a>>,
) {
    let message = outer.message;
    if outer.is_entry || message.is_none() && outer.data.is_none() {
        entry(value, outer, value, true, out);
        return;
    }
    let data = match (message.kind(), message.get("data")) {
        (Kind::Object, data) if data.is_some() => data,
        (Kind::Missing | Kind::Null, _) => outer.data,
        _ => message,
    };
    if data.kind() == Kind::Object {
        entry(data, &Outer::of(data), value, true, out);
        return;
    }
    let inner = if data.text().trim_ascii_start().starts_with(['{', '[']) {
        context.read(data.text().as_bytes())
    } else {
        context.nested_base64(data)
    };
    match inner {
        Ok(inner) if inner.kind() == Kind::Array => {
            inner
                .items()
                .for_each(|item| entry(item, &Outer::of(item), value, false, out));
        }
        Ok(inner) => entry(inner, &Outer::of(inner), value, false, out),
        Err(reject) => out.push(Unwrapped::Reject(reject)),
    }
}

fn entry<'a>(
    value: Value<'a>,
    outer: &Outer<'a>,
    envelope: Value<'a>,
    in_record: bool,
    out: &mut List<'a, Unwrapped<'a>>,
) {
    if outer.is_entry {
        let kind = outer.payload.any(&["@type", "at_sign_type"]).text();
        out.push(
            if outer.has_other_payload || !(kind.is_empty() || kind.ends_with("AuditLog")) {
                Unwrapped::Skip(SkipReason::NotAudit)
            } else {
                Unwrapped::Child(Found {
                    value,
                    envelope,
                    in_record,
                })
            },
        );
    } else if value.get("finding").is_some() && value.get("notificationConfigName").is_some() {
        // Security Command Center publishes to topics of its own.
        out.push(Unwrapped::Skip(SkipReason::OtherRecordType));
    } else {
        out.push(Unwrapped::reject(
            value,
            RejectCode::UnknownEnvelope,
            "no log entry: none of protoPayload, insertId, logName is there",
        ));
    }
}

/// The members that are not plain columns.
#[derive(Default)]
struct Parts<'a> {
    payload: Value<'a>,
    resource: Value<'a>,
    operation: Value<'a>,
    split: Value<'a>,
    labels: Value<'a>,
    timestamp: Value<'a>,
    received: Value<'a>,
    log_name: &'a str,
    trace: &'a str,
    authentication: Value<'a>,
    authorization: Value<'a>,
    request_metadata: Value<'a>,
    status: Value<'a>,
    location: Value<'a>,
    request: Value<'a>,
    response: Value<'a>,
    metadata: Value<'a>,
    resource_name: &'a str,
}

const NAMES: [&str; 11] = [
    "protoPayload",
    "insertId",
    "logName",
    "timestamp",
    "receiveTimestamp",
    "severity",
    "resource",
    "operation",
    "split",
    "labels",
    "trace",
];

const PAYLOAD_NAMES: [&str; 11] = [
    "serviceName",
    "methodName",
    "resourceName",
    "resourceLocation",
    "authenticationInfo",
    "authorizationInfo",
    "requestMetadata",
    "request",
    "response",
    "status",
    "metadata",
];

fn normalize<'a>(context: &mut Context<'a>, child: Value<'a>) -> Draft<'a> {
    let event = context.arena.alloc_with(|| ChangeEvent {
        cloud_provider: "GCP",
        source_product: "Cloud Audit Logs",
        ..ChangeEvent::default()
    });
    let mut parts = Parts::default();
    each_member(child, &NAMES, |name, value| {
        member(context, event, &mut parts, name, value)
    });
    let payload = parts.payload;
    each_member(payload, &PAYLOAD_NAMES, |name, value| {
        payload_member(context, event, &mut parts, name, value)
    });
    let time = parts
        .timestamp
        .or(|| payload.get("timestamp"))
        .or(|| parts.request_metadata.at(&["requestAttributes", "time"]))
        .or(|| parts.received);
    event.event_time = context.time(time).unwrap_or_default();
    event.logged_time = context.time(parts.received);

    // BigQuery repeats both in its own metadata, and some exports keep only those.
    if event.api_operation.is_empty() {
        event.api_operation = parts.metadata.get("methodName").text();
    }
    if event.api_service.is_empty() {
        event.api_service = parts.metadata.get("serviceName").text();
    }
    let [operation, producer] = members!(parts.operation, "id", "producer");
    let operation = operation.text();
    event.correlation_uid = first(&[operation, parts.trace]);
    caller(context, event, &parts);
    actor(context, event, &parts);
    place(event, &parts);
    resources(context, event, &parts);
    outcome(event, &parts);
    classify::kind(event, parts.resource_name, parts.authorization);
    tickets(context, &parts);
    split(context, event, &parts);

    let uid = match event.native_uid {
        "" => [""; 5],
        id => [parts.log_name, context.text(parts.timestamp), id, "", ""],
    };
    let change = match operation {
        "" => [""; 5],
        id => [producer.text(), id, "", "", ""],
    };
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
        "protoPayload" => parts.payload = value,
        "insertId" => event.native_uid = context.text(value),
        "logName" => parts.log_name = context.text(value),
        "timestamp" => parts.timestamp = value,
        "receiveTimestamp" => parts.received = value,
        "severity" => event.severity = severity(context.text(value)),
        "resource" => parts.resource = value,
        "operation" => parts.operation = value,
        "split" => parts.split = value,
        "labels" => parts.labels = value,
        "trace" => parts.trace = context.text(value),
        _ => return false,
    }
    true
}

#[inline]
fn payload_member<'a>(
    context: &mut Context<'a>,
    event: &mut ChangeEvent<'a>,
    parts: &mut Parts<'a>,
    name: &str,
    value: Value<'a>,
) -> bool {
    match name {
        "serviceName" => event.api_service = context.text(value),
        "methodName" => event.api_operation = context.text(value),
        "resourceName" => parts.resource_name = context.text(value),
        "resourceLocation" => parts.location = value,
        "authenticationInfo" => parts.authentication = value,
        "authorizationInfo" => parts.authorization = value,
        "requestMetadata" => parts.request_metadata = value,
        "request" => parts.request = value,
        "response" => parts.response = value,
        "status" => parts.status = value,
        "metadata" => parts.metadata = value,
        "@type" | "serviceData" | "numResponseItems" | "resourceOriginalState" => {}
        _ => return false,
    }
    true
}

fn severity(text: &str) -> Severity {
    match text {
        "DEBUG" | "INFO" | "NOTICE" => Severity::Informational,
        "WARNING" => Severity::Low,
        "ERROR" => Severity::Medium,
        "CRITICAL" => Severity::High,
        "ALERT" => Severity::Critical,
        "EMERGENCY" => Severity::Fatal,
        _ => Severity::Unknown,
    }
}

fn caller<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    for (name, value) in parts.request_metadata.members() {
        if name.eq_ignore_ascii_case("callerIp") {
            context.address(event, value);
        } else if name == "callerSuppliedUserAgent" {
            event.user_agent = context.text(value);
        }
    }
}

/// The principal whose rights counted, and behind it whoever borrowed its identity.
fn actor<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let [email, subject, key, oauth, delegation] = members!(
        parts.authentication,
        "principalEmail",
        "principalSubject",
        "serviceAccountKeyName",
        "oauthInfo",
        "serviceAccountDelegationInfo"
    );
    let (email, subject) = (email.text(), subject.text());
    event.actor_uid = text::or(email, || match text::cut(subject, b':') {
        Some(("user" | "serviceAccount" | "group", rest)) => rest,
        _ => subject,
    });
    event.actor_name = event.actor_uid;
    event.actor_type = actor_type(event.actor_uid, subject);
    event.actor_credential_uid = key.text();
    event.actor_invoked_by = oauth.get("oauthClientId").text();

    // Listed in the order of the delegations, so that the root comes first: turned round here.
    let mut delegated = context.list();
    if subject.starts_with("principal") && subject != event.actor_uid {
        delegated.push(subject);
        event.actor_issuer = subject.split("/subject/").next().unwrap_or_default();
    }
    for link in delegation.items() {
        let claims = link.at(&["thirdPartyPrincipal", "thirdPartyClaims"]);
        let who = first(&[
            link.at(&["firstPartyPrincipal", "principalEmail"]).text(),
            link.get("principalSubject").text(),
            claims.any(&["email", "sub"]).text(),
        ]);
        if event.actor_issuer.is_empty() {
            event.actor_issuer = claims.get("iss").text();
        }
        if !who.is_empty() {
            delegated.push(who);
        }
    }
    delegated.reverse();
    event.actor_delegated_from = context.texts(delegated);
}

fn actor_type(account: &str, subject: &str) -> ActorType {
    if account.is_empty() {
        return ActorType::Unknown;
    }
    if account.starts_with("system:") {
        return if account.starts_with("system:serviceaccount:") {
            ActorType::Service
        } else {
            ActorType::System
        };
    }
    // Google's own agents.
    if text::has(account, "@gcp-sa-") || account.ends_with("@cloudservices.gserviceaccount.com") {
        return ActorType::System;
    }
    let is_service = account.ends_with("gserviceaccount.com")
        || account.starts_with("principal")
        || subject.starts_with("serviceAccount:");
    if is_service {
        ActorType::Service
    } else {
        ActorType::User
    }
}

fn place<'a>(event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let [project, organization, zone, location, region, cluster, namespace] = members!(
        parts.resource.get("labels"),
        "project_id",
        "organization_id",
        "zone",
        "location",
        "region",
        "cluster_name",
        "namespace_name"
    );
    let after = text::piece_after;
    event.account_uid = text::or(project.text(), || {
        text::or(after(parts.resource_name, "projects"), || {
            after(parts.log_name, "projects")
        })
    });
    let organization_of = |path| text::piece_after_rare(path, "organizations", b'z');
    event.org_uid = text::or(organization.text(), || {
        text::or(organization_of(parts.log_name), || {
            organization_of(parts.resource_name)
        })
    });
    let locations = parts.location.get("currentLocations");
    event.zone = zone.text();
    event.region = first(&[
        locations.items().next().unwrap_or(locations).text(),
        location.text(),
        region.text(),
        event.zone,
    ]);
    event.cluster = cluster.text();
    event.namespace = namespace.text();
    if event.namespace.is_empty() && event.api_service == "k8s.io" {
        event.namespace = after(parts.resource_name, "namespaces");
    }
}

fn resources<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let kind = parts.resource.get("type").text();
    let mut list = context.list_of_one();
    let mut push = |uid: &'a str, kind: &'a str| {
        let name = text::after_last(uid.trim_end_matches('/'), b'/');
        if !uid.is_empty() && !list.iter().any(|known: &Resource<'a>| known.uid == uid) {
            list.push(Resource { uid, kind, name });
        }
    };
    push(parts.resource_name, kind);
    if parts.resource_name.is_empty() {
        for asked in parts.authorization.items() {
            let attributes = asked.get("resourceAttributes");
            let uid = first(&[attributes.get("name").text(), asked.get("resource").text()]);
            push(uid, first(&[attributes.get("type").text(), kind]));
        }
        push(parts.metadata.get("resourceName").text(), kind);
    }
    if list.is_empty() {
        let labels = parts.resource.get("labels");
        let of_labels = labels.any(&[
            "job_name",
            "job_id",
            "name",
            "instance_id",
            "bucket_name",
            "service_name",
            "cluster_name",
            "email_id",
            "unique_id",
        ]);
        let request = parts.request.any(&["name", "resource", "parent"]).text();
        let response = parts.response.any(&["name", "targetLink", "selfLink"]).text();
        let uid = first(&[
            request,
            response,
            of_labels.text(),
            parts.metadata.get("resourceName").text(),
        ]);
        if !uid.is_empty() {
            let name = text::after_last(uid, b'/');
            list.push(Resource { uid, kind, name });
        }
    }
    event.resources = context.resources(list);
}

fn outcome<'a>(event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let [code, message] = members!(parts.status, "code", "message");
    event.status_code = code.text();
    event.status_detail = message.text();
    let refused = parts
        .authorization
        .items()
        .any(|asked| asked.get("granted").bool() == Some(false));
    let failed = !event.status_code.is_empty() && code.i64().is_some_and(|code| code != 0);
    event.status = if failed || refused {
        Status::Failure
    } else {
        Status::Success
    };
}

/// Tickets stand in labels and descriptions.
fn tickets<'a>(context: &mut Context<'a>, parts: &Parts<'a>) {
    context.tickets_below(parts.labels);
    for (name, value) in parts.request.members() {
        match name {
            "labels" | "description" | "annotations" | "userLabels" | "comment" => {
                context.tickets_below(value)
            }
            "metadata" => {
                context.tickets_below(value.get("labels"));
                for (name, value) in value.get("annotations").members() {
                    if name != "kubectl.kubernetes.io/last-applied-configuration" {
                        context.tickets_in(value.text());
                    }
                }
            }
            _ if value.kind() == Kind::Object => {
                for inner in ["labels", "description"] {
                    context.tickets_below(value.get(inner));
                }
            }
            _ => {}
        }
    }
}

/// One part of an entry that was too large. No part holds all fields: each becomes a row, the view joins them.
fn split<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    if parts.split.is_none() {
        return;
    }
    context.mark(Mark::SplitPart);
    event.split_uid = context.text(parts.split.get("uid"));
    event.split_index = context.number(parts.split.get("index")).unwrap_or_default();
    event.split_total = context.number(parts.split.get("totalSplits")).unwrap_or_default();
}

#[cfg(test)]
mod tests;
