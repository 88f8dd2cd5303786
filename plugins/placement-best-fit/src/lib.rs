//! Places a guest where the least room remains, so that whole compute hosts stay free for large guests.

use velum_guest::placement::{Ask, Config, Host, Policy, Score};

/// Ten-thousandths: a share of a compute host.
const WHOLE: u64 = 10_000;

/// The tightest remaining fit, weighted over vCPUs and memory.
#[derive(Clone, Debug)]
pub struct BestFit {
    cpu_weight: u64,
    memory_weight: u64,
}

/// The share of `total` that is left of `free` after `wanted`, in ten-thousandths.
fn left(free: u32, wanted: u32, total: u32) -> u64 {
    u64::from(free.saturating_sub(wanted)) * WHOLE / u64::from(total.max(1))
}

impl Policy for BestFit {
    fn configure(json: &str) -> Result<Self, String> {
        let config = Config::parse(json)?;
        let weight = |name| config.integer(name, 0..=100, 50).map(i64::unsigned_abs);
        let policy = Self { cpu_weight: weight("cpu_weight")?, memory_weight: weight("memory_weight")? };
        config.finish()?;
        if policy.cpu_weight + policy.memory_weight == 0 {
            return Err("one of 'cpu_weight' and 'memory_weight' must be above 0".to_owned());
        }
        Ok(policy)
    }

    fn score(&self, ask: &Ask, host: &Host<'_>) -> Score {
        let cpu = left(host.free_vcpus(), ask.vcpus(), host.total_vcpus());
        let memory = left(host.free_memory_mib(), ask.memory_mib(), host.total_memory_mib());
        let remaining = (cpu * self.cpu_weight + memory * self.memory_weight) / (self.cpu_weight + self.memory_weight);
        Score::of(u32::try_from(WHOLE.saturating_sub(remaining)).unwrap_or(0))
    }
}

velum_guest::export_policy!(BestFit);
