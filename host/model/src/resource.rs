//! Countable resources of compute hosts: whole things of a kind, such as GPUs, slices of them or huge pages, of which a host has so
//! many and a guest is given so many. What a name means is the operator's word: it is the same on compute hosts and offerings.

use std::{borrow::Borrow, collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::quantity::ResourceAmount;

/// Resources of one compute host. Each is a guarded row of the database and two columns of the zone in memory; a machine with a card of
/// every vGPU profile and both sizes of huge pages has fewer.
pub const HOST_RESOURCES_MAX: usize = 16;
/// Resources that one offering asks for. Each is looked at for every compute host, and changes a guarded row in each commit.
pub const OFFERING_RESOURCES_MAX: usize = 8;

/// What a resource is called: 1 to 63 characters out of `a-z 0-9 . -`, the first one a letter or a digit. No capitals: a resource is
/// named twice, and `GPU` here would be another than `gpu` there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceName(String);

/// Why a text is no name of a resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a resource's name has 1 to {max} characters out of a-z, 0-9, '.' and '-', the first a letter or a digit", max = ResourceName::MAX_LEN)]
pub struct ResourceNameError;

impl ResourceName {
    /// As long as other names.
    pub const MAX_LEN: usize = crate::Name::MAX_LEN;

    /// Parses a name.
    ///
    /// # Errors
    /// [`ResourceNameError`] when it is empty, too long or has another character.
    pub fn new(text: impl Into<String>) -> Result<Self, ResourceNameError> {
        let text = text.into();
        let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let starts_well = text.as_bytes().first().is_some_and(is_plain);
        let rest_is_fine = text
            .bytes()
            .all(|byte| is_plain(&byte) || matches!(byte, b'.' | b'-'));
        if starts_well && rest_is_fine && text.len() <= Self::MAX_LEN {
            Ok(Self(text))
        } else {
            Err(ResourceNameError)
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ResourceName {
    type Error = ResourceNameError;
    fn try_from(text: String) -> Result<Self, ResourceNameError> {
        Self::new(text)
    }
}
impl From<ResourceName> for String {
    fn from(name: ResourceName) -> Self {
        name.0
    }
}
impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
/// A policy names a resource by a text that nobody has to own.
impl Borrow<str> for ResourceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// How much of which: what is stated of a compute host, what an offering asks for, what a run holds.
pub type Resources = BTreeMap<ResourceName, ResourceAmount>;

/// One resource of a compute host. There is no overcommit: half a GPU is a resource of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostResource {
    /// How much there is; 0 when the operator took it away while guests have some of it.
    pub total: u64,
    /// How much is promised: the sum of the claims of its runs.
    pub used: u64,
}

/// What is stated of a compute host, in place of what was: what is used stays, and what is not stated any more has a total of 0, so that
/// whoever stores it knows that it is gone.
#[must_use]
pub fn restated(
    before: &BTreeMap<ResourceName, HostResource>,
    stated: &Resources,
) -> BTreeMap<ResourceName, HostResource> {
    let withdrawn = before
        .iter()
        .map(|(name, of)| (name.clone(), HostResource { total: 0, ..*of }));
    let mut after: BTreeMap<_, _> = withdrawn.collect();
    for (name, amount) in stated {
        after.entry(name.clone()).or_default().total = u64::from(*amount);
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ResourceName {
        ResourceName::new(text).expect("a name")
    }

    #[test]
    fn a_name_is_written_in_one_way_only() {
        for good in ["gpu", "hugepages-1g", "vgpu-a16.4q", "1", &"x".repeat(63)] {
            assert!(ResourceName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "GPU",
            "-gpu",
            ".gpu",
            "g pu",
            "g_pu",
            "g/pu",
            "gpü",
            &"x".repeat(64),
        ] {
            assert!(ResourceName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_have_their_bounds() {
        assert!(ResourceAmount::new(0).is_err() && ResourceAmount::new((1 << 31) + 1).is_err());
        assert_eq!(ResourceAmount::new(1 << 31).map(ResourceAmount::get), Ok(1 << 31));
    }

    #[test]
    fn what_is_not_stated_any_more_is_there_without_a_total() {
        let amount = |n| ResourceAmount::new(n).expect("in range");
        let before = BTreeMap::from([
            (name("gpu"), HostResource { total: 4, used: 2 }),
            (name("nic"), HostResource { total: 1, used: 0 }),
        ]);
        let stated = Resources::from([(name("gpu"), amount(1)), (name("fpga"), amount(3))]);
        let after = BTreeMap::from([
            (name("gpu"), HostResource { total: 1, used: 2 }),
            (name("nic"), HostResource { total: 0, used: 0 }),
            (name("fpga"), HostResource { total: 3, used: 0 }),
        ]);
        assert_eq!(restated(&before, &stated), after);
    }
}
