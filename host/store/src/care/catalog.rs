//! The tables of a database as it describes them itself: columns, keys, and which table points to which.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    commit::StoreError,
    db::{Connection, Engine, Kind, Statement, failed},
    migrate::LEDGER,
};

const COLUMNS: Statement = Statement {
    does: "read the columns of the tables",
    sqlite: "SELECT t.name, c.name, c.type, CAST(c.pk AS INTEGER) FROM sqlite_schema t JOIN pragma_table_info(t.name) c
        WHERE t.type = 'table' AND t.name NOT GLOB 'sqlite_*' ORDER BY t.name, c.cid",
    postgres: "SELECT CAST(c.table_name AS TEXT), CAST(c.column_name AS TEXT), CAST(c.data_type AS TEXT),
            CAST(COALESCE(k.ordinal_position, 0) AS BIGINT)
        FROM information_schema.tables t
        JOIN information_schema.columns c ON c.table_schema = t.table_schema AND c.table_name = t.table_name
        LEFT JOIN information_schema.table_constraints p ON p.table_schema = t.table_schema
            AND p.table_name = t.table_name AND p.constraint_type = 'PRIMARY KEY'
        LEFT JOIN information_schema.key_column_usage k ON k.constraint_schema = p.constraint_schema
            AND k.constraint_name = p.constraint_name AND k.table_name = c.table_name AND k.column_name = c.column_name
        WHERE t.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
        ORDER BY c.table_name, c.ordinal_position",
    bound: None,
};
const REFERENCES: Statement = Statement {
    does: "read which tables point to which",
    sqlite: r#"SELECT t.name, f."table" FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table'"#,
    postgres: "SELECT CAST(c.table_name AS TEXT), CAST(p.table_name AS TEXT)
        FROM information_schema.referential_constraints f
        JOIN information_schema.table_constraints c
            ON c.constraint_schema = f.constraint_schema AND c.constraint_name = f.constraint_name
        JOIN information_schema.table_constraints p
            ON p.constraint_schema = f.unique_constraint_schema AND p.constraint_name = f.unique_constraint_name
        WHERE f.constraint_schema = current_schema()",
    bound: None,
};

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[&COLUMNS, &REFERENCES];

/// What a database keeps for itself: the ledger of its migrations, and the marks of stores that run on it (a copy has its own),
/// and what was kept of histories, which a cloud does not need.
pub(crate) const OWN: [&str; 3] = [LEDGER, "writer_mark", "history_part"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// A table: its columns, and which of them are its key, in the key's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) key: Vec<usize>,
}

/// The tables of a database, those that are pointed to first.
pub(crate) async fn tables(connection: &mut Connection) -> Result<Vec<Table>, StoreError> {
    let mut described: BTreeMap<String, (Table, Vec<(i64, usize)>)> = BTreeMap::new();
    for row in ask(connection, &COLUMNS).await? {
        let mut columns = row.columns("schema");
        let name: String = columns.take("table")?;
        let (column, words): (String, String) = (columns.take("column")?, columns.take("type")?);
        let place: i64 = columns.take("key")?;
        let kind = kind(connection.engine(), &words).ok_or_else(|| {
            StoreError::Unusable(format!(
                "table {name}: column {column} is of type {words}, which no table of Velum has"
            ))
        })?;
        let (table, key) = described.entry(name.clone()).or_insert_with(|| {
            let table = Table {
                name,
                columns: Vec::new(),
                key: Vec::new(),
            };
            (table, Vec::new())
        });
        if place > 0 {
            key.push((place, table.columns.len()));
        }
        table.columns.push(Column { name: column, kind });
    }
    let tables = described.into_values().map(|(mut table, mut key)| {
        key.sort_unstable();
        table.key = key.into_iter().map(|(_, column)| column).collect();
        table
    });
    let mut references = BTreeSet::new();
    for row in ask(connection, &REFERENCES).await? {
        let mut columns = row.columns("schema");
        references.insert((columns.take("table")?, columns.take("parent")?));
    }
    in_order(tables.collect(), &references)
}

