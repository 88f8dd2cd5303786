//! The comparison of a driver's text with what it was ordered to make, and our own text of both.

use std::{collections::BTreeSet, path::Path};

use sha2::{Digest as _, Sha256};
use velum_connector::message::libvirt::DeviceOrder;
use velum_model::{
    fault::{Fault, code},
    id::RunId,
    port::{
        hypervisor::{Disk, GuestSpec, RunHandle, registry as guest},
        storage::registry as volume,
        target::{Attr, AttrValue},
    },
};

use super::{TAG_NAMESPACE, element::Element, model};

mod iscsi;
mod nic;

/// What the node itself decides about a domain.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Whose domain it is.
    pub run: RunId,
    /// The name under which storage knows this machine.
    pub initiator: &'a str,
    /// Where the serial console is logged.
    pub console_log: &'a Path,
    /// Where the seed of this run lies, if it has one.
    pub seed: &'a Path,
    /// Whether a disk may lie at a path: inside the directories that this node was given.
    pub may_use: &'a dyn Fn(&Path) -> Result<(), Fault>,
}

/// Alias of the disk in a slot.
#[must_use]
pub fn disk_alias(slot: u16) -> String {
    format!("ua-disk-{slot}")
}

/// Alias of the NIC in a slot.
#[must_use]
pub fn nic_alias(slot: u16) -> String {
    format!("ua-nic-{slot}")
}

/// Alias of the seed.
pub const SEED_ALIAS: &str = "ua-seed";

/// Name of a run's domain.
#[must_use]
pub fn domain_name(run: RunHandle) -> String {
    format!("velum-{}", run.id)
}

/// Digest of an order, as it stands in the tag.
#[must_use]
pub fn digest(order: &GuestSpec) -> String {
    // An order came as JSON and goes as JSON: this cannot fail; if it did, all such orders would look alike and be
    // defined anew, which is harmless.
    hex::encode(Sha256::digest(serde_json::to_vec(order).unwrap_or_default()))
}

fn denied(what: impl Into<String>) -> Fault {
    Fault::unchanged(code::DENIED, what)
}

/// Our text of the domain that the driver's text means, when it is what was ordered.
///
/// # Errors
/// `DENIED` or `INVALID` names what is not known, not ordered or missing. Nothing changed.
pub fn domain(run: RunHandle, xml: &str, order: &GuestSpec, place: Place<'_>) -> Result<String, Fault> {
    let mut domain = Element::read(xml).map_err(|e| Fault::unchanged(code::INVALID, e.to_string()))?;
    model::check(&domain, "").map_err(denied)?;
    check_size(run, &domain, order)?;
    let tag = tag(run, &domain, order)?;
    let mut devices = domain
        .child("devices")
        .cloned()
        .ok_or_else(|| denied("the domain has no <devices>"))?;
    let disks = check_disks(&devices, order, place)?;
    let nics = nic::check_all(&devices, order)?;
    // Consoles are the node's: a log of its own, and nothing else.
    for ours in ["disk", "interface", "serial", "console"] {
        devices.drop_children(ours);
    }
    devices.children.extend(disks);
    devices.children.extend(nics);
    devices.children.extend(console(place.console_log));
    for ours in ["name", "uuid", "metadata", "devices"] {
        domain.drop_children(ours);
    }
    let mut whole = vec![
        Element::new("name").saying(domain_name(run)),
        Element::new("uuid").saying(run.id.to_string()),
        tag,
    ];
    whole.append(&mut domain.children);
    whole.push(devices);
    domain.children = whole;
    Ok(domain.write())
}

/// Our text of the device that the driver's text means, and its alias, when it is what was ordered.
///
/// # Errors
/// As [`domain`].
pub fn device(xml: &str, order: &DeviceOrder, place: Place<'_>) -> Result<(String, Element), Fault> {
    let device = Element::read(xml).map_err(|e| Fault::unchanged(code::INVALID, e.to_string()))?;
    model::check(&device, "domain/devices").map_err(denied)?;
    match order {
        DeviceOrder::Disk(order) if device.name == "disk" => {
            let mut targets = BTreeSet::new();
            let checked = check_disk(&device, order, &mut targets, place)?;
            Ok((disk_alias(order.slot), checked))
        }
        DeviceOrder::Nic(order) if device.name == "interface" => {
            Ok((nic_alias(order.slot), nic::check(&device, order)?))
        }
        _ => Err(denied(format!(
            "<{}> is not the device that was ordered",
            device.name
        ))),
    }
}

