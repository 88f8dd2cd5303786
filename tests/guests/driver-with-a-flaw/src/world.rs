//! What the driver keeps of a compute host: rows in the state connector.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use velum_guest::{
    common::{Fault, Target},
    config::Config,
    connect::state,
};

/// Where the flaw is kept for calls that get no target.
const FLAW: &str = "flaw";

/// Everything that is there.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct World {
    /// Runs by their id.
    pub runs: BTreeMap<String, Run>,
    /// Boots that a flaw invented.
    pub boots: u64,
    /// Long work by its token.
    pub works: BTreeMap<String, Work>,
    /// Effects that removed something.
    pub removed: BTreeSet<String>,
}

/// A run.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Run {
    /// Its stamp.
    pub generation: u64,
    /// Digest of its spec.
    pub digest: String,
    /// 1 off, 2 running, 4 on its way down.
    pub state: u16,
    /// Slots and identities.
    pub disks: Vec<(u16, String)>,
    /// The effect that defined it.
    pub effect: String,
    /// The effect that started it.
    pub started_by: String,
    /// How often a flaw defined it beside itself.
    pub copies: u32,
    /// Removed, but a flaw left it in the list.
    pub is_left: bool,
}

/// Long work.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Work {
    /// The run that goes down.
    pub run: String,
    /// Polls until it is over.
    pub left: u32,
}

/// A compute host under one call.
pub struct Place {
    key: String,
    version: u64,
    /// What is there.
    pub world: World,
    flaw: String,
}

impl Place {
    /// What is at a target.
    ///
    /// # Errors
    /// Those of the state connector; `invalid` for settings that do not read.
    pub fn open(node: &Target) -> Result<Self, Fault> {
        let config = Config::parse(&node.config()).map_err(Fault::invalid)?;
        let flaw = config.text("flaw", "none").map_err(Fault::invalid)?;
        config.finish().map_err(Fault::invalid)?;
        remember(&flaw)?;
        let key = format!("world/{}", node.id());
        let (version, world) = match state::get(&key)? {
            Some(entry) => {
                let read = serde_json::from_slice(&entry.value);
                (
                    entry.version,
                    read.map_err(|why| Fault::new(15, why.to_string()))?,
                )
            }
            None => (0, World::default()),
        };
        Ok(Self {
            key,
            version,
            world,
            flaw,
        })
    }

    /// Whether it breaks this rule.
    pub fn has(&self, flaw: &str) -> bool {
        self.flaw == flaw
    }

    /// Counts a look. Under a key of its own: a look must not get into the way of what is done meanwhile.
    pub fn looked(&self) -> u64 {
        next(&format!("looks/{}", self.key))
    }

    /// Keeps what is there now.
    ///
    /// # Errors
    /// Those of the state connector.
    pub fn save(&mut self) -> Result<(), Fault> {
        let value = serde_json::to_vec(&self.world).map_err(|why| Fault::new(15, why.to_string()))?;
        self.version = state::put(&self.key, self.version, &value)?;
        Ok(())
    }
}

/// Keeps the flaw of the last call with a target.
fn remember(flaw: &str) -> Result<(), Fault> {
    let known = state::get(FLAW)?;
    let same = known.as_ref().is_some_and(|entry| entry.value == flaw.as_bytes());
    if !same {
        // A call beside this one may have been first: whose flaw is kept then is chance.
        let _ = state::put(FLAW, known.map_or(0, |entry| entry.version), flaw.as_bytes());
    }
    Ok(())
}

/// The flaw of the last call with a target, for a call without one.
pub fn remembered() -> String {
    let known = state::get(FLAW).ok().flatten();
    known.map_or_else(String::new, |entry| {
        String::from_utf8_lossy(&entry.value).into_owned()
    })
}

/// Counts the calls of `describe` under a flaw that makes each answer another.
pub fn counted() -> u64 {
    next("described")
}

/// The next number under a key: its version. Of two calls at once, both may get the same.
fn next(key: &str) -> u64 {
    let known = state::get(key).ok().flatten();
    let version = known.map_or(0, |entry| entry.version);
    state::put(key, version, &[]).unwrap_or(version + 1)
}
