//! Migrations: a folder of texts a database, each applied once in a transaction of its own. No lock of the database's
//! own kind is used: the row of the version is inserted first, so that a second server waits or finds it there.
//!
//! A database that is not what its ledger says, or not Velum's, is refused before anything is written to it.

use std::collections::BTreeSet;

use crate::{
    commit::StoreError,
    db::{Connection, Engine, Statement, Value, failed, postgres_version},
};

/// A step of the schema.
pub(crate) struct Migration {
    /// Its number.
    pub(crate) version: i64,
    /// Its text for SQLite.
    pub(crate) sqlite: &'static str,
    /// Its text for PostgreSQL.
    pub(crate) postgres: &'static str,
}

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        sqlite: include_str!("../migrations/sqlite/0001_first.sql"),
        postgres: include_str!("../migrations/postgres/0001_first.sql"),
    },
    Migration {
        version: 2,
        sqlite: include_str!("../migrations/sqlite/0002_writer_mark.sql"),
        postgres: include_str!("../migrations/postgres/0002_writer_mark.sql"),
    },
    Migration {
        version: 3,
        sqlite: include_str!("../migrations/sqlite/0003_servers.sql"),
        postgres: include_str!("../migrations/postgres/0003_servers.sql"),
    },
    Migration {
        version: 4,
        sqlite: include_str!("../migrations/sqlite/0004_orphans.sql"),
        postgres: include_str!("../migrations/postgres/0004_orphans.sql"),
    },
    Migration {
        version: 5,
        sqlite: include_str!("../migrations/sqlite/0005_nodes.sql"),
        postgres: include_str!("../migrations/postgres/0005_nodes.sql"),
    },
    Migration {
        version: 6,
        sqlite: include_str!("../migrations/sqlite/0006_credentials.sql"),
        postgres: include_str!("../migrations/postgres/0006_credentials.sql"),
    },
    Migration {
        version: 7,
        sqlite: include_str!("../migrations/sqlite/0007_plugin_life.sql"),
        postgres: include_str!("../migrations/postgres/0007_plugin_life.sql"),
    },
    Migration {
        version: 8,
        sqlite: include_str!("../migrations/sqlite/0008_affinity.sql"),
        postgres: include_str!("../migrations/postgres/0008_affinity.sql"),
    },
    Migration {
        version: 9,
        sqlite: include_str!("../migrations/sqlite/0009_lifetimes.sql"),
        postgres: include_str!("../migrations/postgres/0009_lifetimes.sql"),
    },
    Migration {
        version: 10,
        sqlite: include_str!("../migrations/sqlite/0010_decisions.sql"),
        postgres: include_str!("../migrations/postgres/0010_decisions.sql"),
    },
    Migration {
        version: 11,
        sqlite: include_str!("../migrations/sqlite/0011_resources.sql"),
        postgres: include_str!("../migrations/postgres/0011_resources.sql"),
    },
    Migration {
        version: 12,
        sqlite: include_str!("../migrations/sqlite/0012_lists.sql"),
        postgres: include_str!("../migrations/postgres/0012_lists.sql"),
    },
    Migration {
        version: 13,
        sqlite: include_str!("../migrations/sqlite/0013_more_lists.sql"),
        postgres: include_str!("../migrations/postgres/0013_more_lists.sql"),
    },
];

/// The first release of SQLite without the bug that lost pages of the WAL when it was reset.
const SQLITE_AT_LEAST: [u32; 3] = [3, 51, 3];

/// The table that says which migrations were applied.
pub(crate) const LEDGER: &str = "velum_schema";
const MAKE_LEDGER: &str = "CREATE TABLE IF NOT EXISTS velum_schema (version BIGINT PRIMARY KEY NOT NULL)";
const MAKE_LEDGER_SQLITE: &str =
    "CREATE TABLE IF NOT EXISTS velum_schema (version INTEGER PRIMARY KEY NOT NULL) STRICT";

const VERSIONS: Statement = Statement::common(
    "read the version of the schema",
    "SELECT CAST(version AS BIGINT) FROM velum_schema ORDER BY version",
);
const RECORD: Statement = Statement::common(
    "record the version of the schema",
    "INSERT INTO velum_schema (version) VALUES ($1)",
);
const ENGINE_VERSION: Statement = Statement {
    does: "read the version of the database engine",
    sqlite: "SELECT sqlite_version(), 0",
    postgres: "SELECT version(), CAST(current_setting('server_version_num') AS BIGINT)",
    bound: None,
};
const TABLES: Statement = Statement {
    does: "read the names of the tables",
    sqlite: "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*' ORDER BY name",
    postgres: "SELECT CAST(table_name AS TEXT) FROM information_schema.tables
        WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY table_name",
    bound: None,
};

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[&VERSIONS, &RECORD, &ENGINE_VERSION, &TABLES];

