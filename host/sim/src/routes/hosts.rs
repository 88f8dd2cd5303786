//! `/hosts`: what a hypervisor driver calls.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
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
    refusal::Refused,
    serve::{plain, respond},
    verb::Verb,
    world::{Disk, Order, Spec},
};

type Held = State<Arc<Sim>>;

/// The routes.
pub fn routes() -> Router<Arc<Sim>> {
    Router::new()
        .route("/hosts", get(list))
        .route("/hosts/{host}", get(probe))
        .route("/hosts/{host}/runs", get(observe))
        .route(
            "/hosts/{host}/runs/{run}",
            put(ensure).get(observe_run).delete(remove),
        )
        .route("/hosts/{host}/runs/{run}/start", post(start))
        .route("/hosts/{host}/runs/{run}/shutdown", post(shutdown))
        .route("/hosts/{host}/runs/{run}/kill", post(kill))
        .route("/hosts/{host}/runs/{run}/reboot", post(reboot))
        .route(
            "/hosts/{host}/runs/{run}/disks/{slot}",
            put(attach).delete(detach),
        )
        .route("/hosts/{host}/jobs/{token}", get(poll).delete(cancel))
}

fn on_run(verb: Verb, host: &str, run: Uuid) -> Order {
    let run = run.to_string();
    order(verb, format!("/hosts/{host}/runs/{run}"), &[host, &run])
}

async fn list(State(sim): Held, Asked(page): Asked<Page>) -> Response {
    let world = sim.world();
    let after = page.after.clone().unwrap_or_default();
    let later = world.hosts.keys().filter(|name| **name > after);
    let mut names: Vec<&String> = later.take(page.limit().clamp(1, 1_000) + 1).collect();
    let has_more = names.len() > page.limit().clamp(1, 1_000);
    if has_more {
        names.pop();
    }
    let next = names.last().filter(|_| has_more);
    // A host without power is left out: it has nothing to say.
    let hosts: Vec<Value> = names.iter().filter_map(|name| world.facts(name).ok()).collect();
    Json(json!({"hosts": hosts, "next": next})).into_response()
}

async fn probe(State(sim): Held, hangup: Hangup, At(host): At<String>) -> Response {
    let order = order(Verb::Probe, format!("/hosts/{host}"), &[&host]);
    sim.read(hangup, order, move |world, _| world.facts(&host).map(plain))
        .await
}

async fn observe(
    State(sim): Held,
    hangup: Hangup,
    At(host): At<String>,
    Asked(page): Asked<Page>,
) -> Result<Response, Refused> {
    let after = page.after_id()?;
    let order = order(Verb::Observe, format!("/hosts/{host}/runs"), &[&host]);
    let limit = page.limit();
    Ok(sim
        .read(hangup, order, move |world, _| {
            world.observe(&host, after, limit).map(plain)
        })
        .await)
}

async fn observe_run(State(sim): Held, hangup: Hangup, At((host, run)): At<(String, Uuid)>) -> Response {
    let order = on_run(Verb::ObserveRun, &host, run);
    sim.read(hangup, order, move |world, _| {
        world.observe_run(&host, run).map(plain)
    })
    .await
}

async fn ensure(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((host, run)): At<(String, Uuid)>,
    Body(spec): Body<Spec>,
) -> Response {
    let order = on_run(Verb::Ensure, &host, run);
    sim.change((stamp, hangup), order, move |world, stamp, _| {
        world.ensure(stamp, &host, run, spec)
    })
    .await
}

async fn start(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((host, run)): At<(String, Uuid)>,
) -> Response {
    let order = on_run(Verb::Start, &host, run);
    sim.change((stamp, hangup), order, move |world, _, order| {
        world.start(order, &host, run)
    })
    .await
}

async fn shutdown(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((host, run)): At<(String, Uuid)>,
) -> Response {
    let order = on_run(Verb::Shutdown, &host, run);
    sim.change((stamp, hangup), order, move |world, _, _| {
        world.shutdown(&host, run)
    })
    .await
}

async fn kill(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((host, run)): At<(String, Uuid)>,
) -> Response {
    let order = on_run(Verb::Kill, &host, run);
    sim.change((stamp, hangup), order, move |world, _, _| world.kill(&host, run))
        .await
}

/// How a guest is restarted; here both ways take the same time.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RebootBody {
    #[serde(rename = "hard")]
    _is_hard: bool,
}

async fn reboot(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((host, run)): At<(String, Uuid)>,
    Body(_): Body<RebootBody>,
) -> Response {
    let order = on_run(Verb::Reboot, &host, run);
    sim.change((stamp, hangup), order, move |world, _, _| {
        world.reboot(&host, run)
    })
    .await
}

async fn remove(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((host, run)): At<(String, Uuid)>,
) -> Response {
    let order = on_run(Verb::Remove, &host, run);
    sim.change((stamp, hangup), order, move |world, _, _| {
        world.remove(&host, run)
    })
    .await
}

fn on_disk(verb: Verb, host: &str, run: Uuid, slot: u16) -> Order {
    let run = run.to_string();
    order(
        verb,
        format!("/hosts/{host}/runs/{run}/disks/{slot}"),
        &[host, &run],
    )
}

async fn attach(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((host, run, slot)): At<(String, Uuid, u16)>,
    Body(disk): Body<Disk>,
) -> Result<Response, Refused> {
    if disk.slot != slot {
        return Err(Refused::invalid("the slot of the disk is not that of the path"));
    }
    let mut order = on_disk(Verb::Attach, &host, run, slot);
    order.names.push(disk.volume.to_string());
    let attach = move |world: &mut crate::world::World, _: &Stamp, order: &Order| {
        world.attach(order, &host, run, disk)
    };
    Ok(sim.change((stamp, hangup), order, attach).await)
}

async fn detach(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((host, run, slot)): At<(String, Uuid, u16)>,
) -> Response {
    let order = on_disk(Verb::Detach, &host, run, slot);
    sim.change((stamp, hangup), order, move |world, _, _| {
        world.detach(&host, run, slot)
    })
    .await
}

async fn poll(State(sim): Held, hangup: Hangup, At((host, token)): At<(String, String)>) -> Response {
    let order = order(
        Verb::Poll,
        format!("/hosts/{host}/jobs/{token}"),
        &[&host, &token],
    );
    sim.read(hangup, order, move |world, now_ms| {
        world.host(&host)?;
        world.poll(&token, now_ms).map(respond)
    })
    .await
}

async fn cancel(
    State(sim): Held,
    stamp: Stamp,
    hangup: Hangup,
    At((host, token)): At<(String, String)>,
) -> Response {
    let order = order(
        Verb::Cancel,
        format!("/hosts/{host}/jobs/{token}"),
        &[&host, &token],
    );
    sim.read(hangup, order, move |world, _| {
        world.host(&host)?;
        world.cancel(&stamp, &token).map(respond)
    })
    .await
}
