//! Events of other services: pipelines, builds, deployments, containers, instances, and what is none of ours.

use changegate_json::{Kind, Value};
use changegate_types::{ActorType, ChangeEvent, Class, Mark, Resource, Status, Verb};

use super::{actor, begin, name_of};
use crate::context::{Context, Draft, first};
use crate::source::aws_cloudtrail::privilege_class;
use crate::verb;

/// Members of `detail` that name a resource, where the bus's own list is empty. The narrow ones come first.
const NAMING: [(&str, &str); 24] = [
    ("EC2InstanceId", "AWS::EC2::Instance"),
    ("instance-id", "AWS::EC2::Instance"),
    ("AutoScalingGroupName", "AWS::AutoScaling::AutoScalingGroup"),
    ("pipeline", "AWS::CodePipeline::Pipeline"),
    ("build-id", "AWS::CodeBuild::Build"),
    ("project-name", "AWS::CodeBuild::Project"),
    ("deploymentGroup", "AWS::CodeDeploy::DeploymentGroup"),
    ("application", "AWS::CodeDeploy::Application"),
    ("instanceId", "AWS::EC2::Instance"),
    ("repository-name", "AWS::ECR::Repository"),
    ("repositoryName", "AWS::CodeCommit::Repository"),
    ("taskArn", "AWS::ECS::Task"),
    ("containerInstanceArn", "AWS::ECS::ContainerInstance"),
    ("clusterArn", "AWS::ECS::Cluster"),
    ("stack-id", "AWS::CloudFormation::Stack"),
    ("key-id", "AWS::KMS::Key"),
    ("secretId", "AWS::SecretsManager::Secret"),
    ("SourceArn", ""),
    ("SourceIdentifier", ""),
    ("resourceArn", ""),
    ("resource", ""),
    ("arn", ""),
    ("name", ""),
    ("eventArn", ""),
];

pub(super) fn normalize<'a>(context: &mut Context<'a>, bus: Value<'a>, detail: Value<'a>) -> Draft<'a> {
    let event = begin(context, bus, "EventBridge");
    resources(context, event, bus, detail);
    let result = detail.get("execution-result");
    event.cicd_pipeline = detail.any(&["pipeline", "project-name", "application"]).text();
    event.cicd_run_id = detail.any(&["execution-id", "build-id", "deploymentId"]).text();
    event.vcs_repo = detail.get("repositoryName").text();
    event.vcs_head_revision = detail.any(&["commitId", "sourceCommit"]).text();
    // A source action answers with the commit that it read, a build is told which one to take.
    let revision = first(&[
        result.get("external-execution-id").text(),
        detail.at(&["additional-information", "source-version"]).text(),
    ]);
    if event.vcs_head_revision.is_empty() && is_commit(revision) {
        event.vcs_head_revision = revision;
    }
    event.vcs_change_id = detail.get("pullRequestId").text();
    event.request_uid = detail.any(&["RequestId", "request-id"]).text();
    event.correlation_uid = first(&[
        event.cicd_run_id,
        detail
            .any(&["ActivityId", "taskArn", "client-request-token"])
            .text(),
        event.request_uid,
    ]);
    context.address(event, detail.get("source-ip-address"));
    let codes = [
        "state",
        "StatusCode",
        "build-status",
        "completed-phase-status",
        "scan-status",
        "result",
        "lastStatus",
        "status",
        "statusCode",
        "eventName",
    ];
    event.status_code = first(&[
        detail.any(&codes).text(),
        detail.at(&["status-details", "status"]).text(),
    ]);
    let details = [
        "StatusMessage",
        "Cause",
        "Description",
        "stoppedReason",
        "stopped-reason",
        "reason",
        "notificationBody",
        "eventTypeCode",
        "Message",
    ];
    event.status_detail = first(&[
        detail.any(&details).text(),
        result.get("external-execution-summary").text(),
        detail.at(&["status-details", "status-reason"]).text(),
    ]);
    for name in [
        "tags",
        "title",
        "comment",
        "execution-result",
        "NotificationMetadata",
    ] {
        context.tickets_below(detail.get(name));
    }
    for text in [
        event.status_detail,
        detail.get("Cause").text(),
        detail.get("Description").text(),
    ] {
        context.tickets_in(text);
    }
    event.status = status(event.status_code, event.api_operation);
    kind(context, event, detail);
    who(context, event, detail);
    let change = change(event, detail);
    Draft {
        change,
        ..Draft::by_native_uid(event)
    }
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// One run, deployment, build or scaling activity is one change, however many states it goes through.
fn change<'a>(event: &ChangeEvent<'a>, detail: Value<'a>) -> [&'a str; 5] {
    let run = match event.api_service {
        "aws.codepipeline" | "aws.codedeploy" | "aws.codebuild" => event.cicd_run_id,
        "aws.autoscaling" => detail.get("ActivityId").text(),
        _ => "",
    };
    if run.is_empty() {
        return [""; 5];
    }
    [
        event.api_service,
        event.account_uid,
        event.region,
        event.cicd_pipeline,
        run,
    ]
}

