//! When, on what, from which revision, and under which ticket.

use changegate_types::{ChangeEvent, Resource};

use super::Parts;
use crate::context::{Context, first};

pub(super) fn fill<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let body = parts.body;
    time(context, event, parts);
    event.vcs_repo = first(&[
        parts.project.get("path_with_namespace").text(),
        body.get("project_path_with_namespace").text(),
        body.get("path_with_namespace").text(),
        parts.attributes.at(&["target", "path_with_namespace"]).text(),
        body.get("project_name").text(),
    ]);
    if let Some((group, name)) = event.vcs_repo.split_once(" / ") {
        event.vcs_repo = context.join(&[group, "/", name]);
    }
    let group = first(&[
        body.get("group_path").text(),
        body.get("full_path").text(),
        body.at(&["group", "group_path"]).text(),
        body.at(&["group", "full_path"]).text(),
        if parts.kind.contains("group_") {
            body.get("path").text()
        } else {
            ""
        },
    ]);
    let path = first(&[event.vcs_repo, group]);
    event.account_uid = path.split('/').next().unwrap_or_default();
    pipeline(event, parts);
    resources(context, event, parts, group);
    tickets(context, parts);
}

/// The object's own time for the event; never that of a commit, which its author sets. What is gone has none.
fn time<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let (body, attributes) = (parts.body, parts.attributes);
    let found = match parts.kind {
        "push" | "tag_push" | "repository_update" | "access_token" | "wiki_page" => return,
        "pipeline" => attributes.any(&["finished_at", "created_at"]),
        "build" => body.any(&["build_finished_at", "build_started_at", "build_created_at"]),
        "deployment" => body.get("status_changed_at"),
        "release" => body.any(&["released_at", "created_at"]),
        _ if attributes.is_some() => attributes.any(&["updated_at", "created_at"]),
        kind if kind.ends_with("_destroy") || kind.contains("_remove_") => return,
        kind if kind.ends_with("_create") || kind.contains("_add_") => {
            body.any(&["created_at", "updated_at"])
        }
        _ => body.any(&["updated_at", "created_at"]),
    };
    event.event_time = context.time(found).unwrap_or_default();
}

fn pipeline<'a>(event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let (body, attributes) = (parts.body, parts.attributes);
    let is_merge_request = parts.kind == "merge_request";
    event.vcs_change_id = first(&[
        if is_merge_request {
            attributes.get("iid").text()
        } else {
            ""
        },
        parts.merge_request.get("iid").text(),
    ]);
    let merged = is_merge_request && matches!(parts.word, "merge" | "merged");
    let candidates = [
        if merged {
            attributes.get("merge_commit_sha").text()
        } else {
            ""
        },
        attributes.at(&["last_commit", "id"]).text(),
        body.get("after").text(),
        body.get("checkout_sha").text(),
        body.get("sha").text(),
        attributes.get("sha").text(),
        parts.commit.get("id").text(),
        body.get("short_sha").text(),
    ];
    let is_sha = |text: &&str| {
        text.len() >= 7
            && text.bytes().all(|byte| byte.is_ascii_hexdigit())
            && text.bytes().any(|byte| byte != b'0')
    };
    event.vcs_head_revision = candidates.into_iter().find(is_sha).unwrap_or_default();
    event.cicd_run_id = match parts.kind {
        "pipeline" => attributes.get("id").text(),
        "build" => body.get("pipeline_id").text(),
        "deployment" => body.get("deployable_id").text(),
        _ => "",
    };
    event.cicd_pipeline = match parts.kind {
        "pipeline" => attributes.get("name").text(),
        "build" => body.get("build_name").text(),
        _ => "",
    };
    let environment = body.get("environment");
    event.environment = first(&[environment.text(), environment.get("name").text()]);
    if event.correlation_uid.is_empty() {
        event.correlation_uid = first(&[body.get("deployment_id").text(), event.cicd_run_id]);
    }
}

fn resources<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>, group: &'a str) {
    let (body, attributes, repo) = (parts.body, parts.attributes, event.vcs_repo);
    let mut list = context.list();
    let mut add = |uid: &'a str, kind: &'a str, name: &'a str| {
        if !uid.is_empty() {
            list.push(Resource { uid, kind, name });
        }
    };
    let branch = |reference: &'a str| match reference.strip_prefix("refs/tags/") {
        Some(tag) => ("Tag", tag),
        None => (
            "Branch",
            reference.strip_prefix("refs/heads/").unwrap_or(reference),
        ),
    };
    match parts.kind {
        "push" | "tag_push" if !parts.reference.is_empty() => {
            let (kind, name) = branch(parts.reference);
            add(context.join(&[repo, "@", parts.reference]), kind, name);
        }
        "repository_update" => {
            for reference in body.get("refs").items() {
                let (kind, name) = branch(reference.text());
                add(context.join(&[repo, "@", reference.text()]), kind, name);
            }
        }
        "merge_request" => {
            let target = attributes.get("target_branch").text();
            if !target.is_empty() {
                add(context.join(&[repo, "@refs/heads/", target]), "Branch", target);
            }
        }
        "deployment" | "build" if !event.environment.is_empty() => {
            let uid = context.join(&[repo, "/environments/", event.environment]);
            add(uid, "Environment", event.environment);
        }
        "build" => add(
            context.join(&[repo, "/jobs/", event.cicd_pipeline]),
            "Job",
            event.cicd_pipeline,
        ),
        "release" => {
            let tag = body.get("tag").text();
            add(context.join(&[repo, "@refs/tags/", tag]), "Release", tag);
        }
        "feature_flag" | "issue" | "work_item" | "wiki_page" | "access_token" | "milestone"
        | "vulnerability" => {
            let name = first(&[attributes.get("name").text(), attributes.get("title").text()]);
            let id = first(&[attributes.get("iid").text(), attributes.get("slug").text(), name]);
            if !id.is_empty() {
                let scope = first(&[repo, group]);
                add(context.join(&[scope, "/", parts.kind, "/", id]), parts.kind, name);
            }
        }
        "key_create" | "key_destroy" => {
            let id = body.get("id").text();
            add(context.join(&["keys/", id]), "Key", id);
            let owner = body.get("username").text();
            add(owner, "User", owner);
        }
        kind if kind.starts_with("user_") => {
            let name = first(&[body.get("user_username").text(), body.get("username").text()]);
            add(first(&[body.get("user_id").text(), name]), "User", name);
        }
        _ => {}
    }
    if !repo.is_empty() {
        let name = first(&[
            parts.project.get("name").text(),
            repo.rsplit('/').next().unwrap_or_default(),
        ]);
        add(repo, "Project", name);
    } else {
        add(group, "Group", group.rsplit('/').next().unwrap_or_default());
    }
    event.resources = context.resources(list);
}

fn tickets<'a>(context: &mut Context<'a>, parts: &Parts<'a>) {
    let (body, attributes) = (parts.body, parts.attributes);
    let texts = [
        parts.reference,
        attributes.get("title").text(),
        attributes.get("description").text(),
        attributes.get("source_branch").text(),
        attributes.get("ref").text(),
        attributes.get("note").text(),
        attributes.at(&["last_commit", "message"]).text(),
        parts.commit.get("message").text(),
        parts.merge_request.get("title").text(),
        parts.merge_request.get("source_branch").text(),
        body.get("commit_title").text(),
    ];
    texts.into_iter().for_each(|text| context.tickets_in(text));
    if parts.kind == "release" {
        for name in ["name", "tag", "description"] {
            context.tickets_in(body.get(name).text());
        }
    }
    for commit in parts.commits.items() {
        context.tickets_in(commit.get("message").text());
    }
}
