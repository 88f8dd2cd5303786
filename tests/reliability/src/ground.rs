//! The cloud that every run begins with: built once through the use cases and the engine, then copied, database and far
//! side. What it has is named, so that a run can say what it works on.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context, anyhow};
use tokio::runtime::Handle;
use uuid::Uuid;
use velum_model::{
    Name, Timestamp,
    id::*,
    infrastructure::*,
    instance::InstanceState,
    net::{Link, LinkKind},
    operation::{Operation, OperationState},
    quantity::{Bytes, MemoryMib, Overcommit, Vcpus},
    storage::ImageFormat,
    tenancy::{Caller, Scope},
};
use velum_service::*;
use velum_store::{SimulatedFile, block_on};

use crate::{
    far::{FarSide, State},
    run::{Nothing, in_simulation},
    server::{Server, Start, Time},
};

/// When a built cloud is taken up again: later than anything in it.
pub const LATER: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
/// When it is built.
const FIRST: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);
/// Compute hosts.
pub const HOSTS: usize = 3;

/// What is in the cloud, by what it is there for.
#[derive(Clone, Debug)]
pub struct Things {
    /// The zone.
    pub zone: ZoneId,
    /// Its compute hosts.
    pub hosts: Vec<ComputeHostId>,
    /// Its network, with addresses for 40 NICs.
    pub network: NetworkId,
    /// 1 vCPU, 256 MiB.
    pub offering: ComputeOfferingId,
    /// Any size.
    pub disk_offering: DiskOfferingId,
    /// A template that instances were made from.
    pub template: TemplateId,
    /// A template of which no pool has a layer yet.
    pub cold_template: TemplateId,
    /// A template that nothing is made from any more, with a layer on the pool.
    pub unused_template: TemplateId,
    /// A template whose last piece is not uploaded yet.
    pub half_template: TemplateId,
    /// An instance that runs, with a data volume.
    pub running: InstanceId,
    /// Its data volume.
    pub attached: VolumeId,
    /// An instance that is stopped, with a data volume.
    pub stopped: InstanceId,
    /// A volume that nothing has.
    pub free: VolumeId,
}

/// A cloud, kept to be copied.
pub struct Ground {
    directory: tempfile::TempDir,
    far: State,
    /// What is in it.
    pub things: Things,
}

/// The administrator.
#[must_use]
pub fn administrator() -> Caller {
    Caller {
        token: Id::from_uuid(Uuid::from_u128(99)),
        name: "admin".into(),
        scope: Scope::All,
    }
}

/// A name.
///
/// # Errors
/// It is none.
pub fn name(text: &str) -> anyhow::Result<Name> {
    Name::new(text).map_err(|problem| anyhow!("{text}: {problem}"))
}

fn fresh<T>(answered: Result<Answered<T>, ServiceError>) -> anyhow::Result<T> {
    match answered.map_err(|error| anyhow!("{error}"))? {
        Answered::Fresh(made) => Ok(made),
        Answered::Replayed(answer) => Err(anyhow!("replayed: {}", answer.body)),
    }
}

/// Asks a use case as a client would, without time passing.
///
/// # Errors
/// It refused.
pub fn ask<T>(use_case: impl Future<Output = Result<Answered<T>, ServiceError>>) -> anyhow::Result<T> {
    fresh(block_on(use_case))
}

impl Ground {
    /// Builds it.
    ///
    /// # Errors
    /// A use case refuses, or an operation does not end well.
    pub fn build(outside: &Handle) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir_in(place())?;
        let database = SimulatedFile::new(directory.path().join(FILE));
        let far = FarSide::default();
        let things = in_simulation(async {
            let server = Server::start(Start {
                database: &database,
                far: &far,
                life: 0,
                director: Arc::new(Nothing),
                time: Arc::new(Time::from(FIRST)),
                outside,
                elsewhere: 0,
            })
            .await?;
            let things = build(&server).await?;
            server.end();
            anyhow::Ok(things)
        })?;
        // Then all of it is in the file.
        block_on(database.close())?;
        Ok(Self {
            directory,
            far: far.state(),
            things,
        })
    }

    /// From now on copies have a far side that lets everybody through.
    pub fn open_gates(&mut self) {
        self.far.has_open_gates = true;
    }

    /// A file becomes a copy of its database; answers a copy of its far side.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin(&self, file: &SimulatedFile) -> anyhow::Result<FarSide> {
        block_on(file.begin_again(&self.directory.path().join(FILE)))?;
        Ok(FarSide::with(self.far.clone()))
    }
}

/// A database's file in a directory of its own.
const FILE: &str = "velum.db";

/// A file for runs, one after another, and the directory that it ends with.
///
/// # Errors
/// There is no room for it.
pub fn new_file() -> anyhow::Result<(tempfile::TempDir, SimulatedFile)> {
    let directory = tempfile::tempdir_in(place())?;
    let file = SimulatedFile::new(directory.path().join(FILE));
    Ok((directory, file))
}

/// Where databases of simulations lie: in memory, for what the disk does is not simulated here.
fn place() -> &'static Path {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory
    } else {
        Path::new("/tmp")
    }
}

