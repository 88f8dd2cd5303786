//! Asks that found no place are kept with their reasons, as those are that did.

use parking_lot::Mutex;
use velum_model::{ShardId, Timestamp, ZoneId, decision::Decision};
use velum_store::Commit;

use crate::{planner::NoPlan, services::Services};

/// Refusals that are kept in a minute at most: what has no room is often asked for again and again, and a few of each tell as much.
/// A month of them is 20 million rows of a KB at worst.
const A_MINUTE: u32 = 480;
/// Of one request.
const A_REQUEST: usize = 8;

/// How many refusals were kept in this minute.
#[derive(Default)]
pub(crate) struct Refusals {
    /// The minute, and how many.
    kept: Mutex<(i64, u32)>,
}

impl Refusals {
    /// Whether one more may be kept.
    fn may(&self, now: Timestamp) -> bool {
        let minute = now.micros() / 60_000_000;
        let mut kept = self.kept.lock();
        if kept.0 != minute {
            *kept = (minute, 0);
        }
        kept.1 += 1;
        kept.1 <= A_MINUTE
    }
}

impl Services {
    /// Keeps the decision of an ask that found no place.
    pub(crate) async fn keep_refusal(&self, shard: ShardId, none: &NoPlan) {
        if let NoPlan::NoCapacity(decision) = none {
            self.keep_refusals(shard, [decision.as_ref()]).await;
        }
    }

    /// The same where the zone's shard is not at hand.
    pub(crate) async fn keep_refusal_in(&self, zone: ZoneId, none: &NoPlan) {
        if let Ok(Some(zone)) = self.read().zone(zone).await {
            self.keep_refusal(zone.shard, none).await;
        }
    }

    /// Keeps the decisions of asks that found no place, of one zone: the first of them, and as long as there are not many. That it
    /// cannot be is no reason to answer otherwise: whoever asked is told them at once.
    pub(crate) async fn keep_refusals<'a>(
        &self,
        shard: ShardId,
        refused: impl IntoIterator<Item = &'a Decision>,
    ) {
        let Ok(fence) = self.fence(shard) else { return };
        let now = self.now();
        let commits: Vec<Commit> = refused
            .into_iter()
            .take(A_REQUEST)
            .filter(|_| self.refusals().may(now))
            .map(|decision| Commit {
                fence: Some(fence),
                decision: Some(Box::new(as_stored(decision))),
                ..Commit::default()
            })
            .collect();
        if commits.is_empty() {
            return;
        }
        if let Err(error) = self.store().commit_together(commits).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "could not keep why asks found no place"
            );
        }
    }
}

/// The refusals are counted and not listed: they can be looked at again.
fn as_stored(decision: &Decision) -> Decision {
    Decision {
        refusals: Vec::new(),
        ..decision.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_not_kept() {
        let refusals = Refusals::default();
        let at = |second: u64| Timestamp::from_micros(0).plus_millis(second * 1000);
        let kept = (0..1000).filter(|n| refusals.may(at(n / 100))).count();
        assert_eq!(kept, A_MINUTE as usize);
        assert!(refusals.may(at(60)));
    }
}
