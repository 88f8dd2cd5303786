//! Affinity groups: what is required of the places of their members, the database keeps.

use std::collections::HashMap;

use futures::future::join_all;
use uuid::Uuid;
use velum_model::{
    affinity::*, chance::fresh, id::*, infrastructure::*, instance::*, page::Page, tenancy::*,
};
use velum_store::*;

use crate::world::*;

/// A group of the world's zone, and what it asks of its members.
pub fn group(
    w: &World,
    called: &str,
    (kind, strength, level): (AffinityKind, AffinityStrength, AffinityLevel),
) -> AffinityGroup {
    AffinityGroup {
        id: fresh(&*w.ids),
        zone: w.zone.id,
        project: BUILT_IN_PROJECT,
        name: name(called),
        description: "'; DROP TABLE affinity_group; --".into(),
        kind,
        strength,
        level,
        members: 0,
        generation: 1,
        created_at: w.clock.now(),
    }
}

async fn made(
    w: &World,
    called: &str,
    kind: AffinityKind,
    strength: AffinityStrength,
    level: AffinityLevel,
) -> AffinityGroup {
    let group = group(w, called, (kind, strength, level));
    w.accept(vec![Change::InsertAffinityGroup(group.clone())]).await;
    group
}

/// An instance in groups that is not placed yet.
async fn member(w: &World, called: &str, groups: &[&AffinityGroup]) -> Instance {
    let instance = Instance {
        state: InstanceState::Running,
        ..w.instance(called)
    };
    w.accept(vec![
        Change::InsertInstance(Box::new(instance.clone())),
        Change::JoinAffinityGroups {
            instance: instance.id,
            groups: groups.iter().map(|group| group.id).collect(),
        },
    ])
    .await;
    instance
}

/// A run of it, with its places.
fn run_on(
    w: &World,
    instance: &Instance,
    host: ComputeHostId,
    groups: &[&AffinityGroup],
) -> (RunId, Vec<Change>) {
    let run = w.run(instance, host);
    let places = Change::TakePlaces {
        run: run.id,
        compute_host: host,
        ties: groups.iter().map(|&group| AffinityTie::from(group)).collect(),
    };
    (run.id, vec![Change::InsertRun(run), places])
}

fn is_kept_out(answer: &Result<Committed, StoreError>, group: &AffinityGroup) -> bool {
    matches!(answer, Err(StoreError::Refused(Refused::NoRoom { table: Refused::GROUP, id }))
        if *id == group.id.uuid())
}

pub async fn members_that_are_to_be_apart_have_one_place_each_whoever_asks(url: String) {
    let w = World::open(&url).await;
    let (kind, level) = (AffinityKind::AntiAffinity, AffinityLevel::ComputeHost);
    let web = made(&w, "web", kind, AffinityStrength::Required, level).await;
    let soft = made(&w, "soft", kind, AffinityStrength::Preferred, level).await;
    let groups = [&web, &soft];
    let mut hosts = Vec::new();
    for n in 0..4 {
        hosts.push(w.add_host(&format!("host-{n}"), 64, 65_536).await.id);
    }
    // Forty ask at once, ten for each compute host: of each ten one gets it.
    let commits = (0..40_u32).map(|n| {
        let host = hosts[n as usize % 4];
        let (instance, mut commit) = w.accepting(&format!("i{n}"), host, 1 + n);
        commit
            .changes
            .retain(|change| !matches!(change, Change::InsertRun(_)));
        commit.changes.push(Change::JoinAffinityGroups {
            instance: instance.id,
            groups: groups.map(|group| group.id).to_vec(),
        });
        commit.changes.extend(run_on(&w, &instance, host, &groups).1);
        commit
    });
    let answers = join_all(commits.map(|commit| w.store.commit(commit))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.is_ok()).count(),
        4,
        "{answers:?}"
    );
    assert!(
        answers
            .iter()
            .all(|answer| answer.is_ok() || is_kept_out(answer, &web))
    );
    w.well().await;
    // Members are listed, and the group says how many.
    let read = w.store.read();
    let of_group = InstanceFilter {
        affinity_group: Some(web.id),
        ..InstanceFilter::default()
    };
    let members = read.instances(Scope::All, &of_group, Page::default()).await;
    let members = members.expect("readable").items;
    assert_eq!(members.len(), 4);
    let read_back = read.affinity_group(Scope::All, web.id).await.expect("readable");
    assert_eq!(
        read_back,
        Some(AffinityGroup {
            members: 4,
            ..web.clone()
        })
    );
    let mut known: HashMap<RunId, Vec<AffinityGroupId>> = HashMap::new();
    for (run, group) in read.runs_in_affinity_groups(w.zone.id).await.expect("readable") {
        known.entry(run).or_default().push(group);
    }
    for member in &members {
        let run = member.run.as_ref().expect("placed");
        let mut of_run = known.remove(&run.id).expect("a member");
        of_run.sort_unstable();
        let mut expected = groups.map(|group| group.id);
        expected.sort_unstable();
        assert_eq!(of_run, expected);
    }
    assert!(known.is_empty());
    // A place is free again when its run ends, in the same commit too.
    let late = member(&w, "late", &groups).await;
    let (_, there) = run_on(&w, &late, hosts[0], &groups);
    assert!(is_kept_out(&w.try_changes(there).await, &web));
    let first = members.iter().find(|member| {
        let run = member.run.as_ref();
        run.is_some_and(|run| run.compute_host == hosts[0])
    });
    let first = first.expect("one is there").clone();
    let (_, mut moved) = run_on(&w, &late, hosts[0], &groups);
    moved.insert(0, Change::DeleteRun(first.run.expect("placed").id));
    w.accept(moved).await;
    w.well().await;
}