async fn build(server: &Server) -> anyhow::Result<Things> {
    let (services, caller) = (&server.services, administrator());
    block_on(
        server
            .store
            .insert_token(caller.token, &caller.name, b"hash", Scope::All),
    )?;
    for component in ["driver", "provider"] {
        ask(services.plugin_install(
            &caller,
            NewPlugin {
                component: component.into(),
                is_operators: true,
                ..NewPlugin::default()
            },
            None,
        ))?;
    }
    let (zone, hosts) = hierarchy(services, &caller)?;
    let network = network(services, &caller, zone)?;
    let (offering, disk_offering) = offerings(services, &caller)?;
    image_store(services, &caller, zone)?;
    let mut templates = Vec::new();
    for text in ["linux", "cold", "unused", "half"] {
        let template = new_template(server, &caller, zone, text)?;
        if text != "half" {
            upload(server, &caller, template).await?;
        }
        templates.push(template);
    }
    let [template, cold_template, unused_template, half_template] = templates
        .try_into()
        .map_err(|_| anyhow!("there are four templates"))?;
    let mut things = Things {
        zone,
        hosts,
        network,
        offering,
        disk_offering,
        template,
        cold_template,
        unused_template,
        half_template,
        running: Id::from_uuid(Uuid::nil()),
        attached: Id::from_uuid(Uuid::nil()),
        stopped: Id::from_uuid(Uuid::nil()),
        free: Id::from_uuid(Uuid::nil()),
    };
    populate(server, &caller, &mut things).await?;
    Ok(things)
}

fn offerings(services: &Services, caller: &Caller) -> anyhow::Result<(ComputeOfferingId, DiskOfferingId)> {
    let offering = ask(services.compute_offering_create(
        caller,
        NewComputeOffering {
            name: name("small")?,
            vcpus: Vcpus::new(1).context("vCPUs")?,
            memory: MemoryMib::new(256).context("memory")?,
            resources: BTreeMap::new(),
            host_tags: Vec::new(),
            storage_tags: Vec::new(),
            policy: None,
            expected_lifetime: None,
        },
        None,
    ))?;
    let disk_offering = ask(services.disk_offering_create(
        caller,
        NewDiskOffering {
            name: name("any")?,
            size: None,
            storage_tags: Vec::new(),
        },
        None,
    ))?;
    Ok((offering.id, disk_offering.id))
}

fn image_store(services: &Services, caller: &Caller, zone: ZoneId) -> anyhow::Result<()> {
    ask(services.image_store_create(
        caller,
        NewImageStore {
            zone,
            name: name("images")?,
            place: ImageStorePlace::Directory {
                node: "node-0".into(),
                directory: "/images".into(),
            },
        },
        None,
    ))?;
    Ok(())
}

fn hierarchy(services: &Services, caller: &Caller) -> anyhow::Result<(ZoneId, Vec<ComputeHostId>)> {
    let zone = ask(services.zone_create(
        caller,
        NewZone {
            name: name("zone")?,
            access: ZoneAccess::Public,
            policy: None,
            pool_policy: None,
        },
        None,
    ))?;
    let pod = ask(services.pod_create(
        caller,
        NewPod {
            zone: zone.id,
            name: name("pod")?,
            cidr: "10.9.0.0/16".parse()?,
            gateway: "10.9.0.1".parse()?,
        },
        None,
    ))?;
    let cluster = ask(services.cluster_create(
        caller,
        NewCluster {
            pod: pod.id,
            name: name("cluster")?,
            driver: name("driver")?,
            cpu_overcommit: Overcommit::NONE,
            memory_overcommit: Overcommit::NONE,
        },
        None,
    ))?;
    let mut hosts = Vec::new();
    for number in 0..HOSTS {
        let host = ask(services.compute_host_create(
            caller,
            NewComputeHost {
                cluster: cluster.id,
                name: name(&format!("host-{number}"))?,
                config: serde_json::json!({}),
                node: Some(format!("node-{number}")),
                endpoint: None,
                private_address: None,
                vcpus: Some(Vcpus::new(8).context("vCPUs")?),
                memory: Some(MemoryMib::new(2048).context("memory")?),
                resources: BTreeMap::new(),
                tags: Vec::new(),
                attributes: BTreeMap::new(),
            },
            None,
        ))?;
        hosts.push(host.id);
    }
    ask(services.storage_pool_create(
        caller,
        NewStoragePool {
            zone: zone.id,
            scope: PoolScope::Zone,
            name: name("pool")?,
            provider: name("provider")?,
            config: serde_json::json!({}),
            node: Some("node-0".into()),
            endpoint: None,
            credential: None,
            capacity: None,
            tags: Vec::new(),
            attributes: BTreeMap::new(),
        },
        None,
    ))?;
    Ok((zone.id, hosts))
}

