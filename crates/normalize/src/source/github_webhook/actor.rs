//! Who acted: the sender, and behind a bot the people who set it going.

use changegate_json::Value;
use changegate_types::ChangeEvent;

use super::super::webhook::{actor_type, link};
use super::{Parts, is_merge};
use crate::context::{Context, first};

fn login<'a>(user: Value<'a>) -> &'a str {
    first(&[user.get("login").text(), user.get("username").text(), user.text()])
}

/// Author or committer of a commit: their account, else their mail address, else their name.
fn author<'a>(commit: Value<'a>, role: &str) -> &'a str {
    let person = commit.get(role);
    first(&[
        person.get("username").text(),
        person.get("login").text(),
        person.get("email").text(),
        person.get("name").text(),
    ])
}

pub(super) fn resolve<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let run = parts.workflow_run;
    let pusher = first(&[parts.pusher.get("name").text(), parts.pusher.get("login").text()]);
    let creator = match parts.event {
        "deployment" | "deployment_status" | "deployment_review" => {
            let status = parts.object.get("creator");
            if status.is_some() {
                status
            } else {
                parts.deployment.get("creator")
            }
        }
        "deployment_protection_rule" => parts.deployment.get("creator"),
        "release" => parts.object.get("author"),
        "page_build" => parts.object.get("pusher"),
        _ => Value::MISSING,
    };
    let triggering = run.get("triggering_actor");
    let starter = run.get("actor");
    let merger = parts.pull_request.get("merged_by");
    let approver = parts.body.get("approver");

    let (name, kind) = if login(parts.sender).is_empty() {
        // Cut payloads have no sender; whoever the event itself names comes next.
        let stand_in = if is_merge(parts) && merger.is_some() {
            merger
        } else if approver.is_some() {
            approver
        } else if creator.is_some() {
            creator
        } else if triggering.is_some() {
            triggering
        } else {
            starter
        };
        let name = first(&[login(stand_in), pusher]);
        (name, stand_in.get("type").text())
    } else {
        (login(parts.sender), parts.sender.get("type").text())
    };
    event.actor_uid = name;
    event.actor_name = name;
    event.actor_type = actor_type(kind, name);
    if parts.event == "push" && pusher == "deploy_key" {
        event.actor_credential_uid = pusher;
    }
    let app = [parts.deployment, parts.object, parts.body.get("check_run")]
        .into_iter()
        .map(|holder| holder.any(&["performed_via_github_app", "app"]))
        .find(Value::is_some)
        .unwrap_or_default();
    event.actor_invoked_by = first(&[
        app.get("slug").text(),
        app.get("name").text(),
        parts.installation.get("app_slug").text(),
    ]);

    let mut chain = context.list();
    let mut add = |text: &'a str| link(&mut chain, name, text);
    add(pusher);
    add(login(creator));
    add(login(triggering));
    add(login(starter));
    add(login(parts.deployment.get("creator")));
    if is_merge(parts) {
        add(login(merger));
        add(login(parts.pull_request.get("user")));
    }
    for commit in parts.commits.items() {
        add(author(commit, "author"));
        add(author(commit, "committer"));
    }
    for commit in [parts.head_commit, run.get("head_commit")] {
        add(author(commit, "author"));
    }
    event.actor_delegated_from = context.texts(chain);
}
