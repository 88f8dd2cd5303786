//! A small cloud in a real database, with the far side in memory: what the operation stories are told on.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;
use velum_model::{
    Name, Timestamp,
    chance::{Ids, fresh},
    id::*,
    infrastructure::*,
    instance::*,
    net::{AddressRange, Link, LinkKind, Mac},
    operation::{Operation, OperationKindName, OperationState, Subject},
    page::Page,
    plugin::Digest,
    port::storage::registry,
    quantity::{Bytes, MemoryMib, Overcommit, Vcpus},
    storage::*,
    tenancy::{BUILT_IN_PROJECT, Scope},
    time::Clock,
};
use velum_operation::{Engine, EngineLimits, EngineParts, Replacement, Replan, ReplanAsk, params};
use velum_store::{
    Change, Commit, CommittedBatch, InstanceFilter, Observer, OperationWrite, Store, StoreOptions,
    VolumeFilter,
};

use crate::far_side::FarSide;

/// Time since the test began.
pub struct Elapsed(tokio::time::Instant);

impl Clock for Elapsed {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.elapsed().as_micros() as i64)
    }
}

#[derive(Default)]
pub struct Counting(AtomicU64);

impl Ids for Counting {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(
            0x0700_0000_0000_7000_8000_0000_0000_0000 + u128::from(self.0.fetch_add(1, Ordering::Relaxed)),
        )
    }
    fn seed(&self) -> u64 {
        7
    }
    fn secret(&self) -> [u8; 32] {
        [7; 32]
    }
}

#[derive(Default)]
struct Follow(OnceLock<Engine>);

impl Observer for Follow {
    fn committed(&self, batch: &CommittedBatch) {
        if let Some(engine) = self.0.get() {
            batch.commits.iter().for_each(|commit| engine.offer(commit));
        }
    }
}

/// Places a retry on the cloud's other compute host.
struct OtherHost {
    hosts: [ComputeHostId; 2],
    store: Store,
    ids: Arc<Counting>,
}

#[async_trait]
impl Replan for OtherHost {
    async fn elsewhere(&self, ask: ReplanAsk) -> Option<Replacement> {
        let host = self.hosts.into_iter().find(|h| !ask.excluded.contains(h))?;
        let old = self.store.read().run(ask.failed_run).await.ok()??;
        let run = Run {
            id: fresh(self.ids.as_ref()),
            compute_host: host,
            generation: old.generation + 1,
            ..old.clone()
        };
        let decision = Box::new(decision(fresh(self.ids.as_ref()), ask.instance));
        let changes = vec![
            Change::DeleteRun(old.id),
            Change::InsertRun(run.clone()),
            Change::InstanceDecision {
                id: ask.instance,
                decision: decision.id,
            },
        ];
        Some(Replacement {
            run,
            moved_root: None,
            changes,
            decision,
        })
    }
    fn give_back(&self, _: &Replacement) {}
}

fn decision(id: DecisionId, instance: InstanceId) -> velum_model::decision::Decision {
    velum_model::decision::Decision {
        id,
        project: BUILT_IN_PROJECT,
        zone: Id::from_uuid(Uuid::nil()),
        instance,
        ask: Value::Null,
        inventory_epoch: 0,
        policy: velum_model::decision::PolicyUsed {
            policy: None,
            name: "built-in".into(),
            digest: None,
            generation: 0,
            config: Value::Null,
            failed: None,
            fallback: None,
        },
        seed: 0,
        winner: None,
        pools: Vec::new(),
        runners_up: Vec::new(),
        considered: 2,
        refused: Vec::new(),
        refusals: Vec::new(),
        fuel: 0,
        micros: 0,
        at: Timestamp::default(),
    }
}

