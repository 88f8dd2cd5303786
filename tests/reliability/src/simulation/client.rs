//! The clients of a seed: what they ask for, by chance, of a server that may have been overtaken.

use std::cell::Cell;

use velum_model::{
    id::*,
    instance::{Instance, InstanceState},
    storage::{Volume, VolumeState, VolumeUse},
    tenancy::Scope,
};
use velum_service::{Accepted, Answered, ServiceError};
use velum_store::{InstanceFilter, VolumeFilter, block_on};

use super::storm::Storm;
use crate::{
    ground::{Ground, administrator, new_instance, new_volume},
    leave::ALL,
    server::Server,
};

/// Whoever asks.
pub(super) struct Client<'p> {
    pub(super) server: &'p Server,
    pub(super) ground: &'p Ground,
    pub(super) storm: &'p Storm,
    /// The instance that was asked about last: half of what is asked next is about it too, so that requests meet.
    pub(super) latest: &'p Cell<Option<InstanceId>>,
}

/// What was asked for, and the operation or the refusal.
pub(super) type Told = Result<(&'static str, OperationId), String>;

fn told<T>(what: &'static str, answered: Result<Answered<Accepted<T>>, ServiceError>) -> Told {
    match answered {
        Ok(Answered::Fresh(accepted)) => Ok((what, accepted.operation)),
        Ok(Answered::Replayed(_)) => Err("replayed".into()),
        Err(error) => Err(format!("{what}: {error}")),
    }
}

impl Client<'_> {
    /// One request that may make sense.
    pub(super) fn ask(&self, number: u64) -> anyhow::Result<Told> {
        let reader = self.server.store.read();
        let instances = block_on(reader.instances(Scope::All, &InstanceFilter::default(), ALL));
        let volumes = block_on(reader.volumes(Scope::All, &VolumeFilter::default(), ALL));
        let (Ok(instances), Ok(volumes)) = (instances, volumes) else {
            return Ok(Err("cannot be read".into()));
        };
        let (instances, volumes) = (instances.items, volumes.items);
        let data: Vec<_> = volumes
            .iter()
            .filter(|v| v.used_as == VolumeUse::Data && v.state == VolumeState::Ready)
            .collect();
        let instance = self.choose(&instances);
        let volume = data.get(self.one_of(data.len())).copied();
        match (self.storm.below(12), instance, volume) {
            (0..=2, ..) => self.create(number),
            (3, ..) => self.make_volume(number),
            (4, _, Some(volume)) => Ok(self.loosen(volume)),
            (5..=6, Some(instance), Some(volume)) => Ok(self.attach(volume, instance)),
            (7..=8, Some(instance), _) => Ok(self.destroy(instance)),
            (9, Some(instance), _) => Ok(self.reboot(instance)),
            (_, Some(instance), _) => Ok(self.toggle(instance)),
            _ => Ok(Err("nothing to ask for".into())),
        }
    }

    fn one_of(&self, count: usize) -> usize {
        usize::try_from(self.storm.below(count.max(1) as u64)).unwrap_or_default()
    }

    fn choose<'i>(&self, instances: &'i [Instance]) -> Option<&'i Instance> {
        let again = instances.iter().find(|i| Some(i.id) == self.latest.get());
        let chosen = match again {
            Some(again) if self.storm.below(2) == 0 => Some(again),
            _ => instances.get(self.one_of(instances.len())),
        };
        self.latest.set(chosen.map(|instance| instance.id));
        chosen
    }

    fn create(&self, number: u64) -> anyhow::Result<Told> {
        let things = &self.ground.things;
        let template = match self.storm.below(2) {
            0 => things.template,
            _ => things.cold_template,
        };
        let new = new_instance(things, &format!("i-{number}"), template)?;
        let made = block_on(self.server.services.instance_create(&administrator(), new, None));
        if let Ok(Answered::Fresh(accepted)) = &made {
            self.latest.set(Some(accepted.resource.instance.id));
        }
        Ok(told("create", made))
    }

    fn make_volume(&self, number: u64) -> anyhow::Result<Told> {
        let new = new_volume(&self.ground.things, &format!("v-{number}"))?;
        let made = block_on(self.server.services.volume_create(&administrator(), new, None));
        Ok(told("volume", made))
    }

    /// Takes it out, or away.
    fn loosen(&self, volume: &Volume) -> Told {
        let (services, caller) = (&self.server.services, administrator());
        if volume.attachment.is_some() {
            told(
                "detach",
                block_on(services.volume_detach(&caller, volume.id, None)),
            )
        } else {
            told(
                "delete",
                block_on(services.volume_delete(&caller, volume.id, None, None)),
            )
        }
    }

    fn attach(&self, volume: &Volume, instance: &Instance) -> Told {
        let caller = administrator();
        let attached = self
            .server
            .services
            .volume_attach(&caller, volume.id, instance.id, None);
        told("attach", block_on(attached))
    }

    fn destroy(&self, instance: &Instance) -> Told {
        let caller = administrator();
        let destroyed = self
            .server
            .services
            .instance_destroy(&caller, instance.id, None, None);
        told("destroy", block_on(destroyed))
    }

    fn reboot(&self, instance: &Instance) -> Told {
        let caller = administrator();
        let rebooted = self
            .server
            .services
            .instance_reboot(&caller, instance.id, false, None);
        told("reboot", block_on(rebooted))
    }

    /// Off if it is on, on if it is off.
    fn toggle(&self, instance: &Instance) -> Told {
        let (services, caller) = (&self.server.services, administrator());
        if instance.state == InstanceState::Stopped {
            told(
                "start",
                block_on(services.instance_start(&caller, instance.id, None)),
            )
        } else {
            told(
                "stop",
                block_on(services.instance_stop(&caller, instance.id, 2_000, None)),
            )
        }
    }
}
