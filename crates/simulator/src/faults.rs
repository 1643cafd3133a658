//! Damaged records: copies of a fresh event with one thing wrong.

use crate::catalog::Source;
use crate::rng::Rng;

/// What is wrong with a damaged record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Malformed {
    /// Cut off in the middle.
    Truncated,
    /// Text that is no JSON.
    NotJson,
    /// Bytes that are not UTF-8.
    WrongEncoding,
    /// Thousands of open brackets.
    NestingBomb,
    /// A field has another type than documented. Still a change.
    WrongType,
    /// The time lies thousands of years ahead. Still a change.
    FarFuture,
    /// No id. Still a change.
    MissingId,
    /// No time. Still a change.
    MissingTime,
    /// No actor. Still a change.
    MissingActor,
}

impl Malformed {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Truncated,
        Self::NotJson,
        Self::WrongEncoding,
        Self::NestingBomb,
        Self::WrongType,
        Self::FarFuture,
        Self::MissingId,
        Self::MissingTime,
        Self::MissingActor,
    ];

    /// Whether a reader can get nothing out of it and must set the whole record aside.
    pub const fn is_unreadable(self) -> bool {
        matches!(
            self,
            Self::Truncated | Self::NotJson | Self::WrongEncoding | Self::NestingBomb
        )
    }
}

/// Names of the fields that hold id, time and actor.
fn fields(source: Source) -> (&'static str, &'static str, &'static str) {
    match source {
        Source::AwsCloudtrail => ("eventID", "eventTime", "userIdentity"),
        Source::AwsEventbridge => ("id", "time", "account"),
        Source::AzureActivity => ("correlationId", "time", "identity"),
        Source::AzureEntra => ("id", "time", "initiatedBy"),
        Source::GcpAudit => ("insertId", "timestamp", "authenticationInfo"),
        Source::KubernetesAudit => ("auditID", "stageTimestamp", "user"),
        Source::GithubWebhook => ("id", "updated_at", "sender"),
        Source::GithubAudit => ("_document_id", "@timestamp", "actor"),
        Source::GitlabWebhook => ("id", "created_at", "user"),
        Source::GitlabAudit => ("id", "created_at", "author_id"),
        Source::OktaSystem => ("uuid", "published", "actor"),
        Source::JiraWebhook => ("id", "timestamp", "user"),
        Source::Cdevents => ("id", "timestamp", "source"),
    }
}

/// Puts `replacement` (a value and a comma, or nothing) in front of the field `name`, which is renamed.
fn displace(value: &mut Vec<u8>, name: &str, replacement: &str) {
    let quoted = format!("\"{name}\":");
    if let Some(at) = value
        .windows(quoted.len())
        .position(|window| window == quoted.as_bytes())
    {
        let new = if replacement.is_empty() {
            format!("\"x-{name}\":")
        } else {
            format!("\"{name}\":{replacement},\"x-{name}\":")
        };
        value.splice(at..at + quoted.len(), new.into_bytes());
    }
}

/// Damages the bytes of a record.
pub(crate) fn damage(source: Source, kind: Malformed, value: &mut Vec<u8>, rng: &mut Rng) {
    let (id, time, actor) = fields(source);
    match kind {
        Malformed::Truncated => {
            let keep = value.len() * (30 + rng.below(65) as usize) / 100;
            value.truncate(keep.max(1));
        }
        Malformed::NotJson => {
            value.splice(0..0, b"<134>1 relay-7 shipper: ".iter().copied());
        }
        Malformed::WrongEncoding => {
            let at = value.len() / 2;
            value.splice(at..at, [0xff, 0xfe, 0xc3, 0x28, 0xe9]);
        }
        Malformed::NestingBomb => {
            let depth = 3_000;
            value.clear();
            for _ in 0..depth {
                value.extend_from_slice(b"{\"a\":[");
            }
            value.push(b'1');
            for _ in 0..depth {
                value.extend_from_slice(b"]}");
            }
        }
        Malformed::WrongType => displace(value, actor, "7"),
        Malformed::FarFuture => displace(value, time, "\"9214-06-01T00:00:00Z\""),
        Malformed::MissingId => displace(value, id, ""),
        Malformed::MissingTime => displace(value, time, ""),
        Malformed::MissingActor => displace(value, actor, ""),
    }
}
