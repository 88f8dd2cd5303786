//! Storage arrays: pools, volumes, who reaches them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    compute::{PAGE_MAX, initiator_of},
    refusal::{Refused, code},
    work::{Action, Plan},
    world::{Disk, Order, World},
};

/// Sizes are multiples of this, and the smallest volume has it: what arrays commonly allocate in.
pub const GRANULARITY_BYTES: u64 = 1 << 20;
/// Attachment kind of the simulated far side.
const ATTACH_SIMULATED: u16 = 0x8001;
/// Modes of a consumer.
const MODE_RO: u16 = 2;
const MODE_RW_MOVING: u16 = 3;
const MODE_LAST: u16 = 4;
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

/// A host's access to a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The host behind the initiator.
    pub host: String,
    /// 1 writes, 2 reads, 3 writes beside another while a guest moves, 4 the mover.
    pub mode: u16,
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

/// How a host names itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initiator {
    /// 1 IQN.
    pub kind: u16,
    /// The name.
    pub value: String,
}

/// Who is to reach a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// Its names.
    pub initiators: Vec<Initiator>,
    /// See [`Publication::mode`].
    pub mode: u16,
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
    fn pool(&self, name: &str) -> Result<&Pool, Refused> {
        self.pools
            .get(name)
            .ok_or_else(|| Refused::not_found(format_args!("pool {name}")))
    }

    fn volume(&self, pool: &str, id: Uuid) -> Result<&Volume, Refused> {
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
            .take(usize::MAX, |job| job.plan.action.concerns_volume(id));
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

    /// Lets a host reach a volume.
    ///
    /// # Errors
    /// `BUSY` for a second writer; `INVALID` when no initiator is a host's of this pool's zone.
    pub fn publish(
        &mut self,
        order: &Order,
        at: (&str, Uuid),
        node: Uuid,
        to: &Consumer,
    ) -> Result<Plan, Refused> {
        let (pool, id) = at;
        let volume = self.volume(pool, id)?;
        let host = self.host_behind(pool, to)?;
        if !volume.is_ready || to.mode == 0 || to.mode > MODE_LAST {
            return Err(Refused::invalid("the volume is not ready or the mode not known"));
        }
        let to = Publication { host, mode: to.mode };
        if volume.publications.get(&node) == Some(&to) {
            return Ok(Plan::of(Action::Nothing));
        }
        let writer =
            |(other, publication): &(&Uuid, &Publication)| **other != node && publication.mode != MODE_RO;
        let other = volume
            .publications
            .iter()
            .find(writer)
            .map(|(_, publication)| publication.host.clone());
        if let Some(other) = other.filter(|_| !matches!(to.mode, MODE_RO | MODE_RW_MOVING)) {
            let detail = format!("volume {id} is written by {other}, {} wants to write it", to.host);
            self.violate("double-writer", order.verb, &order.place, &detail);
            return Err(Refused::unchanged(code::BUSY, detail));
        }
        Ok(Plan::of(Action::Published { volume: id, node, to }))
    }

    fn host_behind(&self, pool: &str, consumer: &Consumer) -> Result<String, Refused> {
        let zone = &self.pool(pool)?.zone;
        let name = consumer.initiators.iter().find_map(|initiator| {
            let name = initiator.value.rsplit(':').next()?;
            let host = self.hosts.get(name)?;
            (initiator.value == initiator_of(name) && host.zone == *zone).then(|| name.to_owned())
        });
        name.ok_or_else(|| Refused::invalid(format!("no initiator is one of a host in {zone}")))
    }

    /// Ends a host's access.
    ///
    /// # Errors
    /// `BUSY` while a run there uses it.
    pub fn unpublish(&mut self, order: &Order, pool: &str, id: Uuid, node: Uuid) -> Result<Plan, Refused> {
        self.pool(pool)?;
        let Ok(volume) = self.volume(pool, id) else {
            return Ok(Plan::of(Action::Nothing));
        };
        let Some(publication) = volume.publications.get(&node) else {
            return Ok(Plan::of(Action::Nothing));
        };
        if let Some(run) = self.user_of(&publication.host, id) {
            let detail = format!("run {run} on {} uses volume {id}", publication.host);
            self.violate("unpublish-in-use", order.verb, &order.place, &detail);
            return Err(Refused::unchanged(code::BUSY, detail));
        }
        Ok(Plan::of(Action::Unpublished { volume: id, node }))
    }

    /// How a node reaches a volume.
    ///
    /// # Errors
    /// `NOT_FOUND` when it does not.
    pub fn reached_by(&self, pool: &str, id: Uuid, node: Uuid) -> Result<Value, Refused> {
        let volume = self.volume(pool, id)?;
        if !volume.publications.contains_key(&node) {
            return Err(Refused::not_found(format_args!("publication of {id} to {node}")));
        }
        Ok(json!({
            "kind": ATTACH_SIMULATED, "format": volume.made_from.format, "identity": identity(id),
            "size_bytes": volume.size_bytes, "params": [],
        }))
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
        Ok(json!({"volumes": volumes, "complete": next.is_none(), "next": next}))
    }

    /// Whether a host reaches a disk as it is described.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn reach(&self, host: &str, disk: &Disk) -> Result<(), String> {
        let id = disk.volume;
        let volume = self
            .volumes
            .get(&id)
            .ok_or_else(|| format!("there is no volume {id}"))?;
        if disk.identity != identity(id) {
            return Err(format!(
                "the identity of volume {id} is {}, not {}",
                identity(id),
                disk.identity
            ));
        }
        let publication = volume
            .publications
            .values()
            .find(|publication| publication.host == host);
        match publication {
            None => Err(format!("volume {id} is not published to {host}")),
            Some(publication) if publication.mode == MODE_RO && !disk.readonly => {
                Err(format!("volume {id} is published to {host} for reading only"))
            }
            Some(_) => Ok(()),
        }
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

    /// A node reaches the volume.
    pub fn connect(&mut self, id: Uuid, node: Uuid, to: Publication) {
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.publications.insert(node, to);
        }
    }

    /// It does not.
    pub fn disconnect(&mut self, id: Uuid, node: Uuid) {
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.publications.remove(&node);
        }
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
