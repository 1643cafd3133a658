//! CDEvents of any delivery tool, alone or in CloudEvents (structured, or binary with `ce_*` headers).
//!
//! Fields: CDEvents specification up to 0.6.0-draft; what one tool adds stands in `customData`.

use changegate_json::{Kind, Value};
use changegate_types::{
    ActorType, ChangeEvent, Class, Mark, PrivilegeClass, Resource, SkipReason, Status, Verb,
};

use super::Source;
use super::webhook::{self, link};
use crate::context::{Context, Draft, Found, List, Unwrapped, first};
use crate::secret::{SecretRules, Subtree};

/// `cdevents`.
pub(crate) struct CdEvents;

/// Newest minor version of major version 0 that this module knows.
const NEWEST_MINOR: u32 = 6;

const SECRETS: SecretRules = SecretRules {
    names: &[],
    subtrees: &[
        // What a tool hands on of a run's surroundings may hold anything.
        Subtree {
            names: &["env", "environmentVariables", "variables"],
            when: |_, _| true,
            leaf: "",
        },
    ],
};

impl Source for CdEvents {
    fn name(&self) -> &'static str {
        "cdevents"
    }

    fn secrets(&self) -> &'static SecretRules {
        &SECRETS
    }

    fn lines(&self) -> bool {
        true
    }

    fn unwrap<'a>(&self, context: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
        if root.kind() != Kind::Array {
            return one(context, root, out);
        }
        webhook::each_item(root, out, |item, out| one(context, item, out));
    }

    fn normalize<'a>(&self, context: &mut Context<'a>, child: Value<'a>) -> Result<Draft<'a>, SkipReason> {
        Ok(normalize(context, child))
    }
}

fn one<'a>(context: &mut Context<'a>, root: Value<'a>, out: &mut List<'a, Unwrapped<'a>>) {
    let wrapped = root.get("body");
    if root.get("headers").is_some() && wrapped.is_some() {
        let own = webhook::Own {
            headers: &["ce_type", "ce-type"],
            is_known: |body| is_known(body) || body.get("specversion").is_some(),
        };
        return webhook::unwrap(context, root, own, out);
    }
    let (data, packed) = (root.get("data"), root.get("data_base64"));
    let (value, in_record) = if packed.is_some() {
        match context.nested_base64(packed) {
            Ok(value) => (value, false),
            Err(reject) => return out.push(Unwrapped::Reject(reject)),
        }
    } else if data.is_some() && root.get("context").is_none() {
        (context.nested(data), data.kind() != Kind::String)
    } else {
        (root, true)
    };
    // In CloudEvents the attributes may say what the data leaves out.
    let attributed = root.get("specversion").is_some() || context.record.header("ce_type").is_some();
    if value.kind() == Kind::Object && (is_known(value) || attributed) {
        out.push(Unwrapped::Child(Found {
            value,
            envelope: root,
            in_record,
        }));
    }
}

fn is_known(value: Value<'_>) -> bool {
    let inner = value.get("context");
    inner.any(&["type", "id", "source"]).is_some()
        || (value.get("subject").kind() == Kind::Object && value.get("subject").get("content").is_some())
}

