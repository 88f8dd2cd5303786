//! `velum compute-offering`: shapes of instances.

use clap::{Args, Subcommand};
use velum_client::{ComputeOfferings, Filter};
use velum_wire::{CreateComputeOfferingBody, UpdateComputeOfferingBody};

use crate::{
    args::resource,
    failure::Failure,
    kind::{self, One, Rows, Shown},
    policy::Policies,
    session::{NO_WAIT, Session},
    table::{Column, Kind, column, text},
    text::{parse_mib, parse_seconds},
    zone::policy_choice,
};

impl Shown for ComputeOfferings {
    const NOUN: &'static str = "compute offering";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        text("VCPUS", "vcpus"),
        column("MEMORY", "memory_mib", Kind::Mib),
        text("RESOURCES", "resources"),
        text("HOST TAGS", "host_tags"),
        text("STORAGE TAGS", "storage_tags"),
        column("POLICY", "policy_id", Kind::Of("policies")),
        text("LIFETIME S", "expected_lifetime_s"),
        text("ID", "id"),
    ];
}

/// Shapes of instances.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists compute offerings.
    List(Rows),
    /// Shows one compute offering.
    Show(One),
    /// Makes a compute offering.
    Create(Create),
    /// Changes a compute offering: its name, tags, policy. Its shape stays.
    Update(Update),
    /// Removes a compute offering that no instance has.
    Delete(One),
}

/// What a new compute offering is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the cloud.
    pub name: String,
    /// Virtual processors.
    #[arg(long, value_name = "N")]
    pub vcpus: u64,
    /// Memory, like 512MiB or 4GiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_mib)]
    pub memory: u64,
    /// How much of a countable resource of the compute host an instance has for itself, like gpu=1 (repeat for more).
    #[arg(long = "resource", value_name = "NAME=NUMBER", value_parser = resource)]
    pub resources: Vec<(String, u64)>,
    /// A tag that the compute host must have (repeat for more).
    #[arg(long, value_name = "TAG")]
    pub host_tag: Vec<String>,
    /// A tag that the root volume's pool must have (repeat for more).
    #[arg(long, value_name = "TAG")]
    pub storage_tag: Vec<String>,
    /// Policy in place of the zone's.
    #[arg(long, value_name = "NAME|ID")]
    pub policy: Option<String>,
    /// How long instances are expected to run that do not say it themselves, like 2h or 10d.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    pub expected_lifetime: Option<u64>,
}

/// What changes.
#[derive(Args, Debug)]
pub struct Update {
    #[command(flatten)]
    pub one: One,
    /// Its new name.
    #[arg(long = "rename", value_name = "NAME")]
    pub rename: Option<String>,
    /// Replaces the tags that a compute host must have (repeat for more).
    #[arg(long, value_name = "TAG")]
    pub host_tag: Option<Vec<String>>,
    /// Replaces the tags that the root volume's pool must have (repeat for more).
    #[arg(long, value_name = "TAG")]
    pub storage_tag: Option<Vec<String>>,
    /// Policy in place of the zone's; 'built-in' returns to the zone's.
    #[arg(long, value_name = "NAME|ID|built-in")]
    pub policy: Option<String>,
    /// How long instances to come are expected to run that do not say it themselves; 'none' = nobody says.
    #[arg(long, value_name = "TIME|none", value_parser = parse_seconds_or_none)]
    pub expected_lifetime: Option<NoneOr>,
}

/// A length of time, or none: a type of its own, for clap takes an `Option` in an `Option` for something else.
#[derive(Clone, Copy, Debug)]
pub struct NoneOr(Option<u64>);

fn parse_seconds_or_none(text: &str) -> Result<NoneOr, String> {
    match text {
        "none" => Ok(NoneOr(None)),
        text => parse_seconds(text).map(|seconds| NoneOr(Some(seconds))),
    }
}

/// Runs `velum compute-offering`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    let offerings = session.client.compute_offerings();
    match command {
        Command::List(rows) => kind::list::<ComputeOfferings>(session, &rows, Filter::new()).await,
        Command::Show(one) => kind::show::<ComputeOfferings>(session, &one).await,
        Command::Create(new) => {
            let body = CreateComputeOfferingBody {
                name: new.name,
                vcpus: new.vcpus,
                memory_mib: new.memory,
                resources: new.resources.into_iter().collect(),
                host_tags: new.host_tag,
                storage_tags: new.storage_tag,
                policy_id: kind::resolve_some::<Policies>(session, new.policy.as_deref(), &Filter::new())
                    .await?,
                expected_lifetime_s: new.expected_lifetime,
            };
            kind::answered::<ComputeOfferings>(session, offerings.create(&body).await?, NO_WAIT).await
        }
        Command::Update(change) => {
            let id = kind::resolve::<ComputeOfferings>(session, &change.one.name, &Filter::new()).await?;
            let body = UpdateComputeOfferingBody {
                name: change.rename,
                host_tags: change.host_tag,
                storage_tags: change.storage_tag,
                policy_id: policy_choice(session, change.policy.as_deref()).await?,
                expected_lifetime_s: change.expected_lifetime.map(|NoneOr(seconds)| seconds),
            };
            kind::answered::<ComputeOfferings>(session, offerings.update(id, &body, None).await?, NO_WAIT)
                .await
        }
        Command::Delete(one) => kind::delete::<ComputeOfferings>(session, &one, NO_WAIT).await,
    }
}
