//! One connection to either database. What sqlx does is boxed: the future of whoever asks the database would else carry all of that
//! with it, through every layer of a request.

use std::{future::Future, time::Duration};

use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, Row as _, SqlSafeStr as _, SqlStr, TypeInfo as _,
    ValueRef as _,
    postgres::{PgArguments, PgConnection, PgRow},
    query::Query,
    sqlite::{SqliteArguments, SqliteConnection, SqliteRow},
};

use super::{
    Bound, Cell, DatabaseAsk, Engine, Mark, Row, Simulation, Statement, Value,
    arrays::Arrays,
    direct::{Direct, Leash},
    line::End,
    rows::{Execution, Texts},
    simulated::Pragmas,
};
use crate::{
    encode::RowValues,
    sql::rest::{WRITE_MARK, write_mark},
};

/// A connection, and how many statements it was sent.
pub(crate) struct Connection {
    pub(super) inner: Inner,
    pub(crate) statements: u64,
    /// How long an answer may take; none where no network is in between.
    patience: Option<Duration>,
    /// Where a network is in between.
    line: Option<End>,
    /// An answer did not come in time: the next one to come would be that.
    is_lost: bool,
    simulation: Simulation,
    /// What its statements ask for.
    asks: DatabaseAsk,
    /// How it is set up beyond what all are.
    pragmas: Pragmas,
    /// What it was sent for rows.
    texts: Texts,
}

pub(super) enum Inner {
    Sqlite(Box<SqliteConnection>),
    /// SQLite on the thread that asks.
    Direct(Direct),
    Postgres(Box<PgConnection>),
}

impl Connection {
    /// To a file on this machine.
    pub(super) fn near(inner: Inner) -> Self {
        Self {
            inner,
            statements: 0,
            patience: None,
            line: None,
            is_lost: false,
            simulation: Simulation::default(),
            asks: DatabaseAsk::Read,
            pragmas: &[],
            texts: Texts::default(),
        }
    }

    /// The same in a simulation.
    pub(super) fn within(self, simulation: Simulation, pragmas: Pragmas) -> Self {
        Self {
            simulation,
            pragmas,
            ..self
        }
    }

    /// The same, with statements that write.
    pub(super) fn that_writes(self) -> Self {
        Self {
            asks: DatabaseAsk::Write,
            ..self
        }
    }

    /// Over a network.
    pub(super) fn far(inner: Inner, patience: Duration, line: End) -> Self {
        Self {
            patience: Some(patience),
            line: Some(line),
            ..Self::near(inner)
        }
    }

    /// Not one of those that [`super::line::Line::came_back`] makes old: it was answered just now.
    pub(crate) fn renew(&mut self) {
        if let Some(line) = &mut self.line {
            line.renew();
        }
    }

    /// Which database it leads to.
    pub(crate) fn engine(&self) -> Engine {
        match &self.inner {
            Inner::Sqlite(_) | Inner::Direct(_) => Engine::Sqlite,
            Inner::Postgres(_) => Engine::Postgres,
        }
    }

    /// Of whoever waits for its answers on another thread.
    pub(super) fn leash(&self) -> Option<Leash> {
        match &self.inner {
            Inner::Direct(connection) => Some(connection.leash()),
            Inner::Sqlite(_) | Inner::Postgres(_) => None,
        }
    }

    /// Waits for each answer as long as it takes: what reads or writes whole tables.
    pub(crate) fn wait_for_long_work(&mut self) {
        self.patience = None;
        self.line = None;
    }

    /// Runs a statement and answers its rows.
    pub(crate) async fn fetch(
        &mut self,
        statement: &Statement,
        values: &[Value],
    ) -> Result<Vec<Row>, sqlx::Error> {
        self.fetch_with(statement, values.to_vec()).await
    }

    /// The same with values that are given away: the rows of a batch are not copied.
    pub(crate) async fn fetch_with(
        &mut self,
        statement: &Statement,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        self.fetch_text(statement.text(self.engine()).into_sql_str(), values)
            .await
    }

    /// Runs a text and answers its rows.
    pub(crate) async fn fetch_text(
        &mut self,
        text: SqlStr,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        self.statements += 1;
        let inner = &mut self.inner;
        let work = async move {
            match inner {
                Inner::Sqlite(connection) => Box::pin(fetch_sqlite(connection, text, values)).await,
                Inner::Direct(connection) => connection.fetch(text.as_str(), &values),
                Inner::Postgres(connection) => Box::pin(fetch_postgres(connection, text, values)).await,
            }
        };
        let met = self.simulation.meet(self.asks, work);
        in_time((self.patience, &mut self.line), &mut self.is_lost, met).await
    }

