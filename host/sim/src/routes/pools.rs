//! `/pools`: what a storage provider calls.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post, put},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Asked, At, Body, Page, order};
use crate::{
    Sim,
    gate::Stamp,
    listen::Hangup,
    publication::Consumer,
    refusal::Refused,
    serve::{plain, respond},
    storage::NewVolume,
    verb::Verb,
    world::Order,
};

type Held = State<Arc<Sim>>;

/// The routes.
pub fn routes() -> Router<Arc<Sim>> {
    Router::new()
        .route("/pools", get(list))
        .route("/pools/{pool}", get(probe))
        .route("/pools/{pool}/volumes", get(observe))
        .route("/pools/{pool}/volumes/{id}", put(create).get(find).delete(delete))
        .route("/pools/{pool}/volumes/{id}/expand", post(expand))
        .route(
            "/pools/{pool}/volumes/{id}/publications/{node}",
            put(publish).get(reached_by).delete(unpublish),
        )
        .route("/pools/{pool}/jobs/{token}", get(poll).delete(cancel))
}

fn on_volume(verb: Verb, pool: &str, id: Uuid) -> Order {
    let id = id.to_string();
    order(verb, format!("/pools/{pool}/volumes/{id}"), &[pool, &id])
}

fn on_publication(verb: Verb, pool: &str, id: Uuid, node: Uuid) -> Order {
    let (id, node) = (id.to_string(), node.to_string());
    let place = format!("/pools/{pool}/volumes/{id}/publications/{node}");
    order(verb, place, &[pool, &id, &node])
}

async fn list(State(sim): Held) -> Response {
    let world = sim.world();
    let pools: Vec<Value> = world
        .pools
        .keys()
        .filter_map(|name| world.space(name).ok())
        .collect();
    plain(json!({"pools": pools}))
}

async fn probe(State(sim): Held, hangup: Hangup, At(pool): At<String>) -> Response {
    let order = order(Verb::Pool, format!("/pools/{pool}"), &[&pool]);
    sim.read(hangup, order, move |world, _| world.space(&pool).map(plain))
        .await
}

async fn observe(
    State(sim): Held,
    hangup: Hangup,
    At(pool): At<String>,
    Asked(page): Asked<Page>,
) -> Result<Response, Refused> {
    let after = page.after_id()?;
    let order = order(Verb::Volumes, format!("/pools/{pool}/volumes"), &[&pool]);
    let limit = page.limit();
    Ok(sim
        .read(hangup, order, move |world, _| {
            world.volume_page(&pool, after, limit).map(plain)
        })
        .await)
}

async fn create(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((pool, id)): At<(String, Uuid)>,
    Body(new): Body<NewVolume>,
) -> Response {
    let order = on_volume(Verb::Create, &pool, id);
    sim.change((stamp, hangup), order, move |world, _, order| {
        world.create(order, &pool, id, new)
    })
    .await
}

async fn find(State(sim): Held, hangup: Hangup, At((pool, id)): At<(String, Uuid)>) -> Response {
    let order = on_volume(Verb::Find, &pool, id);
    sim.read(hangup, order, move |world, _| world.find(&pool, id).map(plain))
        .await
}

async fn delete(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((pool, id)): At<(String, Uuid)>,
) -> Response {
    let order = on_volume(Verb::Delete, &pool, id);
    sim.change((stamp, hangup), order, move |world, _, order| {
        world.delete(order, &pool, id)
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpandBody {
    size_bytes: u64,
}

async fn expand(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((pool, id)): At<(String, Uuid)>,
    Body(body): Body<ExpandBody>,
) -> Response {
    let order = on_volume(Verb::Expand, &pool, id);
    sim.change((stamp, hangup), order, move |world, _, order| {
        world.expand(order, &pool, id, body.size_bytes)
    })
    .await
}

async fn publish(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((pool, id, node)): At<(String, Uuid, Uuid)>,
    Body(to): Body<Consumer>,
) -> Response {
    let order = on_publication(Verb::Publish, &pool, id, node);
    sim.change((stamp, hangup), order, move |world, _, order| {
        world.publish(order, (&pool, id), node, &to)
    })
    .await
}

async fn reached_by(
    State(sim): Held,
    hangup: Hangup,
    At((pool, id, node)): At<(String, Uuid, Uuid)>,
) -> Response {
    let order = on_publication(Verb::ReachedBy, &pool, id, node);
    sim.read(hangup, order, move |world, _| {
        world.reached_by(&pool, id, node).map(plain)
    })
    .await
}

async fn unpublish(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((pool, id, node)): At<(String, Uuid, Uuid)>,
) -> Response {
    let order = on_publication(Verb::Unpublish, &pool, id, node);
    sim.change((stamp, hangup), order, move |world, _, order| {
        world.unpublish(order, &pool, id, node)
    })
    .await
}

async fn poll(State(sim): Held, hangup: Hangup, At((pool, token)): At<(String, String)>) -> Response {
    let order = order(
        Verb::Poll,
        format!("/pools/{pool}/jobs/{token}"),
        &[&pool, &token],
    );
    sim.read(hangup, order, move |world, now_ms| {
        world.poll(&token, now_ms).map(respond)
    })
    .await
}

async fn cancel(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((pool, token)): At<(String, String)>,
) -> Response {
    let order = order(
        Verb::Cancel,
        format!("/pools/{pool}/jobs/{token}"),
        &[&pool, &token],
    );
    sim.read(hangup, order, move |world, _| {
        world.cancel(&stamp, &token).map(respond)
    })
    .await
}
