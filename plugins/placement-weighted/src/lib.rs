//! Places a guest by weights of the operator's own: room, power, price, and who is expected to end with whom.

use velum_guest::placement::{Ask, Config, Declaration, Host, Policy, Score, code};

/// Ten-thousandths: the most that a compute host has of anything that is weighed.
const WHOLE: u32 = 10_000;
/// Classes of lifetimes end before these, in minutes: an hour, a day, a week, four weeks. The last has no end.
const CLASSES: [u32; 4] = [60, 24 * 60, 7 * 24 * 60, 28 * 24 * 60];

/// A sum of what counts, each times its weight.
#[derive(Clone, Debug)]
pub struct Weighted {
    cpu: Room,
    memory: Room,
    power: Lean,
    price: Lean,
    lifetime_weight: u32,
}

/// How what remains of something counts.
#[derive(Clone, Copy, Debug)]
struct Room {
    weight: u32,
    /// What remains is good; else what does not.
    wide: bool,
}

/// An attribute of which little is good.
#[derive(Clone, Debug)]
struct Lean {
    weight: u32,
    attribute: String,
    most: u32,
}

/// `part` of `whole` in ten-thousandths, at most all of it.
fn share(part: u32, whole: u32) -> u32 {
    let whole = whole.max(1);
    (u64::from(part.min(whole)) * u64::from(WHOLE) / u64::from(whole)) as u32
}

impl Room {
    fn of(config: &Config, name: &str) -> Result<Self, String> {
        let weight = config.integer(name, -100..=100, 50)?;
        Ok(Self {
            weight: weight.unsigned_abs() as u32,
            wide: weight < 0,
        })
    }

    fn merit(self, free: u32, wanted: u32, total: u32) -> u32 {
        let left = share(free.saturating_sub(wanted), total);
        self.weight * if self.wide { left } else { WHOLE - left }
    }
}

impl Lean {
    fn of(config: &Config, [weight, attribute, most]: [&str; 3], default: &str) -> Result<Self, String> {
        let named = config.text(attribute, default)?;
        if named.is_empty() {
            return Err(format!("'{attribute}' must name an attribute"));
        }
        Ok(Self {
            weight: config.integer(weight, 0..=100, 0)? as u32,
            attribute: named,
            most: config.integer(most, 1..=1_000_000_000, 1_000)? as u32,
        })
    }

    fn declared(&self, declaration: Declaration) -> Declaration {
        if self.weight == 0 {
            return declaration;
        }
        declaration.attribute(self.attribute.as_str())
    }

    fn merit(&self, host: &Host<'_>) -> u32 {
        if self.weight == 0 {
            return 0;
        }
        // 0 is what a compute host has without the attribute: nobody knows it for good.
        match host.attribute(&self.attribute) {
            0 => 0,
            value => self.weight * (WHOLE - share(value, self.most)),
        }
    }
}

/// The class of what ends at `end`, from 0 for what ends within the hour.
fn class(now: u32, end: u32) -> u32 {
    if end == code::NO_END {
        return CLASSES.len() as u32;
    }
    let left = end.saturating_sub(now);
    CLASSES.iter().filter(|&&before| left >= before).count() as u32
}

/// How well a guest matches those of a compute host, in ten-thousandths. One that stays for longer than they do keeps the compute host
/// from becoming empty; one that goes before them does no harm.
fn match_of(ask: &Ask, host: &Host<'_>) -> u32 {
    if host.runs() == 0 {
        return 0;
    }
    let now = ask.now_minute();
    let guest = class(now, ask.expected_end().unwrap_or(code::NO_END));
    let longer = guest.saturating_sub(class(now, host.latest_end()));
    WHOLE - share(longer, CLASSES.len() as u32 + 1)
}

impl Policy for Weighted {
    fn configure(json: &str) -> Result<Self, String> {
        let config = Config::parse(json)?;
        let policy = Self {
            cpu: Room::of(&config, "cpu_weight")?,
            memory: Room::of(&config, "memory_weight")?,
            power: Lean::of(
                &config,
                ["power_weight", "power_attribute", "power_most"],
                "power_w",
            )?,
            price: Lean::of(
                &config,
                ["price_weight", "price_attribute", "price_most"],
                "price",
            )?,
            lifetime_weight: config.integer("lifetime_weight", 0..=100, 0)? as u32,
        };
        config.finish()?;
        let rooms = policy.cpu.weight + policy.memory.weight;
        if rooms + policy.power.weight + policy.price.weight + policy.lifetime_weight == 0 {
            return Err("one of the weights must not be 0".to_owned());
        }
        Ok(policy)
    }

    fn declare(&self) -> Declaration {
        let declaration = self.price.declared(self.power.declared(Declaration::hosts()));
        if self.lifetime_weight == 0 {
            declaration
        } else {
            declaration.lifetimes()
        }
    }

    fn score(&self, ask: &Ask, host: &Host<'_>) -> Score {
        let cpu = self.cpu.merit(host.free_vcpus(), ask.vcpus(), host.total_vcpus());
        let memory = self
            .memory
            .merit(host.free_memory_mib(), ask.memory_mib(), host.total_memory_mib());
        let lifetime = if self.lifetime_weight == 0 {
            0
        } else {
            self.lifetime_weight * match_of(ask, host)
        };
        // At most five times a hundred times ten thousand.
        Score::of(cpu + memory + self.power.merit(host) + self.price.merit(host) + lifetime)
    }
}

