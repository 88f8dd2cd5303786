//! `velum storage-pool`: primary storage.

use clap::{Args, Subcommand};
use velum_client::{Clusters, ComputeHosts, Filter, StoragePools};
use velum_wire::{CreateStoragePoolBody, UpdateStoragePoolBody};

use crate::{
    args::{MarkChanges, Marks, json_or_empty},
    compute_host::Intent,
    failure::Failure,
    kind::{self, One, Rows, Shown},
    session::{NO_WAIT, Session},
    table::{Column, Kind, column, text},
    text::parse_bytes,
};

impl Shown for StoragePools {
    const NOUN: &'static str = "storage pool";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        column("ZONE", "zone_id", Kind::Of("zones")),
        text("SCOPE", "scope"),
        column("INTENT", "intent", Kind::State),
        column("SPACE", "used_bytes/ceiling_bytes", Kind::Bytes),
        text("TAGS", "tags"),
        text("ID", "id"),
    ];
}

/// Primary storage: where volumes live.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists pools with what is promised of them.
    List(List),
    /// Shows one pool.
    Show(One),
    /// Registers a pool: its provider checks it.
    Create(Create),
    /// Changes a pool: name, size, tags, attributes, whether it takes new volumes.
    Update(Update),
    /// Removes an empty pool.
    Delete(One),
}

/// Which pools.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub rows: Rows,
    /// Only those of this zone.
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
}

/// What a new pool is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the zone.
    pub name: String,
    /// Its zone [default: the only one].
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Only the compute hosts of this cluster reach it [default: all of the zone].
    #[arg(long, value_name = "NAME|ID", conflicts_with = "compute_host")]
    pub cluster: Option<String>,
    /// Only this compute host reaches it.
    #[arg(long, value_name = "NAME|ID")]
    pub compute_host: Option<String>,
    /// Name of the storage provider's plugin, like storage-dir.
    #[arg(long, value_name = "PLUGIN")]
    pub provider: String,
    /// Settings of the provider for this pool, like {"directory":"/var/lib/velum/pool"}.
    #[arg(long, value_name = "JSON|@FILE")]
    pub config: Option<String>,
    /// Address of the velum-node that works on its files.
    #[arg(long, value_name = "ADDRESS")]
    pub node: Option<String>,
    /// Origin of its HTTP API, for providers of such.
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// File on the server with the credential for that API, like file:/etc/velum/array.token.
    #[arg(long, value_name = "file:PATH", requires = "endpoint")]
    pub credential: Option<String>,
    /// What it may hold, like 2TiB [default: what the provider finds].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub capacity: Option<u64>,
    #[command(flatten)]
    pub marks: Marks,
}

/// What changes.
#[derive(Args, Debug)]
pub struct Update {
    #[command(flatten)]
    pub one: One,
    /// Its new name.
    #[arg(long = "rename", value_name = "NAME")]
    pub rename: Option<String>,
    /// What it may hold, like 2TiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub capacity: Option<u64>,
    /// Whether it takes new volumes.
    #[arg(long, value_enum)]
    pub intent: Option<Intent>,
    #[command(flatten)]
    pub marks: MarkChanges,
}

/// Runs `velum storage-pool`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let filter = kind::in_zone(session, list.zone.as_deref()).await?;
            kind::list::<StoragePools>(session, &list.rows, filter).await
        }
        Command::Show(one) => kind::show::<StoragePools>(session, &one).await,
        Command::Create(new) => create(session, new).await,
        Command::Update(change) => update(session, change).await,
        Command::Delete(one) => kind::delete::<StoragePools>(session, &one, NO_WAIT).await,
    }
}

async fn create(session: &Session, new: Create) -> Result<(), Failure> {
    let zone_id = kind::zone_or_only(session, new.zone.as_deref()).await?;
    let within = Filter::new().with("zone_id", zone_id);
    let body = CreateStoragePoolBody {
        zone_id,
        cluster_id: kind::resolve_some::<Clusters>(session, new.cluster.as_deref(), &within).await?,
        compute_host_id: kind::resolve_some::<ComputeHosts>(session, new.compute_host.as_deref(), &within)
            .await?,
        name: new.name,
        provider: new.provider,
        config: json_or_empty(new.config.as_deref())?,
        node: new.node,
        endpoint: new.endpoint,
        credential: new.credential,
        capacity_bytes: new.capacity,
        attributes: new.marks.attributes(),
        tags: new.marks.tags,
    };
    kind::answered::<StoragePools>(
        session,
        session.client.storage_pools().create(&body).await?,
        NO_WAIT,
    )
    .await
}

async fn update(session: &Session, change: Update) -> Result<(), Failure> {
    let pools = session.client.storage_pools();
    let id = kind::resolve::<StoragePools>(session, &change.one.name, &Filter::new()).await?;
    let present = pools.fetch(id).await?;
    let body = UpdateStoragePoolBody {
        name: change.rename,
        capacity_bytes: change.capacity,
        tags: change.marks.tags(present.value.tags)?,
        attributes: change.marks.attributes(present.value.attributes),
        intent: change.intent.map(Into::into),
    };
    let answer = pools.update(id, &body, present.etag.as_deref()).await?;
    kind::answered::<StoragePools>(session, answer, NO_WAIT).await
}
