//! The order in which changes are applied: what goes before what comes, parents before what points to them, deletions
//! of records at the end. One statement a kind.

use serde_json::json;
use uuid::Uuid;

use super::{
    Failure,
    apply::{Transaction, ids},
};
use crate::{
    commit::{Change, Refused, Table},
    db::Statement,
    encode::{Keyed, bare, claims, hex, records, rest},
    sql::{claims as hot, records as sql},
};

fn is_hot(change: &Change) -> bool {
    use Change as C;
    matches!(
        change,
        C::InsertInstance(_) | C::InstanceState { .. } | C::InstanceDecision { .. } | C::DeleteInstance(_)
            | C::InsertRun(_) | C::ObserveRun { .. } | C::DeleteRun(_) | C::InsertNic { .. } | C::DeleteNic(_)
            | C::InsertVolume(_) | C::VolumeReady { .. } | C::VolumeState { .. } | C::AttachVolume { .. }
            | C::DetachVolume(_) | C::DeleteVolume(_) | C::InsertPublication(_) | C::PublicationReady { .. }
            | C::DeletePublication { .. } | C::InsertLayer(_) | C::LayerReady { .. } | C::DeleteLayer(_)
    )
}

/// What a refused insert of a named row means.
fn taken(change: &Change) -> Refused {
    let (table, name) = super::diagnose::name_of(change).unwrap_or(("row", String::new()));
    Refused::NameTaken { table, name }
}

