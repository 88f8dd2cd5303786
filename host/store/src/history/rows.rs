//! Histories in rows.

use std::collections::{HashMap, hash_map::Entry};

use tokio::sync::Mutex;
use velum_model::id::ZoneId;

use super::PartLabel;
use crate::{
    commit::StoreError,
    db::{Connection, Database, Row, Statement, Value, failed},
};

const INSERT: Statement = Statement::common(
    "keep a part of a zone's history",
    "INSERT INTO history_part (zone, first_epoch, last_epoch, is_whole, size_bytes, body)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
);
const LABELS: Statement = Statement::common(
    "read which parts of a zone's history there are",
    "SELECT first_epoch, last_epoch, is_whole FROM history_part WHERE zone = $1 AND first_epoch <= $3
        AND first_epoch >= (SELECT MAX(w.first_epoch) FROM history_part w
            WHERE w.zone = $1 AND w.is_whole = 1 AND w.first_epoch <= $2)
     ORDER BY first_epoch, is_whole",
);
const BODY: Statement = Statement::common(
    "read a part of a zone's history",
    "SELECT body FROM history_part WHERE zone = $1 AND first_epoch = $2 AND is_whole = $3",
);
const FIRST: Statement = Statement::common(
    "read where a zone's history begins",
    "SELECT first_epoch FROM history_part WHERE zone = $1 AND is_whole = 1 ORDER BY first_epoch LIMIT 1",
);
const LAST: Statement = Statement::common(
    "read where a zone's history ends",
    "SELECT last_epoch FROM history_part WHERE zone = $1 ORDER BY first_epoch DESC, is_whole LIMIT 1",
);
/// Wholes with what came after them and before the next, newest first, of all zones.
const SEGMENTS: Statement = Statement::common(
    "count the histories of zones",
    "SELECT w.zone, w.first_epoch, CAST(COALESCE((SELECT SUM(p.size_bytes) FROM history_part p
            WHERE p.zone = w.zone AND p.first_epoch >= w.first_epoch AND p.first_epoch < COALESCE((
                SELECT MIN(n.first_epoch) FROM history_part n
                WHERE n.zone = w.zone AND n.is_whole = 1 AND n.first_epoch > w.first_epoch), 9223372036854775807)
        ), 0) AS BIGINT) FROM history_part w WHERE w.is_whole = 1 ORDER BY w.first_epoch DESC",
);
const FORGET: Statement = Statement::common(
    "forget the oldest of a zone's history",
    "DELETE FROM history_part WHERE zone = $1 AND first_epoch < $2",
);

const REMOVE: Statement = Statement::common(
    "remove a zone's history",
    "DELETE FROM history_part WHERE zone = $1",
);

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[
    &INSERT, &LABELS, &BODY, &FIRST, &LAST, &SEGMENTS, &FORGET, &REMOVE,
];

pub(super) struct Rows {
    database: Database,
    bytes_at_most: u64,
    /// What parts are written on: not the writer's, which a part of a large zone would hold up for a moment.
    connection: Mutex<Option<Connection>>,
}

impl Rows {
    pub(super) fn new(database: Database, bytes_at_most: u64) -> Self {
        Self {
            database,
            bytes_at_most,
            connection: Mutex::new(None),
        }
    }

    pub(super) async fn add(&self, zone: ZoneId, label: PartLabel, body: Vec<u8>) -> Result<(), StoreError> {
        let values = [
            Value::from(zone),
            Value::from(label.first),
            Value::from(label.last),
            Value::from(i64::from(label.is_whole)),
            Value::from(body.len() as u64),
            Value::Blob(Some(body)),
        ];
        self.write(&INSERT, &values).await?;
        if label.is_whole
            && let Err(error) = self.forget().await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not forget the oldest of the histories"
            );
        }
        Ok(())
    }

    /// Forgets what is more than the bound, oldest first, but of each zone the newest whole and what follows.
    async fn forget(&self) -> Result<(), StoreError> {
        let mut kept = 0u64;
        // Of each zone the oldest whole that stays, and whether something before it goes.
        let mut zones: HashMap<ZoneId, (u64, bool)> = HashMap::new();
        for row in self.database.fetch_patiently(&SEGMENTS, &[]).await? {
            let mut columns = row.columns("history_part");
            let (zone, first, size): (ZoneId, u64, u64) = (
                columns.take("zone")?,
                columns.take("first_epoch")?,
                columns.take("size")?,
            );
            kept = kept.saturating_add(size);
            match zones.entry(zone) {
                Entry::Vacant(new) => {
                    new.insert((first, false));
                }
                Entry::Occupied(mut known) if kept <= self.bytes_at_most => known.get_mut().0 = first,
                Entry::Occupied(mut known) => known.get_mut().1 = true,
            }
        }
        for (zone, (first, _)) in zones.into_iter().filter(|(_, (_, goes))| *goes) {
            self.write(&FORGET, &[Value::from(zone), Value::from(first)])
                .await?;
        }
        Ok(())
    }

    pub(super) async fn labels(
        &self,
        zone: ZoneId,
        epoch: u64,
        until: u64,
    ) -> Result<Vec<PartLabel>, StoreError> {
        let values = [Value::from(zone), Value::from(epoch), Value::from(until)];
        let rows = self.database.fetch_patiently(&LABELS, &values).await?;
        rows.iter().map(label).collect()
    }

    pub(super) async fn read(&self, zone: ZoneId, label: PartLabel) -> Result<Option<Vec<u8>>, StoreError> {
        let values = [
            Value::from(zone),
            Value::from(label.first),
            Value::from(i64::from(label.is_whole)),
        ];
        let rows = self.database.fetch_patiently(&BODY, &values).await?;
        rows.first()
            .map(|row| row.only("history_part", "body"))
            .transpose()
    }

    pub(super) async fn reach(&self, zone: ZoneId) -> Result<Option<(u64, u64)>, StoreError> {
        let values = [Value::from(zone)];
        let first = self.database.fetch_patiently(&FIRST, &values).await?;
        let last = self.database.fetch_patiently(&LAST, &values).await?;
        let (Some(first), Some(last)) = (first.first(), last.first()) else {
            return Ok(None);
        };
        Ok(Some((
            first.only("history_part", "first_epoch")?,
            last.only("history_part", "last_epoch")?,
        )))
    }

    pub(super) async fn remove(&self, zone: ZoneId) -> Result<(), StoreError> {
        self.write(&REMOVE, &[Value::from(zone)]).await
    }

    async fn write(&self, statement: &Statement, values: &[Value]) -> Result<(), StoreError> {
        let failed = |source| failed(statement.does, source);
        let mut kept = self.connection.lock().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.database.writer().await.map_err(failed)?,
        };
        let patience = self.database.patience();
        crate::db::within(patience, connection.fetch(statement, values))
            .await
            .map_err(failed)?;
        *kept = Some(connection);
        Ok(())
    }
}

fn label(row: &Row) -> Result<PartLabel, StoreError> {
    let mut columns = row.columns("history_part");
    Ok(PartLabel {
        first: columns.take("first_epoch")?,
        last: columns.take("last_epoch")?,
        is_whole: columns.take("is_whole")?,
    })
}
