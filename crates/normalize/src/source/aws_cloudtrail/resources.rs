//! What was touched: the record's own list, else what the request (and for creations the response) names.

use changegate_json::{Kind, Value};
use changegate_types::{ChangeEvent, Resource};

use super::naming::NAMING;
use crate::context::{Context, List};
use crate::memo::Memo;
use crate::verb;

/// For each first letter (modulo 32, so in either case) a bit for each length of a name in [`NAMING`]: most members are
/// turned away by it.
#[allow(
    clippy::indexing_slicing,
    reason = "what is computed at compile time cannot fail later"
)]
const NAMING_LENGTHS: [u32; 32] = {
    let mut lengths = [0; 32];
    let mut at = 0;
    while at < NAMING.len() {
        let name = NAMING[at].0.as_bytes();
        lengths[(name[0] & 31) as usize] |= 1 << name.len();
        at += 1;
    }
    lengths
};

/// Where in [`NAMING`] a member's name stands, in any case.
fn rank(name: &str) -> Option<usize> {
    let first = name.as_bytes().first()? & 31;
    let lengths = NAMING_LENGTHS.get(usize::from(first))?;
    if name.len() >= 32 || lengths >> name.len() & 1 == 0 {
        return None;
    }
    thread_local! {
        static KNOWN: Memo<Option<usize>, 1> = const { Memo::new() };
    }
    let find = || {
        NAMING
            .iter()
            .position(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    KNOWN.with(|known| known.get([name], find))
}

pub(super) fn name<'a>(
    context: &mut Context<'a>,
    event: &mut ChangeEvent<'a>,
    listed: Value<'a>,
    request: Value<'a>,
    response: Value<'a>,
) {
    let mut list = context.list_of_one();
    for item in listed.items() {
        // LookupEvents spells the members ResourceName and ResourceType.
        let uid = item.any(&["ARN", "arn", "ResourceName"]).text();
        let kind = item.any(&["type", "ResourceType"]).text();
        let owner = item.get("accountId").text();
        if event.resource_owner_account.is_empty() && owner != event.account_uid {
            event.resource_owner_account = owner;
        }
        if !uid.is_empty() {
            list.push(Resource {
                uid,
                kind,
                name: last_part(uid),
            });
        }
    }
    if list.is_empty() {
        from_parameters(context, event, request, &mut list);
        // EC2 wraps some requests once more.
        for (_, inner) in request
            .members()
            .filter(|(name, _)| ends_with(name, &["request", "req"]))
        {
            if list.is_empty() {
                from_parameters(context, event, inner, &mut list);
            }
            if list.is_empty() {
                by_ending(event.api_operation, inner, &mut list);
            }
        }
    }
    if list.is_empty() {
        by_ending(event.api_operation, request, &mut list);
    }
    if list.is_empty() {
        refused(event.status_detail, &mut list);
    }
    if list.is_empty() {
        from_parameters(context, event, response, &mut list);
        // A creation often answers with one object that describes what is new.
        for (_, member) in response
            .members()
            .filter(|(_, member)| member.kind() == Kind::Object)
            .take(2)
        {
            if list.is_empty() {
                from_parameters(context, event, member, &mut list);
            }
        }
    }
    event.resources = context.resources(list);
}

fn from_parameters<'a>(
    context: &Context<'a>,
    event: &ChangeEvent<'a>,
    parameters: Value<'a>,
    list: &mut List<'a, Resource<'a>>,
) {
    let mut best = NAMING.len();
    let mut found = Value::MISSING;
    let mut key = Value::MISSING;
    for (name, value) in parameters.members() {
        if name.eq_ignore_ascii_case("key") {
            key = value;
        }
        if let Some(rank) = rank(name).filter(|rank| *rank < best)
            && value.is_some()
        {
            best = rank;
            found = value;
        }
    }
    let Some((name, kind)) = NAMING.get(best) else {
        return;
    };
    if *name == "bucketName" && key.kind() == Kind::String {
        let uid = context.join(&["arn:aws:s3:::", found.text(), "/", key.text()]);
        list.push(Resource {
            uid,
            kind: "AWS::S3::Object",
            name: key.text(),
        });
        return;
    }
    each_text(found, &mut |text| {
        let uid = match *name {
            // These two spell the name for good; the others need an account and region that may not be the caller's.
            "bucketName" => context.join(&["arn:aws:s3:::", text]),
            "userName" | "roleName" if !text.contains(':') && !event.account_uid.is_empty() => {
                let what = if *name == "userName" { ":user/" } else { ":role/" };
                context.join(&["arn:aws:iam::", event.account_uid, what, text])
            }
            _ => text,
        };
        list.push(Resource {
            uid,
            kind,
            name: last_part(text),
        });
    });
}

