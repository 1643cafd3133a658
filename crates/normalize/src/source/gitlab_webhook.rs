//! GitLab webhooks of projects and groups, and system hooks.
//!
//! Fields: GitLab docs, "Webhook events" and "System hooks". The kind stands in the body (`object_kind`, for system
//! hooks `event_name`); the content type of the delivery says nothing.

mod details;
mod kinds;

use changegate_json::Value;
use changegate_types::{ActorType, ChangeEvent, Class, Mark, SkipReason, Status, Verb};

use super::Source;
use super::webhook::{self, link};
use crate::context::{Context, Draft, List, Unwrapped, first};
use crate::secret::{SecretRules, Subtree};

/// `gitlab.webhook`.
pub(crate) struct GitLabWebhook;

const SECRETS: SecretRules = SecretRules {
    names: &["runnersToken", "incomingEmailToken", "staticObjectToken"],
    subtrees: &[
        // Variables of a pipeline are a list of key and value.
        Subtree {
            names: &["variables"],
            when: |_, _| true,
            leaf: "value",
        },
    ],
};

impl Source for GitLabWebhook {
    fn name(&self) -> &'static str {
        "gitlab.webhook"
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
                "object_kind",
                "event_name",
                "object_attributes",
                "project",
                "project_id",
            ];
            // GitHub's, Jira's and Azure's projects and names of events.
            let of_others = ["sender", "webhookEvent", "operation_name", "event_data_id"];
            // What is left of a system hook that does not say its name.
            let nameless =
                body.get("updated_at").is_some() && body.any(&["group_id", "user_id", "username"]).is_some();
            (nameless || body.any(&marks).is_some()) && body.any(&of_others).is_none()
        };
        let own = webhook::Own {
            headers: &["X-Gitlab-Event"],
            is_known,
        };
        webhook::unwrap(context, root, own, out);
    }

    fn normalize<'a>(&self, context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
        Ok(normalize(context, child))
    }
}

/// The members of a body that more than one step reads.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) body: Value<'a>,
    pub(super) kind: &'a str,
    /// `action` of the object, or `status` where a run is reported.
    pub(super) word: &'a str,
    pub(super) attributes: Value<'a>,
    pub(super) project: Value<'a>,
    pub(super) commits: Value<'a>,
    pub(super) commit: Value<'a>,
    pub(super) merge_request: Value<'a>,
    pub(super) user: Value<'a>,
    pub(super) reference: &'a str,
}

fn normalize<'a>(context: &mut Context<'a>, body: Value<'a>) -> Draft<'a> {
    let mut parts = Parts {
        body,
        ..Parts::default()
    };
    let (mut object_kind, mut event_name, mut action, mut status) = ("", "", "", "");
    for (name, value) in body.members() {
        match context.lower(name) {
            "object_kind" => object_kind = context.text(value),
            "event_name" => event_name = context.text(value),
            "action" => action = context.text(value),
            "status" | "build_status" => status = context.text(value),
            "object_attributes" => parts.attributes = value,
            "project" => parts.project = value,
            "commits" => parts.commits = value,
            "commit" => parts.commit = value,
            "merge_request" => parts.merge_request = value,
            "user" => parts.user = value,
            "ref" => parts.reference = context.text(value),
            _ => {}
        }
    }
    parts.kind = first(&[
        object_kind,
        event_name,
        kinds::by_header(context.header("X-Gitlab-Event")),
    ]);
    let reports_run = matches!(parts.kind, "pipeline" | "build" | "deployment");
    let state = first(&[status, parts.attributes.get("status").text()]);
    let action = first(&[parts.attributes.get("action").text(), action]);
    parts.word = if reports_run {
        state
    } else {
        // Old hooks of merge requests tell of a merge by the state alone.
        first(&[action, parts.attributes.get("state").text()])
    };
    let event = context.arena.alloc_with(|| ChangeEvent {
        cloud_provider: "GitLab",
        source_product: "GitLab webhooks",
        native_uid: context.header("Idempotency-Key"),
        correlation_uid: context.header("X-Gitlab-Event-UUID"),
        api_service: parts.kind,
        ..ChangeEvent::default()
    });
    event.api_operation = match (parts.kind, action) {
        ("access_token", _) => first(&[event_name, parts.kind]),
        (kind, "") => kind,
        (kind, action) => context.join(&[kind, ".", action]),
    };
    event.verb = verb(&parts, action);
    match kinds::meaning(parts.kind, parts.word) {
        Some((class, privilege, is_change)) => {
            event.class = class;
            event.privilege_class = privilege;
            event.is_change = is_change;
        }
        None => {
            context.mark(Mark::UnknownType);
            event.class = Class::ApiActivity;
            event.is_change = true;
        }
    }
    event.activity = match event.class {
        Class::Authentication => 1,
        class => webhook::activity(class, event.verb),
    };
    outcome(context, event, &parts, reports_run);
    actor(context, event, &parts);
    details::fill(context, event, &parts);
    Draft::by_native_uid(event)
}

