//! `velum compute-host`: machines that run guests.

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use velum_client::{Clusters, ComputeHosts, Filter};
use velum_wire::{ComputeHostView, CreateComputeHostBody, SettableIntent, UpdateComputeHostBody};

use crate::{
    args::{
        MarkChanges, Marks, Tenant, changed, json, json_or_empty, parse_tenant, resource, resource_change,
    },
    failure::Failure,
    kind::{self, One, Rows, Shown},
    session::{NO_WAIT, Session, Wait},
    table::{Column, Kind, column, text},
    text::parse_mib,
};

impl Shown for ComputeHosts {
    const NOUN: &'static str = "compute host";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        column("ZONE", "zone_id", Kind::Of("zones")),
        column("CLUSTER", "cluster_id", Kind::Of("clusters")),
        text("INTENT", "intent"),
        column("SEEN", "observed", Kind::State),
        column("VCPUS", "vcpus_used/vcpus_ceiling", Kind::Text),
        column("MEMORY", "memory_used_mib/memory_ceiling_mib", Kind::Mib),
        column("RESOURCES", "resources", Kind::UsedOfTotal),
        text("TAGS", "tags"),
        text("ID", "id"),
    ];
}

/// Machines that run guests.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists compute hosts with what is promised of them.
    List(List),
    /// Shows one compute host.
    Show(One),
    /// Registers a compute host: its driver is asked what is there.
    Create(Create),
    /// Changes a compute host: name, size, resources, tags, attributes, whether it takes new guests and whose.
    Update(Update),
    /// Removes a compute host that runs nothing.
    Delete(One),
    /// Takes a compute host out of service: no new guests.
    Maintenance(Act),
    /// Puts it back into service.
    Enable(Act),
}

/// Which compute hosts.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub rows: Rows,
    /// Only those of this zone.
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Only those of this cluster.
    #[arg(long, value_name = "NAME|ID")]
    pub cluster: Option<String>,
}

/// What a new compute host is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the zone.
    pub name: String,
    /// Its cluster.
    #[arg(long, value_name = "NAME|ID")]
    pub cluster: String,
    /// The zone in which the cluster's name is looked for.
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Settings of the driver for this host, like {"uri":"qemu:///system"}.
    #[arg(long, value_name = "JSON|@FILE")]
    pub config: Option<String>,
    /// Address of its velum-node: unix:/run/velum/node.sock, or what `velum-node enroll` printed on a machine of its own.
    #[arg(long, value_name = "ADDRESS")]
    pub node: Option<String>,
    /// Origin of its HTTP API, for drivers of such.
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Its management address [default: one out of its pod's ranges, if it has any].
    #[arg(long, value_name = "ADDRESS")]
    pub private_address: Option<String>,
    /// Processors for guests [default: what the driver finds].
    #[arg(long, value_name = "N")]
    pub vcpus: Option<u64>,
    /// Memory for guests, like 64GiB [default: what the driver finds].
    #[arg(long, value_name = "SIZE", value_parser = parse_mib)]
    pub memory: Option<u64>,
    /// How much it has of a countable resource, like gpu=4 (repeat for more).
    #[arg(long = "resource", value_name = "NAME=NUMBER", value_parser = resource)]
    pub resources: Vec<(String, u64)>,
    #[command(flatten)]
    pub marks: Marks,
}

/// Whether it takes new guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Intent {
    /// It takes new ones.
    Enabled,
    /// It takes no new ones.
    Disabled,
}

impl From<Intent> for SettableIntent {
    fn from(intent: Intent) -> Self {
        match intent {
            Intent::Enabled => Self::Enabled,
            Intent::Disabled => Self::Disabled,
        }
    }
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
    /// Other settings of the driver for this host; it is asked again what is there.
    #[arg(long, value_name = "JSON|@FILE")]
    pub config: Option<String>,
    /// Processors for guests.
    #[arg(long, value_name = "N")]
    pub vcpus: Option<u64>,
    /// Memory for guests, like 64GiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_mib)]
    pub memory: Option<u64>,
    /// Sets how much it has of a countable resource, or takes it away with nothing after the '=' (repeat for more).
    #[arg(long = "resource", value_name = "NAME=[NUMBER]", value_parser = resource_change)]
    pub resources: Vec<(String, Option<u64>)>,
    /// Whether it takes new guests.
    #[arg(long, value_enum)]
    pub intent: Option<Intent>,
    #[command(flatten)]
    pub marks: MarkChanges,
}

