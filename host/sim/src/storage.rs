//! Storage arrays: pools, volumes, who reaches them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    compute::PAGE_MAX,
    publication::Publication,
    refusal::{Refused, code},
    work::{Action, Plan},
    world::{Order, World},
};

/// Sizes are multiples of this, and the smallest volume has it: what arrays commonly allocate in.
pub const GRANULARITY_BYTES: u64 = 1 << 20;
/// Kinds of a source.
const SOURCE_BLANK: u16 = 0;
const SOURCE_VOLUME: u16 = 2;
const SOURCE_LAYER: u16 = 3;
const SOURCE_IMAGE: u16 = 4;

/// A storage array.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pool {
    /// Its zone.
    pub zone: String,
    /// Its room.
    pub capacity_bytes: u64,
    /// The sum of its volumes' sizes.
    pub used_bytes: u64,
}

impl Pool {
    /// An empty one.
    #[must_use]
    pub const fn new(zone: String, capacity_bytes: u64) -> Self {
        Self {
            zone,
            capacity_bytes,
            used_bytes: 0,
        }
    }
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its pool.
    pub pool: String,
    /// What it was made from, to compare a second request with.
    pub made_from: NewVolume,
    /// Its size now.
    pub size_bytes: u64,
    /// The volume that it is a clone of.
    pub parent: Option<Uuid>,
    /// Whether it can be used.
    pub is_ready: bool,
    /// Who reaches it.
    pub publications: BTreeMap<Uuid, Publication>,
}

/// A volume by both its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// The caller's.
    pub id: Uuid,
    /// Ours.
    pub backend_id: String,
}

/// What a volume begins as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// 0 blank, 2 volume, 3 layer, 4 image.
    pub kind: u16,
    /// What it is cloned from.
    #[serde(default)]
    pub of: Option<Names>,
}

/// A volume to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewVolume {
    /// Its size.
    pub size_bytes: u64,
    /// 1 raw, 2 qcow2.
    pub format: u16,
    /// What it begins as.
    pub source: Source,
    /// Reference of the image.
    #[serde(default)]
    pub image: Option<String>,
}

/// Our name of a volume.
#[must_use]
pub fn backend_id(volume: Uuid) -> String {
    format!("sv-{}", volume.simple())
}

/// The identity that a device of a volume shows.
#[must_use]
pub fn identity(volume: Uuid) -> String {
    format!("sim-{volume}")
}

impl World {
    pub(crate) fn pool(&self, name: &str) -> Result<&Pool, Refused> {
        self.pools
            .get(name)
            .ok_or_else(|| Refused::not_found(format_args!("pool {name}")))
    }

    pub(crate) fn volume(&self, pool: &str, id: Uuid) -> Result<&Volume, Refused> {
        self.pool(pool)?;
        self.volumes
            .get(&id)
            .filter(|volume| volume.pool == pool)
            .ok_or_else(|| Refused::not_found(format_args!("volume {id} in {pool}")))
    }

