//! A connection to SQLite that answers on the thread that asks.
//!
//! sqlx gives each connection a thread of its own: each statement is a message to it and one back, some 20 to 40 us, which is longer
//! than most of the writer's statements take, and each row of an answer is one more. The writer and what reads beside the requests keep
//! their own threads while it answers ([`super::readers`] says who does not). sqlx makes the file, migrates it, checkpoints it and
//! cares for it. The library is the same one, linked once.

use std::{borrow::Cow, collections::HashSet, error::Error, fmt, path::Path};

use rusqlite::{InterruptHandle, OpenFlags, Statement, config::DbConfig, types::ValueRef};
use sqlx::error::{DatabaseError, ErrorKind};
use uuid::Uuid;

use super::{
    Cell, Row, Value,
    open::{BUSY, SQLITE_STATEMENTS},
    simulated::Pragmas,
};

/// See the module.
pub(super) struct Direct(rusqlite::Connection);

impl Direct {
    /// To a file that is there, as sqlx's are set up.
    pub(super) fn open(path: &Path, pragmas: Pragmas) -> Result<Self, sqlx::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = rusqlite::Connection::open_with_flags(path, flags).map_err(said)?;
        opened.busy_timeout(BUSY).map_err(said)?;
        opened.set_prepared_statement_cache_capacity(SQLITE_STATEMENTS);
        // A statement is planned once, whatever is bound to it: else some are planned anew each time.
        let stable = DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG;
        opened.set_db_config(stable, true).map_err(said)?;
        for (name, value) in [("foreign_keys", "ON"), ("synchronous", "FULL")]
            .iter()
            .chain(pragmas)
        {
            let text = format!("PRAGMA {name} = {value}");
            opened.execute_batch(&text).map_err(said)?;
        }
        Ok(Self(opened))
    }

    /// Ends what it runs when this is dropped before it is told that it is over.
    pub(super) fn leash(&self) -> Leash {
        Leash(Some(self.0.get_interrupt_handle()))
    }

    /// Runs a text and answers its rows.
    pub(super) fn fetch(&self, text: &str, values: &[Value]) -> Result<Vec<Row>, sqlx::Error> {
        let mut statement = self.0.prepare_cached(text).map_err(said)?;
        bind(&mut statement, text, values).map_err(said)?;
        let width = statement.column_count();
        let mut found = Vec::new();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(said)? {
            let mut cells = Vec::with_capacity(width);
            for n in 0..width {
                cells.push(cell(n, row.get_ref(n).map_err(said)?)?);
            }
            found.push(Row { cells });
        }
        Ok(found)
    }

    /// The same of a text that answers no rows: how many it changed.
    pub(super) fn change(&self, text: &str, values: &[Value]) -> Result<usize, sqlx::Error> {
        let mut statement = self.0.prepare_cached(text).map_err(said)?;
        bind(&mut statement, text, values).map_err(said)?;
        statement.raw_execute().map_err(said)
    }

    /// Runs one statement without values and without an answer, or several after one another.
    pub(super) fn raw(&self, text: &str) -> Result<(), sqlx::Error> {
        if text.contains(';') {
            return self.0.execute_batch(text).map_err(said);
        }
        self.change(text, &[]).map(drop)
    }

    /// Ends it; what is open is rolled back.
    pub(super) fn close(self) -> Result<(), sqlx::Error> {
        self.0.close().map_err(|(_, error)| said(error))
    }
}

/// Of whoever waits for an answer on another thread: when nobody does any more the answer is not worked out to its end.
pub(super) struct Leash(Option<InterruptHandle>);

impl Leash {
    /// It was answered.
    pub(super) fn let_go(mut self) {
        self.0 = None;
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.interrupt();
        }
    }
}

/// Binds the values in their order, `$2` of a text the second.
fn bind(statement: &mut Statement<'_>, text: &str, values: &[Value]) -> rusqlite::Result<()> {
    if !text.contains('$') {
        for (n, value) in values.iter().enumerate() {
            bind_one(statement, n + 1, value)?;
        }
        return Ok(());
    }
    // SQLite numbers names in the order in which it meets them. To ask it for each takes time with the square of their number.
    let mut met = HashSet::with_capacity(values.len());
    for rest in text.split('$').skip(1) {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let Some(number) = rest.get(..end).and_then(|number| number.parse::<usize>().ok()) else {
            continue;
        };
        if met.insert(number)
            && let Some(value) = number.checked_sub(1).and_then(|n| values.get(n))
        {
            bind_one(statement, met.len(), value)?;
        }
    }
    Ok(())
}

fn bind_one(statement: &mut Statement<'_>, place: usize, value: &Value) -> rusqlite::Result<()> {
    match value {
        Value::Int(value) => statement.raw_bind_parameter(place, value),
        Value::Text(value) => statement.raw_bind_parameter(place, value.as_deref()),
        Value::Blob(value) => statement.raw_bind_parameter(place, value.as_deref()),
        Value::Uuid(value) => {
            let bytes = value.as_ref().map(|id| id.as_bytes().as_slice());
            statement.raw_bind_parameter(place, bytes)
        }
    }
}

