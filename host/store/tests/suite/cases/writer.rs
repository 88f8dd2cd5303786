//! The writer: keys, locks, epochs, leases, events, durability, bounds.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use std::{
    future::Future as _,
    task::{Context, Waker},
};

use futures::future::join_all;
use sqlx::Connection as _;
use uuid::Uuid;
use velum_model::{
    chance::Ids,
    id::*,
    instance::Instance,
    operation::*,
    tenancy::{BUILT_IN_PROJECT, Scope},
    time::Clock,
};
use velum_store::*;

use super::rows::{shared, step};
use crate::world::*;

pub async fn a_known_key_gets_the_same_answer_for_a_day(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 64, 1 << 16).await;
    let (_, commit) = w.accepting("web", host.id, 1);
    let kept = commit.idempotency.clone().expect("a key");
    // The same request eight times at once: one is done, the others get its answer.
    let answers = join_all((0..8).map(|_| w.store.commit(commit.clone()))).await;
    let done = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Committed::Done)))
        .count();
    let replayed = answers
        .iter()
        .filter(|a| matches!(a, Ok(Committed::Replayed(answer)) if *answer == kept.answer))
        .count();
    assert_eq!((done, replayed), (1, 7), "{answers:?}");
    assert_eq!(w.read_host(host.id).await.vcpus_used, 1);
    let stored = w
        .store
        .idempotent(kept.token, &kept.key, &kept.request_hash)
        .await
        .expect("readable");
    assert_eq!(stored, Some(kept.answer.clone()));
    assert_eq!(
        w.store
            .idempotent(kept.token, "other", &[1])
            .await
            .expect("readable"),
        None
    );
    let error = w
        .store
        .idempotent(kept.token, &kept.key, &[9])
        .await
        .expect_err("another request");
    assert!(matches!(error, StoreError::Refused(Refused::KeyReused)));
    let mut another = w.accepting("other", host.id, 2).1;
    another.idempotency = Some(Idempotency {
        request_hash: vec![9],
        ..kept.clone()
    });
    let refused = w
        .store
        .commit(another.clone())
        .await
        .expect_err("another request");
    assert!(matches!(refused, StoreError::Refused(Refused::KeyReused)));
    // A refused commit keeps no key.
    let (_, mut fails) = w.accepting("fails", host.id, 1);
    assert!(matches!(
        w.store.commit(fails.clone()).await,
        Err(StoreError::Refused(Refused::AddressTaken))
    ));
    let key = fails.idempotency.take().expect("a key");
    assert_eq!(
        w.store
            .idempotent(key.token, &key.key, &key.request_hash)
            .await
            .expect("readable"),
        None
    );
    // A day later the key is free, and what is over is removed.
    w.clock.0.fetch_add(24 * 60 * 60 * 1_000_000, Ordering::SeqCst);
    assert_eq!(
        w.store
            .idempotent(kept.token, &kept.key, &[9])
            .await
            .expect("readable"),
        None
    );
    assert_eq!(
        w.store.commit(another).await.expect("a free key"),
        Committed::Done
    );
    w.store.renew().await.expect("renewed");
    w.well().await;
}

