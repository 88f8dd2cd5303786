//! Writing down what planners tell.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use velum_model::id::ZoneId;
use velum_placement::{HistoryPart, Inventory};
use velum_store::{Histories, PartLabel};

use super::{Line, Past};
use crate::planner::Inbox;

/// Bytes of changes after which a whole is written however small that is: reading them takes less than a second.
const CHANGES: usize = 16 << 20;
/// As many times a whole's own bytes as changes follow it: wholes are then a fifth of what is kept.
const TIMES: usize = 4;
/// Parts after which a whole is written: so many are found and opened one by one.
const PARTS: u32 = 4096;

/// Rounds, of a second each, between two wholes that are asked of a planner: it copies the zone for each, and what could not be
/// written once, for want of space most likely, cannot be written a second later.
const REST: u32 = 60;

/// Where what the planners of this server tell goes.
pub(crate) struct Keeping {
    histories: Histories,
    lines: Mutex<HashMap<ZoneId, Told>>,
    /// Held while parts are written: they stay in their order, whoever writes.
    writing: tokio::sync::Mutex<HashMap<ZoneId, Written>>,
}

/// Who tells of a zone.
struct Told {
    line: Arc<Line>,
    inbox: Weak<Inbox>,
}

/// What was written of a zone since its planner was started.
#[derive(Clone, Copy, Default)]
struct Written {
    whole: usize,
    changes: usize,
    parts: u32,
    last: u64,
    /// What was told last could not be written: it does not go on from there.
    wants_whole: bool,
    /// Rounds until everything may be asked for again.
    rest: u32,
}

impl Keeping {
    pub(crate) fn new(histories: Histories) -> Self {
        Self {
            histories,
            lines: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) const fn histories(&self) -> &Histories {
        &self.histories
    }

    /// A planner tells of a zone from now on.
    pub(crate) fn follow(&self, zone: ZoneId, line: Arc<Line>, inbox: &Arc<Inbox>) {
        let inbox = Arc::downgrade(inbox);
        self.lines.lock().insert(zone, Told { line, inbox });
    }

    /// Nobody tells of a zone any more.
    pub(crate) fn forget(&self, zone: ZoneId) {
        self.lines.lock().remove(&zone);
    }

    /// A zone is gone, and its history goes.
    pub(crate) async fn remove(&self, zone: ZoneId) {
        self.forget(zone);
        self.writing.lock().await.remove(&zone);
        if let Err(error) = self.histories.remove(zone).await {
            tracing::warn!(%zone, error = &error as &dyn std::error::Error, "could not remove the history of a zone that is gone");
        }
    }

    /// Writes down what was told. What cannot be written is dropped, and the planner is asked for everything.
    pub(crate) async fn keep(&self) {
        let mut writing = self.writing.lock().await;
        let zones: Vec<(ZoneId, Arc<Line>)> = {
            let lines = self.lines.lock();
            let of = |(zone, told): (&ZoneId, &Told)| (*zone, Arc::clone(&told.line));
            lines.iter().map(of).collect()
        };
        for (zone, line) in zones {
            let said = line.take();
            let mut is_broken = said.is_broken;
            for part in said.parts {
                let written = writing.entry(zone).or_default();
                if let Err(error) = self.write(zone, part, written).await {
                    tracing::warn!(%zone, error = &error as &dyn std::error::Error,
                        "could not keep a part of the zone's history: decisions of this time cannot be looked at again");
                    is_broken = true;
                    break;
                }
            }
            let written = writing.entry(zone).or_default();
            if is_broken {
                line.silence();
                written.wants_whole = true;
            }
            written.rest = written.rest.saturating_sub(1);
            if written.wants_whole && written.rest == 0 {
                written.wants_whole = false;
                written.rest = REST;
                self.tell(zone);
            }
        }
    }

    /// Asks the planner of a zone for everything.
    fn tell(&self, zone: ZoneId) {
        let inbox = self.lines.lock().get(&zone).and_then(|told| told.inbox.upgrade());
        if let Some(inbox) = inbox {
            inbox.order(crate::planner::Order::Tell);
        }
    }

    async fn write(
        &self,
        zone: ZoneId,
        part: HistoryPart,
        written: &mut Written,
    ) -> Result<(), velum_store::StoreError> {
        let is_whole = matches!(part, HistoryPart::Whole(_));
        let Some((first, last)) = part.epochs() else {
            return Ok(());
        };
        // A whole of a large zone takes a while.
        let encoded = tokio::task::spawn_blocking(move || part.encode()).await;
        let body = encoded
            .map_err(|error| error.to_string())
            .and_then(|encoded| encoded.map_err(|error| error.to_string()))
            .map_err(velum_store::StoreError::Unusable)?;
        let label = PartLabel {
            first,
            last,
            is_whole,
        };
        let size = body.len();
        self.histories.add(zone, label, body).await?;
        if is_whole {
            *written = Written {
                whole: size,
                last,
                rest: written.rest,
                ..Written::default()
            };
            return Ok(());
        }
        written.changes += size;
        written.parts += 1;
        written.last = last;
        if written.changes > CHANGES.max(TIMES * written.whole) || written.parts >= PARTS {
            self.write_whole(zone, written).await?;
        }
        Ok(())
    }

    /// A whole out of the last one and what followed: the planner goes on meanwhile.
    async fn write_whole(&self, zone: ZoneId, written: &mut Written) -> Result<(), velum_store::StoreError> {
        let past = Past::new(&self.histories, zone);
        let made = past.inventory(written.last).await;
        let inventory: Inventory =
            made.map_err(|error| velum_store::StoreError::Unusable(error.to_string()))?;
        let whole = tokio::task::spawn_blocking(move || HistoryPart::whole(&inventory)).await;
        let whole = whole.map_err(|error| velum_store::StoreError::Unusable(error.to_string()))?;
        Box::pin(self.write(zone, whole, written)).await
    }
}
