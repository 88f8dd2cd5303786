//! Instances.

mod console;
mod console_log;
mod convert;
mod create;
mod create_batch;
mod decision;
mod delete;
mod get;
mod list;
mod reboot;
mod start;
mod stop;
mod view;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(create_batch::create_batch))
        .routes(routes!(get::get, delete::delete))
        .routes(routes!(console::console))
        .routes(routes!(console_log::console_log))
        .routes(routes!(decision::decision))
        .routes(routes!(reboot::reboot))
        .routes(routes!(start::start))
        .routes(routes!(stop::stop))
}
