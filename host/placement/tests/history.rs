//! What was kept of a zone tells what was, and what would have been.
#![expect(clippy::expect_used, reason = "made-up rows that read")]

mod zone;

use proptest::prelude::*;
use velum_model::{
    decision::Decision,
    infrastructure::{HostState, Intent, PoolScope},
};
use velum_placement::*;
use zone::*;

/// A zone that is used, with its history: parts of at most five changes, a whole now and then.
struct Recorded {
    inventory: Inventory,
    parts: Vec<HistoryPart>,
    updates: Vec<Update>,
    first: u64,
}

impl Recorded {
    fn of(hosts: &[HostRow], pools: &[PoolRow]) -> Self {
        let mut inventory = Inventory::in_place_of(&Inventory::default(), 1_000_000);
        for host in hosts {
            inventory.apply(Update::Host(Box::new(host.clone())));
        }
        for pool in pools {
            inventory.apply(Update::Pool(Box::new(pool.clone())));
        }
        Self {
            parts: vec![HistoryPart::whole(&inventory)],
            updates: Vec::new(),
            first: inventory.epoch() + 1,
            inventory,
        }
    }

    fn apply(&mut self, update: Update) {
        if self.inventory.apply(update.clone()) {
            self.updates.push(update);
        }
        if self.updates.len() == 5 {
            self.close();
        }
    }

    fn close(&mut self) {
        let updates = std::mem::take(&mut self.updates);
        self.parts.push(HistoryPart::Changes {
            first: self.first,
            updates,
        });
        self.first = self.inventory.epoch() + 1;
        if self.parts.len().is_multiple_of(4) {
            self.parts.push(HistoryPart::whole(&self.inventory));
        }
    }

    fn claim(&mut self, ask: &Ask, choice: &Choice, number: u128) {
        let before = self.inventory.clone();
        let mut after = before.clone();
        claim(&mut after, ask, choice, number);
        // The same claims one by one, as a planner makes them.
        let run = *after.run(id(7, number)).expect("claimed");
        self.apply(Update::run(run, extras(ask)));
        for (n, (disk, pool)) in ask.disks.iter().zip(&choice.pools).enumerate() {
            let number = number * 8 + n as u128;
            self.apply(Update::Volume(*after.volume(id(8, number)).expect("claimed")));
            let layer = disk.template.and_then(|of| after.layer_of(pool.pool, of.id));
            if let Some(layer) = layer.filter(|_| pool.layer_bytes.is_some()) {
                self.apply(Update::Layer(LayerClaim {
                    committed: false,
                    ..*layer
                }));
            }
        }
        // And the accept is committed, which makes the layers so.
        for (disk, pool) in ask.disks.iter().zip(&choice.pools) {
            let layer = disk.template.and_then(|of| after.layer_of(pool.pool, of.id));
            if let Some(layer) = layer.filter(|_| pool.layer_bytes.is_some()) {
                self.apply(Update::Layer(*layer));
                self.apply(Update::LayerReady(layer.layer));
            }
        }
    }

    /// As it is read again.
    fn read(&self) -> Vec<HistoryPart> {
        let again = |part: &HistoryPart| HistoryPart::decode(&part.encode().expect("written")).expect("read");
        self.parts.iter().map(again).collect()
    }

    fn at(&self, epoch: u64) -> Inventory {
        let parts = self.read();
        let is_begun = |part: &HistoryPart| part.epochs().is_some_and(|(first, _)| first <= epoch);
        let begin = parts
            .iter()
            .rposition(|part| matches!(part, HistoryPart::Whole(_)) && is_begun(part))
            .expect("a whole");
        let mut inventory = Inventory::default();
        for part in parts.into_iter().skip(begin) {
            inventory.continue_with(part, epoch).expect("it continues");
        }
        assert_eq!(inventory.epoch(), epoch);
        inventory
    }
}

fn decided(recorded: &Recorded, ask: &Ask, seed: u64) -> (Decision, Outcome) {
    let outcome = choose(
        &recorded.inventory,
        ask,
        seed,
        &mut keeping(),
        &mut Ranker::built_in(),
    );
    let of = circumstances(&recorded.inventory, seed);
    (explain(ask, &outcome, &of, Detail::Stored), outcome)
}

