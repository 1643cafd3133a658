//! Event types: told by the body's shape where no header names them, and what each one means.

use changegate_types::{Class, PrivilegeClass};

use super::Parts;

/// What one event type means.
#[derive(Clone, Copy)]
pub(super) struct Meaning {
    /// Member that holds what the event is about.
    pub(super) object: &'static str,
    pub(super) class: Class,
    pub(super) privilege: PrivilegeClass,
    pub(super) change: Changes,
}

/// Which of its actions change something.
#[derive(Clone, Copy)]
pub(super) enum Changes {
    None,
    All,
    Some(&'static [&'static str]),
}

/// `None`: a type that this version does not know.
pub(super) fn meaning(event: &str) -> Option<Meaning> {
    use Changes::{All, None as Never, Some as Only};
    use Class::{
        AccountChange, ApiActivity, ApplicationLifecycle, DetectionFinding, EntityManagement,
        GroupManagement, UserAccess,
    };
    use PrivilegeClass::{Data, Identity, Keys, Logging, Network, Pipeline};
    let (object, class, privilege, change) = match event {
        "push" => ("", ApiActivity, Pipeline, All),
        "create" | "delete" => ("", ApiActivity, Pipeline, All),
        "pull_request" => ("pull_request", ApiActivity, Pipeline, Only(&["merged"])),
        "pull_request_review" => ("review", ApiActivity, Pipeline, Never),
        "pull_request_review_comment" => ("comment", ApiActivity, Pipeline, Never),
        "pull_request_review_thread" => ("thread", ApiActivity, Pipeline, Never),
        "merge_group" => ("merge_group", ApiActivity, Pipeline, Never),
        "check_run" => ("check_run", ApiActivity, Pipeline, Never),
        "check_suite" => ("check_suite", ApiActivity, Pipeline, Never),
        "status" => ("", ApiActivity, Pipeline, Never),
        "workflow_run" => ("workflow_run", ApiActivity, Pipeline, Only(&["completed"])),
        "workflow_job" => ("workflow_job", ApiActivity, Pipeline, Never),
        "workflow_dispatch" | "repository_dispatch" => ("", ApiActivity, Pipeline, All),
        "deployment" => ("deployment", ApplicationLifecycle, Pipeline, All),
        "deployment_status" => (
            "deployment_status",
            ApplicationLifecycle,
            Pipeline,
            // A state on the way to one of these changes nothing yet.
            Only(&["success", "failure", "error", "inactive"]),
        ),
        "deployment_review" | "deployment_protection_rule" => {
            ("deployment", ApplicationLifecycle, Pipeline, Never)
        }
        "release" => ("release", ApplicationLifecycle, Pipeline, All),
        "package" => ("package", ApplicationLifecycle, Pipeline, All),
        "registry_package" => ("registry_package", ApplicationLifecycle, Pipeline, All),
        "page_build" => ("build", ApplicationLifecycle, Pipeline, All),
        "branch_protection_rule" => ("rule", EntityManagement, Pipeline, All),
        "branch_protection_configuration" => ("", EntityManagement, Pipeline, All),
        "repository_ruleset" => ("repository_ruleset", EntityManagement, Pipeline, All),
        "custom_property" => ("definition", EntityManagement, Pipeline, All),
        "custom_property_values" => ("", EntityManagement, Pipeline, All),
        "meta" => ("hook", EntityManagement, Pipeline, All),
        "deploy_key" => ("key", EntityManagement, Keys, All),
        "repository" | "repository_import" => ("", EntityManagement, Pipeline, All),
        "public" => ("", EntityManagement, Network, All),
        // A copy that leaves the owner's hands; of a public repository it is anyone's right.
        "fork" => ("forkee", EntityManagement, Data, Only(&["private"])),
        "security_and_analysis" => ("", EntityManagement, Logging, All),
        "installation" | "installation_repositories" | "installation_target" => {
            ("installation", EntityManagement, Identity, All)
        }
        "github_app_authorization" => ("", AccountChange, Identity, All),
        "personal_access_token_request" => ("personal_access_token_request", AccountChange, Identity, All),
        "member" => ("member", UserAccess, Identity, All),
        "membership" => ("member", GroupManagement, Identity, All),
        "organization" => ("membership", UserAccess, Identity, All),
        "org_block" => ("blocked_user", UserAccess, Identity, All),
        "team" => ("team", GroupManagement, Identity, All),
        "team_add" => ("team", UserAccess, Identity, All),
        "marketplace_purchase" => (
            "marketplace_purchase",
            EntityManagement,
            PrivilegeClass::None,
            All,
        ),
        // Findings change nothing; that a person puts one away does.
        "code_scanning_alert" => ("alert", DetectionFinding, Logging, Only(&["closed_by_user"])),
        "dependabot_alert" => (
            "alert",
            DetectionFinding,
            Logging,
            Only(&["dismissed", "auto_dismissed"]),
        ),
        "repository_vulnerability_alert" => ("alert", DetectionFinding, Logging, Only(&["dismiss"])),
        "secret_scanning_alert" => ("alert", DetectionFinding, Logging, Only(&["resolved"])),
        "secret_scanning_alert_location" => ("alert", DetectionFinding, Logging, Never),
        "secret_scanning_scan" => ("", DetectionFinding, Logging, Never),
        "security_advisory" => ("security_advisory", DetectionFinding, PrivilegeClass::None, Never),
        "repository_advisory" => (
            "repository_advisory",
            DetectionFinding,
            PrivilegeClass::None,
            Never,
        ),
        "issues" | "issue_dependencies" | "sub_issues" => ("issue", ApiActivity, PrivilegeClass::None, Never),
        "issue_comment" | "commit_comment" | "discussion_comment" => {
            ("comment", ApiActivity, PrivilegeClass::None, Never)
        }
        "discussion" => ("discussion", ApiActivity, PrivilegeClass::None, Never),
        "gollum" | "star" | "watch" | "ping" => ("", ApiActivity, PrivilegeClass::None, Never),
        "label" => ("label", ApiActivity, PrivilegeClass::None, Never),
        "milestone" => ("milestone", ApiActivity, PrivilegeClass::None, Never),
        "project" => ("project", ApiActivity, PrivilegeClass::None, Never),
        "project_card" => ("project_card", ApiActivity, PrivilegeClass::None, Never),
        "project_column" => ("project_column", ApiActivity, PrivilegeClass::None, Never),
        "projects_v2" => ("projects_v2", ApiActivity, PrivilegeClass::None, Never),
        "projects_v2_item" => ("projects_v2_item", ApiActivity, PrivilegeClass::None, Never),
        "projects_v2_status_update" => (
            "projects_v2_status_update",
            ApiActivity,
            PrivilegeClass::None,
            Never,
        ),
        "sponsorship" => ("sponsorship", ApiActivity, PrivilegeClass::None, Never),
        _ => return None,
    };
    Some(Meaning {
        object,
        class,
        privilege,
        change,
    })
}

