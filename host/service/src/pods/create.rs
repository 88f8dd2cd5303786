//! `POST /v1/pods`

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use velum_model::{infrastructure::Pod, tenancy::Caller};
use velum_store::{Change, Commit};

use super::NewPod;
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    write::{administer, own_event},
};

impl Services {
    /// Makes a pod.
    ///
    /// # Errors
    /// The zone does not exist, the gateway is not in the network, the network overlaps another pod's, the name is
    /// taken.
    pub async fn pod_create(
        &self,
        caller: &Caller,
        new: NewPod,
        keyed: Option<Keyed<Pod>>,
    ) -> Result<Answered<Pod>, ServiceError> {
        administer(caller, "pod")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        check_gateway(new.cidr, new.gateway)?;
        let zone = self.zone_named(caller, new.zone, "/zone_id").await?;
        let pod = Pod {
            id: self.fresh(),
            zone: zone.id,
            name: new.name,
            cidr: new.cidr.trunc(),
            gateway: new.gateway,
            dedicated_to: None,
            generation: 1,
            created_at: self.now(),
        };
        let commit = Commit {
            fence: Some(self.fence(zone.shard)?),
            changes: vec![Change::InsertPod(pod.clone())],
            events: vec![own_event(caller, "pod.created", ("pods", pod.id.uuid()))],
            ..Commit::default()
        };
        self.make("store the pod", commit, keyed.as_ref(), pod).await
    }
}

/// A gateway is a host address of its network, and the network has room for one host more.
pub(crate) fn check_gateway(cidr: Ipv4Net, gateway: Ipv4Addr) -> Result<(), ServiceError> {
    if cidr.prefix_len() > 30 || cidr.prefix_len() < 8 {
        return Err(ServiceError::invalid(
            "/cidr",
            format!("a prefix of {} bits is out of range", cidr.prefix_len()),
            "use a network from /8 to /30: it needs room for a gateway and a host",
        ));
    }
    if cidr.trunc() != cidr {
        return Err(ServiceError::invalid(
            "/cidr",
            format!("{cidr} has bits behind its prefix"),
            format!("write {}", cidr.trunc()),
        ));
    }
    if !cidr.contains(&gateway) || gateway == cidr.network() || gateway == cidr.broadcast() {
        return Err(ServiceError::invalid(
            "/gateway",
            format!("{gateway} is not a usable address of {cidr}"),
            "give an address inside the network that is neither its first nor its last",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_lies_inside_its_network() {
        let cidr = |text: &str| text.parse::<Ipv4Net>().expect("a network");
        let at = |last: u8| Ipv4Addr::new(10, 1, 0, last);
        assert!(check_gateway(cidr("10.1.0.0/24"), at(1)).is_ok());
        for (network, gateway) in [
            ("10.1.0.0/24", at(0)),
            ("10.1.0.0/24", at(255)),
            ("10.2.0.0/24", at(1)),
            ("10.1.0.5/24", at(1)),
            ("10.1.0.0/31", at(1)),
            ("0.0.0.0/0", at(1)),
        ] {
            assert!(
                check_gateway(cidr(network), gateway).is_err(),
                "{network} {gateway}"
            );
        }
    }
}
