//! `POST /v1/policies:evaluate`: what would have come of a zone's latest decisions under another policy.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use velum_model::{
    PolicyId,
    decision::{Decision, PolicyUsed},
    tenancy::Caller,
    time::Clock,
};
use velum_placement::{Evaluation, HistoryPart, Inventory, Packing, Ranker};

use super::{Evaluated, NewEvaluation, Sample, crashed};
use crate::{
    error::{LEASE_S, ServiceError},
    history::{NotKept, Past},
    services::Services,
    write::administer,
};

/// Decisions that are looked at at once: each has 2 KB.
pub const EVALUATED_MAX: u32 = 20_000;
/// How long an evaluation may take, milliseconds: a person waits for it. What is left then is left out.
pub const EVALUATION_MS: u64 = 60_000;
/// Moments at which it is counted how full the zones are: enough for a curve; each looks at every compute host.
const SAMPLES: usize = 64;
/// Epochs behind the last decision that are its own claims: a run, and a volume and a layer for each disk.
const CLAIMS: u64 = 64;
/// Instances that a policy is given after it failed; then its fallback decides the rest.
const INSTANCES: u32 = 8;

/// An evaluation under way; it goes from thread to thread with the parts.
struct Work {
    evaluation: Option<Evaluation>,
    decisions: VecDeque<Decision>,
    total: usize,
    samples: Vec<Sample>,
    skipped: u64,
    restarts: u64,
    instances: u32,
    spare: Option<(Ranker, Ranker)>,
    make: Box<dyn Fn() -> Option<Ranker> + Send>,
    clock: Arc<dyn Clock>,
    until: Duration,
    is_late: bool,
}

