//! Small zones, made up.
#![expect(
    clippy::expect_used,
    dead_code,
    reason = "made-up rows that read; each test file uses its own part"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;
use velum_model::{
    Id, Name,
    affinity::{AffinityKind, AffinityLevel, AffinityStrength, AffinityTie},
    id::*,
    infrastructure::{HostState, Intent, PoolScope},
    port::placement::{Column, PlacementPolicy, PolicyAsk, PolicyDescriptor, PolicyFailure, registry},
    quantity::{ExpectedLifetime, MemoryMib, Overcommit, ResourceAmount, Vcpus},
    resource::{ResourceName, Resources},
};
use velum_placement::*;

pub fn id<Of>(kind: u8, number: u128) -> Id<Of> {
    Id::from_uuid(Uuid::from_u128((u128::from(kind) << 120) | number))
}
pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub fn resource(text: &str) -> ResourceName {
    ResourceName::new(text).expect("a name")
}
/// Amounts of resources; of none of which there are 0.
pub fn some_of(amounts: &[(&str, u64)]) -> Resources {
    let some = amounts.iter().filter(|(_, amount)| *amount > 0);
    some.map(|&(name, amount)| (resource(name), ResourceAmount::new(amount).expect("in range")))
        .collect()
}

pub fn host(number: u128) -> HostRow {
    HostRow {
        id: id(1, number),
        pod: id(2, 0),
        cluster: id(3, 0),
        vcpus: 8,
        memory_mib: 8192,
        resources: Resources::new(),
        arch: 1,
        nic_kinds: vec![1],
        attachment_kinds: vec![1],
        tags: Vec::new(),
        attributes: BTreeMap::new(),
        intent: Intent::Enabled,
        observed: HostState::Up,
    }
}

pub fn pool(number: u128) -> PoolRow {
    PoolRow {
        id: id(4, number),
        scope: PoolScope::Zone,
        capacity_bytes: 100 << 30,
        attachment_kinds: vec![1],
        granularity_bytes: 1,
        min_bytes: 1,
        max_bytes: 0,
        tags: Vec::new(),
        attributes: BTreeMap::new(),
        intent: Intent::Enabled,
    }
}

pub fn ask(number: u128) -> Ask {
    Ask {
        instance: id(5, number),
        project: id(6, 0),
        vcpus: Vcpus::new(2).expect("in range"),
        memory: MemoryMib::new(2048).expect("in range"),
        resources: Resources::new(),
        arch: None,
        expected_lifetime: None,
        now_minute: 1_000,
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
    }
}

pub fn zone(hosts: &[HostRow], pools: &[PoolRow]) -> Inventory {
    let mut inventory = Inventory::default();
    for host in hosts {
        inventory.apply(Update::Host(Box::new(host.clone())));
    }
    for pool in pools {
        inventory.apply(Update::Pool(Box::new(pool.clone())));
    }
    inventory
}

/// What a run of an ask has beside vCPUs and memory.
pub fn extras(ask: &Ask) -> RunExtras {
    RunExtras {
        groups: ask.ties.iter().map(|tie| tie.group).collect(),
        resources: ask.resources.clone(),
    }
}

/// Claims an outcome under `number`.
pub fn claim(inventory: &mut Inventory, ask: &Ask, choice: &Choice, number: u128) {
    let claim = RunClaim {
        run: id(7, number),
        host: choice.host,
        project: ask.project,
        vcpus: ask.vcpus.get(),
        memory_mib: ask.memory.get(),
        expected_end: ask.expected_end(),
    };
    inventory.apply(Update::run(claim, extras(ask)));
    for (n, (disk, pool)) in ask.disks.iter().zip(&choice.pools).enumerate() {
        let number = number * 8 + n as u128;
        inventory.apply(Update::Volume(VolumeClaim {
            volume: id(8, number),
            pool: pool.pool,
            bytes: pool.bytes,
        }));
        if let (Some(template), Some(bytes)) = (disk.template, pool.layer_bytes) {
            inventory.apply(Update::Layer(LayerClaim {
                layer: id(9, number),
                pool: pool.pool,
                template: template.id,
                bytes,
                ready: false,
                committed: true,
            }));
        }
    }
}

