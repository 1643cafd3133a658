/// Why a child is read and not kept as a row. Skipped is not lost: it is counted by reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// A record without a value.
    Tombstone,
    /// The provider's own check message (CloudWatch `CONTROL_MESSAGE`, Config `ConfigWritabilityCheckFile`, webhook ping …).
    ControlMessage,
    /// Kubernetes stage `RequestReceived` or `ResponseStarted`: the final stage follows.
    EarlyStage,
    /// An envelope that holds no events.
    EmptyEnvelope,
    /// A log entry of the same stream that is no audit event.
    NotAudit,
    /// Another record type of the same source (CloudTrail digest, insight).
    OtherRecordType,
    /// A read or a sign-in, where the source's setting keeps none as rows.
    LearnedOnly,
    /// A child of a replayed dead letter that has its row already, at its original position.
    AlreadyWritten,
    /// A record of the hop that was sent before: its sender was killed, and its successor sent it again.
    Repeat,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Tombstone,
        Self::ControlMessage,
        Self::EarlyStage,
        Self::EmptyEnvelope,
        Self::NotAudit,
        Self::OtherRecordType,
        Self::LearnedOnly,
        Self::AlreadyWritten,
        Self::Repeat,
    ];

    /// The name in tables, metrics and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::ControlMessage => "control_message",
            Self::EarlyStage => "early_stage",
            Self::EmptyEnvelope => "empty_envelope",
            Self::NotAudit => "not_audit",
            Self::OtherRecordType => "other_record_type",
            Self::LearnedOnly => "learned_only",
            Self::AlreadyWritten => "already_written",
            Self::Repeat => "repeat",
        }
    }
}

/// Why bytes are dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectCode {
    /// No JSON where JSON is due.
    NotJson,
    /// The bytes end inside a value.
    TruncatedJson,
    /// Something follows the value.
    TrailingBytes,
    /// Not UTF-8.
    InvalidUtf8,
    /// Deeper than the limit.
    TooDeep,
    /// Larger than the limit, as sent or as unpacked.
    TooLarge,
    /// More values or children than the limit.
    TooMany,
    /// Base64 that does not decode.
    InvalidBase64,
    /// Gzip that does not unpack.
    InvalidGzip,
    /// JSON, but of a shape that is none of this source's envelopes.
    UnknownEnvelope,
    /// ClickHouse refused this row and took its neighbours.
    RowRefused,
}

impl RejectCode {
    /// Every code.
    pub const ALL: [Self; 11] = [
        Self::NotJson,
        Self::TruncatedJson,
        Self::TrailingBytes,
        Self::InvalidUtf8,
        Self::TooDeep,
        Self::TooLarge,
        Self::TooMany,
        Self::InvalidBase64,
        Self::InvalidGzip,
        Self::UnknownEnvelope,
        Self::RowRefused,
    ];

    /// The name in tables, metrics, headers and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::TruncatedJson => "truncated_json",
            Self::TrailingBytes => "trailing_bytes",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::TooMany => "too_many",
            Self::InvalidBase64 => "invalid_base64",
            Self::InvalidGzip => "invalid_gzip",
            Self::UnknownEnvelope => "unknown_envelope",
            Self::RowRefused => "row_refused",
        }
    }
}

/// A child that is dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject<'a> {
    /// What kind of fault.
    pub code: RejectCode,
    /// In words: what was expected, what was found.
    pub reason: &'a str,
    /// Where in the bytes that were read (the decoded ones, where the envelope is encoded), from 0.
    pub at_byte: u32,
}