proptest! {
    #[test]
    fn a_decision_is_made_again_from_what_was_kept(
        hosts in hosts(), pools in pools(), asks in asks(), seed: u64,
        steps in prop::collection::vec((any::<prop::sample::Index>(), changes()), 1..40),
    ) {
        let mut recorded = Recorded::of(&hosts, &pools);
        let mut decisions = Vec::new();
        for (n, (at, change)) in steps.iter().enumerate() {
            let ask = at.get(&asks);
            let (decision, outcome) = decided(&recorded, ask, seed.wrapping_add(n as u64));
            if let Some(choice) = &outcome.choice {
                recorded.claim(ask, choice, n as u128);
            }
            decisions.push((decision, outcome));
            for update in change.updates(n as u128, &hosts, &pools) {
                recorded.apply(update);
            }
        }
        recorded.close();
        for (decision, outcome) in &decisions {
            let then = recorded.at(decision.inventory_epoch);
            let again = replay(&then, decision, &mut keeping(), &mut Ranker::built_in());
            prop_assert_eq!(again.map_err(|difference| difference.to_string()), Ok(outcome.clone()));
        }
    }

    #[test]
    fn what_is_said_of_each_compute_host_is_what_the_decision_says(
        hosts in hosts(), pools in pools(), asks in asks(), seed: u64,
    ) {
        let mut recorded = Recorded::of(&hosts, &pools);
        for (n, ask) in asks.iter().enumerate() {
            let rankers = (&mut keeping(), &mut Ranker::built_in());
            let (outcome, candidates) = look(&recorded.inventory, ask, seed, rankers);
            prop_assert_eq!(candidates.len(), hosts.len());
            let ranked: Vec<_> = candidates
                .iter()
                .filter_map(|of| match of.says {
                    Says::Score(score) => Some((of.compute_host, score)),
                    _ => None,
                })
                .collect();
            let told: Vec<_> = outcome
                .winner
                .iter()
                .chain(&outcome.runners_up)
                .map(|of| (of.compute_host, of.score))
                .collect();
            prop_assert_eq!(&ranked[..told.len()], &told[..]);
            let refused = candidates.iter().filter(|of| matches!(of.says, Says::Refused(_))).count();
            let counted: u32 = outcome.refused.iter().map(|(_, count)| count).sum();
            prop_assert_eq!(refused, counted as usize);
            if let Some(choice) = &outcome.choice {
                recorded.claim(ask, choice, n as u128);
            }
        }
    }

    #[test]
    fn the_policy_that_decided_would_have_decided_the_same(
        hosts in hosts(), pools in pools(), asks in asks(), seed: u64,
        steps in prop::collection::vec((any::<prop::sample::Index>(), changes()), 1..40),
    ) {
        let mut recorded = Recorded::of(&hosts, &pools);
        let mut evaluation = Evaluation::begin(recorded.inventory.clone(), keeping(), Ranker::built_in());
        let mut other = Evaluation::begin(recorded.inventory.clone(), Ranker::built_in(), Ranker::built_in());
        let mut seen = recorded.first;
        for (n, (at, change)) in steps.iter().enumerate() {
            let ask = at.get(&asks);
            let (decision, outcome) = decided(&recorded, ask, seed.wrapping_add(n as u64));
            evaluation.decide(&decision);
            other.decide(&decision);
            if let Some(choice) = &outcome.choice {
                recorded.claim(ask, choice, n as u128);
            }
            for update in change.updates(n as u128, &hosts, &pools) {
                recorded.apply(update);
            }
            recorded.close();
            for part in &recorded.parts {
                let HistoryPart::Changes { first, updates } = part else { continue };
                for (epoch, update) in (*first..).zip(updates) {
                    if epoch >= seen {
                        evaluation.change(update);
                        other.change(update);
                        seen = epoch + 1;
                    }
                }
            }
            prop_assert_eq!(evaluation.then().epoch(), recorded.inventory.epoch());
            prop_assert_eq!(Packing::of(evaluation.would()), Packing::of(&recorded.inventory));
            // Nothing of a layer is left behind, and none is missing.
            for pool in &pools {
                prop_assert_eq!(evaluation.would().free_bytes(pool.id), recorded.inventory.free_bytes(pool.id));
                for template in 0..2 {
                    let of = |inventory: &Inventory| inventory.layer_of(pool.id, id(10, template)).map(|layer| layer.ready);
                    prop_assert_eq!(of(evaluation.would()), of(&recorded.inventory));
                }
            }
        }
        let tally = evaluation.tally();
        prop_assert_eq!((tally.decisions, tally.same, tally.moves.len()), (steps.len() as u64, steps.len() as u64, 0));
        // Whoever decides otherwise overcommits nothing either.
        let (tally, would) = (other.tally(), Packing::of(other.would()));
        prop_assert_eq!(tally.same + tally.moved
            + tally.moves.iter().filter(|of| of.then.is_none() || of.would.is_none()).count() as u64, tally.decisions);
        prop_assert!(would.compute_hosts == Packing::of(other.then()).compute_hosts);
    }
}

