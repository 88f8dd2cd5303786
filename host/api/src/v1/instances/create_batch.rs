//! `POST /v1/instances:batch`

use axum::extract::State;
use velum_service::{Batch, StoredAnswer};
use velum_wire::{BatchItemView, BatchView, CreateInstancesBody};

use super::{convert, view::detailed};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::{Answered, Refused},
    state::ApiState,
    take::Posted,
};

/// Makes and starts many instances of a zone in one transaction: what is answered as accepted is durable, all of it or none.
///
/// At most 256, in a body of at most 8 MiB.
///
/// Fields that cannot be accepted and names that are taken refuse the whole request; so does one that finds no place, or whose address is taken, if `all_or_nothing` is set.
#[utoipa::path(
    post,
    path = "/v1/instances:batch",
    request_body = CreateInstancesBody,
    responses((status = 202, body = BatchView, description = "What came of each"))
)]
pub async fn create_batch(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateInstancesBody>,
) -> Answered<Answer> {
    let new = convert::new_batch(body)?;
    let made = api
        .services
        .instance_create_batch(&caller, new, ticket.keyed(&caller, told))
        .await?;
    Ok(Answer::of(made, told))
}

fn told(batch: &Batch) -> StoredAnswer {
    let items: Vec<BatchItemView> = batch
        .iter()
        .map(|one| match one {
            Ok(accepted) => BatchItemView {
                instance: Some(detailed(&accepted.resource)),
                operation_id: Some(accepted.operation.uuid()),
                problem: None,
            },
            Err(error) => BatchItemView {
                problem: Some(Refused::from(error).into_problem()),
                ..BatchItemView::default()
            },
        })
        .collect();
    let accepted = batch.iter().filter(|one| one.is_ok()).count() as u32;
    answer::accepted_many(&BatchView {
        accepted,
        refused: items.len() as u32 - accepted,
        items,
    })
}
