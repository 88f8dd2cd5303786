//! A token is given another secret.

use super::copy::{close, ensure_current};
use crate::{
    commit::StoreError,
    db::{Database, Row, Statement, Value, failed},
};

const REPLACE: Statement = Statement::common(
    "replace the hash of a token",
    "UPDATE token SET hash = $1 WHERE name = $2 RETURNING id",
);

const FIND: Statement = Statement::common("look for a token", "SELECT id FROM token WHERE name = $1");

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[&REPLACE, &FIND];

/// Whether there is a token of that name.
///
/// # Errors
/// [`StoreError::Unusable`] when there is no such database, or it is of another version.
pub async fn has_token(url: &str, name: &str) -> Result<bool, StoreError> {
    let rows = ask(url, &FIND, &[Value::from(name)]).await?;
    Ok(!rows.is_empty())
}

/// Replaces what the token of a name is known by, beside a server if need be: whoever has the old secret is let in no more.
/// Answers whether there is such a token.
///
/// # Errors
/// [`StoreError::Unusable`] when there is no such database, or it is of another version.
pub async fn replace_token(url: &str, name: &str, hash: &[u8]) -> Result<bool, StoreError> {
    let rows = ask(url, &REPLACE, &[Value::from(hash), Value::from(name)]).await?;
    Ok(!rows.is_empty())
}

async fn ask(url: &str, statement: &Statement, values: &[Value]) -> Result<Vec<Row>, StoreError> {
    let database = Database::existing(url)?;
    let mut connection = database.caretaker().await?;
    ensure_current(&mut connection, &database).await?;
    let rows = connection.fetch(statement, values).await;
    let rows = rows.map_err(|source| failed(statement.does, source))?;
    close(connection).await?;
    Ok(rows)
}
