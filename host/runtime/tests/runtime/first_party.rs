//! The components of this repository, where `plugins/build.sh` has built them.

use std::time::{Duration, Instant};

use serde_json::json;
use velum_model::port::{
    placement::{PlacementPolicy, PolicyAsk, registry},
    plugins::Plugins,
};

use crate::{bench::Bench, policies::built};

const ALL: [&str; 7] = [
    "placement-best-fit",
    "placement-first-fit",
    "placement-spread",
    "hypervisor-libvirt",
    "hypervisor-sim",
    "storage-dir",
    "storage-sim",
];

/// Three hosts: much, some and little room, with as many runs.
fn loaded(policy: &mut dyn PlacementPolicy) {
    let descriptor = policy.descriptor().clone();
    let mut values = Vec::new();
    for column in &descriptor.columns {
        values.extend(match column.id {
            registry::COLUMN_FREE_VCPUS => [60, 30, 10],
            registry::COLUMN_FREE_MEMORY_MIB => [60_000, 30_000, 10_000],
            registry::COLUMN_TOTAL_VCPUS => [64, 64, 64],
            registry::COLUMN_TOTAL_MEMORY_MIB => [64_000, 64_000, 64_000],
            registry::COLUMN_RUNS => [2, 17, 27],
            _ => [0, 0, 0],
        });
    }
    policy.load(1, 3, &values).unwrap();
}

fn ask(policy: &dyn PlacementPolicy) -> PolicyAsk {
    PolicyAsk {
        demand: policy
            .descriptor()
            .demands
            .iter()
            .map(|demand| match *demand {
                registry::DEMAND_VCPUS => 2,
                registry::DEMAND_MEMORY_MIB => 2048,
                _ => 0,
            })
            .collect(),
        ..PolicyAsk::default()
    }
}

/// Rows from best to worst.
async fn order(name: &str) -> Option<Vec<u32>> {
    let Some((component, manifest)) = built(name) else {
        eprintln!("{name} is not built: plugins/build.sh");
        return None;
    };
    let bench = Bench::new();
    let runtime = bench.start();
    let digest = runtime.install(component, Some(manifest)).await.unwrap().digest;
    let mut policy = runtime.policy(&digest, &json!({})).unwrap();
    loaded(policy.as_mut());
    let ask = ask(policy.as_ref());
    let scores = policy.score(1, &ask, &[0, 1, 2]).unwrap();
    assert!(scores.iter().all(|score| *score < registry::REFUSE), "{scores:?}");
    let mut rows = [0, 1, 2];
    rows.sort_by_key(|row| std::cmp::Reverse((scores[*row as usize], std::cmp::Reverse(*row))));
    Some(rows.to_vec())
}

#[tokio::test]
async fn best_fit_fills_the_fullest_host_that_has_room() {
    if let Some(rows) = order("placement-best-fit").await {
        assert_eq!(rows, [2, 1, 0]);
    }
}

#[tokio::test]
async fn first_fit_takes_the_first() {
    if let Some(rows) = order("placement-first-fit").await {
        assert_eq!(rows, [0, 1, 2]);
    }
}

#[tokio::test]
async fn spread_takes_the_emptiest() {
    if let Some(rows) = order("placement-spread").await {
        assert_eq!(rows, [0, 1, 2]);
    }
}

#[tokio::test]
async fn all_plugins_are_there_within_half_a_second_of_a_warm_start() {
    let bench = Bench::new();
    let runtime = bench.start();
    let mut digests = Vec::new();
    for name in ALL {
        if let Some((component, manifest)) = built(name) {
            digests.push(runtime.install(component, Some(manifest)).await.unwrap().digest);
        } else {
            eprintln!("{name} is not built: plugins/build.sh");
        }
    }
    drop(runtime);
    let began = Instant::now();
    let runtime = bench.start();
    for digest in &digests {
        runtime.load(digest).await.unwrap();
    }
    let took = began.elapsed();
    eprintln!("{} plugins in {took:?}", digests.len());
    assert!(took < Duration::from_millis(500), "{took:?}");
}
