//! The database fails under load, and comes back: PostgreSQL is killed with its postmaster and started again; SQLite's file
//! system (192 MiB of ext4) runs full and gets room again. Meanwhile new work is refused with 503 and the reason. The server
//! is never started again: it finds back by itself, nothing acknowledged is lost, and both sides agree.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use uuid::Uuid;
use velum_client::{Client, ClientError};
use velum_support::{Aim, CloudOptions, Postgres, Report, TestCloud, World, WorldOptions};
use velum_wire::{InstanceState, OperationState};

/// Takes the database away under load.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often PostgreSQL is killed.
    #[arg(long, default_value_t = 3)]
    kills: u32,
    /// How often the disk runs full.
    #[arg(long, default_value_t = 2)]
    fills: u32,
}

/// Requests under way at the same time.
const LANES: usize = 6;
/// Between two of the same lane: some sixty a second, so that a round does not use up the simulated hosts.
const BETWEEN: Duration = Duration::from_millis(100);
/// Compute hosts of 32 vCPUs: room for all that a round makes.
const HOSTS: u32 = 32;
/// The file system under SQLite: the log alone grows to 64 MiB before it must begin again.
const DISK_BYTES: u64 = 192 << 20;
/// What is left of it when it is to run full: the log and the rows of some seconds of load.
const LEFT_BYTES: u64 = 3 << 20;
/// A server finds its database again within the writer's longest pause and a PostgreSQL's recovery; the machine may build
/// something meanwhile.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// Those who wait are kept for ten seconds before they are refused.
const REFUSED_WITHIN: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let postgres = postgres(arguments.kills)
        .await
        .context("PostgreSQL killed under load")?;
    let sqlite = sqlite(arguments.fills).await.context("a disk that runs full")?;
    let mut problems = postgres.problems.clone();
    problems.extend(sqlite.problems.clone());
    let refused = |found: &Found, faults: u32| found.refused_rounds >= faults;
    Ok(Report::new(
        "database-faults",
        problems.len() as f64,
        "violations",
        Aim::AtMost(0.0),
    )
    .with("postgres", postgres.figures())
    .with("sqlite", sqlite.figures())
    .require(
        "every_kill_was_refused_with_the_reason",
        refused(&postgres, arguments.kills),
    )
    .require(
        "every_full_disk_was_refused_with_the_reason",
        refused(&sqlite, arguments.fills),
    )
    .with("problems", problems)
    .print())
}

/// What one fault after another came to.
#[derive(Debug, Default)]
struct Found {
    faults: u32,
    acknowledged: usize,
    refused_rounds: u32,
    refused: u64,
    slowest_back: Duration,
    problems: Vec<String>,
}

impl Found {
    fn figures(&self) -> serde_json::Value {
        serde_json::json!({
            "faults": self.faults, "acknowledged": self.acknowledged, "refused": self.refused,
            "slowest_back_ms": self.slowest_back.as_millis() as u64,
        })
    }
}

/// What those who ask were told.
#[derive(Debug, Default)]
struct Told {
    /// Instances whose creation was acknowledged, with their operations.
    acknowledged: Vec<(Uuid, Uuid)>,
    /// Refusals, in words.
    refused: Vec<String>,
    /// Answers that should not be.
    wrong: Vec<String>,
}

/// Requests that go on until they are told to stop.
struct Load {
    told: Arc<Mutex<Told>>,
    is_over: Arc<AtomicBool>,
    lanes: Vec<JoinHandle<()>>,
}

impl Load {
    fn begin(client: &Client, world: &World, name: &str, user_data: &str) -> Self {
        let (told, is_over) = (
            Arc::new(Mutex::new(Told::default())),
            Arc::new(AtomicBool::new(false)),
        );
        let lanes = (0..LANES)
            .map(|lane| {
                let (client, world) = (client.clone(), world.clone());
                let (told, is_over) = (Arc::clone(&told), Arc::clone(&is_over));
                let (name, user_data) = (format!("{name}-{lane}"), user_data.to_owned());
                tokio::spawn(async move {
                    let mut n = 0;
                    while !is_over.load(Ordering::SeqCst) {
                        one(&client, &world, &format!("{name}-{n}"), &user_data, &told).await;
                        n += 1;
                        tokio::time::sleep(BETWEEN).await;
                    }
                })
            })
            .collect();
        Self { told, is_over, lanes }
    }

