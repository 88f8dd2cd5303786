//! Several servers on one PostgreSQL under a steady load through all of them, while one after another is cut off, killed
//! and frozen. A fault counts when the server that it hit owned a shard with operations under way and another server took
//! every shard of it over. No request that was acknowledged may be lost, nothing claimed twice, no zone without an owner for
//! more than 5 s, and a server that comes back from the past commits nothing under an epoch that is over.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinSet};
use uuid::Uuid;
use velum_client::{Client, ClientError, Filter};
use velum_support::{
    Aim, Chance, CloudOptions, Cut, Ground, HeldShard, Image, Report, Servers, ServersOptions, World,
    WorldOptions, run_until_idle,
};
use velum_wire::{InstanceState, InstanceView};

/// Cuts servers off, kills and freezes them under load.
#[derive(Debug, Parser)]
struct Arguments {
    /// Servers that are cut off, every second one from the database alone.
    #[arg(long, default_value_t = 20, default_value_if("release_size", "true", "500"))]
    partitions: u32,
    /// As many as before a release: 500.
    #[arg(long)]
    release_size: bool,
    /// Servers that are killed.
    #[arg(long, default_value_t = 3)]
    kills: u32,
    /// Servers that are frozen for longer than a lease.
    #[arg(long, default_value_t = 3)]
    stops: u32,
    /// Simulated compute hosts, spread over the zones.
    #[arg(long, default_value_t = 1000)]
    hosts: u32,
    /// Where the chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What the servers log, in the syntax of their `log.filter`.
    #[arg(long, default_value = "info")]
    log: String,
}

const SERVERS: usize = 3;
const ZONES: usize = 3;
/// The longest that a zone may be without an owner, as whoever asks for an instance sees it.
const GAP: Duration = Duration::from_secs(5);
/// What is told of on the way: a zone whose owner is well answers in a small part of it.
const LONG: Duration = Duration::from_secs(1);
/// Another server must have taken over by then, or the fault hit nothing.
const TAKEN_OVER_IN: Duration = Duration::from_secs(15);
/// Between two looks at the rows of shards: each starts a program, on cores that the servers need.
const LOOK: Duration = Duration::from_millis(100);
/// Instances that one worker keeps.
const KEPT: usize = 4;
/// Between two requests of a worker: the load is steady, and leaves the machine time for what is tested.
const PAUSE: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Partition(Cut),
    Kill,
    Stop,
}

/// What the workers did and saw.
struct Ledger {
    /// Acknowledged: instance by operation, and whether it was a destroy.
    acknowledged: Mutex<Vec<(Uuid, Uuid, bool)>>,
    /// How long each zone took no instance, whoever was asked.
    zones: Vec<Mutex<Gaps>>,
    /// How long each zone took none through one server, by zone and server.
    paths: Vec<Vec<Mutex<Gaps>>>,
    refused: AtomicUsize,
    /// Answers that say that the server itself is at fault (500).
    internal: AtomicUsize,
    /// The server that is at fault now; none is `usize::MAX`.
    victim: AtomicUsize,
    /// How often each server was cut off, told when it is no more.
    reached_again: Vec<watch::Sender<u32>>,
    over: AtomicBool,
}

/// Times between instances that were accepted.
struct Gaps {
    last: Instant,
    longest: Duration,
}

impl Gaps {
    fn new() -> Self {
        Self {
            last: Instant::now(),
            longest: Duration::ZERO,
        }
    }