/// One of eight groups: each kind, strength and level.
pub fn tie(number: u128) -> AffinityTie {
    AffinityTie {
        group: id(14, number),
        name: name(&format!("group-{number}")),
        kind: [AffinityKind::AntiAffinity, AffinityKind::Affinity][number as usize % 2],
        strength: [AffinityStrength::Required, AffinityStrength::Preferred][number as usize / 2 % 2],
        level: [AffinityLevel::ComputeHost, AffinityLevel::Pod][number as usize / 4 % 2],
    }
}

/// What is dedicated to whom; now and then a part that is not there.
pub fn dedications() -> impl Strategy<Value = Vec<(Part, ProjectId)>> {
    let part = prop_oneof![
        (0u128..2).prop_map(|pod| Part::Pod(id(2, pod))),
        (0u128..3).prop_map(|cluster| Part::Cluster(id(3, cluster))),
        (1u128..10).prop_map(|host| Part::ComputeHost(id(1, host))),
    ];
    let one = (part, 0u128..3).prop_map(|(part, project)| (part, id(6, project)));
    prop_oneof![1 => Just(Vec::new()), 2 => prop::collection::vec(one, 0..4)]
}

pub fn dedicate(inventory: &mut Inventory, dedications: &[(Part, ProjectId)]) {
    for &(part, project) in dedications {
        inventory.apply(Update::Dedicated {
            part,
            to: Some(project),
        });
    }
}

fn intents() -> impl Strategy<Value = Intent> {
    prop_oneof![6 => Just(Intent::Enabled), 1 => Just(Intent::Disabled), 1 => Just(Intent::Maintenance)]
}
fn states() -> impl Strategy<Value = HostState> {
    prop_oneof![6 => Just(HostState::Up), 1 => Just(HostState::Down), 1 => Just(HostState::Unknown)]
}
fn kinds() -> impl Strategy<Value = Vec<u16>> {
    prop::sample::subsequence(vec![1u16, 2, 3], 1..=2)
}
/// Of two resources, often none of either.
fn resources(at_most: u64) -> impl Strategy<Value = Resources> {
    let amount = || prop_oneof![2 => Just(0), 1 => 1..=at_most];
    (amount(), amount()).prop_map(|(gpus, pages)| some_of(&[("gpu", gpus), ("hugepages-1g", pages)]))
}
fn tags() -> impl Strategy<Value = Vec<Name>> {
    prop::sample::subsequence(vec![name("fast"), name("gpu"), name("ssd")], 0..=2)
}

prop_compose! {
    pub fn hosts()(rows in prop::collection::vec(
        (0u128..3, 1u32..16, 1u64..16, 1u16..=2, kinds(), kinds(), tags(), intents(), states(), 0u32..5, resources(4)), 1..10,
    )) -> Vec<HostRow> {
        rows.into_iter().enumerate().map(|(n, (cluster, vcpus, gib, arch, nics, attach, tags, intent, observed, power, resources))| {
            HostRow {
                pod: id(2, cluster / 2),
                cluster: id(3, cluster),
                vcpus,
                memory_mib: gib * 1024,
                resources,
                arch,
                nic_kinds: nics,
                attachment_kinds: attach,
                tags,
                attributes: BTreeMap::from([(name("power"), power)]),
                intent,
                observed,
                ..host(n as u128 + 1)
            }
        }).collect()
    }
}

fn scopes() -> impl Strategy<Value = PoolScope> {
    prop_oneof![
        Just(PoolScope::Zone),
        (0u128..3).prop_map(|cluster| PoolScope::Cluster(id(3, cluster))),
        (1u128..10).prop_map(|host| PoolScope::ComputeHost(id(1, host))),
    ]
}

prop_compose! {
    pub fn pools()(rows in prop::collection::vec(
        (scopes(), 1u64..60, kinds(), tags(), intents(), prop_oneof![Just(1u64), Just(3u64 << 30)], prop_oneof![Just(0u64), Just(20u64 << 30)]),
        0..6,
    )) -> Vec<PoolRow> {
        rows.into_iter().enumerate().map(|(n, (scope, gib, kinds, tags, intent, step, max))| PoolRow {
            scope,
            capacity_bytes: gib << 30,
            attachment_kinds: kinds,
            tags,
            intent,
            granularity_bytes: step,
            max_bytes: max,
            ..pool(n as u128 + 1)
        }).collect()
    }
}

