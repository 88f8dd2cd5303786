//! What a cloud needs before an instance can be made, through the public API alone.

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use velum_client::{Client, Outcome};
use velum_wire::{
    CreateClusterBody, CreateComputeOfferingBody, CreateInstanceBody, CreateIpRangeBody, CreateNetworkBody,
    CreateNetworkOfferingBody, CreatePodBody, CreateTemplateBody, CreateZoneBody, NetworkChoiceBody,
};

use crate::{
    cloud::TestCloud,
    ground::{Ground, Image},
};

/// How a zone is to be.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// The far side's zone, from 1.
    pub zone: u32,
    /// Compute hosts of it to register.
    pub hosts: u32,
    /// First and last guest address; the network is 10.ZONE.0.0/16.
    pub addresses: (String, String),
    /// vCPUs of the small offering.
    pub vcpus: u64,
    /// MiB of the small offering.
    pub memory_mib: u64,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            zone: 1,
            hosts: 4,
            addresses: ("10.1.0.10".into(), "10.1.255.250".into()),
            vcpus: 1,
            memory_mib: 256,
        }
    }
}

/// One zone with everything that an instance needs.
#[derive(Clone, Debug)]
pub struct World {
    /// Zone.
    pub zone: Uuid,
    /// Pod.
    pub pod: Uuid,
    /// Cluster.
    pub cluster: Uuid,
    /// Compute hosts.
    pub hosts: Vec<Uuid>,
    /// Storage pool.
    pub pool: Uuid,
    /// Image store.
    pub image_store: Uuid,
    /// Network.
    pub network: Uuid,
    /// Range of guests' addresses.
    pub range: Uuid,
    /// The small compute offering.
    pub offering: Uuid,
    /// A template.
    pub template: Uuid,
}

/// Hosts registered at the same time; each is a probe over HTTP.
const AT_ONCE: usize = 16;

impl World {
    /// Builds the zone on the simulated far side.
    ///
    /// # Errors
    /// Whatever the server refuses.
    pub async fn build(cloud: &TestCloud, options: &WorldOptions) -> anyhow::Result<Self> {
        let ground = Ground::Simulated(cloud.sim_url.clone());
        Self::build_on(&cloud.client()?, &ground, options, Image::noise()).await
    }

    /// Builds the zone on this ground, with a template of this image.
    ///
    /// # Errors
    /// Whatever the server refuses.
    pub async fn build_on(
        client: &Client,
        ground: &Ground,
        options: &WorldOptions,
        image: Image,
    ) -> anyhow::Result<Self> {
        let number = options.zone;
        let named = |what: &str| format!("{what}-{number}");
        let zone = client
            .zones()
            .create(&CreateZoneBody {
                name: named("zone"),
                access: velum_wire::ZoneAccess::default(),
                project_id: None,
                policy_id: None,
                pool_policy_id: None,
            })
            .await
            .context("zone")?
            .value
            .id;
        let pod = client
            .pods()
            .create(&CreatePodBody {
                zone_id: zone,
                name: named("pod"),
                cidr: "172.16.0.0/20".into(),
                gateway: "172.16.0.1".into(),
            })
            .await
            .context("pod")?
            .value
            .id;
        let cluster = client
            .clusters()
            .create(&CreateClusterBody {
                pod_id: pod,
                name: named("cluster"),
                driver: ground.driver().into(),
                cpu_overcommit_permille: None,
                memory_overcommit_permille: None,
            })
            .await
            .context("cluster")?
            .value
            .id;
        let (hosts, pool, image_store) = infrastructure(client, ground, options, zone, cluster).await?;
        let (network, range) = network(client, ground, options, zone).await?;
        let offering = offering(client, options).await?;
        let template = upload_template(client, zone, &named("linux"), image).await?;
        Ok(Self {
            zone,
            pod,
            cluster,
            hosts,
            pool,
            image_store,
            network,
            range,
            offering,
            template,
        })
    }

