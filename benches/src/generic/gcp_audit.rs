//! The rival for Google Cloud's audit logs. It is let off Kubernetes' calls, third-party principals, entries without the name of a resource, and services, methods and accounts of Google that no record here names.

use changegate_types::{ActorType, Class, Mark, PrivilegeClass, Severity, Status, Verb};
use serde_json::Value;

use super::mask::{Below, Rules};
use super::members::{Members, first, owned, parse_time, take, text};
use super::{Columns, Generic, Source, verb};

/// `gcp.audit`.
#[derive(Debug)]
pub(super) struct GcpAudit;

const RULES: Rules = Rules {
    names: &[],
    about_secrets: |document| {
        document["protoPayload"]["resourceName"]
            .as_str()
            .is_some_and(|name| name.contains("/secrets"))
    },
    held: |about_secrets, object| {
        let secret = match text(object.get("kind")) {
            "" => match text(object.get("@type")) {
                "" => about_secrets,
                kind => kind.ends_with("Secret"),
            },
            kind => kind.ends_with("Secret"),
        };
        if secret { &["data", "stringdata"] } else { &[] }
    },
    below: |name| match name {
        "payload" => Below::Leaf("data"),
        "env" => Below::Leaf("value"),
        "environmentvariables" | "buildenvironmentvariables" => Below::All,
        _ => Below::None,
    },
};

impl Source for GcpAudit {
    fn name(&self) -> &'static str {
        "gcp.audit"
    }

    fn rules(&self) -> Rules {
        RULES
    }

    fn columns(&self, generic: &Generic, event: Value) -> Columns {
        let mut entry = Members::of(event);
        let mut payload = Members::of(entry.value("protoPayload"));
        let mut columns = Columns {
            cloud_provider: "GCP",
            source_product: "Cloud Audit Logs",
            native_uid: entry.text("insertId"),
            severity: severity(&entry.text("severity")),
            logged_time: entry.time("receiveTimestamp"),
            api_service: payload.text("serviceName"),
            api_operation: payload.text("methodName"),
            ..Columns::default()
        };
        let (log_name, timestamp) = (entry.text("logName"), entry.text("timestamp"));
        columns.event_time = parse_time(&timestamp).or(columns.logged_time).unwrap_or_default();
        let (operation, trace) = (entry.value("operation"), entry.text("trace"));
        columns.correlation_uid = first(&[text(operation.get("id")), &trace]);
        let mut metadata = payload.value("requestMetadata");
        columns.address(owned(take(&mut metadata, "callerIp")));
        columns.user_agent = owned(take(&mut metadata, "callerSuppliedUserAgent"));
        actor(&mut columns, payload.value("authenticationInfo"));
        let (resource, name) = (entry.value("resource"), payload.text("resourceName"));
        let location = payload.value("resourceLocation");
        place(&mut columns, &resource["labels"], &location, &name, &log_name);
        let kind = text(resource.get("type")).to_owned();
        let tail = name.trim_end_matches('/').rsplit('/').next().unwrap_or(&name);
        let tail = tail.to_owned();
        columns.resources.push((name, kind.into(), tail));
        let authorization = payload.value("authorizationInfo");
        outcome(&mut columns, payload.value("status"), &authorization);
        kind_of(&mut columns, &authorization);
        tickets(
            generic,
            &mut columns,
            &entry.value("labels"),
            &payload.value("request"),
        );
        if let Value::Object(mut split) = entry.value("split") {
            columns.marks.set(Mark::SplitPart);
            columns.split_uid = split.remove("uid").map(owned).unwrap_or_default();
            let number = |name| split.get(name).and_then(Value::as_u64).unwrap_or_default();
            (columns.split_index, columns.split_total) =
                (number("index") as u16, number("totalSplits") as u16);
        }
        if !columns.native_uid.is_empty() {
            columns.event_uid = generic.uid("event", &[&log_name, &timestamp, &columns.native_uid]);
        }
        if !text(operation.get("id")).is_empty() {
            let parts = [text(operation.get("producer")), text(operation.get("id"))];
            columns.change_uid = generic.uid("change", &parts);
        }
        payload.finish(&mut columns);
        entry.finish(&mut columns);
        columns
    }
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

/// The principal whose rights counted, and behind it whoever borrowed its identity.
fn actor(columns: &mut Columns, mut info: Value) {
    let subject = owned(take(&mut info, "principalSubject"));
    columns.actor_uid = owned(take(&mut info, "principalEmail"));
    if columns.actor_uid.is_empty() {
        let bare = subject.split_once(':').map_or(&*subject, |(_, name)| name);
        bare.clone_into(&mut columns.actor_uid);
    }
    columns.actor_name.clone_from(&columns.actor_uid);
    columns.actor_type = match columns.actor_uid.as_str() {
        "" => ActorType::Unknown,
        account if account.ends_with("gserviceaccount.com") => ActorType::Service,
        _ => ActorType::User,
    };
    columns.actor_credential_uid = owned(take(&mut info, "serviceAccountKeyName"));
    columns.actor_invoked_by = text(info["oauthInfo"].get("oauthClientId")).to_owned();
    // Listed from the root on.
    let Value::Array(links) = take(&mut info, "serviceAccountDelegationInfo") else {
        return;
    };
    for mut link in links.into_iter().rev() {
        let first_party = text(link["firstPartyPrincipal"].get("principalEmail")).to_owned();
        let who = if first_party.is_empty() {
            owned(take(&mut link, "principalSubject"))
        } else {
            first_party
        };
        if !who.is_empty() {
            columns.actor_delegated_from.push(who);
        }
    }
    if subject.starts_with("principal") {
        let issuer = subject.split("/subject/").next().unwrap_or_default();
        issuer.clone_into(&mut columns.actor_issuer);
        columns.actor_delegated_from.push(subject);
    }
}

