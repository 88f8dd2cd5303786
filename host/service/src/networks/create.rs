//! `POST /v1/networks`

use velum_model::{
    infrastructure::Network,
    net::{Link, LinkKind},
    tenancy::Caller,
};
use velum_store::{Change, Commit};

use super::{DNS_MAX, NewNetwork};
use crate::{
    error::ServiceError,
    pods::check_gateway,
    request::{Answered, Keyed},
    services::Services,
    write::{administer, event, no_such},
};

/// Names of bridges: the kernel's IFNAMSIZ without its final zero.
const BRIDGE_NAME_MAX: usize = 15;
/// Names of other links: what libvirt and far sides take without trouble.
const LINK_NAME_MAX: usize = 63;

impl Services {
    /// Makes a network.
    ///
    /// # Errors
    /// Zone or offering do not exist, the gateway is not in the network, the link's name cannot be one, the name is
    /// taken.
    pub async fn network_create(
        &self,
        caller: &Caller,
        new: NewNetwork,
        keyed: Option<Keyed<Network>>,
    ) -> Result<Answered<Network>, ServiceError> {
        administer(caller, "network")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        check_gateway(new.cidr, new.gateway)?;
        check_dns(new.dns.len())?;
        check_link(&new.link)?;
        let zone = self.zone_named(caller, new.zone, "/zone_id").await?;
        let offering = self.read().network_offering(new.offering).await;
        offering
            .map_err(|error| ServiceError::from_store("read the network offering", error))?
            .ok_or_else(|| no_such("/network_offering_id", "network offering", new.offering))?;
        let network = Network {
            id: self.fresh(),
            zone: zone.id,
            project: caller.scope.project(),
            offering: new.offering,
            name: new.name,
            cidr: new.cidr,
            gateway: new.gateway,
            dns: new.dns,
            link: new.link,
            generation: 1,
            created_at: self.now(),
        };
        let about = ("networks", network.id.uuid());
        let commit = Commit {
            fence: Some(self.fence(zone.shard)?),
            changes: vec![Change::InsertNetwork(network.clone())],
            events: vec![event(caller, "network.created", network.project, about)],
            ..Commit::default()
        };
        self.make("store the network", commit, keyed.as_ref(), network)
            .await
    }
}

pub(super) fn check_dns(count: usize) -> Result<(), ServiceError> {
    if count > DNS_MAX {
        let problem = format!("{count} resolvers are more than {DNS_MAX}");
        return Err(ServiceError::invalid("/dns", problem, "leave some out"));
    }
    Ok(())
}

fn check_link(link: &Link) -> Result<(), ServiceError> {
    let max = match link.kind {
        LinkKind::Bridge | LinkKind::NodeBridge => BRIDGE_NAME_MAX,
        LinkKind::LibvirtNetwork | LinkKind::Simulated => LINK_NAME_MAX,
    };
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let starts_well = link
        .name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    if starts_well && link.name.len() <= max && link.name.bytes().all(fits) {
        return Ok(());
    }
    Err(ServiceError::invalid(
        "/link/name",
        format!(
            "it has 1 to {max} characters out of a-z, A-Z, 0-9, '.', '_' and '-', the first a letter or a digit"
        ),
        "give the name of the bridge or network as the compute host knows it",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_has_a_name_that_the_kernel_takes() {
        let bridge = |name: &str| Link {
            kind: LinkKind::NodeBridge,
            name: name.into(),
        };
        assert!(check_link(&bridge("velum-br0")).is_ok());
        for bad in ["", "-br0", "a/b", "sixteen-letters-", "br 0"] {
            assert!(check_link(&bridge(bad)).is_err(), "{bad}");
        }
    }
}
