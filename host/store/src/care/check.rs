//! Looks a database over: its pages, what its rows point to, and the books.

use super::{catalog::tables, rows::count};
use crate::{
    commit::StoreError,
    db::{Connection, Database, Engine, Row, Statement, failed},
    migrate::{LEDGER, newest, tables as names, version},
    store::Discrepancy,
};

/// Reads every page and every key; SQLite's other check (`integrity_check`) also compares each index with its table, which
/// takes many times as long.
pub(super) const PAGES: Statement = Statement {
    does: "check the pages of the database",
    sqlite: "SELECT quick_check FROM pragma_quick_check",
    postgres: "SELECT 'ok'",
    bound: None,
};
const KEYS: Statement = Statement {
    does: "check what rows point to",
    sqlite: r#"SELECT "table", parent, COUNT(*) FROM pragma_foreign_key_check GROUP BY "table", parent"#,
    postgres: "SELECT '', '', CAST(0 AS BIGINT) WHERE false",
    bound: None,
};

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[&PAGES, &KEYS];

/// What was found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Where the database is.
    pub place: String,
    /// Its schema, and the newest that this version knows.
    pub schema: (i64, i64),
    /// Whether pages were read one by one: PostgreSQL does that itself, with checksums and amcheck.
    pub has_read_pages: bool,
    /// Its tables with their rows.
    pub tables: Vec<(String, u64)>,
    /// What is damaged, in words. Empty is well.
    pub damage: Vec<String>,
    /// Differences between sums and claims. None when they could not be counted, for the schema is not this version's or the
    /// rows do not read. Empty is well.
    pub discrepancies: Option<Vec<Discrepancy>>,
}

impl Checked {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.damage.is_empty() && self.discrepancies.as_ref().is_none_or(Vec::is_empty)
    }
}

/// Looks a database over, beside a server that works on it if need be. Nothing is written.
///
/// # Errors
/// When it cannot be opened at all, or is no database of Velum's. Damage is no error: it is what was found.
pub async fn check(url: &str) -> Result<Checked, StoreError> {
    let database = Database::existing(url)?;
    let mut connection = database.caretaker().await?;
    let mut damage = Vec::new();
    let found = note(names(&mut connection).await, &mut damage);
    if found.is_some_and(|names| !names.contains(LEDGER)) {
        let shown = database.shown();
        return Err(StoreError::Unusable(format!("{shown} is no database of Velum's")));
    }
    let schema = note(version(&mut connection).await, &mut damage).unwrap_or(0);
    damage.extend(pages(&mut connection).await?);
    for row in note(ask(&mut connection, &KEYS).await, &mut damage).unwrap_or_default() {
        let mut columns = row.columns("foreign_key_check");
        let (table, parent): (String, String) = (columns.take("table")?, columns.take("parent")?);
        let count: i64 = columns.take("count")?;
        damage.push(format!(
            "{count} rows of {table} point to rows of {parent} that are not there"
        ));
    }
    let mut counted = Vec::new();
    for table in note(tables(&mut connection).await, &mut damage).unwrap_or_default() {
        if let Some(rows) = note(count(&mut connection, &table).await, &mut damage) {
            counted.push((table.name, rows));
        }
    }
    let discrepancies = if schema == newest() {
        note(crate::audit::audit(&database).await, &mut damage)
    } else {
        None
    };
    database.close().await;
    super::copy::close(connection).await?;
    Ok(Checked {
        place: database.shown(),
        schema: (schema, newest()),
        has_read_pages: database.engine() == Engine::Sqlite,
        tables: counted,
        damage,
        discrepancies,
    })
}

/// What is wrong with the pages; nothing when all is well.
pub(super) async fn pages(connection: &mut Connection) -> Result<Vec<String>, StoreError> {
    let rows = match ask(connection, &PAGES).await {
        Ok(rows) => rows,
        // Worse than what the check can describe.
        Err(error) => return Ok(vec![error.to_string()]),
    };
    let mut damage = Vec::new();
    for row in rows {
        let said: String = row.only("quick_check", "problem")?;
        if said != "ok" {
            damage.push(said.lines().collect::<Vec<_>>().join(" "));
        }
    }
    Ok(damage)
}

async fn ask(connection: &mut Connection, statement: &Statement) -> Result<Vec<Row>, StoreError> {
    let rows = connection.fetch(statement, &[]).await;
    rows.map_err(|source| failed(statement.does, source))
}

/// What cannot be read is damage, too.
fn note<T>(read: Result<T, StoreError>, damage: &mut Vec<String>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(error) => {
            let text = error.to_string();
            if !damage.contains(&text) {
                damage.push(text);
            }
            None
        }
    }
}