fn network(services: &Services, caller: &Caller, zone: ZoneId) -> anyhow::Result<NetworkId> {
    let offering = ask(services.network_offering_create(
        caller,
        NewNetworkOffering {
            name: name("shared")?,
            kind: NetworkOfferingUse::Shared,
        },
        None,
    ))?;
    let network = ask(services.network_create(
        caller,
        NewNetwork {
            zone,
            offering: offering.id,
            name: name("net")?,
            cidr: "10.1.0.0/24".parse()?,
            gateway: "10.1.0.1".parse()?,
            dns: Vec::new(),
            link: Link {
                kind: LinkKind::Simulated,
                name: "segment".into(),
            },
        },
        None,
    ))?;
    ask(services.ip_range_create(
        caller,
        NewIpRange {
            used_for: IpRangeUse::Public(network.id),
            first: "10.1.0.10".parse()?,
            last: "10.1.0.49".parse()?,
        },
        None,
    ))?;
    Ok(network.id)
}

/// The bytes of every image.
const IMAGE: &[u8] = b"an image";

fn new_template(server: &Server, caller: &Caller, zone: ZoneId, text: &str) -> anyhow::Result<TemplateId> {
    let new = NewTemplate {
        zone,
        image_store: None,
        name: name(text)?,
        format: ImageFormat::Raw,
        upload_bytes: Bytes::new(IMAGE.len() as u64).context("bytes")?,
        sha256: "ab".repeat(32),
    };
    Ok(ask(server.services.template_create(caller, new, None))?.id)
}

/// Uploads the last piece of a template, which begins its registration.
///
/// # Errors
/// It is refused.
pub fn upload_last(server: &Server, template: TemplateId) -> anyhow::Result<OperationId> {
    let caller = administrator();
    let written = server
        .services
        .template_write(&caller, template, 0, IMAGE.to_vec());
    let written = block_on(written).map_err(|error| anyhow!("{error}"))?;
    written.operation.context("the upload is complete")
}

async fn upload(server: &Server, _: &Caller, template: TemplateId) -> anyhow::Result<()> {
    done(server, upload_last(server, template)?).await
}

/// An instance of a template with one NIC.
///
/// # Errors
/// The name is none.
pub fn new_instance(things: &Things, text: &str, template: TemplateId) -> anyhow::Result<NewInstance> {
    Ok(NewInstance {
        zone: things.zone,
        name: name(text)?,
        offering: things.offering,
        template,
        networks: vec![NewNic {
            network: things.network,
            address: None,
        }],
        root_size: None,
        affinity_groups: Vec::new(),
        user_data: Vec::new(),
        expected_lifetime: None,
    })
}

/// A blank volume.
///
/// # Errors
/// The name is none.
pub fn new_volume(things: &Things, text: &str) -> anyhow::Result<NewVolume> {
    Ok(NewVolume {
        zone: things.zone,
        name: name(text)?,
        offering: things.disk_offering,
        size: Some(Bytes::new(1 << 20).context("bytes")?),
    })
}

/// The operation as the rows have it.
///
/// # Errors
/// It cannot be read, or is lost.
pub fn operation(server: &Server, id: OperationId) -> anyhow::Result<Operation> {
    let found = block_on(server.store.read().operation(Scope::All, id))?;
    found.with_context(|| format!("operation {id} is lost"))
}

/// Waits until an operation ended well.
async fn done(server: &Server, id: OperationId) -> anyhow::Result<()> {
    for _ in 0..10_000 {
        let found = operation(server, id)?;
        match found.state {
            OperationState::Done => return Ok(()),
            OperationState::Undone | OperationState::Parked => return Err(anyhow!("{found:#?}")),
            OperationState::Running | OperationState::Undoing => {}
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Err(anyhow!("operation {id} does not end"))
}

async fn populate(server: &Server, caller: &Caller, things: &mut Things) -> anyhow::Result<()> {
    let services = &server.services;
    let create = async |text: &str, template| {
        let new = new_instance(things, text, template)?;
        let made = ask(services.instance_create(caller, new, None))?;
        done(server, made.operation).await?;
        anyhow::Ok(made.resource.instance.id)
    };
    let running = create("running", things.template).await?;
    let stopped = create("stopped", things.template).await?;
    let gone = create("gone", things.unused_template).await?;
    let volume = async |text: &str| {
        let made = ask(services.volume_create(caller, new_volume(things, text)?, None))?;
        done(server, made.operation).await?;
        anyhow::Ok(made.resource.id)
    };
    let (attached, free, other) = (
        volume("attached").await?,
        volume("free").await?,
        volume("other").await?,
    );
    for (id, to) in [(attached, running), (other, stopped)] {
        let accepted = ask(services.volume_attach(caller, id, to, None))?;
        done(server, accepted.operation).await?;
    }
    let stop = ask(services.instance_stop(caller, stopped, 1_000, None))?;
    done(server, stop.operation).await?;
    let destroy = ask(services.instance_destroy(caller, gone, None, None))?;
    done(server, destroy.operation).await?;
    let state = block_on(server.store.read().instance(Scope::All, running))?.map(|i| i.state);
    anyhow::ensure!(state == Some(InstanceState::Running), "{state:?}");
    (things.running, things.stopped) = (running, stopped);
    (things.attached, things.free) = (attached, free);
    Ok(())
}
