//! Zones.

mod change;
mod create;
mod delete;

use velum_model::{Name, id::PolicyId, infrastructure::ZoneAccess};

/// A zone to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewZone {
    /// Unique.
    pub name: Name,
    /// Who may use it.
    pub access: ZoneAccess,
    /// Policy that ranks compute hosts; none = the built-in one.
    pub policy: Option<PolicyId>,
    /// Policy that ranks storage pools; none = the built-in one.
    pub pool_policy: Option<PolicyId>,
}

/// What is to change of a zone; none = stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeZone {
    /// Another name.
    pub name: Option<Name>,
    /// Who may use it.
    pub access: Option<ZoneAccess>,
    /// Another policy, or (inner none) the built-in one.
    pub policy: Option<Option<PolicyId>>,
    /// Another pool policy, or (inner none) the built-in one.
    pub pool_policy: Option<Option<PolicyId>>,
}
