//! What is true of every placement.

mod zone;

use std::collections::HashMap;

use proptest::prelude::*;
use velum_model::{
    affinity::{AffinityKind, AffinityLevel, AffinityStrength, AffinityTie},
    decision::{Refusal, Tier},
    id::{AffinityGroupId, ProjectId, RunId},
    infrastructure::{HostState, Intent, PoolScope},
    port::placement::{Column, PlacementPolicy as _, registry},
    resource::ResourceName,
};
use velum_placement::*;
use zone::*;

/// What a test believes is promised, counted on its own.
#[derive(Default)]
struct Books {
    vcpus: HashMap<HostId, u64>,
    memory: HashMap<HostId, u64>,
    resources: HashMap<(HostId, ResourceName), u64>,
    bytes: HashMap<velum_model::StoragePoolId, u64>,
    layers: Vec<(velum_model::StoragePoolId, velum_model::TemplateId)>,
    members: Vec<(RunId, HostRow, Vec<AffinityGroupId>)>,
    dedicated: Vec<(Part, ProjectId)>,
}

impl Books {
    fn note(&mut self, ask: &Ask, choice: &Choice, (run, host): (RunId, &HostRow)) {
        let groups = ask.ties.iter().map(|tie| tie.group).collect();
        self.members.push((run, host.clone(), groups));
        *self.vcpus.entry(choice.host).or_default() += u64::from(ask.vcpus.get());
        *self.memory.entry(choice.host).or_default() += ask.memory.get();
        for (name, amount) in &ask.resources {
            *self.resources.entry((choice.host, name.clone())).or_default() += u64::from(*amount);
        }
        for (disk, pool) in ask.disks.iter().zip(&choice.pools) {
            *self.bytes.entry(pool.pool).or_default() += pool.bytes;
            if let Some(of) = disk
                .template
                .filter(|of| !self.layers.contains(&(pool.pool, of.id)))
            {
                *self.bytes.entry(pool.pool).or_default() += of.layer_bytes;
                self.layers.push((pool.pool, of.id));
            }
        }
    }
}

impl Books {
    /// Whom a host is kept for: what was said last of the narrowest part.
    fn tenant(&self, host: &HostRow) -> Option<ProjectId> {
        let parts = [
            Part::ComputeHost(host.id),
            Part::Cluster(host.cluster),
            Part::Pod(host.pod),
        ];
        let of = |part: &Part| self.dedicated.iter().rev().find(|(known, _)| known == part);
        parts.iter().find_map(of).map(|(_, project)| *project)
    }

    /// Members of a group near a host, and anywhere.
    fn members(&self, ask: &Ask, tie: &AffinityTie, host: &HostRow) -> (u32, u32) {
        let is_member = |(run, _, groups): &&(RunId, HostRow, Vec<AffinityGroupId>)| {
            Some(*run) != ask.ending && groups.contains(&tie.group)
        };
        let members: Vec<_> = self.members.iter().filter(is_member).collect();
        let is_near = |at: &HostRow| match tie.level {
            AffinityLevel::ComputeHost => at.id == host.id,
            AffinityLevel::Pod => at.pod == host.pod,
        };
        let near = members.iter().filter(|(_, at, _)| is_near(at)).count();
        (near as u32, members.len() as u32)
    }

    /// What the server would rather have than this host.
    fn tier(&self, hosts: &[HostRow], ask: &Ask, host: &HostRow) -> Tier {
        let is_own = |host: &HostRow| self.tenant(host) == Some(ask.project);
        let mut unmet = 0;
        for tie in ask
            .ties
            .iter()
            .filter(|tie| tie.strength == AffinityStrength::Preferred)
        {
            let (near, all) = self.members(ask, tie, host);
            unmet += match tie.kind {
                AffinityKind::AntiAffinity => near,
                AffinityKind::Affinity => u32::from(all > 0 && near == 0),
            };
        }
        Tier {
            shared: hosts.iter().any(is_own) && !is_own(host),
            unmet,
        }
    }
}

