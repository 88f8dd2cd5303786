//! What no row owns, and what is remembered of rows that went.

use uuid::Uuid;
use velum_model::{
    id::*,
    operation::{OperationKindName, OperationState, Subject},
    orphan::{Orphan, OrphanKind, OrphanPlace},
    page::Page,
    storage::Publication,
};
use velum_store::{Change, Commit, OperationWrite, OrphanFilter, Refused, StoreError, Table};

use crate::world::World;

fn orphan(w: &World, place: OrphanPlace, kind: OrphanKind, object: Uuid) -> Orphan {
    Orphan {
        id: Orphan::id_of(place, kind, object, None),
        kind,
        place,
        object,
        peer: None,
        name: "far side's name".into(),
        generation: 3,
        removed_at: None,
        first_seen: w.clock.now(),
        last_seen: w.clock.now(),
        observations: 1,
        reported: false,
    }
}

pub async fn what_goes_is_remembered_and_what_never_was_is_not(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 64, 1 << 16).await;
    let (instance, commit) = w.accepting("web", host.id, 1);
    w.store.commit(commit).await.expect("accepted");
    let read = w.store.read();
    let run = read.runs_of(instance.id).await.expect("readable").remove(0);
    let volume = read.volumes_of(instance.id).await.expect("readable").remove(0);
    let published = Change::InsertPublication(Publication {
        volume: volume.id,
        compute_host: host.id,
        run: run.id,
        attachment: None,
    });
    w.accept(vec![published]).await;
    let nil = Uuid::nil();
    let guest = (run.id.uuid(), nil);
    let root = (volume.id.uuid(), nil);
    let reach = (volume.id.uuid(), host.id.uuid());
    let stranger = (Uuid::from_u128(5), nil);
    let pairs = [
        (OrphanKind::Guest, guest),
        (OrphanKind::Seed, guest),
        (OrphanKind::Volume, root),
        (OrphanKind::Publication, reach),
    ];
    for (kind, pair) in pairs {
        let asked = [pair, stranger];
        let rows = read.with_rows(kind, &asked).await.expect("readable");
        assert_eq!(rows.into_iter().collect::<Vec<_>>(), [pair], "{kind:?}");
        let had = read.had_rows(kind, &asked).await.expect("readable");
        assert!(had.is_empty(), "{kind:?}: it is there");
    }
    let gone = vec![
        Change::DeletePublication {
            volume: volume.id,
            run: run.id,
        },
        Change::DeleteRun(run.id),
        Change::DeleteVolume(volume.id),
    ];
    w.accept(gone).await;
    for (kind, pair) in pairs {
        let asked = [pair, stranger];
        assert!(read.with_rows(kind, &asked).await.expect("readable").is_empty());
        let had = read.had_rows(kind, &asked).await.expect("readable");
        assert_eq!(had.into_keys().collect::<Vec<_>>(), [pair], "{kind:?}");
    }
}

pub async fn an_orphan_is_one_row_and_goes_with_its_place(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 64, 1 << 16).await;
    let read = w.store.read();
    let on_host = OrphanPlace::ComputeHost(host.id);
    let on_pool = OrphanPlace::StoragePool(w.pool.id);
    let guest = orphan(&w, on_host, OrphanKind::Guest, Uuid::from_u128(1));
    let volume = orphan(&w, on_pool, OrphanKind::Volume, Uuid::from_u128(2));
    let see = |o: &Orphan| Change::SeeOrphan(Box::new(o.clone()));
    w.accept(vec![see(&guest), see(&volume)]).await;
    let again = Orphan {
        observations: 2,
        reported: true,
        removed_at: Some(w.clock.now()),
        last_seen: w.clock.now(),
        ..guest.clone()
    };
    w.accept(vec![see(&again)]).await;
    assert_eq!(read.orphans_at(on_host).await.expect("readable"), [again]);
    assert_eq!(
        read.orphan(volume.id).await.expect("readable"),
        Some(volume.clone())
    );
    assert_eq!(read.orphans_known().await.expect("readable"), 2);
    let filter = OrphanFilter {
        kind: Some(OrphanKind::Volume),
        storage_pool: Some(w.pool.id),
        ..OrphanFilter::default()
    };
    let page = read.orphans(&filter, Page::default()).await.expect("readable");
    assert_eq!(page.items, std::slice::from_ref(&volume));

    // Its place goes, and with it what was seen there; a sighting that comes late changes nothing.
    let host_now = w.read_host(host.id).await;
    let removal = Change::Delete {
        table: Table::ComputeHost,
        id: host.id.uuid(),
        generation: host_now.generation,
    };
    w.accept(vec![removal]).await;
    w.accept(vec![see(&guest)]).await;
    assert_eq!(read.orphans_at(on_host).await.expect("readable"), []);
    w.accept(vec![
        Change::ForgetOrphan(volume.id),
        Change::ForgetOrphan(guest.id),
    ])
    .await;
    assert_eq!(read.orphans_known().await.expect("readable"), 0);
    w.well().await;
}

pub async fn a_row_on_its_way_that_no_operation_holds_is_an_alarm(url: String) {
    let w = World::open(&url).await;
    let (volume, instance) = (w.volume("data", None), w.instance("web"));
    let made = vec![
        Change::InsertVolume(Box::new(volume.clone())),
        Change::InsertInstance(Box::new(instance.clone())),
    ];
    w.accept(made).await;
    let found = w.store.audit().await.expect("an audit");
    let rows: Vec<_> = found.iter().map(|d| (d.table, d.id)).collect();
    assert_eq!(
        rows,
        [("instance", instance.id.uuid()), ("volume", volume.id.uuid())],
        "{found:?}"
    );
}

pub async fn a_parked_operation_is_counted_and_gives_its_lock_to_a_destroy_alone(url: String) {
    let w = World::open(&url).await;
    let subject = Subject::Instance(InstanceId::from_uuid(Uuid::from_u128(3)));
    let begin = |kind, state| {
        let mut operation = w.operation(kind, subject);
        operation.state = state;
        let commit = Commit {
            fence: w.fence(),
            operation: Some(OperationWrite::Insert {
                operation: Box::new(operation.clone()),
                locks: vec![subject],
                preempts: false,
            }),
            ..Commit::default()
        };
        (operation, commit)
    };
    let (parked, commit) = begin(OperationKindName::InstanceReboot, OperationState::Parked);
    w.store.commit(commit).await.expect("accepted");
    let read = w.store.read();
    assert_eq!(read.parked_operations().await.expect("readable"), 1);
    let (_, stop) = begin(OperationKindName::InstanceStop, OperationState::Running);
    assert!(matches!(
        w.store.commit(stop).await,
        Err(StoreError::Refused(Refused::Locked { operation })) if operation == parked.id
    ));
    let (destroy, commit) = begin(OperationKindName::InstanceDestroy, OperationState::Running);
    w.store.commit(commit).await.expect("it takes the lock");
    assert_eq!(read.holder_of(subject).await.expect("readable"), Some(destroy.id));
    // A verb that read it before the destroy came is too late.
    let verb = Commit {
        fence: w.fence(),
        operation: Some(OperationWrite::Update(Box::new(parked))),
        ..Commit::default()
    };
    assert!(matches!(
        w.store.commit(verb).await,
        Err(StoreError::Refused(Refused::Stale {
            table: "operation",
            ..
        }))
    ));
    let (_, second) = begin(OperationKindName::InstanceDestroy, OperationState::Running);
    assert!(matches!(
        w.store.commit(second).await,
        Err(StoreError::Refused(Refused::Locked { operation })) if operation == destroy.id
    ));
}
