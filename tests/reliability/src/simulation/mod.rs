//! Chance from a seed: requests, crashes, standstills, jumps of the clock, calls that are lost, refused, slow, repeated or
//! late. A seed is played the same way each time; its trace, the calls and commits with their answers and instants, has a
//! hash that says so.

mod client;
mod storm;

use std::{cell::Cell, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use tokio::time::Instant;
use velum_model::{id::*, operation::OperationState};

pub use self::storm::Tell;
use self::{client::Client, storm::Storm};
use crate::{
    audit::audit,
    far::FarSide,
    ground::{Ground, LATER, operation},
    leave::leave,
    run::in_simulation,
    server::{Server, Start, Time, short},
    workers::Worker,
};

/// Requests of most seeds: what goes wrong between few needs few, and three short seeds meet more than a long one.
const REQUESTS: u64 = 3;
/// One seed in so many has thrice as many.
const LONG: u64 = 10;
/// One seed in so many ends by removing everything; the others end by comparing both sides.
const LEAVES: u64 = 20;
/// When faults have stopped, everything ends within this.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);
/// What is under way when faults stop has arrived after this.
const LATEST: Duration = Duration::from_secs(150);

/// How the journal marks an attempt on another compute host.
const ELSEWHERE: &str = "elsewhere";

/// What an operation says that did not find what it needs.
const GONE: &str = "something that it needs is gone";

/// What came of a seed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Hash of the trace.
    pub hash: String,
    /// What was wrong.
    pub violations: Vec<String>,
    /// Requests that were acknowledged.
    pub acknowledged: u32,
    /// Requests that were refused, by a server that was overtaken too.
    pub refused: u32,
    /// Servers that were killed.
    pub crashes: u32,
    /// Servers that stood still and moved on.
    pub standstills: u32,
    /// Calls that were lost, refused, repeated or late.
    pub faults: u32,
    /// What databases were asked and failed to do.
    pub disk_faults: u32,
    /// Effects of overtaken servers that a gate refused.
    pub fenced: u64,
    /// Operations that were parked.
    pub parked: u32,
    /// Operations that were tried on another compute host.
    pub moved: u32,
    /// Those of them that were done there.
    pub moved_and_done: u32,
}

/// Plays a seed. `tell` hears its trace, if anybody listens.
///
/// # Errors
/// Something that is not simulated fails.
pub fn play(ground: &Ground, seed: u64, worker: &Worker, tell: Option<Tell>) -> anyhow::Result<Outcome> {
    let far = ground.begin(&worker.file)?;
    in_simulation(async {
        let storm = Arc::new(Storm::new(seed, tell));
        far.at_once(|state| state.slowness = storm.below(4) as u32);
        let mut play = Play {
            ground,
            worker,
            far,
            time: Arc::new(Time::from(LATER)),
            storm,
            servers: Vec::new(),
            thaws: Vec::new(),
            acknowledged: Vec::new(),
            latest: Cell::new(None),
            outcome: Outcome::default(),
        };
        play.begin().await?;
        let requests = if seed.is_multiple_of(LONG) {
            3 * REQUESTS
        } else {
            REQUESTS
        };
        play.storm(requests).await?;
        play.settle().await?;
        if seed.is_multiple_of(LEAVES) {
            play.leave().await?;
        }
        Ok(play.end())
    })
    .with_context(|| format!("seed {seed}"))
}

struct Play<'g> {
    ground: &'g Ground,
    worker: &'g Worker,
    far: FarSide,
    time: Arc<Time>,
    storm: Arc<Storm>,
    servers: Vec<Server>,
    /// When a server that stands still moves on.
    thaws: Vec<(Instant, usize)>,
    acknowledged: Vec<OperationId>,
    /// The instance that was asked about last: half of what is asked next is about it too, so that requests meet.
    latest: Cell<Option<InstanceId>>,
    outcome: Outcome,
}

