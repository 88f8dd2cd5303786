//! A disk that is a unit of iSCSI: what the driver wrote against the order, and our own text of its source.
//!
//! The driver names the target, the unit and the portal, and by name the secret that the attachment names. The node adds
//! its own initiator, and has libvirt look for the secret under a name of its own, which is there only while a call opens
//! the disk.

use velum_model::{
    fault::{Fault, code},
    iscsi::IscsiUnit,
    port::{hypervisor::Disk, storage::registry},
};

use super::{Place, denied, disk_alias};
use crate::{libvirt, xml::element::Element};

/// The unit of an ordered disk; none when it is of another kind.
pub(super) fn unit_of(order: &Disk) -> Result<Option<IscsiUnit>, Fault> {
    if order.attachment.kind != registry::ATTACH_ISCSI {
        return Ok(None);
    }
    IscsiUnit::of(&order.attachment).map(Some).map_err(|why| {
        Fault::unchanged(
            code::INVALID,
            format!("disk of slot {}: the attachment's parameters: {why}", order.slot),
        )
    })
}

/// Our own source of the disk, when the driver's says the same.
///
/// # Errors
/// `DENIED` names what was not ordered.
pub(super) fn source(
    disk: &Element,
    order: &Disk,
    unit: &IscsiUnit,
    place: Place<'_>,
) -> Result<Element, Fault> {
    let refuse = |what: String| Err(denied(format!("disk of slot {}: {what}", order.slot)));
    let given = disk.child("source");
    let says = |element: Option<&Element>, wanted: &[(&str, &str)]| {
        element.is_some_and(|element| {
            element.attributes.len() == wanted.len()
                && wanted
                    .iter()
                    .all(|(name, value)| element.attribute(name) == Some(*value))
        })
    };
    let path = unit.path();
    if !says(given, &[("protocol", "iscsi"), ("name", &path)]) {
        return refuse(format!("its source must be the unit {path:?} of iSCSI"));
    }
    let (address, port) = (unit.portal.ip().to_string(), unit.portal.port().to_string());
    let host = given.and_then(|source| source.child("host"));
    if !says(host, &[("name", &address), ("port", &port)]) {
        return refuse(format!("its portal must be {}", unit.portal));
    }
    let mut ours = Element::new("source")
        .with("protocol", "iscsi")
        .with("name", path)
        .holding(Element::new("host").with("name", address).with("port", port))
        .holding(Element::new("initiator").holding(Element::new("iqn").with("name", place.initiator)));
    let auth = given.and_then(|source| source.child("auth"));
    match (&unit.user, &order.attachment.secret) {
        (Some(user), Some(secret)) => {
            let named = auth.and_then(|auth| auth.child("secret"));
            if !says(auth, &[("username", user)]) || !says(named, &[("type", "iscsi"), ("usage", secret)]) {
                return refuse(format!("it must log in as {user} with the secret {secret}"));
            }
            let usage = libvirt::usage(place.run.uuid(), &disk_alias(order.slot));
            ours = ours.holding(
                Element::new("auth")
                    .with("username", user)
                    .holding(Element::new("secret").with("type", "iscsi").with("usage", usage)),
            );
        }
        _ if auth.is_some() => return refuse("no secret was ordered for it".to_owned()),
        _ => {}
    }
    Ok(ours)
}
