//! Batches that are written one beside the end of the other, which is done on PostgreSQL: nobody can tell.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use futures::future::join_all;
use uuid::Uuid;
use velum_model::{id::*, operation::*, tenancy::Scope};
use velum_store::*;

use super::{lost::bare, rows::shared};
use crate::world::*;

/// That there were such batches; on SQLite there are none.
fn were_beside(w: &World) -> bool {
    (w.store.counts().ahead > 0) == w.url.starts_with("postgres")
}

/// One of a batch, without what there are only some hundreds of.
fn accepting(w: &World, called: &str, host: ComputeHostId) -> (InstanceId, Commit) {
    let (instance, mut commit) = w.accepting(called, host, 1);
    bare(&mut commit);
    (instance.id, commit)
}

pub async fn who_is_refused_beside_another_batch_is_refused_alone(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 2000, 1 << 21).await;
    let small = w.add_host("small", 2000, 10 * 512).await;
    let start = w.store.read().end_of_events().await.expect("readable");
    let mut commits = Vec::new();
    for n in 0..900_u32 {
        // Every thirtieth wants the last room of a small host, of which there is some for ten.
        let on = if n % 30 == 1 { small.id } else { host.id };
        let (_, mut commit) = accepting(&w, &format!("i{n}"), on);
        match n {
            // One key, in another batch than the first with it.
            700 => commit.idempotency = accepting(&w, "i3", host.id).1.idempotency,
            350 | 800 => commit.fence = Some((w.zone.shard, 99)),
            410 => {
                for change in &mut commit.changes {
                    if let Change::InsertInstance(row) = change {
                        row.offering = ComputeOfferingId::from_uuid(Uuid::from_u128(5));
                    }
                }
            }
            _ => {}
        }
        commits.push(commit);
    }
    let answers = join_all(commits.into_iter().map(|commit| w.store.commit(commit))).await;
    let (mut done, mut without_room) = (0, 0);
    for (n, answer) in answers.iter().enumerate() {
        match (n, answer) {
            (700, Ok(Committed::Replayed(_)))
            | (350 | 800, Err(StoreError::Refused(Refused::Fenced { epoch: 1, .. })))
            | (
                410,
                Err(StoreError::Refused(Refused::MissingReference {
                    table: "instance", ..
                })),
            ) => {}
            (350 | 410 | 700 | 800, other) => panic!("commit {n}: {other:?}"),
            (n, Err(StoreError::Refused(Refused::NoRoom { .. }))) if n % 30 == 1 => without_room += 1,
            (_, Ok(Committed::Done)) => done += 1,
            (n, other) => panic!("commit {n}: {other:?}"),
        }
    }
    assert_eq!((done, without_room), (900 - 4 - 20, 20));
    assert!(were_beside(&w), "{:?}", w.store.counts());
    assert_eq!(w.read_host(small.id).await.memory_used, 10 * 512);
    assert_eq!(w.read_host(host.id).await.vcpus_used, 900 - 4 - 30);
    // Told in the order of the database, each once, without a gap.
    let stored = w.store.read().events_after(&start, 2000).await.expect("readable");
    let log = w.log.0.lock().expect("no test panics with it").clone();
    let told: Vec<Event> = log.into_iter().flat_map(|batch| batch.events).collect();
    let told = told.get(told.len() - stored.len()..).expect("as many");
    assert_eq!(told, stored);
    assert_eq!(stored.len(), done);
    w.well().await;
    w.store.close().await;
}

