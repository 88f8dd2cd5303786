//! What stands between the contract and the trait: holds the configured policy and its columns.

use super::{Ask, Declaration, Ranking, View, host::Places, table::Table};
use crate::bindings::policy::exports::velum::placement::policy as wit;

/// A policy with what it was told. `export_policy!` holds one; native tests may drive one too.
#[derive(Debug)]
pub struct Engine<P> {
    configured: Option<Configured<P>>,
    table: Option<Table>,
}

#[derive(Debug)]
struct Configured<P> {
    policy: P,
    declaration: Declaration,
    places: Places,
}

impl<P: Ranking> Configured<P> {
    fn new(json: &str) -> Result<Self, String> {
        let policy = P::configure(json)?;
        let declaration = policy.declare();
        let places = Places::of(&declaration);
        Ok(Self {
            policy,
            declaration,
            places,
        })
    }
}

impl<P: Ranking> Default for Engine<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Ranking> Engine<P> {
    /// Not configured, nothing loaded.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            configured: None,
            table: None,
        }
    }

    /// What it is. Before `configure`, what it is under an empty configuration; if it refuses that, its name alone.
    #[must_use]
    pub fn describe(&self, name: &str) -> wit::Descriptor {
        match &self.configured {
            Some(configured) => configured.declaration.describe(name),
            None => Configured::<P>::new("{}").map_or_else(
                |_| Declaration::bare(0).describe(name),
                |configured| configured.declaration.describe(name),
            ),
        }
    }

    /// Takes a configuration; what was loaded is dropped.
    ///
    /// # Errors
    /// What the policy said; the old configuration stays.
    pub fn configure(&mut self, json: &str) -> Result<(), String> {
        self.configured = Some(Configured::new(json)?);
        self.table = None;
        Ok(())
    }

    /// Takes a whole inventory. False: it is not configured, or the lengths do not fit; it holds nothing then.
    pub fn load(&mut self, epoch: u64, rows: u32, values: Vec<u32>) -> bool {
        self.table = self
            .configured
            .as_ref()
            .and_then(|configured| Table::load(epoch, rows, configured.declaration.columns.len(), values));
        self.table.is_some()
    }

    /// Changes rows. False: it does not hold `before`, or the lengths do not fit; nothing changed.
    pub fn apply(&mut self, before: u64, after: u64, rows: &[u32], values: &[u32]) -> bool {
        self.table
            .as_mut()
            .is_some_and(|table| table.apply(before, after, rows, values))
    }

    /// Scores as they travel; empty if it does not hold this epoch or a row asked does not exist.
    #[must_use]
    pub fn score(&self, epoch: u64, ask: wit::Ask, rows: &[u32]) -> Vec<u32> {
        let Some(configured) = &self.configured else {
            return Vec::new();
        };
        self.scores(epoch, &Ask::received(ask, &configured.declaration), rows)
    }

    /// The same for an ask that was built natively.
    #[must_use]
    pub fn scores(&self, epoch: u64, ask: &Ask, rows: &[u32]) -> Vec<u32> {
        let (Some(configured), Some(table)) = (&self.configured, &self.table) else {
            return Vec::new();
        };
        // The largest first: a loop that may end at each row takes twice as long in the sandbox.
        let last = rows.iter().fold(0, |last, row| last.max(*row as usize));
        if table.epoch() != epoch || (last >= table.rows() && !rows.is_empty()) {
            return Vec::new();
        }
        let every: Vec<u32>;
        let asked = if rows.is_empty() {
            // A table has at most u32::MAX rows: `load` takes their count as u32.
            every = (0u32..).take(table.rows()).collect();
            every.as_slice()
        } else {
            rows
        };
        let view = View::new(&configured.places, table, asked);
        configured
            .policy
            .rank(ask, &view)
            .into_iter()
            .map(super::Score::value)
            .collect()
    }
}
