//! Policies.

pub(crate) mod convert;
mod create;
mod delete;
mod evaluate;
mod get;
mod list;
mod shadow;
mod update;
mod versions;
pub(crate) mod view;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(
            shadow::shadow_get,
            shadow::shadow_begin,
            shadow::shadow_end
        ))
        .routes(routes!(shadow::promote))
        .routes(routes!(evaluate::evaluate))
        .routes(routes!(versions::versions))
        .routes(routes!(versions::rollback))
}