    /// One was accepted. Answers for how long none was.
    fn accepted(&mut self) -> Duration {
        let gap = self.last.elapsed();
        self.longest = self.longest.max(gap);
        self.last = Instant::now();
        gap
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let arguments = Arguments::parse();
    let options = ServersOptions {
        servers: SERVERS,
        cloud: CloudOptions {
            hosts: arguments.hosts,
            zones: ZONES as u32,
            latency_ms: 100,
            config: format!("[log]\nfilter = {:?}\n", arguments.log),
            ..CloudOptions::default()
        },
    };
    let mut servers = Servers::start(&options).await?;
    let worlds = build(&servers, arguments.hosts / ZONES as u32).await?;
    spread(&servers).await?;
    let built = began.elapsed();
    let ledger = Arc::new(Ledger::new());
    let load = load(&servers, &worlds, &ledger)?;
    let mut tally = Tally::default();
    let mut chance = Chance(arguments.seed);
    for (number, fault) in faults(&arguments, &mut chance).into_iter().enumerate() {
        inject(&mut servers, fault, &ledger, &mut chance, &mut tally)
            .await
            .with_context(|| format!("fault {number}, {fault:?} (seed {})", arguments.seed))?;
    }
    let faults_over = began.elapsed();
    ledger.end();
    let mut workers = load;
    while let Some(ended) = workers.join_next().await {
        ended.context("a worker failed")?;
    }
    check(&mut servers, &ledger, &mut tally).await?;
    eprintln!(
        "built after {} s, the last fault was over after {} s, all was checked after {} s",
        built.as_secs(),
        faults_over.as_secs(),
        began.elapsed().as_secs()
    );
    Ok(report(&arguments, &ledger, tally))
}

#[derive(Default)]
struct Tally {
    partitions: u32,
    kills: u32,
    stops: u32,
    late_commits: u64,
    refused_commits: u64,
    problems: Vec<String>,
}

fn report(arguments: &Arguments, ledger: &Ledger, tally: Tally) -> ExitCode {
    let longest = ledger.zones.iter().map(|gaps| gaps.lock().longest);
    let longest = longest.max().unwrap_or_default();
    let through_one = ledger.paths.iter().flatten().map(|gaps| gaps.lock().longest);
    let through_one = through_one.max().unwrap_or_default();
    let internal = ledger.internal.load(Ordering::Relaxed);
    let faults = (tally.partitions, tally.kills, tally.stops);
    Report::new(
        "servers",
        tally.problems.len() as f64,
        "violations",
        Aim::AtMost(0.0),
    )
    .with("release_size", arguments.release_size)
    .with("partitions", tally.partitions)
    .with("kills", tally.kills)
    .with("stops", tally.stops)
    .with("longest_gap_ms", longest.as_millis() as u64)
    .with(
        "longest_gap_through_one_server_ms",
        through_one.as_millis() as u64,
    )
    .with("acknowledged", ledger.acknowledged.lock().len())
    .with("not_acknowledged", ledger.refused.load(Ordering::Relaxed))
    .with("refused_commits", tally.refused_commits)
    .with("late_commits", tally.late_commits)
    .with("hosts", arguments.hosts)
    .with("seed", arguments.seed)
    .with("problems", tally.problems.clone())
    .require(
        "every_fault_hit",
        faults == (arguments.partitions, arguments.kills, arguments.stops),
    )
    .require("every_zone_had_an_owner_within_5_s", longest <= GAP)
    .require("through_every_server_that_was_well", through_one <= GAP)
    .require("no_answer_blamed_the_server", internal == 0)
    .print()
}

/// A zone for each of the far side's, built through different servers.
async fn build(servers: &Servers, hosts: u32) -> anyhow::Result<Vec<World>> {
    let ground = Ground::Simulated(servers.sim_url().to_owned());
    let mut worlds = Vec::new();
    for zone in 1..=ZONES as u32 {
        let client = servers.client((zone as usize - 1) % SERVERS)?;
        let options = WorldOptions {
            zone,
            hosts,
            addresses: (format!("10.{zone}.0.10"), format!("10.{zone}.255.250")),
            ..WorldOptions::default()
        };
        worlds.push(World::build_on(&client, &ground, &options, Image::noise()).await?);
    }
    Ok(worlds)
}

/// Waits until every server owns a shard.
async fn spread(servers: &Servers) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let shards = servers.shards()?;
        let holders: BTreeSet<&str> = shards.iter().map(|held| held.holder.as_str()).collect();
        if holders.len() == SERVERS && !holders.contains("") {
            return Ok(());
        }
        anyhow::ensure!(
            began.elapsed() < TAKEN_OVER_IN,
            "the shards do not spread over the servers: {shards:?}"
        );
        tokio::time::sleep(LOOK).await;
    }
}

