/// What a row asked of people at decision time: the column `approval` of `changes`.
///
/// It stands in the row so that, after a crash, the row alone says whether a request was due and of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ask {
    /// The decision asks for nothing.
    #[default]
    None,
    /// A request of its own.
    Asked,
    /// A request that names its group: the budget of this hour was used up.
    Grouped,
    /// Would ask, but is older than `approval_max_age`: listed, asks nothing.
    Backfill,
    /// Would ask, but its stratum is still learning and its risk is not extreme: listed, asks nothing.
    Learning,
    /// Would ask, but a durable request for the same `change_uid` is out already, or the row is a redelivery.
    Repeat,
}

impl Ask {
    /// Every value.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Asked,
        Self::Grouped,
        Self::Backfill,
        Self::Learning,
        Self::Repeat,
    ];

    /// The name in the column `approval`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Asked => "asked",
            Self::Grouped => "grouped",
            Self::Backfill => "backfill",
            Self::Learning => "learning",
            Self::Repeat => "repeat",
        }
    }

    /// The value of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ask| ask.name() == name)
    }

    /// Whether a request goes out for the row.
    pub const fn sends(self) -> bool {
        matches!(self, Self::Asked | Self::Grouped)
    }
}
