//! Bodies about networks, checked.

use velum_model::{
    Id, Name,
    net::{Link, LinkKind},
};
use velum_service::{ChangeNetwork, DNS_MAX, NewNetwork};
use velum_wire::{CreateNetworkBody, NetworkLinkBody, NetworkLinkKind, UpdateNetworkBody};

use crate::{error::Answered, take::Fields};

/// The kernel's IFNAMSIZ without its closing zero.
const BRIDGE_NAME_MAX: usize = 15;

/// A network to be made.
pub fn new(body: CreateNetworkBody) -> Answered<NewNetwork> {
    let mut fields = Fields::new();
    let name = fields.name("/name", body.name);
    let cidr = fields.cidr("/cidr", &body.cidr);
    let gateway = fields.address("/gateway", &body.gateway);
    let dns = fields.addresses("/dns", &body.dns, DNS_MAX);
    let link = link(&mut fields, body.link);
    let new = match (name.zip(link), cidr, gateway, dns) {
        (Some((name, link)), Some(cidr), Some(gateway), Some(dns)) => Some(NewNetwork {
            zone: Id::from_uuid(body.zone_id),
            offering: Id::from_uuid(body.network_offering_id),
            name,
            cidr,
            gateway,
            dns,
            link,
        }),
        _ => None,
    };
    fields.answer(new)
}

/// What is to change of one.
pub fn change(body: UpdateNetworkBody) -> Answered<ChangeNetwork> {
    let mut fields = Fields::new();
    let name = fields.name_if("/name", body.name);
    let dns = body.dns.and_then(|dns| fields.addresses("/dns", &dns, DNS_MAX));
    fields.answer(Some(ChangeNetwork { name, dns }))
}

/// The name lands in commands and domain XML of a compute host: nothing but a plain name passes.
fn link(fields: &mut Fields, body: NetworkLinkBody) -> Option<Link> {
    let kind = match body.kind {
        NetworkLinkKind::Bridge => LinkKind::Bridge,
        NetworkLinkKind::LibvirtNetwork => LinkKind::LibvirtNetwork,
        NetworkLinkKind::NodeBridge => LinkKind::NodeBridge,
        NetworkLinkKind::Simulated => LinkKind::Simulated,
    };
    let is_bridge = matches!(kind, LinkKind::Bridge | LinkKind::NodeBridge);
    if is_bridge && body.name.len() > BRIDGE_NAME_MAX {
        fields.refuse(
            "/link/name",
            format!("a bridge's name has at most {BRIDGE_NAME_MAX} characters"),
        );
        return None;
    }
    let name: Name = fields.name("/link/name", body.name)?;
    Some(Link {
        kind,
        name: name.into(),
    })
}
