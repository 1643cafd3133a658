//! The rival for Kubernetes' audit events. It is let off stages that are skipped, older versions' times, impersonation,
//! what EKS adds to a user, requests that name no resource, and kinds that no record here names.

use changegate_types::{ActorType, Class, Mark, PrivilegeClass, Status, Verb};
use serde_json::Value;

use super::mask::{Below, Rules};
use super::members::{Members, first, owned, parse_time, take, text};
use super::{Columns, Generic, Source, verb};

/// `kubernetes.audit`.
#[derive(Debug)]
pub(super) struct KubernetesAudit;

const RULES: Rules = Rules {
    names: &[],
    // Of a patch inside a string nobody knows.
    about_secrets: |document| match text(document["objectRef"].get("resource")) {
        "secrets" => true,
        "" => document.get("auditID").is_none() || text(document.get("requestURI")).contains("/secrets"),
        _ => false,
    },
    held: |about_secrets, object| {
        let secret = match text(object.get("kind")) {
            "" => about_secrets,
            kind => kind == "Secret",
        };
        let patch = about_secrets && object.contains_key("op");
        if secret && patch && text(object.get("path")).starts_with("/data") {
            &["data", "stringdata", "value"]
        } else if secret {
            &["data", "stringdata"]
        } else {
            &[]
        }
    },
    below: |name| match name {
        "env" => Below::Leaf("value"),
        _ => Below::None,
    },
};

impl Source for KubernetesAudit {
    fn name(&self) -> &'static str {
        "kubernetes.audit"
    }

    fn rules(&self) -> Rules {
        RULES
    }

    fn columns(&self, generic: &Generic, event: Value) -> Columns {
        let mut event = Members::of(event);
        let mut columns = Columns {
            source_product: "Kubernetes",
            schema_version: event.text("apiVersion"),
            native_uid: event.text("auditID"),
            api_operation: event.text("verb"),
            user_agent: event.text("userAgent"),
            cluster: generic.cluster.clone(),
            account_uid: generic.cluster.clone(),
            ..Columns::default()
        };
        columns.request_uid.clone_from(&columns.native_uid);
        columns.correlation_uid.clone_from(&columns.native_uid);
        let (kind, stage, uri) = (event.text("kind"), event.text("stage"), event.text("requestURI"));
        if !matches!(stage.as_str(), "ResponseComplete" | "Panic") || kind != "Event" {
            columns.marks.set(Mark::UnknownType);
        }
        if columns.schema_version != "audit.k8s.io/v1" {
            columns.marks.set(Mark::UnknownVersion);
        }
        let received = event.text("requestReceivedTimestamp");
        let staged = event.time("stageTimestamp");
        columns.event_time = staged.or_else(|| parse_time(&received)).unwrap_or_default();
        // Proxies append: what stands before the last address may be the client's invention.
        if let Value::Array(mut addresses) = event.value("sourceIPs") {
            columns.address(addresses.pop().map(owned).unwrap_or_default());
        }
        actor(&mut columns, event.value("user"));
        let (request, response) = (event.value("requestObject"), event.value("responseObject"));
        let object = event.value("objectRef");
        resource(&mut columns, &object, &request, &response);
        let annotations = event.value("annotations");
        outcome(&mut columns, event.value("responseStatus"), annotations, &stage);
        kind_of(&mut columns, &object, &uri);
        tickets(generic, &mut columns, &request);
        tickets(generic, &mut columns, &response);
        if !columns.native_uid.is_empty() {
            columns.event_uid = generic.uid("event", &[&columns.native_uid, &stage]);
            let parts = [
                &columns.native_uid,
                &received,
                &columns.actor_uid,
                &columns.api_operation,
                &uri,
            ];
            columns.change_uid = generic.uid("change", &parts.map(String::as_str));
        }
        event.finish(&mut columns);
        columns
    }
}

fn actor(columns: &mut Columns, mut user: Value) {
    columns.actor_uid = owned(take(&mut user, "username"));
    columns.actor_name.clone_from(&columns.actor_uid);
    columns.actor_type = match columns.actor_uid.as_str() {
        "" => ActorType::Unknown,
        "system:anonymous" | "system:unauthenticated" => ActorType::Other,
        "system:admin" => ActorType::Admin,
        account => match account.strip_prefix("system:serviceaccount:") {
            Some(name) => {
                columns.actor_name = name.to_owned();
                ActorType::Service
            }
            None if account.starts_with("system:") => ActorType::System,
            None => {
                let mut groups = user["groups"].as_array().into_iter().flatten();
                if groups.any(|group| group == "system:masters") {
                    ActorType::Admin
                } else {
                    ActorType::User
                }
            }
        },
    };
    let extra = take(&mut user, "extra");
    let of = |name: &str| extra[name][0].as_str().unwrap_or_default().to_owned();
    columns.actor_credential_uid = of("authentication.kubernetes.io/credential-id");
    columns.actor_invoked_by = of("authentication.kubernetes.io/pod-name");
}

