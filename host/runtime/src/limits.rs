//! What a plugin may use. Every figure has its reason beside it; `[limits]` of a `plugin.toml` may choose others within
//! the server's ceilings.

use std::{collections::BTreeMap, time::Duration};

use velum_model::{plugin::World, port::plugins::PluginRefused};

use crate::breaker::Breaker;

/// One mebibyte.
const MIB: u64 = 1 << 20;

/// Bounds that hold for all plugins of a server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a component: a Python policy with its interpreter has 18 MB, StarlingMonkey 14 MB; beyond that nothing
    /// useful is known.
    pub component_bytes: u64,
    /// Bytes of a `plugin.toml`, its schemas included.
    pub manifest_bytes: u64,
    /// Wall time of one compilation: the largest known component takes 29 s on two cores; a killed compile costs an
    /// operator one retry.
    pub compile_wall: Duration,
    /// CPU seconds of one compilation, over all its threads.
    pub compile_cpu_seconds: u64,
    /// Address space of the compiling process: Cranelift takes about 1 GiB for the largest known component, its threads'
    /// stacks and heaps are reserved on top of it.
    pub compile_memory_bytes: u64,
    /// Linear memory of a policy's instance: columns of 100,000 hosts take 400 kB each.
    pub policy_memory_bytes: u64,
    /// Linear memory of one driver or provider call: it holds one page of an inventory and one answer of a far side.
    pub driver_memory_bytes: u64,
    /// The most that a manifest may ask of either: with the calls in flight below, what a server can spare.
    pub memory_ceiling_bytes: u64,
    /// Fuel of a policy's call before any row, about one unit an instruction: enough for an interpreter to take the call,
    /// and over within 50 ms.
    pub fuel_base: u64,
    /// Fuel for each row of `load`, `apply` and `score`: an interpreted policy needs about 30,000 instructions a host.
    pub fuel_per_row: u64,
    /// Fuel of `configure` and `describe`, where interpreters start up.
    pub fuel_setup: u64,
    /// The most fuel of one call, however many rows: 2 to 4 s, after which the planner uses the fallback.
    pub fuel_ceiling: u64,
    /// Calls of one driver or provider that run at once; more wait within their deadline.
    pub calls_in_flight: u64,
    /// The most that a manifest may ask of it.
    pub calls_in_flight_ceiling: u64,
    /// Deadline of calls that carry none (`describe`, `probe`, `observe`, `find`).
    pub reading_deadline: Duration,
    /// The longest deadline that an effect may carry; anything longer is a token that is polled.
    pub effect_deadline_ceiling: Duration,
    /// Time in guest code (not in host calls) that one driver call may use.
    pub guest_time: Duration,
    /// Bytes that one guest-to-host call or one answer may carry: a page of inventory or a body of HTTP.
    pub transfer_bytes: usize,
    /// Host calls of one driver call: an inventory of 5,000 runs takes 50 pages; a loop that never ends stops here.
    pub host_calls: u32,
    /// Failures in a row (traps, deadlines, nonsense) that open a plugin's breaker.
    pub breaker_failures: u32,
    /// How long a breaker stays open before one call may try.
    pub breaker_pause_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes: 32 * MIB,
            manifest_bytes: 256 * 1024,
            compile_wall: Duration::from_secs(120),
            compile_cpu_seconds: 180,
            compile_memory_bytes: 2048 * MIB,
            policy_memory_bytes: 32 * MIB,
            driver_memory_bytes: 64 * MIB,
            memory_ceiling_bytes: 256 * MIB,
            fuel_base: 20_000_000,
            fuel_per_row: 50_000,
            fuel_setup: 2_000_000_000,
            fuel_ceiling: 5_000_000_000,
            calls_in_flight: 32,
            calls_in_flight_ceiling: 128,
            reading_deadline: Duration::from_secs(30),
            effect_deadline_ceiling: Duration::from_secs(600),
            guest_time: Duration::from_secs(10),
            transfer_bytes: 8 << 20,
            host_calls: 10_000,
            breaker_failures: 5,
            breaker_pause_ms: 10_000,
        }
    }
}

/// The limits of one plugin: the server's, changed by its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    /// Linear memory of an instance, bytes.
    pub memory_bytes: usize,
    /// Fuel of a policy's call before any row.
    pub fuel_base: u64,
    /// Fuel for each row.
    pub fuel_per_row: u64,
    /// Driver or provider calls at once.
    pub calls_in_flight: usize,
}

impl Limits {
    /// A closed breaker.
    #[must_use]
    pub(crate) const fn breaker(&self) -> Breaker {
        Breaker::new(self.breaker_failures, self.breaker_pause_ms)
    }