/// The cloud.
pub struct Cloud {
    pub store: Store,
    pub engine: Engine,
    pub far: FarSide,
    clock: Arc<Elapsed>,
    ids: Arc<Counting>,
    zone: Zone,
    hosts: [ComputeHostId; 2],
    pool: StoragePoolId,
    network: NetworkId,
    range: IpRangeId,
    offering: ComputeOfferingId,
    template: TemplateId,
    next_address: AtomicU64,
    runner: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn digest(byte: char) -> Digest {
    Digest::from_hex(&byte.to_string().repeat(64)).expect("a digest")
}

impl Cloud {
    /// Two compute hosts, a pool, a network of many addresses, a template.
    #[expect(clippy::too_many_lines, reason = "a list of parts")]
    pub async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (clock, ids) = (
            Arc::new(Elapsed(tokio::time::Instant::now())),
            Arc::new(Counting::default()),
        );
        let follow = Arc::new(Follow::default());
        let store = Store::open(StoreOptions {
            url: format!("sqlite:{}", directory.path().join("velum.db").display()),
            holder: "test".into(),
            clock: clock.clone(),
            ids: ids.clone(),
            observer: follow.clone(),
            lease_ms: 3_600_000,
        })
        .await
        .expect("the store opens");
        let far = FarSide::default();
        let hosts = [fresh(ids.as_ref()), fresh(ids.as_ref())];
        let replan = Arc::new(OtherHost {
            hosts,
            store: store.clone(),
            ids: ids.clone(),
        });
        let engine = Engine::new(EngineParts {
            store: store.clone(),
            plugins: Arc::new(far.clone()),
            nodes: Arc::new(far.clone()),
            replan,
            clock: clock.clone(),
            ids: ids.clone(),
            limits: EngineLimits {
                backoff_ms: 1,
                ..EngineLimits::default()
            },
        });
        let _ = follow.0.set(engine.clone());
        let runner = tokio::spawn({
            let engine = engine.clone();
            async move { engine.run().await }
        });
        let shard = fresh(ids.as_ref());
        let zone = Zone {
            id: fresh(ids.as_ref()),
            name: name("zone"),
            access: ZoneAccess::Public,
            shard,
            policy: None,
            pool_policy: None,
            generation: 1,
            created_at: clock.now(),
        };
        let cloud = Self {
            store,
            engine,
            far,
            zone,
            hosts,
            pool: fresh(ids.as_ref()),
            network: fresh(ids.as_ref()),
            range: fresh(ids.as_ref()),
            offering: fresh(ids.as_ref()),
            template: fresh(ids.as_ref()),
            next_address: AtomicU64::new(10),
            clock,
            ids,
            runner,
            _directory: directory,
        };
        cloud.build().await;
        cloud
    }

    async fn commit(&self, changes: Vec<Change>) {
        self.store
            .commit(Commit {
                changes,
                ..Commit::default()
            })
            .await
            .expect("the rows go in");
    }

    fn id<Of>(&self) -> Id<Of> {
        fresh(self.ids.as_ref())
    }

