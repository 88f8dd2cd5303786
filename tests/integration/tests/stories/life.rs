//! The life of an instance and its disks.

use anyhow::Context;
use velum_client::Filter;
use velum_integration::Story;
use velum_support::{CloudOptions, WorldOptions};
use velum_wire::{InstanceState, VolumeState};

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_lives_from_create_to_destroy_and_leaves_nothing() -> anyhow::Result<()> {
    let story = Story::with_hosts(4).await?;
    let instances = story.client.instances();

    let web = story.run_instance("web-1").await?;
    assert_eq!(web.state, InstanceState::Running);
    assert!(
        web.addresses.iter().all(|a| a.starts_with("10.1.")) && web.addresses.len() == 1,
        "{web:#?}"
    );
    let host = web.compute_host_id.context("a running instance is somewhere")?;
    assert!(story.world.hosts.contains(&host));
    let run = story.far_run(web.id).await?.context("the far side runs it")?;
    assert_eq!(run.get("state"), Some(&serde_json::json!(2)), "{run:#}");

    let why = instances.decision(web.id).await?;
    assert_eq!(why.winner.context("somebody won")?.compute_host_id, host);
    assert_eq!(
        (why.considered, why.runners_up.len(), why.policy.name.as_str()),
        (4, 3, "built-in")
    );

    story.settle(instances.stop(web.id).await?).await?;
    let stopped = instances.get(web.id).await?;
    assert_eq!(
        (stopped.state, stopped.run.is_none()),
        (InstanceState::Stopped, true)
    );
    assert_eq!(
        stopped.addresses, web.addresses,
        "a stopped instance keeps its address"
    );
    let host = story.client.compute_hosts().get(host).await?;
    assert_eq!(
        (host.vcpus_used, host.memory_used_mib),
        (0, 0),
        "and no room on a compute host"
    );

    story.settle(instances.start(web.id).await?).await?;
    let started = instances.get(web.id).await?;
    assert_eq!(started.state, InstanceState::Running);
    let generations = (run_generation(&web), run_generation(&started));
    assert!(
        generations.0 < generations.1,
        "another start is another run: {generations:?}"
    );

    story.settle(instances.reboot(web.id).await?).await?;
    assert_eq!(instances.get(web.id).await?.state, InstanceState::Running);

    story.destroy(web.id).await?;
    let gone = instances.get(web.id).await.expect_err("it is gone");
    assert_eq!(gone.status(), Some(404));
    story.cloud.assert_nothing_left().await
}

