//! The far side as a server reaches it: every call goes over a wire on which it can be lost, repeated or late, and from a
//! server that may have died or stand still.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;
use velum_model::{
    fault::{Fault, code},
    grant::Capabilities,
    id::RunId,
    name::Name,
    plugin::{Digest, Manifest, World},
    port::{
        Effect, Fence,
        hypervisor::{
            ConsolePlace, Disk, DriverDescriptor, GuestSpec, HypervisorDriver, Inventory, NodeFacts,
            Observed, RunHandle, registry as guest,
        },
        image::{ImageStore, InspectedImage},
        node::{LinkSpec, Node, NodeHello, Nodes, SeedSpec, stream::ByteStream},
        placement::PlacementPolicy,
        plugins::{ConfigPart, Inspected, Installing, PluginRefused, PluginStats, Plugins},
        storage::{
            Attachment, Consumer, ProviderDescriptor, Space, StorageProvider, VolumeInfo, VolumePage,
            VolumeRef, VolumeSpec, registry as storage,
        },
        target::{Call, Outcome, Target},
    },
};

use super::{Answer, FarSide, State};
use crate::{
    life::Life,
    wire::{About, Director},
};

/// Where the pool's effects pass its gate.
const POOL: &str = "pool";
/// Every image has this size once it is converted.
pub const IMAGE_BYTES: u64 = 1 << 20;

/// The far side from one server.
#[derive(Clone)]
pub struct Ports {
    far: FarSide,
    life: Arc<Life>,
    director: Arc<dyn Director>,
}

/// One node, or the node's images.
struct At {
    ports: Ports,
    place: String,
}

fn not_asked<T>() -> Result<T, Fault> {
    Err(Fault::unchanged(code::UNSUPPORTED, "nobody asks this here"))
}

impl Ports {
    /// For one server.
    #[must_use]
    pub fn new(far: FarSide, life: Arc<Life>, director: Arc<dyn Director>) -> Self {
        Self { far, life, director }
    }

    /// Carries one call over the wire.
    async fn carry<T: Send + std::fmt::Debug + 'static>(
        &self,
        about: About,
        arrive: impl Fn(&mut State) -> Result<T, Fault> + Send + Sync + 'static,
    ) -> Result<T, Fault> {
        self.life.lives().await;
        let (fate, plan) = self.director.at_call(self.life.number(), about);
        self.life.meet(fate).await;
        if !plan.delay.is_zero() {
            tokio::time::sleep(plan.delay).await;
        }
        let arrive = Arc::new(arrive);
        for late in plan.late {
            let (far, arrive) = (self.far.clone(), Arc::clone(&arrive));
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                drop(far.at_once(|state| arrive(state)));
            });
        }
        let mut answer = plan
            .before
            .map_or_else(|| Err(Fault::new(code::DEADLINE, "it was lost on its way")), Err);
        if plan.copies > 0 {
            for _ in 0..plan.copies {
                answer = self.far.at_once(|state| arrive(state));
            }
            if let Some(fault) = plan.after {
                answer = Err(fault);
            }
        }
        self.life.lives().await;
        self.director
            .answered(self.life.number(), about, &format!("{answer:?}"));
        answer
    }

    async fn effect(
        &self,
        verb: &'static str,
        place: String,
        fence: Fence,
        effect: Effect,
        act: impl Fn(&mut State) -> Result<Answer, Fault> + Send + Sync + 'static,
    ) -> Result<Answer, Fault> {
        let about = About {
            verb,
            is_effect: true,
        };
        self.carry(about, move |state| {
            state.effect(&place, (&fence, &effect), verb, |state| act(state))
        })
        .await
    }

    /// An effect of a driver, on its compute host.
    async fn on_host(
        &self,
        verb: &'static str,
        call: &Call,
        act: impl Fn(&mut State) -> Result<Answer, Fault> + Send + Sync + 'static,
    ) -> Result<Outcome, Fault> {
        let place = call.target.node.clone().unwrap_or_default();
        let answer = self.effect(verb, place, call.fence, call.effect.clone(), act);
        Ok(answer.await?.outcome())
    }

    /// An effect of a provider, on its pool.
    async fn on_pool(
        &self,
        verb: &'static str,
        call: &Call,
        act: impl Fn(&mut State) -> Result<Answer, Fault> + Send + Sync + 'static,
    ) -> Result<Outcome, Fault> {
        let answer = self.effect(verb, POOL.to_owned(), call.fence, call.effect.clone(), act);
        Ok(answer.await?.outcome())
    }

    async fn ask<T: Send + std::fmt::Debug + 'static>(
        &self,
        verb: &'static str,
        look: impl Fn(&mut State) -> Result<T, Fault> + Send + Sync + 'static,
    ) -> Result<T, Fault> {
        let about = About {
            verb,
            is_effect: false,
        };
        self.carry(about, look).await
    }
}

