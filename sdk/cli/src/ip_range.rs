//! `velum ip-range`: ranges of addresses.

use clap::{ArgGroup, Args, Subcommand};
use velum_client::{Filter, IpRanges, Networks, Pods};
use velum_wire::CreateIpRangeBody;

use crate::{
    failure::Failure,
    kind::{self, One, Shown},
    session::{Most, NO_WAIT, Session},
    table::{Column, Kind, column, text},
};

impl Shown for IpRanges {
    const NOUN: &'static str = "address range";
    const COLUMNS: &'static [Column] = &[
        text("FIRST", "first"),
        text("LAST", "last"),
        text("KIND", "kind"),
        column("NETWORK", "network_id", Kind::Of("networks")),
        column("POD", "pod_id", Kind::Of("pods")),
        column("CLAIMED", "claimed/size", Kind::Text),
        text("ID", "id"),
    ];
    const HAS_NAME: bool = false;
}

/// Ranges of addresses: public ones of a network, private ones of a pod.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists ranges with how many of their addresses are claimed.
    List(List),
    /// Shows one range.
    Show(One),
    /// Makes a range.
    Create(Create),
    /// Removes a range without claimed addresses.
    Delete(One),
}

/// Which ranges.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub most: Most,
    /// Only those of this network.
    #[arg(long, value_name = "NAME|ID")]
    pub network: Option<String>,
    /// Only those of this pod.
    #[arg(long, value_name = "NAME|ID")]
    pub pod: Option<String>,
}

/// What a new range is.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("of").required(true).args(["network", "pod"])))]
pub struct Create {
    /// The first address.
    pub first: String,
    /// The last address.
    pub last: String,
    /// The network whose guests get the addresses.
    #[arg(long, value_name = "NAME|ID")]
    pub network: Option<String>,
    /// The pod whose compute hosts get the addresses.
    #[arg(long, value_name = "NAME|ID")]
    pub pod: Option<String>,
}

/// Runs `velum ip-range`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let (network, pod) = of(session, list.network.as_deref(), list.pod.as_deref()).await?;
            let filter = Filter::new()
                .with_some("network_id", network)
                .with_some("pod_id", pod);
            kind::list_limited::<IpRanges>(session, list.most.limit, filter).await
        }
        Command::Show(one) => kind::show::<IpRanges>(session, &one).await,
        Command::Create(new) => {
            let (network_id, pod_id) = of(session, new.network.as_deref(), new.pod.as_deref()).await?;
            let body = CreateIpRangeBody {
                network_id,
                pod_id,
                first: new.first,
                last: new.last,
            };
            kind::answered::<IpRanges>(session, session.client.ip_ranges().create(&body).await?, NO_WAIT)
                .await
        }
        Command::Delete(one) => kind::delete::<IpRanges>(session, &one, NO_WAIT).await,
    }
}

async fn of(
    session: &Session,
    network: Option<&str>,
    pod: Option<&str>,
) -> Result<(Option<uuid::Uuid>, Option<uuid::Uuid>), Failure> {
    let network = kind::resolve_some::<Networks>(session, network, &Filter::new()).await?;
    Ok((
        network,
        kind::resolve_some::<Pods>(session, pod, &Filter::new()).await?,
    ))
}
