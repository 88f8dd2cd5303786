//! `instance-reboot`: by asking the guest, or by reset.

use velum_model::instance::InstanceState;
use velum_store::Change;

use super::bring_up;
use crate::{
    act::rows::handle,
    params::InstanceReboot,
    step::{Acted, Cx, Kind, Step, StepFuture, TurnsBack},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[
        Step::plain("reboot", "rebooting the guest", reboot).pivot(),
        bring_up::CONFIRM,
    ],
    finish: running_again,
    abort: running_again,
    park: super::park_instance,
    instance_is: Some(InstanceState::Rebooting),
    turns_back: TurnsBack::Always,
    explain: super::explain_guest,
};

fn reboot<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let params: InstanceReboot = cx.params()?;
        let run = cx.run(params.run).await?;
        let host = cx.host(run.compute_host).await?;
        let call = cx.call(
            host.target(),
            run.instance.uuid(),
            run.generation,
            &format!("reboot/{}", run.id),
        );
        let outcome = match cx.job {
            Some(job) => host.driver.poll(&call, handle(&run), &job.token).await?,
            None => host.driver.reboot(&call, handle(&run), params.hard).await?,
        };
        Ok(Acted::from_outcome(outcome, Vec::new()))
    })
}

fn running_again<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        if cx.operation.cancel_requested {
            return Ok(Vec::new());
        }
        let from = vec![InstanceState::Rebooting];
        Ok(vec![Change::InstanceState {
            id: cx.instance_id()?,
            from,
            to: InstanceState::Running,
        }])
    })
}
