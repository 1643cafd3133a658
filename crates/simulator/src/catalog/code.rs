//! GitHub and GitLab: webhook bodies (key: event and action) and audit entries (the source's own extra fields).

use super::{Spec, read, write};

macro_rules! repository {
    () => {
        r#""repository":{"id":<<number>>,"node_id":"R_kgDO<<base36>>","name":"<<app>>","full_name":"<<repo>>","private":true,"owner":{"login":"northwind-parcels","id":9919,"type":"Organization","site_admin":false},"html_url":"https://github.example.com/<<repo>>","description":"<<app>> of team <<team>>","fork":false,"url":"https://api.github.example.com/repos/<<repo>>","created_at":"2023-02-11T09:12:44Z","updated_at":"<<time>>","pushed_at":"<<time>>","git_url":"git://github.example.com/<<repo>>.git","ssh_url":"git@github.example.com:<<repo>>.git","clone_url":"https://github.example.com/<<repo>>.git","size":18233,"stargazers_count":0,"watchers_count":0,"language":"Go","has_issues":false,"forks_count":0,"archived":false,"disabled":false,"open_issues_count":4,"allow_forking":false,"visibility":"internal","default_branch":"main"},"organization":{"login":"northwind-parcels","id":9919,"url":"https://api.github.example.com/orgs/northwind-parcels"},"sender":{"login":"<<login>>","id":<<number>>,"node_id":"U_kgDO<<base36>>","type":"User","site_admin":false,"html_url":"https://github.example.com/<<login>>"}"#
    };
}

macro_rules! pull_request {
    ($state:literal, $merged:literal) => {
        concat!(
            r#""number":<<pr>>,"pull_request":{"id":<<number>>,"url":"https://api.github.example.com/repos/<<repo>>/pulls/<<pr>>","html_url":"https://github.example.com/<<repo>>/pull/<<pr>>","number":<<pr>>,"state":""#,
            $state,
            r#"","locked":false,"title":"<<ticket>> <<title>>","user":{"login":"<<author>>","type":"User"},"body":"Implements <<ticket>>.\r\n\r\nTested in staging.","created_at":"<<time>>","updated_at":"<<time>>","assignees":[],"requested_reviewers":[{"login":"<<other.login>>","type":"User"}],"labels":[{"name":"team-<<team>>"}],"draft":false,"head":{"label":"northwind-parcels:<<branch>>","ref":"<<branch>>","sha":"<<commit>>","repo":{"full_name":"<<repo>>"}},"base":{"label":"northwind-parcels:main","ref":"main","sha":"<<hex40>>","repo":{"full_name":"<<repo>>"}},"author_association":"MEMBER","merged":"#,
            $merged,
            r#","mergeable_state":"clean","merge_commit_sha":"<<commit>>","comments":1,"commits":2,"additions":42,"deletions":7,"changed_files":3},"#,
            repository!()
        )
    };
}

macro_rules! run {
    ($status:literal, $conclusion:literal, $event:literal) => {
        concat!(
            r#""workflow_run":{"id":<<run>>,"name":"deploy","node_id":"WFR_<<base36>>","head_branch":"main","head_sha":"<<commit>>","path":".github/workflows/deploy.yml","display_title":"<<ticket>> <<title>>","run_number":<<count>>,"event":""#,
            $event,
            r#"","status":""#,
            $status,
            r#"","conclusion":"#,
            $conclusion,
            r#","workflow_id":<<number>>,"url":"https://api.github.example.com/repos/<<repo>>/actions/runs/<<run>>","html_url":"https://github.example.com/<<repo>>/actions/runs/<<run>>","pull_requests":[],"created_at":"<<time>>","updated_at":"<<time>>","actor":{"login":"<<login>>","type":"User"},"triggering_actor":{"login":"<<login>>","type":"User"},"run_attempt":1,"run_started_at":"<<time>>","head_commit":{"id":"<<commit>>","message":"<<ticket>> <<title>> (#<<pr>>)","author":{"name":"<<author>>","email":"<<author>>@users.example.com"}}},"workflow":{"id":<<number>>,"name":"deploy","path":".github/workflows/deploy.yml","state":"active"},"#,
            repository!()
        )
    };
}

