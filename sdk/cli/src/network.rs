//! `velum network`: networks that NICs are plugged into.

use clap::{Args, Subcommand, ValueEnum};
use velum_client::{Filter, NetworkOfferings, Networks};
use velum_wire::{CreateNetworkBody, NetworkLinkBody, NetworkLinkKind, UpdateNetworkBody};

use crate::{
    failure::Failure,
    kind::{self, One, Rows, Shown},
    session::{NO_WAIT, Session},
    table::{Column, Kind, column, text},
};

impl Shown for Networks {
    const NOUN: &'static str = "network";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        column("ZONE", "zone_id", Kind::Of("zones")),
        text("CIDR", "cidr"),
        text("GATEWAY", "gateway"),
        text("LINK", "link.kind"),
        text("LINK NAME", "link.name"),
        text("ID", "id"),
    ];
}

/// Networks that guests are plugged into.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists networks.
    List(List),
    /// Shows one network.
    Show(One),
    /// Makes a network; give it addresses with `velum ip-range create`.
    Create(Create),
    /// Changes a network: its name, its resolvers.
    Update(Update),
    /// Removes a network that nothing is plugged into.
    Delete(One),
}

/// Which networks.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub rows: Rows,
    /// Only those of this zone.
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
}

/// What a network maps to on a compute host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Link {
    /// A Linux bridge that is there.
    Bridge,
    /// A libvirt network.
    LibvirtNetwork,
    /// A bridge that the node makes and keeps, isolated, with the gateway's address.
    NodeBridge,
    /// A segment of the simulated far side.
    Simulated,
}

impl From<Link> for NetworkLinkKind {
    fn from(link: Link) -> Self {
        match link {
            Link::Bridge => Self::Bridge,
            Link::LibvirtNetwork => Self::LibvirtNetwork,
            Link::NodeBridge => Self::NodeBridge,
            Link::Simulated => Self::Simulated,
        }
    }
}

/// What a new network is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the zone.
    pub name: String,
    /// Its zone [default: the only one].
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Its network offering.
    #[arg(long, value_name = "NAME|ID")]
    pub offering: String,
    /// Its addresses, like 10.10.0.0/24.
    #[arg(long)]
    pub cidr: String,
    /// Its gateway.
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: String,
    /// A resolver that guests are told (repeat for more).
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<String>,
    /// What it maps to on a compute host.
    #[arg(long, value_enum)]
    pub link: Link,
    /// The name of that on the compute host, like velum0.
    #[arg(long, value_name = "NAME")]
    pub link_name: String,
}

/// What changes.
#[derive(Args, Debug)]
pub struct Update {
    #[command(flatten)]
    pub one: One,
    /// Its new name.
    #[arg(long = "rename", value_name = "NAME")]
    pub rename: Option<String>,
    /// Replaces the resolvers (repeat for more).
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Option<Vec<String>>,
}

/// Runs `velum network`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let filter = kind::in_zone(session, list.zone.as_deref()).await?;
            kind::list::<Networks>(session, &list.rows, filter).await
        }
        Command::Show(one) => kind::show::<Networks>(session, &one).await,
        Command::Create(new) => create(session, new).await,
        Command::Update(change) => {
            let id = kind::resolve::<Networks>(session, &change.one.name, &Filter::new()).await?;
            let body = UpdateNetworkBody {
                name: change.rename,
                dns: change.dns,
            };
            let answer = session.client.networks().update(id, &body, None).await?;
            kind::answered::<Networks>(session, answer, NO_WAIT).await
        }
        Command::Delete(one) => kind::delete::<Networks>(session, &one, NO_WAIT).await,
    }
}

async fn create(session: &Session, new: Create) -> Result<(), Failure> {
    let body = CreateNetworkBody {
        zone_id: kind::zone_or_only(session, new.zone.as_deref()).await?,
        network_offering_id: kind::resolve::<NetworkOfferings>(session, &new.offering, &Filter::new())
            .await?,
        name: new.name,
        cidr: new.cidr,
        gateway: new.gateway,
        dns: new.dns,
        link: NetworkLinkBody {
            kind: new.link.into(),
            name: new.link_name,
        },
    };
    kind::answered::<Networks>(session, session.client.networks().create(&body).await?, NO_WAIT).await
}
