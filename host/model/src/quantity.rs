//! Quantities with their units in the type. A value is valid by construction: parse at the border.

use serde::{Deserialize, Serialize};

/// A quantity is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be between {min} and {max} {unit}, not {got}")]
pub struct QuantityError {
    /// Smallest value allowed.
    pub min: u64,
    /// Largest value allowed.
    pub max: u64,
    /// What was given.
    pub got: u64,
    /// In what it is counted.
    pub unit: &'static str,
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident($inner:ty), $min:expr, $max:expr, $unit:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name($inner);

        impl $name {
            /// The smallest value.
            pub const MIN: u64 = $min;
            /// The largest value.
            pub const MAX: u64 = $max;

            /// Checks the range.
            ///
            /// # Errors
            /// [`QuantityError`] when it is outside.
            pub const fn new(value: u64) -> Result<Self, QuantityError> {
                if value < Self::MIN || value > Self::MAX {
                    return Err(QuantityError { min: Self::MIN, max: Self::MAX, got: value, unit: $unit });
                }
                Ok(Self(value as $inner))
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = QuantityError;
            fn try_from(value: u64) -> Result<Self, QuantityError> {
                Self::new(value)
            }
        }
        impl From<$name> for u64 {
            fn from(value: $name) -> u64 {
                u64::from(value.0)
            }
        }
    };
}

quantity! {
    /// Virtual processors of a guest or of a compute host. 4,096 is what the largest machine types offer.
    Vcpus(u32), 1, 4096, "vCPUs"
}
quantity! {
    /// Memory in MiB. A guest's floor is 16 (a kernel with a shell boots in 64), the ceiling 16 TiB.
    MemoryMib(u64), 16, 16 << 20, "MiB"
}
quantity! {
    /// The size of a volume, a template or a pool in bytes: 1 to 2^50 (1 PiB).
    Bytes(u64), 1, 1 << 50, "bytes"
}
quantity! {
    /// How much of a compute host's resource may be promised, in thousandths: 1000 is what is there, 20000 twentyfold.
    Overcommit(u32), 1000, 20_000, "thousandths"
}

quantity! {
    /// How long a machine is expected to run, in seconds: a minute, which is as fine as placement looks, to ten years.
    ExpectedLifetime(u32), 60, 315_360_000, "seconds"
}

quantity! {
    /// How much there is, or is asked, of a countable resource. Whole things of a machine are few; 2^31 counts the smallest pages of
    /// 8 TiB.
    ResourceAmount(u32), 1, 1 << 31, "units"
}

/// 2^30.
pub const GIB: u64 = 1 << 30;

impl Overcommit {
    /// No more than is there.
    pub const NONE: Self = Self(1000);

    /// What may be promised of `physical`.
    #[must_use]
    pub const fn ceiling(self, physical: u64) -> u64 {
        physical.saturating_mul(self.0 as u64) / 1000
    }
}
