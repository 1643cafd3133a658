//! What an operation does, by the first words of its name. A source's own table comes first where it has one.

use changegate_types::{Activity, Class, Verb};

/// First words (lower case) and what they do. Looked up by binary search, so they stay sorted.
const WORDS: [(&str, Verb); 162] = [
    ("accept", Verb::Update),
    ("activate", Verb::Update),
    ("add", Verb::Create),
    ("admin", Verb::Other),
    ("allocate", Verb::Create),
    ("apply", Verb::Update),
    ("approve", Verb::Update),
    ("archive", Verb::Update),
    ("assign", Verb::Update),
    ("associate", Verb::Update),
    ("assume", Verb::Other),
    ("attach", Verb::Update),
    ("authorize", Verb::Update),
    ("batch", Verb::Other),
    ("bind", Verb::Update),
    ("browse", Verb::Read),
    ("build", Verb::Other),
    ("bulk", Verb::Other),
    ("cancel", Verb::Delete),
    ("change", Verb::Update),
    ("check", Verb::Read),
    ("clear", Verb::Delete),
    ("clone", Verb::Create),
    ("close", Verb::Update),
    ("complete", Verb::Other),
    ("configure", Verb::Update),
    ("confirm", Verb::Update),
    ("connect", Verb::Other),
    ("copy", Verb::Create),
    ("count", Verb::Read),
    ("create", Verb::Create),
    ("created", Verb::Create),
    ("deactivate", Verb::Update),
    ("decline", Verb::Update),
    ("decode", Verb::Read),
    ("decrypt", Verb::Read),
    ("delete", Verb::Delete),
    ("deleted", Verb::Delete),
    ("deny", Verb::Update),
    ("deploy", Verb::Other),
    ("deprecate", Verb::Update),
    ("deregister", Verb::Delete),
    ("describe", Verb::Read),
    ("destroy", Verb::Delete),
    ("detach", Verb::Update),
    ("detect", Verb::Read),
    ("disable", Verb::Update),
    ("disassociate", Verb::Update),
    ("discover", Verb::Read),
    ("dismiss", Verb::Update),
    ("download", Verb::Read),
    ("drop", Verb::Delete),
    ("edit", Verb::Update),
    ("edited", Verb::Update),
    ("empty", Verb::Delete),
    ("enable", Verb::Update),
    ("encrypt", Verb::Read),
    ("estimate", Verb::Read),
    ("exec", Verb::Other),
    ("execute", Verb::Other),
    ("export", Verb::Other),
    ("failover", Verb::Other),
    ("fetch", Verb::Read),
    ("filter", Verb::Read),
    ("find", Verb::Read),
    ("force", Verb::Other),
    ("fork", Verb::Create),
    ("generate", Verb::Read),
    ("get", Verb::Read),
    ("grant", Verb::Update),
    ("head", Verb::Read),
    ("import", Verb::Create),
    ("initiate", Verb::Other),
    ("insert", Verb::Create),
    ("install", Verb::Create),
    ("invite", Verb::Create),
    ("invoke", Verb::Other),
    ("issue", Verb::Create),
    ("join", Verb::Other),
    ("launch", Verb::Create),
    ("leave", Verb::Other),
    ("link", Verb::Update),
    ("list", Verb::Read),
    ("lock", Verb::Update),
    ("login", Verb::Other),
    ("logout", Verb::Other),
    ("lookup", Verb::Read),
    ("merge", Verb::Update),
    ("migrate", Verb::Update),
    ("modify", Verb::Update),
    ("move", Verb::Update),
    ("open", Verb::Create),
    ("patch", Verb::Update),
    ("pause", Verb::Update),
    ("peek", Verb::Read),
    ("poll", Verb::Read),
    ("post", Verb::Create),
    ("preview", Verb::Read),
    ("promote", Verb::Update),
    ("provision", Verb::Create),
    ("prune", Verb::Delete),
    ("publish", Verb::Create),
    ("purchase", Verb::Create),
    ("purge", Verb::Delete),
    ("push", Verb::Update),
    ("put", Verb::Update),
    ("query", Verb::Read),
    ("read", Verb::Read),
    ("reboot", Verb::Other),
    ("rebuild", Verb::Update),
    ("register", Verb::Create),
    ("reject", Verb::Update),
    ("release", Verb::Delete),
    ("remove", Verb::Delete),
    ("removed", Verb::Delete),
    ("rename", Verb::Update),
    ("reopen", Verb::Update),
    ("replace", Verb::Update),
    ("request", Verb::Create),
    ("rerun", Verb::Other),
    ("reset", Verb::Update),
    ("resize", Verb::Update),
    ("resolve", Verb::Read),
    ("restart", Verb::Other),
    ("restore", Verb::Create),
    ("resume", Verb::Update),
    ("retrieve", Verb::Read),
    ("retry", Verb::Other),
    ("revoke", Verb::Update),
    ("rollback", Verb::Update),
    ("rotate", Verb::Update),
    ("run", Verb::Create),
    ("scale", Verb::Update),
    ("scan", Verb::Read),
    ("schedule", Verb::Update),
    ("search", Verb::Read),
    ("select", Verb::Read),
    ("send", Verb::Other),
    ("set", Verb::Update),
    ("share", Verb::Update),
    ("show", Verb::Read),
    ("sign", Verb::Other),
    ("simulate", Verb::Read),
    ("start", Verb::Other),
    ("stop", Verb::Other),
    ("submit", Verb::Create),
    ("subscribe", Verb::Create),
    ("suspend", Verb::Update),
    ("tag", Verb::Update),
    ("terminate", Verb::Delete),
    ("test", Verb::Read),
    ("transfer", Verb::Update),
    ("undelete", Verb::Create),
    ("uninstall", Verb::Delete),
    ("unlock", Verb::Update),
    ("untag", Verb::Update),
    ("update", Verb::Update),
    ("upload", Verb::Create),
    ("validate", Verb::Read),
    ("view", Verb::Read),
    ("watch", Verb::Read),
    ("write", Verb::Update),
];

