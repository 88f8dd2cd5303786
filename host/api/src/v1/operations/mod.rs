//! Operations.

mod assert_gone;
mod get;
mod list;
mod retry;
mod undo;
mod view;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(retry::retry))
        .routes(routes!(undo::undo))
        .routes(routes!(assert_gone::assert_gone))
}
