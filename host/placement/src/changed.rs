//! Which rows of an inventory changed lately.

use std::collections::VecDeque;

use crate::row::Row;

/// Row changes remembered for policies and for what is kept of asks, at least. A policy that is further behind loads all columns, which
/// costs 2 us for 5,000 rows; finding 4,096 single changes costs no less.
const REMEMBERED: usize = 4096;
/// In a large zone it is one change for so many rows: looking at a row anew costs about what looking at four in their order costs.
pub(crate) const ROWS_A_CHANGE: usize = 4;

/// Which rows changed lately, by row kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changed {
    pub(crate) rows: VecDeque<(u64, u16, Row)>,
    /// The last epoch that is not remembered any more.
    pub(crate) forgotten: u64,
    /// When rows were last added: a policy that is older loads anew.
    pub(crate) grown: [u64; 2],
    /// When a pool last came, went or became another, in more than what is promised of it.
    pub(crate) pools_remade: u64,
    pub(crate) rows_at_most: usize,
}

impl Changed {
    /// Nothing is remembered of what was before an epoch.
    pub(crate) fn since(epoch: u64, rows_at_most: usize) -> Self {
        Self {
            rows: VecDeque::new(),
            forgotten: epoch,
            grown: [epoch; 2],
            pools_remade: epoch,
            rows_at_most,
        }
    }

    pub(crate) fn note(&mut self, epoch: u64, kind: u16, row: Row) {
        if self.rows.len() >= REMEMBERED.max(self.rows_at_most)
            && let Some((dropped, ..)) = self.rows.pop_front()
        {
            self.forgotten = dropped;
        }
        self.rows.push_back((epoch, kind, row));
    }
}
