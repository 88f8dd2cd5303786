//! Migrations: a folder of texts a database, each applied once in a transaction of its own. No lock of the database's
//! own kind is used: the row of the version is inserted first, so that a second server waits or finds it there.

use crate::{
    commit::StoreError,
    db::{Connection, Engine, Statement, Value},
};

struct Migration {
    version: i64,
    sqlite: &'static str,
    postgres: &'static str,
}

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    sqlite: include_str!("../migrations/sqlite/0001_first.sql"),
    postgres: include_str!("../migrations/postgres/0001_first.sql"),
}];

/// The first release of SQLite without the bug that lost pages of the WAL when it was reset.
const SQLITE_AT_LEAST: [u32; 3] = [3, 51, 3];

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS velum_schema (version BIGINT PRIMARY KEY NOT NULL)";
const LEDGER_SQLITE: &str =
    "CREATE TABLE IF NOT EXISTS velum_schema (version INTEGER PRIMARY KEY NOT NULL) STRICT";

pub(crate) const VERSION: Statement = Statement::common(
    "read the version of the schema",
    "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM velum_schema",
);
const RECORD: Statement = Statement::common(
    "record the version of the schema",
    "INSERT INTO velum_schema (version) VALUES ($1)",
);
const ENGINE_VERSION: Statement = Statement {
    does: "read the version of the database engine",
    sqlite: "SELECT sqlite_version()",
    postgres: "SELECT current_setting('server_version')",
};

/// Brings the database to the newest schema that this version knows.
pub(crate) async fn migrate(connection: &mut Connection, engine: Engine) -> Result<(), StoreError> {
    let failed = |source| StoreError::Database {
        attempt: "migrate the database",
        source,
    };
    check_engine(connection, engine).await?;
    let ledger = match engine {
        Engine::Sqlite => LEDGER_SQLITE,
        Engine::Postgres => LEDGER,
    };
    if connection.raw(ledger).await.is_err() {
        // Two servers that create the same table at once can fail each other on PostgreSQL; the second try finds it.
        connection.raw(ledger).await.map_err(failed)?;
    }
    loop {
        let found = version(connection).await?;
        let newest = MIGRATIONS.last().map_or(0, |m| m.version);
        if found > newest {
            return Err(StoreError::Unusable(format!(
                "the database has schema {found}, this version knows up to {newest}: run a newer version"
            )));
        }
        let Some(next) = MIGRATIONS.iter().find(|m| m.version > found) else {
            return Ok(());
        };
        if let Err(source) = apply(connection, engine, next).await {
            connection.roll_back().await.map_err(failed)?;
            // Another server may have applied it meanwhile.
            if version(connection).await? == found {
                return Err(failed(source));
            }
        }
    }
}

async fn apply(
    connection: &mut Connection,
    engine: Engine,
    migration: &Migration,
) -> Result<(), sqlx::Error> {
    connection.begin().await?;
    connection
        .fetch(&RECORD, &[Value::from(migration.version)])
        .await?;
    connection
        .raw(match engine {
            Engine::Sqlite => migration.sqlite,
            Engine::Postgres => migration.postgres,
        })
        .await?;
    connection.commit().await
}

async fn version(connection: &mut Connection) -> Result<i64, StoreError> {
    let rows = connection
        .fetch(&VERSION, &[])
        .await
        .map_err(|source| StoreError::Database {
            attempt: VERSION.does,
            source,
        })?;
    rows.first()
        .map_or(Ok(0), |row| row.only("velum_schema", "version"))
}

async fn check_engine(connection: &mut Connection, engine: Engine) -> Result<(), StoreError> {
    if engine == Engine::Postgres {
        return Ok(());
    }
    let rows = connection
        .fetch(&ENGINE_VERSION, &[])
        .await
        .map_err(|source| StoreError::Database {
            attempt: ENGINE_VERSION.does,
            source,
        })?;
    let text: String = rows
        .first()
        .map_or(Ok(String::new()), |row| row.only("sqlite", "sqlite_version"))?;
    let parts: Vec<u32> = text.split('.').map_while(|part| part.parse().ok()).collect();
    if parts.as_slice() < SQLITE_AT_LEAST.as_slice() {
        return Err(StoreError::Unusable(format!(
            "SQLite {text} is too old: 3.51.3 or later is needed"
        )));
    }
    Ok(())
}
