//! `compute-host-maintenance`: the intent changed with the accept, so that no new guest comes; what is on its way there
//! is waited for, and what runs there is reported.

use serde_json::json;
use velum_model::{
    operation::{OperationState, Subject},
    page::Page,
};
use velum_store::Change;

use crate::step::{Acted, Cx, Kind, Step, StepError, StepFuture, TurnsBack};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[Step::plain("settle", "waiting for guests that are on their way", settle).pivot()],
    finish: nothing,
    abort: nothing,
    park: super::park_nothing,
    instance_is: None,
    turns_back: TurnsBack::BeforePivot(
        "its intent changed with the accept; enable the compute host to end the maintenance",
    ),
    explain: super::explain_guest,
};

/// Guests on their way are there within seconds.
const LOOK_EVERY_MS: u64 = 500;

fn settle<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let Subject::ComputeHost(host) = cx.operation.subject else {
            return Err(StepError::missing("the compute host of", cx.operation.id));
        };
        let reader = cx.engine.parts.store.read();
        let runs = reader
            .runs_on(
                host,
                Page {
                    limit: Page::MAX_LIMIT,
                    after: None,
                },
            )
            .await?;
        for run in &runs.items {
            let Some(holder) = reader.holder_of(Subject::Instance(run.instance)).await? else {
                continue;
            };
            let operation = reader.operation(velum_model::tenancy::Scope::All, holder).await?;
            if operation.is_some_and(|o| matches!(o.state, OperationState::Running | OperationState::Undoing))
            {
                return Ok(Acted::Wait {
                    after_ms: LOOK_EVERY_MS,
                    note: "waiting for guests that are on their way".into(),
                });
            }
        }
        let guests = runs.items.len();
        Ok(Acted::Done {
            output: json!({ "guests": guests, "more": runs.next.is_some() }),
            changes: Vec::new(),
        })
    })
}

fn nothing<'a>(_: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async { Ok(Vec::new()) })
}
