//! `GET /v1/volumes`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::VolumeFilter;
use velum_wire::{Page, VolumeKind, VolumeState, VolumeView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which volumes: those that match all that is said.
    VolumesQuery {
        /// Of this name.
        name: String,
        /// In this zone.
        zone_id: Uuid,
        /// On this pool.
        storage_pool_id: Uuid,
        /// Attached to this instance.
        instance_id: Uuid,
        /// In this state.
        #[param(inline)]
        state: VolumeState,
        /// Root or data.
        #[param(inline)]
        kind: VolumeKind,
    }
}

impl VolumesQuery {
    fn filter(&self) -> Answered<VolumeFilter> {
        Ok(VolumeFilter {
            name: take::named("name", self.name.as_deref())?,
            zone: self.zone_id.map(Id::from_uuid),
            pool: self.storage_pool_id.map(Id::from_uuid),
            instance: self.instance_id.map(Id::from_uuid),
            state: self.state.map(convert::state),
            used_as: self.kind.map(convert::kind),
        })
    }
}

/// Lists volumes, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/volumes",
    params(VolumesQuery),
    responses((status = 200, body = Page<VolumeView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<VolumesQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .volume_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
