//! Jira webhooks: issues with their changelog, comments, projects, versions, users.
//!
//! Fields: Atlassian developer docs, "Webhooks" (Jira Cloud and Data Center).

use changegate_json::Value;
use changegate_types::{ActorType, ChangeEvent, Class, Mark, PrivilegeClass, Resource, SkipReason, Verb};

use super::Source;
use super::webhook::{self, link};
use crate::context::{Context, Draft, LIST_MAX, List, Unwrapped, first};
use crate::secret::SecretRules;

/// `jira.webhook`.
pub(crate) struct JiraWebhook;

impl Source for JiraWebhook {
    fn name(&self) -> &'static str {
        "jira.webhook"
    }

    fn secrets(&self) -> &'static SecretRules {
        &SecretRules::COMMON
    }

    fn lines(&self) -> bool {
        true
    }

    fn unwrap<'a>(&self, context: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
        let is_known = |body: Value<'_>| {
            // GitHub and GitLab have issues too.
            let of_others = ["repository", "sender", "object_kind"];
            body.any(&["webhookEvent", "issue_event_type_name", "issue"])
                .is_some()
                && body.any(&of_others).is_none()
        };
        let own = webhook::Own {
            headers: &["X-Atlassian-Webhook-Identifier"],
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
    /// `webhookEvent` without `jira:`.
    kind: &'a str,
    event_type: &'a str,
    user: Value<'a>,
    issue: Value<'a>,
    comment: Value<'a>,
    changelog: Value<'a>,
    project: Value<'a>,
    version: Value<'a>,
    worklog: Value<'a>,
}

fn normalize<'a>(context: &mut Context<'a>, child: Value<'a>) -> Draft<'a> {
    let event = context.arena.alloc_with(|| ChangeEvent {
        cloud_provider: "Atlassian",
        source_product: "Jira webhooks",
        native_uid: context.header("X-Atlassian-Webhook-Identifier"),
        ..ChangeEvent::default()
    });
    let mut parts = Parts::default();
    for (name, value) in child.members() {
        match context.lower(name) {
            "timestamp" => event.event_time = context.time(value).unwrap_or_default(),
            "webhookevent" => event.api_operation = context.text(value),
            "issue_event_type_name" => parts.event_type = context.text(value),
            "user" => parts.user = value,
            "issue" => parts.issue = value,
            "comment" => parts.comment = value,
            "changelog" => parts.changelog = value,
            "project" => parts.project = value,
            "version" => parts.version = value,
            "worklog" => parts.worklog = value,
            _ => {}
        }
    }
    if event.api_operation.is_empty() {
        event.api_operation = parts.event_type;
    }
    parts.kind = event
        .api_operation
        .strip_prefix("jira:")
        .unwrap_or(event.api_operation);
    event.api_service = parts.kind.split('_').next().unwrap_or_default();
    event.correlation_uid = parts.changelog.get("id").text();
    kind(context, event, &parts);
    actor(context, event, &parts);
    // The site is the host of whatever links back to itself.
    let link = [
        parts.issue,
        parts.comment,
        parts.project,
        parts.version,
        parts.user,
    ]
    .into_iter()
    .map(|part| part.get("self").text())
    .find(|link| !link.is_empty())
    .unwrap_or_default();
    let host = link.split("://").nth(1).unwrap_or_default();
    event.account_uid = host.split('/').next().unwrap_or_default();
    webhook::assume_success(context, event);
    resources(context, event, &parts);
    tickets(context, &parts);
    Draft::by_native_uid(event)
}