    /// The body of a small instance.
    #[must_use]
    pub fn instance(&self, name: &str) -> CreateInstanceBody {
        CreateInstanceBody {
            zone_id: self.zone,
            name: name.into(),
            compute_offering_id: self.offering,
            template_id: self.template,
            networks: vec![NetworkChoiceBody {
                network_id: self.network,
                address: None,
            }],
            root_size_bytes: None,
            affinity_group_ids: Vec::new(),
            user_data: None,
            user_data_base64: None,
            expected_lifetime_s: None,
        }
    }
}

async fn infrastructure(
    client: &Client,
    ground: &Ground,
    options: &WorldOptions,
    zone: Uuid,
    cluster: Uuid,
) -> anyhow::Result<(Vec<Uuid>, Uuid, Uuid)> {
    let number = options.zone;
    let hosts = stream::iter(1..=options.hosts)
        .map(|n| async move {
            let body = ground.host(cluster, (number, n));
            let made = client
                .compute_hosts()
                .create(&body)
                .await
                .with_context(|| format!("compute host {}", body.name))?;
            anyhow::Ok(made.value.id)
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let pool = client
        .storage_pools()
        .create(&ground.pool(zone, number))
        .await
        .context("storage pool")?
        .value
        .id;
    let store = client
        .image_stores()
        .create(&ground.image_store(zone, number))
        .await
        .context("image store")?
        .value
        .id;
    Ok((hosts, pool, store))
}

async fn network(
    client: &Client,
    ground: &Ground,
    options: &WorldOptions,
    zone: Uuid,
) -> anyhow::Result<(Uuid, Uuid)> {
    let number = options.zone;
    let offering = client
        .network_offerings()
        .create(&CreateNetworkOfferingBody {
            name: format!("shared-{number}"),
            kind: velum_wire::NetworkKind::default(),
        })
        .await
        .context("network offering")?
        .value
        .id;
    let network = client
        .networks()
        .create(&CreateNetworkBody {
            zone_id: zone,
            network_offering_id: offering,
            name: format!("net-{number}"),
            cidr: format!("10.{number}.0.0/16"),
            gateway: format!("10.{number}.0.1"),
            dns: Vec::new(),
            link: ground.link(),
        })
        .await
        .context("network")?
        .value
        .id;
    let (first, last) = options.addresses.clone();
    let range = client
        .ip_ranges()
        .create(&CreateIpRangeBody {
            network_id: Some(network),
            pod_id: None,
            first,
            last,
        })
        .await
        .context("range of addresses")?
        .value
        .id;
    Ok((network, range))
}

async fn offering(client: &Client, options: &WorldOptions) -> anyhow::Result<Uuid> {
    let made = client
        .compute_offerings()
        .create(&CreateComputeOfferingBody {
            name: format!("small-{}", options.zone),
            vcpus: options.vcpus,
            memory_mib: options.memory_mib,
            ..CreateComputeOfferingBody::default()
        })
        .await
        .context("compute offering")?;
    Ok(made.value.id)
}

/// An image, uploaded and registered.
async fn upload_template(client: &Client, zone: Uuid, name: &str, image: Image) -> anyhow::Result<Uuid> {
    let Image { bytes, format } = image;
    let template = client
        .templates()
        .create(&CreateTemplateBody {
            zone_id: zone,
            image_store_id: None,
            name: name.into(),
            format,
            upload_bytes: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(&bytes)),
        })
        .await
        .context("template")?
        .value
        .id;
    let mut source = std::io::Cursor::new(bytes);
    let operation = client
        .templates()
        .upload(template, &mut source, |_| {})
        .await
        .context("upload")?;
    if let Some(operation) = operation {
        let outcome = client.wait(operation).await?;
        anyhow::ensure!(
            matches!(outcome, Outcome::Done(_)),
            "the template is refused: {:?}",
            outcome.view()
        );
    }
    Ok(template)
}
