//! `/images`: the protocol of image stores.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{Asked, At, Body, order};
use crate::{
    Sim,
    image::Claim,
    listen::Hangup,
    refusal::Refused,
    serve::plain,
    verb::Verb,
    world::{Order, World},
};

type Held = State<Arc<Sim>>;

/// The routes.
pub fn routes() -> Router<Arc<Sim>> {
    Router::new()
        .route("/images", get(probe))
        .route("/images/{id}", get(received).put(write).delete(remove))
        .route("/images/{id}/finish", post(finish))
}

fn on_image(verb: Verb, id: Uuid) -> Order {
    let id = id.to_string();
    order(verb, format!("/images/{id}"), &[&id])
}

async fn probe(State(sim): Held, hangup: Hangup) -> Response {
    let order = order(Verb::ImageProbe, "/images".to_owned(), &[]);
    sim.read(hangup, order, |world, _| {
        Ok(plain(json!({"free_bytes": world.image_space()})))
    })
    .await
}

async fn received(State(sim): Held, hangup: Hangup, At(id): At<Uuid>) -> Response {
    let order = on_image(Verb::ImageReceived, id);
    sim.read(hangup, order, move |world, _| {
        Ok(plain(json!({"received": world.received(id)})))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    offset: u64,
}

async fn write(
    State(sim): Held,
    hangup: Hangup,
    At(id): At<Uuid>,
    Asked(from): Asked<From>,
    chunk: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let chunk = chunk?;
    let order = on_image(Verb::ImageWrite, id);
    let write = move |world: &mut World, _| {
        let received = world.append(id, from.offset, &chunk)?;
        Ok(plain(json!({"received": received})))
    };
    Ok(sim.read(hangup, order, write).await)
}

async fn finish(State(sim): Held, hangup: Hangup, At(id): At<Uuid>, Body(claim): Body<Claim>) -> Response {
    let order = on_image(Verb::ImageFinish, id);
    sim.read(hangup, order, move |world, _| {
        let found = world.finish_image(id, &claim)?;
        Ok(plain(json!(found)))
    })
    .await
}

async fn remove(State(sim): Held, hangup: Hangup, At(id): At<Uuid>) -> Response {
    let order = on_image(Verb::ImageRemove, id);
    sim.read(hangup, order, move |world, _| {
        world.remove_image(id);
        Ok(plain(json!({})))
    })
    .await
}
