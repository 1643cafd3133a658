//! GitHub's audit log of organizations and enterprises, as it is streamed (JSON lines, compressed or not) or read.
//!
//! Fields: GitHub docs, "Audit log events". Extras stand beside the rest, in GitHub Enterprise Server under `data`.

mod classify;

use changegate_json::{Kind, Value, rare_members};
use changegate_types::{ActorType, ChangeEvent, Class, Mark, Resource, SkipReason};

use super::Source;
use super::webhook::{self, link};
use crate::context::{Context, Draft, Found, List, Unwrapped, first};
use crate::secret::SecretRules;
use crate::text;

/// `github.audit`.
pub(crate) struct GitHubAudit;

const SECRETS: SecretRules = SecretRules {
    names: &["hookToken", "configSecret", "encryptedValue"],
    subtrees: &[],
};

impl Source for GitHubAudit {
    fn name(&self) -> &'static str {
        "github.audit"
    }

    fn secrets(&self) -> &'static SecretRules {
        &SECRETS
    }

    fn lines(&self) -> bool {
        true
    }

    fn unwrap<'a>(&self, _context: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
        let list = if root.kind() == Kind::Array {
            root
        } else {
            let [records, entries] = rare_members!(root, "records", "entries");
            records.or(|| entries)
        };
        if list.kind() != Kind::Array {
            entry(root, out);
            return;
        }
        webhook::each_item(list, out, entry);
    }

    fn normalize<'a>(&self, context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
        Ok(normalize(context, child))
    }
}

/// What tells an entry from other things.
struct Look<'a> {
    event: Value<'a>,
    is_entry: bool,
}

impl<'a> Look<'a> {
    fn at(value: Value<'a>) -> Self {
        let [event, sender] = rare_members!(value, "event", "sender");
        // A webhook's body: an entry names its repository, and has no sender.
        let repository = value.get("repository");
        let hook = sender.kind() == Kind::Object
            || repository.kind() == Kind::Object
                && repository.any(&["full_name", "name", "id", "owner"]).is_some();
        let some = |names: &[&str]| value.any(names).is_some();
        let who = || some(&["actor", "user"]) && some(&["org", "repo", "business"]);
        let is_entry = !hook && (some(&["action", "_document_id", "@timestamp", "actor_id"]) || who());
        Self { event, is_entry }
    }
}

/// One entry, bare or as `event` of the envelope that Splunk's collector takes.
fn entry<'a>(root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
    let mut look = Look::at(root);
    let mut value = root;
    if look.event.kind() == Kind::Object {
        value = look.event;
        look = Look::at(value);
    }
    if look.is_entry {
        out.push(Unwrapped::Child(Found {
            value,
            envelope: root,
            in_record: true,
        }));
    }
}

fn normalize<'a>(context: &mut Context<'a>, child: Value<'a>) -> Draft<'a> {
    let event = context.arena.alloc_with(|| ChangeEvent {
        cloud_provider: "GitHub",
        source_product: "GitHub audit log",
        ..ChangeEvent::default()
    });
    let mut parts = Parts::default();
    members(context, event, &mut parts, child);
    // Extras under `data` fill what the entry itself leaves open.
    let extras = parts.data;
    members(context, event, &mut parts, extras);
    times(context, event, &parts);

    let meaning = classify::meaning(event.api_operation, parts.operation_type, parts.trigger);
    event.class = meaning.class;
    event.privilege_class = meaning.privilege;
    event.verb = meaning.verb;
    event.is_change = meaning.is_change;
    event.activity = match event.class {
        Class::Authentication => 1,
        class => webhook::activity(class, event.verb),
    };
    if event.api_operation.is_empty() {
        context.mark(Mark::UnknownType);
    }
    event.api_service = text::before(event.api_operation, b'.');
    if meaning.is_failed_login {
        event.status = changegate_types::Status::Failure;
    } else {
        webhook::assume_success(context, event);
    }
    actor(context, event, &parts);
    event.vcs_repo = first(&[parts.repo, parts.repository]);
    event.org_uid = first(&[parts.business, parts.org]);
    event.account_uid = text::or(parts.org, || {
        let owner = text::cut(event.vcs_repo, b'/').map_or("", |(owner, _)| owner);
        text::or(owner, || parts.business)
    });
    resources(context, event, &parts);
    for text in [parts.reason, parts.title, parts.branch, parts.name] {
        context.tickets_in(text);
    }
    Draft::by_native_uid(event)
}

