//! NICs: what the driver wrote against the order.

use velum_model::{
    fault::{Fault, code},
    port::hypervisor::{GuestSpec, NicSpec, registry as guest},
};

use super::{denied, nic_alias};
use crate::xml::element::Element;

/// The NICs against the order; our own elements of them.
pub(super) fn check_all(devices: &Element, order: &GuestSpec) -> Result<Vec<Element>, Fault> {
    let mut left: Vec<&NicSpec> = order.nics.iter().collect();
    let mut checked = Vec::new();
    for nic in devices.children_named("interface") {
        let mac = nic
            .child("mac")
            .and_then(|m| m.attribute("address"))
            .unwrap_or_default();
        let position = left
            .iter()
            .position(|ordered| ordered.mac.eq_ignore_ascii_case(mac))
            .ok_or_else(|| {
                denied(format!(
                    "a NIC with the MAC {mac:?} was not ordered, or stands twice"
                ))
            })?;
        checked.push(check(nic, left.remove(position))?);
    }
    match left.first() {
        Some(nic) => Err(denied(format!("the ordered NIC of slot {} is missing", nic.slot))),
        None => Ok(checked),
    }
}

/// A NIC against its order; our own element of it.
pub(super) fn check(nic: &Element, order: &NicSpec) -> Result<Element, Fault> {
    let (kind, attribute) = match order.kind {
        guest::NIC_BRIDGE => ("bridge", "bridge"),
        guest::NIC_LIBVIRT_NETWORK => ("network", "network"),
        other => {
            return Err(Fault::unchanged(
                code::UNSUPPORTED,
                format!(
                    "NIC of slot {}: this node plugs into bridges and libvirt networks, not kind {other}",
                    order.slot
                ),
            ));
        }
    };
    let mac = nic.child("mac").and_then(|m| m.attribute("address"));
    let source = nic.child("source");
    let fits = nic.attribute("type") == Some(kind)
        && mac.is_some_and(|mac| mac.eq_ignore_ascii_case(&order.mac))
        && source.and_then(|s| s.attribute(attribute)) == Some(order.link.as_str())
        && source.is_some_and(|s| s.attributes.len() == 1);
    if !fits {
        return Err(denied(format!(
            "NIC of slot {}: it must have the MAC {} on the {kind} {:?}",
            order.slot, order.mac, order.link
        )));
    }
    let mut ours = nic.clone();
    ours.drop_children("alias");
    ours.children
        .push(Element::new("alias").with("name", nic_alias(order.slot)));
    Ok(ours)
}
