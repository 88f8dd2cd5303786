//! The operator's own records: what is refused, and that nothing changes then.

use crate::cloud::*;
use velum_model::{
    infrastructure::{ImageStorePlace, Intent, IpRangeUse, PoolScope},
    net::{Link, LinkKind},
    page::Page,
    quantity::{Bytes, Overcommit},
    tenancy::{Caller, Scope},
};
use velum_service::*;

const SMALL: Size = Size {
    hosts: 1,
    memory_mib: 1024,
    addresses: 10,
};

fn field_of<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> String {
    match result {
        Err(ServiceError::Invalid { field, hint, .. }) => {
            assert!(!hint.is_empty(), "{field} comes without advice");
            field
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_side_that_does_not_answer_is_named_and_nothing_is_stored() {
    let cloud = Cloud::of(SMALL).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let mut host = new_host(&cloud.cluster, "dead", 1024);
    host.config = serde_json::json!({ "uri": "dead" });
    assert_eq!(
        field_of(services.compute_host_create(caller, host.clone(), None).await),
        "/config/uri"
    );
    host.config = serde_json::json!({ "wrong": 1 });
    assert_eq!(
        field_of(services.compute_host_create(caller, host.clone(), None).await),
        "/config/wrong"
    );
    host.config = settings();
    host.node = Some("unix:/nowhere".into());
    assert_eq!(
        field_of(services.compute_host_create(caller, host, None).await),
        "/node"
    );
    let hosts = services
        .compute_host_list(caller, &Default::default(), Page::default())
        .await;
    assert_eq!(hosts.expect("listed").items.len(), 1);
    let mut pool = new_pool(&cloud.zone);
    pool.name = name("dead");
    pool.config = serde_json::json!({ "uri": "dead" });
    assert_eq!(
        field_of(services.storage_pool_create(caller, pool.clone(), None).await),
        "/config/uri"
    );
    pool.config = settings();
    pool.capacity = Some(Bytes::new(1 << 45).expect("in range"));
    assert_eq!(
        field_of(services.storage_pool_create(caller, pool.clone(), None).await),
        "/capacity_bytes"
    );
    pool.capacity = None;
    pool.scope = PoolScope::Cluster(velum_model::Id::from_uuid(uuid::Uuid::nil()));
    assert_eq!(
        field_of(services.storage_pool_create(caller, pool, None).await),
        "/cluster_id"
    );
    let images = NewImageStore {
        zone: cloud.zone.id,
        name: name("dead"),
        place: ImageStorePlace::Http {
            endpoint: "dead".into(),
        },
    };
    assert_eq!(
        field_of(services.image_store_create(caller, images, None).await),
        "/endpoint"
    );
    let pools = services
        .storage_pool_list(caller, &Default::default(), Page::default())
        .await;
    assert_eq!(pools.expect("listed").items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_and_ranges_that_cannot_be_are_refused_by_field() {
    let cloud = Cloud::of(SMALL).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let pod = |cidr: &str, gateway: &str| NewPod {
        zone: cloud.zone.id,
        name: name("other"),
        cidr: cidr.parse().expect("a network"),
        gateway: gateway.parse().expect("an address"),
    };
    let refused = services
        .pod_create(caller, pod("10.8.0.0/16", "10.9.0.1"), None)
        .await;
    assert_eq!(field_of(refused), "/gateway");
    let refused = services
        .pod_create(caller, pod("10.9.128.0/24", "10.9.128.1"), None)
        .await;
    assert_eq!(field_of(refused), "/cidr");
    let network = NewNetwork {
        zone: cloud.zone.id,
        offering: cloud.network.offering,
        name: name("other"),
        cidr: "10.2.0.0/24".parse().expect("a network"),
        gateway: "10.2.0.1".parse().expect("an address"),
        dns: Vec::new(),
        link: Link {
            kind: LinkKind::Bridge,
            name: "much-too-long-for-a-bridge".into(),
        },
    };
    assert_eq!(
        field_of(services.network_create(caller, network, None).await),
        "/link/name"
    );
    let range = |first: &str, last: &str| NewIpRange {
        used_for: IpRangeUse::Public(cloud.network.id),
        first: first.parse().expect("an address"),
        last: last.parse().expect("an address"),
    };
    for (first, last, field) in [
        ("10.1.0.100", "10.1.0.90", "/last"),
        ("10.1.0.0", "10.1.0.5", "/first"),
        ("10.1.0.240", "10.1.0.255", "/last"),
        ("10.1.0.1", "10.1.0.5", "/first"),
        ("10.1.0.15", "10.1.0.30", "/first"),
    ] {
        let refused = services.ip_range_create(caller, range(first, last), None).await;
        assert_eq!(field_of(refused), field, "{first} to {last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_get_private_addresses_until_the_pod_has_none_left() {
    let cloud = Cloud::of(SMALL).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    assert_eq!(cloud.hosts[0].private_address, None);
    let range = NewIpRange {
        used_for: IpRangeUse::Private(cloud.pod.id),
        first: "10.9.0.10".parse().expect("an address"),
        last: "10.9.0.12".parse().expect("an address"),
    };
    services
        .ip_range_create(caller, range, None)
        .await
        .expect("a range");
    let create = |text: &str, wanted: Option<&str>| {
        let mut new = new_host(&cloud.cluster, text, 1024);
        new.private_address = wanted.map(|address| address.parse().expect("an address"));
        services.compute_host_create(caller, new, None)
    };
    let wanted = fresh(create("a", Some("10.9.0.11")).await.expect("created"));
    assert_eq!(
        wanted.private_address,
        Some("10.9.0.11".parse().expect("an address"))
    );
    assert_eq!(field_of(create("b", Some("10.9.0.11")).await), "/private_address");
    assert_eq!(field_of(create("b", Some("10.9.9.9")).await), "/private_address");
    let both = tokio::join!(create("b", None), create("c", None));
    let mut lasts = [fresh(both.0.expect("created")), fresh(both.1.expect("created"))]
        .map(|host| host.private_address.expect("given").octets()[3]);
    lasts.sort_unstable();
    assert_eq!(lasts, [10, 12]);
    let full = create("d", None).await;
    assert!(
        matches!(full, Err(ServiceError::NoAddresses { what: "pod", .. })),
        "{full:?}"
    );
    cloud.audit().await;
}

/// As many scripts at once as a pod has addresses: nobody is told to come again, and the lowest are given.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_come_at_once_get_an_address_each() {
    let cloud = Cloud::of(SMALL).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let range = NewIpRange {
        used_for: IpRangeUse::Private(cloud.pod.id),
        first: "10.9.0.10".parse().expect("an address"),
        last: "10.9.0.73".parse().expect("an address"),
    };
    let range = services.ip_range_create(caller, range, None).await;
    range.expect("a range");
    let mut creates = tokio::task::JoinSet::new();
    for number in 1..=64 {
        let new = new_host(&cloud.cluster, &format!("h{number}"), 1024);
        let (services, caller) = (services.clone(), caller.clone());
        creates.spawn(async move { services.compute_host_create(&caller, new, None).await });
    }
    let created = creates.join_all().await.into_iter();
    let given: std::collections::BTreeSet<_> = created
        .map(|host| {
            fresh(host.expect("created"))
                .private_address
                .expect("given")
                .octets()[3]
        })
        .collect();
    assert!(given.into_iter().eq(10..=73));
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_stays_and_says_by_what() {
    let cloud = Cloud::of(SMALL).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let in_use = |result: Result<(), ServiceError>, noun: &str| match result {
        Err(ServiceError::InUse { what, by, .. }) => {
            assert!(what == noun && !by.is_empty(), "{what} by {by}")
        }
        other => panic!("{noun}: {other:?}"),
    };
    cloud.create("web").await.expect("created");
    in_use(services.zone_delete(caller, cloud.zone.id, None).await, "zone");
    in_use(services.pod_delete(caller, cloud.pod.id, None).await, "pod");
    in_use(
        services.cluster_delete(caller, cloud.cluster.id, None).await,
        "cluster",
    );
    in_use(
        services
            .compute_host_delete(caller, cloud.hosts[0].id, None)
            .await,
        "compute host",
    );
    in_use(
        services.storage_pool_delete(caller, cloud.pool.id, None).await,
        "storage pool",
    );
    in_use(
        services.network_delete(caller, cloud.network.id, None).await,
        "network",
    );
    in_use(
        services.ip_range_delete(caller, cloud.range.id, None).await,
        "address range",
    );
    in_use(
        services
            .compute_offering_delete(caller, cloud.offering.id, None)
            .await,
        "compute offering",
    );
    let template = services
        .template_delete(caller, cloud.template.id, None, None)
        .await;
    in_use(template.map(drop), "template");
    let policy = cloud.policy("one", "plain", Default::default()).await;
    cloud.use_policy(Some(policy.id)).await;
    in_use(services.policy_delete(caller, policy.id, None).await, "policy");
    let plain = cloud.plugin_of(&policy).await;
    in_use(services.plugin_delete(caller, plain.id, None).await, "plugin");
    cloud.use_policy(None).await;
    services
        .policy_delete(caller, policy.id, None)
        .await
        .expect("free");
    let expecting = services.plugin_delete(caller, plain.id, Some(1)).await;
    assert!(
        matches!(expecting, Err(ServiceError::Stale { .. })),
        "a plugin has no generation: {expecting:?}"
    );
    services
        .plugin_delete(caller, plain.id, None)
        .await
        .expect("free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_expects_the_generation_that_was_read() {
    let cloud = Cloud::of(SMALL).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let rename = |text: &str| ChangePod {
        name: Some(name(text)),
        ..ChangePod::default()
    };
    let changed = services
        .pod_change(caller, cloud.pod.id, Some(1), rename("b"))
        .await
        .expect("changed");
    assert_eq!(changed.generation, 2);
    let stored = services.pod_get(caller, cloud.pod.id).await.expect("there");
    assert_eq!(stored, changed);
    let stale = services
        .pod_change(caller, cloud.pod.id, Some(1), rename("c"))
        .await;
    assert!(matches!(stale, Err(ServiceError::Stale { .. })), "{stale:?}");
    let taken = NewPod {
        zone: cloud.zone.id,
        name: name("b"),
        cidr: "10.7.0.0/16".parse().expect("a network"),
        gateway: "10.7.0.1".parse().expect("an address"),
    };
    let taken = services.pod_create(caller, taken, None).await;
    assert!(matches!(taken, Err(ServiceError::NameTaken { .. })), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_out_of_service_takes_nobody_and_overcommit_makes_room() {
    let cloud = Cloud::of(SMALL).await;
    let (services, caller, host) = (&cloud.services, &cloud.caller, cloud.hosts[0].id);
    let reason = |error: ServiceError| match error {
        ServiceError::NoCapacity { decision } => decision.refused[0].reason.clone(),
        other => panic!("{other:?}"),
    };
    let off = ChangeComputeHost {
        enabled: Some(false),
        ..Default::default()
    };
    services
        .compute_host_change(caller, host, None, off)
        .await
        .expect("disabled");
    assert_eq!(reason(cloud.create("a").await.expect_err("disabled")), "disabled");
    let accepted = fresh(
        services
            .compute_host_maintenance(caller, host, None, None)
            .await
            .expect("accepted"),
    );
    assert_eq!(accepted.resource.intent, Intent::Maintenance);
    assert_eq!(
        reason(cloud.create("a").await.expect_err("in maintenance")),
        "maintenance"
    );
    let on = ChangeComputeHost {
        enabled: Some(true),
        ..Default::default()
    };
    services
        .compute_host_change(caller, host, None, on)
        .await
        .expect("enabled");
    for n in 0..4 {
        cloud.create(&format!("vm-{n}")).await.expect("it fits");
    }
    assert_eq!(reason(cloud.create("e").await.expect_err("full")), "memory");
    let double = ChangeCluster {
        memory_overcommit: Overcommit::new(2000).ok(),
        ..Default::default()
    };
    services
        .cluster_change(caller, cloud.cluster.id, None, double)
        .await
        .expect("changed");
    cloud.create("e").await.expect("there is room now");
    let stored = services.compute_host_get(caller, host).await.expect("there");
    assert_eq!((stored.memory_ceiling, stored.memory_used), (2048, 256 * 5));
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_sees_neither_the_operators_rows_nor_a_private_zone() {
    let cloud = Cloud::of(SMALL).await;
    let project = velum_model::Id::from_uuid(uuid::Uuid::from_u128(5));
    let tenant = Caller {
        token: cloud.caller.token,
        name: "tenant".into(),
        scope: Scope::Project(project),
    };
    let made = cloud.create("web").await.expect("created");
    let hidden = |result: Result<(), ServiceError>| {
        assert!(matches!(result, Err(ServiceError::NotFound { .. })), "{result:?}");
    };
    hidden(
        cloud
            .services
            .instance_get(&tenant, made.instance.id)
            .await
            .map(drop),
    );
    hidden(
        cloud
            .services
            .compute_host_get(&tenant, cloud.hosts[0].id)
            .await
            .map(drop),
    );
    hidden(cloud.services.zone_delete(&tenant, cloud.zone.id, None).await);
    assert!(cloud.services.zone_get(&tenant, cloud.zone.id).await.is_ok());
    let close = ChangeZone {
        access: Some(velum_model::infrastructure::ZoneAccess::Private(
            cloud.caller.scope.project(),
        )),
        ..Default::default()
    };
    cloud
        .services
        .zone_change(&cloud.caller, cloud.zone.id, None, close)
        .await
        .expect("changed");
    hidden(cloud.services.zone_get(&tenant, cloud.zone.id).await.map(drop));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_order_live_and_from_the_log() {
    let cloud = Cloud::of(SMALL).await;
    let mut live = cloud.services.event_subscribe();
    let end = cloud.services.event_end().await.expect("read");
    let made = cloud.create("web").await.expect("created");
    let event = live.recv().await.expect("an event");
    assert_eq!(
        (event.kind.as_str(), event.resource),
        ("instance.created", made.instance.id.uuid())
    );
    assert!(event.operation.is_some());
    let filter = velum_store::EventFilter::default();
    let (events, cursor) = cloud
        .services
        .event_list(&cloud.caller, &filter, &end, 100)
        .await
        .expect("listed");
    assert_eq!(events, [event.as_ref().clone()]);
    let (events, _) = cloud
        .services
        .event_list(&cloud.caller, &filter, &cursor, 100)
        .await
        .expect("listed");
    assert_eq!(events, []);
}
