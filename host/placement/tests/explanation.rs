//! What a person reads, and what happens when a policy fails.

mod zone;

use velum_model::{
    decision::{Decision, REFUSALS_LISTED},
    infrastructure::{HostState, Intent},
    plugin::Fallback,
    port::placement::PolicyFailure,
};
use velum_placement::*;
use zone::*;

/// As `velum instance why` would say it.
fn told(decision: &Decision) -> String {
    let mut lines = vec![format!(
        "policy {} generation {} (fuel {}), {} hosts, epoch {}",
        decision.policy.name,
        decision.policy.generation,
        decision.fuel,
        decision.considered,
        decision.inventory_epoch
    )];
    if let (Some(failure), Some(fallback)) = (&decision.policy.failed, decision.policy.fallback) {
        lines.push(format!("failed: {failure}; fallback: {fallback:?}"));
    }
    match &decision.winner {
        Some(winner) => lines.push(format!(
            "goes to {} with {}",
            short(winner.compute_host),
            winner.score
        )),
        None => lines.push("goes nowhere".into()),
    }
    for other in &decision.runners_up {
        lines.push(format!(
            "  then {} with {}",
            short(other.compute_host),
            other.score
        ));
    }
    for count in &decision.refused {
        lines.push(format!("  {} x {}: {}", count.hosts, count.reason, count.words));
    }
    for refusal in &decision.refusals {
        lines.push(format!(
            "    {}: {}",
            short(refusal.compute_host),
            refusal.refusal.words()
        ));
    }
    lines.join("\n")
}

fn short(host: HostId) -> String {
    format!("host {}", host.uuid().as_u128() & 0xffff)
}

/// A rack in which every host is refused for another reason, except the last ones.
fn rack() -> Inventory {
    let mut hosts: Vec<HostRow> = (1..=12).map(host).collect();
    hosts[0].intent = Intent::Disabled;
    hosts[1].intent = Intent::Maintenance;
    hosts[2].observed = HostState::Unknown;
    hosts[3].arch = 2;
    hosts[5].nic_kinds = vec![9];
    hosts[6].vcpus = 1;
    hosts[7].memory_mib = 1024;
    hosts[8].attachment_kinds = vec![9];
    hosts[11].attributes.insert(name("power"), 4);
    hosts[10].vcpus = 6;
    for host in &mut hosts {
        if host.id != id(1, 5) {
            host.tags.push(name("ssd"));
        }
    }
    zone(&hosts, &[pool(1)])
}

fn asked() -> Ask {
    let mut ask = ask(1);
    ask.arch = Some(1);
    ask.host_tags = vec![name("ssd")];
    ask
}

fn decide(inventory: &Inventory, ask: &Ask, hosts: &mut Ranker) -> Decision {
    let outcome = choose(inventory, ask, 42, hosts, &mut Ranker::built_in());
    explain(ask, &outcome, &circumstances(inventory, 42), Detail::Stored)
}

#[test]
fn a_decision_names_the_winner_the_others_and_every_refusal() {
    insta::assert_snapshot!(told(&decide(&rack(), &asked(), &mut keeping())));
}

#[test]
fn a_full_rack_says_why_each_host_was_refused() {
    let mut ask = asked();
    ask.disks[0].bytes = 200 << 30;
    ask.excluded = vec![id(1, 10)];
    insta::assert_snapshot!(told(&decide(&rack(), &ask, &mut keeping())));
}

#[test]
fn a_resource_that_is_short_is_named_and_told_host_by_host() {
    let mut hosts: Vec<HostRow> = (1..=3).map(host).collect();
    hosts[0].resources = some_of(&[("gpu", 1)]);
    hosts[1].resources = some_of(&[("gpu", 4), ("hugepages-1g", 8)]);
    let inventory = zone(&hosts, &[pool(1)]);
    let ask = Ask {
        resources: some_of(&[("gpu", 2)]),
        ..ask(1)
    };
    let decision = decide(&inventory, &ask, &mut Ranker::built_in());
    assert_eq!(decision.winner.map(|winner| winner.compute_host), Some(id(1, 2)));
    let refused: Vec<_> = decision
        .refused
        .iter()
        .map(|of| (of.reason.as_str(), of.words.as_str(), of.hosts))
        .collect();
    assert_eq!(
        refused,
        [("resource:gpu", "resource gpu: 2 asked, fewer free", 2)]
    );
    let rankers = (&mut Ranker::built_in(), &mut Ranker::built_in());
    let (_, candidates) = look(&inventory, &ask, 42, rankers);
    let of = |host: HostId, name: &str| {
        let candidate = candidates.iter().find(|of| of.compute_host == host);
        candidate.and_then(|of| of.resources.get(name).copied())
    };
    assert_eq!(
        [1, 2, 3].map(|n| of(id(1, n), "gpu")),
        [Some((1, 1)), Some((4, 4)), Some((0, 0))]
    );
    assert_eq!(of(id(1, 2), "hugepages-1g"), Some((8, 8)));
    // It is in the stored ask: the decision can be made again.
    assert_eq!(decision.ask["resources"]["gpu"], 2);
    assert!(
        replay(
            &inventory,
            &decision,
            &mut Ranker::built_in(),
            &mut Ranker::built_in()
        )
        .is_ok()
    );
}

