//! GitLab's audit events, as they are streamed and as the API returns them.
//!
//! Fields: GitLab docs, "Audit event schema" and "Audit events API". What `details` holds has no schema; where both
//! name a thing, the event's own member counts.

use changegate_json::Value;
use changegate_types::{
    ActorType, ChangeEvent, Class, Mark, PrivilegeClass, Resource, SkipReason, Status, Verb,
};

use super::Source;
use super::webhook;
use crate::context::{Context, Draft, List, Unwrapped, first};
use crate::secret::{SecretRules, Subtree};

/// `gitlab.audit`.
pub(crate) struct GitLabAudit;

const SECRETS: SecretRules = SecretRules {
    names: &["runnersToken", "streamingToken", "verificationToken"],
    subtrees: &[
        // A change of a variable's value says from what to what.
        Subtree {
            names: &["from", "to"],
            when: |_, object| {
                matches!(
                    object.get("change").text(),
                    "value" | "token" | "password" | "secret_value"
                ) || object
                    .get("custom_message")
                    .text()
                    .to_ascii_lowercase()
                    .contains("variable")
            },
            leaf: "",
        },
        Subtree {
            names: &["variables"],
            when: |_, _| true,
            leaf: "value",
        },
    ],
};

impl Source for GitLabAudit {
    fn name(&self) -> &'static str {
        "gitlab.audit"
    }

    fn secrets(&self) -> &'static SecretRules {
        &SECRETS
    }

    fn lines(&self) -> bool {
        true
    }

    fn unwrap<'a>(&self, context: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
        let is_known = |body: Value<'_>| {
            let marks = [
                "author_id",
                "entity_type",
                "event_type",
                "entity_path",
                "target_type",
            ];
            // GitLab's own webhooks have an `event_type` too.
            let of_others = ["object_kind", "object_attributes"];
            body.any(&marks).is_some() && body.any(&of_others).is_none()
        };
        let own = webhook::Own {
            headers: &["X-Gitlab-Audit-Event-Type"],
            is_known,
        };
        webhook::unwrap(context, root, own, out);
    }

    fn normalize<'a>(&self, context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
        Ok(normalize(context, child))
    }
}

#[derive(Default)]
struct Parts<'a> {
    details: Value<'a>,
    author_id: &'a str,
    author_name: &'a str,
    entity_id: &'a str,
    entity_type: &'a str,
    entity_path: &'a str,
    target_id: &'a str,
    target_type: &'a str,
    target: &'a str,
}

fn normalize<'a>(context: &mut Context<'a>, child: Value<'a>) -> Draft<'a> {
    let event = context.arena.alloc_with(|| ChangeEvent {
        cloud_provider: "GitLab",
        source_product: "GitLab audit events",
        ..ChangeEvent::default()
    });
    let mut parts = Parts::default();
    let mut address = Value::MISSING;
    for (name, value) in child.members() {
        match context.lower(name) {
            "id" => event.native_uid = context.text(value),
            "author_id" => parts.author_id = context.text(value),
            "author_name" => parts.author_name = context.text(value),
            "entity_id" => parts.entity_id = context.text(value),
            "entity_type" => parts.entity_type = context.text(value),
            "entity_path" => parts.entity_path = context.text(value),
            "target_id" => parts.target_id = context.text(value),
            "target_type" => parts.target_type = context.text(value),
            "target_details" => parts.target = context.text(value),
            "event_type" | "event_name" => event.api_operation = context.text(value),
            "created_at" => event.event_time = context.time(value).unwrap_or_default(),
            "ip_address" => address = value,
            "details" => parts.details = context.nested(value),
            _ => {}
        }
    }
    let details = parts.details;
    let fill = |field: &mut &'a str, name: &str| {
        if field.is_empty() {
            *field = details.get(name).text();
        }
    };
    fill(&mut parts.author_name, "author_name");
    fill(&mut parts.entity_path, "entity_path");
    fill(&mut parts.target_id, "target_id");
    fill(&mut parts.target_type, "target_type");
    fill(&mut parts.target, "target_details");
    fill(&mut event.api_operation, "event_name");
    let message = first(&[details.get("custom_message").text(), details.text()]);
    let (did, object) = ["add", "remove", "change"]
        .into_iter()
        .map(|did| (did, details.get(did)))
        .find(|(_, object)| object.is_some())
        .unwrap_or(("", Value::MISSING));
    if event.api_operation.is_empty() {
        event.api_operation = first(&[context.header("X-Gitlab-Audit-Event-Type"), message]);
    }
    if event.api_operation.is_empty() && !did.is_empty() {
        event.api_operation = context.join(&[did, " ", object.text()]);
    }
    if event.api_operation.is_empty() {
        context.mark(Mark::UnknownType);
    }
    let address = if address.is_some() {
        address
    } else {
        details.get("ip_address")
    };
    context.address(event, address);

    event.api_service = parts.entity_type;
    event.correlation_uid = details.get("correlation_id").text();
    event.status_detail = message;
    actor(context, event, &parts);
    if parts.entity_type == "Project" || parts.target_type == "Project" {
        event.vcs_repo = parts.entity_path;
    }
    event.account_uid = parts.entity_path.split('/').next().unwrap_or_default();
    resources(context, event, &parts);
    kind(context, event, did, message);
    for text in [message, parts.target, details.get("to").text()] {
        context.tickets_in(text);
    }
    Draft::by_native_uid(event)
}

