//! Rows that steps read, and the targets that they make of them.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use velum_model::{
    fault::{Fault, code},
    id::*,
    infrastructure::{ComputeHost, ImageStore, ImageStorePlace, Network, Nic, StoragePool},
    instance::{Instance, Run},
    operation::Subject,
    port::{
        TargetKind,
        hypervisor::{HypervisorDriver, RunHandle},
        image::ImageStore as ImageStorePort,
        node::Node,
        plugins::PluginRefused,
        storage::{Attachment, StorageProvider},
        target::Target,
    },
    storage::{Layer, Template, Volume},
    tenancy::Scope,
};

use crate::step::{Cx, StepError};

/// Rows that were read while an operation is driven: until it waits or ends, a few seconds. Only what its steps may see
/// as it was a moment ago: hosts, pools and networks (where they are, not how full), and of the instance, its run, NICs and
/// published volumes what the operation's own lock keeps. Whatever failed is driven again with nothing remembered.
#[derive(Default)]
pub(crate) struct Seen {
    hosts: Mutex<HashMap<ComputeHostId, ComputeHost>>,
    pools: Mutex<HashMap<StoragePoolId, StoragePool>>,
    runs: Mutex<HashMap<RunId, Run>>,
    nics: Mutex<HashMap<InstanceId, Vec<(Nic, Network)>>>,
    instances: Mutex<HashMap<InstanceId, Instance>>,
    /// As they were ordered: what comes later of them (state, the backend's name) is not looked for here.
    ordered: Mutex<HashMap<VolumeId, Volume>>,
    /// Those that can be cloned. One that is removed after that refuses the volume that names it.
    layers: Mutex<HashMap<(StoragePoolId, TemplateId), Layer>>,
    /// Of runs, once all of their volumes are published.
    disks: Mutex<HashMap<RunId, Vec<(Volume, Attachment)>>>,
}

impl Seen {
    /// The volumes are not what they were.
    pub(crate) fn forget_volumes(&self) {
        self.ordered.lock().clear();
        self.disks.lock().clear();
    }
}

/// A compute host with its driver.
pub(crate) struct Host {
    pub(crate) row: ComputeHost,
    pub(crate) driver: Arc<dyn HypervisorDriver>,
}

/// A pool with its provider.
pub(crate) struct Pool {
    pub(crate) row: StoragePool,
    pub(crate) provider: Arc<dyn StorageProvider>,
}

impl Host {
    pub(crate) fn target(&self) -> Target {
        Target {
            kind: TargetKind::ComputeHost,
            id: self.row.id.uuid(),
            config: self.row.config.clone(),
            node: self.row.node.clone(),
            endpoint: self.row.endpoint.clone(),
            secret: None,
        }
    }
}

impl Pool {
    pub(crate) fn target(&self) -> Target {
        Target {
            kind: TargetKind::StoragePool,
            id: self.row.id.uuid(),
            config: self.row.config.clone(),
            node: self.row.node.clone(),
            endpoint: self.row.endpoint.clone(),
            secret: self.row.credential.clone(),
        }
    }

    pub(crate) fn has_feature(&self, feature: u16) -> bool {
        self.row.abilities.features.contains(&feature)
    }
}

/// A plugin that is not loaded may be so in a moment (another server installs it): try again.
pub(crate) fn not_loaded(refused: &PluginRefused) -> Fault {
    Fault::unchanged(code::UNAVAILABLE, refused.to_string())
}