fn cell(column: usize, value: ValueRef<'_>) -> Result<Cell, sqlx::Error> {
    let unreadable = |what: String| sqlx::Error::ColumnDecode {
        index: column.to_string(),
        source: what.into(),
    };
    match value {
        ValueRef::Null => Ok(Cell::Null),
        ValueRef::Integer(value) => Ok(Cell::Int(value)),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Ok(Cell::Text(text.to_owned())),
            Err(error) => Err(unreadable(error.to_string())),
        },
        // Of that length are ids, and hardly anything else.
        ValueRef::Blob(bytes) => {
            Ok(Uuid::from_slice(bytes).map_or_else(|_| Cell::Blob(bytes.to_vec()), Cell::Uuid))
        }
        ValueRef::Real(_) => Err(unreadable("a number with a point is not expected".into())),
    }
}

/// What SQLite said, as sqlx tells it.
fn said(error: rusqlite::Error) -> sqlx::Error {
    let (code, message) = match &error {
        rusqlite::Error::SqliteFailure(code, message) => (code.extended_code, message.clone()),
        _ => return sqlx::Error::AnyDriverError(Box::new(error)),
    };
    Said::new(code, message.unwrap_or_else(|| error.to_string())).into()
}

/// An error with SQLite's extended code (<https://www.sqlite.org/rescode.html>).
#[derive(Debug)]
pub(super) struct Said {
    code: i32,
    message: String,
}

impl Said {
    pub(super) fn new(code: i32, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(code: {}) {}", self.code, self.message)
    }
}

impl Error for Said {}

impl DatabaseError for Said {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        use rusqlite::ffi;
        match self.code {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => ErrorKind::UniqueViolation,
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ErrorKind::ForeignKeyViolation,
            ffi::SQLITE_CONSTRAINT_NOTNULL => ErrorKind::NotNullViolation,
            ffi::SQLITE_CONSTRAINT_CHECK => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> (tempfile::TempDir, Direct) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("direct.db");
        drop(rusqlite::Connection::open(&path).expect("made"));
        let direct = Direct::open(&path, &[("cache_size", "-4096")]).expect("opened");
        let table = "CREATE TABLE t (id BLOB PRIMARY KEY, name TEXT UNIQUE, n INTEGER CHECK (n > 0), of BLOB REFERENCES t)";
        direct.raw(table).expect("a table");
        (directory, direct)
    }

    #[test]
    fn values_go_in_by_number_and_come_out_as_they_are() {
        let (_directory, direct) = opened();
        let id = Uuid::from_u128(7);
        let values = [Value::from(3_i64), Value::from(id), Value::from("a")];
        let text = "INSERT INTO t (id, name, n) VALUES ($2, $3, $1) RETURNING n, id, name, of";
        let rows = direct.fetch(text, &values).expect("inserted");
        let cells = vec![Cell::Int(3), Cell::Uuid(id), Cell::Text("a".into()), Cell::Null];
        assert_eq!(rows, [Row { cells }]);
        let changed = direct.change(
            "UPDATE t SET name = ? WHERE n = ?",
            &[Value::Text(None), Value::from(3_i64)],
        );
        assert_eq!(changed.expect("changed"), 1);
        assert_eq!(direct.fetch("SELECT 1.5", &[]).map_err(|_| ()), Err(()));
        direct.close().expect("closed");
    }

    #[test]
    fn what_nobody_waits_for_ends() {
        let (_directory, direct) = opened();
        let endless =
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT COUNT(*) FROM c";
        // SQLite forgets what it is told before it has begun: as many as it takes.
        let mut leashes: Vec<_> = (0..1_000_000).map(|_| direct.leash()).collect();
        let asked = std::thread::spawn(move || (direct.fetch(endless, &[]), direct));
        while !asked.is_finished() {
            drop(leashes.pop().expect("it ends before there are no more"));
            std::thread::yield_now();
        }
        leashes.into_iter().for_each(Leash::let_go);
        let (ended, direct) = asked.join().expect("asked");
        assert!(ended.is_err_and(|error| error.to_string().contains("interrupted")));
        // Those that were let go end nothing.
        assert_eq!(direct.fetch("SELECT 1", &[]).expect("rows").len(), 1);
    }

    #[test]
    fn refusals_have_their_kind_and_their_words() {
        let (_directory, direct) = opened();
        let insert = |id: u128, name: &str, n: i64, of: Option<u128>| {
            let values = [
                Value::from(Uuid::from_u128(id)),
                Value::from(name),
                Value::from(n),
                Value::from(of.map(Uuid::from_u128)),
            ];
            direct.change("INSERT INTO t VALUES (?, ?, ?, ?)", &values)
        };
        insert(1, "a", 1, None).expect("inserted");
        for (again, kind, code, words) in [
            (
                insert(1, "b", 1, None),
                ErrorKind::UniqueViolation,
                "1555",
                "t.id",
            ),
            (
                insert(2, "a", 1, None),
                ErrorKind::UniqueViolation,
                "2067",
                "t.name",
            ),
            (insert(2, "b", 0, None), ErrorKind::CheckViolation, "275", "n > 0"),
            (
                insert(2, "b", 1, Some(9)),
                ErrorKind::ForeignKeyViolation,
                "787",
                "FOREIGN KEY",
            ),
            (
                direct.change("INSERT INTO t", &[]),
                ErrorKind::Other,
                "1",
                "incomplete",
            ),
        ] {
            let Err(sqlx::Error::Database(said)) = again else {
                panic!("not refused: {again:?}");
            };
            assert_eq!(
                (format!("{:?}", said.kind()), said.code().as_deref()),
                (format!("{kind:?}"), Some(code))
            );
            assert!(said.message().contains(words), "{said}");
        }
        // What is refused leaves the statement usable.
        insert(2, "b", 1, Some(1)).expect("inserted");
    }
}
