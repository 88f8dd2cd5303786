//! The components of this repository, where `plugins/build.sh` has built them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;
use velum_connector::message::{Request, Verb, files::FilesVerb};
use velum_model::{
    fault::{Fault, code},
    port::{
        Outcome, Target, TargetKind,
        placement::{PlacementPolicy, PolicyAsk, registry},
        plugins::{Inspected, Plugins},
        storage::{self, Source, VolumeRef, VolumeSpec},
        target::Attr,
    },
};

use crate::{
    bench::{Bench, call},
    far_side::FakeNode,
    policies::built,
};

const ALL: [&str; 10] = [
    "placement-best-fit",
    "placement-first-fit",
    "placement-spread",
    "placement-weighted",
    "placement-lifetime",
    "hypervisor-libvirt",
    "hypervisor-sim",
    "storage-array",
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
async fn a_zone_of_a_hundred_thousand_compute_hosts_is_scored() {
    let Some((component, manifest)) = built("placement-best-fit") else {
        eprintln!("placement-best-fit is not built: plugins/build.sh");
        return;
    };
    let bench = Bench::new();
    let runtime = bench.start();
    let digest = runtime.install(component, Some(manifest)).await.unwrap().digest;
    let mut policy = runtime.policy(&digest, &json!({})).unwrap();
    let rows: Vec<u32> = (0..100_000).collect();
    let columns = policy.descriptor().columns.len();
    policy.load(1, 100_000, &vec![8; columns * rows.len()]).unwrap();
    let ask = ask(policy.as_ref());
    assert_eq!(policy.score(1, &ask, &rows).unwrap().len(), rows.len());
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
    let resident = resident_mib();
    eprintln!("{} plugins in {took:?}, {resident} MiB resident", digests.len());
    assert!(took < Duration::from_millis(500), "{took:?}");
    // Of the 250 MiB that a server may take; the test itself is among them.
    assert!(resident < 150, "{resident} MiB");
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// A directory that holds one volume, and takes any other.
fn directory(request: &Request) -> Result<Value, Fault> {
    let Verb::Files { directory, verb } = &request.verb else {
        return Err(Fault::unchanged(code::INVALID, "files only"));
    };
    let held = format!("{}.qcow2", Uuid::from_u128(11));
    match verb {
        FilesVerb::Space => Ok(json!({"capacity_bytes": 1000, "free_bytes": 400})),
        FilesVerb::Inspect { name } if *name == held => Ok(json!({
            "name": name, "format": 2, "virtual_bytes": 4096, "allocated_bytes": 512, "backing": null, "owner": "",
        })),
        FilesVerb::Inspect { .. } => Ok(json!(null)),
        FilesVerb::Locate { name } => Ok(json!(format!("{directory}/{name}"))),
        FilesVerb::Create { .. } => Ok(json!(Outcome::Done(Vec::new()))),
        other => Err(Fault::unchanged(code::INVALID, format!("{other:?}"))),
    }
}

#[tokio::test]
async fn the_directory_provider_makes_and_finds_volumes_through_the_node() {
    let Some((component, manifest)) = built("storage-dir") else {
        eprintln!("storage-dir is not built: plugins/build.sh");
        return;
    };
    let bench = Bench::new();
    let node = FakeNode::answering(bench.directory.path(), directory);
    let runtime = bench.start();
    let Inspected { digest, imports, .. } = runtime.install(component, Some(manifest)).await.unwrap();
    assert!(
        imports.iter().any(|import| import == "velum:connect/files@0.1.0"),
        "{imports:?}"
    );
    let provider = runtime.storage(&digest).unwrap();
    let pool = Target {
        kind: TargetKind::StoragePool,
        id: Uuid::from_u128(9),
        config: json!({"directory": "/srv/pool"}),
        node: Some(node.address.clone()),
        endpoint: None,
        secret: None,
    };
    assert_eq!(provider.probe(&pool).await.unwrap().free_bytes, 400);
    let spec = VolumeSpec {
        id: Uuid::from_u128(12),
        size_bytes: 8192,
        format: storage::registry::FORMAT_QCOW2,
        source: Source {
            kind: storage::registry::SOURCE_BLANK,
            of: None,
        },
        attrs: Vec::new(),
    };
    let order = call(pool.clone(), 5000);
    let name = format!("{}.qcow2", spec.id);
    assert_eq!(
        provider.create(&order, &spec).await,
        Ok(Outcome::Done(vec![Attr::text(
            storage::registry::DONE_BACKEND_ID,
            name
        )]))
    );
    let created = node.requests.lock().last().cloned().unwrap();
    assert_eq!(created.fence, Some(order.fence));
    assert_eq!(created.effect.unwrap().id, order.effect.id);
    let held = Uuid::from_u128(11);
    let found = provider.find(&pool, held).await.unwrap().unwrap();
    assert_eq!((found.volume.id, found.size_bytes), (held, 4096));
    assert_eq!(provider.find(&pool, Uuid::from_u128(13)).await, Ok(None));
    let volume = VolumeRef {
        id: held,
        backend_id: format!("{held}.qcow2"),
    };
    let attachment = provider
        .reached_by(&pool, &volume, Uuid::nil())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(attachment.kind, storage::registry::ATTACH_FILE);
    assert_eq!(
        attachment.params,
        [Attr::text(1, format!("/srv/pool/{held}.qcow2"))]
    );
}