pub async fn what_is_committed_together_is_there_or_nothing_of_it(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 7, 1 << 16).await;
    let accepting = |called: &str, at| {
        let mut made = w.accepting(called, host.id, at);
        made.1.idempotency = None;
        made
    };
    let there = async |instance: &Instance| {
        let row = w.store.read().instance(Scope::All, instance.id).await;
        row.expect("readable").is_some()
    };
    let (a, b) = (accepting("a", 1), accepting("b", 2));
    let done = w.store.commit_together(vec![a.1, b.1]).await;
    assert_eq!(done.expect("both"), Committed::Done);
    assert!(there(&a.0).await && there(&b.0).await);

    // One of them wants an address that another has: nothing of them is made, and what goes along with them is.
    let (c, d, e) = (accepting("c", 3), accepting("d", 2), accepting("e", 4));
    let (refused, alone) = tokio::join!(
        w.store.commit_together(vec![c.1.clone(), d.1]),
        w.store.commit(e.1)
    );
    let refused = refused.expect_err("the address is taken");
    assert!(
        matches!(refused, StoreError::Refused(Refused::AddressTaken)),
        "{refused:?}"
    );
    assert_eq!(alone.expect("its own affair"), Committed::Done);
    assert!(!there(&c.0).await && !there(&d.0).await && there(&e.0).await);
    assert_eq!(w.read_host(host.id).await.vcpus_used, 3);

    // Eleven fit, and twelve do not.
    let mut many: Vec<_> = (5..17).map(|at| accepting(&format!("many-{at}"), at)).collect();
    let commits = many.iter().map(|(_, commit)| commit.clone()).collect();
    let refused = w.store.commit_together(commits).await.expect_err("too many");
    assert!(
        matches!(refused, StoreError::Refused(Refused::NoRoom { .. })),
        "{refused:?}"
    );
    many.pop();
    let commits = many.iter().map(|(_, commit)| commit.clone()).collect();
    assert_eq!(
        w.store.commit_together(commits).await.expect("room"),
        Committed::Done
    );
    assert_eq!(w.read_host(host.id).await.vcpus_used, 14);

    // One fence that is not ours any more.
    let (mut f, g) = (accepting("f", 20), accepting("g", 21));
    f.1.fence = f.1.fence.map(|(shard, epoch)| (shard, epoch + 1));
    let refused = w
        .store
        .commit_together(vec![g.1, f.1])
        .await
        .expect_err("not ours");
    assert!(
        matches!(refused, StoreError::Refused(Refused::Fenced { .. })),
        "{refused:?}"
    );
    assert!(!there(&g.0).await);
    let none = w.store.commit_together(Vec::new()).await;
    assert!(matches!(none, Err(StoreError::Unusable(_))));
    w.well().await;
}

pub async fn one_key_answers_for_all_that_is_committed_together(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 64, 1 << 16).await;
    let (_, first) = w.accepting("first", host.id, 1);
    let (_, mut second) = w.accepting("second", host.id, 2);
    second.idempotency = None;
    let both = vec![first, second];
    assert_eq!(
        w.store.commit_together(both.clone()).await.expect("made"),
        Committed::Done
    );
    let again = w.store.commit_together(both).await.expect("known");
    assert!(matches!(again, Committed::Replayed(_)), "{again:?}");
    assert_eq!(w.read_host(host.id).await.vcpus_used, 2);
    w.well().await;
}

pub async fn a_lock_is_held_by_one_operation_and_passes_to_a_destroy(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 64, 1 << 16).await;
    let (instance, commit) = w.accepting("web", host.id, 1);
    let Some(OperationWrite::Insert {
        operation: create, ..
    }) = commit.operation.clone()
    else {
        panic!("no operation")
    };
    w.store.commit(commit).await.expect("accepted");
    let subject = Subject::Instance(instance.id);
    let read = w.store.read();
    assert_eq!(read.holder_of(subject).await.expect("readable"), Some(create.id));
    let asking = |kind, preempts| {
        let operation = w.operation(kind, subject);
        let id = operation.id;
        let write = OperationWrite::Insert {
            operation: Box::new(operation),
            locks: vec![subject],
            preempts,
        };
        (
            id,
            Commit {
                fence: w.fence(),
                operation: Some(write),
                ..Commit::default()
            },
        )
    };
    let (_, stop) = asking(OperationKindName::InstanceStop, false);
    match w.store.commit(stop).await {
        Err(StoreError::Refused(refused)) => assert_eq!(refused, Refused::Locked { operation: create.id }),
        other => panic!("{other:?}"),
    }
    let (destroy_id, destroy) = asking(OperationKindName::InstanceDestroy, true);
    w.store.commit(destroy).await.expect("preempts");
    assert_eq!(read.holder_of(subject).await.expect("readable"), Some(destroy_id));
    let cancelled = read
        .operation(Scope::All, create.id)
        .await
        .expect("readable")
        .expect("there");
    assert!(cancelled.cancel_requested);
    // The cancelled one still commits its end under the generation that it had read; the lock is not its own any more.
    let ended = Operation {
        state: OperationState::Undone,
        ended_at: Some(w.clock.now()),
        ..*create
    };
    let update = |operation: &Operation| Commit {
        fence: w.fence(),
        operation: Some(OperationWrite::Update(Box::new(operation.clone()))),
        ..Commit::default()
    };
    w.store.commit(update(&ended)).await.expect("ended");
    assert_eq!(read.holder_of(subject).await.expect("readable"), Some(destroy_id));
    assert!(matches!(
        w.store.commit(update(&ended)).await,
        Err(StoreError::Refused(Refused::Stale {
            table: "operation",
            ..
        }))
    ));
    w.well().await;
}

