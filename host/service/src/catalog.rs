//! Rows that nearly every request names and hardly any changes: kept as they were read until a commit touches them. An accept on a
//! server that has its database for itself then reads the caller's token and nothing else.

use std::{collections::HashMap, future::Future, hash::Hash, sync::Arc};

use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;
use uuid::Uuid;
use velum_model::{
    Timestamp,
    affinity::AffinityGroup,
    id::{AffinityGroupId, ComputeOfferingId, NetworkId, TemplateId, ZoneId},
    infrastructure::{ComputeOffering, Network, Zone},
    storage::Template,
    tenancy::{Caller, Scope},
};
use velum_store::{Change, CommittedBatch, Reader, StoreError, Table};

use crate::{services::Services, watch::Watch};

/// How long a row is good for without being read again, microseconds. Whatever changes it is heard of at once; this bounds what was
/// committed while the answer of the database was lost.
const KEPT_FOR: i64 = 1_000_000;
/// Rows of a kind: a cloud has some hundred of each.
const ROWS: usize = 4096;

/// See the module.
#[derive(Default)]
pub(crate) struct Catalog {
    pub(crate) zones: Shelf<Uuid, Zone>,
    pub(crate) offerings: Shelf<Uuid, ComputeOffering>,
    pub(crate) templates: Shelf<Uuid, Template>,
    pub(crate) networks: Shelf<Uuid, Network>,
    pub(crate) affinity_groups: Shelf<Uuid, AffinityGroup>,
    callers: Callers,
}

/// Who shows a token, by its hash. It is read for every request, as a token may be taken away at any time and by another process; but
/// one read of a database that this server has for itself answers all requests that came before it began.
#[derive(Default)]
pub(crate) struct Callers {
    /// Those who wait for the next read of a token; an entry is there while one is under way.
    waiting: Mutex<HashMap<Vec<u8>, Vec<Waiting>>>,
}

/// Somebody who waits to be told who shows his token.
type Waiting = oneshot::Sender<Option<Caller>>;

impl Callers {
    /// Joins those who wait; true for the first, who sees to it that somebody reads.
    fn join(&self, hash: &[u8]) -> (oneshot::Receiver<Option<Caller>>, bool) {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        match waiting.get_mut(hash) {
            Some(others) => {
                others.push(tell);
                (told, false)
            }
            None => {
                waiting.insert(hash.to_vec(), vec![tell]);
                (told, true)
            }
        }
    }

    /// Those whom the read that begins now answers; none = nobody waits, and whoever comes next begins anew.
    fn take(&self, hash: &[u8]) -> Option<Vec<Waiting>> {
        let mut waiting = self.waiting.lock();
        let those = waiting
            .get_mut(hash)
            .map(std::mem::take)
            .filter(|those| !those.is_empty());
        if those.is_none() {
            waiting.remove(hash);
        }
        those
    }
}

/// Reads a token until nobody waits for it any more. Whoever is not answered, because the read failed, reads for himself and sees why.
async fn read_callers(watch: Arc<Watch>, reader: Reader, hash: Vec<u8>) {
    let mut reading = Reading {
        watch: Arc::clone(&watch),
        hash: hash.clone(),
        is_done: false,
    };
    while let Some(those) = watch.catalog().callers.take(&hash) {
        if let Ok(known) = caller_of(&reader, &hash).await {
            for tell in those {
                // He may have gone.
                let _ = tell.send(known.clone());
            }
        }
    }
    reading.is_done = true;
}

/// A task that reads. When it ends before its time, those who wait read for themselves, and whoever comes next begins anew.
struct Reading {
    watch: Arc<Watch>,
    hash: Vec<u8>,
    is_done: bool,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.is_done {
            self.watch.catalog().callers.waiting.lock().remove(&self.hash);
        }
    }
}

async fn caller_of(reader: &Reader, hash: &[u8]) -> Result<Option<Caller>, StoreError> {
    let known = reader.token_by_hash(hash).await?;
    Ok(known.map(|(token, name, scope)| Caller { token, name, scope }))
}

/// Rows of one kind.
pub(crate) struct Shelf<K, T> {
    kept: RwLock<Kept<K, T>>,
}

struct Kept<K, T> {
    rows: HashMap<K, Row<T>>,
    /// How often something was forgotten: what was read before may be what was forgotten since.
    forgotten: u64,
}

struct Row<T> {
    row: Arc<T>,
    since: Timestamp,
    under: u64,
}

impl<K, T> Default for Shelf<K, T> {
    fn default() -> Self {
        let kept = Kept {
            rows: HashMap::new(),
            forgotten: 0,
        };
        Self {
            kept: RwLock::new(kept),
        }
    }
}

