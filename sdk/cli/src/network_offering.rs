//! `velum network-offering`: shapes of networks.

use clap::{Args, Subcommand};
use velum_client::{Filter, NetworkOfferings};
use velum_wire::{CreateNetworkOfferingBody, NetworkKind, UpdateNetworkOfferingBody};

use crate::{
    failure::Failure,
    kind::{self, One, Rows, Shown},
    session::{NO_WAIT, Session},
    table::{Column, text},
};

impl Shown for NetworkOfferings {
    const NOUN: &'static str = "network offering";
    const COLUMNS: &'static [Column] = &[text("NAME", "name"), text("KIND", "kind"), text("ID", "id")];
}

/// Shapes of networks.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists network offerings.
    List(Rows),
    /// Shows one network offering.
    Show(One),
    /// Makes an offering of shared networks.
    Create(Create),
    /// Renames a network offering.
    Update(Update),
    /// Removes a network offering that no network has.
    Delete(One),
}

/// What a new network offering is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the cloud.
    pub name: String,
}

/// What changes.
#[derive(Args, Debug)]
pub struct Update {
    #[command(flatten)]
    pub one: One,
    /// Its new name.
    #[arg(long = "rename", value_name = "NAME")]
    pub rename: Option<String>,
}

/// Runs `velum network-offering`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    let offerings = session.client.network_offerings();
    match command {
        Command::List(rows) => kind::list::<NetworkOfferings>(session, &rows, Filter::new()).await,
        Command::Show(one) => kind::show::<NetworkOfferings>(session, &one).await,
        Command::Create(new) => {
            let body = CreateNetworkOfferingBody {
                name: new.name,
                kind: NetworkKind::Shared,
            };
            kind::answered::<NetworkOfferings>(session, offerings.create(&body).await?, NO_WAIT).await
        }
        Command::Update(change) => {
            let id = kind::resolve::<NetworkOfferings>(session, &change.one.name, &Filter::new()).await?;
            let body = UpdateNetworkOfferingBody { name: change.rename };
            kind::answered::<NetworkOfferings>(session, offerings.update(id, &body, None).await?, NO_WAIT)
                .await
        }
        Command::Delete(one) => kind::delete::<NetworkOfferings>(session, &one, NO_WAIT).await,
    }
}
