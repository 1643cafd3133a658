//! The rival for GitHub's audit log as it is streamed. It is let off what Enterprise Server puts elsewhere (`data`, lists
//! of ids), names in another case, and categories of actions that no record here names.

use changegate_types::{ActorType, Class, Mark, PrivilegeClass, Status, Verb};
use serde_json::Value;

use super::mask::{Below, Rules};
use super::members::{Members, first, text};
use super::{Columns, Generic, Source, verb};

/// `github.audit`.
#[derive(Debug)]
pub(super) struct GitHubAudit;

const RULES: Rules = Rules {
    names: &["hookToken", "configSecret", "encryptedValue"],
    about_secrets: |_| false,
    held: |_, _| &[],
    below: |_| Below::None,
};

/// Kinds of things that entries name by an id of their own.
const OBJECTS: [(&[&str], &str, &str); 6] = [
    (&["ruleset_name"], "Ruleset", "/rulesets/"),
    (&["hook_id"], "Webhook", "/hooks/"),
    (&["key", "secret_name"], "Secret", "/secrets/"),
    (&["oauth_application", "installation_id"], "Application", "/apps/"),
    (&["runner_name"], "Runner", "/runners/"),
    (&["alert_number"], "Alert", "/alerts/"),
];

impl Source for GitHubAudit {
    fn name(&self) -> &'static str {
        "github.audit"
    }

    fn rules(&self) -> Rules {
        RULES
    }

    fn columns(&self, generic: &Generic, event: Value) -> Columns {
        let mut entry = Members::of(event);
        let mut columns = Columns {
            cloud_provider: "GitHub",
            source_product: "GitHub audit log",
            native_uid: entry.text("_document_id"),
            api_operation: entry.text("action"),
            actor_session_uid: entry.text("actor_session"),
            actor_credential_uid: entry.text("hashed_token"),
            request_uid: entry.text("request_id"),
            user_agent: entry.text("user_agent"),
            vcs_head_revision: entry.text("head_sha"),
            cicd_run_id: entry.text("workflow_run_id"),
            cicd_pipeline: entry.text("workflow_id"),
            environment: entry.text("environment_name"),
            vcs_change_id: entry.text("pull_request_number"),
            org_uid: entry.text("business"),
            vcs_repo: entry.text("repo"),
            src_country: text(entry.value("actor_location").get("country_code")).to_owned(),
            ..Columns::default()
        };
        let time = entry.time("@timestamp").or_else(|| entry.time("created_at"));
        columns.event_time = time.unwrap_or_default();
        if columns.actor_credential_uid.is_empty() {
            columns.actor_credential_uid = entry.text("token_id");
        }
        columns.address(entry.text("actor_ip"));
        let is_bot = entry.text("actor_is_bot") == "true";
        let (user, identity) = (entry.text("user"), entry.text("external_identity_nameid"));
        let (name, kind, trigger) = (
            entry.text("name"),
            entry.text("operation_type"),
            entry.text("event"),
        );
        let actor_login = entry.text("actor");
        meaning(&mut columns, &kind, &trigger);
        columns.actor_invoked_by = entry.text("oauth_application_name");
        if columns.actor_invoked_by.is_empty() {
            columns.actor_invoked_by = entry.text("programmatic_access_type");
        }
        actor(&mut columns, &actor_login, is_bot, identity, &user);
        if columns.vcs_repo.is_empty() {
            columns.vcs_repo = entry.text("repository");
        }
        let org = entry.text("org");
        let owner = columns.vcs_repo.split_once('/').map_or("", |(owner, _)| owner);
        columns.account_uid = first(&[&org, owner, &columns.org_uid]);
        if columns.org_uid.is_empty() {
            columns.org_uid = org;
        }
        resources(&mut columns, &mut entry, &name, &user, &actor_login);
        for member in ["reason", "title", "head_branch"] {
            generic.tickets_in(&mut columns, &entry.text(member));
        }
        generic.tickets_in(&mut columns, &name);
        entry.finish(&mut columns);
        columns
    }
}

fn actor(columns: &mut Columns, login: &str, is_bot: bool, identity: String, user: &str) {
    columns.actor_uid = first(&[login, &identity]);
    columns.actor_name.clone_from(&columns.actor_uid);
    columns.actor_type = match columns.actor_uid.as_str() {
        "" => ActorType::Unknown,
        login if is_bot || login.ends_with("[bot]") => ActorType::Service,
        _ => ActorType::User,
    };
    if !identity.is_empty() && identity != columns.actor_uid {
        columns.actor_delegated_from.push(identity);
    }
    // A bot's entries name in `user` for whom it worked; a person's name whom it was done to.
    if columns.actor_type == ActorType::Service && !user.is_empty() && user != columns.actor_uid {
        columns.actor_delegated_from.push(user.to_owned());
    }
}

fn resources(columns: &mut Columns, entry: &mut Members, name: &str, user: &str, actor: &str) {
    let scope = first(&[&columns.vcs_repo, &columns.account_uid]);
    let list = &mut columns.resources;
    for (members, kind, path) in OBJECTS {
        let ids = members.iter().map(|member| entry.text(member));
        if let Some(id) = ids.into_iter().find(|id| !id.is_empty()) {
            list.push((format!("{scope}{path}{id}"), kind.into(), id));
        }
    }
    if columns.api_service == "protected_branch" && !name.is_empty() {
        let uid = format!("{scope}/branch_protection/{name}");
        list.push((uid, "BranchProtection".into(), name.to_owned()));
    }
    if !columns.environment.is_empty() {
        let uid = format!("{scope}/environments/{}", columns.environment);
        list.push((uid, "Environment".into(), columns.environment.clone()));
    }
    if !columns.cicd_pipeline.is_empty() {
        let uid = format!("{scope}/workflows/{}", columns.cicd_pipeline);
        list.push((uid, "Workflow".into(), first(&[name, &columns.cicd_pipeline])));
    }
    let tail = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let team = entry.text("team");
    if !team.is_empty() {
        let name = tail(&team);
        list.push((team, "Team".into(), name));
    }
    if !user.is_empty() && (user != actor || columns.vcs_repo.is_empty()) {
        list.push((user.to_owned(), "User".into(), user.to_owned()));
    }
    if !columns.vcs_repo.is_empty() {
        let repo = columns.vcs_repo.clone();
        let name = tail(&repo);
        list.push((repo, "Repository".into(), name));
    } else if !columns.account_uid.is_empty() {
        let account = columns.account_uid.clone();
        list.push((account.clone(), "Organization".into(), account));
    }
}

