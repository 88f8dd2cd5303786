//! Addresses: MACs, IPv4 ranges, and the link that a network maps to.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// A MAC address, written `52:54:00:12:34:56`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The MAC of the NIC with this number in a cloud: locally administered, unicast, unique while numbers are.
    /// The prefix `06:56` marks Velum's own.
    #[must_use]
    pub const fn numbered(number: u32) -> Self {
        let [a, b, c, d] = number.to_be_bytes();
        Self([0x06, 0x56, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The text is no MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a MAC address is six bytes in hexadecimal with colons between")]
pub struct MacError;

impl FromStr for Mac {
    type Err = MacError;
    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or(MacError)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| MacError)?;
        }
        if parts.next().is_some() {
            Err(MacError)
        } else {
            Ok(Self(bytes))
        }
    }
}
impl TryFrom<String> for Mac {
    type Error = MacError;
    fn try_from(text: String) -> Result<Self, MacError> {
        text.parse()
    }
}
impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

/// Addresses from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressRange {
    /// The first address.
    pub first: Ipv4Addr,
    /// The last address.
    pub last: Ipv4Addr,
}

/// Why a range is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressRangeError {
    /// It ends before it begins.
    #[error("the range ends ({last}) before it begins ({first})")]
    Backwards {
        /// Given as the first.
        first: Ipv4Addr,
        /// Given as the last.
        last: Ipv4Addr,
    },
    /// It is not inside its network.
    #[error("{address} is not a usable address of {cidr}")]
    Outside {
        /// The address in question.
        address: Ipv4Addr,
        /// The network.
        cidr: Ipv4Net,
    },
    /// It is larger than a range may be.
    #[error("a range holds at most {max} addresses, not {got}", max = AddressRange::MAX_LEN)]
    TooLong {
        /// Its length.
        got: u64,
    },
}

impl AddressRange {
    /// A /16: the free addresses of a range are a bitmap in memory (8 KiB at this size).
    pub const MAX_LEN: u64 = 1 << 16;

    /// Checks order, length, and that every address is a host address of `cidr` (neither its network nor its
    /// broadcast address).
    ///
    /// # Errors
    /// [`AddressRangeError`] with the address that does not fit.
    pub fn new(first: Ipv4Addr, last: Ipv4Addr, cidr: Ipv4Net) -> Result<Self, AddressRangeError> {
        if last < first {
            return Err(AddressRangeError::Backwards { first, last });
        }
        let is_host = |a: Ipv4Addr| {
            cidr.contains(&a) && (cidr.prefix_len() >= 31 || (a != cidr.network() && a != cidr.broadcast()))
        };
        for address in [first, last] {
            if !is_host(address) {
                return Err(AddressRangeError::Outside { address, cidr });
            }
        }
        let range = Self { first, last };
        if range.count() > Self::MAX_LEN {
            return Err(AddressRangeError::TooLong { got: range.count() });
        }
        Ok(range)
    }

    /// How many addresses it holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::from(u32::from(self.last)) + 1 - u64::from(u32::from(self.first))
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// Whether two ranges share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// How a network reaches a compute host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    /// A Linux bridge that the operator made; NIC kind 1.
    Bridge,
    /// A libvirt network by name; NIC kind 2.
    LibvirtNetwork,
    /// A bridge that the node makes and keeps for this network (isolated, with the gateway's address on it); NIC kind 1.
    NodeBridge,
    /// A segment of the simulated far side; NIC kind 0x8001.
    Simulated,
}

impl LinkKind {
    /// The NIC kind of the contracts (`velum:hypervisor/types.nic.kind`).
    #[must_use]
    pub const fn nic_kind(self) -> u16 {
        match self {
            Self::Bridge | Self::NodeBridge => 1,
            Self::LibvirtNetwork => 2,
            Self::Simulated => 0x8001,
        }
    }
}

/// The thing on a compute host that a network maps to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Link {
    /// What it is.
    pub kind: LinkKind,
    /// Its name there: at most 15 characters for a bridge (the kernel's IFNAMSIZ).
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr() -> Ipv4Net {
        "10.1.0.0/24".parse().expect("a literal network")
    }

    #[test]
    fn a_range_lies_inside_its_network() {
        let at = |last: u8| Ipv4Addr::new(10, 1, 0, last);
        assert_eq!(
            AddressRange::new(at(10), at(20), cidr()).map(|r| r.count()),
            Ok(11)
        );
        assert!(matches!(
            AddressRange::new(at(20), at(10), cidr()),
            Err(AddressRangeError::Backwards { .. })
        ));
        for (first, last) in [
            (at(0), at(9)),
            (at(9), at(255)),
            (at(9), Ipv4Addr::new(10, 1, 1, 9)),
        ] {
            assert!(matches!(
                AddressRange::new(first, last, cidr()),
                Err(AddressRangeError::Outside { .. })
            ));
        }
    }

    #[test]
    fn a_mac_reads_what_it_writes() {
        let mac = Mac::numbered(0x0102_0304);
        assert_eq!(mac.to_string(), "06:56:01:02:03:04");
        assert_eq!(mac.to_string().parse(), Ok(mac));
        for bad in [
            "",
            "06:56",
            "06:56:01:02:03:04:05",
            "6:56:01:02:03:04",
            "zz:56:01:02:03:04",
        ] {
            assert_eq!(bad.parse::<Mac>(), Err(MacError), "{bad}");
        }
    }
}
