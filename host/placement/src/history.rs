//! What is kept of an inventory, so that a decision can be looked at once more: how it was at one moment, and every change
//! since. A zone's history is a row of parts, each of which continues the one before or begins anew with a whole.

use serde::{Deserialize, Serialize};

use crate::{
    inventory::{Inventory, Snapshot},
    update::Update,
};

/// Grows when a snapshot or an update becomes another in its written form, which does not describe itself: parts of an older
/// format are then not read any more. A test compares the form of one of each.
pub const HISTORY_FORMAT: u8 = 2;

/// A part of a zone's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HistoryPart {
    /// The inventory as it was.
    Whole(Box<Snapshot>),
    /// What changed: each update made one epoch.
    Changes {
        /// The epoch that the first of them made.
        first: u64,
        /// In the order of their epochs.
        updates: Vec<Update>,
    },
}

/// A part that cannot be read, or does not continue what it is put to.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is of another version of this program.
    #[error("it is of format {0}; this version reads format {HISTORY_FORMAT}")]
    Format(u8),
    /// It is damaged.
    #[error("it is damaged")]
    Damaged(#[source] postcard::Error),
    /// Something is missing before it.
    #[error("it begins with epoch {first}, and the inventory is at epoch {at}")]
    Gap {
        /// The first epoch that it makes.
        first: u64,
        /// Where the inventory is.
        at: u64,
    },
    /// An update of it changed nothing, which it did then.
    #[error("the update of epoch {0} changes nothing")]
    Different(u64),
}

impl HistoryPart {
    /// The part of what an inventory is now.
    #[must_use]
    pub fn whole(inventory: &Inventory) -> Self {
        Self::Whole(Box::new(inventory.snapshot()))
    }

    /// The first and the last epoch that it leads to; the same one for a whole, none for no changes.
    #[must_use]
    pub fn epochs(&self) -> Option<(u64, u64)> {
        match self {
            Self::Whole(snapshot) => Some((snapshot.epoch, snapshot.epoch)),
            Self::Changes { first, updates } => {
                let more = (updates.len() as u64).checked_sub(1)?;
                Some((*first, first + more))
            }
        }
    }

    /// As it is kept.
    ///
    /// # Errors
    /// Never, in so far as ids, names and numbers always have this form.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_extend(self, vec![HISTORY_FORMAT])
    }

    /// As it was kept.
    ///
    /// # Errors
    /// [`Unreadable`]: another format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        match bytes.split_first() {
            Some((&HISTORY_FORMAT, rest)) => postcard::from_bytes(rest).map_err(Unreadable::Damaged),
            Some((&format, _)) => Err(Unreadable::Format(format)),
            None => Err(Unreadable::Damaged(postcard::Error::DeserializeUnexpectedEnd)),
        }
    }
}

impl Inventory {
    /// Brings an inventory forward by a part of its history, but not beyond `until`; a whole takes its place.
    ///
    /// # Errors
    /// [`Unreadable::Gap`] and [`Unreadable::Different`]: it is not what follows.
    pub fn continue_with(&mut self, part: HistoryPart, until: u64) -> Result<(), Unreadable> {
        match part {
            HistoryPart::Whole(snapshot) if snapshot.epoch <= until => *self = Self::from_snapshot(*snapshot),
            HistoryPart::Whole(_) => {}
            HistoryPart::Changes { first, updates } => {
                for (epoch, update) in (first..).zip(updates).take_while(|&(epoch, _)| epoch <= until) {
                    // Where a whole was taken in the middle of a part, the part's beginning is in it.
                    if epoch <= self.epoch() {
                        continue;
                    }
                    self.step(epoch, update)?;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, epoch: u64, update: Update) -> Result<(), Unreadable> {
        if epoch != self.epoch() + 1 {
            return Err(Unreadable::Gap {
                first: epoch,
                at: self.epoch(),
            });
        }
        if self.apply(update) {
            Ok(())
        } else {
            Err(Unreadable::Different(epoch))
        }
    }
}