/// The faults in some order, kinds mixed.
fn faults(arguments: &Arguments, chance: &mut Chance) -> Vec<Fault> {
    let mut faults = Vec::new();
    for number in 0..arguments.partitions {
        let cut = if number % 2 == 0 { Cut::All } else { Cut::Database };
        faults.push(Fault::Partition(cut));
    }
    faults.extend((0..arguments.kills).map(|_| Fault::Kill));
    faults.extend((0..arguments.stops).map(|_| Fault::Stop));
    for last in (1..faults.len()).rev() {
        faults.swap(last, chance.below(last as u64 + 1) as usize);
    }
    faults
}

/// A worker for each zone and server.
fn load(servers: &Servers, worlds: &[World], ledger: &Arc<Ledger>) -> anyhow::Result<JoinSet<()>> {
    let mut workers = JoinSet::new();
    for (zone, world) in worlds.iter().enumerate() {
        for server in 0..servers.count() {
            let fresh = servers.impatient(server)?;
            let (world, ledger) = (world.clone(), Arc::clone(ledger));
            workers.spawn(async move { work(fresh, &world, (zone, server), &ledger).await });
        }
    }
    Ok(workers)
}

/// Creates through one server, each time without waiting for the destroy of an older one: how long a zone takes no instance
/// is seen by whoever asks for one, and all ask all the time, so that a request that hangs at one server hides nothing
/// and adds nothing. Only answers are promises. What was asked of a server that was cut off waits longer and longer between two
/// tries of this machine's TCP, for many times as long as the server was away: it is given up with the connection.
async fn work(
    fresh: impl Fn() -> Result<Client, ClientError>,
    world: &World,
    (zone, server): (usize, usize),
    ledger: &Arc<Ledger>,
) {
    let mut kept: VecDeque<Uuid> = VecDeque::new();
    let mut destroys = JoinSet::new();
    let mut number = 0_u32;
    let (Ok(mut client), Some(reached_again)) = (fresh(), ledger.reached_again.get(server)) else {
        return;
    };
    let mut reached_again = reached_again.subscribe();
    while !ledger.over.load(Ordering::Relaxed) {
        number += 1;
        let body = world.instance(&format!("w{zone}-{server}-{number}"));
        let asked = Instant::now();
        let instances = client.instances();
        let answered = tokio::select! {
            answered = instances.create(&body) => Some(answered),
            _ = reached_again.changed() => None,
        };
        let Some(answered) = answered else {
            client = fresh().unwrap_or(client);
            continue;
        };
        match answered {
            Ok(made) => {
                ledger.accepted((zone, server), asked);
                kept.push_back(made.value.id);
                ledger.acknowledge(made.operation, made.value.id, false);
            }
            Err(error) => ledger.note((zone, server), asked, &error),
        }
        while destroys.try_join_next().is_some() {}
        if kept.len() > KEPT
            && destroys.len() < KEPT
            && let Some(id) = kept.pop_front()
        {
            let (client, ledger) = (client.clone(), Arc::clone(ledger));
            destroys.spawn(async move {
                let asked = Instant::now();
                match client.instances().delete(id).await {
                    Ok(operation) => ledger.acknowledge(operation, id, true),
                    Err(error) => ledger.note((zone, server), asked, &error),
                }
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
    while destroys.join_next().await.is_some() {}
}

/// The time of the day, UTC, as the servers' logs have it (`VELUM_LOGS`).
#[expect(
    clippy::disallowed_methods,
    reason = "to be found again in the logs of real processes; nothing is measured with it"
)]
fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ms = since.unwrap_or_default().as_millis() % 86_400_000;
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

impl Ledger {
    fn new() -> Self {
        let gaps = || Mutex::new(Gaps::new());
        Self {
            acknowledged: Mutex::default(),
            zones: (0..ZONES).map(|_| gaps()).collect(),
            paths: (0..ZONES)
                .map(|_| (0..SERVERS).map(|_| gaps()).collect())
                .collect(),
            refused: AtomicUsize::new(0),
            internal: AtomicUsize::new(0),
            victim: AtomicUsize::new(usize::MAX),
            reached_again: (0..SERVERS).map(|_| watch::Sender::default()).collect(),
            over: AtomicBool::new(false),
        }
    }

    /// The load is over: what no zone took until now counts.
    fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        let all = self.zones.iter().chain(self.paths.iter().flatten());
        all.for_each(|gaps| {
            gaps.lock().accepted();
        });
    }

    fn acknowledge(&self, operation: Option<Uuid>, instance: Uuid, is_destroy: bool) {
        if let Some(operation) = operation {
            self.acknowledged.lock().push((operation, instance, is_destroy));
        }
    }

    /// A zone took an instance through a server.
    fn accepted(&self, (zone, server): (usize, usize), asked: Instant) {
        let Some(all) = self.zones.get(zone) else { return };
        let gap = all.lock().accepted();
        if gap > LONG {
            eprintln!(
                "{}: zone {zone} took no instance for {} ms; this one was asked of server {server} {} ms ago",
                now(),
                gap.as_millis(),
                asked.elapsed().as_millis()
            );
        }
        if let Some(path) = self.paths.get(zone).and_then(|paths| paths.get(server))
            && self.victim.load(Ordering::Relaxed) != server
        {
            let gap = path.lock().accepted();
            if gap > GAP {
                eprintln!(
                    "{}: zone {zone} took no instance through server {server} for {} ms; this one was asked {} ms ago",
                    now(),
                    gap.as_millis(),
                    asked.elapsed().as_millis()
                );
            }
        }
    }

    /// A server is at fault from now on; none is any more, and what was asked of it may still be on its way to it.
    fn blame(&self, victim: Option<usize>, is_held_back: bool) {
        // What it did not answer until now it did not answer while it was well.
        if let Some(victim) = victim {
            for path in self.paths.iter().filter_map(|paths| paths.get(victim)) {
                path.lock().accepted();
            }
        }
        let before = self.victim.swap(victim.unwrap_or(usize::MAX), Ordering::Relaxed);
        // What was asked of it meanwhile says nothing about servers that are well.
        for path in self.paths.iter().filter_map(|paths| paths.get(before)) {
            path.lock().last = Instant::now();
        }
        if let Some(reached_again) = self.reached_again.get(before).filter(|_| is_held_back) {
            reached_again.send_modify(|times| *times += 1);
        }
    }

    fn note(&self, (zone, server): (usize, usize), asked: Instant, error: &ClientError) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let is_internal = matches!(error, ClientError::Problem(problem) if problem.status == 500);
        self.internal
            .fetch_add(usize::from(is_internal), Ordering::Relaxed);
        if !matches!(error, ClientError::Unreachable { .. }) {
            eprintln!(
                "{}: server {server} did not take an instance of zone {zone} in {} ms: {error}",
                now(),
                asked.elapsed().as_millis()
            );
        }
    }
}

