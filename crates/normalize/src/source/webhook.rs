//! What the webhooks of all providers have alike: the envelope that a bridge puts around them, and words in the past tense.

use changegate_json::{Kind, Value};
use changegate_types::{ActorType, Class, Mark, RejectCode, SkipReason, Verb};

use crate::context::{Context, Found, List, Unwrapped};
use crate::verb;

/// Headers by which providers name the type of a webhook's event.
const EVENT_HEADERS: [&str; 5] = [
    "X-GitHub-Event",
    "X-Gitlab-Event",
    "X-Gitlab-Audit-Event-Type",
    "X-Atlassian-Webhook-Identifier",
    // Bitbucket.
    "X-Event-Key",
];

/// How a source tells its bodies from those of others.
#[derive(Clone, Copy)]
pub(super) struct Own {
    /// Whichever of these is there makes any body one of the source's.
    pub(super) headers: &'static [&'static str],
    /// Without them, what the body itself says.
    pub(super) is_known: fn(Value<'_>) -> bool,
}

impl Own {
    /// A header of another source outweighs what the body looks like.
    fn is_known<'a>(&self, context: &Context<'a>, envelope: Value<'a>, body: Value<'a>) -> bool {
        let headers = envelope.get("headers");
        let sent = |name: &&str| {
            let by_kafka = context.record.header(name).is_some_and(|value| !value.is_empty());
            by_kafka || headers.get(name).is_some()
        };
        self.headers.iter().any(sent) || (!EVENT_HEADERS.iter().any(sent) && (self.is_known)(body))
    }
}

/// Finds the bodies: bare, as `{"headers":{…},"body":{…}}` where the body may be JSON in a string (in base64 if
/// `isBase64Encoded` says so), or a list of either.
pub(super) fn unwrap<'a>(
    context: &mut Context<'a>,
    root: Value<'a>,
    own: Own,
    out: &mut List<'a, Unwrapped<'a>>,
) {
    if root.kind() != Kind::Array {
        one(context, root, own, out);
        return;
    }
    each_item(root, out, |item, out| one(context, item, own, out));
}

/// Finds the events in a list's items. An item without any is none of the source's.
pub(super) fn each_item<'a>(
    list: Value<'a>,
    out: &mut List<'a, Unwrapped<'a>>,
    mut unwrap: impl FnMut(Value<'a>, &mut List<'a, Unwrapped<'a>>),
) {
    for item in list.items() {
        let before = out.len();
        unwrap(item, out);
        if out.len() == before {
            out.push(unknown(item));
        }
    }
    if out.is_empty() {
        out.push(Unwrapped::Skip(SkipReason::EmptyEnvelope));
    }
}

fn one<'a>(context: &mut Context<'a>, root: Value<'a>, own: Own, out: &mut List<'a, Unwrapped<'a>>) {
    let wrapped = root.get("body");
    let alone = wrapped.kind() == Kind::Object && !own.is_known(context, Value::MISSING, root);
    if wrapped.is_some() && (alone || root.get("headers").is_some()) {
        let body = if root.get("isBase64Encoded").bool() == Some(true) {
            match context.nested_base64(wrapped) {
                Ok(body) => body,
                Err(reject) => return out.push(Unwrapped::Reject(reject)),
            }
        } else {
            context.nested(wrapped)
        };
        let in_record = wrapped.kind() == Kind::Object;
        out.push(
            if body.kind() == Kind::Object && own.is_known(context, root, body) {
                Unwrapped::Child(Found {
                    value: body,
                    envelope: root,
                    in_record,
                })
            } else {
                unknown(wrapped)
            },
        );
    } else if root.kind() == Kind::Object && own.is_known(context, Value::MISSING, root) {
        out.push(Unwrapped::Child(Found {
            value: root,
            envelope: Value::MISSING,
            in_record: true,
        }));
    }
}

/// A body that is none of the source's.
fn unknown<'a>(value: Value<'a>) -> Unwrapped<'a> {
    Unwrapped::reject(
        value,
        RejectCode::UnknownEnvelope,
        "no event of this source: send the body as it was delivered, alone or as {\"headers\":…,\"body\":…}",
    )
}

/// What a word says that stands in the past tense or behind a noun: `created`, `member_added`, `closed`.
pub(super) fn verb_in(action: &str) -> Verb {
    let mut rest = action;
    while !rest.is_empty() {
        let (word, next) = verb::first_word(rest);
        if let Some(verb) = past(word) {
            return verb;
        }
        rest = next;
    }
    Verb::Unknown
}

/// The same where the object comes first: `deploy_token_created` creates.
pub(super) fn last_verb_in(name: &str) -> Verb {
    name.rsplit(|symbol: char| !symbol.is_ascii_alphanumeric())
        .find_map(past)
        .unwrap_or_default()
}

fn past(word: &str) -> Option<Verb> {
    Some(match word {
        // Words that mean another thing in cloud calls.
        "release" | "released" | "resolved" | "resolve" | "generated" | "request_denied" => Verb::Update,
        "generate" | "invited" | "deployed" | "registered" | "subscribed" => Verb::Create,
        "accessed" | "downloaded" | "viewed" | "clone" | "cloned" => Verb::Read,
        "destroyed" | "left" | "unassign" | "unassigned" => Verb::Delete,
        _ => {
            return verb::word(word)
                .or_else(|| verb::word(word.strip_suffix('d')?))
                .or_else(|| verb::word(word.strip_suffix("ed")?));
        }
    })
}

/// OCSF `activity_id`, with those of Application Lifecycle: 1 Install, 2 Remove, 8 Update.
pub(super) fn activity(class: Class, verb: Verb) -> u8 {
    match (class, verb) {
        (Class::ApplicationLifecycle, Verb::Create) => 1,
        (Class::ApplicationLifecycle, Verb::Delete) => 2,
        (Class::ApplicationLifecycle, Verb::Update) => 8,
        _ => verb::activity(class, verb),
    }
}

/// Kind of an account by its login: bots carry it in their names.
pub(super) fn actor_type(kind: &str, login: &str) -> ActorType {
    match kind {
        _ if login.is_empty() => ActorType::Unknown,
        _ if login.ends_with("[bot]") => ActorType::Service,
        "Bot" | "bot" | "App" | "app" => ActorType::Service,
        "Organization" => ActorType::Other,
        _ => ActorType::User,
    }
}

/// Adds a link of the chain of delegation, once.
pub(super) fn link<'a>(chain: &mut List<'a, &'a str>, actor: &str, text: &'a str) {
    if !text.is_empty() && text != actor && !chain.contains(&text) {
        chain.push(text);
    }
}

/// Sets the outcome where the source states none: recorded means happened.
pub(super) fn assume_success(context: &mut Context<'_>, event: &mut changegate_types::ChangeEvent<'_>) {
    event.status = changegate_types::Status::Success;
    context.mark(Mark::OutcomeAssumed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_the_past_tense() {
        let table = [
            ("created", Verb::Create),
            ("added", Verb::Create),
            ("member_added", Verb::Create),
            ("closed", Verb::Update),
            ("edited", Verb::Update),
            ("deleted", Verb::Delete),
            ("removed_from_repository", Verb::Delete),
            ("released", Verb::Update),
            ("completed", Verb::Other),
            ("published", Verb::Create),
            ("add_member", Verb::Create),
            ("frobnicated", Verb::Unknown),
            ("é", Verb::Unknown),
            ("", Verb::Unknown),
        ];
        for (word, verb) in table {
            assert_eq!(verb_in(word), verb, "{word}");
        }
    }
}
