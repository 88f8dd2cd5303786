//! `velum plugin pull`: a bundle back out of a layout directory or a registry.

use std::path::PathBuf;

use super::{
    file,
    oci::{self, Place},
    pack::{shown, told},
};
use crate::{failure::Failure, session::write_out, text::bytes};

/// What to pull.
#[derive(clap::Args, Debug)]
pub struct Pull {
    /// oci://HOST[:PORT]/REPOSITORY[:TAG][@DIGEST] (a registry) or oci:DIR[:TAG][@DIGEST] (an image layout).
    pub from: String,
    /// Where the bundle goes [default: NAME-VERSION.velum here].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub registry: oci::Options,
}

/// Runs `velum plugin pull`.
pub async fn run(pull: &Pull) -> Result<(), Failure> {
    let bundle = oci::get(&Place::parse(&pull.from)?, &pull.registry).await?;
    let out = pull
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(bundle.about().file_name()));
    let archive = bundle.to_tar();
    file::write(&out, &archive)?;
    write_out(&format!(
        "pulled {} ({})\n{}",
        shown(&out),
        bytes(archive.len() as u64),
        told(&bundle)
    ))
}
