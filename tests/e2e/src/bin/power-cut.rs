//! The power goes while velumd works on SQLite, at any moment, and with it whatever the disk had not yet been made to keep.
//!
//! A server under load is recorded: every write to its database and log, and every sync. Then it is killed, and what it
//! leaves is what a disk leaves that lost writes: any part of what was not synced, torn, in any order. The next server
//! starts on that, against the same far side, and both must agree in the end. Beside that one moment, hundreds of
//! others of the same record are cut out and looked at: each time the database must be whole, and everything that was
//! answered before that moment must be in it. Some of them are started, too.
//!
//! A judge that finds nothing proves nothing. So a disk that lies about one frame that was synced is judged the same way,
//! and must be found out.

#[path = "power-cut/cuts.rs"]
mod cuts;
#[path = "power-cut/judge.rs"]
mod judge;
#[path = "power-cut/load.rs"]
mod load;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use velum_client::{Client, Filter};
use velum_support::{
    Aim, Chance, CloudOptions, Report, TestCloud, World, WorldOptions,
    power::{Arrival, Disk, Event, Left, Recorder},
};
use velum_wire::OperationState;

use crate::{
    cuts::Record,
    judge::{judge, put},
    load::{Load, Promise, Said, wall},
};

/// Cuts the power of a server that works on SQLite.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// Cuts that are looked at.
    #[arg(long, default_value_t = 320)]
    cuts: usize,
    /// Servers that are recorded; all but the last end by a cut, and the next one starts on what is left.
    #[arg(long, default_value_t = 4)]
    rounds: usize,
    /// Answers of a round.
    #[arg(long, default_value_t = 60)]
    answers: usize,
    /// Cuts that a server is started on, beside the rounds.
    #[arg(long, default_value_t = 8)]
    starts: usize,
    /// Cuts in the middle of the very first start that a server is started on.
    #[arg(long, default_value_t = 6)]
    first_starts: usize,
    /// Disks that lie.
    #[arg(long, default_value_t = 12)]
    lies: usize,
    /// Where the chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What a server keeps beside its database and must not lose, under the names that it has while it is written, too.
const PRIVATE: [&str; 4] = ["admin.token", "admin.token.new", "server.id", "server.id.new"];
/// Those who ask at the same time.
const LANES: u64 = 6;
const HOSTS: u32 = 8;
/// A build may go on meanwhile.
const ANSWERS_WITHIN: Duration = Duration::from_secs(120);
const IDLE_WITHIN: Duration = Duration::from_secs(60);
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// Tries for a cut at the end of a round at which something is missing: now and then nothing was uncertain.
const TRIES: u32 = 20;

/// What was found.
#[derive(Debug, Default)]
struct Tally {
    cuts: BTreeMap<&'static str, usize>,
    effective: usize,
    uncertain: usize,
    dropped: usize,
    torn: usize,
    forgotten: usize,
    checkpoints: usize,
    restarts: usize,
    commits: usize,
    events: usize,
    recorded_bytes: u64,
    incomplete_records: usize,
    cuts_lived_through: usize,
    starts: usize,
    lies: usize,
    lies_found: usize,
    slowest_start: Duration,
    problems: Vec<String>,
}

/// Something that is left of a cut, to start a server on.
struct Sample {
    files: Files,
    /// The moment of the cut.
    instant: i64,
    what: String,
}

/// What the first start promised.
struct First {
    /// When it was ready.
    ready: i64,
    /// The administrator's token, which was shown.
    token: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut suite = Suite::start(arguments.clone()).await?;
    for round in 0..arguments.rounds {
        let is_last = round + 1 == arguments.rounds;
        suite
            .round(round, is_last)
            .await
            .with_context(|| format!("round {round} (seed {})", arguments.seed))?;
    }
    suite.end().await?;
    suite.start_samples().await?;
    Ok(report(&arguments, &suite.tally, &suite.promises).print())
}

