use changegate_types::{RawRecord, Reject};

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
    /// Leaves the first half of a dead letter's value, and says how long it was: a topic that takes less than the raw
    /// topic gave must not stop the stream. The whole value is in `rejected`, and in the raw topic while that keeps it.
    /// `false` where nothing is left to cut, or the message is worthless in parts.
    pub(crate) fn cut(&mut self) -> bool {
        let Some(value) = self.value.as_mut().filter(|value| !value.is_empty()) else {
            return false;
        };
        if self.kind != Kind::DeadLetter {
            return false;
        }
        if !self.headers.iter().any(|(name, _)| name == header::CUT_FROM) {
            let length = value.len().to_string().into_bytes();
            self.headers.push((header::CUT_FROM.to_owned(), length));
        }
        value.truncate(value.len() / 2);
        true
    }
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
    record: &RawRecord<'_>,
    headers: &[(&str, &[u8])],
    child: u32,
    reject: &Reject<'_>,
    stage: Stage,
    raw_hash: &changegate_types::Digest,
    stored: &[u8],
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
        (header::RAW_HASH, raw_hash.to_string()),
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
        topic: format!("{}.dlq", position.topic),
        key: record.key.map(<[u8]>::to_vec),
        headers,
        value: record.value.map(|_| stored.to_vec()),
    }
}
