//! Claims: exactly what fits, whoever asks, in whatever order.

use std::collections::BTreeMap;

use futures::future::join_all;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRng, TestRunner},
};
use velum_model::{
    chance::fresh,
    id::*,
    infrastructure::*,
    instance::*,
    operation::*,
    resource::{Resources, restated},
    storage::*,
};
use velum_store::*;

use crate::world::*;

fn refusals(answers: &[Result<Committed, StoreError>]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        let what = match answer {
            Ok(Committed::Done) => "done",
            Err(StoreError::Refused(Refused::NoRoom { .. })) => "no room",
            Err(StoreError::Refused(Refused::AddressTaken)) => "address taken",
            other => panic!("{other:?}"),
        };
        *counts.entry(what).or_default() += 1;
    }
    counts
}

pub async fn two_hundred_creates_for_the_last_addresses_and_memory(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 512, 512 * 1024).await;
    // 64 addresses: three or four want each.
    let commits = (0..200).map(|n| w.accepting(&format!("i{n}"), host.id, 1 + n % 64).1);
    let answers = join_all(commits.map(|commit| w.store.commit(commit))).await;
    assert_eq!(
        refusals(&answers),
        BTreeMap::from([("done", 64), ("address taken", 136)])
    );
    let claimed = w
        .store
        .read()
        .claimed_addresses(w.range.id)
        .await
        .expect("readable");
    assert_eq!(claimed, (1..=64).map(address).collect::<Vec<_>>());
    assert_eq!(w.read_host(host.id).await.memory_used, 64 * 512);
    // Memory for 40, addresses for all.
    let last = w.add_host("last", 512, 40 * 512 + 511).await;
    let commits = (0..150).map(|n| w.accepting(&format!("m{n}"), last.id, 100 + n).1);
    let answers = join_all(commits.map(|commit| w.store.commit(commit))).await;
    assert_eq!(
        refusals(&answers),
        BTreeMap::from([("done", 40), ("no room", 110)])
    );
    assert_eq!(w.read_host(last.id).await.memory_used, 40 * 512);
    w.well().await;
    let room = w
        .log
        .0
        .lock()
        .expect("no test panics with it")
        .last()
        .cloned()
        .expect("a batch")
        .compute_hosts;
    assert_eq!(
        room.last().map(|room| (room.id, room.memory_used)),
        Some((last.id, 40 * 512))
    );
}

pub async fn what_fits_one_after_another_fits_together(url: String) {
    let w = World::open(&url).await;
    let small = Change::UpdateStoragePool(Box::new(StoragePool {
        capacity: bytes(10 * GIB),
        ..w.pool.clone()
    }));
    w.accept(vec![small]).await;
    let volume = |n: u64, gib: u64| {
        let mut volume = w.volume(&format!("v{n}"), None);
        volume.size = bytes(gib * GIB);
        volume
    };
    // 4 + 5 fit; 3 does not, but the 1 that comes after it does.
    let asked: Vec<Volume> = [4, 5, 3, 1, 1]
        .iter()
        .enumerate()
        .map(|(n, gib)| volume(n as u64, *gib))
        .collect();
    let commits = asked.iter().map(|v| {
        w.store
            .commit(w.with(vec![Change::InsertVolume(Box::new(v.clone()))]))
    });
    let answers = join_all(commits).await;
    let fits: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(fits, [true, true, false, true, false], "{answers:?}");
    assert!(
        answers
            .iter()
            .flat_map(|a| a.as_ref().err())
            .all(|error| matches!(error,
        StoreError::Refused(Refused::NoRoom { table: "storage pool", id }) if *id == w.pool.id.uuid()))
    );
    // Room that one commit gives back, the next may have.
    let swap = vec![
        Change::DeleteVolume(asked[1].id),
        Change::InsertVolume(Box::new(volume(9, 5))),
    ];
    w.accept(swap).await;
    assert_eq!(w.read_pool().await.bytes_used, 10 * GIB);
    w.well().await;
}

