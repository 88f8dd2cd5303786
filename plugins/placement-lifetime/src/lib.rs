//! Places a guest where it ends with those that are there, so that compute hosts become empty as a whole.
//!
//! After the ideas of Google's NILAS and LAVA: a compute host is needed until the last of its guests ends, so the guest goes where it
//! does not put that off, or by least; among those the tightest fit wins, and an empty compute host comes last. What is put off counts by
//! doublings, not by minutes: an hour more is much for a compute host that ends within the hour, and nothing for one that ends in a month.
//! And it has its price in room, instead of coming before all else: expectations are wrong, and a hole that stays costs too.

use velum_guest::placement::{Ask, Config, Declaration, Host, Policy, Score, code};

/// Ten-thousandths: a share of a compute host.
const WHOLE: u32 = 10_000;
/// Parts of a doubling.
const DOUBLING: u32 = 256;
/// Ten years, in minutes: how long is left of what has no end, and the most that is left of anything.
const LONGEST: u32 = 5_256_000;
/// Compute hosts with guests have at least this, which is more than an empty one can have: `WHOLE`, and the most that LONGEST (less than
/// 23 doublings of a minute) may cost.
const OCCUPIED: u32 = WHOLE + 1 + 23 * WHOLE;

/// The least extension, then the tightest fit.
#[derive(Clone, Debug)]
pub struct Lifetime {
    extension_weight: u32,
    shortest_minutes: u32,
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

/// The binary logarithm of a number above 0, in parts of a doubling. Between powers of two it is a line: at most 0.09 doublings less
/// than it should be, and never out of order.
const fn doublings(number: u32) -> u32 {
    let whole = number.ilog2();
    // The highest bit at the top, and out; then as many bits as a doubling has parts.
    let fraction = (((number as u64) << (32 - whole)) as u32) >> 24;
    whole * DOUBLING + fraction
}

impl Lifetime {
    /// Minutes from `now` to `end`.
    fn minutes_left(&self, now: u32, end: u32) -> u32 {
        if end == code::NO_END {
            return LONGEST;
        }
        end.saturating_sub(now).clamp(self.shortest_minutes, LONGEST)
    }

    fn tightness(&self, ask: &Ask, host: &Host<'_>) -> u32 {
        let cpu = left(host.free_vcpus(), ask.vcpus(), host.total_vcpus());
        let memory = left(host.free_memory_mib(), ask.memory_mib(), host.total_memory_mib());
        let weights = self.cpu_weight + self.memory_weight;
        WHOLE.saturating_sub((cpu * self.cpu_weight + memory * self.memory_weight) / weights)
    }
}

impl Policy for Lifetime {
    fn configure(json: &str) -> Result<Self, String> {
        let config = Config::parse(json)?;
        let number = |name, range, default| config.integer(name, range, default).map(|value| value as u32);
        let policy = Self {
            extension_weight: number("extension_weight", 0..=100, 15)?,
            shortest_minutes: number("shortest_minutes", 1..=10_080, 60)?,
            cpu_weight: number("cpu_weight", 0..=100, 50)?,
            memory_weight: number("memory_weight", 0..=100, 50)?,
        };
        config.finish()?;
        if policy.cpu_weight + policy.memory_weight == 0 {
            return Err("one of 'cpu_weight' and 'memory_weight' must be above 0".to_owned());
        }
        Ok(policy)
    }

    fn declare(&self) -> Declaration {
        Declaration::hosts().lifetimes()
    }

    fn score(&self, ask: &Ask, host: &Host<'_>) -> Score {
        let tightness = self.tightness(ask, host);
        if host.runs() == 0 {
            return Score::of(tightness);
        }
        let now = ask.now_minute();
        // A guest that outlived what was expected of it may end at any time, and is taken for one that does.
        let there = doublings(self.minutes_left(now, host.latest_end()));
        let wanted = doublings(self.minutes_left(now, ask.expected_end().unwrap_or(code::NO_END)));
        let cost = wanted.saturating_sub(there) * self.extension_weight * (WHOLE / 100) / DOUBLING;
        Score::of((OCCUPIED + tightness).saturating_sub(cost))
    }
}

velum_guest::export_policy!(Lifetime);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use velum_guest::placement::testing::scores;

    use super::*;

    const NOW: u32 = 29_700_000;

    /// Two vCPUs with 2 GiB that are expected to last for so many minutes.
    fn ask(minutes: Option<u32>) -> Ask {
        let ask = Ask::of(&[(code::DEMAND_VCPUS, 2), (code::DEMAND_MEMORY_MIB, 2048)])
            .with_attr(code::ATTR_NOW, NOW);
        match minutes {
            Some(minutes) => ask.with_attr(code::ATTR_EXPECTED_END, NOW + minutes),
            None => ask,
        }
    }