    /// Runs a statement over the rows of a batch and answers its rows.
    pub(crate) async fn fetch_rows(
        &mut self,
        statement: &Statement,
        rows: Vec<RowValues>,
        more: &[Value],
    ) -> Result<Vec<Row>, sqlx::Error> {
        let bound = bound(statement)?;
        if let Inner::Postgres(connection) = &mut self.inner {
            self.statements += 1;
            let query = ask_arrays(&mut self.texts, (bound, true), rows, more)?;
            let work = Box::pin(async move {
                let rows = query.fetch_all(&mut **connection).await?;
                rows.iter().map(postgres_row).collect()
            });
            return in_time((self.patience, &mut self.line), &mut self.is_lost, work).await;
        }
        let mut answered = Vec::new();
        for execution in self.texts.executions(bound, rows, more, true)? {
            answered.extend(self.fetch_text(execution.sql, execution.values).await?);
        }
        Ok(answered)
    }

    /// The same of a statement that answers each row that it changes: how many those are.
    pub(crate) async fn change_rows(
        &mut self,
        statement: &Statement,
        rows: Vec<RowValues>,
        more: &[Value],
    ) -> Result<usize, sqlx::Error> {
        let bound = bound(statement)?;
        let connection = match &mut self.inner {
            Inner::Direct(connection) => connection,
            Inner::Postgres(connection) => {
                self.statements += 1;
                let query = ask_arrays(&mut self.texts, (bound, false), rows, more)?;
                let work = Box::pin(async move {
                    let done = query.execute(&mut **connection).await?;
                    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
                });
                return in_time((self.patience, &mut self.line), &mut self.is_lost, work).await;
            }
            Inner::Sqlite(_) => return Ok(self.fetch_rows(statement, rows, more).await?.len()),
        };
        let mut changed = 0;
        for Execution { sql, values } in self.texts.executions(bound, rows, more, false)? {
            self.statements += 1;
            let connection = &mut *connection;
            let work = async move { connection.change(sql.as_str(), &values) };
            changed += self.simulation.meet(self.asks, work).await?;
        }
        Ok(changed)
    }

    /// Runs several statements without values: a migration, the ends of a transaction.
    pub(crate) async fn raw(&mut self, text: impl Into<String>) -> Result<(), sqlx::Error> {
        self.statements += 1;
        let text = text.into();
        let asked = |text| sqlx::raw_sql(AssertSqlSafe::<String>(text));
        let inner = &mut self.inner;
        let work = async move {
            match inner {
                Inner::Sqlite(connection) => Box::pin(asked(text).execute(&mut **connection)).await.map(drop),
                Inner::Direct(connection) => connection.raw(&text),
                Inner::Postgres(connection) => {
                    Box::pin(asked(text).execute(&mut **connection)).await.map(drop)
                }
            }
        };
        in_time((self.patience, &mut self.line), &mut self.is_lost, work).await
    }

    const fn begins(&self) -> &'static str {
        match self.inner {
            Inner::Sqlite(_) | Inner::Direct(_) => "BEGIN IMMEDIATE",
            Inner::Postgres(_) => "BEGIN",
        }
    }

    /// Begins a transaction that will write.
    pub(crate) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.raw(self.begins()).await
    }

    /// Begins a transaction that will write, with its mark as the first that is written: whoever reads the mark waits for
    /// the end of this transaction.
    pub(crate) async fn begin_marked(&mut self, mark: &Mark) -> Result<(), sqlx::Error> {
        if let Inner::Direct(connection) = &self.inner {
            connection.raw(self.begins())?;
            self.statements += 2;
            let values = [
                Value::from(mark.writer),
                Value::from(mark.seq),
                Value::from(mark.at.micros()),
            ];
            return connection.change(WRITE_MARK, &values).map(drop);
        }
        let text = format!("{}; {}", self.begins(), write_mark(mark));
        self.raw(text).await
    }

    /// Begins a transaction that sees one instant and does not write.
    pub(crate) async fn begin_reading(&mut self) -> Result<(), sqlx::Error> {
        let text = match self.inner {
            Inner::Sqlite(_) | Inner::Direct(_) => "BEGIN",
            Inner::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.raw(text).await
    }

    pub(crate) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        if self.asks == DatabaseAsk::Read {
            return self.raw("COMMIT").await;
        }
        let simulation = self.simulation.clone();
        simulation.meet(DatabaseAsk::Commit, self.raw("COMMIT")).await
    }

    /// Ends a transaction without effect. Whether there was one is the same to the caller.
    pub(crate) async fn roll_back(&mut self) -> Result<(), sqlx::Error> {
        match self.raw("ROLLBACK").await {
            Err(sqlx::Error::Database(said)) if said.message().contains("no transaction is active") => Ok(()),
            other => other,
        }
    }

    /// Finds out whether the database can be written at all, before anybody counts on it.
    pub(super) async fn probe(&mut self) -> Result<(), sqlx::Error> {
        match self.begin().await {
            // Another process writes just now: it can be written.
            Err(error) if crate::writer::was_overtaken(&error) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.roll_back().await,
        }
    }

    /// Ends the connection properly.
    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        match self.inner {
            Inner::Sqlite(connection) => self.simulation.leave(self.pragmas, *connection).await,
            Inner::Direct(connection) => self.simulation.leave_direct(self.pragmas, connection),
            Inner::Postgres(connection) => connection.close().await,
        }
    }
}

