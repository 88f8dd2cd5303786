//! `GET /v1/ip-ranges/{id}`

use axum::extract::State;
use velum_model::IpRangeKind;
use velum_wire::IpRangeView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a range of addresses.
#[utoipa::path(get, path = "/v1/ip-ranges/{id}", responses((status = 200, body = IpRangeView, description = "As it is")))]
pub async fn get(State(api): State<ApiState>, By(caller): By, path: PathId<IpRangeKind>) -> Answered<Answer> {
    let ip_range = api.services.ip_range_get(&caller, path.id).await?;
    Ok(answer::tagged(ip_range.generation, &view(&ip_range)))
}
