//! What was seen against the rows: new sightings, what is gone again, and what is to be removed.

use std::collections::{HashMap, HashSet};

use serde_json::json;
use uuid::Uuid;
use velum_model::{
    chance::fresh,
    id::*,
    operation::{Operation, OperationKindName, OperationState, Subject},
    orphan::{Orphan, OrphanKind, OrphanPlace},
    tenancy::{BUILT_IN_PROJECT, Scope},
    time::Timestamp,
};
use velum_store::{Change, Commit, NewEvent, OperationWrite, StoreError};

use super::{Reconciler, Site, seen::Sighting};
use crate::{params, version_of};

/// Complete observations that must have seen it: one may have been on its way while the row went.
const OBSERVATIONS: u32 = 2;
/// Removals proposed for one place in one look. What takes more than that away at once is a mistake somewhere, and is to
/// be noticed before it is done.
const PROPOSED: usize = 16;
/// Orphans kept of one place; more say nothing new.
const KEPT: usize = 1000;
/// Ids asked for in one question to the database.
const ASKED: usize = 500;
/// The longest name that is kept of what the far side calls it.
const NAME: usize = 256;

/// Who asks for what nobody asked for.
const CALLER: &str = "reconciler";

impl Reconciler {
    /// Compares what was seen at a place with the rows, which are read after it was seen: whatever is made at a far side
    /// has its row before (law 4), so what has none then has lost it.
    pub(super) async fn settle(
        &self,
        site: Site,
        kinds: &'static [OrphanKind],
        seen: Vec<Sighting>,
    ) -> Result<(), StoreError> {
        let store = &self.parts().store;
        let known = store.read().orphans_at(site.place).await?;
        let mut known: HashMap<OrphanId, Orphan> = known.into_iter().map(|o| (o.id, o)).collect();
        let now = self.parts().clock.now();
        let mut unowned = self.without_rows(kinds, seen).await?;
        // A publication goes with its volume, a seed after its guest.
        let leads: HashSet<(OrphanKind, Uuid)> = unowned.iter().map(|(s, _)| (s.kind, s.object)).collect();
        unowned.retain(|(s, _)| match s.kind {
            OrphanKind::Publication => !leads.contains(&(OrphanKind::Volume, s.object)),
            OrphanKind::Seed => !leads.contains(&(OrphanKind::Guest, s.object)),
            OrphanKind::Guest | OrphanKind::Volume => true,
        });
        let (mut changes, mut events, mut ripe) = (Vec::new(), Vec::new(), Vec::new());
        for (sighting, removed_at) in unowned.into_iter().take(KEPT) {
            let id = Orphan::id_of(site.place, sighting.kind, sighting.object, sighting.peer);
            let reached_by = sighting.reached_by.clone();
            let mut orphan = again(site.place, sighting, known.remove(&id), (removed_at, now));
            if orphan.observations >= OBSERVATIONS && !orphan.reported {
                orphan.reported = true;
                events.push(found_event(&orphan));
            }
            let age_ms = now.millis_since(orphan.first_seen);
            if orphan.removed_at.is_some()
                && orphan.observations >= OBSERVATIONS
                && age_ms >= self.limits.grace_ms
            {
                ripe.push((orphan.clone(), reached_by));
            }
            changes.push(Change::SeeOrphan(Box::new(orphan)));
        }
        let gone = known.into_values().filter(|o| kinds.contains(&o.kind));
        changes.extend(gone.map(|o| Change::ForgetOrphan(o.id)));
        if !changes.is_empty() {
            let commit = Commit {
                fence: Some((site.shard, site.epoch)),
                changes,
                events,
                ..Commit::default()
            };
            store.commit(commit).await?;
        }
        for (orphan, reached_by) in ripe.into_iter().take(PROPOSED) {
            if !self.has_guests(&reached_by).await? {
                self.propose(site, orphan).await?;
            }
        }
        Ok(())
    }

