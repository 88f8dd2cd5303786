//! `velum plugin install`: a component goes to the server.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use velum_client::Plugins;
use velum_wire::InstallPluginBody;

use super::{
    build::{component_of, package_name},
    consent::{self, Consent},
};
use crate::{
    failure::Failure,
    kind,
    session::{NO_WAIT, Session},
};

/// What to install.
#[derive(clap::Args, Debug)]
pub struct Install {
    /// The component [default: what `velum plugin build` made in this folder].
    pub file: Option<PathBuf>,
    /// Its manifest [default: plugin.toml beside the component, if it is there].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    #[command(flatten)]
    pub consent: Consent,
}

/// Runs `velum plugin install`.
pub async fn run(session: &Session, install: &Install) -> Result<(), Failure> {
    let file = match &install.file {
        Some(file) => file.clone(),
        None => built_here()?,
    };
    let component =
        std::fs::read(&file).with_context(|| format!("could not read the component {}", file.display()))?;
    let beside = file.with_file_name("plugin.toml");
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
        session.say(&format!("installing {} with {}", file.display(), path.display()));
    }
    let digest = velum_bundle::digest(&component).to_string();
    let body = InstallPluginBody {
        component_base64: Some(STANDARD.encode(&component)),
        manifest,
        ..InstallPluginBody::default()
    };
    let answer = consent::install(session, body, digest, &install.consent).await?;
    kind::answered::<Plugins>(session, answer, NO_WAIT).await
}

/// The component of the plugin whose folder this is.
fn built_here() -> Result<PathBuf, Failure> {
    let here = Path::new("");
    let manifest = here.join("Cargo.toml");
    if !manifest.exists() {
        return Err(Failure::Local(anyhow!(
            "this is no plugin's folder: name the component's file, or go to the folder where `velum plugin build` made one"
        )));
    }
    let file = component_of(here, &package_name(&manifest)?);
    if file.exists() {
        Ok(file)
    } else {
        Err(Failure::Local(anyhow!(
            "{} is not there: run `velum plugin build` first",
            file.display()
        )))
    }
}
