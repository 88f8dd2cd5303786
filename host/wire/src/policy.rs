//! Policies: a name for a plugin and its configuration.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// What is done when a policy traps, runs out of fuel or answers nonsense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// The built-in policy decides, and the decision says so.
    #[default]
    BuiltIn,
    /// The request is refused.
    Refuse,
}

/// A name for a plugin's digest and a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    /// Its id.
    pub id: Uuid,
    /// Unique.
    pub name: String,
    /// Which component.
    pub digest: String,
    /// Its configuration.
    #[schema(value_type = Object)]
    pub config: Value,
    /// What is done when it fails.
    pub fallback: Fallback,
    /// Grows with every change; the ETag. Decisions name the one that they were made under.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A policy to make.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePolicyBody {
    /// Unique.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// Which component: the digest of an installed placement policy. Instead of `plugin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    pub digest: Option<String>,
    /// Which component: the newest installed one of this name. Instead of `digest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", example = "placement-best-fit")]
    pub plugin: Option<String>,
    /// Its configuration, checked against the plugin's schema.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub config: Value,
    /// What is done when it fails; the built-in policy decides unless said otherwise.
    #[serde(default)]
    #[schema(inline)]
    pub fallback: Fallback,
}

/// What is to change of a policy; what is absent stays. The next decision is made under it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdatePolicyBody {
    /// Unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: Option<String>,
    /// Another component, by digest. Instead of `plugin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    pub digest: Option<String>,
    /// Another component: the newest installed one of this name. Instead of `digest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub plugin: Option<String>,
    /// Its configuration, checked against the plugin's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<Value>,
    /// What is done when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}
