//! `velum instance`: machines of tenants.

mod console;
mod create;

use clap::{Args, Subcommand};
use velum_client::{AffinityGroups, ComputeHosts, Filter, Instances};

use crate::{
    decision::render,
    failure::Failure,
    kind::{self, One, Rows, Shown},
    session::{Output, Session, Wait, write_out},
    table::{Column, Kind, column, text},
    text::plain_lines,
};

impl Shown for Instances {
    const NOUN: &'static str = "instance";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        column("ZONE", "zone_id", Kind::Of("zones")),
        column("STATE", "state", Kind::State),
        text("ADDRESSES", "addresses"),
        text("VCPUS", "vcpus"),
        column("MEMORY", "memory_mib", Kind::Mib),
        column("COMPUTE HOST", "compute_host_id", Kind::Of("compute-hosts")),
        text("ID", "id"),
    ];
}

/// Machines of tenants.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists instances.
    List(List),
    /// Shows one instance.
    Show(One),
    /// Makes and starts an instance; with --dry-run only shows where it would go.
    Create(create::Create),
    /// Starts a stopped instance: it is placed anew.
    Start(Act),
    /// Stops an instance: gracefully, then hard.
    Stop(Stop),
    /// Reboots an instance.
    Reboot(Reboot),
    /// Destroys an instance with its root volume; data volumes stay.
    #[command(visible_alias = "delete")]
    Destroy(Act),
    /// Shows why an instance is where it is: the decision as a table.
    Why(One),
    /// Connects to the serial console, both ways; Ctrl-] leaves.
    Console(One),
    /// Prints what the serial console showed last.
    ConsoleLog(One),
}

/// Which instances.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub rows: Rows,
    /// Only those of this zone.
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Only those in this state, like running.
    #[arg(long)]
    pub state: Option<String>,
    /// Only those that run on this compute host.
    #[arg(long, value_name = "NAME|ID")]
    pub compute_host: Option<String>,
    /// Only those in this affinity group.
    #[arg(long, value_name = "NAME|ID")]
    pub affinity_group: Option<String>,
}

/// Which one, and whether to wait.
#[derive(Args, Debug)]
pub struct Act {
    #[command(flatten)]
    pub one: One,
    #[command(flatten)]
    pub wait: Wait,
}

/// How to stop.
#[derive(Args, Debug)]
pub struct Stop {
    #[command(flatten)]
    pub act: Act,
    /// Seconds that the guest gets to shut down by itself before it is turned off; 0 turns it off at once.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=600))]
    pub grace: Option<u64>,
}

/// How to reboot.
#[derive(Args, Debug)]
pub struct Reboot {
    #[command(flatten)]
    pub act: Act,
    /// Resets it without asking the guest.
    #[arg(long)]
    pub hard: bool,
}

/// Runs `velum instance`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    let instances = session.client.instances();
    match command {
        Command::List(list) => run_list(session, list).await,
        Command::Show(one) => kind::show::<Instances>(session, &one).await,
        Command::Create(new) => create::run(session, new).await,
        Command::Start(act) => {
            let id = id_of(session, &act.one).await?;
            kind::answered::<Instances>(session, instances.start(id).await?, act.wait).await
        }
        Command::Stop(stop) => {
            let id = id_of(session, &stop.act.one).await?;
            let answer = match stop.grace {
                Some(seconds) => instances.stop_within(id, seconds * 1000).await?,
                None => instances.stop(id).await?,
            };
            kind::answered::<Instances>(session, answer, stop.act.wait).await
        }
        Command::Reboot(reboot) => {
            let id = id_of(session, &reboot.act.one).await?;
            let answer = if reboot.hard {
                instances.reset(id).await?
            } else {
                instances.reboot(id).await?
            };
            kind::answered::<Instances>(session, answer, reboot.act.wait).await
        }
        Command::Destroy(act) => kind::delete::<Instances>(session, &act.one, act.wait).await,
        Command::Why(one) => {
            let decision = instances.decision(id_of(session, &one).await?).await?;
            session.print(&decision, || render(&decision))
        }
        Command::Console(one) => console::run(instances.console(id_of(session, &one).await?).await?).await,
        Command::ConsoleLog(one) => console_log(session, &one).await,
    }
}

async fn run_list(session: &Session, list: List) -> Result<(), Failure> {
    let within = kind::in_zone(session, list.zone.as_deref()).await?;
    let host = kind::resolve_some::<ComputeHosts>(session, list.compute_host.as_deref(), &within).await?;
    let group =
        kind::resolve_some::<AffinityGroups>(session, list.affinity_group.as_deref(), &within).await?;
    let filter = within
        .with_some("state", list.state)
        .with_some("compute_host_id", host)
        .with_some("affinity_group_id", group);
    kind::list::<Instances>(session, &list.rows, filter).await
}

async fn id_of(session: &Session, one: &One) -> Result<uuid::Uuid, Failure> {
    kind::resolve::<Instances>(session, &one.name, &Filter::new()).await
}

/// A log is text to read, not a terminal to drive.
async fn console_log(session: &Session, one: &One) -> Result<(), Failure> {
    let log = session
        .client
        .instances()
        .console_log(id_of(session, one).await?)
        .await?;
    let text = String::from_utf8_lossy(&log);
    match session.output {
        Output::Json => session.print(&serde_json::json!({ "console_log": text }), String::new),
        Output::Table => write_out(&plain_lines(&text.replace("\r\n", "\n"))),
    }
}