/// Endings of members that name something, best first.
const ENDINGS: [&[&str]; 3] = [
    &["arn", "arns"],
    &["id", "ids", "identifier", "identifiers"],
    &["name", "names"],
];

/// Members that end so and name no resource.
const NO_RESOURCES: [&str; 11] = [
    "client",
    "clientrequest",
    "clienttoken",
    "request",
    "version",
    "revision",
    "owner",
    "meshowner",
    "sourceowner",
    "rolesession",
    "device",
];

/// What a request names that the table does not know: the member that says in its name what the operation is about
/// (`modelId` of `PutFoundationModelEntitlement`), else the first that ends like a name.
#[cold]
fn by_ending<'a>(operation: &str, parameters: Value<'a>, list: &mut List<'a, Resource<'a>>) {
    let about = verb::first_word(operation).1;
    let mut best = (usize::MAX, Value::MISSING);
    for (name, value) in parameters.members() {
        let named = ENDINGS.iter().enumerate().find_map(|(rank, endings)| {
            let ending = endings.iter().find(|ending| ends_with(name, &[ending]))?;
            name.get(..name.len() - ending.len()).map(|stem| (rank, stem))
        });
        let (rank, stem) = match named {
            Some((_, stem)) if NO_RESOURCES.iter().any(|no| no.eq_ignore_ascii_case(stem)) => continue,
            Some(named) => named,
            None if ["resource", "target"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name)) =>
            {
                (3, "")
            }
            None => continue,
        };
        let is_about = !stem.is_empty() && ends_with(about, &[stem]);
        let rank = if is_about { rank } else { rank + 10 };
        let mut has_text = false;
        each_text(value, &mut |_| has_text = true);
        if rank < best.0 && has_text {
            best = (rank, value);
        }
    }
    each_text(best.1, &mut |uid| {
        list.push(Resource {
            uid,
            kind: "",
            name: last_part(uid),
        });
    });
}

/// A call that was refused says what it was about in the error, even where the request is left out:
/// `… is not authorized to perform: iam:PutUserPolicy on resource: user bob because …`.
#[cold]
fn refused<'a>(message: &'a str, list: &mut List<'a, Resource<'a>>) {
    let Some((_, rest)) = message.split_once(" on resource: ") else {
        return;
    };
    let mut words = rest.split_ascii_whitespace();
    let kinds = ["user", "role", "group", "policy"];
    let uid = words
        .next()
        .filter(|word| !kinds.contains(word))
        .or_else(|| words.next());
    let uid = uid.unwrap_or_default().trim_end_matches(['.', ',']);
    if !uid.is_empty() && uid != "*" {
        list.push(Resource {
            uid,
            kind: "",
            name: last_part(uid),
        });
    }
}

fn ends_with(name: &str, endings: &[&str]) -> bool {
    endings.iter().any(|ending| {
        let from = name.len().checked_sub(ending.len());
        let end = from.and_then(|from| name.get(from..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(ending))
    })
}

/// Texts in a value, in a list of them, or in `{"items":[{"instanceId":…}]}` as EC2 spells its lists.
fn each_text<'a>(value: Value<'a>, found: &mut impl FnMut(&'a str)) {
    match value.kind() {
        Kind::String | Kind::Number if !value.text().is_empty() => found(value.text()),
        Kind::Array => value.items().for_each(|item| each_text(item, found)),
        Kind::Object => {
            // EC2 spells some of its texts `{"tag":1,"content":"fl-1"}`.
            let items = value.any(&["items", "content"]);
            if items.is_some() {
                each_text(items, found);
            } else if let Some((_, first)) = value.members().next() {
                each_text(first, found);
            }
        }
        _ => {}
    }
}

/// What stands after the last `/`, else after the last `:`.
fn last_part(uid: &str) -> &str {
    let after = |text: &'_ str, mark: u8| memchr::memrchr(mark, text.as_bytes()).map_or(0, |at| at + 1);
    let tail = uid.get(after(uid, b'/')..).unwrap_or_default();
    if tail.is_empty() {
        return uid;
    }
    let name = tail.get(after(tail, b':')..).unwrap_or_default();
    if name.is_empty() { tail } else { name }
}
