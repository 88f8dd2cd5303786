//! Who reaches a volume, and how.

use velum_guest::{
    codes::fault,
    common::{Attachment, Fault, Outcome},
    provider::{Consumer, code},
};

use crate::world::Pool;

pub fn publish(pool: &mut Pool, id: &str, to: &Consumer) -> Result<Outcome, Fault> {
    let (says_done, twice, one) = (
        pool.has("publish-says-done"),
        pool.has("publish-twice"),
        pool.has("one-node-only"),
    );
    let Some(row) = pool.world.volumes.get_mut(id) else {
        return Err(Fault::not_found("no such volume"));
    };
    let is_known = row.published.iter().any(|(node, _)| *node == to.node);
    let is_taken = row
        .published
        .iter()
        .any(|(node, mode)| *node != to.node && *mode != code::MODE_RO);
    let is_beside = matches!(to.mode, code::MODE_RO | code::MODE_RW_MOVING);
    if is_taken && !is_beside {
        return Err(Fault::unchanged(fault::BUSY, "another node writes it"));
    }
    if one {
        row.published.clear();
    }
    if (!is_known && !says_done) || twice {
        row.published.push((to.node.clone(), to.mode));
    }
    pool.save()?;
    Ok(Outcome::done())
}

pub fn unpublish(pool: &mut Pool, id: &str, node: &str) -> Result<Outcome, Fault> {
    let (leaves, refuses) = (pool.has("unpublish-leaves"), pool.has("unpublish-not-found"));
    let Some(row) = pool.world.volumes.get_mut(id) else {
        return Ok(Outcome::done());
    };
    let is_known = row.published.iter().any(|(known, _)| known == node);
    if !is_known && refuses {
        return Err(Fault::not_found("it is not published there"));
    }
    if !leaves {
        row.published.retain(|(known, _)| known != node);
    }
    pool.save()?;
    Ok(Outcome::done())
}

pub fn reached_by(pool: &Pool, id: &str, node: &str) -> Option<Attachment> {
    let row = pool.world.volumes.get(id)?;
    row.published.iter().find(|(known, _)| known == node)?;
    Some(Attachment {
        kind: code::ATTACH_SIMULATED,
        format: code::FORMAT_RAW,
        identity: if pool.has("one-identity") {
            "disk".to_owned()
        } else {
            format!("disk-{}-{}", pool.id, row.backend)
        },
        size_bytes: if pool.has("attachment-lies") {
            row.born_bytes
        } else {
            row.size_bytes
        },
        params: Vec::new(),
        secret: None,
    })
}
