//! `velum instance create`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use velum_client::{ComputeOfferings, Filter, Instances, Networks, Templates};
use velum_wire::{CreateInstanceBody, NetworkChoiceBody};

use crate::{
    decision::render,
    failure::Failure,
    kind,
    session::{Session, Wait},
    text::parse_bytes,
};

/// What a new instance is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the project and zone; its host name in lower case.
    pub name: String,
    /// Its zone [default: the only one].
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Its compute offering.
    #[arg(long, value_name = "NAME|ID")]
    pub offering: String,
    /// What it is made from.
    #[arg(long, value_name = "NAME|ID")]
    pub template: String,
    /// A network to plug into, perhaps with a certain address (repeat for more).
    #[arg(long, value_name = "NAME|ID[=ADDRESS]", required = true)]
    pub network: Vec<String>,
    /// Size of the root volume, like 10GiB [default: the template's].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub root_size: Option<u64>,
    /// cloud-init user data as text.
    #[arg(long, value_name = "TEXT", conflicts_with = "user_data_file")]
    pub user_data: Option<String>,
    /// cloud-init user data out of a file ('-' reads standard input).
    #[arg(long, value_name = "FILE")]
    pub user_data_file: Option<PathBuf>,
    /// Shows the decision and makes nothing; fails (5) when nothing has room.
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
    #[command(flatten)]
    pub wait: Wait,
}

/// Runs `velum instance create`.
pub async fn run(session: &Session, new: Create) -> Result<(), Failure> {
    let (dry_run, wait) = (new.dry_run, new.wait);
    let body = body(session, new).await?;
    let instances = session.client.instances();
    if dry_run {
        let decision = instances.plan(&body).await?;
        session.print(&decision, || render(&decision))?;
        return decision.winner.map(|_| ()).ok_or(Failure::NoRoom);
    }
    kind::answered::<Instances>(session, instances.create(&body).await?, wait).await
}

async fn body(session: &Session, new: Create) -> Result<CreateInstanceBody, Failure> {
    let zone_id = kind::zone_or_only(session, new.zone.as_deref()).await?;
    let within = Filter::new().with("zone_id", zone_id);
    let mut networks = Vec::with_capacity(new.network.len());
    for choice in &new.network {
        let (name, address) = choice
            .split_once('=')
            .map_or((choice.as_str(), None), |(n, a)| (n, Some(a)));
        let network_id = kind::resolve::<Networks>(session, name, &within).await?;
        networks.push(NetworkChoiceBody {
            network_id,
            address: address.map(str::to_owned),
        });
    }
    let user_data = match new.user_data_file {
        Some(path) => Some(read_user_data(&path)?),
        None => new.user_data,
    };
    Ok(CreateInstanceBody {
        zone_id,
        name: new.name,
        compute_offering_id: kind::resolve::<ComputeOfferings>(session, &new.offering, &Filter::new())
            .await?,
        template_id: kind::resolve::<Templates>(session, &new.template, &within).await?,
        networks,
        root_size_bytes: new.root_size,
        user_data,
        user_data_base64: None,
    })
}

fn read_user_data(path: &std::path::Path) -> Result<String, Failure> {
    let text = if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    Ok(text.with_context(|| format!("could not read the user data from {}", path.display()))?)
}
