//! What plugins are granted: the log for all, connectors by `[capabilities]` and the target of each call.

pub mod log;
