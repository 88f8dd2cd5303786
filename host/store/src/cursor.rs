//! Where a reader of the event log is.

use std::{collections::BTreeMap, fmt, str::FromStr};

use velum_model::{ShardId, operation::Event};

/// A position in the event log: of each shard the last (epoch, number) that was read. The default is before the first
/// event of every shard. As text it is `<shard>:<epoch>.<seq>` joined with commas, short enough for `Last-Event-ID`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventCursor {
    after: BTreeMap<ShardId, (u64, u64)>,
}

/// The text is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event position is shard:epoch.number, joined with commas")]
pub struct EventCursorError;

impl EventCursor {
    /// More shards than a cloud has zones; keeps a foreign text from growing without end.
    pub const MAX_SHARDS: usize = 1024;

    /// The last (epoch, number) that was read of a shard; (0, 0) before the first.
    #[must_use]
    pub fn after(&self, shard: ShardId) -> (u64, u64) {
        self.after.get(&shard).copied().unwrap_or((0, 0))
    }

    /// Moves past an event. Never backwards.
    pub fn advance(&mut self, event: &Event) {
        self.advance_to(event.shard, event.epoch, event.seq);
    }

    /// Moves to a position in a shard. Never backwards.
    pub fn advance_to(&mut self, shard: ShardId, epoch: u64, seq: u64) {
        let at = self.after.entry(shard).or_insert((0, 0));
        *at = (*at).max((epoch, seq));
    }

    /// Moves to where another position is, in each shard. Never backwards.
    pub fn advance_with(&mut self, other: &Self) {
        for (shard, (epoch, seq)) in &other.after {
            self.advance_to(*shard, *epoch, *seq);
        }
    }

    /// Whether an event lies behind this position: it was read already.
    #[must_use]
    pub fn is_past(&self, event: &Event) -> bool {
        (event.epoch, event.seq) <= self.after(event.shard)
    }
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (shard, (epoch, seq))) in self.after.iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}:{epoch}.{seq}", shard.uuid().simple())?;
        }
        Ok(())
    }
}

impl FromStr for EventCursor {
    type Err = EventCursorError;
    fn from_str(text: &str) -> Result<Self, EventCursorError> {
        let mut cursor = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (shard, at) = part.split_once(':').ok_or(EventCursorError)?;
            let (epoch, seq) = at.split_once('.').ok_or(EventCursorError)?;
            let shard = shard.parse().map_err(|_| EventCursorError)?;
            cursor.advance_to(shard, number(epoch)?, number(seq)?);
            if cursor.after.len() > Self::MAX_SHARDS {
                return Err(EventCursorError);
            }
        }
        Ok(cursor)
    }
}

/// The database counts in 63 bits.
fn number(text: &str) -> Result<u64, EventCursorError> {
    let number = text.parse().ok();
    number
        .filter(|number| i64::try_from(*number).is_ok())
        .ok_or(EventCursorError)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUGE: &str = "00000000000000000000000000000007:9223372036854775808.1";

    #[test]
    fn a_position_reads_what_it_writes() {
        let mut cursor = EventCursor::default();
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        cursor.advance_to(ShardId::from_uuid(uuid::Uuid::from_u128(7)), 2, 41);
        cursor.advance_to(ShardId::from_uuid(uuid::Uuid::nil()), 1, 3);
        cursor.advance_to(ShardId::from_uuid(uuid::Uuid::nil()), 1, 2);
        assert_eq!(cursor.after(ShardId::from_uuid(uuid::Uuid::nil())), (1, 3));
        let mut other = EventCursor::default();
        other.advance_to(ShardId::from_uuid(uuid::Uuid::nil()), 1, 2);
        other.advance_to(ShardId::from_uuid(uuid::Uuid::from_u128(8)), 1, 1);
        other.advance_with(&cursor);
        assert_eq!(other.after(ShardId::from_uuid(uuid::Uuid::nil())), (1, 3));
        assert_eq!(other.after(ShardId::from_uuid(uuid::Uuid::from_u128(8))), (1, 1));
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in [
            "x",
            "a:b",
            "a:1.2",
            "00000000000000000000000000000007:1",
            ":::",
            HUGE,
        ] {
            assert_eq!(bad.parse::<EventCursor>(), Err(EventCursorError), "{bad}");
        }
    }
}
