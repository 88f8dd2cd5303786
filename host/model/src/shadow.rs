//! What is counted of a shadow: a component that sees a policy's asks and decides nothing.

use serde::{Deserialize, Serialize};

use crate::port::placement::PolicyFailure;

/// Counts of one shadow. They add up over zones, servers and runs of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShadowCounts {
    /// Asks that the policy decided while the shadow was there.
    pub asks: u64,
    /// Of these, asks that the shadow was not shown, because it was still busy with others.
    pub dropped: u64,
    /// Asks that both answered: all that follows, but for the failures, is of these.
    pub compared: u64,
    /// Asks for which both would have chosen the same compute host, or none.
    pub same_winner: u64,
    /// Asks with at least two compute hosts in order.
    pub ranked: u64,
    /// Sum over those of the pairs, in thousandths, that the shadow puts in the same order among the policy's best 16.
    pub rank_permille: u64,
    /// Compute hosts that the shadow refused and the policy did not.
    pub refusals_added: u64,
    /// Asks for which the shadow refused every compute host that the policy ranked.
    pub refused_all: u64,
    /// Fuel of the shadow's scoring.
    pub fuel: u64,
    /// Fuel of the policy.
    pub active_fuel: u64,
    /// Time of the shadow's scoring, microseconds.
    pub micros: u64,
    /// Time of the policy's decisions, filters included, microseconds.
    pub active_micros: u64,
    /// Asks at which the shadow trapped.
    pub trapped: u64,
    /// Asks at which its fuel ran out.
    pub out_of_fuel: u64,
    /// Asks at which its answer was not usable.
    pub nonsense: u64,
    /// Asks at which it could not be asked: its breaker was open, or it does not take its configuration.
    pub unavailable: u64,
    /// Asks at which the policy itself failed: nothing is compared then.
    pub active_failed: u64,
}

impl ShadowCounts {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        let Self {
            asks,
            dropped,
            compared,
            same_winner,
            ranked,
            rank_permille,
            refusals_added,
            refused_all,
            fuel,
            active_fuel,
            micros,
            active_micros,
            trapped,
            out_of_fuel,
            nonsense,
            unavailable,
            active_failed,
        } = other;
        for (sum, more) in [
            (&mut self.asks, asks),
            (&mut self.dropped, dropped),
            (&mut self.compared, compared),
            (&mut self.same_winner, same_winner),
            (&mut self.ranked, ranked),
            (&mut self.rank_permille, rank_permille),
            (&mut self.refusals_added, refusals_added),
            (&mut self.refused_all, refused_all),
            (&mut self.fuel, fuel),
            (&mut self.active_fuel, active_fuel),
            (&mut self.micros, micros),
            (&mut self.active_micros, active_micros),
            (&mut self.trapped, trapped),
            (&mut self.out_of_fuel, out_of_fuel),
            (&mut self.nonsense, nonsense),
            (&mut self.unavailable, unavailable),
            (&mut self.active_failed, active_failed),
        ] {
            *sum = sum.saturating_add(*more);
        }
    }

    /// The shadow failed at an ask.
    pub const fn failed(&mut self, failure: &PolicyFailure) {
        let count = match failure {
            PolicyFailure::Trapped(_) => &mut self.trapped,
            PolicyFailure::OutOfFuel => &mut self.out_of_fuel,
            PolicyFailure::Nonsense(_) => &mut self.nonsense,
            PolicyFailure::Configuration(_) | PolicyFailure::Unavailable(_) => &mut self.unavailable,
        };
        *count += 1;
    }

    /// Asks at which the shadow gave no answer.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.trapped + self.out_of_fuel + self.nonsense + self.unavailable
    }
}
