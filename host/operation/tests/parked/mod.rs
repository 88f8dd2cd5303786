//! Stories of parked operations, and of what an operator can say of them.

use serde_json::json;
use velum_model::{
    fault::code,
    id::*,
    instance::InstanceState,
    operation::{OperationKindName, OperationState, StepState, Subject},
    storage::VolumeState,
    tenancy::Scope,
};
use velum_operation::{
    EngineLimits, params,
    parked::{NotResumed, Verb, Word},
};
use velum_store::{Change, Commit, OperationWrite};

use crate::{cloud::Cloud, failed, far_side::Trouble, refused};

/// Says it, as the service would; answers why not where it is refused.
async fn say(cloud: &Cloud, id: OperationId, verb: Verb) -> Result<(), String> {
    let reader = cloud.store.read();
    let operation = reader.operation(Scope::All, id).await.expect("the row reads");
    let operation = operation.expect("it is there");
    let word = Word {
        by: "operator".into(),
        reason: "the test says so".into(),
        at: operation.created_at,
    };
    let resumed = match verb.apply(&reader, operation, &word).await {
        Ok(resumed) => resumed,
        Err(NotResumed::Refused(why)) => return Err(why),
        Err(NotResumed::Store(error)) => panic!("rows do not read: {error}"),
    };
    let commit = Commit {
        fence: cloud.fence(),
        operation: Some(OperationWrite::Update(Box::new(resumed.operation))),
        changes: resumed.changes,
        ..Commit::default()
    };
    cloud.store.commit(commit).await.expect("it is durable");
    Ok(())
}

/// The operator's word, which is taken.
pub async fn assert_gone(cloud: &Cloud, id: OperationId) {
    say(cloud, id, Verb::AssertGone).await.expect("it goes on");
}

/// Tried again, as the operator wants.
pub async fn retry(cloud: &Cloud, id: OperationId) {
    say(cloud, id, Verb::Retry).await.expect("it goes on");
}

/// The next call of a verb fails so that the operation is parked at once, past its pivot.
fn block(cloud: &Cloud, verb: &'static str) {
    cloud
        .far
        .trouble(verb, Trouble::Before(refused(code::UNSUPPORTED)));
}

/// An instance whose create is parked at its start: the guest may run.
async fn with_parked_create(cloud: &Cloud) -> (InstanceId, OperationId) {
    cloud.far.trouble("start", Trouble::After(failed(code::NONSENSE)));
    let (id, operation) = cloud.create_instance("a").await;
    let ended = cloud.settled(operation).await;
    assert_eq!(ended.state, OperationState::Parked, "{ended:?}");
    assert_eq!(ended.note, "parked at start: the operator decides");
    assert_eq!(state_of(cloud, id).await, InstanceState::Failed);
    (id, operation)
}

/// An instance that runs.
pub async fn running(cloud: &Cloud) -> (InstanceId, RunId) {
    let (id, operation) = cloud.create_instance("a").await;
    cloud.settled(operation).await;
    let run = cloud.instance(id).await.and_then(|i| i.run).expect("it runs").id;
    (id, run)
}

async fn stop(cloud: &Cloud, id: InstanceId, run: RunId) -> OperationId {
    let params = json!(params::InstanceStop {
        run,
        grace_ms: 60_000
    });
    let changes = vec![Change::InstanceState {
        id,
        from: vec![InstanceState::Running],
        to: InstanceState::Stopping,
    }];
    let kind = OperationKindName::InstanceStop;
    cloud
        .accept(kind, Subject::Instance(id), params, changes, false)
        .await
}

async fn state_of(cloud: &Cloud, id: InstanceId) -> InstanceState {
    cloud.instance(id).await.expect("it is there").state
}

