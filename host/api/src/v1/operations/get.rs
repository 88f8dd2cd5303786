//! `GET /v1/operations/{id}`

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, timeout_at},
};
use velum_model::{
    OperationId, OperationKind,
    operation::{Event, Operation, OperationState},
    tenancy::Caller,
};
use velum_wire::OperationView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::{Answered, Refused},
    state::ApiState,
    take::{PathId, Query},
};

/// How long to wait.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Answer when it has ended or is stuck, but after so many milliseconds at the latest.
    #[param(minimum = 0, maximum = 30000)]
    wait_ms: Option<u32>,
}

/// Below the shortest idle time that load balancers commonly allow (60 s).
const WAIT_MAX_MS: u32 = 30_000;
/// Its end is announced by an event; an event that was missed costs no more than this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Shows an operation, at once or when it has ended.
#[utoipa::path(
    get,
    path = "/v1/operations/{id}",
    params(WaitQuery),
    responses((status = 200, body = OperationView, description = "As it is"))
)]
pub async fn get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<OperationKind>,
    Query(query): Query<WaitQuery>,
) -> Answered<Answer> {
    let wait_ms = query.wait_ms.unwrap_or(0);
    if wait_ms > WAIT_MAX_MS {
        return Err(Refused::parameter(
            "wait_ms",
            format!("must be at most {WAIT_MAX_MS}, not {wait_ms}"),
        ));
    }
    let operation = ended(&api, &caller, path.id, Duration::from_millis(wait_ms.into())).await?;
    Ok(answer::tagged(operation.generation, &view(operation, &caller)))
}

/// The operation when nothing more happens to it by itself, or as it is when the time is over.
async fn ended(api: &ApiState, caller: &Caller, id: OperationId, wait: Duration) -> Answered<Operation> {
    let deadline = Instant::now() + wait;
    let mut events = api.services.event_subscribe();
    loop {
        let operation = api.services.operation_get(caller, id).await?;
        let is_over = operation.state.has_ended() || operation.state == OperationState::Parked;
        if is_over || Instant::now() >= deadline || api.stop.is_cancelled() {
            return Ok(operation);
        }
        let until = deadline.min(Instant::now() + LOOK_AGAIN);
        tokio::select! {
            // A time that is over is a reason to look, like an event.
            _ = timeout_at(until, told_of(&mut events, id)) => {}
            () = api.stop.cancelled() => {}
        }
    }
}

async fn told_of(events: &mut Receiver<Arc<Event>>, id: OperationId) {
    loop {
        match events.recv().await {
            Ok(event) if event.operation == Some(id) => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