fn run_generation(instance: &velum_wire::InstanceView) -> u64 {
    instance.run.as_ref().map_or(0, |run| run.generation)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_made_attached_detached_and_deleted() -> anyhow::Result<()> {
    let story = Story::with_hosts(2).await?;
    let volumes = story.client.volumes();
    let web = story.run_instance("web-1").await?;
    let data = story.make_volume("data-1", 2).await?;
    assert_eq!(
        (data.state, data.size_bytes, data.attachment.is_none()),
        (VolumeState::Ready, 2 << 30, true)
    );

    story.settle(volumes.attach(data.id, web.id).await?).await?;
    let attached = volumes.get(data.id).await?.attachment.context("it is attached")?;
    assert_eq!((attached.instance_id, attached.slot), (web.id, 1));
    let seen = story.client.instances().get(web.id).await?.volumes;
    assert_eq!(seen.iter().map(|v| v.slot).collect::<Vec<_>>(), [0, 1]);
    let run = story.far_run(web.id).await?.context("the far side runs it")?;
    assert_eq!(
        run.get("disks").and_then(|d| d.as_array()).map(Vec::len),
        Some(2),
        "{run:#}"
    );

    let refused = volumes
        .delete(data.id)
        .await
        .expect_err("an attached volume stays");
    assert_eq!(refused.status(), Some(409));
    let refused = volumes.attach(data.id, web.id).await.expect_err("one writer");
    assert_eq!(refused.status(), Some(409));

    story.settle(volumes.detach(data.id).await?).await?;
    assert!(volumes.get(data.id).await?.attachment.is_none());
    let operation = volumes.delete(data.id).await?.context("deleting takes time")?;
    story.done(operation).await?;
    assert_eq!(
        volumes.get(data.id).await.expect_err("it is gone").status(),
        Some(404)
    );
    story.destroy(web.id).await?;
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_volume_outlives_its_instance_and_serves_the_next() -> anyhow::Result<()> {
    let story = Story::with_hosts(2).await?;
    let volumes = story.client.volumes();
    let first = story.run_instance("first").await?;
    let data = story.make_volume("data", 1).await?;
    story.settle(volumes.attach(data.id, first.id).await?).await?;
    story.destroy(first.id).await?;
    let left = volumes.all(&Filter::new()).await?;
    assert_eq!(
        left.iter().map(|v| v.id).collect::<Vec<_>>(),
        [data.id],
        "only the root volume went along"
    );
    assert!(left.iter().all(|v| v.attachment.is_none()));

    let second = story.run_instance("second").await?;
    story.settle(volumes.attach(data.id, second.id).await?).await?;
    story.settle(volumes.detach(data.id).await?).await?;
    story.destroy(second.id).await?;
    let operation = volumes.delete(data.id).await?.context("deleting takes time")?;
    story.done(operation).await?;
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroy_in_the_middle_of_a_create_leaves_nothing() -> anyhow::Result<()> {
    let slow = CloudOptions {
        latency_ms: 400,
        ..CloudOptions::default()
    };
    let story = Story::begin(&slow, &WorldOptions::default()).await?;
    for n in 0..4 {
        let answer = story
            .client
            .instances()
            .create(&story.world.instance(&format!("short-{n}")))
            .await?;
        tokio::time::sleep(std::time::Duration::from_millis(150 * n)).await;
        story.destroy(answer.value.id).await?;
        let create = story
            .ended(answer.operation.context("a create takes time")?)
            .await?;
        assert_ne!(create.view().state, velum_wire::OperationState::Parked);
    }
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compute_host_in_maintenance_takes_no_new_guests_and_says_so() -> anyhow::Result<()> {
    let story = Story::with_hosts(2).await?;
    let hosts = story.client.compute_hosts();
    let [closed, open] = story.world.hosts[..] else {
        anyhow::bail!("two compute hosts")
    };
    story.settle(hosts.maintenance(closed).await?).await?;
    for n in 0..3 {
        let web = story.run_instance(&format!("web-{n}")).await?;
        assert_eq!(web.compute_host_id, Some(open));
        let why = story.client.instances().decision(web.id).await?;
        assert_eq!(
            why.refused
                .iter()
                .map(|r| (r.reason.as_str(), r.hosts))
                .collect::<Vec<_>>(),
            [("maintenance", 1)]
        );
    }
    let enabled = hosts.enable(closed).await?;
    if let Some(operation) = enabled.operation {
        story.done(operation).await?;
    }
    assert_eq!(hosts.get(closed).await?.intent, velum_wire::Intent::Enabled);
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_use_is_not_removed_and_says_by_what() -> anyhow::Result<()> {
    let story = Story::with_hosts(1).await?;
    let web = story.run_instance("web").await?;
    let client = &story.client;
    let world = &story.world;
    let refusals = [
        ("zone", client.zones().delete(world.zone).await),
        ("pod", client.pods().delete(world.pod).await),
        ("cluster", client.clusters().delete(world.cluster).await),
        (
            "compute host",
            client.compute_hosts().delete(world.hosts[0]).await,
        ),
        ("storage pool", client.storage_pools().delete(world.pool).await),
        (
            "image store",
            client.image_stores().delete(world.image_store).await,
        ),
        ("network", client.networks().delete(world.network).await),
        ("range", client.ip_ranges().delete(world.range).await),
        (
            "compute offering",
            client.compute_offerings().delete(world.offering).await,
        ),
    ];
    for (what, answer) in refusals {
        let refused = answer.expect_err(what);
        let problem = refused.problem().with_context(|| format!("{what}: {refused}"))?;
        assert_eq!(problem.status, 409, "{what}: {problem:#?}");
        assert!(
            problem.used_by.is_some(),
            "{what} does not say what uses it: {problem:#?}"
        );
    }
    story.destroy(web.id).await?;
    story.cloud.assert_nothing_left().await
}