/// The source of a checked device: a path, a bridge, a network, a unit.
#[must_use]
pub fn source_of_device(device: &Element) -> &str {
    let source = device.child("source");
    super::SOURCES
        .iter()
        .find_map(|name| source?.attribute(name))
        .unwrap_or_default()
}

/// The owner tag: which run this is, under which generation, and the digest by which the driver knows its spec again
/// (its own, else ours of the order).
fn tag(run: RunHandle, domain: &Element, order: &GuestSpec) -> Result<Element, Fault> {
    let given = domain.child("metadata").and_then(|m| m.child("velum:run"));
    let generation = run.generation.to_string();
    let mut known = None;
    if let Some(given) = given {
        let run_fits = given.attribute("id").is_none_or(|id| id == run.id.to_string());
        if !run_fits
            || given
                .attribute("generation")
                .is_some_and(|text| text != generation)
        {
            return Err(denied(
                "the owner tag in <metadata> is of another run or generation",
            ));
        }
        known = given.attribute("spec-digest").map(str::to_owned);
    }
    Ok(Element::new("metadata").holding(
        Element::new("velum:run")
            .with("xmlns:velum", TAG_NAMESPACE)
            .with("id", run.id.to_string())
            .with("generation", generation)
            .with("digest", known.unwrap_or_else(|| digest(order))),
    ))
}

fn console(log: &Path) -> [Element; 2] {
    [
        Element::new("serial")
            .with("type", "pty")
            .holding(
                Element::new("log")
                    .with("file", log.display().to_string())
                    .with("append", "on"),
            )
            .holding(Element::new("target").with("port", "0")),
        Element::new("console")
            .with("type", "pty")
            .holding(Element::new("target").with("type", "serial").with("port", "0")),
    ]
}

fn check_size(run: RunHandle, domain: &Element, order: &GuestSpec) -> Result<(), Fault> {
    let uuid = domain.child("uuid").map(|e| e.text.as_str());
    if uuid != Some(run.id.to_string().as_str()) {
        return Err(denied(format!(
            "the domain's uuid is {uuid:?}, not the run's {}",
            run.id
        )));
    }
    let most = domain.child("memory").map(bytes_of).transpose()?;
    let wanted = order.memory_max_mib << 20;
    if most != Some(wanted) {
        return Err(denied(format!(
            "<memory> is {most:?} bytes; {wanted} were ordered"
        )));
    }
    let now = domain.child("currentMemory").map(bytes_of).transpose()?.or(most);
    let wanted = order.memory_mib << 20;
    if now != Some(wanted) {
        return Err(denied(format!(
            "<currentMemory> is {now:?} bytes; {wanted} were ordered"
        )));
    }
    let vcpu = domain.child("vcpu");
    let most = vcpu.and_then(|e| e.text.parse::<u32>().ok());
    let now = vcpu
        .and_then(|e| e.attribute("current"))
        .map_or(most, |text| text.parse().ok());
    if (now, most) != (Some(order.vcpus), Some(order.vcpus_max)) {
        return Err(denied(format!(
            "<vcpu> is {now:?} of {most:?}; {} of {} were ordered",
            order.vcpus, order.vcpus_max
        )));
    }
    let arch = domain
        .child("os")
        .and_then(|os| os.child("type"))
        .and_then(|t| t.attribute("arch"));
    let wanted = match order.arch {
        guest::ARCH_X86_64 => "x86_64",
        guest::ARCH_AARCH64 => "aarch64",
        other => {
            return Err(Fault::unchanged(
                code::UNSUPPORTED,
                format!("architecture {other} is not known"),
            ));
        }
    };
    if arch != Some(wanted) {
        return Err(denied(format!(
            "the architecture is {arch:?}; {wanted} was ordered"
        )));
    }
    Ok(())
}

