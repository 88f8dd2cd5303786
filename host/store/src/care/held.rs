//! Whether a server works on a database, and whether there is anything in it.

use std::time::Duration;

use velum_model::time::Clock;

use super::catalog::{OWN, tables};
use crate::{
    commit::StoreError,
    db::{Connection, Database, Statement, Value, failed},
};

/// How often is looked whether a lease was renewed: a server does so thrice in a lease's time.
const LOOK: Duration = Duration::from_millis(200);

const LEASE: Statement = Statement::common(
    "read the leases of shards",
    "SELECT holder, lease_until FROM shard WHERE retired = 0 AND lease_until > $1 ORDER BY lease_until DESC LIMIT 1",
);

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[&LEASE];

/// Returns when no server holds a lease any more. One that was stopped or killed leaves leases that run out within
/// seconds; a server that works renews them, which is an error.
pub(crate) async fn wait_until_free(
    connection: &mut Connection,
    database: &Database,
    clock: &dyn Clock,
) -> Result<(), StoreError> {
    let mut first = None;
    loop {
        let now = clock.now().micros();
        let rows = connection.fetch(&LEASE, &[Value::from(now)]).await;
        let rows = rows.map_err(|source| failed(LEASE.does, source))?;
        let Some(row) = rows.first() else { return Ok(()) };
        let mut columns = row.columns("shard");
        let (holder, until): (String, i64) = (columns.take("holder")?, columns.take("lease_until")?);
        if until > *first.get_or_insert(until) {
            return Err(StoreError::Unusable(format!(
                "{holder} works on {} and keeps renewing its lease: stop it first",
                database.shown()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Refuses a database that anything was put into: more than the tables, and what migrations put there themselves.
pub(crate) async fn ensure_empty(connection: &mut Connection, database: &Database) -> Result<(), StoreError> {
    for table in tables(connection).await? {
        let seeds = match table.name.as_str() {
            name if OWN.contains(&name) => continue,
            "project" | "shard" => 1,
            _ => 0,
        };
        let count = super::rows::count(connection, &table).await?;
        if count > seeds {
            return Err(StoreError::Unusable(format!(
                "{} is not empty (table {} has {count} rows), and nothing is overwritten: name another database, or \
                 remove this one yourself",
                database.shown(),
                table.name
            )));
        }
    }
    Ok(())
}
