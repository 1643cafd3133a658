//! One planned event: who does what, where, as part of which piece of work. Small and `Copy`; all bytes are derived
//! from it and the organisation, so the same event can be written twice and comes out the same.

use crate::catalog::CallId;
use crate::put::Ip;
use crate::truth::Label;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Person(u16),
    Service(u16),
}

/// The program that makes the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agent {
    Browser,
    Cli,
    Kubectl,
    Terraform,
    Runner,
    Sdk,
    Controller,
}

/// The credential it is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Single sign-on of a person.
    Sso,
    /// Federated session of a pipeline.
    Pipeline,
    /// Role of a workload.
    Workload,
    /// Role that belongs to a cloud service.
    ServiceLinked,
    /// Long-lived access key of an application's user.
    AccessKey,
    /// The emergency user.
    BreakGlass,
}

/// Where several events report one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Only,
    /// Start of an operation, or receipt of a request.
    First,
    /// Its end.
    Last,
    /// Part of a split entry, of two.
    Part(u8),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) time_ms: i64,
    /// Decides every random byte of this event.
    pub(crate) seed: u64,
    /// Shared by events that report one change.
    pub(crate) link: u64,
    pub(crate) call: CallId,
    pub(crate) who: Who,
    pub(crate) ip: Ip,
    pub(crate) agent: Agent,
    pub(crate) identity: Identity,
    pub(crate) mfa: bool,
    /// Start of the session.
    pub(crate) since_ms: i64,
    pub(crate) place: u8,
    pub(crate) app: u16,
    /// Which of the application's resources.
    pub(crate) serial: u16,
    /// The person that something is done to.
    pub(crate) other: u16,
    /// Index of the piece of work; 0 is none.
    pub(crate) work: u32,
    /// Number of the story in the truth; 0 is routine.
    pub(crate) story: u32,
    pub(crate) denied: bool,
    pub(crate) approved: bool,
    pub(crate) label: Label,
    pub(crate) phase: Phase,
}

/// A piece of work: the ticket, the review and the run that belong together.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) ticket: String,
    /// Already escaped for JSON.
    pub(crate) title: String,
    pub(crate) branch: String,
    pub(crate) pull_request: u64,
    /// Seed of the commit's hash; 0 is none.
    pub(crate) commit: u64,
    pub(crate) run: u64,
    pub(crate) app: u16,
    pub(crate) author: u16,
}

impl Work {
    pub(crate) fn none() -> Self {
        Self {
            ticket: String::new(),
            title: "routine".to_owned(),
            branch: "main".to_owned(),
            pull_request: 0,
            commit: 0,
            run: 0,
            app: 0,
            author: 0,
        }
    }
}