/// What is no column of its own.
#[derive(Default)]
struct Parts<'a> {
    data: Value<'a>,
    timestamps: [Value<'a>; 3],
    operation_type: &'a str,
    actor: &'a str,
    actor_is_bot: bool,
    identity: &'a str,
    access: &'a str,
    application: &'a str,
    org: &'a str,
    business: &'a str,
    repo: &'a str,
    repository: &'a str,
    user: &'a str,
    team: &'a str,
    trigger: &'a str,
    name: &'a str,
    title: &'a str,
    branch: &'a str,
    reason: &'a str,
    /// Ids of what was touched, in the order of [`OBJECTS`].
    objects: [&'a str; 6],
}

/// Kinds of things that entries name by an id of their own.
const OBJECTS: [(&str, &str); 6] = [
    ("Ruleset", "/rulesets/"),
    ("Webhook", "/hooks/"),
    ("Secret", "/secrets/"),
    ("Application", "/apps/"),
    ("Runner", "/runners/"),
    ("Alert", "/alerts/"),
];

fn members<'a>(
    context: &mut Context<'a>,
    event: &mut ChangeEvent<'a>,
    parts: &mut Parts<'a>,
    object: Value<'a>,
) {
    for (name, value) in object.members() {
        let mut key = name;
        // Nearly all are spelled in lower case.
        while !member(context, event, parts, key, value) {
            if !text::has_upper(key) {
                other_member(context, event, name, value);
                break;
            }
            key = context.lower(key);
        }
    }
}

/// Whether the name is one that is known.
#[inline(always)]
fn member<'a>(
    context: &mut Context<'a>,
    event: &mut ChangeEvent<'a>,
    parts: &mut Parts<'a>,
    name: &str,
    value: Value<'a>,
) -> bool {
    let field: &mut &'a str = match name {
        "data" if value.kind() == Kind::Object => {
            parts.data = value;
            return true;
        }
        "@timestamp" => {
            parts.timestamps[0] = value;
            return true;
        }
        "at_sign_timestamp" | "timestamp" => {
            parts.timestamps[1] = value;
            return true;
        }
        "created_at" => {
            parts.timestamps[2] = value;
            return true;
        }
        "actor_ip" => {
            if event.src_ip.is_none() && event.src_domain.is_empty() {
                context.address(event, value);
            }
            return true;
        }
        "actor_location" => {
            event.src_country = first(&[value.get("country_code").text(), event.src_country]);
            return true;
        }
        "actor_is_bot" | "actor_is_agent" => {
            parts.actor_is_bot |= value.bool() == Some(true);
            return true;
        }
        "_document_id" => &mut event.native_uid,
        "action" => &mut event.api_operation,
        "operation_type" => &mut parts.operation_type,
        "actor" => &mut parts.actor,
        "actor_session" => &mut event.actor_session_uid,
        "external_identity_nameid" => &mut parts.identity,
        "hashed_token" => &mut event.actor_credential_uid,
        "programmatic_access_type" => &mut parts.access,
        "oauth_application_name" | "integration" | "application_name" => &mut parts.application,
        "request_id" => &mut event.request_uid,
        "user_agent" => &mut event.user_agent,
        "org" => &mut parts.org,
        "business" => &mut parts.business,
        "repo" => &mut parts.repo,
        "repository" => &mut parts.repository,
        "user" => &mut parts.user,
        "team" => &mut parts.team,
        "event" => &mut parts.trigger,
        "name" => &mut parts.name,
        "title" | "pull_request_title" => &mut parts.title,
        "head_branch" | "branch" => &mut parts.branch,
        "reason" => &mut parts.reason,
        "head_sha" => &mut event.vcs_head_revision,
        "workflow_run_id" => &mut event.cicd_run_id,
        "workflow_id" => &mut event.cicd_pipeline,
        "environment_name" => &mut event.environment,
        "pull_request_id" | "pull_request_number" => &mut event.vcs_change_id,
        "ruleset_name" => &mut parts.objects[0],
        "hook_id" => &mut parts.objects[1],
        "key" | "secret_name" => &mut parts.objects[2],
        "oauth_application" | "installation_id" => &mut parts.objects[3],
        "runner_name" => &mut parts.objects[4],
        "alert_number" => &mut parts.objects[5],
        _ => return false,
    };
    if field.is_empty() {
        // Enterprise servers send lists of ids and names.
        let value = if value.kind() == Kind::Array {
            value.items().next().unwrap_or_default()
        } else {
            value
        };
        *field = context.text(value);
    }
    true
}