prop_compose! {
    fn disk()(gib in 1u64..30, tags in tags(), template in prop::option::of((0u128..2, 1u64..5))) -> DiskAsk {
        DiskAsk {
            bytes: gib << 30,
            storage_tags: tags.into_iter().take(1).collect(),
            template: template.map(|(of, gib)| TemplateAsk { id: id(10, of), layer_bytes: gib << 30 }),
        }
    }
}

prop_compose! {
    pub fn asks()(are_small in prop::bool::ANY, rows in prop::collection::vec(
        (1u64..6, 1u64..6, prop::option::of(1u16..=2), tags(), kinds(), prop::collection::vec(disk(), 0..3),
         prop::collection::vec(1u128..6, 0..2), prop::collection::vec(1u128..10, 0..2), 0u128..3,
         prop::sample::subsequence((0u128..8).collect::<Vec<_>>(), 0..=2), (prop::option::of(60u64..20_000), resources(2))), 1..24,
    )) -> Vec<Ask> {
        let mut asks: Vec<Ask> = rows.into_iter().enumerate().map(|(n, (vcpus, gib, arch, tags, nics, disks, pinned, excluded, project, groups, (life, resources)))| Ask {
            project: id(6, project),
            ties: groups.into_iter().map(tie).collect(),
            expected_lifetime: life.map(|seconds| ExpectedLifetime::new(seconds).expect("in range")),
            now_minute: 1_000 + n as u32 / 3,
            vcpus: Vcpus::new(vcpus).expect("in range"),
            memory: MemoryMib::new(gib * 1024).expect("in range"),
            resources,
            arch,
            host_tags: tags.into_iter().take(1).collect(),
            nic_kinds: nics.into_iter().take(1).collect(),
            disks,
            pinned: if n % 4 == 0 { pinned.into_iter().map(|p| id(4, p)).collect() } else { Vec::new() },
            excluded: excluded.into_iter().map(|h| id(1, h)).collect(),
            ..ask(n as u128)
        }).collect();
        // Small ones nearly all find a place, so that groups have many members.
        if are_small {
            for (n, small) in asks.iter_mut().enumerate() {
                *small = Ask {
                    project: small.project,
                    ties: std::mem::take(&mut small.ties),
                    vcpus: Vcpus::new(1).expect("in range"),
                    memory: MemoryMib::new(16).expect("in range"),
                    nic_kinds: Vec::new(),
                    disks: Vec::new(),
                    ..ask(n as u128)
                };
            }
        }
        // Each third is the instance before it once more, whose run there ends then.
        for n in (2..asks.len()).step_by(3) {
            asks[n] = Ask {
                ending: Some(id(7, n as u128 - 1)),
                ..asks[n - 1].clone()
            };
        }
        asks
    }
}

pub fn twofold() -> Update {
    let double = Overcommit::new(2000).expect("in range");
    Update::Cluster {
        id: id(3, 1),
        cpu: double,
        memory: Overcommit::NONE,
    }
}

/// A policy that keeps what it was told, as a sandboxed one does: free vCPUs twice, power, the project's runs.
pub struct Keeping {
    descriptor: PolicyDescriptor,
    held: Option<(u64, Vec<Vec<u32>>)>,
}

impl Default for Keeping {
    fn default() -> Self {
        let column = |id, name: Option<&str>| Column {
            id,
            name: name.map(str::to_owned),
            scale: 0,
        };
        Self {
            descriptor: PolicyDescriptor {
                name: "keeping".into(),
                row_kind: registry::ROW_COMPUTE_HOST,
                columns: vec![
                    column(registry::COLUMN_FREE_VCPUS, None),
                    column(registry::COLUMN_ATTRIBUTE, Some("power")),
                    column(registry::COLUMN_CLUSTER, None),
                ],
                demands: vec![registry::DEMAND_VCPUS],
                facts: vec![
                    registry::FACT_SAME_PROJECT,
                    registry::FACT_TEMPLATE_CACHED,
                    registry::FACT_KIN,
                ],
                row_local: false,
                max_rows: 0,
                refusals: vec![(4, "draws too much power".into())],
                config_schema: "{}".into(),
            },
            held: None,
        }
    }
}

