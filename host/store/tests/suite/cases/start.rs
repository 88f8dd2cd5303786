//! Databases that a store does not start on: each refusal says what is wrong and what to do.

use std::{
    fs,
    sync::{Arc, atomic::AtomicI64},
};

use sqlx::{AssertSqlSafe, Connection as _};
use velum_model::{chance::Ids, time::Clock};
use velum_store::*;

use super::faults::Mount;
use crate::{connect, postgres::Postgres, world::*};

/// Why a store does not open.
async fn refused(url: &str) -> String {
    let world = (
        Arc::new(ManualClock(AtomicI64::new(1_700_000_000_000_000))),
        Arc::new(CountingIds::default()),
        Arc::new(Log::default()),
    );
    let opened = Store::open(StoreOptions {
        url: url.to_owned(),
        holder: "x".into(),
        clock: world.0 as Arc<dyn Clock>,
        ids: world.1 as Arc<dyn Ids>,
        observer: world.2 as Arc<dyn Observer>,
        lease_ms: 1000,
    });
    match opened.await {
        Err(StoreError::Unusable(why)) => why,
        Err(other) => panic!("not in words: {other:?}"),
        Ok(_) => panic!("opened {url}"),
    }
}

async fn execute(url: &str, text: &str) {
    let text = AssertSqlSafe(text.to_owned());
    if let Some(path) = url.strip_prefix("sqlite:") {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&options)
            .await
            .expect("a connection");
        sqlx::raw_sql(text)
            .execute(&mut connection)
            .await
            .expect("executed");
        connection.close().await.expect("closed");
    } else {
        let mut connection = connect(url).await;
        sqlx::raw_sql(text)
            .execute(&mut connection)
            .await
            .expect("executed");
        connection.close().await.expect("closed");
    }
}

pub async fn another_programs_tables_are_refused(url: String) {
    execute(
        &url,
        "CREATE TABLE invoice (n BIGINT); CREATE TABLE customer (n BIGINT)",
    )
    .await;
    let why = refused(&url).await;
    assert!(
        why.contains("not Velum's (customer, invoice)") && why.contains("name one that is empty"),
        "{why}"
    );
}

pub async fn a_migration_that_was_broken_off_is_refused(url: String) {
    World::open(&url).await.store.close().await;
    execute(&url, "CREATE TABLE quota (n BIGINT)").await;
    let why = refused(&url).await;
    assert!(
        why.contains("(quota)") && why.contains("run that one again"),
        "{why}"
    );
    execute(
        &url,
        "DROP TABLE quota; ALTER TABLE writer_mark RENAME TO somewhere_else",
    )
    .await;
    let why = refused(&url).await;
    assert!(
        why.contains("lacks tables of its schema (writer_mark)") && why.contains("restore"),
        "{why}"
    );
    execute(
        &url,
        "ALTER TABLE somewhere_else RENAME TO writer_mark; DELETE FROM velum_schema WHERE version = 1",
    )
    .await;
    let why = refused(&url).await;
    assert!(
        why.contains("leaves some out") && why.contains("restore"),
        "{why}"
    );
}

pub async fn what_is_no_database_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("velum.db");
    let url = format!("sqlite:{}", file.display());
    for (bytes, wanted) in [
        (vec![b'x'; 20_000], "is no SQLite database"),
        (b"# a note\n".repeat(100), "is no SQLite database"),
        (
            [b"SQLite format 3\0".as_slice(), &[0xff; 8192]].concat(),
            "velum.db",
        ),
    ] {
        fs::write(&file, bytes).expect("written");
        let why = refused(&url).await;
        assert!(why.contains(wanted), "{why}");
    }
    fs::remove_file(&file).expect("removed");
    fs::create_dir(&file).expect("a directory");
    let why = refused(&url).await;
    assert!(why.contains("is a directory: name a file in it"), "{why}");
}

pub async fn a_place_that_cannot_be_written_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let nowhere = directory.path().join("nowhere");
    let why = refused(&format!("sqlite:{}/velum.db", nowhere.display())).await;
    assert!(
        why.contains("nowhere of the database is not there: make it"),
        "{why}"
    );
    fs::write(&nowhere, "").expect("written");
    let why = refused(&format!("sqlite:{}/velum.db", nowhere.display())).await;
    assert!(why.contains("nowhere is no directory"), "{why}");
    let Some(mount) = Mount::tmpfs("size=8m") else {
        eprintln!("\n!!! NOT TESTED: a read-only place, for nothing can be mounted here !!!\n");
        return;
    };
    let url = format!("sqlite:{}/velum.db", mount.path().display());
    mount.remount("ro");
    let why = refused(&url).await;
    assert!(
        why.contains("cannot be written") && why.contains("read-only"),
        "{why}"
    );
    mount.remount("rw");
    World::open(&url).await.store.close().await;
    mount.remount("ro");
    let why = refused(&url).await;
    assert!(
        why.contains("cannot be written") && why.contains("read-only"),
        "{why}"
    );
}

pub async fn what_postgresql_has_not_is_refused() {
    let Some(server) = Postgres::start().expect("a server") else {
        return;
    };
    let why = refused(&server.url("nowhere")).await;
    assert!(
        why.contains("has no database nowhere") && why.contains("-U velum nowhere`"),
        "{why}"
    );
    let url = server.url("postgres").replace("velum@", "nobody@");
    let why = refused(&url).await;
    assert!(why.contains("does not let user nobody in"), "{why}");
}