pub async fn a_shrunken_limit_refuses_claims_and_never_releases(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 8, 4096).await;
    let mut runs = Vec::new();
    for n in 0..8 {
        let (instance, commit) = w.accepting(&format!("i{n}"), host.id, 1 + n);
        w.store.commit(commit).await.expect("accepted");
        runs.push(
            w.store
                .read()
                .runs_of(instance.id)
                .await
                .expect("readable")
                .remove(0)
                .id,
        );
    }
    let shrunk = ComputeHost {
        memory: memory(1024),
        vcpus: vcpus(1),
        ..host.clone()
    };
    w.accept(vec![Change::UpdateComputeHost(Box::new(shrunk))]).await;
    let cluster = Cluster {
        cpu_overcommit: overcommit(1000),
        ..w.cluster.clone()
    };
    w.accept(vec![Change::UpdateCluster(cluster)]).await;
    let now = w.read_host(host.id).await;
    assert_eq!(
        (
            now.memory_ceiling,
            now.memory_used,
            now.vcpus_ceiling,
            now.vcpus_used
        ),
        (4096, 4096, 8, 8)
    );
    w.well().await;
    for (n, run) in runs.iter().enumerate() {
        let (_, more) = w.accepting(&format!("more{n}"), host.id, 100 + n as u32);
        match w.store.commit(more).await {
            Err(StoreError::Refused(Refused::NoRoom {
                table: "compute host",
                id,
            })) => assert_eq!(id, host.id.uuid()),
            other => panic!("{other:?}"),
        }
        w.accept(vec![Change::DeleteRun(*run)]).await;
        let now = w.read_host(host.id).await;
        let left = 4096 - 512 * (n as u64 + 1);
        assert_eq!((now.memory_used, now.memory_ceiling), (left, left.max(1024)));
    }
    let (_, fits) = w.accepting("fits", host.id, 200);
    w.store.commit(fits).await.expect("room again");
    w.well().await;
}

pub async fn an_address_and_a_slot_are_claimed_once(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 8, 8192).await;
    let (first, commit) = w.accepting("a", host.id, 1);
    w.store.commit(commit).await.expect("accepted");
    let (second, commit) = w.accepting("b", host.id, 2);
    w.store.commit(commit).await.expect("accepted");
    assert_eq!(
        w.refused(vec![w.insert_nic(&w.nic(second.id, 1, 1))]).await,
        Refused::AddressTaken
    );
    assert_eq!(
        w.refused(vec![w.insert_nic(&w.nic(second.id, 0, 3))]).await,
        Refused::SlotTaken
    );
    assert_eq!(
        w.refused(vec![w.insert_nic(&w.nic(second.id, 1, 255))]).await,
        Refused::AddressTaken
    );
    let mut twin = w.nic(second.id, 1, 3);
    twin.mac = w.store.read().nics_of(first.id).await.expect("readable")[0].mac;
    assert_eq!(w.refused(vec![w.insert_nic(&twin)]).await, Refused::AddressTaken);
    let mut host_with_address = w.host("addressed", 1, 64);
    host_with_address.private_address = Some("10.9.0.12".parse().expect("an address"));
    let private = IpRange {
        used_for: IpRangeUse::Private(w.pod.id),
        range: velum_model::net::AddressRange {
            first: "10.9.0.10".parse().expect("an address"),
            last: "10.9.0.20".parse().expect("an address"),
        },
        ..range(&*w.ids, &w.network, 0, 0)
    };
    w.accept(vec![
        Change::InsertIpRange(private),
        Change::InsertComputeHost(Box::new(host_with_address.clone())),
    ])
    .await;
    let other = ComputeHost {
        id: fresh(&*w.ids),
        name: name("again"),
        ..host_with_address
    };
    assert_eq!(
        w.refused(vec![Change::InsertComputeHost(Box::new(other))]).await,
        Refused::AddressTaken
    );

    let data = w.volume("data", None);
    w.accept(vec![Change::InsertVolume(Box::new(data.clone()))]).await;
    let attach = |id, instance: &Instance, slot| {
        vec![Change::AttachVolume {
            id,
            instance: instance.id,
            slot,
        }]
    };
    assert_eq!(w.refused(attach(data.id, &first, 0)).await, Refused::SlotTaken);
    w.accept(attach(data.id, &first, 1)).await;
    assert_eq!(w.refused(attach(data.id, &second, 1)).await, Refused::SlotTaken);
    w.accept(vec![Change::DetachVolume(data.id)]).await;
    w.accept(attach(data.id, &second, 1)).await;
    // The address of a NIC that goes is free in the same commit.
    let nic = w
        .store
        .read()
        .nics_of(first.id)
        .await
        .expect("readable")
        .remove(0);
    w.accept(vec![
        w.insert_nic(&w.nic(second.id, 1, 1)),
        Change::DeleteNic(nic.id),
    ])
    .await;
    w.well().await;
}

