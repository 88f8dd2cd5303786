//! What the provider keeps of a pool: rows in the state connector.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use velum_guest::{
    common::{Fault, Target},
    config::Config,
    connect::state,
};

/// Everything that is there.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct World {
    /// Volumes by our id.
    pub volumes: BTreeMap<String, Row>,
    /// The number of the next volume's own name.
    pub serial: u64,
    /// Long work by its token.
    pub works: BTreeMap<String, Work>,
    /// Effects that deleted something.
    pub deleted: BTreeSet<String>,
    /// Room that a flaw did not give back.
    pub lost_bytes: u64,
}

/// A volume.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Row {
    /// The pool's own name of it.
    pub backend: String,
    /// Its size.
    pub size_bytes: u64,
    /// The size that it was made with.
    pub born_bytes: u64,
    /// What it depends on, by our id.
    pub parent: Option<String>,
    /// Nodes and modes.
    pub published: Vec<(String, u16)>,
    /// The effect that made it.
    pub effect: String,
    /// Deleted, but a flaw left it in the list.
    pub is_left: bool,
}

/// Long work.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Work {
    /// The volume that grows.
    pub volume: String,
    /// To which size.
    pub size_bytes: u64,
    /// Polls until it is over.
    pub left: u32,
}

/// A pool under one call.
pub struct Pool {
    /// Our id of it.
    pub id: String,
    key: String,
    version: u64,
    /// What is there.
    pub world: World,
    flaw: String,
}

impl Pool {
    /// What is at a target.
    ///
    /// # Errors
    /// Those of the state connector; `invalid` for settings that do not read.
    pub fn open(pool: &Target) -> Result<Self, Fault> {
        let config = Config::parse(&pool.config()).map_err(Fault::invalid)?;
        let flaw = config.text("flaw", "none").map_err(Fault::invalid)?;
        config.finish().map_err(Fault::invalid)?;
        let id = pool.id();
        let key = format!("pool/{id}");
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
            id,
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
