//! Events: in order, each once, over restarts.

use std::time::Duration;

use futures::StreamExt;
use velum_client::Filter;
use velum_integration::Story;

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_each_event_once_and_in_order_even_over_a_restart() -> anyhow::Result<()> {
    let mut story = Story::with_hosts(2).await?;
    let begun = last_event(&story).await?;
    let mut stream = story.client.events().follow(Filter::new(), begun.clone());

    let first = story.run_instance("web-1").await?;
    story.cloud.kill();
    story.cloud.restart().await?;
    let second = story.run_instance("web-2").await?;
    story.destroy(first.id).await?;
    story.destroy(second.id).await?;

    let expected = after(&story, begun).await?;
    assert!(expected.len() > 8, "{expected:?}");
    let mut seen = Vec::new();
    while seen.len() < expected.len() {
        let event = tokio::time::timeout(Duration::from_secs(20), stream.next()).await?;
        seen.push(event.expect("the stream goes on")?.id);
    }
    assert_eq!(seen, expected);
    story.cloud.assert_nothing_left().await
}

async fn last_event(story: &Story) -> anyhow::Result<Option<String>> {
    Ok(after(story, None).await?.pop())
}

async fn after(story: &Story, cursor: Option<String>) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut cursor = cursor;
    loop {
        let page = story
            .client
            .events()
            .list(&Filter::new(), Some(500), cursor.as_deref())
            .await?;
        ids.extend(page.items.into_iter().map(|event| event.id));
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(ids),
        }
    }
}