pub async fn a_layer_is_made_once_for_many_who_wait(url: String) {
    let w = World::open(&url).await;
    let layers: Vec<Layer> = (0..50)
        .map(|_| Layer {
            id: fresh(&*w.ids),
            pool: w.pool.id,
            template: w.template.id,
            size: bytes(3 * GIB),
            backend_id: None,
            ready: false,
            created_at: w.clock.now(),
        })
        .collect();
    let commits = layers
        .iter()
        .map(|layer| w.store.commit(w.with(vec![Change::InsertLayer(layer.clone())])));
    assert!(join_all(commits).await.iter().all(Result::is_ok));
    let read = w.store.read();
    let made = read
        .layer_of(w.pool.id, w.template.id)
        .await
        .expect("readable")
        .expect("made");
    assert_eq!(w.read_pool().await.bytes_used, 3 * GIB);
    let told: Vec<LayerId> = w
        .log
        .0
        .lock()
        .expect("no test panics with it")
        .iter()
        .flat_map(|batch| {
            batch
                .commits
                .iter()
                .flat_map(|commit| &commit.changes)
                .filter_map(|change| match change {
                    Change::InsertLayer(layer) => Some(layer.id),
                    _ => None,
                })
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(told, vec![made.id]);
    let clone = Volume {
        parent: Some(made.id),
        ..w.volume("clone", None)
    };
    w.accept(vec![Change::InsertVolume(Box::new(clone.clone()))])
        .await;
    let refused = w.refused(vec![Change::DeleteLayer(made.id)]).await;
    assert_eq!(
        refused,
        Refused::InUse {
            table: "layer",
            id: made.id.uuid(),
            by: "a volume".into()
        }
    );
    w.accept(vec![Change::DeleteVolume(clone.id), Change::DeleteLayer(made.id)])
        .await;
    assert_eq!(w.read_pool().await.bytes_used, 0);
    w.well().await;
}

pub async fn an_identity_belongs_to_one_volume(url: String) {
    let w = World::open(&url).await;
    let hosts = [w.add_host("h0", 8, 8192).await, w.add_host("h1", 8, 8192).await];
    let mut parts = Vec::new();
    for (n, host) in hosts.iter().enumerate() {
        let (instance, commit) = w.accepting(&format!("i{n}"), host.id, 1 + n as u32);
        w.store.commit(commit).await.expect("accepted");
        let run = w
            .store
            .read()
            .runs_of(instance.id)
            .await
            .expect("readable")
            .remove(0);
        let root = w
            .store
            .read()
            .volumes_of(instance.id)
            .await
            .expect("readable")
            .remove(0);
        parts.push((instance, run, root));
    }
    // The first moves: its volume is published twice, under one identity.
    let (instance, run, root) = &parts[0];
    let incoming = Run {
        role: RunRole::Incoming,
        generation: 2,
        ..w.run(instance, hosts[1].id)
    };
    let publish = |volume: &Volume, run: &Run| {
        Change::InsertPublication(Publication {
            volume: volume.id,
            compute_host: run.compute_host,
            run: run.id,
            attachment: None,
        })
    };
    let ready = |volume: &Volume, run: &Run, identity: &str| Change::PublicationReady {
        volume: volume.id,
        run: run.id,
        attachment: attachment(identity),
    };
    w.accept(vec![
        Change::InsertRun(incoming.clone()),
        publish(root, run),
        publish(root, &incoming),
    ])
    .await;
    w.accept(vec![ready(root, run, "wwid-1")]).await;
    w.accept(vec![ready(root, &incoming, "wwid-1")]).await;
    let (_, other_run, other_root) = &parts[1];
    w.accept(vec![publish(other_root, other_run)]).await;
    let refused = w.refused(vec![ready(other_root, other_run, "wwid-1")]).await;
    assert!(
        matches!(
            refused,
            Refused::NameTaken {
                table: "identity of volume",
                ..
            }
        ),
        "{refused}"
    );
    let refused = w.refused(vec![ready(other_root, run, "wwid-2")]).await;
    assert!(
        matches!(
            refused,
            Refused::Stale {
                table: "publication",
                ..
            }
        ),
        "{refused}"
    );
    w.accept(vec![ready(other_root, other_run, "wwid-2")]).await;
    // Both at once: whatever comes into one transaction, one of them is refused.
    let both = [ready(root, run, "wwid-3"), ready(other_root, other_run, "wwid-3")];
    let both = join_all(both.map(|change| w.try_changes(vec![change]))).await;
    let accepted = both.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(accepted, 1, "{both:?}");
    assert_eq!(
        w.store
            .read()
            .publications_of_volume(root.id)
            .await
            .expect("readable")
            .len(),
        2
    );
    w.well().await;
}

pub async fn an_instance_has_one_active_and_one_incoming_run(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 8, 8192).await;
    let (instance, commit) = w.accepting("web", host.id, 1);
    w.store.commit(commit).await.expect("accepted");
    let another = w.run(&instance, host.id);
    let refused = w.refused(vec![Change::InsertRun(another.clone())]).await;
    assert_eq!(
        refused,
        Refused::Stale {
            table: "instance",
            id: instance.id.uuid()
        }
    );
    let incoming = Run {
        role: RunRole::Incoming,
        ..another.clone()
    };
    w.accept(vec![Change::InsertRun(incoming)]).await;
    let second = Run {
        id: fresh(&*w.ids),
        role: RunRole::Incoming,
        ..another.clone()
    };
    assert!(matches!(
        w.refused(vec![Change::InsertRun(second)]).await,
        Refused::Stale { .. }
    ));
    // Another in its place, in one commit.
    let runs = w.store.read().runs_of(instance.id).await.expect("readable");
    let active = runs.iter().find(|run| run.role == RunRole::Active).expect("one");
    let next = Run {
        id: fresh(&*w.ids),
        generation: 2,
        ..another
    };
    w.accept(vec![
        Change::InsertRun(next.clone()),
        Change::DeleteRun(active.id),
    ])
    .await;
    let read = w
        .store
        .read()
        .instance(velum_model::tenancy::Scope::All, instance.id)
        .await
        .expect("readable");
    assert_eq!(
        read.and_then(|instance| instance.run).map(|run| run.id),
        Some(next.id)
    );
    assert_eq!(w.read_host(host.id).await.vcpus_used, 2);
    w.well().await;
}

pub async fn the_number_of_statements_does_not_grow_with_the_batch(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 512, 1 << 20).await;
    let (_, commit) = w.accepting("first", host.id, 254);
    let before = w.store.counts();
    w.store.commit(commit).await.expect("accepted");
    let alone = w.store.counts();
    let single = alone.statements - before.statements;
    assert_eq!(
        (
            alone.transactions - before.transactions,
            alone.commits - before.commits
        ),
        (1, 1)
    );
    let commits: Vec<Commit> = (0..253)
        .map(|n| w.accepting(&format!("i{n}"), host.id, 1 + n).1)
        .collect();
    let answers = join_all(commits.into_iter().map(|commit| w.store.commit(commit))).await;
    assert!(answers.iter().all(Result::is_ok));
    let after = w.store.counts();
    let transactions = after.transactions - alone.transactions;
    assert_eq!(after.commits - alone.commits, 253);
    assert!(transactions < 64, "{transactions} transactions");
    assert_eq!(
        after.statements - alone.statements,
        transactions * single,
        "{single} statements at batch 1"
    );
    eprintln!("{single} statements a transaction; 253 commits in {transactions} transactions");
    w.well().await;
}