fn normalize<'a>(context: &mut Context<'a>, child: Value<'a>) -> Draft<'a> {
    let inner = child.get("context");
    let subject = child.get("subject");
    let content = subject.get("content");
    let custom = context.nested(child.get("customData"));
    let envelope = context.envelope;
    let attribute = |context: &Context<'a>, name: &str, header: &str| {
        first(&[
            inner.get(name).text(),
            envelope.get(name).text(),
            context.header(header),
            context.header(header.strip_prefix("ce_").unwrap_or(header)),
        ])
    };
    let event = context.arena.alloc_with(|| ChangeEvent {
        source_product: "CDEvents",
        native_uid: attribute(context, "id", "ce_id"),
        schema_version: first(&[inner.get("specversion").text(), inner.get("version").text()]),
        correlation_uid: inner.get("chainId").text(),
        ..ChangeEvent::default()
    });
    let kind = attribute(context, "type", "ce_type");
    let source = attribute(context, "source", "ce_source");
    let stamp = inner.get("timestamp");
    let time = [stamp, envelope.get("time")]
        .into_iter()
        .find(Value::is_some)
        .unwrap_or_default();
    event.event_time = context.time(time).unwrap_or_default();
    if time.is_none() {
        let header = first(&[context.header("ce_time"), context.header("ce-time")]);
        event.event_time = crate::time::parse(header).unwrap_or_default();
    }
    version(context, event.schema_version);

    let (operation, about, did) = split_type(kind);
    event.api_operation = operation;
    event.api_service = about;
    // The tool that tells of the change; who set it going stands in few events.
    event.actor_invoked_by = source;
    event.account_uid = source;
    classify(context, event, about, did, content);
    actor(context, event, content, custom);
    event.environment = match about {
        "environment" => first(&[content.get("name").text(), subject.get("id").text()]),
        _ => first(&[
            content.at(&["environment", "name"]).text(),
            content.at(&["environment", "id"]).text(),
            content.get("environment").text(),
        ]),
    };
    pipeline(context, event, about, subject);
    resources(context, event, about, subject);
    tickets(context, about, subject, custom);
    let uid = [
        event.native_uid,
        if event.native_uid.is_empty() { "" } else { source },
        "",
        "",
        "",
    ];
    Draft {
        event,
        uid,
        change: [""; 5],
    }
}

/// `dev.cdevents.service.deployed.0.3.0`: the type without its version, what it is about, and what was done.
fn split_type(kind: &str) -> (&str, &str, &str) {
    let mut operation = kind;
    while let Some((head, tail)) = operation.rsplit_once('.') {
        if !tail.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) {
            break;
        }
        operation = head;
    }
    let mut parts = operation.rsplit('.');
    let did = parts.next().unwrap_or_default();
    let about = parts.next().unwrap_or_default();
    (operation, about, did)
}

fn version(context: &mut Context<'_>, version: &str) {
    let mut parts = version.split('.');
    let major = parts.next().unwrap_or_default();
    let minor: u32 = parts
        .next()
        .and_then(|minor| minor.parse().ok())
        .unwrap_or_default();
    if !version.is_empty() && (major != "0" || minor > NEWEST_MINOR) {
        context.mark(Mark::UnknownVersion);
    }
}

fn classify<'a>(
    context: &mut Context<'a>,
    event: &mut ChangeEvent<'a>,
    about: &str,
    did: &str,
    content: Value<'a>,
) {
    use Class::{ApiActivity, ApplicationLifecycle, DetectionFinding, EntityManagement};
    let (class, privilege, is_change) = match about {
        "service" => (ApplicationLifecycle, PrivilegeClass::Pipeline, true),
        "artifact" => (
            ApplicationLifecycle,
            PrivilegeClass::Pipeline,
            matches!(did, "published" | "deleted" | "signed"),
        ),
        "environment" => (EntityManagement, PrivilegeClass::Compute, true),
        "repository" => (EntityManagement, PrivilegeClass::Pipeline, true),
        "branch" => (ApiActivity, PrivilegeClass::Pipeline, true),
        "change" => (ApiActivity, PrivilegeClass::Pipeline, did == "merged"),
        // The end of a run reports it, as in the sources of the tools themselves.
        "pipelinerun" => (ApiActivity, PrivilegeClass::Pipeline, did == "finished"),
        "build" | "taskrun" | "testcaserun" | "testsuiterun" | "testoutput" | "testcase" | "testsuite" => {
            (ApiActivity, PrivilegeClass::Pipeline, false)
        }
        "incident" => (DetectionFinding, PrivilegeClass::None, false),
        "ticket" => (EntityManagement, PrivilegeClass::None, true),
        "approval" => (EntityManagement, PrivilegeClass::Pipeline, false),
        _ => {
            context.mark(Mark::UnknownType);
            (ApiActivity, PrivilegeClass::None, true)
        }
    };
    event.verb = match did {
        "deployed" | "published" | "packaged" | "detected" | "reported" => Verb::Create,
        "downloaded" => Verb::Read,
        "upgraded" | "rolledback" | "merged" | "modified" | "updated" | "signed" | "closed" => Verb::Update,
        "queued" | "started" | "finished" | "skipped" => Verb::Other,
        "abandoned" => Verb::Update,
        _ => match webhook::verb_in(did) {
            Verb::Unknown => Verb::Update,
            verb => verb,
        },
    };
    event.class = class;
    event.privilege_class = privilege;
    event.is_change = is_change;
    event.activity = webhook::activity(class, event.verb);
    let outcome = content.get("outcome").text();
    event.status_code = outcome;
    let errors = content.any(&["errors", "reason"]);
    event.status_detail = errors.text();
    event.status = match outcome {
        "" => return webhook::assume_success(context, event),
        "success" | "pass" => Status::Success,
        "failure" | "fail" | "error" | "cancel" => Status::Failure,
        _ => Status::Other,
    };
}