fn report(arguments: &Arguments, tally: &Tally, promises: &[Promise]) -> Report {
    let cuts: usize = tally.cuts.values().sum();
    let accepted = promises
        .iter()
        .filter(|promise| promise.said != Said::Done)
        .count();
    Report::new(
        "power-cut",
        tally.problems.len() as f64,
        "violations",
        Aim::AtMost(0.0),
    )
    .with("cuts", cuts)
    .with("effective_cuts", tally.effective)
    .with("cuts_by_moment", serde_json::json!(tally.cuts))
    .with("uncertain_writes", tally.uncertain)
    .with("dropped_writes", tally.dropped)
    .with("torn_writes", tally.torn)
    .with("forgotten_names", tally.forgotten)
    .with("acknowledged", accepted)
    .with("seen_done", promises.len() - accepted)
    .with("syncs_of_the_log", tally.commits)
    .with("checkpoints", tally.checkpoints)
    .with("log_restarts", tally.restarts)
    .with("events", tally.events)
    .with("recorded_mib", tally.recorded_bytes >> 20)
    .with("cuts_lived_through", tally.cuts_lived_through)
    .with("starts", tally.starts)
    .with("slowest_start_ms", tally.slowest_start.as_millis() as u64)
    .with("lies", tally.lies)
    .with("seed", arguments.seed)
    .require("recorded_whole", tally.incomplete_records == 0)
    .require("all_cuts_made", cuts >= arguments.cuts)
    .require("most_cuts_took_something", tally.effective * 2 >= cuts)
    .require(
        "writes_were_dropped_and_torn",
        tally.dropped > 0 && tally.torn > 0,
    )
    .require("checkpoints_and_restarts_were_cut", {
        let is_cut = |kind: &str| tally.cuts.get(kind).is_some_and(|cuts| *cuts > 0);
        is_cut("checkpoints") && is_cut("restarts") && is_cut("syncs")
    })
    .require(
        "all_samples_started",
        tally.starts >= arguments.starts + arguments.first_starts,
    )
    .require(
        "a_lying_disk_is_found_out",
        tally.lies >= arguments.lies && tally.lies_found == tally.lies,
    )
    .with("problems", tally.problems.clone())
}

struct Suite {
    arguments: Arguments,
    chance: Chance,
    recorder: Recorder,
    cloud: TestCloud,
    world: World,
    first: First,
    /// The files that the recorded server started on: all of them certain.
    before: Files,
    promises: Vec<Promise>,
    samples: Vec<Sample>,
    tally: Tally,
    /// The database and the record, on a disk of the machine.
    _directory: tempfile::TempDir,
}

