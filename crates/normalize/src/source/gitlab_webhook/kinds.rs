//! What each kind of hook means.

use changegate_types::{Class, PrivilegeClass};

/// Class, privilege, and whether it changes something; `None` for a kind that this version does not know.
/// `word` is the hook's action, or its status where it reports a run.
pub(super) fn meaning(kind: &str, word: &str) -> Option<(Class, PrivilegeClass, bool)> {
    use Class::{
        AccountChange, ApiActivity, ApplicationLifecycle, Authentication, DetectionFinding, EntityManagement,
        UserAccess,
    };
    use PrivilegeClass::{Data, Identity, Keys, Logging, None as Nothing, Pipeline};
    // A run is reported at each step; the last one counts. Where the hook does not say, the safe side.
    let ended = matches!(word, "success" | "failed" | "canceled" | "");
    Some(match kind {
        "push" | "tag_push" | "repository_update" => (ApiActivity, Pipeline, true),
        "merge_request" => (ApiActivity, Pipeline, matches!(word, "merge" | "merged" | "")),
        "pipeline" => (ApiActivity, Pipeline, ended),
        "build" | "job" => (ApiActivity, Pipeline, false),
        "deployment" => (ApplicationLifecycle, Pipeline, ended),
        "release" => (ApplicationLifecycle, Pipeline, true),
        "feature_flag" => (EntityManagement, Pipeline, true),
        "access_token" => (AccountChange, Keys, false),
        "note" | "issue" | "work_item" | "wiki_page" | "emoji" | "milestone" => (ApiActivity, Nothing, false),
        "vulnerability" => (DetectionFinding, Logging, false),
        "user_failed_login" => (Authentication, Identity, false),
        "key_create" | "key_destroy" => (AccountChange, Keys, true),
        _ if kind.starts_with("user_access_request") => (UserAccess, Identity, false),
        _ if kind.starts_with("user_")
            && (kind.ends_with("_team") || kind.ends_with("_group") || kind.ends_with("_project")) =>
        {
            (UserAccess, Identity, true)
        }
        _ if kind.starts_with("user_") => (AccountChange, Identity, true),
        "project_destroy" | "project_transfer" | "group_destroy" => (EntityManagement, Data, true),
        _ if kind.starts_with("project_") => (EntityManagement, Pipeline, true),
        _ if kind.starts_with("group_") || kind.starts_with("subgroup_") => {
            (EntityManagement, Identity, true)
        }
        _ => return None,
    })
}

/// The kind by the header alone: `Merge Request Hook`, `System Hook`, `Job Hook`.
pub(super) fn by_header(header: &str) -> &'static str {
    const KINDS: [(&str, &str); 14] = [
        ("Push Hook", "push"),
        ("Tag Push Hook", "tag_push"),
        ("Merge Request Hook", "merge_request"),
        ("Pipeline Hook", "pipeline"),
        ("Job Hook", "build"),
        ("Deployment Hook", "deployment"),
        ("Release Hook", "release"),
        ("Feature Flag Hook", "feature_flag"),
        ("Resource Access Token Hook", "access_token"),
        ("Note Hook", "note"),
        ("Issue Hook", "issue"),
        ("Wiki Page Hook", "wiki_page"),
        ("Emoji Hook", "emoji"),
        ("Vulnerability Hook", "vulnerability"),
    ];
    KINDS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(header))
        .map_or("", |(_, kind)| kind)
}
