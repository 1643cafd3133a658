//! Kubernetes audit events: the log backend's lines and the webhook backend's lists.
//!
//! Fields: `audit.k8s.io/v1` (`staging/src/k8s.io/apiserver/pkg/apis/audit/v1/types.go`). The cluster is not among
//! them: it comes from the topic's settings, from a shipper's field, or from the log group of EKS.

mod actor;
pub(super) mod classify;

use changegate_json::{Kind, Value, members, rare_members};
use changegate_types::{ChangeEvent, Class, Mark, RejectCode, Resource, SkipReason, Status, Verb};

use super::Source;
use crate::context::{Context, Draft, Found, List, Unwrapped, each_member, first};
use crate::secret::{SecretRules, Subtree};
use crate::{text, verb};

/// `kubernetes.audit`.
pub(crate) struct KubernetesAudit;

const SECRETS: SecretRules = SecretRules {
    names: &[],
    subtrees: &[
        // A whole Secret; or a patch of one, or an item of a SecretList, which say no kind.
        Subtree {
            names: &["data", "stringData"],
            when: is_secret_data,
            leaf: "",
        },
        // A JSON patch of a Secret.
        Subtree {
            names: &["value"],
            when: is_secret_patch,
            leaf: "",
        },
        // Environment of a container.
        Subtree {
            names: &["env"],
            when: |_, _| true,
            leaf: "value",
        },
    ],
};

pub(super) fn is_secret_data(root: Value<'_>, object: Value<'_>) -> bool {
    match object.get("kind").text() {
        "Secret" => true,
        "" => touches_secrets(root),
        _ => false,
    }
}

pub(super) fn is_secret_patch(root: Value<'_>, object: Value<'_>) -> bool {
    let path = object.get("path").text();
    (path.is_empty() || path.starts_with("/data") || path.starts_with("/stringData"))
        && object.get("op").is_some()
        && touches_secrets(root)
}

/// Most events of a list that are asked whether they are about Secrets; a longer list counts as one that is.
const ASKED: usize = 256;

/// Whether a document may be about Secrets. It may where it doesn't say (a patch inside a string).
fn touches_secrets(root: Value<'_>) -> bool {
    let is = |event: Value<'_>| {
        let resource = event.at(&["objectRef", "resource"]);
        resource.text() == "secrets"
            || (resource.is_none()
                && (event.get("auditID").is_none() || event.get("requestURI").text().contains("/secrets")))
    };
    let list = root.get("items");
    let events = match (root.kind(), list.kind()) {
        (Kind::Array, _) => root.items(),
        (_, Kind::Array) => list.items(),
        _ => return is(root),
    };
    let mut seen = 0;
    events.take(ASKED + 1).any(|event| {
        seen += 1;
        seen > ASKED || is(event)
    })
}

impl Source for KubernetesAudit {
    fn name(&self) -> &'static str {
        "kubernetes.audit"
    }

    fn secrets(&self) -> &'static SecretRules {
        &SECRETS
    }

    fn lines(&self) -> bool {
        true
    }

    fn unwrap<'a>(&self, context: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
        unwrap(context, root, true, out);
        if out.is_empty() {
            out.push(Unwrapped::Skip(SkipReason::EmptyEnvelope));
        }
    }

    fn normalize<'a>(&self, context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
        normalize(context, child)
    }
}

fn unwrap<'a>(
    context: &mut Context<'a>,
    root: Value<'a>,
    in_record: bool,
    out: &mut List<'a, Unwrapped<'a>>,
) {
    if root.kind() == Kind::Array {
        root.items()
            .for_each(|item| unwrap(context, item, in_record, out));
        return;
    }
    let [items, log_events, message_type] = rare_members!(root, "items", "logEvents", "messageType");
    let is_list = root.get("kind").text() == "EventList";
    // The server writes `null` for an empty list; anything else is none, and no event either.
    if items.kind() == Kind::Array || (is_list && items.is_none()) {
        items
            .items()
            .for_each(|item| event(context, item, root, in_record, out));
    } else if message_type.text() == "CONTROL_MESSAGE" {
        out.push(Unwrapped::Skip(SkipReason::ControlMessage));
    } else if log_events.kind() == Kind::Array {
        // EKS through a CloudWatch Logs subscription: its log group holds the other control-plane logs too.
        for log_event in log_events.items() {
            let text = log_event.get("message").text();
            if text.trim_ascii_start().starts_with('{') {
                let inner = context.nested(log_event.get("message"));
                event(context, inner, root, false, out);
            } else {
                out.push(Unwrapped::Skip(SkipReason::NotAudit));
            }
        }
    } else {
        event(context, root, root, in_record, out);
    }
}

