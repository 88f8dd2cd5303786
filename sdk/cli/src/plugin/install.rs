//! `velum plugin install`: a component goes to the server.

use std::path::PathBuf;

use anyhow::Context as _;
use velum_client::Plugins;

use crate::{
    failure::Failure,
    kind,
    session::{NO_WAIT, Session},
};

/// What to install.
#[derive(clap::Args, Debug)]
pub struct Install {
    /// The component.
    pub file: PathBuf,
    /// Its manifest [default: plugin.toml beside the component, if it is there].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

/// Runs `velum plugin install`.
pub async fn run(session: &Session, install: &Install) -> Result<(), Failure> {
    let component = std::fs::read(&install.file)
        .with_context(|| format!("could not read the component {}", install.file.display()))?;
    let beside = install.file.with_file_name("plugin.toml");
    let path = install
        .manifest
        .clone()
        .or_else(|| beside.exists().then_some(beside));
    let manifest = match &path {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .with_context(|| format!("could not read the manifest {}", path.display()))?,
        ),
        None => None,
    };
    if let Some(path) = &path {
        session.say(&format!(
            "installing {} with {}",
            install.file.display(),
            path.display()
        ));
    }
    let answer = session
        .client
        .plugins()
        .install(component.into(), manifest.as_deref())
        .await?;
    kind::answered::<Plugins>(session, answer, NO_WAIT).await
}
