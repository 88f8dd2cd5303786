//! SQL that travels (law 14): statements and migrations use nothing that the distributed engines which speak PostgreSQL's
//! protocol lack or do otherwise.

use crate::files::texts;

/// Words that must not stand one after another in a statement, why, and a statement with them.
const FORBIDDEN: &[(&[&str], &str, &str)] = &[
    (
        &["PG_ADVISORY*"],
        "a lock of one server's memory: a lease is a row with an epoch",
        "SELECT pg_advisory_xact_lock(7)",
    ),
    (
        &["PG_TRY_ADVISORY*"],
        "a lock of one server's memory: a lease is a row with an epoch",
        "SELECT pg_try_advisory_lock(7)",
    ),
    (
        &["LISTEN"],
        "events are read from the log: a notification is lost with its connection",
        "LISTEN events",
    ),
    (
        &["NOTIFY"],
        "events are read from the log: a notification is lost with its connection",
        "NOTIFY events, 'x'",
    ),
    (
        &["PG_NOTIFY"],
        "events are read from the log: a notification is lost with its connection",
        "SELECT pg_notify('a', 'b')",
    ),
    (
        &["SERIAL"],
        "ids are made by the server; one counter for all nodes is a bottleneck and has gaps",
        "CREATE TABLE t (id serial)",
    ),
    (
        &["BIGSERIAL"],
        "ids are made by the server; one counter for all nodes is a bottleneck and has gaps",
        "CREATE TABLE t (id BIGSERIAL)",
    ),
    (
        &["SEQUENCE"],
        "ids are made by the server; one counter for all nodes is a bottleneck and has gaps",
        "CREATE SEQUENCE s",
    ),
    (
        &["NEXTVAL"],
        "ids are made by the server; one counter for all nodes is a bottleneck and has gaps",
        "SELECT nextval('s')",
    ),
    (
        &["AS", "IDENTITY"],
        "ids are made by the server; one counter for all nodes is a bottleneck and has gaps",
        "CREATE TABLE t (n BIGINT GENERATED ALWAYS AS IDENTITY)",
    ),
    (
        &["AUTOINCREMENT"],
        "ids are made by the server",
        "CREATE TABLE t (n INTEGER PRIMARY KEY AUTOINCREMENT)",
    ),
    (
        &["TRIGGER"],
        "what a commit does stands in the commit, not in the schema",
        "CREATE TRIGGER t AFTER INSERT ON u",
    ),
    (
        &["FUNCTION"],
        "code in the database is deployed apart from the server",
        "CREATE FUNCTION f() RETURNS int",
    ),
    (
        &["PROCEDURE"],
        "code in the database is deployed apart from the server",
        "CREATE OR REPLACE PROCEDURE f()",
    ),
    (
        &["PLPGSQL"],
        "code in the database is deployed apart from the server",
        "DO LANGUAGE plpgsql 'BEGIN END'",
    ),
    (
        &["RULE"],
        "what a commit does stands in the commit, not in the schema",
        "CREATE RULE r AS ON INSERT TO t DO NOTHING",
    ),
    (
        &["DEFERRABLE"],
        "constraints hold after each statement: rows are written in the order that they need",
        "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u DEFERRABLE",
    ),
    (
        &["DEFERRED"],
        "constraints hold after each statement: rows are written in the order that they need",
        "SET CONSTRAINTS ALL DEFERRED",
    ),
    (
        &["EXTENSION"],
        "what is not in the engine itself is not in the others",
        "CREATE EXTENSION btree_gist",
    ),
    (
        &["EXCLUDE", "USING"],
        "overlaps are refused by a guarded statement",
        "CREATE TABLE t (r int4range, EXCLUDE USING gist (r WITH &&))",
    ),
    (
        &["CTID"],
        "where a row lies is one engine's own affair",
        "DELETE FROM t WHERE ctid = '(0,1)'",
    ),
    (
        &["XMIN"],
        "a row's version is its generation",
        "SELECT xmin FROM t",
    ),
    (
        &["XMAX"],
        "a row's version is its generation",
        "SELECT xmax FROM t",
    ),
    (
        &["TABLEOID"],
        "which table a row is in is known",
        "SELECT tableoid FROM t",
    ),
    (
        &["TEMP"],
        "what is needed for one transaction is an array in its statement",
        "CREATE TEMP TABLE t (a int)",
    ),
    (
        &["TEMPORARY"],
        "what is needed for one transaction is an array in its statement",
        "CREATE TEMPORARY TABLE t (a int)",
    ),
    (
        &["SAVEPOINT"],
        "a refused batch is split and begun again",
        "SAVEPOINT a",
    ),
    (&["LOCK", "TABLE"], "rows are locked, not tables", "LOCK TABLE t"),
    (
        &["UNLOGGED"],
        "what is written is durable",
        "CREATE UNLOGGED TABLE t (a int)",
    ),
    (
        &["INHERITS"],
        "a table stands for itself",
        "CREATE TABLE t () INHERITS (u)",
    ),
    (
        &["MATERIALIZED", "VIEW"],
        "what is derived lies in memory and is kept current by commits",
        "CREATE MATERIALIZED VIEW v AS SELECT 1",
    ),
    (
        &["USING", "GIST"],
        "an index is a B-tree",
        "CREATE INDEX i ON t USING gist (a)",
    ),
    (
        &["USING", "GIN"],
        "an index is a B-tree",
        "CREATE INDEX i ON t USING gin (a)",
    ),
    (
        &["USING", "HASH"],
        "an index is a B-tree",
        "CREATE INDEX i ON t USING hash (a)",
    ),
    (&["DOMAIN"], "types are the model's", "CREATE DOMAIN d AS int"),
    (
        &["CREATE", "TYPE"],
        "types are the model's: states are stored by name",
        "CREATE TYPE mood AS ENUM ('a')",
    ),
    (
        &["WITH", "HOLD"],
        "pages follow a key, not a cursor",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    ),
    (
        &["OFFSET"],
        "pages follow a key",
        "SELECT * FROM t LIMIT 9 OFFSET 9",
    ),
];

