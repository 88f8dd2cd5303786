//! Free addresses of a zone's networks, as bitmaps.

use std::{collections::HashMap, net::Ipv4Addr};

use velum_model::{
    id::{IpRangeId, NetworkId},
    net::AddressRange,
};

/// Why there is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// Every address of every range is claimed, or there is no range.
    #[error("the network has no free address")]
    Exhausted,
    /// The address that was asked for is claimed.
    #[error("the address is not free")]
    NotFree,
    /// The address that was asked for is in no range of the network.
    #[error("the address is in no range of the network")]
    InNoRange,
}

/// The ranges of each network, with what is claimed in them.
#[derive(Clone, Debug, Default)]
pub struct AddressBook {
    ranges: HashMap<IpRangeId, Claimed>,
    of_network: HashMap<NetworkId, Vec<IpRangeId>>,
}

/// One range. At its longest (a /16) the bits take 8 KiB.
#[derive(Clone, Debug)]
struct Claimed {
    network: NetworkId,
    first: u32,
    len: u32,
    bits: Vec<u64>,
    free: u32,
    /// Where the search goes on: an address that was just released is not given again at once, for neighbours
    /// still remember its MAC.
    next: u32,
}

impl Claimed {
    fn index(&self, address: Ipv4Addr) -> Option<u32> {
        u32::from(address)
            .checked_sub(self.first)
            .filter(|&index| index < self.len)
    }

    fn is_claimed(&self, index: u32) -> bool {
        self.bits
            .get(index as usize / 64)
            .is_none_or(|bits| bits & (1 << (index % 64)) != 0)
    }

    /// True when it was free.
    fn claim(&mut self, index: u32) -> bool {
        if self.is_claimed(index) {
            return false;
        }
        if let Some(bits) = self.bits.get_mut(index as usize / 64) {
            *bits |= 1 << (index % 64);
        }
        self.free -= 1;
        self.next = (index + 1) % self.len;
        true
    }

    fn release(&mut self, index: u32) {
        if index < self.len && self.is_claimed(index) {
            if let Some(bits) = self.bits.get_mut(index as usize / 64) {
                *bits &= !(1 << (index % 64));
            }
            self.free += 1;
        }
    }

    fn first_free(&self) -> Option<u32> {
        if self.free == 0 {
            return None;
        }
        (self.next..self.len)
            .chain(0..self.next)
            .find(|&index| !self.is_claimed(index))
    }
}

/// Where the searches of some networks go on; taken before addresses are claimed that may never be used.
#[derive(Clone, Debug, Default)]
pub struct Positions(Vec<(IpRangeId, u32)>);

impl AddressBook {
    /// A range with what is claimed in it; in place of what was known of it. `reserved` (the gateway) is never given.
    pub fn put(
        &mut self,
        id: IpRangeId,
        network: NetworkId,
        range: AddressRange,
        claimed: impl IntoIterator<Item = Ipv4Addr>,
    ) {
        self.remove(id);
        let len = u32::try_from(range.count()).unwrap_or(u32::MAX);
        let mut of = Claimed {
            network,
            first: u32::from(range.first),
            len,
            bits: vec![0; (len as usize).div_ceil(64)],
            free: len,
            next: 0,
        };
        for address in claimed {
            if let Some(index) = of.index(address) {
                of.claim(index);
            }
        }
        of.next = 0;
        self.ranges.insert(id, of);
        let ranges = self.of_network.entry(network).or_default();
        ranges.push(id);
        ranges.sort_unstable();
    }

    /// A range is gone.
    pub fn remove(&mut self, id: IpRangeId) {
        if let Some(gone) = self.ranges.remove(&id)
            && let Some(ranges) = self.of_network.get_mut(&gone.network)
        {
            ranges.retain(|other| *other != id);
        }
    }

    /// Whether a range is known.
    #[must_use]
    pub fn knows(&self, id: IpRangeId) -> bool {
        self.ranges.contains_key(&id)
    }

    /// Claims an address of a network: the one that is wanted, or the next free one.
    ///
    /// # Errors
    /// [`NoAddress`]; nothing is claimed then.
    pub fn claim(
        &mut self,
        network: NetworkId,
        wanted: Option<Ipv4Addr>,
    ) -> Result<(IpRangeId, Ipv4Addr), NoAddress> {
        let ranges = self.of_network.get(&network).map(Vec::as_slice);
        let mut is_in_one = false;
        for id in ranges.unwrap_or_default() {
            let Some(of) = self.ranges.get_mut(id) else {
                continue;
            };
            let index = match wanted {
                Some(address) => {
                    let index = of.index(address);
                    is_in_one |= index.is_some();
                    index.filter(|&index| !of.is_claimed(index))
                }
                None => of.first_free(),
            };
            if let Some(index) = index {
                of.claim(index);
                return Ok((*id, Ipv4Addr::from(of.first + index)));
            }
        }
        Err(match wanted {
            Some(_) if is_in_one => NoAddress::NotFree,
            Some(_) => NoAddress::InNoRange,
            None => NoAddress::Exhausted,
        })
    }