    #[expect(clippy::too_many_lines, reason = "a list of rows")]
    async fn build(&self) {
        let (zone, at) = (self.zone.id, self.clock.now());
        let (pod, cluster): (PodId, ClusterId) = (self.id(), self.id());
        let (store, network_offering): (ImageStoreId, NetworkOfferingId) = (self.id(), self.id());
        self.commit(vec![Change::InsertZone(self.zone.clone())]).await;
        self.commit(
            [
                ('a', "driver", "hypervisor-driver"),
                ('b', "provider", "storage-provider"),
            ]
            .into_iter()
            .map(|(byte, text, world)| {
                Change::InsertPlugin(Box::new(velum_model::plugin::Plugin {
                    id: self.id(),
                    digest: digest(byte),
                    manifest: velum_model::plugin::Manifest {
                        name: name(text),
                        version: "0.1.0".into(),
                        world: world.parse().expect("a world"),
                        description: String::new(),
                        capabilities: BTreeMap::new(),
                        config: None,
                        target: None,
                        limits: BTreeMap::new(),
                    },
                    grant: BTreeMap::new(),
                    origin: velum_model::trust::Origin::Directory,
                    imports: Vec::new(),
                    exports: Vec::new(),
                    size_bytes: 1,
                    created_at: at,
                }))
            })
            .collect(),
        )
        .await;
        self.commit(vec![Change::InsertPod(Pod {
            id: pod,
            zone,
            name: name("pod"),
            cidr: "10.9.0.0/24".parse().expect("a network"),
            gateway: Ipv4Addr::new(10, 9, 0, 1),
            dedicated_to: None,
            generation: 1,
            created_at: at,
        })])
        .await;
        self.commit(vec![Change::InsertCluster(Cluster {
            id: cluster,
            zone,
            pod,
            shard: self.zone.shard,
            name: name("cluster"),
            driver: name("driver"),
            cpu_overcommit: Overcommit::NONE,
            memory_overcommit: Overcommit::NONE,
            dedicated_to: None,
            generation: 1,
            created_at: at,
        })])
        .await;
        for (number, host) in self.hosts.into_iter().enumerate() {
            self.commit(vec![Change::InsertComputeHost(Box::new(
                self.host(host, number, pod, cluster),
            ))])
            .await;
        }
        self.commit(vec![Change::InsertStoragePool(Box::new(self.storage_pool()))])
            .await;
        self.commit(vec![
            Change::InsertImageStore(ImageStore {
                id: store,
                zone,
                name: name("images"),
                place: ImageStorePlace::Http {
                    endpoint: "http://far".into(),
                },
                generation: 1,
                created_at: at,
            }),
            Change::InsertNetworkOffering(NetworkOffering {
                id: network_offering,
                name: name("shared"),
                kind: NetworkOfferingUse::Shared,
                generation: 1,
                created_at: at,
            }),
            Change::InsertComputeOffering(ComputeOffering {
                id: self.offering,
                name: name("small"),
                vcpus: Vcpus::new(1).expect("vCPUs"),
                memory: MemoryMib::new(128).expect("memory"),
                resources: BTreeMap::new(),
                host_tags: Vec::new(),
                storage_tags: Vec::new(),
                policy: None,
                expected_lifetime: None,
                generation: 1,
                created_at: at,
            }),
        ])
        .await;
        self.commit(vec![Change::InsertNetwork(Network {
            id: self.network,
            zone,
            project: BUILT_IN_PROJECT,
            offering: network_offering,
            name: name("net"),
            cidr: "10.8.0.0/16".parse().expect("a network"),
            gateway: Ipv4Addr::new(10, 8, 0, 1),
            dns: Vec::new(),
            link: Link {
                kind: LinkKind::Simulated,
                name: "sim0".into(),
            },
            generation: 1,
            created_at: at,
        })])
        .await;
        self.commit(vec![
            Change::InsertIpRange(IpRange {
                id: self.range,
                zone,
                used_for: IpRangeUse::Public(self.network),
                range: AddressRange {
                    first: Ipv4Addr::new(10, 8, 0, 10),
                    last: Ipv4Addr::new(10, 8, 1, 250),
                },
                claimed: 0,
                generation: 1,
                created_at: at,
            }),
            Change::InsertTemplate(Template {
                id: self.template,
                zone,
                project: BUILT_IN_PROJECT,
                image_store: store,
                name: name("linux"),
                format: ImageFormat::Raw,
                upload_bytes: Bytes::new(1 << 20).expect("bytes"),
                received_bytes: 1 << 20,
                sha256: "0".repeat(64),
                state: TemplateState::Ready,
                virtual_bytes: Some(1 << 20),
                reference: Some("linux".into()),
                generation: 1,
                created_at: at,
            }),
        ])
        .await;
    }

    fn host(&self, id: ComputeHostId, number: usize, pod: PodId, cluster: ClusterId) -> ComputeHost {
        ComputeHost {
            id,
            zone: self.zone.id,
            pod,
            cluster,
            name: name(&format!("host-{number}")),
            driver: digest('a'),
            config: json!({}),
            node: None,
            endpoint: Some("http://far".into()),
            private_address: None,
            vcpus: Vcpus::new(64).expect("vCPUs"),
            memory: MemoryMib::new(65_536).expect("memory"),
            vcpus_ceiling: 64,
            memory_ceiling: 65_536,
            vcpus_used: 0,
            memory_used: 0,
            resources: BTreeMap::new(),
            tags: Vec::new(),
            attributes: BTreeMap::new(),
            abilities: HostAbilities {
                arch: 1,
                attachment_kinds: vec![registry::ATTACH_SIMULATED],
                ..HostAbilities::default()
            },
            intent: Intent::Enabled,
            dedicated_to: None,
            observed: HostState::Up,
            boot_id: None,
            observed_at: None,
            driven_since: None,
            generation: 1,
            created_at: self.clock.now(),
        }
    }