    fn acknowledged(&self) -> usize {
        self.told.lock().acknowledged.len()
    }

    fn refused(&self) -> usize {
        self.told.lock().refused.len()
    }

    /// Waits until a count has grown by so many.
    async fn wait(
        &self,
        count: impl Fn(&Self) -> usize,
        more: usize,
        within: Duration,
    ) -> anyhow::Result<Duration> {
        let (began, wanted) = (Instant::now(), count(self) + more);
        while count(self) < wanted {
            anyhow::ensure!(
                began.elapsed() < within,
                "{} of {wanted} after {within:?}; the last refusals: {:?}",
                count(self),
                self.told.lock().refused.iter().rev().take(3).collect::<Vec<_>>()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(began.elapsed())
    }

    async fn end(self) -> anyhow::Result<Told> {
        self.is_over.store(true, Ordering::SeqCst);
        for lane in self.lanes {
            lane.await?;
        }
        Ok(std::mem::take(&mut *self.told.lock()))
    }
}

/// Asks for an instance once.
async fn one(client: &Client, world: &World, name: &str, user_data: &str, told: &Mutex<Told>) {
    let mut body = world.instance(name);
    body.user_data = Some(user_data.to_owned());
    match client.instances().create(&body).await {
        Ok(made) => match made.operation {
            Some(operation) => told.lock().acknowledged.push((made.value.id, operation)),
            None => told
                .lock()
                .wrong
                .push(format!("{name} was accepted without an operation")),
        },
        Err(ClientError::Problem(problem)) if problem.status == 503 => {
            told.lock()
                .refused
                .push(problem.detail.clone().unwrap_or_default());
        }
        Err(error) => told.lock().wrong.push(format!("{name}: {error:?}")),
    }
}

/// Everything that was acknowledged is there and came to its end, and both sides agree.
async fn check(cloud: &TestCloud, told: &Told, found: &mut Found) -> anyhow::Result<()> {
    cloud.run_until_idle(Duration::from_secs(120)).await?;
    let client = cloud.client()?;
    for (instance, operation) in &told.acknowledged {
        match client.operations().get(*operation).await {
            Ok(operation) if operation.state == OperationState::Done => {}
            Ok(operation) => found.problems.push(format!(
                "operation {} ended as {:?}: {:?}",
                operation.id, operation.state, operation.error
            )),
            Err(error) => found.problems.push(format!(
                "operation {operation} was acknowledged and is lost: {error}"
            )),
        }
        match client.instances().get(*instance).await {
            Ok(instance) if instance.state == InstanceState::Running => {}
            Ok(instance) => found
                .problems
                .push(format!("{} is {:?}", instance.name, instance.state)),
            Err(error) => found.problems.push(format!(
                "instance {instance} was acknowledged and is lost: {error}"
            )),
        }
    }
    found.problems.extend(told.wrong.iter().cloned());
    let violations = cloud.violations().await?;
    found
        .problems
        .extend(violations.iter().map(|v| format!("violation: {v}")));
    let checked = cloud.db(&["check"])?;
    if !checked.status.success() {
        found
            .problems
            .push(String::from_utf8_lossy(&checked.stdout).into_owned());
    }
    found.acknowledged += told.acknowledged.len();
    found.refused += told.refused.len() as u64;
    Ok(())
}

/// Takes everything down, by the server that was there from the beginning.
async fn clear(cloud: &mut TestCloud, found: &mut Found) -> anyhow::Result<()> {
    velum_support::destroy_all(&cloud.client()?).await?;
    if !cloud.velumd.is_running() {
        found.problems.push("the server ended".into());
    }
    Ok(())
}

async fn start(config: String) -> anyhow::Result<(TestCloud, World)> {
    let options = CloudOptions {
        hosts: HOSTS,
        config,
        ..CloudOptions::default()
    };
    let cloud = TestCloud::start(&options).await?;
    let zone = WorldOptions {
        hosts: HOSTS,
        ..WorldOptions::default()
    };
    let world = World::build(&cloud, &zone).await?;
    Ok((cloud, world))
}

async fn postgres(kills: u32) -> anyhow::Result<Found> {
    let mut server =
        Postgres::start()?.context("PostgreSQL 15 is not installed: apt-get install postgresql")?;
    let url = server.create("velum")?;
    let (mut cloud, world) = start(format!("database = \"{url}\"\n")).await?;
    let client = cloud.client()?;
    let mut found = Found::default();
    for round in 0..kills {
        let load = Load::begin(&client, &world, &format!("r{round}"), "#cloud-config\n");
        load.wait(Load::acknowledged, 20, BACK_WITHIN).await?;
        server.kill()?;
        found.faults += 1;
        load.wait(Load::refused, 1, REFUSED_WITHIN)
            .await
            .context("nobody was refused")?;
        server.start_again()?;
        let back = load
            .wait(Load::acknowledged, 10, BACK_WITHIN)
            .await
            .context("it does not come back")?;
        found.slowest_back = found.slowest_back.max(back);
        let told = load.end().await?;
        let is_told = told
            .refused
            .iter()
            .any(|why| why.contains("the database does not"));
        found.refused_rounds += u32::from(is_told);
        check(&cloud, &told, &mut found).await?;
        clear(&mut cloud, &mut found).await?;
        eprintln!(
            "kill {round}: {} acknowledged, {} refused, back after {back:?}",
            told.acknowledged.len(),
            told.refused.len()
        );
    }
    cloud.assert_nothing_left().await?;
    Ok(found)
}

/// A file system of its own, taken away at the end.
struct Disk {
    directory: tempfile::TempDir,
}

impl Disk {
    fn mount() -> anyhow::Result<Self> {
        let own = Self {
            directory: tempfile::tempdir()?,
        };
        let image = own.directory.path().join("disk.img");
        fs::File::create(&image)?.set_len(DISK_BYTES)?;
        fs::create_dir(own.path())?;
        run(
            "mkfs.ext4",
            &["-q".as_ref(), "-m".as_ref(), "0".as_ref(), image.as_path()],
        )?;
        run(
            "mount",
            &[
                "-o".as_ref(),
                "loop".as_ref(),
                image.as_path(),
                own.path().as_path(),
            ],
        )?;
        Ok(own)
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    /// Leaves only so much room.
    fn fill(&self, left: u64) -> anyhow::Result<()> {
        let stat = rustix::fs::statvfs(self.path())?;
        let bytes = (stat.f_bavail * stat.f_frsize).saturating_sub(left);
        let file = fs::File::create(self.path().join("filler"))?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
        Ok(())
    }

    fn make_room(&self) -> anyhow::Result<()> {
        fs::remove_file(self.path().join("filler")).context("the filler is not there")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &["--lazy".as_ref(), self.path().as_path()]) {
            eprintln!("{error:#}");
        }
    }
}

fn run(program: &str, arguments: &[&Path]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{program} {arguments:?}: {said}");
    Ok(())
}

async fn sqlite(fills: u32) -> anyhow::Result<Found> {
    let disk = Disk::mount().context("a loop-mounted file system needs root")?;
    let (mut cloud, world) = start(format!(
        "database = \"sqlite:{}/velum.db\"\n",
        disk.path().display()
    ))
    .await?;
    let client = cloud.client()?;
    let mut found = Found::default();
    let user_data = "#cloud-config\n".repeat(1200);
    for round in 0..fills {
        disk.fill(LEFT_BYTES)?;
        let load = Load::begin(&client, &world, &format!("f{round}"), &user_data);
        found.faults += 1;
        load.wait(Load::refused, 3, Duration::from_secs(120))
            .await
            .context("the disk never ran full")?;
        disk.make_room()?;
        let back = load
            .wait(Load::acknowledged, 3, BACK_WITHIN)
            .await
            .context("it does not come back")?;
        found.slowest_back = found.slowest_back.max(back);
        let told = load.end().await?;
        let is_told = told
            .refused
            .iter()
            .any(|why| why.contains("disk of the database is full"));
        found.refused_rounds += u32::from(is_told);
        check(&cloud, &told, &mut found).await?;
        clear(&mut cloud, &mut found).await?;
        eprintln!(
            "fill {round}: {} acknowledged, {} refused, back after {back:?}",
            told.acknowledged.len(),
            told.refused.len()
        );
    }
    cloud.assert_nothing_left().await?;
    drop(cloud);
    Ok(found)
}