#[derive(Clone, Debug)]
enum Step {
    Create { host: usize, at: u32 },
    Start { instance: usize, host: usize },
    Stop { instance: usize },
    Destroy { instance: usize },
    Shrink { host: usize, mib: u64 },
    Volume { gib: u64 },
    Unvolume { volume: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_usize, 1..20_u32).prop_map(|(host, at)| Step::Create { host, at }),
        2 => (0..30_usize, 0..3_usize).prop_map(|(instance, host)| Step::Start { instance, host }),
        2 => (0..30_usize).prop_map(|instance| Step::Stop { instance }),
        2 => (0..30_usize).prop_map(|instance| Step::Destroy { instance }),
        1 => (0..3_usize, 64..4096_u64).prop_map(|(host, mib)| Step::Shrink { host, mib }),
        2 => (1..6_u64).prop_map(|gib| Step::Volume { gib }),
        1 => (0..30_usize).prop_map(|volume| Step::Unvolume { volume }),
    ];
    prop::collection::vec(step, 60)
}

#[derive(Default)]
struct Made {
    instances: Vec<(Instance, RunId, NicId, VolumeId)>,
    volumes: Vec<VolumeId>,
}

/// None, one, or two of them.
fn some_gpus(n: usize) -> Resources {
    match n % 3 {
        0 => Resources::new(),
        gpus => resources(&[("gpu", gpus as u64)]),
    }
}

