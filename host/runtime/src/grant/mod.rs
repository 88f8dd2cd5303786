//! What plugins are granted: the log for all, connectors by `[capabilities]` and the target of each call.

pub mod files;
pub mod http;
pub mod libvirt;
pub mod log;
pub mod secrets;
pub mod state;