#[test]
fn a_policy_that_fails_is_replaced_and_the_decision_says_so() {
    let label = |fallback| PolicyLabel {
        name: "flaky".into(),
        generation: 2,
        fallback,
        ..PolicyLabel::built_in()
    };
    let trap = || PolicyFailure::Trapped("unreachable".into());
    let mut ranker = Ranker::broken(label(Fallback::BuiltIn), trap());
    insta::assert_snapshot!("fallback_built_in", told(&decide(&rack(), &asked(), &mut ranker)));
    let mut ranker = Ranker::broken(label(Fallback::Refuse), trap());
    insta::assert_snapshot!("fallback_refuse", told(&decide(&rack(), &asked(), &mut ranker)));
}

#[test]
fn a_failed_decision_replays_as_it_failed() {
    let label = PolicyLabel {
        name: "flaky".into(),
        ..PolicyLabel::built_in()
    };
    let inventory = rack();
    let failure = PolicyFailure::OutOfFuel;
    let decision = decide(&inventory, &asked(), &mut Ranker::broken(label.clone(), failure));
    // Today its instance works; the replay holds it to what it did then.
    let mut works = Ranker::of(label, Box::new(Keeping::default()));
    assert!(replay(&inventory, &decision, &mut works, &mut Ranker::built_in()).is_ok());
}

#[test]
fn a_large_zone_counts_its_refusals_without_listing_them() {
    let hosts: Vec<HostRow> = (0..REFUSALS_LISTED as u128 + 1)
        .map(|n| HostRow { vcpus: 1, ..host(n) })
        .collect();
    let inventory = zone(&hosts, &[pool(1)]);
    let decision = decide(&inventory, &asked(), &mut Ranker::built_in());
    assert_eq!(decision.refusals.len(), 0);
    assert_eq!(decision.refused[0].hosts as usize, hosts.len());
    let outcome = choose(
        &inventory,
        &asked(),
        42,
        &mut Ranker::built_in(),
        &mut Ranker::built_in(),
    );
    let shown = explain(&asked(), &outcome, &circumstances(&inventory, 42), Detail::Shown);
    assert_eq!(shown.refusals.len(), REFUSALS_LISTED);
}

#[test]
fn equal_hosts_are_told_apart_by_the_seed_alone() {
    let hosts: Vec<HostRow> = (1..=32).map(host).collect();
    let inventory = zone(&hosts, &[pool(1)]);
    let winner = |seed| {
        let outcome = choose(
            &inventory,
            &ask(1),
            seed,
            &mut Ranker::built_in(),
            &mut Ranker::built_in(),
        );
        outcome.choice.expect("room").host
    };
    let winners: std::collections::HashSet<_> = (0..64).map(winner).collect();
    assert!(winners.len() > 16, "{} of 32 won in 64 tries", winners.len());
    assert_eq!(winner(7), winner(7));
}

#[test]
fn two_disks_do_not_share_the_space_that_one_of_them_needs() {
    let mut ask = ask(1);
    ask.disks = vec![ask.disks[0].clone(), ask.disks[0].clone()];
    ask.disks[0].bytes = 60 << 30;
    ask.disks[1].bytes = 60 << 30;
    let one_pool = zone(&[host(1)], &[pool(1)]);
    let place = |inventory: &Inventory| {
        choose(
            inventory,
            &ask,
            1,
            &mut Ranker::built_in(),
            &mut Ranker::built_in(),
        )
    };
    assert_eq!(place(&one_pool).choice, None);
    let choice = place(&zone(&[host(1)], &[pool(1), pool(2)]))
        .choice
        .expect("two pools have room");
    assert_ne!(choice.pools[0].pool, choice.pools[1].pool);
}

#[test]
fn a_policy_that_asks_is_told_where_the_affinity_groups_members_are() {
    let hosts: Vec<HostRow> = (1..5).map(host).collect();
    let mut inventory = zone(&hosts, &[pool(1)]);
    let near = Ask {
        // Any compute host of the rack would do.
        ties: vec![tie(7)],
        project: id(6, 1),
        ..ask(1)
    };
    let there = hosts[2].id;
    let claim = RunClaim {
        run: id(7, 1),
        host: there,
        project: id(6, 0),
        vcpus: 2,
        memory_mib: 2048,
        expected_end: None,
    };
    let extras = Box::new(extras(&near));
    inventory.apply(Update::RunWith { claim, extras });
    let mut built_in = Ranker::built_in();
    for seed in 0..8 {
        let outcome = choose(&inventory, &near, seed, &mut keeping(), &mut built_in);
        assert_eq!(outcome.choice.map(|choice| choice.host), Some(there));
    }
    // Its own run that ends tells nothing.
    let again = Ask {
        ending: Some(id(7, 1)),
        ..near
    };
    let outcome = choose(&inventory, &again, 1, &mut keeping(), &mut built_in);
    assert_ne!(outcome.choice.map(|choice| choice.host), Some(there));
}