impl<K: Eq + Hash, T> Shelf<K, T> {
    /// The row, from the shelf or by `read`. It is kept while `under` (an epoch under which every change is heard of) stays what it is;
    /// none = not at all. One that is not there is not remembered. The read is boxed: most do without.
    pub(crate) async fn get<F: Future<Output = Result<Option<T>, StoreError>>>(
        &self,
        key: K,
        under: Option<u64>,
        now: Timestamp,
        read: impl FnOnce() -> F,
    ) -> Result<Option<Arc<T>>, StoreError> {
        let Some(under) = under else {
            return Ok(Box::pin(read()).await?.map(Arc::new));
        };
        let forgotten = {
            let kept = self.kept.read();
            let known = kept.rows.get(&key).filter(|known| known.is_good(under, now));
            if let Some(known) = known {
                return Ok(Some(Arc::clone(&known.row)));
            }
            kept.forgotten
        };
        let Some(row) = Box::pin(read()).await?.map(Arc::new) else {
            return Ok(None);
        };
        let mut kept = self.kept.write();
        if kept.forgotten == forgotten {
            if kept.rows.len() >= ROWS {
                kept.rows.clear();
            }
            let known = Row {
                row: Arc::clone(&row),
                since: now,
                under,
            };
            kept.rows.insert(key, known);
        }
        Ok(Some(row))
    }

    fn forget(&self, key: &K) {
        let mut kept = self.kept.write();
        kept.rows.remove(key);
        kept.forgotten += 1;
    }
}

impl<T> Row<T> {
    fn is_good(&self, under: u64, now: Timestamp) -> bool {
        self.under == under && now.micros() - self.since.micros() < KEPT_FOR
    }
}