    fn storage_pool(&self) -> StoragePool {
        StoragePool {
            id: self.pool,
            zone: self.zone.id,
            scope: PoolScope::Zone,
            name: name("pool"),
            provider: digest('b'),
            config: json!({}),
            node: None,
            endpoint: Some("http://far".into()),
            credential: None,
            capacity: Bytes::new(1 << 40).expect("bytes"),
            bytes_ceiling: 1 << 40,
            bytes_used: 0,
            tags: Vec::new(),
            attributes: BTreeMap::new(),
            abilities: PoolAbilities {
                attachment_kinds: vec![registry::ATTACH_SIMULATED],
                formats: vec![registry::FORMAT_RAW],
                features: vec![registry::FEATURE_FILLS_LAYERS],
                granularity_bytes: 1,
                min_bytes: 1,
                max_bytes: 1 << 40,
            },
            intent: Intent::Enabled,
            driven_since: None,
            generation: 1,
            created_at: self.clock.now(),
        }
    }

    /// The fence of the zone's shard.
    pub fn fence(&self) -> Option<(ShardId, u64)> {
        let epoch = self.store.epoch(self.zone.shard).expect("the shard is ours");
        Some((self.zone.shard, epoch))
    }

    pub fn operation(&self, kind: OperationKindName, subject: Subject, params: Value) -> Operation {
        let now = self.clock.now();
        Operation {
            id: self.id(),
            kind,
            version: velum_operation::version_of(kind),
            shard: self.zone.shard,
            epoch: 1,
            project: BUILT_IN_PROJECT,
            subject,
            state: OperationState::Running,
            params,
            journal: Vec::new(),
            progress: 0,
            note: String::new(),
            error: None,
            caller: "test".into(),
            due_at: now,
            cancel_requested: false,
            generation: 1,
            created_at: now,
            ended_at: None,
        }
    }

    /// Accepts an operation with its changes and answers its id.
    pub async fn accept(
        &self,
        kind: OperationKindName,
        subject: Subject,
        params: Value,
        changes: Vec<Change>,
        preempts: bool,
    ) -> OperationId {
        let operation = self.operation(kind, subject, params);
        let id = operation.id;
        let commit = Commit {
            fence: self.fence(),
            operation: Some(OperationWrite::Insert {
                operation: Box::new(operation),
                locks: vec![subject],
                preempts,
            }),
            changes,
            ..Commit::default()
        };
        self.store
            .commit(commit)
            .await
            .expect("the operation is accepted");
        id
    }

    /// Accepts the creation of an instance on the first compute host.
    #[expect(clippy::too_many_lines, reason = "a list of rows")]
    pub async fn create_instance(&self, text: &str) -> (InstanceId, OperationId) {
        let at = self.clock.now();
        let (id, volume): (InstanceId, VolumeId) = (self.id(), self.id());
        let run = self.run_of(id, 1);
        let number = self.next_address.fetch_add(1, Ordering::Relaxed);
        let instance = Instance {
            id,
            zone: self.zone.id,
            project: BUILT_IN_PROJECT,
            name: name(text),
            offering: self.offering,
            template: self.template,
            vcpus: run.vcpus,
            memory: run.memory,
            user_data: Vec::new(),
            expected_lifetime: None,
            state: InstanceState::Creating,
            run: None,
            last_host: None,
            decision: None,
            generation: 1,
            created_at: at,
        };
        let changes = vec![
            Change::InsertInstance(Box::new(instance)),
            Change::InsertRun(run.clone()),
            Change::InsertLayer(Layer {
                id: self.id(),
                pool: self.pool,
                template: self.template,
                size: Bytes::new(1 << 20).expect("bytes"),
                backend_id: None,
                ready: false,
                created_at: at,
            }),
            Change::InsertVolume(Box::new(Volume {
                id: volume,
                zone: self.zone.id,
                project: BUILT_IN_PROJECT,
                name: name(&format!("{text}-root")),
                used_as: VolumeUse::Root,
                offering: None,
                pool: self.pool,
                size: Bytes::new(1 << 20).expect("bytes"),
                parent: None,
                backend_id: None,
                state: VolumeState::Creating,
                attachment: Some(VolumeAttachment {
                    instance: id,
                    slot: 0,
                }),
                generation: 1,
                created_at: at,
            })),
            Change::InsertNic {
                nic: Nic {
                    id: self.id(),
                    instance: id,
                    network: self.network,
                    project: BUILT_IN_PROJECT,
                    slot: 0,
                    mac: Mac::numbered(number as u32),
                    address: Ipv4Addr::new(10, 8, 0, number as u8),
                    created_at: at,
                },
                range: self.range,
                address_id: self.id(),
            },
        ];
        let params = json!(params::InstanceCreate {
            run: run.id,
            root_volume: volume,
            excluded: Vec::new()
        });
        let operation = self
            .accept(
                OperationKindName::InstanceCreate,
                Subject::Instance(id),
                params,
                changes,
                false,
            )
            .await;
        (id, operation)
    }