    /// Whether a guest without a row is on one of these: it may write what they reach, and goes first.
    async fn has_guests(&self, hosts: &[ComputeHostId]) -> Result<bool, StoreError> {
        for host in hosts {
            let there = self
                .parts()
                .store
                .read()
                .orphans_at(OrphanPlace::ComputeHost(*host))
                .await?;
            if there.iter().any(|o| o.kind == OrphanKind::Guest) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What of this has no row, and when it lost it.
    async fn without_rows(
        &self,
        kinds: &[OrphanKind],
        seen: Vec<Sighting>,
    ) -> Result<Vec<(Sighting, Option<Timestamp>)>, StoreError> {
        let reader = self.parts().store.read();
        let mut by_kind: HashMap<OrphanKind, Vec<Sighting>> = HashMap::new();
        for sighting in seen {
            by_kind.entry(sighting.kind).or_default().push(sighting);
        }
        let mut unowned = Vec::new();
        for kind in kinds {
            let mut rest = by_kind.remove(kind).unwrap_or_default();
            while !rest.is_empty() {
                let chunk = rest.split_off(rest.len().saturating_sub(ASKED));
                let pairs: Vec<_> = chunk.iter().map(Sighting::pair).collect();
                let owned = reader.with_rows(*kind, &pairs).await?;
                let lost: Vec<_> = chunk
                    .into_iter()
                    .filter(|sighting| !owned.contains(&sighting.pair()))
                    .collect();
                let pairs: Vec<_> = lost.iter().map(Sighting::pair).collect();
                let had = if pairs.is_empty() {
                    HashMap::new()
                } else {
                    reader.had_rows(*kind, &pairs).await?
                };
                unowned.extend(lost.into_iter().map(|sighting| {
                    let removed_at = had.get(&sighting.pair()).copied();
                    (sighting, removed_at)
                }));
            }
        }
        Ok(unowned)
    }

    /// Accepts the operation that removes it, unless one is at work on it.
    async fn propose(&self, site: Site, orphan: Orphan) -> Result<(), StoreError> {
        let parts = self.parts();
        let mut locks = vec![Subject::Orphan(orphan.id)];
        if orphan.kind == OrphanKind::Publication {
            // Whoever could publish it again holds one of these.
            let volume = VolumeId::from_uuid(orphan.object);
            locks.push(Subject::Volume(volume));
            let row = parts.store.read().volume(Scope::All, volume).await?;
            locks.extend(
                row.and_then(|v| v.attachment)
                    .map(|a| Subject::Instance(a.instance)),
            );
        }
        for lock in &locks {
            if parts.store.read().holder_of(*lock).await?.is_some() {
                return Ok(());
            }
        }
        tracing::warn!(orphan = %orphan.id, kind = orphan.kind.as_str(), object = %orphan.object,
            "proposes to remove what no row owns any more");
        let operation = self.operation(site, &orphan);
        let event = NewEvent {
            kind: "orphan.removing".into(),
            operation: Some(operation.id),
            ..found_event(&orphan)
        };
        let commit = Commit {
            fence: Some((site.shard, site.epoch)),
            operation: Some(OperationWrite::Insert {
                operation: Box::new(operation),
                locks,
                preempts: false,
            }),
            events: vec![event],
            ..Commit::default()
        };
        match parts.store.commit(commit).await {
            Ok(_) => Ok(()),
            // Somebody was faster; the next look sees what is then.
            Err(StoreError::Refused(refusal)) => {
                tracing::debug!(%refusal, "a proposal came too late");
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    fn operation(&self, site: Site, orphan: &Orphan) -> Operation {
        let kind = OperationKindName::OrphanRemove;
        let now = self.parts().clock.now();
        Operation {
            id: fresh(self.parts().ids.as_ref()),
            kind,
            version: version_of(kind),
            shard: site.shard,
            epoch: site.epoch,
            project: BUILT_IN_PROJECT,
            subject: Subject::Orphan(orphan.id),
            state: OperationState::Running,
            params: json!(params::OrphanRemove {
                orphan: orphan.clone()
            }),
            journal: Vec::new(),
            progress: 0,
            note: "proposed".into(),
            error: None,
            caller: CALLER.into(),
            due_at: now,
            cancel_requested: false,
            generation: 1,
            created_at: now,
            ended_at: None,
        }
    }
}

/// The orphan as it is after one more sighting.
fn again(
    place: OrphanPlace,
    sighting: Sighting,
    known: Option<Orphan>,
    (removed_at, now): (Option<Timestamp>, Timestamp),
) -> Orphan {
    let (first_seen, observations, reported, known_removal) = known.map_or((now, 0, false, None), |o| {
        (o.first_seen, o.observations, o.reported, o.removed_at)
    });
    Orphan {
        id: Orphan::id_of(place, sighting.kind, sighting.object, sighting.peer),
        kind: sighting.kind,
        place,
        object: sighting.object,
        peer: sighting.peer,
        name: sighting.name.chars().take(NAME).collect(),
        generation: sighting.generation,
        removed_at: removed_at.or(known_removal),
        first_seen,
        last_seen: now,
        observations: observations.saturating_add(1),
        reported,
    }
}

fn found_event(orphan: &Orphan) -> NewEvent {
    let place = match orphan.place {
        OrphanPlace::ComputeHost(_) => "compute-hosts",
        OrphanPlace::StoragePool(_) => "storage-pools",
    };
    NewEvent {
        kind: "orphan.found".into(),
        project: BUILT_IN_PROJECT,
        collection: "orphans",
        resource: orphan.id.uuid(),
        operation: None,
        caller: CALLER.into(),
        data: json!({
            "kind": orphan.kind.as_str(), "place": place, "place_id": orphan.place.uuid(), "object": orphan.object,
            "name": orphan.name, "had_a_row": orphan.removed_at.is_some(),
        }),
    }
}