/// Waits for an answer at most so long, and no longer than the line lasts. A connection whose answer did not come is of no
/// more use.
async fn in_time<T>(
    (patience, line): (Option<Duration>, &mut Option<End>),
    is_lost: &mut bool,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = || {
        let late = "the database did not answer in time; the connection is given up";
        sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, late))
    };
    if *is_lost {
        return Err(late());
    }
    let Some(patience) = patience else {
        return work.await;
    };
    let is_old = async {
        match line {
            Some(line) => line.is_old().await,
            None => std::future::pending().await,
        }
    };
    let answer = tokio::select! {
        biased;
        answer = tokio::time::timeout(patience, work) => answer.ok(),
        () = is_old => None,
    };
    answer.unwrap_or_else(|| {
        *is_lost = true;
        Err(late())
    })
}

/// How a statement is given rows.
fn bound(statement: &Statement) -> Result<&Bound, sqlx::Error> {
    let unasked = || {
        format!(
            "a statement that takes no rows was given some: {}",
            statement.does
        )
    };
    let bound = statement.bound.as_ref();
    bound.ok_or_else(|| sqlx::Error::Encode(unasked().into()))
}

/// A statement over arrays for PostgreSQL, with its RETURNING or without.
fn ask_arrays<'q>(
    texts: &mut Texts,
    (bound, answers): (&Bound, bool),
    rows: Vec<RowValues>,
    more: &[Value],
) -> Result<Query<'q, sqlx::Postgres, PgArguments>, sqlx::Error> {
    let query = Arrays::of(bound, rows)?.ask(texts.arrays(bound, answers));
    Ok(bind_postgres(query, more.to_vec()))
}

/// A text with its values for SQLite.
fn ask_sqlite<'q>(text: SqlStr, values: Vec<Value>) -> Query<'q, sqlx::Sqlite, SqliteArguments> {
    let mut query = sqlx::query(text);
    for value in values {
        query = match value {
            Value::Int(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Blob(value) => query.bind(value),
            Value::Uuid(value) => query.bind(value),
        };
    }
    query
}

/// Runs a text on a SQLite connection.
async fn fetch_sqlite(
    connection: &mut SqliteConnection,
    text: SqlStr,
    values: Vec<Value>,
) -> Result<Vec<Row>, sqlx::Error> {
    let rows = ask_sqlite(text, values).fetch_all(connection).await?;
    rows.iter().map(sqlite_row).collect()
}

/// Runs a text on a PostgreSQL connection.
async fn fetch_postgres(
    connection: &mut PgConnection,
    text: SqlStr,
    values: Vec<Value>,
) -> Result<Vec<Row>, sqlx::Error> {
    let query = bind_postgres(sqlx::query(text), values);
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(postgres_row).collect()
}

fn bind_postgres(
    query: Query<'_, sqlx::Postgres, PgArguments>,
    values: Vec<Value>,
) -> Query<'_, sqlx::Postgres, PgArguments> {
    values.into_iter().fold(query, |query, value| match value {
        Value::Int(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Blob(value) => query.bind(value),
        Value::Uuid(value) => query.bind(value),
    })
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
            (raw.is_null(), raw.type_info().into_owned())
        };
        cells.push(match kind.name() {
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
