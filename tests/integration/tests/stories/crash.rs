//! `kill -9` loses nothing that was acknowledged.

use std::{process::Command, time::Duration};

use anyhow::Context;
use velum_client::{Client, Filter};
use velum_integration::{PATIENCE, Story};
use velum_support::{CloudOptions, WorldOptions, program};
use velum_wire::InstanceState;

/// Whoever works on a database is not pushed away by a start that only happens to name it, and whoever took over is not either.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_pushes_nobody_away() -> anyhow::Result<()> {
    let mut story = Story::with_hosts(1).await?;
    let database = story.cloud.data().join("velum.db");
    let elsewhere = tempfile::tempdir()?;
    let config = elsewhere.path().join("velumd.toml");
    std::fs::write(&config, format!("database = \"sqlite:{}\"\n", database.display()))?;
    let start = |data: &std::path::Path, more: &[&str]| {
        Command::new(program("velumd")?)
            .arg("--config")
            .arg(&config)
            .arg("--data")
            .arg(data)
            .args(["--listen", "127.0.0.1:0"])
            .args(more)
            .output()
            .context("velumd")
    };
    let pushed = start(&elsewhere.path().join("data"), &[])?;
    let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
    assert!(
        !pushed.status.success() && said.contains("stop it first"),
        "{said}"
    );
    assert!(story.cloud.velumd.is_running());

    story.cloud.velumd.freeze()?;
    let (mut second, url) = story.cloud.take_over().await?;
    story.cloud.velumd.kill();
    // The lock is the second's as soon as the first is gone.
    let began = std::time::Instant::now();
    loop {
        let third = start(&story.cloud.data(), &[])?;
        let said = String::from_utf8_lossy(&third.stderr).into_owned();
        assert!(!third.status.success(), "{said}");
        if said.contains(&format!("process {}", second.id())) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{said}");
    }
    let client = Client::new(&url, Some(&story.cloud.token()?))?;
    assert_eq!(client.zones().all(&Filter::new()).await?.len(), 1);
    second.stop(PATIENCE).map(drop)
}

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
