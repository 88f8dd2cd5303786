//! `velum plugin activate|rollback|shadow|promote|stats`: versions at work.

use clap::Args;
use velum_client::{Clusters, Filter, Policies, StoragePools};
use velum_wire::{ActivatePluginBody, ActivationView, PluginStatsView};

use crate::{
    failure::Failure,
    kind::{self, One},
    policy::{plugin, shadow},
    session::Session,
    table,
    text::{count, plain},
};

/// Which plugin.
#[derive(Args, Clone, Debug)]
pub struct Which {
    /// Name (if one version is installed), NAME@VERSION, digest or id.
    #[arg(value_name = "PLUGIN|DIGEST|ID")]
    pub plugin: String,
}

/// Where a version goes to work.
#[derive(Args, Debug)]
pub struct Activate {
    #[command(flatten)]
    pub which: Which,
    /// In which zone [default: the only one].
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Only the compute hosts of this cluster (repeat for more); new ones still get what the zone has.
    #[arg(long = "cluster", value_name = "NAME|ID")]
    pub clusters: Vec<String>,
    /// Only this storage pool (repeat for more); new ones still get what the zone has.
    #[arg(long = "pool", value_name = "NAME|ID")]
    pub pools: Vec<String>,
}

/// Where the version before comes back.
#[derive(Args, Debug)]
pub struct Rollback {
    #[command(flatten)]
    pub which: Which,
    /// In which zone [default: the only one].
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
}

/// Which policy's asks the plugin is to see.
#[derive(Args, Debug)]
pub struct Shadow {
    #[command(flatten)]
    pub which: Which,
    /// The policy.
    #[arg(long, value_name = "NAME|ID")]
    pub policy: String,
    /// The plugin's configuration [default: the policy's own].
    #[arg(long, value_name = "JSON|@FILE")]
    pub config: Option<String>,
}

/// Which policy is to be made of the plugin that is its shadow.
#[derive(Args, Debug)]
pub struct Promote {
    #[command(flatten)]
    pub which: Which,
    /// The policy.
    #[arg(long, value_name = "NAME|ID")]
    pub policy: String,
}

/// Runs `velum plugin activate`.
pub async fn activate(session: &Session, activate: &Activate) -> Result<(), Failure> {
    let id = plugin(session, &activate.which.plugin).await?;
    let zone = kind::zone_or_only(session, activate.zone.as_deref()).await?;
    let within = Filter::new().with("zone_id", zone);
    let (mut cluster_ids, mut storage_pool_ids) = (Vec::new(), Vec::new());
    for cluster in &activate.clusters {
        cluster_ids.push(kind::resolve::<Clusters>(session, cluster, &within).await?);
    }
    for pool in &activate.pools {
        storage_pool_ids.push(kind::resolve::<StoragePools>(session, pool, &within).await?);
    }
    let body = ActivatePluginBody {
        zone_id: zone,
        cluster_ids,
        storage_pool_ids,
    };
    let done = session.client.plugins().activate(id, &body).await?;
    session.print(&done, || render(&done))
}

/// Runs `velum plugin rollback`.
pub async fn rollback(session: &Session, rollback: &Rollback) -> Result<(), Failure> {
    let id = plugin(session, &rollback.which.plugin).await?;
    let zone = kind::zone_or_only(session, rollback.zone.as_deref()).await?;
    let done = session.client.plugins().rollback(id, zone).await?;
    session.print(&done, || render(&done))
}

fn render(done: &ActivationView) -> String {
    format!(
        "{} {} is active in zone {}: {} and {} went over to it\n",
        plain(&done.name),
        plain(&done.version),
        done.zone_id,
        count(done.compute_hosts, "compute host", "compute hosts"),
        count(done.storage_pools, "storage pool", "storage pools"),
    )
}

/// Runs `velum plugin shadow`.
pub async fn begin_shadow(session: &Session, shadow: &Shadow) -> Result<(), Failure> {
    let digest = digest_of(session, &shadow.which).await?;
    let policy = kind::resolve::<Policies>(session, &shadow.policy, &Filter::new()).await?;
    let seen = shadow::begin(session, policy, Some(&digest), shadow.config.as_deref()).await?;
    shadow::show(session, &seen)
}

/// Runs `velum plugin promote`.
pub async fn promote(session: &Session, promote: &Promote) -> Result<(), Failure> {
    let digest = digest_of(session, &promote.which).await?;
    let policy = kind::resolve::<Policies>(session, &promote.policy, &Filter::new()).await?;
    let seen = session.client.policies().shadow(policy).await?;
    if seen.digest != digest {
        return Err(Failure::Local(anyhow::anyhow!(
            "the shadow of that policy is {}, not {}",
            plain(&seen.digest),
            plain(&digest)
        )));
    }
    let one = One {
        name: policy.to_string(),
    };
    shadow::promote(session, &one).await
}

async fn digest_of(session: &Session, which: &Which) -> Result<String, Failure> {
    let id = plugin(session, &which.plugin).await?;
    Ok(session.client.plugins().get(id).await?.digest)
}

/// Runs `velum plugin stats`.
pub async fn stats(session: &Session, which: &Which) -> Result<(), Failure> {
    let id = plugin(session, &which.plugin).await?;
    let stats = session.client.plugins().stats(id).await?;
    session.print(&stats, || render_stats(&stats))
}

/// Whether calls are made, and how often they were not.
fn breaker(stats: &PluginStatsView) -> String {
    let before = match stats.breaks {
        0 => String::new(),
        1 => ", opened once".to_owned(),
        breaks => format!(", opened {breaks} times"),
    };
    match stats.refused_for_ms {
        None => format!("closed: calls are made{before}"),
        Some(0) => format!("half open: the next call tries{before}"),
        Some(pause) => format!("open: calls are refused for {pause} ms more{before}"),
    }
}

fn render_stats(stats: &PluginStatsView) -> String {
    if !stats.is_loaded {
        return format!(
            "{} {} is not loaded on the server that answered\n",
            plain(&stats.name),
            plain(&stats.version)
        );
    }
    let each = |sum: u64| sum.checked_div(stats.calls).unwrap_or(0);
    let rows = [
        (
            "plugin",
            format!("{} {}", plain(&stats.name), plain(&stats.version)),
        ),
        ("digest", plain(&stats.digest)),
        ("calls", stats.calls.to_string()),
        (
            "failures",
            format!(
                "{}, of which {} traps and {} deadlines",
                stats.failures, stats.traps, stats.deadlines
            ),
        ),
        ("denials", stats.denials.to_string()),
        ("fuel", format!("{}, {} a call", stats.fuel, each(stats.fuel))),
        (
            "time",
            format!("{} us, {} us a call", stats.micros, each(stats.micros)),
        ),
        ("starts", stats.starts.to_string()),
        ("breaker", breaker(stats)),
    ];
    let rows: Vec<(String, String)> = rows
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    table::pairs(&rows)
}
