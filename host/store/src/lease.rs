//! Owning shards, the writer's part: takeover, renewal, release; and everything else that it does beside commits.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use uuid::Uuid;
use velum_model::{ShardId, tenancy::Scope};

use crate::{
    commit::{Refused, StoreError},
    db::{Row, Statement, Value, failed},
    encode::hex,
    sql::guard::EXPIRE_KEYS,
    sql::orphans::EXPIRE_TOMBSTONES,
    sql::rest::{
        EPOCHS_NOW, EXPIRE_MARKS, FORGET_BLOB, FORGET_DECISIONS, INSERT_TOKEN, KEEP_BLOB, RELEASE, RENEW,
        TAKE_OVER,
    },
    writer::{
        BlobWrite, NewToken, Writer,
        outcome::{Attempt, LEARN, conclude},
    },
};

/// How often a waiting server looks whether the leases have run out: a small part of any lease.
pub(crate) const LOOK: Duration = Duration::from_millis(50);
/// How long it is known what had a row. A far side that was away for longer is looked at by a person: what it still has is
/// reported and not removed. A month of 10,000 instances a day is some 100 MB.
const TOMBSTONES_LAST_US: i64 = 30 * 24 * 60 * 60 * 1_000_000;
/// How often a transaction that another writer was faster than is tried again.
const TRIES: u32 = 8;
/// A running store renews its leases at least every few minutes, and with each its mark.
const MARKS_LAST_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// Shards with their epochs as a statement takes them.
pub(crate) fn rows(shards: &[(ShardId, u64)]) -> Value {
    let rows = shards
        .iter()
        .map(|(id, epoch)| json!({ "id": hex(*id), "epoch": epoch }))
        .collect();
    Value::from(serde_json::Value::Array(rows).to_string())
}

impl Writer {
    /// Every shard's epoch grows by one and this server holds it.
    pub(crate) async fn take_over(&mut self) -> Result<Vec<(ShardId, u64)>, StoreError> {
        let since = self.epochs.now();
        let mut owned = Vec::new();
        for row in self
            .once(
                &TAKE_OVER,
                &[Value::from(self.holder.as_str()), self.lease_until()],
            )
            .await?
        {
            let mut columns = row.columns("shard");
            owned.push((columns.take("id")?, columns.take("epoch")?));
        }
        owned.sort_unstable();
        for (shard, epoch) in &owned {
            self.epochs.hold(*shard, *epoch, since);
        }
        let expired = self.clock.now().micros() - MARKS_LAST_MICROS;
        self.once(&EXPIRE_MARKS, &[Value::from(expired)]).await?;
        Ok(owned)
    }

    /// Until when the leases last by this server's clock: for people, and for `velumd db`, which refuses a database that is
    /// worked on. Nobody takes over by it.
    fn lease_until(&self) -> Value {
        Value::from(self.clock.now().plus_millis(self.lease_ms).micros())
    }

    /// The leases of what this server owns begin again; what it no longer owns it gives up. Of a database of its own that
    /// another took it is told each time, whoever found it first.
    pub(crate) async fn renew(&mut self) -> Result<(), StoreError> {
        let since = self.epochs.now();
        let owned = self.epochs.all();
        let mut renewed: BTreeSet<ShardId> = BTreeSet::new();
        for row in self.once(&RENEW, &[rows(&owned), self.lease_until()]).await? {
            renewed.insert(row.only("shard", "id")?);
        }
        self.epochs.wrote(since);
        for (shard, epoch) in owned.iter().filter(|(shard, _)| renewed.contains(shard)) {
            self.epochs.renew(*shard, *epoch, since);
        }
        let now = self.clock.now().micros();
        self.once(&EXPIRE_KEYS, &[Value::from(now)]).await?;
        let forgotten = Value::from(now.saturating_sub(TOMBSTONES_LAST_US));
        self.once(&EXPIRE_TOMBSTONES, &[forgotten]).await?;
        let mut lost = self.epochs.taken();
        if renewed.len() < owned.len() {
            for row in self.once(&EPOCHS_NOW, &[rows(&owned)]).await? {
                let mut columns = row.columns("shard");
                let (id, epoch): (ShardId, u64) = (columns.take("id")?, columns.take("epoch")?);
                let was = owned.iter().find(|(shard, _)| *shard == id).map(|(_, was)| *was);
                if columns.take("retired")? {
                    self.epochs.drop_shard(id);
                } else if let Some(was) = was.filter(|was| *was < epoch) {
                    self.epochs.found(id, was, epoch);
                    lost = lost.or(Some((id, epoch)));
                }
            }
        }
        let refused = lost.map(|(shard, epoch)| Refused::Fenced { shard, epoch });
        refused.map_or(Ok(()), |refused| Err(refused.into()))
    }

