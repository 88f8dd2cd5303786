//! A NIC as it is shown.

use velum_model::infrastructure::Nic;
use velum_wire::NicView;

/// A NIC as it is shown.
pub fn view(nic: &Nic) -> NicView {
    NicView {
        id: nic.id.uuid(),
        instance_id: nic.instance.uuid(),
        network_id: nic.network.uuid(),
        project_id: nic.project.uuid(),
        slot: nic.slot,
        mac: nic.mac.to_string(),
        address: nic.address.to_string(),
        created_at: nic.created_at.to_string(),
    }
}
