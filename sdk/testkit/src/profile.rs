//! Where a policy's fuel goes: the same question again and again, stopped at another share of its fuel each time. No clock is
//! in it, so that the same component has the same profile on every machine.

use std::collections::BTreeMap;

use serde::Serialize;
use velum_runtime::BarePolicy;

use crate::{
    Plugin, Sandbox, Settings,
    bench::ready,
    suite::{SuiteError, inventory_values, policy_ask},
};

/// What a policy was at when it was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Compute hosts of the question.
    pub hosts: u32,
    /// Fuel of the whole question.
    pub fuel: u64,
    /// Stops by what was on the stack, the outermost function first, separated by `;`: the format of flame graphs.
    pub stacks: BTreeMap<String, u64>,
}

/// A function's share of the stops, in number of stops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Its name.
    pub function: String,
    /// Stops in it.
    pub own: u64,
    /// Stops in it or in what it called.
    pub total: u64,
}

impl Profile {
    /// Each function, most own stops first.
    #[must_use]
    pub fn shares(&self) -> Vec<Share> {
        let mut shares: BTreeMap<&str, Share> = BTreeMap::new();
        for (stack, count) in &self.stacks {
            let mut functions: Vec<&str> = stack.split(';').collect();
            let innermost = functions.last().copied().unwrap_or_default();
            // A function that calls itself is on the stack twice and is one function.
            functions.sort_unstable();
            functions.dedup();
            for function in functions {
                let share = shares.entry(function).or_insert_with(|| Share {
                    function: function.to_owned(),
                    ..Share::default()
                });
                share.total += count;
                share.own += if function == innermost { *count } else { 0 };
            }
        }
        let mut shares: Vec<Share> = shares.into_values().collect();
        shares.sort_by(|a, b| (b.own, b.total, &a.function).cmp(&(a.own, a.total, &b.function)));
        shares
    }

    /// As tools that draw flame graphs read it: a stack and its number of stops a line.
    #[must_use]
    pub fn folded(&self) -> String {
        let lines = self
            .stacks
            .iter()
            .map(|(stack, count)| format!("{stack} {count}\n"));
        lines.collect()
    }
}

/// Asks a policy about `hosts` compute hosts and stops it `stops` times on the way.
///
/// # Errors
/// [`SuiteError`] when it traps or does not take an inventory.
pub fn profile(
    sandbox: &Sandbox,
    plugin: &Plugin,
    settings: &Settings,
    hosts: u32,
    stops: u32,
) -> Result<Profile, SuiteError> {
    let broken = |problem: String| SuiteError::Describe(problem);
    let expected = usize::try_from(hosts).unwrap_or(usize::MAX);
    let loaded = || -> Result<(BarePolicy, _), SuiteError> {
        let (mut policy, descriptor) = ready(sandbox, plugin, settings)?;
        let values = inventory_values(&descriptor, hosts);
        let taken = policy.load(1, hosts, &values);
        if !taken.map_err(|failure| broken(failure.to_string()))? {
            return Err(broken(format!("it does not take an inventory of {hosts} hosts")));
        }
        Ok((policy, policy_ask(&descriptor)))
    };
    let (mut policy, ask) = loaded()?;
    policy
        .score(1, &ask, &[], expected)
        .map_err(|failure| broken(failure.to_string()))?;
    let fuel = policy.fuel_used();
    let mut stacks = BTreeMap::new();
    for stop in 0..stops {
        let (mut policy, ask) = loaded()?;
        // In the middle of each of so many equal parts.
        let at = fuel.saturating_mul(u64::from(2 * stop + 1)) / u64::from(2 * stops).max(1);
        let stack = policy.stopped_at(at, (1, &ask), &[]);
        if let Some(frames) = stack.map_err(|failure| broken(failure.to_string()))? {
            let names = frames.iter().rev().map(|frame| readable(frame));
            *stacks.entry(names.collect::<Vec<_>>().join(";")).or_default() += 1;
        }
    }
    Ok(Profile { hosts, fuel, stacks })
}

/// A name as its author wrote it: without what the compiler put around it, and without what the format keeps for itself.
fn readable(linked: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(linked)).replace(';', ",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_has_its_own_stops_and_those_of_what_it_called() {
        let profile = Profile {
            hosts: 1,
            fuel: 10,
            stacks: [("score;rank", 3), ("score;rank;rank", 2), ("score", 1)]
                .map(|(stack, count)| (stack.to_owned(), count))
                .into(),
        };
        let shares: Vec<_> = profile
            .shares()
            .into_iter()
            .map(|share| (share.function, share.own, share.total))
            .collect();
        assert_eq!(shares, [("rank".to_owned(), 5, 5), ("score".to_owned(), 1, 6)]);
        assert_eq!(profile.folded(), "score 1\nscore;rank 3\nscore;rank;rank 2\n");
    }

    #[test]
    fn a_linked_name_is_made_readable() {
        assert_eq!(readable("_ZN4cool5score17h0123456789abcdefE"), "cool::score");
        assert_eq!(readable("a;b"), "a,b");
    }
}
