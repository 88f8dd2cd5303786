//! A far side that answers at once, and policies that do what their bytes say.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};
use uuid::Uuid;
use velum_model::{
    Name, Timestamp,
    chance::Ids,
    enrolment::{HostPort, Identity},
    fault::{Fault, code},
    grant::Capabilities,
    id::*,
    plugin::{Digest, Manifest, World},
    port::{
        authority::Authority,
        hypervisor::*,
        image::{ImageStore, InspectedImage},
        node::{Node, Nodes},
        placement::{PlacementPolicy, PolicyAsk, PolicyDescriptor, PolicyFailure, registry},
        plugins::*,
        storage::*,
        target::{Call, Outcome, Target},
    },
    time::Clock,
};

/// Ids and seeds by counting.
#[derive(Default)]
pub struct Counting(AtomicU64);
impl Ids for Counting {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(0x7000_u128 << 64 | u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
    fn seed(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
    fn secret(&self) -> [u8; 32] {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        bytes
    }
}

/// A clock that goes on by a microsecond whenever it is asked.
#[derive(Default)]
pub struct Ticking(AtomicI64);
impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Components are texts: `driver`, `provider`, `pools`, or a policy by what it does: `plain`, `traps`, `nonsense`,
/// `refuses`; with `@` and a version behind. A line `# asks JSON` of the
/// manifest says what it asks for.
#[derive(Default)]
pub struct FakePlugins {
    installed: Mutex<Vec<(Digest, String)>>,
    /// What each was granted.
    pub granted: Mutex<Vec<(Digest, Capabilities)>>,
    /// How many instances of policies were made.
    pub instances: AtomicU64,
}

impl FakePlugins {
    fn text_of(&self, digest: &Digest) -> Result<String, PluginRefused> {
        let installed = self.installed.lock();
        let known = installed.iter().find(|(known, _)| known == digest);
        known
            .map(|(_, text)| text.clone())
            .ok_or_else(|| PluginRefused::NotLoaded(digest.clone()))
    }
}

pub fn digest_of(text: &str) -> Digest {
    velum_bundle::digest(text.as_bytes())
}

#[async_trait]
impl Plugins for FakePlugins {
    async fn inspect(
        &self,
        component: Vec<u8>,
        manifest: Option<String>,
    ) -> Result<Inspected, PluginRefused> {
        let text =
            String::from_utf8(component).map_err(|_| PluginRefused::Invalid("not a component".into()))?;
        let (kind, version) = text.split_once('@').unwrap_or((text.as_str(), "0.1.0"));
        let world = match kind {
            "driver" => World::HypervisorDriver,
            "provider" => World::StorageProvider,
            _ => World::PlacementPolicy,
        };
        let asks = manifest.as_deref().unwrap_or_default().lines().find_map(|line| {
            let asks = line.strip_prefix("# asks ")?;
            serde_json::from_str(asks).ok()
        });
        Ok(Inspected {
            digest: digest_of(&text),
            world,
            manifest: Manifest {
                name: Name::new(kind).expect("a name"),
                version: version.into(),
                world,
                description: String::new(),
                capabilities: asks.unwrap_or_default(),
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
        let text = String::from_utf8_lossy(&installing.component).into_owned();
        let found = self.inspect(installing.component, installing.manifest).await?;
        self.installed.lock().push((found.digest.clone(), text));
        self.granted
            .lock()
            .push((found.digest.clone(), installing.grant.unwrap_or_default()));
        Ok(found)
    }
    async fn load_granted(
        &self,
        digest: &Digest,
        _: Option<Capabilities>,
    ) -> Result<Inspected, PluginRefused> {
        Err(PluginRefused::NotLoaded(digest.clone()))
    }
    async fn remove(&self, digest: &Digest) -> Result<(), PluginRefused> {
        self.installed.lock().retain(|(known, _)| known != digest);
        Ok(())
    }
    fn check_config(&self, _: &Digest, _: ConfigPart, config: &Value) -> Result<(), PluginRefused> {
        match config.get("wrong") {
            None => Ok(()),
            Some(_) => Err(PluginRefused::Configuration {
                pointer: "/wrong".into(),
                problem: "is not a setting".into(),
            }),
        }
    }
    fn hypervisor(&self, digest: &Digest) -> Result<Arc<dyn HypervisorDriver>, PluginRefused> {
        self.text_of(digest)
            .map(|_| Arc::new(FakeDriver) as Arc<dyn HypervisorDriver>)
    }
    fn storage(&self, digest: &Digest) -> Result<Arc<dyn StorageProvider>, PluginRefused> {
        self.text_of(digest)
            .map(|_| Arc::new(FakeProvider) as Arc<dyn StorageProvider>)
    }
    fn policy(&self, digest: &Digest, _: &Value) -> Result<Box<dyn PlacementPolicy>, PluginRefused> {
        let behaviour = self.text_of(digest)?;
        let behaviour = behaviour.split('@').next().unwrap_or_default().to_owned();
        self.instances.fetch_add(1, Ordering::Relaxed);
        let row_kind = if behaviour == "pools" {
            registry::ROW_STORAGE_POOL
        } else {
            registry::ROW_COMPUTE_HOST
        };
        Ok(Box::new(FakePolicy {
            behaviour: behaviour.clone(),
            descriptor: PolicyDescriptor {
                name: behaviour,
                row_kind,
                columns: Vec::new(),
                demands: Vec::new(),
                facts: Vec::new(),
                row_local: true,
                max_rows: 0,
                refusals: Vec::new(),
                config_schema: "{}".into(),
            },
        }))
    }
    fn stats(&self) -> Vec<PluginStats> {
        Vec::new()
    }
}

struct FakePolicy {
    behaviour: String,
    descriptor: PolicyDescriptor,
}

impl PlacementPolicy for FakePolicy {
    fn descriptor(&self) -> &PolicyDescriptor {
        &self.descriptor
    }
    fn load(&mut self, _: u64, _: u32, _: &[u32]) -> Result<(), PolicyFailure> {
        Ok(())
    }
    fn apply(&mut self, _: u64, _: u64, _: &[u32], _: &[u32]) -> Result<bool, PolicyFailure> {
        Ok(true)
    }
    fn score(&mut self, _: u64, _: &PolicyAsk, rows: &[u32]) -> Result<Vec<u32>, PolicyFailure> {
        match self.behaviour.as_str() {
            "traps" => Err(PolicyFailure::Trapped("unreachable".into())),
            "nonsense" => Ok(vec![1; rows.len() + 1]),
            "refuses" => Ok(vec![registry::REFUSE | 7; rows.len()]),
            _ => Ok(vec![5; rows.len()]),
        }
    }
    fn fuel_used(&self) -> u64 {
        11
    }
}

fn unreachable_fault(target: &Target) -> Result<(), Fault> {
    match target.config.get("uri").and_then(Value::as_str) {
        Some("dead") => Err(Fault::unchanged(code::UNREACHABLE, "nobody answers")),
        _ => Ok(()),
    }
}

struct FakeDriver;

#[async_trait]
impl HypervisorDriver for FakeDriver {
    async fn describe(&self) -> Result<DriverDescriptor, Fault> {
        Ok(DriverDescriptor {
            name: "driver".into(),
            version: "0.1.0".into(),
            attachment_kinds: vec![ATTACHED],
            nic_kinds: vec![0x8001],
            console_kinds: Vec::new(),
            features: Vec::new(),
            interfaces: Vec::new(),
        })
    }
    async fn probe(&self, node: &Target) -> Result<Vec<NodeFacts>, Fault> {
        unreachable_fault(node)?;
        Ok(vec![NodeFacts {
            node: "n".into(),
            boot_id: "b".into(),
            vcpus: 16,
            memory_mib: 16_384,
            arch: 1,
            cpu_baseline: String::new(),
            initiators: Vec::new(),
            attrs: Vec::new(),
        }])
    }
    async fn ensure(&self, _: &Call, _: RunHandle, _: &GuestSpec) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn start(&self, _: &Call, _: RunHandle, _: &GuestSpec) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn shutdown(&self, _: &Call, _: RunHandle) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn kill(&self, _: &Call, _: RunHandle) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn reboot(&self, _: &Call, _: RunHandle, _: bool) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn remove(&self, _: &Call, _: RunHandle) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn observe(&self, _: &Target, _: Option<&str>) -> Result<Inventory, Fault> {
        not_asked()
    }
    async fn observe_run(&self, _: &Target, _: RunHandle) -> Result<Option<Observed>, Fault> {
        not_asked()
    }
    async fn poll(&self, _: &Call, _: RunHandle, _: &str) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn cancel(&self, _: &Call, _: RunHandle, _: &str) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn attach_disk(&self, _: &Call, _: RunHandle, _: &Disk) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn detach_disk(&self, _: &Call, _: RunHandle, _: u16) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn locate_console(&self, _: &Target, _: RunHandle, _: u16) -> Result<ConsolePlace, Fault> {
        not_asked()
    }
}

const ATTACHED: u16 = 0x8001;

/// Use cases only describe and probe.
fn not_asked<T>() -> Result<T, Fault> {
    Err(Fault::unchanged(code::UNSUPPORTED, "no use case asks this"))
}

struct FakeProvider;

#[async_trait]
impl StorageProvider for FakeProvider {
    async fn describe(&self, _: &Target) -> Result<ProviderDescriptor, Fault> {
        Ok(ProviderDescriptor {
            name: "provider".into(),
            version: "0.1.0".into(),
            attachment_kinds: vec![ATTACHED],
            formats: vec![1],
            granularity_bytes: 1 << 20,
            min_bytes: 1,
            max_bytes: 1 << 50,
            max_volumes: 0,
            features: Vec::new(),
        })
    }
    async fn probe(&self, pool: &Target) -> Result<Space, Fault> {
        unreachable_fault(pool)?;
        Ok(Space {
            capacity_bytes: 1 << 44,
            free_bytes: 1 << 43,
        })
    }
    async fn create(&self, _: &Call, _: &VolumeSpec) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn delete(&self, _: &Call, _: &VolumeRef) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn expand(&self, _: &Call, _: &VolumeRef, _: u64) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn publish(&self, _: &Call, _: &VolumeRef, _: &Consumer) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn unpublish(&self, _: &Call, _: &VolumeRef, _: Uuid) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn reached_by(&self, _: &Target, _: &VolumeRef, _: Uuid) -> Result<Option<Attachment>, Fault> {
        not_asked()
    }
    async fn find(&self, _: &Target, _: Uuid) -> Result<Option<VolumeInfo>, Fault> {
        not_asked()
    }
    async fn observe(&self, _: &Target, _: Option<&str>) -> Result<VolumePage, Fault> {
        not_asked()
    }
    async fn poll(&self, _: &Call, _: &str) -> Result<Outcome, Fault> {
        not_asked()
    }
    async fn cancel(&self, _: &Call, _: &str) -> Result<Outcome, Fault> {
        not_asked()
    }
}

/// One image store for all, in memory.
#[derive(Default)]
pub struct FakeNodes {
    pub images: Arc<FakeImages>,
}

#[derive(Default)]
pub struct FakeImages {
    bytes: Mutex<std::collections::HashMap<Uuid, Vec<u8>>>,
}

impl Nodes for FakeNodes {
    fn node(&self, address: &str) -> Result<Arc<dyn Node>, Fault> {
        Err(Fault::unchanged(
            code::UNREACHABLE,
            format!("{address} does not exist"),
        ))
    }
    fn directory_store(&self, _: &str, _: &str) -> Result<Arc<dyn ImageStore>, Fault> {
        Ok(Arc::clone(&self.images) as Arc<dyn ImageStore>)
    }
    fn http_store(&self, endpoint: &str) -> Result<Arc<dyn ImageStore>, Fault> {
        if endpoint == "dead" {
            return Err(Fault::unchanged(code::UNREACHABLE, "nobody answers"));
        }
        Ok(Arc::clone(&self.images) as Arc<dyn ImageStore>)
    }
    fn authority(&self) -> Option<Arc<dyn Authority>> {
        Some(Arc::new(FakeAuthority::default()))
    }
}

#[async_trait]
impl ImageStore for FakeImages {
    async fn probe(&self) -> Result<u64, Fault> {
        Ok(1 << 40)
    }
    async fn received(&self, image: Uuid) -> Result<u64, Fault> {
        Ok(self
            .bytes
            .lock()
            .get(&image)
            .map_or(0, |bytes| bytes.len() as u64))
    }
    async fn write(&self, image: Uuid, offset: u64, chunk: Vec<u8>) -> Result<u64, Fault> {
        let mut images = self.bytes.lock();
        let bytes = images.entry(image).or_default();
        assert_eq!(bytes.len() as u64, offset);
        bytes.extend(chunk);
        Ok(bytes.len() as u64)
    }
    async fn finish(&self, _: Uuid, _: u16, _: &str) -> Result<InspectedImage, Fault> {
        not_asked()
    }
    async fn remove(&self, image: Uuid) -> Result<(), Fault> {
        self.bytes.lock().remove(&image);
        Ok(())
    }
}

pub fn settings() -> Value {
    json!({ "uri": "alive" })
}

pub fn any_token() -> TokenId {
    Id::from_uuid(Uuid::from_u128(99))
}

/// Signs nothing, and says what it would have.
pub struct FakeAuthority {
    fingerprint: String,
}

impl Default for FakeAuthority {
    fn default() -> Self {
        Self {
            fingerprint: "f9".repeat(32),
        }
    }
}

impl Authority for FakeAuthority {
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
    fn certificate_pem(&self) -> String {
        "the authority".into()
    }
    fn requested_key(&self, request_pem: &str) -> Result<Vec<u8>, String> {
        match request_pem.strip_prefix("key ") {
            Some(key) => Ok(key.as_bytes().to_vec()),
            None => Err("this is no request".into()),
        }
    }
    fn certify(
        &self,
        request_pem: &str,
        node: &Identity,
        at: &HostPort,
        _: (Timestamp, Timestamp),
    ) -> Result<String, String> {
        Ok(format!("{request_pem} is {node} at {at}"))
    }
}
