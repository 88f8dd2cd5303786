//! The registered codes of the contracts' open spaces, as constants. The tables are in the documentation of `wit/`.

/// Codes of [`crate::common::Fault`].
pub mod fault {
    /// The request can never succeed here.
    pub const UNSUPPORTED: u16 = 1;
    /// What was named does not exist.
    pub const NOT_FOUND: u16 = 2;
    /// It exists, but made for something else.
    pub const EXISTS_DIFFERENT: u16 = 3;
    /// The far side has no room.
    pub const EXHAUSTED: u16 = 4;
    /// The far side is busy with this object; try again.
    pub const BUSY: u16 = 5;
    /// The grant does not allow it.
    pub const DENIED: u16 = 6;
    /// A newer owner or incarnation has been seen: this caller must stop.
    pub const FENCED: u16 = 7;
    /// The far side does not answer; whether it acted is not known.
    pub const UNREACHABLE: u16 = 8;
    /// Cancelled on request.
    pub const CANCELLED: u16 = 9;
    /// The arguments are wrong.
    pub const INVALID: u16 = 10;
    /// The deadline passed; whether it acted is not known.
    pub const DEADLINE: u16 = 11;
    /// The plugin trapped; only the server says this.
    pub const TRAPPED: u16 = 12;
    /// The answer did not pass the checks.
    pub const NONSENSE: u16 = 13;
    /// Not loaded, breaker open, or a limit exceeded.
    pub const UNAVAILABLE: u16 = 14;
    /// The far side failed by itself.
    pub const FAILED: u16 = 15;
    /// An image is not what it claims to be.
    pub const BAD_IMAGE: u16 = 16;
}

