//! Rows: written, read, changed, removed, listed.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;
use velum_model::{
    affinity::AffinityKind,
    chance::fresh,
    fault::Fault,
    id::*,
    infrastructure::*,
    instance::*,
    operation::*,
    page::Page,
    plugin::World as PluginWorld,
    quantity::Overcommit,
    storage::*,
    tenancy::{BUILT_IN_PROJECT, Scope},
};
use velum_store::*;

use crate::world::*;

const OTHER: Scope = Scope::Project(ProjectId::from_uuid(Uuid::from_u128(77)));
const OWN: Scope = Scope::Project(BUILT_IN_PROJECT);

macro_rules! reads {
    ($read:expr, $row:expr) => {
        assert_eq!($read.await.expect("readable").as_ref(), Some(&$row))
    };
}

pub async fn every_row_reads_as_it_was_written(url: String) {
    let w = World::open(&url).await;
    let read = w.store.read();
    reads!(read.plugin(w.plugin.id), w.plugin);
    reads!(read.zone(w.zone.id), w.zone);
    reads!(read.pod(w.pod.id), w.pod);
    reads!(read.cluster(w.cluster.id), w.cluster);
    reads!(read.image_store(w.image_store.id), w.image_store);
    reads!(read.network_offering(w.network_offering.id), w.network_offering);
    reads!(read.network(OWN, w.network.id), w.network);
    reads!(read.ip_range(w.range.id), w.range);
    reads!(read.compute_offering(w.offering.id), w.offering);
    reads!(read.template(OWN, w.template.id), w.template);
    reads!(read.storage_pool(w.pool.id), w.pool);
    records_read_back(&w).await;
    tenants_read_back(&w).await;
    w.well().await;
}

pub async fn records_read_back(w: &World) {
    let read = w.store.read();
    let now = w.clock.now();
    let private = IpRange {
        used_for: IpRangeUse::Private(w.pod.id),
        ..range(&*w.ids, &w.network, 0, 0)
    };
    let private = IpRange {
        range: velum_model::net::AddressRange {
            first: "10.9.0.10".parse().expect("an address"),
            last: "10.9.0.20".parse().expect("an address"),
        },
        ..private
    };
    let policy = policy(&*w.ids, "best", &w.plugin.digest, now);
    let disk = DiskOffering {
        id: fresh(&*w.ids),
        name: name("disk"),
        size: Some(bytes(5 * GIB)),
        storage_tags: vec![name("fast")],
        generation: 1,
        created_at: now,
    };
    let mut host = w.host("with-address", 8, 4096);
    host.private_address = Some("10.9.0.12".parse().expect("an address"));
    host.resources = having(&[("gpu", 4), ("vgpu-a16.4q", 1 << 31)]);
    let scoped = StoragePool {
        id: fresh(&*w.ids),
        name: name("local"),
        scope: PoolScope::ComputeHost(host.id),
        ..w.pool.clone()
    };
    w.accept(vec![
        Change::InsertStoragePool(Box::new(scoped.clone())),
        Change::InsertComputeHost(Box::new(host.clone())),
        Change::InsertIpRange(private.clone()),
        Change::InsertPolicy(policy.clone()),
        Change::InsertDiskOffering(disk.clone()),
    ])
    .await;
    reads!(read.policy(policy.id), policy);
    reads!(read.disk_offering(disk.id), disk);
    reads!(read.compute_host(host.id), host);
    reads!(read.storage_pool(scoped.id), scoped);
    assert_eq!(
        read.ip_range(private.id)
            .await
            .expect("readable")
            .expect("there")
            .claimed,
        1
    );
    let addresses = read
        .ip_addresses(
            &IpAddressFilter {
                compute_host: Some(host.id),
                ..Default::default()
            },
            Page::default(),
        )
        .await
        .expect("readable");
    assert_eq!(addresses.items.len(), 1);
    assert_eq!(addresses.items[0].holder, AddressHolder::ComputeHost(host.id));
    reads!(read.plugin_by_digest(&w.plugin.digest), w.plugin);
    let newer = plugin(&*w.ids, "driver", 2, now.plus_millis(1));
    w.accept(vec![Change::InsertPlugin(Box::new(newer.clone()))])
        .await;
    reads!(read.newest_plugin(&name("driver")), newer);
}

