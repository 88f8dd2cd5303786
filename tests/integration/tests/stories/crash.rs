//! `kill -9` loses nothing that was acknowledged.

use std::time::Duration;

use velum_client::Filter;
use velum_integration::{PATIENCE, Story};
use velum_support::{CloudOptions, WorldOptions};
use velum_wire::InstanceState;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_runs_after_kill_minus_nine() -> anyhow::Result<()> {
    let slow = CloudOptions {
        latency_ms: 300,
        ..CloudOptions::default()
    };
    let mut story = Story::begin(&slow, &WorldOptions::default()).await?;
    let mut accepted = Vec::new();
    for round in 0..3 {
        for n in 0..6 {
            let body = story.world.instance(&format!("web-{round}-{n}"));
            accepted.push(story.client.instances().create(&body).await?.value.id);
        }
        tokio::time::sleep(Duration::from_millis(100 + 150 * round)).await;
        story.cloud.kill();
        story.cloud.restart().await?;
    }
    story.cloud.run_until_idle(PATIENCE).await?;
    let instances = story.client.instances().all(&Filter::new()).await?;
    let mut there: Vec<_> = instances.iter().map(|i| i.id).collect();
    there.sort_unstable();
    accepted.sort_unstable();
    assert_eq!(
        there, accepted,
        "nothing acknowledged is lost, nothing else is there"
    );
    for instance in &instances {
        assert_eq!(instance.state, InstanceState::Running, "{instance:#?}");
        assert!(story.far_run(instance.id).await?.is_some());
    }
    assert!(story.cloud.violations().await?.is_empty());
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}
