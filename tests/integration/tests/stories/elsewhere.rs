//! A compute host that refuses an instance, or is away, costs nobody the instance: it is made on another one.

use serde_json::{Value, json};
use velum_integration::{Story, at};
use velum_support::{CloudOptions, WorldOptions};
use velum_wire::InstanceState;

/// Codes of faults, as the far side says them.
const UNSUPPORTED: u16 = 1;
const UNREACHABLE: u16 = 8;

/// What fails is soon given up.
fn two_hosts() -> (CloudOptions, WorldOptions) {
    let hosts = 2;
    let cloud = CloudOptions {
        hosts,
        config: "[operations]\nattempts_before_pivot = 2\nbackoff_ms = 10\n".into(),
        ..CloudOptions::default()
    };
    let world = WorldOptions {
        hosts,
        ..WorldOptions::default()
    };
    (cloud, world)
}

/// How often an armed fault hit.
async fn hits(story: &Story, id: &Value) -> anyhow::Result<u64> {
    let faults = story.cloud.sim_get("/sim/faults").await?;
    let all = faults.get("faults").or(Some(&faults)).and_then(Value::as_array);
    let found = all
        .into_iter()
        .flatten()
        .find(|fault| fault.get("id") == Some(id));
    Ok(found.map_or(0, |fault| at(fault, "hits").as_u64().unwrap_or(0)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compute_host_that_fails_at_any_step_sends_the_instance_elsewhere() -> anyhow::Result<()> {
    let (cloud, world) = two_hosts();
    let story = Story::begin(&cloud, &world).await?;
    for (verb, code, count) in [
        ("publish", UNSUPPORTED, 1),
        ("ensure", UNSUPPORTED, 1),
        ("start", UNSUPPORTED, 1),
        // Away for as long as it is tried.
        ("ensure", UNREACHABLE, 2),
    ] {
        let fault = json!({"kind": "fail", "verb": verb, "code": code, "unchanged": true, "count": count});
        let armed = story.cloud.sim_post("/sim/faults", &fault).await?;
        let made = story.run_instance(&format!("{verb}-{code}")).await?;
        assert_eq!(made.state, InstanceState::Running, "{verb} {code}");
        assert_eq!(hits(&story, at(&armed, "id")).await?, count, "{verb} {code}");
        let run = made.run.as_ref().map(|run| run.id);
        let there = story.far_run(made.id).await?;
        assert_eq!(
            there.as_ref().map(|there| at(there, "run").clone()),
            run.map(|id| json!(id)),
            "{verb} {code}"
        );
        story.cloud.sim_delete("/sim/faults").await?;
    }
    assert!(story.cloud.violations().await?.is_empty());
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}