fn resource(columns: &mut Columns, object: &Value, request: &Value, response: &Value) {
    let (group, resource) = (text(object.get("apiGroup")), text(object.get("resource")));
    let subresource = text(object.get("subresource"));
    columns.api_version = text(object.get("apiVersion")).to_owned();
    columns.namespace = text(object.get("namespace")).to_owned();
    let dot = if group.is_empty() { "" } else { "." };
    let whole = format!("{resource}{dot}{group}");
    let slash = if subresource.is_empty() { "" } else { "/" };
    columns.api_service = format!("{whole}{slash}{subresource}");
    let name = first(&[
        text(object.get("name")),
        text(request["metadata"].get("name")),
        text(response["metadata"].get("name")),
        text(request["metadata"].get("generateName")),
    ]);
    if resource == "namespaces" && columns.namespace.is_empty() {
        columns.namespace.clone_from(&name);
    }
    let within = if resource == "namespaces" {
        ""
    } else {
        &columns.namespace
    };
    let uid = match (within, name.as_str()) {
        ("", "") => whole,
        ("", name) => format!("{whole}/{name}"),
        (namespace, "") => format!("{whole}/{namespace}"),
        (namespace, name) => format!("{whole}/{namespace}/{name}"),
    };
    let kind = columns.api_service.clone();
    columns.resources.push((uid, kind.into(), name));
}

fn outcome(columns: &mut Columns, mut status: Value, mut annotations: Value, stage: &str) {
    let code = take(&mut status, "code");
    columns.status = match code.as_i64() {
        _ if stage == "Panic" => Status::Failure,
        Some(100..400) => Status::Success,
        Some(_) => Status::Failure,
        None if text(annotations.get("authorization.k8s.io/decision")) == "forbid" => Status::Failure,
        None => match text(status.get("status")) {
            "Failure" => Status::Failure,
            "Success" => Status::Success,
            _ => Status::Unknown,
        },
    };
    columns.status_code = owned(code);
    columns.status_detail = owned(take(&mut status, "message"));
    if columns.status_detail.is_empty() {
        columns.status_detail = owned(take(&mut status, "reason"));
    }
    if columns.status_detail.is_empty() {
        columns.status_detail = owned(take(&mut annotations, "authorization.k8s.io/reason"));
    }
    if text(annotations.get("audit.k8s.io/truncated")) == "true" {
        columns.marks.set(Mark::Truncated);
    }
}

fn kind_of(columns: &mut Columns, object: &Value, uri: &str) {
    let (resource, subresource) = (text(object.get("resource")), text(object.get("subresource")));
    columns.verb = match (columns.api_operation.as_str(), subresource) {
        ("", _) => Verb::Unknown,
        (_, "exec" | "attach" | "portforward" | "proxy") => Verb::Other,
        ("create", "eviction") => Verb::Delete,
        ("create", "binding") => Verb::Update,
        ("create", _) if resource.ends_with("reviews") => Verb::Read,
        ("create" | "post", _) => Verb::Create,
        ("get" | "list" | "watch" | "head" | "options", _) => Verb::Read,
        ("update" | "patch" | "put" | "apply", _) => Verb::Update,
        ("delete" | "deletecollection", _) => Verb::Delete,
        _ => Verb::Other,
    };
    columns.privilege_class = privilege_class(resource);
    let session = resource == "serviceaccounts"
        && subresource == "token"
        && columns.actor_uid.starts_with("system:node:");
    columns.class = match resource {
        _ if session => Class::Authentication,
        _ if columns.verb == Verb::Read => Class::ApiActivity,
        "rolebindings" | "clusterrolebindings" => Class::UserAccess,
        "serviceaccounts" | "users" => Class::AccountChange,
        _ => Class::ApiActivity,
    };
    columns.activity = if session {
        1
    } else {
        verb::activity(columns.class, columns.verb)
    };
    let dry_run = uri.contains("dryRun=All");
    columns.is_change = !session && !dry_run && !matches!(columns.verb, Verb::Read | Verb::Unknown);
}

fn privilege_class(resource: &str) -> PrivilegeClass {
    match resource {
        "roles" | "clusterroles" | "rolebindings" | "clusterrolebindings" | "serviceaccounts" | "users" => {
            PrivilegeClass::Identity
        }
        "secrets" | "externalsecrets" | "certificates" => PrivilegeClass::Keys,
        "events" => PrivilegeClass::Logging,
        "services" | "endpoints" | "endpointslices" | "networkpolicies" | "ingresses" => {
            PrivilegeClass::Network
        }
        "configmaps" | "persistentvolumes" | "persistentvolumeclaims" | "storageclasses" => {
            PrivilegeClass::Data
        }
        "applications" => PrivilegeClass::Pipeline,
        "pods"
        | "deployments"
        | "replicasets"
        | "statefulsets"
        | "daemonsets"
        | "jobs"
        | "cronjobs"
        | "nodes"
        | "namespaces"
        | "horizontalpodautoscalers" => PrivilegeClass::Compute,
        _ => PrivilegeClass::None,
    }
}

/// Tickets stand in annotations and labels, and in patches of them.
fn tickets(generic: &Generic, columns: &mut Columns, object: &Value) {
    for operation in object.as_array().into_iter().flatten() {
        let path = text(operation.get("path"));
        if path.contains("/annotations") || path.contains("/labels") {
            generic.tickets_below(columns, &operation["value"]);
        }
    }
    let metadata = &object["metadata"];
    for (name, value) in metadata["annotations"].as_object().into_iter().flatten() {
        // It repeats the whole object.
        if name != "kubectl.kubernetes.io/last-applied-configuration" {
            generic.tickets_below(columns, value);
        }
    }
    generic.tickets_below(columns, &metadata["labels"]);
}
