//! Who owns what. Today one project is built in and one kind of caller, the administrator; every tenant's row already
//! carries its project and every read a scope.

use uuid::Uuid;

use crate::id::{ProjectId, TokenId};

/// The project that exists from the first migration on.
pub const BUILT_IN_PROJECT: ProjectId = ProjectId::from_uuid(Uuid::from_u128(1));

/// What a caller may see. Every store call that reads or changes a tenant's row takes one; a foreign id is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything: the administrator and the server itself.
    All,
    /// The rows of one project.
    Project(ProjectId),
}

impl Scope {
    /// Whether a row of `owner` may be seen.
    #[must_use]
    pub fn sees(self, owner: ProjectId) -> bool {
        match self {
            Self::All => true,
            Self::Project(own) => own == owner,
        }
    }

    /// The project that what this caller makes belongs to.
    #[must_use]
    pub const fn project(self) -> ProjectId {
        match self {
            Self::All => BUILT_IN_PROJECT,
            Self::Project(own) => own,
        }
    }
}

/// Who is asking, established once at the border.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The token that was shown.
    pub token: TokenId,
    /// Its name, for events.
    pub name: String,
    /// What it may see.
    pub scope: Scope,
}