/// libvirt's reading of a size: KiB without a unit.
fn bytes_of(element: &Element) -> Result<u64, Fault> {
    let factor: u64 = match element.attribute("unit").unwrap_or("KiB") {
        "b" | "bytes" => 1,
        "KB" => 1000,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => 1 << 10,
    };
    element
        .text
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| denied(format!("<{}> is no size", element.name)))
}

fn text_attr(attrs: &[Attr], wanted: u16) -> Option<&str> {
    attrs.iter().find_map(|attr| match &attr.value {
        AttrValue::Text(text) if attr.code == wanted => Some(text.as_str()),
        _ => None,
    })
}

fn source_of(disk: &Element) -> Option<&str> {
    let source = disk.child("source")?;
    match disk.attribute("type") {
        Some("file") => source.attribute("file"),
        Some("block") => source.attribute("dev"),
        Some("network") => source.attribute("name"),
        _ => None,
    }
}

/// Whether an ordered disk lies there.
fn is_at(order: &Disk, source: &str) -> bool {
    match iscsi::unit_of(order) {
        Ok(Some(unit)) => unit.path() == source,
        _ => text_attr(&order.attachment.params, volume::PARAM_PATH) == Some(source),
    }
}

fn check_disks(devices: &Element, order: &GuestSpec, place: Place<'_>) -> Result<Vec<Element>, Fault> {
    let mut targets = BTreeSet::new();
    let mut left: Vec<&Disk> = order.disks.iter().collect();
    let seed = text_attr(&order.attrs, guest::GUEST_SEED);
    let mut seed_left = seed;
    let mut checked = Vec::new();
    for disk in devices.children_named("disk") {
        let source = source_of(disk).ok_or_else(|| denied("a disk has no source of its type"))?;
        if seed_left == Some(source) {
            checked.push(check_seed(disk, source, &mut targets, place)?);
            seed_left = None;
            continue;
        }
        let position = left
            .iter()
            .position(|ordered| is_at(ordered, source))
            .ok_or_else(|| denied(format!("the disk {source} was not ordered, or stands twice")))?;
        checked.push(check_disk(disk, left.remove(position), &mut targets, place)?);
    }
    match (left.first(), seed_left) {
        (Some(disk), _) => Err(denied(format!(
            "the ordered disk of slot {} is missing",
            disk.slot
        ))),
        (None, Some(path)) => Err(denied(format!("the ordered seed {path} is missing"))),
        (None, None) => Ok(checked),
    }
}

/// A disk against its order; our own element of it.
fn check_disk(
    disk: &Element,
    order: &Disk,
    targets: &mut BTreeSet<String>,
    place: Place<'_>,
) -> Result<Element, Fault> {
    let slot = order.slot;
    let refuse = |what: String| Err(denied(format!("disk of slot {slot}: {what}")));
    let unit = iscsi::unit_of(order)?;
    let ours = match &unit {
        Some(unit) if disk.attribute("type") == Some("network") => {
            Some(iscsi::source(disk, order, unit, place)?)
        }
        Some(unit) => return refuse(format!("its source must be the unit {:?} of iSCSI", unit.path())),
        None => {
            check_path(disk, order, place)?;
            None
        }
    };
    if disk.attribute("device").unwrap_or("disk") != "disk" {
        return refuse("it must be a disk".to_owned());
    }
    let format = match order.attachment.format {
        volume::FORMAT_RAW => "raw",
        volume::FORMAT_QCOW2 => "qcow2",
        other => return refuse(format!("format {other} is not known")),
    };
    if unit.is_some() && format != "raw" {
        return refuse("a unit of iSCSI is raw".to_owned());
    }
    let driver = disk.child("driver");
    if driver.and_then(|d| d.attribute("type")) != Some(format) {
        return refuse(format!("its format must be forced: <driver type='{format}'/>"));
    }
    if disk.child("readonly").is_some() != order.readonly {
        return refuse(format!("readonly must be {}", order.readonly));
    }
    let bus = disk.child("target").and_then(|t| t.attribute("bus"));
    if order.bus == guest::BUS_VIRTIO && bus != Some("virtio") {
        return refuse(format!("its bus is {bus:?}; virtio was ordered"));
    }
    let boot = disk.child("boot").and_then(|b| b.attribute("order"));
    if boot.is_some() && boot != order.boot_order.map(|n| n.to_string()).as_deref() {
        return refuse(format!(
            "its boot order is {boot:?}; {:?} was ordered",
            order.boot_order
        ));
    }
    check_target(disk, targets)?;
    Ok(own_disk(disk, order, ours))
}