#[async_trait]
impl HypervisorDriver for Ports {
    async fn describe(&self) -> Result<DriverDescriptor, Fault> {
        Ok(DriverDescriptor {
            name: "driver".into(),
            version: "0.1.0".into(),
            attachment_kinds: vec![storage::ATTACH_SIMULATED],
            nic_kinds: vec![guest::NIC_SIMULATED],
            console_kinds: Vec::new(),
            features: Vec::new(),
            interfaces: Vec::new(),
        })
    }
    async fn probe(&self, _: &Target) -> Result<Vec<NodeFacts>, Fault> {
        Ok(vec![NodeFacts {
            node: "n".into(),
            boot_id: "b".into(),
            vcpus: 64,
            memory_mib: 65_536,
            arch: guest::ARCH_X86_64,
            cpu_baseline: String::new(),
            initiators: Vec::new(),
            attrs: Vec::new(),
        }])
    }
    async fn ensure(&self, call: &Call, run: RunHandle, spec: &GuestSpec) -> Result<Outcome, Fault> {
        let (host, instance, spec) = (call.target.id, call.fence.object, spec.clone());
        self.on_host("define", call, move |state| {
            state.define(host, instance, run.id.uuid(), &spec)
        })
        .await
    }
    async fn start(&self, call: &Call, run: RunHandle, _: &GuestSpec) -> Result<Outcome, Fault> {
        self.on_host("start", call, move |state| state.start(run.id.uuid()))
            .await
    }
    async fn shutdown(&self, call: &Call, run: RunHandle) -> Result<Outcome, Fault> {
        self.on_host("shutdown", call, move |state| state.shut_down(run.id.uuid()))
            .await
    }
    async fn kill(&self, call: &Call, run: RunHandle) -> Result<Outcome, Fault> {
        self.on_host("kill", call, move |state| state.kill(run.id.uuid()))
            .await
    }
    async fn reboot(&self, call: &Call, run: RunHandle, _: bool) -> Result<Outcome, Fault> {
        self.on_host("reboot", call, move |state| state.reboot(run.id.uuid()))
            .await
    }
    async fn remove(&self, call: &Call, run: RunHandle) -> Result<Outcome, Fault> {
        self.on_host("undefine", call, move |state| state.undefine(run.id.uuid()))
            .await
    }
    async fn observe(&self, _: &Target, _: Option<&str>) -> Result<Inventory, Fault> {
        not_asked()
    }
    async fn observe_run(&self, node: &Target, run: RunHandle) -> Result<Option<Observed>, Fault> {
        let host = node.id;
        self.ask("observe", move |state| Ok(state.observed(host, run)))
            .await
    }
    async fn poll(&self, _: &Call, run: RunHandle, token: &str) -> Result<Outcome, Fault> {
        let token = token.to_owned();
        let answer = self.ask("poll", move |state| state.poll_guest(run.id.uuid(), &token));
        Ok(answer.await?.outcome())
    }
    async fn cancel(&self, _: &Call, _: RunHandle, _: &str) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn attach_disk(&self, call: &Call, run: RunHandle, disk: &Disk) -> Result<Outcome, Fault> {
        let (host, disk) = (call.target.id, disk.clone());
        self.on_host("plug", call, move |state| state.plug(host, run.id.uuid(), &disk))
            .await
    }
    async fn detach_disk(&self, call: &Call, run: RunHandle, slot: u16) -> Result<Outcome, Fault> {
        self.on_host("unplug", call, move |state| state.unplug(run.id.uuid(), slot))
            .await
    }
    async fn locate_console(&self, _: &Target, _: RunHandle, _: u16) -> Result<ConsolePlace, Fault> {
        not_asked()
    }
}

