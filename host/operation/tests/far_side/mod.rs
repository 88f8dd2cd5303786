//! A far side in memory behind the ports: a driver, a provider and an image store that keep what they were told, count
//! calls, and fail where a test says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;
use uuid::Uuid;
use velum_model::{
    fault::{Fault, code},
    grant::Capabilities,
    id::RunId,
    plugin::Digest,
    port::{
        hypervisor::{
            ConsolePlace, Disk, DriverDescriptor, GuestSpec, HypervisorDriver, Inventory, NodeFacts,
            Observed, RunHandle, registry as guest,
        },
        image::{ImageStore, InspectedImage},
        node::{Node, Nodes},
        placement::PlacementPolicy,
        plugins::{ConfigPart, Inspected, Installing, PluginRefused, PluginStats, Plugins},
        storage::{
            Attachment, Consumer, ProviderDescriptor, Space, StorageProvider, VolumeInfo, VolumePage,
            VolumeRef, VolumeSpec, registry,
        },
        target::{Attr, Call, Job, Outcome, Target},
    },
};

/// What is to go wrong with one call of a verb.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// Refused before anything happened.
    Before(Fault),
    /// It happened, but the answer was lost.
    After(Fault),
    /// It happens, but takes a poll.
    Slowly,
}

#[derive(Default)]
struct Inside {
    volumes: BTreeMap<Uuid, u64>,
    published: BTreeSet<(Uuid, Uuid)>,
    defined: BTreeMap<Uuid, (bool, BTreeSet<u16>)>,
    shows_a_part: bool,
    reports: u64,
    first_host: Option<Uuid>,
    troubles: Vec<(&'static str, Trouble)>,
    hits: BTreeMap<&'static str, u32>,
    calls: BTreeMap<&'static str, u32>,
    off_at_once: bool,
    one_identity: bool,
}

/// The far side; clones share it.
#[derive(Clone, Default)]
pub struct FarSide(Arc<Mutex<Inside>>);

impl FarSide {
    /// The next call of `verb` meets this.
    pub fn trouble(&self, verb: &'static str, trouble: Trouble) {
        self.0.lock().troubles.push((verb, trouble));
    }

    /// Guests power themselves off as soon as they are started.
    pub fn power_off_at_once(&self) {
        self.0.lock().off_at_once = true;
    }

    /// Every volume is shown under the same identity.
    pub fn shows_one_identity(&self) {
        self.0.lock().one_identity = true;
    }

    /// It never says that it showed everything.
    pub fn shows_only_a_part(&self) {
        self.0.lock().shows_a_part = true;
    }

    /// How often a trouble was met at a verb.
    pub fn hits(&self, verb: &str) -> u32 {
        self.0.lock().hits.get(verb).copied().unwrap_or_default()
    }

    /// How often a verb was called.
    pub fn calls(&self, verb: &str) -> u32 {
        self.0.lock().calls.get(verb).copied().unwrap_or_default()
    }

    /// A volume or a layer is there already.
    pub fn has_volume(&self, id: Uuid, bytes: u64) {
        self.0.lock().volumes.insert(id, bytes);
    }

    /// A volume is reached from a compute host already.
    pub fn has_published(&self, volume: Uuid, node: Uuid) {
        self.0.lock().published.insert((volume, node));
    }

    /// A guest is defined already.
    pub fn has_guest(&self, run: Uuid, is_on: bool) {
        self.0.lock().defined.insert(run, (is_on, BTreeSet::new()));
    }

    /// Everything that exists, in words.
    pub fn contents(&self) -> Vec<String> {
        let inside = self.0.lock();
        let volumes = inside.volumes.keys().map(|id| format!("volume {id}"));
        let published = inside
            .published
            .iter()
            .map(|(volume, node)| format!("publication {volume} to {node}"));
        let guests = inside
            .defined
            .iter()
            .map(|(run, (on, _))| format!("guest {run} on={on}"));
        volumes.chain(published).chain(guests).collect()
    }

    /// Runs that are on.
    pub fn running(&self) -> Vec<Uuid> {
        self.0
            .lock()
            .defined
            .iter()
            .filter(|(_, (on, _))| *on)
            .map(|(id, _)| *id)
            .collect()
    }

