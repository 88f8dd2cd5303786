//! The port of a hypervisor driver. Mirrors `velum:hypervisor`.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    storage::{Attachment, Initiator},
    target::{Attr, Call, Outcome, Target},
};
use crate::{fault::Fault, id::RunId};

/// Codes of the open spaces of `velum:hypervisor`.
pub mod registry {
    /// Architecture x86-64.
    pub const ARCH_X86_64: u16 = 1;
    /// Architecture AArch64.
    pub const ARCH_AARCH64: u16 = 2;
    /// Disk bus virtio-blk.
    pub const BUS_VIRTIO: u16 = 1;
    /// NIC on a bridge.
    pub const NIC_BRIDGE: u16 = 1;
    /// NIC on a libvirt network.
    pub const NIC_LIBVIRT_NETWORK: u16 = 2;
    /// NIC of the simulated far side.
    pub const NIC_SIMULATED: u16 = 0x8001;
    /// Console kind: serial, a byte stream.
    pub const CONSOLE_SERIAL: u16 = 1;
    /// Console kind: VNC.
    pub const CONSOLE_VNC: u16 = 2;
    /// Guest attribute: host name (text).
    pub const GUEST_HOST_NAME: u16 = 1;
    /// Guest attribute: user data (bytes), for far sides without a node.
    pub const GUEST_USER_DATA: u16 = 2;
    /// Guest attribute: address with prefix (text, `10.0.0.5/24`), for far sides without a node.
    pub const GUEST_ADDRESS: u16 = 3;
    /// Guest attribute: display name of the instance (text).
    pub const GUEST_NAME: u16 = 4;
    /// Guest attribute: path of the seed image on the node (text). Read-only, the last disk.
    pub const GUEST_SEED: u16 = 5;
    /// Observed state: not known.
    pub const STATE_UNKNOWN: u16 = 0;
    /// Observed state: defined, off.
    pub const STATE_OFF: u16 = 1;
    /// Observed state: running.
    pub const STATE_RUNNING: u16 = 2;
    /// Observed state: paused.
    pub const STATE_PAUSED: u16 = 3;
    /// Observed state: on its way down.
    pub const STATE_STOPPING: u16 = 4;
    /// Observed state: crashed.
    pub const STATE_CRASHED: u16 = 5;
    /// Node fact attribute: hypervisor and version (text).
    pub const FACT_HYPERVISOR: u16 = 1;
    /// Node fact attribute: whether hardware virtualization works (flag).
    pub const FACT_KVM: u16 = 2;
}

/// A disk of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Position, from 0; the root disk is 0.
    pub slot: u16,
    /// Our id of the volume.
    pub volume: Uuid,
    /// How the compute host reaches it.
    pub attachment: Attachment,
    /// See [`registry`].
    pub bus: u16,
    /// Whether the guest may not write.
    pub readonly: bool,
    /// Position in the boot order, from 1.
    pub boot_order: Option<u16>,
    /// Open attributes.
    pub attrs: Vec<Attr>,
}

/// A NIC of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicSpec {
    /// Position, from 0.
    pub slot: u16,
    /// Our id.
    pub id: Uuid,
    /// Its MAC address as text.
    pub mac: String,
    /// See [`registry`].
    pub kind: u16,
    /// Name of the bridge or libvirt network, as the network step realized it.
    pub link: String,
    /// Open attributes.
    pub attrs: Vec<Attr>,
}

/// What a guest is to be. Never grows: everything else is an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestSpec {
    /// vCPUs at start.
    pub vcpus: u32,
    /// vCPUs it may be grown to.
    pub vcpus_max: u32,
    /// Memory at start, MiB.
    pub memory_mib: u64,
    /// Memory it may be grown to, MiB.
    pub memory_max_mib: u64,
    /// See [`registry`].
    pub arch: u16,
    /// Disks by slot.
    pub disks: Vec<Disk>,
    /// NICs by slot.
    pub nics: Vec<NicSpec>,
    /// Open attributes.
    pub attrs: Vec<Attr>,
}

/// One incarnation of an instance on one compute host, as a driver's handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunHandle {
    /// The run; domains carry it as their uuid.
    pub id: RunId,
    /// Generation of the spec, stamped with our owner tag into what is created.
    pub generation: u64,
}

