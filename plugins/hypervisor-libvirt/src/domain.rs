//! A guest as a libvirt domain. The README holds the text with its explanations.

use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};
use velum_guest::{
    common::{Attachment, Attrs as _, Fault},
    driver::{Disk, GuestSpec, Nic, code},
    provider::code as storage,
};

use crate::{
    settings::Hypervisor,
    xml::{Forbidden, Xml},
};

/// The name space of the owner tag in a domain's metadata.
pub const OWNER: &str = "urn:velum:run:1";
/// libvirt gives virtio disks names from `vda` on; beyond three letters nothing is known to work.
const SLOTS_MAX: u16 = 26 + 26 * 26;

/// The longest title: a line in a list of domains.
const TITLE_MAX: usize = 255;

/// A run by what it stamps into its domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Id of the run.
    pub run: String,
    /// Generation of its spec.
    pub generation: u64,
}

/// The alias of the disk in a slot.
pub fn disk_alias(slot: u16) -> String {
    format!("ua-disk-{slot}")
}

/// The text of a domain, its digest in it.
///
/// # Errors
/// `unsupported` or `invalid` names what cannot be.
pub fn render(tag: &Tag, spec: &GuestSpec, hypervisor: Hypervisor) -> Result<String, Fault> {
    check(spec)?;
    let without = write(tag, spec, hypervisor, "")?;
    let digest = Sha256::digest(without.as_bytes());
    let hex: String = digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(digit)
        .collect();
    write(tag, spec, hypervisor, &format!("sha256:{hex}"))
}

fn digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

/// The text of one disk, for a running guest.
///
/// # Errors
/// As [`render`].
pub fn render_disk(disk: &Disk) -> Result<String, Fault> {
    let mut xml = Xml::default();
    write_disk(&mut xml, disk)?;
    xml.finish().map_err(forbidden)
}

fn forbidden(Forbidden(text): Forbidden) -> Fault {
    Fault::invalid(format!("\"{text}\" holds a character that XML cannot"))
}

fn check(spec: &GuestSpec) -> Result<(), Fault> {
    spec.attrs.refuse_unknown(&[])?;
    if spec.arch != code::ARCH_X86_64 {
        return Err(Fault::unsupported(format!(
            "architecture {} is not supported, only x86-64 (1)",
            spec.arch
        )));
    }
    if spec.vcpus == 0 || spec.vcpus > spec.vcpus_max {
        return Err(Fault::invalid(format!(
            "{} vCPUs of at most {}",
            spec.vcpus, spec.vcpus_max
        )));
    }
    if spec.memory_mib == 0 || spec.memory_mib > spec.memory_max_mib {
        return Err(Fault::invalid(format!(
            "{} MiB of at most {}",
            spec.memory_mib, spec.memory_max_mib
        )));
    }
    let disks = ascending(spec.disks.iter().map(|disk| disk.slot).collect());
    let nics = ascending(spec.nics.iter().map(|nic| nic.slot).collect());
    if disks && nics {
        Ok(())
    } else {
        Err(Fault::invalid("two disks or NICs are in one slot"))
    }
}

fn ascending(mut slots: Vec<u16>) -> bool {
    let count = slots.len();
    slots.sort_unstable();
    slots.dedup();
    slots.len() == count
}

