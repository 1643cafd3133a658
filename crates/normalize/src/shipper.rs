//! What log shippers and connectors put around a record that a source would have taken as it was.

use changegate_json::{Kind, Value};
use changegate_types::{Reject, RejectCode};

use crate::context::{Context, List, Unwrapped};
use crate::source::Source;

/// Where they put it, as an object or as JSON in a string.
const PLACES: [&[&str]; 11] = [
    // Kafka Connect's JSON converter, kcat.
    &["payload"],
    // Filebeat, Vector, Logstash, Fluent Bit.
    &["message"],
    &["@message"],
    &["log"],
    &["event", "original"],
    // Splunk: what its collector takes, and what a search exports.
    &["event"],
    &["_raw"],
    &["result", "_raw"],
    // An export of Elasticsearch or OpenSearch.
    &["_source"],
    &["record"],
    &["json"],
];

/// Looks one level deeper where the source knows nothing of the document itself. What is no event there either stays
/// rejected as it was.
#[cold]
pub(crate) fn unwrap<'a>(
    source: &dyn Source,
    context: &mut Context<'a>,
    root: Value<'a>,
    found: &mut List<'a, Unwrapped<'a>>,
) {
    let marks = context.marks;
    for place in PLACES {
        let value = root.at(place);
        let text = value.str().unwrap_or_default().trim_ascii();
        let inner = match value.kind() {
            Kind::Object | Kind::Array => value,
            Kind::String if text.starts_with(['{', '[']) => match context.read(text.as_bytes()) {
                Ok(inner) => inner,
                Err(_) => continue,
            },
            _ => continue,
        };
        let mut again = context.list();
        source.unwrap(context, inner, &mut again);
        if again.iter().any(|one| matches!(one, Unwrapped::Child(_))) {
            for one in &mut again {
                if let Unwrapped::Child(child) = one {
                    child.in_record &= value.kind() != Kind::String;
                }
            }
            *found = again;
            return;
        }
        context.marks = marks;
    }
}

/// Whether a source found nothing that it knows.
pub(crate) fn is_lost(found: &[Unwrapped<'_>]) -> bool {
    let unknown = |one: &Unwrapped<'_>| matches!(one, Unwrapped::Reject(Reject { code, .. }) if *code == RejectCode::UnknownEnvelope);
    found.iter().all(unknown)
}

#[cfg(test)]
mod tests {
    use crate::testing::{change, outcome};

    const EVENTS: [(&str, &str); 4] = [
        (
            "kubernetes.audit",
            r#"{"auditID":"a","stage":"ResponseComplete","verb":"create","objectRef":{"resource":"secrets","namespace":"x","name":"y"},"requestObject":{"kind":"Secret","data":{"k":"aHVudGVyMg=="}}}"#,
        ),
        (
            "aws.cloudtrail",
            r#"{"Records":[{"eventVersion":"1.11","eventID":"E1","eventName":"CreateUser"}]}"#,
        ),
        (
            "github.webhook",
            r#"{"ref":"refs/heads/main","repository":{"full_name":"a/b"},"commits":[],"pusher":{"name":"ada"}}"#,
        ),
        (
            "azure.activity",
            r#"{"records":[{"operationName":"Microsoft.Compute/disks/write","resourceId":"/subscriptions/s/x"}]}"#,
        ),
    ];

    #[test]
    fn what_a_shipper_puts_around_changes_nothing() {
        for (source, event) in EVENTS {
            let bare = change(source, event);
            let text = event.replace('"', "\\\"");
            for shipped in [
                format!(r#"{{"schema":{{"type":"struct"}},"payload":{event}}}"#),
                format!(r#"{{"topic":"t","offset":1,"payload":"{text}"}}"#),
                format!(
                    r#"{{"@timestamp":"2026-03-04T05:06:07Z","host":{{"name":"n"}},"message":"{text}"}}"#
                ),
                format!(r#"{{"stream":"stdout","log":"{text}\n"}}"#),
                format!(r#"{{"time":1772600767,"sourcetype":"x","event":{event}}}"#),
                format!(r#"{{"event":{{"original":"{text}"}}}}"#),
                format!(r#"{{"_index":"i","_source":{event}}}"#),
            ] {
                let event = change(source, &shipped);
                for column in ["event_uid", "content_hash", "api_operation", "is_change"] {
                    assert_eq!(event.get(column), bare.get(column), "{column} in {shipped}");
                }
                assert!(!event.bytes().contains("aHVudGVyMg"), "{}", event.bytes());
                assert_eq!(event.bytes(), bare.bytes(), "{shipped}");
            }
        }
    }

    #[test]
    fn what_is_no_event_inside_either_stays_rejected() {
        for text in [
            r#"{"message":"hello"}"#,
            r#"{"message":"{broken"}"#,
            r#"{"message":"{\"level\":\"info\"}","payload":{"a":1}}"#,
            r#"{"log":[]}"#,
        ] {
            assert_eq!(
                outcome("kubernetes.audit", text.as_bytes()),
                "reject unknown_envelope at 0",
                "{text}"
            );
        }
    }
}
