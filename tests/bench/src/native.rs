//! A policy's source as native code: behind the very SDK, without a sandbox.

use velum_guest::{
    bindings::policy::exports::velum::placement::policy as wit,
    placement::{Engine, Policy},
};
use velum_model::port::placement::{
    Column, Fact, PlacementPolicy, PolicyAsk, PolicyDescriptor, PolicyFailure,
};

/// See the module.
pub struct Native<P> {
    engine: Engine<P>,
    descriptor: PolicyDescriptor,
}

impl<P: Policy> Native<P> {
    /// Configured with nothing.
    ///
    /// # Errors
    /// What the policy says to an empty configuration.
    pub fn new() -> anyhow::Result<Self> {
        let mut engine = Engine::new();
        engine.configure("{}").map_err(anyhow::Error::msg)?;
        let from = engine.describe("native");
        let column = |column: wit::Column| Column {
            id: column.id,
            name: column.name,
            scale: column.scale,
        };
        let descriptor = PolicyDescriptor {
            name: from.name,
            row_kind: from.row_kind,
            columns: from.columns.into_iter().map(column).collect(),
            demands: from.demands,
            facts: from.facts,
            row_local: from.row_local,
            max_rows: from.max_rows,
            refusals: from.refusals,
            config_schema: from.config_schema,
        };
        Ok(Self { engine, descriptor })
    }
}

impl<P: Policy + Send + Sync + 'static> PlacementPolicy for Native<P> {
    fn descriptor(&self) -> &PolicyDescriptor {
        &self.descriptor
    }

    fn load(&mut self, epoch: u64, rows: u32, values: &[u32]) -> Result<(), PolicyFailure> {
        if self.engine.load(epoch, rows, values.to_vec()) {
            Ok(())
        } else {
            Err(PolicyFailure::Nonsense(
                "it does not take what it asked for".to_owned(),
            ))
        }
    }

    fn apply(
        &mut self,
        before: u64,
        after: u64,
        rows: &[u32],
        values: &[u32],
    ) -> Result<bool, PolicyFailure> {
        Ok(self.engine.apply(before, after, rows, values))
    }

    fn score(&mut self, epoch: u64, ask: &PolicyAsk, rows: &[u32]) -> Result<Vec<u32>, PolicyFailure> {
        let fact = |fact: &Fact| wit::Fact {
            id: fact.id,
            rows: fact.rows.clone(),
            values: fact.values.clone(),
        };
        let ask = wit::Ask {
            demand: ask.demand.clone(),
            attrs: ask.attrs.clone(),
            facts: ask.facts.iter().map(fact).collect(),
            seed: ask.seed,
        };
        Ok(self.engine.score(epoch, ask, rows))
    }

    fn fuel_used(&self) -> u64 {
        0
    }
}
