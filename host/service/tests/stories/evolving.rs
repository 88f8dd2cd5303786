//! One version takes another's place: policies with shadows and on probation, drivers zone by zone.

use crate::cloud::{Cloud, Size, fresh, name, new_host, open_as};
use serde_json::json;
use velum_model::{
    id::PluginId,
    page::Page,
    plugin::{Digest, Fallback, PluginState, Policy, PolicyCause},
    tenancy::Scope,
};
use velum_service::{
    Activating, ChangePolicy, ComputeHostFilter, NewPlugin, NewPolicy, NewShadow, PluginChoice, PluginFilter,
    Probation, ServiceError, Settings, ShadowReport, Unsigned,
};

const SIZE: Size = Size {
    hosts: 4,
    memory_mib: 65_536,
    addresses: 100,
};

/// Watched closely, so that a story needs few asks.
const CLOSE: Probation = Probation {
    for_ms: 600_000,
    asks: 5,
    failures_permille: 100,
    refusals_permille: 500,
};

/// So often it is looked whether something that goes on beside the requests has happened: each look takes a millisecond.
const LOOKS: usize = 20_000;

async fn cloud() -> Cloud {
    let settings = Settings {
        unsigned: Unsigned::Allow,
        probation: CLOSE,
        ..Settings::default()
    };
    Cloud::with(SIZE, settings).await
}

async fn policy_of(cloud: &Cloud, policy: &Policy) -> Policy {
    let now = cloud.services.policy_get(&cloud.caller, policy.id).await;
    now.expect("there")
}

async fn swap(cloud: &Cloud, policy: &Policy, plugin: &str) -> Policy {
    let change = ChangePolicy {
        plugin: Some(PluginChoice::Newest(name(plugin))),
        ..ChangePolicy::default()
    };
    let changed = cloud
        .services
        .policy_change(&cloud.caller, policy.id, None, change)
        .await;
    changed.expect("changed")
}

async fn begin_shadow(cloud: &Cloud, policy: &Policy, plugin: &str) -> Result<(), ServiceError> {
    let new = NewShadow {
        plugin: Some(PluginChoice::Newest(name(plugin))),
        config: None,
    };
    let begun = cloud
        .services
        .policy_shadow_begin(&cloud.caller, policy.id, new, None)
        .await;
    begun.map(drop)
}

/// What was seen of the shadow once it has answered what it was shown.
async fn seen(cloud: &Cloud, policy: &Policy, asks: u64) -> ShadowReport {
    for _ in 0..LOOKS {
        let report = cloud.services.policy_shadow(&cloud.caller, policy.id).await;
        let report = report.expect("it has one");
        let counts = &report.counts;
        if counts.compared + counts.failures() + counts.dropped + counts.active_failed == asks {
            return report;
        }
        tokio::task::yield_now().await;
    }
    panic!("the shadow does not answer");
}

/// The policy once the server put another version back.
async fn taken_back(cloud: &Cloud, policy: &Policy) -> Policy {
    for _ in 0..LOOKS {
        let now = policy_of(cloud, policy).await;
        if now.cause == PolicyCause::RolledBackByServer {
            return now;
        }
        tokio::task::yield_now().await;
    }
    panic!("it is not taken back");
}

