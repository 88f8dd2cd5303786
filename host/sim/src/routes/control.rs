//! `/sim`: what tests and benches steer and look at.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Asked, At, Body};
use crate::{
    Sim,
    compute::{seen, used},
    faults::NewFault,
    refusal::Refused,
    serve::plain,
    storage::told,
    work::Hold,
    world::World,
};

type Held = State<Arc<Sim>>;

/// The longest that one request waits for a fault's hit: below the time limits of usual clients.
const WAIT_MAX_MS: u64 = 60_000;

/// The routes.
pub fn routes() -> Router<Arc<Sim>> {
    Router::new()
        .route("/sim/faults", post(arm).get(faults).delete(disarm_all))
        .route("/sim/faults/{id}", get(fault).delete(disarm))
        .route("/sim/hold", post(hold).delete(release))
        .route("/sim/step", post(step))
        .route("/sim/audit", get(audit))
        .route("/sim/stats", get(stats))
        .route("/sim/hosts/{host}/power", post(power))
        .route("/sim/runs/{run}/crash", post(crash))
}

async fn arm(State(sim): Held, Body(fault): Body<NewFault>) -> Result<Response, Refused> {
    let id = sim.faults.arm(fault)?;
    Ok((StatusCode::CREATED, Json(json!({"id": id}))).into_response())
}

async fn faults(State(sim): Held) -> Response {
    plain(json!({"faults": sim.faults.list()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patience {
    #[serde(default)]
    wait_ms: u64,
}

async fn fault(
    State(sim): Held,
    At(id): At<u64>,
    Asked(patience): Asked<Patience>,
) -> Result<Response, Refused> {
    let wait = Duration::from_millis(patience.wait_ms.min(WAIT_MAX_MS));
    sim.faults.wait(id, wait).await.map(plain)
}

async fn disarm_all(State(sim): Held) -> Response {
    sim.faults.disarm(None);
    plain(json!({}))
}

async fn disarm(State(sim): Held, At(id): At<u64>) -> Response {
    sim.faults.disarm(Some(id));
    plain(json!({}))
}

async fn hold(State(sim): Held, Body(hold): Body<Hold>) -> Result<Response, Refused> {
    if let Some(verb) = hold.verb.filter(|verb| !verb.can_be_long()) {
        return Err(Refused::invalid(format!("{} is done at once", verb.as_str())));
    }
    sim.world().work.hold(hold);
    Ok(plain(json!({})))
}

async fn release(State(sim): Held) -> Response {
    let now_ms = sim.now_ms();
    let mut world = sim.world();
    world.work.release(now_ms);
    world.advance(now_ms);
    plain(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepBody {
    #[serde(default = "one")]
    count: usize,
    #[serde(default)]
    token: Option<String>,
}

fn one() -> usize {
    1
}

async fn step(State(sim): Held, Body(step): Body<StepBody>) -> Response {
    let mut world = sim.world();
    let jobs = world.work.take_where(step.count, |job| {
        job.due_ms.is_none() && step.token.as_ref().is_none_or(|token| *token == job.token)
    });
    let stepped: Vec<String> = jobs.iter().map(|job| job.token.clone()).collect();
    for job in jobs {
        world.finish(job);
    }
    plain(json!({"stepped": stepped}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PowerBody {
    #[serde(rename = "on")]
    is_on: bool,
}

async fn power(
    State(sim): Held,
    At(host): At<String>,
    Body(power): Body<PowerBody>,
) -> Result<Response, Refused> {
    sim.world().power(&host, power.is_on)?;
    Ok(plain(json!({})))
}

async fn crash(State(sim): Held, At(run): At<Uuid>) -> Result<Response, Refused> {
    sim.world().crash(run)?;
    Ok(plain(json!({})))
}

async fn audit(State(sim): Held) -> Response {
    let now_ms = sim.now_ms();
    let world = sim.world();
    let runs = world.hosts.iter().flat_map(|(name, host)| {
        host.runs.iter().map(move |(id, run)| {
            let mut told = seen(name, *id, run);
            told["phase"] = json!(run.phase);
            told["vcpus"] = json!(run.spec.vcpus);
            told["memory_mib"] = json!(run.spec.memory_mib);
            told
        })
    });
    let volumes = world.volumes.iter().map(|(id, volume)| {
        let mut told = told(*id, volume);
        told["pool"] = json!(volume.pool);
        told
    });
    let publications = world.volumes.iter().flat_map(|(id, volume)| {
        let to = volume.publications.iter();
        to.map(move |(node, to)| json!({"volume": id, "node": node, "host": to.host, "mode": to.mode}))
    });
    let images = world
        .images
        .iter()
        .map(|(id, image)| json!({"image": id, "received": image.received, "finished": image.finished}));
    plain(json!({
        "runs": runs.collect::<Vec<Value>>(), "volumes": volumes.collect::<Vec<Value>>(),
        "publications": publications.collect::<Vec<Value>>(), "images": images.collect::<Vec<Value>>(),
        "jobs": world.work.iter().map(|job| job.told(now_ms)).collect::<Vec<_>>(),
        "violations": world.violations, "sums": sums(&world),
    }))
}

/// What pools and hosts hold, recounted, and whether the pools' counters agree with that.
fn sums(world: &World) -> Value {
    let mut recounted: BTreeMap<&str, u64> = BTreeMap::new();
    for volume in world.volumes.values() {
        *recounted.entry(&volume.pool).or_default() += volume.size_bytes;
    }
    let agrees = |(name, pool): (&String, &crate::storage::Pool)| {
        pool.used_bytes == recounted.get(name.as_str()).copied().unwrap_or(0)
    };
    let (vcpus, memory_mib) = world
        .hosts
        .values()
        .map(used)
        .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    json!({
        "vcpus": vcpus, "memory_mib": memory_mib, "bytes": recounted.values().sum::<u64>(),
        "agree": world.pools.iter().all(agrees),
    })
}

async fn stats(State(sim): Held) -> Response {
    let uptime_ms = sim.now_ms();
    let world = sim.world();
    plain(json!({
        "hosts": world.hosts.len(), "pools": world.pools.len(),
        "runs": world.hosts.values().map(|host| host.runs.len()).sum::<usize>(), "running": world.active.len(),
        "volumes": world.volumes.len(),
        "publications": world.volumes.values().map(|volume| volume.publications.len()).sum::<usize>(),
        "images": world.images.len(), "jobs": world.work.iter().count(), "calls": world.counters.calls,
        "refusals": world.counters.refusals, "replays": world.counters.replays,
        "violations": world.violations.len(), "uptime_ms": uptime_ms,
    }))
}
