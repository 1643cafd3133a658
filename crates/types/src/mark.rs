/// Something about an event that a reader of its row should know. Set while normalizing; stored by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// The source gave no id: `event_uid` is made of the content.
    UidFromContent,
    /// The source named no actor.
    MissingActor,
    /// The source gave no time: Kafka's record time stands in.
    MissingTime,
    /// The event's time lies more than a day after, or more than 400 days before, Kafka's record time.
    TimeOutOfRange,
    /// Kafka's record time lay in the future and was cut to the partition's last time.
    KafkaTimeCut,
    /// A key stood twice in one object: the last value counts.
    DuplicateKey,
    /// A field held another type than the source documents: left empty.
    WrongType,
    /// A number did not fit its column: left empty.
    NumberOutOfRange,
    /// Secrets were replaced by keyed commitments.
    SecretMasked,
    /// An event type that this version does not know: normalized as far as known.
    UnknownType,
    /// A schema version newer than this version knows.
    UnknownVersion,
    /// No pattern of the config names the environment: decisions treat it as production.
    UnknownEnvironment,
    /// A string that should hold JSON did not parse, or lay beyond the bounds: kept as a string.
    NestedUnparsed,
    /// The provider cut the event to its size limit.
    Truncated,
    /// The event corrects an earlier one (`is_amendment_of`).
    Amendment,
    /// One part of an entry that the provider split.
    SplitPart,
    /// More resources, tickets or marks than a row keeps: the rest is in the raw bytes.
    ListCut,
    /// The outcome is not stated by the source: recorded means happened.
    OutcomeAssumed,
    /// The address is not an IP address; it stands in `src_domain`.
    AddressIsName,
    /// Older than `approval_max_age` at ingest: scored and stored, asks nothing.
    Backfill,
    /// Copy of an event that was read before at another position.
    Redelivery,
}

impl Mark {
    /// Every mark, in the order of its bit.
    pub const ALL: [Self; 21] = [
        Self::UidFromContent,
        Self::MissingActor,
        Self::MissingTime,
        Self::TimeOutOfRange,
        Self::KafkaTimeCut,
        Self::DuplicateKey,
        Self::WrongType,
        Self::NumberOutOfRange,
        Self::SecretMasked,
        Self::UnknownType,
        Self::UnknownVersion,
        Self::UnknownEnvironment,
        Self::NestedUnparsed,
        Self::Truncated,
        Self::Amendment,
        Self::SplitPart,
        Self::ListCut,
        Self::OutcomeAssumed,
        Self::AddressIsName,
        Self::Backfill,
        Self::Redelivery,
    ];

    /// The name in the `marks` column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UidFromContent => "uid_from_content",
            Self::MissingActor => "missing_actor",
            Self::MissingTime => "missing_time",
            Self::TimeOutOfRange => "time_out_of_range",
            Self::KafkaTimeCut => "kafka_time_cut",
            Self::DuplicateKey => "duplicate_key",
            Self::WrongType => "wrong_type",
            Self::NumberOutOfRange => "number_out_of_range",
            Self::SecretMasked => "secret_masked",
            Self::UnknownType => "unknown_type",
            Self::UnknownVersion => "unknown_version",
            Self::UnknownEnvironment => "unknown_environment",
            Self::NestedUnparsed => "nested_unparsed",
            Self::Truncated => "truncated",
            Self::Amendment => "amendment",
            Self::SplitPart => "split_part",
            Self::ListCut => "list_cut",
            Self::OutcomeAssumed => "outcome_assumed",
            Self::AddressIsName => "address_is_name",
            Self::Backfill => "backfill",
            Self::Redelivery => "redelivery",
        }
    }
}

/// The set of marks of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u64);

impl Marks {
    /// Adds one.
    pub fn set(&mut self, mark: Mark) {
        self.0 |= 1 << mark as u8;
    }

    /// Whether it is there.
    pub const fn has(self, mark: Mark) -> bool {
        self.0 >> mark as u8 & 1 == 1
    }

    /// Both sets together.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether none is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many are set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Those that are set, in the order of their bits.
    pub fn iter(self) -> impl Iterator<Item = Mark> + Clone {
        Mark::ALL.into_iter().filter(move |mark| self.has(*mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_has_its_bit_and_its_name() {
        for (bit, mark) in Mark::ALL.into_iter().enumerate() {
            assert_eq!(mark as usize, bit);
            let mut marks = Marks::default();
            marks.set(mark);
            assert_eq!(marks.iter().collect::<Vec<_>>(), [mark]);
            assert_eq!(
                Mark::ALL
                    .iter()
                    .filter(|other| other.name() == mark.name())
                    .count(),
                1
            );
        }
    }
}
