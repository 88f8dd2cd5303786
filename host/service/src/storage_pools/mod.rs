//! Primary storage pools.

mod change;
mod create;
mod delete;

use std::collections::BTreeMap;

pub(crate) use create::{abilities_of, target_of_pool};

use serde_json::Value;
use velum_model::{Name, id::ZoneId, infrastructure::PoolScope, quantity::Bytes};

/// A pool to be registered. It must answer: its provider describes and probes it before anything is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NewStoragePool {
    /// Its zone.
    pub zone: ZoneId,
    /// Which compute hosts reach it.
    pub scope: PoolScope,
    /// Unique in the zone.
    pub name: Name,
    /// Name of an installed storage provider; the version that is active in the zone is used, else the newest.
    pub provider: Name,
    /// Settings of the provider for this pool, checked against the plugin's schema (`[target]`).
    pub config: Value,
    /// Address of the `velum-node` that executes its `files` calls.
    pub node: Option<String>,
    /// Origin of its HTTP API.
    pub endpoint: Option<String>,
    /// Where the operator keeps the credential that requests to it carry (`file:/absolute/path`).
    pub credential: Option<String>,
    /// What may be used of it; none = what the probe finds free.
    pub capacity: Option<Bytes>,
    /// Tags that offerings may ask for.
    pub tags: Vec<Name>,
    /// Numeric attributes that policies may ask for.
    pub attributes: BTreeMap<Name, u32>,
}

/// What is to change of a pool; none = stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeStoragePool {
    /// Another name.
    pub name: Option<Name>,
    /// What may be used of it.
    pub capacity: Option<Bytes>,
    /// Whether it takes new volumes.
    pub enabled: Option<bool>,
    /// Other tags, in place of all.
    pub tags: Option<Vec<Name>>,
    /// Other attributes, in place of all.
    pub attributes: Option<BTreeMap<Name, u32>>,
}