impl PlacementPolicy for Keeping {
    fn descriptor(&self) -> &PolicyDescriptor {
        &self.descriptor
    }
    fn load(&mut self, epoch: u64, rows: u32, values: &[u32]) -> Result<(), PolicyFailure> {
        let columns = if rows == 0 {
            vec![Vec::new(); 3]
        } else {
            values.chunks(rows as usize).map(<[u32]>::to_vec).collect()
        };
        self.held = Some((epoch, columns));
        Ok(())
    }
    fn apply(
        &mut self,
        before: u64,
        after: u64,
        rows: &[u32],
        values: &[u32],
    ) -> Result<bool, PolicyFailure> {
        let Some((epoch, columns)) = self.held.as_mut().filter(|(epoch, _)| *epoch == before) else {
            return Ok(false);
        };
        *epoch = after;
        for (column, values) in columns.iter_mut().zip(values.chunks(rows.len().max(1))) {
            for (row, value) in rows.iter().zip(values) {
                column[*row as usize] = *value;
            }
        }
        Ok(true)
    }
    fn score(&mut self, epoch: u64, ask: &PolicyAsk, rows: &[u32]) -> Result<Vec<u32>, PolicyFailure> {
        let (held, columns) = self.held.as_ref().expect("loaded first");
        assert_eq!(*held, epoch, "asked at the epoch that it holds");
        let near = |row: u32, fact: usize| {
            let Some(fact) = ask.facts.get(fact) else { return 0 };
            let at = fact.rows.iter().position(|other| *other == row);
            at.map_or(0, |at| fact.values[at])
        };
        let score = |&row: &u32| {
            if columns[1][row as usize] == 4 {
                return registry::REFUSE + 4;
            }
            let told: u32 = ask
                .attrs
                .iter()
                .map(|(code, value)| value * u32::from(*code) % 50)
                .sum();
            columns[0][row as usize] * 2
                + columns[2][row as usize] % 100 * (1 + told)
                + 3 * near(row, 1)
                + 5 * near(row, 2)
                - near(row, 0).min(1)
                + ask.demand.iter().sum::<u32>()
        };
        Ok(rows.iter().map(score).collect())
    }
    fn fuel_used(&self) -> u64 {
        7
    }
}

pub fn keeping() -> Ranker {
    let label = PolicyLabel {
        policy: Some(id(11, 1)),
        name: "keeping".into(),
        digest: Some(velum_model::plugin::Digest::from_hex(&"ab".repeat(32)).expect("a digest")),
        generation: 3,
        config: serde_json::json!({ "factor": 2 }),
        fallback: velum_model::plugin::Fallback::BuiltIn,
    };
    Ranker::of(label, Box::new(Keeping::default()))
}

/// The same, but that it looks at a row's own columns and at nothing else, among them at a resource, and at how much of it is asked.
pub fn row_local() -> Ranker {
    let mut policy = Keeping::default();
    policy.descriptor.columns[2] = Column {
        id: registry::COLUMN_FREE_RESOURCE,
        name: Some("gpu".into()),
        scale: 0,
    };
    policy.descriptor.demands.push(registry::DEMAND_RESOURCES + 2);
    policy.descriptor.facts.clear();
    policy.descriptor.row_local = true;
    let label = PolicyLabel {
        generation: 4,
        ..keeping().label().clone()
    };
    Ranker::of(label, Box::new(policy))
}

/// As [`row_local`], but that it looks at when runs of the row end, and at when the ask is made and ends.
pub fn timed() -> Ranker {
    let mut policy = Keeping::default();
    policy.descriptor.facts.clear();
    policy.descriptor.row_local = true;
    policy.descriptor.columns[2].id = registry::COLUMN_LATEST_END;
    policy.descriptor.demands.extend([
        registry::DEMAND_ATTRS + registry::ATTR_NOW,
        registry::DEMAND_ATTRS + registry::ATTR_EXPECTED_END,
    ]);
    let label = PolicyLabel {
        generation: 5,
        ..keeping().label().clone()
    };
    Ranker::of(label, Box::new(policy))
}