    /// A run of an instance on the first compute host.
    pub fn run_of(&self, instance: InstanceId, generation: u64) -> Run {
        Run {
            id: self.id(),
            instance,
            compute_host: self.hosts[0],
            generation,
            role: RunRole::Active,
            vcpus: Vcpus::new(1).expect("vCPUs"),
            memory: MemoryMib::new(128).expect("memory"),
            resources: BTreeMap::new(),
            observed: ObservedState::Unknown,
            observed_at: None,
            created_at: self.clock.now(),
            expected_end_at: None,
        }
    }

    /// A data volume that an operation is to make.
    pub fn data_volume(&self, text: &str) -> Volume {
        Volume {
            id: self.id(),
            zone: self.zone.id,
            project: BUILT_IN_PROJECT,
            name: name(text),
            used_as: VolumeUse::Data,
            offering: None,
            pool: self.pool,
            size: Bytes::new(1 << 20).expect("bytes"),
            parent: None,
            backend_id: None,
            state: VolumeState::Creating,
            attachment: None,
            generation: 1,
            created_at: self.clock.now(),
        }
    }

    /// The compute host that a second attempt goes to.
    pub fn other_host(&self) -> ComputeHostId {
        self.hosts[1]
    }

    /// The instance as the rows have it.
    pub async fn instance(&self, id: InstanceId) -> Option<Instance> {
        self.store
            .read()
            .instance(Scope::All, id)
            .await
            .expect("the row reads")
    }

    /// Waits until nothing is under way, and answers what became of an operation.
    pub async fn settled(&self, id: OperationId) -> Operation {
        for _ in 0..20_000 {
            let found = self
                .store
                .read()
                .operation(Scope::All, id)
                .await
                .expect("the row reads")
                .expect("it is there");
            if found.state.has_ended() || found.state == OperationState::Parked {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("operation {id} does not settle");
    }

    /// Destroys an instance and waits for it.
    pub async fn destroy(&self, id: InstanceId) -> Operation {
        let state = self.instance(id).await.expect("it is there").state;
        let change = Change::InstanceState {
            id,
            from: vec![state],
            to: state.destroy().expect("it can go"),
        };
        let kind = OperationKindName::InstanceDestroy;
        let operation = self
            .accept(kind, Subject::Instance(id), json!({}), vec![change], true)
            .await;
        self.settled(operation).await
    }

    /// Only the template's layer is left, ready or begun, and the books are right.
    pub async fn assert_nothing_left(&self) {
        let reader = self.store.read();
        let instances = reader
            .instances(Scope::All, &InstanceFilter::default(), Page::default())
            .await
            .expect("rows read");
        assert!(
            instances.items.is_empty(),
            "instances are left: {:?}",
            instances.items
        );
        let volumes = reader
            .volumes(Scope::All, &VolumeFilter::default(), Page::default())
            .await
            .expect("rows read");
        assert!(volumes.items.is_empty(), "volumes are left: {:?}", volumes.items);
        for host in self.hosts {
            let host = reader
                .compute_host(host)
                .await
                .expect("rows read")
                .expect("the host is there");
            assert_eq!(
                (host.vcpus_used, host.memory_used),
                (0, 0),
                "claims are left on {}",
                host.name
            );
        }
        assert!(
            reader
                .claimed_addresses(self.range)
                .await
                .expect("rows read")
                .is_empty(),
            "addresses are left"
        );
        assert_eq!(self.store.audit().await.expect("the audit runs"), Vec::new());
        let layers = reader.layers_of_template(self.template).await.expect("rows read");
        let expected: Vec<String> = layers.iter().map(|l| format!("volume {}", l.id.uuid())).collect();
        let left: Vec<String> = self
            .far
            .contents()
            .into_iter()
            .filter(|what| !expected.contains(what))
            .collect();
        assert!(left.is_empty(), "the far side has: {left:?}");
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.engine.stop();
        self.runner.abort();
    }
}
