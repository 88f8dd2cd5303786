//! `velum`: the command line of Velum.

mod affinity_group;
mod args;
mod cluster;
mod compute_host;
mod compute_offering;
mod decision;
mod disk_offering;
mod event;
mod failure;
mod image_store;
mod instance;
mod ip_address;
mod ip_range;
mod kind;
mod names;
mod network;
mod network_offering;
mod nic;
mod node;
mod operation;
mod orphan;
mod plugin;
mod pod;
mod policy;
mod progress;
mod publisher;
mod session;
mod storage_pool;
mod table;
mod template;
mod text;
mod volume;
mod zone;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use velum_testkit::child_main;

use crate::{
    failure::{EXIT_CODES, Failure},
    session::{Connection, Session},
};

/// The command line of Velum: everything that the API can, and the tools to write plugins.
///
/// Names may stand wherever ids are wanted.
#[derive(Debug, Parser)]
#[command(name = "velum", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Velum {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(subcommand)]
    Zone(zone::Command),
    #[command(subcommand)]
    Pod(pod::Command),
    #[command(subcommand)]
    Cluster(cluster::Command),
    #[command(subcommand)]
    ComputeHost(compute_host::Command),
    #[command(subcommand)]
    StoragePool(storage_pool::Command),
    #[command(subcommand)]
    ImageStore(image_store::Command),
    #[command(subcommand)]
    IpRange(ip_range::Command),
    #[command(subcommand)]
    IpAddress(ip_address::Command),
    #[command(subcommand)]
    Network(network::Command),
    #[command(subcommand)]
    Nic(nic::Command),
    #[command(subcommand)]
    Node(node::Command),
    #[command(subcommand)]
    ComputeOffering(compute_offering::Command),
    #[command(subcommand)]
    DiskOffering(disk_offering::Command),
    #[command(subcommand)]
    NetworkOffering(network_offering::Command),
    #[command(subcommand)]
    Template(template::Command),
    #[command(subcommand)]
    AffinityGroup(affinity_group::Command),
    #[command(subcommand)]
    Instance(instance::Command),
    #[command(subcommand)]
    Volume(volume::Command),
    #[command(subcommand)]
    Operation(operation::Command),
    #[command(subcommand)]
    Orphan(orphan::Command),
    #[command(subcommand)]
    Event(event::Command),
    #[command(subcommand)]
    Decision(decision::Command),
    #[command(subcommand)]
    Plugin(plugin::Command),
    #[command(subcommand)]
    Publisher(publisher::Command),
    #[command(subcommand)]
    Policy(policy::Command),
    /// Prints a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

fn main() -> ExitCode {
    // `velum plugin test` starts this program again to compile components and to run drivers in, as the server does.
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(code) = child_main(&arguments) {
        return code;
    }
    let velum = Velum::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::Local(anyhow::Error::new(error).context("could not start")).report(),
    };
    let done = runtime.block_on(run(velum));
    // Standard input may be read by a thread that nothing can call back: it is not waited for.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(velum: Velum) -> Result<(), Failure> {
    let command = match velum.command {
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Velum::command(), "velum", &mut std::io::stdout());
            return Ok(());
        }
        Command::Plugin(command) => match plugin::run_offline(command, velum.connection.output).await? {
            None => return Ok(()),
            Some(command) => Command::Plugin(command),
        },
        other => other,
    };
    dispatch(&Session::open(&velum.connection)?, command).await
}

async fn dispatch(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Zone(command) => zone::run(session, command).await,
        Command::Pod(command) => pod::run(session, command).await,
        Command::Cluster(command) => cluster::run(session, command).await,
        Command::ComputeHost(command) => compute_host::run(session, command).await,
        Command::StoragePool(command) => storage_pool::run(session, command).await,
        Command::ImageStore(command) => image_store::run(session, command).await,
        Command::IpRange(command) => ip_range::run(session, command).await,
        Command::IpAddress(command) => ip_address::run(session, command).await,
        Command::Network(command) => network::run(session, command).await,
        Command::Nic(command) => nic::run(session, command).await,
        Command::Node(command) => node::run(session, command).await,
        Command::ComputeOffering(command) => compute_offering::run(session, command).await,
        Command::DiskOffering(command) => disk_offering::run(session, command).await,
        Command::NetworkOffering(command) => network_offering::run(session, command).await,
        Command::Template(command) => template::run(session, command).await,
        Command::AffinityGroup(command) => affinity_group::run(session, command).await,
        Command::Instance(command) => instance::run(session, command).await,
        Command::Volume(command) => volume::run(session, command).await,
        Command::Operation(command) => operation::run(session, command).await,
        Command::Orphan(command) => orphan::run(session, command).await,
        Command::Event(command) => event::run(session, command).await,
        Command::Decision(command) => decision::run(session, command).await,
        Command::Plugin(command) => plugin::run(session, command).await,
        Command::Publisher(command) => publisher::run(session, command).await,
        Command::Policy(command) => policy::run(session, command).await,
        Command::Completions { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Velum::command().debug_assert();
    }

    #[test]
    fn resources_are_said_one_by_one() {
        let parse = |words: &str| Velum::try_parse_from(words.split(' ')).map(|velum| velum.command);
        let made = parse(
            "velum compute-offering create a --vcpus 1 --memory 1GiB --resource gpu=1 --resource nic=2",
        );
        let Ok(Command::ComputeOffering(compute_offering::Command::Create(new))) = made else {
            panic!("{made:?}");
        };
        assert_eq!(new.resources, [("gpu".to_owned(), 1), ("nic".to_owned(), 2)]);
        let changed = parse("velum compute-host update a --resource gpu=4 --resource nic=");
        let Ok(Command::ComputeHost(compute_host::Command::Update(change))) = changed else {
            panic!("{changed:?}");
        };
        assert_eq!(
            change.resources,
            [("gpu".to_owned(), Some(4)), ("nic".to_owned(), None)]
        );
        let nothing = parse("velum compute-host create a --cluster b --resource gpu=");
        assert!(nothing.is_err(), "{nothing:?}");
    }
}
