//! A small cloud: a real store in a temporary directory, a far side that answers at once.

pub mod fakes;

use std::{collections::BTreeMap, sync::Arc};

pub use fakes::*;
use velum_model::{
    Name,
    decision::Decision,
    id::*,
    infrastructure::*,
    instance::InstanceState,
    net::{Link, LinkKind},
    page::Page,
    plugin::{Fallback, Plugin, Policy},
    quantity::{Bytes, MemoryMib, Overcommit, ResourceAmount, Vcpus},
    resource::{ResourceName, Resources},
    storage::{ImageFormat, Template, TemplateState},
    tenancy::{Caller, Scope},
};
use velum_operation::Replacement;
use velum_service::*;
use velum_store::{Change, Commit, Histories, Store, StoreOptions};

/// The parts of a cloud that tests name.
pub struct Cloud {
    pub store: Store,
    pub services: Services,
    pub caller: Caller,
    pub zone: Zone,
    pub pod: Pod,
    pub cluster: Cluster,
    pub hosts: Vec<ComputeHost>,
    pub pool: StoragePool,
    pub network: Network,
    pub range: IpRange,
    pub offering: ComputeOffering,
    pub template: Template,
    directory: tempfile::TempDir,
}

/// How large it is.
#[derive(Clone, Copy)]
pub struct Size {
    pub hosts: u32,
    pub memory_mib: u64,
    pub addresses: u8,
}

pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// Amounts of countable resources.
pub fn resources(amounts: &[(&str, u64)]) -> Resources {
    let resource = |&(name, amount): &(&str, u64)| {
        let name = ResourceName::new(name).expect("a name");
        (name, ResourceAmount::new(amount).expect("in range"))
    };
    amounts.iter().map(resource).collect()
}

pub fn fresh<T>(answered: Answered<T>) -> T {
    match answered {
        Answered::Fresh(made) => made,
        Answered::Replayed(answer) => panic!("replayed: {}", answer.body),
    }
}

pub async fn open(directory: &std::path::Path) -> (Store, Services, Arc<FakePlugins>) {
    let settings = Settings {
        unsigned: Unsigned::Allow,
        ..Settings::default()
    };
    open_as(directory, settings).await
}

pub async fn open_as(directory: &std::path::Path, settings: Settings) -> (Store, Services, Arc<FakePlugins>) {
    let ids = Arc::new(Counting::default());
    let clock = Arc::new(Ticking::default());
    let watch = Watch::new();
    let store = Store::open(StoreOptions {
        url: format!("sqlite:{}", directory.join("velum.db").display()),
        holder: "test".into(),
        clock: clock.clone(),
        ids: ids.clone(),
        observer: watch.clone(),
        lease_ms: 60_000,
    })
    .await
    .expect("the store opens");
    store.take_over(false).await.expect("it is taken over");
    let plugins = Arc::new(FakePlugins::default());
    let services = Services::start(Parts {
        store: store.clone(),
        plugins: plugins.clone(),
        nodes: Arc::new(FakeNodes::default()),
        clock,
        ids,
        watch,
        settings,
        histories: Histories::in_files(directory.join("history"), 1 << 30),
    })
    .await
    .expect("the services start");
    (store, services, plugins)
}

pub fn administrator() -> Caller {
    Caller {
        token: any_token(),
        name: "admin".into(),
        scope: Scope::All,
    }
}

impl Cloud {
    pub async fn of(size: Size) -> Self {
        let settings = Settings {
            unsigned: Unsigned::Allow,
            ..Settings::default()
        };
        Self::with(size, settings).await
    }