/// One fault from its beginning to its end.
async fn inject(
    servers: &mut Servers,
    fault: Fault,
    ledger: &Ledger,
    chance: &mut Chance,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let (victim, lost) = choose(servers, chance).await?;
    ledger.blame(Some(victim), false);
    let at = now();
    match fault {
        Fault::Partition(cut) => servers.cut(victim, cut)?,
        Fault::Kill => servers.kill(victim)?,
        Fault::Stop => servers.freeze(victim)?,
    }
    let began = Instant::now();
    taken_over(servers, victim, &lost).await?;
    let took = began.elapsed();
    // A moment in which the new owners work under their epochs before the old one is back.
    tokio::time::sleep(Duration::from_millis(100 + chance.below(400))).await;
    match fault {
        Fault::Partition(cut) => {
            servers.heal(victim, cut)?;
            tally.partitions += 1;
        }
        Fault::Kill => {
            servers.restart(victim).await?;
            tally.kills += 1;
        }
        Fault::Stop => {
            servers.thaw(victim)?;
            tally.stops += 1;
        }
    }
    let healed = began.elapsed();
    spread(servers).await.context("after the fault")?;
    ledger.blame(None, fault == Fault::Partition(Cut::All));
    let under_way: u64 = lost.iter().map(|held| held.under_way).sum();
    eprintln!(
        "{at}: {fault:?} of server {victim} with {under_way} operations under way: taken over in {} ms, let go after \
         {} ms, an owner again after {} ms",
        took.as_millis(),
        healed.as_millis(),
        began.elapsed().as_millis()
    );
    Ok(())
}