pub async fn members_that_are_to_be_together_are(url: String) {
    let w = World::open(&url).await;
    let (kind, level) = (AffinityKind::Affinity, AffinityLevel::ComputeHost);
    let pair = made(&w, "pair", kind, AffinityStrength::Required, level).await;
    let groups = [&pair];
    let mut hosts = Vec::new();
    for n in 0..3 {
        hosts.push(w.add_host(&format!("host-{n}"), 64, 65_536).await.id);
    }
    let (one, other) = (
        member(&w, "one", &groups).await,
        member(&w, "other", &groups).await,
    );
    // Made together in two places, neither is; in one, both are.
    let commits = [(&one, hosts[0]), (&other, hosts[1])];
    let commits = commits.map(|(instance, host)| w.with(run_on(&w, instance, host, &groups).1));
    let apart = w.store.commit_together(commits.to_vec()).await;
    assert!(is_kept_out(&apart, &pair), "{apart:?}");
    let commits = [&one, &other].map(|instance| run_on(&w, instance, hosts[0], &groups));
    let runs = commits.clone().map(|(run, _)| run);
    let together = commits.map(|(_, changes)| w.with(changes)).to_vec();
    w.store.commit_together(together).await.expect("one place");
    w.well().await;
    // One of two does not move alone, the last one does, and the next follows it.
    let (_, mut moves) = run_on(&w, &one, hosts[2], &groups);
    moves.insert(0, Change::DeleteRun(runs[0]));
    assert!(is_kept_out(&w.try_changes(moves.clone()).await, &pair));
    w.accept(vec![Change::DeleteRun(runs[1])]).await;
    w.accept(moves).await;
    let (_, behind) = run_on(&w, &other, hosts[0], &groups);
    assert!(is_kept_out(&w.try_changes(behind).await, &pair));
    w.accept(run_on(&w, &other, hosts[2], &groups).1).await;
    w.well().await;
}

pub async fn a_rack_is_a_place_too(url: String) {
    let w = World::open(&url).await;
    let pod = Pod {
        id: fresh(&*w.ids),
        name: name("rack-2"),
        cidr: "10.77.0.0/24".parse().expect("a network"),
        gateway: "10.77.0.1".parse().expect("an address"),
        dedicated_to: Some(BUILT_IN_PROJECT),
        ..w.pod.clone()
    };
    let cluster = Cluster {
        id: fresh(&*w.ids),
        pod: pod.id,
        name: name("cluster-2"),
        dedicated_to: Some(BUILT_IN_PROJECT),
        ..w.cluster.clone()
    };
    let far = ComputeHost {
        pod: pod.id,
        cluster: cluster.id,
        dedicated_to: Some(BUILT_IN_PROJECT),
        ..w.host("far", 8, 8192)
    };
    w.accept(vec![
        Change::InsertPod(pod.clone()),
        Change::InsertCluster(cluster.clone()),
        Change::InsertComputeHost(Box::new(far.clone())),
    ])
    .await;
    let (near, nearby) = (
        w.add_host("near", 8, 8192).await,
        w.add_host("nearby", 8, 8192).await,
    );
    let (required, level) = (AffinityStrength::Required, AffinityLevel::Pod);
    let apart = made(&w, "apart", AffinityKind::AntiAffinity, required, level).await;
    let together = made(&w, "together", AffinityKind::Affinity, required, level).await;
    for (group, of_the_second) in [(&apart, [false, true]), (&together, [true, false])] {
        let groups = [group];
        let called = |n: u32| format!("{}-{n}", group.name);
        let first = member(&w, &called(1), &groups).await;
        w.accept(run_on(&w, &first, near.id, &groups).1).await;
        for (n, (host, fits)) in [&nearby, &far].into_iter().zip(of_the_second).enumerate() {
            let next = member(&w, &called(2 + n as u32), &groups).await;
            let answer = w.try_changes(run_on(&w, &next, host.id, &groups).1).await;
            assert_eq!(answer.is_ok(), fits, "{answer:?}");
            assert!(fits || is_kept_out(&answer, group), "{answer:?}");
        }
    }
    // Whom they are kept for reads back, and ends.
    let read = w.store.read();
    let tenants = [
        read.pod(pod.id)
            .await
            .expect("readable")
            .expect("there")
            .dedicated_to,
        read.cluster(cluster.id)
            .await
            .expect("readable")
            .expect("there")
            .dedicated_to,
        w.read_host(far.id).await.dedicated_to,
    ];
    assert_eq!(tenants, [Some(BUILT_IN_PROJECT); 3]);
    let nobody = ProjectId::from_uuid(Uuid::from_u128(99));
    let to = |dedicated_to| {
        Change::UpdatePod(Pod {
            dedicated_to,
            ..pod.clone()
        })
    };
    let refused = w.refused(vec![to(Some(nobody))]).await;
    assert!(
        matches!(&refused, Refused::MissingReference { reference, .. } if reference.contains("project")),
        "{refused}"
    );
    w.accept(vec![to(None)]).await;
    let freed = read.pod(pod.id).await.expect("readable").expect("there");
    assert_eq!((freed.dedicated_to, freed.generation), (None, 2));
    w.well().await;
}