pub async fn tenants_read_back(w: &World) {
    let read = w.store.read();
    let host = w.add_host("host", 4, 8192).await;
    let (instance, commit) = w.accepting("web", host.id, 5);
    let (decision, operation) = match (&commit.decision, &commit.operation) {
        (Some(decision), Some(OperationWrite::Insert { operation, .. })) => {
            (decision.clone(), operation.clone())
        }
        other => panic!("{other:?}"),
    };
    let changes = commit.changes.clone();
    assert_eq!(w.store.commit(commit).await.expect("accepted"), Committed::Done);
    reads!(read.decision(OWN, decision.id), *decision);
    reads!(read.operation(OWN, operation.id), *operation);
    for change in changes {
        match change {
            Change::InsertRun(run) => {
                reads!(read.run(run.id), run);
                reads!(
                    read.instance(OWN, instance.id),
                    Instance {
                        run: Some(run),
                        ..instance.clone()
                    }
                );
            }
            Change::InsertNic { nic, address_id, .. } => {
                reads!(read.nic(OWN, nic.id), nic);
                assert_eq!(
                    read.nics_of(instance.id).await.expect("readable"),
                    vec![nic.clone()]
                );
                let address = read
                    .ip_address(address_id)
                    .await
                    .expect("readable")
                    .expect("claimed");
                assert_eq!(
                    (address.address, address.holder),
                    (nic.address, AddressHolder::Nic(nic.id))
                );
                let number = u32::from_be_bytes([nic.mac.0[2], nic.mac.0[3], nic.mac.0[4], nic.mac.0[5]]);
                assert_eq!(read.mac_numbers_used().await.expect("readable"), number);
            }
            Change::InsertVolume(volume) => {
                reads!(read.volume(OWN, volume.id), *volume);
                assert_eq!(
                    read.volumes_of(instance.id).await.expect("readable"),
                    vec![*volume]
                );
            }
            _ => {}
        }
    }
    let host = w.read_host(host.id).await;
    assert_eq!((host.vcpus_used, host.memory_used), (1, 512));
    assert_eq!(w.read_pool().await.bytes_used, GIB);
    let inventory = read.zone_inventory(w.zone.id).await.expect("readable");
    assert_eq!(inventory.runs_per_host.get(&host.id), Some(&1));
    assert_eq!(inventory.ranges.len(), 1);
    assert_eq!(inventory.ranges[0].1, vec![address(5)]);
    assert!(inventory.hosts.contains(&host));
    assert_eq!(inventory.networks, vec![w.network.clone()]);
    assert!(
        read.zone_inventory(ZoneId::from_uuid(Uuid::from_u128(3)))
            .await
            .expect("readable")
            .hosts
            .is_empty()
    );
}

