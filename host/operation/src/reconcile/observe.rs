//! Looks at every compute host now and then and records what it sees, hosts and runs, under the observation's own rows.
//! A host that does not answer becomes `unknown`, never `down`: its guests keep their claims (law 8).

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt, stream};
use velum_model::{
    fault::{Fault, code},
    id::*,
    infrastructure::{ComputeHost, HostState},
    instance::{ObservedState, Run},
    page::Page,
    port::{TargetKind, hypervisor::Inventory, target::Target},
    time::Clock,
};
use velum_store::{Change, Commit, ComputeHostFilter, NewEvent, StoreError, ZoneFilter};

use super::{
    inventory::{Reports, all_pages},
    links,
};
use crate::{Engine, act::guest::observed_state};

/// Bounds of the observer.
#[derive(Clone, Copy, Debug)]
pub struct ObserveLimits {
    /// Time between two looks at the same compute host. 30 s: a guest that died is seen before a person has noticed,
    /// and 1,000 hosts are 33 calls a second.
    pub every_ms: u64,
    /// Hosts looked at at the same time: as many as half of the driver's own bound of calls.
    pub at_once: usize,
}

impl Default for ObserveLimits {
    fn default() -> Self {
        Self {
            every_ms: 30_000,
            at_once: 16,
        }
    }
}

/// The observer of one server's shards.
pub struct Observer {
    engine: Engine,
    limits: ObserveLimits,
    reports: Reports,
}

impl Observer {
    /// An observer at rest; [`Observer::run`] or [`Observer::look`] make it look.
    #[must_use]
    pub fn new(engine: Engine, limits: ObserveLimits) -> Self {
        Self {
            engine,
            limits,
            reports: Reports::default(),
        }
    }

    /// Looks again and again, until the task is dropped.
    pub async fn run(&self) {
        loop {
            let began = tokio::time::Instant::now();
            if let Err(error) = self.look().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not look at the compute hosts"
                );
            }
            let rest = Duration::from_millis(self.limits.every_ms).saturating_sub(began.elapsed());
            tokio::time::sleep(rest.max(Duration::from_millis(100))).await;
        }
    }

    /// Looks at every compute host of the owned shards once. Answers how many were seen.
    ///
    /// # Errors
    /// [`StoreError`] when rows cannot be read.
    pub async fn look(&self) -> Result<usize, StoreError> {
        let parts = &self.engine.shared().parts;
        let mut seen = 0;
        let mut zones = Page {
            limit: Page::MAX_LIMIT,
            after: None,
        };
        loop {
            let page = parts.store.read().zones(&ZoneFilter::default(), zones).await?;
            for zone in &page.items {
                if let Some(epoch) = parts.store.epoch(zone.shard) {
                    seen += self.look_at_zone(zone.id, zone.shard, epoch).await?;
                }
            }
            let Some(next) = page.next else { return Ok(seen) };
            zones.after = Some(next);
        }
    }

    async fn look_at_zone(&self, zone: ZoneId, shard: ShardId, epoch: u64) -> Result<usize, StoreError> {
        let parts = &self.engine.shared().parts;
        let mut page = Page {
            limit: Page::MAX_LIMIT,
            after: None,
        };
        let mut seen = 0;
        loop {
            let filter = ComputeHostFilter {
                zone: Some(zone),
                ..ComputeHostFilter::default()
            };
            let hosts = parts.store.read().compute_hosts(&filter, page).await?;
            let looks = hosts.items.into_iter().map(|host| self.look_at(host));
            let mut found = stream::iter(looks).buffer_unordered(self.limits.at_once.max(1));
            while let Some(look) = found.next().await {
                let Some(look) = look? else { continue };
                seen += 1;
                if look.answer.is_ok() {
                    links::remove_orphans((&parts.store, parts.nodes.as_ref()), &look.host, (shard, epoch))
                        .await?;
                }
                self.record(shard, epoch, look).await?;
            }
            let Some(next) = hosts.next else { return Ok(seen) };
            page.after = Some(next);
        }
    }

    /// One compute host: what its driver says, against the runs that the rows have there.
    async fn look_at(&self, host: ComputeHost) -> Result<Option<Look>, StoreError> {
        let parts = &self.engine.shared().parts;
        let Ok(driver) = parts.plugins.hypervisor(&host.driver) else {
            return Ok(None);
        };
        let target = Target {
            kind: TargetKind::ComputeHost,
            id: host.id.uuid(),
            config: host.config.clone(),
            node: host.node.clone(),
            endpoint: host.endpoint.clone(),
            secret: None,
        };
        let answer = match self.greet(&host).await {
            Ok(()) => all_pages(driver.as_ref(), &target)
                .await
                .and_then(|report| self.reports.judge(host.id, report)),
            Err(fault) => Err(fault),
        };
        match &answer {
            Err(fault) if fault.code == code::NONSENSE => {
                tracing::warn!(host = %host.name, %fault, "a compute host is not believed");
            }
            Err(fault) if fault.code == code::FENCED => tracing::warn!(
                host = %host.name,
                %fault,
                "a compute host obeys a newer owner of its zone; if this goes on, the database was restored or copied, and a \
                 server works on the other one: stop one of the two"
            ),
            _ => {}
        }
        let runs = self.runs_on(host.id).await?;
        Ok(Some(Look { host, runs, answer }))
    }

    /// Whether the compute host's node answers, and obeys this server: one that does not is of no use, whatever it shows.
    async fn greet(&self, host: &ComputeHost) -> Result<(), Fault> {
        let Some(address) = &host.node else {
            return Ok(());
        };
        let node = self.engine.shared().parts.nodes.node(address)?;
        node.hello().await.map(drop)
    }

    async fn runs_on(&self, host: ComputeHostId) -> Result<Vec<Run>, StoreError> {
        let mut all = Vec::new();
        let mut page = Page {
            limit: Page::MAX_LIMIT,
            after: None,
        };
        loop {
            let runs = self
                .engine
                .shared()
                .parts
                .store
                .read()
                .runs_on(host, page)
                .await?;
            all.extend(runs.items);
            let Some(next) = runs.next else { return Ok(all) };
            page.after = Some(next);
        }
    }

    /// Commits what differs from what was known.
    async fn record(&self, shard: ShardId, epoch: u64, look: Look) -> Result<(), StoreError> {
        let parts = &self.engine.shared().parts;
        let (changes, events) = look.changes(parts.clock.as_ref(), self.limits.every_ms);
        if changes.is_empty() {
            return Ok(());
        }
        let commit = Commit {
            fence: Some((shard, epoch)),
            changes,
            events,
            ..Commit::default()
        };
        match parts.store.commit(commit).await {
            Ok(_) => Ok(()),
            // A run or host that went meanwhile needs no observation; the next look sees what is then.
            Err(StoreError::Refused(refusal)) => {
                tracing::debug!(%refusal, "an observation came too late");
                Ok(())
            }
            Err(other) => Err(other),
        }
    }
}

