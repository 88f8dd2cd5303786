//! Refusals: precise, and only for who is guilty.

use futures::future::join_all;
use uuid::Uuid;
use velum_model::{chance::fresh, id::*, infrastructure::*, instance::*, net::AddressRange, storage::*};
use velum_store::*;

use crate::world::*;

pub async fn a_name_is_taken_once_in_its_scope(url: String) {
    let w = World::open(&url).await;
    let other = Pod {
        id: fresh(&*w.ids),
        name: name("pod-2"),
        cidr: "10.8.0.0/24".parse().expect("a network"),
        ..w.pod.clone()
    };
    let host = w.add_host("host", 8, 8192).await;
    w.accept(vec![Change::InsertPod(other.clone())]).await;
    let refused = w
        .refused(vec![Change::InsertPod(Pod {
            id: fresh(&*w.ids),
            cidr: "10.7.0.0/24".parse().expect("a network"),
            ..other.clone()
        })])
        .await;
    assert_eq!(
        refused,
        Refused::NameTaken {
            table: "pod",
            name: "pod-2".into()
        }
    );
    let refused = w
        .refused(vec![Change::UpdatePod(Pod {
            name: w.pod.name.clone(),
            ..other
        })])
        .await;
    assert_eq!(
        refused,
        Refused::NameTaken {
            table: "pod",
            name: "pod".into()
        }
    );
    let refused = w
        .refused(vec![Change::InsertComputeHost(Box::new(w.host("host", 1, 64)))])
        .await;
    assert_eq!(
        refused,
        Refused::NameTaken {
            table: "compute host",
            name: "host".into()
        }
    );
    let (_, first) = w.accepting("web", host.id, 1);
    let (_, mut second) = w.accepting("web", host.id, 2);
    second.idempotency = None;
    w.store.commit(first).await.expect("accepted");
    let error = w.store.commit(second).await.expect_err("taken");
    assert_eq!(error.to_string(), "the instance web exists already");
    let refused = w
        .refused(vec![Change::InsertVolume(Box::new(w.volume("web-root", None)))])
        .await;
    assert_eq!(
        refused,
        Refused::NameTaken {
            table: "volume",
            name: "web-root".into()
        }
    );
    let plugin = plugin(&*w.ids, "driver", 1, w.clock.now());
    let refused = w.refused(vec![Change::InsertPlugin(Box::new(plugin))]).await;
    assert_eq!(
        refused,
        Refused::NameTaken {
            table: "plugin",
            name: "driver 1.0.0".into()
        }
    );
    w.well().await;
}

pub async fn what_is_used_cannot_be_removed_and_says_by_what(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 8, 8192).await;
    let (instance, commit) = w.accepting("web", host.id, 1);
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
    w.accept(vec![
        Change::InsertPublication(Publication {
            volume: root.id,
            compute_host: host.id,
            run: run.id,
            attachment: None,
        }),
        Change::InsertVolume(Box::new(w.volume("v2", None))),
    ])
    .await;
    let delete = |table, id: Uuid| Change::Delete {
        table,
        id,
        generation: 0,
    };
    let cases = [
        (delete(Table::Zone, w.zone.id.uuid()), "zone", "a pod"),
        (delete(Table::Pod, w.pod.id.uuid()), "pod", "a cluster"),
        (
            delete(Table::Cluster, w.cluster.id.uuid()),
            "cluster",
            "a compute host",
        ),
        (
            delete(Table::ComputeHost, host.id.uuid()),
            "compute host",
            "a run",
        ),
        (
            delete(Table::StoragePool, w.pool.id.uuid()),
            "storage pool",
            "2 volumes",
        ),
        (
            delete(Table::ImageStore, w.image_store.id.uuid()),
            "image store",
            "a template",
        ),
        (
            delete(Table::IpRange, w.range.id.uuid()),
            "address range",
            "a claimed address",
        ),
        (delete(Table::Network, w.network.id.uuid()), "network", "a NIC"),
        (
            delete(Table::NetworkOffering, w.network_offering.id.uuid()),
            "network offering",
            "a network",
        ),
        (
            delete(Table::ComputeOffering, w.offering.id.uuid()),
            "compute offering",
            "an instance",
        ),
        (
            delete(Table::Template, w.template.id.uuid()),
            "template",
            "an instance",
        ),
        (
            delete(Table::Plugin, w.plugin.id.uuid()),
            "plugin",
            "a compute host",
        ),
        (Change::DeleteInstance(instance.id), "instance", "a run"),
        (Change::DeleteRun(run.id), "run", "a publication"),
        (Change::DeleteVolume(root.id), "volume", "an instance"),
    ];
    for (change, table, by) in cases {
        match w.refused(vec![change]).await {
            Refused::InUse {
                table: said,
                by: used_by,
                ..
            } => assert_eq!((said, used_by.as_str()), (table, by)),
            other => panic!("{table}: {other}"),
        }
    }
    w.well().await;
}

