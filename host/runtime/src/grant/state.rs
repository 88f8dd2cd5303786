//! `velum:connect/state`: small durable values in a name space of the plugin's own.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use velum_model::fault::{Fault, code};

use crate::{
    errand::{Errand, answered},
    sandbox::ask::{Reply, StateAsk},
    world::bindings::velum::connect::state,
};

/// Bytes of a key.
const MAX_KEY_BYTES: usize = 256;
/// Bytes of a value: a cursor, a session, a map of a few hundred names.
const MAX_VALUE_BYTES: usize = 64 * 1024;
/// Bytes of all keys and values of one plugin: it is rewritten as a whole on each change.
const QUOTA_BYTES: usize = 1 << 20;

/// A value and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Grows with each change, from 1.
    pub version: u64,
    /// The value, hexadecimal in the file.
    #[serde(with = "hex::serde")]
    pub value: Vec<u8>,
}

/// Where values are kept. `space` is the plugin's name; another plugin's is never passed.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// What is kept under a key.
    async fn get(&self, space: &str, key: &str) -> Result<Option<Kept>, Fault>;
    /// Keeps a value if `version` is still its version, 0 if there is none; answers the new version. `BUSY` if another
    /// was first, `EXHAUSTED` over quota.
    async fn put(&self, space: &str, key: &str, version: u64, value: Vec<u8>) -> Result<u64, Fault>;
    /// Forgets a value if `version` is still its version; done when there is none.
    async fn remove(&self, space: &str, key: &str, version: u64) -> Result<(), Fault>;
}

type Values = BTreeMap<String, Kept>;
/// The values of one plugin, once they were read.
type Slot = Arc<Mutex<Option<Values>>>;

/// Values in files: one a plugin, written as a whole or not at all.
#[derive(Clone)]
pub struct FileState {
    directory: PathBuf,
    spaces: Arc<Mutex<HashMap<String, Slot>>>,
}

impl FileState {
    /// Keeps values below `directory`; made if it is not there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            spaces: Arc::default(),
        })
    }

    /// Works on the values of a space; what `work` changed is durable before the answer. A failed write changes nothing.
    async fn with<T: Send + 'static>(
        &self,
        space: &str,
        work: impl FnOnce(&mut Values) -> Result<(T, bool), Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let slot = Arc::clone(self.spaces.lock().entry(space.to_owned()).or_default());
        // A name has no slash and no leading dot, so it is a file name.
        let path = self.directory.join(format!("{space}.json"));
        tokio::task::spawn_blocking(move || {
            let mut slot = slot.lock();
            let mut values = match slot.take() {
                Some(values) => values,
                None => read(&path)?,
            };
            let before = values.clone();
            let outcome = work(&mut values).and_then(|(answer, changed)| {
                if changed {
                    write(&path, &values).map_err(|error| unavailable(&error))?;
                }
                Ok(answer)
            });
            *slot = Some(if outcome.is_ok() { values } else { before });
            outcome
        })
        .await
        .map_err(|_| Fault::new(code::UNAVAILABLE, "the state of plugins cannot be reached"))?
    }
}

fn read(path: &Path) -> Result<Values, Fault> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            Fault::unchanged(
                code::UNAVAILABLE,
                format!("the plugin's state is damaged: {error}"),
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Values::new()),
        Err(error) => Err(unavailable(&error)),
    }
}