/// Our own element of a checked disk, with our own source where we wrote one.
fn own_disk(disk: &Element, order: &Disk, source: Option<Element>) -> Element {
    let identity = &order.attachment.identity;
    let mut ours = disk.clone();
    ours.drop_children("alias");
    ours.drop_children("serial");
    if let Some(source) = source {
        ours.drop_children("source");
        ours.children.push(source);
    }
    if is_serial(identity) {
        ours.children
            .push(Element::new("serial").saying(identity.clone()));
    }
    ours.children
        .push(Element::new("alias").with("name", disk_alias(order.slot)));
    ours
}

/// A disk that is a file or block device: it must lie where it was ordered.
fn check_path(disk: &Element, order: &Disk, place: Place<'_>) -> Result<(), Fault> {
    let slot = order.slot;
    let kind = match order.attachment.kind {
        volume::ATTACH_FILE => "file",
        volume::ATTACH_BLOCK => "block",
        other => {
            return Err(Fault::unchanged(
                code::UNSUPPORTED,
                format!(
                    "disk of slot {slot}: this node plugs files, block devices and units of iSCSI, not kind {other}"
                ),
            ));
        }
    };
    let path = text_attr(&order.attachment.params, volume::PARAM_PATH).unwrap_or_default();
    let is_it = disk.attribute("type") == Some(kind) && source_of(disk) == Some(path) && has_one_source(disk);
    if !is_it || !model::is_plain_path(path) {
        return Err(denied(format!(
            "disk of slot {slot}: its source must be the {kind} {path:?}"
        )));
    }
    (place.may_use)(Path::new(path))
}

/// Whether a source says one thing: a file is no unit besides.
fn has_one_source(disk: &Element) -> bool {
    disk.child("source")
        .is_some_and(|source| source.attributes.len() == 1 && source.children.is_empty())
}

/// What libvirt takes for a serial.
fn is_serial(identity: &str) -> bool {
    !identity.is_empty()
        && identity.len() <= 80
        && identity
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn check_target(disk: &Element, targets: &mut BTreeSet<String>) -> Result<(), Fault> {
    let device = disk
        .child("target")
        .and_then(|t| t.attribute("dev"))
        .unwrap_or_default();
    let letters = device
        .strip_prefix("vd")
        .or_else(|| device.strip_prefix("sd"))
        .or_else(|| device.strip_prefix("hd"));
    let fits = letters.is_some_and(|l| matches!(l.len(), 1 | 2) && l.bytes().all(|b| b.is_ascii_lowercase()));
    if !fits || !targets.insert(device.to_owned()) {
        return Err(denied(format!(
            "{device:?} is no device name for a disk, or stands twice"
        )));
    }
    Ok(())
}

fn check_seed(
    disk: &Element,
    source: &str,
    targets: &mut BTreeSet<String>,
    place: Place<'_>,
) -> Result<Element, Fault> {
    if Path::new(source) != place.seed {
        return Err(denied(format!(
            "the seed is {source}; this node wrote that of the run to {}",
            place.seed.display()
        )));
    }
    let raw = disk.child("driver").and_then(|d| d.attribute("type")) == Some("raw");
    let is_file = disk.attribute("type") == Some("file") && has_one_source(disk);
    if !is_file || !raw || disk.child("readonly").is_none() {
        return Err(denied("the seed must be a read-only file of format raw"));
    }
    check_target(disk, targets)?;
    let mut ours = disk.clone();
    ours.drop_children("alias");
    ours.drop_children("serial");
    ours.children.push(Element::new("alias").with("name", SEED_ALIAS));
    Ok(ours)
}

#[cfg(test)]
mod tests;
