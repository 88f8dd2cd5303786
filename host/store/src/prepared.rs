//! Every statement is prepared on both databases, and none on the main road reads a whole table.

use sqlx::{Connection as _, Executor as _, Row as _, SqlSafeStr as _};

#[path = "../../../tests/support/src/postgres.rs"]
#[expect(dead_code, reason = "what is there for faults is not wanted here")]
mod postgres;

/// Every migration's text.
fn schema(engine: crate::db::Engine) -> String {
    let text = |migration: &crate::migrate::Migration| match engine {
        crate::db::Engine::Sqlite => migration.sqlite,
        crate::db::Engine::Postgres => migration.postgres,
    };
    crate::migrate::MIGRATIONS.iter().map(text).collect()
}

/// Every statement's text for a database, and what goes out beside them.
fn texts(engine: crate::db::Engine) -> Vec<(&'static str, String)> {
    let mark = match engine {
        crate::db::Engine::Sqlite => crate::sql::rest::WRITE_MARK.to_owned(),
        crate::db::Engine::Postgres => crate::sql::rest::write_mark(&crate::db::Mark {
            writer: uuid::Uuid::from_u128(7),
            seq: 3,
            at: velum_model::Timestamp::from_micros(5),
        }),
    };
    let registry = crate::sql::registry();
    let own = registry.iter().map(|s| (s.does, s.text(engine).to_owned()));
    let bound = registry.iter().flat_map(|s| {
        let bound = s.bound.iter();
        bound.flat_map(|bound| match engine {
            crate::db::Engine::Sqlite => [
                (s.does, bound.text(2, true).0),
                (s.does, bound.text(256, false).0),
            ],
            crate::db::Engine::Postgres => {
                [true, false].map(|answers| (s.does, bound.text_of_arrays(answers)))
            }
        })
    });
    own.chain(bound).chain([("write a mark", mark)]).collect()
}

/// A database of SQLite's with all migrations and no rows.
async fn empty() -> sqlx::SqliteConnection {
    let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:")
        .await
        .expect("a connection");
    sqlx::raw_sql(sqlx::AssertSqlSafe(schema(crate::db::Engine::Sqlite)))
        .execute(&mut connection)
        .await
        .expect("the schema");
    connection
}

/// How SQLite goes about a text.
async fn plan(connection: &mut sqlx::SqliteConnection, text: &str) -> Vec<String> {
    let text = format!("EXPLAIN QUERY PLAN {text}");
    let plan = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(connection).await;
    plan.expect("a plan").iter().map(|row| row.get(3)).collect()
}

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
            table.is_some_and(|table| !["jsonb_each", "r", "v"].contains(&table))
                && !step.contains("CONSTANT ROW")
        })
        .collect()
}

#[tokio::test]
async fn every_statement_prepares_on_sqlite() {
    let mut connection = empty().await;
    sqlx::raw_sql("CREATE TABLE velum_schema (version INTEGER)")
        .execute(&mut connection)
        .await
        .expect("the ledger");
    let texts = texts(crate::db::Engine::Sqlite);
    assert!(texts.len() > 150, "{}", texts.len());
    for (does, text) in texts {
        let prepared = connection
            .prepare(sqlx::AssertSqlSafe(text.clone()).into_sql_str())
            .await;
        assert!(prepared.is_ok(), "{does}: {:?}\n{text}", prepared.err());
    }
}

#[tokio::test]
async fn every_statement_prepares_on_postgresql() {
    let Some(server) = postgres::Postgres::start().expect("a server") else {
        return;
    };
    let mut connection = sqlx::PgConnection::connect(&server.create("velum").expect("a database"))
        .await
        .expect("a connection");
    sqlx::raw_sql(sqlx::AssertSqlSafe(schema(crate::db::Engine::Postgres)))
        .execute(&mut connection)
        .await
        .expect("the schema");
    sqlx::raw_sql("CREATE TABLE velum_schema (version BIGINT)")
        .execute(&mut connection)
        .await
        .expect("the ledger");
    for (does, text) in texts(crate::db::Engine::Postgres) {
        let prepared = connection
            .prepare(sqlx::AssertSqlSafe(text.clone()).into_sql_str())
            .await;
        assert!(prepared.is_ok(), "{does}: {:?}\n{text}", prepared.err());
    }
}