/// What a refused update means.
fn stale(change: &Change) -> Refused {
    let (table, id) = super::diagnose::row_of(change);
    Refused::Stale { table, id }
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
        self.each(&hot::DELETE_PUBLICATION, claims::delete_publication, None).await?;
        self.each(&hot::DELETE_ATTACHMENT, claims::detach, None).await?;
        self.each(&hot::DELETE_NIC, claims::delete_nic, None).await?;
        self.each(&hot::DELETE_ROOT_ATTACHMENT, claims::delete_volume, None).await?;
        for row in self.each(&hot::DELETE_VOLUME, claims::delete_volume, None).await? {
            let mut columns = row.columns("volume");
            columns.take::<Uuid>("id")?;
            self.claims.pools.release(columns.take("pool")?, [columns.take("size")?, 0]);
        }
        let mut left = Vec::new();
        for row in self.each(&hot::DELETE_RUN, claims::delete_run, None).await? {
            let mut columns = row.columns("run");
            columns.take::<Uuid>("id")?;
            let (instance, host): (Uuid, Uuid) = (columns.take("instance")?, columns.take("compute_host")?);
            self.claims.hosts.release(host, [columns.take("vcpus")?, columns.take("memory")?]);
            left.push(json!({ "id": bare(instance), "host": bare(host) }));
        }
        self.run(&hot::INSTANCE_LAST_HOST, left, &[]).await?;
        for row in self.each(&hot::DELETE_LAYER, claims::delete_layer, None).await? {
            let mut columns = row.columns("layer");
            columns.take::<Uuid>("id")?;
            self.claims.pools.release(columns.take("pool")?, [columns.take("size")?, 0]);
        }
        self.each(&hot::DELETE_INSTANCE, claims::delete_instance, None).await?;
        Ok(())
    }

    /// Plugins, policies, and the hierarchy down to compute hosts and pools.
    async fn write_hierarchy(&mut self) -> Result<(), Failure> {
        self.each(&sql::INSERT_PLUGIN, rest::insert_plugin, Some(taken)).await?;
        self.each(&sql::INSERT_POLICY, rest::insert_policy, Some(taken)).await?;
        self.each(&sql::UPDATE_POLICY, rest::update_policy, Some(stale)).await?;
        let (holder, lease_until) = (self.holder.to_owned(), self.lease_until);
        let shard = move |change: &Change| -> Keyed {
            let Change::InsertZone(zone) = change else { return None };
            let row = json!({
                "id": hex(zone.shard), "epoch": 1, "holder": holder, "lease_until": lease_until, "next_seq": 1,
                "retired": 0,
            });
            Some((zone.shard.uuid(), row))
        };
        self.each(&sql::INSERT_SHARD, shard, Some(|change| {
            let (table, id) = super::diagnose::row_of(change);
            Refused::Stale { table, id }
        })).await?;
        self.each(&sql::INSERT_ZONE, records::insert_zone, Some(taken)).await?;
        self.each(&sql::UPDATE_ZONE, records::update_zone, Some(stale)).await?;
        self.each(&sql::INSERT_POD, records::insert_pod, Some(taken)).await?;
        self.overlaps(&sql::POD_OVERLAPS, "pod", records::new_pod).await?;
        self.each(&sql::UPDATE_POD, records::update_pod, Some(stale)).await?;
        self.each(&sql::INSERT_CLUSTER, records::insert_cluster, Some(taken)).await?;
        self.each(&sql::UPDATE_CLUSTER, records::update_cluster, Some(stale)).await?;
        let rooms = self.each(&sql::CLUSTER_ROOM_FOLLOWS, records::changed_cluster, None).await?;
        self.note_hosts(&rooms)?;
        self.each(&sql::INSERT_IMAGE_STORE, records::insert_image_store, Some(taken)).await?;
        self.each(&sql::INSERT_NETWORK_OFFERING, rest::insert_network_offering, Some(taken)).await?;
        self.each(&sql::UPDATE_NETWORK_OFFERING, rest::update_network_offering, Some(stale)).await?;
        self.each(&sql::INSERT_NETWORK, records::insert_network, Some(taken)).await?;
        self.each(&sql::UPDATE_NETWORK, records::update_network, Some(stale)).await?;
        self.each(&sql::INSERT_IP_RANGE, records::insert_ip_range, Some(stale)).await?;
        self.overlaps(&sql::RANGE_OUTSIDE, "address range", records::new_ip_range).await?;
        self.overlaps(&sql::RANGE_OVERLAPS, "address range", records::new_ip_range).await?;
        self.write_hosts_and_pools().await
    }

    async fn write_hosts_and_pools(&mut self) -> Result<(), Failure> {
        self.each(&sql::INSERT_COMPUTE_HOST, records::insert_compute_host, Some(taken)).await?;
        self.each(&sql::INSERT_HOST_ROOM, records::new_compute_host, Some(stale)).await?;
        self.each(&sql::OBSERVE_COMPUTE_HOST, records::first_observation, None).await?;
        self.claim_private_addresses().await?;
        self.each(&sql::UPDATE_COMPUTE_HOST, records::update_compute_host, Some(stale)).await?;
        let rooms = self.each(&sql::HOST_ROOM_FOLLOWS, records::changed_compute_host, None).await?;
        self.note_hosts(&rooms)?;
        // An older report changes nothing, and neither does one of a compute host that is gone.
        self.each(&sql::OBSERVE_COMPUTE_HOST, records::observe_compute_host, None).await?;
        self.each(&sql::INSERT_STORAGE_POOL, records::insert_storage_pool, Some(taken)).await?;
        self.each(&sql::INSERT_POOL_ROOM, records::new_storage_pool, Some(stale)).await?;
        self.each(&sql::UPDATE_STORAGE_POOL, records::update_storage_pool, Some(stale)).await?;
        let rooms = self.each(&sql::POOL_ROOM_FOLLOWS, records::changed_storage_pool, None).await?;
        self.note_pools(&rooms)
    }

    async fn claim_private_addresses(&mut self) -> Result<(), Failure> {
        let owners = self.owners(records::private_address);
        let claimed = ids(
            &self.each(&sql::CLAIM_PRIVATE_ADDRESS, records::private_address, None).await?,
            "ip_address",
        )?;
        if claimed.len() == owners.len() {
            return Ok(());
        }
        let missing: Vec<_> = owners.into_iter().filter(|(id, _)| !claimed.contains(id)).collect();
        let asked = missing.iter().map(|(id, _)| json!({ "host": bare(*id) })).collect();
        let held = ids(&self.run(&sql::PRIVATE_ADDRESS_HELD, asked, &[]).await?, "ip_address")?;
        Err(Failure::Guilty(
            missing
                .into_iter()
                .map(|(id, n)| {
                    let nowhere = Refused::MissingReference {
                        table: "compute host",
                        reference: "an address range of the pod with its private address".into(),
                    };
                    (n, if held.contains(&id) { Refused::AddressTaken } else { nowhere })
                })
                .collect(),
        ))
    }

    /// Offerings and templates.
    async fn write_catalogue(&mut self) -> Result<(), Failure> {
        self.each(&sql::INSERT_COMPUTE_OFFERING, rest::insert_compute_offering, Some(taken)).await?;
        self.each(&sql::UPDATE_COMPUTE_OFFERING, rest::update_compute_offering, Some(stale)).await?;
        self.each(&sql::INSERT_DISK_OFFERING, rest::insert_disk_offering, Some(taken)).await?;
        self.each(&sql::UPDATE_DISK_OFFERING, rest::update_disk_offering, Some(stale)).await?;
        self.each(&sql::INSERT_TEMPLATE, records::insert_template, Some(taken)).await?;
        self.each(&sql::TEMPLATE_RECEIVED, records::template_received, Some(stale)).await?;
        self.each(&sql::TEMPLATE_STATE, records::template_state, Some(stale)).await?;
        Ok(())
    }

    /// Refuses new rows that a query finds in the way of others: the later one of two new ones.
    async fn overlaps(
        &mut self,
        statement: &Statement,
        table: &'static str,
        new: fn(&Change) -> Keyed,
    ) -> Result<(), Failure> {
        let owners = self.owners(new);
        let mut guilty = Vec::new();
        for row in self.each(statement, new, None).await? {
            let mut columns = row.columns(table);
            let (id, other): (Uuid, Uuid) = (columns.take("id")?, columns.take("other")?);
            let words: String = columns.take("name")?;
            let Some(owner) = owners.get(&id) else { continue };
            if owners.get(&other).is_none_or(|first| first <= owner) {
                guilty.push((*owner, Refused::Overlap { table, other: words }));
            }
        }
        if guilty.is_empty() { Ok(()) } else { Err(Failure::Guilty(guilty)) }
    }

    /// Instances, runs, NICs.
    async fn write_instances(&mut self) -> Result<(), Failure> {
        self.each(&hot::INSERT_INSTANCE, claims::insert_instance, Some(taken)).await?;
        self.each(&hot::INSTANCE_STATE, claims::instance_state, Some(stale)).await?;
        self.each(&hot::INSTANCE_DECISION, claims::instance_decision, Some(stale)).await?;
        self.each(&hot::INSERT_RUN, claims::insert_run, Some(stale)).await?;
        self.each(&hot::OBSERVE_RUN, claims::observe_run, Some(stale)).await?;
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
        let there = ids(&self.each(&hot::INSERT_NIC, claims::insert_nic, None).await?, "nic")?;
        let owners = self.owners(claims::insert_nic);
        if there.len() < owners.len() {
            let macs = ids(&self.each(&hot::MAC_TAKEN, claims::insert_nic, None).await?, "nic")?;
            let guilty = owners.into_iter().filter(|(id, _)| !there.contains(id));
            let refused = |id| if macs.contains(&id) { Refused::AddressTaken } else { Refused::SlotTaken };
            return Err(Failure::Guilty(guilty.map(|(id, n)| (n, refused(id))).collect()));
        }
        self.each(&hot::CLAIM_ADDRESS, claims::claim_address, Some(|_| Refused::AddressTaken)).await?;
        Ok(())
    }

    /// Layers, volumes, attachments, publications.
    async fn write_volumes(&mut self) -> Result<(), Failure> {
        let there = ids(&self.each(&hot::INSERT_LAYER, claims::insert_layer, None).await?, "layer")?;
        self.each(&hot::LAYER_READY, claims::layer_ready, Some(stale)).await?;
        self.each(&hot::INSERT_VOLUME, claims::insert_volume, Some(taken)).await?;
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
        self.each(&hot::INSERT_ATTACHMENT, claims::attach, Some(|_| Refused::SlotTaken)).await?;
        self.each(&hot::VOLUME_READY, claims::volume_ready, Some(stale)).await?;
        self.each(&hot::VOLUME_STATE, claims::volume_state, Some(stale)).await?;
        self.each(&hot::INSERT_PUBLICATION, claims::insert_publication, Some(stale)).await?;
        let ready = self.each(&hot::PUBLICATION_READY, claims::publication_ready, None).await?;
        let owners = self.owners(claims::publication_ready);
        let ready = ids(&ready, "publication")?;
        if ready.len() < owners.len() {
            let taken = ids(&self.each(&hot::IDENTITY_TAKEN, claims::publication_ready, None).await?, "publication")?;
            let guilty = owners.into_iter().filter(|(id, _)| !ready.contains(id));
            let refused = |id: Uuid| match taken.contains(&id) {
                true => Refused::NameTaken { table: "identity of volume", name: id.to_string() },
                false => Refused::Stale { table: "publication", id },
            };
            return Err(Failure::Guilty(guilty.map(|(id, n)| (n, refused(id))).collect()));
        }
        Ok(())
    }

    /// Removes records, what points to others first.
    async fn delete_records(&mut self) -> Result<(), Failure> {
        let order: [(&Statement, Table); 14] = [
            (&sql::DELETE_STORAGE_POOL, Table::StoragePool),
            (&sql::DELETE_TEMPLATE, Table::Template),
            (&sql::DELETE_COMPUTE_HOST, Table::ComputeHost),
            (&sql::DELETE_IP_RANGE, Table::IpRange),
            (&sql::DELETE_NETWORK, Table::Network),
            (&sql::DELETE_IMAGE_STORE, Table::ImageStore),
            (&sql::DELETE_CLUSTER, Table::Cluster),
            (&sql::DELETE_POD, Table::Pod),
            (&sql::DELETE_ZONE, Table::Zone),
            (&sql::DELETE_COMPUTE_OFFERING, Table::ComputeOffering),
            (&sql::DELETE_DISK_OFFERING, Table::DiskOffering),
            (&sql::DELETE_NETWORK_OFFERING, Table::NetworkOffering),
            (&sql::DELETE_POLICY, Table::Policy),
            (&sql::DELETE_PLUGIN, Table::Plugin),
        ];
        for (statement, table) in order {
            self.each(statement, move |change| records::delete(change, table), Some(stale)).await?;
        }
        Ok(())
    }
}
