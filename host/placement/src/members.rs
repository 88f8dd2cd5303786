//! Where the members of affinity groups are.

use std::collections::HashMap;

use velum_model::id::{AffinityGroupId, RunId};

use crate::{hosts::Way, row::Row};

/// Runs of instances that are in affinity groups. The many that are in none take no room here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    of_run: HashMap<RunId, Box<[AffinityGroupId]>>,
    /// How many members of a group a row has; none are left out.
    by_row: HashMap<AffinityGroupId, HashMap<Row, u32>>,
}

impl Members {
    /// The groups of a run.
    pub(crate) fn groups(&self, run: RunId) -> &[AffinityGroupId] {
        self.of_run.get(&run).map_or(&[], |groups| groups)
    }

    /// How many members of a group each row has; none = it has none anywhere.
    pub(crate) fn of(&self, group: AffinityGroupId) -> Option<&HashMap<Row, u32>> {
        self.by_row.get(&group)
    }

    /// Notes that a run in a row is in these groups.
    pub(crate) fn put(&mut self, run: RunId, row: Row, groups: &[AffinityGroupId]) {
        let mut groups = groups.to_vec();
        groups.sort_unstable();
        groups.dedup();
        for &group in &groups {
            self.count(group, row, Way::In);
        }
        if !groups.is_empty() {
            self.of_run.insert(run, groups.into());
        }
    }

    /// The run in a row ended.
    pub(crate) fn remove(&mut self, run: RunId, row: Option<Row>) {
        let groups = self.of_run.remove(&run);
        for &group in groups.iter().flatten() {
            if let Some(row) = row {
                self.count(group, row, Way::Out);
            }
        }
    }

    fn count(&mut self, group: AffinityGroupId, row: Row, way: Way) {
        let by_row = self.by_row.entry(group).or_default();
        match way {
            Way::In => *by_row.entry(row).or_default() += 1,
            Way::Out => {
                if let Some(count) = by_row.get_mut(&row) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        by_row.remove(&row);
                    }
                }
            }
        }
        if by_row.is_empty() {
            self.by_row.remove(&group);
        }
    }

    /// Every run that is in groups, in the order of ids.
    pub(crate) fn keep(&self) -> Vec<(RunId, Vec<AffinityGroupId>)> {
        let mut runs: Vec<_> = self
            .of_run
            .iter()
            .map(|(&run, groups)| (run, groups.to_vec()))
            .collect();
        runs.sort_unstable();
        runs
    }
}