fn kind(engine: Engine, words: &str) -> Option<Kind> {
    match (engine, words) {
        (Engine::Sqlite, "INTEGER") | (Engine::Postgres, "bigint") => Some(Kind::Int),
        (Engine::Sqlite, "TEXT") | (Engine::Postgres, "text") => Some(Kind::Text),
        (Engine::Sqlite, "BLOB") | (Engine::Postgres, "bytea") => Some(Kind::Bytes),
        (Engine::Postgres, "uuid") => Some(Kind::Id),
        _ => None,
    }
}

/// Puts tables behind those that they point to.
fn in_order(mut left: Vec<Table>, references: &BTreeSet<(String, String)>) -> Result<Vec<Table>, StoreError> {
    let mut ordered: Vec<Table> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waiting: BTreeSet<String> = left.iter().map(|table| table.name.clone()).collect();
        let (ready, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(|table| {
            !references
                .iter()
                .any(|(from, to)| *from == table.name && waiting.contains(to))
        });
        if ready.is_empty() {
            let names: Vec<_> = waiting.into_iter().collect();
            return Err(StoreError::Unusable(format!(
                "these tables point to each other, so that none can be filled first: {}",
                names.join(", ")
            )));
        }
        ordered.extend(ready);
        left = rest;
    }
    Ok(ordered)
}

async fn ask(connection: &mut Connection, statement: &Statement) -> Result<Vec<crate::db::Row>, StoreError> {
    let rows = connection.fetch(statement, &[]).await;
    rows.map_err(|source| failed(statement.does, source))
}

impl Table {
    fn columns_text(&self, of: impl Iterator<Item = usize>) -> String {
        let names: Vec<String> = of
            .filter_map(|n| self.columns.get(n))
            .map(|column| format!("\"{}\"", column.name))
            .collect();
        names.join(", ")
    }

    /// How many rows it has.
    pub(crate) fn count(&self) -> String {
        format!("SELECT CAST(COUNT(*) AS BIGINT) FROM \"{}\"", self.name)
    }

    /// Empties it.
    pub(crate) fn clear(&self) -> String {
        format!("DELETE FROM \"{}\"", self.name)
    }

    /// Reads rows in the order of the key, from the beginning or after a key. Both databases order alike: texts by their
    /// bytes, which on PostgreSQL needs to be said.
    pub(crate) fn page(&self, engine: Engine, is_first: bool, rows: u64) -> String {
        let key: Vec<String> = self
            .key
            .iter()
            .filter_map(|n| self.columns.get(*n))
            .map(|column| match (engine, column.kind) {
                (Engine::Postgres, Kind::Text) => format!("\"{}\" COLLATE \"C\"", column.name),
                _ => format!("\"{}\"", column.name),
            })
            .collect();
        let key = key.join(", ");
        let after = if is_first {
            String::new()
        } else {
            let places: Vec<String> = (1..=self.key.len()).map(|n| format!("${n}")).collect();
            format!(" WHERE ({key}) > ({})", places.join(", "))
        };
        format!(
            "SELECT {} FROM \"{}\"{after} ORDER BY {key} LIMIT {rows}",
            self.columns_text(0..self.columns.len()),
            self.name
        )
    }

    /// Inserts this many rows.
    pub(crate) fn insert(&self, rows: usize) -> String {
        let width = self.columns.len();
        let rows: Vec<String> = (0..rows)
            .map(|row| {
                let places: Vec<String> = (1..=width).map(|n| format!("${}", row * width + n)).collect();
                format!("({})", places.join(", "))
            })
            .collect();
        format!(
            "INSERT INTO \"{}\" ({}) VALUES {}",
            self.name,
            self.columns_text(0..width),
            rows.join(", ")
        )
    }
}
