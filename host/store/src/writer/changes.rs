//! The order in which changes are applied: what goes before what comes, parents before what points to them, deletions
//! of records at the end. One statement a kind.

use serde_json::json;
use uuid::Uuid;

use super::{
    Failure,
    apply::{Transaction, ids},
    records::{stale, taken},
};
use crate::{
    commit::{Change, Refused},
    encode::{bare, claims},
    sql::claims as hot,
};

fn is_hot(change: &Change) -> bool {
    use Change as C;
    matches!(
        change,
        C::InsertInstance(_)
            | C::InstanceState { .. }
            | C::InstanceDecision { .. }
            | C::DeleteInstance(_)
            | C::InsertRun(_)
            | C::ObserveRun { .. }
            | C::DeleteRun(_)
            | C::InsertNic { .. }
            | C::DeleteNic(_)
            | C::InsertVolume(_)
            | C::VolumeReady { .. }
            | C::VolumeState { .. }
            | C::AttachVolume { .. }
            | C::DetachVolume(_)
            | C::DeleteVolume(_)
            | C::InsertPublication(_)
            | C::PublicationReady { .. }
            | C::DeletePublication { .. }
            | C::InsertLayer(_)
            | C::LayerReady { .. }
            | C::DeleteLayer(_)
    )
}

