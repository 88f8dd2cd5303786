//! The order in which records are applied: the hierarchy from zones down, offerings, templates; and in which they are
//! removed.

use uuid::Uuid;

use super::{
    Failure,
    apply::{Transaction, ids},
    rows::{name_of, row_of},
};
use crate::{
    commit::{Change, Refused, Table},
    db::Statement,
    encode::{Keyed, affinity, bare, hex, records, rest, row},
    sql::{affinity as of_groups, records as sql},
};

/// What a refused insert of a named row means.
pub(super) fn taken(change: &Change) -> Refused {
    let (table, name) = name_of(change).unwrap_or(("row", String::new()));
    Refused::NameTaken { table, name }
}

/// What a refused update means.
pub(super) fn stale(change: &Change) -> Refused {
    let (table, id) = row_of(change);
    Refused::Stale { table, id }
}

impl Transaction<'_> {
    /// The hierarchy down to compute hosts and pools.
    pub(super) async fn write_hierarchy(&mut self) -> Result<(), Failure> {
        let holder = self.holder.to_owned();
        let shard = move |change: &Change| -> Keyed {
            let Change::InsertZone(zone) = change else {
                return None;
            };
            let row = row!({
                "id": hex(zone.shard), "epoch": 1, "holder": holder, "lease_until": 0, "next_seq": 1,
                "retired": 0,
            });
            Some((zone.shard.uuid(), row))
        };
        self.each(&sql::INSERT_SHARD, shard, |change| {
            let (table, id) = row_of(change);
            Refused::Stale { table, id }
        })
        .await?;
        self.each(&sql::INSERT_ZONE, records::insert_zone, taken).await?;
        self.each(&sql::UPDATE_ZONE, records::update_zone, stale).await?;
        self.write_activations().await?;
        self.each(&sql::INSERT_POD, records::insert_pod, taken).await?;
        self.overlaps(&sql::POD_OVERLAPS, "pod", records::new_pod).await?;
        self.each(&sql::UPDATE_POD, records::update_pod, stale).await?;
        self.each(&sql::INSERT_CLUSTER, records::insert_cluster, taken)
            .await?;
        self.each(&sql::UPDATE_CLUSTER, records::update_cluster, stale)
            .await?;
        let rooms = self
            .ask(&sql::CLUSTER_ROOM_FOLLOWS, records::changed_cluster)
            .await?;
        self.note_hosts(&rooms)?;
        self.each(&sql::INSERT_IMAGE_STORE, records::insert_image_store, taken)
            .await?;
        self.each(
            &sql::INSERT_NETWORK_OFFERING,
            rest::insert_network_offering,
            taken,
        )
        .await?;
        self.each(
            &sql::UPDATE_NETWORK_OFFERING,
            rest::update_network_offering,
            stale,
        )
        .await?;
        self.each(&sql::INSERT_NETWORK, records::insert_network, taken)
            .await?;
        self.each(&sql::UPDATE_NETWORK, records::update_network, stale)
            .await?;
        self.each(&sql::INSERT_IP_RANGE, records::insert_ip_range, stale)
            .await?;
        self.overlaps(&sql::RANGE_OUTSIDE, "address range", records::new_ip_range)
            .await?;
        self.overlaps(&sql::RANGE_OVERLAPS, "address range", records::new_ip_range)
            .await?;
        self.write_hosts_and_pools().await
    }

    async fn write_hosts_and_pools(&mut self) -> Result<(), Failure> {
        self.each(&sql::INSERT_COMPUTE_HOST, records::insert_compute_host, taken)
            .await?;
        self.each(&sql::INSERT_HOST_ROOM, records::new_compute_host, stale)
            .await?;
        self.ask(&sql::OBSERVE_COMPUTE_HOST, records::first_observation)
            .await?;
        self.claim_private_addresses().await?;
        self.keep_what_was_before().await?;
        self.each(&sql::UPDATE_COMPUTE_HOST, records::update_compute_host, stale)
            .await?;
        let rooms = self
            .ask(&sql::HOST_ROOM_FOLLOWS, records::changed_compute_host)
            .await?;
        self.note_hosts(&rooms)?;
        self.state_resources().await?;
        // An older report changes nothing, and neither does one of a compute host that is gone.
        self.ask(&sql::OBSERVE_COMPUTE_HOST, records::observe_compute_host)
            .await?;
        self.each(&sql::INSERT_STORAGE_POOL, records::insert_storage_pool, taken)
            .await?;
        self.each(&sql::INSERT_POOL_ROOM, records::new_storage_pool, stale)
            .await?;
        self.each(&sql::UPDATE_STORAGE_POOL, records::update_storage_pool, stale)
            .await?;
        let rooms = self
            .ask(&sql::POOL_ROOM_FOLLOWS, records::changed_storage_pool)
            .await?;
        self.note_pools(&rooms)
    }

    async fn claim_private_addresses(&mut self) -> Result<(), Failure> {
        let owners = self.owners(records::private_address);
        let claimed = ids(
            &self
                .ask(&sql::CLAIM_PRIVATE_ADDRESS, records::private_address)
                .await?,
            "ip_address",
        )?;
        if claimed.len() == owners.len() {
            return Ok(());
        }
        let missing: Vec<_> = owners
            .into_iter()
            .filter(|(id, _)| !claimed.contains(id))
            .collect();
        let asked = missing
            .iter()
            .map(|(id, _)| row!({ "host": bare(*id) }))
            .collect();
        let held = ids(
            &self.run(&sql::PRIVATE_ADDRESS_HELD, asked, &[]).await?,
            "ip_address",
        )?;
        Err(Failure::Guilty(
            missing
                .into_iter()
                .map(|(id, n)| {
                    let nowhere = Refused::MissingReference {
                        table: "compute host",
                        reference: "an address range of the pod with its private address".into(),
                    };
                    (
                        n,
                        if held.contains(&id) {
                            Refused::AddressTaken
                        } else {
                            nowhere
                        },
                    )
                })
                .collect(),
        ))
    }

    /// Offerings, affinity groups and templates.
    pub(super) async fn write_catalogue(&mut self) -> Result<(), Failure> {
        self.each(
            &sql::INSERT_COMPUTE_OFFERING,
            rest::insert_compute_offering,
            taken,
        )
        .await?;
        self.each(
            &sql::UPDATE_COMPUTE_OFFERING,
            rest::update_compute_offering,
            stale,
        )
        .await?;
        self.each(&sql::INSERT_DISK_OFFERING, rest::insert_disk_offering, taken)
            .await?;
        self.each(&sql::UPDATE_DISK_OFFERING, rest::update_disk_offering, stale)
            .await?;
        self.each(&of_groups::INSERT_AFFINITY_GROUP, affinity::insert_group, taken)
            .await?;
        self.each(&of_groups::UPDATE_AFFINITY_GROUP, affinity::update_group, stale)
            .await?;
        self.each(&sql::INSERT_TEMPLATE, records::insert_template, taken)
            .await?;
        self.each(&sql::TEMPLATE_RECEIVED, records::template_received, stale)
            .await?;
        self.each(&sql::TEMPLATE_STATE, records::template_state, stale)
            .await?;
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
        for row in self.ask(statement, new).await? {
            let mut columns = row.columns(table);
            let (id, other): (Uuid, Uuid) = (columns.take("id")?, columns.take("other")?);
            let words: String = columns.take("name")?;
            let Some(owner) = owners.get(&id) else { continue };
            if owners.get(&other).is_none_or(|first| first <= owner) {
                guilty.push((*owner, Refused::Overlap { table, other: words }));
            }
        }
        if guilty.is_empty() {
            Ok(())
        } else {
            Err(Failure::Guilty(guilty))
        }
    }

    /// Removes records, what points to others first.
    pub(super) async fn delete_records(&mut self) -> Result<(), Failure> {
        self.let_plugins_go().await?;
        let order: [(&Statement, Table); 16] = [
            (&of_groups::DELETE_AFFINITY_GROUP, Table::AffinityGroup),
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
            (&sql::DELETE_PUBLISHER, Table::Publisher),
        ];
        for (statement, table) in order {
            self.each(statement, move |change| records::delete(change, table), stale)
                .await?;
        }
        Ok(())
    }
}