/// What stands after `name/` in a path.
fn after<'t>(path: &'t str, name: &str) -> &'t str {
    let mut pieces = path.split('/');
    let found = pieces.any(|piece| piece == name);
    found.then(|| pieces.next()).flatten().unwrap_or_default()
}

fn place(columns: &mut Columns, labels: &Value, location: &Value, name: &str, log_name: &str) {
    columns.account_uid = match text(labels.get("project_id")) {
        "" => first(&[after(name, "projects"), after(log_name, "projects")]),
        project => project.to_owned(),
    };
    columns.org_uid = first(&[
        text(labels.get("organization_id")),
        after(log_name, "organizations"),
        after(name, "organizations"),
    ]);
    columns.zone = text(labels.get("zone")).to_owned();
    columns.region = first(&[
        location["currentLocations"][0].as_str().unwrap_or_default(),
        text(labels.get("location")),
        text(labels.get("region")),
        &columns.zone,
    ]);
    columns.cluster = text(labels.get("cluster_name")).to_owned();
    columns.namespace = text(labels.get("namespace_name")).to_owned();
}

fn outcome(columns: &mut Columns, mut status: Value, authorization: &Value) {
    let code = take(&mut status, "code");
    let failed = code.as_i64().is_some_and(|code| code != 0);
    columns.status_code = owned(code);
    columns.status_detail = owned(take(&mut status, "message"));
    let mut asked = authorization.as_array().into_iter().flatten();
    let refused = asked.any(|asked| asked["granted"] == false);
    columns.status = if failed || refused {
        Status::Failure
    } else {
        Status::Success
    };
}

fn kind_of(columns: &mut Columns, authorization: &Value) {
    let (service, operation) = (columns.api_service.as_str(), columns.api_operation.as_str());
    let method = operation.rsplit(['.', '/']).next().unwrap_or(operation);
    columns.verb = match verb::of(method) {
        Verb::Unknown if text(authorization[0].get("permissionType")).ends_with("_READ") => Verb::Read,
        verb => verb,
    };
    columns.class = match service {
        _ if columns.verb == Verb::Read => Class::ApiActivity,
        _ if method.ends_with("etIamPolicy") || method == "setIamPermissions" => Class::UserAccess,
        "iam.googleapis.com" if method.contains("ServiceAccount") => Class::AccountChange,
        _ => Class::ApiActivity,
    };
    columns.privilege_class = privilege_class(service, operation);
    columns.activity = verb::activity(columns.class, columns.verb);
    columns.is_change = columns.verb != Verb::Read;
}

fn privilege_class(service: &str, operation: &str) -> PrivilegeClass {
    let has = |parts: &[&str]| parts.iter().any(|part| operation.contains(part));
    if has(&["etIamPolicy", "setIamPermissions"]) {
        return PrivilegeClass::Identity;
    }
    match service.strip_suffix(".googleapis.com").unwrap_or(service) {
        "iam" if has(&["Key"]) => PrivilegeClass::Keys,
        "iam" | "sts" | "cloudresourcemanager" | "orgpolicy" | "serviceusage" => PrivilegeClass::Identity,
        "logging" | "monitoring" | "securitycenter" => PrivilegeClass::Logging,
        "cloudkms" | "secretmanager" => PrivilegeClass::Keys,
        "dns" | "networkservices" | "servicenetworking" => PrivilegeClass::Network,
        "storage" | "bigquery" | "cloudsql" | "spanner" | "firestore" => PrivilegeClass::Data,
        "cloudbuild" | "clouddeploy" | "artifactregistry" => PrivilegeClass::Pipeline,
        "compute" if has(&["irewall", "etwork", "oute", "ddresses"]) => PrivilegeClass::Network,
        "compute" if has(&["snapshots", "disks", "images", "Snapshot"]) => PrivilegeClass::Data,
        "compute" | "run" | "cloudfunctions" | "container" | "appengine" => PrivilegeClass::Compute,
        _ => PrivilegeClass::None,
    }
}

/// Tickets stand in labels and descriptions.
fn tickets(generic: &Generic, columns: &mut Columns, labels: &Value, request: &Value) {
    generic.tickets_below(columns, labels);
    for (name, value) in request.as_object().into_iter().flatten() {
        match name.as_str() {
            "labels" | "description" | "annotations" | "userLabels" | "comment" => {
                generic.tickets_below(columns, value);
            }
            _ => {
                for inner in ["labels", "description"] {
                    if let Some(inner) = value.get(inner) {
                        generic.tickets_below(columns, inner);
                    }
                }
            }
        }
    }
}
