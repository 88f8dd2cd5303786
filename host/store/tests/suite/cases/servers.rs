//! Several servers on one database: who owns what, and what they see of each other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use sqlx::Connection as _;
use uuid::Uuid;
use velum_model::{id::*, infrastructure::Zone};
use velum_store::*;

use super::{lost::behind_a_relay, rows::shared};
use crate::{relay::Silence, world::*};

/// Looks come twelve times in it; what is measured with it is measured on clocks that the test moves.
const LEASE: Duration = Duration::from_millis(600);
/// Far longer than a look takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Another server, whose clock is an hour behind.
async fn another(w: &World, called: &str) -> (Store, Arc<ManualClock>) {
    let behind = w.clock.0.load(Ordering::SeqCst) - 3_600_000_000;
    let clock = Arc::new(ManualClock(AtomicI64::new(behind)));
    let store = open(&w.url, called, (&clock, &w.ids, &w.log)).await;
    (store, clock)
}

fn address(called: &str) -> String {
    format!("http://{called}")
}

async fn join(store: &Store, called: &str) -> Membership {
    store.join(&address(called), LEASE).await.expect("joined")
}

/// The shards of a server once they are so many.
async fn once_it_owns(membership: &Membership, count: usize) -> Vec<(ShardId, u64)> {
    let mut owned = membership.owned.clone();
    let waiting = owned.wait_for(|owned| owned.len() == count);
    let found = tokio::time::timeout(PATIENCE, waiting).await;
    found.expect("in time").expect("it is a member").clone()
}

/// The same while its clock runs on, lease after lease: what stands still by then is claimed.
async fn once_leases_have_passed(
    clock: &ManualClock,
    membership: &Membership,
    count: usize,
) -> Vec<(ShardId, u64)> {
    let passing = async {
        loop {
            clock.0.fetch_add(LEASE.as_micros() as i64, Ordering::SeqCst);
            tokio::time::sleep(LEASE).await;
        }
    };
    tokio::select! {
        owned = once_it_owns(membership, count) => owned,
        () = passing => unreachable!("time goes on for ever"),
    }
}

/// Two more zones, and so two more shards.
async fn more_zones(w: &World) -> Vec<Zone> {
    let mut zones = vec![w.zone.clone()];
    for called in ["two", "three"] {
        let zone = Zone {
            id: velum_model::chance::fresh(w.ids.as_ref()),
            shard: velum_model::chance::fresh(w.ids.as_ref()),
            name: name(called),
            ..w.zone.clone()
        };
        let commit = Commit {
            changes: vec![Change::InsertZone(zone.clone())],
            ..Commit::default()
        };
        w.store.commit(commit).await.expect("a zone");
        zones.push(zone);
    }
    zones
}

async fn is_refused(store: &Store, w: &World, fence: (ShardId, u64)) -> bool {
    let commit = Commit {
        fence: Some(fence),
        events: vec![w.event("late", Uuid::nil())],
        ..Commit::default()
    };
    matches!(
        store.commit(commit).await,
        Err(StoreError::Refused(Refused::Fenced { .. }))
    )
}

pub async fn shards_spread_and_go_to_whoever_saw_them_stand_still(url: String) {
    let w = World::open(&url).await;
    more_zones(&w).await;
    let first = join(&w.store, "first").await;
    let before = once_it_owns(&first, 3).await;
    let (second, clock) = another(&w, "second").await;
    assert!(!second.is_shared());
    let theirs = join(&second, "second").await;
    assert!(second.is_shared() && w.store.is_shared());

    // One of three goes to the server that has none, under the next epoch.
    let kept = once_it_owns(&first, 2).await;
    let taken = once_it_owns(&theirs, 1).await;
    let (shard, epoch) = taken[0];
    let was = before
        .iter()
        .find(|(known, _)| *known == shard)
        .expect("it was owned");
    assert_eq!(epoch, was.1 + 1);
    assert_eq!(second.owner(shard), Owner::Here(epoch));
    assert_eq!(w.store.epoch(shard), None);
    assert!(is_refused(&w.store, &w, *was).await, "an epoch that is over");
    assert_eq!((w.store.counts().fenced, second.counts().fenced), (1, 0));

    // The first stands still. The second has seen its rows move, and takes them when they have not for a lease of its own
    // clock, which is an hour behind.
    drop(first);
    let all = once_leases_have_passed(&clock, &theirs, 3).await;
    for (shard, epoch) in &kept {
        assert!(all.contains(&(*shard, epoch + 1)), "{all:?}");
        // Its own clock has not moved: all that keeps it from working on is the database.
        assert_eq!(w.store.epoch(*shard), Some(*epoch));
    }
    // One it learns of by being refused, the other one by its clock, once that moves.
    assert!(is_refused(&w.store, &w, kept[0]).await);
    let known: Vec<_> = kept.iter().map(|(shard, _)| w.store.epoch(*shard)).collect();
    assert_eq!(known, [None, Some(kept[1].1)]);
    w.clock
        .0
        .fetch_add(LEASE.as_micros() as i64 / 6 * 5, Ordering::SeqCst);
    assert_eq!(w.store.epoch(kept[1].0), None);
    assert!(!w.store.still_owns(kept[1].0, kept[1].1).await);
    assert!(is_refused(&w.store, &w, kept[1]).await);
    second.close().await;
    w.store.close().await;
}

