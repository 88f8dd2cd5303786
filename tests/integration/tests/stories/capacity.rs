//! Lack of room is an answer with its reasons, and thinking aloud claims nothing.

use anyhow::Context;
use velum_client::Filter;
use velum_integration::Story;
use velum_support::{CloudOptions, WorldOptions};

/// Two compute hosts that hold two small instances each.
async fn tight() -> anyhow::Result<Story> {
    let cloud = CloudOptions {
        hosts: 2,
        sim: ["--memory-mib", "2048"].map(str::to_owned).to_vec(),
        ..CloudOptions::default()
    };
    let world = WorldOptions {
        hosts: 2,
        memory_mib: 1024,
        ..WorldOptions::default()
    };
    Story::begin(&cloud, &world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_room_is_a_conflict_that_counts_the_reasons() -> anyhow::Result<()> {
    let story = tight().await?;
    for n in 0..4 {
        story.run_instance(&format!("web-{n}")).await?;
    }
    let refused = story
        .client
        .instances()
        .create(&story.world.instance("one-too-many"))
        .await;
    let refused = refused.expect_err("there is no room");
    assert!(refused.is("no-capacity"), "{refused}");
    let problem = refused.problem().context("a problem")?;
    assert_eq!(problem.status, 409);
    let counts: Vec<_> = problem
        .refusals
        .iter()
        .map(|r| (r.reason.as_str(), r.hosts))
        .collect();
    assert_eq!(counts, [("memory", 2)]);

    let host = story.world.hosts[0];
    story.client.compute_hosts().maintenance(host).await?;
    story.cloud.run_until_idle(velum_integration::PATIENCE).await?;
    let refused = story
        .client
        .instances()
        .create(&story.world.instance("one-too-many"))
        .await;
    let problem = refused
        .expect_err("there is still no room")
        .problem()
        .context("a problem")?
        .clone();
    let mut counts: Vec<_> = problem
        .refusals
        .iter()
        .map(|r| (r.reason.as_str(), r.hosts))
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [("maintenance", 1), ("memory", 1)]);

    assert_eq!(
        story.client.instances().all(&Filter::new()).await?.len(),
        4,
        "the refused ones left nothing"
    );
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_is_a_conflict_that_names_the_network() -> anyhow::Result<()> {
    let world = WorldOptions {
        addresses: ("10.1.0.10".into(), "10.1.0.11".into()),
        ..WorldOptions::default()
    };
    let story = Story::begin(&CloudOptions::default(), &world).await?;
    let first = story.run_instance("web-1").await?;
    story.run_instance("web-2").await?;
    let refused = story
        .client
        .instances()
        .create(&story.world.instance("web-3"))
        .await
        .expect_err("no address");
    assert!(refused.is("no-addresses"), "{refused}");
    let problem = refused.problem().context("a problem")?;
    let words = format!("{problem:?}");
    assert!(problem.status == 409 && words.contains("net-1"), "{words}");

    // An address that is given back is there for the next.
    story.destroy(first.id).await?;
    assert_eq!(story.run_instance("web-3").await?.addresses, first.addresses);
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_decides_and_claims_nothing() -> anyhow::Result<()> {
    let story = tight().await?;
    let instances = story.client.instances();
    for _ in 0..10 {
        let plan = instances.plan(&story.world.instance("thought")).await?;
        assert!(plan.winner.is_some(), "{plan:#?}");
        assert_eq!((plan.considered, plan.refusals.len()), (2, 0));
    }
    assert!(instances.all(&Filter::new()).await?.is_empty());
    story.cloud.assert_nothing_left().await?;

    for n in 0..4 {
        story.run_instance(&format!("web-{n}")).await?;
    }
    // Without room a dry run either shows who refused whom or says that there is none: never an instance.
    match instances.plan(&story.world.instance("thought")).await {
        Ok(plan) => assert!(plan.winner.is_none() && plan.refusals.len() == 2, "{plan:#?}"),
        Err(refused) => assert!(refused.is("no-capacity"), "{refused}"),
    }
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}
