//! One decision at a time over a zone in memory: filters, rank, choose, and the claim that the next one sees.

use std::{collections::BTreeMap, time::Instant};

use anyhow::Context as _;
use uuid::Uuid;
use velum_model::{
    ComputeHostId, Id, Name,
    infrastructure::{HostState, Intent, PoolScope},
    plugin::{Digest, Fallback},
    port::placement::{PlacementPolicy, PolicyAsk, registry},
    quantity::{MemoryMib, Vcpus},
};
use velum_placement::{
    Ask, DiskAsk, HostRow, Inventory, Placer, PolicyLabel, PoolRow, Ranker, Row, RunClaim, Update, Wanted,
    choose,
};

use crate::clients::median;

fn id<Of>(kind: u128, number: u32) -> Id<Of> {
    Id::from_uuid(Uuid::from_u128((kind << 64) | u128::from(number)))
}

/// A zone of so many alike compute hosts that draw power unalike, and one pool.
///
/// # Errors
/// None, as long as the constants are names.
pub fn zone(hosts: u32) -> anyhow::Result<Inventory> {
    let power = Name::new("power_w")?;
    let mut inventory = Inventory::default();
    for number in 0..hosts {
        inventory.apply(Update::Host(Box::new(HostRow {
            id: id(1, number),
            pod: id(2, number / 40),
            cluster: id(3, number / 200),
            vcpus: 64,
            memory_mib: 256 * 1024,
            resources: BTreeMap::new(),
            arch: 1,
            nic_kinds: vec![1],
            attachment_kinds: vec![1],
            tags: Vec::new(),
            // Not in the order of the rows, and the same in every run.
            attributes: BTreeMap::from([(power.clone(), 200 + number.wrapping_mul(2_654_435_761) % 400)]),
            intent: Intent::Enabled,
            observed: HostState::Up,
        })));
    }
    inventory.apply(Update::Pool(Box::new(PoolRow {
        id: id(4, 1),
        scope: PoolScope::Zone,
        capacity_bytes: 1 << 60,
        attachment_kinds: vec![1],
        granularity_bytes: 1,
        min_bytes: 1,
        max_bytes: 0,
        tags: Vec::new(),
        attributes: BTreeMap::new(),
        intent: Intent::Enabled,
    })));
    Ok(inventory)
}

fn ask(number: u32) -> anyhow::Result<Ask> {
    Ok(Ask {
        instance: id(5, number),
        project: id(6, 0),
        vcpus: Vcpus::new(2)?,
        memory: MemoryMib::new(4096)?,
        resources: BTreeMap::new(),
        arch: None,
        expected_lifetime: None,
        now_minute: 0,
        host_tags: Vec::new(),
        nic_kinds: vec![1],
        disks: vec![DiskAsk {
            bytes: 10 << 30,
            storage_tags: Vec::new(),
            template: None,
        }],
        pinned: Vec::new(),
        excluded: Vec::new(),
        previous: None,
        ties: Vec::new(),
        ending: None,
    })
}

fn claim(number: u32, ask: &Ask, host: ComputeHostId) -> Update {
    Update::Run(RunClaim {
        expected_end: ask.expected_end(),
        run: id(7, number),
        host,
        project: ask.project,
        vcpus: ask.vcpus.get(),
        memory_mib: ask.memory.get(),
    })
}

/// Microseconds of one decision that knows nothing of those before, the median of `decisions`, each with its claim applied before the next, and where each
/// went.
///
/// # Errors
/// A decision that finds no place.
pub fn decide(
    inventory: &mut Inventory,
    policy: Box<dyn PlacementPolicy>,
    decisions: u32,
) -> anyhow::Result<(f64, Vec<Uuid>)> {
    let label = PolicyLabel {
        name: "under test".into(),
        digest: Some(Digest::from_hex(&"0".repeat(64))?),
        fallback: Fallback::Refuse,
        ..PolicyLabel::built_in()
    };
    let mut ranker = Ranker::of(label, policy);
    let mut pools = Ranker::built_in();
    let mut took = Vec::new();
    let mut places = Vec::new();
    for number in 0..=decisions {
        let ask = ask(number)?;
        let began = Instant::now();
        let outcome = choose(inventory, &ask, u64::from(number), &mut ranker, &mut pools);
        let micros = began.elapsed().as_secs_f64() * 1e6;
        let choice = outcome.choice.ok_or_else(|| {
            anyhow::anyhow!("decision {number} found no place: {:?}", outcome.policy.failed)
        })?;
        places.push(choice.host.uuid());
        inventory.apply(claim(number, &ask, choice.host));
        // The first one loads the whole zone into the policy.
        if number > 0 {
            took.push(micros);
        }
    }
    Ok((median(took), places))
}

/// Microseconds of scoring all of so many compute hosts once, the median of `times`.
///
/// # Errors
/// The policy fails.
pub fn rank(policy: &mut dyn PlacementPolicy, hosts: u32, times: u32) -> anyhow::Result<f64> {
    let inventory = zone(hosts)?;
    let rows: Vec<Row> = (0..hosts).collect();
    let kind = registry::ROW_COMPUTE_HOST;
    let values = inventory.values(kind, &policy.descriptor().columns, &rows);
    policy.load(inventory.epoch(), hosts, &values)?;
    let ask = PolicyAsk {
        // Of whatever it wants to know of the demand.
        demand: policy.descriptor().demands.iter().map(|_| 4).collect(),
        ..PolicyAsk::default()
    };
    let mut took = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        let scores = policy.score(inventory.epoch(), &ask, &rows)?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
        anyhow::ensure!(scores.len() == rows.len(), "a score for each");
    }
    Ok(median(took))
}

/// Microseconds of one decision of the built-in policy out of what is kept of those before, and of each claim that follows it; of
/// twelve shapes of guests in turns, of which each leaves after a tenth of the zone has come.
///
/// # Errors
/// A decision that finds no place.
pub fn kept(hosts: u32, decisions: u32) -> anyhow::Result<f64> {
    let mut inventory = zone(hosts)?;
    let (mut placer, mut ranker, mut pools) = (Placer::default(), Ranker::built_in(), Ranker::built_in());
    let mut took = Vec::new();
    for number in 0..decisions {
        let ask = Ask {
            vcpus: Vcpus::new(u64::from(1 + number % 12))?,
            memory: MemoryMib::new(u64::from(1024 * (1 + number % 12)))?,
            ..ask(number)?
        };
        let began = Instant::now();
        let rankers = (&mut ranker, &mut pools);
        let outcome = placer.choose(&inventory, &ask, u64::from(number), rankers, Wanted::LEAST);
        let choice = outcome.choice.context("it finds a place")?;
        inventory.apply(claim(number, &ask, choice.host));
        if let Some(gone) = number.checked_sub(hosts / 10) {
            inventory.apply(Update::RunGone(id(7, gone)));
        }
        // The first of each shape looks at the whole zone.
        if number >= 12 {
            took.push(began.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(median(took))
}