fn tagged() -> HostRow {
    HostRow {
        tags: vec![name("ssd")],
        attributes: [(name("power"), 5)].into(),
        resources: some_of(&[("gpu", 4), ("hugepages-1g", 300)]),
        intent: Intent::Maintenance,
        observed: HostState::Unknown,
        ..host(2)
    }
}

/// One of each.
fn every_update() -> Vec<Update> {
    let claim = RunClaim {
        run: id(7, 1),
        host: id(1, 1),
        project: id(6, 1),
        vcpus: 2,
        memory_mib: 512,
        expected_end: Some(77),
    };
    let member = Update::RunWith {
        claim: RunClaim {
            run: id(7, 2),
            expected_end: None,
            ..claim
        },
        extras: Box::new(RunExtras {
            groups: vec![id(14, 1)],
            resources: some_of(&[("gpu", 1)]),
        }),
    };
    let layer = LayerClaim {
        layer: id(9, 1),
        pool: id(4, 1),
        template: id(10, 1),
        bytes: 3 << 30,
        ready: false,
        committed: true,
    };
    let pools = [
        PoolScope::Zone,
        PoolScope::Cluster(id(3, 1)),
        PoolScope::ComputeHost(id(1, 1)),
    ];
    let mut updates = vec![
        twofold(),
        Update::Host(Box::new(host(1))),
        Update::Host(Box::new(tagged())),
    ];
    updates.extend(
        (1..)
            .zip(pools)
            .map(|(n, scope)| Update::Pool(Box::new(PoolRow { scope, ..pool(n) }))),
    );
    for part in [
        Part::Pod(id(2, 0)),
        Part::Cluster(id(3, 0)),
        Part::ComputeHost(id(1, 1)),
    ] {
        updates.push(Update::Dedicated {
            part,
            to: Some(id(6, 1)),
        });
    }
    for state in [HostState::Down, HostState::Unknown, HostState::Up] {
        updates.push(Update::HostSeen { id: id(1, 1), state });
    }
    let volume = VolumeClaim {
        volume: id(8, 1),
        pool: id(4, 1),
        bytes: 5 << 30,
    };
    updates.extend([
        Update::Run(claim),
        member,
        Update::Volume(volume),
        Update::Layer(layer),
        Update::LayerReady(id(9, 1)),
    ]);
    updates
}

/// What takes away some of it.
fn every_end() -> Vec<Update> {
    vec![
        Update::RunGone(id(7, 1)),
        Update::VolumeGone(id(8, 1)),
        Update::LayerGone(id(9, 1)),
        Update::HostGone(id(1, 2)),
        Update::PoolGone(id(4, 3)),
    ]
}

/// The written form does not describe itself: whoever changes it must raise `HISTORY_FORMAT`.
#[test]
fn the_form_of_a_format_stays() {
    let mut inventory = Inventory::in_place_of(&Inventory::default(), 1_000_000);
    let first = inventory.epoch() + 1;
    let mut parts = Vec::new();
    for updates in [every_update(), every_end()] {
        let first = inventory.epoch() + 1;
        for update in &updates {
            assert!(inventory.apply(update.clone()), "{update:?} changes nothing");
        }
        parts.push(HistoryPart::Changes { first, updates });
        parts.push(HistoryPart::whole(&inventory));
    }
    let mut again = Inventory::in_place_of(&Inventory::default(), 1_000_000);
    assert_eq!(again.epoch() + 1, first);
    let mut shown = Vec::new();
    for part in &parts {
        let bytes = part.encode().expect("written");
        let read = HistoryPart::decode(&bytes).expect("read");
        assert_eq!(&read, part);
        if let HistoryPart::Changes { .. } = read {
            again.continue_with(read, u64::MAX).expect("it continues");
        }
        shown.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
    assert_eq!(again.snapshot(), inventory.snapshot());
    insta::assert_snapshot!(format!("format {HISTORY_FORMAT}\n{}", shown.join("\n")));
    assert!(matches!(
        HistoryPart::decode(&[HISTORY_FORMAT + 1, 0]),
        Err(Unreadable::Format(_))
    ));
    assert!(matches!(
        HistoryPart::decode(&[HISTORY_FORMAT, 9]),
        Err(Unreadable::Damaged(_))
    ));
    assert!(matches!(HistoryPart::decode(&[]), Err(Unreadable::Damaged(_))));
}
