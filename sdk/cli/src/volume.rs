//! `velum volume`: disks.

use clap::{Args, Subcommand};
use velum_client::{DiskOfferings, Filter, Instances, Volumes};
use velum_wire::CreateVolumeBody;

use crate::{
    failure::Failure,
    kind::{self, One, Rows, Shown},
    session::{Session, Wait},
    table::{Column, Kind, column, text},
    text::parse_bytes,
};

impl Shown for Volumes {
    const NOUN: &'static str = "volume";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        column("ZONE", "zone_id", Kind::Of("zones")),
        text("KIND", "kind"),
        column("STATE", "state", Kind::State),
        column("SIZE", "size_bytes", Kind::Bytes),
        column("POOL", "storage_pool_id", Kind::Of("storage-pools")),
        column("INSTANCE", "attachment.instance_id", Kind::Of("instances")),
        text("ID", "id"),
    ];
}

/// Disks of instances.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists volumes.
    List(List),
    /// Shows one volume.
    Show(One),
    /// Makes a data volume.
    Create(Create),
    /// Removes a data volume that no instance has.
    Delete(Act),
    /// Gives a volume to an instance.
    Attach(Attach),
    /// Takes a volume back from its instance.
    Detach(Act),
}

/// Which volumes.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub rows: Rows,
    /// Only those of this zone.
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Only those of this instance.
    #[arg(long, value_name = "NAME|ID")]
    pub instance: Option<String>,
}

/// What a new volume is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the project and zone.
    pub name: String,
    /// Its zone [default: the only one].
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Its disk offering.
    #[arg(long, value_name = "NAME|ID")]
    pub offering: String,
    /// Its size, like 10GiB, for an offering that leaves it open.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub size: Option<u64>,
    #[command(flatten)]
    pub wait: Wait,
}

/// Which one, and whether to wait.
#[derive(Args, Debug)]
pub struct Act {
    #[command(flatten)]
    pub one: One,
    #[command(flatten)]
    pub wait: Wait,
}

/// Which volume to which instance.
#[derive(Args, Debug)]
pub struct Attach {
    #[command(flatten)]
    pub one: One,
    /// The instance, by name or id.
    pub instance: String,
    #[command(flatten)]
    pub wait: Wait,
}

/// Runs `velum volume`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    let volumes = session.client.volumes();
    match command {
        Command::List(list) => {
            let filter = kind::in_zone(session, list.zone.as_deref()).await?;
            let instance =
                kind::resolve_some::<Instances>(session, list.instance.as_deref(), &filter).await?;
            kind::list::<Volumes>(session, &list.rows, filter.with_some("instance_id", instance)).await
        }
        Command::Show(one) => kind::show::<Volumes>(session, &one).await,
        Command::Create(new) => create(session, new).await,
        Command::Delete(act) => kind::delete::<Volumes>(session, &act.one, act.wait).await,
        Command::Attach(attach) => {
            let id = kind::resolve::<Volumes>(session, &attach.one.name, &Filter::new()).await?;
            let instance = kind::resolve::<Instances>(session, &attach.instance, &Filter::new()).await?;
            kind::answered::<Volumes>(session, volumes.attach(id, instance).await?, attach.wait).await
        }
        Command::Detach(act) => {
            let id = kind::resolve::<Volumes>(session, &act.one.name, &Filter::new()).await?;
            kind::answered::<Volumes>(session, volumes.detach(id).await?, act.wait).await
        }
    }
}

async fn create(session: &Session, new: Create) -> Result<(), Failure> {
    let body = CreateVolumeBody {
        zone_id: kind::zone_or_only(session, new.zone.as_deref()).await?,
        name: new.name,
        disk_offering_id: kind::resolve::<DiskOfferings>(session, &new.offering, &Filter::new()).await?,
        size_bytes: new.size,
    };
    kind::answered::<Volumes>(session, session.client.volumes().create(&body).await?, new.wait).await
}