/// One that sees two candidates.
pub fn sampling() -> Ranker {
    let mut policy = Keeping::default();
    policy.descriptor.max_rows = 2;
    let label = PolicyLabel {
        generation: 6,
        ..keeping().label().clone()
    };
    Ranker::of(label, Box::new(policy))
}

/// As [`keeping`], but that the project's runs are those in the row's pod.
pub fn over_pods() -> Ranker {
    let mut policy = Keeping::default();
    policy.descriptor.facts = vec![registry::FACT_SAME_PROJECT_IN_POD];
    policy.descriptor.row_local = true;
    Ranker::of(keeping().label().clone(), Box::new(policy))
}

/// Something that happens between two asks.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    kind: u8,
    which: usize,
}

pub fn changes() -> impl Strategy<Value = Change> {
    (0u8..14, 0usize..10).prop_map(|(kind, which)| Change { kind, which })
}

impl Change {
    /// After step `step`; runs and volumes of the steps before have their numbers.
    pub fn updates(self, step: u128, hosts: &[HostRow], pools: &[PoolRow]) -> Vec<Update> {
        let host = &hosts[self.which % hosts.len()];
        let before = step.saturating_sub(self.which as u128);
        let pool = (!pools.is_empty()).then(|| &pools[self.which % pools.len()]);
        match self.kind {
            0 => vec![Update::RunGone(id(7, before))],
            1 => (0..3)
                .map(|disk| Update::VolumeGone(id(8, before * 8 + disk)))
                .collect(),
            2 => (0..3)
                .map(|disk| Update::LayerGone(id(9, before * 8 + disk)))
                .collect(),
            3 => vec![Update::HostSeen {
                id: host.id,
                state: HostState::Down,
            }],
            4 => vec![Update::HostSeen {
                id: host.id,
                state: HostState::Up,
            }],
            5 => vec![Update::Host(Box::new(HostRow {
                attributes: BTreeMap::from([(name("power"), self.which as u32)]),
                attachment_kinds: vec![1 + self.which as u16 % 3],
                ..host.clone()
            }))],
            6 => vec![
                Update::HostGone(host.id),
                Update::Host(Box::new(HostRow {
                    id: id(1, 100 + step),
                    ..host.clone()
                })),
                Update::Host(Box::new(HostRow {
                    id: id(1, 200 + step),
                    ..host.clone()
                })),
            ],
            7 => pool.map_or_else(Vec::new, |pool| {
                let other = PoolRow {
                    scope: match self.which % 3 {
                        0 => PoolScope::ComputeHost(host.id),
                        1 => PoolScope::Cluster(host.cluster),
                        _ => pool.scope,
                    },
                    attachment_kinds: vec![1 + step as u16 % 3],
                    ..pool.clone()
                };
                vec![Update::Pool(Box::new(other))]
            }),
            8 => pool.map_or_else(Vec::new, |pool| vec![Update::PoolGone(pool.id)]),
            9 => vec![twofold()],
            13 => vec![Update::Host(Box::new(HostRow {
                resources: some_of(&[("gpu", self.which as u64 % 4), ("hugepages-1g", step as u64 % 3)]),
                ..host.clone()
            }))],
            of => {
                let part = match of {
                    10 => Part::Pod(host.pod),
                    11 => Part::Cluster(host.cluster),
                    _ => Part::ComputeHost(host.id),
                };
                let to = (self.which % 4 < 3).then(|| id(6, self.which as u128 % 4));
                vec![Update::Dedicated { part, to }]
            }
        }
    }
}

pub fn circumstances(inventory: &Inventory, seed: u64) -> Circumstances {
    Circumstances {
        id: id(12, 1),
        zone: id(13, 1),
        epoch: inventory.epoch(),
        seed,
        micros: 12,
        at: velum_model::Timestamp::from_micros(0),
    }
}

pub type Rows = (Vec<HostRow>, Vec<PoolRow>);
pub type HostId = ComputeHostId;