/// The schema that this version works on.
pub(crate) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// Brings the database to the newest schema that this version knows.
pub(crate) async fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let failed = |source| failed("migrate the database", source);
    check_engine(connection).await?;
    let tables = tables(connection).await?;
    if !tables.is_empty() && !tables.contains(LEDGER) {
        return Err(StoreError::Unusable(format!(
            "the database has tables that are not Velum's ({}): name one that is empty",
            listed(&tables)
        )));
    }
    let ledger = match connection.engine() {
        Engine::Sqlite => MAKE_LEDGER_SQLITE,
        Engine::Postgres => MAKE_LEDGER,
    };
    if connection.raw(ledger).await.is_err() {
        // Two servers that create the same table at once can fail each other on PostgreSQL; the second try finds it.
        connection.raw(ledger).await.map_err(failed)?;
    }
    loop {
        let found = version(connection).await?;
        let Some(next) = MIGRATIONS.iter().find(|m| m.version > found) else {
            return check_tables(connection).await;
        };
        if let Err(source) = apply(connection, next).await {
            connection.roll_back().await.map_err(failed)?;
            // Another server may have applied it meanwhile.
            if version(connection).await? == found {
                return Err(failed(source));
            }
        }
    }
}

async fn apply(connection: &mut Connection, migration: &Migration) -> Result<(), sqlx::Error> {
    connection.begin().await?;
    connection
        .fetch(&RECORD, &[Value::from(migration.version)])
        .await?;
    connection
        .raw(match connection.engine() {
            Engine::Sqlite => migration.sqlite,
            Engine::Postgres => migration.postgres,
        })
        .await?;
    connection.commit().await
}

/// The schema that a database has; refused when it is newer than this version, or its ledger has a hole.
pub(crate) async fn version(connection: &mut Connection) -> Result<i64, StoreError> {
    let mut found = Vec::new();
    for row in ask(connection, &VERSIONS).await? {
        found.push(row.only::<i64>(LEDGER, "version")?);
    }
    let (last, newest) = (found.last().copied().unwrap_or(0), newest());
    if last > newest {
        return Err(StoreError::Unusable(format!(
            "the database has schema {last}, this version knows up to {newest}: run a newer version"
        )));
    }
    let whole = MIGRATIONS.iter().map(|migration| migration.version);
    if !whole
        .take_while(|version| *version <= last)
        .eq(found.iter().copied())
    {
        return Err(StoreError::Unusable(format!(
            "the database says that migrations {found:?} were applied, which leaves some out: restore a backup"
        )));
    }
    Ok(last)
}

/// The names of the tables that are there.
pub(crate) async fn tables(connection: &mut Connection) -> Result<BTreeSet<String>, StoreError> {
    let rows = ask(connection, &TABLES).await?;
    rows.iter().map(|row| row.only("schema", "name")).collect()
}

/// The names of the tables that the migrations make.
pub(crate) fn known_tables() -> BTreeSet<String> {
    let made = MIGRATIONS
        .iter()
        .flat_map(|migration| migration.sqlite.split("CREATE TABLE "));
    // What stands before the first of a text is none.
    let names = made.filter_map(|rest| rest.split_once(" (").map(|(name, _)| name));
    names
        .filter(|name| !name.contains(char::is_whitespace))
        .map(str::to_owned)
        .chain([LEDGER.to_owned()])
        .collect()
}

/// Whether the tables are just those of the newest schema. A newer version whose migration was broken off leaves others on
/// engines where that is not one transaction; a restore by hand may leave some out.
async fn check_tables(connection: &mut Connection) -> Result<(), StoreError> {
    let (there, known) = (tables(connection).await?, known_tables());
    let missing: BTreeSet<String> = known.difference(&there).cloned().collect();
    if !missing.is_empty() {
        return Err(StoreError::Unusable(format!(
            "the database lacks tables of its schema ({}): restore a backup",
            listed(&missing)
        )));
    }
    let more: BTreeSet<String> = there.difference(&known).cloned().collect();
    if !more.is_empty() {
        return Err(StoreError::Unusable(format!(
            "the database has tables that this version does not know ({}): if a newer version began to migrate it, run that \
             one again; if they are another program's, give Velum a database of its own",
            listed(&more)
        )));
    }
    Ok(())
}

/// The first names: a foreign database may have thousands.
fn listed(names: &BTreeSet<String>) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let rest = names.len().saturating_sub(SHOWN);
    match rest {
        0 => shown.join(", "),
        rest => format!("{} and {rest} more", shown.join(", ")),
    }
}

async fn ask(connection: &mut Connection, statement: &Statement) -> Result<Vec<crate::db::Row>, StoreError> {
    let rows = connection.fetch(statement, &[]).await;
    rows.map_err(|source| failed(statement.does, source))
}

async fn check_engine(connection: &mut Connection) -> Result<(), StoreError> {
    let rows = ask(connection, &ENGINE_VERSION).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let mut columns = row.columns("engine");
    let (text, number): (String, i64) = (columns.take("version")?, columns.take("number")?);
    let why = match connection.engine() {
        Engine::Postgres => postgres_version(&text, number),
        Engine::Sqlite => {
            let parts: Vec<u32> = text.split('.').map_while(|part| part.parse().ok()).collect();
            (parts.as_slice() < SQLITE_AT_LEAST.as_slice())
                .then(|| format!("SQLite {text} is too old: 3.51.3 or later is needed"))
        }
    };
    why.map_or(Ok(()), |why| Err(StoreError::Unusable(why)))
}