    /// Notes an address as claimed, however it came to be.
    pub fn mark(&mut self, range: IpRangeId, address: Ipv4Addr) {
        if let Some(of) = self.ranges.get_mut(&range)
            && let Some(index) = of.index(address)
        {
            of.claim(index);
        }
    }

    /// Releases an address.
    pub fn release(&mut self, range: IpRangeId, address: Ipv4Addr) {
        if let Some(of) = self.ranges.get_mut(&range)
            && let Some(index) = of.index(address)
        {
            of.release(index);
        }
    }

    /// Where the searches of these networks go on now.
    #[must_use]
    pub fn positions(&self, networks: impl IntoIterator<Item = NetworkId>) -> Positions {
        let ranges = networks
            .into_iter()
            .flat_map(|network| self.of_network.get(&network).into_iter().flatten());
        Positions(
            ranges
                .filter_map(|id| self.ranges.get(id).map(|of| (*id, of.next)))
                .collect(),
        )
    }

    /// Takes back claims that nobody was told of: the addresses are free and the searches go on where they were, as if
    /// there had been no claim.
    pub fn unclaim(&mut self, claimed: &[(IpRangeId, Ipv4Addr)], before: &Positions) {
        for (range, address) in claimed {
            self.release(*range, *address);
        }
        for (range, next) in &before.0 {
            if let Some(of) = self.ranges.get_mut(range) {
                of.next = *next;
            }
        }
    }

    /// Free addresses of a network.
    #[must_use]
    pub fn free(&self, network: NetworkId) -> u64 {
        let ranges = self.of_network.get(&network).into_iter().flatten();
        ranges
            .filter_map(|id| self.ranges.get(id))
            .map(|of| u64::from(of.free))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use velum_model::Id;

    use super::*;

    fn book(last: u8) -> (AddressBook, IpRangeId, NetworkId) {
        let (range, network) = (
            Id::from_uuid(Uuid::from_u128(1)),
            Id::from_uuid(Uuid::from_u128(2)),
        );
        let addresses = AddressRange {
            first: Ipv4Addr::new(10, 0, 0, 1),
            last: Ipv4Addr::new(10, 0, 0, last),
        };
        let mut book = AddressBook::default();
        book.put(range, network, addresses, [Ipv4Addr::new(10, 0, 0, 2)]);
        (book, range, network)
    }

    #[test]
    fn addresses_are_given_once_until_none_is_left() {
        let (mut book, range, network) = book(4);
        let given: Vec<u8> = (0..3)
            .map(|_| book.claim(network, None).expect("one is free").1.octets()[3])
            .collect();
        assert_eq!(given, [1, 3, 4]);
        assert_eq!(book.claim(network, None), Err(NoAddress::Exhausted));
        book.release(range, Ipv4Addr::new(10, 0, 0, 3));
        assert_eq!(book.free(network), 1);
        assert_eq!(book.claim(network, None).map(|(_, a)| a.octets()[3]), Ok(3));
    }

    #[test]
    fn a_wanted_address_is_given_or_refused() {
        let (mut book, _, network) = book(4);
        let wanted = Ipv4Addr::new(10, 0, 0, 4);
        assert!(book.claim(network, Some(wanted)).is_ok());
        assert_eq!(book.claim(network, Some(wanted)), Err(NoAddress::NotFree));
        let outside = Ipv4Addr::new(10, 0, 1, 4);
        assert_eq!(book.claim(network, Some(outside)), Err(NoAddress::InNoRange));
    }

    #[test]
    fn a_claim_that_nobody_was_told_of_leaves_no_trace() {
        let (mut book, _, network) = book(200);
        let before = book.positions([network]);
        let mut claimed = vec![book.claim(network, None).expect("one is free")];
        claimed.push(
            book.claim(network, Some(Ipv4Addr::new(10, 0, 0, 90)))
                .expect("it is free"),
        );
        book.unclaim(&claimed, &before);
        assert_eq!(book.free(network), 199);
        assert_eq!(book.claim(network, None).map(|(_, a)| a.octets()[3]), Ok(1));
    }

    #[test]
    fn a_released_address_is_not_given_again_at_once() {
        let (mut book, range, network) = book(200);
        let (_, first) = book.claim(network, None).expect("one is free");
        book.release(range, first);
        let (_, second) = book.claim(network, None).expect("one is free");
        assert_ne!(first, second);
    }
}
