//! What compute hosts and pools say is there.

use std::collections::HashMap;

use uuid::Uuid;
use velum_model::{
    fault::Fault,
    id::*,
    infrastructure::{ComputeHost, StoragePool},
    orphan::OrphanKind,
    port::{
        TargetKind,
        storage::{StorageProvider, VolumeInfo},
        target::Target,
    },
};
use velum_store::StoreError;

use super::Reconciler;
use crate::reconcile::inventory::all_pages;

/// Pages of one pool: a thousand of a thousand volumes.
const PAGES: usize = 1000;

/// Something that was seen.
pub(super) struct Sighting {
    pub(super) kind: OrphanKind,
    pub(super) object: Uuid,
    pub(super) peer: Option<ComputeHostId>,
    pub(super) name: String,
    pub(super) generation: u64,
    /// Compute hosts of ours that reach it, of a volume or publication.
    pub(super) reached_by: Vec<ComputeHostId>,
}

impl Sighting {
    pub(super) fn pair(&self) -> (Uuid, Uuid) {
        (self.object, self.peer.map_or(Uuid::nil(), ComputeHostId::uuid))
    }
}

/// Kinds that were seen completely, and what was seen of them.
pub(super) type Seen = (&'static [OrphanKind], Vec<Sighting>);

impl Reconciler {
    /// What a compute host has, of kinds that were seen completely; none when it cannot be told.
    pub(super) async fn seen_on(&self, host: &ComputeHost) -> Result<Option<Seen>, Fault> {
        let Ok(driver) = self.parts().plugins.hypervisor(&host.driver) else {
            return Ok(None);
        };
        let target = Target {
            kind: TargetKind::ComputeHost,
            id: host.id.uuid(),
            config: host.config.clone(),
            node: host.node.clone(),
            endpoint: host.endpoint.clone(),
            secret: None,
        };
        let inventory = all_pages(driver.as_ref(), &target).await?;
        let inventory = self.reports.judge(host.id, inventory)?;
        if !inventory.complete {
            return Ok(None);
        }
        let guests = inventory.runs.into_iter().map(|observed| Sighting {
            kind: OrphanKind::Guest,
            object: observed.run.uuid(),
            peer: None,
            name: observed.node,
            generation: observed.generation,
            reached_by: Vec::new(),
        });
        let mut seen: Vec<Sighting> = guests.collect();
        let node = host
            .node
            .as_deref()
            .map(|address| self.parts().nodes.node(address))
            .transpose()?;
        let Some(node) = node else {
            return Ok(Some((&[OrphanKind::Guest], seen)));
        };
        let seeds = match node.written_seeds().await {
            Ok(seeds) => seeds,
            Err(fault) => {
                tracing::debug!(host = %host.name, %fault, "a node does not tell its seeds");
                return Ok(Some((&[OrphanKind::Guest], seen)));
            }
        };
        seen.extend(seeds.into_iter().map(|run| Sighting {
            kind: OrphanKind::Seed,
            object: run.uuid(),
            peer: None,
            name: run.to_string(),
            generation: 0,
            reached_by: Vec::new(),
        }));
        Ok(Some((&[OrphanKind::Guest, OrphanKind::Seed], seen)))
    }

    /// Every volume of a pool; none when not all could be seen.
    pub(super) async fn seen_in(&self, pool: &StoragePool) -> Result<Option<Vec<VolumeInfo>>, Fault> {
        let Ok(provider) = self.parts().plugins.storage(&pool.provider) else {
            return Ok(None);
        };
        let target = Target {
            kind: TargetKind::StoragePool,
            id: pool.id.uuid(),
            config: pool.config.clone(),
            node: pool.node.clone(),
            endpoint: pool.endpoint.clone(),
            secret: pool.credential.clone(),
        };
        all_volumes(provider.as_ref(), &target).await
    }

    /// Volumes, and the compute hosts of ours that reach those which have a row. What reaches a volume without one goes
    /// with it, and the movers of images are no compute hosts.
    pub(super) async fn sightings(&self, volumes: Vec<VolumeInfo>) -> Result<Vec<Sighting>, StoreError> {
        let reader = self.parts().store.read();
        let mut hosts: HashMap<ComputeHostId, bool> = HashMap::new();
        let mut seen = Vec::with_capacity(volumes.len());
        for info in volumes {
            let mut reached_by = Vec::new();
            for node in info.published.iter().filter_map(|node| node.parse().ok()) {
                let host = ComputeHostId::from_uuid(node);
                let is_ours = match hosts.get(&host) {
                    Some(known) => *known,
                    None => {
                        let found = reader.compute_host(host).await?.is_some();
                        hosts.insert(host, found);
                        found
                    }
                };
                if is_ours {
                    reached_by.push(host);
                }
            }
            seen.extend(reached_by.iter().map(|host| Sighting {
                kind: OrphanKind::Publication,
                object: info.volume.id,
                peer: Some(*host),
                name: info.volume.backend_id.clone(),
                generation: 0,
                reached_by: vec![*host],
            }));
            seen.push(Sighting {
                kind: OrphanKind::Volume,
                object: info.volume.id,
                peer: None,
                name: info.volume.backend_id,
                generation: 0,
                reached_by,
            });
        }
        Ok(seen)
    }
}

/// Every page of what a provider sees; none unless it says that this is all, and comes to an end.
async fn all_volumes(
    provider: &dyn StorageProvider,
    target: &Target,
) -> Result<Option<Vec<VolumeInfo>>, Fault> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..PAGES {
        let page = provider.observe(target, after.as_deref()).await?;
        all.extend(page.volumes);
        if !page.complete {
            return Ok(None);
        }
        after = page.next;
        if after.is_none() {
            return Ok(Some(all));
        }
    }
    Ok(None)
}