/// Whether one of the members is there that audit events alone have; nearly all have the first.
fn is_audit(value: Value<'_>) -> bool {
    const OTHERS: [&str; 5] = ["verb", "requestURI", "objectRef", "stage", "stageTimestamp"];
    value.get("auditID").or(|| value.any(&OTHERS)).is_some()
}

fn event<'a>(
    context: &mut Context<'a>,
    value: Value<'a>,
    envelope: Value<'a>,
    in_record: bool,
    out: &mut List<'a, Unwrapped<'a>>,
) {
    if value.kind() == Kind::Object {
        if is_audit(value) {
            out.push(Unwrapped::Child(Found {
                value,
                envelope,
                in_record,
            }));
            return;
        }
        // An Event of the core API, which tells of scheduling and the like.
        if value.get("involvedObject").is_some() || value.get("regarding").is_some() {
            out.push(Unwrapped::Skip(SkipReason::NotAudit));
            return;
        }
        // Log shippers put the line into a string.
        let inner = value.any(&["log", "message"]);
        if inner.text().trim_ascii_start().starts_with('{') {
            let inner = context.nested(inner);
            if is_audit(inner) {
                out.push(Unwrapped::Child(Found {
                    value: inner,
                    envelope: value,
                    in_record: false,
                }));
                return;
            }
        }
    }
    out.push(Unwrapped::reject(
        value,
        RejectCode::UnknownEnvelope,
        "no audit event: none of auditID, verb, requestURI, objectRef, stage is there",
    ));
}

/// The members that are not plain columns.
#[derive(Default)]
struct Parts<'a> {
    user: Value<'a>,
    impersonated: Value<'a>,
    object: Value<'a>,
    status: Value<'a>,
    request: Value<'a>,
    response: Value<'a>,
    annotations: Value<'a>,
    metadata: Value<'a>,
    kind: &'a str,
    stage: &'a str,
    uri: &'a str,
    staged: Value<'a>,
    received: Value<'a>,
    /// Of v1beta1 and before.
    timestamp: Value<'a>,
}

const NAMES: [&str; 20] = [
    "kind",
    "apiVersion",
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "impersonatedUser",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "responseStatus",
    "requestObject",
    "responseObject",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "timestamp",
    "annotations",
    "metadata",
    "clusterName",
];