pub async fn records_change_only_under_the_generation_that_was_read(url: String) {
    let w = World::open(&url).await;
    let read = w.store.read();
    let now = w.clock.now();
    let policy = policy(&*w.ids, "best", &w.plugin.digest, now);
    let disk = DiskOffering {
        id: fresh(&*w.ids),
        name: name("disk"),
        size: None,
        storage_tags: vec![],
        generation: 1,
        created_at: now,
    };
    let host = w.host("host", 4, 1024);
    w.accept(vec![
        Change::InsertPolicy(policy.clone()),
        Change::InsertDiskOffering(disk.clone()),
        Change::InsertComputeHost(Box::new(host.clone())),
    ])
    .await;
    let new = name("new");
    let mut zone = Zone {
        name: new.clone(),
        policy: Some(policy.id),
        access: ZoneAccess::Private(BUILT_IN_PROJECT),
        ..w.zone.clone()
    };
    let mut pod = Pod {
        name: new.clone(),
        ..w.pod.clone()
    };
    let mut cluster = Cluster {
        name: new.clone(),
        cpu_overcommit: overcommit(4000),
        ..w.cluster.clone()
    };
    let mut pool = StoragePool {
        name: new.clone(),
        intent: Intent::Maintenance,
        ..w.pool.clone()
    };
    let mut network = Network {
        name: new.clone(),
        dns: vec![],
        ..w.network.clone()
    };
    let mut compute = ComputeOffering {
        name: new.clone(),
        policy: Some(policy.id),
        expected_lifetime: None,
        ..w.offering.clone()
    };
    let mut disk = DiskOffering {
        name: new.clone(),
        ..disk
    };
    let mut shared = NetworkOffering {
        name: new.clone(),
        ..w.network_offering.clone()
    };
    let mut policy = velum_model::plugin::Policy {
        config: json!({"weight": 4}),
        ..policy
    };
    let mut host = ComputeHost {
        name: new.clone(),
        intent: Intent::Disabled,
        vcpus: vcpus(6),
        ..host
    };
    let changes = vec![
        Change::UpdateZone(zone.clone()),
        Change::UpdatePod(pod.clone()),
        Change::UpdateCluster(cluster.clone()),
        Change::UpdateStoragePool(Box::new(pool.clone())),
        Change::UpdateNetwork(network.clone()),
        Change::UpdateComputeOffering(compute.clone()),
        Change::UpdateDiskOffering(disk.clone()),
        Change::UpdateNetworkOffering(shared.clone()),
        Change::UpdatePolicy(policy.clone()),
        Change::UpdateComputeHost(Box::new(host.clone())),
    ];
    w.accept(changes.clone()).await;
    for change in changes {
        let refused = w.refused(vec![change.clone()]).await;
        assert!(matches!(refused, Refused::Stale { .. }), "{change:?}: {refused}");
    }
    zone.generation = 2;
    pod.generation = 2;
    cluster.generation = 2;
    pool.generation = 2;
    network.generation = 2;
    compute.generation = 2;
    disk.generation = 2;
    shared.generation = 2;
    policy.generation = 2;
    (host.generation, host.vcpus_ceiling) = (2, 24);
    reads!(read.zone(zone.id), zone);
    reads!(read.pod(pod.id), pod);
    reads!(read.cluster(cluster.id), cluster);
    reads!(read.storage_pool(pool.id), pool);
    reads!(read.network(OWN, network.id), network);
    reads!(read.compute_offering(compute.id), compute);
    reads!(read.disk_offering(disk.id), disk);
    reads!(read.network_offering(shared.id), shared);
    reads!(read.policy(policy.id), policy);
    reads!(read.compute_host(host.id), host);
    observation_is_a_row_of_its_own(&w, host).await;
    template_states(&w).await;
    w.well().await;
}

async fn observation_is_a_row_of_its_own(w: &World, host: ComputeHost) {
    let now = w.clock.now();
    let observe = |state, at| {
        vec![Change::ObserveComputeHost {
            id: host.id,
            state,
            boot_id: Some("second".into()),
            at,
        }]
    };
    w.accept(observe(HostState::Unknown, now.plus_millis(5))).await;
    w.accept(observe(HostState::Down, now.plus_millis(4))).await;
    let seen = w.read_host(host.id).await;
    assert_eq!(
        (seen.observed, seen.observed_at),
        (HostState::Unknown, Some(now.plus_millis(5)))
    );
    assert_eq!(
        (seen.boot_id.as_deref(), seen.generation),
        (Some("second"), host.generation)
    );
}