fn resources<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, bus: Value<'a>, detail: Value<'a>) {
    let mut list = context.list();
    for item in bus.get("resources").items() {
        // Health lists objects of one or two members here, everybody else names.
        let uid = first(&[item.text(), item.any(&["ARN", "arn", "resource"]).text()]);
        if !uid.is_empty() {
            let (kind, name) = (kind_of(event.api_service, uid), name_of(uid));
            list.push(Resource { uid, kind, name });
        }
    }
    if event.api_service == "aws.s3" {
        let (bucket, key) = (
            detail.at(&["bucket", "name"]).text(),
            detail.at(&["object", "key"]).text(),
        );
        if !bucket.is_empty() && !key.is_empty() {
            list.clear();
            let uid = context.join(&["arn:aws:s3:::", bucket, "/", key]);
            let (kind, name) = ("AWS::S3::Object", key);
            list.push(Resource { uid, kind, name });
        }
    }
    if list.is_empty() {
        let named = NAMING.iter().map(|(name, kind)| (detail.get(name), *kind));
        let found = named
            .filter(|(value, _)| !value.text().is_empty())
            .map(|(value, kind)| Resource {
                uid: value.text(),
                kind,
                name: name_of(value.text()),
            })
            .next();
        list.extend(found);
    }
    for name in ["affectedEntities", "resources"] {
        for entity in detail.get(name).items() {
            let uid = first(&[entity.text(), entity.any(&["entityValue", "id", "arn"]).text()]);
            if !uid.is_empty() && !list.iter().any(|known| known.uid == uid) {
                let (kind, name) = (entity.get("type").text(), name_of(uid));
                list.push(Resource { uid, kind, name });
            }
        }
    }
    event.resources = context.resources(list);
}

/// The type that an ARN in the bus's list has, in CloudFormation's terms.
fn kind_of(service: &str, uid: &str) -> &'static str {
    match service {
        _ if uid.contains(":autoScalingGroup:") => "AWS::AutoScaling::AutoScalingGroup",
        _ if uid.contains(":instance/") => "AWS::EC2::Instance",
        _ if uid.contains(":build/") => "AWS::CodeBuild::Build",
        _ if uid.contains(":application:") => "AWS::CodeDeploy::Application",
        _ if uid.contains(":deploymentgroup:") => "AWS::CodeDeploy::DeploymentGroup",
        _ if uid.contains(":container-instance/") => "AWS::ECS::ContainerInstance",
        _ if uid.contains(":task/") => "AWS::ECS::Task",
        _ if uid.contains(":service/") && service == "aws.ecs" => "AWS::ECS::Service",
        _ if uid.contains(":codepipeline:") => "AWS::CodePipeline::Pipeline",
        _ if uid.contains(":repository/") => "AWS::ECR::Repository",
        _ if uid.contains(":rule/") && service == "aws.events" => "AWS::Events::Rule",
        _ if uid.contains(":volume/") => "AWS::EC2::Volume",
        _ if uid.contains(":snapshot/") => "AWS::EC2::Snapshot",
        _ if uid.contains(":parameter/") => "AWS::SSM::Parameter",
        _ if uid.contains(":kms:") => "AWS::KMS::Key",
        _ if uid.contains(":stack/") => "AWS::CloudFormation::Stack",
        _ if uid.contains(":codecommit:") => "AWS::CodeCommit::Repository",
        _ if uid.starts_with("arn:aws:s3:::") && !uid.contains('/') => "AWS::S3::Bucket",
        _ => "",
    }
}

/// Most of these events name nobody; a pipeline says what set it off, a repository who called.
fn who<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, detail: Value<'a>) {
    let trigger = detail.at(&["execution-trigger", "trigger-detail"]).text();
    // A user's or a session's ARN; a webhook or a rule only set off what somebody else began.
    let is_principal = [":iam:", ":sts:"].iter().any(|part| trigger.contains(part));
    let started = detail.get("startedBy").text();
    let uid = first(&[
        detail
            .any(&[
                "callerUserArn",
                "author",
                "starting-principal",
                "requester",
                "userIdentity",
            ])
            .text(),
        if is_principal { trigger } else { "" },
        detail.at(&["additional-information", "initiator"]).text(),
        if started.starts_with("ecs-svc/") {
            "ecs.amazonaws.com"
        } else {
            started
        },
        // Scaling is the service's own act.
        if event.api_service == "aws.autoscaling" {
            "autoscaling.amazonaws.com"
        } else {
            ""
        },
    ]);
    actor(context, event, uid);
    if event.api_service == "aws.codebuild" && uid == "CodeBuild-Jenkins-Plugin" {
        event.actor_type = ActorType::Service;
    }
    if event.api_service == "aws.s3" && uid.len() == 12 && uid.bytes().all(|byte| byte.is_ascii_digit()) {
        // An account is all that S3 says.
        event.actor_type = ActorType::Unknown;
    }
    if !is_principal {
        event.actor_invoked_by = trigger;
    }
}

