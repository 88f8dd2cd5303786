//! A small cloud to test with, and what it is made of.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use serde_json::json;
use uuid::Uuid;
use velum_model::{
    chance::{Ids, fresh},
    decision::{Decision, PolicyUsed, Ranked, Tier},
    id::*,
    infrastructure::*,
    instance::*,
    name::Name,
    net::{AddressRange, Link, LinkKind, Mac},
    operation::*,
    plugin::{Digest, Fallback, Manifest, Plugin, Policy, World as PluginWorld},
    port::storage::Attachment,
    quantity::{Bytes, ExpectedLifetime, MemoryMib, Overcommit, ResourceAmount, Vcpus},
    resource::{HostResource, ResourceName, Resources, restated},
    storage::*,
    tenancy::BUILT_IN_PROJECT,
    time::{Clock, Timestamp},
};
use velum_store::*;

pub const GIB: u64 = 1 << 30;

/// Time stands still until it is moved.
pub struct ManualClock(pub AtomicI64);
impl ManualClock {
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Self::now(self)
    }
}

/// Ids that count up, apart from those of other worlds.
#[derive(Default)]
pub struct CountingIds(AtomicU64);
impl Ids for CountingIds {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128((0x7000_u128 << 64) | u128::from(self.0.fetch_add(1, Ordering::SeqCst)))
    }
    fn seed(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
    fn secret(&self) -> [u8; 32] {
        [7; 32]
    }
}

/// Remembers what it was told.
#[derive(Default)]
pub struct Log(pub Mutex<Vec<CommittedBatch>>);
impl Observer for Log {
    fn committed(&self, batch: &CommittedBatch) {
        self.0.lock().expect("no test panics with it").push(batch.clone());
    }
}

pub struct World {
    pub url: String,
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub ids: Arc<CountingIds>,
    pub log: Arc<Log>,
    pub zone: Zone,
    pub pod: Pod,
    pub cluster: Cluster,
    pub plugin: Plugin,
    pub image_store: ImageStore,
    pub pool: StoragePool,
    pub network_offering: NetworkOffering,
    pub network: Network,
    pub range: IpRange,
    pub offering: ComputeOffering,
    pub template: Template,
}

pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}
pub fn vcpus(n: u64) -> Vcpus {
    Vcpus::new(n).expect("vCPUs")
}
pub fn memory(n: u64) -> MemoryMib {
    MemoryMib::new(n).expect("memory")
}
pub fn resources(amounts: &[(&str, u64)]) -> Resources {
    let resource = |&(name, amount): &(&str, u64)| {
        let name = ResourceName::new(name).expect("a name");
        (name, ResourceAmount::new(amount).expect("an amount"))
    };
    amounts.iter().map(resource).collect()
}
/// What a compute host has of resources that nobody holds.
pub fn having(amounts: &[(&str, u64)]) -> BTreeMap<ResourceName, HostResource> {
    restated(&BTreeMap::new(), &resources(amounts))
}
pub fn bytes(n: u64) -> Bytes {
    Bytes::new(n).expect("bytes")
}
pub fn overcommit(n: u64) -> Overcommit {
    Overcommit::new(n).expect("thousandths")
}
pub fn address(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 1, 0, 0)) + n)
}
pub fn digest(n: u8) -> Digest {
    Digest::from_hex(&format!("{n:02x}").repeat(32)).expect("a digest")
}

pub async fn open(
    url: &str,
    holder: &str,
    world: (&Arc<ManualClock>, &Arc<CountingIds>, &Arc<Log>),
) -> Store {
    let (clock, ids, log) = world;
    Store::open(StoreOptions {
        url: url.to_owned(),
        holder: holder.to_owned(),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        ids: Arc::clone(ids) as Arc<dyn Ids>,
        observer: Arc::clone(log) as Arc<dyn Observer>,
        lease_ms: 10_000,
    })
    .await
    .expect("a store")
}