fn actor<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, content: Value<'a>, custom: Value<'a>) {
    let name = |value: Value<'a>| first(&[value.text(), value.get("id").text(), value.get("name").text()]);
    let told = content.any(&["updatedBy", "user", "author", "triggeredBy"]);
    let added = custom.any(&["triggeredBy", "actor", "user"]);
    let creator = content.get("creator");
    event.actor_uid = first(&[name(told), name(added), name(creator)]);
    event.actor_name = event.actor_uid;
    event.actor_type = if event.actor_uid.is_empty() {
        ActorType::Unknown
    } else if event.actor_uid.contains("bot") {
        ActorType::Service
    } else if event.actor_uid.contains('@') {
        ActorType::User
    } else {
        ActorType::Other
    };
    let mut chain = context.list();
    for value in [added, creator, custom.get("changedBy")] {
        link(&mut chain, event.actor_uid, name(value));
    }
    event.actor_delegated_from = chain.into_bump_slice();
}

fn pipeline<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, about: &str, subject: Value<'a>) {
    let content = subject.get("content");
    let id = subject.get("id").text();
    let repository = content.get("repository");
    event.vcs_repo = first(&[
        repository.get("id").text(),
        repository.get("name").text(),
        repository.text(),
    ]);
    if about == "repository" {
        let (owner, name) = (content.get("owner").text(), content.get("name").text());
        event.vcs_repo = match (owner, name) {
            ("", "") => id,
            ("", name) => name,
            (owner, name) => context.join(&[owner, "/", name]),
        };
    }
    let change = content.get("change");
    event.vcs_change_id = if about == "change" {
        id
    } else {
        first(&[change.get("id").text(), change.text()])
    };
    let run = content.get("pipelineRun");
    event.cicd_run_id = match about {
        "pipelinerun" | "build" => id,
        "taskrun" => first(&[run.get("id").text(), id]),
        _ => run.get("id").text(),
    };
    event.cicd_pipeline = first(&[
        content.get("pipelineName").text(),
        content.get("taskName").text(),
        run.get("pipelineName").text(),
    ]);
}

fn resources<'a>(context: &mut Context<'a>, event: &mut ChangeEvent<'a>, about: &'a str, subject: Value<'a>) {
    let content = subject.get("content");
    let mut list = context.list();
    let mut add = |uid: &'a str, kind: &'a str, name: &'a str| {
        if !uid.is_empty() {
            list.push(Resource { uid, kind, name });
        }
    };
    // A run's id is new each time; its pipeline stays.
    if matches!(about, "pipelinerun" | "taskrun") {
        add(event.cicd_pipeline, "pipeline", event.cicd_pipeline);
    }
    let name = first(&[content.get("name").text(), content.get("summary").text()]);
    add(subject.get("id").text(), about, name);
    if about != "environment" {
        add(event.environment, "environment", event.environment);
    }
    let artifact = content.get("artifactId");
    add(
        first(&[artifact.get("id").text(), artifact.text()]),
        "artifact",
        "",
    );
    if about != "repository" {
        add(event.vcs_repo, "repository", "");
    }
    event.resources = context.resources(list);
}

fn tickets<'a>(context: &mut Context<'a>, about: &str, subject: Value<'a>, custom: Value<'a>) {
    let content = subject.get("content");
    let id = subject.get("id").text();
    if about == "ticket" && !id.is_empty() {
        // The subject is the ticket, whatever its id looks like.
        context.tickets.push(id);
    }
    for text in [
        id,
        content.get("summary").text(),
        content.get("description").text(),
        content.get("ticketURI").text(),
        content.at(&["change", "id"]).text(),
    ] {
        context.tickets_in(text);
    }
    context.tickets_below(custom);
}

#[cfg(test)]
mod tests;
