//! Spreads guests: over the pods of the zone, so that no rack takes many of a project's with it, and there to the compute host with the
//! fewest runs, or with the largest share of room.

use velum_guest::placement::{Ask, Config, Declaration, Host, Policy, Score};

/// Ten-thousandths: a share of a compute host.
const WHOLE: u32 = 10_000;
/// More runs than this on one compute host count as this many: libvirt itself is unusable long before.
const RUNS_MAX: u32 = 65_535;

// Beside pods there is less room in a score for what comes after them.

/// More runs of a project than this in one pod count as this many.
const POD_RUNS_MAX: u32 = 4_095;
/// The same of runs on one compute host.
const POD_HOST_RUNS_MAX: u32 = 1_022;
/// Ten-thousandths of room that are one step.
const ROOM_STEP: u32 = 10;
const ROOM_STEPS: u32 = WHOLE / ROOM_STEP;

/// Where the most is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    over: Over,
    by: By,
}

/// What fails as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Pods,
    Hosts,
}

/// What is evened out first among compute hosts; the other breaks ties.
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
        let over = match config.text("over", "pods")?.as_str() {
            "pods" => Over::Pods,
            "hosts" => Over::Hosts,
            _ => return Err("'over' must be 'pods' or 'hosts'".to_owned()),
        };
        config.finish()?;
        Ok(Self { over, by })
    }

    fn declare(&self) -> Declaration {
        match self.over {
            Over::Pods => Declaration::hosts().same_project_in_pod(),
            Over::Hosts => Declaration::hosts(),
        }
    }

    fn score(&self, ask: &Ask, host: &Host<'_>) -> Score {
        // The scarcer of both is what the next guest will miss.
        let room = left(host.free_vcpus(), ask.vcpus(), host.total_vcpus()).min(left(
            host.free_memory_mib(),
            ask.memory_mib(),
            host.total_memory_mib(),
        ));
        if self.over == Over::Pods {
            return self.score_in_pod(room, host.runs(), host.same_project_in_pod(ask));
        }
        let quiet = RUNS_MAX - host.runs().min(RUNS_MAX);
        match self.by {
            By::Runs => Score::of(quiet * (WHOLE + 1) + room),
            By::Room => Score::of(room * (RUNS_MAX + 1) + quiet),
        }
    }
}

impl Spread {
    /// The pod first, whatever its compute hosts have.
    fn score_in_pod(self, room: u32, runs: u32, of_project: u32) -> Score {
        let pod = POD_RUNS_MAX - of_project.min(POD_RUNS_MAX);
        let quiet = POD_HOST_RUNS_MAX - runs.min(POD_HOST_RUNS_MAX);
        let room = room / ROOM_STEP;
        let host = match self.by {
            By::Runs => quiet * (ROOM_STEPS + 1) + room,
            By::Room => room * (POD_HOST_RUNS_MAX + 1) + quiet,
        };
        Score::of(pod * (ROOM_STEPS + 1) * (POD_HOST_RUNS_MAX + 1) + host)
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
            Spread::configure(r#"{"over": "zones"}"#).unwrap_err(),
            "'over' must be 'pods' or 'hosts'"
        );
        assert_eq!(
            Spread::configure(r#"{"of": "runs"}"#).unwrap_err(),
            "'of' is not known here"
        );
    }

    #[test]
    fn the_pod_with_the_fewest_of_the_project_wins_before_any_compute_host() {
        // The first two rows are in a pod with three of the project, the others in one with one.
        let inventory = Inventory::hosts([
            [16, 16_000, 16, 16_000, 0],
            [8, 8_000, 16, 16_000, 1],
            [4, 4_000, 16, 16_000, 9],
            [2, 2_000, 16, 16_000, 12],
        ]);
        let ask = ask(1, 1000).with_fact(
            code::FACT_SAME_PROJECT_IN_POD,
            vec![(0, 3), (1, 3), (2, 1), (3, 1)],
        );
        for by in ["runs", "room"] {
            let by = |over: &str| {
                let config = format!(r#"{{"by": "{by}", "over": "{over}"}}"#);
                inventory.scores::<Spread>(&config, &ask, &[0, 1, 2, 3])
            };
            let pods = by("pods");
            assert!(
                pods[2] > pods[3] && pods[3] > pods[0] && pods[0] > pods[1],
                "{pods:?}"
            );
            let hosts = by("hosts");
            assert!(
                hosts[0] > hosts[1] && hosts[1] > hosts[2] && hosts[2] > hosts[3],
                "{hosts:?}"
            );
        }
    }

    #[test]
    fn the_best_and_the_worst_are_scores() {
        let inventory = Inventory::hosts([
            [u32::MAX, u32::MAX, u32::MAX, u32::MAX, 0],
            [0, 0, 0, 0, u32::MAX],
        ]);
        let ask = Ask::default().with_fact(code::FACT_SAME_PROJECT_IN_POD, vec![(1, u32::MAX)]);
        let scores = inventory.scores::<Spread>("{}", &ask, &[0, 1]);
        assert!(
            scores[0] > scores[1] && scores[0] < Score::BEST.value(),
            "{scores:?}"
        );
    }

    proptest! {
        #[test]
        fn no_host_with_more_runs_wins(hosts in prop::collection::vec(prop::array::uniform5(0u32..100_000), 2..40)) {
            let rows: Vec<u32> = (0..).take(hosts.len()).collect();
            let scores = Inventory::hosts(hosts.clone()).scores::<Spread>(r#"{"over": "hosts"}"#, &ask(2, 2048), &rows);
            let best = (0..hosts.len()).max_by_key(|at| scores[*at]).unwrap();
            let fewest = hosts.iter().map(|host| host[4].min(RUNS_MAX)).min();
            prop_assert_eq!(Some(hosts[best][4].min(RUNS_MAX)), fewest);
            prop_assert!(scores.iter().all(|score| *score < code::REFUSE));
        }

        #[test]
        fn no_host_in_a_pod_with_more_of_the_project_wins(
            hosts in prop::collection::vec((prop::array::uniform5(0u32..2_000), 0u32..50), 2..40), room: bool,
        ) {
            let rows: Vec<u32> = (0..).take(hosts.len()).collect();
            let of_pod = (0..).zip(&hosts).map(|(row, (_, runs))| (row, *runs)).collect();
            let ask = ask(2, 2048).with_fact(code::FACT_SAME_PROJECT_IN_POD, of_pod);
            let config = if room { r#"{"by": "room"}"# } else { "{}" };
            let scores = Inventory::hosts(hosts.iter().map(|(host, _)| *host)).scores::<Spread>(config, &ask, &rows);
            let best = (0..hosts.len()).max_by_key(|at| scores[*at]).unwrap();
            let fewest = hosts.iter().map(|(_, runs)| *runs).min();
            prop_assert_eq!(Some(hosts[best].1), fewest);
        }
    }
}
