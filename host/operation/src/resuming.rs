//! What a server found in flight when it came to own it, until each of it was taken up again.

use std::{collections::HashSet, time::Duration};

use velum_model::id::OperationId;

/// Operations of which none was driven yet since their shards are owned here.
#[derive(Debug, Default)]
pub(crate) struct Resuming {
    since: Duration,
    found: usize,
    left: HashSet<OperationId>,
}

/// All of them were driven as far as each goes at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resumed {
    /// How many there were.
    pub(crate) operations: usize,
    /// How long that took since they were first read.
    pub(crate) took: Duration,
}

impl Resuming {
    /// Another one was found; `now` is on the steady clock.
    pub(crate) fn found(&mut self, id: OperationId, now: Duration) {
        if self.left.is_empty() {
            (self.since, self.found) = (now, 0);
        }
        self.found += usize::from(self.left.insert(id));
    }

    /// One is somebody else's now.
    pub(crate) fn forget(&mut self, id: OperationId) {
        self.left.remove(&id);
    }

    /// One was driven. Answers when it was the last.
    pub(crate) fn taken_up(&mut self, id: OperationId, now: Duration) -> Option<Resumed> {
        if !self.left.remove(&id) || !self.left.is_empty() {
            return None;
        }
        self.left.shrink_to_fit();
        Some(Resumed {
            operations: self.found,
            took: now.saturating_sub(self.since),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use velum_model::id::{Id, OperationId};

    use super::{Resumed, Resuming};

    fn id(number: u128) -> OperationId {
        Id::from_uuid(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn the_last_one_tells_how_long_all_took() {
        let mut resuming = Resuming::default();
        let second = Duration::from_secs;
        assert_eq!(resuming.taken_up(id(1), second(1)), None);
        resuming.found(id(1), second(2));
        resuming.found(id(2), second(3));
        assert_eq!(resuming.taken_up(id(1), second(4)), None);
        assert_eq!(resuming.taken_up(id(1), second(4)), None);
        let all = Resumed {
            operations: 2,
            took: second(3),
        };
        assert_eq!(resuming.taken_up(id(2), second(5)), Some(all));
        resuming.found(id(3), second(9));
        let next = Resumed {
            operations: 1,
            took: second(1),
        };
        assert_eq!(resuming.taken_up(id(3), second(10)), Some(next));
    }
}
