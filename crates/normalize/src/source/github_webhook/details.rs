//! When, on what, from which revision, and under which ticket.

use changegate_json::{Kind, Value};
use changegate_types::{ChangeEvent, Resource};

use super::{Parts, is_merge};
use crate::context::{Context, List, first};

pub(super) fn fill<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    time(context, event, parts);
    pipeline(event, parts);
    let mut list = context.list();
    resources(context, event, parts, &mut list);
    event.resources = context.resources(list);
    tickets(context, parts);
}

/// The object's own time for the action; never that of a commit, which its author sets.
fn time<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let object = parts.object;
    let repository = parts.repository;
    let found = match (parts.event, parts.action) {
        ("push" | "create" | "delete", _) => repository.get("pushed_at"),
        // What is gone keeps the time of its last edit, which may lie years back.
        (_, "deleted" | "removed") => object.get("deleted_at"),
        (_, "suspend") => object.any(&["suspended_at", "updated_at"]),
        ("pull_request", "closed") => object.any(&["merged_at", "closed_at", "updated_at"]),
        ("workflow_job", "completed") => object.any(&["completed_at", "started_at", "created_at"]),
        ("workflow_job", "in_progress") => object.any(&["started_at", "created_at"]),
        ("workflow_job", _) => object.any(&["created_at", "started_at"]),
        ("check_run", "completed") => object.any(&["completed_at", "started_at"]),
        ("check_run", _) => object.any(&["started_at", "completed_at"]),
        ("deployment_review", _) => {
            let since = parts.body.get("since");
            if since.is_some() {
                since
            } else {
                parts.workflow_run.any(&["updated_at", "created_at"])
            }
        }
        ("deployment", "created") => object.any(&["created_at", "updated_at"]),
        ("release", "published" | "released" | "prereleased") => object.any(&["published_at", "created_at"]),
        ("repository", "created") => repository.any(&["created_at", "updated_at"]),
        ("repository" | "public", _) => repository.any(&["updated_at", "pushed_at"]),
        ("fork" | "deploy_key", _) => object.get("created_at"),
        ("star", _) => parts.body.get("starred_at"),
        ("status", _) => parts.body.any(&["updated_at", "created_at"]),
        ("package" | "registry_package", "published") => object.any(&["created_at", "updated_at"]),
        ("security_advisory", "withdrawn") => object.any(&["withdrawn_at", "updated_at"]),
        ("marketplace_purchase", _) => parts.body.get("effective_date"),
        ("pull_request_review", "submitted") => object.any(&["submitted_at"]),
        (_, "created" | "opened") => object.any(&["created_at", "updated_at"]),
        (_, "closed") => object.any(&["closed_at", "updated_at"]),
        (_, "dismiss" | "dismissed") => {
            object.any(&["dismissed_at", "updated_at", "submitted_at", "created_at"])
        }
        (_, "fixed" | "fix") => object.any(&["fixed_at", "updated_at", "created_at"]),
        _ => object.any(&["updated_at", "created_at", "submitted_at", "dismissed_at"]),
    };
    event.event_time = context.time(found).unwrap_or_default();
}

fn is_sha(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte != b'0')
}