    /// What a pool is, and its space.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub fn space(&self, name: &str) -> Result<Value, Refused> {
        let pool = self.pool(name)?;
        Ok(json!({
            "pool": name, "zone": pool.zone, "capacity_bytes": pool.capacity_bytes,
            "free_bytes": pool.capacity_bytes.saturating_sub(pool.used_bytes),
            "granularity_bytes": GRANULARITY_BYTES, "min_bytes": GRANULARITY_BYTES,
            "max_bytes": pool.capacity_bytes, "max_volumes": 0,
        }))
    }

    /// Begins to make a volume; takes its room.
    ///
    /// # Errors
    /// `INVALID`, `EXISTS_DIFFERENT`, `EXHAUSTED`, `NOT_FOUND` of its source.
    pub fn create(&mut self, order: &Order, pool: &str, id: Uuid, new: NewVolume) -> Result<Plan, Refused> {
        self.pool(pool)?;
        let answer = json!({"backend_id": backend_id(id)});
        if let Some(known) = self.volumes.get(&id) {
            if known.pool != pool || known.made_from != new {
                let detail = format!("volume {id} was made otherwise, in {}", known.pool);
                return Err(Refused::unchanged(code::EXISTS_DIFFERENT, detail));
            }
            let action = if known.is_ready {
                Action::Nothing
            } else {
                Action::Created { volume: id }
            };
            return Ok(Plan { action, answer });
        }
        if new.size_bytes == 0
            || !new.size_bytes.is_multiple_of(GRANULARITY_BYTES)
            || !matches!(new.format, 1 | 2)
        {
            return Err(Refused::invalid(
                "the size is a multiple of 1 MiB, the format 1 or 2",
            ));
        }
        let parent = self.source_of(pool, &new)?;
        self.take_room(order, pool, new.size_bytes)?;
        let volume = Volume {
            pool: pool.to_owned(),
            size_bytes: new.size_bytes,
            made_from: new,
            parent,
            is_ready: false,
            publications: BTreeMap::new(),
        };
        self.volumes.insert(id, volume);
        let action = Action::Created { volume: id };
        Ok(Plan { action, answer })
    }

    /// Checks what a volume is made from; answers its parent.
    fn source_of(&self, pool: &str, new: &NewVolume) -> Result<Option<Uuid>, Refused> {
        let (parent, least) = match (new.source.kind, &new.source.of, &new.image) {
            (SOURCE_BLANK, None, None) => (None, 0),
            (SOURCE_VOLUME | SOURCE_LAYER, Some(of), None) => {
                let source = self.volume(pool, of.id)?;
                if !source.is_ready || backend_id(of.id) != of.backend_id {
                    return Err(Refused::not_found(format_args!(
                        "ready volume {} in {pool}",
                        of.backend_id
                    )));
                }
                (Some(of.id), source.size_bytes)
            }
            (SOURCE_IMAGE, None, Some(reference)) => (None, self.image_size(reference)?),
            _ => return Err(Refused::invalid("kind, of and image do not belong together")),
        };
        if new.size_bytes < least {
            return Err(Refused::invalid(format!(
                "the source has {least} bytes, the volume fewer"
            )));
        }
        Ok(parent)
    }

    fn take_room(&mut self, order: &Order, name: &str, bytes: u64) -> Result<(), Refused> {
        let Some(pool) = self.pools.get_mut(name) else {
            return Err(Refused::not_found(format_args!("pool {name}")));
        };
        let wanted = pool.used_bytes.saturating_add(bytes);
        if wanted <= pool.capacity_bytes {
            pool.used_bytes = wanted;
            return Ok(());
        }
        let detail = format!(
            "{name} would have to hold {wanted} of {} bytes",
            pool.capacity_bytes
        );
        self.violate("over-capacity", order.verb, &order.place, &detail);
        Err(Refused::unchanged(code::EXHAUSTED, detail))
    }

    fn give_room(&mut self, pool: &str, bytes: u64) {
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.used_bytes = pool.used_bytes.saturating_sub(bytes);
        }
    }

    /// Removes a volume that nobody reaches and that nothing is a clone of.
    ///
    /// # Errors
    /// `BUSY`.
    pub fn delete(&mut self, order: &Order, pool: &str, id: Uuid) -> Result<Plan, Refused> {
        self.pool(pool)?;
        let Ok(volume) = self.volume(pool, id) else {
            return Ok(Plan::of(Action::Nothing));
        };
        if let Some(publication) = volume.publications.values().next() {
            let detail = format!("volume {id} is published to {}", publication.host);
            self.violate("delete-in-use", order.verb, &order.place, &detail);
            return Err(Refused::unchanged(code::BUSY, detail));
        }
        if let Some((child, _)) = self.volumes.iter().find(|(_, other)| other.parent == Some(id)) {
            let detail = format!("volume {child} is a clone of {id}");
            return Err(Refused::unchanged(code::BUSY, detail));
        }
        let jobs = self
            .work
            .take_where(usize::MAX, |job| job.plan.action.concerns_volume(id));
        let was_being_made = jobs
            .iter()
            .any(|job| matches!(job.plan.action, Action::Created { .. }));
        self.abandon(jobs, "the volume is deleted");
        let action = if was_being_made {
            Action::Nothing
        } else {
            Action::Deleted { volume: id }
        };
        Ok(Plan::of(action))
    }

    /// Begins to make a volume larger; takes the room.
    ///
    /// # Errors
    /// `INVALID` for a smaller size, `EXHAUSTED`.
    pub fn expand(&mut self, order: &Order, pool: &str, id: Uuid, size_bytes: u64) -> Result<Plan, Refused> {
        let from = self.volume(pool, id)?.size_bytes;
        if size_bytes == from {
            return Ok(Plan::of(Action::Nothing));
        }
        if size_bytes < from || !size_bytes.is_multiple_of(GRANULARITY_BYTES) {
            return Err(Refused::invalid(format!(
                "a volume of {from} bytes grows by whole MiB"
            )));
        }
        self.take_room(order, pool, size_bytes - from)?;
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.size_bytes = size_bytes;
        }
        Ok(Plan::of(Action::Expanded { volume: id, from }))
    }

    /// What is known of a volume.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub fn find(&self, pool: &str, id: Uuid) -> Result<Value, Refused> {
        Ok(told(id, self.volume(pool, id)?))
    }

    /// A page of a pool's volumes.
    ///
    /// # Errors
    /// `NOT_FOUND` of the pool.
    pub fn volume_page(&self, pool: &str, after: Option<Uuid>, limit: usize) -> Result<Value, Refused> {
        self.pool(pool)?;
        let limit = limit.clamp(1, PAGE_MAX);
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let mut page: Vec<_> = self
            .volumes
            .range((from, std::ops::Bound::Unbounded))
            .filter(|(_, volume)| volume.pool == pool)
            .take(limit + 1)
            .collect();
        let has_more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| has_more).map(|(id, _)| **id);
        let volumes: Vec<Value> = page.iter().map(|(id, volume)| told(**id, volume)).collect();
        Ok(json!({"volumes": volumes, "complete": true, "next": next}))
    }

    /// The volume can be used.
    pub fn set_ready(&mut self, id: Uuid) {
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.is_ready = true;
        }
    }

    /// The volume is gone and its room free.
    pub fn forget_volume(&mut self, id: Uuid) {
        if let Some(volume) = self.volumes.remove(&id) {
            self.give_room(&volume.pool, volume.size_bytes);
        }
    }

    /// The volume did not grow after all.
    pub fn shrink_back(&mut self, id: Uuid, from: u64) {
        let Some(volume) = self.volumes.get_mut(&id) else {
            return;
        };
        let given_back = volume.size_bytes.saturating_sub(from);
        volume.size_bytes = from;
        let pool = volume.pool.clone();
        self.give_room(&pool, given_back);
    }
}

/// A volume as an observer is told of it.
#[must_use]
pub fn told(id: Uuid, volume: &Volume) -> Value {
    let published: Vec<&Uuid> = volume.publications.keys().collect();
    json!({
        "id": id, "backend_id": backend_id(id), "size_bytes": volume.size_bytes, "allocated_bytes": GRANULARITY_BYTES,
        "format": volume.made_from.format, "parent": volume.parent.map(backend_id),
        "state": if volume.is_ready { 1 } else { 2 }, "published": published, "identity": identity(id),
    })
}