impl World {
    /// A zone with everything but compute hosts: a network of 256 addresses, a pool of 1 TiB.
    pub async fn open(url: &str) -> Self {
        let world = Self::empty(url).await;
        let commit = Commit {
            changes: vec![
                Change::InsertPlugin(Box::new(world.plugin.clone())),
                Change::InsertZone(world.zone.clone()),
                Change::InsertNetworkOffering(world.network_offering.clone()),
                Change::InsertComputeOffering(world.offering.clone()),
            ],
            ..Commit::default()
        };
        assert_eq!(world.store.commit(commit).await.expect("a zone"), Committed::Done);
        assert_eq!(world.store.epoch(world.zone.shard), Some(1));
        // What points to a row may stand before it.
        world
            .accept(vec![
                Change::InsertTemplate(world.template.clone()),
                Change::InsertIpRange(world.range.clone()),
                Change::InsertNetwork(world.network.clone()),
                Change::InsertStoragePool(Box::new(world.pool.clone())),
                Change::InsertImageStore(world.image_store.clone()),
                Change::InsertCluster(world.cluster.clone()),
                Change::InsertPod(world.pod.clone()),
            ])
            .await;
        world
    }

    #[expect(clippy::too_many_lines, reason = "a list of what there is")]
    async fn empty(url: &str) -> Self {
        let clock = Arc::new(ManualClock(AtomicI64::new(1_700_000_000_000_000)));
        let ids = Arc::new(CountingIds(AtomicU64::new(1)));
        let log = Arc::new(Log::default());
        let store = open(url, "first", (&clock, &ids, &log)).await;
        store.take_over(true).await.expect("a takeover");
        let now = clock.now();
        let plugin = plugin(&*ids, "driver", 1, now);
        let zone = Zone {
            id: fresh(&*ids),
            name: name("zone"),
            access: ZoneAccess::Public,
            shard: fresh(&*ids),
            policy: None,
            pool_policy: None,
            generation: 1,
            created_at: now,
        };
        let pod = Pod {
            id: fresh(&*ids),
            zone: zone.id,
            name: name("pod"),
            cidr: "10.9.0.0/24".parse().expect("a network"),
            gateway: Ipv4Addr::new(10, 9, 0, 1),
            dedicated_to: None,
            generation: 1,
            created_at: now,
        };
        let cluster = Cluster {
            id: fresh(&*ids),
            zone: zone.id,
            pod: pod.id,
            shard: zone.shard,
            name: name("cluster"),
            driver: name("driver"),
            cpu_overcommit: overcommit(2000),
            memory_overcommit: Overcommit::NONE,
            dedicated_to: None,
            generation: 1,
            created_at: now,
        };
        let image_store = ImageStore {
            id: fresh(&*ids),
            zone: zone.id,
            name: name("images"),
            place: ImageStorePlace::Http {
                endpoint: "http://127.0.0.1:1".into(),
            },
            generation: 1,
            created_at: now,
        };
        let network_offering = NetworkOffering {
            id: fresh(&*ids),
            name: name("shared"),
            kind: NetworkOfferingUse::Shared,
            generation: 1,
            created_at: now,
        };
        let pool = pool(&*ids, &zone, &plugin, 1024 * GIB);
        let network = network(&*ids, &zone, &network_offering);
        let range = range(&*ids, &network, 1, 254);
        let offering = ComputeOffering {
            id: fresh(&*ids),
            name: name("small"),
            vcpus: vcpus(1),
            memory: memory(512),
            resources: resources(&[("hugepages-1g", 4)]),
            host_tags: vec![name("ssd")],
            storage_tags: vec![],
            policy: None,
            expected_lifetime: ExpectedLifetime::new(60).ok(),
            generation: 1,
            created_at: now,
        };
        let template = template(&*ids, &zone, &image_store);
        Self {
            url: url.to_owned(),
            store,
            clock,
            ids,
            log,
            zone,
            pod,
            cluster,
            plugin,
            image_store,
            pool,
            network_offering,
            network,
            range,
            offering,
            template,
        }
    }

    pub fn fence(&self) -> Option<(ShardId, u64)> {
        Some((self.zone.shard, self.store.epoch(self.zone.shard).unwrap_or(1)))
    }

    pub fn with(&self, changes: Vec<Change>) -> Commit {
        Commit {
            fence: self.fence(),
            changes,
            ..Commit::default()
        }
    }

