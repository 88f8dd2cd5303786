//! A claimed address as it is shown.

use velum_model::infrastructure::{AddressHolder, IpAddress};
use velum_wire::IpAddressView;

/// A claimed address as it is shown.
pub fn view(address: &IpAddress) -> IpAddressView {
    let (nic_id, compute_host_id) = match address.holder {
        AddressHolder::Nic(nic) => (Some(nic.uuid()), None),
        AddressHolder::ComputeHost(host) => (None, Some(host.uuid())),
    };
    IpAddressView {
        id: address.id.uuid(),
        ip_range_id: address.range.uuid(),
        address: address.address.to_string(),
        project_id: address.project.uuid(),
        nic_id,
        compute_host_id,
        created_at: address.created_at.to_string(),
    }
}
