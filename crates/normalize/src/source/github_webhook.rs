//! GitHub webhooks of repositories, organizations, enterprises and apps.
//!
//! Fields: GitHub docs, "Webhook events and payloads". The type stands in the header `X-GitHub-Event` alone; where
//! no header came along, the body's shape tells it.

mod actor;
mod details;
mod kinds;

use changegate_json::Value;
use changegate_types::{ChangeEvent, Class, Mark, PrivilegeClass, SkipReason, Status, Verb};

use super::Source;
use super::webhook;
use crate::context::{Context, Draft, List, Unwrapped, first};
use crate::secret::SecretRules;

/// `github.webhook`.
pub(crate) struct GitHubWebhook;

const SECRETS: SecretRules = SecretRules {
    names: &["webhookSecret", "encryptedValue", "tokenValue"],
    subtrees: &[],
};

/// The members of a body that more than one step reads.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) body: Value<'a>,
    pub(super) event: &'a str,
    pub(super) action: &'a str,
    pub(super) repository: Value<'a>,
    pub(super) organization: Value<'a>,
    pub(super) enterprise: Value<'a>,
    pub(super) installation: Value<'a>,
    pub(super) sender: Value<'a>,
    pub(super) pusher: Value<'a>,
    pub(super) pull_request: Value<'a>,
    pub(super) workflow_run: Value<'a>,
    pub(super) deployment: Value<'a>,
    pub(super) head_commit: Value<'a>,
    pub(super) commits: Value<'a>,
    pub(super) reference: &'a str,
    /// What the event is about.
    pub(super) object: Value<'a>,
}

impl<'a> Parts<'a> {
    fn of(context: &mut Context<'a>, body: Value<'a>) -> Self {
        let mut parts = Self {
            body,
            ..Self::default()
        };
        for (name, value) in body.members() {
            let lower;
            let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                lower = context.lower(name);
                lower
            } else {
                name
            };
            match name {
                "action" => parts.action = context.text(value),
                "repository" => parts.repository = value,
                "organization" => parts.organization = value,
                "enterprise" => parts.enterprise = value,
                "installation" => parts.installation = value,
                "sender" => parts.sender = value,
                "pusher" => parts.pusher = value,
                "pull_request" => parts.pull_request = value,
                "workflow_run" => parts.workflow_run = value,
                "deployment" => parts.deployment = value,
                "head_commit" => parts.head_commit = value,
                "commits" => parts.commits = value,
                "ref" => parts.reference = context.text(value),
                _ => {}
            }
        }
        parts
    }

    fn has(&self, member: &str) -> bool {
        self.body.get(member).is_some()
    }

    /// `owner/name`.
    fn repository_name(&self, context: &Context<'a>) -> &'a str {
        let full = self.repository.get("full_name").text();
        let name = self.repository.get("name").text();
        let owner = first(&[
            self.repository.at(&["owner", "login"]).text(),
            self.repository.at(&["owner", "name"]).text(),
        ]);
        match (full, name, owner) {
            ("", "", _) => self.repository.text(),
            ("", name, "") => name,
            ("", name, owner) => context.join(&[owner, "/", name]),
            (full, _, _) => full,
        }
    }
}

fn is_known(body: Value<'_>) -> bool {
    let marks = [
        "repository",
        "sender",
        "organization",
        "installation",
        "zen",
        "hook",
        "security_advisory",
        "enterprise",
        "commits",
        "pull_request",
        "workflow_run",
        "deployment",
    ];
    body.any(&marks).is_some() && body.any(&OF_OTHERS).is_none()
}

/// Members that no body of GitHub has: those of GitLab's, of Bitbucket's and of the audit log's.
const OF_OTHERS: [&str; 7] = [
    "object_kind",
    "event_name",
    "eventKey",
    "actor",
    "actor_id",
    "@timestamp",
    "_document_id",
];

impl Source for GitHubWebhook {
    fn name(&self) -> &'static str {
        "github.webhook"
    }

    fn secrets(&self) -> &'static SecretRules {
        &SECRETS
    }

    fn lines(&self) -> bool {
        true
    }

    fn unwrap<'a>(&self, context: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
        let own = webhook::Own {
            headers: &["X-GitHub-Event"],
            is_known,
        };
        webhook::unwrap(context, root, own, out);
    }

    fn normalize<'a>(&self, context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
        let mut parts = Parts::of(context, child);
        parts.event = context.header("X-GitHub-Event");
        if parts.event.is_empty() {
            parts.event = kinds::by_shape(&parts);
        }
        if parts.event == "ping" {
            return Err(SkipReason::ControlMessage);
        }
        let event = context.arena.alloc_with(|| ChangeEvent {
            cloud_provider: "GitHub",
            source_product: "GitHub webhooks",
            native_uid: context.header("X-GitHub-Delivery"),
            vcs_repo: parts.repository_name(context),
            api_service: parts.event,
            ..ChangeEvent::default()
        });
        event.api_operation = match (parts.event, parts.action) {
            (event, "") => event,
            ("", action) => action,
            (event, action) => context.join(&[event, ".", action]),
        };
        event.account_uid = first(&[
            parts.repository.at(&["owner", "login"]).text(),
            parts.organization.get("login").text(),
            parts.installation.at(&["account", "login"]).text(),
            child.at(&["marketplace_purchase", "account", "login"]).text(),
            child.at(&["sponsorship", "sponsorable", "login"]).text(),
            event.vcs_repo.split_once('/').map_or("", |(owner, _)| owner),
        ]);
        event.org_uid = first(&[
            parts.enterprise.get("slug").text(),
            parts.organization.get("login").text(),
        ]);
        let meaning = kinds::meaning(parts.event);
        parts.object = match meaning {
            Some(meaning) if !meaning.object.is_empty() => child.get(meaning.object),
            _ => Value::MISSING,
        };
        kind(context, event, &parts, meaning);
        actor::resolve(context, event, &parts);
        details::fill(context, event, &parts);
        outcome(context, event, &parts);
        Ok(Draft::by_native_uid(event))
    }
}