fn verb(parts: &Parts<'_>, action: &str) -> Verb {
    let is_zero = |name: &str| {
        let sha = parts.body.get(name).text();
        !sha.is_empty() && sha.bytes().all(|byte| byte == b'0')
    };
    match parts.kind {
        "push" | "tag_push" if is_zero("after") => Verb::Delete,
        "push" | "tag_push" if is_zero("before") => Verb::Create,
        "push" | "tag_push" | "repository_update" => Verb::Update,
        "pipeline" | "build" | "user_failed_login" => Verb::Other,
        "deployment" => Verb::Update,
        _ => {
            let word = if action.is_empty() { parts.kind } else { action };
            match webhook::last_verb_in(word) {
                Verb::Unknown => Verb::Update,
                verb => verb,
            }
        }
    }
}

fn outcome<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>, reports_run: bool) {
    if parts.kind == "user_failed_login" {
        event.status = Status::Failure;
    } else if reports_run && !parts.word.is_empty() {
        event.status_code = parts.word;
        event.status_detail = parts.body.get("build_failure_reason").text();
        event.status = match parts.word {
            "success" => Status::Success,
            "failed" | "canceled" => Status::Failure,
            _ => Status::Other,
        };
    } else {
        webhook::assume_success(context, event);
    }
}

/// The id stays, the user name does not.
fn uid<'a>(user: Value<'a>) -> &'a str {
    first(&[
        user.get("id").text(),
        user.get("username").text(),
        user.get("email").text(),
        user.get("name").text(),
    ])
}

fn actor<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let body = parts.body;
    // In the system hooks on users and members these members name whom it was done to.
    let own = matches!(
        parts.kind,
        "push" | "tag_push" | "repository_update" | "user_failed_login"
    );
    if parts.user.is_some() {
        event.actor_uid = uid(parts.user);
        event.actor_name = first(&[parts.user.get("username").text(), parts.user.get("name").text()]);
    } else if own {
        event.actor_name = first(&[
            body.get("user_username").text(),
            body.get("username").text(),
            body.get("user_name").text(),
        ]);
        event.actor_uid = first(&[body.get("user_id").text(), event.actor_name]);
    }
    event.actor_type = if event.actor_uid.is_empty() {
        ActorType::Unknown
    } else if is_bot(event.actor_name) {
        ActorType::Service
    } else {
        ActorType::User
    };
    let mut chain = context.list();
    let (uid, name) = (event.actor_uid, event.actor_name);
    let mut add = |text: &'a str| {
        if text != name {
            link(&mut chain, uid, text);
        }
    };
    if parts.kind == "merge_request" && matches!(parts.word, "merge" | "merged") {
        add(parts.attributes.get("author_id").text());
    }
    let last = parts.attributes.get("last_commit");
    for commit in parts.commits.items().chain([last, parts.commit]) {
        let author = commit.get("author");
        add(first(&[
            author.get("email").text(),
            author.get("name").text(),
            commit.get("author_email").text(),
            commit.get("author_name").text(),
        ]));
    }
    event.actor_delegated_from = context.texts(chain);
}

/// Users that GitLab makes for access tokens and service accounts.
fn is_bot(name: &str) -> bool {
    let of_token = (name.starts_with("project_") || name.starts_with("group_")) && name.contains("_bot");
    of_token || name.starts_with("service_account_") || name.ends_with("-bot")
}

#[cfg(test)]
mod tests;
