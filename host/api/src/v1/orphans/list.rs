//! `GET /v1/orphans`

use axum::extract::State;
use uuid::Uuid;
use velum_model::{Id, orphan};
use velum_service::OrphanFilter;
use velum_wire::{OrphanKind, OrphanView, Page};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Query, list_query},
};

list_query! {
    /// Which orphans: those that match all that is said.
    OrphansQuery {
        /// Of this kind.
        #[param(inline)]
        kind: OrphanKind,
        /// On this compute host.
        compute_host_id: Uuid,
        /// On this storage pool.
        storage_pool_id: Uuid,
    }
}

const fn kind(kind: OrphanKind) -> orphan::OrphanKind {
    match kind {
        OrphanKind::Guest => orphan::OrphanKind::Guest,
        OrphanKind::Volume => orphan::OrphanKind::Volume,
        OrphanKind::Publication => orphan::OrphanKind::Publication,
        OrphanKind::Seed => orphan::OrphanKind::Seed,
    }
}

/// Lists what is at the far sides and no row owns, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/orphans",
    params(OrphansQuery),
    responses((status = 200, body = Page<OrphanView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<OrphansQuery>,
) -> Answered<Answer> {
    let filter = OrphanFilter {
        kind: query.kind.map(kind),
        compute_host: query.compute_host_id.map(Id::from_uuid),
        storage_pool: query.storage_pool_id.map(Id::from_uuid),
    };
    let paged = api.services.orphan_list(&caller, &filter, query.page()?).await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