fn status(code: &str, operation: &str) -> Status {
    let has = |parts: &[&str]| {
        parts.iter().any(|part| {
            code.as_bytes()
                .windows(part.len())
                .any(|piece| piece.eq_ignore_ascii_case(part.as_bytes()))
        })
    };
    if has(&["fail", "fault", "timed_out", "error", "rollback"]) || operation.contains("Unsuccessful") {
        Status::Failure
    } else if has(&["succe", "complete"]) || operation.ends_with("Successful") {
        Status::Success
    } else {
        Status::Unknown
    }
}

fn kind<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, detail: Value<'a>) {
    let operation = event.api_operation;
    let state = event.status_code;
    let done = done(operation, detail);
    let (verb, class, is_change) = match event.api_service {
        "aws.codepipeline" | "aws.codedeploy" | "aws.codebuild" => {
            (Verb::Other, Class::ApplicationLifecycle, true)
        }
        "aws.ecr" if operation.contains("Scan") => (Verb::Read, Class::DetectionFinding, false),
        "aws.ecr" => (done, Class::ApplicationLifecycle, done != Verb::Read),
        "aws.autoscaling" if operation.contains("erminate") => (Verb::Delete, Class::ApiActivity, true),
        "aws.autoscaling" if operation.contains("aunch") => (Verb::Create, Class::ApiActivity, true),
        "aws.autoscaling" => (Verb::Update, Class::ApiActivity, true),
        // Nothing happened yet.
        "aws.ec2" if operation.ends_with("Warning") || operation.ends_with("Recommendation") => {
            (Verb::Other, Class::ApiActivity, false)
        }
        "aws.ec2" => match state {
            _ if !operation.contains("State-change") => (done, Class::ApiActivity, done != Verb::Read),
            "terminated" | "shutting-down" => (Verb::Delete, Class::ApiActivity, true),
            "pending" => (Verb::Create, Class::ApiActivity, true),
            _ => (Verb::Other, Class::ApiActivity, true),
        },
        "aws.ecs" => match first(&[detail.get("desiredStatus").text(), state]) {
            _ if operation.contains("Deployment") => (Verb::Update, Class::ApplicationLifecycle, true),
            "STOPPED" if operation.contains("Task") => (Verb::Delete, Class::ApiActivity, true),
            "RUNNING" if operation.contains("Task") => (Verb::Create, Class::ApiActivity, true),
            _ => (Verb::Update, Class::ApiActivity, true),
        },
        // The item is missing, and it changed.
        "aws.config" if operation.ends_with("Item Change") => {
            (Verb::Update, Class::CloudResourcesInventory, true)
        }
        // What AWS tells of itself, and the clock's tick.
        "aws.health" | "aws.events" | "aws.scheduler" | "aws.trustedadvisor" | "aws.cloudwatch"
        | "aws.config" => (Verb::Other, Class::ApiActivity, false),
        "aws.macie"
        | "aws.macie2"
        | "aws.inspector"
        | "aws.inspector2"
        | "aws.access-analyzer"
        | "aws.detective"
        | "aws.guardduty" => (Verb::Other, Class::DetectionFinding, false),
        "aws.codecommit" | "aws.cloudformation" | "aws.kms" | "aws.secretsmanager" | "aws.s3" | "aws.rds"
        | "aws.ssm" | "aws.organizations" | "aws.acm" | "aws.backup" => {
            (done, Class::ApiActivity, done != Verb::Read)
        }
        // A call that CloudTrail reports, of which nothing is left but the envelope.
        _ if operation.ends_with("via CloudTrail") => (Verb::Other, Class::ApiActivity, true),
        _ => {
            context.mark(Mark::UnknownType);
            (done, Class::ApiActivity, done != Verb::Read)
        }
    };
    event.verb = verb;
    event.class = class;
    event.activity = verb::activity(class, verb);
    event.is_change = is_change;
    let service = event.api_service.strip_prefix("aws.").unwrap_or_default();
    event.privilege_class = privilege_class(service, operation);
}

/// What was done, by the member that says so, else by the words of the detail type ("Object Created", "CMK Deletion").
fn done(operation: &str, detail: Value<'_>) -> Verb {
    let said = detail.any(&["operation", "action-type", "eventName", "event"]);
    if said.kind() == Kind::String
        && let Some(verb) = by_word(said.text())
    {
        return verb;
    }
    operation
        .split(' ')
        .rev()
        .find_map(by_word)
        .unwrap_or(Verb::Other)
}

/// One word in any of its forms: `Create`, `createVolume`, `Terminated`, `Deletion`.
fn by_word(text: &str) -> Option<Verb> {
    match text {
        "Creation" => return Some(Verb::Create),
        "Deletion" | "Expiration" => return Some(Verb::Delete),
        "Rotation" => return Some(Verb::Update),
        _ => {}
    }
    let known = Some(verb::of(text)).filter(|verb| *verb != Verb::Unknown);
    known.or_else(|| {
        ["d", "ed"]
            .iter()
            .find_map(|end| verb::word(text.strip_suffix(end)?))
    })
}
