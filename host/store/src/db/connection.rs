//! One connection to either database.

use sqlx::{
    Column as _, Connection as _, Row as _, SqlSafeStr as _, SqlStr, TypeInfo as _, ValueRef as _,
    postgres::{PgArguments, PgConnection, PgRow},
    query::Query,
    sqlite::{SqliteArguments, SqliteConnection, SqliteRow},
};

use super::{Cell, Row, Statement, Value};

/// A connection, and how many statements it was sent.
pub(crate) struct Connection {
    pub(super) inner: Inner,
    pub(crate) statements: u64,
}

pub(super) enum Inner {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

impl Connection {
    pub(super) fn new(inner: Inner) -> Self {
        Self { inner, statements: 0 }
    }

    /// Runs a statement and answers its rows.
    pub(crate) async fn fetch(
        &mut self,
        statement: &Statement,
        values: &[Value],
    ) -> Result<Vec<Row>, sqlx::Error> {
        let text = match &self.inner {
            Inner::Sqlite(_) => statement.sqlite,
            Inner::Postgres(_) => statement.postgres,
        };
        self.fetch_text(text.into_sql_str(), values).await
    }

    /// Runs a text and answers its rows.
    pub(super) async fn fetch_text(
        &mut self,
        text: SqlStr,
        values: &[Value],
    ) -> Result<Vec<Row>, sqlx::Error> {
        self.statements += 1;
        match &mut self.inner {
            Inner::Sqlite(connection) => fetch_sqlite(connection, text, values).await,
            Inner::Postgres(connection) => fetch_postgres(connection, text, values).await,
        }
    }

    /// Runs several statements without values: a migration, the ends of a transaction.
    pub(crate) async fn raw(&mut self, text: &'static str) -> Result<(), sqlx::Error> {
        self.statements += 1;
        match &mut self.inner {
            Inner::Sqlite(connection) => {
                sqlx::raw_sql(text).execute(&mut **connection).await?;
            }
            Inner::Postgres(connection) => {
                sqlx::raw_sql(text).execute(&mut **connection).await?;
            }
        }
        Ok(())
    }

    /// Begins a transaction that will write.
    pub(crate) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        let text = match self.inner {
            Inner::Sqlite(_) => "BEGIN IMMEDIATE",
            Inner::Postgres(_) => "BEGIN",
        };
        self.raw(text).await
    }

    /// Begins a transaction that sees one instant and does not write.
    pub(super) async fn begin_reading(&mut self) -> Result<(), sqlx::Error> {
        let text = match self.inner {
            Inner::Sqlite(_) => "BEGIN",
            Inner::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.raw(text).await
    }

    pub(crate) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.raw("COMMIT").await
    }

    /// Ends a transaction without effect. Whether there was one is the same to the caller.
    pub(crate) async fn roll_back(&mut self) -> Result<(), sqlx::Error> {
        match self.raw("ROLLBACK").await {
            Err(sqlx::Error::Database(said)) if said.message().contains("no transaction is active") => Ok(()),
            other => other,
        }
    }

    /// Ends the connection properly.
    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        match self.inner {
            Inner::Sqlite(connection) => connection.close().await,
            Inner::Postgres(connection) => connection.close().await,
        }
    }
}

/// Runs a text on a SQLite connection.
async fn fetch_sqlite(
    connection: &mut SqliteConnection,
    text: SqlStr,
    values: &[Value],
) -> Result<Vec<Row>, sqlx::Error> {
    let mut query: Query<'_, sqlx::Sqlite, SqliteArguments> = sqlx::query(text);
    for value in values.iter().cloned() {
        query = match value {
            Value::Int(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Blob(value) => query.bind(value),
            Value::Uuid(value) => query.bind(value),
        };
    }
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(sqlite_row).collect()
}

/// Runs a text on a PostgreSQL connection.
async fn fetch_postgres(
    connection: &mut PgConnection,
    text: SqlStr,
    values: &[Value],
) -> Result<Vec<Row>, sqlx::Error> {
    let mut query: Query<'_, sqlx::Postgres, PgArguments> = sqlx::query(text);
    for value in values.iter().cloned() {
        query = match value {
            Value::Int(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Blob(value) => query.bind(value),
            Value::Uuid(value) => query.bind(value),
        };
    }
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(postgres_row).collect()
}

fn unreadable(column: &str, kind: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("a value of type {kind} is not expected").into(),
    }
}

fn sqlite_row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let mut cells = Vec::with_capacity(row.len());
    for n in 0..row.len() {
        let (is_null, kind) = {
            let raw = row.try_get_raw(n)?;
            (raw.is_null(), raw.type_info().name().to_owned())
        };
        cells.push(match kind.as_str() {
            _ if is_null => Cell::Null,
            "INTEGER" => Cell::Int(row.try_get_unchecked(n)?),
            "TEXT" => Cell::Text(row.try_get_unchecked(n)?),
            "BLOB" => Cell::Blob(row.try_get_unchecked(n)?),
            other => return Err(unreadable(row.column(n).name(), other)),
        });
    }
    Ok(Row { cells })
}

fn postgres_row(row: &PgRow) -> Result<Row, sqlx::Error> {
    let mut cells = Vec::with_capacity(row.len());
    for n in 0..row.len() {
        let is_null = row.try_get_raw(n)?.is_null();
        let kind = row.column(n).type_info().name();
        cells.push(match kind {
            _ if is_null => Cell::Null,
            "INT8" => Cell::Int(row.try_get(n)?),
            "INT4" => Cell::Int(i64::from(row.try_get::<i32, _>(n)?)),
            "TEXT" | "VARCHAR" => Cell::Text(row.try_get(n)?),
            "BYTEA" => Cell::Blob(row.try_get(n)?),
            "UUID" => Cell::Uuid(row.try_get(n)?),
            other => return Err(unreadable(row.column(n).name(), other)),
        });
    }
    Ok(Row { cells })
}
