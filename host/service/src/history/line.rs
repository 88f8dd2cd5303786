//! What a planner says of its inventory on the way to where it is kept.

use parking_lot::Mutex;
use velum_placement::{HistoryPart, Snapshot, Update};

/// Changes that may wait: a second's worth at ten times the rate that a server accepts at; 80 MB at most. Beyond, what keeps
/// them stands still: they are dropped, and the history goes on from a whole.
const WAITING: usize = 1 << 18;

/// Between the planner's thread, which only adds, and the task that writes down.
pub(crate) struct Line {
    /// Whether anybody writes down.
    is_heard: bool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// What is complete; one whole of them at most, for each has the size of the zone.
    parts: Vec<HistoryPart>,
    /// The epoch of the first of the changes.
    first: u64,
    changes: Vec<Update>,
    /// Nothing is written down until there is a whole.
    is_silent: bool,
    /// Changes were dropped: a whole is wanted.
    is_broken: bool,
}

/// What was said since the last time.
pub(crate) struct Said {
    /// In the order in which it is to be written.
    pub parts: Vec<HistoryPart>,
    /// It does not go on from there: the planner is to say everything once more.
    pub is_broken: bool,
}

impl Line {
    /// One that is heard, or one that says nothing.
    pub(crate) fn new(is_heard: bool) -> Self {
        Self {
            is_heard,
            waiting: Mutex::default(),
        }
    }

    /// Whether anybody writes down what is said.
    pub(crate) const fn is_heard(&self) -> bool {
        self.is_heard
    }

    /// Nothing more until there is a whole.
    pub(crate) fn silence(&self) {
        let mut waiting = self.waiting.lock();
        waiting.is_silent = true;
    }

    /// The inventory is this from here on.
    pub(crate) fn begin(&self, whole: Snapshot) {
        let mut waiting = self.waiting.lock();
        let mut parts = std::mem::take(&mut waiting.parts);
        if parts.iter().any(|part| matches!(part, HistoryPart::Whole(_))) {
            parts.clear();
        } else {
            parts.extend(waiting.changes());
        }
        parts.push(HistoryPart::Whole(Box::new(whole)));
        *waiting = Waiting {
            parts,
            ..Waiting::default()
        };
    }

    /// A change that made this epoch.
    pub(crate) fn note(&self, epoch: u64, change: Update) {
        if !self.is_heard {
            return;
        }
        let mut waiting = self.waiting.lock();
        if waiting.is_silent || waiting.is_broken {
            return;
        }
        if waiting.changes.len() >= WAITING {
            waiting.changes = Vec::new();
            waiting.is_broken = true;
            return;
        }
        if waiting.changes.is_empty() {
            waiting.first = epoch;
        }
        waiting.changes.push(change);
    }

    /// Takes out what was said.
    pub(crate) fn take(&self) -> Said {
        let mut waiting = self.waiting.lock();
        let mut parts = std::mem::take(&mut waiting.parts);
        parts.extend(waiting.changes());
        Said {
            parts,
            is_broken: waiting.is_broken,
        }
    }
}

impl Waiting {
    /// The changes so far as a part.
    fn changes(&mut self) -> Option<HistoryPart> {
        let updates = std::mem::take(&mut self.changes);
        (!updates.is_empty()).then_some(HistoryPart::Changes {
            first: self.first,
            updates,
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use velum_model::Id;
    use velum_placement::Inventory;

    use super::*;

    fn gone(n: u128) -> Update {
        Update::RunGone(Id::from_uuid(Uuid::from_u128(n)))
    }

    #[test]
    fn what_is_said_before_a_whole_is_not_kept_and_what_comes_after_it_is() {
        let line = Line::new(true);
        line.silence();
        line.note(5, gone(1));
        assert!(line.take().parts.is_empty());
        let whole = Inventory::in_place_of(&Inventory::default(), 9).snapshot();
        line.begin(whole.clone());
        line.note(10, gone(2));
        line.note(11, gone(3));
        let changes = HistoryPart::Changes {
            first: 10,
            updates: vec![gone(2), gone(3)],
        };
        assert_eq!(line.take().parts, [HistoryPart::Whole(Box::new(whole)), changes]);
        // Another whole takes the place of nothing that was said before it.
        line.note(12, gone(4));
        line.silence();
        line.note(13, gone(5));
        line.begin(Inventory::in_place_of(&Inventory::default(), 20).snapshot());
        let epochs: Vec<_> = line.take().parts.iter().map(HistoryPart::epochs).collect();
        assert_eq!(epochs, [Some((12, 12)), Some((20, 20))]);
        // But for one that nobody wrote yet.
        for epoch in [30, 40] {
            line.begin(Inventory::in_place_of(&Inventory::default(), epoch).snapshot());
        }
        let epochs: Vec<_> = line.take().parts.iter().map(HistoryPart::epochs).collect();
        assert_eq!(epochs, [Some((40, 40))]);
        assert!(line.take().parts.is_empty());
    }

    #[test]
    fn what_is_too_much_is_dropped_and_a_whole_is_wanted() {
        let line = Line::new(true);
        for epoch in 0..=WAITING as u64 {
            line.note(epoch, gone(1));
        }
        let said = line.take();
        assert!(said.is_broken && said.parts.is_empty());
        line.note(0, gone(1));
        assert!(line.take().parts.is_empty());
        line.begin(Inventory::default().snapshot());
        let said = line.take();
        assert!(!said.is_broken && said.parts.len() == 1);
    }
}