pub async fn a_server_that_comes_back_takes_its_own_at_once(url: String) {
    let w = World::open(&url).await;
    let first = join(&w.store, "first").await;
    let (second, _) = another(&w, "second").await;
    let theirs = join(&second, "second").await;
    let owned = once_it_owns(&first, 1).await;
    drop(first);
    w.store.close().await;

    let again = open(&w.url, "first", shared(&w)).await;
    let back = join(&again, "first").await;
    let (shard, epoch) = owned[0];
    assert_eq!(*back.owned.borrow(), vec![(shard, epoch + 1)]);
    assert!(theirs.owned.borrow().is_empty());
    // Where it is reached is what the other one goes by.
    let reached = async {
        while second.owner(shard) != Owner::At(address("first")) {
            tokio::time::sleep(LEASE / 12).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("in time");
    again.close().await;
    second.close().await;
}

pub async fn whoever_leaves_hands_over_at_once(url: String) {
    let w = World::open(&url).await;
    let first = join(&w.store, "first").await;
    let (second, _) = another(&w, "second").await;
    let theirs = join(&second, "second").await;
    let owned = once_it_owns(&first, 1).await;
    // Nobody's clock moves: nothing is waited for.
    w.store.leave(first).await.expect("left");
    assert_eq!(w.store.owner(owned[0].0), Owner::Nobody);
    let taken = once_it_owns(&theirs, 1).await;
    assert_eq!(taken, vec![(owned[0].0, owned[0].1 + 1)]);
    second.close().await;
    w.store.close().await;
}

/// Far less than a read or a commit waits on a connection that is silent.
const AT_ONCE: Duration = Duration::from_secs(2);

async fn commits(w: &World, fence: (ShardId, u64)) -> Result<Committed, StoreError> {
    let commit = Commit {
        fence: Some(fence),
        events: vec![w.event("again", Uuid::nil())],
        ..Commit::default()
    };
    w.store.commit(commit).await
}

/// A network that was away for longer than a lease leaves connections behind that TCP believes in for seconds more: a server
/// that claims with a new one must not wait on the old ones for what its callers ask.
pub async fn after_a_silence_nothing_waits_on_an_older_connection() {
    let Some((_server, relay, w)) = behind_a_relay().await else {
        return;
    };
    let first = join(&w.store, "first").await;
    let owned = once_it_owns(&first, 1).await;
    // Readers and the writer have connections.
    w.well().await;
    relay.silence(Silence::All);
    let waiting = {
        let (store, fence) = (w.store.clone(), owned[0]);
        tokio::spawn(async move {
            let nothing = Commit {
                fence: Some(fence),
                ..Commit::default()
            };
            store.commit(nothing).await
        })
    };
    while relay.swallowed() < 2 {
        tokio::time::sleep(LEASE / 12).await;
    }
    once_leases_have_passed(&w.clock, &first, 0).await;
    relay.silence(Silence::None);

    let again = once_it_owns(&first, 1).await;
    assert_eq!(again, vec![(owned[0].0, owned[0].1 + 1)]);
    let answers = async {
        w.store.read().end_of_events().await.expect("readable");
        assert_eq!(commits(&w, again[0]).await.expect("committed"), Committed::Done);
    };
    tokio::time::timeout(AT_ONCE, answers).await.expect("at once");
    // It was begun before, under the epoch that is over: done then, or refused.
    let known = waiting.await.expect("no panic");
    let is_fenced = matches!(known, Err(StoreError::Refused(Refused::Fenced { .. })));
    assert!(is_fenced || known.is_ok(), "{known:?}");
    w.store.close().await;
}

/// Its keeper sees everything, and what it held is its own to take: but nobody would be answered.
pub async fn a_server_that_cannot_write_claims_nothing() {
    let Some((server, relay, w)) = behind_a_relay().await else {
        return;
    };
    let first = join(&w.store, "first").await;
    let owned = once_it_owns(&first, 1).await;
    let behind = ManualClock(AtomicI64::new(0));
    let clock = Arc::new(behind);
    let second = open(&server.url("velum"), "second", (&clock, &w.ids, &w.log)).await;
    let theirs = join(&second, "second").await;
    relay.silence(Silence::Writers);
    while relay.swallowed() < 1 {
        tokio::time::sleep(LEASE / 12).await;
    }
    once_leases_have_passed(&w.clock, &first, 0).await;
    let taken = once_leases_have_passed(&clock, &theirs, 1).await;
    // Whoever took it over was the first to.
    assert_eq!(taken, vec![(owned[0].0, owned[0].1 + 1)]);
    assert!(first.owned.borrow().is_empty());
    // When it can write again it is one among others.
    relay.silence(Silence::None);
    second.leave(theirs).await.expect("left");
    let back = once_it_owns(&first, 1).await;
    assert_eq!(back, vec![(owned[0].0, owned[0].1 + 2)]);
    second.close().await;
    w.store.close().await;
}

pub async fn a_key_sent_to_two_servers_has_one_effect(url: String) {
    let w = World::open(&url).await;
    let (second, _) = another(&w, "second").await;
    let token = velum_model::chance::fresh(w.ids.as_ref());
    let asked = |n: usize, by: &str| Commit {
        idempotency: Some(Idempotency {
            token,
            key: format!("k{n}"),
            request_hash: vec![7],
            answer: StoredAnswer {
                status: 201,
                location: None,
                etag: None,
                body: format!("made by {by}"),
            },
        }),
        events: vec![w.event(&format!("once-{n}"), Uuid::nil())],
        ..Commit::default()
    };
    const KEYS: usize = 40;
    let from = w.store.read().end_of_events().await.expect("readable");
    let sent = (0..KEYS).flat_map(|n| {
        // The other way round every second time: two batches want the same rows in another order.
        let n2 = if n % 2 == 0 { n } else { KEYS - n };
        [
            (n, w.store.clone(), asked(n, "first")),
            (n2, second.clone(), asked(n2, "second")),
        ]
    });
    let answers = join_all(sent.map(|(n, store, commit)| async move {
        let made = commit.idempotency.as_ref().map(|key| key.answer.body.clone());
        let answer = store.commit(commit).await.expect("answered");
        let said = match answer {
            Committed::Done => made.expect("a key"),
            Committed::Replayed(answer) => answer.body,
        };
        (n, said)
    }))
    .await;
    let events = w.store.read().events_after(&from, 1000).await.expect("readable");
    for n in 0..KEYS {
        let said: Vec<&String> = answers
            .iter()
            .filter(|(key, _)| *key == n)
            .map(|(_, a)| a)
            .collect();
        assert!(
            said.windows(2).all(|pair| pair[0] == pair[1]),
            "key {n}: {said:?}"
        );
        let effects = events.iter().filter(|event| event.kind == format!("once-{n}"));
        assert_eq!(effects.count(), usize::from(!said.is_empty()), "key {n}");
    }
    w.well().await;
    second.close().await;
    w.store.close().await;
}

/// Text for whichever database it is.
async fn raw(url: &str, text: &str) {
    let text = sqlx::AssertSqlSafe(text.to_owned());
    if url.starts_with("sqlite:") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.expect("a connection");
        sqlx::raw_sql(text).execute(&mut connection).await.expect("done");
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.expect("a connection");
        sqlx::raw_sql(text).execute(&mut connection).await.expect("done");
    }
}

pub async fn a_missing_number_is_waited_for(url: String) {
    let w = World::open(&url).await;
    let commit = Commit {
        fence: w.fence(),
        events: vec![w.event("known", Uuid::nil())],
        ..Commit::default()
    };
    let from = w.store.read().end_of_events().await.expect("readable");
    w.store.commit(commit).await.expect("committed");
    let copy = |kind: &str, further: u32| {
        format!(
            "INSERT INTO event (shard, epoch, seq, at, kind, project, collection, resource, operation, caller, data)
             SELECT shard, epoch, seq + {further}, at, '{kind}', project, collection, resource, operation, caller, data
             FROM event WHERE kind = 'known'"
        )
    };
    let kinds = async || {
        let events = w.store.read().events_after(&from, 100).await.expect("readable");
        events.into_iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    raw(
        &w.url,
        "UPDATE shard SET next_seq = next_seq + 2 WHERE id = (SELECT shard FROM event WHERE kind = 'known')",
    )
    .await;
    raw(&w.url, &copy("overtaking", 2)).await;
    assert_eq!(kinds().await, ["known"], "nothing overtakes what is on its way");
    raw(&w.url, &copy("late", 1)).await;
    assert_eq!(kinds().await, ["known", "late", "overtaking"]);
    w.store.close().await;
}

pub async fn components_are_there_for_every_server(url: String) {
    let w = World::open(&url).await;
    let (second, _) = another(&w, "second").await;
    let known = w.plugin.digest.clone();
    let (bytes, manifest) = (vec![0, 97, 115, 109], Some("name = \"x\"".to_owned()));
    assert!(!second.has_component(&known).await.expect("readable"));
    w.store
        .keep_component(&known, bytes.clone(), manifest.clone())
        .await
        .expect("kept");
    assert!(second.has_component(&known).await.expect("readable"));
    let found = second.component(&known).await.expect("readable");
    assert_eq!(found, Some((bytes, manifest)));
    // What a plugin's row refers to stays, the rest goes.
    w.store.forget_component(&known).await.expect("asked");
    assert!(second.has_component(&known).await.expect("readable"));
    let stray = digest(99);
    w.store.keep_component(&stray, vec![1], None).await.expect("kept");
    assert_eq!(
        second.component(&stray).await.expect("readable"),
        Some((vec![1], None))
    );
    w.store.forget_component(&stray).await.expect("forgotten");
    assert_eq!(second.component(&stray).await.expect("readable"), None);
    second.close().await;
    w.store.close().await;
}
