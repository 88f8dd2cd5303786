//! Makes what `tests/fixtures` holds: the database that a killed velumd leaves, with instances, volumes and operations that
//! are done and some that are under way, and beside it what must be found in it. See `tests/fixtures/README.md`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::{Value, json};
use uuid::Uuid;
use velum_client::Filter;
use velum_integration::Story;
use velum_support::{CloudOptions, WorldOptions};
use velum_wire::{CreateDiskOfferingBody, CreatePolicyBody, CreateVolumeBody, Fallback, UpdateZoneBody};

/// Compute hosts: few, the file is to be small.
const HOSTS: u32 = 3;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let into: PathBuf = std::env::args_os()
        .nth(1)
        .context("usage: leave-database DIRECTORY")?
        .into();
    let cloud = CloudOptions {
        hosts: HOSTS,
        ..CloudOptions::default()
    };
    let world = WorldOptions {
        hosts: HOSTS,
        ..WorldOptions::default()
    };
    let mut story = Story::begin(&cloud, &world).await?;
    choose_policy(&story).await?;
    let made = finish_some(&story).await?;
    begin_some(&story, &made).await?;
    let found = expectations(&story).await?;
    story.cloud.kill();
    leave(&story.cloud.data(), &into, &found)
}

/// Decisions by a component, not by the built-in policy.
async fn choose_policy(story: &Story) -> anyhow::Result<()> {
    let body = CreatePolicyBody {
        name: "spreading".into(),
        digest: None,
        plugin: Some("placement-spread".into()),
        config: json!({ "by": "room" }),
        fallback: Fallback::Refuse,
    };
    let policy = story.client.policies().create(&body).await?.value.id;
    let zone = UpdateZoneBody {
        policy_id: Some(Some(policy)),
        ..UpdateZoneBody::default()
    };
    story.client.zones().update(story.world.zone, &zone, None).await?;
    Ok(())
}

/// Instances and volumes by their names.
type Made = BTreeMap<&'static str, Uuid>;

fn of(made: &Made, name: &str) -> anyhow::Result<Uuid> {
    made.get(name)
        .copied()
        .with_context(|| format!("there is no {name}"))
}

/// What is done: running, stopped, destroyed; a volume that is attached and one that is not.
async fn finish_some(story: &Story) -> anyhow::Result<Made> {
    let mut made = Made::new();
    for name in ["runs", "stops", "starts", "goes", "stays-off", "gone"] {
        made.insert(name, story.run_instance(name).await?.id);
    }
    for name in ["starts", "stays-off"] {
        let stop = story
            .client
            .instances()
            .stop_within(of(&made, name)?, 1000)
            .await?;
        story.settle(stop).await?;
    }
    story.destroy(of(&made, "gone")?).await?;
    for name in ["attached", "attaches"] {
        made.insert(name, story.make_volume(name, 1).await?.id);
    }
    let attach = story
        .client
        .volumes()
        .attach(of(&made, "attached")?, of(&made, "runs")?)
        .await?;
    story.settle(attach).await?;
    Ok(made)
}

/// What is under way: each operation is held at another effect.
async fn begin_some(story: &Story, made: &Made) -> anyhow::Result<()> {
    let instances = story.client.instances();
    for (name, verb) in [
        ("held-at-create", "create"),
        ("held-at-publish", "publish"),
        ("held-at-ensure", "ensure"),
        ("held-at-start", "start"),
    ] {
        let body = story.world.instance(name);
        held(story, verb, async {
            Ok(instances.create(&body).await.map(drop)?)
        })
        .await?;
    }
    let starts = of(made, "starts")?;
    held(story, "start", async {
        Ok(instances.start(starts).await.map(drop)?)
    })
    .await?;
    let stops = of(made, "stops")?;
    let stop = async { Ok(instances.stop_within(stops, 60_000).await.map(drop)?) };
    held(story, "shutdown", stop).await?;
    let goes = of(made, "goes")?;
    held(story, "kill", async {
        Ok(instances.delete(goes).await.map(drop)?)
    })
    .await?;

    let volumes = story.client.volumes();
    let (attaches, runs) = (of(made, "attaches")?, of(made, "runs")?);
    let attach = async { Ok(volumes.attach(attaches, runs).await.map(drop)?) };
    held(story, "attach", attach).await?;
    let offering = CreateDiskOfferingBody {
        name: "disk-of-held".into(),
        size_bytes: Some(1 << 30),
        storage_tags: Vec::new(),
    };
    let offering = story.client.disk_offerings().create(&offering).await?.value.id;
    let body = CreateVolumeBody {
        zone_id: story.world.zone,
        name: "held".into(),
        disk_offering_id: offering,
        size_bytes: None,
    };
    held(story, "create", async {
        Ok(volumes.create(&body).await.map(drop)?)
    })
    .await
}

/// Asks for something, and waits until the far side holds its effect back for good.
async fn held(
    story: &Story,
    verb: &str,
    ask: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let fault = json!({ "kind": "hang", "verb": verb, "when": "before" });
    let fault = story.cloud.sim_post("/sim/faults", &fault).await?;
    let id = fault
        .get("id")
        .and_then(Value::as_u64)
        .context("no fault was armed")?;
    ask.await?;
    let hit = story
        .cloud
        .sim_get(&format!("/sim/faults/{id}?wait_ms=20000"))
        .await?;
    anyhow::ensure!(
        hit.get("hits").and_then(Value::as_u64) == Some(1),
        "{verb} never came: {hit}"
    );
    Ok(())
}

/// What a reader must find, and how what is under way ends: a state, or null for what is gone then.
async fn expectations(story: &Story) -> anyhow::Result<Value> {
    let client = &story.client;
    let mut rows = BTreeMap::new();
    macro_rules! count {
        ($($collection:ident)*) => {$(
            rows.insert(stringify!($collection), client.$collection().all(&Filter::new()).await?.len());
        )*};
    }
    count!(zones pods clusters compute_hosts storage_pools image_stores ip_ranges ip_addresses networks nics);
    count!(compute_offerings disk_offerings network_offerings templates instances volumes operations);
    count!(decisions plugins policies events);
    let mut instances = BTreeMap::new();
    for instance in client.instances().all(&Filter::new()).await? {
        instances.insert(instance.name, serde_json::to_value(instance.state)?);
    }
    let mut unfinished: BTreeMap<String, u32> = BTreeMap::new();
    let running = Filter::new().with("state", "running");
    for operation in client.operations().all(&running).await? {
        let kind = serde_json::to_value(&operation.kind)?;
        let kind = kind.as_str().context("a kind is a word")?;
        *unfinished.entry(kind.to_owned()).or_default() += 1;
    }
    Ok(json!({
        "rows": rows,
        "instances": instances,
        "unfinished": unfinished,
        "instances_in_the_end": {
            "runs": "running", "stops": "stopped", "starts": "running", "goes": null, "stays-off": "stopped",
            "held-at-create": "running", "held-at-publish": "running", "held-at-ensure": "running",
            "held-at-start": "running",
        },
        "volumes_of_runs_in_the_end": ["attached", "attaches"],
    }))
}

fn leave(data: &Path, into: &Path, found: &Value) -> anyhow::Result<()> {
    std::fs::create_dir_all(into)?;
    for name in ["velum.db", "velum.db-wal"] {
        let from = data.join(name);
        std::fs::copy(&from, into.join(name))
            .with_context(|| format!("could not copy {}", from.display()))?;
    }
    let text = serde_json::to_string_pretty(found)? + "\n";
    std::fs::write(into.join("velum.json"), text).context("could not write what must be found")
}
