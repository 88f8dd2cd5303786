//! What a libvirtd that died left in a running QEMU.
//!
//! Handing a disk over takes several commands: QEMU opens the file as one or two block nodes, then gets the device that uses
//! them. A libvirtd that dies in between knows nothing of the nodes when it comes back. QEMU keeps them, and with them the
//! lock of the file: the disk could not be handed over any more as long as that guest runs. When the device was there already,
//! the guest has the disk, and libvirt does not know of it until the guest starts anew.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use velum_model::fault::{Fault, code};
use virt::domain::Domain;

use super::fault::faulted;

/// What libvirt calls the nodes that it makes.
const OURS: &str = "libvirt-";
/// A node goes only after those that lie over it: format, storage, and what a later libvirt may put between.
const LAYERS: usize = 4;

/// What became of block nodes that nobody uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Removal {
    /// So many went.
    pub(super) removed: usize,
    /// So many did not: what is in use QEMU does not let go, nor what a device that just went used until now.
    pub(super) left: usize,
}

/// Takes away what QEMU holds of the `unused` files without a device that uses it.
///
/// # Errors
/// As libvirt says.
pub(super) fn remove(domain: &Domain, unused: impl Fn(&str) -> bool) -> Result<Removal, Fault> {
    let mut removed = 0;
    for _ in 0..LAYERS {
        let before = removed;
        for node in unused_nodes(domain, &unused)? {
            let delete = json!({ "execute": "blockdev-del", "arguments": { "node-name": node } });
            removed += usize::from(ask(domain, &delete)?.get("return").is_some());
        }
        if removed == before {
            break;
        }
    }
    let left = unused_nodes(domain, &unused)?.len();
    Ok(Removal { removed, left })
}

fn unused_nodes(domain: &Domain, unused: &impl Fn(&str) -> bool) -> Result<Vec<String>, Fault> {
    let nodes = ask(domain, &json!({ "execute": "query-named-block-nodes" }))?;
    Ok(nodes_of(&nodes, unused))
}

/// The files under all devices of disks that QEMU has, with those below them.
///
/// # Errors
/// As libvirt says.
pub(super) fn files_in_use(domain: &Domain) -> Result<BTreeSet<String>, Fault> {
    let answer = ask(domain, &json!({ "execute": "query-block" }))?;
    Ok(files_in(&answer))
}

fn files_in(answer: &Value) -> BTreeSet<String> {
    let devices = answer.get("return").and_then(Value::as_array);
    let mut files = BTreeSet::new();
    // Without `qdev` it is what a device that went has left.
    let devices = devices
        .into_iter()
        .flatten()
        .filter(|device| device.get("qdev").is_some());
    for device in devices {
        let mut image = device.get("inserted").and_then(|inserted| inserted.get("image"));
        while let Some(layer) = image {
            files.extend(layer.get("filename").and_then(Value::as_str).map(str::to_owned));
            image = layer.get("backing-image");
        }
    }
    files
}

/// The file of a device of a disk that QEMU has, whatever libvirt knows of it; none when QEMU has no such device.
///
/// # Errors
/// As libvirt says.
pub(super) fn file_of(domain: &Domain, alias: &str) -> Result<Option<String>, Fault> {
    let answer = ask(domain, &json!({ "execute": "query-block" }))?;
    Ok(file_in(&answer, alias))
}

/// A slot of the first PCI bus that QEMU has nothing in; none when all are taken, or the machine has another kind of bus.
///
/// # Errors
/// As libvirt says.
pub(super) fn free_slot(domain: &Domain) -> Result<Option<u64>, Fault> {
    let answer = ask(domain, &json!({ "execute": "query-pci" }))?;
    Ok(free_slot_in(&answer))
}

/// The last that is free: libvirt takes the first. Slots 0 to 2 are the chipset's and the graphics card's.
fn free_slot_in(answer: &Value) -> Option<u64> {
    let buses = answer.get("return").and_then(Value::as_array)?;
    let first = buses.iter().find(|bus| bus.get("bus") == Some(&json!(0)))?;
    let devices = first.get("devices").and_then(Value::as_array)?;
    let taken: BTreeSet<u64> = devices
        .iter()
        .filter_map(|device| device.get("slot").and_then(Value::as_u64))
        .collect();
    (3..32).rev().find(|slot| !taken.contains(slot))
}

