//! The rival for Azure's activity log as diagnostic settings export it. It is let off the spellings of the REST API and
//! of the SDKs, the audit events of AKS, blobs, and operations and categories that no record here names.

use changegate_types::{ActorType, Class, PrivilegeClass, Severity, Status, Verb};
use serde_json::Value;

use super::mask::{Below, Rules};
use super::members::{Members, first, owned, parse_time, take, text};
use super::{Columns, Generic, Source, verb};

/// `azure.activity`.
#[derive(Debug)]
pub(super) struct AzureActivity;

const RULES: Rules = Rules {
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
    about_secrets: |_| false,
    // The body of a secret that is set.
    held: |_, object| {
        if object.contains_key("contentType") {
            &["value"]
        } else {
            &[]
        }
    },
    below: |name| match name {
        "keys"
        | "appsettings"
        | "connectionstrings"
        | "environmentvariables"
        | "env"
        | "password"
        | "adminpassword"
        | "administratorloginpassword"
        | "secret"
        | "secrets"
        | "clientsecret"
        | "connectionstring" => Below::Leaf("value"),
        "protectedsettings" => Below::All,
        _ => Below::None,
    },
};

impl Source for AzureActivity {
    fn name(&self) -> &'static str {
        "azure.activity"
    }

    fn rules(&self) -> Rules {
        RULES
    }

    fn columns(&self, generic: &Generic, event: Value) -> Columns {
        let mut event = Members::of(event);
        let mut properties = event.value("properties");
        let mut identity = event.value("identity");
        let mut columns = Columns {
            cloud_provider: "Azure",
            source_product: "Activity Log",
            severity: severity(&event.text("level")),
            org_uid: event.text("tenantId"),
            correlation_uid: event.text("correlationId"),
            api_operation: event.text("operationName"),
            api_version: event.text("operationVersion"),
            status_code: event.text("resultType"),
            status_detail: event.text("resultDescription"),
            ..Columns::default()
        };
        columns.address(event.text("callerIpAddress"));
        let time = event.text("time");
        columns.event_time = parse_time(&time).unwrap_or_default();
        let (category, signature) = (event.text("category"), event.text("resultSignature"));
        columns.user_agent = owned(take(&mut properties, "userAgentHeader"));
        let request = text(properties.get("requestbody"));
        let request: Value = serde_json::from_str(request).unwrap_or_default();
        let authorization = take(&mut identity, "authorization");
        actor(&mut columns, take(&mut identity, "claims"), &authorization);
        let resource = resource(
            &mut columns,
            event.text("resourceId"),
            &properties,
            &authorization,
        );
        columns.region = first(&[
            text(properties.get("region")),
            text(properties.get("resourceLocation")),
            text(properties.get("location")),
            text(request.get("location")),
        ]);
        outcome(&mut columns, &properties, &signature);
        kind_of(&mut columns, &category, &signature);
        let inner = &request["properties"];
        for value in [&request["tags"], &inner["description"], &inner["justification"]] {
            generic.tickets_below(&mut columns, value);
        }
        generic.tickets_below(&mut columns, &properties["tags"]);
        if !columns.correlation_uid.is_empty() {
            let operation = columns.api_operation.to_ascii_lowercase();
            let parts = [
                &time,
                &resource,
                &operation,
                &columns.correlation_uid,
                &columns.status_code,
            ];
            columns.event_uid = generic.uid("event", &parts.map(String::as_str));
            let parts = [
                columns.correlation_uid.as_str(),
                text(properties.get("operationId")),
                &resource,
                &columns.actor_uid,
            ];
            columns.change_uid = generic.uid("change", &parts);
        }
        event.finish(&mut columns);
        columns
    }
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
fn actor(columns: &mut Columns, claims: Value, authorization: &Value) {
    let (mut upn, mut mail, mut display, mut object, mut app, mut kind) = Default::default();
    let Value::Object(claims) = claims else { return };
    for (name, value) in claims {
        let tail = name.rsplit('/').next().unwrap_or(&name).to_ascii_lowercase();
        let value = owned(value);
        match tail.as_str() {
            "upn" => upn = value,
            // The URI holds the sign-in name, the short name what people call the actor.
            "name" if name.len() > 4 => mail = value,
            "name" => display = value,
            "emailaddress" | "email" => mail = value,
            "objectidentifier" | "oid" => object = value,
            "appid" | "azp" => app = value,
            "authnmethodsreferences" | "amr" => columns.actor_is_mfa = Some(value.contains("mfa")),
            "idtyp" => kind = value,
            "iss" => columns.actor_issuer = value,
            "sid" => columns.actor_session_uid = value,
            "uti" => columns.actor_credential_uid = value,
            "xms_mirid" => columns.actor_delegated_from.push(value),
            "tenantid" | "tid" if columns.org_uid.is_empty() => columns.org_uid = value,
            "ipaddr" if columns.src_ip.is_none() && columns.src_domain.is_empty() => columns.address(value),
            _ => {}
        }
    }
    let evidence = &authorization["evidence"];
    let person: [&String; 3] = [&upn, &mail, &display];
    let person = person
        .into_iter()
        .find(|text| text.contains('@') && kind != "app");
    let principal = text(evidence.get("principalType"));
    let is_app = kind == "app"
        || principal.eq_ignore_ascii_case("ServicePrincipal")
        || (person.is_none() && !app.is_empty());
    columns.actor_uid = first(&[
        person.map_or("", String::as_str),
        &object,
        text(evidence.get("principalId")),
        &app,
        &upn,
        &display,
    ]);
    columns.actor_name = first(&[&display, &upn, &mail, &columns.actor_uid]);
    columns.actor_type = match columns.actor_uid.as_str() {
        "" => ActorType::Unknown,
        _ if is_app => ActorType::Service,
        _ if text(evidence.get("role")) == "Owner" => ActorType::Admin,
        _ => ActorType::User,
    };
    if app != columns.actor_uid {
        columns.actor_invoked_by = app;
    }
}

