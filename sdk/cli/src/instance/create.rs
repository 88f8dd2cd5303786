//! `velum instance create`.

use std::{io::Read as _, path::PathBuf};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::json;
use velum_client::{AffinityGroups, ComputeOfferings, Filter, Instances, Networks, Templates};
use velum_wire::{
    BatchItemView, BatchView, CreateInstanceBody, CreateInstancesBody, InstanceOfBatchBody,
    NetworkChoiceBody, RefusalView,
};

use crate::{
    decision::render,
    failure::{self, Failure},
    kind,
    names::Names,
    progress::finish,
    session::{Output, Session, Wait},
    table::{self, Kind},
    text::{parse_bytes, parse_seconds, plain},
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
    /// An affinity group of the zone that it is in, for its whole life (repeat for more).
    #[arg(long, value_name = "NAME|ID")]
    pub affinity_group: Vec<String>,
    /// Size of the root volume, like 10GiB [default: the template's].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub root_size: Option<u64>,
    /// cloud-init user data as text.
    #[arg(long, value_name = "TEXT", conflicts_with = "user_data_file")]
    pub user_data: Option<String>,
    /// cloud-init user data out of a file, compressed or not ('-' reads standard input).
    #[arg(long, value_name = "FILE")]
    pub user_data_file: Option<PathBuf>,
    /// How long it is expected to run, like 2h or 10d [default: as its offering says]; nothing ends by it.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    pub expected_lifetime: Option<u64>,
    /// Shows the decision and makes nothing; fails (5) when nothing has room.
    #[arg(long, conflicts_with_all = ["wait", "count"])]
    pub dry_run: bool,
    /// Makes so many at once, NAME-1 to NAME-N, and shows what came of each; fails (5) when some find no room.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub count: Option<u16>,
    /// With --count: makes none when one finds no room.
    #[arg(long, requires = "count")]
    pub all_or_nothing: bool,
    #[command(flatten)]
    pub wait: Wait,
}

/// Runs `velum instance create`.
pub async fn run(session: &Session, new: Create) -> Result<(), Failure> {
    let (dry_run, wait) = (new.dry_run, new.wait);
    let (count, all_or_nothing) = (new.count, new.all_or_nothing);
    let body = body(session, new).await?;
    if let Some(count) = count {
        return many(session, body, (count, all_or_nothing), wait).await;
    }
    let instances = session.client.instances();
    if dry_run {
        let decision = instances.plan(&body).await?;
        session.print(&decision, || render(&decision))?;
        return decision.winner.map(|_| ()).ok_or(Failure::NoRoom);
    }
    kind::answered::<Instances>(session, instances.create(&body).await?, wait).await
}

/// Makes `count` of them in one request.
async fn many(
    session: &Session,
    one: CreateInstanceBody,
    (count, all_or_nothing): (u16, bool),
    wait: Wait,
) -> Result<(), Failure> {
    let named = |n: u16| InstanceOfBatchBody {
        name: format!("{}-{n}", one.name),
        compute_offering_id: one.compute_offering_id,
        template_id: one.template_id,
        networks: one.networks.clone(),
        root_size_bytes: one.root_size_bytes,
        affinity_group_ids: one.affinity_group_ids.clone(),
        user_data: one.user_data.clone(),
        user_data_base64: one.user_data_base64.clone(),
        expected_lifetime_s: one.expected_lifetime_s,
    };
    let body = CreateInstancesBody {
        zone_id: one.zone_id,
        instances: (1..=count).map(named).collect(),
        all_or_nothing,
    };
    let mut made = session.client.instances().create_batch(&body).await?;
    session.say(&format!("{} accepted, {} refused", made.accepted, made.refused));
    let mut ended = Ok(());
    if wait.wait {
        ended = all_ended(session, &mut made).await;
    }
    print(session, &body, &made).await?;
    say_why(session, &made);
    ended?;
    if made.refused > 0 {
        let mut problems = made.items.iter().filter_map(|item| item.problem.as_ref());
        Err(Failure::Refused(made.refused, problems.any(failure::lacks_room)))
    } else {
        Ok(())
    }
}

