//! Spreads guests: to the compute host with the fewest runs, or with the largest share of room.

use velum_guest::placement::{Ask, Config, Host, Policy, Score};

/// Ten-thousandths: a share of a compute host.
const WHOLE: u32 = 10_000;
/// More runs than this on one compute host count as this many: libvirt itself is unusable long before.
const RUNS_MAX: u32 = 65_535;

/// Where the most is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    by: By,
}

/// What is evened out first; the other breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Runs,
    Room,
}

/// The share of `total` that is left of `free` after `wanted`, in ten-thousandths.
fn left(free: u32, wanted: u32, total: u32) -> u32 {
    let left = u64::from(free.saturating_sub(wanted)) * u64::from(WHOLE) / u64::from(total.max(1));
    u32::try_from(left).unwrap_or(WHOLE).min(WHOLE)
}

impl Policy for Spread {
    fn configure(json: &str) -> Result<Self, String> {
        let config = Config::parse(json)?;
        let by = match config.text("by", "runs")?.as_str() {
            "runs" => By::Runs,
            "room" => By::Room,
            _ => return Err("'by' must be 'runs' or 'room'".to_owned()),
        };
        config.finish()?;
        Ok(Self { by })
    }

    fn score(&self, ask: &Ask, host: &Host<'_>) -> Score {
        // The scarcer of both is what the next guest will miss.
        let room = left(host.free_vcpus(), ask.vcpus(), host.total_vcpus()).min(left(
            host.free_memory_mib(),
            ask.memory_mib(),
            host.total_memory_mib(),
        ));
        let quiet = RUNS_MAX - host.runs().min(RUNS_MAX);
        match self.by {
            By::Runs => Score::of(quiet * (WHOLE + 1) + room),
            By::Room => Score::of(room * (RUNS_MAX + 1) + quiet),
        }
    }
}

velum_guest::export_policy!(Spread);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use velum_guest::placement::{code, testing::Inventory};

    use super::*;

    fn ask(vcpus: u32, memory_mib: u32) -> Ask {
        Ask::of(&[(code::DEMAND_VCPUS, vcpus), (code::DEMAND_MEMORY_MIB, memory_mib)])
    }

    #[test]
    fn fewer_runs_win_and_room_breaks_ties() {
        // free vCPUs, free MiB, total vCPUs, total MiB, runs
        let inventory = Inventory::hosts([
            [8, 8000, 16, 16000, 3],
            [2, 2000, 16, 16000, 2],
            [4, 4000, 16, 16000, 2],
        ]);
        let scores = inventory.scores::<Spread>("{}", &ask(1, 1000), &[0, 1, 2]);
        assert!(scores[2] > scores[1] && scores[1] > scores[0], "{scores:?}");
        let scores = inventory.scores::<Spread>(r#"{"by": "room"}"#, &ask(1, 1000), &[0, 1, 2]);
        assert!(scores[0] > scores[2] && scores[2] > scores[1], "{scores:?}");
    }

    #[test]
    fn a_wrong_configuration_is_named() {
        assert_eq!(
            Spread::configure(r#"{"by": "luck"}"#).unwrap_err(),
            "'by' must be 'runs' or 'room'"
        );
        assert_eq!(
            Spread::configure(r#"{"of": "runs"}"#).unwrap_err(),
            "'of' is not known here"
        );
    }

    proptest! {
        #[test]
        fn no_host_with_more_runs_wins(hosts in prop::collection::vec(prop::array::uniform5(0u32..100_000), 2..40)) {
            let rows: Vec<u32> = (0..).take(hosts.len()).collect();
            let scores = Inventory::hosts(hosts.clone()).scores::<Spread>("", &ask(2, 2048), &rows);
            let best = (0..hosts.len()).max_by_key(|at| scores[*at]).unwrap();
            let fewest = hosts.iter().map(|host| host[4].min(RUNS_MAX)).min();
            prop_assert_eq!(Some(hosts[best][4].min(RUNS_MAX)), fewest);
            prop_assert!(scores.iter().all(|score| *score < code::REFUSE));
        }
    }
}
