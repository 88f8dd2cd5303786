//! `velum cluster`: compute hosts that are alike.

use clap::{Args, Subcommand};
use velum_client::{Clusters, Filter, Pods};
use velum_wire::{CreateClusterBody, UpdateClusterBody};

use crate::{
    args::{Tenant, parse_tenant, ratio},
    failure::Failure,
    kind::{self, One, Rows, Shown},
    session::{NO_WAIT, Session},
    table::{Column, Kind, column, text},
};

impl Shown for Clusters {
    const NOUN: &'static str = "cluster";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        column("ZONE", "zone_id", Kind::Of("zones")),
        column("POD", "pod_id", Kind::Of("pods")),
        text("DRIVER", "driver"),
        column("CPU OVERCOMMIT", "cpu_overcommit_permille", Kind::Permille),
        column("MEMORY OVERCOMMIT", "memory_overcommit_permille", Kind::Permille),
        text("ID", "id"),
    ];
}

/// Compute hosts alike in hypervisor, hardware and subnet.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists clusters.
    List(List),
    /// Shows one cluster.
    Show(One),
    /// Makes a cluster.
    Create(Create),
    /// Changes a cluster: its name, how much may be promised, and whom it is dedicated to.
    Update(Update),
    /// Removes an empty cluster.
    Delete(One),
}

/// Which clusters.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub rows: Rows,
    /// Only those of this zone.
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
}

/// How much may be promised of what is there.
#[derive(Args, Debug)]
pub struct Overcommit {
    /// vCPUs that may be promised for each that is there, like 4 or 1.5.
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    pub cpu_overcommit: Option<u64>,
    /// Memory that may be promised for what is there, like 1.2.
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    pub memory_overcommit: Option<u64>,
}

/// What a new cluster is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the pod.
    pub name: String,
    /// Its pod.
    #[arg(long, value_name = "NAME|ID")]
    pub pod: String,
    /// The zone in which the pod's name is looked for.
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Name of the hypervisor driver's plugin, like hypervisor-libvirt.
    #[arg(long, value_name = "PLUGIN")]
    pub driver: String,
    #[command(flatten)]
    pub overcommit: Overcommit,
}

/// What changes.
#[derive(Args, Debug)]
pub struct Update {
    #[command(flatten)]
    pub one: One,
    /// Its new name.
    #[arg(long = "rename", value_name = "NAME")]
    pub rename: Option<String>,
    /// The project that it is kept for from now on; 'none' ends that. What runs there stays.
    #[arg(long, value_name = "PROJECT|none", value_parser = parse_tenant)]
    pub dedicated_to: Option<Tenant>,
    #[command(flatten)]
    pub overcommit: Overcommit,
}

/// Runs `velum cluster`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let filter = kind::in_zone(session, list.zone.as_deref()).await?;
            kind::list::<Clusters>(session, &list.rows, filter).await
        }
        Command::Show(one) => kind::show::<Clusters>(session, &one).await,
        Command::Create(new) => create(session, new).await,
        Command::Update(change) => update(session, change).await,
        Command::Delete(one) => kind::delete::<Clusters>(session, &one, NO_WAIT).await,
    }
}

async fn create(session: &Session, new: Create) -> Result<(), Failure> {
    let within = kind::in_zone(session, new.zone.as_deref()).await?;
    let body = CreateClusterBody {
        pod_id: kind::resolve::<Pods>(session, &new.pod, &within).await?,
        name: new.name,
        driver: new.driver,
        cpu_overcommit_permille: new.overcommit.cpu_overcommit,
        memory_overcommit_permille: new.overcommit.memory_overcommit,
    };
    kind::answered::<Clusters>(session, session.client.clusters().create(&body).await?, NO_WAIT).await
}

async fn update(session: &Session, change: Update) -> Result<(), Failure> {
    let id = kind::resolve::<Clusters>(session, &change.one.name, &Filter::new()).await?;
    let body = UpdateClusterBody {
        name: change.rename,
        cpu_overcommit_permille: change.overcommit.cpu_overcommit,
        memory_overcommit_permille: change.overcommit.memory_overcommit,
        dedicated_to: change.dedicated_to.map(|to| to.0),
    };
    kind::answered::<Clusters>(
        session,
        session.client.clusters().update(id, &body, None).await?,
        NO_WAIT,
    )
    .await
}
