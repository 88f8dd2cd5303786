//! Every statement is prepared on both databases, and none on the main road reads a whole table.

use sqlx::{Connection as _, Executor as _, Row as _, SqlSafeStr as _};

#[path = "../tests/postgres.rs"]
mod postgres;

/// Statements that may read a table from end to end: they are rare, or the table is small.
fn may_scan(text: &str, table: &str) -> bool {
    let is_rare = text.contains("COUNT(*)")
        || text.contains("GROUP BY")
        || text.starts_with("SELECT h.id")
        || text.starts_with("SELECT p.id")
        || text.starts_with("SELECT ");
    // Few rows by nature: what an operator makes, and the shards.
    let is_small = ["shard", "pod", "ip_range", "cluster", "compute_host", "h", "p", "i"].contains(&table);
    is_rare || is_small
}

#[tokio::test]
async fn every_statement_prepares_on_sqlite() {
    let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:").await.expect("a connection");
    sqlx::raw_sql(include_str!("../migrations/sqlite/0001_first.sql"))
        .execute(&mut connection)
        .await
        .expect("the schema");
    sqlx::raw_sql("CREATE TABLE velum_schema (version INTEGER)").execute(&mut connection).await.expect("the ledger");
    let statements = crate::sql::registry();
    assert!(statements.len() > 150, "{}", statements.len());
    for statement in statements {
        let prepared = connection.prepare(statement.sqlite.into_sql_str()).await;
        assert!(prepared.is_ok(), "{}: {:?}\n{}", statement.does, prepared.err(), statement.sqlite);
    }
}

#[tokio::test]
async fn every_statement_prepares_on_postgresql() {
    let Some(server) = postgres::Postgres::start() else { return };
    let mut connection =
        sqlx::PgConnection::connect(&server.database("velum").await).await.expect("a connection");
    sqlx::raw_sql(include_str!("../migrations/postgres/0001_first.sql"))
        .execute(&mut connection)
        .await
        .expect("the schema");
    sqlx::raw_sql("CREATE TABLE velum_schema (version BIGINT)").execute(&mut connection).await.expect("the ledger");
    for statement in crate::sql::registry() {
        let prepared = connection.prepare(statement.postgres.into_sql_str()).await;
        assert!(prepared.is_ok(), "{}: {:?}\n{}", statement.does, prepared.err(), statement.postgres);
    }
}

#[tokio::test]
async fn no_statement_of_a_batch_reads_a_whole_table() {
    let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:").await.expect("a connection");
    sqlx::raw_sql(include_str!("../migrations/sqlite/0001_first.sql"))
        .execute(&mut connection)
        .await
        .expect("the schema");
    for statement in crate::sql::claims::ALL.iter().chain(crate::sql::guard::ALL) {
        let text = format!("EXPLAIN QUERY PLAN {}", statement.sqlite);
        let plan = sqlx::query(sqlx::AssertSqlSafe(text)).bind("[]").bind(1_i64).fetch_all(&mut connection).await;
        for row in plan.expect("a plan") {
            let step: String = row.get(3);
            if let Some(table) = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next()) {
                let is_batch = ["json_each", "r", "value", "CONSTANT"].contains(&table) || table.starts_with('(');
                assert!(
                    is_batch || step.contains("USING") || may_scan(statement.sqlite, table),
                    "{}: {step}\n{}",
                    statement.does,
                    statement.sqlite
                );
            }
        }
    }
}
