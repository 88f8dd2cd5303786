//! Chance and new identifiers, injected so that a run can be repeated.

use uuid::Uuid;

use crate::id::Id;

/// The source of identifiers and of chance. Tests hold a counting one.
pub trait Ids: Send + Sync {
    /// A UUID never given before, of version 7: ordered by time, so that new rows lie together.
    fn uuid(&self) -> Uuid;

    /// A seed for a decision or a jitter.
    fn seed(&self) -> u64;

    /// Bytes that nobody can guess: tokens, tickets.
    fn secret(&self) -> [u8; 32];
}

/// A new identifier of the kind that is asked for.
pub fn fresh<Of>(ids: &dyn Ids) -> Id<Of> {
    Id::from_uuid(ids.uuid())
}

/// The identity of an external effect or of a part: derived from its owner and its role, so that a step that is run
/// again names the same thing (law 5). UUID version 5 over the owner's id as name space.
#[must_use]
pub fn derived(owner: Uuid, role: &str) -> Uuid {
    Uuid::new_v5(&owner, role.as_bytes())
}
