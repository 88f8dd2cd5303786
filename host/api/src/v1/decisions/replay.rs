//! `POST /v1/decisions/{id}/replay`

use axum::extract::State;
use velum_model::DecisionKind;
use velum_service::OtherPolicy;
use velum_wire::{ReplayDecisionBody, ReplayView};

use super::view::{again, names_of};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Fields, PathId, Posted},
    v1::policies::convert::choice,
};

/// Makes a decision once more over the zone of then. By the policy of then it comes out bit for bit the same; another policy or
/// another configuration shows what it would have decided. Changes nothing.
#[utoipa::path(
    post,
    path = "/v1/decisions/{id}/replay",
    request_body = ReplayDecisionBody,
    responses((status = 200, body = ReplayView, description = "What came of it"))
)]
pub async fn replay(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<DecisionKind>,
    Posted { body, .. }: Posted<ReplayDecisionBody>,
) -> Answered<Answer> {
    let mut fields = Fields::new();
    let other = OtherPolicy {
        plugin: choice(&mut fields, body.digest, body.plugin),
        config: fields.config_if("/config", body.config),
    };
    let other = fields.answer(Some(other))?;
    let replayed = api.services.decision_replay(&caller, path.id, other).await?;
    let decision = &replayed.decision;
    let hosts = replayed
        .outcome
        .winner
        .iter()
        .chain(&replayed.outcome.runners_up)
        .chain(&decision.winner)
        .chain(&decision.runners_up)
        .map(|ranked| ranked.compute_host)
        .chain(decision.refusals.iter().map(|refusal| refusal.compute_host));
    let chosen = replayed.outcome.choice.iter().flat_map(|choice| &choice.pools);
    let pools = chosen.map(|pool| pool.pool).chain(decision.pools.iter().copied());
    let names = names_of(&api, &caller, hosts.collect(), pools.collect()).await;
    Ok(answer::plain(&again(&replayed, &names)))
}
