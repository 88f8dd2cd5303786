//! `GET /v1/plugins`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;

use velum_service::PluginFilter;
use velum_wire::{Page, PluginView, PluginWorld};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which plugins: those that match all that is said.
    PluginsQuery {
        /// Of this name.
        name: String,
        /// Of this version.
        version: String,
        /// Of this world.
        #[param(inline)]
        world: PluginWorld,
        /// Of this digest.
        digest: String,
        /// Signed by this publisher.
        publisher_id: Uuid,
    }
}

impl PluginsQuery {
    fn filter(&self) -> Answered<PluginFilter> {
        Ok(PluginFilter {
            name: take::named("name", self.name.as_deref())?,
            version: take::word("version", self.version.clone())?,
            world: self.world.map(convert::world),
            digest: take::digested("digest", self.digest.as_deref())?,
            publisher: self.publisher_id.map(Id::from_uuid),
            key: None,
        })
    }
}

/// Lists plugins, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/plugins",
    params(PluginsQuery),
    responses((status = 200, body = Page<PluginView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<PluginsQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .plugin_details(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
