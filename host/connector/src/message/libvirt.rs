//! What `velum:connect/libvirt` asks of a node.

use serde::{Deserialize, Serialize};
use velum_model::port::hypervisor::{Disk, GuestSpec, NicSpec, RunHandle};

/// Codes of [`DomainStats::values`].
pub mod value {
    /// vCPUs that it has now.
    pub const VCPUS: u16 = 1;
    /// Memory that it has now, MiB.
    pub const MEMORY_MIB: u16 = 2;
    /// CPU time that it used, nanoseconds.
    pub const CPU_NANOS: u16 = 3;
}

/// What can be done to a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DomainVerb {
    /// Starts it; done when it runs already.
    Start,
    /// Asks the guest to power off; returns when asked.
    Shutdown,
    /// Off when it answers; done when it is off already.
    Destroy,
    /// Pulls its reset line.
    Reset,
    /// Asks the guest to restart; returns when asked.
    Reboot,
    /// Stops its processors; done when they are.
    Suspend,
    /// Lets them run on.
    Resume,
    /// Forgets it with its NVRAM, TPM and console log; it must be off; done when it is not there.
    Undefine,
}

impl DomainVerb {
    /// The verb with this code of the contract (`domain.act`): 1 start, 2 shutdown, 3 destroy, 4 reset, 5 reboot,
    /// 6 suspend, 7 resume, 8 undefine.
    #[must_use]
    pub const fn from_code(code: u16) -> Option<Self> {
        Some(match code {
            1 => Self::Start,
            2 => Self::Shutdown,
            3 => Self::Destroy,
            4 => Self::Reset,
            5 => Self::Reboot,
            6 => Self::Suspend,
            7 => Self::Resume,
            8 => Self::Undefine,
            _ => return None,
        })
    }
}

/// The device that a driver was ordered to attach: what its XML is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceOrder {
    /// A disk.
    Disk(Box<Disk>),
    /// A NIC.
    Nic(Box<NicSpec>),
}

/// What is wanted of a libvirt connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LibvirtVerb {
    /// Answers `String`: libvirt's `<capabilities>`.
    CapabilitiesXml,
    /// Answers `String`: libvirt's `<domainCapabilities>`.
    DomainCapabilitiesXml {
        /// Machine type, e.g. `q35`.
        machine: String,
        /// Architecture, e.g. `x86_64`.
        arch: String,
    },
    /// What the machine is. Answers `velum_model::port::hypervisor::NodeFacts`. Hardware virtualization is not claimed:
    /// that a guest boots under it is only known after one did.
    NodeFacts,
    /// Every domain that carries our owner tag, by run id. Answers [`StatsPage`].
    Stats {
        /// Where the page begins.
        after: Option<String>,
    },
    /// The domain of a run. Answers `Option<DomainStats>`.
    Domain {
        /// Which run.
        run: RunHandle,
    },
    /// Defines a run's domain or brings it to this text (effect). Answers `null`.
    Define {
        /// Which run: uuid and owner tag of the domain.
        run: RunHandle,
        /// The driver's text. The node parses it, compares it with `order` and writes its own.
        xml: String,
        /// What the driver was ordered to make.
        order: Box<GuestSpec>,
    },
    /// The domain's text as libvirt has it. Answers `String`.
    DomainXml {
        /// Which run.
        run: RunHandle,
    },
    /// Does something to the domain (effect). Answers `null`.
    Act {
        /// Which run.
        run: RunHandle,
        /// What.
        verb: DomainVerb,
    },
    /// Gives the domain a device (effect); done when it has it. Answers `null`.
    AttachDevice {
        /// Which run.
        run: RunHandle,
        /// The driver's text of the device.
        xml: String,
        /// Whether the running guest gets it too; its definition always does.
        live: bool,
        /// What the driver was ordered to attach.
        order: DeviceOrder,
    },
    /// Takes a device away (effect). Answers `null` when guest and definition are without it; `BUSY` while the guest
    /// holds it.
    DetachDevice {
        /// Which run.
        run: RunHandle,
        /// Alias of the device (`ua-disk-3`).
        alias: String,
        /// Whether the running guest loses it too.
        live: bool,
    },
}

impl LibvirtVerb {
    /// Whether it changes something.
    #[must_use]
    pub const fn is_effect(&self) -> bool {
        matches!(
            self,
            Self::Define { .. } | Self::Act { .. } | Self::AttachDevice { .. } | Self::DetachDevice { .. }
        )
    }
}

/// What is seen of one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainStats {
    /// The run of its owner tag.
    pub run: RunHandle,
    /// See `velum_model::port::hypervisor::registry::STATE_*`.
    pub state: u16,
    /// libvirt's reason for it.
    pub reason: u16,
    /// Digest of the order that it was defined from.
    pub spec_digest: String,
    /// Slots and the identities of the disks seen there.
    pub disks: Vec<(u16, String)>,
    /// See [`value`].
    pub values: Vec<(u16, u64)>,
}

/// A page of domains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsPage {
    /// Changes when the machine boots.
    pub boot_id: String,
    /// Grows with each report under one boot id.
    pub sequence: u64,
    /// Whether all of our domains were seen (with the pages before).
    pub complete: bool,
    /// Where the next page begins.
    pub next: Option<String>,
    /// The domains.
    pub domains: Vec<DomainStats>,
}
