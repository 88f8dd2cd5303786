//! Stories of operations: the good ones, and each with a fault at each of its verbs.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cloud;
mod far_side;
mod left_behind;
mod parked;
mod unowned;

use cloud::Cloud;
use far_side::Trouble;
use serde_json::json;
use velum_model::{
    fault::{Fault, code},
    instance::{InstanceState, ObservedState},
    operation::{OperationKindName, OperationState, StepState, Subject},
    storage::VolumeState,
    tenancy::Scope,
};
use velum_operation::params;
use velum_store::Change;

fn failed(code: u16) -> Fault {
    Fault::new(code, "the test wants it so")
}

fn refused(code: u16) -> Fault {
    Fault::unchanged(code, "the test wants it so")
}

#[tokio::test]
async fn an_instance_lives_and_leaves_nothing() {
    let cloud = Cloud::new().await;
    let (id, operation) = cloud.create_instance("a").await;
    let ended = cloud.settled(operation).await;
    assert_eq!(ended.state, OperationState::Done, "{ended:?}");
    let instance = cloud.instance(id).await.expect("it is there");
    assert_eq!(instance.state, InstanceState::Running);
    let run = instance.run.expect("it has a run");
    assert_eq!(run.observed, ObservedState::Running);
    assert_eq!(cloud.far.running(), vec![run.id.uuid()]);

    let state = Change::InstanceState {
        id,
        from: vec![InstanceState::Running],
        to: InstanceState::Stopping,
    };
    let stop = json!(params::InstanceStop {
        run: run.id,
        grace_ms: 60_000
    });
    let stop = cloud
        .accept(
            OperationKindName::InstanceStop,
            Subject::Instance(id),
            stop,
            vec![state],
            false,
        )
        .await;
    assert_eq!(cloud.settled(stop).await.state, OperationState::Done);
    let stopped = cloud.instance(id).await.expect("it is there");
    assert_eq!(
        (stopped.state, stopped.run, stopped.last_host),
        (InstanceState::Stopped, None, Some(run.compute_host))
    );

    let next = cloud.run_of(id, 2);
    let start = json!(params::InstanceStart {
        run: next.id,
        excluded: Vec::new()
    });
    let changes = vec![
        Change::InsertRun(next.clone()),
        Change::InstanceState {
            id,
            from: vec![InstanceState::Stopped],
            to: InstanceState::Starting,
        },
    ];
    let start = cloud
        .accept(
            OperationKindName::InstanceStart,
            Subject::Instance(id),
            start,
            changes,
            false,
        )
        .await;
    let started = cloud.settled(start).await;
    assert_eq!(started.state, OperationState::Done, "{started:?}");
    assert_eq!(cloud.far.running(), vec![next.id.uuid()]);

    assert_eq!(cloud.destroy(id).await.state, OperationState::Done);
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn a_volume_comes_and_goes_with_a_running_instance() {
    let cloud = Cloud::new().await;
    let (id, operation) = cloud.create_instance("a").await;
    cloud.settled(operation).await;
    let run = cloud.instance(id).await.and_then(|i| i.run).expect("it runs").id;
    let volume = cloud.data_volume("data");
    let vid = volume.id;
    let subject = Subject::Volume(vid);
    let made = vec![Change::InsertVolume(Box::new(volume))];
    let made = cloud
        .accept(OperationKindName::VolumeCreate, subject, json!({}), made, false)
        .await;
    assert_eq!(cloud.settled(made).await.state, OperationState::Done);

    let attach = json!(params::VolumeAttach {
        instance: id,
        slot: 1,
        run: Some(run)
    });
    let changes = vec![Change::AttachVolume {
        id: vid,
        instance: id,
        slot: 1,
    }];
    let attach = cloud
        .accept(OperationKindName::VolumeAttach, subject, attach, changes, false)
        .await;
    let attached = cloud.settled(attach).await;
    assert_eq!(attached.state, OperationState::Done, "{attached:?}");
    assert_eq!(cloud.far.calls("attach"), 1);

    let detach = json!(params::VolumeDetach {
        instance: id,
        slot: 1,
        run: Some(run)
    });
    let detach = cloud
        .accept(
            OperationKindName::VolumeDetach,
            subject,
            detach,
            Vec::new(),
            false,
        )
        .await;
    assert_eq!(cloud.settled(detach).await.state, OperationState::Done);
    let volume = cloud
        .store
        .read()
        .volume(Scope::All, vid)
        .await
        .expect("rows read")
        .expect("it is there");
    assert_eq!(volume.attachment, None);

    let going = vec![Change::VolumeState {
        id: vid,
        from: VolumeState::Ready,
        to: VolumeState::Deleting,
    }];
    let delete = cloud
        .accept(OperationKindName::VolumeDelete, subject, json!({}), going, false)
        .await;
    assert_eq!(cloud.settled(delete).await.state, OperationState::Done);
    cloud.destroy(id).await;
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn a_volume_under_the_identity_of_another_one_is_a_fault_and_reaches_no_guest() {
    let cloud = Cloud::new().await;
    cloud.far.shows_one_identity();
    let (id, operation) = cloud.create_instance("a").await;
    assert_eq!(cloud.settled(operation).await.state, OperationState::Done);
    let run = cloud.instance(id).await.and_then(|i| i.run).expect("it runs").id;
    let (_, operation) = cloud.create_instance("b").await;
    let ended = cloud.settled(operation).await;
    assert_eq!(ended.state, OperationState::Undone, "{ended:?}");
    assert!(ended.error.is_some(), "it says why");
    assert_eq!(cloud.far.running(), vec![run.uuid()], "the other guest goes on");
    cloud.destroy(id).await;
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn a_guest_that_is_off_as_soon_as_it_was_started_holds_nobody_up() {
    let cloud = Cloud::new().await;
    cloud.far.power_off_at_once();
    let (id, operation) = cloud.create_instance("a").await;
    let ended = cloud.settled(operation).await;
    assert_eq!(ended.state, OperationState::Done, "{ended:?}");
    // As if it had powered itself off a second later.
    let instance = cloud.instance(id).await.expect("it is there");
    assert_eq!(instance.state, InstanceState::Running);
    let observed = instance.run.map(|run| run.observed);
    assert_eq!(observed, Some(ObservedState::Off));
    assert_eq!(cloud.destroy(id).await.state, OperationState::Done);
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn a_step_that_has_nothing_to_do_is_on_record_and_costs_no_commit() {
    let cloud = Cloud::new().await;
    let mut commits = Vec::new();
    // The first brings the template to the pool. The compute hosts have no node: there is nothing to wire, and no seed.
    for name in ["a", "b"] {
        let (id, operation) = cloud.create_instance(name).await;
        let ended = cloud.settled(operation).await;
        assert!(ended.journal.iter().all(|record| record.state == StepState::Done));
        let steps: Vec<&str> = ended.journal.iter().map(|record| record.step.as_str()).collect();
        let all = [
            "cache-template",
            "root-volume",
            "publish-volumes",
            "links",
            "seed",
            "define",
            "start",
            "confirm",
        ];
        assert_eq!(steps, all);
        let links = ended.journal.iter().find(|record| record.step == "links");
        assert_eq!(
            links.map(|record| record.output.as_object().map(serde_json::Map::len)),
            Some(Some(1))
        );
        commits.push(ended.generation - 1);
        cloud.destroy(id).await;
    }
    // Of the second: an intent each for the volume, its publication, the guest, its start and the look at it, and the end.
    assert_eq!(commits, [7, 6]);
    cloud.assert_nothing_left().await;
}

/// Verbs of a create before its pivot.
const BEFORE_PIVOT: [&str; 3] = ["create", "publish", "ensure"];

#[tokio::test]
async fn a_create_that_meets_a_passing_trouble_still_succeeds() {
    for verb in ["create", "publish", "ensure", "start"] {
        for trouble in [
            Trouble::Before(refused(code::BUSY)),
            Trouble::After(failed(code::DEADLINE)),
            Trouble::After(failed(code::TRAPPED)),
            Trouble::Slowly,
        ] {
            let cloud = Cloud::new().await;
            cloud.far.trouble(verb, trouble.clone());
            let (id, operation) = cloud.create_instance("a").await;
            let ended = cloud.settled(operation).await;
            assert_eq!(ended.state, OperationState::Done, "{verb} {trouble:?}: {ended:?}");
            assert_eq!(cloud.far.hits(verb), 1, "the trouble at {verb} was not met");
            assert_eq!(cloud.far.running().len(), 1);
            cloud.destroy(id).await;
            cloud.assert_nothing_left().await;
        }
    }
}

#[tokio::test]
async fn a_create_that_cannot_succeed_leaves_nothing() {
    for verb in BEFORE_PIVOT {
        for trouble in [
            Trouble::Before(refused(code::UNSUPPORTED)),
            Trouble::After(failed(code::NONSENSE)),
        ] {
            let cloud = Cloud::new().await;
            // On the first compute host and on both others that are tried.
            for _ in 0..3 {
                cloud.far.trouble(verb, trouble.clone());
            }
            let (id, operation) = cloud.create_instance("a").await;
            let ended = cloud.settled(operation).await;
            assert_eq!(
                ended.state,
                OperationState::Undone,
                "{verb} {trouble:?}: {ended:?}"
            );
            assert!(ended.error.is_some(), "it says why");
            assert!(cloud.far.hits(verb) >= 1, "the trouble at {verb} was not met");
            assert_eq!(cloud.instance(id).await, None);
            cloud.assert_nothing_left().await;
        }
    }
}

#[tokio::test]
async fn a_host_that_fails_sends_the_instance_elsewhere() {
    for verb in ["publish", "ensure", "start"] {
        let cloud = Cloud::new().await;
        cloud
            .far
            .trouble(verb, Trouble::Before(refused(code::UNSUPPORTED)));
        let (id, operation) = cloud.create_instance("a").await;
        let ended = cloud.settled(operation).await;
        assert_eq!(ended.state, OperationState::Done, "{verb}: {ended:?}");
        let run = cloud.instance(id).await.and_then(|i| i.run).expect("it runs");
        assert_eq!(
            (run.compute_host, run.generation),
            (cloud.other_host(), 2),
            "{verb}"
        );
        assert_eq!(cloud.far.running(), vec![run.id.uuid()]);
        cloud.destroy(id).await;
        cloud.assert_nothing_left().await;
    }
}

#[tokio::test]
async fn an_undo_that_fails_for_a_while_is_tried_until_it_succeeds() {
    let cloud = Cloud::new().await;
    for _ in 0..3 {
        cloud
            .far
            .trouble("ensure", Trouble::After(failed(code::NONSENSE)));
    }
    for verb in ["remove", "unpublish", "delete"] {
        cloud.far.trouble(verb, Trouble::Before(refused(code::BUSY)));
        cloud.far.trouble(verb, Trouble::After(failed(code::UNREACHABLE)));
    }
    let (_, operation) = cloud.create_instance("a").await;
    assert_eq!(cloud.settled(operation).await.state, OperationState::Undone);
    for verb in ["remove", "unpublish", "delete"] {
        assert_eq!(cloud.far.hits(verb), 2, "{verb}");
    }
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn a_trouble_after_the_pivot_parks_and_holds_the_claims() {
    let cloud = Cloud::new().await;
    for _ in 0..40 {
        cloud.far.trouble("start", Trouble::After(failed(code::NONSENSE)));
    }
    let (id, operation) = cloud.create_instance("a").await;
    let ended = cloud.settled(operation).await;
    assert_eq!(ended.state, OperationState::Parked, "{ended:?}");
    let instance = cloud.instance(id).await.expect("it is there");
    assert_eq!(instance.state, InstanceState::Failed);
    assert!(instance.run.is_some(), "its claim is held");
}

#[tokio::test]
async fn a_destroy_in_the_middle_of_a_create_wins_and_leaves_nothing() {
    for verb in ["create", "publish", "ensure", "start"] {
        let cloud = Cloud::new().await;
        // The far side is busy long enough for the destroy to arrive in the middle.
        for _ in 0..3 {
            cloud.far.trouble(verb, Trouble::Before(refused(code::BUSY)));
        }
        let (id, create) = cloud.create_instance("a").await;
        while cloud.far.hits(verb) == 0 {
            tokio::task::yield_now().await;
        }
        if cloud
            .instance(id)
            .await
            .is_some_and(|i| i.state == InstanceState::Creating)
        {
            let destroyed = cloud.destroy(id).await;
            assert_eq!(destroyed.state, OperationState::Done, "{verb}: {destroyed:?}");
        }
        let created = cloud.settled(create).await;
        assert!(created.state.has_ended(), "{verb}: {created:?}");
        cloud.assert_nothing_left().await;
    }
}

#[tokio::test]
async fn many_creates_fill_a_layer_once() {
    let cloud = Cloud::new().await;
    let mut operations = Vec::new();
    for number in 0..40 {
        operations.push(cloud.create_instance(&format!("i-{number}")).await);
    }
    for (_, operation) in &operations {
        assert_eq!(cloud.settled(*operation).await.state, OperationState::Done);
    }
    // One layer and forty root volumes.
    assert_eq!(cloud.far.calls("create"), 41);
    for (id, _) in operations {
        assert_eq!(cloud.destroy(id).await.state, OperationState::Done);
    }
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn an_operation_in_hand_goes_on_under_the_next_epoch() {
    for verb in ["create", "ensure", "start"] {
        let cloud = Cloud::new().await;
        let owned = cloud.store.take_over(false).await.expect("the shards");
        cloud.engine.own(&owned).await.expect("readable");
        for _ in 0..3 {
            cloud.far.trouble(verb, Trouble::Before(refused(code::BUSY)));
        }
        let (id, create) = cloud.create_instance("a").await;
        while cloud.far.hits(verb) == 0 {
            tokio::task::yield_now().await;
        }
        // Lost and taken again: what was in hand is let go, and read anew.
        cloud.engine.own(&[]).await.expect("nothing to read");
        let again = cloud.store.take_over(false).await.expect("the shards");
        cloud.engine.own(&again).await.expect("readable");
        assert_eq!(cloud.settled(create).await.state, OperationState::Done, "{verb}");
        assert_eq!(cloud.destroy(id).await.state, OperationState::Done, "{verb}");
        cloud.assert_nothing_left().await;
        assert_eq!(cloud.engine.unfinished(), 0, "{verb}");
    }
}
