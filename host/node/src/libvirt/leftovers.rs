//! What a libvirtd that died left in a running QEMU.
//!
//! Handing a disk over takes several commands: QEMU opens the file as one or two block nodes, then gets the device that uses
//! them. A libvirtd that dies in between knows nothing of the nodes when it comes back. QEMU keeps them, and with them the
//! lock of the file: the disk could not be handed over any more as long as that guest runs.

use serde_json::{Value, json};
use velum_model::fault::{Fault, code};
use virt::domain::Domain;

use super::fault::faulted;

/// What libvirt calls the nodes that it makes.
const OURS: &str = "libvirt-";
/// A node goes only after those that lie over it: format, storage, and what a later libvirt may put between.
const LAYERS: usize = 4;

/// Takes away what QEMU holds of the `unused` files without a device that uses it: what is in use QEMU does not let go. Answers
/// how many block nodes went.
///
/// # Errors
/// As libvirt says.
pub(super) fn remove(domain: &Domain, unused: impl Fn(&str) -> bool) -> Result<usize, Fault> {
    let mut removed = 0;
    for _ in 0..LAYERS {
        let before = removed;
        for node in nodes_of(
            &ask(domain, &json!({ "execute": "query-named-block-nodes" }))?,
            &unused,
        ) {
            let delete = json!({ "execute": "blockdev-del", "arguments": { "node-name": node } });
            removed += usize::from(ask(domain, &delete)?.get("return").is_some());
        }
        if removed == before {
            break;
        }
    }
    Ok(removed)
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

    use super::nodes_of;

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