    fn act(
        &self,
        verb: &'static str,
        effect: impl FnOnce(&mut Inside) -> Result<Vec<Attr>, Fault>,
    ) -> Result<Outcome, Fault> {
        let mut inside = self.0.lock();
        *inside.calls.entry(verb).or_default() += 1;
        let at = inside.troubles.iter().position(|(v, _)| *v == verb);
        let trouble = at.map(|at| inside.troubles.remove(at).1);
        if trouble.is_some() {
            *inside.hits.entry(verb).or_default() += 1;
        }
        match trouble {
            Some(Trouble::Before(fault)) => Err(fault),
            Some(Trouble::After(fault)) => {
                effect(&mut inside)?;
                Err(fault)
            }
            Some(Trouble::Slowly) => {
                effect(&mut inside)?;
                Ok(Outcome::Working(Job {
                    token: verb.into(),
                    poll_after_ms: 1,
                    permyriad: Some(5000),
                    cancellable: false,
                    note: "half way".into(),
                }))
            }
            None => effect(&mut inside).map(Outcome::Done),
        }
    }
}

fn reached(inside: &Inside, volume: Uuid) -> Vec<String> {
    let to = inside.published.iter().filter(|(v, _)| *v == volume);
    to.map(|(_, node)| node.to_string()).collect()
}

#[async_trait]
impl StorageProvider for FarSide {
    async fn describe(&self, _: &Target) -> Result<ProviderDescriptor, Fault> {
        Err(Fault::unchanged(code::UNSUPPORTED, "not asked here"))
    }
    async fn probe(&self, _: &Target) -> Result<Space, Fault> {
        Ok(Space {
            capacity_bytes: 1 << 40,
            free_bytes: 1 << 40,
        })
    }
    async fn create(&self, _: &Call, spec: &VolumeSpec) -> Result<Outcome, Fault> {
        let (id, size) = (spec.id, spec.size_bytes);
        self.act("create", |inside| {
            inside.volumes.insert(id, size);
            Ok(vec![Attr::text(registry::DONE_BACKEND_ID, format!("v-{id}"))])
        })
    }
    async fn delete(&self, _: &Call, volume: &VolumeRef) -> Result<Outcome, Fault> {
        self.act("delete", |inside| {
            if inside.published.iter().any(|(v, _)| *v == volume.id) {
                return Err(Fault::unchanged(code::BUSY, "still published"));
            }
            inside.volumes.remove(&volume.id);
            Ok(Vec::new())
        })
    }
    async fn expand(&self, _: &Call, _: &VolumeRef, _: u64) -> Result<Outcome, Fault> {
        Err(Fault::unchanged(code::UNSUPPORTED, "not asked here"))
    }
    async fn publish(&self, _: &Call, volume: &VolumeRef, to: &Consumer) -> Result<Outcome, Fault> {
        let (id, node) = (volume.id, to.node);
        self.act("publish", |inside| {
            if !inside.volumes.contains_key(&id) {
                return Err(Fault::unchanged(code::NOT_FOUND, "no such volume"));
            }
            inside.published.insert((id, node));
            Ok(Vec::new())
        })
    }
    async fn unpublish(&self, _: &Call, volume: &VolumeRef, node: Uuid) -> Result<Outcome, Fault> {
        let id = volume.id;
        self.act("unpublish", |inside| {
            inside.published.remove(&(id, node));
            Ok(Vec::new())
        })
    }
    async fn reached_by(
        &self,
        _: &Target,
        volume: &VolumeRef,
        node: Uuid,
    ) -> Result<Option<Attachment>, Fault> {
        let inside = self.0.lock();
        Ok(inside.published.contains(&(volume.id, node)).then(|| Attachment {
            kind: registry::ATTACH_SIMULATED,
            format: registry::FORMAT_RAW,
            identity: match inside.one_identity {
                true => "the same".to_owned(),
                false => volume.id.to_string(),
            },
            size_bytes: inside.volumes.get(&volume.id).copied().unwrap_or_default(),
            params: Vec::new(),
            secret: None,
        }))
    }
    async fn find(&self, _: &Target, id: Uuid) -> Result<Option<VolumeInfo>, Fault> {
        let inside = self.0.lock();
        Ok(inside.volumes.get(&id).map(|size| VolumeInfo {
            volume: VolumeRef {
                id,
                backend_id: format!("v-{id}"),
            },
            size_bytes: *size,
            allocated_bytes: None,
            parent: None,
            state: registry::STATE_READY,
            published: reached(&inside, id),
        }))
    }
    async fn observe(&self, _: &Target, _: Option<&str>) -> Result<VolumePage, Fault> {
        let inside = self.0.lock();
        let volumes = inside.volumes.iter().map(|(id, size)| VolumeInfo {
            volume: VolumeRef {
                id: *id,
                backend_id: format!("v-{id}"),
            },
            size_bytes: *size,
            allocated_bytes: None,
            parent: None,
            state: registry::STATE_READY,
            published: reached(&inside, *id),
        });
        Ok(VolumePage {
            volumes: volumes.collect(),
            complete: !inside.shows_a_part,
            next: None,
        })
    }
    async fn poll(&self, _: &Call, token: &str) -> Result<Outcome, Fault> {
        let attrs = if token == "create" { Vec::new() } else { vec![] };
        Ok(Outcome::Done(attrs))
    }
    async fn cancel(&self, _: &Call, _: &str) -> Result<Outcome, Fault> {
        Ok(Outcome::Done(Vec::new()))
    }
}

#[async_trait]
impl HypervisorDriver for FarSide {
    async fn describe(&self) -> Result<DriverDescriptor, Fault> {
        Err(Fault::unchanged(code::UNSUPPORTED, "not asked here"))
    }
    async fn probe(&self, _: &Target) -> Result<Vec<NodeFacts>, Fault> {
        Err(Fault::unchanged(code::UNSUPPORTED, "not asked here"))
    }
    async fn ensure(&self, _: &Call, run: RunHandle, spec: &GuestSpec) -> Result<Outcome, Fault> {
        let slots: BTreeSet<u16> = spec.disks.iter().map(|d| d.slot).collect();
        self.act("ensure", |inside| {
            inside.defined.entry(run.id.uuid()).or_insert((false, slots));
            Ok(Vec::new())
        })
    }
    async fn start(&self, _: &Call, run: RunHandle, _: &GuestSpec) -> Result<Outcome, Fault> {
        self.act("start", |inside| {
            let stays_on = !inside.off_at_once;
            match inside.defined.get_mut(&run.id.uuid()) {
                Some(guest) => {
                    guest.0 = stays_on;
                    Ok(Vec::new())
                }
                None => Err(Fault::unchanged(code::NOT_FOUND, "not defined")),
            }
        })
    }
    async fn shutdown(&self, _: &Call, run: RunHandle) -> Result<Outcome, Fault> {
        self.act("shutdown", |inside| {
            if let Some(guest) = inside.defined.get_mut(&run.id.uuid()) {
                guest.0 = false;
            }
            Ok(Vec::new())
        })
    }
    async fn kill(&self, _: &Call, run: RunHandle) -> Result<Outcome, Fault> {
        self.act("kill", |inside| match inside.defined.get_mut(&run.id.uuid()) {
            Some(guest) => {
                guest.0 = false;
                Ok(Vec::new())
            }
            None => Err(Fault::unchanged(code::NOT_FOUND, "not defined")),
        })
    }
    async fn reboot(&self, _: &Call, _: RunHandle, _: bool) -> Result<Outcome, Fault> {
        self.act("reboot", |_| Ok(Vec::new()))
    }
    async fn remove(&self, _: &Call, run: RunHandle) -> Result<Outcome, Fault> {
        self.act("remove", |inside| match inside.defined.get(&run.id.uuid()) {
            Some((true, _)) => Err(Fault::unchanged(code::BUSY, "it runs")),
            _ => {
                inside.defined.remove(&run.id.uuid());
                Ok(Vec::new())
            }
        })
    }
    async fn observe(&self, target: &Target, _: Option<&str>) -> Result<Inventory, Fault> {
        let mut inside = self.0.lock();
        inside.reports += 1;
        // One machine stands for all: its guests are seen on the first host that asks.
        let first = *inside.first_host.get_or_insert(target.id);
        let here = inside.defined.iter().filter(|_| first == target.id);
        let runs = here.map(|(run, (is_on, _))| Observed {
            run: RunId::from_uuid(*run),
            node: "far".into(),
            state: if *is_on {
                guest::STATE_RUNNING
            } else {
                guest::STATE_OFF
            },
            reason: 0,
            generation: 1,
            spec_digest: String::new(),
            disks: Vec::new(),
            attrs: Vec::new(),
        });
        Ok(Inventory {
            boot_id: "one".into(),
            sequence: inside.reports,
            complete: !inside.shows_a_part,
            runs: runs.collect(),
            next: None,
        })
    }
    async fn observe_run(&self, _: &Target, run: RunHandle) -> Result<Option<Observed>, Fault> {
        Ok(self.0.lock().defined.get(&run.id.uuid()).map(|(on, _)| Observed {
            run: run.id,
            node: "far".into(),
            state: if *on {
                guest::STATE_RUNNING
            } else {
                guest::STATE_OFF
            },
            reason: 0,
            generation: run.generation,
            spec_digest: String::new(),
            disks: Vec::new(),
            attrs: Vec::new(),
        }))
    }
    async fn poll(&self, _: &Call, _: RunHandle, _: &str) -> Result<Outcome, Fault> {
        Ok(Outcome::Done(Vec::new()))
    }
    async fn cancel(&self, _: &Call, _: RunHandle, _: &str) -> Result<Outcome, Fault> {
        Ok(Outcome::Done(Vec::new()))
    }
    async fn attach_disk(&self, _: &Call, run: RunHandle, disk: &Disk) -> Result<Outcome, Fault> {
        let slot = disk.slot;
        self.act("attach", |inside| match inside.defined.get_mut(&run.id.uuid()) {
            Some(guest) => {
                guest.1.insert(slot);
                Ok(Vec::new())
            }
            None => Err(Fault::unchanged(code::NOT_FOUND, "not defined")),
        })
    }
    async fn detach_disk(&self, _: &Call, run: RunHandle, slot: u16) -> Result<Outcome, Fault> {
        self.act("detach", |inside| {
            if let Some(guest) = inside.defined.get_mut(&run.id.uuid()) {
                guest.1.remove(&slot);
            }
            Ok(Vec::new())
        })
    }
    async fn locate_console(&self, _: &Target, _: RunHandle, _: u16) -> Result<ConsolePlace, Fault> {
        Err(Fault::unchanged(code::UNSUPPORTED, "not asked here"))
    }
}

#[async_trait]
impl ImageStore for FarSide {
    async fn probe(&self) -> Result<u64, Fault> {
        Ok(1 << 40)
    }
    async fn received(&self, _: Uuid) -> Result<u64, Fault> {
        Ok(0)
    }
    async fn write(&self, _: Uuid, offset: u64, chunk: Vec<u8>) -> Result<u64, Fault> {
        Ok(offset + chunk.len() as u64)
    }
    async fn finish(&self, image: Uuid, format: u16, sha256: &str) -> Result<InspectedImage, Fault> {
        self.act("finish", |_| Ok(Vec::new()))?;
        Ok(InspectedImage {
            format,
            virtual_bytes: 1 << 20,
            stored_bytes: 1 << 20,
            sha256: sha256.into(),
            reference: image.to_string(),
        })
    }
    async fn remove(&self, _: Uuid) -> Result<(), Fault> {
        self.act("remove-image", |_| Ok(Vec::new())).map(|_| ())
    }
}

impl Nodes for FarSide {
    fn node(&self, _: &str) -> Result<Arc<dyn Node>, Fault> {
        Err(Fault::unchanged(code::UNSUPPORTED, "this far side has no nodes"))
    }
    fn directory_store(&self, _: &str, _: &str) -> Result<Arc<dyn ImageStore>, Fault> {
        Ok(Arc::new(self.clone()))
    }
    fn http_store(&self, _: &str) -> Result<Arc<dyn ImageStore>, Fault> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Plugins for FarSide {
    async fn inspect(&self, _: Vec<u8>, _: Option<String>) -> Result<Inspected, PluginRefused> {
        Err(PluginRefused::Server("not asked here".into()))
    }
    async fn install_granted(&self, _: Installing) -> Result<Inspected, PluginRefused> {
        Err(PluginRefused::Server("not asked here".into()))
    }
    async fn load_granted(
        &self,
        digest: &Digest,
        _: Option<Capabilities>,
    ) -> Result<Inspected, PluginRefused> {
        Err(PluginRefused::NotLoaded(digest.clone()))
    }
    async fn remove(&self, _: &Digest) -> Result<(), PluginRefused> {
        Ok(())
    }
    fn check_config(&self, _: &Digest, _: ConfigPart, _: &Value) -> Result<(), PluginRefused> {
        Ok(())
    }
    fn hypervisor(&self, _: &Digest) -> Result<Arc<dyn HypervisorDriver>, PluginRefused> {
        Ok(Arc::new(self.clone()))
    }
    fn storage(&self, _: &Digest) -> Result<Arc<dyn StorageProvider>, PluginRefused> {
        Ok(Arc::new(self.clone()))
    }
    fn policy(&self, digest: &Digest, _: &Value) -> Result<Box<dyn PlacementPolicy>, PluginRefused> {
        Err(PluginRefused::NotLoaded(digest.clone()))
    }
    fn stats(&self) -> Vec<PluginStats> {
        Vec::new()
    }
}