/// The filter, said slowly: one host, one pool, one rule at a time.
fn oracle(host: &HostRow, pools: &[PoolRow], ask: &Ask, books: &Books) -> Option<Refusal> {
    let factor = if host.cluster == id(3, 1) { 2 } else { 1 };
    let used = |of: &HashMap<HostId, u64>| of.get(&host.id).copied().unwrap_or(0);
    if host.intent != Intent::Enabled {
        let disabled = host.intent == Intent::Disabled;
        return Some(if disabled {
            Refusal::Disabled
        } else {
            Refusal::Maintenance
        });
    }
    if host.observed != HostState::Up {
        return Some(Refusal::NotUp);
    }
    if books.tenant(host).is_some_and(|tenant| tenant != ask.project) {
        return Some(Refusal::Dedicated);
    }
    if ask.arch.is_some_and(|arch| arch != host.arch) {
        return Some(Refusal::Architecture);
    }
    for tag in &ask.host_tags {
        if !host.tags.contains(tag) {
            return Some(Refusal::Tag { tag: tag.to_string() });
        }
    }
    if ask.nic_kinds.iter().any(|kind| !host.nic_kinds.contains(kind)) {
        return Some(Refusal::NicKind);
    }
    if used(&books.vcpus) + u64::from(ask.vcpus.get()) > u64::from(host.vcpus) * factor {
        return Some(Refusal::Vcpus);
    }
    if used(&books.memory) + ask.memory.get() > host.memory_mib {
        return Some(Refusal::Memory);
    }
    for (name, amount) in &ask.resources {
        let there = host.resources.get(name).map_or(0, |amount| u64::from(*amount));
        let used = books
            .resources
            .get(&(host.id, name.clone()))
            .copied()
            .unwrap_or(0);
        if used + u64::from(*amount) > there {
            let (resource, asked) = (name.to_string(), amount.get());
            return Some(Refusal::Resource { resource, asked });
        }
    }
    for disk in &ask.disks {
        if let Some(refusal) = oracle_of_pools(host, pools, disk, books) {
            return Some(refusal);
        }
    }
    for pinned in &ask.pinned {
        let pool = pools.iter().find(|pool| pool.id == *pinned);
        if !pool.is_some_and(|pool| in_scope(host, pool) && attaches(host, pool)) {
            return Some(Refusal::VolumeElsewhere);
        }
    }
    for tie in ask
        .ties
        .iter()
        .filter(|tie| tie.strength == AffinityStrength::Required)
    {
        let (near, all) = books.members(ask, tie, host);
        let group = tie.name.to_string();
        match tie.kind {
            AffinityKind::AntiAffinity if near > 0 => return Some(Refusal::AntiAffinity { group }),
            AffinityKind::Affinity if near < all && near == 0 => return Some(Refusal::Affinity { group }),
            _ => {}
        }
    }
    ask.excluded.contains(&host.id).then_some(Refusal::Excluded)
}

fn in_scope(host: &HostRow, pool: &PoolRow) -> bool {
    match pool.scope {
        PoolScope::Zone => true,
        PoolScope::Cluster(cluster) => cluster == host.cluster,
        PoolScope::ComputeHost(other) => other == host.id,
    }
}

fn attaches(host: &HostRow, pool: &PoolRow) -> bool {
    pool.attachment_kinds
        .iter()
        .any(|kind| host.attachment_kinds.contains(kind))
}

fn oracle_of_pools(host: &HostRow, pools: &[PoolRow], disk: &DiskAsk, books: &Books) -> Option<Refusal> {
    let mut left: Vec<&PoolRow> = pools
        .iter()
        .filter(|pool| pool.intent == Intent::Enabled && in_scope(host, pool))
        .collect();
    if left.is_empty() {
        return Some(Refusal::StorageReach);
    }
    left.retain(|pool| disk.storage_tags.iter().all(|tag| pool.tags.contains(tag)));
    if left.is_empty() {
        return Some(Refusal::StorageTags);
    }
    left.retain(|pool| attaches(host, pool));
    if left.is_empty() {
        return Some(Refusal::StorageReach);
    }
    left.retain(|pool| {
        let step = pool.granularity_bytes;
        let size = disk.bytes.div_ceil(step) * step;
        let there = |of: TemplateAsk| books.layers.contains(&(pool.id, of.id));
        let layer = disk
            .template
            .map_or(0, |of| if there(of) { 0 } else { of.layer_bytes });
        let used = books.bytes.get(&pool.id).copied().unwrap_or(0);
        (pool.max_bytes == 0 || size <= pool.max_bytes) && used + size + layer <= pool.capacity_bytes
    });
    left.is_empty().then_some(Refusal::StorageSpace)
}

