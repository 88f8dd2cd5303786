//! A zone's policy is swapped while instances are made: no request fails, and each decision says under which generation
//! of the policy it was made.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use velum_client::Filter;
use velum_integration::Story;
use velum_support::{CloudOptions, WorldOptions};
use velum_wire::{CreatePolicyBody, Fallback, PluginWorld, UpdatePolicyBody, UpdateZoneBody};

/// 50 a second, for six seconds.
const CREATES: u32 = 300;
const EVERY: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_swapped_under_fifty_creates_a_second() -> anyhow::Result<()> {
    let cloud = CloudOptions {
        hosts: 20,
        ..CloudOptions::default()
    };
    let world = WorldOptions {
        hosts: 20,
        ..WorldOptions::default()
    };
    let story = Story::begin(&cloud, &world).await?;
    let digests = placement_digests(&story).await?;
    let policy = CreatePolicyBody {
        name: "swapped".into(),
        digest: Some(digests[0].clone()),
        plugin: None,
        config: serde_json::json!({}),
        fallback: Fallback::Refuse,
    };
    let policy = story.client.policies().create(&policy).await?.value;
    let zone = UpdateZoneBody {
        policy_id: Some(Some(policy.id)),
        ..UpdateZoneBody::default()
    };
    story.client.zones().update(story.world.zone, &zone, None).await?;

    let swapping = tokio::spawn(swap(story.client.clone(), policy.id, policy.generation, digests));
    let mut creates = Vec::new();
    let mut ticks = tokio::time::interval(EVERY);
    for n in 0..CREATES {
        ticks.tick().await;
        let (client, body) = (story.client.clone(), story.world.instance(&format!("web-{n}")));
        creates.push(tokio::spawn(
            async move { client.instances().create(&body).await },
        ));
    }
    for create in creates {
        create.await?.context("no request fails")?;
    }
    let generations = swapping.await??;
    assert!(
        generations.len() > 10,
        "it was swapped {} times",
        generations.len()
    );

    let decisions = story.client.decisions().all(&Filter::new()).await?;
    assert_eq!(decisions.len(), CREATES as usize);
    let mut used = BTreeMap::new();
    for decision in &decisions {
        let policy = &decision.policy;
        assert!(policy.failed.is_none(), "{policy:#?}");
        let expected = generations
            .get(&policy.generation)
            .with_context(|| format!("{policy:#?}"))?;
        assert_eq!(
            policy.digest.as_ref(),
            Some(expected),
            "generation {}",
            policy.generation
        );
        *used.entry(policy.generation).or_insert(0) += 1;
    }
    assert!(used.len() > 5, "decisions were made under {used:?}");

    story.cloud.run_until_idle(velum_integration::PATIENCE).await?;
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}

async fn placement_digests(story: &Story) -> anyhow::Result<Vec<String>> {
    let plugins = story.client.plugins().all(&Filter::new()).await?;
    let digests: Vec<_> = plugins
        .into_iter()
        .filter(|p| p.world == PluginWorld::PlacementPolicy)
        .map(|p| p.digest)
        .collect();
    anyhow::ensure!(
        digests.len() >= 2,
        "at least two placement policies are installed: {digests:?}"
    );
    Ok(digests)
}

/// Swaps the plugin four times a second, and answers which digest each generation of the policy has.
async fn swap(
    client: velum_client::Client,
    policy: uuid::Uuid,
    generation: u64,
    digests: Vec<String>,
) -> anyhow::Result<BTreeMap<u64, String>> {
    let mut generations = BTreeMap::from([(generation, digests[0].clone())]);
    for n in 1..24 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let digest = digests[n % digests.len()].clone();
        let body = UpdatePolicyBody {
            digest: Some(digest.clone()),
            ..UpdatePolicyBody::default()
        };
        let answer = client
            .policies()
            .update(policy, &body, None)
            .await
            .context("a swap fails")?;
        generations.insert(answer.value.generation, digest);
    }
    Ok(generations)
}