async fn template_states(w: &World) {
    let read = w.store.read();
    let received = |received_bytes| {
        vec![Change::TemplateReceived {
            id: w.template.id,
            received_bytes,
        }]
    };
    w.accept(received(500)).await;
    assert!(matches!(
        w.refused(received(400)).await,
        Refused::Stale {
            table: "template",
            ..
        }
    ));
    assert!(matches!(
        w.refused(received(1001)).await,
        Refused::Stale {
            table: "template",
            ..
        }
    ));
    w.accept(received(1000)).await;
    for (to, reference) in [
        (TemplateState::Failed("no qcow2".into()), None),
        (TemplateState::Ready, Some("images/1".to_owned())),
    ] {
        let virtual_bytes = reference.as_ref().map(|_| GIB);
        w.accept(vec![Change::TemplateState {
            id: w.template.id,
            to: to.clone(),
            virtual_bytes,
            reference: reference.clone(),
        }])
        .await;
        let template = read
            .template(OWN, w.template.id)
            .await
            .expect("readable")
            .expect("there");
        assert_eq!((template.state, template.reference), (to, reference));
    }
}

pub async fn what_goes_leaves_nothing_behind(url: String) {
    let w = World::open(&url).await;
    let read = w.store.read();
    let host = w.add_host("host", 4, 8192).await;
    let (instance, commit) = w.accepting("web", host.id, 5);
    w.store.commit(commit).await.expect("accepted");
    let run = read.runs_of(instance.id).await.expect("readable").remove(0);
    let root = read.volumes_of(instance.id).await.expect("readable").remove(0);
    let nic = read.nics_of(instance.id).await.expect("readable").remove(0);
    let layer = Layer {
        id: fresh(&*w.ids),
        pool: w.pool.id,
        template: w.template.id,
        size: bytes(2 * GIB),
        backend_id: None,
        ready: false,
        created_at: w.clock.now(),
    };
    let publication = Publication {
        volume: root.id,
        compute_host: host.id,
        run: run.id,
        attachment: None,
    };
    let data = w.volume("data", None);
    w.accept(vec![
        Change::InsertLayer(layer.clone()),
        Change::LayerReady {
            id: layer.id,
            backend_id: "l1".into(),
        },
        Change::VolumeReady {
            id: root.id,
            backend_id: "v1".into(),
            parent: Some(layer.id),
        },
        Change::InsertPublication(publication.clone()),
        Change::InsertVolume(Box::new(data.clone())),
    ])
    .await;
    let reached = attachment("wwid-1");
    w.accept(vec![
        Change::PublicationReady {
            volume: root.id,
            run: run.id,
            attachment: reached.clone(),
        },
        Change::ObserveRun {
            id: run.id,
            observed: ObservedState::Running,
            at: w.clock.now(),
        },
        Change::InstanceState {
            id: instance.id,
            from: vec![InstanceState::Creating],
            to: InstanceState::Running,
        },
        Change::VolumeState {
            id: data.id,
            from: VolumeState::Creating,
            to: VolumeState::Ready,
        },
        Change::AttachVolume {
            id: data.id,
            instance: instance.id,
            slot: 1,
        },
    ])
    .await;
    reads!(
        read.layer_of(w.pool.id, w.template.id),
        Layer {
            ready: true,
            backend_id: Some("l1".into()),
            ..layer.clone()
        }
    );
    assert_eq!(
        read.layers_of_template(w.template.id)
            .await
            .expect("readable")
            .len(),
        1
    );
    let published = vec![Publication {
        attachment: Some(reached),
        ..publication
    }];
    assert_eq!(read.publications_of(run.id).await.expect("readable"), published);
    assert_eq!(
        read.publications_of_volume(root.id).await.expect("readable"),
        published
    );
    assert_eq!(
        read.runs_on(host.id, Page::default())
            .await
            .expect("readable")
            .items
            .len(),
        1
    );
    let running = read
        .instance(OWN, instance.id)
        .await
        .expect("readable")
        .expect("there");
    assert_eq!((running.state, running.generation), (InstanceState::Running, 2));
    assert_eq!(running.run.map(|run| run.observed), Some(ObservedState::Running));
    assert_eq!(w.read_pool().await.bytes_used, 4 * GIB);
    w.well().await;

    let gone = vec![
        Change::DeleteInstance(instance.id),
        Change::DeleteVolume(root.id),
        Change::DeleteLayer(layer.id),
        Change::DetachVolume(data.id),
        Change::DeleteVolume(data.id),
        Change::DeleteNic(nic.id),
        Change::DeletePublication {
            volume: root.id,
            run: run.id,
        },
        Change::DeleteRun(run.id),
    ];
    let stopped = vec![
        Change::InstanceState {
            id: instance.id,
            from: vec![InstanceState::Running],
            to: InstanceState::Stopped,
        },
        Change::DeletePublication {
            volume: root.id,
            run: run.id,
        },
        Change::DeleteRun(run.id),
    ];
    w.accept(stopped).await;
    let left = read
        .instance(OWN, instance.id)
        .await
        .expect("readable")
        .expect("there");
    assert_eq!((left.run, left.last_host), (None, Some(host.id)));
    w.accept(gone).await;
    let host_now = w.read_host(host.id).await;
    assert_eq!(
        (
            host_now.vcpus_used,
            host_now.memory_used,
            w.read_pool().await.bytes_used
        ),
        (0, 0, 0)
    );
    assert!(
        read.claimed_addresses(w.range.id)
            .await
            .expect("readable")
            .is_empty()
    );
    assert_eq!(
        read.instance(Scope::All, instance.id).await.expect("readable"),
        None
    );
    // A second time nothing happens.
    w.accept(vec![
        Change::DeleteRun(run.id),
        Change::DeleteNic(nic.id),
        Change::DeleteVolume(root.id),
        Change::DetachVolume(data.id),
        Change::DeleteLayer(layer.id),
        Change::DeletePublication {
            volume: root.id,
            run: run.id,
        },
        Change::DeleteInstance(instance.id),
    ])
    .await;
    records_go_too(&w, host.id).await;
}

