//! `GET /v1/publishers`

use axum::extract::State;

use velum_service::PublisherFilter;
use velum_wire::{Page, PublisherView};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which publishers: those that match all that is said.
    PublishersQuery {
        /// Of this name.
        name: String,
    }
}

impl PublishersQuery {
    fn filter(&self) -> Answered<PublisherFilter> {
        Ok(PublisherFilter {
            name: take::named("name", self.name.as_deref())?,
        })
    }
}

/// Lists publishers, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/publishers",
    params(PublishersQuery),
    responses((status = 200, body = Page<PublisherView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<PublishersQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .publisher_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
