//! What kind of request: verb, OCSF class and privilege class, by resource.

use changegate_types::{Class, PrivilegeClass, Verb};

use crate::memo::Memo;

/// What follows from a request's verb and the kind of thing that it is about.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) verb: Verb,
    pub(super) class: Class,
    pub(super) privilege_class: PrivilegeClass,
}

impl Request {
    pub(super) fn of(operation: &str, resource: &str, subresource: &str, group: &str) -> Self {
        thread_local! {
            static KNOWN: Memo<Request, 4> = const { Memo::new() };
        }
        KNOWN.with(|known| {
            known.get([operation, resource, subresource, group], || {
                let verb = verb(operation, resource, subresource);
                let service = match (resource, group) {
                    ("", _) => String::new(),
                    (resource, "") => resource.to_owned(),
                    (resource, group) => format!("{resource}.{group}"),
                };
                Self {
                    verb,
                    class: class(resource, verb),
                    privilege_class: privilege_class(&service, resource, subresource),
                }
            })
        })
    }
}

/// A question to the API server that is spelled as a creation.
fn is_review(resource: &str) -> bool {
    resource.ends_with("reviews") && resource.contains("access")
        || matches!(
            resource,
            "tokenreviews" | "selfsubjectreviews" | "selfsubjectrulesreviews"
        )
}

pub(crate) fn verb(operation: &str, resource: &str, subresource: &str) -> Verb {
    match (operation, subresource) {
        ("", _) => Verb::Unknown,
        // A shell or a tunnel, whichever method opened it.
        (_, "exec" | "attach" | "portforward") => Verb::Other,
        ("create" | "update" | "patch" | "get" | "delete", "proxy") => Verb::Other,
        ("create", "eviction") => Verb::Delete,
        ("create", "binding") => Verb::Update,
        ("create", _) if is_review(resource) => Verb::Read,
        ("create" | "post", _) => Verb::Create,
        ("get" | "list" | "watch" | "head" | "options", _) => Verb::Read,
        ("update" | "patch" | "put" | "apply", _) => Verb::Update,
        ("delete" | "deletecollection", _) => Verb::Delete,
        _ => match crate::verb::of(operation) {
            Verb::Unknown => Verb::Other,
            verb => verb,
        },
    }
}

pub(crate) fn class(resource: &str, verb: Verb) -> Class {
    match resource {
        _ if verb == Verb::Read => Class::ApiActivity,
        "rolebindings" | "clusterrolebindings" => Class::UserAccess,
        "serviceaccounts" | "users" => Class::AccountChange,
        _ => Class::ApiActivity,
    }
}

/// Version 1 of the table; raise `PrivilegeClass::VERSION` with it. `service` is resource, group and subresource.
pub(crate) fn privilege_class(service: &str, resource: &str, subresource: &str) -> PrivilegeClass {
    let group = |name: &str| service.split('/').next().unwrap_or_default().ends_with(name);
    match resource {
        "roles"
        | "clusterroles"
        | "rolebindings"
        | "clusterrolebindings"
        | "serviceaccounts"
        | "users"
        | "groups"
        | "identities"
        | "certificatesigningrequests"
        | "podsecuritypolicies"
        | "securitycontextconstraints"
        | "validatingwebhookconfigurations"
        | "mutatingwebhookconfigurations"
        | "validatingadmissionpolicies"
        | "validatingadmissionpolicybindings"
        | "mutatingadmissionpolicies"
        | "oauthclients" => PrivilegeClass::Identity,
        "secrets" | "sealedsecrets" | "externalsecrets" | "secretstores" | "clustersecretstores" => {
            PrivilegeClass::Keys
        }
        _ if group("cert-manager.io") => PrivilegeClass::Keys,
        "auditsinks" | "events" | "prometheusrules" | "servicemonitors" | "podmonitors" | "alertmanagers" => {
            PrivilegeClass::Logging
        }
        "services"
        | "endpoints"
        | "endpointslices"
        | "networkpolicies"
        | "ingresses"
        | "ingressclasses"
        | "adminnetworkpolicies"
        | "ipaddresses"
        | "servicecidrs"
        | "routes" => PrivilegeClass::Network,
        _ if [
            "gateway.networking.k8s.io",
            "networking.istio.io",
            "cilium.io",
            "projectcalico.org",
        ]
        .iter()
        .any(|name| group(name)) =>
        {
            PrivilegeClass::Network
        }
        "configmaps"
        | "persistentvolumes"
        | "persistentvolumeclaims"
        | "storageclasses"
        | "volumesnapshots"
        | "volumesnapshotcontents"
        | "volumeattachments"
        | "backups"
        | "restores" => PrivilegeClass::Data,
        _ if ["argoproj.io", "tekton.dev", "fluxcd.io"]
            .iter()
            .any(|name| group(name)) =>
        {
            PrivilegeClass::Pipeline
        }
        "pods"
        | "deployments"
        | "replicasets"
        | "statefulsets"
        | "daemonsets"
        | "jobs"
        | "cronjobs"
        | "nodes"
        | "namespaces"
        | "replicationcontrollers"
        | "horizontalpodautoscalers"
        | "poddisruptionbudgets"
        | "priorityclasses"
        | "runtimeclasses"
        | "customresourcedefinitions"
        | "podtemplates"
        | "resourcequotas"
        | "limitranges"
        | "apiservices" => PrivilegeClass::Compute,
        _ if matches!(subresource, "scale" | "exec") => PrivilegeClass::Compute,
        _ => PrivilegeClass::None,
    }
}
