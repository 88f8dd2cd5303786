//! What a plugin costs: fuel, time and memory of a policy by the number of hosts; time of a driver's or provider's verbs.

use std::{sync::Arc, time::Instant};

use serde::Serialize;
use velum_model::{
    plugin::World,
    port::{placement::PolicyDescriptor, plugins::Plugins as _},
};
use velum_runtime::BarePolicy;

use crate::{
    Plugin, Sandbox, Settings,
    suite::{SuiteError, driver_round, inventory_values, policy_ask, provider_round},
};

/// Calls that are not counted: caches and branch predictors get warm.
const WARM_UP: u32 = 3;

/// A policy over one size of inventory.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyFigures {
    /// Rows.
    pub hosts: u32,
    /// A load of everything, microseconds, the median.
    pub load_us: f64,
    /// A question about every row, microseconds: the median.
    pub score_p50_us: f64,
    /// The slowest in a hundred.
    pub score_p99_us: f64,
    /// The median for each row, nanoseconds.
    pub score_row_ns: f64,
    /// Fuel of a question, about one unit an instruction.
    pub fuel: u64,
    /// What the server allows such a question.
    pub fuel_allowed: u64,
    /// Linear memory afterwards, bytes.
    pub memory_bytes: usize,
}

/// One verb of a driver or provider, through the runtime and to the far side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerbFigures {
    /// The verb.
    pub verb: String,
    /// Calls that were measured.
    pub calls: usize,
    /// Milliseconds: the median.
    pub p50_ms: f64,
    /// The slowest in a hundred.
    pub p99_ms: f64,
}

/// The figure below which `permille` of all are; 0 of none.
fn quantile(sorted: &[f64], permille: usize) -> f64 {
    let at = (sorted.len().saturating_sub(1) * permille).div_ceil(1_000);
    sorted.get(at).copied().unwrap_or(0.0)
}

fn micros(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

/// A fresh instance of a policy that took the configuration of its settings.
pub(crate) fn ready(
    sandbox: &Sandbox,
    plugin: &Plugin,
    settings: &Settings,
) -> Result<(BarePolicy, PolicyDescriptor), SuiteError> {
    let broken = |problem: String| SuiteError::Describe(problem);
    let mut bare = sandbox.runtime().bare_policy(&plugin.inspected.digest)?;
    let config = settings.policy.config.as_ref();
    let config = config.map_or_else(|| "{}".to_owned(), ToString::to_string);
    bare.configure(&config)
        .map_err(|failure| broken(failure.to_string()))?
        .map_err(|words| broken(format!("it refuses the configuration {config}: {words}")))?;
    let descriptor = bare.describe().map_err(|failure| broken(failure.to_string()))?;
    Ok((bare, descriptor))
}

/// Measures a policy over inventories of these sizes, `rounds` questions each.
///
/// # Errors
/// [`SuiteError`] when it traps or does not take an inventory.
pub fn policy(
    sandbox: &Sandbox,
    plugin: &Plugin,
    settings: &Settings,
    sizes: &[u32],
    rounds: u32,
) -> Result<Vec<PolicyFigures>, SuiteError> {
    let broken = |problem: String| SuiteError::Describe(problem);
    let mut figures = Vec::new();
    for &hosts in sizes {
        let (mut bare, descriptor) = ready(sandbox, plugin, settings)?;
        let values = inventory_values(&descriptor, hosts);
        let (mut loads, mut scores) = (Vec::new(), Vec::new());
        for round in 0..WARM_UP + rounds {
            let epoch = u64::from(round) + 1;
            let began = Instant::now();
            let taken = bare
                .load(epoch, hosts, &values)
                .map_err(|failure| broken(failure.to_string()))?;
            if !taken {
                return Err(broken(format!("it does not take an inventory of {hosts} hosts")));
            }
            let load = micros(began);
            let ask = policy_ask(&descriptor);
            let began = Instant::now();
            let expected = usize::try_from(hosts).unwrap_or(usize::MAX);
            bare.score(epoch, &ask, &[], expected)
                .map_err(|failure| broken(format!("{hosts} hosts: {failure}")))?;
            if round >= WARM_UP {
                loads.push(load);
                scores.push(micros(began));
            }
        }
        loads.sort_by(f64::total_cmp);
        scores.sort_by(f64::total_cmp);
        let p50 = quantile(&scores, 500);
        figures.push(PolicyFigures {
            hosts,
            load_us: quantile(&loads, 500),
            score_p50_us: p50,
            score_p99_us: quantile(&scores, 990),
            score_row_ns: p50 * 1e3 / f64::from(hosts.max(1)),
            fuel: bare.fuel_used(),
            fuel_allowed: bare.fuel_allowed(usize::try_from(hosts).unwrap_or(usize::MAX)),
            memory_bytes: bare.memory_bytes(),
        });
    }
    Ok(figures)
}

/// Measures the verbs of a driver or provider: a life of a run or volume, `rounds` times.
///
/// # Errors
/// [`SuiteError`] when the plugin is not there or a verb is a fault.
pub async fn verbs(
    sandbox: &Sandbox,
    plugin: &Plugin,
    settings: &Settings,
    rounds: u32,
) -> Result<Vec<VerbFigures>, SuiteError> {
    let digest = &plugin.inspected.digest;
    let mut samples: Vec<(String, Vec<f64>)> = Vec::new();
    for round in 0..1 + rounds {
        let root = sandbox.sources.ids.uuid();
        let took = match plugin.inspected.world {
            World::HypervisorDriver => {
                let driver = sandbox.runtime().hypervisor(digest)?;
                driver_round(Arc::clone(&driver), settings, root).await
            }
            _ => {
                let provider = sandbox.runtime().storage(digest)?;
                provider_round(Arc::clone(&provider), settings, root).await
            }
        };
        let took = took.map_err(SuiteError::Describe)?;
        // The first life makes connections.
        if round == 0 {
            continue;
        }
        for (verb, milliseconds) in took {
            match samples.iter_mut().find(|(known, _)| *known == verb) {
                Some((_, known)) => known.push(milliseconds),
                None => samples.push((verb, vec![milliseconds])),
            }
        }
    }
    Ok(samples
        .into_iter()
        .map(|(verb, mut took)| {
            took.sort_by(f64::total_cmp);
            VerbFigures {
                verb,
                calls: took.len(),
                p50_ms: quantile(&took, 500),
                p99_ms: quantile(&took, 990),
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_figure_that_was_measured() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        assert!((quantile(&sorted, 500) - 51.0).abs() < f64::EPSILON);
        assert!((quantile(&sorted, 990) - 100.0).abs() < f64::EPSILON);
        assert!(quantile(&[], 500).abs() < f64::EPSILON);
    }
}