/// Asks the guest to let a device go that libvirt does not know of.
///
/// # Errors
/// As libvirt says.
pub(super) fn unplug(domain: &Domain, alias: &str) -> Result<(), Fault> {
    // That it was asked before is an answer, too.
    ask(
        domain,
        &json!({ "execute": "device_del", "arguments": { "id": alias } }),
    )
    .map(drop)
}

/// The file under the device with this id: `qdev` is its path among QEMU's objects, `/machine/peripheral/ID/virtio-backend`.
fn file_in(answer: &Value, alias: &str) -> Option<String> {
    let devices = answer.get("return").and_then(Value::as_array)?;
    let device = devices.iter().find(|device| {
        let path = device.get("qdev").and_then(Value::as_str).unwrap_or_default();
        path.split('/').any(|part| part == alias)
    })?;
    let file = device.get("inserted").and_then(|inserted| inserted.get("file"));
    Some(file.and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// The names of the nodes that libvirt made over such files.
fn nodes_of(answer: &Value, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let nodes = answer.get("return").and_then(Value::as_array);
    let names = nodes.into_iter().flatten().filter_map(|node| {
        let name = node.get("node-name")?.as_str()?;
        (name.starts_with(OURS) && wanted(node.get("file")?.as_str()?)).then(|| name.to_owned())
    });
    names.collect()
}

/// Asks QEMU itself. What it refuses is an answer, too.
fn ask(domain: &Domain, command: &Value) -> Result<Value, Fault> {
    let answer = domain
        .qemu_monitor_command(&command.to_string(), 0)
        .map_err(|e| faulted("asking QEMU for its block nodes", &e))?;
    serde_json::from_str(&answer)
        .map_err(|error| Fault::new(code::FAILED, format!("QEMU's answer does not read: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{file_in, files_in, free_slot_in, nodes_of};

    #[test]
    fn a_device_is_known_by_its_id() {
        let device = |id: &str, file: &str| json!({ "device": "", "qdev": format!("/machine/peripheral/{id}/virtio-backend"), "inserted": { "file": file } });
        let answer = json!({ "return": [device("ua-disk-0", "/p/root"), device("ua-disk-1", "/p/v"), { "device": "floppy0" }] });
        assert_eq!(file_in(&answer, "ua-disk-1").as_deref(), Some("/p/v"));
        assert_eq!(file_in(&answer, "ua-disk"), None);
        assert_eq!(file_in(&json!({ "error": {} }), "ua-disk-1"), None);
    }

    #[test]
    fn the_last_free_slot_is_taken() {
        let bus = |slots: &[u64]| {
            let devices: Vec<_> = slots.iter().map(|slot| json!({ "slot": slot })).collect();
            json!({ "return": [{ "bus": 1, "devices": [] }, { "bus": 0, "devices": devices }] })
        };
        assert_eq!(free_slot_in(&bus(&[0, 1, 5, 31])), Some(30));
        assert_eq!(free_slot_in(&bus(&(0..32).collect::<Vec<_>>())), None);
        assert_eq!(free_slot_in(&json!({ "error": {} })), None);
    }

    #[test]
    fn a_disk_uses_what_it_lies_over() {
        let image = json!({ "filename": "/p/top", "backing-image": { "filename": "/p/layer" } });
        let answer = json!({ "return": [
            { "qdev": "/machine/peripheral/ua-disk-0/virtio-backend", "inserted": { "image": image } },
            { "device": "", "inserted": { "image": { "filename": "/p/gone" } } }, { "device": "floppy0" },
        ] });
        assert_eq!(
            files_in(&answer),
            ["/p/layer", "/p/top"].map(str::to_owned).into()
        );
    }

    #[test]
    fn only_what_libvirt_made_over_the_file() {
        let node = |name: &str, file: &str| json!({ "node-name": name, "file": file, "drv": "file" });
        let answer = json!({ "return": [
            node("libvirt-6-format", "/p/v.raw"), node("libvirt-6-storage", "/p/v.raw"),
            node("libvirt-1-storage", "/p/other.raw"), node("#block123", "/p/v.raw"), { "drv": "null-co" },
        ] });
        assert_eq!(
            nodes_of(&answer, |file| file == "/p/v.raw"),
            ["libvirt-6-format", "libvirt-6-storage"]
        );
        let refused = json!({ "error": { "class": "GenericError" } });
        assert!(nodes_of(&refused, |_| true).is_empty());
    }
}
