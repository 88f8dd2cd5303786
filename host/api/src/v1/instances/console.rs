//! `GET /v1/instances/{id}/console`: the serial console, both ways, over a WebSocket.

use std::sync::Arc;

use axum::{
    extract::{
        State,
        ws::{
            CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code,
            rejection::WebSocketUpgradeRejection,
        },
    },
    response::Response,
};
use futures::{SinkExt, StreamExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use velum_model::{InstanceKind, port::node::stream::ByteStream};

use crate::{
    auth::By,
    error::{Answered, Refused},
    problem::Kind,
    state::ApiState,
    take::PathId,
};

/// What a person types or pastes at once.
const MESSAGE_MAX: usize = 64 << 10;

/// Opens the serial console: a WebSocket whose binary messages are the bytes of both directions.
#[utoipa::path(
    get,
    path = "/v1/instances/{id}/console",
    responses((status = 101, description = "The console is open"))
)]
pub async fn console(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<InstanceKind>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answered<Response> {
    let upgrade = upgrade?.max_message_size(MESSAGE_MAX).max_frame_size(MESSAGE_MAX);
    let place = Arc::clone(&api.bounds.streams).try_acquire_owned();
    let place =
        place.map_err(|_| Refused::new(Kind::TooMany, "too many consoles and streams").retry_after(5))?;
    let stream = api.services.instance_console(&caller, path.id).await?;
    Ok(upgrade.on_upgrade(move |socket| relay(socket, stream, api.stop, place)))
}

/// Carries bytes both ways until one side ends or the server stops.
async fn relay(socket: WebSocket, stream: ByteStream, stop: CancellationToken, _place: OwnedSemaphorePermit) {
    let ByteStream {
        mut reader,
        mut writer,
    } = stream;
    let (mut sink, mut source) = socket.split();
    let outward = async {
        loop {
            match reader.read().await {
                Ok(bytes) if bytes.is_empty() => return "the guest closed its console",
                Ok(bytes) => {
                    if sink.send(Message::Binary(bytes.into())).await.is_err() {
                        return "";
                    }
                }
                Err(_) => return "the console broke off",
            }
        }
    };
    let inward = async {
        while let Some(Ok(message)) = source.next().await {
            let bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => text.into(),
                Message::Close(_) => return "",
                Message::Ping(_) | Message::Pong(_) => continue,
            };
            if writer.write(&bytes).await.is_err() {
                return "the console takes nothing more";
            }
        }
        ""
    };
    let reason = tokio::select! {
        reason = outward => reason,
        reason = inward => reason,
        () = stop.cancelled() => "the server stops",
    };
    let frame = CloseFrame {
        code: close_code::NORMAL,
        reason: reason.into(),
    };
    // Whoever is gone does not hear it.
    let _ = sink.send(Message::Close(Some(frame))).await;
}
