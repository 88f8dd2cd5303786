//! Places a guest where the least room remains, so that whole compute hosts stay free for large guests.

use velum_guest::placement::{Ask, Config, Host, Policy, Score};

/// Ten-thousandths: a share of a compute host.
const WHOLE: u32 = 10_000;

/// The tightest remaining fit, weighted over vCPUs and memory.
#[derive(Clone, Debug)]
pub struct BestFit {
    cpu_weight: u32,
    memory_weight: u32,
}

/// The share of `total` that is left of `free` after `wanted`, in ten-thousandths, and at most all of it.
fn left(free: u32, wanted: u32, total: u32) -> u32 {
    let rest = free.saturating_sub(wanted).min(total);
    match rest.checked_mul(WHOLE) {
        Some(parts) => parts / total.max(1),
        // More than 400 GiB: the longer division, which takes several times as long.
        None => (u64::from(rest) * u64::from(WHOLE) / u64::from(total.max(1))) as u32,
    }
}

impl Policy for BestFit {
    fn configure(json: &str) -> Result<Self, String> {
        let config = Config::parse(json)?;
        let weight = |name| config.integer(name, 0..=100, 50).map(|weight| weight as u32);
        let policy = Self {
            cpu_weight: weight("cpu_weight")?,
            memory_weight: weight("memory_weight")?,
        };
        config.finish()?;
        if policy.cpu_weight + policy.memory_weight == 0 {
            return Err("one of 'cpu_weight' and 'memory_weight' must be above 0".to_owned());
        }
        Ok(policy)
    }

    fn score(&self, ask: &Ask, host: &Host<'_>) -> Score {
        let cpu = left(host.free_vcpus(), ask.vcpus(), host.total_vcpus());
        let memory = left(host.free_memory_mib(), ask.memory_mib(), host.total_memory_mib());
        let remaining =
            (cpu * self.cpu_weight + memory * self.memory_weight) / (self.cpu_weight + self.memory_weight);
        Score::of(WHOLE.saturating_sub(remaining))
    }
}

velum_guest::export_policy!(BestFit);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use velum_guest::placement::{code, testing::Inventory};

    use super::*;

    fn ask(vcpus: u32, memory_mib: u32) -> Ask {
        Ask::of(&[(code::DEMAND_VCPUS, vcpus), (code::DEMAND_MEMORY_MIB, memory_mib)])
    }

    #[test]
    fn the_tightest_host_wins() {
        // free vCPUs, free MiB, total vCPUs, total MiB, runs
        let inventory = Inventory::hosts([
            [8, 8000, 16, 16000, 0],
            [2, 2000, 16, 16000, 9],
            [4, 4000, 16, 16000, 0],
        ]);
        let scores = inventory.scores::<BestFit>("{}", &ask(2, 2000), &[0, 1, 2]);
        assert!(scores[1] > scores[2] && scores[2] > scores[0], "{scores:?}");
        assert_eq!(scores[1], 10_000);
    }

    #[test]
    fn the_weights_decide_what_tight_is() {
        let inventory = Inventory::hosts([[2, 16000, 16, 16000, 0], [16, 2000, 16, 16000, 0]]);
        let by = |config| inventory.scores::<BestFit>(config, &ask(1, 1000), &[0, 1]);
        let cpu = by(r#"{"cpu_weight": 1, "memory_weight": 0}"#);
        assert!(cpu[0] > cpu[1], "{cpu:?}");
        let memory = by(r#"{"cpu_weight": 0, "memory_weight": 1}"#);
        assert!(memory[1] > memory[0], "{memory:?}");
    }

    #[test]
    fn a_wrong_configuration_is_named() {
        let refused = |json| BestFit::configure(json).unwrap_err();
        assert!(refused(r#"{"cpu_weight": 101}"#).contains("'cpu_weight'"));
        assert!(refused(r#"{"cpu_weight": 0, "memory_weight": 0}"#).contains("above 0"));
        assert!(refused(r#"{"gpu_weight": 1}"#).contains("'gpu_weight'"));
    }

    proptest! {
        #[test]
        fn more_room_on_the_same_host_is_never_better(
            total in 1u32..1000, free in 0u32..1000, more in 0u32..1000, wanted in 0u32..10,
        ) {
            let host = |free| [free, free, total, total, 0];
            let scores = Inventory::hosts([host(free), host(free + more)])
                .scores::<BestFit>("", &ask(wanted, wanted), &[0, 1]);
            prop_assert!(scores[0] >= scores[1]);
        }
    }
}