pub async fn a_reference_that_leads_nowhere_is_named(url: String) {
    let w = World::open(&url).await;
    let nowhere = Uuid::from_u128(0xdead);
    let host = w.add_host("host", 8, 8192).await;
    let pod = Pod {
        id: fresh(&*w.ids),
        zone: ZoneId::from_uuid(nowhere),
        ..w.pod.clone()
    };
    let refused = w.refused(vec![Change::InsertPod(pod)]).await;
    assert_eq!(
        refused,
        Refused::MissingReference {
            table: "pod",
            reference: format!("zone {nowhere}")
        }
    );
    let stranger = ComputeHost {
        driver: digest(9),
        ..w.host("other", 1, 64)
    };
    let refused = w
        .refused(vec![Change::InsertComputeHost(Box::new(stranger))])
        .await;
    let reference = format!("plugin {}", digest(9));
    assert_eq!(
        refused,
        Refused::MissingReference {
            table: "compute host",
            reference
        }
    );
    let (instance, mut commit) = w.accepting("web", host.id, 1);
    for change in &mut commit.changes {
        if let Change::InsertInstance(row) = change {
            row.template = TemplateId::from_uuid(nowhere);
        }
    }
    match w.store.commit(commit).await {
        Err(StoreError::Refused(refused)) => assert_eq!(
            refused,
            Refused::MissingReference {
                table: "instance",
                reference: format!("template {nowhere}")
            }
        ),
        other => panic!("{other:?}"),
    }
    let run = w.run(&instance, ComputeHostId::from_uuid(nowhere));
    let refused = w
        .refused(vec![
            Change::InsertInstance(Box::new(instance)),
            Change::InsertRun(run),
        ])
        .await;
    assert!(
        matches!(refused, Refused::MissingReference { table: "run", ref reference }
        if *reference == format!("compute host {nowhere}")),
        "{refused}"
    );
    let refused = w
        .refused(vec![Change::InsertRun(w.run(&w.instance("never"), host.id))])
        .await;
    assert!(
        matches!(refused, Refused::MissingReference { table: "run", ref reference }
        if reference.starts_with("instance ")),
        "{refused}"
    );
    let mut lost = w.host("lost", 1, 64);
    lost.private_address = Some("10.9.0.200".parse().expect("an address"));
    let refused = w.refused(vec![Change::InsertComputeHost(Box::new(lost))]).await;
    assert!(
        matches!(
            refused,
            Refused::MissingReference {
                table: "compute host",
                ..
            }
        ),
        "{refused}"
    );
    w.well().await;
}

pub async fn pods_and_ranges_do_not_overlap(url: String) {
    let w = World::open(&url).await;
    let pod = Pod {
        id: fresh(&*w.ids),
        name: name("wide"),
        cidr: "10.8.0.0/15".parse().expect("a network"),
        ..w.pod.clone()
    };
    assert_eq!(
        w.refused(vec![Change::InsertPod(pod)]).await,
        Refused::Overlap {
            table: "pod",
            other: "pod".into()
        }
    );
    for (first, last) in [(1, 1), (254, 300), (0, 400)] {
        let refused = w
            .refused(vec![Change::InsertIpRange(range(
                &*w.ids, &w.network, first, last,
            ))])
            .await;
        assert!(
            matches!(
                refused,
                Refused::Overlap {
                    table: "address range",
                    ..
                }
            ),
            "{refused}"
        );
    }
    let outside = IpRange {
        range: AddressRange {
            first: "10.2.0.1".parse().expect("an address"),
            last: "10.2.0.9".parse().expect("an address"),
        },
        ..range(&*w.ids, &w.network, 0, 0)
    };
    let refused = w.refused(vec![Change::InsertIpRange(outside)]).await;
    assert_eq!(
        refused,
        Refused::Overlap {
            table: "address range",
            other: "10.1.0.0/16".into()
        }
    );
    // Two at once that overlap each other: the first stays.
    let two = [
        range(&*w.ids, &w.network, 500, 600),
        range(&*w.ids, &w.network, 600, 700),
    ];
    let commits = two.map(|range| w.store.commit(w.with(vec![Change::InsertIpRange(range)])));
    let answers = join_all(commits).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.is_ok()).count(),
        1,
        "{answers:?}"
    );
    w.accept(vec![Change::InsertIpRange(range(&*w.ids, &w.network, 255, 499))])
        .await;
}

