//! `velum plugin`: components that the server loads at run time, and the tools to make them.

mod bench;
mod build;
mod check;
mod ground;
mod install;
mod new;
mod test;

use clap::Subcommand;
use velum_client::{Filter, Plugins};

use crate::{
    failure::Failure,
    kind::{self, One, Rows, Shown},
    policy::plugin,
    session::{NO_WAIT, Session},
    table::{Column, Kind, column, text},
};

impl Shown for Plugins {
    const NOUN: &'static str = "plugin";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        text("VERSION", "version"),
        text("WORLD", "world"),
        column("SIZE", "size_bytes", Kind::Bytes),
        column("DIGEST", "digest", Kind::Digest),
        column("INSTALLED", "created_at", Kind::Time),
        text("ID", "id"),
    ];
}

/// WebAssembly components: write one, build it, install it.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a folder with a plugin to begin with; needs no server.
    New(new::New),
    /// Builds the plugin in a folder into a component; needs no server.
    Build(build::Build),
    /// Tests a plugin in the server's own runtime: the conformance suite of its world, and a policy's fixtures; needs no
    /// server.
    Test(test::Test),
    /// Measures what a plugin costs: fuel, time, memory; needs no server.
    Bench(bench::Bench),
    /// Says whether a server would take a component, and what it asks for; needs no server.
    Check(check::Check),
    /// Installs a component on the server.
    Install(install::Install),
    /// Lists installed plugins.
    List(Rows),
    /// Shows one plugin: what it imports, exports, asks for.
    Show(One),
    /// Removes a plugin that nothing uses.
    #[command(visible_alias = "delete")]
    Remove(One),
}

/// Runs what needs no server; gives back what does.
pub async fn run_offline(command: Command) -> Result<Option<Command>, Failure> {
    match command {
        Command::New(new) => new::run(&new).map(|()| None),
        Command::Build(build) => build::run(&build).await.map(|()| None),
        Command::Test(test) => test::run(&test).await.map(|()| None),
        Command::Bench(bench) => bench::run(&bench).await.map(|()| None),
        Command::Check(check) => check::run(&check).await.map(|()| None),
        other => Ok(Some(other)),
    }
}

/// Runs `velum plugin`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::New(_) | Command::Build(_) | Command::Test(_) | Command::Bench(_) | Command::Check(_) => {
            run_offline(command).await.map(|_| ())
        }
        Command::Install(install) => install::run(session, &install).await,
        Command::List(rows) => kind::list::<Plugins>(session, &rows, Filter::new()).await,
        Command::Show(one) => kind::show_id::<Plugins>(session, plugin(session, &one.name).await?).await,
        Command::Remove(one) => {
            let id = plugin(session, &one.name).await?;
            let operation = session.client.plugins().delete(id).await?;
            kind::gone::<Plugins>(session, id, operation, NO_WAIT).await
        }
    }
}
