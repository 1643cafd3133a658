use changegate_normalize::NormalizedRecord;
use changegate_types::{RawRecord, Reject, TimeMicros};

/// A message that must be durable before the positions behind it are committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// What it is.
    pub kind: Kind,
    /// Topic.
    pub topic: String,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Headers in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Record time; `None`: when it is sent.
    pub time: Option<TimeMicros>,
}

/// What an outgoing message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An approval request.
    Request,
    /// A dead letter.
    DeadLetter,
    /// A decision.
    Decision,
    /// A child on the hop. Those of one partition of a raw topic must arrive in their order and without a gap.
    Child,
}

/// Why a message is not durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Producer or topic take no message of this size.
    #[error("{0}")]
    TooLarge(String),
    /// It can never be sent: a person must act.
    #[error("{0}")]
    Never(String),
    /// It is to be sent again.
    #[error("{0}")]
    Again(String),
}

/// Sends messages and tells when they are durable (`acks=all`, idempotent).
pub trait Outbox {
    /// Queues a message. `false`: the queue is full, try again later.
    ///
    /// # Errors
    /// A message that this producer cannot send as it is.
    fn send(&mut self, message: &Outgoing, tag: u64) -> Result<bool, SendError>;

    /// The next answer: the tag, and why it is not durable, if so.
    fn answer(&mut self) -> Option<(u64, Result<(), SendError>)>;
}

/// Names of the headers of a dead letter: Kafka Connect's, then ours.
pub mod header {
    /// Topic that the record was read from.
    pub const TOPIC: &str = "__connect.errors.topic";
    /// Partition.
    pub const PARTITION: &str = "__connect.errors.partition";
    /// Offset.
    pub const OFFSET: &str = "__connect.errors.offset";
    /// Who sends: a constant of ours.
    pub const CONNECTOR: &str = "__connect.errors.connector.name";
    /// Kind of fault.
    pub const CLASS: &str = "__connect.errors.exception.class.name";
    /// In words.
    pub const MESSAGE: &str = "__connect.errors.exception.message";
    /// `normalize` or `write`.
    pub const STAGE: &str = "changegate.error.stage";
    /// Reject code.
    pub const CODE: &str = "changegate.error.code";
    /// How often the record was replayed before, plus 1.
    pub const ATTEMPT: &str = "changegate.error.attempt";
    /// Index of the child.
    pub const CHILD: &str = "changegate.error.child";
    /// Position of the fault in the bytes read.
    pub const AT_BYTE: &str = "changegate.error.at_byte";
    /// Bytes that the value had before it was cut to what the topic takes.
    pub const CUT_FROM: &str = "changegate.error.cut_from";
    /// How many of the record's own headers were left out, for the same reason.
    pub const HEADERS_LEFT_OUT: &str = "changegate.error.headers_left_out";
    /// Bytes of the record's key, which was left out for the same reason.
    pub const KEY_LEFT_OUT: &str = "changegate.error.key_left_out";
    /// Incarnation of the position.
    pub const INCARNATION: &str = "changegate.error.incarnation";
    /// SHA-256 of the value as received, in hex.
    pub const RAW_HASH: &str = "changegate.error.raw_hash";

    /// The W3C trace context: of the record on what comes of it.
    pub const TRACEPARENT: &str = "traceparent";

    /// Original topic of a replayed record. These four are the identity of its rows.
    pub const REPLAY_TOPIC: &str = "changegate.replay.topic";
    /// Original incarnation.
    pub const REPLAY_INCARNATION: &str = "changegate.replay.incarnation";
    /// Original partition.
    pub const REPLAY_PARTITION: &str = "changegate.replay.partition";
    /// Original offset.
    pub const REPLAY_OFFSET: &str = "changegate.replay.offset";
    /// How often it was replayed.
    pub const REPLAY_COUNT: &str = "changegate.replay.count";
}