    pub async fn try_changes(&self, changes: Vec<Change>) -> Result<Committed, StoreError> {
        self.store.commit(self.with(changes)).await
    }

    pub async fn accept(&self, changes: Vec<Change>) {
        assert_eq!(
            self.try_changes(changes).await.expect("accepted"),
            Committed::Done
        );
    }

    pub async fn refused(&self, changes: Vec<Change>) -> Refused {
        match self.try_changes(changes).await {
            Err(StoreError::Refused(refused)) => refused,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub async fn well(&self) {
        let mut found = self.store.audit().await.expect("an audit");
        // The cases make volumes without the operations that would make them for a tenant.
        found.retain(|difference| {
            !(difference.table == "volume" && difference.problem.contains("being made"))
        });
        assert_eq!(found, vec![]);
    }

    pub fn host(&self, called: &str, processors: u64, mib: u64) -> ComputeHost {
        ComputeHost {
            id: fresh(&*self.ids),
            zone: self.zone.id,
            pod: self.pod.id,
            cluster: self.cluster.id,
            name: name(called),
            driver: self.plugin.digest.clone(),
            config: json!({"uri": "qemu:///system"}),
            node: Some("unix:/run/velum/node.sock".into()),
            endpoint: None,
            private_address: None,
            vcpus: vcpus(processors),
            memory: memory(mib),
            vcpus_ceiling: processors * 2,
            memory_ceiling: mib,
            vcpus_used: 0,
            memory_used: 0,
            resources: BTreeMap::new(),
            tags: vec![name("ssd"), name("x86")],
            attributes: BTreeMap::from([(name("watts"), 250)]),
            abilities: HostAbilities {
                arch: 1,
                interfaces: vec!["console".into()],
                ..HostAbilities::default()
            },
            intent: Intent::Enabled,
            dedicated_to: None,
            observed: HostState::Up,
            boot_id: Some("boot".into()),
            observed_at: Some(self.clock.now()),
            driven_since: None,
            generation: 1,
            created_at: self.clock.now(),
        }
    }

    pub async fn add_host(&self, called: &str, processors: u64, mib: u64) -> ComputeHost {
        let host = self.host(called, processors, mib);
        self.accept(vec![Change::InsertComputeHost(Box::new(host.clone()))])
            .await;
        host
    }

    pub fn instance(&self, called: &str) -> Instance {
        Instance {
            id: fresh(&*self.ids),
            zone: self.zone.id,
            project: BUILT_IN_PROJECT,
            name: name(called),
            offering: self.offering.id,
            template: self.template.id,
            vcpus: self.offering.vcpus,
            memory: self.offering.memory,
            user_data: vec![0, 1, 255],
            expected_lifetime: ExpectedLifetime::new(ExpectedLifetime::MAX).ok(),
            state: InstanceState::Creating,
            run: None,
            last_host: None,
            decision: None,
            generation: 1,
            created_at: self.clock.now(),
        }
    }

    pub fn run(&self, instance: &Instance, host: ComputeHostId) -> Run {
        Run {
            id: fresh(&*self.ids),
            instance: instance.id,
            compute_host: host,
            generation: 1,
            role: RunRole::Active,
            vcpus: instance.vcpus,
            memory: instance.memory,
            resources: Resources::new(),
            observed: ObservedState::Unknown,
            observed_at: None,
            created_at: self.clock.now(),
            expected_end_at: Some(Timestamp::of_minute(u32::MAX - 1)),
        }
    }

    pub fn nic(&self, instance: InstanceId, slot: u16, at: u32) -> Nic {
        Nic {
            id: fresh(&*self.ids),
            instance,
            network: self.network.id,
            project: BUILT_IN_PROJECT,
            slot,
            mac: Mac::numbered(self.ids.seed() as u32),
            address: address(at),
            created_at: self.clock.now(),
        }
    }

    pub fn insert_nic(&self, nic: &Nic) -> Change {
        Change::InsertNic {
            nic: nic.clone(),
            range: self.range.id,
            address_id: fresh(&*self.ids),
        }
    }

    pub fn volume(&self, called: &str, attachment: Option<(InstanceId, u16)>) -> Volume {
        let is_root = attachment.is_some_and(|(_, slot)| slot == 0);
        Volume {
            id: fresh(&*self.ids),
            zone: self.zone.id,
            project: BUILT_IN_PROJECT,
            name: name(called),
            used_as: if is_root { VolumeUse::Root } else { VolumeUse::Data },
            offering: None,
            pool: self.pool.id,
            size: bytes(GIB),
            parent: None,
            backend_id: None,
            state: VolumeState::Creating,
            attachment: attachment.map(|(instance, slot)| VolumeAttachment { instance, slot }),
            generation: 1,
            created_at: self.clock.now(),
        }
    }

    pub fn operation(&self, kind: OperationKindName, subject: Subject) -> Operation {
        Operation {
            id: fresh(&*self.ids),
            kind,
            version: 1,
            shard: self.zone.shard,
            epoch: 1,
            project: BUILT_IN_PROJECT,
            subject,
            state: OperationState::Running,
            params: json!({"a": [1, null, "x"]}),
            journal: vec![],
            progress: 0,
            note: "accepted".into(),
            error: None,
            caller: "admin".into(),
            due_at: self.clock.now(),
            cancel_requested: false,
            generation: 1,
            created_at: self.clock.now(),
            ended_at: None,
        }
    }

    pub fn event(&self, kind: &str, resource: Uuid) -> NewEvent {
        NewEvent {
            kind: kind.into(),
            project: BUILT_IN_PROJECT,
            collection: "instances",
            resource,
            operation: None,
            caller: "admin".into(),
            data: json!({"n": 1}),
        }
    }

    pub fn decision(&self, instance: InstanceId, host: ComputeHostId) -> Decision {
        Decision {
            id: fresh(&*self.ids),
            project: BUILT_IN_PROJECT,
            zone: self.zone.id,
            instance,
            ask: json!({"vcpus": 1}),
            inventory_epoch: 3,
            policy: PolicyUsed {
                policy: None,
                name: "built-in".into(),
                digest: None,
                generation: 0,
                config: json!({}),
                failed: None,
                fallback: None,
            },
            seed: u64::MAX,
            winner: Some(Ranked {
                compute_host: host,
                score: 7,
                tier: Tier::default(),
            }),
            pools: vec![self.pool.id],
            runners_up: vec![],
            considered: 1,
            refused: vec![],
            refusals: vec![],
            fuel: 0,
            micros: 12,
            at: self.clock.now(),
        }
    }

    /// All that accepting an instance writes.
    pub fn accepting(&self, called: &str, host: ComputeHostId, at: u32) -> (Instance, Commit) {
        let instance = self.instance(called);
        let run = self.run(&instance, host);
        let nic = self.nic(instance.id, 0, at);
        let operation = self.operation(OperationKindName::InstanceCreate, Subject::Instance(instance.id));
        let decision = self.decision(instance.id, host);
        let commit = Commit {
            fence: self.fence(),
            idempotency: Some(Idempotency {
                token: TokenId::from_uuid(Uuid::from_u128(9)),
                key: called.to_owned(),
                request_hash: vec![1, 2, 3],
                answer: StoredAnswer {
                    status: 202,
                    location: Some(format!("/v1/operations/{}", operation.id)),
                    etag: None,
                    body: "{\"é\":1}".into(),
                },
            }),
            operation: Some(OperationWrite::Insert {
                locks: vec![operation.subject],
                operation: Box::new(operation),
                preempts: false,
            }),
            changes: vec![
                Change::InsertInstance(Box::new(instance.clone())),
                Change::InsertVolume(Box::new(
                    self.volume(&format!("{called}-root"), Some((instance.id, 0))),
                )),
                self.insert_nic(&nic),
                Change::InsertRun(run),
            ],
            decision: Some(Box::new(decision)),
            events: vec![self.event("instance.created", instance.id.uuid())],
        };
        (instance, commit)
    }

    pub async fn read_host(&self, id: ComputeHostId) -> ComputeHost {
        self.store
            .read()
            .compute_host(id)
            .await
            .expect("readable")
            .expect("there")
    }

    pub async fn read_pool(&self) -> StoragePool {
        self.store
            .read()
            .storage_pool(self.pool.id)
            .await
            .expect("readable")
            .expect("there")
    }
}

pub fn plugin(ids: &dyn Ids, called: &str, n: u8, now: Timestamp) -> Plugin {
    Plugin {
        id: fresh(ids),
        digest: digest(n),
        manifest: Manifest {
            name: name(called),
            version: format!("{n}.0.0"),
            world: PluginWorld::HypervisorDriver,
            description: "drives".into(),
            capabilities: BTreeMap::from([("libvirt".into(), json!({}))]),
            config: None,
            target: Some(json!({"type": "object"})),
            limits: BTreeMap::from([("fuel".into(), 5)]),
        },
        grant: BTreeMap::from([("libvirt".into(), json!({}))]),
        origin: velum_model::trust::Origin::Directory,
        imports: vec!["velum:connect/libvirt".into()],
        exports: vec!["velum:hypervisor/driver".into()],
        size_bytes: 12_345,
        created_at: now,
    }
}

pub fn policy(ids: &dyn Ids, called: &str, digest: &Digest, now: Timestamp) -> Policy {
    Policy {
        id: fresh(ids),
        name: name(called),
        digest: digest.clone(),
        config: json!({"weight": 3}),
        fallback: Fallback::Refuse,
        generation: 1,
        since: now,
        cause: velum_model::plugin::PolicyCause::Created,
        created_at: now,
    }
}

pub fn pool(ids: &dyn Ids, zone: &Zone, plugin: &Plugin, capacity: u64) -> StoragePool {
    StoragePool {
        id: fresh(ids),
        zone: zone.id,
        scope: PoolScope::Zone,
        name: name("pool"),
        provider: plugin.digest.clone(),
        config: json!({"directory": "/x"}),
        node: None,
        endpoint: Some("http://127.0.0.1:2".into()),
        credential: Some("file:/etc/velum/array.token".into()),
        capacity: bytes(capacity),
        bytes_ceiling: capacity,
        bytes_used: 0,
        tags: vec![name("fast")],
        attributes: BTreeMap::new(),
        abilities: PoolAbilities {
            formats: vec![1, 2],
            max_bytes: 1 << 40,
            ..PoolAbilities::default()
        },
        intent: Intent::Enabled,
        driven_since: None,
        generation: 1,
        created_at: zone.created_at,
    }
}

pub fn network(ids: &dyn Ids, zone: &Zone, offering: &NetworkOffering) -> Network {
    Network {
        id: fresh(ids),
        zone: zone.id,
        project: BUILT_IN_PROJECT,
        offering: offering.id,
        name: name("net"),
        cidr: "10.1.0.0/16".parse().expect("a network"),
        gateway: address(1),
        dns: vec![Ipv4Addr::new(9, 9, 9, 9)],
        link: Link {
            kind: LinkKind::Bridge,
            name: "br0".into(),
        },
        generation: 1,
        created_at: zone.created_at,
    }
}

pub fn range(ids: &dyn Ids, network: &Network, first: u32, last: u32) -> IpRange {
    IpRange {
        id: fresh(ids),
        zone: network.zone,
        used_for: IpRangeUse::Public(network.id),
        range: AddressRange {
            first: address(first),
            last: address(last),
        },
        claimed: 0,
        generation: 1,
        created_at: network.created_at,
    }
}

pub fn template(ids: &dyn Ids, zone: &Zone, image_store: &ImageStore) -> Template {
    Template {
        id: fresh(ids),
        zone: zone.id,
        project: BUILT_IN_PROJECT,
        image_store: image_store.id,
        name: name("debian"),
        format: ImageFormat::Qcow2,
        upload_bytes: bytes(1000),
        received_bytes: 0,
        sha256: "ab".repeat(32),
        state: TemplateState::Uploading,
        virtual_bytes: None,
        reference: None,
        generation: 1,
        created_at: zone.created_at,
    }
}

pub fn attachment(identity: &str) -> Attachment {
    Attachment {
        kind: 1,
        format: 2,
        identity: identity.into(),
        size_bytes: GIB,
        params: vec![velum_model::port::target::Attr::text(1, "/x/y")],
        secret: None,
    }
}
