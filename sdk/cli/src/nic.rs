//! `velum nic`: network interfaces.

use clap::{Args, Subcommand};
use velum_client::{Filter, Instances, Networks, Nics};

use crate::{
    failure::Failure,
    kind::{self, One, Shown},
    session::{Most, Session},
    table::{Column, Kind, column, text},
};

impl Shown for Nics {
    const NOUN: &'static str = "NIC";
    const COLUMNS: &'static [Column] = &[
        text("MAC", "mac"),
        text("ADDRESS", "address"),
        column("NETWORK", "network_id", Kind::Of("networks")),
        column("INSTANCE", "instance_id", Kind::Of("instances")),
        text("SLOT", "slot"),
        text("ID", "id"),
    ];
    const HAS_NAME: bool = false;
}

/// Network interfaces of instances; they come and go with their instance.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists NICs.
    List(List),
    /// Shows one NIC.
    Show(One),
}

/// Which NICs.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub most: Most,
    /// Only those of this instance.
    #[arg(long, value_name = "NAME|ID")]
    pub instance: Option<String>,
    /// Only those of this network.
    #[arg(long, value_name = "NAME|ID")]
    pub network: Option<String>,
}

/// Runs `velum nic`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let instance =
                kind::resolve_some::<Instances>(session, list.instance.as_deref(), &Filter::new()).await?;
            let network =
                kind::resolve_some::<Networks>(session, list.network.as_deref(), &Filter::new()).await?;
            let filter = Filter::new()
                .with_some("instance_id", instance)
                .with_some("network_id", network);
            kind::list_limited::<Nics>(session, list.most.limit, filter).await
        }
        Command::Show(one) => kind::show::<Nics>(session, &one).await,
    }
}
