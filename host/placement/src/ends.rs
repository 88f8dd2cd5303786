//! When the runs of a compute host are expected to end.

use velum_model::port::placement::registry::NO_END;

/// The expected ends of a compute host's runs, in minutes since 1970, ascending; one that nobody said stands as [`NO_END`], behind all.
///
/// A compute host has hundreds of runs at most: finding a place by halves and moving what is behind it costs less than any tree,
/// and 1,000,000 runs take 4 MB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends(Vec<u32>);

impl Ends {
    pub(crate) fn insert(&mut self, end: Option<u32>) {
        let end = end.unwrap_or(NO_END);
        let at = self.0.partition_point(|&known| known <= end);
        self.0.insert(at, end);
    }

    /// Takes one out that was put in.
    pub(crate) fn remove(&mut self, end: Option<u32>) {
        if let Ok(at) = self.0.binary_search(&end.unwrap_or(NO_END)) {
            self.0.remove(at);
        }
    }

    /// The last of them; 0 without any.
    pub(crate) fn latest(&self) -> u32 {
        self.0.last().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_latest_is_that_of_those_that_are_left(
            ends in prop::collection::vec(prop::option::of(0u32..6), 1..40), gone in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let mut kept = Ends::default();
            let mut there = ends.clone();
            ends.iter().for_each(|&end| kept.insert(end));
            for at in gone {
                if there.is_empty() {
                    break;
                }
                kept.remove(there.swap_remove(at.index(there.len())));
                let latest = there.iter().map(|end| end.unwrap_or(NO_END)).max();
                prop_assert_eq!(kept.latest(), latest.unwrap_or(0));
            }
        }
    }
}
