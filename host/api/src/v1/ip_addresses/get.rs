//! `GET /v1/ip-addresses/{id}`

use axum::extract::State;
use velum_model::IpAddressKind;
use velum_wire::IpAddressView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a claimed address.
#[utoipa::path(get, path = "/v1/ip-addresses/{id}", responses((status = 200, body = IpAddressView, description = "As it is")))]
pub async fn get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<IpAddressKind>,
) -> Answered<Answer> {
    let ip_address = api.services.ip_address_get(&caller, path.id).await?;
    Ok(answer::plain(&view(&ip_address)))
}
