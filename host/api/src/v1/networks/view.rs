//! A network as it is shown.

use velum_model::{infrastructure::Network, net::LinkKind};
use velum_wire::{NetworkLinkKind, NetworkLinkView, NetworkView};

/// A network as it is shown.
pub fn view(network: &Network) -> NetworkView {
    NetworkView {
        id: network.id.uuid(),
        zone_id: network.zone.uuid(),
        project_id: network.project.uuid(),
        network_offering_id: network.offering.uuid(),
        name: network.name.to_string(),
        cidr: network.cidr.to_string(),
        gateway: network.gateway.to_string(),
        dns: network.dns.iter().map(ToString::to_string).collect(),
        link: NetworkLinkView {
            kind: match network.link.kind {
                LinkKind::Bridge => NetworkLinkKind::Bridge,
                LinkKind::LibvirtNetwork => NetworkLinkKind::LibvirtNetwork,
                LinkKind::NodeBridge => NetworkLinkKind::NodeBridge,
                LinkKind::Simulated => NetworkLinkKind::Simulated,
            },
            name: network.link.name.clone(),
        },
        generation: network.generation,
        created_at: network.created_at.to_string(),
    }
}