#[async_trait]
impl StorageProvider for Ports {
    async fn describe(&self, _: &Target) -> Result<ProviderDescriptor, Fault> {
        Ok(ProviderDescriptor {
            name: "provider".into(),
            version: "0.1.0".into(),
            attachment_kinds: vec![storage::ATTACH_SIMULATED],
            formats: vec![storage::FORMAT_RAW],
            granularity_bytes: 1,
            min_bytes: 1,
            max_bytes: 1 << 50,
            max_volumes: 0,
            features: Vec::new(),
        })
    }
    async fn probe(&self, _: &Target) -> Result<Space, Fault> {
        Ok(Space {
            capacity_bytes: 1 << 44,
            free_bytes: 1 << 43,
        })
    }
    async fn create(&self, call: &Call, spec: &VolumeSpec) -> Result<Outcome, Fault> {
        let spec = spec.clone();
        self.on_pool("create", call, move |state| state.create(&spec))
            .await
    }
    async fn delete(&self, call: &Call, volume: &VolumeRef) -> Result<Outcome, Fault> {
        let id = volume.id;
        self.on_pool("delete", call, move |state| state.delete(id)).await
    }
    async fn expand(&self, _: &Call, _: &VolumeRef, _: u64) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn publish(&self, call: &Call, volume: &VolumeRef, to: &Consumer) -> Result<Outcome, Fault> {
        let (id, node) = (volume.id, to.node);
        self.on_pool("publish", call, move |state| state.publish(id, node))
            .await
    }
    async fn unpublish(&self, call: &Call, volume: &VolumeRef, node: Uuid) -> Result<Outcome, Fault> {
        let id = volume.id;
        self.on_pool("unpublish", call, move |state| state.unpublish(id, node))
            .await
    }
    async fn reached_by(
        &self,
        _: &Target,
        volume: &VolumeRef,
        node: Uuid,
    ) -> Result<Option<Attachment>, Fault> {
        let volume = volume.clone();
        self.ask("reached", move |state| Ok(state.reached(&volume, node)))
            .await
    }
    async fn find(&self, _: &Target, id: Uuid) -> Result<Option<VolumeInfo>, Fault> {
        self.ask("find", move |state| Ok(state.found(id))).await
    }
    async fn observe(&self, _: &Target, _: Option<&str>) -> Result<VolumePage, Fault> {
        not_asked()
    }
    async fn poll(&self, _: &Call, token: &str) -> Result<Outcome, Fault> {
        let token = token.to_owned();
        let answer = self.ask("poll", move |state| state.poll_volume(&token));
        Ok(answer.await?.outcome())
    }
    async fn cancel(&self, _: &Call, _: &str) -> Result<Outcome, Fault> {
        not_asked()
    }
}

#[async_trait]
impl Node for At {
    async fn hello(&self) -> Result<NodeHello, Fault> {
        Ok(NodeHello {
            boot_id: "b".into(),
            version: "0.1.0".into(),
            hostname: self.place.clone(),
            initiators: Vec::new(),
        })
    }
    async fn ensure_link(&self, fence: &Fence, effect: &Effect, spec: &LinkSpec) -> Result<String, Fault> {
        let (place, network) = (self.place.clone(), spec.network);
        let act = move |state: &mut State| {
            state.links.insert((place.clone(), network));
            Ok(Answer::Text(format!("br-{network}")))
        };
        let answer = self
            .ports
            .effect("link", self.place.clone(), *fence, effect.clone(), act);
        Ok(answer.await?.text())
    }
    async fn remove_link(&self, fence: &Fence, effect: &Effect, network: Uuid) -> Result<(), Fault> {
        let place = self.place.clone();
        let act = move |state: &mut State| {
            state.links.remove(&(place.clone(), network));
            Ok(Answer::Done(Vec::new()))
        };
        self.ports
            .effect("unlink", self.place.clone(), *fence, effect.clone(), act)
            .await
            .map(drop)
    }
    async fn made_links(&self) -> Result<Vec<Uuid>, Fault> {
        let place = self.place.clone();
        let look = move |state: &mut State| {
            let own = state.links.iter().filter(|(node, _)| *node == place);
            Ok(own.map(|(_, network)| *network).collect())
        };
        self.ports.ask("links", look).await
    }
    async fn write_seed(
        &self,
        fence: &Fence,
        effect: &Effect,
        run: RunId,
        _: &SeedSpec,
    ) -> Result<String, Fault> {
        let place = self.place.clone();
        let act = move |state: &mut State| {
            state.seeds.insert((place.clone(), run.uuid()));
            Ok(Answer::Text(format!("/seeds/{run}.iso")))
        };
        let answer = self
            .ports
            .effect("seed", self.place.clone(), *fence, effect.clone(), act);
        Ok(answer.await?.text())
    }
    async fn remove_seed(&self, fence: &Fence, effect: &Effect, run: RunId) -> Result<(), Fault> {
        let place = self.place.clone();
        let act = move |state: &mut State| {
            state.seeds.remove(&(place.clone(), run.uuid()));
            Ok(Answer::Done(Vec::new()))
        };
        self.ports
            .effect("unseed", self.place.clone(), *fence, effect.clone(), act)
            .await
            .map(drop)
    }
    async fn written_seeds(&self) -> Result<Vec<RunId>, Fault> {
        let place = self.place.clone();
        let look = move |state: &mut State| {
            let own = state.seeds.iter().filter(|(node, _)| *node == place);
            Ok(own.map(|(_, run)| RunId::from_uuid(*run)).collect())
        };
        self.ports.ask("seeds", look).await
    }
    async fn fill_layer(&self, fence: &Fence, effect: &Effect, _: &str, _: &Attachment) -> Result<(), Fault> {
        let object = fence.object;
        let act = move |state: &mut State| match state.volumes.contains_key(&object) {
            true => Ok(Answer::Done(Vec::new())),
            false => Err(Fault::unchanged(code::NOT_FOUND, "there is no such layer")),
        };
        self.ports
            .effect("fill", self.place.clone(), *fence, effect.clone(), act)
            .await
            .map(drop)
    }
    async fn verify_attachment(&self, attachment: &Attachment) -> Result<(), Fault> {
        let identity = attachment.identity.clone();
        let look = move |state: &mut State| {
            let is_there = identity
                .parse()
                .is_ok_and(|id: Uuid| state.volumes.contains_key(&id));
            match is_there {
                true => Ok(()),
                false => Err(Fault::unchanged(code::NOT_FOUND, "the device is not there")),
            }
        };
        self.ports.ask("verify", look).await
    }
    async fn open_console(&self, _: &str, _: RunId, _: &ConsolePlace) -> Result<ByteStream, Fault> {
        not_asked()
    }
    async fn console_log(&self, _: RunId, _: u32) -> Result<Vec<u8>, Fault> {
        not_asked()
    }
}

