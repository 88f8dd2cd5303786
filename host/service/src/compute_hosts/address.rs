//! Which private address a compute host gets.

use std::{collections::HashSet, net::Ipv4Addr, sync::Arc};

use parking_lot::Mutex;
use velum_model::{
    id::PodId,
    infrastructure::{ComputeHost, IpRangeUse},
    page::Page,
};
use velum_store::IpRangeFilter;

use crate::{error::ServiceError, services::Services};

/// How often another private address is tried when one was taken meanwhile. Hosts that come at once do not meet
/// ([`PrivateAddresses`]): what is left is a request that was given up while its row was written, and an address that
/// somebody asks for by name.
pub(super) const ADDRESS_TRIES: u32 = 8;

/// Addresses of hosts whose rows are being written: whoever chooses passes them by, so that any number of hosts can be
/// registered at once. The last guard is the row's own constraint.
#[derive(Clone, Default)]
pub(crate) struct PrivateAddresses {
    /// One chooses at a time, between its reading of what is claimed and its promise.
    turn: Arc<tokio::sync::Mutex<()>>,
    promised: Arc<Mutex<HashSet<(PodId, Ipv4Addr)>>>,
}

/// An address that is nobody else's until this is dropped.
pub(super) struct Promise {
    of: PrivateAddresses,
    pod: PodId,
    address: Ipv4Addr,
}

impl Promise {
    pub(super) const fn address(&self) -> Ipv4Addr {
        self.address
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.of.promised.lock().remove(&(self.pod, self.address));
    }
}

impl PrivateAddresses {
    /// Nothing if it is promised already.
    fn promise(&self, pod: PodId, address: Ipv4Addr) -> Option<Promise> {
        let is_new = self.promised.lock().insert((pod, address));
        is_new.then(|| Promise {
            of: self.clone(),
            pod,
            address,
        })
    }
}

impl Services {
    /// The address that is wanted, or the lowest free one of the host's pod; nothing if the pod has no addresses.
    pub(super) async fn private_address(
        &self,
        host: &ComputeHost,
        wanted: Option<Ipv4Addr>,
    ) -> Result<Option<Promise>, ServiceError> {
        let failed = |error| ServiceError::from_store("read the pod's addresses", error);
        let reader = self.read();
        let of_pod = IpRangeFilter {
            pod: Some(host.pod),
            ..IpRangeFilter::default()
        };
        let page = Page {
            limit: Page::MAX_LIMIT,
            after: None,
        };
        let ranges = reader.ip_ranges(&of_pod, page).await.map_err(failed)?.items;
        if let Some(address) = wanted {
            if !ranges.iter().any(|range| range.range.contains(address)) {
                return Err(unfit(
                    format!("{address} is in no private range of the pod"),
                    "add a range to the pod (POST /v1/ip-ranges), or leave the address out",
                ));
            }
            let promise = self.private_addresses().promise(host.pod, address);
            let taken = || {
                let hint = "choose another, or leave it out to get a free one";
                unfit(format!("{address} is taken"), hint)
            };
            return promise.map(Some).ok_or_else(taken);
        }
        let addresses = self.private_addresses();
        let _turn = addresses.turn.lock().await;
        // Taken before the claims are read: a promise that ends in between has become a claim, or is free and waits for
        // the next who chooses.
        let promised = addresses.promised.lock().clone();
        for range in &ranges {
            let claimed = reader.claimed_addresses(range.id).await.map_err(failed)?;
            let claimed: HashSet<_> = claimed.into_iter().collect();
            let first = u32::from(range.range.first);
            let last = u32::from(range.range.last);
            let free = (first..=last)
                .map(Ipv4Addr::from)
                .filter(|address| !claimed.contains(address) && !promised.contains(&(host.pod, *address)))
                .find_map(|address| addresses.promise(host.pod, address));
            if free.is_some() {
                return Ok(free);
            }
        }
        match ranges.first().map(|range| range.used_for) {
            Some(IpRangeUse::Private(_)) => {
                let pod = reader.pod(host.pod).await.map_err(failed)?;
                Err(ServiceError::NoAddresses {
                    what: "pod",
                    id: host.pod.uuid(),
                    name: pod.map_or_else(|| host.pod.to_string(), |pod| pod.name.to_string()),
                })
            }
            _ => Ok(None),
        }
    }
}

fn unfit(problem: String, hint: &str) -> ServiceError {
    ServiceError::invalid("/private_address", problem, hint)
}