async fn records_go_too(w: &World, host: ComputeHostId) {
    let delete = |table, id, generation| Change::Delete {
        table,
        id,
        generation,
    };
    assert!(matches!(
        w.refused(vec![delete(Table::Pod, w.pod.id.uuid(), 9)]).await,
        Refused::Stale { .. }
    ));
    w.accept(vec![
        delete(Table::Plugin, w.plugin.id.uuid(), 0),
        delete(Table::Zone, w.zone.id.uuid(), 1),
        delete(Table::Pod, w.pod.id.uuid(), 1),
        delete(Table::Cluster, w.cluster.id.uuid(), 1),
        delete(Table::ComputeHost, host.uuid(), 1),
        delete(Table::IpRange, w.range.id.uuid(), 1),
        delete(Table::Network, w.network.id.uuid(), 1),
        delete(Table::NetworkOffering, w.network_offering.id.uuid(), 1),
        delete(Table::ComputeOffering, w.offering.id.uuid(), 1),
        delete(Table::StoragePool, w.pool.id.uuid(), 1),
        delete(Table::Template, w.template.id.uuid(), 0),
        delete(Table::ImageStore, w.image_store.id.uuid(), 1),
    ])
    .await;
    let read = w.store.read();
    assert_eq!(
        read.zones(&ZoneFilter::default(), Page::default())
            .await
            .expect("readable")
            .items,
        vec![]
    );
    assert_eq!(
        read.plugins(&PluginFilter::default(), Page::default())
            .await
            .expect("readable")
            .items,
        vec![]
    );
    assert_eq!(w.store.epoch(w.zone.shard), None);
    w.well().await;
}