#[async_trait]
impl ImageStore for At {
    async fn probe(&self) -> Result<u64, Fault> {
        Ok(1 << 40)
    }
    async fn received(&self, image: Uuid) -> Result<u64, Fault> {
        let look = move |state: &mut State| Ok(state.images.get(&image).copied().unwrap_or_default());
        self.ports.ask("received", look).await
    }
    async fn write(&self, image: Uuid, offset: u64, chunk: Vec<u8>) -> Result<u64, Fault> {
        let end = offset + chunk.len() as u64;
        let act =
            move |state: &mut State| Ok(*state.images.entry(image).and_modify(|n| *n = end).or_insert(end));
        self.ports.ask("write", act).await
    }
    async fn finish(&self, image: Uuid, format: u16, sha256: &str) -> Result<InspectedImage, Fault> {
        let sha256 = sha256.to_owned();
        let about = About {
            verb: "finish",
            is_effect: true,
        };
        self.ports
            .carry(about, move |state| match state.images.get(&image) {
                Some(bytes) => Ok(InspectedImage {
                    format,
                    virtual_bytes: IMAGE_BYTES,
                    stored_bytes: *bytes,
                    sha256: sha256.clone(),
                    reference: image.to_string(),
                }),
                None => Err(Fault::unchanged(code::NOT_FOUND, "nothing was uploaded")),
            })
            .await
    }
    async fn remove(&self, image: Uuid) -> Result<(), Fault> {
        let about = About {
            verb: "remove-image",
            is_effect: true,
        };
        self.ports
            .carry(about, move |state| {
                state.images.remove(&image);
                Ok(())
            })
            .await
    }
}

impl Nodes for Ports {
    fn node(&self, address: &str) -> Result<Arc<dyn Node>, Fault> {
        Ok(Arc::new(At {
            ports: self.clone(),
            place: address.to_owned(),
        }))
    }
    fn directory_store(&self, address: &str, _: &str) -> Result<Arc<dyn ImageStore>, Fault> {
        Ok(Arc::new(At {
            ports: self.clone(),
            place: address.to_owned(),
        }))
    }
    fn http_store(&self, endpoint: &str) -> Result<Arc<dyn ImageStore>, Fault> {
        self.directory_store(endpoint, "")
    }
}

#[async_trait]
impl Plugins for Ports {
    /// A component is its own name: `driver` or `provider`.
    async fn inspect(&self, component: Vec<u8>, _: Option<String>) -> Result<Inspected, PluginRefused> {
        let invalid = || PluginRefused::Invalid("not a component".into());
        let text = String::from_utf8(component).map_err(|_| invalid())?;
        let world = match text.as_str() {
            "driver" => World::HypervisorDriver,
            "provider" => World::StorageProvider,
            _ => return Err(invalid()),
        };
        let mut hex: String = text.bytes().map(|b| format!("{b:02x}")).collect();
        while hex.len() < 64 {
            hex.push('0');
        }
        Ok(Inspected {
            digest: Digest::from_hex(&hex).map_err(|_| invalid())?,
            world,
            manifest: Manifest {
                name: Name::new(text).map_err(|_| invalid())?,
                version: "0.1.0".into(),
                world,
                description: String::new(),
                capabilities: Default::default(),
                config: None,
                target: None,
                limits: Default::default(),
            },
            imports: Vec::new(),
            exports: Vec::new(),
            size_bytes: 6,
            compile_ms: 1,
        })
    }
    async fn install_granted(&self, installing: Installing) -> Result<Inspected, PluginRefused> {
        self.inspect(installing.component, installing.manifest).await
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