#[tokio::test]
async fn no_statement_of_a_batch_reads_a_whole_table() {
    let mut connection = empty().await;
    // The plans of the statements themselves: what foreign keys add is looked at below.
    sqlx::raw_sql("PRAGMA foreign_keys = OFF")
        .execute(&mut connection)
        .await
        .expect("off");
    for statement in crate::sql::claims::ALL.iter().chain(crate::sql::guard::ALL) {
        let bound = statement.bound.iter();
        let bound = bound.flat_map(|bound| [1, 256].map(|rows| bound.text(rows, true).0));
        for text in bound.chain([statement.sqlite.to_owned()]) {
            let scans = scans(&mut connection, &text).await;
            assert!(scans.is_empty(), "{}: {scans:?}\n{text}", statement.does);
        }
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
        let bound = statement.bound.iter();
        let bound = bound.flat_map(|bound| [1, 256].map(|rows| bound.text(rows, true).0));
        for text in bound.chain([statement.sqlite.to_owned()]) {
            let scans = scans(&mut connection, &text).await;
            assert!(scans.is_empty(), "{}: {scans:?}\n{text}", statement.does);
        }
    }
}

#[tokio::test]
async fn a_page_is_read_in_its_order_and_a_name_by_its_index() {
    use crate::reader::Stored;
    let mut connection = empty().await;
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
            let steps = plan(&mut connection, &text).await;
            assert!(
                steps.first().is_some_and(|step| step.contains(wanted)),
                "{table}: {steps:?}"
            );
            let is_sorted = steps.iter().any(|step| step.contains("TEMP B-TREE"));
            assert!(!(is_sorted && wanted == "(id>?)"), "{table}: {steps:?}");
        }
    }
}

#[tokio::test]
async fn the_compute_hosts_and_pools_of_a_place_are_read_in_their_order() {
    use crate::reader::Stored;
    let mut connection = empty().await;
    let host = velum_model::infrastructure::ComputeHost::SELECT;
    let pool = velum_model::infrastructure::StoragePool::SELECT;
    for (select, table, place) in [
        (host, "compute_host", "zone"),
        (host, "compute_host", "pod"),
        (host, "compute_host", "cluster"),
        (pool, "storage_pool", "zone"),
    ] {
        for after in ["", "AND id > $2"] {
            let after = after.replace("id", &format!("{table}.id"));
            let text = format!("{select} WHERE {table}.{place} = $1 {after} ORDER BY {table}.id LIMIT 9");
            let steps = plan(&mut connection, &text).await;
            let wanted = format!("{table}_{place} ({place}=?");
            assert!(
                steps.first().is_some_and(|step| step.contains(&wanted)),
                "{place}: {steps:?}"
            );
            assert!(
                !steps.iter().any(|step| step.contains("TEMP B-TREE")),
                "{place}: {steps:?}"
            );
        }
    }
}

#[tokio::test]
async fn events_of_a_resource_and_of_an_operation_are_found_in_their_order() {
    use crate::reader::Stored;
    let mut connection = empty().await;
    let select = velum_model::operation::Event::SELECT;
    let some = uuid::Uuid::from_u128(7);
    let all = crate::EventFilter::default();
    let resource = crate::EventFilter {
        resource: Some(some),
        ..all.clone()
    };
    let operation = crate::EventFilter {
        operation: Some(velum_model::OperationId::from_uuid(some)),
        ..all.clone()
    };
    let kind = crate::EventFilter {
        kind: Some("instance.created".into()),
        ..all.clone()
    };
    let every = crate::EventFilter {
        kind: kind.kind.clone(),
        operation: operation.operation,
        ..resource.clone()
    };
    let behind = "=? AND shard=? AND epoch>?)";
    let cases = [
        (&resource, format!("event_resource (resource{behind}")),
        (&operation, format!("event_operation (operation{behind}")),
        (&kind, format!("event_kind (kind{behind}")),
        (&every, format!("event_operation (operation{behind}")),
        (&all, "PRIMARY KEY (shard=? AND epoch>?)".to_owned()),
    ];
    for (filter, wanted) in cases {
        let mut conditions = vec![
            "event.shard = ?",
            "event.epoch >= ?",
            "event.seq > ?",
            "event.project = ?",
        ];
        conditions.extend(crate::reader::conditions_of(filter));
        let text = format!(
            "{select} WHERE {} ORDER BY event.epoch, event.seq LIMIT 9",
            conditions.join(" AND ")
        );
        let steps = plan(&mut connection, &text).await;
        assert!(
            steps.len() == 1 && steps[0].contains(&wanted),
            "{filter:?}: {steps:?}"
        );
    }
}