    /// The limits of a plugin of `world` that asks for `wanted`: `memory-mib`, `fuel-base`, `fuel-per-row`,
    /// `calls-in-flight`.
    ///
    /// # Errors
    /// [`PluginRefused::Manifest`] names a key that is not known or a value above its ceiling.
    pub fn of(&self, world: World, wanted: &BTreeMap<String, u64>) -> Result<PluginLimits, PluginRefused> {
        let memory = match world {
            World::PlacementPolicy => self.policy_memory_bytes,
            World::HypervisorDriver | World::StorageProvider => self.driver_memory_bytes,
        };
        let mut memory_mib = memory / MIB;
        let mut fuel_base = self.fuel_base;
        let mut fuel_per_row = self.fuel_per_row;
        let mut calls = self.calls_in_flight;
        for (key, value) in wanted {
            let (slot, ceiling) = match key.as_str() {
                "memory-mib" => (&mut memory_mib, self.memory_ceiling_bytes / MIB),
                "fuel-base" => (&mut fuel_base, self.fuel_ceiling),
                "fuel-per-row" => (&mut fuel_per_row, self.fuel_ceiling / 1000),
                "calls-in-flight" => (&mut calls, self.calls_in_flight_ceiling),
                _ => {
                    return Err(refused(
                        key,
                        "is not known; there are memory-mib, fuel-base, fuel-per-row, calls-in-flight",
                    ));
                }
            };
            if *value == 0 || *value > ceiling {
                return Err(refused(
                    key,
                    &format!("is {value}; this server allows 1 to {ceiling}"),
                ));
            }
            *slot = *value;
        }
        let too_large = |_| refused("memory-mib", "does not fit this machine");
        Ok(PluginLimits {
            memory_bytes: usize::try_from(memory_mib * MIB).map_err(too_large)?,
            fuel_base,
            fuel_per_row,
            calls_in_flight: usize::try_from(calls).map_err(too_large)?,
        })
    }

    /// The same for a plugin that was installed when the ceilings were higher: it gets what the server allows now.
    ///
    /// # Errors
    /// As [`Limits::of`], but for values above a ceiling.
    pub fn capped(
        &self,
        world: World,
        wanted: &BTreeMap<String, u64>,
    ) -> Result<PluginLimits, PluginRefused> {
        let ceiling = |key: &str| match key {
            "memory-mib" => self.memory_ceiling_bytes / MIB,
            "fuel-base" => self.fuel_ceiling,
            "fuel-per-row" => self.fuel_ceiling / 1000,
            "calls-in-flight" => self.calls_in_flight_ceiling,
            _ => u64::MAX,
        };
        let capped = wanted
            .iter()
            .map(|(key, value)| (key.clone(), (*value).min(ceiling(key)).max(1)));
        self.of(world, &capped.collect())
    }

    /// Fuel of a policy's call over `rows` rows.
    #[must_use]
    pub fn fuel(&self, of: &PluginLimits, rows: usize) -> u64 {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        of.fuel_base
            .saturating_add(of.fuel_per_row.saturating_mul(rows))
            .min(self.fuel_ceiling)
    }
}

fn refused(key: &str, problem: &str) -> PluginRefused {
    PluginRefused::Manifest {
        field: format!("limits.{key}"),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_changes_limits_only_within_the_ceilings_of_the_server() {
        let limits = Limits::default();
        let of =
            |key: &str, value| limits.of(World::PlacementPolicy, &BTreeMap::from([(key.to_owned(), value)]));
        assert_eq!(of("memory-mib", 64).unwrap().memory_bytes, 64 << 20);
        assert!(
            matches!(of("memory-mib", 257), Err(PluginRefused::Manifest { field, .. }) if field == "limits.memory-mib")
        );
        assert!(of("memory-mib", 0).is_err());
        assert!(
            matches!(of("cores", 1), Err(PluginRefused::Manifest { field, .. }) if field == "limits.cores")
        );
    }

    #[test]
    fn what_was_installed_under_higher_ceilings_works_on_within_those_of_now() {
        let limits = Limits {
            memory_ceiling_bytes: 16 * MIB,
            ..Limits::default()
        };
        let wanted = BTreeMap::from([("memory-mib".to_owned(), 64), ("fuel-base".to_owned(), 7)]);
        assert!(limits.of(World::PlacementPolicy, &wanted).is_err());
        let capped = limits.capped(World::PlacementPolicy, &wanted).unwrap();
        assert_eq!((capped.memory_bytes, capped.fuel_base), (16 << 20, 7));
    }

    #[test]
    fn fuel_grows_with_the_rows_up_to_a_ceiling() {
        let limits = Limits::default();
        let of = limits.of(World::PlacementPolicy, &BTreeMap::new()).unwrap();
        assert!(limits.fuel(&of, 10) < limits.fuel(&of, 100));
        assert_eq!(limits.fuel(&of, usize::MAX), limits.fuel_ceiling);
    }
}