#[tokio::test]
async fn what_failed_is_tried_again_when_the_operator_says_so() {
    let cloud = Cloud::new().await;
    let (id, operation) = with_parked_create(&cloud).await;
    say(&cloud, operation, Verb::Retry).await.expect("it goes on");
    let ended = cloud.settled(operation).await;
    assert_eq!(ended.state, OperationState::Done, "{ended:?}");
    assert_eq!(
        (ended.error, state_of(&cloud, id).await),
        (None, InstanceState::Running)
    );
    assert_eq!(cloud.far.running().len(), 1, "one guest runs, not two");
    cloud.destroy(id).await;
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn a_create_is_undone_past_its_pivot_and_leaves_nothing() {
    let cloud = Cloud::new().await;
    let (id, operation) = with_parked_create(&cloud).await;
    assert_eq!(cloud.far.running().len(), 1, "the guest did start");
    let why = say(&cloud, operation, Verb::AssertGone)
        .await
        .expect_err("a start makes something");
    assert!(why.contains("makes something"), "{why}");
    say(&cloud, operation, Verb::Undo).await.expect("it goes back");
    let ended = cloud.settled(operation).await;
    assert_eq!(ended.state, OperationState::Undone, "{ended:?}");
    assert_eq!(ended.error.map(|e| e.code), Some("cancelled".into()));
    assert_eq!(cloud.instance(id).await, None);
    cloud.assert_nothing_left().await;
    let why = say(&cloud, operation, Verb::Retry).await.expect_err("it ended");
    assert!(why.contains("the operation is undone"), "{why}");
}

#[tokio::test]
async fn a_start_that_is_undone_leaves_the_instance_stopped() {
    let cloud = Cloud::new().await;
    let (id, run) = running(&cloud).await;
    let stopped = stop(&cloud, id, run).await;
    cloud.settled(stopped).await;
    let next = cloud.run_of(id, 2);
    let params = json!(params::InstanceStart {
        run: next.id,
        excluded: Vec::new()
    });
    let changes = vec![
        Change::InsertRun(next),
        Change::InstanceState {
            id,
            from: vec![InstanceState::Stopped],
            to: InstanceState::Starting,
        },
    ];
    cloud.far.trouble("start", Trouble::After(failed(code::NONSENSE)));
    let kind = OperationKindName::InstanceStart;
    let start = cloud
        .accept(kind, Subject::Instance(id), params, changes, false)
        .await;
    assert_eq!(cloud.settled(start).await.state, OperationState::Parked);
    say(&cloud, start, Verb::Undo).await.expect("it goes back");
    assert_eq!(cloud.settled(start).await.state, OperationState::Undone);
    let instance = cloud.instance(id).await.expect("it is there");
    assert_eq!((instance.state, instance.run), (InstanceState::Stopped, None));
    assert!(cloud.far.running().is_empty());
    cloud.destroy(id).await;
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn a_stop_only_goes_forward_also_without_what_is_gone() {
    let cloud = Cloud::new().await;
    let (id, run) = running(&cloud).await;
    block(&cloud, "kill");
    let operation = stop(&cloud, id, run).await;
    assert_eq!(cloud.settled(operation).await.state, OperationState::Parked);
    let why = say(&cloud, operation, Verb::Undo).await.expect_err("it cannot");
    assert!(why.contains("only goes forward from here"), "{why}");

    // The next step is in the way too: each is a word of its own.
    block(&cloud, "unpublish");
    say(&cloud, operation, Verb::AssertGone)
        .await
        .expect("it goes on");
    let parked = cloud.settled(operation).await;
    assert_eq!(parked.state, OperationState::Parked, "{parked:?}");
    assert_eq!(parked.note, "parked at unpublish-volumes: the operator decides");
    say(&cloud, operation, Verb::AssertGone)
        .await
        .expect("it goes on");
    let ended = cloud.settled(operation).await;
    assert_eq!(ended.state, OperationState::Done, "{ended:?}");
    let asserted: Vec<_> = ended
        .journal
        .iter()
        .filter_map(|r| Some((r.step.as_str(), r.state, r.asserted.as_ref()?)))
        .collect();
    assert_eq!(asserted.len(), 2, "{:?}", ended.journal);
    for (step, state, word) in asserted {
        assert_eq!(state, StepState::Done, "{step}");
        assert_eq!(
            (word.by.as_str(), word.reason.as_str()),
            ("operator", "the test says so")
        );
    }
    let instance = cloud.instance(id).await.expect("it is there");
    assert_eq!((instance.state, instance.run), (InstanceState::Stopped, None));
    assert_eq!(cloud.store.audit().await.expect("the audit runs"), Vec::new());
}

#[tokio::test]
async fn an_undo_that_got_stuck_goes_on_without_what_is_gone_and_starts_no_other_guest() {
    let cloud = Cloud::new().await;
    cloud
        .far
        .trouble("ensure", Trouble::After(failed(code::NONSENSE)));
    for _ in 0..EngineLimits::default().attempts_after_pivot {
        cloud
            .far
            .trouble("remove", Trouble::Before(failed(code::UNREACHABLE)));
    }
    let (id, operation) = cloud.create_instance("a").await;
    let parked = cloud.settled(operation).await;
    assert_eq!(parked.state, OperationState::Parked, "{parked:?}");
    assert_eq!(parked.note, "parked while undoing define: the operator decides");
    say(&cloud, operation, Verb::AssertGone)
        .await
        .expect("it goes on");
    let ended = cloud.settled(operation).await;
    assert_eq!(ended.state, OperationState::Undone, "{ended:?}");
    let word = ended.journal.iter().find(|r| r.asserted.is_some());
    assert_eq!(
        word.map(|r| (r.step.as_str(), r.state)),
        Some(("define", StepState::Undone))
    );
    assert_eq!(cloud.instance(id).await, None);
    assert_eq!(cloud.far.calls("start"), 0, "nothing was started elsewhere");
    assert_eq!(cloud.store.audit().await.expect("the audit runs"), Vec::new());
}

#[tokio::test]
async fn an_undo_that_got_stuck_goes_on_undoing_when_it_is_tried_again() {
    let cloud = Cloud::new().await;
    for _ in 0..3 {
        cloud
            .far
            .trouble("ensure", Trouble::After(failed(code::NONSENSE)));
    }
    for _ in 0..EngineLimits::default().attempts_after_pivot {
        cloud
            .far
            .trouble("unpublish", Trouble::Before(failed(code::UNREACHABLE)));
    }
    let (_, operation) = cloud.create_instance("a").await;
    assert_eq!(cloud.settled(operation).await.state, OperationState::Parked);
    say(&cloud, operation, Verb::Retry).await.expect("it goes on");
    assert_eq!(cloud.settled(operation).await.state, OperationState::Undone);
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn a_destroy_never_turns_back_and_ends_when_it_is_tried_again() {
    let cloud = Cloud::new().await;
    let (id, _) = running(&cloud).await;
    block(&cloud, "remove");
    let operation = cloud.destroy(id).await;
    assert_eq!(operation.state, OperationState::Parked, "{operation:?}");
    let why = say(&cloud, operation.id, Verb::Undo)
        .await
        .expect_err("it cannot");
    assert!(why.contains("does not come back"), "{why}");
    say(&cloud, operation.id, Verb::Retry).await.expect("it goes on");
    assert_eq!(cloud.settled(operation.id).await.state, OperationState::Done);
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn a_reboot_that_is_given_up_leaves_the_guest_as_it_is() {
    let cloud = Cloud::new().await;
    let (id, run) = running(&cloud).await;
    cloud
        .far
        .trouble("reboot", Trouble::After(failed(code::NONSENSE)));
    let params = json!(params::InstanceReboot { run, hard: false });
    let changes = vec![Change::InstanceState {
        id,
        from: vec![InstanceState::Running],
        to: InstanceState::Rebooting,
    }];
    let kind = OperationKindName::InstanceReboot;
    let reboot = cloud
        .accept(kind, Subject::Instance(id), params, changes, false)
        .await;
    assert_eq!(cloud.settled(reboot).await.state, OperationState::Parked);
    say(&cloud, reboot, Verb::Undo).await.expect("it goes back");
    assert_eq!(cloud.settled(reboot).await.state, OperationState::Undone);
    assert_eq!(state_of(&cloud, id).await, InstanceState::Running);
    cloud.destroy(id).await;
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn a_destroy_ends_what_was_parked_on_its_instance() {
    let cloud = Cloud::new().await;
    let (id, create) = with_parked_create(&cloud).await;
    let destroyed = cloud.destroy(id).await;
    assert_eq!(destroyed.state, OperationState::Done, "{destroyed:?}");
    let ended = cloud.settled(create).await;
    assert_eq!(ended.state, OperationState::Undone, "{ended:?}");
    assert_eq!(
        ended.note,
        format!("superseded by the operation {}", destroyed.id)
    );
    assert!(say(&cloud, create, Verb::Retry).await.is_err(), "it is over");
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn a_destroy_ends_an_attach_that_is_parked_with_a_volume_half_in() {
    let cloud = Cloud::new().await;
    let (id, run) = running(&cloud).await;
    let volume = cloud.data_volume("data");
    let (vid, subject) = (volume.id, Subject::Volume(volume.id));
    let made = vec![Change::InsertVolume(Box::new(volume))];
    let made = cloud
        .accept(OperationKindName::VolumeCreate, subject, json!({}), made, false)
        .await;
    cloud.settled(made).await;
    cloud
        .far
        .trouble("attach", Trouble::After(failed(code::NONSENSE)));
    let params = json!(params::VolumeAttach {
        instance: id,
        slot: 1,
        run: Some(run)
    });
    let attach = cloud.operation(OperationKindName::VolumeAttach, subject, params);
    let attach_id = attach.id;
    let commit = Commit {
        fence: cloud.fence(),
        operation: Some(OperationWrite::Insert {
            operation: Box::new(attach),
            locks: vec![subject, Subject::Instance(id)],
            preempts: false,
        }),
        changes: vec![Change::AttachVolume {
            id: vid,
            instance: id,
            slot: 1,
        }],
        ..Commit::default()
    };
    cloud.store.commit(commit).await.expect("it is accepted");
    assert_eq!(cloud.settled(attach_id).await.state, OperationState::Parked);
    let stale = cloud.store.read().operation(Scope::All, attach_id).await;
    let stale = stale.expect("the row reads").expect("it is there");

    // It does not preempt, and takes the lock of what is parked all the same.
    let going = vec![Change::InstanceState {
        id,
        from: vec![InstanceState::Running],
        to: InstanceState::Destroying,
    }];
    let kind = OperationKindName::InstanceDestroy;
    let destroy = cloud
        .accept(kind, Subject::Instance(id), json!({}), going, false)
        .await;
    let resumed = Commit {
        fence: cloud.fence(),
        operation: Some(OperationWrite::Update(Box::new(stale))),
        ..Commit::default()
    };
    assert!(
        cloud.store.commit(resumed).await.is_err(),
        "a verb that read it before brings it back to life"
    );
    assert_eq!(cloud.settled(destroy).await.state, OperationState::Done);
    assert_eq!(cloud.settled(attach_id).await.state, OperationState::Undone);
    let volume = cloud.store.read().volume(Scope::All, vid).await;
    let volume = volume.expect("the row reads").expect("a data volume stays");
    assert_eq!((volume.state, volume.attachment), (VolumeState::Ready, None));
    let going = vec![Change::VolumeState {
        id: vid,
        from: VolumeState::Ready,
        to: VolumeState::Deleting,
    }];
    let delete = cloud
        .accept(OperationKindName::VolumeDelete, subject, json!({}), going, false)
        .await;
    assert_eq!(cloud.settled(delete).await.state, OperationState::Done);
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn a_volume_whose_removal_is_refused_is_as_it_was() {
    let cloud = Cloud::new().await;
    let volume = cloud.data_volume("data");
    let (vid, subject) = (volume.id, Subject::Volume(volume.id));
    let made = vec![Change::InsertVolume(Box::new(volume))];
    let made = cloud
        .accept(OperationKindName::VolumeCreate, subject, json!({}), made, false)
        .await;
    cloud.settled(made).await;
    block(&cloud, "delete");
    for expected in [OperationState::Undone, OperationState::Done] {
        let going = vec![Change::VolumeState {
            id: vid,
            from: VolumeState::Ready,
            to: VolumeState::Deleting,
        }];
        let kind = OperationKindName::VolumeDelete;
        let delete = cloud.accept(kind, subject, json!({}), going, false).await;
        assert_eq!(cloud.settled(delete).await.state, expected);
    }
    cloud.assert_nothing_left().await;
}

#[tokio::test]
async fn an_operation_of_an_unknown_version_is_parked_and_can_only_be_tried_again() {
    let cloud = Cloud::new().await;
    let volume = cloud.data_volume("data");
    let subject = Subject::Volume(volume.id);
    let kind = OperationKindName::VolumeCreate;
    let mut operation = cloud.operation(kind, subject, json!({}));
    let id = operation.id;
    operation.version += 1;
    let commit = Commit {
        fence: cloud.fence(),
        operation: Some(OperationWrite::Insert {
            operation: Box::new(operation),
            locks: vec![subject],
            preempts: false,
        }),
        changes: vec![Change::InsertVolume(Box::new(volume))],
        ..Commit::default()
    };
    cloud.store.commit(commit).await.expect("it is accepted");
    assert_eq!(cloud.settled(id).await.state, OperationState::Parked);
    for verb in [Verb::Undo, Verb::AssertGone] {
        let why = say(&cloud, id, verb).await.expect_err("its steps are not known");
        assert!(why.contains("version 2"), "{why}");
    }
    say(&cloud, id, Verb::Retry).await.expect("it goes on");
    assert_eq!(cloud.settled(id).await.state, OperationState::Parked);
}