/// Which one, and whether to wait.
#[derive(Args, Debug)]
pub struct Act {
    #[command(flatten)]
    pub one: One,
    #[command(flatten)]
    pub wait: Wait,
}

/// Runs `velum compute-host`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let filter = kind::in_zone(session, list.zone.as_deref()).await?;
            let cluster = kind::resolve_some::<Clusters>(session, list.cluster.as_deref(), &filter).await?;
            kind::list::<ComputeHosts>(session, &list.rows, filter.with_some("cluster_id", cluster)).await
        }
        Command::Show(one) => kind::show::<ComputeHosts>(session, &one).await,
        Command::Create(new) => create(session, new).await,
        Command::Update(change) => update(session, change).await,
        Command::Delete(one) => kind::delete::<ComputeHosts>(session, &one, NO_WAIT).await,
        Command::Maintenance(act) => {
            let id = kind::resolve::<ComputeHosts>(session, &act.one.name, &Filter::new()).await?;
            let answer = session.client.compute_hosts().maintenance(id).await?;
            kind::answered::<ComputeHosts>(session, answer, act.wait).await
        }
        Command::Enable(act) => {
            let id = kind::resolve::<ComputeHosts>(session, &act.one.name, &Filter::new()).await?;
            let answer = session.client.compute_hosts().enable(id).await?;
            kind::answered::<ComputeHosts>(session, answer, act.wait).await
        }
    }
}

async fn create(session: &Session, new: Create) -> Result<(), Failure> {
    let within = kind::in_zone(session, new.zone.as_deref()).await?;
    let body = CreateComputeHostBody {
        cluster_id: kind::resolve::<Clusters>(session, &new.cluster, &within).await?,
        name: new.name,
        config: json_or_empty(new.config.as_deref())?,
        node: new.node,
        endpoint: new.endpoint,
        private_address: new.private_address,
        vcpus: new.vcpus,
        memory_mib: new.memory,
        resources: new.resources.into_iter().collect(),
        attributes: new.marks.attributes(),
        tags: new.marks.tags,
    };
    kind::answered::<ComputeHosts>(
        session,
        session.client.compute_hosts().create(&body).await?,
        NO_WAIT,
    )
    .await
}

/// What it has of resources. What was taken away while guests have it is not stated again.
fn stated(host: &ComputeHostView) -> BTreeMap<String, u64> {
    let there = host.resources.iter().filter(|(_, of)| of.total > 0);
    there.map(|(name, of)| (name.clone(), of.total)).collect()
}

async fn update(session: &Session, change: Update) -> Result<(), Failure> {
    let hosts = session.client.compute_hosts();
    let id = kind::resolve::<ComputeHosts>(session, &change.one.name, &Filter::new()).await?;
    let present = hosts.fetch(id).await?;
    let body = UpdateComputeHostBody {
        name: change.rename,
        config: change.config.as_deref().map(json).transpose()?,
        vcpus: change.vcpus,
        memory_mib: change.memory,
        resources: (!change.resources.is_empty()).then(|| changed(stated(&present.value), &change.resources)),
        tags: change.marks.tags(present.value.tags)?,
        attributes: change.marks.attributes(present.value.attributes),
        intent: change.intent.map(Into::into),
        dedicated_to: change.dedicated_to.map(|to| to.0),
    };
    // Resources, tags and attributes are replaced as a whole: only on top of what was read.
    let answer = hosts.update(id, &body, present.etag.as_deref()).await?;
    kind::answered::<ComputeHosts>(session, answer, NO_WAIT).await
}