pub async fn a_foreign_project_sees_nothing(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 4, 8192).await;
    let (instance, commit) = w.accepting("web", host.id, 5);
    let (decision, operation) = match (&commit.decision, &commit.operation) {
        (Some(decision), Some(OperationWrite::Insert { operation, .. })) => (decision.id, operation.id),
        other => panic!("{other:?}"),
    };
    w.store.commit(commit).await.expect("accepted");
    let read = w.store.read();
    let volume = read.volumes_of(instance.id).await.expect("readable").remove(0).id;
    let nic = read.nics_of(instance.id).await.expect("readable").remove(0).id;
    for (scope, is_seen) in [(OTHER, false), (OWN, true), (Scope::All, true)] {
        let page = Page::default();
        assert_eq!(
            read.instance(scope, instance.id)
                .await
                .expect("readable")
                .is_some(),
            is_seen
        );
        assert_eq!(
            read.volume(scope, volume).await.expect("readable").is_some(),
            is_seen
        );
        assert_eq!(read.nic(scope, nic).await.expect("readable").is_some(), is_seen);
        assert_eq!(
            read.network(scope, w.network.id)
                .await
                .expect("readable")
                .is_some(),
            is_seen
        );
        assert_eq!(
            read.template(scope, w.template.id)
                .await
                .expect("readable")
                .is_some(),
            is_seen
        );
        assert_eq!(
            read.operation(scope, operation)
                .await
                .expect("readable")
                .is_some(),
            is_seen
        );
        assert_eq!(
            read.decision(scope, decision).await.expect("readable").is_some(),
            is_seen
        );
        let counts = [
            read.instances(scope, &InstanceFilter::default(), page)
                .await
                .expect("readable")
                .items
                .len(),
            read.volumes(scope, &VolumeFilter::default(), page)
                .await
                .expect("readable")
                .items
                .len(),
            read.nics(scope, &NicFilter::default(), page)
                .await
                .expect("readable")
                .items
                .len(),
            read.networks(scope, &NetworkFilter::default(), page)
                .await
                .expect("readable")
                .items
                .len(),
            read.templates(scope, &TemplateFilter::default(), page)
                .await
                .expect("readable")
                .items
                .len(),
            read.operations(scope, &OperationFilter::default(), page)
                .await
                .expect("readable")
                .items
                .len(),
            read.decisions(scope, &DecisionFilter::default(), page)
                .await
                .expect("readable")
                .items
                .len(),
            read.events(scope, &EventFilter::default(), &EventCursor::default(), 9)
                .await
                .expect("readable")
                .len(),
        ];
        assert_eq!(counts, [usize::from(is_seen); 8]);
    }
}

pub async fn pages_follow_one_another_without_gap_or_repeat(url: String) {
    let w = World::open(&url).await;
    let hosts: Vec<Change> = (0..25)
        .map(|n| Change::InsertComputeHost(Box::new(w.host(&format!("h{n}"), 1, 64))))
        .collect();
    w.accept(hosts).await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let filter = ComputeHostFilter {
            zone: Some(w.zone.id),
            ..Default::default()
        };
        let page = w
            .store
            .read()
            .compute_hosts(&filter, Page { limit: 10, after })
            .await
            .expect("readable");
        seen.extend(page.items.iter().map(|host| host.id));
        after = page.next;
        if after.is_none() {
            break;
        }
        assert_eq!(page.items.len(), 10);
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.windows(2).all(|two| two[0] < two[1]), "{seen:?}");
}