/// What is seen of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Which.
    pub run: RunId,
    /// Where, as the far side calls it.
    pub node: String,
    /// See [`registry`].
    pub state: u16,
    /// The far side's reason for it.
    pub reason: u16,
    /// The generation that it was stamped with.
    pub generation: u64,
    /// Digest of the spec that it was defined from.
    pub spec_digest: String,
    /// Slots and the identities of the disks seen there.
    pub disks: Vec<(u16, String)>,
    /// Open attributes.
    pub attrs: Vec<Attr>,
}

/// A page of what is seen on a compute host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Changes when the compute host boots.
    pub boot_id: String,
    /// Grows with each report under one boot id.
    pub sequence: u64,
    /// Whether everything that belongs on this page was seen.
    pub complete: bool,
    /// The runs.
    pub runs: Vec<Observed>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// What a compute host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// As the far side calls it.
    pub node: String,
    /// Changes when it boots.
    pub boot_id: String,
    /// Processors.
    pub vcpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// See [`registry`].
    pub arch: u16,
    /// CPU model that guests get.
    pub cpu_baseline: String,
    /// How storage sees it.
    pub initiators: Vec<Initiator>,
    /// Open attributes.
    pub attrs: Vec<Attr>,
}

/// What a driver can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverDescriptor {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Attachment kinds it can give to a guest.
    pub attachment_kinds: Vec<u16>,
    /// NIC kinds it can plug.
    pub nic_kinds: Vec<u16>,
    /// Console kinds it can locate.
    pub console_kinds: Vec<u16>,
    /// Features.
    pub features: Vec<u16>,
    /// Optional interfaces that the component exports ("devices", "console").
    pub interfaces: Vec<String>,
}

/// Where a console is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsolePlace {
    /// See [`registry`].
    pub kind: u16,
    /// How the node reaches it: 1 = stream of the domain.
    pub via: u16,
    /// The device's alias or path, as the node understands it.
    pub locator: String,
}

/// A hypervisor driver. Every changing call is idempotent by `call.effect.id`; `Working` is followed by `poll`.
#[async_trait]
pub trait HypervisorDriver: Send + Sync {
    /// What it can do.
    async fn describe(&self) -> Result<DriverDescriptor, Fault>;
    /// What the compute host is: one entry, several for a manager of many.
    async fn probe(&self, node: &Target) -> Result<Vec<NodeFacts>, Fault>;
    /// Defines the run or brings it to this spec; does not start it.
    async fn ensure(&self, call: &Call, run: RunHandle, spec: &GuestSpec) -> Result<Outcome, Fault>;
    /// Starts what `ensure` defined.
    async fn start(&self, call: &Call, run: RunHandle, spec: &GuestSpec) -> Result<Outcome, Fault>;
    /// Asks the guest to shut down; `Working` until it is off.
    async fn shutdown(&self, call: &Call, run: RunHandle) -> Result<Outcome, Fault>;
    /// Off when it answers `Done`.
    async fn kill(&self, call: &Call, run: RunHandle) -> Result<Outcome, Fault>;
    /// Restarts the guest, by asking it or (hard) by reset.
    async fn reboot(&self, call: &Call, run: RunHandle, hard: bool) -> Result<Outcome, Fault>;
    /// Undefines it; it is off.
    async fn remove(&self, call: &Call, run: RunHandle) -> Result<Outcome, Fault>;
    /// A page of all runs with our owner tag.
    async fn observe(&self, node: &Target, after: Option<&str>) -> Result<Inventory, Fault>;
    /// One run; none if it is not defined there.
    async fn observe_run(&self, node: &Target, run: RunHandle) -> Result<Option<Observed>, Fault>;
    /// How long work goes on.
    async fn poll(&self, call: &Call, run: RunHandle, token: &str) -> Result<Outcome, Fault>;
    /// Ends long work.
    async fn cancel(&self, call: &Call, run: RunHandle, token: &str) -> Result<Outcome, Fault>;
    /// `devices`: gives a running or stopped guest a disk. `UNSUPPORTED` without that interface.
    async fn attach_disk(&self, call: &Call, run: RunHandle, disk: &Disk) -> Result<Outcome, Fault>;
    /// `devices`: done only when the device is gone from the guest and the host.
    async fn detach_disk(&self, call: &Call, run: RunHandle, slot: u16) -> Result<Outcome, Fault>;
    /// `console`: where a console of this kind is.
    async fn locate_console(&self, node: &Target, run: RunHandle, kind: u16) -> Result<ConsolePlace, Fault>;
}
