use crate::clock::Clock;
use crate::desk::Desk;
use crate::judge::{Normalize, Scorer};
use crate::ledger::Ledger;
use crate::log::Log;
use crate::observe::Observer;
use crate::outgoing::Outbox;
use crate::rows::Encoder;

/// The kinds of things that a worker is built of: one name instead of nine parameters.
pub trait Ports {
    /// Where records come from.
    type Log: Log;
    /// Where rows go.
    type Ledger: Ledger;
    /// The same, asked without waiting.
    type Desk: Desk;
    /// Where messages go.
    type Outbox: Outbox;
    /// Time.
    type Clock: Clock;
    /// Metrics and health.
    type Observer: Observer;
    /// Records to events.
    type Normalizer: Normalize;
    /// Events to scores.
    type Scorer: Scorer;
    /// Rows to bytes.
    type Encoder: Encoder;
}
