//! Rows of any table, in the order of its key, batch by batch.

use sqlx::{AssertSqlSafe, SqlSafeStr as _};
use uuid::Uuid;

use super::{BATCH, ONE_BY_ONE, catalog::Table};
use crate::{
    commit::StoreError,
    db::{Cell, Connection, Kind, Row, Value, failed},
};

/// How many rows a table has.
pub(crate) async fn count(connection: &mut Connection, table: &Table) -> Result<u64, StoreError> {
    let text = AssertSqlSafe(table.count()).into_sql_str();
    let rows = connection.fetch_text(text, Vec::new()).await;
    let rows = rows.map_err(|source| failed("count the rows of a table", source))?;
    rows.first().map_or(Ok(0), |row| row.only("count", "count"))
}

/// Reads a table from its beginning to its end.
pub(crate) struct Pages<'t> {
    /// As the database that is read describes it.
    table: &'t Table,
    /// What the columns hold: an id may be bytes to the database that is read.
    kinds: &'t [Kind],
    after: Vec<Value>,
    is_over: bool,
}

impl<'t> Pages<'t> {
    pub(crate) const fn of(table: &'t Table, kinds: &'t [Kind]) -> Self {
        Self {
            table,
            kinds,
            after: Vec::new(),
            is_over: false,
        }
    }

    /// The next rows; none when there are no more.
    pub(crate) async fn next(&mut self, connection: &mut Connection) -> Result<Vec<Row>, StoreError> {
        if self.is_over {
            return Ok(Vec::new());
        }
        let batch = match ONE_BY_ONE.contains(&self.table.name.as_str()) {
            true => 1,
            false => BATCH,
        };
        let text = self.table.page(connection.engine(), self.after.is_empty(), batch);
        let read = connection
            .fetch_text(AssertSqlSafe(text).into_sql_str(), self.after.clone())
            .await;
        let mut rows = read.map_err(|source| failed("read the rows of a table", source))?;
        self.is_over = (rows.len() as u64) < batch;
        if let Some(last) = rows.last() {
            let key = self.table.key.iter().map(|n| self.value(last, *n));
            self.after = key.collect();
        }
        for row in &mut rows {
            for (cell, kind) in row.cells.iter_mut().zip(self.kinds) {
                if let (Cell::Blob(bytes), Kind::Id) = (&*cell, kind)
                    && let Ok(id) = Uuid::from_slice(bytes)
                {
                    *cell = Cell::Uuid(id);
                }
            }
        }
        Ok(rows)
    }

    fn value(&self, row: &Row, n: usize) -> Value {
        let kind = self.table.columns.get(n).map_or(Kind::Int, |column| column.kind);
        value(row.cells.get(n).unwrap_or(&Cell::Null), kind)
    }
}

/// A cell to be bound where a column of this kind is wanted.
pub(crate) fn value(cell: &Cell, kind: Kind) -> Value {
    match (cell, kind) {
        (Cell::Null, Kind::Int) => Value::Int(None),
        (Cell::Null, Kind::Text) => Value::Text(None),
        (Cell::Null, Kind::Bytes) => Value::Blob(None),
        (Cell::Null, Kind::Id) => Value::Uuid(None),
        (Cell::Int(number), _) => Value::Int(Some(*number)),
        (Cell::Text(text), _) => Value::Text(Some(text.clone())),
        (Cell::Blob(bytes), _) => Value::Blob(Some(bytes.clone())),
        (Cell::Uuid(id), _) => Value::Uuid(Some(*id)),
    }
}

/// The key of a row, for messages.
pub(crate) fn key_of(table: &Table, row: &Row) -> String {
    let cells = table.key.iter().filter_map(|n| row.cells.get(*n));
    let words: Vec<String> = cells.map(crate::db::describe).collect();
    words.join(", ")
}
