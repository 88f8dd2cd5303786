//! Whole databases: looked over, backed up, restored, moved to another engine and back.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};
use velum_model::{affinity::*, infrastructure::ComputeHost, tenancy::Scope};
use velum_store::{
    care::{self, Checked, Copied, EPOCH_STEP},
    *,
};

use super::rows::{records_read_back, shared, tenants_read_back};
use crate::{connect, postgres::Postgres, world::*};

/// A clock that is an hour ahead of the world's: its leases have run out.
fn later(hours: i64) -> ManualClock {
    ManualClock(AtomicI64::new(1_700_000_000_000_000 + hours * 3_600_000_000))
}

fn sqlite(directory: &Path, name: &str) -> String {
    format!("sqlite:{}", directory.join(name).display())
}

async fn copy(from: &str, to: &str) -> Result<Copied, StoreError> {
    care::copy(from, to, &later(1), &mut |_| ()).await
}

fn why<T>(answer: Result<T, StoreError>) -> String {
    match answer {
        Err(StoreError::Unusable(why)) => why,
        Err(other) => panic!("not a refusal: {other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

/// Texts that a careless way through a file, a shell or a pattern would spoil.
const HOSTILE: [&str; 10] = [
    "",
    "'; DROP TABLE instance; --",
    "\"quoted\" \\ back\\slash \\u0000 \\n",
    "line\nfeed\r\n\ttab",
    "\u{1F600} e\u{301} \u{202E}right to left",
    "NULL",
    "%s $1 ? :name {}",
    "\u{7f}\u{1}\u{1b}[31m",
    "ä_B-a",
    "\u{FFFD}\u{10FFFF}",
];

/// What puts the instance of a commit into a group.
fn in_group(commit: &Commit, group: &AffinityGroup) -> Vec<Change> {
    let into = |change: &Change| match change {
        Change::InsertInstance(instance) => Some(Change::JoinAffinityGroups {
            instance: instance.id,
            groups: vec![group.id],
        }),
        Change::InsertRun(run) => Some(Change::TakePlaces {
            run: run.id,
            compute_host: run.compute_host,
            ties: vec![group.into()],
        }),
        _ => None,
    };
    commit.changes.iter().filter_map(into).collect()
}

/// A world with every kind of row, more than one batch of some, and hostile texts wherever a text may be anything.
async fn hostile(url: &str) -> World {
    let w = World::open(url).await;
    records_read_back(&w).await;
    tenants_read_back(&w).await;
    let host = ComputeHost {
        resources: having(&[("gpu", 100), ("hugepages-1g", 7)]),
        ..w.host("many", 2000, 1 << 21)
    };
    w.accept(vec![Change::InsertComputeHost(Box::new(host.clone()))])
        .await;
    let group = super::affinity::group(
        &w,
        "many",
        (
            AffinityKind::Affinity,
            AffinityStrength::Required,
            AffinityLevel::Pod,
        ),
    );
    w.accept(vec![Change::InsertAffinityGroup(group.clone())]).await;
    for n in 0..230_usize {
        let text = HOSTILE[n % HOSTILE.len()];
        let (_, mut commit) = w.accepting(&format!("many-{n}"), host.id, 1);
        commit
            .changes
            .retain(|change| !matches!(change, Change::InsertNic { .. }));
        let places = in_group(&commit, &group);
        commit.changes.extend(places);
        for change in &mut commit.changes {
            match change {
                Change::InsertInstance(instance) => {
                    instance.user_data = (0..n * 40).map(|byte| (byte % 256) as u8).collect();
                }
                Change::InsertRun(run) if n % 4 == 0 => run.resources = resources(&[("gpu", 1)]),
                _ => {}
            }
        }
        if let Some(key) = &mut commit.idempotency {
            key.key = format!("{text}{n}");
            key.answer.body = text.repeat(n % 7);
        }
        if let Some(OperationWrite::Insert { operation, .. }) = &mut commit.operation {
            operation.note = text.into();
            operation.params = serde_json::json!({ text: [text, null, i64::MAX] });
        }
        for event in &mut commit.events {
            event.caller = text.into();
            event.data = serde_json::json!({ "text": text });
        }
        assert_eq!(w.store.commit(commit).await.expect("accepted"), Committed::Done);
    }
    w.well().await;
    w
}

/// What was copied of each table, without the one whose epochs are raised.
fn contents(copied: &Copied) -> Vec<care::TableCopied> {
    let mut tables = copied.tables.clone();
    tables.retain(|table| table.name != "shard");
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    tables
}

pub async fn a_cloud_moves_to_postgresql_and_back() {
    let Some(server) = Postgres::start().expect("a server") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (here, back) = (
        sqlite(directory.path(), "here.db"),
        sqlite(directory.path(), "back.db"),
    );
    let there = server.create("there").expect("a database");
    let w = hostile(&here).await;
    let epoch = w.store.epoch(w.zone.shard).expect("owned");
    w.store.close().await;
    let mut steps = Vec::new();
    let watch =
        &mut |step: care::Progress<'_>| steps.push((step.doing, step.table.to_owned(), step.rows, step.of));
    let first = care::copy(&here, &there, &later(1), watch).await.expect("copied");
    let rows: u64 = first.tables.iter().map(|table| table.rows).sum();
    eprintln!("{} tables, {rows} rows to PostgreSQL", first.tables.len());
    assert!(first.tables.len() > 25 && rows > 1500, "{first:?}");
    assert!(
        first.tables.iter().filter(|table| table.rows > 0).count() > 25,
        "{first:?}"
    );
    let is_told =
        |step: &(&str, String, u64, u64)| step.0 == "copied" && step.1 == "instance" && step.2 == 100;
    assert!(steps.iter().any(is_told), "{steps:?}");
    let second = copy(&there, &back).await.expect("copied back");
    assert_eq!(
        contents(&second),
        contents(&first),
        "what comes back is what went"
    );

    // The store on the other engine: everything is there, epochs are above, and work goes on.
    for url in [&there, &back] {
        let store = open(url, "third", shared(&w)).await;
        store.take_over(false).await.expect("a takeover");
        assert_eq!(store.audit().await.expect("an audit"), vec![]);
        let now = store.epoch(w.zone.shard).expect("owned");
        assert!(now > epoch + u64::from(EPOCH_STEP), "{now}");
        let host = w.host("added", 8, 8192);
        let commit = Commit {
            fence: Some((w.zone.shard, now)),
            changes: vec![Change::InsertComputeHost(Box::new(host.clone()))],
            ..Commit::default()
        };
        assert_eq!(store.commit(commit).await.expect("accepted"), Committed::Done);
        let (_, mut commit) = w.accepting("after-the-move", host.id, 200);
        commit.fence = Some((w.zone.shard, now));
        assert_eq!(store.commit(commit).await.expect("accepted"), Committed::Done);
        store.close().await;
    }
}

/// A table that a later migration adds is copied without anybody saying so: what is there is read from the database.
pub async fn every_table_is_copied(url: String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let w = World::open(&url).await;
    w.store.close().await;
    let checked = care::check(&url).await.expect("checked");
    let copied = copy(&url, &sqlite(directory.path(), "copy.db"))
        .await
        .expect("copied");
    let mut names: Vec<&str> = copied.tables.iter().map(|table| table.name.as_str()).collect();
    names.extend(["history_part", "velum_schema", "writer_mark"]);
    names.sort_unstable();
    let there: Vec<&str> = checked.tables.iter().map(|table| table.0.as_str()).collect();
    let mut sorted = there.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
}

async fn change(file: &Path, text: &str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file)
        .foreign_keys(false);
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
        .execute(&mut connection)
        .await
        .expect("changed");
    connection.close().await.expect("closed");
}

pub async fn what_does_not_fit_is_named() {
    let Some(server) = Postgres::start().expect("a server") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("here.db");
    let (here, there) = (
        sqlite(directory.path(), "here.db"),
        server.create("there").expect("a database"),
    );
    let w = World::open(&here).await;
    let volume = w.volume("data", None);
    w.accept(vec![Change::InsertVolume(Box::new(volume.clone()))])
        .await;
    w.store.close().await;
    change(&file, "UPDATE volume SET backend_id = 'a' || char(0) || 'b'").await;
    let refused = why(copy(&here, &there).await);
    assert!(
        refused.contains("table volume")
            && refused.contains(&volume.id.to_string())
            && refused.contains("backend_id"),
        "{refused}"
    );
    // Nothing of it is there, and the same target takes it once it fits.
    let mut other = connect(&there).await;
    let row = sqlx::query("SELECT COUNT(*) FROM zone")
        .fetch_one(&mut other)
        .await
        .expect("a count");
    assert_eq!(row.get::<i64, _>(0), 0);
    change(&file, "UPDATE volume SET backend_id = 'ab'").await;
    copy(&here, &there).await.expect("copied");
}

pub async fn a_copy_refuses_what_is_held_or_not_empty(url: String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let to = sqlite(directory.path(), "to.db");
    let w = World::open(&url).await;
    // A server that renews its lease.
    let clock = later(0);
    clock.0.store(w.clock.now().micros(), Ordering::SeqCst);
    let is_over = Arc::new(AtomicBool::new(false));
    let renews = tokio::spawn({
        let (store, time, is_over) = (w.store.clone(), Arc::clone(&w.clock), Arc::clone(&is_over));
        async move {
            while !is_over.load(Ordering::SeqCst) {
                time.0.fetch_add(1_000_000, Ordering::SeqCst);
                store.renew().await.expect("renewed");
                tokio::task::yield_now().await;
            }
        }
    });
    let refused = why(care::copy(&url, &to, &clock, &mut |_| ()).await);
    assert!(
        refused.contains("first works on") && refused.contains("stop it"),
        "{refused}"
    );
    is_over.store(true, Ordering::SeqCst);
    renews.await.expect("no panic");
    w.store.close().await;
    // A target with something in it, and one that is another program's.
    let full = sqlite(directory.path(), "full.db");
    World::open(&full).await.store.close().await;
    let refused = why(care::copy(&url, &full, &w_later(&w), &mut |_| ()).await);
    assert!(refused.contains("not empty"), "{refused}");
    let foreign = directory.path().join("foreign.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&foreign)
        .create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .expect("a connection");
    sqlx::raw_sql("CREATE TABLE accounts (a)")
        .execute(&mut connection)
        .await
        .expect("made");
    connection.close().await.expect("closed");
    let theirs = sqlite(directory.path(), "foreign.db");
    let refused = why(care::copy(&url, &theirs, &w_later(&w), &mut |_| ()).await);
    assert!(refused.contains("another program's"), "{refused}");
    let refused = why(care::copy(&theirs, &to, &w_later(&w), &mut |_| ()).await);
    assert!(refused.contains("no database of Velum's"), "{refused}");
    let refused = why(care::copy(
        &sqlite(directory.path(), "nothing.db"),
        &to,
        &later(1),
        &mut |_| (),
    )
    .await);
    assert!(refused.contains("there is no database file"), "{refused}");
    // Its lease has run out: now it can be, also to where one was broken off at once.
    begin(&directory.path().join("to.db")).await;
    care::copy(&url, &to, &w_later(&w), &mut |_| ())
        .await
        .expect("copied");
}

/// What a first start or a copy leaves that is ended within its first milliseconds.
async fn begin(file: &Path) {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .expect("a connection");
    sqlx::raw_sql("CREATE TABLE velum_schema (version INTEGER PRIMARY KEY NOT NULL) STRICT")
        .execute(&mut connection)
        .await
        .expect("made");
    connection.close().await.expect("closed");
}

/// A clock by which the world's leases have run out.
fn w_later(w: &World) -> ManualClock {
    ManualClock(AtomicI64::new(w.clock.now().micros() + 3_600_000_000))
}

pub async fn a_backup_is_made_while_a_server_works(url: String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("backup.db");
    let w = Arc::new(World::open(&url).await);
    let host = w.add_host("host", 2000, 1 << 21).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (acknowledged, mut counted) = tokio::sync::watch::channel(0_u32);
    let writes = tokio::spawn({
        let (w, is_over) = (Arc::clone(&w), Arc::clone(&is_over));
        async move {
            let mut made = Vec::new();
            // As many as the compute host has room for.
            while !is_over.load(Ordering::SeqCst) && made.len() < 2000 {
                let (instance, mut commit) = w.accepting(&format!("i{}", made.len()), host.id, 1);
                commit
                    .changes
                    .retain(|change| !matches!(change, Change::InsertNic { .. } | Change::InsertVolume(_)));
                w.store.commit(commit).await.expect("acknowledged");
                made.push(instance.id);
                acknowledged.send_modify(|count| *count += 1);
            }
            made
        }
    });
    counted.wait_for(|count| *count >= 30).await.expect("it writes");
    let before = *counted.borrow();
    let written = care::back_up(&url, &file, &mut |_| ()).await.expect("backed up");
    let after = *counted.borrow();
    is_over.store(true, Ordering::SeqCst);
    let made = writes.await.expect("no panic");
    eprintln!(
        "{} bytes; {before} instances before, {after} after",
        written.bytes
    );
    assert_eq!(written.bytes, fs::metadata(&file).expect("there").len());
    let refused = why(care::back_up(&url, &file, &mut |_| ()).await);
    assert!(refused.contains("is there already"), "{refused}");
    assert_eq!(files(directory.path()), ["backup.db"], "nothing else is left");

    // It is whole, and has everything that was acknowledged before.
    let backup = sqlite(directory.path(), "backup.db");
    let checked = care::check(&backup).await.expect("checked");
    assert!(
        checked.is_well() && checked.discrepancies.is_some(),
        "{checked:?}"
    );
    let store = open(&backup, "reader", shared(&w)).await;
    for id in made.iter().take(before as usize) {
        let found = store.read().instance(Scope::All, *id).await.expect("readable");
        assert!(found.is_some(), "{id} was acknowledged before the backup");
    }
    store.close().await;
    w.store.close().await;
}

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("readable")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

async fn epoch_of(url: &str, w: &World) -> u64 {
    let store = open(url, "after", shared(w)).await;
    store.take_over(false).await.expect("a takeover");
    assert_eq!(store.audit().await.expect("an audit"), vec![]);
    let epoch = store.epoch(w.zone.shard).expect("owned");
    store.close().await;
    epoch
}

async fn restore(
    file: &Path,
    url: &str,
    scratch: &Path,
    clock: &ManualClock,
) -> Result<Option<Copied>, StoreError> {
    care::restore(file, url, scratch, clock, &mut |_| ()).await
}

pub async fn a_backup_is_restored_above_every_epoch() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, file) = (directory.path(), directory.path().join("backup.db"));
    let url = sqlite(path, "velum.db");
    let w = World::open(&url).await;
    care::back_up(&url, &file, &mut |_| ()).await.expect("backed up");
    // After the backup the shard changed hands a few times.
    for _ in 0..5 {
        w.store.take_over(false).await.expect("a takeover");
    }
    let highest = w.store.epoch(w.zone.shard).expect("owned");
    let refused = why(restore(&file, &url, path, &later(1)).await);
    assert!(refused.contains("not empty"), "{refused}");
    w.store.close().await;
    let first = sqlite(path, "first.db");
    restore(&file, &first, path, &later(1)).await.expect("restored");
    let first = epoch_of(&first, &w).await;
    assert!(first > highest + u64::from(EPOCH_STEP), "{first}");
    // The same backup an hour later: above what the first restored one was handed out.
    let second = sqlite(path, "second.db");
    restore(&file, &second, path, &later(2)).await.expect("restored");
    let second = epoch_of(&second, &w).await;
    assert!(second > first + 3000, "{second}");
    // An empty database is replaced; what is no backup is refused, and leaves nothing.
    fs::write(path.join("noise.db"), vec![7; 10_000]).expect("written");
    let third = sqlite(path, "third.db");
    let refused = why(restore(&path.join("noise.db"), &third, path, &later(1)).await);
    assert!(refused.contains("noise.db"), "{refused}");
    let before = files(path);
    assert!(
        !before
            .iter()
            .any(|name| name.contains("restoring") || name == "third.db"),
        "{before:?}"
    );
    let damaged = path.join("damaged.db");
    fs::copy(&file, &damaged).expect("copied");
    damage(&damaged);
    let refused = why(restore(&damaged, &third, path, &later(1)).await);
    assert!(refused.contains("damaged"), "{refused}");
}

pub async fn a_backup_crosses_engines() {
    let Some(server) = Postgres::start().expect("a server") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, file) = (directory.path(), directory.path().join("backup.db"));
    let there = server.create("there").expect("a database");
    let w = hostile(&there).await;
    // Online: the store still holds it.
    let written = care::back_up(&there, &file, &mut |_| ())
        .await
        .expect("backed up");
    assert!(written.bytes > 100_000);
    assert_eq!(files(path), ["backup.db"]);
    w.store.close().await;
    let again = server.create("again").expect("a database");
    let copied = restore(&file, &again, path, &later(1))
        .await
        .expect("restored")
        .expect("copied");
    assert!(
        copied
            .tables
            .iter()
            .any(|table| table.name == "instance" && table.rows > 200)
    );
    assert_eq!(files(path), ["backup.db"]);
    assert!(epoch_of(&again, &w).await > u64::from(EPOCH_STEP));
    let checked: Checked = care::check(&again).await.expect("checked");
    assert!(checked.is_well() && !checked.has_read_pages, "{checked:?}");
}