/// What stands after `name/` in a resource id, in any case.
fn after<'t>(id: &'t str, name: &str) -> &'t str {
    let mut pieces = id.split('/');
    let found = pieces.any(|piece| piece.eq_ignore_ascii_case(name));
    found.then(|| pieces.next()).flatten().unwrap_or_default()
}

/// Ids vary in case from record to record and mean the same, so they are kept in lower case.
fn resource(columns: &mut Columns, id: String, properties: &Value, authorization: &Value) -> String {
    let id = if id.is_empty() {
        first(&[text(properties.get("entity")), text(authorization.get("scope"))])
    } else {
        id
    };
    after(&id, "subscriptions").clone_into(&mut columns.account_uid);
    after(&id, "resourceGroups").clone_into(&mut columns.namespace);
    after(&id, "managedClusters").clone_into(&mut columns.cluster);
    let uid = id.to_ascii_lowercase();
    if !uid.is_empty() {
        let name = id.trim_end_matches('/').rsplit('/').next().unwrap_or(&id);
        columns
            .resources
            .push((uid.clone(), kind(&uid).into(), name.to_owned()));
    }
    uid
}

/// `…/providers/p/a/x/b/y` is of type `p/a/b`; the last provider counts.
fn kind(id: &str) -> String {
    let Some((_, path)) = id.rsplit_once("/providers/") else {
        return if id.contains("/resourcegroups/") {
            "microsoft.resources/resourcegroups".to_owned()
        } else if id.contains("/subscriptions/") {
            "microsoft.resources/subscriptions".to_owned()
        } else {
            String::new()
        };
    };
    let mut pieces = path.split('/');
    let mut kind = pieces.next().unwrap_or_default().to_owned();
    // Deeper than four types is no resource of Azure.
    for _ in 0..4 {
        match pieces.next() {
            Some(piece) if !piece.is_empty() => {
                kind.push('/');
                kind.push_str(piece);
            }
            _ => break,
        }
        pieces.next();
    }
    kind
}

