//! Features, model files, score with reasons.
//!
//! In: change events in order, each with Kafka's record time. Out: for each a row of steps on a fixed grid, a ranking
//! score, a calibrated risk and the reasons for it; and, from a training run, a model folder.
//!
//! **Invariants.**
//! - *Past-only.* An event is scored from what came before it and never sees itself; peers and tenant are seen as of
//!   the last step of record time.
//! - *Time is an input.* This crate never reads a clock. Record time drives decay, windows and steps; the event's own
//!   time only names the hour of the week.
//! - *Steps before models.* Every feature is put on its grid before any model sees it, so that [`Model::replay`]
//!   derives score and risk of a stored row again.
//! - *Bounded.* Memory is fixed by [`Limits`]; what is forgotten looks new again, never familiar.
//! - *Same data, same seed, same bytes*, of the model, of the scores, of the snapshot. A score does not depend on how
//!   events were cut into blocks.
//! - *An attacker does not train it.* Unusual events become part of what is usual only after a day of record time,
//!   except in the learning phase of their source and stratum.

mod calibration;
mod codec;
mod ecod;
mod extract;
mod facts;
mod feature;
mod forest;
mod hash;
mod model;
mod reason;
mod scorer;
mod state;
mod train;

pub use calibration::{Calibrated, Calibration, Curve, RateAt, STRATA, STRATUM_MIN, Stratum};
pub use facts::ActorKind;
pub use feature::{FEATURES, Feature, Row, SCHEMA_VERSION, Spec, WIDTH};
pub use forest::Forest;
pub use model::{Golden, MODEL_FILES, Model, ModelError, Replayed};
pub use reason::REASONS;
pub use scorer::{EXPLAIN_FROM, Scorer};
pub use state::{Limits, PeerGroups, PhaseEnd, SHARDS, SnapshotError, State, StateSize};
pub use train::{Metrics, TrainError, TrainOptions, Trained, Trainer, Truth, pr_auc, roc_auc};
