//! Instances that are to be near each other or apart, and parts of a zone that are kept for a project.

use std::collections::{BTreeMap, BTreeSet};

use crate::cloud::*;
use futures::future::join_all;
use velum_model::{
    affinity::{AffinityGroup, AffinityKind, AffinityLevel, AffinityStrength, AffinityTie},
    decision::Tier,
    id::ComputeHostId,
    tenancy::BUILT_IN_PROJECT,
};
use velum_operation::{Replan as _, ReplanAsk};
use velum_service::*;
use velum_store::{Change, Commit, Table};

const FOUR: Size = Size {
    hosts: 4,
    memory_mib: 65_536,
    addresses: 200,
};
const APART: (AffinityKind, AffinityStrength) = (AffinityKind::AntiAffinity, AffinityStrength::Required);
const TOGETHER: (AffinityKind, AffinityStrength) = (AffinityKind::Affinity, AffinityStrength::Required);

impl Cloud {
    async fn group(&self, text: &str, (kind, strength): (AffinityKind, AffinityStrength)) -> AffinityGroup {
        let new = NewAffinityGroup {
            zone: self.zone.id,
            name: name(text),
            description: String::new(),
            kind,
            strength,
            level: AffinityLevel::ComputeHost,
        };
        let made = self.services.affinity_group_create(&self.caller, new, None).await;
        fresh(made.expect("a group"))
    }

    fn member_of(&self, text: &str, groups: &[&AffinityGroup]) -> NewInstance {
        NewInstance {
            affinity_groups: groups.iter().map(|group| group.id).collect(),
            ..self.new_instance(text)
        }
    }

    async fn join(&self, text: &str, groups: &[&AffinityGroup]) -> Result<InstanceDetail, ServiceError> {
        let new = self.member_of(text, groups);
        let answered = self.services.instance_create(&self.caller, new, None).await?;
        Ok(fresh(answered).resource)
    }

    /// Members are listed, counted and filtered by.
    async fn has_members(&self, group: &AffinityGroup, count: usize) {
        let of_group = velum_store::InstanceFilter {
            affinity_group: Some(group.id),
            ..Default::default()
        };
        let listed = self
            .services
            .instance_details(&self.caller, &of_group, Default::default())
            .await;
        let listed = listed.expect("listed").items;
        assert_eq!(listed.len(), count);
        assert!(listed.iter().all(|one| one.affinity_groups == [group.id]));
        let known = self.services.affinity_group_get(&self.caller, group.id).await;
        assert_eq!(known.expect("there").members, count as u64);
    }

    /// Nothing of the groups is left: they can go.
    async fn forget(&self, groups: &[&AffinityGroup]) {
        for group in groups {
            let gone = self
                .services
                .affinity_group_delete(&self.caller, group.id, None)
                .await;
            gone.expect("nobody is in it");
        }
        self.audit().await;
    }

    async fn dedicate(&self, host: ComputeHostId, to: Option<velum_model::ProjectId>) {
        let change = ChangeComputeHost {
            dedicated_to: Some(to),
            ..ChangeComputeHost::default()
        };
        let changed = self
            .services
            .compute_host_change(&self.caller, host, None, change)
            .await;
        assert_eq!(changed.expect("changed").dedicated_to, to);
    }
}

fn place(made: &InstanceDetail) -> ComputeHostId {
    made.instance.run.as_ref().expect("placed").compute_host
}