    /// A compute host of 16 vCPUs with so much free of it, whose last guest ends then.
    fn host(free: u32, runs: u32, latest_end: u32) -> [(&'static str, u32); 6] {
        [
            ("free_vcpus", free),
            ("free_memory_mib", free * 1024),
            ("total_vcpus", 16),
            ("total_memory_mib", 16 * 1024),
            ("runs", runs),
            ("latest_end", latest_end),
        ]
    }

    fn scored(config: &str, ask: &Ask, hosts: &[[(&'static str, u32); 6]]) -> Vec<u32> {
        let rows: Vec<&[(&str, u32)]> = hosts.iter().map(|host| host.as_slice()).collect();
        scores::<Lifetime>(config, ask, &rows)
            .iter()
            .map(|score| score.value())
            .collect()
    }

    #[test]
    fn a_guest_goes_where_it_puts_nothing_off() {
        let hosts = [
            // Tighter, but it ends within the hour.
            host(4, 5, NOW + 30),
            host(8, 5, NOW + 60 * 24 * 8),
        ];
        let week = scored("{}", &ask(Some(60 * 24 * 7)), &hosts);
        assert!(week[1] > week[0], "{week:?}");
        // A short guest extends neither: the tighter fit wins.
        let brief = scored("{}", &ask(Some(20)), &hosts);
        assert!(brief[0] > brief[1], "{brief:?}");
        let room_alone = scored(r#"{"extension_weight": 0}"#, &ask(Some(60 * 24 * 7)), &hosts);
        assert!(room_alone[0] > room_alone[1], "{room_alone:?}");
    }

    #[test]
    fn who_has_no_end_goes_to_who_has_none() {
        let hosts = [host(4, 5, NOW + 60 * 24), host(14, 1, code::NO_END)];
        let endless = scored("{}", &ask(None), &hosts);
        assert!(endless[1] > endless[0], "{endless:?}");
    }

    #[test]
    fn an_empty_compute_host_comes_last() {
        let hosts = [host(16, 0, 0), host(16, 3, NOW - 5)];
        for minutes in [None, Some(1), Some(LONGEST * 3)] {
            let config = r#"{"extension_weight": 100, "shortest_minutes": 1}"#;
            let scores = scored(config, &ask(minutes), &hosts);
            assert!(scores[1] > scores[0], "{scores:?}");
        }
    }

    #[test]
    fn a_wrong_configuration_is_named() {
        let refused = |json| Lifetime::configure(json).unwrap_err();
        assert!(refused(r#"{"extension_weight": 101}"#).contains("'extension_weight'"));
        assert!(refused(r#"{"shortest_minutes": 0}"#).contains("'shortest_minutes'"));
        assert!(refused(r#"{"cpu_weight": 0, "memory_weight": 0}"#).contains("above 0"));
        assert!(refused(r#"{"lava": true}"#).contains("'lava'"));
    }

    #[test]
    fn doublings_are_a_logarithm() {
        assert_eq!(
            (doublings(1), doublings(2), doublings(1 << 31)),
            (0, DOUBLING, 31 * DOUBLING)
        );
        for number in 1..100_000_u32 {
            let exact = f64::from(number).log2() * f64::from(DOUBLING);
            let off = exact - f64::from(doublings(number));
            assert!((-0.01..24.0).contains(&off), "{number}: {off}");
        }
    }

    proptest! {
        #[test]
        fn more_extension_is_never_better_and_more_room_neither(
            free in 2u32..=16, more in 0u32..=14, end in 0u32..3_000_000, later in 0u32..3_000_000,
            minutes in prop::option::of(0u32..3_000_000), weight in 0u32..=100, shortest in 1u32..=10_080,
        ) {
            let config = format!(r#"{{"extension_weight": {weight}, "shortest_minutes": {shortest}}}"#);
            let at = |end: u32| NOW - 1_000_000 + end;
            let scores = scored(&config, &ask(minutes), &[
                host(free, 1, at(end)),
                host(free, 1, at(end + later)),
                host((free + more).min(16), 1, at(end)),
                host(2, 0, 0),
            ]);
            prop_assert!(scores[1] >= scores[0], "it ends later: {scores:?}");
            prop_assert!(scores[0] >= scores[2], "it has more room: {scores:?}");
            prop_assert!(scores[..3].iter().all(|occupied| *occupied > scores[3]), "{scores:?}");
            prop_assert!(scores.iter().all(|score| *score < code::REFUSE));
        }
    }
}
