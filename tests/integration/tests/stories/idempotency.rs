//! The same key does the same thing once, whatever happens in between.

use futures::{StreamExt, stream};
use velum_client::Filter;
use velum_integration::Story;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_body_get_the_same_answer_even_after_a_crash() -> anyhow::Result<()> {
    let mut story = Story::with_hosts(2).await?;
    let body = story.world.instance("once");
    let first = story.client.instances().create_once(&body, "key-1").await?;
    let again = story.client.instances().create_once(&body, "key-1").await?;
    assert_eq!(
        (again.value.id, again.operation),
        (first.value.id, first.operation)
    );

    story.cloud.kill();
    story.cloud.restart().await?;
    let after = story.client.instances().create_once(&body, "key-1").await?;
    assert_eq!(
        (after.value.id, after.operation),
        (first.value.id, first.operation)
    );
    assert_eq!(story.client.instances().all(&Filter::new()).await?.len(), 1);

    let other = story.world.instance("twice");
    let refused = story
        .client
        .instances()
        .create_once(&other, "key-1")
        .await
        .expect_err("another body");
    assert_eq!(refused.status(), Some(422));
    assert!(refused.is("idempotency-key-reused"), "{refused}");

    story.cloud.run_until_idle(velum_integration::PATIENCE).await?;
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_callers_with_one_key_make_one_instance() -> anyhow::Result<()> {
    let story = Story::with_hosts(2).await?;
    let instances = story.client.instances();
    let answers: Vec<_> = stream::iter(0..40)
        .map(|_| {
            let body = story.world.instance("shared");
            async move { instances.create_once(&body, "key-of-all").await }
        })
        .buffer_unordered(40)
        .collect()
        .await;
    let mut ids = Vec::new();
    for answer in answers {
        ids.push(answer?.value.id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(instances.all(&Filter::new()).await?.len(), 1);
    story.cloud.run_until_idle(velum_integration::PATIENCE).await?;
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}
