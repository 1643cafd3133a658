//! What the simulator knows about the changes it emits, and no source says.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::{IncidentKind, LookalikeKind};

/// What a change really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// Ordinary work.
    Benign,
    /// Part of an incident.
    Incident(IncidentKind),
    /// Ordinary work that looks like an incident.
    Lookalike(LookalikeKind),
}

impl Label {
    /// The incident's kind, where it is one.
    pub fn incident(self) -> Option<IncidentKind> {
        match self {
            Self::Incident(kind) => Some(kind),
            Self::Benign | Self::Lookalike(_) => None,
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Benign => f.write_str("benign"),
            Self::Incident(kind) => write!(f, "incident:{}", kind.name()),
            Self::Lookalike(kind) => write!(f, "lookalike:{}", kind.name()),
        }
    }
}

impl Serialize for Label {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let unknown = || serde::de::Error::custom(format_args!("unknown label {text:?}"));
        if text == "benign" {
            return Ok(Self::Benign);
        }
        if let Some(name) = text.strip_prefix("incident:") {
            return IncidentKind::from_name(name)
                .map(Self::Incident)
                .ok_or_else(unknown);
        }
        let name = text.strip_prefix("lookalike:").ok_or_else(unknown)?;
        let kind = LookalikeKind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.map(Self::Lookalike).ok_or_else(unknown)
    }
}

/// One emitted change, and what is true about it. Reads and sign-ins have one only inside an incident or a
/// lookalike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// Number of the record in the run, from 0, in the order of emission.
    pub record: u64,
    /// Place of the event inside its record, as the source lays it out, from 0.
    pub child: u32,
    /// Name of the source.
    pub source: String,
    /// The source's own id of the event.
    pub native_id: String,
    /// Time of the event, in milliseconds since 1970.
    pub time_ms: i64,
    /// The API call or event type.
    pub action: String,
    /// Whether it changes something (an incident's reads and sign-ins do not).
    pub is_change: bool,
    /// Events of one piece of work or one incident share it; 0 is routine work.
    pub story: u32,
    /// Ticket that the work belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ticket: Option<String>,
    /// Repository and number of the pull or merge request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pull_request: Option<String>,
    /// Id of the pipeline run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<String>,
    /// Commit that is deployed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub commit: Option<String>,
    /// Who really acted: a person's e-mail address or a service account's name.
    pub actor: String,
    /// Whether someone else had approved it.
    pub approved: bool,
    /// `production`, `staging`, `dev` or `unknown`.
    pub environment: String,
    /// Key of the team whose resource it is.
    pub team: String,
    /// What it is.
    pub label: Label,
    /// Whether this is a second delivery of the same event.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub redelivery: bool,
}
