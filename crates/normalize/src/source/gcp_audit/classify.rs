//! What kind of call: verb, OCSF class and privilege class, by service and method.

use super::{Class, Value, Verb, text, verb};
use crate::memo::Memo;
use crate::source::kubernetes_audit::classify as kubernetes;
use changegate_types::{ChangeEvent, PrivilegeClass};

/// What follows from service and operation alone.
#[derive(Clone, Copy)]
struct Operation {
    verb: Verb,
    class: Class,
    privilege_class: PrivilegeClass,
    is_sign_in: bool,
}

impl Operation {
    fn of(service: &str, operation: &str) -> Self {
        thread_local! {
            static KNOWN: Memo<Operation, 2> = const { Memo::new() };
        }
        KNOWN.with(|known| {
            known.get([service, operation], || {
                let method = last(operation);
                let verb = of(method);
                Self {
                    verb,
                    class: class(service, method, verb),
                    privilege_class: privilege_class(service, operation),
                    is_sign_in: is_sign_in(service, method),
                }
            })
        })
    }
}

pub(super) fn kind<'a>(event: &mut ChangeEvent<'a>, resource_name: &'a str, authorization: Value<'a>) {
    let asked = || authorization.items().next().unwrap_or_default();
    if event.api_operation.is_empty() {
        event.verb = verb::of(last(asked().get("permission").text()));
        event.class = Class::ApiActivity;
        event.activity = verb::activity(event.class, event.verb);
        event.is_change = !matches!(event.verb, Verb::Read | Verb::Unknown);
        return;
    }
    let mut sign_in = false;
    if event.api_service == "k8s.io" {
        let (resource, subresource) = object(event.api_operation);
        event.verb = kubernetes::verb(last(event.api_operation), resource, subresource);
        event.class = kubernetes::class(resource, event.verb);
        event.privilege_class = kubernetes::privilege_class(resource_name, resource, subresource);
    } else {
        let operation = Operation::of(event.api_service, event.api_operation);
        (event.verb, event.class) = (operation.verb, operation.class);
        if event.verb == Verb::Unknown && asked().get("permissionType").text().ends_with("_READ") {
            (event.verb, event.class) = (Verb::Read, Class::ApiActivity);
        }
        event.privilege_class = operation.privilege_class;
        sign_in = operation.is_sign_in;
    }
    if sign_in {
        event.class = Class::Authentication;
        event.activity = 1;
        if event.verb == Verb::Read {
            event.verb = Verb::Other;
        }
    } else {
        event.activity = verb::activity(event.class, event.verb);
    }
    event.is_change = !sign_in && event.verb != Verb::Read;
}

fn last(method: &str) -> &str {
    text::after_last_of(method, *b"./")
}

/// `io.k8s.core.v1.pods.exec.create`: resource and subresource stand between version and verb.
fn object(method: &str) -> (&str, &str) {
    let is_version = |piece: &&str| {
        let rest = piece.strip_prefix('v').unwrap_or_default();
        rest.starts_with(|letter: char| letter.is_ascii_digit())
    };
    let mut pieces = method.split('.').skip_while(|piece| !is_version(piece)).skip(1);
    let resource = pieces.next().unwrap_or_default();
    let (subresource, verb) = (pieces.next().unwrap_or_default(), pieces.next());
    (resource, if verb.is_some() { subresource } else { "" })
}

/// The first word, or where it is none that is known (`inboundSsoProfileDeleted`) the last one.
fn of(method: &str) -> Verb {
    match verb::of(method) {
        Verb::Unknown => {
            let (mut word, mut rest) = verb::first_word(method);
            while !rest.is_empty() {
                (word, rest) = verb::first_word(rest);
            }
            match word {
                "Updated" | "Changed" => Verb::Update,
                _ => verb::word(word).unwrap_or(Verb::Unknown),
            }
        }
        verb => verb,
    }
}

/// Calls that begin a session or get a token for one.
fn is_sign_in(service: &str, method: &str) -> bool {
    match service {
        "login.googleapis.com" | "sts.googleapis.com" => true,
        "iamcredentials.googleapis.com" => matches!(
            method,
            "GenerateAccessToken" | "GenerateIdToken" | "SignJwt" | "SignBlob"
        ),
        "iap.googleapis.com" => method == "AuthorizeUser",
        "oslogin.googleapis.com" => matches!(method, "CheckPolicy" | "StartSession" | "ContinueSession"),
        _ => false,
    }
}