impl Play<'_> {
    async fn begin(&mut self) -> anyhow::Result<()> {
        let server = Server::start(Start {
            database: &self.worker.file,
            far: &self.far,
            life: self.servers.len() as u32 + 1,
            director: self.storm.clone(),
            time: self.time.clone(),
            outside: self.worker.outside(),
            elsewhere: 2,
        })
        .await?;
        self.storm.note("a server starts");
        self.servers.push(server);
        Ok(())
    }

    fn current(&self) -> anyhow::Result<&Server> {
        self.servers.last().context("a server was started")
    }

    /// Lets time pass; whoever stops is followed by another server, whoever stood still moves on when it is due.
    async fn pass(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        loop {
            let now = Instant::now();
            let (due, waiting): (Vec<_>, Vec<_>) = self.thaws.drain(..).partition(|(at, _)| *at <= now);
            self.thaws = waiting;
            if self.storm.is_endless() {
                return Err(anyhow!(
                    "it does not come to rest: see the end of its trace (--seed N --trace)"
                ));
            }
            for (_, at) in due {
                self.storm.note(&format!("server {at} moves on"));
                if let Some(server) = self.servers.get(at) {
                    server.life.thaw();
                }
            }
            if !self.current()?.life.is_alive() {
                self.follow().await?;
                continue;
            }
            if now >= until {
                return Ok(());
            }
            let next = self.thaws.iter().map(|(at, _)| *at).chain([until]).min();
            let current = self.current()?;
            tokio::select! {
                biased;
                () = current.life.stopped.notified() => {}
                () = tokio::time::sleep_until(next.unwrap_or(until)) => {}
            }
        }
    }

    /// Another server takes over from the current one.
    async fn follow(&mut self) -> anyhow::Result<()> {
        let at = self.servers.len().saturating_sub(1);
        let is_frozen = self.current()?.life.is_frozen();
        if is_frozen {
            self.outcome.standstills += 1;
            let thaw = Instant::now() + Duration::from_millis(self.storm.below(60_000));
            self.thaws.push((thaw, at));
        } else {
            self.outcome.crashes += 1;
            self.current()?.end();
            // A machine that comes back may have another opinion of the time.
            if self.thaws.is_empty() && self.storm.below(5) == 0 {
                let hour = 3_600_000_000;
                self.time
                    .jump(if self.storm.below(2) == 0 { hour } else { -hour });
            }
        }
        tokio::time::sleep(Duration::from_millis(self.storm.below(3_000))).await;
        self.begin().await
    }

    async fn storm(&mut self, requests: u64) -> anyhow::Result<()> {
        for number in 0..requests {
            // Half of the requests come while the one before is still at work.
            let pause = match self.storm.below(2) {
                0 => Duration::from_millis(self.storm.below(400)),
                _ => Duration::from_millis(self.storm.below(6_000)),
            };
            self.pass(pause).await?;
            // Now and then a client still asks a server that was overtaken.
            let older = self.servers.iter().rev().skip(1).find(|s| s.life.is_alive());
            let server = match older {
                Some(older) if self.storm.below(3) == 0 => older,
                _ => self.current()?,
            };
            let client = Client {
                server,
                ground: self.ground,
                storm: &self.storm,
                latest: &self.latest,
            };
            let asked = client.ask(number)?;
            self.storm.note(&format!(
                "asked {number}: {}",
                match &asked {
                    Ok((what, id)) => format!("{what} {}", short(*id)),
                    Err(refusal) => refusal.clone(),
                }
            ));
            match asked {
                Ok((_, id)) => {
                    self.acknowledged.push(id);
                    self.outcome.acknowledged += 1;
                }
                Err(_) => self.outcome.refused += 1,
            }
        }
        Ok(())
    }

    /// Faults stop: everything ends, and both sides agree.
    async fn settle(&mut self) -> anyhow::Result<()> {
        self.storm.calm();
        self.idle().await?;
        let latest = LATEST.max(
            self.thaws
                .iter()
                .map(|(at, _)| at.saturating_duration_since(Instant::now()))
                .max()
                .unwrap_or_default(),
        );
        self.pass(latest).await?;
        self.idle().await?;
        for id in self.acknowledged.clone() {
            match operation(self.current()?, id) {
                Ok(found) => {
                    self.outcome.parked += u32::from(found.state == OperationState::Parked);
                    let is_moved = found.journal.iter().any(|record| record.step == ELSEWHERE);
                    self.outcome.moved += u32::from(is_moved);
                    self.outcome.moved_and_done += u32::from(is_moved && found.state == OperationState::Done);
                    // Nothing goes by itself here: what an operation misses it has lost itself.
                    if let Some(error) = found.error.as_ref().filter(|error| error.message == GONE) {
                        let kind = found.kind.as_str();
                        self.outcome.violations.push(format!(
                            "{kind} {} was undone: {}",
                            short(id),
                            error.message
                        ));
                    }
                }
                Err(error) => self.outcome.violations.push(format!("{error:#}")),
            }
        }
        let found = audit(&self.current()?.store, &self.far).await?;
        self.outcome.violations.extend(found);
        Ok(())
    }

    async fn idle(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while !self.current()?.is_idle() {
            if began.elapsed() > PATIENCE {
                let left = self.current()?.store.read().unfinished_operations(100).await?;
                return Err(anyhow!("what is under way does not end: {left:#?}"));
            }
            self.pass(Duration::from_millis(250)).await?;
        }
        Ok(())
    }

    /// Everything is taken down again, and nothing is left.
    async fn leave(&mut self) -> anyhow::Result<()> {
        if !self.outcome.violations.is_empty() || self.outcome.parked > 0 {
            return Ok(());
        }
        let found = leave(self.current()?, &self.far).await?;
        self.outcome.violations.extend(found);
        Ok(())
    }

    fn end(mut self) -> Outcome {
        self.servers.iter().for_each(Server::end);
        self.outcome.disk_faults = self.storm.disk_faults();
        (self.outcome.faults, self.outcome.hash) = self.storm.end();
        self.outcome.fenced = self.far.at_once(|state| state.refused());
        self.outcome
    }
}