pub async fn every_list_takes_every_filter(url: String) {
    let w = World::open(&url).await;
    let read = w.store.read();
    let page = Page {
        limit: 5,
        after: Some(Uuid::nil()),
    };
    let called = Some(name("x"));
    let (zone, pod, cluster) = (Some(w.zone.id), Some(w.pod.id), Some(w.cluster.id));
    let host = Some(ComputeHostId::from_uuid(Uuid::nil()));
    let instance = Some(InstanceId::from_uuid(Uuid::nil()));
    let digest = Some(w.plugin.digest.clone());
    macro_rules! none {
        ($read:expr) => {
            assert_eq!($read.await.expect("readable").items, vec![])
        };
    }
    none!(read.zones(
        &ZoneFilter {
            name: called.clone(),
            shard: Some(w.zone.shard)
        },
        page
    ));
    none!(read.pods(
        &PodFilter {
            name: called.clone(),
            zone
        },
        page
    ));
    none!(read.clusters(
        &ClusterFilter {
            name: called.clone(),
            zone,
            pod
        },
        page
    ));
    let filter = ComputeHostFilter {
        name: called.clone(),
        zone,
        pod,
        cluster,
        intent: Some(Intent::Disabled),
        observed: Some(HostState::Up),
    };
    none!(read.compute_hosts(&filter, page));
    let filter = StoragePoolFilter {
        name: called.clone(),
        zone,
        cluster,
        compute_host: host,
        intent: Some(Intent::Enabled),
    };
    none!(read.storage_pools(&filter, page));
    none!(read.image_stores(
        &ImageStoreFilter {
            name: called.clone(),
            zone
        },
        page
    ));
    none!(read.ip_ranges(
        &IpRangeFilter {
            zone,
            network: Some(w.network.id),
            pod
        },
        page
    ));
    let filter = IpAddressFilter {
        range: Some(w.range.id),
        project: Some(BUILT_IN_PROJECT),
        address: Some(address(1)),
        nic: Some(NicId::from_uuid(Uuid::nil())),
        compute_host: host,
    };
    none!(read.ip_addresses(&filter, page));
    let filter = NetworkFilter {
        name: called.clone(),
        zone,
        offering: Some(w.network_offering.id),
    };
    none!(read.networks(OWN, &filter, page));
    none!(read.nics(
        OWN,
        &NicFilter {
            instance,
            network: Some(w.network.id),
            address: Some(address(1))
        },
        page
    ));
    none!(read.compute_offerings(&ComputeOfferingFilter { name: called.clone() }, page));
    none!(read.disk_offerings(&DiskOfferingFilter { name: called.clone() }, page));
    none!(read.network_offerings(&NetworkOfferingFilter { name: called.clone() }, page));
    let filter = TemplateFilter {
        name: called.clone(),
        zone,
        image_store: Some(w.image_store.id),
        state: Some(TemplateState::Failed(String::new())),
    };
    none!(read.templates(OWN, &filter, page));
    let filter = InstanceFilter {
        name: called.clone(),
        zone,
        state: Some(InstanceState::Running),
        compute_host: host,
        offering: Some(w.offering.id),
        template: Some(w.template.id),
        affinity_group: Some(AffinityGroupId::from_uuid(Uuid::nil())),
    };
    none!(read.instances(OWN, &filter, page));
    let filter = AffinityGroupFilter {
        name: called.clone(),
        zone,
        kind: Some(AffinityKind::Affinity),
    };
    none!(read.affinity_groups(OWN, &filter, page));
    let filter = VolumeFilter {
        name: called.clone(),
        zone,
        pool: Some(w.pool.id),
        instance,
        state: Some(VolumeState::Ready),
        used_as: Some(VolumeUse::Data),
    };
    none!(read.volumes(OWN, &filter, page));
    let filter = OperationFilter {
        kind: Some(OperationKindName::InstanceStop),
        state: Some(OperationState::Parked),
        subject: instance.map(|id| id.uuid()),
        collection: Some("instances"),
    };
    none!(read.operations(OWN, &filter, page));
    none!(read.decisions(
        OWN,
        &DecisionFilter {
            zone,
            instance,
            ..DecisionFilter::default()
        },
        page
    ));
    let filter = PluginFilter {
        name: called.clone(),
        version: Some("1".into()),
        world: Some(PluginWorld::PlacementPolicy),
        digest: digest.clone(),
        publisher: Some(velum_model::Id::from_uuid(Uuid::nil())),
        key: Some(velum_model::Id::from_uuid(Uuid::nil())),
    };
    none!(read.plugins(&filter, page));
    none!(read.publishers(&PublisherFilter { name: called.clone() }, page));
    none!(read.policies(&PolicyFilter { name: called, digest }, page));
    let filter = EventFilter {
        kind: Some("x".into()),
        resource: Some(Uuid::nil()),
        operation: None,
    };
    let events = read
        .events(OWN, &filter, &EventCursor::default(), 5)
        .await
        .expect("readable");
    assert_eq!(events, vec![]);
    let found = read
        .compute_offerings(
            &ComputeOfferingFilter {
                name: Some(name("small")),
            },
            Page::default(),
        )
        .await;
    assert_eq!(found.expect("readable").items, vec![w.offering.clone()]);
    assert_eq!(w.cluster.memory_overcommit, Overcommit::NONE);
}

