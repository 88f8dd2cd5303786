//! Stories of what is at the far side and no row owns.

use uuid::Uuid;
use velum_model::{
    fault::code,
    operation::{OperationKindName, OperationState, Subject},
    orphan::OrphanKind,
    page::Page,
    tenancy::Scope,
};
use velum_operation::reconcile::{OrphanLimits, Reconciler};
use velum_store::{EventCursor, OperationFilter, OrphanFilter};

use crate::{
    cloud::Cloud,
    far_side::Trouble,
    parked::{assert_gone, retry, running},
    refused,
};

fn reconciler(cloud: &Cloud, grace_ms: u64) -> Reconciler {
    let limits = OrphanLimits {
        grace_ms,
        ..OrphanLimits::default()
    };
    Reconciler::new(cloud.engine.clone(), limits)
}

async fn orphans(cloud: &Cloud) -> Vec<velum_model::orphan::Orphan> {
    let filter = OrphanFilter::default();
    let found = cloud.store.read().orphans(&filter, Page::default()).await;
    found.expect("rows read").items
}

async fn removals(cloud: &Cloud) -> Vec<velum_model::operation::Operation> {
    let filter = OperationFilter {
        kind: Some(OperationKindName::OrphanRemove),
        ..OperationFilter::default()
    };
    let found = cloud
        .store
        .read()
        .operations(Scope::All, &filter, Page::default())
        .await;
    found.expect("rows read").items
}

async fn found_events(cloud: &Cloud) -> usize {
    let events = cloud
        .store
        .read()
        .events_after(&EventCursor::default(), 10_000)
        .await;
    let events = events.expect("events read");
    events.iter().filter(|e| e.kind == "orphan.found").count()
}

/// Destroys an instance of whose guest and volume the operator says that they are gone, though they are not.
async fn leave_behind(cloud: &Cloud) {
    let (id, _) = running(cloud).await;
    for verb in ["kill", "remove", "unpublish", "delete"] {
        cloud
            .far
            .trouble(verb, Trouble::Before(refused(code::UNSUPPORTED)));
    }
    let destroy = cloud.destroy(id).await;
    let mut state = destroy.state;
    while state == OperationState::Parked {
        assert_gone(cloud, destroy.id).await;
        state = cloud.settled(destroy.id).await.state;
    }
    assert_eq!(state, OperationState::Done);
    assert_eq!(
        cloud.far.running().len(),
        1,
        "the guest runs on, and no row knows of it"
    );
}

#[tokio::test]
async fn what_lost_its_row_is_found_twice_then_removed() {
    let cloud = Cloud::new().await;
    leave_behind(&cloud).await;
    let patient = reconciler(&cloud, 3_600_000);
    patient.look().await.expect("it looks");
    let seen = orphans(&cloud).await;
    let kinds: Vec<_> = seen.iter().map(|o| (o.kind, o.observations)).collect();
    assert_eq!(
        kinds.len(),
        2,
        "a guest and a volume, whose publication goes with it: {seen:?}"
    );
    assert!(kinds.contains(&(OrphanKind::Guest, 1)) && kinds.contains(&(OrphanKind::Volume, 1)));
    assert!(seen.iter().all(|o| o.removed_at.is_some()), "{seen:?}");
    assert_eq!(found_events(&cloud).await, 0, "one look may have been too early");
    for _ in 0..3 {
        patient.look().await.expect("it looks");
    }
    assert_eq!(found_events(&cloud).await, 2, "told once each");
    assert_eq!(removals(&cloud).await.len(), 0, "the grace time is not over");

    let hasty = reconciler(&cloud, 0);
    // First the guest, then what it may have written.
    for kind in [OrphanKind::Guest, OrphanKind::Volume] {
        hasty.look().await.expect("it looks");
        let removal = removals(&cloud).await.pop().expect("it is proposed");
        let ended = cloud.settled(removal.id).await;
        assert_eq!(ended.state, OperationState::Done, "{ended:?}");
        assert_eq!(ended.params["orphan"]["kind"], kind.as_str());
    }
    hasty.look().await.expect("it looks");
    assert_eq!(orphans(&cloud).await, Vec::new());
    assert_eq!(removals(&cloud).await.len(), 2, "once each");
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn what_never_had_a_row_is_told_of_and_left_alone() {
    let cloud = Cloud::new().await;
    let (volume, guest) = (Uuid::from_u128(77), Uuid::from_u128(78));
    cloud.far.has_volume(volume, 1 << 20);
    cloud.far.has_guest(guest, true);
    let hasty = reconciler(&cloud, 0);
    for _ in 0..4 {
        hasty.look().await.expect("it looks");
    }
    let seen = orphans(&cloud).await;
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(
        seen.iter().all(|o| o.removed_at.is_none() && o.observations == 4),
        "{seen:?}"
    );
    assert_eq!(found_events(&cloud).await, 2);
    assert_eq!(removals(&cloud).await, Vec::new());
    assert_eq!(cloud.far.contents().len(), 2, "{:?}", cloud.far.contents());
}

#[tokio::test]
async fn what_has_a_row_is_no_orphan_and_neither_is_what_was_not_wholly_seen() {
    let cloud = Cloud::new().await;
    let (id, _) = running(&cloud).await;
    let hasty = reconciler(&cloud, 0);
    for _ in 0..3 {
        hasty.look().await.expect("it looks");
    }
    assert_eq!(orphans(&cloud).await, Vec::new());
    cloud.destroy(id).await;
    leave_behind(&cloud).await;
    cloud.far.shows_only_a_part();
    for _ in 0..3 {
        hasty.look().await.expect("it looks");
    }
    assert_eq!(orphans(&cloud).await, Vec::new());
}

#[tokio::test]
async fn a_removal_that_is_stuck_waits_for_the_operator_and_is_not_proposed_again() {
    let cloud = Cloud::new().await;
    leave_behind(&cloud).await;
    cloud
        .far
        .trouble("kill", Trouble::Before(refused(code::UNSUPPORTED)));
    let hasty = reconciler(&cloud, 0);
    for _ in 0..2 {
        hasty.look().await.expect("it looks");
    }
    for operation in removals(&cloud).await {
        cloud.settled(operation.id).await;
    }
    hasty.look().await.expect("it looks");
    let all = removals(&cloud).await;
    let stuck: Vec<_> = all.iter().filter(|o| o.state == OperationState::Parked).collect();
    assert_eq!(
        (all.len(), stuck.len()),
        (1, 1),
        "the volume waits for the guest: {all:?}"
    );
    assert!(matches!(stuck[0].subject, Subject::Orphan(_)));
    retry(&cloud, stuck[0].id).await;
    assert_eq!(cloud.settled(stuck[0].id).await.state, OperationState::Done);
    hasty.look().await.expect("it looks");
    for operation in removals(&cloud).await {
        assert_eq!(cloud.settled(operation.id).await.state, OperationState::Done);
    }
    cloud.assert_nothing_left().await;
}
