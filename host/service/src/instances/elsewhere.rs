//! The operation engine's way back to the planner: the same instance on another compute host.

use async_trait::async_trait;
use velum_model::{
    Id,
    id::RunId,
    instance::{Instance, Run},
    storage::Volume,
    tenancy::Scope,
};
use velum_operation::{Replacement, Replan, ReplanAsk};
use velum_placement::Ask;
use velum_store::Change;

use super::plan::{root_disk, take_places, virtual_bytes};
use crate::{
    error::ServiceError,
    planner::{Claimed, DiskIds, NoPlan, Plan, PlanAsk, stand_in},
    services::Services,
};

#[async_trait]
impl Replan for Services {
    async fn elsewhere(&self, ask: ReplanAsk) -> Option<Replacement> {
        match self.replacement(&ask).await {
            Ok(replacement) => replacement,
            Err(error) => {
                tracing::warn!(instance = %ask.instance, %error, "could not plan a run elsewhere");
                None
            }
        }
    }

    fn give_back(&self, replacement: &Replacement) {
        self.give_back_run(replacement.decision.zone, replacement.run.id);
    }
}

impl Services {
    async fn replacement(&self, asked: &ReplanAsk) -> Result<Option<Replacement>, ServiceError> {
        let failed = |error| ServiceError::from_store("read the run that failed", error);
        let reader = self.read();
        let instance = reader
            .instance(Scope::All, asked.instance)
            .await
            .map_err(failed)?;
        let instance = instance.ok_or_else(|| ServiceError::not_found("instance", asked.instance))?;
        let run = reader.run(asked.failed_run).await.map_err(failed)?;
        let run = run.ok_or_else(|| ServiceError::not_found("run", asked.failed_run))?;
        let (mut ask, offering) = self.ask_again(&instance).await?;
        ask.excluded = asked.excluded.clone();
        ask.previous = Some(run.compute_host);
        ask.ending = Some(run.id);
        let ties = ask.ties.clone();
        let fresh: RunId = self.fresh();
        let root = DiskIds {
            volume: Id::from_uuid(stand_in(fresh.uuid())),
            layer: self.fresh(),
        };
        let planner = self.planner(instance.zone).await?;
        let mut plan_ask = PlanAsk {
            ask,
            run: fresh,
            disks: Vec::new(),
            nics: Vec::new(),
            policy: offering.policy,
            dry_run: false,
        };
        // First where the root volume's pool is reached as well; only then is a volume that is not made yet moved.
        let mut template_bytes = 0;
        let mut plan = planner.plan(plan_ask.clone()).await;
        if let (Err(NoPlan::NoCapacity(_)), Some(volume)) = (&plan, &asked.unmade_root) {
            let template = reader
                .template(Scope::All, instance.template)
                .await
                .map_err(failed)?;
            let template = template.ok_or_else(|| ServiceError::not_found("template", instance.template))?;
            template_bytes = virtual_bytes(&template)?;
            self.unpin(&mut plan_ask.ask, &instance, volume).await?;
            let disk = root_disk(&offering, template.id, template_bytes, volume.size.get());
            plan_ask.ask.disks = vec![disk];
            plan_ask.disks = vec![root];
            plan = planner.plan(plan_ask).await;
        }
        let claimed = match plan {
            Ok(claimed) => claimed,
            Err(none @ NoPlan::NoCapacity(_)) => {
                self.keep_refusal_in(instance.zone, &none).await;
                return Ok(None);
            }
            Err(none) => return Err(none.into_error(String::new)),
        };
        let mut replacement = self.replace(&instance, (&run, asked), root, template_bytes, &claimed);
        if let Some(replacement) = &mut replacement {
            replacement.changes.extend(take_places(&replacement.run, &ties));
        }
        // From here on the engine holds the claims: it commits them or gives them back.
        claimed.commit();
        Ok(replacement)
    }

    /// The pool of a root volume that is not made yet ties it to nothing; pools of other volumes still do.
    async fn unpin(&self, ask: &mut Ask, instance: &Instance, root: &Volume) -> Result<(), ServiceError> {
        let volumes = self.read().volumes_of(instance.id).await;
        let volumes =
            volumes.map_err(|error| ServiceError::from_store("read the instance's volumes", error))?;
        let others = volumes.iter().filter(|volume| volume.id != root.id);
        ask.pinned = others.map(|volume| volume.pool).collect();
        Ok(())
    }

    fn replace(
        &self,
        instance: &Instance,
        (failed, asked): (&Run, &ReplanAsk),
        root: DiskIds,
        template_bytes: u64,
        claimed: &Claimed<Plan>,
    ) -> Option<Replacement> {
        let plan = claimed.plan()?;
        let run_id = Id::from_uuid(claimed.key());
        let run = self.run_of(instance, run_id, plan, failed.generation + 1);
        let mut changes = vec![Change::DeleteRun(failed.id)];
        let pool = plan.choice.pools.first();
        let moved_root = asked.unmade_root.as_ref().zip(pool).and_then(|(volume, choice)| {
            let moves = volume.pool != choice.pool;
            moves.then(|| Volume {
                pool: choice.pool,
                ..volume.clone()
            })
        });
        if let Some(volume) = &moved_root {
            changes.push(Change::DeleteVolume(volume.id));
            changes.push(Change::InsertVolume(Box::new(volume.clone())));
            changes.extend(self.layer_for_root(plan, root, instance.template, template_bytes));
        }
        changes.push(Change::InsertRun(run.clone()));
        changes.push(Change::InstanceDecision {
            id: instance.id,
            decision: plan.decision.id,
        });
        Some(Replacement {
            run,
            moved_root,
            changes,
            decision: plan.decision.clone(),
        })
    }
}