/// The database that an earlier version left: too old to be copied, and restored to today's schema.
pub async fn an_earlier_database_is_migrated_by_restoring_it() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    let old: Vec<PathBuf> = fs::read_dir(fixtures)
        .expect("there are fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|file| file.extension().is_some_and(|ending| ending == "db"))
        .collect();
    assert!(!old.is_empty());
    for (n, file) in old.iter().enumerate() {
        let bytes = fs::read(file).expect("readable");
        let source = format!("sqlite:{}", file.display());
        let checked = care::check(&source).await.expect("checked");
        assert!(
            checked.damage.is_empty() && checked.tables.len() > 25,
            "{checked:?}"
        );
        let target = sqlite(path, &format!("restored-{n}.db"));
        if checked.schema.0 < checked.schema.1 {
            let refused = why(copy(&source, &target).await);
            assert!(
                refused.contains("schema") && refused.contains("start velumd"),
                "{refused}"
            );
        }
        restore(file, &target, path, &later(24 * 365 * 10))
            .await
            .expect("restored");
        let moved = sqlite(path, &format!("moved-{n}.db"));
        care::copy(&target, &moved, &later(24 * 365 * 10), &mut |_| ())
            .await
            .expect("copied");
        let checked = care::check(&moved).await.expect("checked");
        assert!(
            checked.is_well() && checked.schema.0 == checked.schema.1,
            "{checked:?}"
        );
        assert_eq!(
            fs::read(file).expect("readable"),
            bytes,
            "the backup is as it was"
        );
    }
}