impl Catalog {
    /// Forgets what a batch of commits changed.
    pub(crate) fn follow(&self, batch: &CommittedBatch) {
        for change in batch.commits.iter().flat_map(|commit| &commit.changes) {
            match change {
                Change::UpdateZone(zone) => self.zones.forget(&zone.id.uuid()),
                Change::UpdateComputeOffering(offering) => self.offerings.forget(&offering.id.uuid()),
                Change::UpdateNetwork(network) => self.networks.forget(&network.id.uuid()),
                Change::UpdateAffinityGroup(group) => self.affinity_groups.forget(&group.id.uuid()),
                Change::TemplateReceived { id, .. } | Change::TemplateState { id, .. } => {
                    self.templates.forget(&id.uuid());
                }
                Change::Delete { table, id, .. } => match table {
                    Table::Zone => self.zones.forget(id),
                    Table::ComputeOffering => self.offerings.forget(id),
                    Table::Network => self.networks.forget(id),
                    Table::AffinityGroup => self.affinity_groups.forget(id),
                    Table::Template => self.templates.forget(id),
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

impl Services {
    /// Under which epoch this server makes all changes of what a zone has; none = another may make them.
    fn makes_all_changes(&self, zone: ZoneId) -> Option<u64> {
        if !self.store().is_shared() {
            return Some(0);
        }
        let shard = self.zone_shards().read().get(&zone.uuid()).copied()?;
        self.store().epoch(shard)
    }

    /// A zone.
    pub(crate) async fn zone_row(&self, id: ZoneId) -> Result<Option<Arc<Zone>>, StoreError> {
        let reader = self.read();
        let (under, now) = (self.makes_all_changes(id), self.now());
        self.catalog()
            .zones
            .get(id.uuid(), under, now, || reader.zone(id))
            .await
    }

    /// A compute offering. Any server may change one.
    pub(crate) async fn offering_row(
        &self,
        id: ComputeOfferingId,
    ) -> Result<Option<Arc<ComputeOffering>>, StoreError> {
        let reader = self.read();
        let under = (!self.store().is_shared()).then_some(0);
        let read = || reader.compute_offering(id);
        self.catalog()
            .offerings
            .get(id.uuid(), under, self.now(), read)
            .await
    }

    /// A template of a zone, if the scope sees it.
    pub(crate) async fn template_row(
        &self,
        zone: ZoneId,
        scope: Scope,
        id: TemplateId,
    ) -> Result<Option<Arc<Template>>, StoreError> {
        let reader = self.read();
        let read = || async {
            let row = reader.template(Scope::All, id).await?;
            Ok(row.filter(|row| row.zone == zone))
        };
        let (under, now) = (self.makes_all_changes(zone), self.now());
        let row = self.catalog().templates.get(id.uuid(), under, now, read).await?;
        Ok(row.filter(|row| row.zone == zone && scope.sees(row.project)))
    }

    /// A network of a zone, if the scope sees it.
    pub(crate) async fn network_row(
        &self,
        zone: ZoneId,
        scope: Scope,
        id: NetworkId,
    ) -> Result<Option<Arc<Network>>, StoreError> {
        let reader = self.read();
        let read = || async {
            let row = reader.network(Scope::All, id).await?;
            Ok(row.filter(|row| row.zone == zone))
        };
        let (under, now) = (self.makes_all_changes(zone), self.now());
        let row = self.catalog().networks.get(id.uuid(), under, now, read).await?;
        Ok(row.filter(|row| row.zone == zone && scope.sees(row.project)))
    }

    /// An affinity group of a zone, if the scope sees it. How many are in it may be of a moment ago.
    pub(crate) async fn affinity_group_row(
        &self,
        zone: ZoneId,
        scope: Scope,
        id: AffinityGroupId,
    ) -> Result<Option<Arc<AffinityGroup>>, StoreError> {
        let reader = self.read();
        let read = || async {
            let row = reader.affinity_group(Scope::All, id).await?;
            Ok(row.filter(|row| row.zone == zone))
        };
        let (under, now) = (self.makes_all_changes(zone), self.now());
        let row = self
            .catalog()
            .affinity_groups
            .get(id.uuid(), under, now, read)
            .await?;
        Ok(row.filter(|row| row.zone == zone && scope.sees(row.project)))
    }

    /// Who shows a token with this hash.
    pub(crate) async fn caller_row(&self, hash: &[u8]) -> Result<Option<Caller>, StoreError> {
        // A connection to another machine can fall silent: whoever waited for its read would wait with it, and all who come behind.
        if self.store().is_shared() {
            return Box::pin(caller_of(&self.read(), hash)).await;
        }
        let (told, is_first) = self.catalog().callers.join(hash);
        if is_first {
            tokio::spawn(read_callers(self.shared_watch(), self.read(), hash.to_vec()));
        }
        match told.await {
            Ok(known) => Ok(known),
            Err(_) => Box::pin(caller_of(&self.read(), hash)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[tokio::test]
    async fn a_row_is_read_once_until_it_is_forgotten_or_old() {
        let shelf: Shelf<u8, &str> = Shelf::default();
        let never = || async { unreachable!("it is on the shelf") };
        let read = |row| move || async move { Ok(Some(row)) };
        assert_eq!(
            shelf
                .get(1, Some(7), at(0), read("one"))
                .await
                .unwrap()
                .as_deref(),
            Some(&"one")
        );
        assert_eq!(
            shelf.get(1, Some(7), at(9), never).await.unwrap().as_deref(),
            Some(&"one")
        );
        shelf.forget(&1);
        assert_eq!(
            shelf
                .get(1, Some(7), at(9), read("other"))
                .await
                .unwrap()
                .as_deref(),
            Some(&"other")
        );
        let late = at(9 + KEPT_FOR);
        assert_eq!(
            shelf
                .get(1, Some(7), late, read("later"))
                .await
                .unwrap()
                .as_deref(),
            Some(&"later")
        );
        assert_eq!(
            shelf.get(2, Some(7), late, || async { Ok(None) }).await.unwrap(),
            None
        );
        assert_eq!(
            shelf
                .get(2, Some(7), late, read("made"))
                .await
                .unwrap()
                .as_deref(),
            Some(&"made")
        );
    }

    #[tokio::test]
    async fn a_row_is_good_under_one_epoch() {
        let shelf: Shelf<u8, &str> = Shelf::default();
        let read = |row| move || async move { Ok(Some(row)) };
        for (under, row) in [
            (Some(1), "mine"),
            (Some(2), "mine again"),
            (None, "another's"),
            (Some(1), "late"),
        ] {
            assert_eq!(
                shelf.get(1, under, at(0), read(row)).await.unwrap().as_deref(),
                Some(&row)
            );
        }
    }

    #[tokio::test]
    async fn what_was_read_before_it_was_forgotten_is_not_kept() {
        let shelf: Shelf<u8, &str> = Shelf::default();
        let read = || async {
            // The commit is heard of while the answer is on its way.
            shelf.forget(&1);
            Ok(Some("before"))
        };
        assert_eq!(
            shelf.get(1, Some(7), at(0), read).await.unwrap().as_deref(),
            Some(&"before")
        );
        let again = || async { Ok(Some("after")) };
        assert_eq!(
            shelf.get(1, Some(7), at(0), again).await.unwrap().as_deref(),
            Some(&"after")
        );
    }
}