    pub async fn with(size: Size, settings: Settings) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (store, services, _) = open_as(directory.path(), settings).await;
        let caller = administrator();
        store
            .insert_token(caller.token, &caller.name, b"hash", Scope::All)
            .await
            .expect("a token");
        for component in [
            "driver", "provider", "plain", "other", "traps", "nonsense", "refuses", "pools",
        ] {
            let new = NewPlugin {
                component: component.into(),
                ..NewPlugin::default()
            };
            services
                .plugin_install(&caller, new, None)
                .await
                .expect("installed");
        }
        let (zone, pod, cluster) = hierarchy(&services, &caller).await;
        let mut hosts = Vec::new();
        for n in 0..size.hosts {
            let new = new_host(&cluster, &format!("host-{n}"), size.memory_mib);
            let made = services.compute_host_create(&caller, new, None).await;
            hosts.push(fresh(made.expect("a host")));
        }
        let pool = services.storage_pool_create(&caller, new_pool(&zone), None).await;
        let pool = fresh(pool.expect("a pool"));
        let (network, range) = network(&services, &caller, &zone, size.addresses).await;
        let offering = offering(&services, &caller).await;
        let template = template(&store, &services, &caller, &zone).await;
        Self {
            store,
            services,
            caller,
            zone,
            pod,
            cluster,
            hosts,
            pool,
            network,
            range,
            offering,
            template,
            directory,
        }
    }

    pub fn new_instance(&self, text: &str) -> NewInstance {
        NewInstance {
            zone: self.zone.id,
            name: name(text),
            offering: self.offering.id,
            template: self.template.id,
            networks: vec![NewNic {
                network: self.network.id,
                address: None,
            }],
            root_size: None,
            affinity_groups: Vec::new(),
            user_data: b"#cloud-config".to_vec(),
            expected_lifetime: None,
        }
    }

    /// A connection to its database that no service knows of.
    pub async fn database(&self) -> sqlx::SqliteConnection {
        use sqlx::Connection as _;
        let url = format!("sqlite:{}", self.directory.path().join("velum.db").display());
        sqlx::SqliteConnection::connect(&url).await.expect("a connection")
    }

    /// Somebody of another project, which nothing makes yet.
    pub async fn tenant(&self, number: u128) -> Caller {
        use sqlx::Connection as _;
        let project = ProjectId::from_uuid(uuid::Uuid::from_u128(number));
        let mut connection = self.database().await;
        sqlx::query("INSERT INTO project (id, name, created_at) VALUES ($1, $2, 0)")
            .bind(project.uuid().as_bytes().to_vec())
            .bind(format!("project-{number}"))
            .execute(&mut connection)
            .await
            .expect("a project");
        connection.close().await.expect("closed");
        Caller {
            scope: Scope::Project(project),
            ..self.caller.clone()
        }
    }

    pub async fn create(&self, text: &str) -> Result<InstanceDetail, ServiceError> {
        let new = self.new_instance(text);
        let answered = self.services.instance_create(&self.caller, new, None).await?;
        Ok(fresh(answered).resource)
    }

    pub async fn decision_of(&self, instance: &InstanceDetail) -> Decision {
        let id = instance.instance.decision.expect("decided");
        self.services
            .decision_get(&self.caller, id)
            .await
            .expect("stored")
    }

    pub async fn policy(&self, text: &str, plugin: &str, fallback: Fallback) -> Policy {
        let new = NewPolicy {
            name: name(text),
            plugin: PluginChoice::Newest(name(plugin)),
            config: serde_json::Value::Null,
            fallback,
        };
        fresh(
            self.services
                .policy_create(&self.caller, new, None)
                .await
                .expect("a policy"),
        )
    }

    /// The plugin that a policy is made of.
    pub async fn plugin_of(&self, policy: &Policy) -> Plugin {
        let plugins = self
            .services
            .plugin_list(&self.caller, &Default::default(), Page::default())
            .await
            .expect("listed");
        let mut plugins = plugins.items.into_iter();
        plugins
            .find(|plugin| plugin.digest == policy.digest)
            .expect("nothing removes a plugin that is used")
    }

    pub async fn use_policy(&self, policy: Option<PolicyId>) {
        let change = ChangeZone {
            policy: Some(policy),
            ..ChangeZone::default()
        };
        let changed = self
            .services
            .zone_change(&self.caller, self.zone.id, None, change)
            .await;
        changed.expect("the policy is swapped");
    }

    /// Ends a create as the engine would: the guest was seen to run.
    pub async fn bring_up(&self, instance: &InstanceDetail) {
        let mut changes = vec![Change::InstanceState {
            id: instance.instance.id,
            from: velum_model::instance::InstanceState::ALL.to_vec(),
            to: velum_model::instance::InstanceState::Running,
        }];
        changes.extend(instance.volumes.iter().map(|volume| Change::VolumeReady {
            id: volume.id,
            backend_id: format!("b-{}", volume.id),
            parent: None,
        }));
        self.end_operation(instance, changes).await;
    }

    /// Stops an instance that was brought up, as the engine would.
    pub async fn stop(&self, made: &InstanceDetail) {
        let stopping = self
            .services
            .instance_stop(&self.caller, made.instance.id, 0, None)
            .await;
        stopping.expect("accepted");
        let run = made.instance.run.as_ref().expect("placed").id;
        let changes = vec![
            Change::DeleteRun(run),
            Change::InstanceState {
                id: made.instance.id,
                from: vec![InstanceState::Stopping],
                to: InstanceState::Stopped,
            },
        ];
        self.end_operation(made, changes).await;
    }

    /// Takes an instance away, as the engine would.
    pub async fn destroy(&self, made: &InstanceDetail) {
        let id = made.instance.id;
        let now = self
            .services
            .instance_detail(&self.caller, id)
            .await
            .expect("there");
        let destroying = self.services.instance_destroy(&self.caller, id, None, None).await;
        destroying.expect("accepted");
        let mut changes: Vec<Change> = now
            .instance
            .run
            .iter()
            .map(|run| Change::DeleteRun(run.id))
            .collect();
        changes.extend(now.nics.iter().map(|nic| Change::DeleteNic(nic.id)));
        changes.extend(now.volumes.iter().map(|volume| Change::DeleteVolume(volume.id)));
        changes.push(Change::DeleteInstance(id));
        self.end_operation(made, changes).await;
    }

    /// Ends whatever holds an instance, with these changes.
    pub async fn end_operation(&self, instance: &InstanceDetail, changes: Vec<Change>) {
        let reader = self.store.read();
        let subject = velum_model::operation::Subject::Instance(instance.instance.id);
        let holder = reader.holder_of(subject).await.expect("read").expect("held");
        let mut operation = reader
            .operation(Scope::All, holder)
            .await
            .expect("read")
            .expect("there");
        operation.state = velum_model::operation::OperationState::Done;
        operation.ended_at = Some(operation.created_at);
        let commit = Commit {
            fence: Some((self.zone.shard, self.store.epoch(self.zone.shard).expect("owned"))),
            operation: Some(velum_store::OperationWrite::Update(Box::new(operation))),
            changes,
            ..Commit::default()
        };
        self.store.commit(commit).await.expect("the operation ends");
    }

    pub async fn instances(&self) -> Vec<velum_model::instance::Instance> {
        let page = Page {
            limit: Page::MAX_LIMIT,
            after: None,
        };
        let listed = self
            .services
            .instance_list(&self.caller, &Default::default(), page)
            .await;
        listed.expect("listed").items
    }

    /// Commits another place of an instance, as its operation does.
    pub async fn goes_elsewhere(&self, replacement: &Replacement) {
        let epoch = self.store.epoch(self.zone.shard).expect("owned");
        let commit = Commit {
            fence: Some((self.zone.shard, epoch)),
            changes: replacement.changes.clone(),
            decision: Some(replacement.decision.clone()),
            ..Commit::default()
        };
        self.store.commit(commit).await.expect("committed");
    }

    /// Nothing is promised twice, and every sum agrees with its claims.
    pub async fn audit(&self) {
        assert_eq!(self.store.audit().await.expect("audited"), []);
    }

    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }
}