velum_guest::export_policy!(Weighted);

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use proptest::prelude::*;
    use velum_guest::placement::testing::scores;

    use super::*;

    const NOW: u32 = 29_700_000;

    fn ask(minutes: Option<u32>) -> Ask {
        let ask = Ask::of(&[(code::DEMAND_VCPUS, 2), (code::DEMAND_MEMORY_MIB, 2048)])
            .with_attr(code::ATTR_NOW, NOW);
        match minutes {
            Some(minutes) => ask.with_attr(code::ATTR_EXPECTED_END, NOW + minutes),
            None => ask,
        }
    }

    /// A compute host of 16 vCPUs with so much free of it, and what else is said of it.
    fn host(free: u32, more: &[(&'static str, u32)]) -> Vec<(&'static str, u32)> {
        let mut host = vec![
            ("free_vcpus", free),
            ("free_memory_mib", free * 1024),
            ("total_vcpus", 16),
            ("total_memory_mib", 16 * 1024),
            ("runs", 1),
        ];
        host.extend(more);
        host
    }

    fn best(config: &str, ask: &Ask, hosts: &[Vec<(&'static str, u32)>]) -> Vec<usize> {
        let rows: Vec<&[(&str, u32)]> = hosts.iter().map(Vec::as_slice).collect();
        let scores = scores::<Weighted>(config, ask, &rows);
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by_key(|&at| (Reverse(scores[at]), at));
        order
    }

    #[test]
    fn the_sign_of_a_weight_packs_or_spreads() {
        let hosts = [host(8, &[]), host(2, &[]), host(16, &[])];
        assert_eq!(best("{}", &ask(None), &hosts), [1, 0, 2]);
        assert_eq!(
            best(r#"{"cpu_weight": -50, "memory_weight": -50}"#, &ask(None), &hosts),
            [2, 0, 1]
        );
    }

    #[test]
    fn power_and_price_count_as_much_as_they_weigh_and_what_nobody_knows_is_the_most() {
        let hosts = [
            host(8, &[("power_w", 900), ("cost", 2)]),
            host(8, &[("power_w", 100), ("cost", 9)]),
            host(8, &[]),
        ];
        let config = |power, price| {
            format!(
                r#"{{"power_weight": {power}, "price_weight": {price}, "price_attribute": "cost", "price_most": 10}}"#
            )
        };
        assert_eq!(best(&config(100, 1), &ask(None), &hosts), [1, 0, 2]);
        assert_eq!(best(&config(1, 100), &ask(None), &hosts), [0, 1, 2]);
    }

    #[test]
    fn a_guest_that_stays_for_longer_is_no_match_and_an_empty_host_neither() {
        let hosts = [
            host(8, &[("latest_end", NOW + 30)]),
            host(8, &[("latest_end", NOW + 60 * 24 * 5)]),
            host(8, &[("latest_end", code::NO_END)]),
            host(8, &[("runs", 0)]),
        ];
        let config = r#"{"cpu_weight": 0, "memory_weight": 0, "lifetime_weight": 1}"#;
        let order = |minutes| best(config, &ask(minutes), &hosts);
        // Equals stand as they came.
        assert_eq!(order(Some(10)), [0, 1, 2, 3]);
        assert_eq!(order(Some(60 * 24 * 3)), [1, 2, 0, 3]);
        assert_eq!(order(None), [2, 1, 0, 3]);
    }

    #[test]
    fn what_does_not_count_is_not_asked_for() {
        let declared = |json| Policy::declare(&Weighted::configure(json).unwrap());
        assert_eq!(declared("{}"), Declaration::hosts());
        assert_eq!(
            declared(r#"{"power_weight": 1, "lifetime_weight": 1}"#),
            Declaration::hosts().attribute("power_w").lifetimes()
        );
    }

    #[test]
    fn a_wrong_configuration_is_named() {
        let refused = |json| Weighted::configure(json).unwrap_err();
        assert!(refused(r#"{"cpu_weight": -101}"#).contains("'cpu_weight'"));
        assert!(refused(r#"{"power_weight": -1}"#).contains("'power_weight'"));
        assert!(refused(r#"{"price_attribute": ""}"#).contains("'price_attribute'"));
        assert!(refused(r#"{"price_most": 0}"#).contains("'price_most'"));
        assert!(refused(r#"{"cpu_weight": 0, "memory_weight": 0}"#).contains("must not be 0"));
        assert!(refused(r#"{"karma_weight": 1}"#).contains("'karma_weight'"));
    }

    proptest! {
        #[test]
        fn each_merit_goes_its_own_way_and_no_score_refuses(
            weights in prop::array::uniform5(1i64..=100), wide: bool, free in 2u32..16, watts in 1u32..3_000, price in 1u32..3_000,
            more in 1u32..1_000, minutes in prop::option::of(0u32..100_000), end in 0u32..100_000,
        ) {
            let sign = if wide { -1 } else { 1 };
            let config = format!(
                r#"{{"cpu_weight": {}, "memory_weight": {}, "power_weight": {}, "price_weight": {}, "lifetime_weight": {}}}"#,
                weights[0] * sign, weights[1] * sign, weights[2], weights[3], weights[4],
            );
            let of = |free, watts, price| host(free, &[("power_w", watts), ("price", price), ("latest_end", NOW + end)]);
            let hosts = [of(free, watts, price), of(free + 1, watts, price), of(free, watts + more, price), of(free, watts, price + more)];
            let rows: Vec<&[(&str, u32)]> = hosts.iter().map(Vec::as_slice).collect();
            let scores = scores::<Weighted>(&config, &ask(minutes), &rows);
            prop_assert_eq!(scores[1] >= scores[0], wide || scores[1] == scores[0], "room");
            prop_assert!(scores[0] >= scores[2], "power");
            prop_assert!(scores[0] >= scores[3], "price");
            prop_assert!(scores.iter().all(|score| score.refusal().is_none()));
        }
    }
}
