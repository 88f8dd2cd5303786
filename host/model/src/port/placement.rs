//! The port of a placement policy. Mirrors `velum:placement/policy`. Synchronous: a policy computes and nothing else,
//! and is called on the planner's own thread.

use serde::{Deserialize, Serialize};

/// Codes of the open spaces of `velum:placement`.
pub mod registry {
    /// Row kind: compute hosts.
    pub const ROW_COMPUTE_HOST: u16 = 0;
    /// Row kind: storage pools.
    pub const ROW_STORAGE_POOL: u16 = 1;
    /// Column: an operator's own numeric attribute, named in the declaration. A row without it has 0.
    pub const COLUMN_ATTRIBUTE: u16 = 0;
    /// Column: vCPUs that may still be promised.
    pub const COLUMN_FREE_VCPUS: u16 = 1;
    /// Column: MiB of memory that may still be promised.
    pub const COLUMN_FREE_MEMORY_MIB: u16 = 2;
    /// Column: vCPUs that may be promised in all.
    pub const COLUMN_TOTAL_VCPUS: u16 = 3;
    /// Column: MiB of memory that may be promised in all.
    pub const COLUMN_TOTAL_MEMORY_MIB: u16 = 4;
    /// Column: active runs.
    pub const COLUMN_RUNS: u16 = 5;
    /// Column: GiB that may still be promised (pools).
    pub const COLUMN_FREE_GIB: u16 = 6;
    /// Column: GiB that may be promised in all (pools).
    pub const COLUMN_TOTAL_GIB: u16 = 7;
    /// Column: a number that rows of the same pod share.
    pub const COLUMN_POD: u16 = 8;
    /// Column: a number that rows of the same cluster share.
    pub const COLUMN_CLUSTER: u16 = 9;
    /// Column: the latest minute, since 1970, at which a run of the row is expected to end; 0 without runs,
    /// [`NO_END`] with one of which nobody said when.
    pub const COLUMN_LATEST_END: u16 = 10;
    /// Column: how much of a countable resource, named in the declaration, may still be promised. A row without it has 0.
    pub const COLUMN_FREE_RESOURCE: u16 = 11;
    /// Column: how much of a countable resource, named in the declaration, may be promised in all.
    pub const COLUMN_TOTAL_RESOURCE: u16 = 12;
    /// Demand: vCPUs.
    pub const DEMAND_VCPUS: u16 = 1;
    /// Demand: MiB of memory.
    pub const DEMAND_MEMORY_MIB: u16 = 2;
    /// Demand: GiB of storage.
    pub const DEMAND_GIB: u16 = 3;
    /// A demand from here on wants an attribute of the ask: the code of the attribute follows on this one. Its place in the
    /// demands is 0.
    pub const DEMAND_ATTRS: u16 = 0x100;
    /// The last code of those.
    pub const DEMAND_ATTRS_LAST: u16 = 0x1ff;
    /// A demand from here on wants how much is asked of a countable resource: that of the column whose place among the columns
    /// follows on this one.
    pub const DEMAND_RESOURCES: u16 = 0x200;
    /// The last code of those.
    pub const DEMAND_RESOURCES_LAST: u16 = 0x2ff;
    /// Attribute of an ask: the minute since 1970 in which it is decided.
    pub const ATTR_NOW: u16 = 1;
    /// Attribute of an ask: the minute since 1970 at which the machine is expected to end; absent when nobody said.
    pub const ATTR_EXPECTED_END: u16 = 2;
    /// An expected end that nobody said.
    pub const NO_END: u32 = u32::MAX;
    /// Fact: the template is cached on a pool that the row reaches (value 1).
    pub const FACT_TEMPLATE_CACHED: u16 = 1;
    /// Fact: the compute host that the instance ran on before (value 1).
    pub const FACT_PREVIOUS_HOST: u16 = 2;
    /// Fact: how many instances of the same project the row has.
    pub const FACT_SAME_PROJECT: u16 = 3;
    /// Fact: how many members of the affinity groups of the instance the row has. (Anti-affinity is the server's to keep.)
    pub const FACT_KIN: u16 = 4;
    /// Fact: how many instances of the same project run in the pod of the row, on all of its compute hosts.
    pub const FACT_SAME_PROJECT_IN_POD: u16 = 5;
    /// Scores at and above this refuse: the low 16 bits are the policy's refusal code.
    pub const REFUSE: u32 = 0xffff_0000;
}