fn kind<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    event.verb = match parts.kind.rsplit('_').next().map(webhook::verb_in) {
        None | Some(Verb::Unknown) => Verb::Update,
        Some(verb) => verb,
    };
    (event.class, event.privilege_class, event.is_change) = match event.api_service {
        // A comment on a ticket is no change of it, though Jira may say that the issue was updated.
        "issue" => {
            let commented = parts.event_type.contains("comment") && parts.changelog.is_none();
            (Class::EntityManagement, PrivilegeClass::None, !commented)
        }
        "comment" | "worklog" | "attachment" | "issuelink" | "board" | "sprint" => {
            (Class::EntityManagement, PrivilegeClass::None, false)
        }
        "version" => (Class::ApplicationLifecycle, PrivilegeClass::Pipeline, true),
        "user" => (Class::AccountChange, PrivilegeClass::Identity, true),
        "project" => (Class::EntityManagement, PrivilegeClass::Pipeline, true),
        "option" | "jexpression" => (Class::EntityManagement, PrivilegeClass::Pipeline, true),
        _ => {
            context.mark(Mark::UnknownType);
            (Class::ApiActivity, PrivilegeClass::None, true)
        }
    };
    event.activity = webhook::activity(event.class, event.verb);
}

/// The account id stays; servers have a key and a name in its place.
fn uid<'a>(user: Value<'a>) -> &'a str {
    first(&[
        user.get("accountId").text(),
        user.get("key").text(),
        user.get("name").text(),
        user.text(),
    ])
}

fn actor<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let acted = match event.api_service {
        "comment" => parts.comment.any(&["updateAuthor", "author"]),
        "worklog" => parts.worklog.any(&["updateAuthor", "author"]),
        // Here `user` is whom it was done to.
        "user" => Value::MISSING,
        _ => parts.user,
    };
    let acted = if acted.is_some() || event.api_service == "user" {
        acted
    } else {
        parts.user
    };
    event.actor_uid = uid(acted);
    event.actor_name = first(&[acted.get("displayName").text(), acted.get("emailAddress").text()]);
    event.actor_type = match acted.get("accountType").text() {
        _ if event.actor_uid.is_empty() => ActorType::Unknown,
        "app" => ActorType::Service,
        _ => ActorType::User,
    };
    let mut chain = context.list();
    if event.api_service == "comment" {
        link(&mut chain, event.actor_uid, uid(parts.comment.get("author")));
    }
    event.actor_delegated_from = chain.into_bump_slice();
}

fn resources<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let mut list = context.list();
    let mut add = |uid: &'a str, kind: &'a str, name: &'a str| {
        if !uid.is_empty() {
            list.push(Resource { uid, kind, name });
        }
    };
    let fields = parts.issue.get("fields");
    add(
        first(&[parts.issue.get("key").text(), parts.issue.get("id").text()]),
        first(&[fields.at(&["issuetype", "name"]).text(), "Issue"]),
        fields.get("summary").text(),
    );
    add(
        parts.version.get("id").text(),
        "Version",
        parts.version.get("name").text(),
    );
    if event.api_service == "user" {
        add(uid(parts.user), "User", parts.user.get("displayName").text());
    }
    let inner = fields.get("project");
    let project = if parts.project.is_some() {
        parts.project
    } else {
        inner
    };
    add(project.get("key").text(), "Project", project.get("name").text());
    event.resources = context.resources(list);
}

fn tickets<'a>(context: &mut Context<'a>, parts: &Parts<'a>) {
    // The issue itself is the ticket, whatever its key looks like.
    let key = parts.issue.get("key").text();
    if !key.is_empty() && context.tickets.len() < LIST_MAX {
        context.tickets.push(key);
    }
    let fields = parts.issue.get("fields");
    for text in [fields.get("summary").text(), parts.comment.get("body").text()] {
        context.tickets_in(text);
    }
    context.tickets_in(fields.at(&["parent", "key"]).text());
    for item in parts.changelog.get("items").items() {
        context.tickets_in(item.get("toString").text());
    }
    for link in fields.get("issuelinks").items() {
        let other = link.any(&["outwardIssue", "inwardIssue"]);
        context.tickets_in(other.get("key").text());
    }
}

#[cfg(test)]
mod tests;
