//! What kind of operation: verb, OCSF class and privilege class, by provider, type and last word.

use super::{ChangeEvent, Class, Verb, text, verb};
use crate::memo::Memo;
use changegate_types::PrivilegeClass;

/// What follows from operation and category alone.
#[derive(Clone, Copy)]
struct Operation {
    verb: Verb,
    /// Whether it creates where the signature says so.
    is_write: bool,
    class: Class,
    privilege_class: PrivilegeClass,
    is_change: bool,
}

impl Operation {
    fn of(operation: &str, category: &str) -> Self {
        thread_local! {
            static KNOWN: Memo<Operation, 2> = const { Memo::new() };
        }
        KNOWN.with(|known| known.get([operation, category], || Self::new(operation, category)))
    }

    #[cold]
    fn new(spelled: &str, category: &str) -> Self {
        let operation = &*spelled.to_ascii_lowercase();
        let verb = verb_of(operation, spelled);
        // What Azure found, forecast or evaluated was nobody's change.
        let told = matches!(
            category,
            "Security" | "Alert" | "ServiceHealth" | "ResourceHealth" | "Recommendation" | "Policy"
        );
        Self {
            verb,
            is_write: text::after_last(operation, b'/') == "write",
            class: match category {
                "Security" => Class::DetectionFinding,
                _ if operation.contains("/roleassignments/") || operation.contains("/elevateaccess/") => {
                    Class::UserAccess
                }
                _ => Class::ApiActivity,
            },
            privilege_class: privilege_class(operation, category),
            is_change: !told && verb != Verb::Read && !operation.is_empty(),
        }
    }
}

pub(super) fn kind(event: &mut ChangeEvent<'_>, category: &str, signature: &str) {
    let operation = Operation::of(event.api_operation, category);
    event.api_service = match text::cut(event.api_operation, b'/') {
        Some((provider, _)) => provider,
        None => category_service(category),
    };
    event.verb = operation.verb;
    if operation.is_write && (text::has(signature, "Created") || signature == "201") {
        event.verb = Verb::Create;
    }
    event.privilege_class = operation.privilege_class;
    event.class = operation.class;
    event.activity = verb::activity(event.class, event.verb);
    event.is_change = operation.is_change;
}

fn category_service(category: &str) -> &'static str {
    if category.starts_with("Storage") {
        "Microsoft.Storage"
    } else {
        ""
    }
}

/// A write creates where its signature says so.
fn verb_of(lower: &str, spelled: &str) -> Verb {
    let (before, last) = lower.rsplit_once('/').unwrap_or(("", lower));
    match last {
        "" => Verb::Unknown,
        "read" => Verb::Read,
        "delete" => Verb::Delete,
        "write" => Verb::Update,
        "action" => {
            // The word before: `listKeys/action`, in its own spelling for the sake of its capitals.
            let end = spelled.len().saturating_sub("/action".len());
            let word = spelled
                .get(..end)
                .unwrap_or_default()
                .rsplit('/')
                .next()
                .unwrap_or_default();
            match before.rsplit('/').next().unwrap_or_default() {
                list if list.starts_with("list") => Verb::Read,
                list if list.starts_with("regenerate") => Verb::Update,
                "audit" | "auditifnotexists" => Verb::Read,
                "start" | "restart" | "deallocate" | "poweroff" | "redeploy" => Verb::Other,
                _ => known(verb::of(word)),
            }
        }
        _ => known(verb::of(spelled.rsplit('/').next().unwrap_or(spelled))),
    }
}

fn known(verb: Verb) -> Verb {
    if verb == Verb::Unknown { Verb::Other } else { verb }
}

/// Version 1 of the table; raise `PrivilegeClass::VERSION` with it. `operation` is in lower case.
pub(super) fn privilege_class(operation: &str, category: &str) -> PrivilegeClass {
    let has = |parts: &[&str]| parts.iter().any(|part| operation.contains(part));
    if has(&[
        "listkeys",
        "regeneratekey",
        "listsecrets",
        "listaccountsas",
        "listservicesas",
        "listclusteradmincredential",
    ]) {
        return PrivilegeClass::Keys;
    }
    if has(&["diagnosticsettings", "flowlogs"]) {
        return PrivilegeClass::Logging;
    }
    let provider = operation.split('/').next().unwrap_or_default();
    match provider.strip_prefix("microsoft.").unwrap_or(provider) {
        "authorization"
        | "managedidentity"
        | "aad"
        | "aadiam"
        | "azureactivedirectory"
        | "management"
        | "subscription"
        | "billing" => PrivilegeClass::Identity,
        "insights"
        | "operationalinsights"
        | "operationsmanagement"
        | "security"
        | "securityinsights"
        | "alertsmanagement"
        | "monitor"
        | "advisor" => PrivilegeClass::Logging,
        "keyvault" => PrivilegeClass::Keys,
        "network" | "cdn" | "servicenetworking" | "apimanagement" | "relay" => PrivilegeClass::Network,
        "compute" if has(&["/disks/", "/snapshots/", "/images/", "/restorepointcollections/"]) => {
            PrivilegeClass::Data
        }
        "storage" | "sql" | "dbforpostgresql" | "dbformysql" | "dbformariadb" | "documentdb"
        | "recoveryservices" | "dataprotection" | "cache" | "synapse" | "kusto" | "datafactory"
        | "databricks" | "netapp" => PrivilegeClass::Data,
        "automation" | "devops" | "visualstudio" | "containerregistry" | "logic" | "resources" => {
            PrivilegeClass::Pipeline
        }
        "compute"
        | "containerservice"
        | "web"
        | "containerinstance"
        | "app"
        | "batch"
        | "machinelearningservices"
        | "servicefabric"
        | "hybridcompute"
        | "kubernetes"
        | "cognitiveservices" => PrivilegeClass::Compute,
        _ if category.starts_with("Storage") => PrivilegeClass::Data,
        _ => PrivilegeClass::None,
    }
}
