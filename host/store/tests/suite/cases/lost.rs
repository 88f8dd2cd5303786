//! Connections that break at the worst moment, servers that go and come back: nothing acknowledged is lost, and what is in
//! memory is what is in the database.

use std::{
    collections::BTreeSet,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::sync::oneshot;
use velum_model::{id::InstanceId, tenancy::Scope};
use velum_store::*;

use super::rows::shared;
use crate::{
    connect,
    postgres::Postgres,
    relay::{Cut, Relay},
    world::*,
};

/// A server, a relay before it, and a world behind the relay. None where PostgreSQL is not installed.
pub async fn behind_a_relay() -> Option<(Postgres, Relay, World)> {
    let postgres = Postgres::start().expect("a server")?;
    let direct = postgres.create("velum").expect("a database");
    let relay = Relay::start(postgres.port()).await;
    let world = World::open(&relay.url("velum")).await;
    assert!(direct.contains(&postgres.port().to_string()));
    Some((postgres, relay, world))
}

/// How often the observer heard of an instance.
fn heard(world: &World, wanted: InstanceId) -> usize {
    let log = world.log.0.lock().expect("no test panics with it");
    let changes = log
        .iter()
        .flat_map(|batch| &batch.commits)
        .flat_map(|commit| &commit.changes);
    changes
        .filter(|change| matches!(change, Change::InsertInstance(instance) if instance.id == wanted))
        .count()
}

async fn is_there(world: &World, id: InstanceId) -> bool {
    let found = world.store.read().instance(Scope::All, id).await;
    found.expect("readable").is_some()
}

async fn cut_and_commit(world: &World, relay: &Relay, cut: Cut) -> (InstanceId, StoreCounts) {
    let host = world.add_host("host", 64, 1 << 16).await;
    let (instance, commit) = world.accepting("web", host.id, 1);
    let before = world.store.counts();
    let hit = relay.cut(cut);
    let answer = world.store.commit(commit).await;
    assert_eq!(answer.expect("acknowledged"), Committed::Done);
    hit.await.expect("the cut hit a COMMIT");
    let after = world.store.counts();
    assert_eq!(after.looks - before.looks, 1, "it was looked up");
    assert_eq!(after.commits - before.commits, 1);
    assert!(is_there(world, instance.id).await);
    assert_eq!(heard(world, instance.id), 1, "the observer heard it once");
    assert_eq!(world.read_host(host.id).await.vcpus_used, 1, "claimed once");
    (instance.id, after)
}

pub async fn cut_before_commit_arrives() {
    let Some((_server, relay, w)) = behind_a_relay().await else {
        return;
    };
    let before = w.store.counts().retries;
    let (_, counts) = cut_and_commit(&w, &relay, Cut::Before).await;
    assert_eq!(counts.retries - before, 1, "it was not there, and made again");
    w.well().await;
    w.store.close().await;
}

pub async fn cut_after_commit_happened() {
    let Some((_server, relay, w)) = behind_a_relay().await else {
        return;
    };
    let before = w.store.counts().retries;
    let (_, counts) = cut_and_commit(&w, &relay, Cut::After).await;
    assert_eq!(counts.retries - before, 0, "it was there, and not made again");
    w.well().await;
    w.store.close().await;
}

/// The store asks while the transaction is still open on the connection that it lost, and must wait for its end.
pub async fn commit_arrives_after_the_question() {
    let Some((server, relay, w)) = behind_a_relay().await else {
        return;
    };
    let mut other = connect(&server.url("velum")).await;
    let (release, released) = oneshot::channel();
    let waits = tokio::spawn(async move {
        let asks = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%writer_mark%'";
        while count(&mut other, asks).await == 0 {
            tokio::task::yield_now().await;
        }
        release.send(()).expect("the relay waits");
    });
    let before = w.store.counts().retries;
    let (_, counts) = cut_and_commit(&w, &relay, Cut::Late(released)).await;
    waits.await.expect("the question waited for the lock");
    assert_eq!(
        counts.retries - before,
        0,
        "it became durable, and was not made again"
    );
    w.well().await;
    w.store.close().await;
}

/// A token is one statement beside the batches: the same holds for it.
pub async fn a_token_is_stored_once() {
    let Some((_server, relay, w)) = behind_a_relay().await else {
        return;
    };
    for (n, cut) in [(1, Cut::Before), (2, Cut::After)] {
        let hit = relay.cut(cut);
        let id = velum_model::id::TokenId::from_uuid(uuid::Uuid::from_u128(n));
        let stored = w
            .store
            .insert_token(id, &format!("t{n}"), &[n as u8], Scope::All)
            .await;
        stored.expect("stored");
        hit.await.expect("the cut hit a COMMIT");
        let found = w.store.read().token_by_hash(&[n as u8]).await.expect("readable");
        assert_eq!(found.map(|found| found.0), Some(id));
    }
    w.store.close().await;
}

/// The network stays away for longer than anyone waits: an error, and the observer hears of it before anything later.
pub async fn what_is_not_known_in_time_is_known_before_the_next() {
    let Some((_server, relay, w)) = behind_a_relay().await else {
        return;
    };
    let host = w.add_host("host", 64, 1 << 16).await;
    let (unknown, commit) = w.accepting("unknown", host.id, 1);
    let key = commit.idempotency.clone().expect("a key");
    relay.close(true);
    let hit = relay.cut(Cut::After);
    let answer = w.store.commit(commit).await;
    assert!(matches!(answer, Err(StoreError::Database { .. })), "{answer:?}");
    hit.await.expect("the cut hit a COMMIT");
    // Those who come while it is away are not kept.
    let (refused, commit) = w.accepting("refused", host.id, 2);
    let began = std::time::Instant::now();
    let answer = w.store.commit(commit).await;
    assert!(matches!(answer, Err(StoreError::Database { .. })), "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(heard(&w, unknown.id), 0);
    relay.close(false);
    let (next, commit) = w.accepting("next", host.id, 3);
    assert_eq!(w.store.commit(commit).await.expect("it is back"), Committed::Done);
    assert_eq!(
        heard(&w, unknown.id),
        1,
        "the observer heard what had become durable"
    );
    assert_eq!((heard(&w, refused.id), heard(&w, next.id)), (0, 1));
    let log: Vec<CommittedBatch> = w.log.0.lock().expect("no test panics with it").clone();
    let last: Vec<_> = log.iter().rev().take(2).map(|batch| batch.events.len()).collect();
    assert_eq!(last, [1, 1], "each with its event, in the order of the database");
    assert!(is_there(&w, unknown.id).await && !is_there(&w, refused.id).await);
    let known = w.store.idempotent(key.token, &key.key, &key.request_hash).await;
    assert_eq!(known.expect("readable"), Some(key.answer));
    w.well().await;
    w.store.close().await;
}

async fn count(connection: &mut PgConnection, text: &'static str) -> i64 {
    let row = sqlx::query(text).fetch_one(connection).await.expect("a count");
    row.get(0)
}

/// What several writers were told while the server was killed under them.
#[derive(Default)]
struct Told {
    acknowledged: Mutex<Vec<InstanceId>>,
    refused: AtomicU32,
    is_over: AtomicBool,
}

/// Leaves out what there are only some hundreds of: addresses, and GiB in the pool.
pub fn bare(commit: &mut Commit) {
    let is_kept = |change: &Change| matches!(change, Change::InsertInstance(_) | Change::InsertRun(_));
    commit.changes.retain(is_kept);
}

async fn keep_committing(world: &World, told: &Told, lane: u32) {
    let host = world.add_host(&format!("host-{lane}"), 2000, 1 << 21).await;
    let mut n = 0;
    while !told.is_over.load(Ordering::SeqCst) {
        let (instance, mut commit) = world.accepting(&format!("i{lane}-{n}"), host.id, 1);
        bare(&mut commit);
        n += 1;
        match world.store.commit(commit).await {
            Ok(_) => told
                .acknowledged
                .lock()
                .expect("no test panics with it")
                .push(instance.id),
            Err(StoreError::Database { .. }) => {
                told.refused.fetch_add(1, Ordering::SeqCst);
            }
            Err(other) => panic!("{other}"),
        }
        // A reader beside it finds its way back, too.
        let read = world.store.read().instance(Scope::All, instance.id).await;
        assert!(!matches!(read, Err(StoreError::Inconsistent { .. })), "{read:?}");
    }
}

async fn wait_for_more(told: &Told, more: usize) {
    let now = || told.acknowledged.lock().expect("no test panics with it").len();
    let wanted = now() + more;
    while now() < wanted {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn a_server_that_is_killed_under_load_loses_nothing() {
    let Some(mut server) = Postgres::start().expect("a server") else {
        return;
    };
    let w = Arc::new(World::open(&server.create("velum").expect("a database")).await);
    let told = Arc::new(Told::default());
    let lanes: Vec<_> = (0..6)
        .map(|lane| {
            let (w, told) = (Arc::clone(&w), Arc::clone(&told));
            tokio::spawn(async move { keep_committing(&w, &told, lane).await })
        })
        .collect();
    for round in 0..6 {
        wait_for_more(&told, 40).await;
        match round % 3 {
            // Its backends with it: PostgreSQL starts them all again after one was killed.
            0 => kill_a_backend(&server).await,
            1 => {
                server.stop_immediately().expect("stopped");
                server.start_again().expect("started again");
            }
            _ => {
                server.kill().expect("killed");
                server.start_again().expect("started again");
            }
        }
    }
    wait_for_more(&told, 40).await;
    told.is_over.store(true, Ordering::SeqCst);
    join_all(lanes)
        .await
        .into_iter()
        .for_each(|lane| lane.expect("no panic"));
    let acknowledged = told.acknowledged.lock().expect("no test panics with it").clone();
    let counts = w.store.counts();
    eprintln!(
        "{} acknowledged, {} refused, {} retries, {} looks, {} ahead",
        acknowledged.len(),
        told.refused.load(Ordering::SeqCst),
        counts.retries,
        counts.looks,
        counts.ahead
    );
    assert!(counts.retries >= 6, "{counts:?}");
    for id in &acknowledged {
        assert!(is_there(&w, *id).await, "{id} was acknowledged and is lost");
    }
    // Memory has heard just what the database has.
    let mut stored = BTreeSet::new();
    let mut page = velum_model::page::Page {
        limit: 500,
        after: None,
    };
    loop {
        let read = w.store.read();
        let some = read
            .instances(Scope::All, &InstanceFilter::default(), page)
            .await
            .expect("readable");
        stored.extend(some.items.iter().map(|instance| instance.id));
        match some.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    let log = w.log.0.lock().expect("no test panics with it").clone();
    let commits = log.iter().flat_map(|batch| &batch.commits);
    let told: Vec<InstanceId> = commits
        .flat_map(|commit| &commit.changes)
        .filter_map(|change| match change {
            Change::InsertInstance(instance) => Some(instance.id),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), stored.len());
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), stored);
    w.well().await;
    w.store.close().await;
}

async fn kill_a_backend(server: &Postgres) {
    let mut other = connect(&server.url("postgres")).await;
    let backend =
        "SELECT pid::bigint FROM pg_stat_activity WHERE datname = 'velum' AND state <> 'idle' LIMIT 1";
    let pid = loop {
        if let Some(row) = sqlx::query(backend)
            .fetch_optional(&mut other)
            .await
            .expect("a list")
        {
            break row.get::<i64, _>(0);
        }
    };
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    drop(other.close().await);
}

/// Two servers on one database, in a database that lets nobody be overtaken unnoticed.
pub async fn who_was_overtaken_tries_again() {
    let Some(server) = Postgres::start().expect("a server") else {
        return;
    };
    for (name, level, failed) in [
        ("serializable", "serializable", "40001"),
        ("deadlocks", "read committed", "40P01"),
    ] {
        let url = server.create(name).expect("a database");
        let mut other = connect(&url).await;
        let text = format!("ALTER DATABASE {name} SET default_transaction_isolation = '{level}'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(text))
            .execute(&mut other)
            .await
            .expect("set");
        overtake(&url, failed, &mut other).await;
    }
}

async fn overtake(url: &str, failed: &str, other: &mut PgConnection) {
    let w = World::open(url).await;
    let host = w.add_host("host", 2000, 1 << 21).await;
    let second = open(url, "second", shared(&w)).await;
    let mut done = 0;
    // One of them is overtaken sooner or later; each round is two commits at once on the same rows.
    for round in 0..200 {
        let commits = [0, 1].map(|n| {
            let (_, mut commit) = w.accepting(&format!("i{round}-{n}"), host.id, 1);
            bare(&mut commit);
            // Under the fence both hold the shard's row before they change it: whoever is second there is a deadlock.
            commit.fence = commit.fence.filter(|_| failed == "40P01");
            commit
        });
        let [first, next] = commits;
        let (a, b) = tokio::join!(w.store.commit(first), second.commit(next));
        done +=
            u32::from(a.expect("done") == Committed::Done) + u32::from(b.expect("done") == Committed::Done);
        if w.store.counts().retries + second.counts().retries >= 3 {
            break;
        }
    }
    let retries = w.store.counts().retries + second.counts().retries;
    assert!(retries >= 3, "nobody was overtaken");
    second.close().await;
    w.store.close().await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    if failed == "40P01" {
        // The database counts them when a backend goes.
        while count(other, deadlocks).await == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    } else {
        assert_eq!(
            count(other, deadlocks).await,
            0,
            "all were serialization failures"
        );
    }
    eprintln!("{failed}: {retries} retries in {done} commits");
    let again = open(url, "third", shared(&w)).await;
    assert_eq!(again.audit().await.expect("an audit"), vec![]);
    let found = again
        .read()
        .compute_host(host.id)
        .await
        .expect("readable")
        .expect("there");
    assert_eq!(found.vcpus_used, u64::from(done));
    again.close().await;
}

/// Each store leaves a mark; who takes over removes those of stores that are long gone.
pub async fn old_marks_are_removed(url: String) {
    let w = World::open(&url).await;
    let second = open(&url, "second", shared(&w)).await;
    second.take_over(false).await.expect("a takeover");
    assert_eq!(marks(&url).await, 2);
    w.clock.0.fetch_add(25 * 60 * 60 * 1_000_000, Ordering::SeqCst);
    second.take_over(false).await.expect("a takeover");
    assert_eq!(marks(&url).await, 1);
    second.close().await;
    w.store.close().await;
}

async fn marks(url: &str) -> i64 {
    let text = "SELECT COUNT(*) FROM writer_mark";
    if url.starts_with("sqlite:") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.expect("a connection");
        let row = sqlx::query(text)
            .fetch_one(&mut connection)
            .await
            .expect("a count");
        connection.close().await.expect("closed");
        return row.get(0);
    }
    let mut connection = connect(url).await;
    count(&mut connection, text).await
}
