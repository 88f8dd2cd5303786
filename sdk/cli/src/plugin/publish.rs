//! `velum plugin publish`: a bundle into a layout directory or a registry.

use std::path::PathBuf;

use super::{
    file,
    oci::{self, Place},
    pack::shown,
};
use crate::{failure::Failure, session::write_out};

/// What to publish, and where.
#[derive(clap::Args, Debug)]
pub struct Publish {
    /// The bundle.
    pub file: PathBuf,
    /// oci://HOST[:PORT]/REPOSITORY[:TAG] (a registry) or oci:DIR[:TAG] (an image layout) [tag: the version].
    pub to: String,
    #[command(flatten)]
    pub registry: oci::Options,
}

/// Runs `velum plugin publish`.
pub async fn run(publish: &Publish) -> Result<(), Failure> {
    let place = Place::parse(&publish.to)?;
    let bundle = file::bundle(&publish.file)?;
    let written = oci::put(&place, &publish.registry, &bundle).await?;
    let signed = if bundle.key_ids().is_empty() {
        "it is not signed"
    } else {
        "with its signatures"
    };
    write_out(&format!(
        "published {} as {written} ({signed})\ndigest  {}\n",
        shown(&publish.file),
        bundle.digest()
    ))
}