fn write(tag: &Tag, spec: &GuestSpec, hypervisor: Hypervisor, digest: &str) -> Result<String, Fault> {
    let mut xml = Xml::default();
    let (memory, memory_max) = (spec.memory_mib.to_string(), spec.memory_max_mib.to_string());
    let (vcpus, vcpus_max) = (spec.vcpus.to_string(), spec.vcpus_max.to_string());
    let generation = tag.generation.to_string();
    xml.begin("domain", &[("type", hypervisor.domain_type())])
        .leaf("name", &[], &format!("velum-{}", tag.run))
        .leaf("uuid", &[], &tag.run);
    if let Some(title) = title(spec) {
        xml.leaf("title", &[], &title);
    }
    xml.begin("metadata", &[])
        .empty(
            "velum:run",
            &[
                ("xmlns:velum", OWNER),
                ("id", &tag.run),
                ("generation", &generation),
                ("spec-digest", digest),
            ],
        )
        .end()
        .leaf("memory", &[("unit", "MiB")], &memory_max)
        .leaf("currentMemory", &[("unit", "MiB")], &memory)
        .leaf(
            "vcpu",
            &[("placement", "static"), ("current", &vcpus)],
            &vcpus_max,
        )
        .begin("os", &[]);
    match hypervisor {
        Hypervisor::Test => xml.leaf("type", &[("arch", "x86_64")], "hvm"),
        // Its slots take a disk while the guest runs; q35 needs root ports reserved in advance.
        Hypervisor::Kvm | Hypervisor::Tcg => {
            xml.leaf("type", &[("arch", "x86_64"), ("machine", "pc")], "hvm")
        }
    };
    xml.end()
        .begin("features", &[])
        .empty("acpi", &[])
        .empty("apic", &[])
        .end();
    if hypervisor == Hypervisor::Kvm {
        xml.empty("cpu", &[("mode", "host-model")]);
    }
    xml.empty("clock", &[("offset", "utc")])
        .leaf("on_poweroff", &[], "destroy")
        .leaf("on_reboot", &[], "restart")
        .leaf("on_crash", &[], "destroy");
    write_devices(&mut xml, spec)?;
    xml.finish().map_err(forbidden)
}

/// What operators see in a list of domains; control characters have no place there.
fn title(spec: &GuestSpec) -> Option<String> {
    let name = spec
        .attrs
        .text(code::GUEST_NAME)
        .or_else(|| spec.attrs.text(code::GUEST_HOST_NAME))?;
    let title: String = name.chars().filter(|c| !c.is_control()).take(TITLE_MAX).collect();
    (!title.is_empty()).then_some(title)
}

fn write_devices(xml: &mut Xml, spec: &GuestSpec) -> Result<(), Fault> {
    xml.begin("devices", &[]);
    let mut disks: Vec<&Disk> = spec.disks.iter().collect();
    disks.sort_by_key(|disk| disk.slot);
    for disk in disks {
        write_disk(xml, disk)?;
    }
    if let Some(path) = spec.attrs.text(code::GUEST_SEED) {
        xml.begin("disk", &[("type", "file"), ("device", "cdrom")])
            .empty("driver", &[("name", "qemu"), ("type", "raw")])
            .empty("source", &[("file", absolute(path)?)])
            .empty("target", &[("dev", "hda"), ("bus", "ide")])
            .empty("readonly", &[])
            .empty("alias", &[("name", "ua-seed")])
            .end();
    }
    let mut nics: Vec<&Nic> = spec.nics.iter().collect();
    nics.sort_by_key(|nic| nic.slot);
    for nic in nics {
        write_nic(xml, nic)?;
    }
    xml.begin("serial", &[("type", "pty")])
        .empty("target", &[("port", "0")])
        .end()
        .begin("console", &[("type", "pty")])
        .empty("target", &[("type", "serial"), ("port", "0")])
        .end()
        .end();
    Ok(())
}

fn absolute(path: &str) -> Result<&str, Fault> {
    if path.starts_with('/') {
        Ok(path)
    } else {
        Err(Fault::invalid(format!("{path:?} is no absolute path")))
    }
}

