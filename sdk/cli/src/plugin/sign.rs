//! `velum plugin sign`: a signature into a bundle.

use std::path::PathBuf;

use anyhow::Context as _;
use velum_bundle::{Name, SigningKey};

use super::{
    file,
    pack::{shown, told},
};
use crate::{failure::Failure, session::write_out};

/// A key's text has 120 bytes; anything much longer is a wrong file.
pub(super) const KEY_BYTES: u64 = 4096;

/// What to sign.
#[derive(clap::Args, Debug)]
pub struct Sign {
    /// The bundle; the signature is added to it.
    pub file: PathBuf,
    /// The secret key, as `velum plugin keygen` makes it (or `openssl genpkey -algorithm ed25519`).
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Who signs: the name under which operators trust the key.
    #[arg(long, value_name = "NAME")]
    pub publisher: String,
}

/// Runs `velum plugin sign`.
pub fn run(sign: &Sign) -> Result<(), Failure> {
    let publisher = Name::new(sign.publisher.clone())
        .map_err(|error| Failure::usage(format!("--publisher '{}': {error}", sign.publisher)))?;
    let text = String::from_utf8(file::read(&sign.key, KEY_BYTES)?)
        .with_context(|| format!("{} is no key: it is not text", sign.key.display()))?;
    let key = SigningKey::from_pem(&text)
        .with_context(|| format!("could not use the key {}", sign.key.display()))?;
    let mut bundle = file::bundle(&sign.file)?;
    bundle
        .sign(&key, &publisher)
        .with_context(|| format!("could not sign {}", sign.file.display()))?;
    file::write(&sign.file, &bundle.to_tar())?;
    write_out(&format!(
        "signed {} for {publisher}\n{}",
        shown(&sign.file),
        told(&bundle)
    ))
}
