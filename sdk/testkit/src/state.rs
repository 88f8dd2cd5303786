//! The `state` connector's values in memory: gone with the sandbox.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;
use velum_model::fault::{Fault, code};
use velum_runtime::{Kept, StateStore};

/// Bytes of all keys and values of one plugin, as at the server.
const QUOTA_BYTES: usize = 1 << 20;

/// Values by plugin and key.
#[derive(Default)]
pub struct MemoryState(Mutex<BTreeMap<(String, String), Kept>>);

#[async_trait]
impl StateStore for MemoryState {
    async fn get(&self, space: &str, key: &str) -> Result<Option<Kept>, Fault> {
        Ok(self.0.lock().get(&(space.to_owned(), key.to_owned())).cloned())
    }

    async fn put(&self, space: &str, key: &str, version: u64, value: Vec<u8>) -> Result<u64, Fault> {
        let mut values = self.0.lock();
        let at = (space.to_owned(), key.to_owned());
        let known = values.get(&at).map_or(0, |kept| kept.version);
        if known != version {
            return Err(Fault::unchanged(
                code::BUSY,
                format!("the value has version {known}, not {version}"),
            ));
        }
        let used: usize = values
            .iter()
            .filter(|((owner, other), _)| owner == space && other != key)
            .map(|((_, other), kept)| other.len() + kept.value.len())
            .sum();
        if used + key.len() + value.len() > QUOTA_BYTES {
            return Err(Fault::unchanged(
                code::EXHAUSTED,
                format!("a plugin keeps at most {QUOTA_BYTES} bytes"),
            ));
        }
        let version = version + 1;
        values.insert(at, Kept { version, value });
        Ok(version)
    }

    async fn remove(&self, space: &str, key: &str, version: u64) -> Result<(), Fault> {
        let mut values = self.0.lock();
        let at = (space.to_owned(), key.to_owned());
        match values.get(&at).map(|kept| kept.version) {
            Some(known) if known != version => Err(Fault::unchanged(
                code::BUSY,
                format!("the value has version {known}, not {version}"),
            )),
            _ => {
                values.remove(&at);
                Ok(())
            }
        }
    }
}
