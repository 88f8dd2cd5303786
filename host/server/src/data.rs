//! The data directory: made, locked, and the administrator's token in it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
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
use velum_store::{Refused, Store, StoreError};

/// Where a server's name among others is kept.
const NAME: &str = "server.id";

/// Name of the administrator's token.
const ADMIN: &str = "admin";
/// Where it is kept.
const TOKEN: &str = "admin.token";

/// A data directory that this process holds.
pub struct Data {
    path: PathBuf,
    /// None when another process holds it and this one was told to take over.
    _lock: Option<File>,
    /// The process that holds it instead, in words.
    pub rival: Option<String>,
}

impl Data {
    /// Makes the directory if it is not there, and locks it. Another process on the same directory is an error, unless
    /// `take_over`: then its leases are waited for and its epoch is passed.
    pub fn open(path: &Path, take_over: bool) -> anyhow::Result<Self> {
        let (lock, rival) = match lock(path)? {
            Ok(lock) => (Some(lock), None),
            Err(rival) => (None, Some(rival)),
        };
        anyhow::ensure!(
            lock.is_some() || take_over,
            "{} works on {}; stop it, or start this one with --take-over, and --listen at another port, to take its shards from it",
            rival.unwrap_or_default(),
            path.display()
        );
        Ok(Self {
            path: path.to_owned(),
            rival,
            _lock: lock,
        })
    }

    /// Locks the directory as soon as whoever holds it is gone, for as long as this process lives. It stands in line for that:
    /// starts that come again and again, each refused, would else be there first each time.
    pub fn hold_when_free(&self) {
        let path = self.path.clone();
        std::thread::spawn(move || {
            let held = open_lock(&path).and_then(|mut file| {
                flock(&file, FlockOperation::LockExclusive).context("could not wait for the lock")?;
                sign(&mut file);
                Ok(file)
            });
            match held {
                // The end of the process lets it go.
                Ok(file) => std::mem::forget(file),
                Err(error) => {
                    tracing::error!(error = %format!("{error:#}"), "could not lock the data directory");
                }
            }
        });
    }

    /// Keeps every server away from the directory until the answer is dropped.
    pub fn keep_out(path: &Path) -> anyhow::Result<File> {
        lock(path)?.map_err(|rival| anyhow::anyhow!("{rival} works on {}: stop it first", path.display()))
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// This server's name in lease rows. It stays the same from start to start: whoever holds the data directory is the only
    /// one of that name, and takes what it held before without waiting for its leases. A server that was told to take over
    /// does not hold it, and has a name of its own.
    pub fn server_name(&self, ids: &dyn Ids) -> anyhow::Result<String> {
        let path = self.join(NAME);
        let name = match read_private(&path)? {
            Some(name) => name,
            None => {
                let name = format!("velumd-{}", ids.uuid().simple());
                write_private(&path, &name).with_context(|| format!("could not write {}", path.display()))?;
                name
            }
        };
        Ok(match self.rival {
            Some(_) => format!("{name}-{}", std::process::id()),
            None => name,
        })
    }

    /// Makes the administrator's token at the first start: shown once, kept in a 0600 file, stored as a hash. A database that
    /// has one already may be used without: whoever knows it is let in.
    pub async fn ensure_admin_token(&self, store: &Store, ids: &dyn Ids) -> anyhow::Result<()> {
        let path = self.join(TOKEN);
        let known = read_private(&path)?;
        let is_new = known.is_none();
        let token = known.unwrap_or_else(|| new_token(ids));
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
        match store.insert_token(fresh(ids), ADMIN, &hash, Scope::All).await {
            Ok(()) => {}
            // The first of several servers made it, or the database comes from elsewhere.
            Err(StoreError::Refused(Refused::NameTaken { .. })) if is_new => {
                fs::remove_file(&path).with_context(|| format!("could not remove {}", path.display()))?;
                tracing::info!(
                    "the database has an administrator's token already, which is with the server that made it; where that is \
                     lost, `velumd token reset` makes a new one"
                );
                return Ok(());
            }
            // It was replaced elsewhere, or this directory was used with another database. Neither keeps a cloud from working.
            Err(StoreError::Refused(Refused::NameTaken { .. })) => {
                tracing::warn!(
                    file = %path.display(),
                    "the token in this file is not the administrator's of this database, and lets nobody in: replace the file by \
                     the one of the server where `velumd token reset` was run, or run that here"
                );
                return Ok(());
            }
            Err(error) => return Err(error).context("could not store the administrator's token"),
        }
        show_token(&path, &token);
        Ok(())
    }

    /// Makes a new administrator's token in place of the one before, and shows it.
    pub async fn reset_admin_token(data: &Path, url: &str, ids: &dyn Ids) -> anyhow::Result<()> {
        let at = velum_store::shown(url)?;
        let is_there = velum_store::care::has_token(url, ADMIN).await;
        anyhow::ensure!(
            is_there.with_context(|| format!("could not look for the token in the database {at}"))?,
            "the database {at} has no administrator's token yet: the first start of velumd makes one"
        );
        make(data).with_context(|| format!("could not make the data directory {}", data.display()))?;
        let path = data.join(TOKEN);
        // Durable before the database knows of it, and beside the one that is good until then.
        let beside = path.with_added_extension("reset");
        let token = new_token(ids);
        write_private(&beside, &token).with_context(|| format!("could not write {}", beside.display()))?;
        velum_store::care::replace_token(url, ADMIN, &Sha256::digest(token.as_bytes()))
            .await
            .with_context(|| {
                format!(
                    "the token is the one in {} or, if it was replaced all the same, the one in {}; run this again",
                    path.display(),
                    beside.display()
                )
            })?;
        fs::rename(&beside, &path)
            .and_then(|()| sync_name(&path))
            .with_context(|| format!("the new token is in {}", beside.display()))?;
        show_token(&path, &token);
        Ok(())
    }
}

/// A token that nobody can guess.
fn new_token(ids: &dyn Ids) -> String {
    format!("velum_{}", hex::encode(ids.secret()))
}

fn show_token(path: &Path, token: &str) {
    println!(
        "The administrator's token, shown this once and kept in {}:\n  {token}",
        path.display()
    );
}

/// Makes a data directory if it is not there, and locks it; or says who holds it.
fn lock(path: &Path) -> anyhow::Result<Result<File, String>> {
    let mut file = open_lock(path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        sign(&mut file);
        return Ok(Ok(file));
    }
    let mut holder = String::new();
    let _ = file.read_to_string(&mut holder);
    Ok(Err(match holder.trim().parse::<u32>() {
        Ok(process) => format!("another velumd (process {process})"),
        Err(_) => "another velumd".into(),
    }))
}

fn open_lock(path: &Path) -> anyhow::Result<File> {
    make(path).with_context(|| format!("could not make the data directory {}", path.display()))?;
    let lock = path.join("velumd.lock");
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&lock)
        .with_context(|| format!("could not open {}", lock.display()))
}

