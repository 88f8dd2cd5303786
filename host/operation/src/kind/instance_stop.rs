//! `instance-stop`: asks the guest, gives it its time, then turns it off; the run ends and with it the compute claim.

use velum_model::{
    instance::{InstanceState, ObservedState},
    port::{hypervisor::registry, target::Outcome},
};
use velum_store::Change;

use super::take_down;
use crate::{
    act::{guest, rows::handle},
    params::InstanceStop,
    step::{Acted, Cx, Kind, Step, StepFuture, TurnsBack, current},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[
        Step::plain("shutdown", "asking the guest to shut down", shutdown)
            .pivot()
            .taking_away(),
        take_down::KILL,
        take_down::UNDEFINE,
        take_down::UNPUBLISH,
        take_down::UNSEED,
    ],
    finish,
    abort,
    park: super::park_instance,
    instance_is: Some(InstanceState::Stopping),
    turns_back: TurnsBack::BeforePivot(
        "the guest was asked to end: retry, or say that what could not be reached is gone, then start the instance",
    ),
    explain: super::explain_guest,
};

/// How often a guest that was asked to shut down is looked at.
const LOOK_EVERY_MS: u64 = 500;

fn shutdown<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let params: InstanceStop = cx.params()?;
        let Some(run) = cx.find_run(params.run).await? else {
            return Ok(Acted::done());
        };
        let host = cx.host(run.compute_host).await?;
        let seen = guest::observe(&host, &run).await?;
        if seen.is_none_or(|o| matches!(o.state, registry::STATE_OFF | registry::STATE_CRASHED)) {
            return Ok(Acted::changing(vec![guest::seen(cx, &run, ObservedState::Off)]));
        }
        let asked_at = current(&cx.operation.journal)
            .last()
            .map_or(cx.operation.created_at, |r| r.at);
        if cx.engine.parts.clock.now().millis_since(asked_at) >= params.grace_ms {
            return Ok(Acted::done());
        }
        let call = cx.call(
            host.target(),
            run.instance.uuid(),
            run.generation,
            &format!("shutdown/{}", run.id),
        );
        let outcome = match cx.job {
            Some(job) => host.driver.poll(&call, handle(&run), &job.token).await,
            None => host.driver.shutdown(&call, handle(&run)).await,
        };
        match guest::absent_is_done(outcome) {
            Ok(Outcome::Done(_)) => Ok(Acted::done()),
            Ok(Outcome::Working(mut job)) => {
                job.poll_after_ms = job.poll_after_ms.min(LOOK_EVERY_MS as u32);
                Ok(Acted::Working(job))
            }
            // A guest that cannot be asked is turned off by the next step.
            Err(fault) if fault.unchanged && !fault.is_transient() => Ok(Acted::done()),
            Err(fault) => Err(fault.into()),
        }
    })
}

fn finish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let params: InstanceStop = cx.params()?;
        let mut changes = vec![Change::DeleteRun(params.run)];
        if !cx.operation.cancel_requested {
            let from = vec![InstanceState::Stopping];
            changes.push(Change::InstanceState {
                id: cx.instance_id()?,
                from,
                to: InstanceState::Stopped,
            });
        }
        Ok(changes)
    })
}

/// Nothing was asked of the guest yet: it runs on.
fn abort<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        if cx.operation.cancel_requested {
            return Ok(Vec::new());
        }
        let from = vec![InstanceState::Stopping];
        Ok(vec![Change::InstanceState {
            id: cx.instance_id()?,
            from,
            to: InstanceState::Running,
        }])
    })
}
