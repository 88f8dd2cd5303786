//! `POST /v1/compute-hosts/{id}/enable`

use axum::extract::State;
use velum_model::ComputeHostKind;
use velum_service::ChangeComputeHost;
use velum_wire::ComputeHostView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{NoBody, PathId},
};

/// Takes a compute host back into service. Doing so again changes nothing, so that a key has nothing to remember.
#[utoipa::path(
    post,
    path = "/v1/compute-hosts/{id}/enable",
    responses((status = 200, body = ComputeHostView, description = "As it is now"))
)]
pub async fn enable(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ComputeHostKind>,
    _nothing: NoBody,
) -> Answered<Answer> {
    let change = ChangeComputeHost {
        enabled: Some(true),
        ..ChangeComputeHost::default()
    };
    let host = api
        .services
        .compute_host_change(&caller, path.id, None, change)
        .await?;
    Ok(answer::tagged(host.generation, &view(&host)))
}
