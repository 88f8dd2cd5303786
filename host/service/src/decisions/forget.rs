//! What goes on beside requests: histories are written down, and decisions that are old are forgotten.

use std::sync::Arc;

use velum_model::Timestamp;

use crate::services::Services;

impl Services {
    /// Writes down what the planners of this server told since the last time.
    pub async fn keep_histories(&self) {
        if !self.keeping().histories().are_kept() {
            return;
        }
        // On a task of its own: whoever asked may go away, and what was taken out of a line must be written.
        let keeping = Arc::clone(self.keeping());
        let kept = tokio::spawn(async move { keeping.keep().await }).await;
        if let Err(error) = kept {
            tracing::error!(%error, "the histories of zones could not be kept");
        }
    }

    /// Forgets decisions that are older than they are to be kept: a thousand at most, so that nobody waits behind them. True when
    /// there may be more, or it is to be tried again.
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
                    "could not forget old decisions; trying again"
                );
                true
            }
        }
    }
}