pub async fn operations_are_due_until_they_end(url: String) {
    let w = World::open(&url).await;
    let read = w.store.read();
    let subject = |n| Subject::Volume(VolumeId::from_uuid(Uuid::from_u128(n)));
    let mut operations = Vec::new();
    for n in 0..4_u64 {
        let mut operation = w.operation(OperationKindName::VolumeCreate, subject(u128::from(n)));
        operation.due_at = w.clock.now().plus_millis(10 * (4 - n));
        let write = OperationWrite::Insert {
            operation: Box::new(operation.clone()),
            locks: vec![operation.subject],
            preempts: false,
        };
        w.store
            .commit(Commit {
                fence: w.fence(),
                operation: Some(write),
                ..Commit::default()
            })
            .await
            .expect("accepted");
        operations.push(operation);
    }
    let due = |millis| {
        let (read, now) = (read.clone(), w.clock.now().plus_millis(millis));
        async move {
            read.due_operations(now, 10)
                .await
                .expect("readable")
                .iter()
                .map(|o| o.id)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(due(5).await, vec![]);
    assert_eq!(due(20).await, vec![operations[3].id, operations[2].id]);
    assert_eq!(
        read.due_operations(w.clock.now().plus_millis(99), 1)
            .await
            .expect("readable")
            .len(),
        1
    );
    let mut first = operations[3].clone();
    first.journal = vec![step(w.clock.now())];
    first.params = serde_json::json!({"x": "y\u{1F600}\"\\"});
    first.error = Some(OperationError {
        code: "storage".into(),
        message: "no".into(),
    });
    first.state = OperationState::Parked;
    (first.progress, first.note, first.version, first.epoch) = (50, "half".into(), 2, 1);
    let write = |operation: &Operation| Commit {
        fence: w.fence(),
        operation: Some(OperationWrite::Update(Box::new(operation.clone()))),
        ..Commit::default()
    };
    w.store.commit(write(&first)).await.expect("parked");
    first.generation = 2;
    assert_eq!(
        read.operation(Scope::All, first.id).await.expect("readable"),
        Some(first.clone())
    );
    assert_eq!(due(20).await, vec![operations[2].id]);
    assert_eq!(read.unfinished_operations(10).await.expect("readable").len(), 4);
    (first.state, first.ended_at) = (OperationState::Done, Some(w.clock.now()));
    w.store.commit(write(&first)).await.expect("done");
    assert_eq!(read.holder_of(first.subject).await.expect("readable"), None);
    assert_eq!(read.unfinished_operations(10).await.expect("readable").len(), 3);
    w.well().await;
}

pub async fn an_old_epoch_is_fenced(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 64, 1 << 16).await;
    let second = open(&w.url, "second", shared(&w)).await;
    assert_eq!(second.epoch(w.zone.shard), None);
    let owned = second.take_over(false).await.expect("a takeover");
    assert!(owned.contains(&(w.zone.shard, 2)), "{owned:?}");
    assert_eq!(
        (second.epoch(w.zone.shard), w.store.epoch(w.zone.shard)),
        (Some(2), Some(1))
    );
    let (_, mut commit) = w.accepting("web", host.id, 1);
    match w.store.commit(commit.clone()).await {
        Err(StoreError::Refused(refused)) => {
            assert_eq!(
                refused,
                Refused::Fenced {
                    shard: w.zone.shard,
                    epoch: 2
                }
            );
        }
        other => panic!("{other:?}"),
    }
    // Whoever was refused does not try again and again; the renewal says it too, as often as it is asked.
    assert_eq!(w.store.epoch(w.zone.shard), None);
    assert!(!w.store.still_owns(w.zone.shard, 1).await);
    commit.fence = Some((w.zone.shard, 2));
    assert_eq!(
        second.commit(commit).await.expect("the new owner"),
        Committed::Done
    );
    let renewed = w.store.renew().await.expect_err("fenced");
    assert!(
        matches!(renewed, StoreError::Refused(Refused::Fenced { epoch: 2, .. })),
        "{renewed}"
    );
    assert_eq!(w.store.epoch(w.zone.shard), None);
    assert_eq!(
        w.store
            .read()
            .due_operations(w.clock.now(), 9)
            .await
            .expect("readable"),
        vec![]
    );
    assert_eq!(
        second
            .read()
            .due_operations(w.clock.now(), 9)
            .await
            .expect("readable")
            .len(),
        1
    );
    second.renew().await.expect("renewed");
    let events = second
        .read()
        .events_after(&EventCursor::default(), 100)
        .await
        .expect("readable");
    assert_eq!(
        events
            .iter()
            .filter(|event| event.shard == w.zone.shard)
            .map(|e| e.epoch)
            .collect::<Vec<_>>(),
        [2]
    );
    second.close().await;
}

pub async fn a_lease_is_waited_for(url: String) {
    let w = World::open(&url).await;
    let second = open(&w.url, "second", shared(&w)).await;
    let taken = Arc::new(AtomicBool::new(false));
    let waiting = tokio::spawn({
        let (second, taken) = (second.clone(), Arc::clone(&taken));
        async move {
            let owned = second.take_over(true).await.expect("a takeover");
            taken.store(true, Ordering::SeqCst);
            owned
        }
    });
    for _ in 0..3 {
        w.clock.0.fetch_add(3_000_000, Ordering::SeqCst);
        w.store.renew().await.expect("renewed");
        tokio::time::sleep(std::time::Duration::from_millis(120)).await;
        assert!(!taken.load(Ordering::SeqCst), "taken while it was renewed");
    }
    w.clock.0.fetch_add(10_000_000, Ordering::SeqCst);
    let owned = waiting.await.expect("no panic");
    assert!(owned.contains(&(w.zone.shard, 2)), "{owned:?}");
    // Under its own name a server waits for nobody.
    let again = open(&w.url, "second", shared(&w)).await;
    assert!(
        again
            .take_over(true)
            .await
            .expect("a takeover")
            .contains(&(w.zone.shard, 3))
    );
    again.close().await;
    second.close().await;
}

pub async fn events_are_dense_and_observed_in_their_order(url: String) {
    let w = World::open(&url).await;
    let start = w.store.read().end_of_events().await.expect("readable");
    let commits = (0..120_u128).map(|n| {
        let resource = Uuid::from_u128(n);
        let fence = if n % 3 == 0 { None } else { w.fence() };
        let events = (0..1 + n % 2).map(|_| w.event("x", resource)).collect();
        Commit {
            fence,
            events,
            ..Commit::default()
        }
    });
    assert!(
        join_all(commits.map(|commit| w.store.commit(commit)))
            .await
            .iter()
            .all(Result::is_ok)
    );
    let events = w.store.read().events_after(&start, 1000).await.expect("readable");
    assert_eq!(events.len(), 180);
    for shard in [w.zone.shard, ShardId::from_uuid(Uuid::nil())] {
        let own: Vec<&Event> = events.iter().filter(|event| event.shard == shard).collect();
        let first = start.after(shard).1 + 1;
        let numbers: Vec<u64> = own.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (first..first + own.len() as u64).collect::<Vec<_>>());
        let told: Vec<Event> = {
            let log = w.log.0.lock().expect("no test panics with it");
            log.iter()
                .flat_map(|batch| batch.events.clone())
                .filter(|e| e.shard == shard)
                .collect()
        };
        assert_eq!(told.iter().collect::<Vec<_>>(), own);
    }
    // A reader that takes them in small bites misses none.
    let (mut cursor, mut seen) = (start, 0);
    loop {
        let some = w.store.read().events_after(&cursor, 7).await.expect("readable");
        if some.is_empty() {
            break;
        }
        seen += some.len();
        some.iter().for_each(|event| cursor.advance(event));
    }
    assert_eq!(seen, 180);
    assert_eq!(cursor, w.store.read().end_of_events().await.expect("readable"));
    w.well().await;
}

