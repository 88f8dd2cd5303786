//! The data directory: made, locked, and the administrator's token in it.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use velum_model::{
    chance::{Ids, fresh},
    tenancy::Scope,
};
use velum_store::Store;

/// Name of the administrator's token.
const ADMIN: &str = "admin";

/// A data directory that this process holds.
pub struct Data {
    path: PathBuf,
    /// None when another process holds it and this one was told to take over.
    _lock: Option<File>,
    /// Whether the process that held it before may still be there.
    pub may_have_rival: bool,
}

impl Data {
    /// Makes the directory if it is not there, and locks it. Another process on the same directory is an error, unless
    /// `take_over`: then its leases are waited for and its epoch is passed.
    pub fn open(path: &Path, take_over: bool) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("could not make the data directory {}", path.display()))?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("velumd.lock"))
            .with_context(|| format!("could not open the lock in {}", path.display()))?;
        let is_ours = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        anyhow::ensure!(
            is_ours || take_over,
            "another velumd works on {}; stop it, or start this one with --take-over to take its shards from it",
            path.display()
        );
        Ok(Self {
            path: path.to_owned(),
            _lock: is_ours.then_some(file),
            may_have_rival: !is_ours,
        })
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the administrator's token at the first start: shown once, kept in a 0600 file, stored as a hash.
    pub async fn ensure_admin_token(&self, store: &Store, ids: &dyn Ids) -> anyhow::Result<()> {
        let path = self.join("admin.token");
        let known = match fs::read_to_string(&path) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error).with_context(|| format!("could not read {}", path.display()));
            }
        };
        let is_new = known.is_none();
        let token = known.unwrap_or_else(|| format!("velum_{}", hex::encode(ids.secret())));
        let hash = Sha256::digest(token.as_bytes());
        if store
            .read()
            .token_by_hash(&hash)
            .await
            .context("could not look up the administrator's token")?
            .is_some()
        {
            return Ok(());
        }
        if is_new {
            write_private(&path, &token).with_context(|| format!("could not write {}", path.display()))?;
        }
        store
            .insert_token(fresh(ids), ADMIN, &hash, Scope::All)
            .await
            .context("could not store the administrator's token")?;
        println!(
            "The administrator's token, shown this once and kept in {}:\n  {token}",
            path.display()
        );
        Ok(())
    }
}

/// Durable before its hash is: a token that is stored but nowhere written would lock everybody out.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}
