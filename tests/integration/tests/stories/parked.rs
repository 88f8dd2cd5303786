//! An operation that cannot go on waits for the operator; what their word leaves behind is found and removed.

use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use serde_json::{Value, json};
use uuid::Uuid;
use velum_client::{EventStream, Filter, Outcome};
use velum_integration::{PATIENCE, Story};
use velum_support::{CloudOptions, WorldOptions};
use velum_wire::{InstanceState, OperationState};

use crate::command_line::{fails, ok};

/// An impatient cloud: what fails is parked at once, what nobody owns is removed at once.
fn impatient() -> CloudOptions {
    CloudOptions {
        config: "[operations]\nattempts_after_pivot = 1\nbackoff_ms = 10\n\
                 [orphans]\nevery_ms = 150\ngrace_ms = 300\n"
            .into(),
        ..CloudOptions::default()
    }
}

async fn break_verb(story: &Story, verb: &str) -> anyhow::Result<()> {
    let fault = json!({"kind": "fail", "verb": verb, "code": 8, "unchanged": false, "count": 1000});
    story.cloud.sim_post("/sim/faults", &fault).await.map(drop)
}

async fn parked_at(story: &Story, operation: Uuid, step: &str) -> anyhow::Result<()> {
    match story.ended(operation).await? {
        Outcome::Parked(view) if view.note.contains(step) => Ok(()),
        other => anyhow::bail!("it is not parked at {step}: {other:#?}"),
    }
}

async fn next_of(events: &mut EventStream, kind: &str) -> anyhow::Result<velum_wire::EventView> {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.next()).await;
        let event = event
            .with_context(|| format!("no event {kind}"))?
            .context("the stream ended")??;
        if event.kind == kind {
            return Ok(event);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_is_parked_then_tried_again_or_undone() -> anyhow::Result<()> {
    let mut story = Story::begin(&impatient(), &WorldOptions::default()).await?;
    break_verb(&story, "start").await?;
    let mut parked = Vec::new();
    for name in ["web-1", "web-2"] {
        let answer = story
            .client
            .instances()
            .create(&story.world.instance(name))
            .await?;
        let operation = answer.operation.context("it takes time")?;
        parked_at(&story, operation, "start").await?;
        parked.push((answer.value.id, operation));
    }
    let list = ok(&story, &["operation", "list", "--state", "parked"]).await?;
    assert_eq!(list.matches("parked at start").count(), 2, "{list}");
    let view = story.client.instances().get(parked[0].0).await?;
    assert_eq!(view.state, InstanceState::Failed);
    story.cloud.sim_delete("/sim/faults").await?;

    // What is parked is so after a crash, and goes on when it is told to.
    story.cloud.kill();
    story.cloud.restart().await?;
    let (first, retried) = parked[0];
    let shown = ok(
        &story,
        &[
            "operation",
            "retry",
            &retried.to_string(),
            "--reason",
            "the array is back",
            "--wait",
        ],
    )
    .await?;
    assert!(shown.contains("done"), "{shown}");
    let view = story.client.instances().get(first).await?;
    assert_eq!(view.state, InstanceState::Running);
    let (second, undone) = parked[1];
    let shown = ok(&story, &["operation", "undo", &undone.to_string(), "--wait"]).await?;
    assert!(shown.contains("undone"), "{shown}");
    assert!(story.client.instances().get(second).await.is_err(), "it is gone");
    let (code, why) = fails(&story, &["operation", "retry", &undone.to_string()]).await?;
    assert!(code != 0 && why.contains("the operation is undone"), "{why}");
    let filter = Filter::new().with("kind", "operation.retry");
    let (events, _) = story.client.events().first(&filter, 10).await?;
    let reasons: Vec<&Value> = events.iter().map(|e| &e.data["reason"]).collect();
    assert_eq!(reasons, [&json!("the array is back")]);
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_to_be_gone_and_is_not_is_found_and_removed() -> anyhow::Result<()> {
    let story = Story::begin(&impatient(), &WorldOptions::default()).await?;
    let instance = story.run_instance("web-1").await?.id;
    let mut events = story.client.events().follow(Filter::new(), None);
    for verb in ["kill", "remove", "unpublish", "delete"] {
        break_verb(&story, verb).await?;
    }
    let destroy = story.client.instances().delete(instance).await?;
    let destroy = destroy.context("it takes time")?;
    for step in ["kill", "undefine", "unpublish-volumes", "root-volume"] {
        parked_at(&story, destroy, step).await?;
        let reason = format!("{step}: the host burnt down");
        let answer = story.client.operations().assert_gone(destroy, reason).await?;
        assert_ne!(answer.value.state, OperationState::Parked);
    }
    story.done(destroy).await?;
    assert!(
        story.client.instances().get(instance).await.is_err(),
        "its rows are gone"
    );
    let left = story
        .far_run(instance)
        .await?
        .context("the guest is still there")?;
    assert_eq!(left["phase"], "running");

    // The host did not burn down: what it has is found, and waits for the far side to take orders again.
    let found = next_of(&mut events, "orphan.found").await?;
    assert_eq!(found.data["had_a_row"], json!(true), "{found:?}");
    let list = ok(&story, &["orphan", "list"]).await?;
    assert!(list.contains("guest") || list.contains("volume"), "{list}");
    story.cloud.sim_delete("/sim/faults").await?;
    let mut removed = 0;
    while removed < 2 {
        let event = tokio::time::timeout(PATIENCE, events.next()).await?;
        let event = event.context("the stream goes on")??;
        match event.kind.as_str() {
            "orphan-remove.done" => removed += 1,
            // It was proposed while the far side took no orders.
            "operation.parked" => {
                let id = event.operation_id.context("it is about an operation")?;
                if story.client.operations().get(id).await?.kind == "orphan-remove" {
                    story.client.operations().retry(id, None).await?;
                }
            }
            _ => {}
        }
    }
    tokio::time::timeout(Duration::from_secs(20), nothing_unowned(&story)).await??;
    story.cloud.assert_nothing_left().await
}

/// Waits until no look finds anything any more.
async fn nothing_unowned(story: &Story) -> anyhow::Result<()> {
    while !story.client.orphans().all(&Filter::new()).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