/// What a statement begins with.
const VERBS: [&str; 22] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "WITH",
    "CREATE",
    "ALTER",
    "DROP",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SET",
    "LISTEN",
    "NOTIFY",
    "LOCK",
    "DECLARE",
    "COPY",
    "DO",
    "CALL",
    "SAVEPOINT",
    "TRUNCATE",
    "MERGE",
];

/// The forbidden words of a text, with the reason. Words are compared as they are written, and in a whole statement
/// whatever their case.
fn violations(text: &str) -> Vec<String> {
    let first = text.split_whitespace().next().unwrap_or_default().to_uppercase();
    let text = if VERBS.contains(&first.as_str()) {
        text.to_uppercase()
    } else {
        text.to_owned()
    };
    let words: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let is_like = |word: &str, wanted: &str| match wanted.strip_suffix('*') {
        Some(beginning) => word.starts_with(beginning),
        None => word == wanted,
    };
    let mut found = Vec::new();
    for (wanted, why, _) in FORBIDDEN {
        let stands = |at: &[&str]| at.iter().zip(*wanted).all(|(word, wanted)| is_like(word, wanted));
        if words.windows(wanted.len()).any(stands) {
            found.push(format!("{}: {why}", wanted.join(" ")));
        }
    }
    found
}

/// The string literals of a Rust source, comments left out.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(['"', '/', '\'', 'r']) {
        let here = &rest[at..];
        let (literal, next) = if let Some(comment) = here.strip_prefix("//") {
            (None, comment.find('\n').map_or("", |end| &comment[end..]))
        } else if let Some(raw) = here.strip_prefix("r#\"") {
            let end = raw.find("\"#").unwrap_or(raw.len());
            (Some(&raw[..end]), raw.get(end + 2..).unwrap_or_default())
        } else if let Some(text) = here.strip_prefix('"') {
            let mut is_escaped = false;
            let end = text.find(|c| {
                let is_end = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                is_end
            });
            let end = end.unwrap_or(text.len());
            (Some(&text[..end]), text.get(end + 1..).unwrap_or_default())
        } else if let Some(quote) = here.strip_prefix("'\"'") {
            (None, quote)
        } else {
            (None, &here[1..])
        };
        found.extend(literal.map(str::to_owned));
        rest = next;
    }
    found
}

/// A migration without its comments, statement by statement.
fn statements(migration: &str) -> Vec<String> {
    let code: Vec<&str> = migration
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect();
    code.join("\n").split(';').map(str::to_owned).collect()
}

#[test]
fn sql_is_what_distributed_engines_run_too() {
    let (mut read, mut found) = (0, Vec::new());
    for (path, text) in texts(&[".rs", ".sql"]) {
        let is_store = path.starts_with("host/store/src/") || path.starts_with("host/store/migrations/");
        // A test that reads query plans.
        if !is_store || path.ends_with("/prepared.rs") {
            continue;
        }
        let parts = if path.ends_with(".sql") {
            statements(&text)
        } else {
            literals(&text)
        };
        read += parts.len();
        let hits = parts.iter().flat_map(|part| violations(part));
        found.extend(hits.map(|hit| format!("{path}: {hit}")));
    }
    assert!(read > 500, "only {read} texts were read");
    assert!(found.is_empty(), "this does not travel:\n{}", found.join("\n"));
}

#[test]
fn each_that_does_not_travel_is_found() {
    for (words, why, planted) in FORBIDDEN {
        let source = format!(
            "/// It's fine.\nconst A: Statement = x(\n    \"does\", // \"not this\"\n    \"{planted}\",\n);"
        );
        let hits: Vec<String> = literals(&source)
            .iter()
            .flat_map(|part| violations(part))
            .collect();
        let wanted = format!("{}: {why}", words.join(" "));
        assert!(hits.contains(&wanted), "{planted}: {hits:?}");
        let migration = format!(
            "-- Nothing: {planted}\nCREATE TABLE ok (a BIGINT);\n{};\n",
            planted.to_lowercase()
        );
        let hits: Vec<String> = statements(&migration)
            .iter()
            .flat_map(|part| violations(part))
            .collect();
        assert!(hits.contains(&wanted), "{planted}: {hits:?}");
    }
    assert_eq!(violations("could not listen to a trigger"), Vec::<String>::new());
    assert_eq!(
        violations("SELECT id FROM shard WHERE id = $1 FOR SHARE"),
        Vec::<String>::new()
    );
}
