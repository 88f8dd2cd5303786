//! Countable resources: what compute hosts have of each, and what of it is promised.

use std::collections::HashMap;

use velum_model::resource::{ResourceName, Resources};

use crate::{
    hosts::{Way, set},
    row::{Row, RowMask},
};

/// Two columns a resource. A zone in which no compute host has any has none, and an ask that wants none looks at none.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourceColumns {
    columns: HashMap<ResourceName, Column>,
    /// Rows in which something is not 0: only those are gone through when their compute host becomes another.
    rows: RowMask,
}

/// Each as long as the last row that has some of it.
#[derive(Clone, Debug, Default)]
struct Column {
    limit: Vec<u64>,
    used: Vec<u64>,
}

impl ResourceColumns {
    /// What the compute host in a row has, in place of what it had. What is used stays.
    pub(crate) fn state(&mut self, row: Row, resources: &Resources) {
        if self.rows.contains(row) {
            for column in self.columns.values_mut() {
                set(&mut column.limit, row, 0);
            }
        }
        for (name, amount) in resources {
            change(&mut self.column(name, row).limit, row, |limit| {
                *limit = u64::from(*amount);
            });
        }
    }

    /// The row is vacant.
    pub(crate) fn forget(&mut self, row: Row) {
        if self.rows.contains(row) {
            for column in self.columns.values_mut() {
                set(&mut column.limit, row, 0);
                set(&mut column.used, row, 0);
            }
            self.rows.remove(row);
        }
    }

    /// Counts what a run holds in or out. A resource that the host does not have may be held: it was taken away meanwhile.
    pub(crate) fn count(&mut self, row: Row, held: &Resources, way: Way) {
        for (name, amount) in held {
            change(&mut self.column(name, row).used, row, |used| {
                way.shift(used, u64::from(*amount));
            });
        }
    }

    fn column(&mut self, name: &ResourceName, row: Row) -> &mut Column {
        self.rows.insert(row);
        self.columns.entry(name.clone()).or_default()
    }

    /// How much of a resource may be promised in a row, in all.
    pub(crate) fn limit(&self, name: &str, row: Row) -> u64 {
        self.columns.get(name).map_or(0, |column| at(&column.limit, row))
    }

    /// How much of a resource is promised in a row.
    pub(crate) fn used(&self, name: &str, row: Row) -> u64 {
        self.columns.get(name).map_or(0, |column| at(&column.used, row))
    }

    /// How much of a resource may still be promised in a row. There is no overcommit.
    pub(crate) fn free(&self, name: &str, row: Row) -> u64 {
        let free = |column: &Column| at(&column.limit, row).saturating_sub(at(&column.used, row));
        self.columns.get(name).map_or(0, free)
    }

    /// The first resource of which a row has less than is asked, and how much that is.
    pub(crate) fn short_of<'a>(&self, asked: &'a Resources, row: Row) -> Option<(&'a ResourceName, u32)> {
        let mut asked = asked.iter().map(|(name, amount)| (name, amount.get()));
        asked.find(|(name, amount)| self.free(name.as_str(), row) < u64::from(*amount))
    }
}

fn at(column: &[u64], row: Row) -> u64 {
    column.get(row as usize).copied().unwrap_or(0)
}

/// Changes the value of a row; the column grows as far as that.
fn change(column: &mut Vec<u64>, row: Row, how: impl FnOnce(&mut u64)) {
    if column.len() <= row as usize {
        column.resize(row as usize + 1, 0);
    }
    if let Some(value) = column.get_mut(row as usize) {
        how(value);
    }
}