impl Suite {
    async fn start(arguments: Arguments) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("velum-power-").tempdir()?;
        let place = directory.path().join("database");
        fs::create_dir(&place)?;
        let database = place.join("velum.db");
        let mut cloud = TestCloud::start(&CloudOptions {
            hosts: HOSTS,
            latency_ms: 15,
            config: format!("database = \"sqlite:{}\"\n", database.display()),
            ..CloudOptions::default()
        })
        .await?;
        let private = PRIVATE.map(|name| cloud.data().join(name));
        let recorder = Recorder::new(&database, &directory.path().join("record"))?.also(&private)?;
        // Plugins are compiled by now. The server that is recorded finds nothing else.
        cloud.velumd.stop(ENDS_WITHIN)?;
        recorder.replace(&Files::new())?;
        cloud.under = recorder.under();
        cloud.restart().await?;
        let first = First {
            ready: wall()?,
            token: cloud.token()?,
        };
        let options = WorldOptions {
            hosts: HOSTS,
            ..WorldOptions::default()
        };
        let world = World::build(&cloud, &options).await?;
        Ok(Self {
            chance: Chance(arguments.seed),
            arguments,
            recorder,
            cloud,
            world,
            first,
            before: Files::new(),
            promises: Vec::new(),
            samples: Vec::new(),
            tally: Tally::default(),
            _directory: directory,
        })
    }

    /// Load on a server that is recorded, until it goes; then its record is cut everywhere, and the next one starts.
    async fn round(&mut self, round: usize, is_last: bool) -> anyhow::Result<()> {
        let began = Instant::now();
        let seed = self.arguments.seed * 100 + round as u64;
        let load = Load::begin(
            &self.cloud.client()?,
            &self.world,
            &format!("r{round}"),
            LANES,
            seed,
        );
        load.wait(self.arguments.answers, ANSWERS_WITHIN).await?;
        tokio::time::sleep(Duration::from_micros(self.chance.below(50_000))).await;
        load.may_fail();
        let process = self.cloud.velumd.id();
        if is_last {
            // The last connection copies the log and removes it.
            self.promises.extend(load.end().await?);
            self.cloud.velumd.stop(ENDS_WITHIN)?;
        } else {
            self.cloud.kill();
            self.promises.extend(load.end().await?);
        }
        let events = self.recorder.events(process).await?;
        let loaded = began.elapsed();
        self.tally.events += events.len();
        self.tally.recorded_bytes += self.recorder.bytes();
        self.cut_everywhere(&events).await?;
        let cut = began.elapsed() - loaded;
        self.before = self.left_in_the_end(&events, !is_last)?;
        self.start_again().await?;
        eprintln!(
            "round {round}: {loaded:?} of load, {} events, cut in {cut:?}, started and idle in {:?}",
            events.len(),
            began.elapsed() - loaded - cut
        );
        Ok(())
    }

    /// Looks at cuts of a record, and at disks that lie.
    async fn cut_everywhere(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let (database, log) = (self.recorder.database().to_owned(), self.recorder.log());
        let record = Record::of(events, &database, &log);
        self.tally.checkpoints += record.checkpoints;
        self.tally.restarts += record.restarts;
        self.tally.commits += record.commits;
        let rounds = self.arguments.rounds;
        let moments = record.moments(self.arguments.cuts.div_ceil(rounds), &mut self.chance);
        let every = (moments.len() / self.arguments.starts.div_ceil(rounds).max(1)).max(1);
        let mut moments: Vec<(usize, &'static str, bool)> = moments
            .into_iter()
            .enumerate()
            .map(|(number, (moment, kind))| (moment, kind, number % every == every / 2))
            .collect();
        if self.before.is_empty() {
            let first = record.moments_until(self.first.ready, self.arguments.first_starts, &mut self.chance);
            moments.extend(first.into_iter().map(|moment| (moment, "first start", true)));
            moments.sort_unstable();
        }
        let (mut disk, mut done) = (Disk::with(self.before.clone()), 0);
        for (moment, kind, is_started) in moments {
            apply(&mut disk, events, &mut done, moment)?;
            let arrivals = (Arrival::of(&mut self.chance), Arrival::of(&mut self.chance));
            let left = disk.cut(&mut self.chance, |path| {
                if path == database { arrivals.0 } else { arrivals.1 }
            });
            self.count(kind, &left);
            let instant = record.instant(moment);
            let what = format!("cut at event {moment} ({kind}), {arrivals:?}");
            self.look(&left.files, instant, &what).await?;
            if is_started {
                self.samples.push(Sample {
                    files: left.files,
                    instant,
                    what,
                });
            }
        }
        self.lie(&record).await
    }

    fn count(&mut self, kind: &'static str, left: &Left) {
        *self.tally.cuts.entry(kind).or_default() += 1;
        self.tally.effective += usize::from(left.is_effective());
        self.tally.uncertain += left.uncertain;
        self.tally.dropped += left.dropped;
        self.tally.torn += left.torn;
        self.tally.forgotten += left.forgotten;
    }

    /// Judges what is left, with what was promised by then.
    async fn look(&mut self, files: &Files, instant: i64, what: &str) -> anyhow::Result<()> {
        let promises: Vec<&Promise> = self
            .promises
            .iter()
            .filter(|promise| promise.at < instant)
            .collect();
        let problems = judge(files, self.recorder.database(), &promises).await?;
        if let Some(first) = problems.first() {
            let kept = self.keep(files)?;
            let more = problems.len() - 1;
            eprintln!("{what}: {problems:#?}");
            self.tally
                .problems
                .push(format!("{what}: {first} and {more} more{kept}"));
        }
        Ok(())
    }

    /// Keeps what a cut left, to be looked at by people.
    fn keep(&self, files: &Files) -> anyhow::Result<String> {
        let Some(logs) = std::env::var_os("VELUM_LOGS") else {
            return Ok(String::new());
        };
        let directory = Path::new(&logs).join(format!("power-cut-{}", self.tally.problems.len()));
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        put(files, &directory)?;
        Ok(format!("; kept in {}", directory.display()))
    }

    /// The judge judged: a disk that said that a frame had arrived, which was lost, loses what was promised with it.
    async fn lie(&mut self, record: &Record<'_>) -> anyhow::Result<()> {
        let wanted = self.arguments.lies.div_ceil(self.arguments.rounds);
        let chances: Vec<(u64, usize)> = self
            .promises
            .iter()
            .filter(|promise| promise.said != Said::Done)
            .filter_map(|promise| record.lie(promise))
            .collect();
        for _ in 0..wanted.min(chances.len()) {
            let (call, moment) = chances[self.chance.below(chances.len() as u64) as usize];
            let mut disk = Disk::with(self.before.clone());
            disk.lie_about(call);
            apply(&mut disk, record.events, &mut 0, moment)?;
            let left = disk.cut(&mut self.chance, |_| Arrival::Everything);
            let instant = record.instant(moment);
            let promises: Vec<&Promise> = self
                .promises
                .iter()
                .filter(|promise| promise.at < instant)
                .collect();
            let problems = judge(&left.files, self.recorder.database(), &promises).await?;
            self.tally.lies += 1;
            self.tally.lies_found += usize::from(problems.iter().any(|problem| problem.starts_with("lost")));
        }
        Ok(())
    }

    /// What is left where the record ends, on the disk; after a cut or without one.
    fn left_in_the_end(&mut self, events: &[Event], is_cut: bool) -> anyhow::Result<Files> {
        let mut disk = Disk::with(self.before.clone());
        apply(&mut disk, events, &mut 0, events.len())?;
        let real = self.recorder.files()?;
        // What the killed server was at may have had its effect or not.
        if disk.files(true) != real && disk.files(false) != real {
            self.tally.incomplete_records += 1;
            eprintln!("the record does not end with the files that are there");
        }
        if !is_cut {
            return Ok(real);
        }
        let database = self.recorder.database().to_owned();
        let mut left = Left::default();
        for _ in 0..TRIES {
            let arrivals = (Arrival::of(&mut self.chance), Arrival::of(&mut self.chance));
            left = disk.cut(&mut self.chance, |path| {
                if path == database { arrivals.0 } else { arrivals.1 }
            });
            if left.is_effective() {
                break;
            }
        }
        self.count("end", &left);
        self.recorder.replace(&left.files)?;
        Ok(left.files)
    }

    /// Starts a server on what is left, and lets it come to the end of what it finds: everything that was promised
    /// is there and done, and both sides agree.
    async fn start_again(&mut self) -> anyhow::Result<()> {
        let took = self.cloud.restart().await?;
        self.tally.slowest_start = self.tally.slowest_start.max(took);
        self.cloud.run_until_idle(IDLE_WITHIN).await?;
        self.find_promises(i64::MAX, "the next server", true).await?;
        let mut problems = self.cloud.differences().await?;
        let checked = self.cloud.db(&["check"])?;
        if !checked.status.success() {
            problems.push(String::from_utf8_lossy(&checked.stdout).into_owned());
        }
        let problems = problems
            .into_iter()
            .map(|problem| format!("after a cut: {problem}"));
        self.tally.problems.extend(problems);
        self.tally.cuts_lived_through += 1;
        Ok(())
    }

    /// Asks the server for what was promised by an instant.
    async fn find_promises(&mut self, instant: i64, what: &str, has_ended: bool) -> anyhow::Result<()> {
        let operations = self.cloud.client()?.operations().all(&Filter::new()).await?;
        let states: BTreeMap<_, _> = operations.iter().map(|one| (one.id, one.state)).collect();
        for promise in self.promises.iter().filter(|promise| promise.at < instant) {
            let must_be_done = has_ended || promise.said == Said::Done;
            match states.get(&promise.operation) {
                None => self.tally.problems.push(format!("{what}: lost: {promise:?}")),
                Some(OperationState::Done) => {}
                Some(state) if must_be_done => {
                    self.tally
                        .problems
                        .push(format!("{what}: is {state:?}: {promise:?}"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Takes everything down, by the last server.
    async fn end(&mut self) -> anyhow::Result<()> {
        velum_support::destroy_all(&self.cloud.client()?).await?;
        self.cloud.assert_nothing_left().await?;
        self.cloud.velumd.stop(ENDS_WITHIN)?;
        Ok(())
    }

    /// Starts servers on some of the cuts. The far side went on since, so it is not there: they must come up, and know
    /// what was promised.
    async fn start_samples(&mut self) -> anyhow::Result<()> {
        self.cloud.sim.kill();
        self.cloud.under = Vec::new();
        for sample in std::mem::take(&mut self.samples) {
            self.recorder.replace(&sample.files)?;
            match self.cloud.restart().await {
                Ok(took) => {
                    self.tally.slowest_start = self.tally.slowest_start.max(took);
                    self.find_token(&sample).await?;
                    self.find_promises(sample.instant, &sample.what, false).await?;
                }
                Err(error) => {
                    // It tells all that the servers printed so far; the last words are this one's.
                    let said = error.to_string();
                    let last = said.lines().next_back().unwrap_or_default();
                    let problem = format!("{}: it does not come up: {last}", sample.what);
                    self.tally.problems.push(problem);
                }
            }
            self.tally.starts += 1;
            self.cloud.kill();
        }
        Ok(())
    }

    /// The administrator's token is what it was once it may have been read, and nobody gets in without one.
    async fn find_token(&mut self, sample: &Sample) -> anyhow::Result<()> {
        let token = self.cloud.token()?;
        if sample.instant > self.first.ready && token != self.first.token {
            self.tally
                .problems
                .push(format!("{}: another token", sample.what));
        }
        let nobody = Client::new(&self.cloud.url, Some(""))?;
        if token.is_empty() || nobody.zones().all(&Filter::new()).await.is_ok() {
            self.tally
                .problems
                .push(format!("{}: open to everybody", sample.what));
        }
        Ok(())
    }
}

/// Lets happen what happened before a moment.
fn apply(disk: &mut Disk, events: &[Event], done: &mut usize, moment: usize) -> anyhow::Result<()> {
    while *done < moment {
        let event = events.get(*done).context("a moment after the end")?;
        disk.apply(event)
            .with_context(|| format!("event {done}: {event:?}"))?;
        *done += 1;
    }
    Ok(())
}
