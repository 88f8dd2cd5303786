//! Plugins.

mod activate;
mod convert;
mod create;
mod delete;
mod get;
mod list;
mod stats;
mod view;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, delete::delete))
        .routes(routes!(stats::stats))
        .routes(routes!(activate::activate))
        .routes(routes!(activate::rollback))
}