/// Says who holds the lock, for whoever comes next; a lock without a name is one, too.
fn sign(file: &mut File) {
    let _ = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
}

/// Makes a directory with those above it. What is acknowledged later is in it: its name is durable, too.
fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|above| !above.is_dir()).collect();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    missing.into_iter().try_for_each(sync_name)
}

/// Makes the name of a file or directory durable.
fn sync_name(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// What a file of ours says. An empty one says nothing: earlier versions left one behind when the power went while they
/// wrote, and an empty token would let everybody in.
fn read_private(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
    }
}

/// As a whole or not at all, and durable with its name before the database knows of it: a token that is stored but nowhere
/// written would lock everybody out.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_added_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_name(path)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use velum_store::{CommittedBatch, Observer, StoreOptions};

    use super::*;
    use crate::sources::{SystemClock, SystemIds};

    struct Nobody;

    impl Observer for Nobody {
        fn committed(&self, _: &CommittedBatch) {}
    }

    async fn store(data: &Data) -> Store {
        Store::open(StoreOptions {
            url: format!("sqlite:{}", data.join("velum.db").display()),
            holder: "test".into(),
            clock: Arc::new(SystemClock::default()),
            ids: Arc::new(SystemIds),
            observer: Arc::new(Nobody),
            lease_ms: 1000,
        })
        .await
        .expect("it opens")
    }

    /// An older version that the power left in the middle of its first start.
    #[tokio::test]
    async fn a_file_that_was_never_written_is_no_token_and_no_name() {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["admin.token", NAME] {
            fs::write(directory.path().join(name), "").expect("written");
        }
        let data = Data::open(directory.path(), false).expect("it opens");
        let store = store(&data).await;
        data.ensure_admin_token(&store, &SystemIds)
            .await
            .expect("a token");
        let nothing = store.read().token_by_hash(&Sha256::digest(b"")).await;
        assert_eq!(
            nothing.expect("it reads"),
            None,
            "nobody is let in without a token"
        );
        let token = fs::read_to_string(data.join("admin.token")).expect("it is there");
        let hash = Sha256::digest(token.trim().as_bytes());
        let known = store.read().token_by_hash(&hash).await.expect("it reads");
        assert!(known.is_some());
        assert!(
            data.server_name(&SystemIds)
                .expect("a name")
                .starts_with("velumd-")
        );
        store.close().await;
    }

    #[tokio::test]
    async fn the_token_and_the_name_stay_from_start_to_start() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("new/data");
        let mut seen = Vec::new();
        for _ in 0..2 {
            let data = Data::open(&path, false).expect("it opens");
            let store = store(&data).await;
            data.ensure_admin_token(&store, &SystemIds)
                .await
                .expect("a token");
            let token = fs::read_to_string(data.join("admin.token")).expect("it is there");
            seen.push((token, data.server_name(&SystemIds).expect("a name")));
            store.close().await;
        }
        assert_eq!(seen.first(), seen.last());
    }
}
