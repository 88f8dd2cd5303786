//! `velum ip-address`: claimed addresses.

use clap::{Args, Subcommand};
use velum_client::{Filter, IpAddresses};

use crate::{
    failure::Failure,
    kind::{self, One, Shown},
    session::{Most, Session},
    table::{Column, Kind, column, text},
};

impl Shown for IpAddresses {
    const NOUN: &'static str = "address";
    const COLUMNS: &'static [Column] = &[
        text("ADDRESS", "address"),
        text("NIC", "nic_id"),
        column("COMPUTE HOST", "compute_host_id", Kind::Of("compute-hosts")),
        text("RANGE", "ip_range_id"),
        column("CLAIMED", "created_at", Kind::Time),
    ];
    const HAS_NAME: bool = false;
}

/// Claimed addresses; they are claimed and released with what holds them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists claimed addresses.
    List(List),
    /// Shows one claimed address.
    Show(One),
}

/// Which addresses.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub most: Most,
    /// Only those of this range.
    #[arg(long, value_name = "ID")]
    pub range: Option<uuid::Uuid>,
}

/// Runs `velum ip-address`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let filter = Filter::new().with_some("ip_range_id", list.range);
            kind::list_limited::<IpAddresses>(session, list.most.limit, filter).await
        }
        Command::Show(one) => kind::show::<IpAddresses>(session, &one).await,
    }
}
