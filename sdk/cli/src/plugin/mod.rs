//! `velum plugin`: components that the server loads at run time, and the tools to make them.

mod bench;
mod build;
mod check;
mod consent;
mod file;
mod folder;
mod ground;
mod install;
mod keygen;
mod language;
mod life;
mod new;
mod oci;
mod pack;
mod publish;
mod pull;
mod sign;
mod test;
mod verify;

use clap::Subcommand;
use velum_client::{Filter, Plugins};

use crate::{
    failure::Failure,
    kind::{self, One, Rows, Shown},
    policy::plugin,
    session::{NO_WAIT, Output, Session},
    table::{Column, Kind, column, text},
};

impl Shown for Plugins {
    const NOUN: &'static str = "plugin";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        text("VERSION", "version"),
        text("WORLD", "world"),
        column("STATE", "state", Kind::State),
        text("ORIGIN", "origin"),
        text("PUBLISHER", "publisher"),
        column("KEY REVOKED", "key_revoked_at", Kind::Time),
        column("SIZE", "size_bytes", Kind::Bytes),
        column("DIGEST", "digest", Kind::Digest),
        column("INSTALLED", "created_at", Kind::Time),
        text("ID", "id"),
    ];
}

/// WebAssembly components: write one, build it, sign it, install it.
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
    /// Makes a key to sign bundles with; needs no server.
    Keygen(keygen::Keygen),
    /// Packs component, plugin.toml and conformance result into one bundle; needs no server.
    Pack(pack::Pack),
    /// Signs a bundle; needs no server.
    Sign(sign::Sign),
    /// Says whether a bundle is what a publisher signed; needs no server.
    Verify(verify::Verify),
    /// Puts a bundle into an OCI registry or image layout; needs no server.
    Publish(publish::Publish),
    /// Gets a bundle out of an OCI registry or image layout; needs no server.
    Pull(pull::Pull),
    /// Installs a component or a bundle on the server.
    Install(install::Install),
    /// Lists installed plugins.
    List(Rows),
    /// Shows one plugin: what it imports, exports, asks for, was granted, and what uses it.
    Show(One),
    /// Makes a version of a driver or provider the one that a zone works with.
    ///
    /// Compute hosts or pools that use another version go over at once; operations under way end with the version that they
    /// began with. What is superseded drains: `velum plugin list` shows it.
    Activate(life::Activate),
    /// Puts the version back that was active in a zone before this one.
    Rollback(life::Rollback),
    /// Lets a placement plugin see what a policy is asked: its answers are counted and not used (velum policy shadow).
    Shadow(life::Shadow),
    /// Makes a policy of the plugin that is its shadow (velum policy promote).
    Promote(life::Promote),
    /// Shows what a plugin did on the server since that started.
    Stats(life::Which),
    /// Removes a plugin that nothing uses.
    #[command(visible_alias = "delete")]
    Remove(One),
}

/// Runs what needs no server; gives back what does.
pub async fn run_offline(command: Command, output: Output) -> Result<Option<Command>, Failure> {
    match command {
        Command::New(new) => new::run(&new).map(|()| None),
        Command::Build(build) => build::run(&build).await.map(|()| None),
        Command::Test(test) => test::run(&test, output).await.map(|()| None),
        Command::Bench(bench) => bench::run(&bench, output).await.map(|()| None),
        Command::Check(check) => check::run(&check, output).await.map(|()| None),
        Command::Keygen(keygen) => keygen::run(&keygen).map(|()| None),
        Command::Pack(pack) => pack::run(&pack).await.map(|()| None),
        Command::Sign(sign) => sign::run(&sign).map(|()| None),
        Command::Verify(verify) => verify::run(&verify).map(|()| None),
        Command::Publish(publish) => publish::run(&publish).await.map(|()| None),
        Command::Pull(pull) => pull::run(&pull).await.map(|()| None),
        other => Ok(Some(other)),
    }
}

/// Runs `velum plugin`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Install(install) => install::run(session, &install).await,
        Command::List(rows) => kind::list::<Plugins>(session, &rows, Filter::new()).await,
        Command::Show(one) => kind::show_id::<Plugins>(session, plugin(session, &one.name).await?).await,
        Command::Activate(activate) => life::activate(session, &activate).await,
        Command::Rollback(rollback) => life::rollback(session, &rollback).await,
        Command::Shadow(shadow) => life::begin_shadow(session, &shadow).await,
        Command::Promote(promote) => life::promote(session, &promote).await,
        Command::Stats(which) => life::stats(session, &which).await,
        Command::Remove(one) => {
            let id = plugin(session, &one.name).await?;
            let operation = session.client.plugins().delete(id).await?;
            kind::gone::<Plugins>(session, id, operation, NO_WAIT).await
        }
        offline => run_offline(offline, session.output).await.map(|_| ()),
    }
}
