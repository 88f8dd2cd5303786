//! What a driver answers, before it is believed.

use std::collections::HashSet;

use velum_model::{
    id::RunId,
    port::hypervisor::{ConsolePlace, DriverDescriptor, Inventory, NodeFacts, Observed, RunHandle},
};

use crate::world::{
    bindings::{exports::velum::hypervisor::console, velum::hypervisor::types},
    convert::{self, Checked, at_most, text, words},
};

/// Compute hosts behind one manager.
const MAX_NODES: usize = 1000;
/// Runs on one page: a page is in memory twice.
const MAX_RUNS: usize = 5000;
/// Disks of one guest.
const MAX_DISKS: usize = 256;
/// Codes in one list of a descriptor.
const MAX_CODES: usize = 64;

/// What it can do.
pub fn descriptor(from: types::Descriptor, interfaces: Vec<String>) -> Checked<DriverDescriptor> {
    for (field, codes) in [
        ("attachment-kinds", &from.attachment_kinds),
        ("nic-kinds", &from.nic_kinds),
        ("console-kinds", &from.console_kinds),
        ("features", &from.features),
    ] {
        at_most(field, codes.len(), MAX_CODES)?;
    }
    Ok(DriverDescriptor {
        name: text("name", from.name, 63)?,
        version: text("version", from.version, 64)?,
        attachment_kinds: from.attachment_kinds,
        nic_kinds: from.nic_kinds,
        console_kinds: from.console_kinds,
        features: from.features,
        interfaces,
    })
}

/// What compute hosts are.
pub fn facts(from: Vec<types::NodeFacts>) -> Checked<Vec<NodeFacts>> {
    at_most("nodes", from.len(), MAX_NODES)?;
    if from.is_empty() {
        return Err("probe names no compute host".to_owned());
    }
    from.into_iter()
        .map(|node| {
            if node.vcpus == 0 || node.memory_mib == 0 {
                return Err("a compute host has vCPUs and memory".to_owned());
            }
            Ok(NodeFacts {
                node: text("node", node.node, 255)?,
                boot_id: words("boot-id", node.boot_id, 128)?,
                vcpus: node.vcpus,
                memory_mib: node.memory_mib,
                arch: node.arch,
                cpu_baseline: words("cpu-baseline", node.cpu_baseline, 128)?,
                initiators: convert::initiators(node.initiators)?,
                attrs: convert::attrs("attrs", node.attrs)?,
            })
        })
        .collect()
}

/// A page of what is seen.
pub fn inventory(after: Option<&str>, from: types::Inventory) -> Checked<Inventory> {
    at_most("runs", from.runs.len(), MAX_RUNS)?;
    let runs = from.runs.into_iter().map(observed).collect::<Checked<Vec<_>>>()?;
    let mut seen = HashSet::with_capacity(runs.len());
    if let Some(twice) = runs.iter().find(|run| !seen.insert(run.run)) {
        return Err(format!("run {} is listed twice", twice.run));
    }
    Ok(Inventory {
        boot_id: words("boot-id", from.boot_id, 128)?,
        sequence: from.sequence,
        complete: from.complete,
        runs,
        next: convert::next(after, from.next)?,
    })
}

/// What is seen of the run that was asked for.
pub fn of_run(handle: RunHandle, from: Option<types::Observed>) -> Checked<Option<Observed>> {
    let Some(seen) = from.map(observed).transpose()? else {
        return Ok(None);
    };
    if seen.run == handle.id {
        Ok(Some(seen))
    } else {
        Err(format!("it answers for run {} and not {}", seen.run, handle.id))
    }
}

fn observed(from: types::Observed) -> Checked<Observed> {
    at_most("disks", from.disks.len(), MAX_DISKS)?;
    let disks = from
        .disks
        .into_iter()
        .map(|(slot, identity)| Ok((slot, words("disks", identity, 256)?)))
        .collect::<Checked<_>>()?;
    Ok(Observed {
        run: RunId::from_uuid(convert::uuid("run-id", &from.run_id)?),
        node: words("node", from.node, 255)?,
        state: from.state,
        reason: from.reason,
        generation: from.generation,
        spec_digest: words("spec-digest", from.spec_digest, 128)?,
        disks,
        attrs: convert::attrs("attrs", from.attrs)?,
    })
}

/// Where a console is.
pub fn console(kind: u16, from: console::Place) -> Checked<ConsolePlace> {
    if from.kind != kind {
        return Err(format!(
            "it located a console of kind {} and not {kind}",
            from.kind
        ));
    }
    Ok(ConsolePlace {
        kind,
        via: from.via,
        locator: words("locator", from.locator, 256)?,
    })
}
