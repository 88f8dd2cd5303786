//! `velum pod`: racks.

use clap::{Args, Subcommand};
use velum_client::{Filter, Pods};
use velum_wire::{CreatePodBody, UpdatePodBody};

use crate::{
    args::{Tenant, parse_tenant},
    failure::Failure,
    kind::{self, One, Rows, Shown},
    session::{NO_WAIT, Session},
    table::{Column, Kind, column, text},
};

impl Shown for Pods {
    const NOUN: &'static str = "pod";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        column("ZONE", "zone_id", Kind::Of("zones")),
        text("CIDR", "cidr"),
        text("GATEWAY", "gateway"),
        text("ID", "id"),
    ];
}

/// Racks with their management network.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists pods.
    List(List),
    /// Shows one pod.
    Show(One),
    /// Makes a pod.
    Create(Create),
    /// Changes a pod: its name, and whom it is dedicated to.
    Update(Update),
    /// Removes an empty pod.
    Delete(One),
}

/// Which pods.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub rows: Rows,
    /// Only those of this zone.
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
}

/// What a new pod is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the zone.
    pub name: String,
    /// Its zone [default: the only one].
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Its management network, like 10.1.0.0/24; no two pods of a zone overlap.
    #[arg(long)]
    pub cidr: String,
    /// The gateway in it.
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: String,
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
}

/// Runs `velum pod`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let filter = kind::in_zone(session, list.zone.as_deref()).await?;
            kind::list::<Pods>(session, &list.rows, filter).await
        }
        Command::Show(one) => kind::show::<Pods>(session, &one).await,
        Command::Create(new) => {
            let zone_id = kind::zone_or_only(session, new.zone.as_deref()).await?;
            let body = CreatePodBody {
                zone_id,
                name: new.name,
                cidr: new.cidr,
                gateway: new.gateway,
            };
            kind::answered::<Pods>(session, session.client.pods().create(&body).await?, NO_WAIT).await
        }
        Command::Update(change) => {
            let id = kind::resolve::<Pods>(session, &change.one.name, &Filter::new()).await?;
            let body = UpdatePodBody {
                name: change.rename,
                dedicated_to: change.dedicated_to.map(|to| to.0),
            };
            kind::answered::<Pods>(
                session,
                session.client.pods().update(id, &body, None).await?,
                NO_WAIT,
            )
            .await
        }
        Command::Delete(one) => kind::delete::<Pods>(session, &one, NO_WAIT).await,
    }
}