/// One event. Also called for those that AKS sends in Azure's envelope.
pub(super) fn normalize<'a>(context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
    let event = context.arena.alloc_with(|| ChangeEvent {
        source_product: "Kubernetes",
        ..ChangeEvent::default()
    });
    let mut parts = Parts::default();
    each_member(child, &NAMES, |name, value| {
        member(context, event, &mut parts, name, value)
    });
    match parts.stage {
        "RequestReceived" | "ResponseStarted" => return Err(SkipReason::EarlyStage),
        "ResponseComplete" | "Panic" | "" => {}
        _ => context.mark(Mark::UnknownType),
    }
    let known_version = matches!(
        event.schema_version,
        "" | "audit.k8s.io/v1" | "audit.k8s.io/v1beta1" | "audit.k8s.io/v1alpha1"
    );
    if !known_version {
        context.mark(Mark::UnknownVersion);
    }
    if !matches!(parts.kind, "Event" | "") {
        context.mark(Mark::UnknownType);
    }
    let time = parts
        .staged
        .or(|| parts.received)
        .or(|| parts.timestamp)
        .or(|| parts.metadata.get("creationTimestamp"));
    event.event_time = context.time(time).unwrap_or_default();
    event.request_uid = event.native_uid;
    event.correlation_uid = event.native_uid;

    cluster(context, event);
    let user = actor::resolve(context, event, parts.user, parts.impersonated);
    let object = Object::of(parts.object);
    event.api_version = object.version;
    event.namespace = object.namespace;
    resource(context, event, &parts, &object);
    outcome(context, event, &parts);
    kind(event, &parts, &object);
    // Of most requests the bodies are not logged.
    for body in [parts.request, parts.response] {
        if body.is_some() {
            tickets(context, body);
        }
    }

    let uid = match event.native_uid {
        "" => [""; 5],
        id => [id, parts.stage, "", "", ""],
    };
    let change = match event.native_uid {
        "" => [""; 5],
        id => [
            id,
            context.text(parts.received),
            user,
            event.api_operation,
            parts.uri,
        ],
    };
    Ok(Draft { event, uid, change })
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
        "kind" => parts.kind = context.text(value),
        "apiVersion" => event.schema_version = context.text(value),
        "auditID" => event.native_uid = context.text(value),
        "stage" => parts.stage = context.text(value),
        "requestURI" => parts.uri = context.text(value),
        "verb" => event.api_operation = context.text(value),
        "user" => parts.user = value,
        "impersonatedUser" => parts.impersonated = value,
        // Proxies append: whatever stands before the last address may be the client's invention.
        "sourceIPs" => {
            let last = value.items().last().unwrap_or(value);
            if last.kind() != Kind::Array {
                context.address(event, last);
            }
        }
        "userAgent" => event.user_agent = context.text(value),
        "objectRef" => parts.object = value,
        "responseStatus" => parts.status = value,
        "requestObject" => parts.request = context.nested(value),
        "responseObject" => parts.response = context.nested(value),
        "requestReceivedTimestamp" => parts.received = value,
        "stageTimestamp" => parts.staged = value,
        "timestamp" => parts.timestamp = value,
        "annotations" => parts.annotations = value,
        "metadata" => parts.metadata = value,
        "clusterName" | "cluster" if value.kind() == Kind::String => event.cluster = value.text(),
        "level" => {}
        _ => return false,
    }
    true
}

/// From the event, the log group of EKS, or the topic's settings.
fn cluster<'a>(context: &Context<'a>, event: &mut ChangeEvent<'a>) {
    if event.cluster.is_empty() {
        let group = context.envelope.get("logGroup").text();
        event.cluster = group
            .strip_prefix("/aws/eks/")
            .and_then(|rest| rest.split('/').next())
            .unwrap_or_default();
    }
    if event.cluster.is_empty() {
        event.cluster = &context.topic.cluster;
    }
    event.account_uid = event.cluster;
}

/// What `objectRef` says.
struct Object<'a> {
    group: &'a str,
    version: &'a str,
    resource: &'a str,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> Object<'a> {
    fn of(value: Value<'a>) -> Self {
        let [group, version, resource, subresource, namespace, name] = members!(
            value,
            "apiGroup",
            "apiVersion",
            "resource",
            "subresource",
            "namespace",
            "name"
        );
        let (group, version) = (group.text(), version.text());
        // Some versions spell `rbac.authorization.k8s.io/v1` in apiVersion.
        let group = match text::cut(version, b'/') {
            Some((before, _)) if group.is_empty() => before,
            _ => group,
        };
        Self {
            group,
            version,
            resource: resource.text(),
            subresource: subresource.text(),
            namespace: namespace.text(),
            name: name.text(),
        }
    }
}

