//! Reading what was.

use velum_model::id::ZoneId;
use velum_placement::{HistoryPart, Inventory, Unreadable};
use velum_store::{Histories, PartLabel, StoreError};

/// Why the inventory of then is not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    /// Nothing is kept that far back, or nothing was written of that moment.
    #[error("{}", never(*.epoch, *.kept))]
    Never {
        /// Which.
        epoch: u64,
        /// What is: the first epoch and the last.
        kept: Option<(u64, u64)>,
    },
    /// A part is damaged or missing.
    #[error("what was kept of the inventory of epoch {epoch} cannot be used: {source}")]
    Unreadable {
        /// Which.
        epoch: u64,
        /// Why.
        #[source]
        source: Unreadable,
    },
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn never(epoch: u64, kept: Option<(u64, u64)>) -> String {
    let known = kept.map_or_else(String::new, |(first, last)| {
        format!(": of this zone, epochs {first} to {last} are")
    });
    if kept.is_some_and(|(first, last)| (first..=last).contains(&epoch)) {
        let why = "the server was ended within a second of it, and the decision is not made again";
        return format!("the inventory of epoch {epoch} was never written: {why}");
    }
    let more = "more is kept with a larger decisions.history_mib in the server's configuration";
    format!("the inventory of epoch {epoch} is not kept (any more){known}; {more}")
}

/// The past of a zone.
pub(crate) struct Past<'a> {
    histories: &'a Histories,
    zone: ZoneId,
}

impl<'a> Past<'a> {
    pub(crate) const fn new(histories: &'a Histories, zone: ZoneId) -> Self {
        Self { histories, zone }
    }

    /// The labels of the parts from the last whole before `epoch` on, up to `until`.
    pub(crate) async fn labels(&self, epoch: u64, until: u64) -> Result<Vec<PartLabel>, NotKept> {
        let labels = self.histories.labels(self.zone, epoch, until).await?;
        if labels.is_empty() {
            let kept = self.histories.reach(self.zone).await?;
            return Err(NotKept::Never { epoch, kept });
        }
        Ok(labels)
    }

    /// A part; none when it went meanwhile or is damaged.
    pub(crate) async fn part(
        &self,
        label: PartLabel,
    ) -> Result<Option<Result<HistoryPart, Unreadable>>, NotKept> {
        let body = self.histories.read(self.zone, label).await?;
        // Small ones are read at once: handing them to another thread would take longer.
        Ok(match body {
            Some(body) if body.len() > 1 << 16 => {
                let read = tokio::task::spawn_blocking(move || HistoryPart::decode(&body)).await;
                Some(read.map_err(|error| StoreError::Unusable(error.to_string()))?)
            }
            body => body.map(|body| HistoryPart::decode(&body)),
        })
    }

    /// The inventory of an epoch.
    pub(crate) async fn inventory(&self, epoch: u64) -> Result<Inventory, NotKept> {
        let mut inventory = Inventory::default();
        for label in self.labels(epoch, epoch).await? {
            let Some(part) = self.part(label).await? else {
                continue;
            };
            let unreadable = |source| NotKept::Unreadable { epoch, source };
            let part = part.map_err(unreadable)?;
            let went_on = tokio::task::spawn_blocking(move || {
                let done = inventory.continue_with(part, epoch);
                done.map(|()| inventory)
            });
            let went_on = went_on
                .await
                .map_err(|error| StoreError::Unusable(error.to_string()))?;
            inventory = went_on.map_err(unreadable)?;
        }
        if inventory.epoch() == epoch {
            return Ok(inventory);
        }
        let kept = self.histories.reach(self.zone).await?;
        Err(NotKept::Never { epoch, kept })
    }
}

#[cfg(test)]
mod tests {
    use super::never;

    #[test]
    fn more_room_is_advised_only_for_what_was_written_once() {
        assert!(never(5, None).contains("decisions.history_mib"));
        assert!(never(5, Some((6, 9))).contains("epochs 6 to 9 are; more is kept"));
        let lost = never(7, Some((6, 9)));
        assert!(
            lost.contains("never written") && !lost.contains("history_mib"),
            "{lost}"
        );
    }
}