pub async fn a_group_has_members_of_its_zone_and_project_and_stays_while_it_has(url: String) {
    let w = World::open(&url).await;
    let (kind, required, level) = (
        AffinityKind::AntiAffinity,
        AffinityStrength::Required,
        AffinityLevel::ComputeHost,
    );
    let web = made(&w, "web", kind, required, level).await;
    let taken = group(&w, "web", (kind, required, level));
    let refused = w.refused(vec![Change::InsertAffinityGroup(taken)]).await;
    assert!(
        matches!(
            refused,
            Refused::NameTaken {
                table: "affinity group",
                ..
            }
        ),
        "{refused}"
    );
    // Another zone's, and none at all.
    let zone = Zone {
        id: fresh(&*w.ids),
        shard: fresh(&*w.ids),
        name: name("elsewhere"),
        ..w.zone.clone()
    };
    let foreign = AffinityGroup {
        zone: zone.id,
        ..group(&w, "web", (kind, required, level))
    };
    let new_zone = Commit {
        changes: vec![Change::InsertZone(zone.clone())],
        ..Commit::default()
    };
    w.store.commit(new_zone).await.expect("a zone");
    w.accept(vec![Change::InsertAffinityGroup(foreign.clone())]).await;
    for nowhere in [foreign.id, fresh(&*w.ids)] {
        let instance = w.instance("lost");
        let refused = w
            .refused(vec![
                Change::InsertInstance(Box::new(instance.clone())),
                Change::JoinAffinityGroups {
                    instance: instance.id,
                    groups: vec![web.id, nowhere],
                },
            ])
            .await;
        let named = nowhere.to_string();
        assert!(
            matches!(&refused, Refused::MissingReference { reference, .. } if reference.contains(&named)),
            "{refused}"
        );
    }
    // It changes its name under the generation that was read, and what it asks never.
    let renamed = AffinityGroup {
        name: name("front"),
        description: "faces the world".into(),
        level: AffinityLevel::Pod,
        ..web.clone()
    };
    w.accept(vec![Change::UpdateAffinityGroup(renamed.clone())]).await;
    let refused = w
        .refused(vec![Change::UpdateAffinityGroup(renamed.clone())])
        .await;
    assert!(matches!(refused, Refused::Stale { .. }), "{refused}");
    let read = w.store.read();
    let read_back = read.affinity_group(Scope::All, web.id).await.expect("readable");
    assert_eq!(
        read_back,
        Some(AffinityGroup {
            generation: 2,
            level: web.level,
            ..renamed
        })
    );
    let other = Scope::Project(ProjectId::from_uuid(Uuid::from_u128(2)));
    assert_eq!(read.affinity_group(other, web.id).await.expect("readable"), None);
    // It stays while it has a member, and goes without a trace.
    let instance = member(&w, "only", &[&web]).await;
    let delete = || Change::Delete {
        table: Table::AffinityGroup,
        id: web.id.uuid(),
        generation: 0,
    };
    let refused = w.refused(vec![delete()]).await;
    assert!(
        matches!(&refused, Refused::InUse { table: "affinity group", by, .. } if by == "an instance"),
        "{refused}"
    );
    w.accept(vec![Change::DeleteInstance(instance.id)]).await;
    w.accept(vec![delete()]).await;
    assert_eq!(
        read.affinity_group(Scope::All, web.id).await.expect("readable"),
        None
    );
    w.well().await;
}