fn resource<'a>(
    context: &mut Context<'a>,
    event: &mut ChangeEvent<'a>,
    parts: &Parts<'a>,
    object: &Object<'a>,
) {
    let Object {
        group,
        resource,
        subresource,
        ..
    } = *object;
    let mut list = context.list_of_one();
    if resource.is_empty() {
        let path = text::before(parts.uri, b'?');
        if !path.is_empty() {
            list.push(Resource {
                uid: path,
                kind: "",
                name: path,
            });
        }
        event.resources = context.resources(list);
        return;
    }
    // A creation often leaves the name out of the reference, and with `generateName` out of the request too.
    let made = |body: Value<'a>, name: &str| body.get("metadata").get(name).text();
    let name = text::or(object.name, || {
        text::or(made(parts.request, "name"), || {
            text::or(made(parts.response, "name"), || {
                made(parts.request, "generateName")
            })
        })
    });
    if resource == "namespaces" && event.namespace.is_empty() {
        event.namespace = name;
    }
    let in_namespace = if resource == "namespaces" {
        ""
    } else {
        event.namespace
    };
    let before = |mark: &'static str, piece: &str| if piece.is_empty() { "" } else { mark };
    let (dot, to_namespace, to_name) = (before(".", group), before("/", in_namespace), before("/", name));
    let uid = context.join(&[resource, dot, group, to_namespace, in_namespace, to_name, name]);
    let whole = uid
        .get(..resource.len() + dot.len() + group.len())
        .unwrap_or_default();
    event.api_service = if subresource.is_empty() {
        whole
    } else {
        context.join(&[whole, "/", subresource])
    };
    list.push(Resource {
        uid,
        kind: event.api_service,
        name,
    });
    event.resources = context.resources(list);
}

fn outcome<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let [code, message, reason, status] = members!(parts.status, "code", "message", "reason", "status");
    let [decision, decision_reason, truncated] = members!(
        parts.annotations,
        "authorization.k8s.io/decision",
        "authorization.k8s.io/reason",
        "audit.k8s.io/truncated"
    );
    event.status_code = context.text(code);
    event.status_detail = first(&[message.text(), reason.text(), decision_reason.text()]);
    event.status = match code.i64() {
        _ if parts.stage == "Panic" => Status::Failure,
        Some(100..400) => Status::Success,
        Some(_) => Status::Failure,
        None if decision.text() == "forbid" || status.text() == "Failure" => Status::Failure,
        None if status.text() == "Success" => Status::Success,
        None => Status::Unknown,
    };
    if truncated.bool() == Some(true) {
        context.mark(Mark::Truncated);
    }
}

fn kind(event: &mut ChangeEvent<'_>, parts: &Parts<'_>, object: &Object<'_>) {
    let kind = classify::Request::of(
        event.api_operation,
        object.resource,
        object.subresource,
        object.group,
    );
    event.verb = kind.verb;
    event.privilege_class = kind.privilege_class;
    // A kubelet fetches a token for each of its pods: that begins a session and changes nothing.
    let session = object.resource == "serviceaccounts"
        && object.subresource == "token"
        && event.actor_uid.starts_with("system:node:");
    event.class = if session {
        Class::Authentication
    } else {
        kind.class
    };
    event.activity = if session {
        1
    } else {
        verb::activity(event.class, event.verb)
    };
    event.is_change = !session && !matches!(event.verb, Verb::Read | Verb::Unknown) && !is_dry_run(parts.uri);
}

/// Whether `dryRun=All` stands somewhere in it.
fn is_dry_run(uri: &str) -> bool {
    let uri = uri.as_bytes();
    memchr::memchr_iter(b'=', uri).any(|at| {
        let (name, value) = uri.split_at_checked(at).unwrap_or_default();
        name.ends_with(b"dryRun") && value.starts_with(b"=All")
    })
}

/// Tickets stand in annotations and labels.
#[inline(never)]
fn tickets<'a>(context: &mut Context<'a>, object: Value<'a>) {
    for operation in object.items() {
        let path = operation.get("path").text();
        if text::has(path, "/annotations") || text::has(path, "/labels") {
            context.tickets_below(operation.get("value"));
        }
    }
    let [annotations, labels] = members!(object.get("metadata"), "annotations", "labels");
    for (name, value) in annotations.members() {
        // It repeats the whole object.
        if name != "kubectl.kubernetes.io/last-applied-configuration" {
            context.tickets_in(value.text());
        }
    }
    context.tickets_below(labels);
}

#[cfg(test)]
mod tests;
