//! Owning shards: takeover, renewal, tokens; everything else that the writer does beside commits.

use std::time::Duration;

use serde_json::json;
use velum_model::{ShardId, tenancy::Scope};

use crate::{
    commit::{Refused, StoreError},
    db::{Connection, Row, Statement, Value},
    encode::hex,
    sql::guard::EXPIRE_KEYS,
    sql::rest::{EPOCHS_NOW, INSERT_TOKEN, LEASES, RENEW, TAKE_OVER},
    writer::{NewToken, Writer},
};

/// How often a waiting server looks whether the leases have run out: a small part of any lease.
pub(crate) const LOOK: Duration = Duration::from_millis(50);
/// How often a transaction that another writer was faster than is tried again.
const TRIES: u32 = 8;

impl Writer {
    /// Every shard's epoch grows by one and this server holds it.
    pub(crate) async fn take_over(&mut self) -> Result<Vec<(ShardId, u64)>, StoreError> {
        let until = self.clock.now().plus_millis(self.lease_ms).micros();
        let values = [Value::from(self.holder.as_str()), Value::from(until)];
        let mut owned = Vec::new();
        for row in self.once(&TAKE_OVER, &values).await? {
            let mut columns = row.columns("shard");
            owned.push((columns.take("id")?, columns.take("epoch")?));
        }
        owned.sort_unstable();
        self.epochs
            .change(|epochs| *epochs = owned.iter().copied().collect());
        Ok(owned)
    }

    /// The leases of what this server owns are set again; what it no longer owns it gives up.
    pub(crate) async fn renew(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let until = now.plus_millis(self.lease_ms).micros();
        let owned = self.epochs.all();
        let rows = |shards: &[(ShardId, u64)]| {
            let rows = shards
                .iter()
                .map(|(id, epoch)| json!({ "id": hex(*id), "epoch": epoch }))
                .collect();
            Value::from(serde_json::Value::Array(rows).to_string())
        };
        let renewed = self.once(&RENEW, &[rows(&owned), Value::from(until)]).await?;
        self.once(&EXPIRE_KEYS, &[Value::from(now.micros())]).await?;
        if renewed.len() == owned.len() {
            return Ok(());
        }
        let mut lost = None;
        for row in self.once(&EPOCHS_NOW, &[rows(&owned)]).await? {
            let mut columns = row.columns("shard");
            let (id, epoch): (ShardId, u64) = (columns.take("id")?, columns.take("epoch")?);
            let is_retired: bool = columns.take("retired")?;
            if self.epochs.get(id) != Some(epoch) || is_retired {
                self.epochs.change(|epochs| {
                    epochs.remove(&id);
                });
                lost = lost.or((!is_retired).then_some(Refused::Fenced { shard: id, epoch }));
            }
        }
        lost.map_or(Ok(()), |refused| Err(refused.into()))
    }

    pub(crate) async fn insert_token(&mut self, token: NewToken) -> Result<(), StoreError> {
        let project = match token.scope {
            Scope::All => None,
            Scope::Project(project) => Some(project.uuid()),
        };
        let values = [
            Value::from(token.id),
            Value::from(token.name.as_str()),
            Value::from(token.hash.as_slice()),
            Value::from(project),
            Value::from(self.clock.now().micros()),
        ];
        if self.once(&INSERT_TOKEN, &values).await?.is_empty() {
            return Err(Refused::NameTaken {
                table: "token",
                name: token.name,
            }
            .into());
        }
        Ok(())
    }

    /// One statement as a transaction of its own.
    async fn once(&mut self, statement: &Statement, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let mut tries = 0;
        loop {
            let outcome = match self.connected().await {
                Ok(connection) => transaction(connection, statement, values).await,
                Err(source) => Err(source),
            };
            self.count_statements();
            match outcome {
                Ok(rows) => return Ok(rows),
                Err(source) => {
                    if let Some(connection) = &mut self.connection
                        && connection.roll_back().await.is_err()
                    {
                        self.connection = None;
                    }
                    tries += 1;
                    if tries >= TRIES || !crate::writer::is_worth_another_try(&source) {
                        return Err(StoreError::Database {
                            attempt: statement.does,
                            source,
                        });
                    }
                }
            }
        }
    }

    /// Until when another holder's leases last, microseconds since the epoch of time; 0 when there are none.
    pub(crate) async fn leased_until(
        database: &crate::db::Database,
        holder: &str,
    ) -> Result<i64, StoreError> {
        let rows = database.fetch(&LEASES, &[Value::from(holder)]).await?;
        rows.first().map_or(Ok(0), |row| row.only("shard", "lease_until"))
    }
}

async fn transaction(
    connection: &mut Connection,
    statement: &Statement,
    values: &[Value],
) -> Result<Vec<Row>, sqlx::Error> {
    connection.begin().await?;
    let rows = connection.fetch(statement, values).await?;
    connection.commit().await?;
    Ok(rows)
}
