//! The inventory of a planner, every change of which is told to the zone's history.

use std::{ops::Deref, sync::Arc};

use velum_placement::{Inventory, Update};

use crate::history::Line;

/// An inventory that is read as any other and changed here alone.
pub(super) struct Recorded {
    inventory: Inventory,
    line: Arc<Line>,
}

impl Deref for Recorded {
    type Target = Inventory;

    fn deref(&self) -> &Inventory {
        &self.inventory
    }
}

impl Recorded {
    /// Says nothing until the first [`Recorded::begin`].
    pub(super) fn new(line: Arc<Line>) -> Self {
        line.silence();
        Self {
            inventory: Inventory::default(),
            line,
        }
    }

    /// An empty inventory in the place of this one, whose epochs are at least `at_least`. What is put into it now is not told:
    /// [`Recorded::begin`] tells what it came to.
    pub(super) fn clear(&mut self, at_least: u64) {
        self.line.silence();
        self.inventory = Inventory::in_place_of(&self.inventory, at_least);
    }

    /// Tells everything, and every change from here on.
    pub(super) fn begin(&self) {
        if self.line.is_heard() {
            self.line.begin(self.inventory.snapshot());
        }
    }

    /// Makes a change. False when it changed nothing.
    pub(super) fn apply(&mut self, update: Update) -> bool {
        if !self.line.is_heard() {
            return self.inventory.apply(update);
        }
        let changed = self.inventory.apply(update.clone());
        if changed {
            self.line.note(self.inventory.epoch(), update);
        }
        changed
    }
}
