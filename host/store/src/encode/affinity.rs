//! Rows of the statements in `sql/affinity.rs`.

use super::{Keyed, hex, row};
use crate::{commit::Change, db::word};

pub(crate) fn insert_group(change: &Change) -> Keyed {
    let Change::InsertAffinityGroup(group) = change else {
        return None;
    };
    let row = row!({
        "id": hex(group.id), "zone": hex(group.zone), "project": hex(group.project), "name": group.name,
        "description": group.description, "kind": word(&group.kind), "strength": word(&group.strength),
        "level": word(&group.level), "generation": group.generation, "created_at": group.created_at,
    });
    Some((group.id.uuid(), row))
}

pub(crate) fn update_group(change: &Change) -> Keyed {
    let Change::UpdateAffinityGroup(group) = change else {
        return None;
    };
    let row = row!({
        "id": hex(group.id), "generation": group.generation, "name": group.name,
        "description": group.description,
    });
    Some((group.id.uuid(), row))
}
