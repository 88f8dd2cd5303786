//! What is asked for.

use super::Declaration;
use crate::{bindings::policy::exports::velum::placement::policy as wit, codes::placement as code};

/// How many codes of demands have a place of their own: they are read for every row.
const BUILT_IN: usize = 8;

/// What is asked for, with what is known of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Amounts by code, and those of codes beyond.
    amounts: [u32; BUILT_IN],
    others: Vec<(u16, u32)>,
    /// Amounts of resources by name.
    resources: Vec<(String, u32)>,
    attrs: Vec<(u16, u32)>,
    /// Code, and (row, value) ascending by row.
    facts: Vec<(u16, Vec<(u32, u32)>)>,
    seed: u64,
}

impl Ask {
    /// An ask for these amounts by demand code, as tests build it.
    #[must_use]
    pub fn of(demands: &[(u16, u32)]) -> Self {
        let mut ask = Self::default();
        for &(id, amount) in demands {
            ask.demands(id, amount);
        }
        ask
    }

    fn demands(&mut self, id: u16, amount: u32) {
        match self.amounts.get_mut(usize::from(id)) {
            Some(known) => *known = amount,
            None => self.others.push((id, amount)),
        }
    }

    /// The same with so much of a countable resource.
    #[must_use]
    pub fn with_resource(mut self, name: impl Into<String>, amount: u32) -> Self {
        self.resources.push((name.into(), amount));
        self
    }

    /// The same with an attribute of the request.
    #[must_use]
    pub fn with_attr(mut self, id: u16, value: u32) -> Self {
        self.attrs.push((id, value));
        self
    }

    /// The same with a fact: rows and their values.
    #[must_use]
    pub fn with_fact(mut self, id: u16, mut rows: Vec<(u32, u32)>) -> Self {
        rows.sort_unstable();
        self.facts.push((id, rows));
        self
    }

    /// As it came. Made for each call: nothing is copied that need not be.
    pub(crate) fn received(ask: wit::Ask, declared: &Declaration) -> Self {
        let mut received = Self {
            attrs: ask.attrs,
            seed: ask.seed,
            ..Self::default()
        };
        for (&id, amount) in declared.demands.iter().zip(ask.demand) {
            received.demands(id, amount);
            if let Some(name) = declared.resource_of(id) {
                received.resources.push((name.to_owned(), amount));
            }
        }
        ask.facts.into_iter().fold(received, |ask, fact| {
            ask.with_fact(fact.id, fact.rows.into_iter().zip(fact.values).collect())
        })
    }

    /// How much of a demand, by its code; 0 if it was not declared or not asked for.
    #[must_use]
    #[inline]
    pub fn demand(&self, id: u16) -> u32 {
        match self.amounts.get(usize::from(id)) {
            Some(amount) => *amount,
            None => self
                .others
                .iter()
                .find(|(known, _)| *known == id)
                .map_or(0, |(_, amount)| *amount),
        }
    }

    /// How much of a countable resource; 0 if it was not declared or is not asked for.
    #[must_use]
    pub fn resource(&self, name: &str) -> u32 {
        let known = self.resources.iter().find(|(known, _)| known == name);
        known.map_or(0, |(_, amount)| *amount)
    }

    /// vCPUs.
    #[must_use]
    #[inline]
    pub fn vcpus(&self) -> u32 {
        self.demand(code::DEMAND_VCPUS)
    }

    /// MiB of memory.
    #[must_use]
    #[inline]
    pub fn memory_mib(&self) -> u32 {
        self.demand(code::DEMAND_MEMORY_MIB)
    }

    /// GiB of storage.
    #[must_use]
    #[inline]
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

    /// The minute since 1970 in which this is decided; 0 if it was not declared.
    #[must_use]
    pub fn now_minute(&self) -> u32 {
        self.attr(code::ATTR_NOW).unwrap_or(0)
    }

    /// The minute since 1970 at which the machine is expected to end; none when nobody said, or it was not declared.
    #[must_use]
    pub fn expected_end(&self) -> Option<u32> {
        self.attr(code::ATTR_EXPECTED_END)
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