fn actor<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let class = parts.details.get("author_class").text();
    let email = parts.details.get("author_email").text();
    let name = parts.author_name;
    event.actor_uid = first(&[parts.author_id, email, name]);
    event.actor_name = first(&[name, email]);
    // Negative ids stand for what is no user: -1 nobody signed in, -2 a deploy token or key, -3 a runner.
    event.actor_type = match parts.author_id {
        _ if event.actor_uid.is_empty() => ActorType::Unknown,
        "-1" => ActorType::Unknown,
        id if id.starts_with('-') => ActorType::Service,
        _ if class.contains("Token") || class.contains("Runner") || class.contains("DeployKey") => {
            ActorType::Service
        }
        _ => ActorType::User,
    };
    if parts.author_id.starts_with('-') && !name.is_empty() {
        // The number is the same for all of its kind; the name tells them apart.
        event.actor_uid = context.join(&[parts.author_id, ":", name]);
    }
    event.actor_credential_uid = first(&[
        parts.details.get("token_id").text(),
        parts.details.get("deploy_key_id").text(),
    ]);
    let mut chain = context.list();
    webhook::link(&mut chain, event.actor_uid, email);
    event.actor_delegated_from = chain.into_bump_slice();
    event.user_agent = parts.details.get("user_agent").text();
}

fn resources<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let mut list = context.list();
    let mut add = |uid: &'a str, kind: &'a str, name: &'a str| {
        if !uid.is_empty() {
            list.push(Resource { uid, kind, name });
        }
    };
    let is_entity = parts.target_type == parts.entity_type
        && (parts.target_id == parts.entity_id || parts.target_id.is_empty());
    if !is_entity {
        let id = first(&[parts.target_id, parts.target]);
        if !id.is_empty() {
            let kind = first(&[parts.target_type, "Target"]);
            add(context.join(&[kind, "/", id]), kind, parts.target);
        }
    }
    let entity = if parts.entity_path.is_empty() && !parts.entity_id.is_empty() {
        context.join(&[parts.entity_type, "/", parts.entity_id])
    } else {
        parts.entity_path
    };
    add(
        entity,
        parts.entity_type,
        parts.entity_path.rsplit('/').next().unwrap_or_default(),
    );
    event.resources = context.resources(list);
}

fn kind<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, did: &str, message: &'a str) {
    let name = context.lower(event.api_operation);
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let failed = has(&["failed", "denied", "unsuccessful"]);
    let sign_in = has(&[
        "login",
        "sign_in",
        "signed in",
        "authenticated_with",
        "user_authenticat",
    ]);
    let git = has(&["git_operation"]);
    event.verb = match (did, webhook::last_verb_in(name)) {
        _ if sign_in => Verb::Other,
        _ if git => {
            let message = context.lower(message);
            if message.contains("push") {
                Verb::Update
            } else {
                Verb::Read
            }
        }
        _ if has(&["viewed", "downloaded", "cloned", "exported", "_read"]) => Verb::Read,
        ("add", _) => Verb::Create,
        ("remove", _) => Verb::Delete,
        (_, Verb::Unknown) => Verb::Update,
        (_, verb) => verb,
    };
    event.class = if sign_in {
        Class::Authentication
    } else if git || has(&["pipeline", "merge_request"]) {
        Class::ApiActivity
    } else if has(&[
        "member",
        "access_level",
        "user_access",
        "permission",
        "_role",
        "admin",
    ]) {
        Class::UserAccess
    } else if has(&[
        "user_",
        "password",
        "two_factor",
        "ssh_key",
        "gpg_key",
        "personal_access_token",
        "email",
    ]) {
        Class::AccountChange
    } else {
        Class::EntityManagement
    };
    event.privilege_class = if has(&["audit_event", "streaming", "audit"]) {
        PrivilegeClass::Logging
    } else if has(&[
        "token",
        "ssh_key",
        "gpg_key",
        "deploy_key",
        "secret",
        "variable",
        "certificate",
    ]) {
        PrivilegeClass::Keys
    } else if git && event.verb == Verb::Read {
        PrivilegeClass::Data
    } else if git
        || has(&[
            "protected",
            "approv",
            "merge",
            "pipeline",
            "runner",
            "deploy",
            "environment",
            "push_rule",
        ])
        || has(&[
            "hook",
            "integration",
            "ci_cd",
            "cicd",
            "policy",
            "feature_flag",
            "release",
            "job",
        ])
    {
        PrivilegeClass::Pipeline
    } else if has(&[
        "ip_restriction",
        "allowlist",
        "ip_address",
        "domain",
        "visibility",
        "ip_allow",
    ]) {
        PrivilegeClass::Network
    } else if sign_in
        || has(&[
            "member",
            "user",
            "access",
            "permission",
            "role",
            "saml",
            "scim",
            "two_factor",
            "password",
        ])
        || has(&[
            "admin",
            "group_link",
            "group_share",
            "service_account",
            "oauth",
            "application",
        ])
    {
        PrivilegeClass::Identity
    } else if has(&[
        "project_destroyed",
        "project_deleted",
        "group_destroyed",
        "archiv",
        "transfer",
        "export",
    ]) {
        PrivilegeClass::Data
    } else {
        PrivilegeClass::None
    };
    // An approval is asked for and given; what it allows is the change.
    event.is_change = !sign_in && event.verb != Verb::Read && !has(&["approval_operation"]);
    event.activity = match event.class {
        Class::Authentication => 1,
        class => webhook::activity(class, event.verb),
    };
    if failed {
        event.status = Status::Failure;
    } else {
        webhook::assume_success(context, event);
    }
}

#[cfg(test)]
mod tests;
