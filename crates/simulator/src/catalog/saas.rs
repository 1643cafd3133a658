//! Okta (targets, debug data), Jira (whole bodies) and CDEvents (subject content).

use super::{Spec, read, sign_in, write};

const APP: &str = r#"[{"id":"0oa<<base36>>","type":"AppInstance","alternateId":"<<place>>","displayName":"AWS IAM Identity Center","detailEntry":null},{"id":"00u<<base36>>","type":"AppUser","alternateId":"<<email>>","displayName":"<<name>>","detailEntry":null}]"#;
const USER: &str = r#"[{"id":"00u<<base36>>","type":"User","alternateId":"<<other.email>>","displayName":"<<other.name>>","detailEntry":null}]"#;
const GROUP: &str = r#"[{"id":"00u<<base36>>","type":"User","alternateId":"<<other.email>>","displayName":"<<other.name>>","detailEntry":null},{"id":"00g<<base36>>","type":"UserGroup","alternateId":"unknown","displayName":"team-<<team>>","detailEntry":null}]"#;
const DEBUG: &str = r#"{"requestId":"<<base36>>","dtHash":"<<hex64>>","requestUri":"/api/v1/authn","threatSuspected":"false","url":"/api/v1/authn?"}"#;

const fn change(key: &'static str, targets: &'static str) -> Spec {
    Spec {
        resources: targets,
        ..write(key, "", DEBUG, "")
    }
}

/// Key: the event type, a colon, and its display message.
pub(super) const OKTA: &[Spec] = &[
    Spec {
        resources: USER,
        ..sign_in("user.session.start:User login to Okta", "", DEBUG)
    },
    Spec {
        resources: APP,
        ..sign_in("user.authentication.sso:User single sign on to app", "", DEBUG)
    },
    Spec {
        resources: USER,
        ..sign_in(
            "user.authentication.auth_via_mfa:Authentication of user via MFA",
            "",
            r#"{"factor":"SIGNED_NONCE","requestId":"<<base36>>","requestUri":"/api/v1/authn/factors/verify","deviceFingerprint":"<<hex40>>"}"#,
        )
    },
    Spec {
        resources: USER,
        ..read(
            "user.session.access_admin_app:User accessing Okta admin app",
            "",
            "",
        )
    },
    change("user.lifecycle.create:Create Okta user", USER),
    change("user.lifecycle.activate:Activate Okta user", USER),
    change("user.lifecycle.deactivate:Deactivate Okta user", USER),
    change(
        "user.account.reset_password:Fired when the user's Okta password is reset",
        USER,
    ),
    change(
        "user.mfa.factor.activate:Activate factor or authenticator enrollment method for user",
        USER,
    ),
    change(
        "user.mfa.factor.deactivate:Reset factor or authenticator enrollment for user",
        USER,
    ),
    change("group.user_membership.add:Add user to group membership", GROUP),
    change(
        "group.user_membership.remove:Remove user from group membership",
        GROUP,
    ),
    change(
        "application.user_membership.add:Add user to application membership",
        APP,
    ),
    Spec {
        resources: r#"[{"id":"00T<<base36>>","type":"Token","alternateId":"unknown","displayName":"terraform","detailEntry":null}]"#,
        ..write(
            "system.api_token.create:Create API token",
            "",
            r#"{"requestId":"<<base36>>","requestUri":"/api/internal/tokens","apiToken":"<<secret:okta_token>>","authorization":"SSWS <<secret:okta_token>>"}"#,
            "",
        )
    },
    Spec {
        resources: r#"[{"id":"00p<<base36>>","type":"PolicyEntity","alternateId":"unknown","displayName":"Default Policy","detailEntry":null}]"#,
        ..write("policy.lifecycle.update:Update policy", "", DEBUG, "")
    },
];

macro_rules! issue {
    ($status:literal) => {
        concat!(
            r#""user":{"self":"https://northwind.atlassian.example.com/rest/api/2/user?accountId=712020:<<hex8>>","accountId":"712020:<<login>>","emailAddress":"<<email>>","displayName":"<<name>>","active":true,"timeZone":"Etc/UTC","accountType":"atlassian"},"issue":{"id":"<<number>>","self":"https://northwind.atlassian.example.com/rest/api/2/issue/<<number>>","key":"<<ticket>>","fields":{"summary":"<<title>>","issuetype":{"id":"10004","name":"Change","subtask":false},"project":{"id":"10000","key":"<<team>>","name":"<<team>>","projectTypeKey":"software"},"priority":{"name":"Medium","id":"3"},"labels":["<<app>>"],"created":"<<time_ms>>","updated":"<<time_ms>>","components":[{"name":"<<app>>"}],"status":{"name":""#,
            $status,
            r#"","id":"3","statusCategory":{"id":4,"key":"indeterminate"}},"assignee":{"accountId":"712020:<<author>>","displayName":"<<author>>"},"reporter":{"accountId":"712020:<<author>>"},"customfield_10042":{"value":"Standard"}}}"#
        )
    };
}

