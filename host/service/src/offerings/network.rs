//! `/v1/network-offerings`

use velum_model::{
    NetworkOfferingId,
    infrastructure::NetworkOffering,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_store::{Change, Commit, Table};

use super::{ChangeNetworkOffering, NewNetworkOffering};
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    write::{Removal, administer, expect, lost_a_race, own_event},
};

impl Services {
    /// Makes a network offering.
    ///
    /// # Errors
    /// The name is taken, or what it refers to does not exist.
    pub async fn network_offering_create(
        &self,
        caller: &Caller,
        new: NewNetworkOffering,
        keyed: Option<Keyed<NetworkOffering>>,
    ) -> Result<Answered<NetworkOffering>, ServiceError> {
        administer(caller, "network offering")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let offering = NetworkOffering {
            id: self.fresh(),
            name: new.name,
            kind: new.kind,
            generation: 1,
            created_at: self.now(),
        };
        let about = ("network-offerings", offering.id.uuid());
        let commit = Commit {
            changes: vec![Change::InsertNetworkOffering(offering.clone())],
            events: vec![own_event(caller, "network-offering.created", about)],
            ..Commit::default()
        };
        self.make("store the network offering", commit, keyed.as_ref(), offering)
            .await
    }

    /// Changes a network offering. What was made from it stays as it is.
    ///
    /// # Errors
    /// It does not exist, the name is taken, `expected` is not its generation.
    pub async fn network_offering_change(
        &self,
        caller: &Caller,
        id: NetworkOfferingId,
        expected: Option<u64>,
        change: ChangeNetworkOffering,
    ) -> Result<NetworkOffering, ServiceError> {
        administer(caller, "network offering")?;
        let mut tries = 0;
        loop {
            let changed = self
                .network_offering_change_once(caller, id, expected, &change)
                .await;
            if !lost_a_race(&changed, expected, &mut tries) {
                return changed;
            }
        }
    }

    async fn network_offering_change_once(
        &self,
        caller: &Caller,
        id: NetworkOfferingId,
        expected: Option<u64>,
        change: &ChangeNetworkOffering,
    ) -> Result<NetworkOffering, ServiceError> {
        let mut offering = self.network_offering_get(caller, id).await?;
        expect("network offering", id.uuid(), expected, offering.generation)?;
        if let Some(name) = &change.name {
            offering.name = name.clone();
        }
        let commit = Commit {
            changes: vec![Change::UpdateNetworkOffering(offering.clone())],
            events: vec![own_event(
                caller,
                "network-offering.changed",
                ("network-offerings", id.uuid()),
            )],
            ..Commit::default()
        };
        self.commit("change the network offering", commit).await?;
        offering.generation += 1;
        Ok(offering)
    }

    /// Removes a network offering that nothing uses any more.
    ///
    /// # Errors
    /// It does not exist, something was made from it, `expected` is not its generation.
    pub async fn network_offering_delete(
        &self,
        caller: &Caller,
        id: NetworkOfferingId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        administer(caller, "network offering")?;
        let offering = self.network_offering_get(caller, id).await?;
        let removal = Removal {
            what: "network offering",
            table: Table::NetworkOffering,
            collection: "network-offerings",
            id: id.uuid(),
            generation: offering.generation,
            project: BUILT_IN_PROJECT,
            shard: None,
        };
        self.remove(caller, expected, removal).await
    }
}