impl Services {
    /// Gives the latest decisions of a zone to a policy, over a copy of the zone in which machines go where it puts them. Changes
    /// nothing.
    ///
    /// # Errors
    /// The zone or the plugin does not exist, the configuration does not fit, an evaluation is under way, or nothing of the
    /// zone's history is kept.
    pub async fn policy_evaluate(
        &self,
        caller: &Caller,
        new: NewEvaluation,
    ) -> Result<Evaluated, ServiceError> {
        administer(caller, "zone")?;
        if !(1..=EVALUATED_MAX).contains(&new.last) {
            return Err(ServiceError::invalid(
                "/last",
                format!("is {}; 1 to {EVALUATED_MAX} decisions can be looked at", new.last),
                "give a number between them",
            ));
        }
        let zone = self.zone_named(caller, new.zone, "/zone_id").await?;
        let digest = self.policy_plugin(&new.plugin).await?;
        let config = crate::compute_hosts::object(new.config);
        self.check_policy(&digest, &config).await?;
        let _one = self
            .evaluating()
            .try_acquire()
            .map_err(|_| ServiceError::Unavailable {
                problem: "another evaluation is under way".into(),
                retry_after_s: LEASE_S,
            })?;
        let _place = self.past_place().await;
        let began = self.clock().steady();
        let policy = self.named(digest, config);
        let decisions = self.read().last_decisions(new.zone, new.last).await;
        let mut decisions =
            decisions.map_err(|error| ServiceError::from_store("read the decisions", error))?;
        // Ids are in the order of a server's clock, epochs in that of the zone's inventory.
        decisions.sort_by_key(|decision| decision.inventory_epoch);
        decisions
            .iter_mut()
            .for_each(|decision| decision.refusals = Vec::new());
        let pools = self.pool_ranker(caller, zone.pool_policy).await?;
        let hosts = self.ranker_of(&policy).await?;
        let plugins = Arc::clone(self.plugins());
        let of = policy.clone();
        let make = move || {
            let digest = of.digest.as_ref()?;
            let made = plugins.policy_aside(digest, &of.config).ok()?;
            Some(Ranker::of(super::label_of(&of), made))
        };
        let work = Work {
            evaluation: None,
            total: decisions.len(),
            decisions: decisions.into(),
            samples: Vec::new(),
            skipped: 0,
            restarts: 0,
            instances: 0,
            spare: Some((hosts, pools)),
            make: Box::new(make),
            clock: Arc::clone(self.clock()),
            until: began + Duration::from_millis(EVALUATION_MS),
            is_late: false,
        };
        let (between, work) = self.walk(new.zone, work).await?;
        let took = self.clock().steady().saturating_sub(began);
        Ok(Evaluated {
            policy,
            between,
            tally: work.evaluation.map(|of| of.tally().clone()).unwrap_or_default(),
            samples: work.samples,
            skipped: work.skipped,
            restarts: work.restarts,
            is_complete: !work.is_late,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Who ranks the pools of a zone now.
    async fn pool_ranker(&self, caller: &Caller, policy: Option<PolicyId>) -> Result<Ranker, ServiceError> {
        let Some(id) = policy else {
            return Ok(Ranker::built_in());
        };
        let row = self.policy_get(caller, id).await?;
        let used = PolicyUsed {
            policy: Some(id),
            generation: row.generation,
            name: row.name.to_string(),
            ..self.named(row.digest, row.config)
        };
        self.ranker_of(&used).await
    }

    /// Walks through the history from the first decision of which it is kept to the last.
    async fn walk(
        &self,
        zone: velum_model::ZoneId,
        mut work: Work,
    ) -> Result<(Option<(velum_model::Timestamp, velum_model::Timestamp)>, Work), ServiceError> {
        self.keep_histories().await;
        let histories = self.keeping().histories();
        let reach = histories.reach(zone).await;
        let reach = reach.map_err(|error| ServiceError::from_store("read the zone's history", error))?;
        work.skip_before(reach.map_or(u64::MAX, |(first, _)| first));
        let (Some(first), Some(last)) = (work.decisions.front(), work.decisions.back()) else {
            return Ok((None, work));
        };
        let between = (first.at, last.at);
        let past = Past::new(histories, zone);
        let labels = past
            .labels(first.inventory_epoch, last.inventory_epoch + CLAIMS)
            .await;
        for label in labels.map_err(unread)? {
            if work.is_late {
                break;
            }
            // One that is damaged is a gap: the next whole goes on.
            let Some(Ok(part)) = past.part(label).await.map_err(unread)? else {
                continue;
            };
            let done = tokio::task::spawn_blocking(move || {
                work.go_on(part);
                work
            });
            work = done.await.map_err(|_| crashed())?;
        }
        let done = tokio::task::spawn_blocking(move || {
            work.decide_here();
            work.skip_before(u64::MAX);
            work
        });
        Ok((Some(between), done.await.map_err(|_| crashed())?))
    }
}

fn unread(error: NotKept) -> ServiceError {
    match error {
        NotKept::Store(error) => ServiceError::from_store("read the zone's history", error),
        error => ServiceError::Unavailable {
            problem: error.to_string(),
            retry_after_s: LEASE_S,
        },
    }
}

impl Work {
    /// Leaves out the decisions of which nothing is kept.
    fn skip_before(&mut self, epoch: u64) {
        while self
            .decisions
            .front()
            .is_some_and(|of| of.inventory_epoch < epoch)
        {
            self.decisions.pop_front();
            // What is left out because of the time is told otherwise.
            self.skipped += u64::from(!self.is_late);
        }
    }

    fn go_on(&mut self, part: HistoryPart) {
        self.is_late |= self.clock.steady() > self.until;
        match part {
            HistoryPart::Whole(snapshot) => {
                self.decide_here();
                let epoch = self.evaluation.as_ref().map(|of| of.then().epoch());
                if epoch != Some(snapshot.epoch) {
                    self.restart(Inventory::from_snapshot(*snapshot));
                }
            }
            HistoryPart::Changes { first, updates } => {
                for (epoch, update) in (first..).zip(updates) {
                    self.decide_here();
                    let Some(evaluation) = self.evaluation.as_mut().filter(|_| !self.is_late) else {
                        return;
                    };
                    // After a gap nothing follows until the next whole.
                    if epoch == evaluation.then().epoch() + 1 {
                        evaluation.change(&update);
                    }
                }
            }
        }
    }

    fn restart(&mut self, inventory: Inventory) {
        self.skip_before(inventory.epoch());
        match self.evaluation.as_mut() {
            Some(evaluation) => {
                self.restarts += 1;
                evaluation.restart(inventory);
            }
            None => {
                let rankers = self.spare.take();
                self.evaluation = rankers.map(|(hosts, pools)| Evaluation::begin(inventory, hosts, pools));
            }
        }
    }

    /// Makes the decisions that were made at the epoch that is reached.
    fn decide_here(&mut self) {
        let Some(epoch) = self.evaluation.as_ref().map(|of| of.then().epoch()) else {
            return;
        };
        self.skip_before(epoch);
        while let Some(decision) = self.decisions.pop_front_if(|of| of.inventory_epoch == epoch) {
            let Some(evaluation) = self.evaluation.as_mut() else {
                return;
            };
            if evaluation.is_broken() && self.instances < INSTANCES {
                self.instances += 1;
                (self.make)()
                    .into_iter()
                    .for_each(|hosts| evaluation.renew(hosts));
            }
            evaluation.decide(&decision);
            let done = evaluation.tally().decisions as usize;
            if done * SAMPLES / self.total.max(1) >= self.samples.len() && self.samples.len() < SAMPLES {
                self.samples.push(Sample {
                    at: decision.at,
                    then: Packing::of(evaluation.then()),
                    would: Packing::of(evaluation.would()),
                });
            }
            self.is_late = self.clock.steady() > self.until;
            if self.is_late {
                return;
            }
        }
    }
}