/// Overwrites pages in the middle of a file.
fn damage(file: &Path) {
    let mut bytes = fs::read(file).expect("readable");
    let (from, to) = (bytes.len() / 4096 / 3 * 4096, bytes.len() / 4096 * 2 / 3 * 4096);
    bytes[from..to].fill(0xa5);
    fs::write(file, bytes).expect("written");
}

pub async fn damage_is_found_and_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (url, file) = (
        sqlite(directory.path(), "velum.db"),
        directory.path().join("velum.db"),
    );
    let w = hostile(&url).await;
    w.store.close().await;
    let well = care::check(&url).await.expect("checked");
    assert!(well.is_well() && well.has_read_pages, "{well:?}");
    assert!(
        well.tables
            .iter()
            .any(|(name, rows)| name == "instance" && *rows > 200),
        "{well:?}"
    );
    // Rows that point nowhere, and a sum that is not its rows'.
    change(
        &file,
        "UPDATE run SET instance = x'0000000000000000000000000000dead' WHERE id = (SELECT MIN(id) FROM run);
         UPDATE compute_host_room SET vcpus_used = vcpus_used - 1 WHERE vcpus_used > 100",
    )
    .await;
    let found = care::check(&url).await.expect("checked");
    let differences = found.discrepancies.clone().unwrap_or_default();
    assert!(
        found.damage.len() == 1 && found.damage[0].contains("run point to rows of instance"),
        "{found:?}"
    );
    assert!(
        differences.iter().any(|d| d.problem.contains("vCPUs in use")),
        "{differences:?}"
    );
    damage(&file);
    let found = care::check(&url).await.expect("damage is no error");
    assert!(!found.is_well() && !found.damage.is_empty(), "{found:?}");
    eprintln!("{} problems, the first: {}", found.damage.len(), found.damage[0]);
    // A server that meets it at its start says so, and what to do.
    let refused = match try_open(&url, &w).await {
        Err(error) => error.to_string(),
        Ok(store) => {
            let met = async {
                store.take_over(false).await?;
                store.audit().await
            };
            met.await.expect_err("damaged").to_string()
        }
    };
    assert!(
        refused.contains("damaged") || refused.contains("malformed"),
        "{refused}"
    );
}

async fn try_open(url: &str, w: &World) -> Result<Store, StoreError> {
    let (clock, ids, log) = shared(w);
    Store::open(StoreOptions {
        url: url.to_owned(),
        holder: "x".into(),
        clock: Arc::clone(clock) as _,
        ids: Arc::clone(ids) as _,
        observer: Arc::clone(log) as _,
        lease_ms: 1000,
    })
    .await
}
