//! The far side's JSON. Its shapes are in `host/sim/README.md`.

use serde::{Deserialize, Serialize};
use velum_guest::{
    common::{Attr, Initiator, Value},
    driver::{Disk, GuestSpec, Nic, NodeFacts, Observed, code},
};

/// A guest as it is ordered.
#[derive(Debug, Serialize)]
pub struct SpecBody<'a> {
    /// The run handle's.
    pub generation: u64,
    /// SHA-256 of this body with an empty digest.
    pub spec_digest: String,
    vcpus: u32,
    memory_mib: u64,
    disks: Vec<DiskBody<'a>>,
    nics: Vec<NicBody<'a>>,
    attrs: Vec<AttrBody<'a>>,
}

/// A disk as it is ordered.
#[derive(Debug, Serialize)]
pub struct DiskBody<'a> {
    slot: u16,
    volume: &'a str,
    identity: &'a str,
    readonly: bool,
}

#[derive(Debug, Serialize)]
struct NicBody<'a> {
    slot: u16,
    id: &'a str,
    mac: &'a str,
    link: &'a str,
}

#[derive(Debug, Serialize)]
struct AttrBody<'a> {
    code: u16,
    value: ValueBody<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum ValueBody<'a> {
    Number(u64),
    Text(&'a str),
    Bytes(String),
    Flag(bool),
}

impl<'a> SpecBody<'a> {
    /// Without its digest.
    pub fn of(spec: &'a GuestSpec, generation: u64) -> Self {
        Self {
            generation,
            spec_digest: String::new(),
            vcpus: spec.vcpus,
            memory_mib: spec.memory_mib,
            disks: spec.disks.iter().map(DiskBody::of).collect(),
            nics: spec.nics.iter().map(NicBody::of).collect(),
            attrs: spec.attrs.iter().map(AttrBody::of).collect(),
        }
    }
}

impl<'a> DiskBody<'a> {
    /// Of a disk.
    pub fn of(disk: &'a Disk) -> Self {
        Self {
            slot: disk.slot,
            volume: &disk.volume,
            identity: &disk.attachment.identity,
            readonly: disk.readonly,
        }
    }
}

impl<'a> NicBody<'a> {
    fn of(nic: &'a Nic) -> Self {
        Self {
            slot: nic.slot,
            id: &nic.id,
            mac: &nic.mac,
            link: &nic.link,
        }
    }
}

impl<'a> AttrBody<'a> {
    fn of(attr: &'a Attr) -> Self {
        let value = match &attr.value {
            Value::Number(number) => ValueBody::Number(*number),
            Value::Text(text) => ValueBody::Text(text),
            Value::Bytes(bytes) => ValueBody::Bytes(hex(bytes)),
            Value::Flag(flag) => ValueBody::Flag(*flag),
        };
        Self {
            code: attr.code,
            value,
        }
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(digit)
        .collect()
}

/// What a compute host is.
#[derive(Debug, Deserialize)]
pub struct FactsBody {
    host: String,
    boot_id: String,
    vcpus: u32,
    memory_mib: u64,
    arch: u16,
    cpu_baseline: String,
    hypervisor: String,
    kvm: bool,
    initiators: Vec<InitiatorBody>,
}

#[derive(Debug, Deserialize)]
struct InitiatorBody {
    kind: u16,
    value: String,
}

impl From<FactsBody> for NodeFacts {
    fn from(body: FactsBody) -> Self {
        let initiators = body.initiators.into_iter();
        Self {
            node: body.host,
            boot_id: body.boot_id,
            vcpus: body.vcpus,
            memory_mib: body.memory_mib,
            arch: body.arch,
            cpu_baseline: body.cpu_baseline,
            initiators: initiators
                .map(|InitiatorBody { kind, value }| Initiator { kind, value })
                .collect(),
            devices: Vec::new(),
            attrs: vec![
                Attr::text(code::FACT_HYPERVISOR, body.hypervisor),
                Attr::flag(code::FACT_KVM, body.kvm),
            ],
        }
    }
}

/// What is seen of a run.
#[derive(Debug, Deserialize)]
pub struct ObservedBody {
    run: String,
    node: String,
    state: u16,
    reason: u16,
    generation: u64,
    spec_digest: String,
    disks: Vec<(u16, String)>,
}

impl From<ObservedBody> for Observed {
    fn from(body: ObservedBody) -> Self {
        Self {
            run_id: body.run,
            node: body.node,
            state: body.state,
            reason: body.reason,
            generation: body.generation,
            spec_digest: body.spec_digest,
            disks: body.disks,
            attrs: Vec::new(),
        }
    }
}

/// A page of runs.
#[derive(Debug, Deserialize)]
pub struct InventoryBody {
    /// Changes when the compute host boots.
    pub boot_id: String,
    /// Grows with each report.
    pub sequence: u64,
    /// Whether everything was seen.
    pub complete: bool,
    /// The runs.
    pub runs: Vec<ObservedBody>,
    /// Where the next page begins.
    pub next: Option<String>,
}