impl Outgoing {
    /// Makes a dead letter smaller, and says so in it: a topic that takes less than the raw topic gave must not stop the
    /// stream. Of what foreign hands can make large the largest goes: half of the value, all of the record's own headers,
    /// or its key. The whole value is in `rejected`, and in the raw topic while that keeps it. `false` where nothing is
    /// left to cut, or the message is worthless in parts.
    pub(crate) fn cut(&mut self) -> bool {
        if self.kind != Kind::DeadLetter {
            return false;
        }
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let (value, key) = (length(&self.value), length(&self.key));
        let foreign = self.headers.iter().filter(|(name, value)| !is_ours(name, value));
        let headers: usize = foreign.map(|(name, value)| name.len() + value.len()).sum();
        if headers > value.max(key) {
            let before = self.headers.len();
            self.headers.retain(|(name, value)| is_ours(name, value));
            self.say(header::HEADERS_LEFT_OUT, before - self.headers.len());
        } else if key > value {
            self.key = None;
            self.say(header::KEY_LEFT_OUT, key);
        } else if let Some(bytes) = self.value.as_mut().filter(|_| value > 0) {
            bytes.truncate(value / 2);
            if !self.says(header::CUT_FROM) {
                self.say(header::CUT_FROM, value);
            }
        } else {
            return false;
        }
        true
    }

    /// Whether something was left out of it.
    pub(crate) fn is_cut(&self) -> bool {
        let marks = [header::CUT_FROM, header::HEADERS_LEFT_OUT, header::KEY_LEFT_OUT];
        self.kind == Kind::DeadLetter && marks.into_iter().any(|name| self.says(name))
    }

    fn says(&self, name: &str) -> bool {
        self.headers.iter().any(|(own, _)| own == name)
    }

    fn say(&mut self, name: &str, number: usize) {
        self.headers
            .push((name.to_owned(), number.to_string().into_bytes()));
    }
}

/// What says where a record stood and what was wrong with it, in a size that only we make.
fn is_ours(name: &str, value: &[u8]) -> bool {
    /// Nothing that we say is longer, except what a server said about a row.
    const LENGTH_MAX: usize = 4 << 10;
    use header::*;
    const OURS: [&str; 20] = [
        TOPIC,
        PARTITION,
        OFFSET,
        CONNECTOR,
        CLASS,
        MESSAGE,
        STAGE,
        CODE,
        ATTEMPT,
        CHILD,
        AT_BYTE,
        CUT_FROM,
        HEADERS_LEFT_OUT,
        INCARNATION,
        RAW_HASH,
        REPLAY_TOPIC,
        REPLAY_INCARNATION,
        REPLAY_PARTITION,
        REPLAY_OFFSET,
        REPLAY_COUNT,
    ];
    OURS.contains(&name) && value.len() <= LENGTH_MAX
}

/// The trace of a record goes on in its messages: of the record and not of this run, so that a repeat has the same header.
/// The header is foreign text: only what has the shape of a trace context is passed on.
pub(crate) fn traceparent<'a>(record: &RawRecord<'a>) -> Option<&'a str> {
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let has_shape = |text: &&str| {
        text.len() == 55
            && text.bytes().enumerate().all(|(at, byte)| match at {
                2 | 35 | 52 => byte == b'-',
                _ => is_hex(byte),
            })
    };
    record.header(header::TRACEPARENT).filter(has_shape)
}

/// The stage at which a child was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The bytes are no event.
    Normalize,
    /// The ledger refused the row.
    Write,
}

impl Stage {
    /// The name in the header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normalize => "normalize",
            Self::Write => "write",
        }
    }
}

