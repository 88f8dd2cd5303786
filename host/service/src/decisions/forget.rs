//! What goes on beside requests: histories are written down, and decisions that are old are forgotten.

use velum_model::Timestamp;

use crate::services::Services;

impl Services {
    /// Writes down what the planners of this server told since the last time.
    pub async fn keep_histories(&self) {
        self.keeping().keep().await;
    }

    /// Forgets decisions that are older than they are to be kept: a thousand at most, so that nobody waits behind them. True when
    /// there may be more.
    pub async fn forget_decisions(&self) -> bool {
        let kept_us =
            i64::try_from(self.settings().decisions_kept_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        let before = Timestamp::from_micros(self.now().micros().saturating_sub(kept_us));
        let after = *self.forgotten().lock();
        match self.store().forget_decisions(before, after).await {
            Ok(last) => {
                *self.forgotten().lock() = last;
                last.is_some()
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not forget old decisions; trying again later"
                );
                false
            }
        }
    }
}
