//! Instances are placed, claimed and explained.

use crate::cloud::*;
use futures::future::join_all;
use velum_model::{
    decision::Decision,
    id::{ComputeHostId, PolicyId},
    infrastructure::ComputeOffering,
    instance::InstanceState,
    plugin::Fallback,
    port::placement::PolicyFailure,
    resource::HostResource,
    storage::TemplateState,
};
use velum_operation::{Replan as _, ReplanAsk};
use velum_service::*;
use velum_store::{Change, Commit, StoredAnswer};

const ROOMY: Size = Size {
    hosts: 4,
    memory_mib: 65_536,
    addresses: 200,
};

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_creates_for_the_last_64_addresses_get_exactly_64() {
    let cloud = Cloud::of(Size {
        addresses: 64,
        ..ROOMY
    })
    .await;
    let names: Vec<String> = (0..200).map(|n| format!("vm-{n}")).collect();
    let created = join_all(names.iter().map(|name| cloud.create(name))).await;
    let placed: Vec<_> = created.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(placed.len(), 64);
    for refused in created.iter().filter_map(|result| result.as_ref().err()) {
        assert!(
            matches!(refused, ServiceError::NoAddresses { name, .. } if name == "net"),
            "{refused:?}"
        );
    }
    let mut addresses: Vec<_> = placed.iter().map(|detail| detail.nics[0].address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 64);
    let range = cloud
        .services
        .ip_range_get(&cloud.caller, cloud.range.id)
        .await
        .expect("there");
    assert_eq!(range.claimed, 64);
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_creates_for_the_last_memory_get_exactly_what_fits() {
    let cloud = Cloud::of(Size {
        hosts: 1,
        memory_mib: 256 * 20,
        addresses: 240,
    })
    .await;
    let names: Vec<String> = (0..200).map(|n| format!("vm-{n}")).collect();
    let created = join_all(names.iter().map(|name| cloud.create(name))).await;
    assert_eq!(created.iter().filter(|result| result.is_ok()).count(), 20);
    for refused in created.iter().filter_map(|result| result.as_ref().err()) {
        let ServiceError::NoCapacity { decision } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(decision.refused[0].reason, "memory");
        assert_eq!(decision.refused[0].hosts, 1);
    }
    let host = cloud
        .services
        .compute_host_get(&cloud.caller, cloud.hosts[0].id)
        .await
        .expect("there");
    assert_eq!((host.memory_used, host.vcpus_used), (256 * 20, 20));
    // What was refused claimed no address: there are as many left as if it had never asked.
    let range = cloud
        .services
        .ip_range_get(&cloud.caller, cloud.range.id)
        .await
        .expect("there");
    assert_eq!(range.claimed, 20);
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_made_as_far_as_there_is_room_or_not_at_all() {
    let cloud = Cloud::of(Size {
        addresses: 64,
        ..ROOMY
    })
    .await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let batch = |count: usize, all_or_nothing| NewInstances {
        zone: cloud.zone.id,
        instances: (0..count)
            .map(|n| cloud.new_instance(&format!("vm-{n}")))
            .collect(),
        all_or_nothing,
    };
    let none = services
        .instance_create_batch(caller, batch(100, true), None)
        .await;
    let Err(ServiceError::OfSeveral { field, name, why }) = none else {
        panic!("{none:?}");
    };
    assert_eq!((field.as_str(), name.as_str()), ("/instances/64", "vm-64"));
    assert!(matches!(*why, ServiceError::NoAddresses { .. }), "{why:?}");
    let range = services
        .ip_range_get(caller, cloud.range.id)
        .await
        .expect("there");
    assert_eq!((cloud.instances().await.len(), range.claimed), (0, 0));

    let made = services
        .instance_create_batch(caller, batch(100, false), None)
        .await;
    let made = fresh(made.expect("as far as there is room"));
    let accepted: Vec<_> = made.iter().filter_map(|one| one.as_ref().ok()).collect();
    assert_eq!((made.len(), accepted.len()), (100, 64));
    let refused = made.iter().filter_map(|one| one.as_ref().err());
    for refused in refused {
        assert!(matches!(refused, ServiceError::NoAddresses { .. }), "{refused:?}");
    }
    for accepted in &accepted {
        let id = accepted.resource.instance.id;
        let stored = services.instance_detail(caller, id).await.expect("there");
        assert_eq!(stored, accepted.resource);
    }
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_it_is_told_whose_name_is_taken_and_none_is_made() {
    let cloud = Cloud::of(ROOMY).await;
    cloud.create("web").await.expect("created");
    let new = NewInstances {
        zone: cloud.zone.id,
        instances: vec![cloud.new_instance("other"), cloud.new_instance("web")],
        all_or_nothing: false,
    };
    let refused = cloud
        .services
        .instance_create_batch(&cloud.caller, new, None)
        .await;
    let Err(ServiceError::OfSeveral { field, name, why }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((field.as_str(), name.as_str()), ("/instances/1", "web"));
    assert!(matches!(*why, ServiceError::NameTaken { .. }), "{why:?}");
    assert_eq!(cloud.instances().await.len(), 1);
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_refused_with_the_place_of_the_field() {
    let cloud = Cloud::of(ROOMY).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let field_of = async |instances: Vec<NewInstance>| {
        let new = NewInstances {
            zone: cloud.zone.id,
            instances,
            all_or_nothing: false,
        };
        match services.instance_create_batch(caller, new, None).await {
            Err(ServiceError::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    };
    let one = |text: &str| cloud.new_instance(text);
    assert_eq!(field_of(Vec::new()).await, "/instances");
    let nowhere = NewInstances {
        zone: velum_model::Id::from_uuid(uuid::Uuid::from_u128(1)),
        instances: vec![one("a")],
        all_or_nothing: false,
    };
    let refused = services.instance_create_batch(caller, nowhere, None).await;
    assert!(
        matches!(&refused, Err(ServiceError::Invalid { field, .. }) if field == "/zone_id"),
        "{refused:?}"
    );
    let too_many = (0..=BATCH_MAX).map(|n| one(&format!("vm-{n}"))).collect();
    assert_eq!(field_of(too_many).await, "/instances");
    assert_eq!(
        field_of(vec![one("a"), one("b"), one("a")]).await,
        "/instances/2/name"
    );
    let elsewhere = NewInstance {
        template: velum_model::Id::from_uuid(uuid::Uuid::from_u128(1)),
        ..one("b")
    };
    assert_eq!(
        field_of(vec![one("a"), elsewhere]).await,
        "/instances/1/template_id"
    );
    assert!(cloud.instances().await.is_empty());
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_instance_is_made_from_is_what_it_became_last() {
    let cloud = Cloud::of(ROOMY).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    cloud.create("before").await.expect("created");
    let tagged = |tags: &[&str]| ChangeComputeOffering {
        host_tags: Some(tags.iter().copied().map(name).collect()),
        ..ChangeComputeOffering::default()
    };
    for (change, fits) in [(tagged(&["gpu"]), false), (tagged(&[]), true)] {
        let changed = services
            .compute_offering_change(caller, cloud.offering.id, None, change)
            .await;
        changed.expect("changed");
        let made = cloud.create(if fits { "fits" } else { "does-not" }).await;
        assert_eq!(made.is_ok(), fits, "{made:?}");
    }
    let going = Commit {
        fence: Some((
            cloud.zone.shard,
            cloud.store.epoch(cloud.zone.shard).expect("owned"),
        )),
        changes: vec![Change::TemplateState {
            id: cloud.template.id,
            to: TemplateState::Deleting,
            virtual_bytes: None,
            reference: None,
        }],
        ..Commit::default()
    };
    cloud.store.commit(going).await.expect("it goes");
    let refused = cloud.create("after").await;
    assert!(
        matches!(&refused, Err(ServiceError::Invalid { field, .. }) if field == "/template_id"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accept_holds_everything_that_it_claimed() {
    let cloud = Cloud::of(ROOMY).await;
    let made = cloud.create("web").await.expect("created");
    assert_eq!(made.instance.state, InstanceState::Creating);
    let stored = cloud
        .services
        .instance_detail(&cloud.caller, made.instance.id)
        .await
        .expect("there");
    assert_eq!(stored, made);
    let root = &stored.volumes[0];
    assert_eq!((root.pool, root.size.get()), (cloud.pool.id, 1 << 30));
    let layer = cloud
        .store
        .read()
        .layer_of(cloud.pool.id, cloud.template.id)
        .await
        .expect("read");
    assert!(layer.is_some());
    let decision = cloud.decision_of(&made).await;
    assert_eq!(
        decision.winner.map(|winner| winner.compute_host),
        stored.instance.run.map(|run| run.compute_host)
    );
    assert_eq!(decision.runners_up.len(), 3);
    assert_eq!(decision.pools, [cloud.pool.id]);
    let why = cloud
        .services
        .instance_why(&cloud.caller, made.instance.id)
        .await
        .expect("explained");
    assert_eq!(why.hosts.len(), 4);
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_decides_and_claims_nothing() {
    let cloud = Cloud::of(Size {
        hosts: 1,
        memory_mib: 256,
        addresses: 1,
    })
    .await;
    let dry_run = |name| {
        cloud
            .services
            .instance_dry_run(&cloud.caller, cloud.new_instance(name))
    };
    for _ in 0..3 {
        assert!(dry_run("web").await.expect("decided").winner.is_some());
    }
    assert!(cloud.instances().await.is_empty());
    cloud
        .create("web")
        .await
        .expect("there is room after all dry runs");
    let none = dry_run("mail").await;
    assert!(matches!(none, Err(ServiceError::NoAddresses { .. })), "{none:?}");
    let taken = dry_run("web").await;
    assert!(
        matches!(&taken, Err(ServiceError::NameTaken { what: "instance", name }) if name == "web"),
        "{taken:?}"
    );
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_leaves_the_next_address_to_the_next_instance() {
    let cloud = Cloud::of(ROOMY).await;
    let first = cloud.create("first").await.expect("placed").nics[0].address;
    for _ in 0..3 {
        let decided = cloud
            .services
            .instance_dry_run(&cloud.caller, cloud.new_instance("web"))
            .await;
        assert!(decided.expect("decided").winner.is_some());
    }
    let second = cloud.create("second").await.expect("placed").nics[0].address;
    assert_eq!(u32::from(second), u32::from(first) + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_told_from_one_that_no_range_gives() {
    let cloud = Cloud::of(Size {
        addresses: 64,
        ..ROOMY
    })
    .await;
    let taken = cloud.create("first").await.expect("placed").nics[0].address;
    let at = |address| {
        let mut new = cloud.new_instance("second");
        new.networks[0].address = Some(address);
        cloud.services.instance_create(&cloud.caller, new, None)
    };
    let refused = at(taken).await.expect_err("it is the first one's");
    assert!(
        matches!(refused, ServiceError::AddressTaken { address, .. } if address == taken),
        "{refused:?}"
    );
    let outside = std::net::Ipv4Addr::new(10, 1, 0, 200);
    let refused = at(outside).await.expect_err("no range has it");
    assert!(
        matches!(&refused, ServiceError::AddressInNoRange { address, name } if *address == outside && name == "net"),
        "{refused:?}"
    );
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_instances_has_what_hangs_on_each() {
    let cloud = Cloud::of(ROOMY).await;
    let mut made = Vec::new();
    for name in ["one", "two", "three"] {
        made.push(cloud.create(name).await.expect("placed"));
    }
    let page = cloud
        .services
        .instance_details(&cloud.caller, &InstanceFilter::default(), Default::default())
        .await
        .expect("listed");
    made.sort_by_key(|detail| detail.instance.id);
    assert_eq!(page.items, made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_without_room_says_why_in_full() {
    let cloud = Cloud::of(Size {
        hosts: 3,
        memory_mib: 128,
        addresses: 9,
    })
    .await;
    let decision = cloud
        .services
        .instance_dry_run(&cloud.caller, cloud.new_instance("web"))
        .await;
    let decision = decision.expect("decided");
    assert_eq!(decision.winner, None);
    assert_eq!(decision.refusals.len(), 3);
    assert_eq!(decision.refused[0].reason, "memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_swapped_under_load_leaves_no_decision_in_doubt() {
    let cloud = Cloud::of(ROOMY).await;
    let plain = cloud.policy("one", "plain", Fallback::BuiltIn).await;
    cloud.use_policy(Some(plain.id)).await;
    let names: Vec<String> = (0..120).map(|n| format!("vm-{n}")).collect();
    let creates = join_all(names.iter().map(|name| cloud.create(name)));
    let swaps = async {
        for plugin in ["other", "plain", "other", "plain", "other"] {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            let change = ChangePolicy {
                plugin: Some(PluginChoice::Newest(name(plugin))),
                ..ChangePolicy::default()
            };
            let changed = cloud
                .services
                .policy_change(&cloud.caller, plain.id, None, change)
                .await;
            changed.expect("swapped");
        }
    };
    let (created, ()) = tokio::join!(creates, swaps);
    let mut seen = std::collections::BTreeSet::new();
    for made in created {
        let decision = cloud.decision_of(&made.expect("no request fails")).await;
        assert_eq!(decision.policy.policy, Some(plain.id));
        assert_eq!(decision.policy.failed, None);
        // Odd generations are the one component, even ones the other.
        let expected = if decision.policy.generation % 2 == 1 {
            "plain"
        } else {
            "other"
        };
        assert_eq!(decision.policy.digest, Some(digest_of(expected)));
        seen.insert(decision.policy.generation);
    }
    let last = cloud
        .decision_of(&cloud.create("last").await.expect("created"))
        .await;
    assert_eq!(last.policy.generation, 6);
    cloud.audit().await;
}

async fn decided_by(cloud: &Cloud, policy: Option<PolicyId>, text: &str) -> Decision {
    cloud.use_policy(policy).await;
    let made = cloud.create(text).await.expect("created");
    cloud.decision_of(&made).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_fails_falls_back_and_says_so() {
    let cloud = Cloud::of(ROOMY).await;
    for plugin in ["traps", "nonsense"] {
        let policy = cloud.policy(plugin, plugin, Fallback::BuiltIn).await;
        for attempt in 0..2 {
            let decision = decided_by(&cloud, Some(policy.id), &format!("{plugin}-{attempt}")).await;
            assert_eq!(decision.policy.policy, Some(policy.id));
            assert_eq!(decision.policy.fallback, Some(Fallback::BuiltIn));
            match (plugin, decision.policy.failed) {
                ("traps", Some(PolicyFailure::Trapped(_)))
                | ("nonsense", Some(PolicyFailure::Nonsense(_))) => {}
                (_, other) => panic!("{plugin}: {other:?}"),
            }
        }
    }
    let decision = decided_by(&cloud, None, "built-in").await;
    assert_eq!(
        (decision.policy.name.as_str(), decision.policy.failed),
        ("built-in", None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_may_not_be_replaced_refuses() {
    let cloud = Cloud::of(ROOMY).await;
    let policy = cloud.policy("strict", "traps", Fallback::Refuse).await;
    cloud.use_policy(Some(policy.id)).await;
    let refused = cloud.create("web").await;
    assert!(
        matches!(refused, Err(ServiceError::PolicyFailed { .. })),
        "{refused:?}"
    );
    cloud.use_policy(None).await;
    cloud.create("web").await.expect("the built-in policy decides");
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_for_pools_cannot_rank_hosts() {
    let cloud = Cloud::of(ROOMY).await;
    let pools = cloud.policy("pools", "pools", Fallback::BuiltIn).await;
    let change = |policy, pool_policy| ChangeZone {
        policy,
        pool_policy,
        ..ChangeZone::default()
    };
    let refused = cloud
        .services
        .zone_change(
            &cloud.caller,
            cloud.zone.id,
            None,
            change(Some(Some(pools.id)), None),
        )
        .await;
    assert!(
        matches!(&refused, Err(ServiceError::Invalid { field, .. }) if field == "/policy_id"),
        "{refused:?}"
    );
    let zone = cloud
        .services
        .zone_change(
            &cloud.caller,
            cloud.zone.id,
            None,
            change(None, Some(Some(pools.id))),
        )
        .await
        .expect("it ranks pools");
    assert_eq!(zone.pool_policy, Some(pools.id));
    let decision = cloud
        .decision_of(&cloud.create("web").await.expect("created"))
        .await;
    assert_eq!(decision.ask["pool_policy"]["name"], "pools");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_gets_the_same_answer_however_often_it_comes() {
    let cloud = Cloud::of(ROOMY).await;
    let keyed = |hash: &[u8]| {
        let render: Render<Accepted<InstanceDetail>> = Box::new(|accepted| StoredAnswer {
            status: 202,
            location: Some(accepted.operation.to_string()),
            etag: None,
            body: accepted.resource.instance.id.to_string(),
        });
        Some(Keyed {
            token: cloud.caller.token,
            key: "once".into(),
            request_hash: hash.to_vec(),
            render,
        })
    };
    let request = |hash| {
        cloud
            .services
            .instance_create(&cloud.caller, cloud.new_instance("web"), keyed(hash))
    };
    let answers = join_all((0..20).map(|_| request(b"same"))).await;
    let bodies: std::collections::BTreeSet<String> = answers
        .into_iter()
        .map(|answer| match answer.expect("answered") {
            Answered::Fresh(accepted) => accepted.resource.instance.id.to_string(),
            Answered::Replayed(answer) => answer.body,
        })
        .collect();
    assert_eq!(bodies.len(), 1);
    assert_eq!(cloud.instances().await.len(), 1);
    let other = request(b"other").await;
    assert!(matches!(other, Err(ServiceError::KeyReused)), "{other:?}");
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planner_that_starts_anew_knows_every_claim() {
    let cloud = Cloud::of(Size {
        hosts: 2,
        memory_mib: 1024,
        addresses: 20,
    })
    .await;
    for n in 0..5 {
        cloud.create(&format!("vm-{n}")).await.expect("created");
    }
    cloud.services.stop();
    cloud.store.close().await;
    let (store, services, _) = open(cloud.directory()).await;
    let mut placed = 0;
    for n in 5..12 {
        let new = cloud.new_instance(&format!("vm-{n}"));
        match services.instance_create(&cloud.caller, new, None).await {
            Ok(_) => placed += 1,
            Err(refused) => assert!(matches!(refused, ServiceError::NoCapacity { .. }), "{refused:?}"),
        }
    }
    assert_eq!(placed, 3);
    assert_eq!(store.audit().await.expect("audited"), []);
}

impl Cloud {
    /// States what a compute host has of resources, in place of what it had.
    async fn state(&self, host: ComputeHostId, amounts: &[(&str, u64)]) {
        let change = ChangeComputeHost {
            resources: Some(resources(amounts)),
            ..ChangeComputeHost::default()
        };
        let changed = self
            .services
            .compute_host_change(&self.caller, host, None, change)
            .await;
        changed.expect("changed");
    }

    /// (total, used) of a resource of a compute host.
    async fn amounts(&self, host: ComputeHostId, name: &str) -> Option<(u64, u64)> {
        let host = self.services.compute_host_get(&self.caller, host).await;
        let HostResource { total, used } = *host.expect("there").resources.get(name)?;
        Some((total, used))
    }

    /// An offering like the usual one that asks for resources.
    async fn offering_with(&self, text: &str, amounts: &[(&str, u64)]) -> ComputeOffering {
        let new = NewComputeOffering {
            name: name(text),
            vcpus: self.offering.vcpus,
            memory: self.offering.memory,
            resources: resources(amounts),
            host_tags: Vec::new(),
            storage_tags: Vec::new(),
            policy: None,
            expected_lifetime: None,
        };
        let made = self
            .services
            .compute_offering_create(&self.caller, new, None)
            .await;
        fresh(made.expect("an offering"))
    }

    async fn create_of(
        &self,
        offering: &ComputeOffering,
        text: &str,
    ) -> Result<InstanceDetail, ServiceError> {
        let new = NewInstance {
            offering: offering.id,
            ..self.new_instance(text)
        };
        let answered = self.services.instance_create(&self.caller, new, None).await?;
        Ok(fresh(answered).resource)
    }
}

/// What a refusal for lack of room says, the most frequent reason first.
fn reasons(refused: &ServiceError) -> Vec<(&str, &str, u32)> {
    let ServiceError::NoCapacity { decision } = refused else {
        panic!("{refused:?}");
    };
    let refused = decision.refused.iter();
    refused
        .map(|of| (of.reason.as_str(), of.words.as_str(), of.hosts))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_gpu_goes_to_one_of_two_who_race_for_it() {
    const NONE_LEFT: (&str, &str, u32) = ("resource:gpu", "resource gpu: 1 asked, fewer free", 4);
    let cloud = Cloud::of(ROOMY).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let host = cloud.hosts[2].id;
    cloud.state(host, &[("gpu", 1), ("hugepages-1g", 16)]).await;
    let offering = cloud
        .offering_with("gpu", &[("gpu", 1), ("hugepages-1g", 4)])
        .await;
    let both = tokio::join!(
        cloud.create_of(&offering, "one"),
        cloud.create_of(&offering, "other")
    );
    let ((Ok(placed), Err(refused)) | (Err(refused), Ok(placed))) = both else {
        panic!("{both:?}");
    };
    assert_eq!(reasons(&refused), [NONE_LEFT]);
    let run = placed.instance.run.clone().expect("placed");
    assert_eq!((run.compute_host, &run.resources), (host, &offering.resources));
    assert_eq!(cloud.amounts(host, "gpu").await, Some((1, 1)));
    assert_eq!(cloud.amounts(host, "hugepages-1g").await, Some((16, 4)));
    cloud.audit().await;
    // Others are placed as ever, and a dry run says what a create would.
    cloud.create("plain").await.expect("it asks for none");
    let dry = NewInstance {
        offering: offering.id,
        ..cloud.new_instance("dry")
    };
    let decision = services.instance_dry_run(caller, dry).await.expect("decided");
    assert_eq!(
        (decision.winner, decision.refused[0].reason.as_str()),
        (None, NONE_LEFT.0)
    );
    // There is nowhere else for it to go, until there is.
    let elsewhere = ReplanAsk {
        instance: placed.instance.id,
        failed_run: run.id,
        excluded: vec![host],
        unmade_root: None,
    };
    assert!(services.elsewhere(elsewhere.clone()).await.is_none());
    cloud
        .state(cloud.hosts[0].id, &[("gpu", 1), ("hugepages-1g", 4)])
        .await;
    let moved = services.elsewhere(elsewhere).await.expect("there is another");
    assert_eq!(
        (moved.run.compute_host, &moved.run.resources),
        (cloud.hosts[0].id, &run.resources)
    );
    cloud.goes_elsewhere(&moved).await;
    assert_eq!(cloud.amounts(host, "gpu").await, Some((1, 0)));
    assert_eq!(cloud.amounts(cloud.hosts[0].id, "gpu").await, Some((1, 1)));
    cloud.audit().await;
    // A destroy gives it back.
    cloud.destroy(&placed).await;
    assert_eq!(cloud.amounts(cloud.hosts[0].id, "gpu").await, Some((1, 0)));
    for again in ["one", "other"] {
        cloud.create_of(&offering, again).await.expect("placed");
    }
    assert_eq!(
        reasons(&cloud.create_of(&offering, "third").await.expect_err("full")),
        [NONE_LEFT]
    );
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_is_held_from_start_to_stop_and_may_be_taken_away_meanwhile() {
    let cloud = Cloud::of(ROOMY).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let host = cloud.hosts[1].id;
    cloud.state(host, &[("gpu", 2)]).await;
    let offering = cloud.offering_with("gpu", &[("gpu", 1)]).await;
    let mut made = Vec::new();
    for text in ["one", "two"] {
        let one = cloud.create_of(&offering, text).await.expect("placed");
        cloud.bring_up(&one).await;
        made.push(one);
    }
    // The operator takes them away: who has one keeps it, and nobody gets another.
    cloud.state(host, &[]).await;
    assert_eq!(cloud.amounts(host, "gpu").await, Some((0, 2)));
    cloud.stop(&made[0]).await;
    assert_eq!(cloud.amounts(host, "gpu").await, Some((0, 1)));
    let start = || services.instance_start(caller, made[0].instance.id, None);
    let refused = start().await.expect_err("there is none");
    assert_eq!(
        reasons(&refused),
        [("resource:gpu", "resource gpu: 1 asked, fewer free", 4)]
    );
    cloud.audit().await;
    cloud.state(host, &[("gpu", 2)]).await;
    let started = fresh(start().await.expect("there is one again"));
    let run = started.resource.instance.run.expect("placed");
    assert_eq!(
        (run.compute_host, run.resources),
        (host, resources(&[("gpu", 1)]))
    );
    assert_eq!(cloud.amounts(host, "gpu").await, Some((2, 2)));
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_a_gpu_that_is_gone_is_refused_and_made_again() {
    let cloud = Cloud::of(ROOMY).await;
    let offering = cloud.offering_with("gpu", &[("gpu", 1)]).await;
    for host in &cloud.hosts[..2] {
        cloud.state(host.id, &[("gpu", 1)]).await;
    }
    // As another server would have taken it away: the planner does not hear of it.
    let mut database = cloud.database().await;
    let taken = sqlx::query(
        "UPDATE compute_host_resource SET amount_limit = 0, amount_ceiling = 0 WHERE compute_host = $1",
    )
    .bind(cloud.hosts[0].id.uuid().as_bytes().to_vec())
    .execute(&mut database)
    .await;
    assert_eq!(taken.expect("taken").rows_affected(), 1);
    let made = cloud.create_of(&offering, "web").await.expect("placed");
    assert_eq!(made.instance.run.expect("placed").compute_host, cloud.hosts[1].id);
    let refused = cloud.create_of(&offering, "none").await.expect_err("no more");
    assert_eq!(reasons(&refused)[0].0, "resource:gpu");
    cloud.audit().await;
    // A planner that starts anew reads what runs hold.
    let again = NewInstance {
        offering: offering.id,
        ..cloud.new_instance("again")
    };
    cloud.services.stop();
    cloud.store.close().await;
    let (_, services, _) = open(cloud.directory()).await;
    let refused = services.instance_create(&cloud.caller, again, None).await;
    assert_eq!(reasons(&refused.expect_err("no more"))[0].0, "resource:gpu");
}
