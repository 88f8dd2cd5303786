//! Every statement is prepared on both databases, and none on the main road reads a whole table.

use sqlx::{Connection as _, Executor as _, Row as _, SqlSafeStr as _};

#[path = "../tests/suite/postgres.rs"]
mod postgres;

/// What a statement reads from end to end, beside the rows of its batch.
async fn scans(connection: &mut sqlx::SqliteConnection, text: &str) -> Vec<String> {
    let text = format!("EXPLAIN QUERY PLAN {text}");
    let plan = sqlx::query(sqlx::AssertSqlSafe(text))
        .bind("[]")
        .bind(1_i64)
        .fetch_all(connection)
        .await;
    let steps = plan
        .expect("a plan")
        .into_iter()
        .map(|row| row.get::<String, _>(3));
    steps
        .filter(|step| {
            let table = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            table.is_some_and(|table| !["json_each", "r"].contains(&table))
        })
        .collect()
}

#[tokio::test]
async fn every_statement_prepares_on_sqlite() {
    let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:")
        .await
        .expect("a connection");
    sqlx::raw_sql(include_str!("../migrations/sqlite/0001_first.sql"))
        .execute(&mut connection)
        .await
        .expect("the schema");
    sqlx::raw_sql("CREATE TABLE velum_schema (version INTEGER)")
        .execute(&mut connection)
        .await
        .expect("the ledger");
    let statements = crate::sql::registry();
    assert!(statements.len() > 150, "{}", statements.len());
    for statement in statements {
        let prepared = connection.prepare(statement.sqlite.into_sql_str()).await;
        assert!(
            prepared.is_ok(),
            "{}: {:?}\n{}",
            statement.does,
            prepared.err(),
            statement.sqlite
        );
    }
}

#[tokio::test]
async fn every_statement_prepares_on_postgresql() {
    let Some(server) = postgres::Postgres::start() else {
        return;
    };
    let mut connection = sqlx::PgConnection::connect(&server.database("velum").await)
        .await
        .expect("a connection");
    sqlx::raw_sql(include_str!("../migrations/postgres/0001_first.sql"))
        .execute(&mut connection)
        .await
        .expect("the schema");
    sqlx::raw_sql("CREATE TABLE velum_schema (version BIGINT)")
        .execute(&mut connection)
        .await
        .expect("the ledger");
    for statement in crate::sql::registry() {
        let prepared = connection.prepare(statement.postgres.into_sql_str()).await;
        assert!(
            prepared.is_ok(),
            "{}: {:?}\n{}",
            statement.does,
            prepared.err(),
            statement.postgres
        );
    }
}

#[tokio::test]
async fn no_statement_of_a_batch_reads_a_whole_table() {
    let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:")
        .await
        .expect("a connection");
    sqlx::raw_sql(include_str!("../migrations/sqlite/0001_first.sql"))
        .execute(&mut connection)
        .await
        .expect("the schema");
    // The plans of the statements themselves: what foreign keys add is looked at below.
    sqlx::raw_sql("PRAGMA foreign_keys = OFF")
        .execute(&mut connection)
        .await
        .expect("off");
    for statement in crate::sql::claims::ALL.iter().chain(crate::sql::guard::ALL) {
        let scans = scans(&mut connection, statement.sqlite).await;
        assert!(
            scans.is_empty(),
            "{}: {scans:?}\n{}",
            statement.does,
            statement.sqlite
        );
    }
    // A row that goes is kept by what points to it: those are found by an index.
    sqlx::raw_sql("PRAGMA foreign_keys = ON")
        .execute(&mut connection)
        .await
        .expect("on");
    use crate::sql::claims::{DELETE_INSTANCE, DELETE_NIC, DELETE_PUBLICATION, DELETE_RUN, DELETE_VOLUME};
    for statement in [
        &DELETE_INSTANCE,
        &DELETE_NIC,
        &DELETE_PUBLICATION,
        &DELETE_RUN,
        &DELETE_VOLUME,
    ] {
        let scans = scans(&mut connection, statement.sqlite).await;
        assert!(
            scans.is_empty(),
            "{}: {scans:?}\n{}",
            statement.does,
            statement.sqlite
        );
    }
}

#[tokio::test]
async fn a_page_is_read_in_its_order_and_a_name_by_its_index() {
    use crate::reader::Stored;
    let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:")
        .await
        .expect("a connection");
    sqlx::raw_sql(include_str!("../migrations/sqlite/0001_first.sql"))
        .execute(&mut connection)
        .await
        .expect("the schema");
    let selects = [
        ("instance", velum_model::instance::Instance::SELECT),
        ("volume", velum_model::storage::Volume::SELECT),
        ("template", velum_model::storage::Template::SELECT),
    ];
    for (table, select) in selects {
        let page =
            format!("{select} WHERE {table}.project = $1 AND {table}.id > $2 ORDER BY {table}.id LIMIT 9");
        let by_name = format!("{select} WHERE {table}.name = $1 ORDER BY {table}.id LIMIT 9");
        for (text, wanted) in [(page, "(id>?)"), (by_name, "(name=?)")] {
            let text = format!("EXPLAIN QUERY PLAN {text}");
            let plan = sqlx::query(sqlx::AssertSqlSafe(text))
                .fetch_all(&mut connection)
                .await;
            let steps: Vec<String> = plan.expect("a plan").iter().map(|row| row.get(3)).collect();
            assert!(
                steps.first().is_some_and(|step| step.contains(wanted)),
                "{table}: {steps:?}"
            );
            let is_sorted = steps.iter().any(|step| step.contains("TEMP B-TREE"));
            assert!(!(is_sorted && wanted == "(id>?)"), "{table}: {steps:?}");
        }
    }
}