async fn hierarchy(services: &Services, caller: &Caller) -> (Zone, Pod, Cluster) {
    let zone = NewZone {
        name: name("zone"),
        access: ZoneAccess::Public,
        policy: None,
        pool_policy: None,
    };
    let zone = fresh(services.zone_create(caller, zone, None).await.expect("a zone"));
    let pod = NewPod {
        zone: zone.id,
        name: name("pod"),
        cidr: "10.9.0.0/16".parse().expect("a network"),
        gateway: "10.9.0.1".parse().expect("an address"),
    };
    let pod = fresh(services.pod_create(caller, pod, None).await.expect("a pod"));
    let cluster = NewCluster {
        pod: pod.id,
        name: name("cluster"),
        driver: name("driver"),
        cpu_overcommit: Overcommit::new(20_000).expect("in range"),
        memory_overcommit: Overcommit::NONE,
    };
    let cluster = services.cluster_create(caller, cluster, None).await;
    (zone, pod, fresh(cluster.expect("a cluster")))
}

async fn offering(services: &Services, caller: &Caller) -> ComputeOffering {
    let new = NewComputeOffering {
        name: name("small"),
        vcpus: Vcpus::new(1).expect("in range"),
        memory: MemoryMib::new(256).expect("in range"),
        resources: BTreeMap::new(),
        host_tags: Vec::new(),
        storage_tags: Vec::new(),
        policy: None,
        expected_lifetime: None,
    };
    fresh(
        services
            .compute_offering_create(caller, new, None)
            .await
            .expect("an offering"),
    )
}

