//! Plugins.

mod delete;
mod install;
mod load;

pub use load::load_plugin;

/// A component to be installed.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPlugin {
    /// Its bytes.
    pub component: Vec<u8>,
    /// The text of its `plugin.toml`; none = a minimal one is derived.
    pub manifest: Option<String>,
}