/// Makes the dead letter of one child: original key and headers, masked bytes. The same record and fault give the same
/// bytes, so a repeat after a crash is seen to be one.
pub fn dead_letter(
    topic: &str,
    record: &RawRecord<'_>,
    headers: &[(&str, &[u8])],
    child: u32,
    reject: &Reject<'_>,
    stage: Stage,
    normalized: &NormalizedRecord<'_>,
) -> Outgoing {
    let position = record.position;
    let replays: u32 = record
        .header(header::REPLAY_COUNT)
        .and_then(|count| count.parse().ok())
        .unwrap_or(0);
    let ours = [
        (header::TOPIC, position.topic.to_owned()),
        (header::PARTITION, position.partition.to_string()),
        (header::OFFSET, position.offset.to_string()),
        (header::CONNECTOR, "changegate".to_owned()),
        (header::CLASS, format!("dev.changegate.{}", reject.code.name())),
        (header::MESSAGE, reject.reason.to_owned()),
        (header::STAGE, stage.name().to_owned()),
        (header::CODE, reject.code.name().to_owned()),
        (header::ATTEMPT, replays.saturating_add(1).to_string()),
        (header::CHILD, child.to_string()),
        (header::AT_BYTE, reject.at_byte.to_string()),
        (header::INCARNATION, position.incarnation.to_string()),
        (header::RAW_HASH, normalized.raw_hash.to_string()),
    ];
    let kept = headers
        .iter()
        .filter(|(name, _)| !ours.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)))
        .map(|(name, value)| ((*name).to_owned(), value.to_vec()));
    let headers = kept
        .chain(
            ours.iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes())),
        )
        .collect();
    Outgoing {
        kind: Kind::DeadLetter,
        topic: topic.to_owned(),
        key: record.key.map(<[u8]>::to_vec),
        headers,
        value: record.value.map(|_| normalized.stored.to_vec()),
        time: None,
    }
}

#[cfg(test)]
mod tests {
    use changegate_types::{Digest, Position, RejectCode, TimeMicros};

    use super::*;

    fn letter(headers: &[(&str, &[u8])], key: &[u8], value: &[u8]) -> Outgoing {
        let record = RawRecord {
            position: Position {
                topic: "raw",
                incarnation: 0,
                partition: 0,
                offset: 7,
            },
            kafka_time: TimeMicros(0),
            key: Some(key),
            headers,
            value: Some(value),
        };
        let reject = Reject {
            code: RejectCode::NotJson,
            reason: "no JSON",
            at_byte: 0,
        };
        let normalized = NormalizedRecord {
            raw_hash: Digest([7; 32]),
            stored: value,
            stored_hash: Digest([7; 32]),
            stored_encoding: "",
            secrets_masked: 0,
            children: &[],
            origin: None,
        };
        dead_letter(
            "dead",
            &record,
            headers,
            0,
            &reject,
            Stage::Normalize,
            &normalized,
        )
    }

    fn size(message: &Outgoing) -> usize {
        let headers = message.headers.iter();
        headers
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>()
            + message.key.as_ref().map_or(0, Vec::len)
            + message.value.as_ref().map_or(0, Vec::len)
    }

    #[test]
    fn whatever_foreign_hands_made_large_is_left_out_of_a_dead_letter() {
        let large = vec![b'x'; 100_000];
        type Case<'a> = (&'a [(&'a str, &'a [u8])], &'a [u8], &'a [u8]);
        let cases: [Case<'_>; 5] = [
            (&[], b"key", &large),
            (&[("x-large", &large)], b"key", b"value"),
            (&[], &large, b"value"),
            // Names of ours, in foreign hands.
            (&[(header::REPLAY_TOPIC, &large)], b"key", b"value"),
            (&[("a", &large), ("b", &large)], &large, &large),
        ];
        for (headers, key, value) in cases {
            let mut message = letter(headers, key, value);
            assert!(!message.is_cut());
            let mut cuts = 0;
            while size(&message) > 1_000 {
                assert!(message.cut(), "{} bytes are left", size(&message));
                cuts += 1;
            }
            assert!(message.is_cut() && cuts < 30);
            let of = |name: &str| {
                let found = message.headers.iter().rev().find(|(own, _)| own == name);
                found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            };
            assert_eq!(
                of(header::OFFSET).as_deref(),
                Some("7"),
                "it says where it comes from"
            );
            let left_out = |name: &str, full: usize| of(name).is_none_or(|said| said == full.to_string());
            assert!(left_out(header::CUT_FROM, value.len()));
            assert!(left_out(header::HEADERS_LEFT_OUT, headers.len()));
            assert!(left_out(header::KEY_LEFT_OUT, key.len()));
        }
        let mut request = letter(&[], b"key", &large);
        request.kind = Kind::Request;
        assert!(!request.cut(), "half a request is worth nothing");
    }
}