/// Members in another case, and rarer ones.
fn other_member<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, name: &str, value: Value<'a>) {
    if event.api_operation.is_empty() && name.eq_ignore_ascii_case("action") {
        event.api_operation = context.text(value);
    } else if event.native_uid.is_empty() && name.eq_ignore_ascii_case("_document_id") {
        event.native_uid = context.text(value);
    } else if event.actor_credential_uid.is_empty() && matches!(name, "token_id" | "fingerprint") {
        event.actor_credential_uid = context.text(value);
    }
}

/// `@timestamp` is when it happened; `created_at` may be the age of what was touched.
fn times<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    for value in parts.timestamps {
        if value.is_some()
            && let Some(time) = context.time(value)
        {
            event.event_time = time;
            return;
        }
    }
}

fn actor<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let name = first(&[parts.actor, parts.identity]);
    event.actor_uid = name;
    event.actor_name = name;
    event.actor_type = match webhook::actor_type("", name) {
        ActorType::User if parts.actor_is_bot => ActorType::Service,
        kind => kind,
    };
    event.actor_invoked_by = first(&[parts.application, parts.access]);
    let mut chain = context.list();
    link(&mut chain, name, parts.identity);
    // A bot's entries name in `user` for whom it worked; a person's name whom it was done to.
    if event.actor_type == ActorType::Service {
        link(&mut chain, name, parts.user);
    }
    event.actor_delegated_from = chain.into_bump_slice();
}

fn resources<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let mut list = context.list_of_one();
    let scope = first(&[event.vcs_repo, event.account_uid]);
    let mut add = |uid: &'a str, kind: &'a str, name: &'a str| {
        if !uid.is_empty() {
            list.push(Resource { uid, kind, name });
        }
    };
    for (id, (kind, path)) in parts.objects.into_iter().zip(OBJECTS) {
        if !id.is_empty() {
            add(context.join(&[scope, path, id]), kind, id);
        }
    }
    if matches!(event.api_service, "protected_branch" | "branch_protection") && !parts.name.is_empty() {
        let uid = context.join(&[scope, "/branch_protection/", parts.name]);
        add(uid, "BranchProtection", parts.name);
    }
    if !event.environment.is_empty() {
        let uid = context.join(&[scope, "/environments/", event.environment]);
        add(uid, "Environment", event.environment);
    }
    if !event.cicd_pipeline.is_empty() {
        let uid = context.join(&[scope, "/workflows/", event.cicd_pipeline]);
        add(uid, "Workflow", first(&[parts.name, event.cicd_pipeline]));
    }
    add(parts.team, "Team", text::after_last(parts.team, b'/'));
    if !parts.user.is_empty() && (parts.user != parts.actor || event.vcs_repo.is_empty()) {
        add(parts.user, "User", parts.user);
    }
    let repo = event.vcs_repo;
    if !repo.is_empty() {
        add(repo, "Repository", text::after_last(repo, b'/'));
    } else {
        add(event.account_uid, "Organization", event.account_uid);
    }
    event.resources = context.resources(list);
}

#[cfg(test)]
mod tests;
