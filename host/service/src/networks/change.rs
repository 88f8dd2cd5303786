//! `PATCH /v1/networks/{id}`

use velum_model::{NetworkId, infrastructure::Network, tenancy::Caller};
use velum_store::{Change, Commit};

use super::{ChangeNetwork, create::check_dns};
use crate::{
    error::ServiceError,
    services::Services,
    write::{event, expect, lost_a_race},
};

impl Services {
    /// Changes a network; guests learn of other resolvers with their next seed.
    ///
    /// # Errors
    /// It does not exist, the name is taken, `expected` is not its generation.
    pub async fn network_change(
        &self,
        caller: &Caller,
        id: NetworkId,
        expected: Option<u64>,
        change: ChangeNetwork,
    ) -> Result<Network, ServiceError> {
        check_dns(change.dns.as_ref().map_or(0, Vec::len))?;
        let mut tries = 0;
        loop {
            let changed = self.network_change_once(caller, id, expected, &change).await;
            if !lost_a_race(&changed, expected, &mut tries) {
                return changed;
            }
        }
    }

    async fn network_change_once(
        &self,
        caller: &Caller,
        id: NetworkId,
        expected: Option<u64>,
        change: &ChangeNetwork,
    ) -> Result<Network, ServiceError> {
        let mut network = self.network_get(caller, id).await?;
        expect("network", id.uuid(), expected, network.generation)?;
        let zone = self.zone_of(network.zone).await?;
        if let Some(name) = &change.name {
            network.name = name.clone();
        }
        if let Some(dns) = &change.dns {
            network.dns = dns.clone();
        }
        let commit = Commit {
            fence: Some(self.fence(zone.shard)?),
            changes: vec![Change::UpdateNetwork(network.clone())],
            events: vec![event(
                caller,
                "network.changed",
                network.project,
                ("networks", id.uuid()),
            )],
            ..Commit::default()
        };
        self.commit("change the network", commit).await?;
        network.generation += 1;
        Ok(network)
    }
}
