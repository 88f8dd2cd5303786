//! Who reaches a volume: one writer, but for the moment in which a guest moves.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    compute::initiator_of,
    refusal::{Refused, code},
    storage::identity,
    work::{Action, Plan},
    world::{Disk, Order, World},
};

/// Attachment kind of the simulated far side.
const ATTACH_SIMULATED: u16 = 0x8001;
/// Modes of a consumer.
const MODE_RO: u16 = 2;
const MODE_RW_MOVING: u16 = 3;
const MODE_LAST: u16 = 4;
/// A host's access to a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The host behind the initiator.
    pub host: String,
    /// 1 writes, 2 reads, 3 writes beside another while a guest moves, 4 the mover.
    pub mode: u16,
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

impl World {
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
