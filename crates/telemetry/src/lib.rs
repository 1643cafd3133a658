//! Logs, traces, the list of metric names, health