/// Who lets a parked operation go on is decided about before who takes its lock, also when the first is not durable yet.
pub async fn a_lock_is_taken_of_what_is_parked_when_that_is_known(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 2000, 1 << 21).await;
    let (instance, commit) = w.accepting("web", host.id, 1);
    let Some(OperationWrite::Insert {
        operation: create, ..
    }) = commit.operation.clone()
    else {
        panic!("no operation")
    };
    w.store.commit(commit).await.expect("accepted");
    let update = |operation: Operation| Commit {
        fence: w.fence(),
        operation: Some(OperationWrite::Update(Box::new(operation))),
        ..Commit::default()
    };
    let parked = Operation {
        state: OperationState::Parked,
        ..*create
    };
    w.store.commit(update(parked)).await.expect("parked");
    let read = w.store.read();
    let known = read.operation(Scope::All, create.id).await.expect("readable");
    let goes_on = Operation {
        state: OperationState::Running,
        ..known.expect("there")
    };
    let subject = Subject::Instance(instance.id);
    let destroy = Commit {
        fence: w.fence(),
        operation: Some(OperationWrite::Insert {
            operation: Box::new(w.operation(OperationKindName::InstanceDestroy, subject)),
            locks: vec![subject],
            preempts: false,
        }),
        ..Commit::default()
    };
    // One in the first full batch, the other in the next.
    let mut commits: Vec<Commit> = (0..400)
        .map(|n| accepting(&w, &format!("i{n}"), host.id).1)
        .collect();
    commits.insert(20, update(goes_on));
    commits.insert(390, destroy);
    let answers = join_all(commits.into_iter().map(|commit| w.store.commit(commit))).await;
    for (n, answer) in answers.iter().enumerate() {
        match (n, answer) {
            (390, Err(StoreError::Refused(Refused::Locked { operation }))) if *operation == create.id => {}
            (390, other) => panic!("the destroy: {other:?}"),
            (_, answer) => assert!(matches!(answer, Ok(Committed::Done)), "commit {n}: {answer:?}"),
        }
    }
    let known = read.operation(Scope::All, create.id).await.expect("readable");
    let known = known.expect("there");
    assert_eq!(
        (known.state, known.cancel_requested),
        (OperationState::Running, false)
    );
    assert_eq!(read.holder_of(subject).await.expect("readable"), Some(create.id));
    w.well().await;
    w.store.close().await;
}

pub async fn a_takeover_lets_nothing_be_committed_that_was_begun_before(url: String) {
    let w = Arc::new(World::open(&url).await);
    let host = w.add_host("host", 2000, 1 << 21).await;
    // For who comes last, when the other may be full.
    let spare = w.add_host("spare", 2, 2048).await;
    let start = w.store.read().end_of_events().await.expect("readable");
    let second = open(&w.url, "second", shared(&w)).await;
    let (acknowledged, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let fence = w.fence();
    let lanes: Vec<_> = (0..6)
        .map(|lane| {
            let (w, acknowledged, is_over) =
                (Arc::clone(&w), Arc::clone(&acknowledged), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut n = 0_u32;
                while !is_over.load(Ordering::SeqCst) {
                    n += 1;
                    let made = (0..20).map(|k| accepting(&w, &format!("i{lane}-{n}-{k}"), host.id));
                    let made: Vec<_> = made.collect();
                    let commits = made.iter().map(|(id, commit)| {
                        let mut commit = commit.clone();
                        commit.fence = fence;
                        let answer = w.store.commit(commit);
                        async { (*id, answer.await) }
                    });
                    for (id, answer) in join_all(commits).await {
                        match answer {
                            Ok(_) => acknowledged.lock().expect("no test panics with it").push(id),
                            Err(StoreError::Refused(Refused::Fenced { epoch: 2, .. })) => {
                                is_over.store(true, Ordering::SeqCst);
                            }
                            Err(StoreError::Refused(Refused::NoRoom { .. })) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
            })
        })
        .collect();
    // On SQLite there are none; then it is enough that some were accepted.
    while !were_beside(&w) || acknowledged.lock().expect("no test panics with it").len() < 200 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let owned = second.take_over(false).await.expect("a takeover");
    assert!(owned.contains(&(w.zone.shard, 2)), "{owned:?}");
    let (last, mut commit) = accepting(&w, "after", spare.id);
    commit.fence = Some((w.zone.shard, 2));
    assert_eq!(
        second.commit(commit).await.expect("the new owner"),
        Committed::Done
    );
    for lane in lanes {
        lane.await.expect("no panic");
    }
    let events = w.store.read().events_after(&start, 5000).await.expect("readable");
    let epochs: Vec<u64> = events.iter().map(|event| event.epoch).collect();
    assert!(epochs.is_sorted(), "nothing of an epoch that was over");
    assert_eq!(epochs.last(), Some(&2));
    acknowledged.lock().expect("no test panics with it").push(last);
    let acknowledged = acknowledged.lock().expect("no test panics with it").clone();
    assert_eq!(events.len(), acknowledged.len(), "what is there was acknowledged");
    for id in acknowledged {
        let found = w.store.read().instance(Scope::All, id).await.expect("readable");
        assert!(found.is_some(), "{id} was acknowledged and is lost");
    }
    w.well().await;
}