macro_rules! transition {
    ($from:literal, $to:literal) => {
        concat!(
            r#"{"timestamp":<<epoch_ms>>,"webhookEvent":"jira:issue_updated","issue_event_type_name":"issue_generic","#,
            issue!($to),
            r#","changelog":{"id":"<<number>>","items":[{"field":"status","fieldtype":"jira","fieldId":"status","from":"1","fromString":""#,
            $from,
            r#"","to":"3","toString":""#,
            $to,
            r#""}]}}"#
        )
    };
}

pub(super) const JIRA: &[Spec] = &[
    write(
        "jira:issue_created",
        concat!(
            r#"{"timestamp":<<epoch_ms>>,"webhookEvent":"jira:issue_created","issue_event_type_name":"issue_created","#,
            issue!("To Do"),
            r#","changelog":{"id":"<<number>>","items":[{"field":"status","fieldtype":"jira","fieldId":"status","from":null,"fromString":null,"to":"1","toString":"To Do"}]}}"#
        ),
        "",
        "",
    ),
    write(
        "jira:issue_updated#progress",
        transition!("To Do", "In Progress"),
        "",
        "",
    ),
    write(
        "jira:issue_updated#review",
        transition!("In Progress", "In Review"),
        "",
        "",
    ),
    write(
        "jira:issue_updated#approved",
        transition!("In Review", "Approved"),
        "",
        "",
    ),
    write("jira:issue_updated#done", transition!("Approved", "Done"), "", ""),
    write(
        "comment_created:",
        concat!(
            r#"{"timestamp":<<epoch_ms>>,"webhookEvent":"comment_created","comment":{"id":"<<number>>","author":{"accountId":"712020:<<login>>","displayName":"<<name>>"},"body":"Deployed to <<env>>, run <<run>>.","created":"<<time_ms>>","updated":"<<time_ms>>"},"#,
            issue!("In Progress"),
            "}"
        ),
        "",
        "",
    ),
    write(
        "comment_created:#token",
        concat!(
            r#"{"timestamp":<<epoch_ms>>,"webhookEvent":"comment_created","comment":{"id":"<<number>>","author":{"accountId":"712020:<<login>>","displayName":"<<name>>"},"body":"For testing use <<secret:github_token>> or Authorization: Bearer <<secret:bearer>>","created":"<<time_ms>>","updated":"<<time_ms>>"},"#,
            issue!("In Progress"),
            "}"
        ),
        "",
        "",
    ),
];

/// Key: the event type without version, a colon, and its version.
pub(super) const CDEVENTS: &[Spec] = &[
    write(
        "dev.cdevents.change.merged:0.3.0",
        r#""id":"<<repo>>/pull/<<pr>>","source":"/github/<<repo>>","content":{"repository":{"id":"<<repo>>","source":"https://github.example.com"},"description":"<<ticket>> <<title>>"}"#,
        "",
        "",
    ),
    read(
        "dev.cdevents.pipelinerun.started:0.3.0",
        r#""id":"<<run>>","source":"/ci/<<repo>>","content":{"pipelineName":"deploy-<<app>>","uri":"https://ci.example.com/runs/<<run>>"}"#,
        "",
    ),
    write(
        "dev.cdevents.pipelinerun.finished:0.3.0",
        r#""id":"<<run>>","source":"/ci/<<repo>>","content":{"pipelineName":"deploy-<<app>>","uri":"https://ci.example.com/runs/<<run>>","outcome":"success","errors":""}"#,
        "",
        "",
    ),
    write(
        "dev.cdevents.artifact.published:0.3.0",
        r#""id":"pkg:oci/<<app>>@sha256:<<hex64>>","source":"/registry","content":{"user":"deploy-<<team>>"}"#,
        "",
        "",
    ),
    write(
        "dev.cdevents.service.deployed:0.3.0",
        r#""id":"<<app>>","source":"/cd/<<env>>","content":{"environment":{"id":"<<env>>","source":"/cd"},"artifactId":"pkg:oci/<<app>>@sha256:<<hex64>>"}"#,
        "",
        "",
    ),
    write(
        "dev.cdevents.service.upgraded:0.3.0",
        r#""id":"<<app>>","source":"/cd/<<env>>","content":{"environment":{"id":"<<env>>","source":"/cd"},"artifactId":"pkg:oci/<<app>>@sha256:<<hex64>>"}"#,
        "",
        "",
    ),
    write(
        "dev.cdevents.environment.modified:0.3.0",
        r#""id":"<<env>>","source":"/cd","content":{"name":"<<env>>","uri":"https://cd.example.com/<<env>>"}"#,
        "",
        "",
    ),
];
