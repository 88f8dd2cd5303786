//! `velum plugin verify`: whose word a bundle is, before it goes anywhere.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use velum_bundle::{Name, PublicKey, TrustedKey};

use super::{
    file,
    pack::{shown, told},
    sign::KEY_BYTES,
};
use crate::{failure::Failure, session::write_out};

/// What to verify.
#[derive(clap::Args, Debug)]
pub struct Verify {
    /// The bundle.
    pub file: PathBuf,
    /// A public key that is trusted.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Whose key it is.
    #[arg(long, value_name = "NAME")]
    pub publisher: String,
}

/// Runs `velum plugin verify`.
pub fn run(verify: &Verify) -> Result<(), Failure> {
    let publisher = Name::new(verify.publisher.clone())
        .map_err(|error| Failure::usage(format!("--publisher '{}': {error}", verify.publisher)))?;
    let text = String::from_utf8(file::read(&verify.key, KEY_BYTES)?)
        .with_context(|| format!("{} is no key: it is not text", verify.key.display()))?;
    let key = PublicKey::from_pem(&text)
        .with_context(|| format!("could not use the key {}", verify.key.display()))?;
    let bundle = file::bundle(&verify.file)?;
    let trusted = TrustedKey {
        publisher,
        key,
        revoked: false,
    };
    let verified = bundle
        .verify(&[trusted])
        .map_err(|why| Failure::Local(anyhow!("{} is not trusted: {why}", verify.file.display())))?;
    write_out(&format!(
        "{} is what {} signed\n{}",
        shown(&verify.file),
        verified.publisher,
        told(&bundle)
    ))
}