struct Look {
    host: ComputeHost,
    runs: Vec<Run>,
    answer: Result<Inventory, Fault>,
}

/// An observation that says nothing new is written this many intervals apart, so that `observed_at` stays useful
/// without a write a look.
const REPEAT_EVERY: u64 = 10;

impl Look {
    fn changes(&self, clock: &dyn Clock, every_ms: u64) -> (Vec<Change>, Vec<NewEvent>) {
        let now = clock.now();
        let (state, boot_id) = match &self.answer {
            Ok(inventory) => (HostState::Up, Some(inventory.boot_id.clone())),
            Err(fault) => {
                tracing::debug!(host = %self.host.name, %fault, "a compute host does not answer");
                (HostState::Unknown, self.host.boot_id.clone())
            }
        };
        let mut changes = Vec::new();
        let mut events = Vec::new();
        let is_stale = self
            .host
            .observed_at
            .is_none_or(|at| now.millis_since(at) >= every_ms * REPEAT_EVERY);
        if is_stale || self.host.observed != state || self.host.boot_id != boot_id {
            changes.push(Change::ObserveComputeHost {
                id: self.host.id,
                state,
                boot_id,
                at: now,
            });
        }
        if self.host.observed != state {
            events.push(NewEvent {
                kind: if state == HostState::Up {
                    "compute-host.up"
                } else {
                    "compute-host.unknown"
                }
                .into(),
                project: velum_model::tenancy::BUILT_IN_PROJECT,
                collection: "compute-hosts",
                resource: self.host.id.uuid(),
                operation: None,
                caller: "observer".into(),
                data: match &self.answer {
                    Ok(_) => serde_json::Value::Null,
                    Err(fault) => serde_json::json!({ "reason": fault.to_string() }),
                },
            });
        }
        let Ok(inventory) = &self.answer else {
            return (changes, events);
        };
        if !inventory.complete {
            return (changes, events);
        }
        let seen: HashMap<RunId, ObservedState> = inventory
            .runs
            .iter()
            .map(|o| (o.run, observed_state(o.state)))
            .collect();
        for run in &self.runs {
            let observed = seen.get(&run.id).copied().unwrap_or(ObservedState::Off);
            // A run that was never seen is still on its way up: its own operation speaks for it.
            let is_new = run.observed == ObservedState::Unknown && observed != ObservedState::Running;
            if observed != run.observed && !is_new {
                changes.push(Change::ObserveRun {
                    id: run.id,
                    observed,
                    at: now,
                });
            }
        }
        (changes, events)
    }
}