fn outcome(columns: &mut Columns, properties: &Value, signature: &str) {
    columns.status = match columns.status_code.to_ascii_lowercase().as_str() {
        "success" | "succeeded" | "0" | "resolved" => Status::Success,
        "failure" | "failed" | "error" | "clienterror" | "authorizationfailure" => Status::Failure,
        // The end record of the same operation says how it went.
        "" | "start" | "started" | "accept" | "accepted" | "in progress" | "active" => Status::Unknown,
        _ => Status::Other,
    };
    if columns.status_detail.is_empty() {
        columns.status_detail = first(&[text(properties.get("statusMessage")), signature]);
    }
}

fn kind_of(columns: &mut Columns, category: &str, signature: &str) {
    let spelled = columns.api_operation.as_str();
    let operation = spelled.to_ascii_lowercase();
    spelled
        .split_once('/')
        .map_or("", |(provider, _)| provider)
        .clone_into(&mut columns.api_service);
    columns.verb = verb_of(&operation, spelled, signature);
    columns.privilege_class = privilege_class(&operation);
    columns.class = match category {
        "Security" => Class::DetectionFinding,
        _ if operation.contains("/roleassignments/") || operation.contains("/elevateaccess/") => {
            Class::UserAccess
        }
        _ => Class::ApiActivity,
    };
    columns.activity = verb::activity(columns.class, columns.verb);
    // What Azure found, forecast or evaluated was nobody's change.
    let told = matches!(
        category,
        "Security" | "Alert" | "ServiceHealth" | "ResourceHealth" | "Recommendation" | "Policy"
    );
    columns.is_change = !told && columns.verb != Verb::Read && !operation.is_empty();
}

fn verb_of(lower: &str, spelled: &str, signature: &str) -> Verb {
    let known = |verb| if verb == Verb::Unknown { Verb::Other } else { verb };
    let mut pieces = lower.rsplit('/');
    match pieces.next().unwrap_or_default() {
        "" => Verb::Unknown,
        "read" => Verb::Read,
        "delete" => Verb::Delete,
        "write" if signature.contains("Created") || signature == "201" => Verb::Create,
        "write" => Verb::Update,
        "action" => match pieces.next().unwrap_or_default() {
            list if list.starts_with("list") => Verb::Read,
            again if again.starts_with("regenerate") => Verb::Update,
            "audit" | "auditifnotexists" => Verb::Read,
            "start" | "restart" | "deallocate" | "poweroff" | "redeploy" => Verb::Other,
            // In its own spelling, for the sake of its capitals.
            _ => known(verb::of(spelled.rsplit('/').nth(1).unwrap_or_default())),
        },
        _ => known(verb::of(spelled.rsplit('/').next().unwrap_or_default())),
    }
}

/// `operation` is in lower case.
fn privilege_class(operation: &str) -> PrivilegeClass {
    let has = |parts: &[&str]| parts.iter().any(|part| operation.contains(part));
    if has(&[
        "listkeys",
        "regeneratekey",
        "listsecrets",
        "listaccountsas",
        "listservicesas",
    ]) {
        return PrivilegeClass::Keys;
    }
    if has(&["diagnosticsettings", "flowlogs"]) {
        return PrivilegeClass::Logging;
    }
    let provider = operation.split('/').next().unwrap_or_default();
    match provider.strip_prefix("microsoft.").unwrap_or(provider) {
        "authorization" | "managedidentity" | "management" | "subscription" => PrivilegeClass::Identity,
        "insights" | "operationalinsights" | "security" => PrivilegeClass::Logging,
        "keyvault" => PrivilegeClass::Keys,
        "network" | "cdn" | "apimanagement" => PrivilegeClass::Network,
        "compute" if has(&["/disks/", "/snapshots/", "/images/"]) => PrivilegeClass::Data,
        "storage" | "sql" | "documentdb" | "recoveryservices" => PrivilegeClass::Data,
        "automation" | "devops" | "containerregistry" | "resources" => PrivilegeClass::Pipeline,
        "compute" | "containerservice" | "web" | "app" => PrivilegeClass::Compute,
        _ => PrivilegeClass::None,
    }
}