    /// Forgets the decisions between two ids that no instance needs, the first id left out.
    pub(crate) async fn forget_decisions(&mut self, (after, last): (Uuid, Uuid)) -> Result<(), StoreError> {
        let ids = [Value::from(after), Value::from(last)];
        self.once(&FORGET_DECISIONS, &ids).await.map(drop)
    }

    /// Gives shards to whoever wants them. Nothing is begun under their epochs any more; what was on its way to the
    /// database commits, unless the next owner is faster.
    pub(crate) async fn release(&mut self, shards: &[(ShardId, u64)]) -> Result<(), StoreError> {
        for (shard, _) in shards {
            self.epochs.drop_shard(*shard);
        }
        self.once(&RELEASE, &[rows(shards)]).await.map(drop)
    }

    pub(crate) async fn write_blob(&mut self, blob: BlobWrite) -> Result<(), StoreError> {
        let written = match blob {
            BlobWrite::Keep {
                digest,
                component,
                manifest,
            } => {
                let values = [
                    Value::from(digest),
                    Value::Blob(Some(component)),
                    Value::Text(manifest),
                ];
                self.once(&KEEP_BLOB, &values).await
            }
            BlobWrite::Forget(digest) => self.once(&FORGET_BLOB, &[Value::from(digest)]).await,
        };
        written.map(drop)
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
    pub(crate) async fn once(
        &mut self,
        statement: &Statement,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let (mut tries, mut lost) = (0, None);
        loop {
            let attempt = self.attempt_once(statement, values).await;
            self.count_statements();
            let (attempt, source) = match attempt {
                Attempt::Durable(rows) => return Ok(rows),
                Attempt::Failed(StoreError::Database { attempt, source }) => (attempt, source),
                Attempt::Failed(error) => return Err(error),
                Attempt::Unknown { seq, done, source } => match self.look((self.id, seq)).await {
                    Some(true) => return Ok(done),
                    Some(false) => (statement.does, source),
                    None => return Err(failed(LEARN, source)),
                },
            };
            tries += 1;
            let is_overtaken = tries < TRIES && crate::writer::was_overtaken(&source);
            if !is_overtaken && !self.may_try_again(&source, &mut lost).await {
                return Err(failed(attempt, source));
            }
        }
    }

    async fn attempt_once(
        &mut self,
        statement: &Statement,
        values: &[Value],
    ) -> Attempt<Vec<Row>, StoreError> {
        let failed = |source| failed(statement.does, source);
        if let Err(error) = self.settle_left().await {
            return Attempt::Failed(error);
        }
        let mark = self.next_mark();
        let connection = match self.connected().await {
            Ok(connection) => connection,
            Err(source) => return Attempt::Failed(failed(source)),
        };
        let worked = match connection.begin_marked(&mark).await {
            Ok(()) => connection.fetch(statement, values).await,
            Err(source) => Err(source),
        };
        let attempt = conclude(connection, mark.seq, worked.map_err(failed)).await;
        if !matches!(attempt, Attempt::Durable(_)) {
            self.abandon().await;
        }
        attempt
    }
}