impl Transaction<'_> {
    pub(super) async fn apply_changes(&mut self) -> Result<(), Failure> {
        self.release().await?;
        if self.has(|change| !is_hot(change)) {
            self.write_hierarchy().await?;
            self.write_catalogue().await?;
        }
        self.write_instances().await?;
        self.write_volumes().await?;
        if self.has(|change| matches!(change, Change::Delete { .. })) {
            self.delete_records().await?;
        }
        Ok(())
    }

    /// What goes: first, so that a commit can put something else in its place.
    async fn release(&mut self) -> Result<(), Failure> {
        self.each(&hot::DELETE_PUBLICATION, claims::delete_publication, None)
            .await?;
        self.each(&hot::DELETE_ATTACHMENT, claims::detach, None).await?;
        self.each(&hot::DELETE_NIC, claims::delete_nic, None).await?;
        self.each(&hot::DELETE_ROOT_ATTACHMENT, claims::delete_volume, None)
            .await?;
        for row in self
            .each(&hot::DELETE_VOLUME, claims::delete_volume, None)
            .await?
        {
            let mut columns = row.columns("volume");
            columns.take::<Uuid>("id")?;
            self.claims
                .pools
                .release(columns.take("pool")?, [columns.take("size")?, 0]);
        }
        let mut left = Vec::new();
        for row in self.each(&hot::DELETE_RUN, claims::delete_run, None).await? {
            let mut columns = row.columns("run");
            columns.take::<Uuid>("id")?;
            let (instance, host): (Uuid, Uuid) = (columns.take("instance")?, columns.take("compute_host")?);
            self.claims
                .hosts
                .release(host, [columns.take("vcpus")?, columns.take("memory")?]);
            left.push(json!({ "id": bare(instance), "host": bare(host) }));
        }
        self.run(&hot::INSTANCE_LAST_HOST, left, &[]).await?;
        for row in self.each(&hot::DELETE_LAYER, claims::delete_layer, None).await? {
            let mut columns = row.columns("layer");
            columns.take::<Uuid>("id")?;
            self.claims
                .pools
                .release(columns.take("pool")?, [columns.take("size")?, 0]);
        }
        self.each(&hot::DELETE_INSTANCE, claims::delete_instance, None)
            .await?;
        Ok(())
    }

    /// Instances, runs, NICs.
    async fn write_instances(&mut self) -> Result<(), Failure> {
        self.each(&hot::INSERT_INSTANCE, claims::insert_instance, Some(taken))
            .await?;
        self.each(&hot::INSTANCE_STATE, claims::instance_state, Some(stale))
            .await?;
        self.each(&hot::INSTANCE_DECISION, claims::instance_decision, Some(stale))
            .await?;
        self.each(&hot::INSERT_RUN, claims::insert_run, Some(stale))
            .await?;
        self.each(&hot::OBSERVE_RUN, claims::observe_run, Some(stale))
            .await?;
        let mut runs = Vec::new();
        for (n, commit) in self.alive() {
            for change in &commit.changes {
                if let Change::InsertRun(run) = change {
                    let amounts = [u64::from(run.vcpus), u64::from(run.memory)];
                    runs.push((n, run.compute_host.uuid(), amounts));
                }
            }
        }
        for (n, host, amounts) in runs {
            self.claims.hosts.claim(n, host, amounts);
        }
        let there = ids(
            &self.each(&hot::INSERT_NIC, claims::insert_nic, None).await?,
            "nic",
        )?;
        let owners = self.owners(claims::insert_nic);
        if there.len() < owners.len() {
            let macs = ids(
                &self.each(&hot::MAC_TAKEN, claims::insert_nic, None).await?,
                "nic",
            )?;
            let guilty = owners.into_iter().filter(|(id, _)| !there.contains(id));
            let refused = |id| {
                if macs.contains(&id) {
                    Refused::AddressTaken
                } else {
                    Refused::SlotTaken
                }
            };
            return Err(Failure::Guilty(guilty.map(|(id, n)| (n, refused(id))).collect()));
        }
        self.each(
            &hot::CLAIM_ADDRESS,
            claims::claim_address,
            Some(|_| Refused::AddressTaken),
        )
        .await?;
        Ok(())
    }

    /// Layers, volumes, attachments, publications.
    async fn write_volumes(&mut self) -> Result<(), Failure> {
        let there = ids(
            &self.each(&hot::INSERT_LAYER, claims::insert_layer, None).await?,
            "layer",
        )?;
        self.each(&hot::LAYER_READY, claims::layer_ready, Some(stale))
            .await?;
        self.each(&hot::INSERT_VOLUME, claims::insert_volume, Some(taken))
            .await?;
        let (mut sizes, mut lost) = (Vec::new(), Vec::new());
        for (n, commit) in self.alive() {
            for change in &commit.changes {
                match change {
                    Change::InsertLayer(layer) if there.contains(&layer.id.uuid()) => {
                        sizes.push((n, layer.pool.uuid(), u64::from(layer.size)));
                    }
                    Change::InsertLayer(layer) => lost.push(layer.id.uuid()),
                    Change::InsertVolume(volume) => {
                        sizes.push((n, volume.pool.uuid(), u64::from(volume.size)));
                    }
                    _ => {}
                }
            }
        }
        self.applied.lost_layers.extend(lost);
        for (n, pool, size) in sizes {
            self.claims.pools.claim(n, pool, [size, 0]);
        }
        self.each(
            &hot::INSERT_ATTACHMENT,
            claims::attach,
            Some(|_| Refused::SlotTaken),
        )
        .await?;
        self.each(&hot::VOLUME_READY, claims::volume_ready, Some(stale))
            .await?;
        self.each(&hot::VOLUME_STATE, claims::volume_state, Some(stale))
            .await?;
        self.each(&hot::INSERT_PUBLICATION, claims::insert_publication, Some(stale))
            .await?;
        let ready = self
            .each(&hot::PUBLICATION_READY, claims::publication_ready, None)
            .await?;
        let owners = self.owners(claims::publication_ready);
        let ready = ids(&ready, "publication")?;
        if ready.len() < owners.len() {
            let taken = ids(
                &self
                    .each(&hot::IDENTITY_TAKEN, claims::publication_ready, None)
                    .await?,
                "publication",
            )?;
            let guilty = owners.into_iter().filter(|(id, _)| !ready.contains(id));
            let refused = |id: Uuid| match taken.contains(&id) {
                true => Refused::NameTaken {
                    table: "identity of volume",
                    name: id.to_string(),
                },
                false => Refused::Stale {
                    table: "publication",
                    id,
                },
            };
            return Err(Failure::Guilty(guilty.map(|(id, n)| (n, refused(id))).collect()));
        }
        Ok(())
    }
}