/// The verb of an operation spelled in any of the usual ways: `CreateUser`, `create_user`, `users.create` is not one
/// of them (the source cuts that), `BatchGetItem` counts by its second word, `ScheduleKeyDeletion` deletes.
pub(crate) fn of(operation: &str) -> Verb {
    let (first, rest) = first_word(operation);
    if (first.eq_ignore_ascii_case("schedule") || first.eq_ignore_ascii_case("initiate"))
        && rest.contains("Deletion")
    {
        return Verb::Delete;
    }
    match word(first) {
        Some(Verb::Other)
            if first.eq_ignore_ascii_case("batch")
                || first.eq_ignore_ascii_case("bulk")
                || first.eq_ignore_ascii_case("admin") =>
        {
            word(first_word(rest).0).unwrap_or(Verb::Other)
        }
        Some(verb) => verb,
        None => Verb::Unknown,
    }
}

/// The verb that one word names, in any case.
pub(crate) fn word(word: &str) -> Option<Verb> {
    let mut buffer = [0u8; 16];
    let lower = buffer.get_mut(..word.len())?;
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    let found = WORDS
        .binary_search_by(|(known, _)| known.as_bytes().cmp(lower))
        .ok()?;
    WORDS.get(found).map(|(_, verb)| *verb)
}

/// The first word of a name in camel case, snake case or with dashes, dots or spaces, and what follows it.
pub(crate) fn first_word(name: &str) -> (&str, &str) {
    let bytes = name.as_bytes();
    let mut end = 1.min(bytes.len());
    while let Some(byte) = bytes.get(end) {
        let lower_before = bytes.get(end - 1).is_some_and(u8::is_ascii_lowercase);
        if !byte.is_ascii_alphanumeric() || (byte.is_ascii_uppercase() && lower_before) {
            break;
        }
        end += 1;
    }
    let (word, rest) = name.split_at_checked(end).unwrap_or((name, ""));
    (
        word,
        rest.trim_start_matches(|symbol: char| !symbol.is_ascii_alphanumeric()),
    )
}

/// OCSF `activity_id` of a verb: of API Activity (and of all classes that number it alike), else 99.
pub(crate) fn activity(class: Class, verb: Verb) -> Activity {
    match (class, verb) {
        (_, Verb::Unknown) => 0,
        (Class::ApiActivity | Class::EntityManagement, Verb::Create) => 1,
        (Class::ApiActivity | Class::EntityManagement, Verb::Read) => 2,
        (Class::ApiActivity | Class::EntityManagement, Verb::Update) => 3,
        (Class::ApiActivity | Class::EntityManagement, Verb::Delete) => 4,
        // Account Change: 1 Create, 6 Delete. User Access: 1 Assign, 2 Revoke. Group Management: 3 Add, 4 Remove.
        (Class::AccountChange | Class::UserAccess, Verb::Create) => 1,
        (Class::AccountChange, Verb::Delete) => 6,
        (Class::UserAccess, Verb::Delete) => 2,
        (Class::GroupManagement, Verb::Create) => 3,
        (Class::GroupManagement, Verb::Delete) => 4,
        _ => 99,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_and_found() {
        for pair in WORDS.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} before {}", pair[0].0, pair[1].0);
        }
        let table = [
            ("CreateUser", Verb::Create),
            ("create_user", Verb::Create),
            ("DELETE", Verb::Delete),
            ("BatchGetItem", Verb::Read),
            ("BatchDeleteImage", Verb::Delete),
            ("ScheduleKeyDeletion", Verb::Delete),
            ("UpdateFunctionCode20150331v2", Verb::Update),
            ("AssumeRole", Verb::Other),
            ("Frobnicate", Verb::Unknown),
            ("", Verb::Unknown),
            ("é", Verb::Unknown),
            ("Add member to role.", Verb::Create),
        ];
        for (operation, verb) in table {
            assert_eq!(of(operation), verb, "{operation}");
        }
    }
}
