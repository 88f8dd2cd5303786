//! `instance-start`: a stopped instance gets a run where the planner placed it.

use velum_model::instance::InstanceState;
use velum_store::Change;

use super::bring_up;
use crate::{
    params::InstanceStart,
    step::{Cx, Kind, StepFuture, TurnsBack},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[
        bring_up::PUBLISH,
        bring_up::LINKS,
        bring_up::SEED,
        bring_up::DEFINE,
        bring_up::START,
        bring_up::CONFIRM,
    ],
    finish,
    abort,
    park: super::park_instance,
    instance_is: Some(InstanceState::Starting),
    turns_back: TurnsBack::Always,
    explain: super::explain_guest,
};

fn finish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        if cx.operation.cancel_requested {
            return Ok(Vec::new());
        }
        let from = vec![InstanceState::Starting];
        Ok(vec![Change::InstanceState {
            id: cx.instance_id()?,
            from,
            to: InstanceState::Running,
        }])
    })
}

fn abort<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let params: InstanceStart = cx.params()?;
        let mut changes = vec![Change::DeleteRun(params.run)];
        if !cx.operation.cancel_requested {
            let from = vec![InstanceState::Starting];
            changes.push(Change::InstanceState {
                id: cx.instance_id()?,
                from,
                to: InstanceState::Stopped,
            });
        }
        Ok(changes)
    })
}
