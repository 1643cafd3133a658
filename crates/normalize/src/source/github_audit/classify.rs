//! What an audit action means: `category.operation`, or a category alone.

use changegate_types::{Class, PrivilegeClass, Verb};

use super::super::webhook;
use crate::memo::Memo;

#[derive(Clone, Copy)]
pub(super) struct Meaning {
    pub(super) class: Class,
    pub(super) privilege: PrivilegeClass,
    pub(super) verb: Verb,
    pub(super) is_change: bool,
    pub(super) is_failed_login: bool,
}

/// `kind` is `operation_type`, which newer entries carry; `trigger` the event that began a workflow run.
pub(super) fn meaning(action: &str, kind: &str, trigger: &str) -> Meaning {
    thread_local! {
        static KNOWN: Memo<Meaning, 3> = const { Memo::new() };
    }
    KNOWN.with(|known| known.get([action, kind, trigger], || find_meaning(action, kind, trigger)))
}

#[cold]
fn find_meaning(action: &str, kind: &str, trigger: &str) -> Meaning {
    let (category, operation) = action.split_once('.').unwrap_or(("", action));
    let verb = verb(category, operation, kind);
    let has = |parts: &[&str]| parts.iter().any(|part| operation.contains(part));
    let sign_in = kind == "authentication"
        || has(&["login", "sso_response", "logout"])
        || action == "user.two_factor_requested";
    let (class, privilege) = if sign_in {
        (Class::Authentication, PrivilegeClass::Identity)
    } else {
        (class(category, operation), privilege(category, operation))
    };
    let is_change = !sign_in
        && verb != Verb::Read
        && match category {
            "pull_request" => operation == "merge",
            "workflows" => match operation {
                "prepared_workflow_job" => false,
                // The end of a run reports it; only a run that someone began by hand is one from its start.
                "created_workflow_run" => trigger.ends_with("_dispatch"),
                _ => true,
            },
            "pull_request_review"
            | "pull_request_review_comment"
            | "issue"
            | "issues"
            | "issue_comment"
            | "discussion"
            | "discussion_post"
            | "discussion_post_reply"
            | "discussion_comment"
            | "commit_comment"
            | "project"
            | "project_field"
            | "project_view"
            | "milestone"
            | "label"
            | "star"
            | "profile_picture"
            | "sponsors"
            | "api"
            | "checks" => false,
            _ => !has(&["export", "download", "code_search", "audit_log_git_event"]),
        };
    Meaning {
        class,
        privilege,
        verb,
        is_change,
        is_failed_login: action.contains("failed_login"),
    }
}

fn verb(category: &str, operation: &str, kind: &str) -> Verb {
    let by_name = match (category, operation) {
        ("git", "push") => Verb::Update,
        ("git", _) | ("api", _) => Verb::Read,
        (_, "access") => Verb::Update,
        _ if operation.contains("download") || operation.contains("export") => Verb::Read,
        _ => webhook::verb_in(operation),
    };
    match (kind, by_name) {
        // Clones come as `access`, and so does what only looks; a push comes as `modify`.
        ("access", _) => Verb::Read,
        ("authentication", _) => Verb::Other,
        ("create" | "restore", _) => Verb::Create,
        ("remove", _) => Verb::Delete,
        ("modify" | "transfer", _) => Verb::Update,
        (_, Verb::Unknown) => Verb::Update,
        (_, verb) => verb,
    }
}

fn class(category: &str, operation: &str) -> Class {
    match category {
        "git" | "pull_request" | "workflows" | "api" | "checks" | "" => Class::ApiActivity,
        "team" => match operation {
            "add_repository" | "remove_repository" | "update_repository_permission" => Class::UserAccess,
            _ => Class::GroupManagement,
        },
        "org" | "repo" | "business" | "enterprise" | "organization_role" | "role"
            if ["member", "admin", "collaborator", "owner", "role"]
                .iter()
                .any(|part| operation.contains(part)) =>
        {
            Class::UserAccess
        }
        "user"
        | "two_factor_authentication"
        | "oauth_access"
        | "oauth_authorization"
        | "personal_access_token"
        | "external_identity"
        | "external_group"
        | "public_key"
        | "gpg_key"
        | "passkey"
        | "staff"
        | "user_license" => Class::AccountChange,
        _ => Class::EntityManagement,
    }
}

fn privilege(category: &str, operation: &str) -> PrivilegeClass {
    let names = |parts: &[&str]| parts.iter().any(|part| operation.contains(part));
    let under = |parts: &[&str]| parts.iter().any(|part| category.contains(part));
    match category {
        _ if category.starts_with("audit_log") || names(&["audit_log"]) => PrivilegeClass::Logging,
        _ if under(&[
            "secret_scanning",
            "dependabot",
            "dependency_graph",
            "vulnerability",
            "advanced_security",
        ]) || under(&["code_scanning", "security_configuration", "security_product"]) =>
        {
            PrivilegeClass::Logging
        }
        _ if under(&["ip_allow_list"]) || names(&["ip_allow_list", "anonymous_git_access"]) => {
            PrivilegeClass::Network
        }
        _ if under(&["public_key", "deploy_key", "gpg_key", "ssh_certificate"]) || names(&["secret"]) => {
            PrivilegeClass::Keys
        }
        _ if under(&[
            "protected_branch",
            "ruleset",
            "branch_protection",
            "hook",
            "workflows",
            "environment",
        ]) || under(&["actions", "runner", "packages", "checks"])
            || names(&["runner", "actions", "workflow", "hook"]) =>
        {
            PrivilegeClass::Pipeline
        }
        "git" if operation != "push" => PrivilegeClass::Data,
        "git" | "pull_request" | "release" | "merge_queue" => PrivilegeClass::Pipeline,
        "repo" if operation == "access" || names(&["visibility"]) => PrivilegeClass::Network,
        "repo" if names(&["destroy", "transfer", "download", "fork"]) => PrivilegeClass::Data,
        "repo" if !names(&["member", "collaborator", "role"]) => PrivilegeClass::Pipeline,
        "repo"
        | "org"
        | "business"
        | "enterprise"
        | "team"
        | "user"
        | "role"
        | "organization_role"
        | "staff"
        | "integration"
        | "integration_installation"
        | "oauth_application"
        | "oauth_access"
        | "oauth_authorization"
        | "personal_access_token"
        | "two_factor_authentication"
        | "external_identity"
        | "external_group"
        | "passkey"
        | "org_credential_authorization"
        | "business_secret" => PrivilegeClass::Identity,
        _ if operation.contains("admin") => PrivilegeClass::Identity,
        _ => PrivilegeClass::None,
    }
}