pub(super) const GITHUB_WEBHOOK: &[Spec] = &[
    write(
        "pull_request:opened",
        concat!(r#"{"action":"opened","#, pull_request!("open", "false"), "}"),
        "",
        "",
    ),
    write(
        "pull_request:synchronize",
        concat!(
            r#"{"action":"synchronize","before":"<<hex40>>","after":"<<commit>>","#,
            pull_request!("open", "false"),
            "}"
        ),
        "",
        "",
    ),
    write(
        "pull_request:closed",
        concat!(r#"{"action":"closed","#, pull_request!("closed", "true"), "}"),
        "",
        "",
    ),
    write(
        "pull_request_review:submitted",
        concat!(
            r#"{"action":"submitted","review":{"id":<<number>>,"user":{"login":"<<login>>","type":"User"},"body":"LGTM","commit_id":"<<commit>>","submitted_at":"<<time>>","state":"approved","author_association":"MEMBER"},"#,
            pull_request!("open", "false"),
            "}"
        ),
        "",
        "",
    ),
    write(
        "push:",
        concat!(
            r#"{"ref":"refs/heads/<<branch>>","before":"<<hex40>>","after":"<<commit>>","created":false,"deleted":false,"forced":false,"base_ref":null,"compare":"https://github.example.com/<<repo>>/compare/<<hex8>>...<<hex8>>","commits":[{"id":"<<commit>>","tree_id":"<<hex40>>","distinct":true,"message":"<<ticket>> <<title>>","timestamp":"<<time>>","author":{"name":"<<name>>","email":"<<email>>","username":"<<login>>"},"added":[],"removed":[],"modified":["src/<<app>>.go"]}],"head_commit":{"id":"<<commit>>","message":"<<ticket>> <<title>>","timestamp":"<<time>>"},"pusher":{"name":"<<login>>","email":"<<email>>"},"#,
            repository!(),
            "}"
        ),
        "",
        "",
    ),
    write(
        "push:#main",
        concat!(
            r#"{"ref":"refs/heads/main","before":"<<hex40>>","after":"<<commit>>","created":false,"deleted":false,"forced":false,"base_ref":null,"compare":"https://github.example.com/<<repo>>/compare/<<hex8>>...<<hex8>>","commits":[{"id":"<<commit>>","tree_id":"<<hex40>>","distinct":true,"message":"<<ticket>> <<title>> (#<<pr>>)","timestamp":"<<time>>","author":{"name":"<<author>>","email":"<<author>>@users.example.com","username":"<<author>>"},"added":[],"removed":[],"modified":["src/<<app>>.go","deploy/values.yaml"]}],"head_commit":{"id":"<<commit>>","message":"<<ticket>> <<title>> (#<<pr>>)","timestamp":"<<time>>"},"pusher":{"name":"<<login>>","email":"<<email>>"},"#,
            repository!(),
            "}"
        ),
        "",
        "",
    ),
    write(
        "push:#forced",
        concat!(
            r#"{"ref":"refs/heads/main","before":"<<hex40>>","after":"<<commit>>","created":false,"deleted":false,"forced":true,"base_ref":null,"compare":"https://github.example.com/<<repo>>/compare/<<hex8>>...<<hex8>>","commits":[{"id":"<<commit>>","tree_id":"<<hex40>>","distinct":true,"message":"quick fix","timestamp":"<<time>>","author":{"name":"<<name>>","email":"<<email>>","username":"<<login>>"},"added":[],"removed":[],"modified":[".github/workflows/deploy.yml"]}],"head_commit":{"id":"<<commit>>","message":"quick fix","timestamp":"<<time>>"},"pusher":{"name":"<<login>>","email":"<<email>>"},"#,
            repository!(),
            "}"
        ),
        "",
        "",
    ),
    write(
        "workflow_run:requested",
        concat!(r#"{"action":"requested","#, run!("queued", "null", "push"), "}"),
        "",
        "",
    ),
    write(
        "workflow_run:completed",
        concat!(
            r#"{"action":"completed","#,
            run!("completed", r#""success""#, "push"),
            "}"
        ),
        "",
        "",
    ),
    write(
        "workflow_run:requested#manual",
        concat!(
            r#"{"action":"requested","#,
            run!("queued", "null", "workflow_dispatch"),
            "}"
        ),
        "",
        "",
    ),
    read(
        "check_run:completed",
        concat!(
            r#"{"action":"completed","check_run":{"id":<<number>>,"head_sha":"<<commit>>","name":"unit-tests","status":"completed","conclusion":"success","started_at":"<<time>>","completed_at":"<<time>>","app":{"slug":"github-actions"},"pull_requests":[]},"#,
            repository!(),
            "}"
        ),
        "",
    ),
    write(
        "deployment:created",
        concat!(
            r#"{"action":"created","deployment":{"id":<<number>>,"sha":"<<commit>>","ref":"main","task":"deploy","payload":{"ticket":"<<ticket>>"},"original_environment":"<<env>>","environment":"<<env>>","description":"<<ticket>>","creator":{"login":"<<login>>","type":"User"},"created_at":"<<time>>","production_environment":true},"#,
            run!("in_progress", "null", "push"),
            "}"
        ),
        "",
        "",
    ),
    write(
        "deployment_status:created",
        concat!(
            r#"{"action":"created","deployment_status":{"id":<<number>>,"state":"success","environment":"<<env>>","created_at":"<<time>>","creator":{"login":"<<login>>"}},"deployment":{"id":<<number>>,"sha":"<<commit>>","ref":"main","environment":"<<env>>"},"#,
            repository!(),
            "}"
        ),
        "",
        "",
    ),
    write(
        "branch_protection_rule:deleted",
        concat!(
            r#"{"action":"deleted","rule":{"id":<<number>>,"repository_id":<<number>>,"name":"main","created_at":"2023-03-02T10:00:00Z","updated_at":"<<time>>","pull_request_reviews_enforcement_level":"everyone","required_approving_review_count":1,"dismiss_stale_reviews_on_push":true,"admin_enforced":true,"allow_force_pushes_enforcement_level":"off"},"#,
            repository!(),
            "}"
        ),
        "",
        "",
    ),
    write(
        "branch_protection_rule:created",
        concat!(
            r#"{"action":"created","rule":{"id":<<number>>,"repository_id":<<number>>,"name":"main","created_at":"<<time>>","updated_at":"<<time>>","required_approving_review_count":1,"admin_enforced":true},"#,
            repository!(),
            "}"
        ),
        "",
        "",
    ),
    write(
        "meta:deleted",
        concat!(
            r#"{"action":"deleted","hook_id":<<number>>,"hook":{"type":"Repository","id":<<number>>,"name":"web","active":true,"events":["*"],"config":{"content_type":"json","insecure_ssl":"0","secret":"<<secret:webhook>>","url":"https://hooks.example.com/audit"}},"#,
            repository!(),
            "}"
        ),
        "",
        "",
    ),
    write(
        "repository:created",
        concat!(r#"{"action":"created","#, repository!(), "}"),
        "",
        "",
    ),
    write(
        "member:added",
        concat!(
            r#"{"action":"added","member":{"login":"<<other.login>>","type":"User"},"changes":{"permission":{"to":"write"}},"#,
            repository!(),
            "}"
        ),
        "",
        "",
    ),
];

pub(super) const GITHUB_AUDIT: &[Spec] = &[
    read(
        "git:clone",
        r#""transport_protocol_name":"ssh","transport_protocol":2,"repository_public":false"#,
        "",
    ),
    read(
        "git:fetch",
        r#""transport_protocol_name":"http","transport_protocol":1,"repository_public":false"#,
        "",
    ),
    write(
        "git:push",
        r#""transport_protocol_name":"ssh","transport_protocol":2,"repository_public":false"#,
        "",
        "",
    ),
    write(
        "workflows:prepared_workflow_job",
        r#""workflow_run_id":<<run>>,"head_sha":"<<commit>>","job_name":"deploy","runner_group_name":"default","secrets_passed":["DEPLOY_ROLE"]"#,
        "",
        "",
    ),
    write(
        "protected_branch:destroy",
        r#""name":"main","operation_type":"remove""#,
        "",
        "",
    ),
    write(
        "protected_branch:create",
        r#""name":"main","operation_type":"create""#,
        "",
        "",
    ),
    write(
        "protected_branch:policy_override",
        r#""name":"main","overridden_codes":["review_policy_not_satisfied"],"operation_type":"modify""#,
        "",
        "",
    ),
    write(
        "org:add_member",
        r#""user":"<<other.login>>","permission":"read","operation_type":"create""#,
        "",
        "",
    ),
    write(
        "team:add_member",
        r#""user":"<<other.login>>","team":"northwind-parcels/<<team>>","operation_type":"create""#,
        "",
        "",
    ),
    write(
        "team:remove_member",
        r#""user":"<<other.login>>","team":"northwind-parcels/<<team>>","operation_type":"remove""#,
        "",
        "",
    ),
    write(
        "hook:create",
        r#""hook_id":<<number>>,"events":["push"],"config":{"url":"https://hooks.example.com/build","secret":"<<secret:webhook>>","content_type":"json"},"operation_type":"create""#,
        "",
        "",
    ),
    write(
        "org:create_actions_secret",
        r#""key":"DEPLOY_TOKEN","visibility":"selected","operation_type":"create""#,
        "",
        "",
    ),
    write(
        "personal_access_token:access_granted",
        r#""user_programmatic_access_name":"ci","token_id":<<number>>,"hashed_token":"<<hex40>>","operation_type":"create","note":"<<secret:github_token>>""#,
        "",
        "",
    ),
];

macro_rules! project {
    () => {
        r#""project":{"id":<<count>>,"name":"<<app>>","description":"","web_url":"https://gitlab.example.com/<<repo>>","avatar_url":null,"git_ssh_url":"git@gitlab.example.com:<<repo>>.git","git_http_url":"https://gitlab.example.com/<<repo>>.git","namespace":"northwind-parcels","visibility_level":10,"path_with_namespace":"<<repo>>","default_branch":"main","ci_config_path":"","homepage":"https://gitlab.example.com/<<repo>>"}"#
    };
}

macro_rules! user {
    () => {
        r#""user":{"id":<<count>>,"name":"<<name>>","username":"<<login>>","avatar_url":null,"email":"<<email>>"}"#
    };
}

macro_rules! merge_request {
    ($action:literal, $state:literal) => {
        concat!(
            r#"{"object_kind":"merge_request","event_type":"merge_request","#,
            user!(),
            ",",
            project!(),
            r#","object_attributes":{"assignee_id":null,"author_id":<<count>>,"created_at":"<<time>>","description":"Implements <<ticket>>","draft":false,"id":<<number>>,"iid":<<pr>>,"last_commit":{"id":"<<commit>>","message":"<<ticket>> <<title>>\n","timestamp":"<<time>>","author":{"name":"<<author>>","email":"<<author>>@users.example.com"}},"merge_status":"can_be_merged","source_branch":"<<branch>>","target_branch":"main","state":""#,
            $state,
            r#"","title":"<<ticket>> <<title>>","updated_at":"<<time>>","url":"https://gitlab.example.com/<<repo>>/-/merge_requests/<<pr>>","action":""#,
            $action,
            r#""},"labels":[],"changes":{"state_id":{"previous":1,"current":3}},"repository":{"name":"<<app>>","homepage":"https://gitlab.example.com/<<repo>>"}}"#
        )
    };
}

pub(super) const GITLAB_WEBHOOK: &[Spec] = &[
    write(
        "Merge Request Hook:open",
        merge_request!("open", "opened"),
        "",
        "",
    ),
    write(
        "Merge Request Hook:approved",
        merge_request!("approved", "opened"),
        "",
        "",
    ),
    write(
        "Merge Request Hook:merge",
        merge_request!("merge", "merged"),
        "",
        "",
    ),
    write(
        "Push Hook:push",
        concat!(
            r#"{"object_kind":"push","event_name":"push","before":"<<hex40>>","after":"<<commit>>","ref":"refs/heads/<<branch>>","ref_protected":false,"checkout_sha":"<<commit>>","user_id":<<count>>,"user_name":"<<name>>","user_username":"<<login>>","user_email":"<<email>>","project_id":<<count>>,"#,
            project!(),
            r#","commits":[{"id":"<<commit>>","message":"<<ticket>> <<title>>\n","title":"<<ticket>> <<title>>","timestamp":"<<time>>","author":{"name":"<<name>>","email":"<<email>>"},"added":[],"modified":["src/<<app>>.py"],"removed":[]}],"total_commits_count":1}"#
        ),
        "",
        "",
    ),
    write(
        "Push Hook:push#main",
        concat!(
            r#"{"object_kind":"push","event_name":"push","before":"<<hex40>>","after":"<<commit>>","ref":"refs/heads/main","ref_protected":true,"checkout_sha":"<<commit>>","user_id":<<count>>,"user_name":"<<name>>","user_username":"<<login>>","user_email":"<<email>>","project_id":<<count>>,"#,
            project!(),
            r#","commits":[{"id":"<<commit>>","message":"<<ticket>> <<title>>\n","timestamp":"<<time>>","author":{"name":"<<author>>","email":"<<author>>@users.example.com"},"modified":[".gitlab-ci.yml"]}],"total_commits_count":1}"#
        ),
        "",
        "",
    ),
    write(
        "Pipeline Hook:pipeline",
        concat!(
            r#"{"object_kind":"pipeline","object_attributes":{"id":<<run>>,"iid":<<count>>,"ref":"main","tag":false,"sha":"<<commit>>","source":"push","status":"success","detailed_status":"passed","stages":["build","test","deploy"],"created_at":"<<time>>","finished_at":"<<time>>","duration":263,"variables":[{"key":"TICKET","value":"<<ticket>>"},{"key":"DEPLOY_TOKEN","value":"<<secret:variable>>"}]},"merge_request":{"id":<<number>>,"iid":<<pr>>,"title":"<<ticket>> <<title>>","source_branch":"<<branch>>","target_branch":"main","state":"merged"},"#,
            user!(),
            ",",
            project!(),
            r#","commit":{"id":"<<commit>>","message":"<<ticket>> <<title>>\n","timestamp":"<<time>>"},"builds":[{"id":<<number>>,"stage":"deploy","name":"deploy-<<env>>","status":"success","created_at":"<<time>>","environment":{"name":"<<env>>","action":"start"}}]}"#
        ),
        "",
        "",
    ),
    write(
        "Deployment Hook:deployment",
        concat!(
            r#"{"object_kind":"deployment","status":"success","status_changed_at":"<<time>>","deployment_id":<<number>>,"deployable_id":<<number>>,"environment":"<<env>>","environment_tier":"<<env>>","#,
            project!(),
            r#","short_sha":"<<hex8>>","#,
            user!(),
            r#","user_url":"https://gitlab.example.com/<<login>>","commit_url":"https://gitlab.example.com/<<repo>>/-/commit/<<commit>>","commit_title":"<<ticket>> <<title>>","ref":"main"}"#
        ),
        "",
        "",
    ),
];

pub(super) const GITLAB_AUDIT: &[Spec] = &[
    read(
        "repository_git_operation:Project",
        r#"{"custom_message":{"protocol":"ssh","action":"git-upload-pack"}}"#,
        "",
    ),
    sign_in_audit("user_login:User"),
    write(
        "protected_branch_removed:Project",
        r#"{"custom_message":"Unprotected branch","branch_name":"main"}"#,
        "",
        "",
    ),
    write(
        "protected_branch_created:Project",
        r#"{"custom_message":"Added protected branch","branch_name":"main","push_access_levels":["No one"],"merge_access_levels":["Maintainers"]}"#,
        "",
        "",
    ),
    write(
        "member_created:Group",
        r#"{"add":"user_access","as":"Developer","member_id":<<number>>,"target_details":"<<other.name>>"}"#,
        "",
        "",
    ),
    write(
        "member_destroyed:Group",
        r#"{"remove":"user_access","member_id":<<number>>,"target_details":"<<other.name>>"}"#,
        "",
        "",
    ),
    write(
        "ci_variable_updated:Project",
        r#"{"custom_message":"Changed protected CI/CD variable","key":"DEPLOY_TOKEN","from":"<<secret:variable>>","to":"<<secret:variable>>"}"#,
        "",
        "",
    ),
    write(
        "project_access_token_created:Project",
        r#"{"custom_message":"Created project access token with token_id: <<number>> with scopes: [\"api\"]","token":"<<secret:gitlab_token>>"}"#,
        "",
        "",
    ),
    write(
        "merge_request_approval_operation:MergeRequest",
        r#"{"custom_message":"Approved merge request <<pr>>"}"#,
        "",
        "",
    ),
];

const fn sign_in_audit(key: &'static str) -> Spec {
    super::sign_in(
        key,
        r#"{"with":"saml","event_name":"authenticated_with_group_saml"}"#,
        "",
    )
}
