//! `POST /v1/ip-ranges`

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use velum_model::{
    ZoneId,
    infrastructure::{IpRange, IpRangeUse},
    net::{AddressRange, AddressRangeError},
    tenancy::Caller,
};
use velum_store::{Change, Commit};

use super::NewIpRange;
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    write::{administer, no_such, own_event},
};

impl Services {
    /// Gives addresses to a network (for guests) or a pod (for management).
    ///
    /// # Errors
    /// The network or pod does not exist, the range is not inside it, holds its gateway or overlaps another one.
    pub async fn ip_range_create(
        &self,
        caller: &Caller,
        new: NewIpRange,
        keyed: Option<Keyed<IpRange>>,
    ) -> Result<Answered<IpRange>, ServiceError> {
        administer(caller, "ip range")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let (zone, cidr, gateway) = self.home_of(caller, new.used_for).await?;
        let range = AddressRange::new(new.first, new.last, cidr).map_err(|error| wrong(&error, &new))?;
        if range.contains(gateway) {
            let field = if gateway == new.last { "/last" } else { "/first" };
            return Err(ServiceError::invalid(
                field,
                format!("the range holds the gateway {gateway}"),
                "begin it behind the gateway or end it before",
            ));
        }
        let zone = self.zone_get(caller, zone).await?;
        let row = IpRange {
            id: self.fresh(),
            zone: zone.id,
            used_for: new.used_for,
            range,
            claimed: 0,
            generation: 1,
            created_at: self.now(),
        };
        let commit = Commit {
            fence: Some(self.fence(zone.shard)?),
            changes: vec![Change::InsertIpRange(row.clone())],
            events: vec![own_event(
                caller,
                "ip-range.created",
                ("ip-ranges", row.id.uuid()),
            )],
            ..Commit::default()
        };
        self.make("store the range", commit, keyed.as_ref(), row).await
    }

    async fn home_of(
        &self,
        caller: &Caller,
        used_for: IpRangeUse,
    ) -> Result<(ZoneId, Ipv4Net, Ipv4Addr), ServiceError> {
        let failed = |error| ServiceError::from_store("read what the range is for", error);
        match used_for {
            IpRangeUse::Public(id) => {
                let network = self.read().network(caller.scope, id).await.map_err(failed)?;
                let network = network.ok_or_else(|| no_such("/network_id", "network", id))?;
                Ok((network.zone, network.cidr, network.gateway))
            }
            IpRangeUse::Private(id) => {
                let pod = self.read().pod(id).await.map_err(failed)?;
                let pod = pod.ok_or_else(|| no_such("/pod_id", "pod", id))?;
                Ok((pod.zone, pod.cidr, pod.gateway))
            }
        }
    }
}

fn wrong(error: &AddressRangeError, new: &NewIpRange) -> ServiceError {
    let field = match error {
        AddressRangeError::Outside { address, .. } if *address == new.first => "/first",
        _ => "/last",
    };
    ServiceError::invalid(
        field,
        error.to_string(),
        "give host addresses of the network, the first not behind the last",
    )
}
