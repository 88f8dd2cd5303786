//! `POST /v1/instances`

use axum::extract::State;
use velum_wire::{CreateInstanceBody, DecisionView, InstanceView};

use super::{convert, view::accepted};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Posted, Query},
    v1::decisions::view::{names, view},
};

/// Whether an instance is only to be thought of.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CreateInstanceQuery {
    /// Answer the decision, claim and store nothing.
    dry_run: Option<bool>,
}

/// Makes and starts an instance: everything it needs is claimed at once, the rest takes time.
///
/// With `dry_run=true` it answers where the instance would go and why, and changes nothing.
#[utoipa::path(
    post,
    path = "/v1/instances",
    params(CreateInstanceQuery),
    request_body = CreateInstanceBody,
    responses(
        (status = 200, body = DecisionView, description = "Where it would go (dry run)"),
        (status = 202, body = InstanceView, description = "It was accepted")
    )
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<CreateInstanceQuery>,
    Posted { body, ticket }: Posted<CreateInstanceBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    if query.dry_run == Some(true) {
        let decision = Box::pin(api.services.instance_dry_run(&caller, new)).await?;
        let names = Box::pin(names(&api, &caller, &decision)).await;
        return Ok(answer::plain(&view(&decision, &names)));
    }
    let made = api
        .services
        .instance_create(&caller, new, ticket.keyed(&caller, accepted))
        .await?;
    Ok(Answer::of(made, accepted))
}