#[tokio::test]
async fn what_few_rows_have_is_found_by_an_index() {
    use crate::reader::Stored;
    let mut connection = empty().await;
    let refused = crate::DecisionFilter {
        placed: Some(false),
        ..crate::DecisionFilter::default()
    };
    let address = crate::IpAddressFilter {
        address: Some(std::net::Ipv4Addr::LOCALHOST),
        ..crate::IpAddressFilter::default()
    };
    let decisions = crate::reader::conditions_of(&refused);
    let addresses = crate::reader::conditions_of(&address);
    for (select, id, mut conditions, wanted) in [
        (
            velum_model::decision::Decision::SELECT,
            "decision.id",
            decisions,
            "decision_refused (id>?)",
        ),
        (
            velum_model::infrastructure::IpAddress::SELECT,
            "ip_address.id",
            addresses,
            "PRIMARY KEY (ip_range=? AND address=?)",
        ),
    ] {
        conditions.push("id > ?");
        let conditions = conditions.join(" AND ").replace("AND id", &format!("AND {id}"));
        let text = format!("{select} WHERE {conditions} ORDER BY {id} LIMIT 9");
        let steps = plan(&mut connection, &text).await;
        assert!(steps.iter().any(|step| step.contains(wanted)), "{id}: {steps:?}");
    }
}

#[tokio::test]
async fn operations_of_a_collection_of_a_kind_and_those_that_go_on_are_read_in_their_order() {
    use crate::reader::Stored;
    use velum_model::operation::{OperationKindName, OperationState};
    let mut connection = empty().await;
    let select = velum_model::operation::Operation::SELECT;
    let all = crate::OperationFilter::default();
    let of_volumes = crate::OperationFilter {
        collection: Some("volumes"),
        ..all.clone()
    };
    let of_kind = crate::OperationFilter {
        kind: Some(OperationKindName::VolumeCreate),
        ..all.clone()
    };
    let of_one = crate::OperationFilter {
        subject: Some(uuid::Uuid::from_u128(7)),
        ..of_volumes.clone()
    };
    let in_state = |state| crate::OperationFilter {
        state: Some(state),
        ..all.clone()
    };
    let parked = in_state(OperationState::Parked);
    let parked_of_kind = crate::OperationFilter {
        kind: of_kind.kind,
        ..parked.clone()
    };
    let parked_of_volumes = crate::OperationFilter {
        collection: of_volumes.collection,
        ..parked.clone()
    };
    let cases = [
        (of_volumes, "operation_subject_kind (subject_kind=? AND id>?)"),
        (of_kind, "operation_subject_kind (subject_kind=? AND id>?)"),
        (of_one, "operation_subject (subject=?"),
        (parked, "operation_unfinished (id>?)"),
        (parked_of_kind, "operation_unfinished (id>?)"),
        (parked_of_volumes, "operation_unfinished (id>?)"),
        (in_state(OperationState::Running), "operation_unfinished (id>?)"),
        (
            in_state(OperationState::Done),
            "sqlite_autoindex_operation_1 (id>?)",
        ),
    ];
    for (filter, wanted) in cases {
        let mut conditions = crate::reader::conditions_of(&filter);
        conditions.push("operation.id > ?");
        let text = format!(
            "{select} WHERE {} ORDER BY operation.id LIMIT 9",
            conditions.join(" AND ")
        );
        let steps = plan(&mut connection, &text).await;
        // One resource has few operations: they may be sorted.
        let is_in_order = steps.len() == 1 || filter.subject.is_some();
        assert!(is_in_order && steps[0].contains(wanted), "{filter:?}: {steps:?}");
    }
}

#[tokio::test]
async fn the_volumes_of_a_pool_are_read_in_their_order() {
    use crate::reader::Stored;
    let mut connection = empty().await;
    let select = velum_model::storage::Volume::SELECT;
    let text = format!("{select} WHERE volume.pool = ? AND volume.id > ? ORDER BY volume.id LIMIT 9");
    let steps = plan(&mut connection, &text).await;
    assert!(
        steps
            .iter()
            .any(|step| step.contains("volume_pool (pool=? AND id>?)")),
        "{steps:?}"
    );
    assert!(
        !steps.iter().any(|step| step.contains("TEMP B-TREE")),
        "{steps:?}"
    );
}

#[tokio::test]
async fn what_a_plugin_was_before_is_forgotten_without_a_look_for_each() {
    let mut connection = empty().await;
    let steps = plan(&mut connection, crate::sql::plugins::FORGET_BEFORE.sqlite).await;
    // The operations that go on are read once, by their index, and grouped.
    let operations: Vec<_> = steps
        .iter()
        .filter(|step| step.contains(" o ") || step.ends_with(" o"))
        .collect();
    assert!(
        operations.len() == 1 && operations[0].contains("operation_unfinished"),
        "{steps:?}"
    );
    assert!(!steps.iter().any(|step| step.contains("CORRELATED")), "{steps:?}");
}