fn class(service: &str, method: &str, verb: Verb) -> Class {
    match service {
        _ if verb == Verb::Read => Class::ApiActivity,
        _ if method.ends_with("etIamPolicy") || method == "setIamPermissions" => Class::UserAccess,
        "admin.googleapis.com" | "cloudidentity.googleapis.com"
            if method.contains("GroupMember") || method.contains("Membership") =>
        {
            Class::GroupManagement
        }
        "iam.googleapis.com" if method.contains("ServiceAccount") => Class::AccountChange,
        "admin.googleapis.com"
            if method.contains("User") || method.contains("Password") || method.contains("2Sv") =>
        {
            Class::AccountChange
        }
        _ => Class::ApiActivity,
    }
}

/// Version 1 of the table; raise `PrivilegeClass::VERSION` with it.
pub(super) fn privilege_class(service: &str, operation: &str) -> PrivilegeClass {
    let has = |parts: &[&str]| parts.iter().any(|part| operation.contains(part));
    if has(&["etIamPolicy", "setIamPermissions"]) {
        return PrivilegeClass::Identity;
    }
    match service.strip_suffix(".googleapis.com").unwrap_or(service) {
        "iam" if has(&["Key"]) => PrivilegeClass::Keys,
        "iam"
        | "iamcredentials"
        | "sts"
        | "admin"
        | "login"
        | "cloudidentity"
        | "iap"
        | "oslogin"
        | "cloudresourcemanager"
        | "orgpolicy"
        | "identitytoolkit"
        | "privilegedaccessmanager"
        | "cloudbilling"
        | "serviceusage" => PrivilegeClass::Identity,
        "logging" | "monitoring" | "securitycenter" | "cloudasset" | "essentialcontacts" => {
            PrivilegeClass::Logging
        }
        "cloudkms" | "secretmanager" | "privateca" | "certificatemanager" | "apikeys" => PrivilegeClass::Keys,
        "dns"
        | "networkservices"
        | "networksecurity"
        | "servicenetworking"
        | "networkconnectivity"
        | "vpcaccess"
        | "accesscontextmanager"
        | "apigateway"
        | "domains" => PrivilegeClass::Network,
        "storage"
        | "bigquery"
        | "bigquerydatatransfer"
        | "cloudsql"
        | "sqladmin"
        | "spanner"
        | "firestore"
        | "datastore"
        | "bigtableadmin"
        | "redis"
        | "alloydb"
        | "file"
        | "storagetransfer"
        | "backupdr"
        | "datacatalog" => PrivilegeClass::Data,
        "cloudbuild"
        | "clouddeploy"
        | "artifactregistry"
        | "containerregistry"
        | "deploymentmanager"
        | "config"
        | "sourcerepo"
        | "binaryauthorization"
        | "cloudscheduler"
        | "workflows" => PrivilegeClass::Pipeline,
        "compute" => match operation {
            _ if has(&[
                "irewall",
                "etwork",
                "oute",
                "orwardingRule",
                "ddresses",
                "securityPolicies",
                "vpn",
                "target",
                "urlMap",
                "backend",
                "sslPolicies",
                "healthCheck",
                "HealthCheck",
                "interconnect",
                "xternalVpn",
                "AccessConfig",
            ]) =>
            {
                PrivilegeClass::Network
            }
            _ if has(&["sslCertificates"]) => PrivilegeClass::Keys,
            _ if has(&["snapshots", "disks", "images", "Snapshot"]) => PrivilegeClass::Data,
            _ if has(&["setServiceAccount"]) => PrivilegeClass::Identity,
            _ => PrivilegeClass::Compute,
        },
        "run" | "cloudfunctions" | "container" | "appengine" | "aiplatform" | "ml" | "dataflow"
        | "dataproc" | "k8s.io" | "gkehub" | "notebooks" | "composer" | "batch" => PrivilegeClass::Compute,
        other if other.ends_with("ssh-serialport") => PrivilegeClass::Compute,
        _ => PrivilegeClass::None,
    }
}
