//! Why the database refused a commit, found out by looking: which name, which reference, what still uses a row.

use std::collections::HashSet;

use uuid::Uuid;
use velum_model::plugin::Digest;

use super::{
    failure::is_foreign_key,
    rows::{component, inserted, name_of, references, removed, row_of},
};
use crate::{
    commit::{Change, Commit, OperationWrite, Refused, StoreError},
    db::{Connection, Value},
    sql::look::{PLUGIN_EXISTS, exists, users},
};

/// The refusal that explains the error, if one does.
pub(super) async fn diagnose(
    connection: &mut Connection,
    commit: &Commit,
    attempt: &'static str,
    source: &sqlx::Error,
) -> Option<StoreError> {
    let found = if is_foreign_key(source) {
        match in_use(connection, commit).await {
            Ok(None) => missing_reference(connection, commit).await,
            other => other,
        }
    } else {
        Ok(unique_or_check(commit, source))
    };
    match found {
        Ok(refused) => refused.map(StoreError::from),
        Err(source) => Some(StoreError::Database { attempt, source }),
    }
}

fn unique_or_check(commit: &Commit, source: &sqlx::Error) -> Option<Refused> {
    let sqlx::Error::Database(said) = source else {
        return None;
    };
    if said.is_unique_violation() {
        let identity = commit.changes.iter().find_map(|change| match change {
            Change::PublicationReady { attachment, .. } => Some(attachment.identity.clone()),
            _ => None,
        });
        if let Some(name) = identity {
            return Some(Refused::NameTaken {
                table: Refused::IDENTITY,
                name,
            });
        }
        let (table, name) = commit.changes.iter().find_map(name_of)?;
        return Some(Refused::NameTaken { table, name });
    }
    // The guards refuse before the CHECKs do: one that refuses all the same is a claim that they let through.
    let text = said.message();
    let table = match () {
        () if text.contains("compute_host") => "compute host",
        () if text.contains("storage_pool") => "storage pool",
        () => return None,
    };
    said.is_check_violation().then_some(Refused::NoRoom {
        table,
        id: Uuid::nil(),
    })
}

/// The first row that the commit removes and something still uses.
async fn in_use(connection: &mut Connection, commit: &Commit) -> Result<Option<Refused>, sqlx::Error> {
    for change in &commit.changes {
        let Some((table, id)) = removed(change) else {
            continue;
        };
        for (statement, one, many) in users(table) {
            let rows = connection.fetch(statement, &[Value::from(id)]).await?;
            let count: u64 = rows
                .first()
                .and_then(|row| row.only(table, "count").ok())
                .unwrap_or(0);
            if count > 0 {
                let by = if count == 1 {
                    (*one).to_owned()
                } else {
                    format!("{count} {many}")
                };
                return Ok(Some(Refused::InUse { table, id, by }));
            }
        }
    }
    Ok(None)
}

/// The first reference of the commit that leads nowhere. What it inserts itself was rolled back, and is there when it
/// counts.
async fn missing_reference(
    connection: &mut Connection,
    commit: &Commit,
) -> Result<Option<Refused>, sqlx::Error> {
    let own: HashSet<Uuid> = commit.changes.iter().flat_map(inserted).collect();
    if let Some(OperationWrite::Insert { operation, .. }) = &commit.operation {
        let wanted = [("project", operation.project.uuid())];
        if let Some(reference) = nowhere(connection, &wanted, &own).await? {
            return Ok(Some(Refused::MissingReference {
                table: "operation",
                reference,
            }));
        }
    }
    for change in &commit.changes {
        let table = match change {
            Change::InsertRun(_) => "run",
            other => row_of(other).0,
        };
        if let Some(reference) = nowhere(connection, &references(change), &own).await? {
            return Ok(Some(Refused::MissingReference { table, reference }));
        }
        let is_new = |digest: &Digest| {
            commit
                .changes
                .iter()
                .any(|other| matches!(other, Change::InsertPlugin(new) if new.digest == *digest))
        };
        if let Some(digest) = component(change).filter(|digest| !is_new(digest)) {
            let rows = connection
                .fetch(&PLUGIN_EXISTS, &[Value::from(digest.as_str())])
                .await?;
            if rows.is_empty() {
                return Ok(Some(Refused::MissingReference {
                    table,
                    reference: format!("plugin {digest}"),
                }));
            }
        }
    }
    Ok(None)
}

async fn nowhere(
    connection: &mut Connection,
    wanted: &[(&'static str, Uuid)],
    own: &HashSet<Uuid>,
) -> Result<Option<String>, sqlx::Error> {
    for (table, id) in wanted {
        if own.contains(id) {
            continue;
        }
        let Some(statement) = exists(table) else { continue };
        if connection.fetch(statement, &[Value::from(*id)]).await?.is_empty() {
            return Ok(Some(format!("{table} {id}")));
        }
    }
    Ok(None)
}