pub async fn a_zone_that_goes_leaves_its_events(url: String) {
    let w = World::open(&url).await;
    let zone = Zone {
        id: fresh(&*w.ids),
        name: name("second"),
        shard: fresh(&*w.ids),
        ..w.zone.clone()
    };
    let mut made = Commit {
        changes: vec![Change::InsertZone(zone.clone())],
        ..Commit::default()
    };
    made.events = vec![w.event("zone.created", zone.id.uuid())];
    w.store.commit(made).await.expect("made");
    let removed = Commit {
        fence: Some((zone.shard, 1)),
        changes: vec![Change::Delete {
            table: Table::Zone,
            id: zone.id.uuid(),
            generation: 1,
        }],
        events: vec![w.event("zone.deleted", zone.id.uuid())],
        ..Commit::default()
    };
    w.store.commit(removed.clone()).await.expect("removed");
    assert_eq!(w.store.epoch(zone.shard), None);
    let filter = EventFilter {
        resource: Some(zone.id.uuid()),
        ..Default::default()
    };
    let events = w
        .store
        .read()
        .events(Scope::All, &filter, &EventCursor::default(), 10)
        .await
        .expect("readable");
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["zone.created", "zone.deleted"]);
    assert_eq!(events[0].shard, ShardId::from_uuid(Uuid::nil()));
    assert_eq!(events[1].shard, zone.shard);
    // The same one by one: the last page goes on from the end of the log, whatever else is in it.
    let mut position = EventCursor::default();
    for expected in [&events[..1], &events[1..], &[]] {
        let few = w
            .store
            .read()
            .events_that_match(Scope::All, &filter, &position, 1)
            .await;
        let (found, next) = few.expect("readable");
        assert_eq!(found, expected);
        position = next;
    }
    assert_eq!(position, w.store.read().end_of_events().await.expect("readable"));
    let tenant = Scope::Project(fresh(&*w.ids));
    let few = w
        .store
        .read()
        .events_that_match(tenant, &filter, &EventCursor::default(), 9)
        .await;
    assert_eq!(few.expect("readable"), (Vec::new(), position));
    // Nothing is owned of it any more, and renewing the rest goes on.
    w.store.renew().await.expect("renewed");
    w.well().await;
}

/// A step of a journal with everything in it.
pub fn step(at: velum_model::Timestamp) -> StepRecord {
    StepRecord {
        step: "define".into(),
        state: StepState::Intent,
        attempt: 2,
        output: json!({"k": "v"}),
        job: None,
        fault: Some(Fault::new(5, "busy")),
        asserted: Some(Assertion {
            by: "admin".into(),
            reason: "the rack burnt".into(),
            at,
        }),
        at,
    }
}

/// The shared parts of a world, for a second store beside it.
pub fn shared(w: &World) -> (&Arc<ManualClock>, &Arc<CountingIds>, &Arc<Log>) {
    (&w.clock, &w.ids, &w.log)
}
