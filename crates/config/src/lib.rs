//! Files and environment to checked settings.
//!
//! In: one TOML file, variables named `CHANGEGATE__SECTION__KEY`, files that hold secrets. Out: [`Settings`], whose
//! every value has been checked, or an [`Error`] that lists everything that is wrong at once: file or variable, key,
//! what was expected, what was found, and for an unknown key the one that was probably meant.
//!
//! The way: text -> `toml::Table` -> variables laid over it -> secrets read from their files -> `Raw…` (each key has
//! the right type) -> `check()` -> the types that the rest of the program sees.
//!
//! **Invariants.** A key that nobody reads does not exist: unknown keys fail. A secret prints as `***` everywhere,
//! [`Settings::to_toml_redacted`] included. A variable beats the file, the file beats the default. Nothing here
//! reads the clock, the network or the process environment: the caller hands the variables in.

mod check;

mod error;
mod local;
mod overrides;
mod raw;
mod schema;
mod settings;
mod show;
mod suggest;
mod value;

pub use error::{Error, Problem};
pub use local::MASK_KEY_FILE;
pub use raw::{
    LocalEngines, LogFormat, RawBatch, RawClickHouse, RawDeadLetters, RawDecision, RawEngines,
    RawEnvironment, RawHttp, RawKafka, RawModel, RawSettings, RawStages, RawState, RawTelemetry, RawTenant,
    RawTopic, Reads, SaslMechanism, SecurityProtocol, Stages,
};
pub use schema::{KeySpec, Shape, documented_keys};
pub use settings::{
    Batch, ClickHouse, ClickHouseUser, DeadLetters, Decision, Engines, Environment, Http, Kafka, LostRecords,
    Model, SEARCH_PATH, Sasl, Settings, Staging, State, Telemetry, Tenant, Topic,
};
pub use suggest::nearest;
pub use value::{ByteSize, Properties, Secret};