fn pipeline<'a>(event: &mut ChangeEvent<'a>, parts: &Parts<'a>) {
    let (run, object, body) = (parts.workflow_run, parts.object, parts.body);
    let check = body.any(&["check_run", "check_suite"]);
    let requests = [run, check, body.get("workflow_job")];
    let request = requests
        .into_iter()
        .find_map(|holder| holder.get("pull_requests").items().next())
        .unwrap_or_default();
    let commented = body.get("issue");
    event.vcs_change_id = first(&[
        parts.pull_request.get("number").text(),
        if commented.get("pull_request").is_some() {
            commented.get("number").text()
        } else {
            ""
        },
        request.get("number").text(),
        if parts.event == "pull_request" {
            body.get("number").text()
        } else {
            ""
        },
    ]);
    let merge = if is_merge(parts) {
        parts.pull_request.get("merge_commit_sha").text()
    } else {
        ""
    };
    let candidates = [
        merge,
        parts.pull_request.at(&["head", "sha"]).text(),
        body.get("after").text(),
        parts.deployment.get("sha").text(),
        object.get("head_sha").text(),
        run.get("head_sha").text(),
        body.get("sha").text(),
        object.get("commit").text(),
        object.get("commit_id").text(),
        object.get("target_commitish").text(),
        object.at(&["package_version", "target_oid"]).text(),
        check.get("head_sha").text(),
    ];
    event.vcs_head_revision = candidates
        .into_iter()
        .find(|text| is_sha(text))
        .unwrap_or_default();
    event.cicd_run_id = first(&[
        run.get("id").text(),
        object.get("run_id").text(),
        if parts.event == "workflow_job" {
            object.get("id").text()
        } else {
            ""
        },
    ]);
    let workflow = body.get("workflow");
    event.cicd_pipeline = first(&[
        run.get("path").text(),
        workflow.get("path").text(),
        workflow.text(),
        object.get("workflow_name").text(),
        run.get("name").text(),
        workflow.get("name").text(),
    ]);
    let deployment_id = parts.deployment.get("id").text();
    event.correlation_uid = first(&[deployment_id, event.cicd_run_id]);
    event.environment = first(&[
        parts.deployment.get("environment").text(),
        if parts.event.starts_with("deployment") {
            object.get("environment").text()
        } else {
            ""
        },
        if parts.event.starts_with("deployment") {
            body.get("environment").text()
        } else {
            ""
        },
    ]);
    event.schema_version = match parts.event {
        "" => "",
        _ => body.get("schema_version").text(),
    };
}

/// What the event is about comes first, in a form that stays from one run or request to the next; then the
/// repository, else the organization.
fn resources<'a>(
    context: &mut Context<'a>,
    event: &ChangeEvent<'a>,
    parts: &Parts<'a>,
    list: &mut List<'a, Resource<'a>>,
) {
    let repo = event.vcs_repo;
    let object = parts.object;
    let mut add = |uid: &'a str, kind: &'a str, name: &'a str| {
        if !uid.is_empty() {
            list.push(Resource { uid, kind, name });
        }
    };
    match parts.event {
        "push" if !parts.reference.is_empty() => {
            let (kind, name) = match parts.reference.strip_prefix("refs/tags/") {
                Some(tag) => ("Tag", tag),
                None => (
                    "Branch",
                    parts
                        .reference
                        .strip_prefix("refs/heads/")
                        .unwrap_or(parts.reference),
                ),
            };
            add(context.join(&[repo, "@", parts.reference]), kind, name);
        }
        "create" | "delete" if !parts.reference.is_empty() => {
            let is_tag = parts.body.get("ref_type").text() == "tag";
            let (head, kind) = if is_tag {
                ("@refs/tags/", "Tag")
            } else {
                ("@refs/heads/", "Branch")
            };
            add(
                context.join(&[repo, head, parts.reference]),
                kind,
                parts.reference,
            );
        }
        _ if parts.pull_request.at(&["base", "ref"]).is_some() => {
            let base = parts.pull_request.at(&["base", "ref"]).text();
            add(context.join(&[repo, "@refs/heads/", base]), "Branch", base);
        }
        event_type if event_type.starts_with("deployment") && !event.environment.is_empty() => {
            let uid = context.join(&[repo, "/environments/", event.environment]);
            add(uid, "Environment", event.environment);
        }
        "workflow_run" | "workflow_job" | "workflow_dispatch" if !event.cicd_pipeline.is_empty() => {
            let uid = context.join(&[repo, "/", event.cicd_pipeline]);
            add(uid, "Workflow", event.cicd_pipeline);
        }
        "release" => {
            let tag = object.get("tag_name").text();
            if !tag.is_empty() {
                add(
                    context.join(&[repo, "@refs/tags/", tag]),
                    "Release",
                    first(&[object.get("name").text(), tag]),
                );
            }
        }
        "gollum" => {
            for page in parts.body.get("pages").items() {
                let name = page.get("page_name").text();
                let uid = first(&[page.get("html_url").text(), name]);
                add(uid, "Page", name);
            }
        }
        _ => object_itself(context, event, parts, &mut add),
    }
    for member in ["repositories", "repositories_added", "repositories_removed"] {
        for repository in parts.body.get(member).items() {
            let name = repository.get("full_name").text();
            add(name, "Repository", name);
        }
    }
    if parts.event == "membership" {
        let slug = first(&[
            parts.body.at(&["team", "slug"]).text(),
            parts.body.at(&["team", "name"]).text(),
        ]);
        if !slug.is_empty() {
            add(context.join(&[event.account_uid, "/teams/", slug]), "Team", slug);
        }
    }
    if !repo.is_empty() {
        add(repo, "Repository", parts.repository.get("name").text());
    } else {
        add(event.account_uid, "Organization", event.account_uid);
    }
}

