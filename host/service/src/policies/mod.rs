//! Policies: a name for a plugin's digest and a configuration.

mod change;
mod create;
mod delete;
mod shadow;
mod versions;

use serde_json::Value;
use velum_model::{
    Name,
    plugin::{Digest, Fallback, PolicyShadow},
    shadow::ShadowCounts,
};

use crate::error::ServiceError;

/// A policy to be made. Configuration and component are tried once before anything is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPolicy {
    /// Unique.
    pub name: Name,
    /// Which component.
    pub plugin: PluginChoice,
    /// Checked against the plugin's schema.
    pub config: Value,
    /// What happens when it fails.
    pub fallback: Fallback,
}

/// What is to change of a policy; none = stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangePolicy {
    /// Another name.
    pub name: Option<Name>,
    /// Another component.
    pub plugin: Option<PluginChoice>,
    /// Another configuration.
    pub config: Option<Value>,
    /// Another fallback.
    pub fallback: Option<Fallback>,
}

/// What the server's own way to choose is called wherever a policy's name stands.
const BUILT_IN: &str = "built-in";

/// A policy is not called as the server's own is: nobody could say which is meant.
fn check_name(name: &Name) -> Result<(), ServiceError> {
    if name.as_str() == BUILT_IN {
        let problem = "is what the server's own policy is called";
        return Err(ServiceError::invalid("/name", problem, "choose another name"));
    }
    Ok(())
}

/// A shadow to be begun.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewShadow {
    /// Which component; none = the policy's own.
    pub plugin: Option<PluginChoice>,
    /// Its configuration; none = the policy's own.
    pub config: Option<Value>,
}

/// A shadow, and what was seen of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShadowReport {
    /// The shadow.
    pub shadow: PolicyShadow,
    /// What was counted, over all zones and servers.
    pub counts: ShadowCounts,
}

/// Which installed plugin is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginChoice {
    /// This very component.
    Digest(Digest),
    /// The newest installed one of this name.
    Newest(Name),
}