/// A column that a policy wants.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    /// See [`registry`].
    pub id: u16,
    /// Name of the attribute for [`registry::COLUMN_ATTRIBUTE`], of the resource for [`registry::COLUMN_FREE_RESOURCE`] and
    /// [`registry::COLUMN_TOTAL_RESOURCE`].
    pub name: Option<String>,
    /// Power of ten that the policy wants the value multiplied by.
    pub scale: i8,
}

impl Column {
    /// Name of the resource that it is about, if it is about one.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        let is_one = matches!(
            self.id,
            registry::COLUMN_FREE_RESOURCE | registry::COLUMN_TOTAL_RESOURCE
        );
        self.name.as_deref().filter(|_| is_one)
    }
}

/// What a policy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyDescriptor {
    /// Its name.
    pub name: String,
    /// See [`registry`].
    pub row_kind: u16,
    /// Columns it wants, in its order.
    pub columns: Vec<Column>,
    /// Demands it wants, in its order.
    pub demands: Vec<u16>,
    /// Facts it wants.
    pub facts: Vec<u16>,
    /// A row's score depends on its own columns and the ask only.
    pub row_local: bool,
    /// 0 = all; else it sees a seeded sample of this many rows.
    pub max_rows: u32,
    /// Its refusal codes in words.
    pub refusals: Vec<(u16, String)>,
    /// JSON Schema of its configuration.
    pub config_schema: String,
}

impl PolicyDescriptor {
    /// The resource of which a demand wants to know how much is asked, by the column that it points to; none when it is another
    /// demand, or points to no such column.
    #[must_use]
    pub fn resource_of(&self, demand: u16) -> Option<&str> {
        let resources = registry::DEMAND_RESOURCES..=registry::DEMAND_RESOURCES_LAST;
        let place = Some(demand).filter(|code| resources.contains(code))? - registry::DEMAND_RESOURCES;
        self.columns.get(usize::from(place))?.resource()
    }
}

/// A sparse fact of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// See [`registry`].
    pub id: u16,
    /// Rows that it is about.
    pub rows: Vec<u32>,
    /// A value for each.
    pub values: Vec<u32>,
}

/// What is asked of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyAsk {
    /// Aligned with [`PolicyDescriptor::demands`].
    pub demand: Vec<u32>,
    /// Traits and lifetime, as codes and values.
    pub attrs: Vec<(u16, u32)>,
    /// Of those that the policy wants.
    pub facts: Vec<Fact>,
    /// The only chance there is.
    pub seed: u64,
}

/// Why a policy gave no usable answer. Each makes the server use the declared fallback.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "detail")]
pub enum PolicyFailure {
    /// It trapped.
    #[error("the policy trapped: {0}")]
    Trapped(String),
    /// It used up its fuel.
    #[error("the policy used up its fuel")]
    OutOfFuel,
    /// Its answer did not pass the checks.
    #[error("the policy's answer is not usable: {0}")]
    Nonsense(String),
    /// It refused its configuration.
    #[error("the policy refused its configuration: {0}")]
    Configuration(String),
    /// Its breaker is open or it could not be loaded.
    #[error("the policy is not available: {0}")]
    Unavailable(String),
}

/// One loaded instance of a policy. The planner keeps it, pushes deltas, and makes a new one after a failure.
pub trait PlacementPolicy: Send {
    /// What it is, as it answered after `configure`.
    fn descriptor(&self) -> &PolicyDescriptor;

    /// Replaces what it holds: `values` is column-major (`rows` values of the first column, and so on).
    ///
    /// # Errors
    /// [`PolicyFailure`]; the instance must then be dropped.
    fn load(&mut self, epoch: u64, rows: u32, values: &[u32]) -> Result<(), PolicyFailure>;

    /// Changes rows: `values` is column-major over `rows`. False: it does not hold epoch `before`, load again.
    ///
    /// # Errors
    /// [`PolicyFailure`]; the instance must then be dropped.
    fn apply(&mut self, before: u64, after: u64, rows: &[u32], values: &[u32])
    -> Result<bool, PolicyFailure>;

    /// One score per row asked, in order; higher is better, [`registry::REFUSE`] and above refuses. Lengths are
    /// checked by the implementation.
    ///
    /// # Errors
    /// [`PolicyFailure`]; the instance must then be dropped.
    fn score(&mut self, epoch: u64, ask: &PolicyAsk, rows: &[u32]) -> Result<Vec<u32>, PolicyFailure>;

    /// What the last `score` cost in fuel.
    fn fuel_used(&self) -> u64;
}
