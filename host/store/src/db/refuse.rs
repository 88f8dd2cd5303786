//! What is wrong with a database, in words that say what to do.

use std::{io, path::Path};

use super::open::Place;
use crate::commit::StoreError;

/// What an error of the database becomes: a damaged file is told apart, for asking again does not help.
pub(crate) fn failed(attempt: &'static str, source: sqlx::Error) -> StoreError {
    if is_damaged(&source) {
        return StoreError::Unusable(format!(
            "could not {attempt}: the database is damaged ({source}); `velumd db check` lists the damage where anything can be \
             read at all; stop the server, move the file away with what lies beside it, and restore a backup with `velumd db \
             restore`"
        ));
    }
    if let sqlx::Error::Database(said) = &source
        && said.code().as_deref() == Some("42501")
    {
        return StoreError::Unusable(format!(
            "could not {attempt}: PostgreSQL does not let this user ({}): make it the owner of the database with `ALTER \
             DATABASE … OWNER TO …`",
            said.message()
        ));
    }
    StoreError::Database { attempt, source }
}

/// What the database itself said, without where in its own source it did.
fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(said) => said.message().to_owned(),
        other => other.to_string(),
    }
}

/// Whether the database found a page or an index that it cannot read: SQLite's CORRUPT and NOTADB (11, 26), PostgreSQL's
/// XX001 and XX002.
fn is_damaged(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(said) = error else {
        return false;
    };
    let code = said.code().unwrap_or_default();
    matches!(&*code, "XX001" | "XX002") || matches!(low_byte(&code), Some(11 | 26))
}

/// The kind of one of SQLite's codes; none of PostgreSQL's.
fn low_byte(code: &str) -> Option<u32> {
    (code.len() != 5)
        .then(|| code.parse::<u32>().ok())
        .flatten()
        .map(|code| code & 0xff)
}

/// Why a database cannot be opened.
pub(super) fn opening(place: &Place, source: sqlx::Error) -> StoreError {
    let code = match &source {
        sqlx::Error::Database(said) => said.code().unwrap_or_default().into_owned(),
        _ => String::new(),
    };
    let why = match place {
        Place::Sqlite(options) => {
            low_byte(&code).and_then(|kind| opening_sqlite(kind, options.get_filename()))
        }
        Place::Postgres(options, _) => {
            let name = options.get_database().unwrap_or_else(|| options.get_username());
            let at = (options.get_host(), options.get_port());
            opening_postgres(&code, name, options.get_username(), at)
        }
    };
    match why {
        Some(why) => StoreError::Unusable(format!("{why} ({})", words(&source))),
        None => failed("open the database", source),
    }
}

fn opening_sqlite(kind: u32, path: &Path) -> Option<String> {
    let shown = path.display();
    match kind {
        // No permission, read-only, cannot open.
        3 | 8 | 14 => Some(unopened(path)),
        11 => Some(format!(
            "{shown} is damaged beyond reading: move it away, with its -wal and -shm, and restore a backup with `velumd db \
             restore`"
        )),
        26 => Some(format!(
            "{shown} is no SQLite database: name another file in `database`, or move this one away"
        )),
        _ => None,
    }
}

/// What keeps a file from being opened, by looking.
fn unopened(path: &Path) -> String {
    let shown = path.display();
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let inside = directory.display();
    match directory.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            format!(
                "the directory {inside} of the database is not there: make it, or name another in `database`"
            )
        }
        Err(error) => format!("the directory {inside} of the database cannot be looked into: {error}"),
        Ok(found) if !found.is_dir() => format!("{inside} is no directory: name another place in `database`"),
        Ok(_) if path.is_dir() => format!("{shown} is a directory: name a file in it in `database`"),
        Ok(_) => format!(
            "{shown} cannot be written: this user needs to write both it and its directory, for the log lies beside it; \
             is the file system mounted read-only?"
        ),
    }
}

fn opening_postgres(code: &str, name: &str, user: &str, (host, port): (&str, u16)) -> Option<String> {
    match code {
        "3D000" => Some(format!(
            "PostgreSQL has no database {name}: make it with `createdb -h {host} -p {port} -U {user} {name}`"
        )),
        _ if code.starts_with("28") => Some(format!(
            "PostgreSQL does not let user {user} in: look at the password in `database` and at pg_hba.conf"
        )),
        _ => None,
    }
}

/// Why this PostgreSQL cannot be worked on; `number` is its `server_version_num`. What calls itself otherwise (engines that
/// speak its protocol) is not judged by its number.
pub(crate) fn postgres_version(text: &str, number: i64) -> Option<String> {
    /// The oldest that this version is tested on.
    const AT_LEAST: i64 = 15;
    let is_postgres = text.starts_with("PostgreSQL ") && !text.contains("-YB-");
    (is_postgres && number < AT_LEAST * 10_000).then(|| {
        let major = number / 10_000;
        format!("PostgreSQL {major} is too old: {AT_LEAST} or later is needed; upgrade it with pg_upgrade")
    })
}

#[cfg(test)]
mod tests {
    use super::postgres_version;

    #[test]
    fn an_old_postgresql_is_refused_by_its_number() {
        let old = postgres_version("PostgreSQL 14.11 on x86_64-pc-linux-gnu", 140_011).expect("refused");
        assert!(
            old.contains("PostgreSQL 14") && old.contains("15 or later"),
            "{old}"
        );
        assert_eq!(postgres_version("PostgreSQL 15.0 on x86_64", 150_000), None);
        assert_eq!(postgres_version("PostgreSQL 18.1 on x86_64", 180_001), None);
        assert_eq!(postgres_version("CockroachDB CCL v24.1", 130_000), None);
        assert_eq!(postgres_version("PostgreSQL 11.2-YB-2.20.1.0-b0", 110_002), None);
    }
}
