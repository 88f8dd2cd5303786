//! A whole cloud from one database into another, whatever their engines.
//!
//! The source is read as of one instant. Everything is written in one transaction, compared there row by row with the
//! source, and only then made durable: a copy that was broken off is an empty database.

use sqlx::{AssertSqlSafe, SqlSafeStr as _};
use velum_model::time::Clock;

use super::{
    Progress, Watch,
    catalog::{Column, OWN, Table, tables},
    compare::compare,
    held::wait_until_free,
    restore::{ensure_unused, raise_epochs},
    rows::{Pages, count, key_of, value},
};
use crate::{
    commit::StoreError,
    db::{Cell, Connection, Database, Engine, Kind, Row, failed},
    migrate::{migrate, newest, version},
};

/// What a copy was.
#[derive(Clone, Debug)]
pub struct Copied {
    /// Its tables, in the order in which they were filled.
    pub tables: Vec<TableCopied>,
}

/// What was copied of a table, and found to be the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCopied {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 of them in the order of their keys, hexadecimal: the same on both sides.
    pub sha256: String,
}

/// A table as both sides describe it.
pub(super) struct Pair {
    pub(super) source: Table,
    pub(super) target: Table,
    /// What the columns hold: what PostgreSQL says where one side is that.
    pub(super) kinds: Vec<Kind>,
}

/// Moves a cloud: `from` must not be held by a server, `to` must be empty. Epochs at the target are above all that the
/// source handed out, so that a server that is still started on the source is refused by nodes.
///
/// # Errors
/// [`StoreError::Unusable`] says why it cannot be: the source is held or of another version, the target is not empty, a row
/// cannot be stored there. Then the target is as empty as it was.
pub async fn copy(from: &str, to: &str, clock: &dyn Clock, watch: Watch<'_>) -> Result<Copied, StoreError> {
    let (source, target) = (Database::existing(from)?, Database::at(to)?);
    let mut reader = source.caretaker().await?;
    ensure_current(&mut reader, &source).await?;
    wait_until_free(&mut reader, &source, clock).await?;
    let mut writer = target.caretaker().await?;
    ensure_unused(&mut writer, &target, clock).await?;
    let copied = into(&mut reader, &mut writer, Some(clock), watch).await?;
    close(reader).await?;
    close(writer).await?;
    Ok(copied)
}

/// Copies what `reader` sees now into an empty database; with a clock, epochs are raised there.
pub(super) async fn into(
    reader: &mut Connection,
    writer: &mut Connection,
    clock: Option<&dyn Clock>,
    watch: Watch<'_>,
) -> Result<Copied, StoreError> {
    let begins = |source| failed("begin to copy", source);
    migrate(writer).await?;
    let pairs = pairs(reader, writer).await?;
    reader.begin_reading().await.map_err(begins)?;
    writer.begin().await.map_err(begins)?;
    for pair in pairs.iter().rev() {
        let cleared = writer.raw(pair.target.clear()).await;
        cleared.map_err(|source| failed("clear a table", source))?;
    }
    for pair in &pairs {
        fill(reader, writer, pair, watch).await?;
    }
    let mut copied = Copied { tables: Vec::new() };
    for pair in &pairs {
        copied.tables.push(compare(reader, writer, pair, watch).await?);
    }
    if let Some(clock) = clock {
        raise_epochs(writer, clock).await?;
    }
    let ends = |source| failed("make the copy durable", source);
    writer.commit().await.map_err(ends)?;
    reader.commit().await.map_err(ends)?;
    Ok(copied)
}

/// Refuses a database that is not of this version's schema.
pub(super) async fn ensure_current(
    connection: &mut Connection,
    database: &Database,
) -> Result<(), StoreError> {
    if !crate::migrate::tables(connection)
        .await?
        .contains(crate::migrate::LEDGER)
    {
        return Err(StoreError::Unusable(format!(
            "{} is no database of Velum's",
            database.shown()
        )));
    }
    let (found, newest) = (version(connection).await?, newest());
    if found == newest {
        return Ok(());
    }
    Err(StoreError::Unusable(format!(
        "{} has schema {found}, this version works on {newest}: start velumd of this version on it once",
        database.shown()
    )))
}

async fn pairs(reader: &mut Connection, writer: &mut Connection) -> Result<Vec<Pair>, StoreError> {
    let (sources, targets) = (tables(reader).await?, tables(writer).await?);
    let mut pairs = Vec::new();
    for target in targets {
        if OWN.contains(&target.name.as_str()) {
            continue;
        }
        let source = sources.iter().find(|source| source.name == target.name);
        let same = source.filter(|source| {
            let names = |table: &Table| -> Vec<String> {
                table.columns.iter().map(|column| column.name.clone()).collect()
            };
            names(source) == names(&target) && source.key == target.key && !target.key.is_empty()
        });
        let Some(source) = same else {
            return Err(StoreError::Unusable(format!(
                "table {} has other columns or another key at the source",
                target.name
            )));
        };
        let kinds = source
            .columns
            .iter()
            .zip(&target.columns)
            .map(|pair| kind(pair.0, pair.1));
        pairs.push(Pair {
            source: source.clone(),
            kinds: kinds.collect(),
            target,
        });
    }
    Ok(pairs)
}

fn kind(source: &Column, target: &Column) -> Kind {
    if source.kind == Kind::Id {
        Kind::Id
    } else {
        target.kind
    }
}

/// Copies the rows of one table.
async fn fill(
    reader: &mut Connection,
    writer: &mut Connection,
    pair: &Pair,
    watch: Watch<'_>,
) -> Result<(), StoreError> {
    let of = count(reader, &pair.source).await?;
    let mut pages = Pages::of(&pair.source, &pair.kinds);
    let mut rows = 0;
    loop {
        let page = pages.next(reader).await?;
        if page.is_empty() {
            return Ok(());
        }
        let mut values = Vec::with_capacity(page.len() * pair.kinds.len());
        for row in &page {
            ensure_storable(writer.engine(), pair, row)?;
            values.extend(
                row.cells
                    .iter()
                    .zip(&pair.kinds)
                    .map(|(cell, kind)| value(cell, *kind)),
            );
        }
        let text = AssertSqlSafe(pair.target.insert(page.len())).into_sql_str();
        let inserted = writer.fetch_text(text, values).await;
        inserted.map_err(|source| failed("insert rows of a table", source))?;
        rows += page.len() as u64;
        watch(Progress {
            doing: "copied",
            table: &pair.target.name,
            rows,
            of,
        });
    }
}

/// PostgreSQL's texts have no NUL, which SQLite's may have. What does not fit is named, not changed.
fn ensure_storable(engine: Engine, pair: &Pair, row: &Row) -> Result<(), StoreError> {
    if engine == Engine::Sqlite {
        return Ok(());
    }
    for (cell, column) in row.cells.iter().zip(&pair.target.columns) {
        if matches!(cell, Cell::Text(text) if text.contains('\0')) {
            return Err(StoreError::Unusable(format!(
                "table {}, row {}: column {} holds a NUL character, which PostgreSQL cannot store: change it where it is, \
                 then copy again",
                pair.target.name,
                key_of(&pair.target, row),
                column.name
            )));
        }
    }
    Ok(())
}

pub(super) async fn close(connection: Connection) -> Result<(), StoreError> {
    let closed = connection.close().await;
    closed.map_err(|source| failed("close a connection", source))
}