/// Waits for the operations of all, and reads what became of the instances.
///
/// # Errors
/// How the first of those that failed did, after all have ended.
async fn all_ended(session: &Session, made: &mut BatchView) -> Result<(), Failure> {
    let mut first = Ok(());
    for operation in made.items.iter().filter_map(|item| item.operation_id) {
        let ended = finish(session, operation).await.map(drop);
        first = first.and(ended);
    }
    for instance in made.items.iter_mut().filter_map(|item| item.instance.as_mut()) {
        // One that cannot be read is shown as it was accepted; the operation above says whether it came to anything.
        if let Ok(now) = session.client.instances().get(instance.id).await {
            *instance = now;
        }
    }
    first
}

/// What came of each.
async fn print(session: &Session, body: &CreateInstancesBody, made: &BatchView) -> Result<(), Failure> {
    let hosts = made
        .items
        .iter()
        .filter_map(|item| item.instance.as_ref()?.compute_host_id);
    let hosts: Vec<String> = hosts.map(|id| id.to_string()).collect();
    let mut names = Names::default();
    if session.output == Output::Table {
        names.learn(&session.client, "compute-hosts", &hosts).await;
    }
    let mut head = vec!["NAME", "STATE", "COMPUTE HOST", "ADDRESSES"];
    if made.refused > 0 {
        head.push("WHY");
    }
    let rows = body.instances.iter().zip(&made.items);
    let rows = rows.map(|(asked, item)| row(&asked.name, item, &names, head.len()));
    let rows = rows.collect();
    session.print(made, || table::list(&head, rows, Some(1)))
}

/// Why compute hosts were refused, once for those that were refused alike.
fn say_why(session: &Session, made: &BatchView) {
    let problems = made.items.iter().filter_map(|item| item.problem.as_ref());
    let mut told: Vec<&[RefusalView]> = Vec::new();
    for refusals in problems.map(|problem| problem.refusals.as_slice()) {
        if !refusals.is_empty() && !told.contains(&refusals) {
            told.push(refusals);
            session.say(failure::refusals(refusals).trim_end());
        }
    }
}

fn row(name: &str, item: &BatchItemView, names: &Names, columns: usize) -> Vec<String> {
    let mut cells = vec![plain(name)];
    if let Some(made) = &item.instance {
        let host = made
            .compute_host_id
            .map(|id| names.name("compute-hosts", &id.to_string()));
        cells.push(table::word(&json!(made.state), Kind::Text, names));
        cells.push(plain(&host.unwrap_or_default()));
        cells.push(made.addresses.join(", "));
    } else if let Some(problem) = &item.problem {
        let why = problem.detail.as_ref().unwrap_or(&problem.title);
        cells.extend(["refused".into(), String::new(), String::new(), plain(why)]);
    }
    cells.resize(columns, String::new());
    cells
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
    let mut affinity_group_ids = Vec::with_capacity(new.affinity_group.len());
    for group in &new.affinity_group {
        affinity_group_ids.push(kind::resolve::<AffinityGroups>(session, group, &within).await?);
    }
    let (user_data, user_data_base64) = match new.user_data_file {
        Some(path) => read_user_data(&path)?,
        None => (new.user_data, None),
    };
    Ok(CreateInstanceBody {
        zone_id,
        name: new.name,
        compute_offering_id: kind::resolve::<ComputeOfferings>(session, &new.offering, &Filter::new())
            .await?,
        template_id: kind::resolve::<Templates>(session, &new.template, &within).await?,
        networks,
        root_size_bytes: new.root_size,
        affinity_group_ids,
        user_data,
        user_data_base64,
        expected_lifetime_s: new.expected_lifetime,
    })
}

/// As text, or as base64 of what is none: cloud-init takes it compressed, too.
fn read_user_data(path: &std::path::Path) -> Result<(Option<String>, Option<String>), Failure> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.with_context(|| format!("could not read the user data from {}", path.display()))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(binary) => (None, Some(STANDARD.encode(binary.as_bytes()))),
    })
}
