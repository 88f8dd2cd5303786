//! `kill -9` of velum-node, of libvirtd and of single guests' QEMU, again and again, on `qemu:///system`, while they work on
//! many guests that halt at their boot sector. velumd runs on. A kill counts when the node's own log says that an effect
//! (for QEMU: one on that very guest) had passed its gate and had not ended. What was acknowledged comes to an end; domains
//! and files are what the books say; a guest that died is seen, and can be stopped; at last nothing is left.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use futures::future::join_all;
use uuid::Uuid;
use velum_client::{Client, ClientError, Filter};
use velum_support::{
    Aim, Chance, Image, Libvirtd, RealCloud, RealOptions, Report, Traces, World, WorldOptions,
    assert_books_empty, destroy_all, kill_guest, run_until_idle,
};
use velum_wire::{
    CreateDiskOfferingBody, CreateVolumeBody, InstanceState, InstanceView, ObservedState, OperationState,
    VolumeKind, VolumeState, VolumeView,
};

/// Kills velum-node in the middle of effects.
#[derive(Debug, Parser)]
struct Arguments {
    /// Kills of velum-node that hit an effect in flight.
    #[arg(long, default_value_t = 40)]
    kills: u32,
    /// Kills of libvirtd that do.
    #[arg(long, default_value_t = 8)]
    libvirtd: u32,
    /// Kills of a guest's QEMU that hit an effect on that guest.
    #[arg(long, default_value_t = 8)]
    guests: u32,
    /// Requests of one round.
    #[arg(long, default_value_t = 6)]
    requests: usize,
    /// Instances kept at most.
    #[arg(long, default_value_t = 10)]
    instances: usize,
    /// Data volumes kept at most.
    #[arg(long, default_value_t = 6)]
    volumes: usize,
    /// Kills between two audits.
    #[arg(long, default_value_t = 8)]
    audit: u32,
    /// Where the chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// All that is under way ends within this once the node stays alive.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// Ten looks at the compute host.
const SWEPT_WITHIN: Duration = Duration::from_secs(10);
/// Three looks at the compute host.
const SEEN_WITHIN: Duration = Duration::from_secs(3);
/// What does not wait for libvirtd ends within this.
const FROZEN: Duration = Duration::from_millis(100);
/// A round whose requests lead to no effect within this is no round: all of them were refused.
const BEGUN_WITHIN: Duration = Duration::from_secs(5);

/// An acknowledged request.
#[derive(Clone, Debug)]
struct Acknowledged {
    operation: Uuid,
    verb: &'static str,
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Node,
    Libvirtd,
    Guest,
}

#[derive(Default)]
struct Tally {
    kills: u32,
    effective: BTreeMap<Victim, u32>,
    /// Runs whose QEMU was killed since the last audit.
    dead: BTreeSet<String>,
    /// Instances that ran and were seen to be off.
    seen_off: u32,
    in_flight: usize,
    acknowledged: Vec<Acknowledged>,
    ended: BTreeMap<String, u32>,
    audits: u32,
    slowest: Duration,
    problems: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let mut cloud = RealCloud::start(RealOptions {
        name: "node-kill",
        config: "[operations]\nbackoff_ms = 200\n\n[observe]\nevery_ms = 1000\n".into(),
        vcpus: 64,
        tls: false,
    })
    .await?;
    let client = cloud.client()?;
    let world = world(&cloud, &client).await?;
    let mut tally = Tally::default();
    let mut chance = Chance(arguments.seed);
    let mut libvirtd = Libvirtd::default();
    let wanted = [
        (Victim::Node, arguments.kills),
        (Victim::Libvirtd, arguments.libvirtd),
        (Victim::Guest, arguments.guests),
    ];
    let mut round = 0;
    for (victim, wanted) in wanted {
        // A kill that hits nothing in flight does not count; a few times the wanted number must be enough.
        for _ in 0..wanted * 5 {
            if tally.effective.get(&victim) >= Some(&wanted) {
                break;
            }
            let kill = (victim, &mut libvirtd);
            one_kill(
                &mut cloud,
                &world,
                (&arguments, round),
                kill,
                &mut chance,
                &mut tally,
            )
            .await
            .with_context(|| format!("kill {round} of {victim:?} (seed {})", arguments.seed))?;
            round += 1;
            if tally.kills.is_multiple_of(arguments.audit) {
                audit(&cloud, &client, &mut tally).await?;
            }
        }
        audit(&cloud, &client, &mut tally).await?;
    }
    let left = nothing_is_left(&cloud, &client, &world).await?;
    tally.problems.extend(left);
    let late = cloud
        .node
        .printed()
        .matches("removed a definition that came after")
        .count();
    let report = report(&arguments, &tally, &wanted)?;
    Ok(report
        .with("late_definitions_removed", late)
        .with("elapsed_s", began.elapsed().as_secs())
        .print())
}

fn report(arguments: &Arguments, tally: &Tally, wanted: &[(Victim, u32)]) -> anyhow::Result<Report> {
    let effective = |victim| tally.effective.get(&victim).copied().unwrap_or_default();
    Ok(Report::new(
        "node-kill",
        tally.problems.len() as f64,
        "violations",
        Aim::AtMost(0.0),
    )
    .with("effective_kills", effective(Victim::Node))
    .with("effective_kills_of_libvirtd", effective(Victim::Libvirtd))
    .with("effective_kills_of_guests", effective(Victim::Guest))
    .with("guests_seen_off", tally.seen_off)
    .with("kills", tally.kills)
    .with("effects_in_flight_at_kills", tally.in_flight)
    .with("acknowledged", tally.ended.values().sum::<u32>())
    .with("ended", serde_json::to_value(&tally.ended)?)
    .with("audits", tally.audits)
    .with("slowest_settling_ms", tally.slowest.as_millis() as u64)
    .with("seed", arguments.seed)
    .with("problems", tally.problems.clone())
    .require(
        "every_kill_counted",
        wanted
            .iter()
            .all(|(victim, wanted)| effective(*victim) >= *wanted),
    ))
}

/// The zone, and a disk offering.
async fn world(cloud: &RealCloud, client: &Client) -> anyhow::Result<(World, Uuid)> {
    let options = WorldOptions {
        zone: 200,
        hosts: 1,
        addresses: ("10.200.0.10".into(), "10.200.0.250".into()),
        memory_mib: 32,
        ..WorldOptions::default()
    };
    let world = World::build_on(client, &cloud.ground(), &options, Image::halting()).await?;
    let disks = CreateDiskOfferingBody {
        name: "small".into(),
        size_bytes: Some(1 << 20),
        storage_tags: Vec::new(),
    };
    let disks = client.disk_offerings().create(&disks).await?.value.id;
    Ok((world, disks))
}

async fn one_kill(
    cloud: &mut RealCloud,
    world: &(World, Uuid),
    (arguments, round): (&Arguments, u32),
    (victim, libvirtd): (Victim, &mut Libvirtd),
    chance: &mut Chance,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let client = cloud.client()?;
    let before = Effects::read(&cloud.node_printed()).begun;
    let asks = choose(&client, (arguments, round), chance).await?;
    let answers = join_all(asks.iter().map(|ask| ask.send(&client, world))).await;
    tally.acknowledged.extend(answers.into_iter().flatten());
    // It dies at the n-th effect from now, or a moment after it.
    let wanted = before + 1 + chance.below(8) as usize;
    let began = Instant::now();
    while Effects::read(&cloud.node_printed()).begun < wanted && began.elapsed() < BEGUN_WITHIN {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_micros(chance.below(20_000))).await;
    tally.kills += 1;
    let in_flight = match victim {
        Victim::Node => {
            cloud.node.kill();
            Effects::read(&cloud.node_printed()).in_flight.len()
        }
        Victim::Libvirtd => {
            libvirtd.freeze()?;
            // What waits for it now gets no answer; what did not, ends.
            tokio::time::sleep(FROZEN).await;
            let in_flight = Effects::read(&cloud.node_printed()).in_flight.len();
            libvirtd.kill_and_start()?;
            in_flight
        }
        Victim::Guest => {
            let instances = client.instances().all(&Filter::new()).await?;
            let objects = Effects::read(&cloud.node_printed()).in_flight;
            let objects: BTreeSet<String> = objects.into_values().collect();
            let mut hit = 0;
            for instance in instances.iter().filter(|i| objects.contains(&i.id.to_string())) {
                let Some(run) = instance.run.as_ref().map(|run| run.id.to_string()) else {
                    continue;
                };
                if kill_guest(&run)? {
                    hit += 1;
                    tally.dead.insert(run);
                }
            }
            hit
        }
    };
    tally.in_flight += in_flight;
    *tally.effective.entry(victim).or_default() += u32::from(in_flight > 0);
    match victim {
        Victim::Node => cloud.restart_node().await,
        Victim::Libvirtd | Victim::Guest => Ok(()),
    }
}

/// What the node's log says of effects.
#[derive(Default)]
struct Effects {
    begun: usize,
    /// What each that has not ended works on.
    in_flight: BTreeMap<String, String>,
}

/// A field of a line of the log.
fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    line.split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

impl Effects {
    fn read(log: &str) -> Self {
        let mut found = Self::default();
        for line in log.lines() {
            let effect = field(line, "effect").unwrap_or_default().to_owned();
            if line.contains(" an effect begins ") {
                found.begun += 1;
                let object = field(line, "object").unwrap_or_default();
                found.in_flight.insert(effect, object.to_owned());
            } else if line.contains(" an effect ended ") {
                found.in_flight.remove(&effect);
            }
        }
        found
    }
}

/// A request to be sent.
#[derive(Debug)]
enum Ask {
    Create(String),
    Stop(Uuid),
    Start(Uuid),
    Reset(Uuid),
    Destroy(Uuid),
    CreateVolume(String),
    Attach(Uuid, Uuid),
    Detach(Uuid),
    DeleteVolume(Uuid),
}

/// Requests of kinds that the states allow, each about something else.
async fn choose(
    client: &Client,
    (arguments, round): (&Arguments, u32),
    chance: &mut Chance,
) -> anyhow::Result<Vec<Ask>> {
    let mut instances = client.instances().all(&Filter::new()).await?;
    let all = client.volumes().all(&Filter::new()).await?;
    let mut volumes: Vec<VolumeView> = all.into_iter().filter(|v| v.kind == VolumeKind::Data).collect();
    let (mut machines, mut disks) = (instances.len(), volumes.len());
    let mut asks = Vec::new();
    for number in 0..arguments.requests {
        match chance.below(10) {
            0..3 if machines < arguments.instances => {
                machines += 1;
                asks.push(Ask::Create(format!("n{round}-{number}")));
            }
            3 if disks < arguments.volumes => {
                disks += 1;
                asks.push(Ask::CreateVolume(format!("d{round}-{number}")));
            }
            4 | 5 if !volumes.is_empty() => {
                let volume = volumes.swap_remove(chance.below(volumes.len() as u64) as usize);
                asks.extend(of_volume(&volume, &mut instances, chance));
            }
            _ if !instances.is_empty() => {
                let instance = instances.swap_remove(chance.below(instances.len() as u64) as usize);
                asks.extend(of_instance(&instance, chance));
            }
            _ => {}
        }
    }
    Ok(asks)
}

fn of_instance(instance: &InstanceView, chance: &mut Chance) -> Option<Ask> {
    let id = instance.id;
    match (instance.state, chance.below(4)) {
        (InstanceState::Running, 0) | (InstanceState::Stopped, 0) | (InstanceState::Creating, 0) => {
            Some(Ask::Destroy(id))
        }
        (InstanceState::Running, 1) => Some(Ask::Reset(id)),
        (InstanceState::Running, _) => Some(Ask::Stop(id)),
        (InstanceState::Stopped, _) => Some(Ask::Start(id)),
        _ => None,
    }
}

/// A guest that halted lets no disk go: only stopped ones are asked to.
fn of_volume(volume: &VolumeView, instances: &mut Vec<InstanceView>, chance: &mut Chance) -> Option<Ask> {
    let VolumeState::Ready = volume.state else {
        return None;
    };
    let holder = volume.attachment.as_ref().map(|a| a.instance_id);
    if let Some(holder) = holder {
        let at = instances
            .iter()
            .position(|i| i.id == holder && i.state == InstanceState::Stopped)?;
        instances.swap_remove(at);
        return Some(Ask::Detach(volume.id));
    }
    if chance.below(3) == 0 {
        return Some(Ask::DeleteVolume(volume.id));
    }
    let at = instances
        .iter()
        .position(|i| matches!(i.state, InstanceState::Running | InstanceState::Stopped))?;
    Some(Ask::Attach(volume.id, instances.swap_remove(at).id))
}

impl Ask {
    /// Sends it. None when it is refused: only answers are promises.
    async fn send(&self, client: &Client, (world, disks): &(World, Uuid)) -> Option<Acknowledged> {
        let (verb, operation) = match self {
            Self::Create(name) => {
                let made = client.instances().create(&world.instance(name)).await;
                ("create", made.ok()?.operation)
            }
            Self::Stop(id) => (
                "stop",
                client.instances().stop_within(*id, 0).await.ok()?.operation,
            ),
            Self::Start(id) => ("start", client.instances().start(*id).await.ok()?.operation),
            Self::Reset(id) => ("reset", client.instances().reset(*id).await.ok()?.operation),
            Self::Destroy(id) => ("destroy", client.instances().delete(*id).await.ok()?),
            Self::CreateVolume(name) => {
                let body = CreateVolumeBody {
                    zone_id: world.zone,
                    name: name.clone(),
                    disk_offering_id: *disks,
                    size_bytes: None,
                };
                (
                    "create-volume",
                    client.volumes().create(&body).await.ok()?.operation,
                )
            }
            Self::Attach(volume, instance) => {
                let attached = client.volumes().attach(*volume, *instance).await;
                ("attach", attached.ok()?.operation)
            }
            Self::Detach(id) => ("detach", client.volumes().detach(*id).await.ok()?.operation),
            Self::DeleteVolume(id) => ("delete-volume", client.volumes().delete(*id).await.ok()?),
        };
        Some(Acknowledged {
            operation: operation?,
            verb,
        })
    }
}

/// Waits until all has settled; then every acknowledged operation has ended, and the machine is as the books say.
async fn audit(cloud: &RealCloud, client: &Client, tally: &mut Tally) -> anyhow::Result<()> {
    let began = Instant::now();
    run_until_idle(client, SETTLED_WITHIN).await?;
    tally.slowest = tally.slowest.max(began.elapsed());
    tally.audits += 1;
    let mut problems = Vec::new();
    for ack in std::mem::take(&mut tally.acknowledged) {
        let state = match client.operations().get(ack.operation).await {
            Ok(operation) => {
                if !matches!(operation.state, OperationState::Done | OperationState::Undone) {
                    problems.push(format!("{ack:?} did not end: {operation:#?}"));
                }
                operation.state
            }
            Err(ClientError::Problem(problem)) => {
                problems.push(format!("{ack:?} was acknowledged and is lost: {problem:?}"));
                continue;
            }
            Err(other) => return Err(other.into()),
        };
        *tally.ended.entry(format!("{} {state:?}", ack.verb)).or_default() += 1;
    }
    tally.seen_off += take_down_the_dead(client, std::mem::take(&mut tally.dead)).await?;
    problems.extend(differences(cloud, client).await?);
    eprintln!(
        "{} kills, effective: {:?}, {} effects in flight; settled in {:?}; problems: {problems:#?}",
        tally.kills,
        tally.effective,
        tally.in_flight,
        began.elapsed()
    );
    anyhow::ensure!(problems.is_empty(), "{problems:#?}");
    Ok(())
}

/// A guest that died while its instance is to run is seen to be off; then its instance is stopped, as a person would.
/// Answers how many there were.
async fn take_down_the_dead(client: &Client, dead: BTreeSet<String>) -> anyhow::Result<u32> {
    let mut taken = 0;
    for run in dead {
        let began = Instant::now();
        loop {
            let instances = client.instances().all(&Filter::new()).await?;
            let of_run = |i: &&InstanceView| i.run.as_ref().is_some_and(|r| r.id.to_string() == run);
            let Some(instance) = instances.iter().find(of_run) else {
                break;
            };
            // What was under way when it died may have started it anew.
            let is_off = instance
                .run
                .as_ref()
                .is_some_and(|r| r.observed == ObservedState::Off);
            if is_off && instance.state == InstanceState::Running {
                let stopped = client.instances().stop_within(instance.id, 0).await?;
                let outcome = client.wait(stopped.operation.context("an operation")?).await?;
                anyhow::ensure!(outcome.is_done(), "{:#?}", outcome.view());
                taken += 1;
                break;
            }
            if began.elapsed() > SEEN_WITHIN {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(taken)
}

/// What is there against the books. libvirtd may still finish what a dead node had asked of it; what comes so late goes
/// with the next look at the compute host.
async fn differences(cloud: &RealCloud, client: &Client) -> anyhow::Result<Vec<String>> {
    let began = Instant::now();
    loop {
        let found = cloud.traces()?.differences(client, 1).await?;
        if found.is_empty() || began.elapsed() > SWEPT_WITHIN {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Destroys all; answers what is left.
async fn nothing_is_left(
    cloud: &RealCloud,
    client: &Client,
    (world, _): &(World, Uuid),
) -> anyhow::Result<Vec<String>> {
    destroy_all(client).await?;
    let mut under_way = Vec::new();
    for volume in client.volumes().all(&Filter::new()).await? {
        under_way.extend(client.volumes().delete(volume.id).await?);
    }
    under_way.extend(client.templates().delete(world.template).await?);
    for operation in under_way {
        let outcome = client.wait(operation).await?;
        anyhow::ensure!(outcome.is_done(), "{:#?}", outcome.view());
    }
    assert_books_empty(client).await?;
    let traces = cloud.traces()?;
    let expected = Traces {
        links: traces.links.clone(),
        has_bridge: true,
        ..Traces::default()
    };
    let mut left = BTreeSet::new();
    if traces != expected {
        left.insert(format!("{traces:#?}"));
    }
    let pool = client.storage_pools().get(world.pool).await?;
    if pool.used_bytes != 0 {
        left.insert(format!("the pool has {} bytes promised", pool.used_bytes));
    }
    Ok(left.into_iter().collect())
}
