//! Instances and volumes after they were made, and the engine's way to another compute host.

use crate::cloud::*;
use velum_model::{
    Timestamp,
    instance::InstanceState,
    operation::{OperationKindName, OperationState, Subject},
    quantity::{Bytes, ExpectedLifetime},
    storage::VolumeState,
    tenancy::Scope,
};
use velum_operation::{Replan, ReplanAsk};
use velum_service::*;
use velum_store::{Change, Commit};

const ROOMY: Size = Size {
    hosts: 3,
    memory_mib: 4096,
    addresses: 50,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_instance_claims_nothing_and_its_start_is_a_placement() {
    let cloud = Cloud::of(ROOMY).await;
    let made = cloud.create("web").await.expect("created");
    let id = made.instance.id;
    let early = cloud.services.instance_stop(&cloud.caller, id, 0, None).await;
    assert!(
        matches!(early, Err(ServiceError::InvalidState { .. })),
        "{early:?}"
    );
    cloud.bring_up(&made).await;
    let stopping = fresh(
        cloud
            .services
            .instance_stop(&cloud.caller, id, 1000, None)
            .await
            .expect("accepted"),
    );
    assert_eq!(stopping.resource.instance.state, InstanceState::Stopping);
    assert_eq!(
        stopping.resource.nics, made.nics,
        "what hangs on it is answered too"
    );
    assert_eq!(stopping.resource.volumes.len(), 1);
    let busy = cloud.services.instance_stop(&cloud.caller, id, 0, None).await;
    assert!(matches!(busy, Err(ServiceError::InvalidState { .. })), "{busy:?}");
    let run = made.instance.run.as_ref().expect("placed");
    let halted = vec![
        Change::DeleteRun(run.id),
        Change::InstanceState {
            id,
            from: vec![InstanceState::Stopping],
            to: InstanceState::Stopped,
        },
    ];
    cloud.end_operation(&made, halted).await;
    let host = cloud
        .services
        .compute_host_get(&cloud.caller, run.compute_host)
        .await
        .expect("there");
    assert_eq!(host.memory_used, 0);
    let started = fresh(
        cloud
            .services
            .instance_start(&cloud.caller, id, None)
            .await
            .expect("accepted"),
    );
    let again = started.resource.instance.run.expect("placed");
    assert!(
        again.generation > run.generation + 15,
        "{} after {}",
        again.generation,
        run.generation
    );
    let stored = cloud
        .services
        .instance_get(&cloud.caller, id)
        .await
        .expect("there");
    assert_eq!(stored.generation, started.resource.instance.generation);
    assert_eq!(stored.decision, started.resource.instance.decision);
    assert_ne!(stored.decision, made.instance.decision);
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_expected_to_run_for_as_long_as_it_or_its_offering_says() {
    /// The minute in which the clock of this cloud stands.
    const NOW: u32 = 28_333_333;
    let cloud = Cloud::of(ROOMY).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let seconds = |seconds| ExpectedLifetime::new(seconds).expect("in range");
    let nobody_said = cloud.create("before").await.expect("created").instance;
    assert_eq!(nobody_said.expected_lifetime, None);
    assert_eq!(nobody_said.run.expect("placed").expected_end_at, None);
    let change = ChangeComputeOffering {
        expected_lifetime: Some(Some(seconds(3600))),
        ..ChangeComputeOffering::default()
    };
    let changed = services
        .compute_offering_change(caller, cloud.offering.id, None, change)
        .await;
    assert_eq!(changed.expect("changed").expected_lifetime, Some(seconds(3600)));
    let own = NewInstance {
        expected_lifetime: Some(seconds(61)),
        ..cloud.new_instance("own")
    };
    let own = fresh(
        services
            .instance_create(caller, own, None)
            .await
            .expect("created"),
    );
    let offered = cloud.create("offered").await.expect("created");
    for (made, said, minutes) in [(own.resource, 61, 2), (offered, 3600, 60)] {
        assert_eq!(made.instance.expected_lifetime, Some(seconds(said)));
        let stored = services
            .instance_get(caller, made.instance.id)
            .await
            .expect("there");
        assert_eq!(stored, made.instance, "what was answered is what is stored");
        let ends = stored.run.expect("placed").expected_end_at;
        assert_eq!(ends, Some(Timestamp::of_minute(NOW + minutes)));
        // The decision keeps what the policy was told.
        let ask = cloud.decision_of(&made).await.ask;
        assert_eq!(ask["now_minute"], NOW);
        assert_eq!(ask["expected_lifetime"], said);
    }
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroy_cancels_the_create_that_it_meets() {
    let cloud = Cloud::of(ROOMY).await;
    let made = cloud.create("web").await.expect("created");
    let subject = Subject::Instance(made.instance.id);
    let create = cloud
        .store
        .read()
        .holder_of(subject)
        .await
        .expect("read")
        .expect("held");
    let destroy = cloud
        .services
        .instance_destroy(&cloud.caller, made.instance.id, Some(99), None)
        .await;
    assert!(matches!(destroy, Err(ServiceError::Stale { .. })), "{destroy:?}");
    let destroy = cloud
        .services
        .instance_destroy(&cloud.caller, made.instance.id, None, None)
        .await;
    let destroy = fresh(destroy.expect("accepted"));
    let holder = cloud.store.read().holder_of(subject).await.expect("read");
    assert_eq!(holder, Some(destroy.operation));
    let create = cloud
        .services
        .operation_get(&cloud.caller, create)
        .await
        .expect("there");
    assert!(create.cancel_requested);
    assert_eq!(create.state, OperationState::Running);
    let twice = cloud
        .services
        .instance_destroy(&cloud.caller, made.instance.id, None, None)
        .await;
    assert!(
        matches!(twice, Err(ServiceError::InvalidState { .. })),
        "{twice:?}"
    );
}

fn elsewhere(made: &InstanceDetail) -> ReplanAsk {
    let run = made.instance.run.as_ref().expect("placed");
    ReplanAsk {
        instance: made.instance.id,
        failed_run: run.id,
        excluded: vec![run.compute_host],
        unmade_root: made.volumes.first().cloned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_elsewhere_takes_the_next_generation_and_no_second_claim() {
    let cloud = Cloud::of(ROOMY).await;
    let made = cloud.create("web").await.expect("created");
    let failed = made.instance.run.clone().expect("placed");
    let first = cloud
        .services
        .elsewhere(elsewhere(&made))
        .await
        .expect("there is room elsewhere");
    assert_ne!(first.run.compute_host, failed.compute_host);
    assert_eq!(first.run.generation, failed.generation + 1);
    assert_eq!(first.moved_root, None);
    cloud.services.give_back(&first);
    let second = cloud
        .services
        .elsewhere(elsewhere(&made))
        .await
        .expect("there is room elsewhere");
    cloud.goes_elsewhere(&second).await;
    let used: u64 = memory_used(&cloud).await;
    assert_eq!(used, 256);
    // The planner's books agree with the rows: exactly what is left fits.
    let left = (4096 * 3 - 256) / 256;
    for n in 0..left {
        cloud.create(&format!("more-{n}")).await.expect("it fits");
    }
    assert!(matches!(
        cloud.create("one-too-many").await,
        Err(ServiceError::NoCapacity { .. })
    ));
    cloud.audit().await;
}

async fn memory_used(cloud: &Cloud) -> u64 {
    let mut used = 0;
    for host in &cloud.hosts {
        let host = cloud
            .services
            .compute_host_get(&cloud.caller, host.id)
            .await
            .expect("there");
        used += host.memory_used;
    }
    used
}

#[tokio::test(flavor = "multi_thread")]
async fn without_another_host_there_is_no_elsewhere() {
    let cloud = Cloud::of(Size { hosts: 1, ..ROOMY }).await;
    let made = cloud.create("web").await.expect("created");
    assert!(cloud.services.elsewhere(elsewhere(&made)).await.is_none());
}

async fn volume(cloud: &Cloud, text: &str) -> velum_model::storage::Volume {
    let offering = cloud
        .services
        .disk_offering_list(&cloud.caller, &Default::default(), Default::default())
        .await;
    let offering = match offering.expect("listed").items.into_iter().next() {
        Some(offering) => offering,
        None => {
            let new = NewDiskOffering {
                name: name("disk"),
                size: None,
                storage_tags: Vec::new(),
            };
            fresh(
                cloud
                    .services
                    .disk_offering_create(&cloud.caller, new, None)
                    .await
                    .expect("an offering"),
            )
        }
    };
    let new = NewVolume {
        zone: cloud.zone.id,
        name: name(text),
        offering: offering.id,
        size: Some(Bytes::new((1 << 20) + 1).expect("in range")),
    };
    fresh(
        cloud
            .services
            .volume_create(&cloud.caller, new, None)
            .await
            .expect("accepted"),
    )
    .resource
}

async fn make_ready(cloud: &Cloud, volume: &velum_model::storage::Volume) {
    let holder = cloud
        .store
        .read()
        .holder_of(Subject::Volume(volume.id))
        .await
        .expect("read")
        .expect("held");
    let mut operation = cloud
        .store
        .read()
        .operation(Scope::All, holder)
        .await
        .expect("read")
        .expect("there");
    operation.state = OperationState::Done;
    operation.ended_at = Some(operation.created_at);
    let commit = Commit {
        fence: Some((
            cloud.zone.shard,
            cloud.store.epoch(cloud.zone.shard).expect("owned"),
        )),
        operation: Some(velum_store::OperationWrite::Update(Box::new(operation))),
        changes: vec![Change::VolumeReady {
            id: volume.id,
            backend_id: format!("b-{}", volume.id),
            parent: None,
        }],
        ..Commit::default()
    };
    cloud.store.commit(commit).await.expect("ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_has_one_instance_at_a_time() {
    let cloud = Cloud::of(ROOMY).await;
    let made = cloud.create("web").await.expect("created");
    let other = cloud.create("db").await.expect("created");
    let data = volume(&cloud, "data").await;
    // Rounded up as the pool wants.
    assert_eq!(data.size.get(), 2 << 20);
    let early = cloud
        .services
        .volume_attach(&cloud.caller, data.id, made.instance.id, None)
        .await;
    assert!(
        matches!(early, Err(ServiceError::InvalidState { .. })),
        "{early:?}"
    );
    make_ready(&cloud, &data).await;
    cloud.bring_up(&made).await;
    cloud.bring_up(&other).await;
    let to = |id| cloud.services.volume_attach(&cloud.caller, data.id, id, None);
    let attached = fresh(to(made.instance.id).await.expect("accepted"));
    assert_eq!(attached.resource.attachment.map(|at| at.slot), Some(1));
    let operation = cloud
        .services
        .operation_get(&cloud.caller, attached.operation)
        .await
        .expect("there");
    assert_eq!(operation.kind, OperationKindName::VolumeAttach);
    let taken = to(other.instance.id).await;
    assert!(
        matches!(taken, Err(ServiceError::InvalidState { .. })),
        "{taken:?}"
    );
    // The attach holds the instance too.
    let busy = cloud
        .services
        .instance_stop(&cloud.caller, made.instance.id, 0, None)
        .await;
    assert!(
        matches!(busy, Err(ServiceError::Locked { operation }) if operation == attached.operation),
        "{busy:?}"
    );
    let in_use = cloud
        .services
        .volume_delete(&cloud.caller, data.id, None, None)
        .await;
    assert!(matches!(in_use, Err(ServiceError::InUse { .. })), "{in_use:?}");
    let root = cloud
        .services
        .volume_detach(&cloud.caller, made.volumes[0].id, None)
        .await;
    assert!(matches!(root, Err(ServiceError::InvalidState { .. })), "{root:?}");
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_nobody_has_can_go() {
    let cloud = Cloud::of(ROOMY).await;
    let data = volume(&cloud, "data").await;
    make_ready(&cloud, &data).await;
    let gone = fresh(
        cloud
            .services
            .volume_delete(&cloud.caller, data.id, None, None)
            .await
            .expect("accepted"),
    );
    assert_eq!(gone.resource.state, VolumeState::Deleting);
    let stored = cloud
        .services
        .volume_get(&cloud.caller, data.id)
        .await
        .expect("there");
    assert_eq!(stored.generation, gone.resource.generation);
}