pub fn new_host(cluster: &Cluster, text: &str, memory_mib: u64) -> NewComputeHost {
    NewComputeHost {
        cluster: cluster.id,
        name: name(text),
        config: settings(),
        node: None,
        endpoint: None,
        private_address: None,
        vcpus: None,
        memory: Some(MemoryMib::new(memory_mib).expect("in range")),
        resources: BTreeMap::new(),
        tags: Vec::new(),
        attributes: BTreeMap::new(),
    }
}

pub fn new_pool(zone: &Zone) -> NewStoragePool {
    NewStoragePool {
        zone: zone.id,
        scope: PoolScope::Zone,
        name: name("pool"),
        provider: name("provider"),
        config: settings(),
        node: None,
        endpoint: None,
        credential: None,
        capacity: None,
        tags: Vec::new(),
        attributes: BTreeMap::new(),
    }
}

async fn network(services: &Services, caller: &Caller, zone: &Zone, addresses: u8) -> (Network, IpRange) {
    let offering = NewNetworkOffering {
        name: name("shared"),
        kind: NetworkOfferingUse::Shared,
    };
    let offering = fresh(
        services
            .network_offering_create(caller, offering, None)
            .await
            .expect("an offering"),
    );
    let network = NewNetwork {
        zone: zone.id,
        offering: offering.id,
        name: name("net"),
        cidr: "10.1.0.0/24".parse().expect("a network"),
        gateway: "10.1.0.1".parse().expect("an address"),
        dns: Vec::new(),
        link: Link {
            kind: LinkKind::Simulated,
            name: "segment".into(),
        },
    };
    let network = fresh(
        services
            .network_create(caller, network, None)
            .await
            .expect("a network"),
    );
    let range = NewIpRange {
        used_for: IpRangeUse::Public(network.id),
        first: "10.1.0.10".parse().expect("an address"),
        last: std::net::Ipv4Addr::new(10, 1, 0, 9 + addresses),
    };
    let range = fresh(
        services
            .ip_range_create(caller, range, None)
            .await
            .expect("a range"),
    );
    (network, range)
}

/// Uploads a template in two pieces and ends its check as the engine would.
async fn template(store: &Store, services: &Services, caller: &Caller, zone: &Zone) -> Template {
    let images = NewImageStore {
        zone: zone.id,
        name: name("images"),
        place: ImageStorePlace::Http {
            endpoint: "alive".into(),
        },
    };
    services
        .image_store_create(caller, images, None)
        .await
        .expect("an image store");
    let new = NewTemplate {
        zone: zone.id,
        image_store: None,
        name: name("image"),
        format: ImageFormat::Raw,
        upload_bytes: Bytes::new(6).expect("in range"),
        sha256: "ab".repeat(32),
    };
    let template = fresh(
        services
            .template_create(caller, new, None)
            .await
            .expect("a template"),
    );
    let piece = services
        .template_write(caller, template.id, 0, b"four".to_vec())
        .await;
    assert_eq!(piece.expect("written").operation, None);
    let wrong = services
        .template_write(caller, template.id, 2, b"xx".to_vec())
        .await;
    assert!(
        matches!(wrong, Err(ServiceError::WrongOffset { expected: 4, .. })),
        "{wrong:?}"
    );
    let rest = services
        .template_write(caller, template.id, 4, b"ty".to_vec())
        .await
        .expect("written");
    assert!(rest.operation.is_some());
    let fence = Some((zone.shard, store.epoch(zone.shard).expect("owned")));
    let mut operation = store
        .read()
        .operation(Scope::All, rest.operation.expect("accepted"))
        .await
        .expect("read")
        .expect("there");
    operation.state = velum_model::operation::OperationState::Done;
    operation.ended_at = Some(operation.created_at);
    let ready = Commit {
        fence,
        operation: Some(velum_store::OperationWrite::Update(Box::new(operation))),
        changes: vec![Change::TemplateState {
            id: template.id,
            to: TemplateState::Ready,
            virtual_bytes: Some(1 << 30),
            reference: Some("ref".into()),
        }],
        ..Commit::default()
    };
    store.commit(ready).await.expect("ready");
    services.template_get(caller, template.id).await.expect("there")
}