fn kind<'a>(
    context: &mut Context<'a>,
    event: &mut ChangeEvent<'a>,
    parts: &Parts<'a>,
    meaning: Option<kinds::Meaning>,
) {
    event.verb = match (parts.event, parts.action) {
        ("push", _) if parts.body.get("deleted").bool() == Some(true) => Verb::Delete,
        ("push", _) if parts.body.get("created").bool() == Some(true) => Verb::Create,
        ("create" | "fork" | "team_add", _) => Verb::Create,
        ("delete", _) => Verb::Delete,
        ("repository_dispatch" | "workflow_dispatch", _) => Verb::Other,
        ("workflow_run" | "workflow_job" | "check_run" | "check_suite" | "status", _) => Verb::Other,
        ("org_block", "blocked") => Verb::Create,
        ("org_block", "unblocked") => Verb::Delete,
        // A status is made anew with each step; what it says is that the deployment went on.
        ("deployment_status", _) => Verb::Update,
        (_, "") => Verb::Update,
        (_, action) => match webhook::verb_in(action) {
            Verb::Unknown => Verb::Update,
            verb => verb,
        },
    };
    let Some(meaning) = meaning else {
        // A type that nobody here has seen is a change until someone says otherwise.
        context.mark(Mark::UnknownType);
        event.class = Class::ApiActivity;
        event.activity = webhook::activity(event.class, event.verb);
        event.is_change = true;
        return;
    };
    event.class = meaning.class;
    event.privilege_class = meaning.privilege;
    event.is_change = match meaning.change {
        kinds::Changes::None => false,
        kinds::Changes::All => true,
        kinds::Changes::Some(words) => {
            let word = match parts.event {
                "pull_request" if is_merge(parts) => "merged",
                "deployment_status" => parts.object.get("state").text(),
                "fork" if parts.repository.get("private").bool() == Some(true) => "private",
                "fork" => "public",
                _ => parts.action,
            };
            // Where it does not say, the safe side.
            word.is_empty() || words.contains(&word)
        }
    };
    match (parts.event, parts.action) {
        ("team", "added_to_repository" | "removed_from_repository") => event.class = Class::UserAccess,
        ("organization", "renamed" | "deleted") => event.class = Class::EntityManagement,
        ("repository", "publicized" | "privatized") => event.privilege_class = PrivilegeClass::Network,
        ("repository", "deleted" | "transferred") => event.privilege_class = PrivilegeClass::Data,
        _ if event.class == Class::DetectionFinding && event.is_change => {
            event.class = Class::EntityManagement
        }
        _ => {}
    }
    event.activity = match (event.class, parts.event, event.verb) {
        // Group Management: 5 Delete, 6 Create.
        (Class::GroupManagement, "team", Verb::Create) => 6,
        (Class::GroupManagement, "team", Verb::Delete) => 5,
        (class, _, verb) => webhook::activity(class, verb),
    };
}

/// A pull request that is closed by being merged. Old payloads say so by `merged_at` alone.
pub(super) fn is_merge(parts: &Parts<'_>) -> bool {
    let merged = parts.pull_request.get("merged").bool();
    let merged_at = parts.pull_request.get("merged_at");
    parts.event == "pull_request"
        && parts.action == "closed"
        // A body that is cut short may say neither.
        && merged.unwrap_or_else(|| merged_at.is_some() || merged_at.kind() == changegate_json::Kind::Missing)
}

fn outcome<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let object = if parts.object.is_some() {
        parts.object
    } else {
        parts.body
    };
    let stated = match parts.event {
        "workflow_run" | "workflow_job" | "check_run" | "check_suite" => object.get("conclusion").text(),
        "deployment_status" | "status" => object.get("state").text(),
        "page_build" | "repository_import" => object.get("status").text(),
        _ => "",
    };
    event.status_code = stated;
    event.status = match stated {
        "" => return webhook::assume_success(context, event),
        "success" | "built" | "inactive" => Status::Success,
        "failure" | "error" | "errored" | "timed_out" | "startup_failure" | "cancelled" => Status::Failure,
        _ => Status::Other,
    };
    if parts.event == "page_build" {
        event.status_detail = object.at(&["error", "message"]).text();
    } else if parts.event == "deployment_status" || parts.event == "status" {
        event.status_detail = object.get("description").text();
    }
}

#[cfg(test)]
mod tests;
