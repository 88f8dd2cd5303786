//! `POST /v1/policies:evaluate`

use axum::extract::State;
use velum_service::{Evaluated, Packing};
use velum_wire::{EvaluatePolicyBody, EvaluationSampleView, EvaluationView, MoveView, PackingView};

use super::convert;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
    v1::decisions::view::policy,
};

/// Gives the latest decisions of a zone to a component, over a copy of the zone in which machines go where it puts them and leave
/// when they left: what would have come of it. Changes nothing, and takes seconds.
#[utoipa::path(
    post,
    path = "/v1/policies:evaluate",
    request_body = EvaluatePolicyBody,
    responses((status = 200, body = EvaluationView, description = "What would have come of them"))
)]
pub async fn evaluate(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, .. }: Posted<EvaluatePolicyBody>,
) -> Answered<Answer> {
    let new = convert::evaluation(body)?;
    let evaluated = api.services.policy_evaluate(&caller, new).await?;
    Ok(answer::plain(&view(&evaluated)))
}

fn view(evaluated: &Evaluated) -> EvaluationView {
    let tally = &evaluated.tally;
    EvaluationView {
        policy: policy(&evaluated.policy),
        first_at: evaluated.between.map(|(first, _)| first.to_string()),
        last_at: evaluated.between.map(|(_, last)| last.to_string()),
        decisions: tally.decisions,
        same: tally.same,
        moved: tally.moved,
        refused_was: tally.refused_then,
        refused_would: tally.refused_would,
        failed: tally.failed,
        failure: tally.failure.as_ref().map(ToString::to_string),
        moves: tally
            .moves
            .iter()
            .map(|of| MoveView {
                decision_id: of.decision.uuid(),
                instance_id: of.instance.uuid(),
                was: of.then.map(|host| host.uuid()),
                would: of.would.map(|host| host.uuid()),
            })
            .collect(),
        samples: evaluated
            .samples
            .iter()
            .map(|sample| EvaluationSampleView {
                at: sample.at.to_string(),
                was: packing(sample.then),
                would: packing(sample.would),
            })
            .collect(),
        skipped: evaluated.skipped,
        restarts: evaluated.restarts,
        fuel: tally.fuel,
        complete: evaluated.is_complete,
        took_ms: evaluated.took_ms,
    }
}

const fn packing(of: Packing) -> PackingView {
    PackingView {
        compute_hosts: of.compute_hosts,
        empty: of.empty,
        vcpus_used: of.vcpus_used,
        vcpus_there: of.vcpus_there,
        memory_used_mib: of.memory_used_mib,
        memory_there_mib: of.memory_there_mib,
    }
}