/// Codes of `velum:hypervisor`.
pub mod hypervisor {
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
    /// How a console is reached: a stream of the domain.
    pub const CONSOLE_VIA_DOMAIN: u16 = 1;
    /// Guest attribute: host name (text).
    pub const GUEST_HOST_NAME: u16 = 1;
    /// Guest attribute: user data (bytes), for far sides without a node.
    pub const GUEST_USER_DATA: u16 = 2;
    /// Guest attribute: address with prefix (text), for far sides without a node.
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

/// Codes of `velum:connect/libvirt`.
pub mod libvirt {
    /// Verb: start.
    pub const ACT_START: u16 = 1;
    /// Verb: ask the guest to shut down.
    pub const ACT_SHUTDOWN: u16 = 2;
    /// Verb: turn off.
    pub const ACT_DESTROY: u16 = 3;
    /// Verb: reset.
    pub const ACT_RESET: u16 = 4;
    /// Verb: ask the guest to reboot.
    pub const ACT_REBOOT: u16 = 5;
    /// Verb: suspend.
    pub const ACT_SUSPEND: u16 = 6;
    /// Verb: resume.
    pub const ACT_RESUME: u16 = 7;
    /// Verb: undefine.
    pub const ACT_UNDEFINE: u16 = 8;
}

/// Codes of `velum:storage` and of attachments.
pub mod storage {
    /// Attachment: a file on the node.
    pub const ATTACH_FILE: u16 = 1;
    /// Attachment: a block device on the node.
    pub const ATTACH_BLOCK: u16 = 2;
    /// Attachment: NFS.
    pub const ATTACH_NFS: u16 = 3;
    /// Attachment: iSCSI.
    pub const ATTACH_ISCSI: u16 = 4;
    /// Attachment: NBD.
    pub const ATTACH_NBD: u16 = 5;
    /// Attachment: RBD.
    pub const ATTACH_RBD: u16 = 6;
    /// Attachment: the simulated far side.
    pub const ATTACH_SIMULATED: u16 = 0x8001;
    /// Format: raw.
    pub const FORMAT_RAW: u16 = 1;
    /// Format: qcow2.
    pub const FORMAT_QCOW2: u16 = 2;
    /// Parameter of an attachment: path (text).
    pub const PARAM_PATH: u16 = 1;
    /// Parameter: address and port of an iSCSI portal (text, `10.0.0.9:3260`).
    pub const PARAM_PORTAL: u16 = 2;
    /// Parameter: name of an iSCSI target (text).
    pub const PARAM_TARGET: u16 = 3;
    /// Parameter: number of the unit at its target (number).
    pub const PARAM_LUN: u16 = 4;
    /// Parameter: the user of the secret (text).
    pub const PARAM_USER: u16 = 5;
    /// Source of a volume: blank.
    pub const SOURCE_BLANK: u16 = 0;
    /// Source: a snapshot.
    pub const SOURCE_SNAPSHOT: u16 = 1;
    /// Source: another volume.
    pub const SOURCE_VOLUME: u16 = 2;
    /// Source: the image layer cached on this pool.
    pub const SOURCE_LAYER: u16 = 3;
    /// Source: an image of the image store; makes the layer itself.
    pub const SOURCE_IMAGE: u16 = 4;
    /// Kind of an initiator: an iSCSI name.
    pub const INITIATOR_IQN: u16 = 1;
    /// Mode of a consumer: read and write.
    pub const MODE_RW: u16 = 1;
    /// Mode: read only.
    pub const MODE_RO: u16 = 2;
    /// Mode: read and write beside another node, while a guest moves.
    pub const MODE_RW_MOVING: u16 = 3;
    /// Mode: the node's mover.
    pub const MODE_MOVER: u16 = 4;
    /// Feature: volumes are thin.
    pub const FEATURE_THIN: u16 = 1;
    /// Feature: a clone does not depend on its source.
    pub const FEATURE_CLONE_INDEPENDENT: u16 = 2;
    /// Feature: the provider fills image layers on its own.
    pub const FEATURE_FILLS_LAYERS: u16 = 3;
    /// Attribute of a volume to be made from an image: its reference in its image store (text).
    pub const SPEC_IMAGE_REF: u16 = 1;
    /// State of a volume: not known.
    pub const STATE_UNKNOWN: u16 = 0;
    /// State: ready.
    pub const STATE_READY: u16 = 1;
    /// State: being made.
    pub const STATE_CREATING: u16 = 2;
    /// Attribute of `done` from `create`: the provider's own name of the volume (text).
    pub const DONE_BACKEND_ID: u16 = 1;
}

/// Codes of `velum:placement`.
pub mod placement {
    /// Row kind: compute hosts.
    pub const ROW_COMPUTE_HOST: u16 = 0;
    /// Row kind: storage pools.
    pub const ROW_STORAGE_POOL: u16 = 1;
    /// Column: an operator's own numeric attribute, by name.
    pub const COLUMN_ATTRIBUTE: u16 = 0;
    /// Column: vCPUs that may still be promised.
    pub const COLUMN_FREE_VCPUS: u16 = 1;
    /// Column: MiB of memory that may still be promised.
    pub const COLUMN_FREE_MEMORY_MIB: u16 = 2;
    /// Column: vCPUs that may be promised in all.
    pub const COLUMN_TOTAL_VCPUS: u16 = 3;
    /// Column: MiB of memory that may be promised in all.
    pub const COLUMN_TOTAL_MEMORY_MIB: u16 = 4;
    /// Column: active runs.
    pub const COLUMN_RUNS: u16 = 5;
    /// Column: GiB that may still be promised (pools).
    pub const COLUMN_FREE_GIB: u16 = 6;
    /// Column: GiB that may be promised in all (pools).
    pub const COLUMN_TOTAL_GIB: u16 = 7;
    /// Column: a number that rows of the same pod share.
    pub const COLUMN_POD: u16 = 8;
    /// Column: a number that rows of the same cluster share.
    pub const COLUMN_CLUSTER: u16 = 9;
    /// Column: the latest minute, since 1970, at which a run of the row is expected to end; 0 without runs,
    /// [`NO_END`] with one of which nobody said when.
    pub const COLUMN_LATEST_END: u16 = 10;
    /// Column: how much of a countable resource, by name, may still be promised.
    pub const COLUMN_FREE_RESOURCE: u16 = 11;
    /// Column: how much of a countable resource, by name, may be promised in all.
    pub const COLUMN_TOTAL_RESOURCE: u16 = 12;
    /// Demand: vCPUs.
    pub const DEMAND_VCPUS: u16 = 1;
    /// Demand: MiB of memory.
    pub const DEMAND_MEMORY_MIB: u16 = 2;
    /// Demand: GiB of storage.
    pub const DEMAND_GIB: u16 = 3;
    /// A demand from here on wants an attribute of the ask: the code of the attribute follows on this one. Its place in the
    /// demands is 0.
    pub const DEMAND_ATTRS: u16 = 0x100;
    /// The last code of those.
    pub const DEMAND_ATTRS_LAST: u16 = 0x1ff;
    /// A demand from here on wants how much is asked of a countable resource: that of the column whose place among the columns
    /// follows on this one.
    pub const DEMAND_RESOURCES: u16 = 0x200;
    /// The last code of those.
    pub const DEMAND_RESOURCES_LAST: u16 = 0x2ff;
    /// Attribute of an ask: the minute since 1970 in which it is decided.
    pub const ATTR_NOW: u16 = 1;
    /// Attribute of an ask: the minute since 1970 at which the machine is expected to end; absent when nobody said.
    pub const ATTR_EXPECTED_END: u16 = 2;
    /// An expected end that nobody said.
    pub const NO_END: u32 = u32::MAX;
    /// Fact: the template is cached on a pool that the row reaches (value 1).
    pub const FACT_TEMPLATE_CACHED: u16 = 1;
    /// Fact: the compute host that the instance ran on before (value 1).
    pub const FACT_PREVIOUS_HOST: u16 = 2;
    /// Fact: how many instances of the same project the row has.
    pub const FACT_SAME_PROJECT: u16 = 3;
    /// Fact: how many members of the affinity groups of the instance the row has. (Anti-affinity is the server's to keep.)
    pub const FACT_KIN: u16 = 4;
    /// Fact: how many instances of the same project run in the pod of the row, on all of its compute hosts.
    pub const FACT_SAME_PROJECT_IN_POD: u16 = 5;
    /// Scores at and above this refuse: the low 16 bits are the policy's refusal code.
    pub const REFUSE: u32 = 0xffff_0000;
}