proptest! {
    #[test]
    fn the_filter_says_what_the_slow_one_says_and_nothing_is_promised_twice(
        hosts in hosts(), pools in pools(), asks in asks(), dedicated in dedications(), seed: u64,
    ) {
        let mut inventory = zone(&hosts, &pools);
        inventory.apply(twofold());
        dedicate(&mut inventory, &dedicated);
        let mut books = Books { dedicated, ..Books::default() };
        let (mut rank, mut rank_pools) = (keeping(), Ranker::built_in());
        for (n, ask) in asks.iter().enumerate() {
            let filtered = filter(&inventory, ask);
            prop_assert_eq!(filtered.considered as usize, hosts.len());
            let refused: HashMap<_, _> = filtered.refused.into_iter().collect();
            for host in &hosts {
                let row = inventory.host_row(host.id).expect("known");
                let expected = oracle(host, &pools, ask, &books);
                prop_assert_eq!(refused.get(&row), expected.as_ref(), "{:?} {:?}", host, ask);
                prop_assert_eq!(filtered.candidates.contains(row), expected.is_none());
            }
            let outcome = choose(&inventory, ask, seed, &mut rank, &mut rank_pools);
            prop_assert!(outcome.policy.failed.is_none(), "{:?}", outcome.policy.failed);
            let listed: HashMap<HostId, Refusal> = outcome.refusals.iter().cloned().collect();
            for host in &hosts {
                if let Some(refusal) = refused.get(&inventory.host_row(host.id).expect("known")) {
                    prop_assert_eq!(listed.get(&host.id), Some(refusal));
                }
            }
            for (refusal, count) in &outcome.refused {
                let of = |other: &&Refusal| *other == refusal;
                prop_assert_eq!(listed.values().filter(of).count(), *count as usize);
            }
            let by_id = |id: HostId| hosts.iter().find(|host| host.id == id).expect("known");
let kept = choose(&inventory, ask, seed, &mut row_local(), &mut rank_pools);
            for outcome in [&outcome, &kept] {
                let ranked: Vec<_> = outcome.winner.iter().chain(&outcome.runners_up).collect();
                for one in &ranked {
                    let row = inventory.host_row(one.compute_host).expect("known");
                    prop_assert!(filtered.candidates.contains(row), "{:?} {:?}", one, ask);
                    let tier = books.tier(&hosts, ask, by_id(one.compute_host));
                    prop_assert_eq!(one.tier, tier, "{:?} {:?}", one, ask);
                }
                let order = |one: &&velum_model::decision::Ranked| (one.tier, u32::MAX - one.score);
                prop_assert!(ranked.is_sorted_by_key(order), "{:?}", ranked);
            }
            // What sees two hosts only sees the two that the server would rather have.
            let few = choose(&inventory, ask, seed, &mut sampling(), &mut Ranker::built_in());
            let is_tied = |(_, why): &(HostId, Refusal)| {
                !matches!(why, Refusal::Policy { .. } | Refusal::StorageSpace)
            };
            if let Some(winner) = few.winner.filter(|_| few.turned_down.iter().all(is_tied)) {
                let left = hosts.iter().filter(|host| {
                    filtered.candidates.contains(inventory.host_row(host.id).expect("known"))
                });
                let best = left.map(|host| books.tier(&hosts, ask, host)).min();
                prop_assert_eq!(Some(winner.tier), best);
            }
            if let Some(choice) = &outcome.choice {
                let row = inventory.host_row(choice.host).expect("known");
                prop_assert!(filtered.candidates.contains(row));
                prop_assert_eq!(choice.pools.len(), ask.disks.len());
                claim(&mut inventory, ask, choice, n as u128);
                books.note(ask, choice, (id(7, n as u128), by_id(choice.host)));
            }
            for host in &hosts {
                let factor = if host.cluster == id(3, 1) { 2 } else { 1 };
                let (vcpus, memory) = inventory.used_of(host.id).expect("known");
                prop_assert_eq!(vcpus, books.vcpus.get(&host.id).copied().unwrap_or(0));
                prop_assert_eq!(memory, books.memory.get(&host.id).copied().unwrap_or(0));
                prop_assert!(vcpus <= u64::from(host.vcpus) * factor);
                prop_assert!(memory <= host.memory_mib);
                for name in ["gpu", "hugepages-1g"].map(resource) {
                    let there = host.resources.get(&name).map_or(0, |amount| u64::from(*amount));
                    let used = books.resources.get(&(host.id, name.clone())).copied().unwrap_or(0);
                    prop_assert!(used <= there);
                    prop_assert_eq!(inventory.resource_of(host.id, name.as_str()), Some((used, there)));
                }
            }
            for pool in &pools {
                let used = books.bytes.get(&pool.id).copied().unwrap_or(0);
                prop_assert!(used <= pool.capacity_bytes);
                prop_assert_eq!(inventory.free_bytes(pool.id), Some(pool.capacity_bytes - used));
            }
        }
    }

    #[test]
    fn the_order_in_which_hosts_came_matters_among_equals_alone(
        hosts in hosts(), pools in pools(), ask in asks().prop_map(|asks| asks[0].clone()), seed: u64, shuffle: u64,
    ) {
        let mut others = hosts.clone();
        others.sort_by_key(|host| host.id.uuid().as_u128().wrapping_mul(u128::from(shuffle | 1)) % 97);
        let mut reversed = pools.clone();
        reversed.reverse();
        let place = |inventory: &Inventory| {
            choose(inventory, &ask, seed, &mut Ranker::built_in(), &mut Ranker::built_in())
        };
        let (first, second) = (place(&zone(&hosts, &pools)), place(&zone(&others, &reversed)));
        prop_assert_eq!(&first.refused, &second.refused);
        let scores = |outcome: &Outcome| -> Vec<u32> {
            outcome.winner.iter().chain(&outcome.runners_up).map(|ranked| ranked.score).collect()
        };
        prop_assert_eq!(scores(&first), scores(&second));
    }

    #[test]
    fn what_is_kept_of_asks_before_changes_nothing(
        hosts in hosts(), pools in pools(), asks in asks(), seed: u64,
        steps in prop::collection::vec((any::<prop::sample::Index>(), changes()), 1..60),
    ) {
        let mut inventory = zone(&hosts, &pools);
        let mut placer = Placer::default();
        let (mut warm, mut warm_facts, mut warm_pools) = (row_local(), keeping(), Ranker::built_in());
        let mut warm_timed = timed();
        let mut warm_few = sampling();
        for (n, (at, change)) in steps.iter().enumerate() {
            // The same ask comes again in the same minute, and in another one.
            let ask = &Ask { now_minute: 1_000 + n as u32 / 4, ..at.get(&asks).clone() };
            let seed = seed.wrapping_add(n as u64);
            let mut last = None;
            // Each policy has its own scores for the same shape, and one that wants facts has none.
            for which in 0..4 {
                let mut built_in = Ranker::built_in();
                let (warm, mut cold) = match which {
                    0 => (&mut warm, row_local()),
                    1 => (&mut warm_facts, keeping()),
                    2 => (&mut warm_timed, timed()),
                    3 => (&mut warm_few, sampling()),
                    _ => (&mut built_in, Ranker::built_in()),
                };
                let kept = placer.choose(&inventory, ask, seed, (warm, &mut warm_pools), Wanted::ALL);
                let anew = choose(&inventory, ask, seed, &mut cold, &mut Ranker::built_in());
                prop_assert_eq!(&Outcome { fuel: anew.fuel, ..kept }, &anew, "step {} policy {}", n, which);
                last = Some(anew);
            }
            if let Some(choice) = last.and_then(|outcome| outcome.choice) {
                claim(&mut inventory, ask, &choice, n as u128);
            }
            for update in change.updates(n as u128, &hosts, &pools) {
                inventory.apply(update);
            }
        }
    }

    #[test]
    fn a_policy_that_knew_an_inventory_learns_the_one_that_takes_its_place(
        hosts in hosts(), others in hosts(), pools in pools(), asks in asks(), seed: u64,
    ) {
        let before = zone(&hosts, &pools);
        let (mut warm, mut warm_facts) = (row_local(), keeping());
        for ask in &asks {
            for warm in [&mut warm, &mut warm_facts] {
                let _ = choose(&before, ask, seed, warm, &mut Ranker::built_in());
            }
        }
        let mut inventory = Inventory::in_place_of(&before, 0);
        prop_assert!(inventory.epoch() > before.epoch());
        for host in &others {
            inventory.apply(Update::Host(Box::new(host.clone())));
        }
        for pool in &pools {
            inventory.apply(Update::Pool(Box::new(pool.clone())));
        }
        for ask in &asks {
            for (warm, mut cold) in [(&mut warm, row_local()), (&mut warm_facts, keeping())] {
                let known = choose(&inventory, ask, seed, warm, &mut Ranker::built_in());
                let anew = choose(&inventory, ask, seed, &mut cold, &mut Ranker::built_in());
                prop_assert_eq!(known, anew);
            }
        }
    }

    #[test]
    fn a_replay_over_the_written_snapshot_is_bit_for_bit_the_same(
        hosts in hosts(), pools in pools(), asks in asks(), dedicated in dedications(), seed: u64,
    ) {
        let mut inventory = zone(&hosts, &pools);
        dedicate(&mut inventory, &dedicated);
        let (mut warm, mut warm_timed, mut warm_pools) = (keeping(), timed(), Ranker::built_in());
        for (n, ask) in asks.iter().enumerate() {
            let written = serde_json::to_string(&inventory.snapshot()).expect("written");
            let outcome = choose(&inventory, ask, seed, &mut warm, &mut warm_pools);
            let decision = explain(ask, &outcome, &circumstances(&inventory, seed), Detail::Stored);
            let read: Snapshot = serde_json::from_str(&written).expect("read");
            let then = Inventory::from_snapshot(read);
            // A fresh instance of the policy, against the warm one that decided.
            let again = replay(&then, &decision, &mut keeping(), &mut Ranker::built_in());
            prop_assert_eq!(again.map_err(|difference| difference.to_string()), Ok(outcome.clone()));
            // What a policy is told of time comes out of the decision, not of a clock.
            let timely = choose(&inventory, ask, seed, &mut warm_timed, &mut warm_pools);
            let decision = explain(ask, &timely, &circumstances(&inventory, seed), Detail::Stored);
            let again = replay(&then, &decision, &mut timed(), &mut Ranker::built_in());
            prop_assert_eq!(again.map_err(|difference| difference.to_string()), Ok(timely));
            if let Some(choice) = &outcome.choice {
                claim(&mut inventory, ask, choice, n as u128);
            }
            if n % 5 == 4 {
                inventory.apply(Update::RunGone(id(7, n as u128 - 2)));
            }
            if n % 11 == 3 {
                // Its row stays vacant.
                inventory.apply(Update::HostGone(hosts[hosts.len() - 1].id));
            }
            if n % 7 == 6 {
                inventory.apply(Update::HostGone(hosts[0].id));
                inventory.apply(Update::Host(Box::new(host(500 + n as u128))));
            }
        }
    }

    #[test]
    fn what_was_claimed_and_given_back_leaves_no_trace(
        hosts in hosts(), pools in pools(), asks in asks(), seed: u64,
    ) {
        let mut inventory = zone(&hosts, &pools);
        let before = values(&inventory);
        for (n, ask) in asks.iter().enumerate() {
            let outcome = choose(&inventory, ask, seed, &mut Ranker::built_in(), &mut Ranker::built_in());
            if let Some(choice) = &outcome.choice {
                claim(&mut inventory, ask, choice, n as u128);
            }
        }
        for n in 0..asks.len() as u128 {
            inventory.apply(Update::RunGone(id(7, n)));
            for disk in 0..3 {
                inventory.apply(Update::VolumeGone(id(8, n * 8 + disk)));
                inventory.apply(Update::LayerGone(id(9, n * 8 + disk)));
            }
        }
        prop_assert_eq!(values(&inventory), before);
        for host in &hosts {
            let to = Some(id(6, 1));
            inventory.apply(Update::Dedicated { part: Part::ComputeHost(host.id), to });
            inventory.apply(Update::HostGone(host.id));
        }
        let kept = serde_json::to_string(&inventory.snapshot()).expect("written");
        let lists = [r#""members":[]"#, r#""held":[]"#, r#""dedicated":[]"#];
        let are_none = lists.iter().all(|list| kept.contains(list));
        prop_assert!(are_none, "{}", kept);
    }
}

#[test]
fn a_pod_counts_what_the_project_runs_on_hosts_that_are_no_candidates() {
    let in_pod = |number, pod| HostRow {
        pod: id(2, pod),
        ..host(number)
    };
    let closed = HostRow {
        intent: Intent::Disabled,
        ..in_pod(1, 0)
    };
    let mut inventory = zone(&[closed, in_pod(2, 0), in_pod(3, 1)], &[pool(1)]);
    let run = |number, project| RunClaim {
        run: id(7, number),
        host: id(1, 1),
        project: id(6, project),
        vcpus: 1,
        memory_mib: 64,
        expected_end: None,
    };
    let wins = |inventory: &Inventory| {
        let mut winners: Vec<_> = (0..8)
            .map(|seed| {
                choose(
                    inventory,
                    &ask(1),
                    seed,
                    &mut over_pods(),
                    &mut Ranker::built_in(),
                )
            })
            .map(|outcome| outcome.choice.expect("it fits").host)
            .collect();
        winners.sort_unstable();
        winners.dedup();
        winners
    };
    inventory.apply(Update::Run(run(1, 9)));
    assert_eq!(
        wins(&inventory),
        [id(1, 2), id(1, 3)],
        "another project's run is nothing to it"
    );
    inventory.apply(Update::Run(run(2, 0)));
    assert_eq!(wins(&inventory), [id(1, 3)]);
    inventory.apply(Update::RunGone(id(7, 2)));
    assert_eq!(wins(&inventory), [id(1, 2), id(1, 3)]);
}

#[test]
fn a_resource_that_is_taken_away_is_held_until_its_run_goes() {
    let with = |gpus| HostRow {
        resources: some_of(&[("gpu", gpus)]),
        ..host(1)
    };
    let mut inventory = zone(&[with(2), host(2)], &[pool(1)]);
    let wants = |gpus| Ask {
        resources: some_of(&[("gpu", gpus)]),
        ..ask(1)
    };
    let place = |inventory: &Inventory, gpus| {
        let (mut hosts, mut pools) = (Ranker::built_in(), Ranker::built_in());
        choose(inventory, &wants(gpus), 1, &mut hosts, &mut pools)
    };
    let short = |asked| Refusal::Resource {
        resource: "gpu".into(),
        asked,
    };
    let choice = place(&inventory, 2).choice.expect("it fits");
    assert_eq!(choice.host, id(1, 1));
    claim(&mut inventory, &wants(2), &choice, 1);
    assert_eq!(place(&inventory, 1).refused, [(short(1), 2)]);
    // None is stated any more, then fewer than are held, then enough.
    for (stated, fits) in [(0, false), (2, false), (3, true)] {
        inventory.apply(Update::Host(Box::new(with(stated))));
        assert_eq!(inventory.resource_of(id(1, 1), "gpu"), Some((2, stated)));
        assert_eq!(place(&inventory, 1).choice.is_some(), fits, "{stated}");
        assert_eq!(
            Inventory::from_snapshot(inventory.snapshot()).snapshot(),
            inventory.snapshot()
        );
    }
    inventory.apply(Update::RunGone(id(7, 1)));
    assert_eq!(inventory.resource_of(id(1, 1), "gpu"), Some((0, 3)));
    // What is gone leaves nothing to whoever gets its row.
    claim(&mut inventory, &wants(2), &choice, 2);
    inventory.apply(Update::HostGone(id(1, 1)));
    inventory.apply(Update::Host(Box::new(host(3))));
    assert_eq!(inventory.host_row(id(1, 3)), Some(0));
    assert_eq!(inventory.resource_of(id(1, 3), "gpu"), Some((0, 0)));
    assert_eq!(place(&inventory, 4).refused, [(short(4), 2)]);
}

#[test]
fn a_demand_is_that_of_the_resource_whose_column_it_points_to() {
    let column = |id, name: Option<&str>| Column {
        id,
        name: name.map(str::to_owned),
        scale: 0,
    };
    let mut descriptor = Keeping::default().descriptor().clone();
    descriptor.columns = vec![
        column(registry::COLUMN_ATTRIBUTE, Some("gpu")),
        column(registry::COLUMN_TOTAL_RESOURCE, Some("gpu")),
        column(registry::COLUMN_RUNS, None),
    ];
    let of = |place| descriptor.resource_of(registry::DEMAND_RESOURCES + place);
    assert_eq!([0, 1, 2, 3].map(of), [None, Some("gpu"), None, None]);
    assert_eq!(descriptor.resource_of(registry::DEMAND_VCPUS), None);
}

#[test]
fn the_latest_end_of_a_row_is_that_of_the_runs_that_are_left() {
    let mut inventory = zone(&[host(1)], &[]);
    let latest = |inventory: &Inventory| {
        let column = Column {
            id: registry::COLUMN_LATEST_END,
            name: None,
            scale: 0,
        };
        inventory.values(registry::ROW_COMPUTE_HOST, &[column], &[0])[0]
    };
    let run = |number, expected_end| {
        Update::Run(RunClaim {
            run: id(7, number),
            host: id(1, 1),
            project: id(6, 0),
            vcpus: 1,
            memory_mib: 64,
            expected_end,
        })
    };
    assert_eq!(latest(&inventory), 0);
    for (number, end) in [(1, Some(500)), (2, None), (3, Some(900)), (4, Some(900))] {
        inventory.apply(run(number, end));
    }
    assert_eq!(latest(&inventory), registry::NO_END);
    for (gone, left) in [(2, 900), (3, 900), (4, 500), (1, 0)] {
        inventory.apply(Update::RunGone(id(7, gone)));
        assert_eq!(latest(&inventory), left, "without {gone}");
    }
}

/// Everything that a policy could see.
fn values(inventory: &Inventory) -> Vec<u32> {
    let column = |id| Column {
        id,
        name: None,
        scale: 0,
    };
    let resource = |(id, name): (u16, &str)| Column {
        name: Some(name.to_owned()),
        ..column(id)
    };
    let both = [registry::COLUMN_FREE_RESOURCE, registry::COLUMN_TOTAL_RESOURCE];
    let resources = both
        .into_iter()
        .flat_map(|id| [(id, "gpu"), (id, "hugepages-1g")]);
    let columns: Vec<Column> = (1..=10).map(column).chain(resources.map(resource)).collect();
    let hosts: Vec<Row> = (0..inventory.rows(registry::ROW_COMPUTE_HOST)).collect();
    let pools: Vec<Row> = (0..inventory.rows(registry::ROW_STORAGE_POOL)).collect();
    let mut values = inventory.values(registry::ROW_COMPUTE_HOST, &columns, &hosts);
    values.extend(inventory.values(registry::ROW_STORAGE_POOL, &columns, &pools));
    values
}