pub async fn what_was_acknowledged_is_there_after_opening_again(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 64, 1 << 16).await;
    let mut instances = Vec::new();
    for n in 0..10 {
        let (instance, commit) = w.accepting(&format!("i{n}"), host.id, 1 + n);
        w.store.commit(commit).await.expect("accepted");
        instances.push(instance);
    }
    w.store.close().await;
    assert!(w.try_changes(vec![]).await.is_err(), "closed");
    let again = open(&w.url, "first", shared(&w)).await;
    assert!(
        again
            .take_over(true)
            .await
            .expect("a takeover")
            .contains(&(w.zone.shard, 2))
    );
    for instance in instances {
        assert!(
            again
                .read()
                .instance(Scope::All, instance.id)
                .await
                .expect("readable")
                .is_some()
        );
    }
    assert_eq!(again.audit().await.expect("an audit"), vec![]);
    again.close().await;
}

pub async fn a_newer_schema_is_refused(url: String) {
    let w = World::open(&url).await;
    w.store.close().await;
    let text = "INSERT INTO velum_schema (version) VALUES (99)";
    if url.starts_with("sqlite:") {
        let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("a connection");
        sqlx::raw_sql(text)
            .execute(&mut connection)
            .await
            .expect("recorded");
        connection.close().await.expect("closed");
    } else {
        let mut connection = sqlx::PgConnection::connect(&url).await.expect("a connection");
        sqlx::raw_sql(text)
            .execute(&mut connection)
            .await
            .expect("recorded");
    }
    let options = |url: &str| StoreOptions {
        url: url.to_owned(),
        holder: "x".into(),
        clock: Arc::clone(&w.clock) as Arc<dyn Clock>,
        ids: Arc::clone(&w.ids) as Arc<dyn Ids>,
        observer: Arc::clone(&w.log) as Arc<dyn Observer>,
        lease_ms: 1,
    };
    match Store::open(options(&url)).await {
        Err(StoreError::Unusable(why)) => assert!(why.contains("schema 99"), "{why}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
    for bad in ["mysql://x", "", "postgres://"] {
        assert!(Store::open(options(bad)).await.is_err(), "{bad}");
    }
}

/// Holds the writer until it is let go.
struct Gate(Mutex<()>);
impl Observer for Gate {
    fn committed(&self, _: &CommittedBatch) {
        drop(self.0.lock());
    }
}

pub async fn a_full_queue_is_an_answer(url: String) {
    let w = World::open(&url).await;
    w.store.close().await;
    let gate = Arc::new(Gate(Mutex::new(())));
    let store = Store::open(StoreOptions {
        url,
        holder: "first".into(),
        clock: Arc::clone(&w.clock) as Arc<dyn Clock>,
        ids: Arc::clone(&w.ids) as Arc<dyn Ids>,
        observer: Arc::clone(&gate) as Arc<dyn Observer>,
        lease_ms: 10_000,
    })
    .await
    .expect("a store");
    let commits: Vec<_> = {
        let held = gate.0.lock().expect("free");
        // Each is in the queue once it was polled.
        let mut commits: Vec<_> = (0..6000)
            .map(|_| Box::pin(store.commit(Commit::default())))
            .collect();
        let mut first = Vec::new();
        for commit in &mut commits {
            first.push(commit.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        }
        let busy = first.iter().filter(|answer| {
            matches!(
                answer,
                std::task::Poll::Ready(Err(StoreError::Busy { waiting: 4096 }))
            )
        });
        assert!(busy.count() >= 6000 - 4096 - 1024);
        drop(held);
        commits
            .into_iter()
            .zip(first)
            .filter(|(_, answer)| answer.is_pending())
            .map(|(commit, _)| commit)
            .collect()
    };
    assert!(join_all(commits).await.iter().all(Result::is_ok));
    assert_eq!(store.waiting(), 0);
    assert_eq!(
        store.commit(Commit::default()).await.expect("room again"),
        Committed::Done
    );
    store.close().await;
}

pub async fn tokens_are_found_by_their_hash(url: String) {
    let w = World::open(&url).await;
    let token = TokenId::from_uuid(Uuid::from_u128(5));
    w.store
        .insert_token(token, "admin", &[1, 2, 3], Scope::All)
        .await
        .expect("stored");
    let own = TokenId::from_uuid(Uuid::from_u128(6));
    w.store
        .insert_token(own, "own", &[4], Scope::Project(BUILT_IN_PROJECT))
        .await
        .expect("stored");
    let read = w.store.read();
    assert_eq!(
        read.token_by_hash(&[1, 2, 3]).await.expect("readable"),
        Some((token, "admin".into(), Scope::All))
    );
    let found = read.token_by_hash(&[4]).await.expect("readable");
    assert_eq!(found, Some((own, "own".into(), Scope::Project(BUILT_IN_PROJECT))));
    assert_eq!(read.token_by_hash(&[9]).await.expect("readable"), None);
    let twice = w
        .store
        .insert_token(TokenId::from_uuid(Uuid::from_u128(7)), "admin", &[7], Scope::All)
        .await;
    assert!(matches!(
        twice,
        Err(StoreError::Refused(Refused::NameTaken { table: "token", .. }))
    ));
}
