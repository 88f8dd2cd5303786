//! Decisions.

mod candidates;
mod get;
mod list;
mod replay;
pub(crate) mod view;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(candidates::candidates))
        .routes(routes!(replay::replay))
}
