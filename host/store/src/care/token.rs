//! A token is given another secret.

use super::copy::{close, ensure_current};
use crate::{
    commit::StoreError,
    db::{Database, Statement, Value, failed},
};

const REPLACE: Statement = Statement::common(
    "replace the hash of a token",
    "UPDATE token SET hash = $1 WHERE name = $2 RETURNING id",
);

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[&REPLACE];

/// Replaces what the token of a name is known by, beside a server if need be: whoever has the old secret is let in no more.
/// Answers whether there is such a token.
///
/// # Errors
/// [`StoreError::Unusable`] when there is no such database, or it is of another version.
pub async fn replace_token(url: &str, name: &str, hash: &[u8]) -> Result<bool, StoreError> {
    let database = Database::existing(url)?;
    let mut connection = database.caretaker().await?;
    ensure_current(&mut connection, &database).await?;
    let values = [Value::from(hash), Value::from(name)];
    let replaced = connection.fetch(&REPLACE, &values).await;
    let replaced = replaced.map_err(|source| failed(REPLACE.does, source))?;
    close(connection).await?;
    Ok(!replaced.is_empty())
}
