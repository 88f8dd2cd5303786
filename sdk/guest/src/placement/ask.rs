//! What is asked for.

use crate::{bindings::policy::exports::velum::placement::policy as wit, codes::placement as code};

/// What is asked for, with what is known of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Code and amount.
    demands: Vec<(u16, u32)>,
    attrs: Vec<(u16, u32)>,
    /// Code, and (row, value) ascending by row.
    facts: Vec<(u16, Vec<(u32, u32)>)>,
    seed: u64,
}

impl Ask {
    /// An ask for these amounts by demand code, as tests build it.
    #[must_use]
    pub fn of(demands: &[(u16, u32)]) -> Self {
        Self {
            demands: demands.to_vec(),
            ..Self::default()
        }
    }

    /// The same with a fact: rows and their values.
    #[must_use]
    pub fn with_fact(mut self, id: u16, mut rows: Vec<(u32, u32)>) -> Self {
        rows.sort_unstable();
        self.facts.push((id, rows));
        self
    }

    pub(crate) fn received(ask: wit::Ask, demands: &[u16]) -> Self {
        let base = Self {
            demands: demands.iter().copied().zip(ask.demand).collect(),
            attrs: ask.attrs,
            facts: Vec::new(),
            seed: ask.seed,
        };
        ask.facts.into_iter().fold(base, |ask, fact| {
            ask.with_fact(fact.id, fact.rows.into_iter().zip(fact.values).collect())
        })
    }

    /// How much of a demand, by its code; 0 if it was not declared or not asked for.
    #[must_use]
    pub fn demand(&self, id: u16) -> u32 {
        self.demands
            .iter()
            .find(|(known, _)| *known == id)
            .map_or(0, |(_, amount)| *amount)
    }

    /// vCPUs.
    #[must_use]
    pub fn vcpus(&self) -> u32 {
        self.demand(code::DEMAND_VCPUS)
    }

    /// MiB of memory.
    #[must_use]
    pub fn memory_mib(&self) -> u32 {
        self.demand(code::DEMAND_MEMORY_MIB)
    }

    /// GiB of storage.
    #[must_use]
    pub fn gib(&self) -> u32 {
        self.demand(code::DEMAND_GIB)
    }

    /// An attribute of the request by its code.
    #[must_use]
    pub fn attr(&self, id: u16) -> Option<u32> {
        self.attrs
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, value)| *value)
    }

    /// What a declared fact says of a row; 0 if nothing.
    #[must_use]
    pub fn fact(&self, id: u16, row: u32) -> u32 {
        let Some((_, rows)) = self.facts.iter().find(|(known, _)| *known == id) else {
            return 0;
        };
        rows.binary_search_by_key(&row, |(known, _)| *known)
            .map_or(0, |at| rows[at].1)
    }

    /// The only chance there is; 0 for policies that do not compare rows.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }
}
