//! What the program says of itself: logs, traces, metrics, health; and the frame its tasks live in.
//!
//! In: settings, the process environment as the caller hands it in. Out: a subscriber for `tracing`, the one list of
//! [`Metric`] names with cheap handles, [`Health`], a small HTTP server for probes and metrics, [`spawn`] and
//! [`Shutdown`], the [`Clock`].
//!
//! **Invariants.** A log line is one line, whatever foreign text is in it. A metric that is not in [`Metric`] does not
//! exist, and its labels have few values: never an actor, never an id. Every task has a name, and shutdown waits for
//! it. The only reader of the wall clock is [`SystemClock`]. Nothing here is global but the `tracing` subscriber.

mod ask;
mod clock;
mod health;
mod http;
mod logs;
mod metric;
mod metrics;
mod samples;
mod tasks;
mod trace_context;
mod traces;

pub use ask::{AskError, ask};
pub use clock::{Clock, SystemClock};
pub use health::{Component, Health, Report, State};
pub use http::{HttpError, router, serve};
pub use logs::{LogError, LogFormat, LogSettings, TelemetryGuard, check_filter, init};
pub use metric::{Kind, Metric};
pub use metrics::{Counter, Gauge, Histogram, Metrics, spawn_upkeep};
pub use samples::Samples;
pub use tasks::{Shutdown, Stopped, Tasks, shutdown_on_signals, spawn, spawn_thread};
pub use trace_context::{TraceParent, current_traceparent, link_trace};
pub use traces::{TraceError, TraceSettings};
