//! `velumd` itself: how the clouds of this harness start it, and how they know that it is there.

use std::{
    ffi::OsString,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context;
use velum_client::Client;

use crate::process::{Process, program};

/// A server is ready within two seconds with a warm cache; the first start compiles eight components.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// The first-party components, built beside the programs.
///
/// # Errors
/// When they are not built, with the command that does.
pub fn first_party() -> anyhow::Result<PathBuf> {
    let plugins = match std::env::var_os("VELUM_PLUGINS") {
        Some(path) => PathBuf::from(path),
        // Beside the profile's directory: components are the same for every profile.
        None => program("velumd")?
            .ancestors()
            .nth(2)
            .context("velumd lies nowhere")?
            .join("plugins"),
    };
    anyhow::ensure!(
        plugins.is_dir(),
        "{} is not there: run `bash plugins/build.sh` first",
        plugins.display()
    );
    Ok(plugins)
}

/// Builds components of `plugins` and of `tests/guests`, by their names.
///
/// # Errors
/// When they cannot be built; the builder has said why.
pub fn build_plugins(names: &[&str]) -> anyhow::Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/build.sh");
    let status = Command::new("bash").arg(script).args(names).status();
    let status = status.context("could not run plugins/build.sh")?;
    anyhow::ensure!(status.success(), "plugins/build.sh failed");
    Ok(())
}

/// Starts `velumd` on the data below `directory`, with the configuration and the log that lie there.
pub(crate) fn start_velumd(
    directory: &Path,
    port: u16,
    plugins: &Path,
    arguments: &[&str],
) -> anyhow::Result<Process> {
    start_velumd_under(&[], directory, port, plugins, arguments)
}

/// The same, with `velumd` and its arguments given to another program, which must become it: the process is velumd's.
pub(crate) fn start_velumd_under(
    under: &[OsString],
    directory: &Path,
    port: u16,
    plugins: &Path,
    arguments: &[&str],
) -> anyhow::Result<Process> {
    let velumd = program("velumd")?;
    let mut command = match under.split_first() {
        None => Command::new(velumd),
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(velumd);
            command
        }
    };
    command
        .arg("--config")
        .arg(directory.join("velumd.toml"))
        .arg("--data")
        .arg(directory.join("data"))
        .arg("--plugins")
        .arg(plugins)
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(arguments);
    Process::start("velumd", &mut command, &directory.join("velumd.log"))
}

/// Waits until the server at `url` takes requests.
pub(crate) async fn wait_ready(url: &str, velumd: &mut Process) -> anyhow::Result<()> {
    let client = Client::new(url, None)?;
    let began = Instant::now();
    loop {
        if client.ready().await.is_ok() {
            return Ok(());
        }
        anyhow::ensure!(
            velumd.is_running() && began.elapsed() < READY_WITHIN,
            "velumd does not come up; it printed:\n{}",
            velumd.printed()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A port that nobody listens on now. Somebody else may take it before it is used; the suites run by themselves.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("could not find a free port")?;
    Ok(listener.local_addr()?.port())
}
