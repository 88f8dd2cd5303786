//! `PATCH /v1/affinity-groups/{id}`

use axum::extract::State;
use velum_model::AffinityGroupKind;
use velum_wire::{AffinityGroupView, UpdateAffinityGroupBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Body, IfMatch, PathId},
};

/// Changes what an affinity group is called: what the body does not name stays.
#[utoipa::path(
    patch,
    path = "/v1/affinity-groups/{id}",
    request_body = UpdateAffinityGroupBody,
    responses((status = 200, body = AffinityGroupView, description = "As it is now"))
)]
pub async fn update(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<AffinityGroupKind>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UpdateAffinityGroupBody>,
) -> Answered<Answer> {
    let group = api
        .services
        .affinity_group_change(&caller, path.id, expected, convert::change(body)?)
        .await?;
    Ok(answer::tagged(group.generation, &view(&group)))
}