/// Members that only one event type has (those before it set aside), the first that fits.
const BY_MEMBERS: &[(&[&str], &str)] = &[
    (&["zen"], "ping"),
    (&["deployment_status"], "deployment_status"),
    (&["deployment_callback_url"], "deployment_protection_rule"),
    (&["workflow_run", "approver"], "deployment_review"),
    (&["workflow_run", "requestor"], "deployment_review"),
    (&["workflow_run", "reviewers"], "deployment_review"),
    (&["workflow_job"], "workflow_job"),
    (&["deployment"], "deployment"),
    (&["workflow_run"], "workflow_run"),
    (&["check_run"], "check_run"),
    (&["check_suite"], "check_suite"),
    (&["merge_group"], "merge_group"),
    (&["pull_request", "thread"], "pull_request_review_thread"),
    (&["pull_request", "review"], "pull_request_review"),
    (&["pull_request", "comment"], "pull_request_review_comment"),
    (&["pull_request"], "pull_request"),
    (&["issue", "comment"], "issue_comment"),
    (&["discussion", "comment"], "discussion_comment"),
    (&["comment"], "commit_comment"),
    (&["issue"], "issues"),
    (&["discussion"], "discussion"),
    (&["commits", "ref"], "push"),
    (&["pusher", "ref"], "push"),
    (&["ref_type", "master_branch"], "create"),
    (&["ref_type"], "delete"),
    (&["pages"], "gollum"),
    (&["forkee"], "fork"),
    (&["build"], "page_build"),
    (&["release"], "release"),
    (&["rule"], "branch_protection_rule"),
    (&["repository_ruleset"], "repository_ruleset"),
    (&["new_property_values"], "custom_property_values"),
    (&["definition"], "custom_property"),
    (&["key"], "deploy_key"),
    (&["alert", "location"], "secret_scanning_alert_location"),
    (&["security_advisory"], "security_advisory"),
    (&["repository_advisory"], "repository_advisory"),
    (&["blocked_user"], "org_block"),
    (&["membership"], "organization"),
    (&["invitation"], "organization"),
    (&["team", "member"], "membership"),
    (&["team", "action"], "team"),
    (&["team"], "team_add"),
    (&["member"], "member"),
    (&["repositories_added"], "installation_repositories"),
    (
        &["personal_access_token_request"],
        "personal_access_token_request",
    ),
    (&["marketplace_purchase"], "marketplace_purchase"),
    (&["sponsorship"], "sponsorship"),
    (&["package"], "package"),
    (&["registry_package"], "registry_package"),
    (&["milestone"], "milestone"),
    (&["label"], "label"),
    (&["project_card"], "project_card"),
    (&["project_column"], "project_column"),
    (&["projects_v2_item"], "projects_v2_item"),
    (&["projects_v2"], "projects_v2"),
    (&["project"], "project"),
    (&["hook", "hook_id"], "meta"),
    (&["client_payload"], "repository_dispatch"),
    (&["inputs", "workflow"], "workflow_dispatch"),
    (&["sha", "context", "state"], "status"),
    (&["starred_at"], "star"),
    (&["ref"], "push"),
];

/// The event type by the body alone; empty where the shape fits none.
pub(super) fn by_shape(parts: &Parts<'_>) -> &'static str {
    let body = parts.body;
    let by_member = BY_MEMBERS
        .iter()
        .find(|(members, _)| members.iter().all(|member| parts.has(member)))
        .map(|(_, event)| *event);
    if let Some(event) = by_member {
        return event;
    }
    let alert = body.get("alert");
    if alert.is_some() {
        return match () {
            () if alert.any(&["tool", "most_recent_instance"]).is_some() => "code_scanning_alert",
            () if alert.get("secret_type").is_some() => "secret_scanning_alert",
            () if alert.any(&["dependency", "security_vulnerability"]).is_some() => "dependabot_alert",
            () => "repository_vulnerability_alert",
        };
    }
    let has_repository = parts.repository.is_some();
    match body.get("action").text() {
        "started" if has_repository => "watch",
        "created" | "deleted" | "archived" | "unarchived" | "edited" | "renamed" | "transferred"
        | "publicized" | "privatized"
            if has_repository =>
        {
            "repository"
        }
        "revoked" => "github_app_authorization",
        "created" | "deleted" | "suspend" | "unsuspend" | "new_permissions_accepted"
            if parts.installation.is_some() =>
        {
            "installation"
        }
        "renamed" | "deleted" if parts.organization.is_some() => "organization",
        _ => "",
    }
}
