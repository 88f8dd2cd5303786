//! `GET /v1/operations`

use axum::extract::State;
use uuid::Uuid;
use velum_model::operation::{OperationKindName, OperationState as State_, Subject};
use velum_service::OperationFilter;
use velum_wire::{OperationState, OperationView, Page};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::{Answered, Refused},
    state::ApiState,
    take::{Query, list_query},
};

list_query! {
    /// Which operations: those that match all that is said.
    OperationsQuery {
        /// Of this kind: `instance-create`, `volume-attach`, …
        kind: String,
        /// In this state.
        #[param(inline)]
        state: OperationState,
        /// About resources of this collection: `instances`, `volumes`, `templates`, `compute-hosts`, `orphans`.
        subject: String,
        /// About the resource with this id.
        subject_id: Uuid,
    }
}

impl OperationsQuery {
    fn filter(&self) -> Answered<OperationFilter> {
        let kind = self.kind.as_deref().map(|kind| {
            OperationKindName::parse(kind)
                .ok_or_else(|| Refused::parameter("kind", "is no kind of operation"))
        });
        let collection = self.subject.as_deref().map(|collection| {
            let known = Subject::COLLECTIONS
                .into_iter()
                .find(|known| *known == collection);
            known.ok_or_else(|| {
                let known = Subject::COLLECTIONS.join(", ");
                Refused::parameter("subject", format!("must be one of {known}"))
            })
        });
        Ok(OperationFilter {
            kind: kind.transpose()?,
            state: self.state.map(state),
            subject: self.subject_id,
            collection: collection.transpose()?,
        })
    }
}

const fn state(state: OperationState) -> State_ {
    match state {
        OperationState::Running => State_::Running,
        OperationState::Undoing => State_::Undoing,
        OperationState::Done => State_::Done,
        OperationState::Undone => State_::Undone,
        OperationState::Parked => State_::Parked,
    }
}

/// Lists operations, in the order of their ids: oldest first.
#[utoipa::path(
    get,
    path = "/v1/operations",
    params(OperationsQuery),
    responses((status = 200, body = Page<OperationView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<OperationsQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .operation_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(item, &caller)))
}