/// Creates until an ask is decided by the version that came back. The row is written first and the planners hear of it next: what
/// is decided in between is still the old version's, and says so.
async fn decides_again(cloud: &Cloud, back: &Policy) {
    for n in 0..LOOKS {
        let decided = match cloud.create(&format!("web-after-{}-{n}", back.generation)).await {
            Ok(made) => cloud.decision_of(&made).await.policy,
            Err(ServiceError::NoCapacity { decision }) => decision.policy,
            Err(other) => panic!("neither placed nor refused: {other:?}"),
        };
        if decided.generation == back.generation {
            assert!(decided.failed.is_none(), "{decided:?}");
            return;
        }
        assert!(decided.generation < back.generation, "{decided:?}");
    }
    panic!("the version that was taken back decides on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_sees_what_is_asked_and_decides_nothing() {
    let cloud = cloud().await;
    let policy = cloud.policy("green", "plain", Fallback::Refuse).await;
    cloud.use_policy(Some(policy.id)).await;
    // Nobody could say which is meant.
    let new = NewPolicy {
        name: name("built-in"),
        plugin: PluginChoice::Newest(name("plain")),
        config: serde_json::Value::Null,
        fallback: Fallback::Refuse,
    };
    let refused = cloud.services.policy_create(&cloud.caller, new, None).await;
    assert!(
        matches!(&refused, Err(ServiceError::Invalid { field, .. }) if field == "/name"),
        "{refused:?}"
    );
    begin_shadow(&cloud, &policy, "traps").await.expect("begun");
    let second = begin_shadow(&cloud, &policy, "other").await;
    assert!(
        matches!(&second, Err(ServiceError::InvalidState { problem, .. }) if problem.contains("has a shadow")),
        "{second:?}"
    );
    for n in 0..6 {
        let made = cloud
            .create(&format!("web-{n}"))
            .await
            .expect("a shadow is nobody's trouble");
        let decision = cloud.decision_of(&made).await;
        assert!(decision.policy.failed.is_none() && decision.policy.name == "green");
    }
    let report = seen(&cloud, &policy, 6).await;
    assert_eq!((report.counts.asks, report.counts.compared), (6, 0));
    assert_eq!(report.counts.trapped, 6 - report.counts.dropped);
    assert!(report.counts.trapped > 0, "the fault was met");
    cloud
        .services
        .policy_shadow_end(&cloud.caller, policy.id)
        .await
        .expect("ended");

    begin_shadow(&cloud, &policy, "other").await.expect("another");
    for n in 6..10 {
        cloud.create(&format!("web-{n}")).await.expect("made");
    }
    // A dry run is no ask of anybody's.
    cloud
        .services
        .instance_dry_run(&cloud.caller, cloud.new_instance("thought"))
        .await
        .expect("decided");
    let report = seen(&cloud, &policy, 4).await;
    let counts = &report.counts;
    assert_eq!((counts.asks, counts.same_winner), (4, counts.compared));
    assert_eq!(counts.rank_permille, 1000 * counts.ranked, "it scores all alike");
    assert!(counts.fuel > 0 && counts.refusals_added == 0);

    let promoted = cloud
        .services
        .policy_promote(&cloud.caller, policy.id, Some(1), None)
        .await;
    let promoted = fresh(promoted.expect("promoted"));
    assert_eq!((promoted.generation, promoted.cause), (2, PolicyCause::Promoted));
    assert_eq!(promoted.digest, report.shadow.digest);
    let versions = cloud.services.policy_versions(&cloud.caller, policy.id).await;
    let versions = versions.expect("its history");
    assert_eq!(versions.len(), 2);
    assert!(
        versions[0].reason.contains("after 4 asks"),
        "{}",
        versions[0].reason
    );
    let gone = cloud.services.policy_shadow(&cloud.caller, policy.id).await;
    assert!(matches!(gone, Err(ServiceError::InvalidState { .. })));
    let made = cloud.create("web-10").await.expect("made");
    assert_eq!(cloud.decision_of(&made).await.policy.generation, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_fails_is_taken_back_and_no_request_failed() {
    let cloud = cloud().await;
    let watching = tokio::spawn({
        let services = cloud.services.clone();
        async move { services.watch_policies().await }
    });
    let policy = cloud.policy("green", "plain", Fallback::BuiltIn).await;
    cloud.use_policy(Some(policy.id)).await;
    cloud.create("web-before").await.expect("made");
    for (n, bad) in ["traps", "nonsense"].into_iter().enumerate() {
        let changed = swap(&cloud, &policy, bad).await;
        assert_eq!(changed.cause, PolicyCause::Changed);
        let mut failed = 0;
        for m in 0..CLOSE.asks {
            let made = cloud
                .create(&format!("web-{n}-{m}"))
                .await
                .expect("the fallback decides");
            failed += u64::from(cloud.decision_of(&made).await.policy.failed.is_some());
        }
        assert!(failed > 0, "the fault was met");
        let back = taken_back(&cloud, &policy).await;
        assert_eq!(back.digest, policy.digest);
        assert_eq!(back.generation, changed.generation + 1);
        let versions = cloud.services.policy_versions(&cloud.caller, policy.id).await;
        let newest = &versions.expect("its history")[0];
        assert_eq!(newest.caller, "velumd");
        assert!(newest.reason.contains("of its first 5 asks"), "{}", newest.reason);
        decides_again(&cloud, &back).await;
    }
    watching.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_refuses_everything_is_taken_back() {
    let cloud = cloud().await;
    let watching = tokio::spawn({
        let services = cloud.services.clone();
        async move { services.watch_policies().await }
    });
    let policy = cloud.policy("green", "plain", Fallback::BuiltIn).await;
    cloud.use_policy(Some(policy.id)).await;
    swap(&cloud, &policy, "refuses").await;
    for n in 0..CLOSE.asks {
        let refused = cloud.create(&format!("web-{n}")).await;
        assert!(matches!(refused, Err(ServiceError::NoCapacity { .. })));
    }
    let back = taken_back(&cloud, &policy).await;
    assert_eq!(back.digest, policy.digest);
    decides_again(&cloud, &back).await;
    watching.abort();
}

#[tokio::test]
async fn a_policy_goes_back_to_what_it_was_by_one_call() {
    let cloud = cloud().await;
    let policy = cloud.policy("green", "plain", Fallback::Refuse).await;
    let none = cloud
        .services
        .policy_rollback(&cloud.caller, policy.id, None, (None, String::new()), None)
        .await;
    assert!(matches!(&none, Err(ServiceError::Invalid { field, .. }) if field == "/generation"));
    swap(&cloud, &policy, "other").await;
    let renamed = ChangePolicy {
        name: Some(name("greener")),
        ..ChangePolicy::default()
    };
    let renamed = cloud
        .services
        .policy_change(&cloud.caller, policy.id, None, renamed)
        .await
        .expect("renamed");
    assert_eq!(renamed.cause, PolicyCause::Changed, "a name is no new version");
    let back = cloud
        .services
        .policy_rollback(&cloud.caller, policy.id, Some(3), (None, "too slow".into()), None)
        .await;
    let back = fresh(back.expect("rolled back"));
    assert_eq!((&back.digest, back.generation), (&policy.digest, 4));
    let there = cloud
        .services
        .policy_rollback(&cloud.caller, policy.id, None, (Some(2), String::new()), None)
        .await;
    let there = fresh(there.expect("and there again"));
    assert_ne!(there.digest, policy.digest);
    let versions = cloud.services.policy_versions(&cloud.caller, policy.id).await;
    let reasons: Vec<String> = versions
        .expect("its history")
        .into_iter()
        .map(|version| version.reason)
        .collect();
    assert_eq!(
        reasons,
        [
            "back to generation 2",
            "back to generation 1: too slow",
            "",
            "",
            ""
        ]
    );
    let unknown = cloud
        .services
        .policy_rollback(&cloud.caller, policy.id, None, (Some(99), String::new()), None)
        .await;
    assert!(matches!(unknown, Err(ServiceError::Invalid { .. })));
    // What it may go back to stays while it is watched.
    let plain = plugin_id(&cloud, "plain", "0.1.0").await;
    let kept = cloud.services.plugin_delete(&cloud.caller, plain, None).await;
    assert!(
        matches!(&kept, Err(ServiceError::InvalidState { problem, .. }) if problem.contains("probation")),
        "{kept:?}"
    );
}

async fn install(cloud: &Cloud, component: &str) -> PluginId {
    let new = NewPlugin {
        component: component.into(),
        ..NewPlugin::default()
    };
    let made = cloud.services.plugin_install(&cloud.caller, new, None).await;
    fresh(made.expect("installed")).plugin.id
}

async fn plugin_id(cloud: &Cloud, called: &str, version: &str) -> PluginId {
    let filter = PluginFilter {
        name: Some(name(called)),
        version: Some(version.into()),
        ..PluginFilter::default()
    };
    let found = cloud
        .services
        .plugin_list(&cloud.caller, &filter, Page::default())
        .await;
    found.expect("listed").items[0].id
}

async fn state_of(cloud: &Cloud, id: PluginId) -> (PluginState, u64, u64) {
    let detail = cloud
        .services
        .plugin_detail(&cloud.caller, id)
        .await
        .expect("there");
    let used = &detail.used;
    (used.state(), used.compute_hosts, used.operations)
}

/// The driver that a compute host gets which is registered now.
async fn driver_of_new(cloud: &Cloud, called: &str) -> Digest {
    let new = new_host(&cloud.cluster, called, 65_536);
    let host = cloud.services.compute_host_create(&cloud.caller, new, None).await;
    fresh(host.expect("a host")).driver
}

#[tokio::test]
async fn a_driver_is_activated_zone_by_zone_and_what_is_under_way_keeps_the_old_one() {
    let cloud = cloud().await;
    let old = plugin_id(&cloud, "driver", "0.1.0").await;
    assert_eq!(state_of(&cloud, old).await, (PluginState::Active, 4, 0));
    let new = install(&cloud, "driver@0.2.0").await;
    assert_eq!(state_of(&cloud, new).await, (PluginState::Installed, 0, 0));
    // Installed is not active: a new compute host gets what the zone has.
    assert_eq!(driver_of_new(&cloud, "host-4").await, cloud.hosts[0].driver);

    let under_way = cloud.create("web").await.expect("accepted");
    let whole = Activating {
        zone: Some(cloud.zone.id),
        ..Activating::default()
    };
    let done = cloud
        .services
        .plugin_activate(&cloud.caller, new, whole.clone(), None)
        .await;
    assert_eq!(fresh(done.expect("activated")).compute_hosts, 5);
    assert_eq!(state_of(&cloud, new).await, (PluginState::Active, 5, 0));
    assert_eq!(state_of(&cloud, old).await, (PluginState::Draining, 0, 1));
    let again = cloud
        .services
        .plugin_activate(&cloud.caller, new, whole.clone(), None)
        .await;
    assert_eq!(fresh(again.expect("it is so already")).compute_hosts, 0);
    assert_ne!(driver_of_new(&cloud, "host-5").await, cloud.hosts[0].driver);

    let reader = cloud.store.read();
    let host = under_way.instance.run.as_ref().expect("placed").compute_host;
    let accepted = under_way.instance.created_at;
    let before = reader
        .driven_by_at(host.uuid(), accepted)
        .await
        .expect("readable");
    assert_eq!(before.as_ref(), Some(&cloud.hosts[0].driver));
    let kept = cloud.services.plugin_delete(&cloud.caller, old, None).await;
    assert!(
        matches!(&kept, Err(ServiceError::InUse { by, .. }) if by.contains("operations in flight")),
        "{kept:?}"
    );

    let back = cloud
        .services
        .plugin_rollback(&cloud.caller, new, cloud.zone.id, None)
        .await;
    let back = fresh(back.expect("rolled back"));
    assert_eq!((back.plugin.id, back.compute_hosts), (old, 6));
    let twice = cloud
        .services
        .plugin_rollback(&cloud.caller, new, cloud.zone.id, None)
        .await;
    assert!(
        matches!(&twice, Err(ServiceError::InvalidState { problem, .. }) if problem.contains("not the version")),
        "{twice:?}"
    );
    // The operation began with the old one, and that is what drives its host now.
    let hosts = cloud
        .services
        .compute_host_list(&cloud.caller, &ComputeHostFilter::default(), Page::default())
        .await;
    assert!(
        hosts
            .expect("listed")
            .items
            .iter()
            .all(|host| host.driver == cloud.hosts[0].driver)
    );

    cloud.bring_up(&under_way).await;
    let removed = cloud.services.plugin_delete(&cloud.caller, new, None).await;
    removed.expect("nothing keeps it any more");
}

#[tokio::test]
async fn a_part_of_a_zone_goes_over_and_what_does_not_fit_is_named() {
    let cloud = cloud().await;
    let new = install(&cloud, "driver@0.2.0").await;
    let in_cluster = Activating {
        zone: Some(cloud.zone.id),
        clusters: vec![cloud.cluster.id],
        ..Activating::default()
    };
    let done = cloud
        .services
        .plugin_activate(&cloud.caller, new, in_cluster, None)
        .await;
    assert_eq!(fresh(done.expect("activated")).compute_hosts, 4);
    // New ones still get what the zone has.
    assert_eq!(driver_of_new(&cloud, "host-4").await, cloud.hosts[0].driver);
    let refused = |activating: Activating, plugin: PluginId| {
        let (services, caller) = (cloud.services.clone(), cloud.caller.clone());
        async move {
            match services.plugin_activate(&caller, plugin, activating, None).await {
                Err(ServiceError::Invalid { field, .. }) => field,
                Err(ServiceError::InvalidState { problem, .. }) => problem,
                other => panic!("{other:?}"),
            }
        }
    };
    let zone = Some(cloud.zone.id);
    let stray = Activating {
        zone,
        clusters: vec![velum_model::Id::from_uuid(uuid::Uuid::nil())],
        ..Activating::default()
    };
    assert_eq!(refused(stray, new).await, "/cluster_ids");
    let pools = Activating {
        zone,
        storage_pools: vec![cloud.pool.id],
        ..Activating::default()
    };
    assert_eq!(refused(pools, new).await, "/storage_pool_ids");
    assert_eq!(refused(Activating::default(), new).await, "/zone_id");
    let whole = Activating {
        zone,
        ..Activating::default()
    };
    let policy = plugin_id(&cloud, "plain", "0.1.0").await;
    assert!(refused(whole.clone(), policy).await.contains("placement policy"));
    let provider = install(&cloud, "provider@0.2.0").await;
    let done = cloud
        .services
        .plugin_activate(&cloud.caller, provider, whole, None)
        .await;
    assert_eq!(fresh(done.expect("activated")).storage_pools, 1);
    let pool = cloud
        .services
        .storage_pool_get(&cloud.caller, cloud.pool.id)
        .await;
    assert_eq!(
        pool.expect("there").provider,
        crate::cloud::digest_of("provider@0.2.0")
    );
}

#[tokio::test]
async fn counts_of_shadows_survive_the_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = Settings {
        unsigned: Unsigned::Allow,
        ..Settings::default()
    };
    let (store, services, _) = open_as(directory.path(), settings).await;
    let caller = crate::cloud::administrator();
    store
        .insert_token(caller.token, &caller.name, b"hash", Scope::All)
        .await
        .expect("a token");
    let new = NewPlugin {
        component: b"plain".to_vec(),
        ..NewPlugin::default()
    };
    services
        .plugin_install(&caller, new, None)
        .await
        .expect("installed");
    let policy = velum_service::NewPolicy {
        name: name("green"),
        plugin: PluginChoice::Newest(name("plain")),
        config: json!({}),
        fallback: Fallback::Refuse,
    };
    let policy = fresh(services.policy_create(&caller, policy, None).await.expect("made"));
    let begun = services
        .policy_shadow_begin(&caller, policy.id, NewShadow::default(), None)
        .await;
    let shadow = fresh(begun.expect("begun"));
    for (run, asks) in [(1, 3), (2, 4)] {
        let counted = velum_store::Commit {
            changes: vec![velum_store::Change::CountShadow {
                shadow: shadow.id,
                run: uuid::Uuid::from_u128(run),
                counts: json!({ "asks": asks, "from_a_later_version": 1 }),
            }],
            ..velum_store::Commit::default()
        };
        store.commit(counted).await.expect("kept");
    }
    let report = services
        .policy_shadow(&caller, policy.id)
        .await
        .expect("it has one");
    assert_eq!(report.counts.asks, 7);
}
