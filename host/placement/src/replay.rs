//! Making a decision once more, to prove that it was what it says, or to see what another policy would have done.

use velum_model::decision::Decision;

use crate::{
    choose::{Outcome, choose},
    explain::{AskRecord, Circumstances, Detail, explain},
    filter::FILTER_VERSION,
    inventory::Inventory,
    ranker::{PolicyLabel, Ranker},
};

/// How a replay differs from what was decided.
#[derive(Debug, thiserror::Error)]
pub enum Difference {
    /// The decision's ask does not read as one.
    #[error("could not read the ask of the decision")]
    Ask(#[source] serde_json::Error),
    /// Other filters were in force.
    #[error("the decision was made by version {then} of the filters; this is version {now}")]
    Filter {
        /// Version then.
        then: u32,
        /// Version now.
        now: u32,
    },
    /// The inventory is not the one that was read.
    #[error("the decision read epoch {then} of the inventory; this is epoch {now}")]
    Epoch {
        /// Epoch then.
        then: u64,
        /// Epoch now.
        now: u64,
    },
    /// It came out otherwise.
    #[error("the replay came out otherwise: {0:?}")]
    Outcome(Box<Outcome>),
}

/// Decides again over `inventory`, which must be at the decision's epoch, with the policies of the decision: `hosts`
/// and `pools` are instances of them (a policy that failed then is held to its fallback). The outcome lists every
/// refusal and can be shown in full.
///
/// # Errors
/// [`Difference`]: the first thing that is not bit for bit the same.
pub fn replay(
    inventory: &Inventory,
    decision: &Decision,
    hosts: &mut Ranker,
    pools: &mut Ranker,
) -> Result<Outcome, Difference> {
    let record: AskRecord = serde_json::from_value(decision.ask.clone()).map_err(Difference::Ask)?;
    if record.filter != FILTER_VERSION {
        return Err(Difference::Filter {
            then: record.filter,
            now: FILTER_VERSION,
        });
    }
    if decision.inventory_epoch != inventory.epoch() {
        return Err(Difference::Epoch {
            then: decision.inventory_epoch,
            now: inventory.epoch(),
        });
    }
    let mut failed_hosts = as_it_failed(hosts.label(), &decision.policy);
    let mut failed_pools = as_it_failed(pools.label(), &record.pool_policy);
    let outcome = choose(
        inventory,
        &record.ask,
        decision.seed,
        failed_hosts.as_mut().unwrap_or(hosts),
        failed_pools.as_mut().unwrap_or(pools),
    );
    let again = explain(&record.ask, &outcome, &circumstances(decision), Detail::Stored);
    // How much is listed and what it cost depends on what was kept then.
    let same = Decision {
        refusals: decision.refusals.clone(),
        fuel: decision.fuel,
        ..again
    } == *decision;
    if same {
        Ok(outcome)
    } else {
        Err(Difference::Outcome(Box::new(outcome)))
    }
}

fn circumstances(decision: &Decision) -> Circumstances {
    Circumstances {
        id: decision.id,
        zone: decision.zone,
        epoch: decision.inventory_epoch,
        seed: decision.seed,
        micros: decision.micros,
        at: decision.at,
    }
}

fn as_it_failed(label: &PolicyLabel, used: &velum_model::decision::PolicyUsed) -> Option<Ranker> {
    let failure = used.failed.clone()?;
    let label = PolicyLabel {
        fallback: used.fallback.unwrap_or_default(),
        ..label.clone()
    };
    Some(Ranker::broken(label, failure))
}
