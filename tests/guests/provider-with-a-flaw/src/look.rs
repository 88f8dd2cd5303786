//! What is seen of a pool.

use velum_guest::provider::{Space, Volume, VolumeInfo, VolumePage, code};

use crate::{
    CAPACITY, GRANULARITY,
    world::{Pool, Row},
};

/// Volumes on a page: few, so that a suite of five sees pages.
const PAGE: usize = 2;

pub fn used(pool: &Pool) -> u64 {
    let sizes = pool.world.volumes.values().map(|row| row.size_bytes);
    sizes.fold(pool.world.lost_bytes, u64::saturating_add)
}

pub fn space(pool: &Pool) -> Space {
    let free = CAPACITY.saturating_sub(used(pool));
    Space {
        capacity_bytes: CAPACITY,
        free_bytes: if pool.has("probe-lies") {
            CAPACITY + 1
        } else {
            free
        },
        attrs: Vec::new(),
    }
}

fn info(pool: &Pool, id: &str, row: &Row) -> VolumeInfo {
    let parent = row
        .parent
        .as_ref()
        .and_then(|parent| pool.world.volumes.get(parent));
    VolumeInfo {
        volume: Volume {
            id: id.to_owned(),
            backend_id: row.backend.clone(),
        },
        size_bytes: if pool.has("size-lies") {
            row.size_bytes - GRANULARITY
        } else {
            row.size_bytes
        },
        allocated_bytes: None,
        parent: parent
            .filter(|_| !pool.has("hides-parents"))
            .map(|parent| parent.backend.clone()),
        state: code::STATE_READY,
        published: row.published.iter().map(|(node, _)| node.clone()).collect(),
        attrs: Vec::new(),
    }
}

pub fn find(pool: &Pool, id: &str) -> Option<VolumeInfo> {
    match pool.world.volumes.get(id) {
        Some(_) if pool.has("find-misses") => None,
        Some(row) if !row.is_left => Some(info(pool, id, row)),
        None if pool.has("find-invents") => {
            let other = pool.world.volumes.values().next()?;
            Some(info(pool, id, other))
        }
        _ => None,
    }
}

pub fn observe(pool: &Pool, after: Option<&str>) -> VolumePage {
    let repeats = pool.has("page-repeats");
    let ids: Vec<&String> = pool
        .world
        .volumes
        .keys()
        .filter(|id| after.is_none_or(|after| id.as_str() > after || (repeats && *id == after)))
        .collect();
    let at = if pool.has("page-loses") { PAGE } else { PAGE - 1 };
    let next = ids.get(at).filter(|_| ids.len() > PAGE).map(|id| (*id).clone());
    let volumes = ids.iter().take(PAGE).filter_map(|id| {
        let row = pool.world.volumes.get(*id)?;
        let mut seen = info(pool, id, row);
        if pool.has("observe-lies") {
            seen.size_bytes += GRANULARITY;
        }
        Some(seen)
    });
    VolumePage {
        volumes: volumes.collect(),
        complete: true,
        next,
    }
}
