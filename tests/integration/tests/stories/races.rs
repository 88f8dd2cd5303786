//! Many at once for the last of something: exactly what fits succeeds, and the claims prove it.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use velum_client::{ClientError, Filter};
use velum_integration::Story;
use velum_support::{CloudOptions, WorldOptions};
use velum_wire::InstanceView;

const CALLERS: usize = 200;

async fn all_at_once(story: &Story) -> (Vec<InstanceView>, Vec<ClientError>) {
    let instances = story.client.instances();
    let answers: Vec<_> = stream::iter(0..CALLERS)
        .map(|n| {
            let body = story.world.instance(&format!("racer-{n}"));
            async move { instances.create(&body).await }
        })
        .buffer_unordered(CALLERS)
        .collect()
        .await;
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for answer in answers {
        match answer {
            Ok(answer) => accepted.push(answer.value),
            Err(error) => refused.push(error),
        }
    }
    (accepted, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_for_the_last_sixty_four_addresses() -> anyhow::Result<()> {
    let cloud = CloudOptions {
        hosts: 8,
        ..CloudOptions::default()
    };
    let world = WorldOptions {
        hosts: 8,
        addresses: ("10.1.0.64".into(), "10.1.0.127".into()),
        ..WorldOptions::default()
    };
    let story = Story::begin(&cloud, &world).await?;
    let (accepted, refused) = all_at_once(&story).await;
    for error in &refused {
        assert!(error.is("no-addresses"), "{error}");
    }
    assert_eq!((accepted.len(), refused.len()), (64, CALLERS - 64));

    let nics = story.client.nics().all(&Filter::new()).await?;
    let addresses: BTreeSet<_> = nics.iter().map(|nic| nic.address.clone()).collect();
    let macs: BTreeSet<_> = nics.iter().map(|nic| nic.mac.clone()).collect();
    assert_eq!((nics.len(), addresses.len(), macs.len()), (64, 64, 64));
    assert_eq!(story.client.ip_ranges().get(story.world.range).await?.claimed, 64);

    story.cloud.run_until_idle(velum_integration::PATIENCE).await?;
    story.destroy_all().await?;
    assert_eq!(story.client.ip_ranges().get(story.world.range).await?.claimed, 0);
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_for_the_last_hosts_memory() -> anyhow::Result<()> {
    let cloud = CloudOptions {
        hosts: 1,
        sim: ["--memory-mib", "8192", "--vcpus", "64"]
            .map(str::to_owned)
            .to_vec(),
        ..CloudOptions::default()
    };
    // 8192 MiB hold 32 guests of 256 MiB.
    let world = WorldOptions {
        hosts: 1,
        memory_mib: 256,
        ..WorldOptions::default()
    };
    let story = Story::begin(&cloud, &world).await?;
    let (accepted, refused) = all_at_once(&story).await;
    for error in &refused {
        assert!(error.is("no-capacity"), "{error}");
    }
    assert_eq!((accepted.len(), refused.len()), (32, CALLERS - 32));
    let host = story.client.compute_hosts().get(story.world.hosts[0]).await?;
    assert_eq!(
        (host.memory_used_mib, host.memory_ceiling_mib, host.vcpus_used),
        (8192, 8192, 32)
    );
    let nics = story.client.nics().all(&Filter::new()).await?;
    assert_eq!(nics.len(), 32, "the refused ones gave their addresses back");

    story.cloud.run_until_idle(velum_integration::PATIENCE).await?;
    assert!(story.cloud.violations().await?.is_empty());
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_is_given_once() -> anyhow::Result<()> {
    let story = Story::with_hosts(2).await?;
    let instances = story.client.instances();
    let answers: Vec<_> = stream::iter(0..40)
        .map(|_| {
            let body = story.world.instance("the-one");
            async move { instances.create(&body).await }
        })
        .buffer_unordered(40)
        .collect()
        .await;
    let accepted = answers.iter().filter(|a| a.is_ok()).count();
    for error in answers.iter().filter_map(|a| a.as_ref().err()) {
        assert!(error.is("name-taken"), "{error}");
    }
    assert_eq!(accepted, 1);
    story.cloud.run_until_idle(velum_integration::PATIENCE).await?;
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}