/// A server that owns shards with operations under way, and these.
async fn choose(servers: &Servers, chance: &mut Chance) -> anyhow::Result<(usize, Vec<HeldShard>)> {
    let began = Instant::now();
    loop {
        let victim = chance.below(SERVERS as u64) as usize;
        let name = servers.name(victim)?;
        let mut held = servers.shards()?;
        held.retain(|held| held.holder == name);
        if held.iter().any(|held| held.under_way > 0) {
            return Ok((victim, held));
        }
        anyhow::ensure!(
            began.elapsed() < TAKEN_OVER_IN,
            "no server has operations under way"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until other servers own every shard that the victim did, under later epochs.
async fn taken_over(servers: &Servers, victim: usize, lost: &[HeldShard]) -> anyhow::Result<()> {
    let name = servers.name(victim)?;
    let began = Instant::now();
    loop {
        let now: HashMap<String, HeldShard> = servers
            .shards()?
            .into_iter()
            .map(|held| (held.shard.clone(), held))
            .collect();
        let is_taken = |before: &HeldShard| {
            now.get(&before.shard).is_some_and(|after| {
                after.epoch > before.epoch && after.holder != name && !after.holder.is_empty()
            })
        };
        if lost.iter().all(is_taken) {
            return Ok(());
        }
        anyhow::ensure!(
            began.elapsed() < TAKEN_OVER_IN,
            "nobody took over {lost:?}; it is {now:?}"
        );
        tokio::time::sleep(LOOK).await;
    }
}

/// Everything that was acknowledged came to an end and is so on both sides, and the books are right.
async fn check(servers: &mut Servers, ledger: &Ledger, tally: &mut Tally) -> anyhow::Result<()> {
    let client = servers.client(0)?;
    run_until_idle(&client, Duration::from_secs(120)).await?;
    let parked = Filter::new().with("state", "parked");
    for operation in client.operations().all(&parked).await? {
        tally.problems.push(format!("parked: {operation:?}"));
    }
    let acknowledged = ledger.acknowledged.lock().clone();
    let ended = servers.query("SELECT id, state, COALESCE(error, '') FROM operation")?;
    let ended: HashMap<&str, (&str, &str)> = ended
        .iter()
        .filter_map(|row| {
            Some((
                row.first()?.as_str(),
                (row.get(1)?.as_str(), row.get(2)?.as_str()),
            ))
        })
        .collect();
    // Those too whose answer was lost.
    let destroyed =
        servers.query("SELECT subject FROM operation WHERE kind = 'instance-destroy' AND state = 'done'")?;
    let destroyed: BTreeSet<Uuid> = destroyed
        .iter()
        .filter_map(|row| row.first()?.parse().ok())
        .collect();
    for (operation, instance, is_destroy) in &acknowledged {
        let (state, error) = ended
            .get(operation.to_string().as_str())
            .copied()
            .unwrap_or(("lost", ""));
        // A destroy may have come before the end of the create: then that is undone.
        let is_well = state == "done" || (state == "undone" && !is_destroy && destroyed.contains(instance));
        if !is_well {
            tally.problems.push(format!(
                "operation {operation} of instance {instance} is {state}: {error}"
            ));
        }
    }
    let instances = client.instances().all(&Filter::new()).await?;
    let there: BTreeSet<Uuid> = instances.iter().map(|instance| instance.id).collect();
    for (_, instance, is_destroy) in &acknowledged {
        if *is_destroy && there.contains(instance) {
            tally
                .problems
                .push(format!("{instance} was destroyed and is there"));
        }
        if !there.contains(instance) && !destroyed.contains(instance) {
            tally
                .problems
                .push(format!("{instance} was acknowledged and is lost"));
        }
    }
    far_side(servers, &instances, tally).await?;
    books(servers, tally).await
}

/// The far side has the runs of the instances, each once, nothing else, and saw no violation.
async fn far_side(servers: &Servers, instances: &[InstanceView], tally: &mut Tally) -> anyhow::Result<()> {
    let mut runs: BTreeMap<String, u32> = BTreeMap::new();
    let audit = servers.sim_get("/sim/audit").await?;
    for run in audit
        .get("runs")
        .and_then(|runs| runs.as_array())
        .context("the audit has no runs")?
    {
        let id = run
            .get("run")
            .and_then(|id| id.as_str())
            .context("a run has no id")?;
        *runs.entry(id.to_owned()).or_default() += 1;
    }
    for instance in instances {
        let run = instance.run.as_ref().map(|run| run.id.to_string());
        let is_there = run.as_ref().and_then(|run| runs.remove(run)) == Some(1);
        if instance.state != InstanceState::Running || !is_there {
            tally.problems.push(format!(
                "{} is {:?} with run {run:?}, which the far side has not once",
                instance.name, instance.state
            ));
        }
    }
    tally.problems.extend(
        runs.keys()
            .map(|run| format!("the far side has run {run}, which nobody owns")),
    );
    let violations = audit.get("violations").and_then(|all| all.as_array());
    let violations = violations.into_iter().flatten();
    tally
        .problems
        .extend(violations.map(|v| format!("violation: {v}")));
    Ok(())
}

/// The database's own books: recounted by a server that starts, no event of an epoch after one of a later epoch, events as
/// many as were numbered.
async fn books(servers: &mut Servers, tally: &mut Tally) -> anyhow::Result<()> {
    for number in 0..servers.count() {
        tally.refused_commits += refused_commits(servers, number).await?;
    }
    let late = servers.query(
        "SELECT COUNT(*) FROM event a JOIN event b ON a.shard = b.shard AND a.seq > b.seq AND a.epoch < b.epoch",
    )?;
    tally.late_commits = late
        .first()
        .and_then(|row| row.first()?.parse().ok())
        .unwrap_or(u64::MAX);
    if tally.late_commits > 0 {
        tally.problems.push(format!(
            "{} events under an epoch that was over",
            tally.late_commits
        ));
    }
    servers.stop(0)?;
    servers.restart(0).await?;
    recounted(servers, 0).await?;
    for number in 0..servers.count() {
        let wrong = servers.log(number);
        let wrong = wrong.lines().filter(|line| line.contains("the books are wrong"));
        tally.problems.extend(wrong.map(str::to_owned));
    }
    Ok(())
}

/// Waits until a server that was started last has recounted the books.
async fn recounted(servers: &Servers, number: usize) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        // It is there once the first recount of this process has ended.
        if metrics(servers, number).await?.contains("velum_books_wrong") {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < until,
            "server {number} does not recount the books"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The metrics of a server.
async fn metrics(servers: &Servers, number: usize) -> anyhow::Result<String> {
    let asked = reqwest::Client::new()
        .get(format!("{}/metrics", servers.url(number)))
        .bearer_auth(servers.token()?);
    let answer = asked.send().await?.error_for_status()?;
    Ok(answer.text().await?)
}

/// Commits of a server that were refused because their epoch was over; of its present process.
async fn refused_commits(servers: &Servers, number: usize) -> anyhow::Result<u64> {
    let metrics = metrics(servers, number).await?;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("velum_store_fenced_total "));
    Ok(line.and_then(|count| count.trim().parse().ok()).unwrap_or(0))
}