fn reasons(error: &ServiceError) -> BTreeMap<String, u32> {
    let decision = match error {
        ServiceError::OfSeveral { why, .. } => return reasons(why),
        ServiceError::NoCapacity { decision } => decision,
        other => panic!("{other:?}"),
    };
    let counts = decision.refused.iter();
    counts.map(|count| (count.reason.clone(), count.hosts)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_are_to_be_apart_are_at_once_and_one_by_one() {
    let cloud = Cloud::of(FOUR).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let web = cloud.group("web", APART).await;
    // Six at once, in one request: four compute hosts take one each.
    let batch = |text: &str, all_or_nothing| NewInstances {
        zone: cloud.zone.id,
        instances: (0..6)
            .map(|n| cloud.member_of(&format!("{text}-{n}"), &[&web]))
            .collect(),
        all_or_nothing,
    };
    let none = services
        .instance_create_batch(caller, batch("all", true), None)
        .await;
    assert_eq!(
        reasons(&none.expect_err("too many")),
        [("anti-affinity:web".into(), 4)].into()
    );
    let made = services
        .instance_create_batch(caller, batch("some", false), None)
        .await;
    let made = fresh(made.expect("as far as there is room"));
    let accepted: Vec<_> = made
        .iter()
        .filter_map(|one| one.as_ref().ok())
        .map(|one| &one.resource)
        .collect();
    let places: BTreeSet<_> = accepted.iter().map(|one| place(one)).collect();
    assert_eq!((accepted.len(), places.len()), (4, 4));
    for refused in made.iter().filter_map(|one| one.as_ref().err()) {
        assert_eq!(reasons(refused), [("anti-affinity:web".into(), 4)].into());
    }
    // As many servers as there are requests could not do better.
    let names: Vec<String> = (0..20).map(|n| format!("late-{n}")).collect();
    let only = [&web];
    let late = join_all(names.iter().map(|text| cloud.join(text, &only))).await;
    assert!(late.iter().all(Result::is_err));
    cloud.audit().await;

    cloud.has_members(&web, 4).await;

    // What is stopped is nowhere: its place goes to another, and it finds none when it starts again.
    let first = accepted[0].clone();
    cloud.bring_up(&first).await;
    cloud.stop(&first).await;
    let heir = cloud.join("heir", &[&web]).await.expect("a place is free");
    assert_eq!(place(&heir), place(&first));
    let starting = services.instance_start(caller, first.instance.id, None).await;
    assert_eq!(
        reasons(&starting.expect_err("no place")),
        [("anti-affinity:web".into(), 4)].into()
    );
    cloud.destroy(&heir).await;
    let starting = services.instance_start(caller, first.instance.id, None).await;
    let started = fresh(starting.expect("its place is free")).resource;
    assert_eq!(place(&started), place(&first));

    let used = services.affinity_group_delete(caller, web.id, None).await;
    assert!(
        matches!(&used, Err(ServiceError::InUse { by, .. }) if by == "4 instances"),
        "{used:?}"
    );
    for one in &accepted {
        cloud.destroy(one).await;
    }
    cloud.forget(&[&web]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_are_to_be_together_follow_the_first_and_move_alone_only() {
    let cloud = Cloud::of(FOUR).await;
    let pair = cloud.group("pair", TOGETHER).await;
    let first = cloud.join("first", &[&pair]).await.expect("placed");
    let elsewhere = |made: &InstanceDetail| {
        let run = made.instance.run.clone().expect("placed");
        ReplanAsk {
            instance: made.instance.id,
            failed_run: run.id,
            excluded: vec![run.compute_host],
            unmade_root: made.volumes.first().cloned(),
        }
    };
    // Alone it is not tied to where it failed.
    let moved = cloud
        .services
        .elsewhere(elsewhere(&first))
        .await
        .expect("there is room elsewhere");
    assert_ne!(moved.run.compute_host, place(&first));
    cloud.goes_elsewhere(&moved).await;
    cloud.audit().await;
    // The second goes where the first is, and then neither leaves the other.
    let second = cloud.join("second", &[&pair]).await.expect("placed");
    assert_eq!(place(&second), moved.run.compute_host);
    assert!(cloud.services.elsewhere(elsewhere(&second)).await.is_none());
    let decision = cloud.decision_of(&second).await;
    assert_eq!(
        (decision.refused[0].reason.as_str(), decision.refused[0].hosts),
        ("affinity:pair", 3)
    );
    for one in [&first, &second] {
        cloud.destroy(one).await;
    }
    cloud.forget(&[&pair]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_made_without_knowing_of_a_member_is_refused_and_made_again() {
    let cloud = Cloud::of(FOUR).await;
    let web = cloud.group("web", APART).await;
    let there = cloud.create("there").await.expect("placed");
    // As another server would have: the planner hears of the member, and not that it is one.
    let run = there.instance.run.as_ref().expect("placed");
    let unheard = Commit {
        fence: Some((
            cloud.zone.shard,
            cloud.store.epoch(cloud.zone.shard).expect("owned"),
        )),
        changes: vec![
            Change::JoinAffinityGroups {
                instance: there.instance.id,
                groups: vec![web.id],
            },
            Change::TakePlaces {
                run: run.id,
                compute_host: run.compute_host,
                ties: vec![AffinityTie::from(&web)],
            },
        ],
        ..Commit::default()
    };
    cloud.store.commit(unheard).await.expect("committed");
    let made = cloud.join("web", &[&web]).await.expect("placed elsewhere");
    assert_ne!(place(&made), place(&there));
    let decision = cloud.decision_of(&made).await;
    assert_eq!(decision.refused[0].reason, "anti-affinity:web");
    for one in [&there, &made] {
        cloud.destroy(one).await;
    }
    cloud.forget(&[&web]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_would_rather_be_apart_spread_evenly_and_all_find_a_place() {
    let cloud = Cloud::of(FOUR).await;
    let soft = (AffinityKind::AntiAffinity, AffinityStrength::Preferred);
    let web = cloud.group("web", soft).await;
    let mut per_host: BTreeMap<ComputeHostId, u32> = BTreeMap::new();
    let mut made = Vec::new();
    for n in 0..10 {
        let one = cloud.join(&format!("web-{n}"), &[&web]).await.expect("placed");
        let decision = cloud.decision_of(&one).await;
        let tier = Tier {
            shared: false,
            unmet: n / 4,
        };
        assert_eq!(decision.winner.map(|winner| winner.tier), Some(tier), "{n}");
        assert!(decision.refused.is_empty());
        *per_host.entry(place(&one)).or_default() += 1;
        made.push(one);
    }
    let mut counts: Vec<u32> = per_host.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 2, 3, 3]);
    // The built-in policy alone would have put all into one.
    let plain = join_all(["a", "b", "c"].map(|text| cloud.create(text))).await;
    let places: BTreeSet<_> = plain
        .iter()
        .map(|one| place(one.as_ref().expect("placed")))
        .collect();
    assert_eq!(places.len(), 1);
    for one in &made {
        cloud.destroy(one).await;
    }
    cloud.forget(&[&web]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dedicated_takes_its_project_first_and_nobody_else() {
    let cloud = Cloud::of(FOUR).await;
    let other = cloud.tenant(7).await.scope.project();
    let before = cloud.create("before").await.expect("placed");
    // Where the first one went is another project's from now on: it stays, and the next one goes elsewhere.
    cloud.dedicate(place(&before), Some(other)).await;
    let next = cloud.create("next").await.expect("placed");
    assert_ne!(place(&next), place(&before));
    let decision = cloud.decision_of(&next).await;
    assert_eq!(
        (decision.refused[0].reason.as_str(), decision.refused[0].hosts),
        ("dedicated", 1)
    );
    // One that is its own takes what the policy would have put with the others.
    let taken = [place(&before), place(&next)];
    let own = cloud.hosts.iter().find(|host| !taken.contains(&host.id));
    let own = own.expect("there are four").id;
    cloud.dedicate(own, Some(BUILT_IN_PROJECT)).await;
    let mine = cloud.create("mine").await.expect("placed");
    assert_eq!(place(&mine), own);
    let decision = cloud.decision_of(&mine).await;
    assert_eq!(decision.winner.map(|winner| winner.tier.shared), Some(false));
    assert!(decision.runners_up.iter().all(|ranked| ranked.tier.shared));
    // The narrowest decides: the cluster is another's, this compute host is not.
    let all = ChangeCluster {
        dedicated_to: Some(Some(other)),
        ..ChangeCluster::default()
    };
    let changed = cloud
        .services
        .cluster_change(&cloud.caller, cloud.cluster.id, None, all)
        .await;
    changed.expect("changed");
    cloud.dedicate(place(&before), None).await;
    let also = cloud.create("also").await.expect("placed");
    assert_eq!(place(&also), own);
    cloud.dedicate(own, None).await;
    let none = cloud.create("none").await;
    assert_eq!(
        reasons(&none.expect_err("all is another's")),
        [("dedicated".into(), 4)].into()
    );
    // What nobody is cannot be a tenant.
    let nobody = velum_model::Id::from_uuid(uuid::Uuid::from_u128(99));
    let to_nobody = ChangePod {
        dedicated_to: Some(Some(nobody)),
        ..ChangePod::default()
    };
    let refused = cloud
        .services
        .pod_change(&cloud.caller, cloud.pod.id, None, to_nobody)
        .await;
    assert!(
        matches!(&refused, Err(ServiceError::Invalid { field, .. }) if field == "/dedicated_to"),
        "{refused:?}"
    );
    // Everybody's again.
    let free = ChangeCluster {
        dedicated_to: Some(None),
        ..ChangeCluster::default()
    };
    let changed = cloud
        .services
        .cluster_change(&cloud.caller, cloud.cluster.id, None, free)
        .await;
    changed.expect("changed");
    cloud.create("last").await.expect("placed");
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_instance_names_groups_of_its_own_zone_and_project_each_once() {
    let cloud = Cloud::of(FOUR).await;
    let tenant = cloud.tenant(7).await;
    let web = cloud.group("web", APART).await;
    let new = NewAffinityGroup {
        zone: cloud.zone.id,
        name: name("web"),
        description: "of another project".into(),
        kind: AffinityKind::AntiAffinity,
        strength: AffinityStrength::Required,
        level: AffinityLevel::Pod,
    };
    let foreign = cloud.services.affinity_group_create(&tenant, new, None).await;
    let foreign = fresh(foreign.expect("names are a project's own"));
    let hidden = cloud.services.affinity_group_get(&tenant, web.id).await;
    assert!(matches!(hidden, Err(ServiceError::NotFound { .. })), "{hidden:?}");
    let field_of = async |groups: &[&AffinityGroup]| match cloud.join("x", groups).await {
        Err(ServiceError::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field_of(&[&web, &foreign]).await, "/affinity_group_ids/1");
    assert_eq!(field_of(&[&web, &web]).await, "/affinity_group_ids/1");
    assert_eq!(field_of(&[&web; 9]).await, "/affinity_group_ids");
    // A group that was read a moment ago and is gone: nothing is half made.
    let gone = cloud.group("gone", APART).await;
    cloud.join("member", &[&gone]).await.expect("placed");
    let ground = Change::Delete {
        table: Table::AffinityGroup,
        id: gone.id.uuid(),
        generation: 0,
    };
    let commit = Commit {
        fence: Some((
            cloud.zone.shard,
            cloud.store.epoch(cloud.zone.shard).expect("owned"),
        )),
        changes: vec![ground],
        ..Commit::default()
    };
    assert!(cloud.store.commit(commit).await.is_err(), "it has a member");
    let rename = ChangeAffinityGroup {
        name: Some(name("kept")),
        description: Some("a word".into()),
    };
    let stale = cloud
        .services
        .affinity_group_change(&cloud.caller, gone.id, Some(9), rename.clone())
        .await;
    assert!(matches!(stale, Err(ServiceError::Stale { .. })), "{stale:?}");
    let renamed = cloud
        .services
        .affinity_group_change(&cloud.caller, gone.id, Some(1), rename)
        .await;
    assert_eq!(renamed.expect("renamed").generation, 2);
    let refused = cloud.join("second", &[&gone]).await.expect("placed apart");
    let decision = cloud.decision_of(&refused).await;
    assert_eq!(decision.refused[0].reason, "anti-affinity:kept");
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_somebodys_can_be_changed_and_removed_after_its_zone_was_made_private() {
    let cloud = Cloud::of(FOUR).await;
    let tenant = cloud.tenant(7).await;
    let group = |text: &str| NewAffinityGroup {
        zone: cloud.zone.id,
        name: name(text),
        description: String::new(),
        kind: AffinityKind::AntiAffinity,
        strength: AffinityStrength::Required,
        level: AffinityLevel::ComputeHost,
    };
    let services = &cloud.services;
    let made = fresh(
        services
            .affinity_group_create(&tenant, group("web"), None)
            .await
            .expect("a group"),
    );
    let close = ChangeZone {
        access: Some(velum_model::infrastructure::ZoneAccess::Private(BUILT_IN_PROJECT)),
        ..ChangeZone::default()
    };
    let closed = services
        .zone_change(&cloud.caller, cloud.zone.id, None, close)
        .await;
    closed.expect("private");
    let another = services.affinity_group_create(&tenant, group("db"), None).await;
    assert!(
        matches!(&another, Err(ServiceError::Invalid { field, .. }) if field == "/zone_id"),
        "{another:?}"
    );
    let rename = ChangeAffinityGroup {
        name: Some(name("kept")),
        description: None,
    };
    let renamed = services
        .affinity_group_change(&tenant, made.id, None, rename)
        .await;
    assert_eq!(renamed.expect("renamed").name, name("kept"));
    let gone = services.affinity_group_delete(&tenant, made.id, None).await;
    gone.expect("removed");
    cloud.audit().await;
}