/// What `category.operation` means. `kind` is `operation_type`, which newer entries carry; `trigger` the event that
/// began a workflow run.
fn meaning(columns: &mut Columns, kind: &str, trigger: &str) {
    let action = columns.api_operation.as_str();
    let (category, operation) = action.split_once('.').unwrap_or(("", action));
    columns.verb = verb_of(category, operation, kind);
    let has = |parts: &[&str]| parts.iter().any(|part| operation.contains(part));
    let sign_in = kind == "authentication"
        || has(&["login", "sso_response", "logout"])
        || action == "user.two_factor_requested";
    (columns.class, columns.privilege_class) = if sign_in {
        (Class::Authentication, PrivilegeClass::Identity)
    } else {
        (class(category, operation), privilege_class(category, operation))
    };
    columns.is_change = !sign_in
        && columns.verb != Verb::Read
        && match category {
            "pull_request" => operation == "merge",
            "workflows" => match operation {
                "prepared_workflow_job" => false,
                "created_workflow_run" => trigger.ends_with("_dispatch"),
                _ => true,
            },
            "issue" | "issues" | "issue_comment" | "discussion" | "project" | "api" | "checks" => false,
            _ => !has(&["export", "download", "code_search", "audit_log_git_event"]),
        };
    columns.activity = match columns.class {
        Class::Authentication => 1,
        class => verb::activity(class, columns.verb),
    };
    columns.status = if action.contains("failed_login") {
        Status::Failure
    } else {
        columns.marks.set(Mark::OutcomeAssumed);
        Status::Success
    };
    action
        .split('.')
        .next()
        .unwrap_or_default()
        .clone_into(&mut columns.api_service);
}

fn verb_of(category: &str, operation: &str, kind: &str) -> Verb {
    match kind {
        // Clones come as `access`, and so does what only looks; a push comes as `modify`.
        "access" => return Verb::Read,
        "authentication" => return Verb::Other,
        "create" | "restore" => return Verb::Create,
        "remove" => return Verb::Delete,
        "modify" | "transfer" => return Verb::Update,
        _ => {}
    }
    match (category, operation) {
        ("git", "push") | (_, "access") => Verb::Update,
        ("git" | "api", _) => Verb::Read,
        _ if operation.contains("download") || operation.contains("export") => Verb::Read,
        _ => {
            let mut words = operation.split('_').filter_map(past);
            words.next().unwrap_or(Verb::Update)
        }
    }
}

/// What a word says that stands in the past tense.
fn past(word: &str) -> Option<Verb> {
    verb::word(word)
        .or_else(|| verb::word(word.strip_suffix('d')?))
        .or_else(|| verb::word(word.strip_suffix("ed")?))
}

fn class(category: &str, operation: &str) -> Class {
    match category {
        "git" | "pull_request" | "workflows" | "api" | "checks" | "" => Class::ApiActivity,
        "team" if operation.contains("repository") => Class::UserAccess,
        "team" => Class::GroupManagement,
        "org" | "repo" | "business"
            if ["member", "admin", "collaborator", "owner", "role"]
                .iter()
                .any(|part| operation.contains(part)) =>
        {
            Class::UserAccess
        }
        "user" | "oauth_access" | "personal_access_token" | "public_key" => Class::AccountChange,
        _ => Class::EntityManagement,
    }
}

fn privilege_class(category: &str, operation: &str) -> PrivilegeClass {
    let names = |parts: &[&str]| parts.iter().any(|part| operation.contains(part));
    let under = |parts: &[&str]| parts.iter().any(|part| category.contains(part));
    match category {
        _ if under(&["audit_log"]) || names(&["audit_log"]) => PrivilegeClass::Logging,
        _ if under(&[
            "secret_scanning",
            "dependabot",
            "code_scanning",
            "advanced_security",
        ]) =>
        {
            PrivilegeClass::Logging
        }
        _ if under(&["ip_allow_list"]) || names(&["ip_allow_list"]) => PrivilegeClass::Network,
        _ if under(&["public_key", "deploy_key"]) || names(&["secret"]) => PrivilegeClass::Keys,
        _ if under(&[
            "protected_branch",
            "ruleset",
            "hook",
            "workflows",
            "environment",
            "actions",
        ]) || names(&["runner", "actions", "workflow", "hook"]) =>
        {
            PrivilegeClass::Pipeline
        }
        "git" if operation != "push" => PrivilegeClass::Data,
        "git" | "pull_request" | "release" => PrivilegeClass::Pipeline,
        "repo" if operation == "access" || names(&["visibility"]) => PrivilegeClass::Network,
        "repo" if names(&["destroy", "transfer", "download", "fork"]) => PrivilegeClass::Data,
        "repo" if !names(&["member", "collaborator", "role"]) => PrivilegeClass::Pipeline,
        "repo" | "org" | "business" | "team" | "user" | "personal_access_token" => PrivilegeClass::Identity,
        _ => PrivilegeClass::None,
    }
}