fn commit_of(w: &World, step: &Step, hosts: &[ComputeHost], made: &mut Made, n: usize) -> Option<Commit> {
    Some(match step {
        Step::Create { host, at } => {
            let (instance, mut commit) = w.accepting(&format!("p{n}"), hosts[*host].id, *at);
            let (mut run, mut nic, mut volume) = (None, None, None);
            for change in &mut commit.changes {
                match change {
                    Change::InsertRun(row) => {
                        run = Some(row.id);
                        row.resources = some_gpus(n);
                    }
                    Change::InsertNic { nic: row, .. } => nic = Some(row.id),
                    Change::InsertVolume(row) => volume = Some(row.id),
                    _ => {}
                }
            }
            made.instances.push((instance, run?, nic?, volume?));
            commit
        }
        Step::Start { instance, host } => {
            let (row, run, ..) = made.instances.get_mut(*instance)?;
            let next = Run {
                resources: some_gpus(n),
                ..w.run(row, hosts[*host].id)
            };
            *run = next.id;
            w.with(vec![Change::InsertRun(next)])
        }
        Step::Stop { instance } => w.with(vec![Change::DeleteRun(made.instances.get(*instance)?.1)]),
        Step::Destroy { instance } => {
            let (row, run, nic, volume) = made.instances.get(*instance)?;
            w.with(vec![
                Change::DeleteRun(*run),
                Change::DeleteNic(*nic),
                Change::DeleteVolume(*volume),
                Change::DeleteInstance(row.id),
            ])
        }
        Step::Shrink { host, mib } => {
            // Whoever read an older generation is refused; that is part of the mix.
            let host = ComputeHost {
                memory: memory(*mib),
                resources: restated(&hosts[*host].resources, &some_gpus(n + 1)),
                ..hosts[*host].clone()
            };
            w.with(vec![Change::UpdateComputeHost(Box::new(host))])
        }
        Step::Volume { gib } => {
            let mut volume = w.volume(&format!("pv{n}"), None);
            volume.size = bytes(gib * GIB);
            made.volumes.push(volume.id);
            w.with(vec![Change::InsertVolume(Box::new(volume))])
        }
        Step::Unvolume { volume } => w.with(vec![Change::DeleteVolume(*made.volumes.get(*volume)?)]),
    })
}

pub async fn sums_never_exceed_ceilings_whatever_comes(url: String) {
    let w = World::open(&url).await;
    w.accept(vec![Change::UpdateStoragePool(Box::new(StoragePool {
        capacity: bytes(30 * GIB),
        ..w.pool.clone()
    }))])
    .await;
    let mut hosts = Vec::new();
    for n in 0..3 {
        let host = ComputeHost {
            resources: having(&[("gpu", 3)]),
            ..w.host(&format!("h{n}"), 4, 2048)
        };
        w.accept(vec![Change::InsertComputeHost(Box::new(host.clone()))])
            .await;
        hosts.push(host);
    }
    let mut most_gpus = 0;
    let rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut made, mut n, mut done, mut refused) = (Made::default(), 0, 0, 0);
    for _ in 0..12 {
        let steps = steps().new_tree(&mut runner).expect("steps").current();
        let mut commits = Vec::new();
        for step in &steps {
            n += 1;
            commits.extend(commit_of(&w, step, &hosts, &mut made, n));
        }
        for answer in join_all(commits.into_iter().map(|commit| w.store.commit(commit))).await {
            match answer {
                Ok(_) => done += 1,
                Err(StoreError::Refused(_)) => refused += 1,
                Err(error) => panic!("{error}: {error:?}"),
            }
        }
        w.well().await;
        for host in &mut hosts {
            *host = w.read_host(host.id).await;
            assert!(host.memory_used <= host.memory_ceiling && host.vcpus_used <= host.vcpus_ceiling);
            let gpus = host.resources.values().map(|of| of.used).max().unwrap_or(0);
            assert!(gpus <= 3, "{gpus} of at most 3 are promised");
            most_gpus = gpus.max(most_gpus);
        }
        let pool = w.read_pool().await;
        assert!(pool.bytes_used <= pool.bytes_ceiling);
    }
    assert!(
        done > 50 && refused > 50,
        "{done} done, {refused} refused: the mix does not test both"
    );
    assert!(most_gpus > 1, "{most_gpus} gpus were in use at once");
    assert_eq!(OperationKindName::ALL.len(), 13);
}