fn object_itself<'a>(
    context: &Context<'a>,
    event: &ChangeEvent<'a>,
    parts: &Parts<'a>,
    add: &mut impl FnMut(&'a str, &'a str, &'a str),
) {
    let object = parts.object;
    let scope = first(&[event.vcs_repo, event.account_uid]);
    if object.kind() != Kind::Object {
        if parts.event == "organization" {
            let login = parts.body.at(&["invitation", "login"]).text();
            add(
                first(&[login, parts.body.at(&["invitation", "email"]).text()]),
                "User",
                login,
            );
        }
        return;
    }
    let user = match parts.event {
        "member" | "membership" | "org_block" => object,
        "organization" => object.get("user"),
        _ => Value::MISSING,
    };
    if user.is_some() {
        let login = user.get("login").text();
        add(login, "User", login);
        return;
    }
    let name = first(&[
        object.get("slug").text(),
        object.get("app_slug").text(),
        object.get("name").text(),
        object.get("full_name").text(),
        object.get("title").text(),
        object.get("rule_id").text(),
        object.get("external_identifier").text(),
        object.get("ghsa_id").text(),
    ]);
    let (path, kind, id) = match parts.event {
        "team" | "team_add" => ("/teams/", "Team", name),
        "branch_protection_rule" => ("/branch_protection/", "BranchProtection", name),
        "repository_ruleset" => ("/rulesets/", "Ruleset", object.get("id").text()),
        "deploy_key" => ("/keys/", "DeployKey", object.get("id").text()),
        "meta" => ("/hooks/", "Webhook", object.get("id").text()),
        "issues" | "issue_comment" => ("/issues/", "Issue", parts.body.at(&["issue", "number"]).text()),
        "installation" | "installation_repositories" | "installation_target" => {
            ("/installations/", "Installation", object.get("id").text())
        }
        "fork" => ("", "Repository", ""),
        _ => (
            "/",
            parts.event,
            first(&[object.get("number").text(), object.get("id").text(), name]),
        ),
    };
    match (path, id) {
        ("", _) => add(object.get("full_name").text(), kind, name),
        (_, "") => {}
        ("/", id) if parts.event == "security_advisory" => add(id, kind, name),
        ("/", id) => add(context.join(&[scope, "/", parts.event, "/", id]), kind, name),
        (path, id) => add(context.join(&[scope, path, id]), kind, name),
    }
}

fn tickets<'a>(context: &mut Context<'a>, parts: &Parts<'a>) {
    let (object, run) = (parts.object, parts.workflow_run);
    let texts = [
        parts.reference,
        parts.pull_request.get("title").text(),
        parts.pull_request.get("body").text(),
        parts.pull_request.at(&["head", "ref"]).text(),
        run.get("display_title").text(),
        run.get("head_branch").text(),
        run.at(&["head_commit", "message"]).text(),
        parts.head_commit.get("message").text(),
        parts.deployment.get("ref").text(),
        parts.deployment.get("description").text(),
        object.get("tag_name").text(),
        object.get("title").text(),
        object.get("description").text(),
        object.get("head_branch").text(),
        object.at(&["head_commit", "message"]).text(),
        parts.body.at(&["issue", "title"]).text(),
    ];
    texts.into_iter().for_each(|text| context.tickets_in(text));
    if matches!(
        parts.event,
        "release" | "issue_comment" | "pull_request_review" | "commit_comment" | "issues"
    ) {
        context.tickets_in(object.get("name").text());
        context.tickets_in(object.get("body").text());
    }
    for commit in parts.commits.items() {
        context.tickets_in(commit.get("message").text());
    }
    for member in ["inputs", "client_payload"] {
        context.tickets_below(parts.body.get(member));
    }
    context.tickets_below(parts.deployment.get("payload"));
}