fn write_disk(xml: &mut Xml, disk: &Disk) -> Result<(), Fault> {
    let attachment = &disk.attachment;
    disk.attrs.refuse_unknown(&[])?;
    attachment.params.refuse_unknown(&[])?;
    let slot = disk.slot;
    let kind = match (attachment.kind, &attachment.secret) {
        (storage::ATTACH_FILE, None) => "file",
        (storage::ATTACH_ISCSI, _) => "network",
        (kind, _) => {
            return Err(Fault::unsupported(format!(
                "the disk in slot {slot} is attached by kind {kind}; this driver takes files (1) without a secret and \
                 units of iSCSI (4)"
            )));
        }
    };
    if disk.bus != code::BUS_VIRTIO {
        return Err(Fault::unsupported(format!(
            "the disk in slot {slot} wants bus {}; only virtio (1) is there",
            disk.bus
        )));
    }
    let format = match attachment.format {
        storage::FORMAT_RAW => "raw",
        storage::FORMAT_QCOW2 => "qcow2",
        other => {
            return Err(Fault::unsupported(format!(
                "the disk in slot {slot} has format {other}"
            )));
        }
    };
    xml.begin("disk", &[("type", kind), ("device", "disk")])
        .empty("driver", &[("name", "qemu"), ("type", format)]);
    if attachment.kind == storage::ATTACH_ISCSI {
        write_unit(xml, slot, attachment)?;
    } else {
        let path = attachment
            .params
            .text(storage::PARAM_PATH)
            .ok_or_else(|| Fault::invalid(format!("the disk in slot {slot} has no path")))?;
        xml.empty("source", &[("file", absolute(path)?)]);
    }
    xml.empty("target", &[("dev", &device_name(slot)?), ("bus", "virtio")]);
    if disk.readonly {
        xml.empty("readonly", &[]);
    }
    xml.leaf("serial", &[], &attachment.identity);
    if let Some(order) = disk.boot_order {
        xml.empty("boot", &[("order", &order.to_string())]);
    }
    xml.empty("alias", &[("name", &disk_alias(slot))]).end();
    Ok(())
}

/// The source of a unit of iSCSI. The secret is named as the attachment names it; the node has libvirt know it by a name of
/// its own, and adds the initiator.
fn write_unit(xml: &mut Xml, slot: u16, attachment: &Attachment) -> Result<(), Fault> {
    let params = &attachment.params;
    let missing = |what: &str| Fault::invalid(format!("the unit in slot {slot} has no {what}"));
    let portal = params
        .text(storage::PARAM_PORTAL)
        .ok_or_else(|| missing("portal (2)"))?;
    let portal: SocketAddr = portal
        .parse()
        .map_err(|_| Fault::invalid(format!("{portal:?} is no address of a portal")))?;
    let target = params
        .text(storage::PARAM_TARGET)
        .ok_or_else(|| missing("target (3)"))?;
    let unit = params
        .number(storage::PARAM_LUN)
        .ok_or_else(|| missing("number (4)"))?;
    xml.begin(
        "source",
        &[("protocol", "iscsi"), ("name", &format!("{target}/{unit}"))],
    )
    .empty(
        "host",
        &[
            ("name", &portal.ip().to_string()),
            ("port", &portal.port().to_string()),
        ],
    );
    if let Some(secret) = &attachment.secret {
        let user = params
            .text(storage::PARAM_USER)
            .ok_or_else(|| missing("user (5) beside its secret"))?;
        xml.begin("auth", &[("username", user)])
            .empty("secret", &[("type", "iscsi"), ("usage", secret)])
            .end();
    }
    xml.end();
    Ok(())
}

/// `vda` for slot 0, `vdz` for 25, `vdaa` for 26.
fn device_name(slot: u16) -> Result<String, Fault> {
    if slot >= SLOTS_MAX {
        return Err(Fault::unsupported(format!(
            "slot {slot} is above {}",
            SLOTS_MAX - 1
        )));
    }
    let letter = |number: u16| char::from(b'a' + (number % 26).to_le_bytes()[0]);
    Ok(match slot.checked_sub(26) {
        None => format!("vd{}", letter(slot)),
        Some(rest) => format!("vd{}{}", letter(rest / 26), letter(rest)),
    })
}

fn write_nic(xml: &mut Xml, nic: &Nic) -> Result<(), Fault> {
    nic.attrs.refuse_unknown(&[])?;
    let kind = match nic.kind {
        code::NIC_BRIDGE => "bridge",
        code::NIC_LIBVIRT_NETWORK => "network",
        other => {
            return Err(Fault::unsupported(format!(
                "the NIC in slot {} is of kind {other}; bridges (1) and libvirt networks (2) are there",
                nic.slot
            )));
        }
    };
    xml.begin("interface", &[("type", kind)])
        .empty("mac", &[("address", &nic.mac)])
        .empty("source", &[(kind, &nic.link)])
        .empty("model", &[("type", "virtio")])
        .empty("alias", &[("name", &format!("ua-nic-{}", nic.slot))])
        .end();
    Ok(())
}