fn write(path: &Path, values: &Values) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(&serde_json::to_vec(values)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(directory) => fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn unavailable(error: &io::Error) -> Fault {
    Fault::unchanged(
        code::UNAVAILABLE,
        format!("the plugin's state cannot be kept: {error}"),
    )
}

/// Whether `version` is the one that is there; 0 stands for none.
fn compare(values: &Values, key: &str, version: u64) -> Result<(), Fault> {
    let there = values.get(key).map_or(0, |kept| kept.version);
    if there == version {
        Ok(())
    } else {
        Err(Fault::unchanged(
            code::BUSY,
            format!("it has version {there}, not {version}"),
        ))
    }
}

#[async_trait]
impl StateStore for FileState {
    async fn get(&self, space: &str, key: &str) -> Result<Option<Kept>, Fault> {
        let key = key.to_owned();
        self.with(space, move |values| Ok((values.get(&key).cloned(), false)))
            .await
    }

    async fn put(&self, space: &str, key: &str, version: u64, value: Vec<u8>) -> Result<u64, Fault> {
        let key = key.to_owned();
        self.with(space, move |values| {
            compare(values, &key, version)?;
            let version = version.saturating_add(1);
            values.insert(key, Kept { version, value });
            let used: usize = values
                .iter()
                .map(|(key, kept)| key.len() + kept.value.len())
                .sum();
            if used > QUOTA_BYTES {
                return Err(Fault::unchanged(
                    code::EXHAUSTED,
                    format!("a plugin may keep {QUOTA_BYTES} bytes"),
                ));
            }
            Ok((version, true))
        })
        .await
    }

    async fn remove(&self, space: &str, key: &str, version: u64) -> Result<(), Fault> {
        let key = key.to_owned();
        self.with(space, move |values| {
            if !values.contains_key(&key) {
                return Ok(((), false));
            }
            compare(values, &key, version)?;
            values.remove(&key);
            Ok(((), true))
        })
        .await
    }
}

impl Errand {
    /// Answers what a guest asks of its own values.
    pub async fn state(&self, ask: StateAsk) -> Reply {
        match ask {
            StateAsk::Get { key } => {
                let found = async {
                    let space = self.space(&key)?;
                    self.within(self.ports.state.get(&space, &key)).await
                };
                answered(found.await.map(|found| {
                    found.map(|kept| state::Entry {
                        version: kept.version,
                        value: kept.value,
                    })
                }))
            }
            StateAsk::Put { key, version, value } => answered(self.keep(&key, version, value).await),
            StateAsk::Remove { key, version } => {
                let removed = async {
                    let space = self.space(&key)?;
                    self.within(self.ports.state.remove(&space, &key, version)).await
                };
                answered(removed.await)
            }
        }
    }

    /// The plugin's name space, once key and grant are checked.
    fn space(&self, key: &str) -> Result<String, Fault> {
        self.granted("state")?;
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(Fault::unchanged(
                code::INVALID,
                format!("a key has 1 to {MAX_KEY_BYTES} bytes"),
            ));
        }
        Ok(self.plugin.manifest.name.as_str().to_owned())
    }

    async fn keep(&self, key: &str, version: u64, value: Vec<u8>) -> Result<u64, Fault> {
        let space = self.space(key)?;
        if value.len() > MAX_VALUE_BYTES {
            return Err(Fault::unchanged(
                code::INVALID,
                format!("a value has at most {MAX_VALUE_BYTES} bytes"),
            ));
        }
        self.within(self.ports.state.put(&space, key, version, value))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_value_is_changed_only_by_who_saw_its_version_and_outlives_the_server() {
        let directory = tempfile::tempdir().unwrap();
        let state = FileState::open(directory.path()).unwrap();
        assert_eq!(state.get("a", "k").await.unwrap(), None);
        assert_eq!(state.put("a", "k", 0, b"one".to_vec()).await.unwrap(), 1);
        assert_eq!(
            state.put("a", "k", 0, b"two".to_vec()).await.unwrap_err().code,
            code::BUSY
        );
        assert_eq!(state.put("a", "k", 1, b"two".to_vec()).await.unwrap(), 2);
        assert_eq!(
            state.get("b", "k").await.unwrap(),
            None,
            "another plugin's name space"
        );
        let again = FileState::open(directory.path()).unwrap();
        assert_eq!(again.get("a", "k").await.unwrap().unwrap().value, b"two");
        assert_eq!(again.remove("a", "k", 1).await.unwrap_err().code, code::BUSY);
        again.remove("a", "k", 2).await.unwrap();
        again.remove("a", "k", 2).await.unwrap();
    }

    #[tokio::test]
    async fn a_plugin_cannot_keep_more_than_its_quota() {
        let directory = tempfile::tempdir().unwrap();
        let state = FileState::open(directory.path()).unwrap();
        let mut refused = None;
        for number in 0..20 {
            if let Err(fault) = state
                .put("a", &number.to_string(), 0, vec![0; MAX_VALUE_BYTES])
                .await
            {
                refused = Some((number, fault.code));
                break;
            }
        }
        assert_eq!(refused, Some((15, code::EXHAUSTED)));
        assert_eq!(
            state.get("a", "15").await.unwrap(),
            None,
            "a refused value is not kept"
        );
        state.remove("a", "0", 1).await.unwrap();
        assert_eq!(
            state.put("a", "15", 0, vec![0; MAX_VALUE_BYTES]).await.unwrap(),
            1
        );
    }
}