impl Cx<'_> {
    /// The instance that the operation is about.
    pub(crate) fn instance_id(&self) -> Result<InstanceId, StepError> {
        match self.operation.subject {
            Subject::Instance(id) => Ok(id),
            other => Err(StepError::missing("the instance of", other.uuid())),
        }
    }

    /// The volume that the operation is about.
    pub(crate) fn volume_id(&self) -> Result<VolumeId, StepError> {
        match self.operation.subject {
            Subject::Volume(id) => Ok(id),
            other => Err(StepError::missing("the volume of", other.uuid())),
        }
    }

    /// The template that the operation is about.
    pub(crate) fn template_id(&self) -> Result<TemplateId, StepError> {
        match self.operation.subject {
            Subject::Template(id) => Ok(id),
            other => Err(StepError::missing("the template of", other.uuid())),
        }
    }

    /// What an instance is made like. Its state, run and generation may be older than its row.
    pub(crate) async fn instance(&self, id: InstanceId) -> Result<Instance, StepError> {
        let seen = self.seen.instances.lock().get(&id).cloned();
        if let Some(instance) = seen {
            return Ok(instance);
        }
        let found = self.engine.parts.store.read().instance(Scope::All, id).await?;
        let instance = found.ok_or_else(|| StepError::missing("instance", id))?;
        self.seen.instances.lock().insert(id, instance.clone());
        Ok(instance)
    }

    /// The volumes of a run by slot, each with how it is reached.
    pub(crate) async fn disks(&self, run: &Run) -> Result<Vec<(Volume, Attachment)>, StepError> {
        let seen = self.seen.disks.lock().get(&run.id).cloned();
        if let Some(disks) = seen {
            return Ok(disks);
        }
        let reader = self.engine.parts.store.read();
        let mut attachments: HashMap<VolumeId, Attachment> = reader
            .publications_of(run.id)
            .await?
            .into_iter()
            .filter_map(|p| Some((p.volume, p.attachment?)))
            .collect();
        let mut disks = Vec::new();
        for volume in reader.volumes_of(run.instance).await? {
            let attachment = attachments.remove(&volume.id);
            let attachment =
                attachment.ok_or_else(|| StepError::missing("the attachment of volume", volume.id))?;
            disks.push((volume, attachment));
        }
        self.seen.disks.lock().insert(run.id, disks.clone());
        Ok(disks)
    }

    /// A run that is there: where it is and what it claims. What was observed of it may be older than its row.
    pub(crate) async fn run(&self, id: RunId) -> Result<Run, StepError> {
        let seen = self.seen.runs.lock().get(&id).cloned();
        if let Some(run) = seen {
            return Ok(run);
        }
        let run = self.find_run(id).await?;
        let run = run.ok_or_else(|| StepError::missing("run", id))?;
        self.seen.runs.lock().insert(id, run.clone());
        Ok(run)
    }

    /// The NICs of an instance with their networks, by slot.
    pub(crate) async fn nics(&self, instance: InstanceId) -> Result<Vec<(Nic, Network)>, StepError> {
        let seen = self.seen.nics.lock().get(&instance).cloned();
        if let Some(nics) = seen {
            return Ok(nics);
        }
        let reader = self.engine.parts.store.read();
        let mut nics = Vec::new();
        for nic in reader.nics_of(instance).await? {
            let network = reader.network(Scope::All, nic.network).await?;
            let network = network.ok_or_else(|| StepError::missing("network", nic.network))?;
            nics.push((nic, network));
        }
        self.seen.nics.lock().insert(instance, nics.clone());
        Ok(nics)
    }

    pub(crate) async fn find_run(&self, id: RunId) -> Result<Option<Run>, StepError> {
        Ok(self.engine.parts.store.read().run(id).await?)
    }

    pub(crate) async fn volume(&self, id: VolumeId) -> Result<Volume, StepError> {
        self.find_volume(id)
            .await?
            .ok_or_else(|| StepError::missing("volume", id))
    }

    /// A volume as it was ordered: its pool, its size. Its state and the backend's name may be older than its row.
    pub(crate) async fn ordered_volume(&self, id: VolumeId) -> Result<Volume, StepError> {
        let seen = self.seen.ordered.lock().get(&id).cloned();
        if let Some(volume) = seen {
            return Ok(volume);
        }
        let volume = self.volume(id).await?;
        self.seen.ordered.lock().insert(id, volume.clone());
        Ok(volume)
    }

    /// What a pool has of a template: its accept made the row.
    pub(crate) async fn layer_of(
        &self,
        pool: StoragePoolId,
        template: TemplateId,
    ) -> Result<Layer, StepError> {
        let seen = self.seen.layers.lock().get(&(pool, template)).cloned();
        if let Some(layer) = seen {
            return Ok(layer);
        }
        let found = self.engine.parts.store.read().layer_of(pool, template).await?;
        let layer = found.ok_or_else(|| StepError::missing("the layer of template", template))?;
        if layer.ready {
            self.seen.layers.lock().insert((pool, template), layer.clone());
        }
        Ok(layer)
    }

    pub(crate) async fn find_volume(&self, id: VolumeId) -> Result<Option<Volume>, StepError> {
        Ok(self.engine.parts.store.read().volume(Scope::All, id).await?)
    }

    pub(crate) async fn template(&self, id: TemplateId) -> Result<Template, StepError> {
        let found = self.engine.parts.store.read().template(Scope::All, id).await?;
        found.ok_or_else(|| StepError::missing("template", id))
    }

    pub(crate) async fn host(&self, id: ComputeHostId) -> Result<Host, StepError> {
        let seen = self.seen.hosts.lock().get(&id).cloned();
        let row = match seen {
            Some(row) => row,
            None => {
                let found = self.engine.parts.store.read().compute_host(id).await?;
                let row = found.ok_or_else(|| StepError::missing("compute host", id))?;
                let row = self.as_it_began_with(row).await?;
                self.seen.hosts.lock().insert(id, row.clone());
                row
            }
        };
        let driver = self
            .engine
            .parts
            .plugins
            .hypervisor(&row.driver)
            .map_err(|refused| not_loaded(&refused))?;
        Ok(Host { row, driver })
    }

    pub(crate) async fn pool(&self, id: StoragePoolId) -> Result<Pool, StepError> {
        let seen = self.seen.pools.lock().get(&id).cloned();
        let row = match seen {
            Some(row) => row,
            None => {
                let found = self.engine.parts.store.read().storage_pool(id).await?;
                let row = found.ok_or_else(|| StepError::missing("storage pool", id))?;
                let row = self.pool_as_it_began_with(row).await?;
                self.seen.pools.lock().insert(id, row.clone());
                row
            }
        };
        let provider = self
            .engine
            .parts
            .plugins
            .storage(&row.provider)
            .map_err(|refused| not_loaded(&refused))?;
        Ok(Pool { row, provider })
    }

    /// A compute host with the driver that the operation began with: another version may have taken its place since.
    async fn as_it_began_with(&self, mut row: ComputeHost) -> Result<ComputeHost, StepError> {
        let accepted = self.operation.created_at;
        if row.driven_since.is_some_and(|since| accepted < since) {
            let reader = self.engine.parts.store.read();
            let before = reader.driven_by_at(row.id.uuid(), accepted).await?;
            row.driver = before.unwrap_or(row.driver);
        }
        Ok(row)
    }

    /// The same of a pool and its provider.
    async fn pool_as_it_began_with(&self, mut row: StoragePool) -> Result<StoragePool, StepError> {
        let accepted = self.operation.created_at;
        if row.driven_since.is_some_and(|since| accepted < since) {
            let reader = self.engine.parts.store.read();
            let before = reader.driven_by_at(row.id.uuid(), accepted).await?;
            row.provider = before.unwrap_or(row.provider);
        }
        Ok(row)
    }

    /// The node of a compute host; none where there is none.
    pub(crate) fn node(&self, address: Option<&String>) -> Result<Option<Arc<dyn Node>>, StepError> {
        address
            .map(|address| self.engine.parts.nodes.node(address).map_err(StepError::from))
            .transpose()
    }

    pub(crate) async fn image_store(&self, id: ImageStoreId) -> Result<Arc<dyn ImageStorePort>, StepError> {
        let found = self.engine.parts.store.read().image_store(id).await?;
        let ImageStore { place, .. } = found.ok_or_else(|| StepError::missing("image store", id))?;
        let store = match place {
            ImageStorePlace::Directory { node, directory } => {
                self.engine.parts.nodes.directory_store(&node, &directory)?
            }
            ImageStorePlace::Http { endpoint } => self.engine.parts.nodes.http_store(&endpoint)?,
        };
        Ok(store)
    }
}

/// A run as drivers know it.
pub(crate) const fn handle(run: &Run) -> RunHandle {
    RunHandle {
        id: run.id,
        generation: run.generation,
    }
}
