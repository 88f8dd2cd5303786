//! `POST /v1/plugins/{id}/activate` and `/rollback`

use axum::extract::State;
use velum_model::{Id, PluginKind};
use velum_service::{Activated, StoredAnswer};
use velum_wire::{ActivatePluginBody, ActivationView, RollbackPluginBody};

use super::{convert, view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{PathId, Posted},
};

/// Makes a version of a driver or provider the one that a zone works with.
///
/// Compute hosts or storage pools that use another version of the same name go over in one transaction; new ones get it.
/// Operations that were accepted before end with the version that they began with.
#[utoipa::path(
    post,
    path = "/v1/plugins/{id}/activate",
    request_body = ActivatePluginBody,
    responses((status = 200, body = ActivationView, description = "It is active"))
)]
pub async fn activate(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PluginKind>,
    Posted { body, ticket }: Posted<ActivatePluginBody>,
) -> Answered<Answer> {
    let activating = convert::activating(body)?;
    let done = api
        .services
        .plugin_activate(&caller, path.id, activating, ticket.keyed(&caller, done))
        .await?;
    Ok(Answer::of(done, self::done))
}

/// Puts the version back that was active in a zone before this one.
#[utoipa::path(
    post,
    path = "/v1/plugins/{id}/rollback",
    request_body = RollbackPluginBody,
    responses((status = 200, body = ActivationView, description = "The version before is active"))
)]
pub async fn rollback(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PluginKind>,
    Posted { body, ticket }: Posted<RollbackPluginBody>,
) -> Answered<Answer> {
    let zone = Id::from_uuid(body.zone_id);
    let done = api
        .services
        .plugin_rollback(&caller, path.id, zone, ticket.keyed(&caller, done))
        .await?;
    Ok(Answer::of(done, self::done))
}

fn done(activated: &Activated) -> StoredAnswer {
    answer::done(&view::activated(activated))
}