pub async fn one_guilty_commit_does_not_harm_its_neighbours(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 512, 1 << 20).await;
    let mut commits = Vec::new();
    for n in 0..60 {
        let (_, mut commit) = w.accepting(&format!("i{n}"), host.id, 1 + n);
        match n {
            7 => commit.fence = Some((w.zone.shard, 99)),
            // Only the database says no, and not whose fault it is.
            20 => commit.changes.push(Change::Delete {
                table: Table::Zone,
                id: w.zone.id.uuid(),
                generation: 0,
            }),
            33 => commit.changes.push(Change::UpdatePod(Pod {
                generation: 5,
                ..w.pod.clone()
            })),
            41 => {
                for change in &mut commit.changes {
                    if let Change::InsertInstance(row) = change {
                        row.offering = ComputeOfferingId::from_uuid(Uuid::from_u128(5));
                    }
                }
            }
            _ => {}
        }
        commits.push(w.store.commit(commit));
    }
    let answers = join_all(commits).await;
    for (n, answer) in answers.iter().enumerate() {
        match (n, answer) {
            (7, Err(StoreError::Refused(Refused::Fenced { epoch: 1, .. })))
            | (20, Err(StoreError::Refused(Refused::InUse { table: "zone", .. })))
            | (33, Err(StoreError::Refused(Refused::Stale { table: "pod", .. })))
            | (
                41,
                Err(StoreError::Refused(Refused::MissingReference {
                    table: "instance", ..
                })),
            ) => {}
            (7 | 20 | 33 | 41, other) => panic!("commit {n}: {other:?}"),
            (_, answer) => assert!(matches!(answer, Ok(Committed::Done)), "commit {n}: {answer:?}"),
        }
    }
    assert_eq!(w.read_host(host.id).await.vcpus_used, 56);
    w.well().await;
}

pub async fn a_row_that_moved_on_is_stale(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 8, 8192).await;
    let (instance, commit) = w.accepting("web", host.id, 1);
    w.store.commit(commit).await.expect("accepted");
    let to = |from, to| {
        vec![Change::InstanceState {
            id: instance.id,
            from,
            to,
        }]
    };
    let refused = w
        .refused(to(
            vec![InstanceState::Stopped, InstanceState::Failed],
            InstanceState::Starting,
        ))
        .await;
    assert_eq!(
        refused,
        Refused::Stale {
            table: "instance",
            id: instance.id.uuid()
        }
    );
    w.accept(to(
        vec![InstanceState::Starting, InstanceState::Creating],
        InstanceState::Running,
    ))
    .await;
    let gone = RunId::from_uuid(Uuid::from_u128(4));
    let observe = Change::ObserveRun {
        id: gone,
        observed: ObservedState::Off,
        at: w.clock.now(),
    };
    assert_eq!(
        w.refused(vec![observe]).await,
        Refused::Stale {
            table: "run",
            id: gone.uuid()
        }
    );
    let volume = VolumeId::from_uuid(Uuid::from_u128(4));
    let state = Change::VolumeState {
        id: volume,
        from: VolumeState::Ready,
        to: VolumeState::Deleting,
    };
    assert_eq!(
        w.refused(vec![state]).await,
        Refused::Stale {
            table: "volume",
            id: volume.uuid()
        }
    );
    let ready = Change::VolumeReady {
        id: volume,
        backend_id: "x".into(),
        parent: None,
    };
    assert_eq!(
        w.refused(vec![ready]).await,
        Refused::Stale {
            table: "volume",
            id: volume.uuid()
        }
    );
    let layer = LayerId::from_uuid(Uuid::from_u128(4));
    let ready = Change::LayerReady {
        id: layer,
        backend_id: "x".into(),
    };
    assert_eq!(
        w.refused(vec![ready]).await,
        Refused::Stale {
            table: "layer",
            id: layer.uuid()
        }
    );
}
